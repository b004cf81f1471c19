"""The out-of-fold table of a bundle: predictions of the training for sources that were held out.

With the table a model can be scored again, or two models compared on the same rows, without training. Numbers are
rounded to six decimals, far below the resolution of any measurement.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from nasicon_ml.columns import Column
from nasicon_ml.io.csv import read_exact_csv, to_numbers

DECIMALS = 6
TEXTS = ("target", str(Column.PELLET_ID), str(Column.SOURCE), str(Column.SYSTEM))
COUNTS = ("repeat", "fold")
#: The columns of an out-of-fold table, in order, described in `nasicon_ml.workflows.train.TrainingResult`.
COLUMNS = (
    "target", "repeat", "fold", *TEXTS[1:], str(Column.MEASUREMENT_TEMPERATURE_C),
    str(Column.SINTERING_TEMPERATURE_C), "measured", "predicted", "lower_50", "upper_50", "lower_80", "upper_80",
    "lower", "upper", "level_needed", "composition_only", "median", "unknown_share", str(Column.DOMAIN_SCORE),
)  # fmt: skip
NUMBERS = tuple(name for name in COLUMNS if name not in TEXTS + COUNTS)
#: The table without rows of models without out-of-fold predictions.
NO_ROWS = ",".join(COLUMNS) + "\n"


def rounded(table: pd.DataFrame) -> pd.DataFrame:
    """Return an out-of-fold table with numbers rounded as in a bundle."""
    return table.assign(**{name: table[name].round(DECIMALS) for name in NUMBERS})


def to_csv(table: pd.DataFrame) -> str:
    """Return an out-of-fold table as CSV, from which the same numbers can be read."""
    return table.to_csv(index=False, columns=list(COLUMNS), lineterminator="\n")


def from_csv(text: str) -> pd.DataFrame:
    """Read the output of `to_csv`: columns `COLUMNS`, index from 0, and exactly the written numbers.

    Raises
    ------
    ValueError
        If columns differ, a row has too few or too many cells, or a number cannot be read.
    """
    cells = read_exact_csv(text, COLUMNS)
    columns: dict[str, object] = {}
    for name in COLUMNS:
        if name in TEXTS:
            columns[name] = np.array(cells[name], dtype=object)
        else:
            numbers = to_numbers(cells[name], name, may_be_missing=name in NUMBERS)
            if name in COUNTS and not np.all((numbers >= 0) & (numbers < 2**31) & (numbers == np.floor(numbers))):
                raise ValueError(f"{name}: holds other than whole numbers from 0")
            columns[name] = numbers.astype(np.int64) if name in COUNTS else numbers
    return pd.DataFrame(columns)
