"""Campaigns on made-up laboratories, whose best recipe is known, with priors that are right, none, or wrong.

The truth is a smooth function over composition and firing of LATP, drawn anew for every laboratory: a bowl in
decades about a best recipe, and an atmosphere that suits. Its pellets scatter as pellets of the dataset do
beside what their source and recipe explain. The prior is what a model might say: the
truth with errors like those of ours on sources it never saw; nothing (all recipes alike); or the first with
its sign reversed.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.campaign_runs import model_choice
from nasicon_ml.columns import Column
from nasicon_ml.estimators.joint import RecipePoints, error_covariance
from nasicon_ml.estimators.own_pellets import OutOfFoldErrors, OwnKernel
from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.features.distances import RecipeSpace, recipe_space
from nasicon_ml.recipe.batch import recipe_table
from nasicon_ml.recipe.recipe import Recipe

Floats = NDArray[np.float64]

RIGHT, NONE, REVERSED = "as good as ours", "none", "sign reversed"
#: Of a sign reversed, at most so many times the pellets that none takes.
MOST_COST = 1.3
#: How far from the best recipe, in steps of the width of the bowl, a decade is lost.
WIDTHS = {"x": 0.25, "temperature_c": 150.0}
#: What the wrong atmosphere costs, decades.
ATMOSPHERE = 0.4
#: As good as the best, decades; a laboratory that has not found it after so many pellets is stopped.
NEAR, MOST = 0.1, 40
_LEVEL_90 = 1.6449


def candidates() -> pd.DataFrame:
    """Return the recipes of a made-up laboratory: LATP by aluminium, firing temperature and atmosphere."""
    grid = product((0.1, 0.2, 0.3, 0.4, 0.5), (750.0, 800.0, 850.0, 900.0, 950.0, 1000.0), ("air", "Ar"))
    return recipe_table(
        Recipe(
            formula=f"Li{1 + x:.1f}Al{x:.1f}Ti{2 - x:.1f}(PO4)3",
            sintering_temperature_c=temperature, sintering_time_h=6.0, atmosphere=gas,
        )
        for x, temperature, gas in grid
    )  # fmt: skip


def draw_truth(recipes: pd.DataFrame, random: np.random.Generator) -> Floats:
    """Draw what the recipes come to in one laboratory, decades; 0 is the best."""
    x = recipes[Column.FORMULA].str.extract(r"Al([\d.]+)")[0].astype(float).to_numpy()
    temperature = recipes[Column.SINTERING_TEMPERATURE_C].to_numpy(dtype=np.float64)
    gas = recipes[Column.ATMOSPHERE].to_numpy()
    best = int(random.integers(len(recipes)))
    lost = ((x - x[best]) / WIDTHS["x"]) ** 2 + ((temperature - temperature[best]) / WIDTHS["temperature_c"]) ** 2
    return np.asarray(-lost - ATMOSPHERE * (gas != gas[best]))


def priors(truth: Floats, space: RecipeSpace, kernel: OwnKernel, random: np.random.Generator) -> dict[str, Floats]:
    """Return what is thought of the recipes before the first pellet, decades."""
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
    """Let campaigns look for the best recipe of made-up laboratories.

    Parameters
    ----------
    kernel
        How errors on conductivity go together, as a model holds it.
    laboratories
        How many; each begins with the same random pellet whatever the prior.
    seed, kinds
        Of the draws; priors to try.

    Returns
    -------
    pandas.DataFrame
        One row a laboratory and prior: how many pellets were made until one is of a recipe within `NEAR` of the
        best, `MOST` where it was not, and whether it was `found`.
    """
    recipes = candidates()
    space = recipe_space(recipes)
    rows = []
    for laboratory in range(laboratories):
        random = np.random.default_rng([seed, laboratory])
        truth = draw_truth(recipes, random)
        measured = truth + kernel.noise * random.standard_normal(len(truth))
        first = int(random.integers(len(truth)))
        thought = priors(truth, space, kernel, random)
        half = np.full(len(truth), _LEVEL_90 * np.sqrt(kernel.variance + kernel.noise**2))
        sources = np.full(len(truth), "made up", dtype=object)
        for kind in kinds:
            errors = OutOfFoldErrors(TargetName.CONDUCTIVITY, measured, thought[kind], half, sources, space)
            pick, made = model_choice(errors, kernel), [first]
            while truth[made].max() < truth.max() - NEAR and len(made) < MOST:
                made.append(pick(tuple(sorted(made))))
            found = bool(truth[made].max() >= truth.max() - NEAR)
            rows.append({"laboratory": laboratory, "prior": kind, "pellets": len(made), "found": found})
    return pd.DataFrame(rows)
