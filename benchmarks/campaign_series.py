"""Series of retrospective campaigns: the recipes of one source, with out-of-fold predictions.

The covariance of the errors is fitted to the sources of the other folds, as in protocol P8. Pellets of one source
with the same stated recipe are one candidate, with the mean of their values.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.baselines import element_amounts
from nasicon_ml.arrays import Floats, Ints, Strings
from nasicon_ml.columns import RECIPE, Column, Kind
from nasicon_ml.estimators.own_pellets import OutOfFoldErrors, OwnKernel, fit_own_kernel
from nasicon_ml.estimators.targets import TARGETS, TargetName
from nasicon_ml.evaluation.cross_validation import grouped_splits, near_room_temperature, out_of_fold_errors

#: Least number of different recipes of a series.
FEWEST_RECIPES = 5
TARGETS_ASKED = (TargetName.CONDUCTIVITY, TargetName.RELATIVE_DENSITY)
NOT_GIVEN = "not given"


@dataclass(frozen=True)
class Series:
    """The candidates of one source, n recipes.

    Attributes
    ----------
    target, source
        The measured target, and the source.
    recipes
        Columns `nasicon_ml.columns.RECIPE`, n rows.
    errors, kernels
        Measured and predicted values and the covariance of errors, one per repeat, for the same recipes.
    """

    target: TargetName
    source: str
    recipes: pd.DataFrame
    errors: tuple[OutOfFoldErrors, ...]
    kernels: tuple[OwnKernel, ...]

    def __len__(self) -> int:
        return len(self.recipes)

    @property
    def values(self) -> Floats:
        """Measured values in decades or per cent of density, shape (n,)."""
        return np.asarray(TARGETS[self.target].inverse(self.errors[0].measured), dtype=np.float64)

    @cached_property
    def fields(self) -> pd.DataFrame:
        """Inputs of the baselines: amounts of elements, numbers and choices that differ among the recipes.

        Missing numbers are replaced by the median, with an additional column for whether a number is stated.
        """
        elements = element_amounts(self.recipes)
        table: dict[str, Any] = {f"amount {at}": elements[:, at] for at in range(elements.shape[1])}
        words: dict[str, pd.Series[str]] = {}
        for field in RECIPE[1:]:
            column = self.recipes[field]
            if column.isna().all():
                continue
            if field.kind is Kind.NUMBER:
                number = column.astype(np.float64)
                table[str(field)] = np.asarray(number.fillna(number.median()), dtype=np.float64)
                words[f"{field} stated"] = number.notna().astype(str)
            else:
                words[str(field)] = column.astype("object").where(column.notna(), NOT_GIVEN).astype(str)
        found = pd.DataFrame(table | words)
        return found.loc[:, (found != found.iloc[0]).any()]

    def orders(self, count: int, seed: int = 0) -> list[Ints]:
        """Return random orders of the recipes, which are the same for every method."""
        random = np.random.default_rng([seed, *self.source.encode()])
        return [random.permutation(len(self)) for _ in range(count)]


def find_series(out_of_fold: pd.DataFrame, pellets: pd.DataFrame, *, seed: int = 0) -> Iterator[Series]:
    """Yield the series of lithium sources with enough recipes.

    Parameters
    ----------
    out_of_fold, pellets
        As a bundle keeps them.
    seed
        Seed of the fits of the covariance.
    """
    for name in TARGETS_ASKED:
        rows = out_of_fold[out_of_fold["target"] == str(name)]
        found: dict[str, list[tuple[pd.DataFrame, OutOfFoldErrors, OwnKernel]]] = {}
        for _, frame in rows.groupby("repeat", sort=True):
            for source, part in _series_of_repeat(name, frame[near_room_temperature(name, frame)], pellets, seed):
                found.setdefault(source, []).append(part)
        for source in sorted(found):
            recipes, errors, kernels = zip(*found[source], strict=True)
            yield Series(name, source, recipes[0], errors, kernels)


def _series_of_repeat(
    name: TargetName, frame: pd.DataFrame, pellets: pd.DataFrame, seed: int
) -> Iterator[tuple[str, tuple[pd.DataFrame, OutOfFoldErrors, OwnKernel]]]:
    frame = frame.sort_values(Column.PELLET_ID).reset_index(drop=True)
    errors = out_of_fold_errors(name, frame, pellets)
    columns = [str(column) for column in RECIPE]
    recipes = pellets.set_index(Column.PELLET_ID).loc[frame[Column.PELLET_ID], columns].reset_index(drop=True)
    lithium = frame[Column.SYSTEM].str.startswith("L").to_numpy(dtype=bool)
    candidates = dict(_candidates(recipes[lithium], errors.sources[lithium]))
    for others, test in grouped_splits(errors.sources, frame["fold"].to_numpy()):
        here = {source: groups for source, groups in candidates.items() if test[groups[0][0]]}
        if not here:
            continue
        kernel = fit_own_kernel(errors.take(others), seed=seed)
        for source, groups in here.items():
            first = np.array([group[0] for group in groups])
            measured = np.array([errors.measured[group].mean() for group in groups])
            part = errors.take(first)
            part = OutOfFoldErrors(name, measured, part.predicted, part.half, part.sources, part.space)
            yield source, (recipes.loc[first].reset_index(drop=True), part, kernel)


def _candidates(recipes: pd.DataFrame, sources: Strings) -> Iterator[tuple[str, list[Ints]]]:
    """Yield sources with enough recipes, with the rows of the pellets of each recipe."""
    for source, part in recipes.groupby(sources.astype(str), sort=True):
        groups = part.groupby(list(part.columns), dropna=False, sort=False).groups
        if len(groups) >= FEWEST_RECIPES:
            yield str(source), [np.asarray(rows, dtype=np.intp) for rows in groups.values()]
