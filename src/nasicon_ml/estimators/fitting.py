"""Fits the trees of one target, boosted and extremely randomised, whose average is better than either.

The randomised ones are scikit-learn's, grown on what a recipe states and little else; both become plain arrays of
trees (`nasicon_ml.trees`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.arrays import Floats, Ints, Mask
from nasicon_ml.columns import ROOM_TEMPERATURE_C, Column
from nasicon_ml.composition import OccupancyTable, occupancies
from nasicon_ml.errors import DatasetError
from nasicon_ml.estimators.boosting import BoosterSettings, TrainingMatrix, as_booster, fit_booster, raw_prediction
from nasicon_ml.estimators.priors import Prior, fit_prior, terms_of
from nasicon_ml.estimators.targets import (
    TARGETS,
    TargetName,
    TrainingRows,
    measurement_temperature,
    shift_log10_conductivity,
)
from nasicon_ml.features.build import M_CATIONS, FeatureMatrix, FeatureSet, build_features, perturbed_features
from nasicon_ml.trees.arrays import LEAF, TreeArrays
from nasicon_ml.trees.ensemble import TreeEnsemble
from nasicon_ml.trees.prediction import PairedRecipes

if TYPE_CHECKING:
    import xgboost

    from nasicon_ml.estimators.boosting import Trees


FOREST_TREES = 100
#: A tree of so many levels is evaluated from tables (see `nasicon_ml.trees.prediction`); deeper ones walk: slow.
DEEPEST = 10
#: What the forest sees: amounts, the recipe as given, and a few numbers of the chemistry. With all features, half
#: of them statistics of the composition, its trees are worse (docs/what-we-tried.md).
_COMPUTED = frozenset(
    ("a_lithium", "a_sodium", "x", "t_silicon", "m_total", "m_other", "alkali_excess", "charge_imbalance",
     "m_radius_deviation_angstrom", *(f"m_{cation}" for cation in M_CATIONS), "overfired_c", "underfired_c",
     "mixing_quality", "lithia_loss_c_log_h", "reduction_drive")
)  # fmt: skip
_GIVEN = ("given_", "additive_", "log10_green", "synthesis_route=", "densification=", "atmosphere=")


def seen(feature_names: Sequence[str]) -> Mask:
    """Return which features the forest sees, shape (n_features,)."""
    return np.array([name in _COMPUTED or name.startswith(_GIVEN) for name in feature_names])


def fit_forest(rows: TrainingMatrix, *, share: float, seed: int) -> TreeEnsemble:
    """Fit a forest of outcomes 0 and 1.

    Parameters
    ----------
    rows
        What to learn from; y is 0 or 1.
    share
        Weight of the forest in the average with other trees.
    seed
        Same data, seed and versions give the same trees.

    Returns
    -------
    TreeEnsemble
        Its sum is `share` times the log-odds, to first order about the base rate b of a found share p:
        log(b / (1 - b)) + (p - b) / (b (1 - b)).
    """
    from sklearn.ensemble import ExtraTreesClassifier

    chosen = np.flatnonzero(seen(rows.feature_names))
    if not len(chosen):  # features of the caller's own
        chosen = np.arange(len(rows.feature_names))
    forest = ExtraTreesClassifier(FOREST_TREES, max_depth=DEEPEST, random_state=seed, n_jobs=1)
    forest.fit(rows.X[:, chosen], rows.y.astype(np.int64), sample_weight=rows.weight)
    base = float((rows.y.sum() + 0.5) / (len(rows.y) + 1.0))
    scale = share / (base * (1.0 - base)) / FOREST_TREES
    pure = list(forest.classes_).index(1) if 1 in forest.classes_ else None
    trees = [_nodes(tree.tree_, chosen, pure, base, scale) for tree in forest.estimators_]
    columns = {name: np.concatenate([tree[name] for tree in trees]) for name in trees[0]}
    arrays = TreeArrays(
        n_features=rows.X.shape[1],
        trees_per_round=1,
        base_score=float(np.float32(share * np.log(base / (1.0 - base)))),
        tree_sizes=np.array([len(tree["value"]) for tree in trees], dtype=np.int32),
        **columns,
    )
    arrays.check(rows.X.shape[1])
    return TreeEnsemble(arrays)


def _nodes(tree: Any, chosen: Ints, pure: int | None, base: float, scale: float) -> dict[str, Any]:
    """Return the nodes of a tree in the order of `TreeArrays`: level by level, children side by side."""
    order = np.array([0])
    level = order
    while len(level := level[tree.children_left[level] != LEAF]):
        level = np.column_stack([tree.children_left[level], tree.children_right[level]]).ravel()
        order = np.concatenate([order, level])
    place = np.empty(tree.node_count, dtype=np.int32)
    place[order] = np.arange(tree.node_count)
    left = tree.children_left[order]
    is_leaf = left == LEAF
    share = tree.value[order, 0, pure] if pure is not None else np.zeros(len(order))
    value = np.where(is_leaf, scale * (share - base), _next_above(tree.threshold[order]))
    gain = np.where(is_leaf, 0.0, tree.impurity[order] * tree.weighted_n_node_samples[order])
    return {
        "left_child": np.where(is_leaf, LEAF, place[left]).astype(np.int32),
        "feature": np.where(is_leaf, 0, chosen[np.where(is_leaf, 0, tree.feature[order])]).astype(np.int16),
        "value": value.astype(np.float32),
        "default_left": np.where(is_leaf, 0, tree.missing_go_to_left[order]).astype(np.uint8),
        "cover": tree.weighted_n_node_samples[order].astype(np.float32),
        "gain": gain.astype(np.float32),
    }


def _next_above(thresholds: Floats) -> NDArray[np.float32]:
    """Return the smallest single-precision number above each: ``x <= threshold`` is ``x <`` that."""
    single = thresholds.astype(np.float32)
    return np.where(single > thresholds, single, np.nextafter(single, np.float32(np.inf)))


@dataclass(frozen=True)
class FitContext:
    """What every fit shares.

    Attributes
    ----------
    pellets
        The whole pellet table, n rows.
    features
        Features of every pellet, n rows.
    settings
        Booster settings by target.
    seed
        Of XGBoost.
    threads
        How many folds are fitted side by side, each booster on one thread; they change no number.
    nearby
        Features of every pellet had it been fired a little hotter or colder
        (`nasicon_ml.features.build.perturbed_features`), from which trees with a `temperature_spread_c` learn;
        none where they cannot.
    """

    pellets: pd.DataFrame
    features: FeatureMatrix
    settings: dict[TargetName, BoosterSettings]
    seed: int
    threads: int
    nearby: tuple[Floats, ...] = ()


def recipe_context(
    pellets: pd.DataFrame,
    settings: dict[TargetName, BoosterSettings],
    *,
    feature_set: FeatureSet | str = FeatureSet.FULL,
    sites: OccupancyTable | None = None,
    seed: int,
    threads: int,
) -> FitContext:
    """Return the context of fits to recipes, with firings nearby where the settings ask for them.

    Parameters
    ----------
    pellets
        The whole pellet table, n rows.
    settings, seed, threads
        As in `FitContext`.
    feature_set
        Which features.
    sites
        The table's occupancies, if the caller has them already.
    """
    sites = occupancies(pellets[Column.FORMULA].to_list()) if sites is None else sites
    features = build_features(pellets, feature_set, sites=sites)
    spread_c = max(one.temperature_spread_c for one in settings.values())
    nearby: tuple[Floats, ...] = ()
    if spread_c and FeatureSet(feature_set) is FeatureSet.FULL:
        nearby = perturbed_features(pellets, sites, spread_c=spread_c, seed=seed)
    return FitContext(pellets, features, settings, seed, threads, nearby)


@dataclass(frozen=True)
class FittedTarget:
    """What was fitted to one target.

    Attributes
    ----------
    name
        Which one.
    booster
        The boosted trees.
    energy
        Trees of the activation energy, which conductivity brings along.
    prior
        The terms that stand beside the trees, weighed as they are added.
    booster_share
        What the boosted trees' answer is multiplied by.
    forest
        Trees that are added to the boosted ones, weighed as they are added.
    """

    name: TargetName
    booster: Trees
    energy: Trees | None = None
    prior: Prior | None = None
    booster_share: float = 1.0
    forest: TreeEnsemble | None = None

    def ensemble(self, n_features: int) -> TreeEnsemble:
        """Return all trees as one, as a bundle holds them."""
        boosted = TreeEnsemble.from_xgboost(as_booster(self.booster), n_features).scaled(self.booster_share)
        return boosted if self.forest is None else boosted.joined(self.forest)

    def raw(self, features: Floats | PairedRecipes) -> Floats:
        """Return what trees answer, shape (n,), without the prior."""
        boosted = self.booster_share * raw_prediction(self.booster, features)
        return boosted if self.forest is None else boosted + raw_prediction(self.forest, features)

    def learned(self, features: Floats | PairedRecipes) -> Floats:
        """Predict on the scale the model learns: log10(S/cm) at 25 °C, log10 porosity, log-odds or eV."""
        raw = self.raw(features)
        if self.prior is None:
            return raw
        if isinstance(features, PairedRecipes):
            return self.prior.start([features.column(at) for at in self.prior.columns]) + raw
        return self.prior.margin(features) + raw

    def reported(
        self, features: Floats | PairedRecipes, temperature_c: Floats, energy_ev: Floats | None = None
    ) -> Floats:
        """Predict on the scale of reports; conductivity at the temperatures given, shape (n,).

        `energy_ev` are the recipes' activation energies, shape (n,), where the caller has them already.
        """
        learned = self.learned(features)
        if self.energy is not None:
            energy = raw_prediction(self.energy, features) if energy_ev is None else energy_ev
            learned = shift_log10_conductivity(learned, energy, ROOM_TEMPERATURE_C, temperature_c)
        return TARGETS[self.name].inverse(learned)


def fit_target(context: FitContext, name: TargetName, rows: TrainingRows, chosen: Mask) -> FittedTarget:
    """Fit one target to some of its rows.

    Parameters
    ----------
    context
        Pellets, features and settings.
    name
        Which target.
    rows
        All usable rows of the target.
    chosen
        Which of `rows` to learn from, shape (len(rows.rows),).

    Raises
    ------
    DatasetError
        If conductivities were measured away from 25 °C and no pellet states an activation energy.

    Notes
    -----
    Conductivities measured at other temperatures are carried to 25 °C with the pellet's own activation energy
    where it was measured, else with one predicted by trees that saw only the sources chosen here.
    """
    matrix, energy, prior = training_matrix(context, name, rows, chosen)
    settings = context.settings[name]
    forest, share = None, booster_share(prior, settings)
    if settings.forest_share:
        forest = fit_forest(matrix, share=settings.forest_share, seed=context.seed)
        share *= 1.0 - settings.forest_share
    if settings.temperature_spread_c:
        matrix = _fired_nearby(context, matrix, rows.rows[chosen])
    booster = fit_booster(matrix, settings, seed=context.seed)
    return FittedTarget(name, booster, energy, prior, share, forest)


def booster_share(prior: Prior | None, settings: BoosterSettings) -> float:
    """Return the weight of trees beside a prior: the two are averaged, unless the prior is all laws."""
    return 1.0 if prior is None or prior.is_law else 1.0 - settings.prior_share


def training_matrix(
    context: FitContext, name: TargetName, rows: TrainingRows, chosen: Mask
) -> tuple[TrainingMatrix, xgboost.Booster | None, Prior | None]:
    """Return what the trees of a target learn from, less the laws; with the trees of the energy, and the prior.

    Parameters, errors and notes as in `fit_target`.
    """
    at = rows.rows[chosen]
    y = rows.y[chosen]
    energy = None
    if name is TargetName.CONDUCTIVITY:
        energy = _fit_energy(context, at)
        y = y if energy is None else _at_room_temperature(context, at, y, energy)
    else:
        y = TARGETS[name].forward(y)
    matrix = _matrix(context, at, y, rows.weight[chosen])
    settings = context.settings[name]
    if not settings.prior_share or not terms_of(name, matrix.feature_names):
        return matrix, energy, None
    prior = fit_prior(name, matrix, settings)
    matrix = replace(matrix, y=matrix.y - prior.laws().margin(matrix.X))
    return matrix, energy, prior.averaged(settings.prior_share)


def _fired_nearby(context: FitContext, matrix: TrainingMatrix, at: Ints) -> TrainingMatrix:
    """Return the rows as often as the context holds them fired nearby, each a part of a row."""
    copies = len(context.nearby)
    if not copies:
        return matrix
    return TrainingMatrix(
        np.vstack([features[at] for features in context.nearby]),
        matrix.feature_names,
        np.tile(matrix.y, copies),
        np.tile(matrix.weight, copies),
        np.tile(matrix.sources, copies),
        copies,
    )


def _fit_energy(context: FitContext, rows: Ints) -> xgboost.Booster | None:
    """Fit the activation energy to all pellets of the rows' sources; None if there is none and no need."""
    sources = context.pellets.iloc[rows][Column.SOURCE].unique()
    measured = context.pellets[Column.ACTIVATION_ENERGY_EV].to_numpy(dtype=np.float64)
    allowed = context.pellets[Column.SOURCE].isin(sources).to_numpy()
    at = np.flatnonzero(np.isfinite(measured) & allowed)
    if len(at) == 0:
        if np.all(measurement_temperature(context.pellets.iloc[rows]) == ROOM_TEMPERATURE_C):
            return None
        raise DatasetError("no pellet to learn from states an activation energy, which conductivity needs")
    matrix = _matrix(context, at, measured[at], np.ones(len(at)))
    return fit_booster(matrix, context.settings[TargetName.ACTIVATION_ENERGY], seed=context.seed)


def _matrix(context: FitContext, at: Ints, y: Floats, weight: Floats) -> TrainingMatrix:
    sources = context.pellets[Column.SOURCE].to_numpy(dtype=object)[at]
    return TrainingMatrix(context.features.values[at], context.features.names, y, weight, sources)


def _at_room_temperature(context: FitContext, at: Ints, y: Floats, energy: xgboost.Booster) -> Floats:
    own = context.pellets[Column.ACTIVATION_ENERGY_EV].to_numpy(dtype=np.float64)[at]
    used = np.where(np.isnan(own), raw_prediction(energy, context.features.values[at]), own)
    start = measurement_temperature(context.pellets.iloc[at])
    return shift_log10_conductivity(y, used, start, ROOM_TEMPERATURE_C)
