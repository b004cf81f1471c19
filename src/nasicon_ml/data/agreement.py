"""How far laboratories differ that made the same composition: what no model can be expected to beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.columns import Column


@dataclass(frozen=True)
class Agreement:
    """How far apart two pellets of different sources and one formula are.

    Attributes
    ----------
    difference
        Mean ``|difference|`` of such pairs, in the unit of the values; NaN where there is no pair. Pairs are
        averaged within each formula, and formulas weigh by their pellets, so that the most popular one does not
        decide alone.
    pellets, formulas
        How many have a partner in another source.
    """

    difference: float
    pellets: int
    formulas: int

    @property
    def floor(self) -> float:
        """The mean error that remains if the mean of all laboratories is known exactly.

        For normal errors two pellets differ by the square root of 2 times what one differs from the mean. A guide
        and no bound: real errors have long tails, and a recipe says more than a formula.
        """
        return self.difference / float(np.sqrt(2.0))


def agreement(pellets: pd.DataFrame, values: pd.Series, *, sintered_within_c: float | None = None) -> Agreement:
    """Compare the pellets of different sources that have the same formula.

    Parameters
    ----------
    pellets
        Shape (n_pellets, ...): what `load_pellets` gives, or a part of it.
    values
        Shape (n_pellets,), with the index of `pellets`: the result on the scale on which differences count,
        such as log10 of the conductivity. Pellets without a value are passed over.
    sintered_within_c
        If given, only pairs count that were densified by the same technique at sintering temperatures no
        further apart than this, in °C.
    """
    known = pellets[values.notna()]
    differences, weights = [], []
    for _, group in known.groupby(Column.FORMULA):
        first, second = np.triu_indices(len(group), k=1)
        chosen = _comparable(group, first, second, sintered_within_c)
        if chosen.any():
            value = values.loc[group.index].to_numpy(dtype=np.float64)
            differences.append(float(np.abs(value[first] - value[second])[chosen].mean()))
            weights.append(len(np.unique([first[chosen], second[chosen]])))
    if not weights:
        return Agreement(float("nan"), 0, 0)
    return Agreement(float(np.average(differences, weights=weights)), int(np.sum(weights)), len(weights))


def _comparable(
    group: pd.DataFrame, first: NDArray[np.intp], second: NDArray[np.intp], within_c: float | None
) -> NDArray[np.bool_]:
    """Find the pairs that count; NaN and None equal nothing, so what is not stated is never alike."""
    source = group[Column.SOURCE].to_numpy(dtype=object)
    chosen = source[first] != source[second]
    if within_c is not None:
        temperature = group[Column.SINTERING_TEMPERATURE_C].to_numpy(dtype=np.float64)
        technique = group[Column.DENSIFICATION].to_numpy(dtype=object)
        chosen &= np.abs(temperature[first] - temperature[second]) <= within_c
        chosen &= (technique[first] == technique[second]) & pd.notna(technique[first])
    return np.asarray(chosen, dtype=bool)


def median_of_others(
    pellets: pd.DataFrame, values: pd.Series, *, sintered_within_c: float | None = None
) -> pd.Series:
    """Return for each pellet what the other sources found at the same composition.

    Each other source counts once, with its own median, so that a long series does not outvote everybody else.

    Parameters
    ----------
    pellets, values
        As in `agreement`.
    sintered_within_c
        If given, only pellets count that were densified by the same technique at a sintering temperature no
        further away than this, in °C.

    Returns
    -------
    pandas.Series
        Shape (n_pellets,), with the index of `pellets`: the median of the medians of the other sources; NaN
        where the pellet has no value or no partner.
    """
    found = np.full(len(pellets), np.nan)
    known = np.flatnonzero(values.notna())
    for rows in pellets.iloc[known].groupby(Column.FORMULA).indices.values():
        group = pellets.iloc[known[rows]]
        value = values.to_numpy(dtype=np.float64)[known[rows]]
        source = group[Column.SOURCE].to_numpy(dtype=object)
        first, second = (grid.ravel() for grid in np.indices((len(group), len(group))))
        alike = _comparable(group, first, second, sintered_within_c).reshape(len(group), len(group))
        for at, partners in enumerate(alike):
            if partners.any():
                medians = pd.Series(value[partners]).groupby(source[partners]).median()
                found[known[rows[at]]] = np.median(medians)
    return pd.Series(found, index=pellets.index)
