"""Series: pellets of one source, among which a user would choose; is their order right, and what does it cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.columns import RECIPE, Column

Floats = NDArray[np.float64]

#: Fewer different recipes are a pair and no series.
FEWEST_RECIPES = 3


def kendall_tau(measured: Floats, predicted: Floats) -> float:
    """Kendall's tau-b of two rankings of the same recipes, shape (n,) each: 1 is the same order, -1 the reverse.

    A prediction that is the same for all ranks nothing, which is worth 0. Where all measured values are equal
    there is no order to find: NaN. (Kendall, 10.1093/biomet/33.3.239)
    """
    from scipy.stats import kendalltau

    if np.ptp(measured) == 0:
        return float("nan")
    if np.ptp(predicted) == 0:
        return 0.0
    return float(kendalltau(measured, predicted, variant="b").statistic)


def regret(measured: Floats, predicted: Floats) -> float:
    """Return what is lost by making the recipe ranked first instead of the best one, in the unit of `measured`.

    Recipes that share the first place are chosen with equal chance.
    """
    chosen = predicted >= predicted.max()
    return float(max(measured.max() - measured[chosen].mean(), 0.0))


def regret_of_chance(measured: Floats) -> float:
    """Return what is lost on average by choosing blindly."""
    return regret(measured, np.zeros(len(measured)))


def recipes_of_series(pellets: pd.DataFrame, values: Sequence[str]) -> pd.DataFrame:
    """Join pellets of one source and one recipe, and keep the sources that are series.

    Pellets that differ in nothing the dataset states cannot be told apart by any model: they count as one, with
    the median of their values.

    Parameters
    ----------
    pellets
        Recipe columns, source, and the columns named by `values`.
    values
        Columns to take the median of.

    Returns
    -------
    pandas.DataFrame
        Source, and `values`; sources with at least `FEWEST_RECIPES` different recipes and two different values
        in the first column of `values`.
    """
    keys = [str(Column.SOURCE), *(str(column) for column in RECIPE)]
    joined = pellets.groupby(keys, dropna=False, sort=True)[list(values)].median().reset_index()
    of_source = joined.groupby(Column.SOURCE)[values[0]]
    kept = (of_source.transform("size") >= FEWEST_RECIPES) & (of_source.transform("nunique") > 1)
    return joined.loc[kept, [str(Column.SOURCE), *values]].reset_index(drop=True)


def series_scores(recipes: pd.DataFrame, measured: str, predicted: str) -> pd.DataFrame:
    """Score a prediction series by series.

    Parameters
    ----------
    recipes
        As from `recipes_of_series`.
    measured, predicted
        Names of the columns.

    Returns
    -------
    pandas.DataFrame
        Index: source. Columns: tau, regret, chance (regret of a blind choice), pairs.
    """
    scores = {
        source: {
            "tau": kendall_tau(group[measured].to_numpy(float), group[predicted].to_numpy(float)),
            "regret": regret(group[measured].to_numpy(float), group[predicted].to_numpy(float)),
            "chance": regret_of_chance(group[measured].to_numpy(float)),
            "pairs": len(group) * (len(group) - 1) / 2,
        }
        for source, group in recipes.groupby(Column.SOURCE)
    }
    return pd.DataFrame.from_dict(scores, orient="index", columns=["tau", "regret", "chance", "pairs"])
