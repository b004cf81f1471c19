"""How powder and green pellet were prepared, as far as a recipe says: sources of the cations, excess, pressing."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.columns import Column
from nasicon_ml.composition.precursors import Cation, Source, read_precursors

Floats = NDArray[np.float64]

_CODES = {source: float(code) for code, source in enumerate(Source)}


def source_codes(table: pd.DataFrame) -> dict[Cation, Floats]:
    """Return which compound brings each kind of cation.

    Parameters
    ----------
    table
        Recipe columns, n rows; where it has no precursors, nothing is known of them.

    Returns
    -------
    dict
        Kind of cation -> position of the source in `Source`, shape (n,), NaN where not known.
    """
    if Column.PRECURSORS not in table.columns:
        return {cation: np.full(len(table), np.nan) for cation in Cation}
    place, texts = pd.factorize(table[Column.PRECURSORS])
    read = [read_precursors(text).sources for text in texts]
    found = {}
    for cation in Cation:
        codes = [_CODES[one[cation]] if cation in one else np.nan for one in read]
        found[cation] = np.array([*codes, np.nan])[place]  # -1, not given, is the last
    return found
