"""Series of pellets of one source: correctness of their predicted order, and regret of following it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from nasicon_ml.arrays import Floats
from nasicon_ml.columns import RECIPE, Column

#: Least number of different recipes of a series.
FEWEST_RECIPES = 3


def kendall_tau(measured: Floats, predicted: Floats) -> float:
    """Return Kendall's tau-b of two rankings of the same recipes, shape (n,) each, from -1 to 1.

    It is 0 for constant predictions and NaN for constant measured values (Kendall, 10.1093/biomet/33.3.239).
    """
    from scipy.stats import kendalltau

    if np.ptp(measured) == 0:
        return float("nan")
    if np.ptp(predicted) == 0:
        return 0.0
    return float(kendalltau(measured, predicted, variant="b").statistic)


def regret(measured: Floats, predicted: Floats) -> float:
    """Return best value - value of the recipe ranked first, in the unit of `measured`.

    Recipes that share the first rank are chosen with equal probability.
    """
    chosen = predicted >= predicted.max()
    return float(max(measured.max() - measured[chosen].mean(), 0.0))


def regret_of_chance(measured: Floats) -> float:
    """Return the mean regret of a random choice."""
    return regret(measured, np.zeros(len(measured)))


def recipes_of_series(pellets: pd.DataFrame, values: Sequence[str]) -> pd.DataFrame:
    """Merge pellets of the same source and recipe, and keep the sources that are series.

    Pellets with the same stated recipe are indistinguishable to any model, so they are merged with the median of
    their values.

    Parameters
    ----------
    pellets
        Recipe columns, source, and the columns named by `values`.
    values
        Columns of which the median is computed.

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
    """Score the predictions of each series.

    Parameters
    ----------
    recipes
        As from `recipes_of_series`.
    measured, predicted
        Names of the columns.

    Returns
    -------
    pandas.DataFrame
        Index: source. Columns: tau, regret, chance (regret of a random choice), pairs.
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
