"""Compare results of different laboratories for the same composition, a lower limit of the error of any model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.columns import Column


@dataclass(frozen=True)
class Agreement:
    """Difference between pellets of the same formula from different sources.

    Attributes
    ----------
    difference
        Mean ``|difference|`` of such pairs, in the unit of the values; NaN if there is no pair. Pairs are averaged
        within each formula, and formulas are weighted by their number of pellets, so that the most common formula
        does not dominate.
    pellets, formulas
        Number of pellets and formulas with a counterpart in another source.
    """

    difference: float
    pellets: int
    formulas: int

    @property
    def floor(self) -> float:
        """Mean error of a prediction that equals the mean of all laboratories.

        For normal errors, two pellets differ by sqrt(2) times the deviation of one from the mean. This is a guide,
        not a bound: real errors have long tails, and a recipe contains more information than a formula.
        """
        return self.difference / float(np.sqrt(2.0))


def agreement(pellets: pd.DataFrame, values: pd.Series, *, sintered_within_c: float | None = None) -> Agreement:
    """Compare the pellets of different sources that have the same formula.

    Parameters
    ----------
    pellets
        Shape (n_pellets, ...): table as returned by `load_pellets`, or a part of it.
    values
        Shape (n_pellets,), with the index of `pellets`: the result on the scale of the comparison, such as log10
        of the conductivity. Pellets without a value are ignored.
    sintered_within_c
        If given, only compare pellets densified by the same technique at sintering temperatures that differ by at
        most this, in °C.
    """
    known = pellets[values.notna()]
    differences, weights = [], []
    for _, group in known.groupby(Column.FORMULA):
        first, second = np.triu_indices(len(group), k=1)
        is_pair = _is_comparable(group, first, second, sintered_within_c)
        if is_pair.any():
            value = values.loc[group.index].to_numpy(dtype=np.float64)
            differences.append(float(np.abs(value[first] - value[second])[is_pair].mean()))
            weights.append(len(np.unique([first[is_pair], second[is_pair]])))
    if not weights:
        return Agreement(float("nan"), 0, 0)
    return Agreement(float(np.average(differences, weights=weights)), int(np.sum(weights)), len(weights))


def _is_comparable(
    group: pd.DataFrame, first: NDArray[np.intp], second: NDArray[np.intp], max_difference_c: float | None
) -> NDArray[np.bool_]:
    """Return which pairs to compare; pairs with missing values are not, since NaN and None equal nothing."""
    source = group[Column.SOURCE].to_numpy(dtype=object)
    is_pair = source[first] != source[second]
    if max_difference_c is not None:
        temperature = group[Column.SINTERING_TEMPERATURE_C].to_numpy(dtype=np.float64)
        technique = group[Column.DENSIFICATION].to_numpy(dtype=object)
        is_pair &= np.abs(temperature[first] - temperature[second]) <= max_difference_c
        is_pair &= (technique[first] == technique[second]) & pd.notna(technique[first])
    return np.asarray(is_pair, dtype=bool)


def median_of_others(
    pellets: pd.DataFrame, values: pd.Series, *, sintered_within_c: float | None = None
) -> pd.Series:
    """Return for each pellet the median result of the other sources for the same composition.

    Each of the other sources counts once, with its own median, so that a long series does not dominate.

    Parameters
    ----------
    pellets, values, sintered_within_c
        As in `agreement`.

    Returns
    -------
    pandas.Series
        Shape (n_pellets,), with the index of `pellets`: the median of the medians of the other sources; NaN for
        pellets without a value or a counterpart.
    """
    results = np.full(len(pellets), np.nan)
    known = np.flatnonzero(values.notna())
    for rows in pellets.iloc[known].groupby(Column.FORMULA).indices.values():
        group = pellets.iloc[known[rows]]
        value = values.to_numpy(dtype=np.float64)[known[rows]]
        source = group[Column.SOURCE].to_numpy(dtype=object)
        first, second = (grid.ravel() for grid in np.indices((len(group), len(group))))
        is_pair = _is_comparable(group, first, second, sintered_within_c).reshape(len(group), len(group))
        for row, others in zip(known[rows], is_pair, strict=True):
            if others.any():
                results[row] = np.median(pd.Series(value[others]).groupby(source[others]).median())
    return pd.Series(results, index=pellets.index)
