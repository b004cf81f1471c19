"""How powder and green pellet were prepared, as far as a recipe says: sources of the cations, excess, pressing."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.columns import Column
from nasicon_ml.composition.precursors import Cation, Source, read_precursors
from nasicon_ml.features.processing import LOGARITHMIC

Floats = NDArray[np.float64]
Columns = dict[str, Floats]

#: Sources that have a column of their own: those that many papers state.
SOURCE_COLUMNS: Mapping[Cation, tuple[Source, ...]] = {
    Cation.HOST: (Source.ALKOXIDE, Source.CHLORIDE, Source.OXIDE),
    Cation.TRIVALENT: (Source.NITRATE, Source.ALKOXIDE, Source.OXIDE),
    Cation.PHOSPHORUS: (Source.AMMONIUM, Source.ACID),
}
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


def preparation_columns(table: pd.DataFrame) -> Columns:
    """Return what a recipe says of its preparation; columns of shape (n,), NaN where it does not say.

    A pellet is taken to lie in no powder bed unless the recipe says so. A powder that was bought has no known
    sources.
    """
    codes = source_codes(table)
    nothing = np.full(len(table), np.nan)

    def numbers(column: Column) -> Floats:
        if column not in table.columns:
            return nothing
        return np.asarray(table[column].to_numpy(dtype=np.float64, na_value=np.nan))

    pressure = numbers(Column.GREEN_PRESSURE_MPA)
    columns: Columns = {
        f"given_{Column.LITHIUM_EXCESS_PCT}": numbers(Column.LITHIUM_EXCESS_PCT),
        f"log10_{Column.GREEN_PRESSURE_MPA}": np.log10(
            np.maximum(pressure, LOGARITHMIC[Column.GREEN_PRESSURE_MPA])
        ),
        f"given_{Column.POWDER_BED}": np.nan_to_num(numbers(Column.POWDER_BED)),
    }
    bought = codes[Cation.HOST] == _CODES[Source.COMMERCIAL]
    for cation, sources in SOURCE_COLUMNS.items():
        unknown = np.isnan(codes[cation]) | bought
        for source in sources:
            columns[f"{cation}_source={source}"] = np.where(unknown, np.nan, codes[cation] == _CODES[source])
    has = Column.PRECURSORS in table.columns
    stated = table[Column.PRECURSORS].notna().to_numpy() if has else np.zeros(len(table), dtype=np.bool_)
    return columns | {f"{Column.PRECURSORS}_commercial": np.where(stated, bought, np.nan)}
