"""What pellets of several recipes may come to together, after a laboratory's own: means, covariances, draws."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import cholesky
from scipy.stats import norm

from nasicon_ml.campaigns.goal import Outcomes
from nasicon_ml.columns import ROOM_TEMPERATURE_C, Column
from nasicon_ml.errors import BundleError
from nasicon_ml.estimators.joint import Points, error_covariance
from nasicon_ml.estimators.log_odds import attenuation, bounded_log_odds
from nasicon_ml.estimators.own_pellets import Known, OwnKernel
from nasicon_ml.estimators.targets import ANSWERS, TARGETS, TargetName, on_learned_scale
from nasicon_ml.features.distances import recipe_space
from nasicon_ml.model import Answers, PropertyModel

Floats = NDArray[np.float64]

#: Level of the intervals from whose width the spread of each answer is taken.
_LEVEL = 0.9
_JITTER = 1e-6
#: How far a laboratory may contradict predicted differences, `nasicon_ml.estimators.own_pellets.Known.slope`.
#: For the out-of-fold errors of the sources of the dataset the marginal likelihood is highest at 0.4 to 0.5 for
#: conductivity and at 0 for density. It keeps a campaign from being led by a model that is wrong about its
#: laboratory (docs/campaigns.md#does-it-help); predictions hardly change with it, and do without.
SLOPES = {TargetName.CONDUCTIVITY: 0.4}


@dataclass(frozen=True)
class Normal:
    """One property of n recipes, on the scale the model learns (log-odds of purity).

    Attributes
    ----------
    mean
        Shape (n,).
    shared
        Covariance of what a recipe comes to however often it is made, shape (n, n).
    alone
        Variance of a pellet beside its recipe, shape (n,).
    """

    mean: Floats
    shared: Floats
    alone: Floats

    def draws(self, count: int, random: np.random.Generator) -> Floats:
        """Draw what the recipes come to; shape (count, n)."""
        jitter = _JITTER * float(np.mean(np.diagonal(self.shared)) + _JITTER)
        factor = cholesky(self.shared + jitter * np.eye(len(self.mean)), lower=True)
        return np.asarray(self.mean + random.standard_normal((count, len(self.mean))) @ factor.T)

    def correlation(self, row: int) -> Floats:
        """Return the correlation of every recipe with one of them, shape (n,)."""
        deviation = np.sqrt(np.maximum(np.diagonal(self.shared), _JITTER**2))
        return np.asarray(self.shared[row] / deviation / deviation[row])

    def settled(self) -> Floats:
        """Return how much variance of all recipes together a pellet of each would take away, shape (n,)."""
        own = np.diagonal(self.shared) + self.alone + _JITTER**2
        return np.asarray((self.shared**2).sum(axis=0) / own)

    def after(self, row: int) -> Normal:
        """Return what is left open once a pellet of one recipe is measured; means stay."""
        column = self.shared[:, row]
        told = np.outer(column, column) / (self.shared[row, row] + self.alone[row] + _JITTER**2)
        return Normal(self.mean, self.shared - told, self.alone)


@dataclass(frozen=True)
class Posterior:
    """What n recipes may come to in one laboratory.

    Attributes
    ----------
    recipes
        Columns `nasicon_ml.columns.MODEL_INPUT`, n rows.
    answers
        What the model answers without own pellets, but for the phase purity, which takes them into account.
    properties
        Conductivity, density and phase purity.
    """

    recipes: pd.DataFrame
    answers: Answers
    properties: Mapping[TargetName, Normal]

    @property
    def conductivity(self) -> Normal:
        """Of the conductivity at 25 °C, in decades."""
        return self.properties[TargetName.CONDUCTIVITY]

    def draws(self, count: int, random: np.random.Generator, needed: Collection[TargetName] = ANSWERS) -> Outcomes:
        """Draw what the recipes come to, however often each is made.

        Parameters
        ----------
        count
            How many draws.
        random
            Where they come from.
        needed
            Properties to draw; the others are as the model expects them.

        Returns
        -------
        Outcomes
            Arrays of shape (count, n).
        """
        drawn = {
            name: normal.draws(count, random)
            if name in needed
            else np.broadcast_to(normal.mean, (count, len(normal.mean)))
            for name, normal in self.properties.items()
        }
        purity = 0.5 * (1.0 + np.tanh(drawn[TargetName.PHASE_PURITY] / 2.0))
        density = TARGETS[TargetName.RELATIVE_DENSITY].inverse(drawn[TargetName.RELATIVE_DENSITY])
        return Outcomes(drawn[TargetName.CONDUCTIVITY], density, purity, self._fired_c)

    def single_pellets(self, recipes: Outcomes, random: np.random.Generator) -> Outcomes:
        """Return what one pellet of each drawn recipe comes to: it scatters about its recipe."""
        density = TARGETS[TargetName.RELATIVE_DENSITY]
        scatter = {
            name: random.standard_normal(recipes.purity.shape) * np.sqrt(self.properties[name].alone)
            for name in (TargetName.CONDUCTIVITY, TargetName.RELATIVE_DENSITY)
        }
        return replace(
            recipes,
            log10_conductivity=recipes.log10_conductivity + scatter[TargetName.CONDUCTIVITY],
            density_pct=density.inverse(
                density.forward(recipes.density_pct) + scatter[TargetName.RELATIVE_DENSITY]
            ),
        )

    def expected(self) -> Outcomes:
        """Return what is expected of the recipes, as outcomes of shape (n,)."""
        density = self.properties[TargetName.RELATIVE_DENSITY].mean
        return Outcomes(
            self.conductivity.mean,
            TARGETS[TargetName.RELATIVE_DENSITY].inverse(density),
            self.answers.numbers[Column.PREDICTED_PHASE_PURITY],
            self._fired_c,
        )

    @property
    def _fired_c(self) -> Floats:
        return self.recipes[Column.SINTERING_TEMPERATURE_C].to_numpy(dtype=np.float64)


def posterior(model: PropertyModel, recipes: pd.DataFrame, own: pd.DataFrame | None = None) -> Posterior:
    """Return what pellets of some recipes may come to together.

    Parameters
    ----------
    model
        Who answers.
    recipes
        Columns `nasicon_ml.columns.MODEL_INPUT`, n rows; conductivity is that at 25 °C.
    own
        Measured pellets of the laboratory, as `nasicon_ml.data.own_pellets.own_pellets` reads them.

    Raises
    ------
    BundleError
        If the model does not know how errors on pellets of one laboratory go together.

    Notes
    -----
    The covariance is that of own pellets (`nasicon_ml.estimators.own_pellets`), scaled so that every recipe keeps
    the width of its own interval.
    """
    if not model.own:
        raise BundleError(
            "this model cannot recommend pellets: the version that trained it did not estimate how errors on"
            " pellets of one laboratory go together; train again with this one"
        )
    recipes = recipes.assign(**{Column.MEASUREMENT_TEMPERATURE_C.value: ROOM_TEMPERATURE_C})
    answers = model.answer(recipes, level=_LEVEL)
    known, learned, space = model.known(own), model.learned(recipes), recipe_space(recipes)
    found = {}
    for name in ANSWERS:
        kernel, points = model.own[name], Points.of(name, space, learned[name])
        if TARGETS[name].is_probability:
            purity = learned[name]
            if name in known:
                purity = known[name].probability(space, purity)
            shared = _shared(name, kernel, points, known.get(name))
            mean = attenuation(np.maximum(np.diagonal(shared), _JITTER)) * bounded_log_odds(purity)
            found[name] = Normal(mean, shared, np.full(len(recipes), kernel.noise**2))
            answers = replace(answers, numbers={**answers.numbers, Column.PREDICTED_PHASE_PURITY: purity})
        else:
            found[name] = normal_after(
                name, kernel, points, on_learned_scale(name, answers.numbers), known.get(name)
            )
    return Posterior(recipes, answers, found)


def normal_after(
    name: TargetName,
    kernel: OwnKernel,
    points: Points,
    interval: tuple[Floats, Floats],
    known: Known | None = None,
) -> Normal:
    """Return what n recipes may come to together; conductivity or density.

    Parameters
    ----------
    name, kernel
        Which answer, and how its errors go together.
    points
        The recipes.
    interval
        Middle and half-width at 90 % of what one pellet of each comes to, on the scale the model learns, without
        own pellets; shape (n,) each. The covariance is scaled so that every recipe keeps its width.
    known
        Measured pellets of the laboratory.
    """
    mean, half = interval
    if known is not None:
        known = replace(known, slope=SLOPES.get(name, 0.0))
        change = known.conditioned(points.space, points.predicted)
        mean, half = mean + change.shift, half * change.width
    shared = _shared(name, kernel, points, known)
    variance = np.maximum(np.diagonal(shared), _JITTER)
    scale = half / norm.ppf((1.0 + _LEVEL) / 2.0) / np.sqrt(variance + kernel.noise**2)
    return Normal(mean, shared * np.outer(scale, scale), (kernel.noise * scale) ** 2)


def _shared(name: TargetName, kernel: OwnKernel, points: Points, known: Known | None) -> Floats:
    shared = error_covariance(name, kernel, points, points, known)
    return np.asarray((shared + shared.T) / 2.0)
