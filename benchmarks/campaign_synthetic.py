"""Simulated campaigns in synthetic laboratories with a known best recipe, for a right, no, or wrong prior.

The true conductivity of LATP is a smooth function of composition and firing, drawn for every laboratory: a
quadratic function around a best recipe, plus an effect of the atmosphere. Pellets scatter like those of the
dataset after source and recipe are accounted for. The prior is the truth with errors like those of the model on
unseen sources, a constant, or the first with reversed sign.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd

from benchmarks.campaign_runs import model_choice
from nasicon_ml.arrays import Floats
from nasicon_ml.columns import Column
from nasicon_ml.estimators.joint import RecipePoints, error_covariance
from nasicon_ml.estimators.own_pellets import OutOfFoldErrors, OwnKernel
from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.features.distances import RecipeSpace, recipe_space
from nasicon_ml.recipe.batch import recipe_table
from nasicon_ml.recipe.recipe import Recipe

RIGHT, NONE, REVERSED = "as good as ours", "none", "sign reversed"
#: Aim: most pellets with the reversed prior, relative to no prior.
MOST_COST = 1.3
#: Distance from the best recipe at which one decade is lost.
WIDTHS = {"x": 0.25, "temperature_c": 150.0}
#: Loss in the wrong atmosphere, decades.
ATMOSPHERE = 0.4
#: Largest regret in decades that counts as the best, and largest number of pellets of a laboratory.
NEAR, MOST = 0.1, 40
_LEVEL_90 = 1.6449


def candidates() -> pd.DataFrame:
    """Return the recipes of a synthetic laboratory: LATP by aluminium, firing temperature and atmosphere."""
    grid = product((0.1, 0.2, 0.3, 0.4, 0.5), (750.0, 800.0, 850.0, 900.0, 950.0, 1000.0), ("air", "Ar"))
    return recipe_table(
        Recipe(
            formula=f"Li{1 + x:.1f}Al{x:.1f}Ti{2 - x:.1f}(PO4)3",
            sintering_temperature_c=temperature, sintering_time_h=6.0, atmosphere=gas,
        )
        for x, temperature, gas in grid
    )  # fmt: skip


def draw_truth(recipes: pd.DataFrame, random: np.random.Generator) -> Floats:
    """Draw the true values of the recipes in one laboratory, in decades; 0 is the best."""
    x = recipes[Column.FORMULA].str.extract(r"Al([\d.]+)")[0].astype(float).to_numpy()
    temperature = recipes[Column.SINTERING_TEMPERATURE_C].to_numpy(dtype=np.float64)
    gas = recipes[Column.ATMOSPHERE].to_numpy()
    best = int(random.integers(len(recipes)))
    lost = ((x - x[best]) / WIDTHS["x"]) ** 2 + ((temperature - temperature[best]) / WIDTHS["temperature_c"]) ** 2
    return np.asarray(-lost - ATMOSPHERE * (gas != gas[best]))


def priors(truth: Floats, space: RecipeSpace, kernel: OwnKernel, random: np.random.Generator) -> dict[str, Floats]:
    """Return the priors of the recipes in decades, by kind."""
    points = RecipePoints(space, truth)
    covariance = error_covariance(TargetName.CONDUCTIVITY, kernel, points, points)
    errors = random.multivariate_normal(np.zeros(len(truth)), covariance)
    right = truth - errors
    return {
        RIGHT: right,
        NONE: np.full(len(truth), right.mean()),
        REVERSED: 2.0 * right.mean() - right,
    }


def simulate_campaigns(
    kernel: OwnKernel, laboratories: int, *, seed: int = 0, kinds: tuple[str, ...] = (RIGHT, NONE, REVERSED)
) -> pd.DataFrame:
    """Simulate campaigns for the best recipe of synthetic laboratories.

    Parameters
    ----------
    kernel
        Covariance of errors on conductivity, from a model.
    laboratories
        Number of laboratories; each begins with the same random pellet for every prior.
    seed, kinds
        Seed of the draws; kinds of priors.

    Returns
    -------
    pandas.DataFrame
        One row per laboratory and prior: number of pellets until one has a recipe within `NEAR` of the best, at
        most `MOST`, and whether such a recipe was `found`.
    """
    recipes = candidates()
    space = recipe_space(recipes)
    rows = []
    for laboratory in range(laboratories):
        random = np.random.default_rng([seed, laboratory])
        truth = draw_truth(recipes, random)
        measured = truth + kernel.noise * random.standard_normal(len(truth))
        first = int(random.integers(len(truth)))
        prior_values = priors(truth, space, kernel, random)
        half = np.full(len(truth), _LEVEL_90 * np.sqrt(kernel.variance + kernel.noise**2))
        sources = np.full(len(truth), "made up", dtype=object)
        for kind in kinds:
            errors = OutOfFoldErrors(TargetName.CONDUCTIVITY, measured, prior_values[kind], half, sources, space)
            pick, made = model_choice(errors, kernel), [first]
            while truth[made].max() < truth.max() - NEAR and len(made) < MOST:
                made.append(pick(tuple(sorted(made))))
            found = bool(truth[made].max() >= truth.max() - NEAR)
            rows.append({"laboratory": laboratory, "prior": kind, "pellets": len(made), "found": found})
    return pd.DataFrame(rows)
