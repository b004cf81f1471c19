"""Fitting of one target: boosted trees, extremely randomised trees and the prior.

The extremely randomised trees are those of scikit-learn, fitted to the stated recipe and few computed features.
Averages of both kinds of trees predict better than either. Both are stored as
`nasicon_ml.trees.ensemble.TreeEnsemble`.
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
from nasicon_ml.estimators.priors import Prior, available_terms, fit_prior
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
#: Largest depth that is evaluated from tables (`nasicon_ml.trees.prediction`), which is faster.
FOREST_DEPTH = 10
#: Features of the forest: amounts, the recipe as stated, and a few chemical quantities. With all features, half of
#: which are statistics of the composition, the forest is worse (docs/what-we-tried.md).
_FOREST_FEATURES = frozenset(
    ("a_lithium", "a_sodium", "x", "t_silicon", "m_total", "m_other", "alkali_excess", "charge_imbalance",
     "m_radius_deviation_angstrom", *(f"m_{cation}" for cation in M_CATIONS), "overfired_c", "underfired_c",
     "mixing_quality", "lithia_loss_c_log_h", "reduction_drive")
)  # fmt: skip
_FOREST_PREFIXES = ("given_", "additive_", "log10_green", "synthesis_route=", "densification=", "atmosphere=")


def is_forest_feature(feature_names: Sequence[str]) -> Mask:
    """Return which features the forest uses, shape (n_features,)."""
    return np.array([name in _FOREST_FEATURES or name.startswith(_FOREST_PREFIXES) for name in feature_names])


def fit_forest(rows: TrainingMatrix, *, share: float, seed: int) -> TreeEnsemble:
    """Fit a forest of outcomes 0 and 1.

    Parameters
    ----------
    rows
        Training data; y is 0 or 1.
    share
        Weight of the forest in the average with other trees.
    seed
        Seed of scikit-learn; the same data, seed and versions give the same trees.

    Returns
    -------
    TreeEnsemble
        Its sum is `share` times the log-odds, linearised around the base rate b for a predicted share p:
        log(b / (1 - b)) + (p - b) / (b (1 - b)).
    """
    from sklearn.ensemble import ExtraTreesClassifier

    columns = np.flatnonzero(is_forest_feature(rows.feature_names))
    if not len(columns):  # features that are not those of this package
        columns = np.arange(len(rows.feature_names))
    forest = ExtraTreesClassifier(FOREST_TREES, max_depth=FOREST_DEPTH, random_state=seed, n_jobs=1)
    forest.fit(rows.X[:, columns], rows.y.astype(np.int64), sample_weight=rows.weight)
    base = float((rows.y.sum() + 0.5) / (len(rows.y) + 1.0))
    scale = share / (base * (1.0 - base)) / FOREST_TREES
    pure_class = list(forest.classes_).index(1) if 1 in forest.classes_ else None
    trees = [_nodes(tree.tree_, columns, pure_class, base, scale) for tree in forest.estimators_]
    arrays = TreeArrays(
        n_features=rows.X.shape[1],
        trees_per_round=1,
        base_score=float(np.float32(share * np.log(base / (1.0 - base)))),
        tree_sizes=np.array([len(tree["value"]) for tree in trees], dtype=np.int32),
        **{name: np.concatenate([tree[name] for tree in trees]) for name in trees[0]},
    )
    arrays.check(rows.X.shape[1])
    return TreeEnsemble(arrays)


def _nodes(tree: Any, columns: Ints, pure_class: int | None, base: float, scale: float) -> dict[str, Any]:
    """Return the nodes of a tree in the order of `TreeArrays`: level by level, siblings next to each other."""
    order = np.array([0])
    level = order
    while len(level := level[tree.children_left[level] != LEAF]):
        level = np.column_stack([tree.children_left[level], tree.children_right[level]]).ravel()
        order = np.concatenate([order, level])
    new_index = np.empty(tree.node_count, dtype=np.int32)
    new_index[order] = np.arange(tree.node_count)
    left = tree.children_left[order]
    is_leaf = left == LEAF
    share = tree.value[order, 0, pure_class] if pure_class is not None else np.zeros(len(order))
    value = np.where(is_leaf, scale * (share - base), _next_above(tree.threshold[order]))
    gain = np.where(is_leaf, 0.0, tree.impurity[order] * tree.weighted_n_node_samples[order])
    return {
        "left_child": np.where(is_leaf, LEAF, new_index[left]).astype(np.int32),
        "feature": np.where(is_leaf, 0, columns[np.where(is_leaf, 0, tree.feature[order])]).astype(np.int16),
        "value": value.astype(np.float32),
        "default_left": np.where(is_leaf, 0, tree.missing_go_to_left[order]).astype(np.uint8),
        "cover": tree.weighted_n_node_samples[order].astype(np.float32),
        "gain": gain.astype(np.float32),
    }


def _next_above(thresholds: Floats) -> NDArray[np.float32]:
    """Return the smallest larger single-precision number t of each threshold, so that x <= threshold is x < t."""
    single = thresholds.astype(np.float32)
    return np.where(single > thresholds, single, np.nextafter(single, np.float32(np.inf)))


@dataclass(frozen=True)
class FitContext:
    """Data and settings shared by all fits.

    Attributes
    ----------
    pellets
        The whole pellet table, n rows.
    features
        Features of every pellet, n rows.
    settings
        Booster settings by target.
    seed
        Seed of XGBoost.
    threads
        Number of folds fitted in parallel, each booster on one thread; without influence on results.
    perturbed
        Features of every pellet at varied sintering temperatures (`nasicon_ml.features.build.perturbed_features`),
        to which trees with a `temperature_spread_c` are fitted; empty if they cannot be computed.
    """

    pellets: pd.DataFrame
    features: FeatureMatrix
    settings: dict[TargetName, BoosterSettings]
    seed: int
    threads: int
    perturbed: tuple[Floats, ...] = ()


def recipe_context(
    pellets: pd.DataFrame,
    settings: dict[TargetName, BoosterSettings],
    *,
    feature_set: FeatureSet | str = FeatureSet.FULL,
    sites: OccupancyTable | None = None,
    seed: int,
    threads: int,
) -> FitContext:
    """Return the context of fits to recipes, with varied sintering temperatures if the settings require them.

    Parameters
    ----------
    pellets
        The whole pellet table, n rows.
    settings, seed, threads
        As in `FitContext`.
    feature_set
        The feature set to compute.
    sites
        The table's occupancies, if the caller has them already.
    """
    sites = occupancies(pellets[Column.FORMULA].to_list()) if sites is None else sites
    features = build_features(pellets, feature_set, sites=sites)
    spread_c = max(of_target.temperature_spread_c for of_target in settings.values())
    perturbed: tuple[Floats, ...] = ()
    if spread_c and FeatureSet(feature_set) is FeatureSet.FULL:
        perturbed = perturbed_features(pellets, sites, spread_c=spread_c, seed=seed)
    return FitContext(pellets, features, settings, seed, threads, perturbed)


@dataclass(frozen=True)
class FittedTarget:
    """Fitted model of one target: the sum of prior, boosted trees and forest.

    Attributes
    ----------
    name
        The target.
    booster
        The boosted trees.
    energy
        Trees of the activation energy; for conductivity only.
    prior
        The prior, multiplied by its weight.
    booster_share
        Weight of the boosted trees.
    forest
        Extremely randomised trees, multiplied by their weight.
    """

    name: TargetName
    booster: Trees
    energy: Trees | None = None
    prior: Prior | None = None
    booster_share: float = 1.0
    forest: TreeEnsemble | None = None

    def ensemble(self, n_features: int) -> TreeEnsemble:
        """Return all trees as one ensemble, as stored in a bundle."""
        boosted = TreeEnsemble.from_xgboost(as_booster(self.booster), n_features).scaled(self.booster_share)
        return boosted if self.forest is None else boosted.joined(self.forest)

    def tree_margin(self, features: Floats | PairedRecipes) -> Floats:
        """Return the prediction of the trees without the prior, shape (n,)."""
        boosted = self.booster_share * raw_prediction(self.booster, features)
        return boosted if self.forest is None else boosted + raw_prediction(self.forest, features)

    def learned(self, features: Floats | PairedRecipes) -> Floats:
        """Predict on the scale the model learns: log10(S/cm) at 25 °C, log10 porosity, log-odds or eV."""
        margin = self.tree_margin(features)
        if self.prior is None:
            return margin
        if isinstance(features, PairedRecipes):
            return self.prior.margin_of_inputs([features.column(at) for at in self.prior.columns]) + margin
        return self.prior.margin(features) + margin

    def reported(
        self, features: Floats | PairedRecipes, temperature_c: Floats, energy_ev: Floats | None = None
    ) -> Floats:
        """Predict on the reported scale; conductivity at the given temperatures, shape (n,).

        `energy_ev` are the predicted activation energies, shape (n,), if the caller has them already.
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
        The target.
    rows
        All usable rows of the target.
    chosen
        The rows of `rows` to fit to, shape (len(rows.rows),).

    Raises
    ------
    DatasetError
        If conductivities were measured away from 25 °C and no pellet states an activation energy.

    Notes
    -----
    Conductivities measured at other temperatures are converted to 25 °C with the measured activation energy of the
    pellet, or else with one predicted by trees that are fitted to the chosen sources only.
    """
    matrix, energy, prior = training_matrix(context, name, rows, chosen)
    settings = context.settings[name]
    forest, share = None, booster_share(prior, settings)
    if settings.forest_share:
        forest = fit_forest(matrix, share=settings.forest_share, seed=context.seed)
        share *= 1.0 - settings.forest_share
    if settings.temperature_spread_c:
        matrix = _with_varied_temperatures(context, matrix, rows.rows[chosen])
    booster = fit_booster(matrix, settings, seed=context.seed)
    return FittedTarget(name, booster, energy, prior, share, forest)


def booster_share(prior: Prior | None, settings: BoosterSettings) -> float:
    """Return the weight of the trees: they are averaged with the prior, unless it consists of laws."""
    return 1.0 if prior is None or prior.is_law else 1.0 - settings.prior_share


def training_matrix(
    context: FitContext, name: TargetName, rows: TrainingRows, chosen: Mask
) -> tuple[TrainingMatrix, xgboost.Booster | None, Prior | None]:
    """Return the training data of a target's trees, without the laws; the trees of the energy; the prior.

    Parameters, errors and notes as in `fit_target`.
    """
    pellet_rows, y = rows.rows[chosen], rows.y[chosen]
    energy = None
    if name is TargetName.CONDUCTIVITY:
        energy = _fit_energy(context, pellet_rows)
        y = y if energy is None else _at_room_temperature(context, pellet_rows, y, energy)
    else:
        y = TARGETS[name].forward(y)
    matrix = _matrix(context, pellet_rows, y, rows.weight[chosen])
    settings = context.settings[name]
    if not settings.prior_share or not available_terms(name, matrix.feature_names):
        return matrix, energy, None
    prior = fit_prior(name, matrix, settings)
    matrix = replace(matrix, y=matrix.y - prior.laws().margin(matrix.X))
    return matrix, energy, prior.weighted(settings.prior_share)


def _with_varied_temperatures(context: FitContext, matrix: TrainingMatrix, pellet_rows: Ints) -> TrainingMatrix:
    """Return a copy of the rows for each varied sintering temperature of the context."""
    copies = len(context.perturbed)
    if not copies:
        return matrix
    return TrainingMatrix(
        np.vstack([features[pellet_rows] for features in context.perturbed]),
        matrix.feature_names,
        np.tile(matrix.y, copies),
        np.tile(matrix.weight, copies),
        np.tile(matrix.sources, copies),
        copies,
    )


def _fit_energy(context: FitContext, pellet_rows: Ints) -> xgboost.Booster | None:
    """Fit the activation energy to all pellets of the rows' sources; None if none states it and none is needed."""
    sources = context.pellets.iloc[pellet_rows][Column.SOURCE].unique()
    measured = context.pellets[Column.ACTIVATION_ENERGY_EV].to_numpy(dtype=np.float64)
    allowed = context.pellets[Column.SOURCE].isin(sources).to_numpy()
    energy_rows = np.flatnonzero(np.isfinite(measured) & allowed)
    if len(energy_rows) == 0:
        if np.all(measurement_temperature(context.pellets.iloc[pellet_rows]) == ROOM_TEMPERATURE_C):
            return None
        raise DatasetError("no pellet to learn from states an activation energy, which conductivity needs")
    matrix = _matrix(context, energy_rows, measured[energy_rows], np.ones(len(energy_rows)))
    return fit_booster(matrix, context.settings[TargetName.ACTIVATION_ENERGY], seed=context.seed)


def _matrix(context: FitContext, pellet_rows: Ints, y: Floats, weight: Floats) -> TrainingMatrix:
    sources = context.pellets[Column.SOURCE].to_numpy(dtype=object)[pellet_rows]
    return TrainingMatrix(context.features.values[pellet_rows], context.features.names, y, weight, sources)


def _at_room_temperature(context: FitContext, pellet_rows: Ints, y: Floats, energy: xgboost.Booster) -> Floats:
    measured_ev = context.pellets[Column.ACTIVATION_ENERGY_EV].to_numpy(dtype=np.float64)[pellet_rows]
    predicted_ev = raw_prediction(energy, context.features.values[pellet_rows])
    energy_ev = np.where(np.isnan(measured_ev), predicted_ev, measured_ev)
    temperature_c = measurement_temperature(context.pellets.iloc[pellet_rows])
    return shift_log10_conductivity(y, energy_ev, temperature_c, ROOM_TEMPERATURE_C)
