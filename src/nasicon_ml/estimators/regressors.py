"""The three models as scikit-learn estimators: conductivity, relative density and phase purity.

Each estimator fits one target as `nasicon_ml.workflows.train` does, to recipes (a DataFrame with the column
`formula` and further columns of recipes) or to a matrix of features. Groups are the sources of the rows: each has
a random intercept while boosting, and the folds for intervals and calibration keep a source together.
"""

from __future__ import annotations

import numbers
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.model_selection import GroupKFold
from sklearn.utils import check_array, check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, has_fit_parameter, validate_data

from nasicon_ml.arrays import Floats, Mask, Strings
from nasicon_ml.checks import check_columns
from nasicon_ml.columns import MODEL_INPUT, ROOM_TEMPERATURE_C, Column
from nasicon_ml.composition import occupancies
from nasicon_ml.estimators.boosting import (
    DEFAULT_SETTINGS,
    BoosterSettings,
    raw_prediction,
    row_weights,
    without_autologging,
)
from nasicon_ml.estimators.fitting import (
    FitContext,
    FittedTarget,
    booster_share,
    fit_target,
    recipe_context,
    training_matrix,
)
from nasicon_ml.estimators.targets import TargetName, TrainingRows, measurement_temperature, temperature_weight
from nasicon_ml.estimators.uncertainty import (
    NEAR_PELLETS,
    OWN_TRUST,
    BetaCalibration,
    Circumstances,
    fit_calibration,
    fit_intervals,
)
from nasicon_ml.features.build import FeatureMatrix, FeatureSet, build_features
from nasicon_ml.features.distances import RecipeSpace, nearest_neighbours, recipe_space
from nasicon_ml.features.processing import unknown_share
from nasicon_ml.recipe.batch import read_recipes, recipe_frame
from nasicon_ml.trees.prediction import PairedRecipes

#: Least number of out-of-fold predictions for intervals and calibration.
_FEWEST_ROWS = 20


@dataclass(frozen=True)
class _Inputs:
    """Data that an estimator reads from X, n rows."""

    table: pd.DataFrame  # measurement temperature and, for recipes, all of `MODEL_INPUT` and the activation energy
    features: FeatureMatrix
    space: RecipeSpace | None  # None for a matrix of features
    systems: Strings
    unknown: Floats  # unknown share of the processing

    @classmethod
    def from_recipes(cls, X: pd.DataFrame, feature_set: str) -> _Inputs:
        """Read recipes like `nasicon_ml.recipe`."""
        table = read_recipes(recipe_frame(X)).table
        energies, findings = check_columns(X, [Column.ACTIVATION_ENERGY_EV])
        if findings:
            Column.ACTIVATION_ENERGY_EV.parse(findings[0].value)
        table = table.join(energies)
        sites = occupancies(table[Column.FORMULA].to_list())
        features = build_features(table, feature_set, sites=sites)
        space = recipe_space(table, sites=sites)
        return cls(table, features, space, sites.per_row(sites.systems), unknown_share(table))

    @classmethod
    def from_features(cls, X: Floats, names: tuple[str, ...]) -> _Inputs:
        """Use features as they are, without recipes."""
        n = len(X)
        table = pd.DataFrame({str(Column.MEASUREMENT_TEMPERATURE_C): np.full(n, np.nan)})
        table[str(Column.ACTIVATION_ENERGY_EV)] = np.nan
        return cls(table, FeatureMatrix(names, X), None, np.full(n, "", dtype=object), np.zeros(n))

    def circumstances(self, references: RecipeSpace | None, sources: Strings | None = None) -> Circumstances:
        """Return the inputs of the widths of intervals.

        With `sources`, the rows are the references themselves, and the references of their own source are ignored.
        """
        distance = np.zeros(len(self.table))
        if self.space is not None and references is not None:
            nearest = nearest_neighbours(
                self.space, references, NEAR_PELLETS, query_sources=sources, reference_sources=sources
            )
            distance = nearest.distances.mean(axis=1)
        return Circumstances(self.unknown, distance, measurement_temperature(self.table), self.systems)


@dataclass(frozen=True)
class _SklearnTarget(FittedTarget):
    """A target fitted by another scikit-learn estimator in place of the trees."""

    def tree_margin(self, features: Floats | PairedRecipes) -> Floats:
        model: Any = self.booster
        if not hasattr(model, "predict_proba"):
            return self.booster_share * np.asarray(model.predict(features), dtype=np.float64)
        share = np.clip(model.predict_proba(features)[:, 1], 1e-6, 1.0 - 1e-6)
        return np.asarray(np.log(share / (1.0 - share)))


@dataclass(frozen=True)
class _Training:
    """Training data of an estimator."""

    context: FitContext
    rows: TrainingRows
    sources: Strings  # of each row, shape (n,)
    circumstances: Circumstances


@dataclass(kw_only=True, eq=False, repr=False)
class _TargetEstimator(BaseEstimator):  # type: ignore[misc]
    """Base class that reads X, fits and predicts out of fold.

    Parameters are fields, from which `dataclass` creates the signature that scikit-learn reads.
    """

    _target: ClassVar[TargetName]
    subsample: float = 0.7
    monotone: bool = True
    feature_set: str = FeatureSet.FULL.value
    booster: Any = None
    cv: Any = 5
    random_state: Any = 0

    def _settings(self) -> BoosterSettings:
        default, parameters = DEFAULT_SETTINGS[self._target], self.get_params(deep=False)
        given = {field.name: parameters[field.name] for field in fields(default) if field.name in parameters}
        given |= {"rounds": self.n_estimators, "monotone": default.monotone if self.monotone else ()}
        return default.changed(**given)

    def _read(self, X: Any, *, reset: bool) -> _Inputs:
        """Read recipes or features; without `reset`, compare them with those of the fit."""
        if not reset:
            check_is_fitted(self)
        if Column.FORMULA in getattr(X, "columns", ()):
            inputs = _Inputs.from_recipes(X, self.feature_set)
            columns = [str(column) for column in MODEL_INPUT]
            validate_data(self, inputs.table[columns], reset=reset, skip_check_array=True)
            return inputs
        X = validate_data(self, X, reset=reset, dtype=np.float64, ensure_all_finite="allow-nan")
        names = getattr(self, "feature_names_in_", [f"x{column}" for column in range(X.shape[1])])
        return _Inputs.from_features(X, tuple(map(str, names)))

    def _fit_all(self, X: Any, y: Floats, groups: ArrayLike | None) -> _Training:
        """Fit to all rows; return the training data."""
        inputs = self._read(X, reset=True)
        check_consistent_length(X, y)
        sources = _sources(X, groups, len(y))
        pellets = inputs.table.assign(**{Column.SOURCE.value: sources})
        is_conductivity = self._target is TargetName.CONDUCTIVITY
        weight = temperature_weight(pellets) if is_conductivity else np.ones(len(y))
        settings = DEFAULT_SETTINGS | {self._target: self._settings()}
        seed = self.random_state
        if not isinstance(seed, numbers.Integral):
            seed = check_random_state(seed).randint(np.iinfo(np.int32).max)
        if inputs.space is None:  # sintering temperatures cannot be varied without recipes
            context = FitContext(pellets, inputs.features, settings, int(seed), threads=1)
        else:
            context = recipe_context(pellets, settings, feature_set=self.feature_set, seed=int(seed), threads=1)
        training = TrainingRows(np.arange(len(y)), y, weight)
        self.target_ = self._fit_rows(context, training, np.ones(len(y), dtype=bool))
        self.space_ = inputs.space
        return _Training(context, training, sources, inputs.circumstances(inputs.space, sources))

    def _out_of_fold(self, training: _Training) -> tuple[Floats, Floats]:
        """Return out-of-fold predictions and activation energies, shape (n,); NaN without a fold."""
        context, rows = training.context, training.rows
        reported, energy = np.full(len(rows.y), np.nan), np.full(len(rows.y), np.nan)
        temperature = measurement_temperature(context.pellets)
        for train, test in self._splits(training.sources):
            fitted = self._fit_rows(context, rows, np.isin(rows.rows, train))
            X = context.features.values[test]
            if fitted.energy is not None:
                energy[test] = raw_prediction(fitted.energy, X)
            reported[test] = fitted.reported(X, temperature[test], energy[test])
        return reported, energy

    def _splits(self, sources: Strings) -> list[tuple[Any, Any]]:
        splitter, folds = self.cv, len(np.unique(sources.astype(str)))
        if splitter is None or len(sources) < _FEWEST_ROWS or folds < 2:
            return []
        if isinstance(splitter, numbers.Integral):
            splitter = GroupKFold(min(int(splitter), folds))
        return list(splitter.split(np.empty((len(sources), 1)), groups=sources))

    def _fit_rows(self, context: FitContext, training: TrainingRows, chosen: Mask) -> FittedTarget:
        if self.booster is None:
            return fit_target(context, self._target, training, chosen)
        matrix, energy, prior = training_matrix(context, self._target, training, chosen)
        model = clone(self.booster)
        weight = {"sample_weight": row_weights(matrix, context.settings[self._target])}
        model.fit(matrix.X, matrix.y, **(weight if has_fit_parameter(model, "sample_weight") else {}))
        share = booster_share(prior, context.settings[self._target])
        return _SklearnTarget(self._target, model, energy, prior, share)

    def _reported(self, inputs: _Inputs) -> Floats:
        temperature = measurement_temperature(inputs.table)
        knows_energy = self.target_.energy is not None or self._target is not TargetName.CONDUCTIVITY
        if not knows_energy and np.any(temperature != ROOM_TEMPERATURE_C):
            raise ValueError(
                "no row that was fitted states an activation energy: conductivities are at 25 °C alone"
            )
        return self.target_.reported(inputs.features.values, temperature)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = False
        return tags


def _sources(X: Any, groups: ArrayLike | None, count: int) -> Strings:
    """Return the source of each row: the groups, else the column `source` of X, else a source for each row."""
    if groups is None and Column.SOURCE in getattr(X, "columns", ()):
        groups = X[Column.SOURCE]
    if groups is None:
        groups = np.arange(count)
    sources = np.asarray(groups)
    if sources.ndim != 1 or len(sources) != count or pd.isna(sources).any():
        raise ValueError(f"groups must name the source of each of the {count} rows, with none missing")
    return sources.astype(str).astype(object)


class _Regressor(RegressorMixin, _TargetEstimator):  # type: ignore[misc]
    """Base class of the two regressors, with intervals."""

    @without_autologging()
    def fit(self, X: Any, y: ArrayLike, groups: ArrayLike | None = None) -> Any:
        """Fit the model.

        Parameters
        ----------
        X
            Recipes, a DataFrame with the column `formula` and any known other columns of recipes, or features of
            shape (n, n_features). Recipes may state `measurement_temperature_c` and, to fit a conductivity,
            `activation_energy_ev`.
        y
            Measured values, shape (n,); unit as in the class.
        groups
            Source of each row, shape (n,). By default the column `source` of X, or else a source for each row.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If X or y cannot be used; for recipes it is a `nasicon_ml.errors.FieldError`.
        DatasetError
            If conductivities were measured away from 25 °C and no row states an activation energy.
        """
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        values = column_or_1d(y, warn=True)
        values = np.asarray(check_array(values, ensure_2d=False, dtype=np.float64, input_name="y"))
        self._check_target(values)
        training = self._fit_all(X, values, groups)
        reported, energy = self._out_of_fold(training)
        is_predicted = np.isfinite(reported)
        self.intervals_ = None
        if is_predicted.sum() >= _FEWEST_ROWS:
            measured = training.context.pellets[Column.ACTIVATION_ENERGY_EV].to_numpy(dtype=np.float64)
            energy_errors = np.abs(measured - energy)[np.isfinite(measured - energy)]
            self.intervals_ = fit_intervals(
                self._target,
                values[is_predicted],
                reported[is_predicted],
                training.sources[is_predicted],
                training.circumstances.take(is_predicted),
                float(energy_errors.mean()) if len(energy_errors) else 0.0,
            )
        return self

    def predict(self, X: Any) -> Floats:
        """Return predictions, shape (n,), in the unit of y; conductivities at the temperature stated in X."""
        return self._reported(self._read(X, reset=False))

    def predict_interval(self, X: Any, level: float = 0.9) -> Floats:
        """Return lower and upper ends of intervals, shape (n, 2), in the unit of y.

        Parameters
        ----------
        X
            As in `predict`.
        level
            Intended coverage of rows of unseen sources.

        Raises
        ------
        ValueError
            If the model was fitted without folds or to too few rows, or if there are too few rows for the level.
        """
        inputs = self._read(X, reset=False)
        if self.intervals_ is None:
            raise ValueError(
                f"there are no intervals: they need cv and at least {_FEWEST_ROWS} rows of several sources"
            )
        circumstances = inputs.circumstances(self.space_)
        return np.column_stack(self.intervals_.interval(self._reported(inputs), circumstances, level))

    def _check_target(self, y: Floats) -> None:
        """Raise ValueError for impossible values."""


@dataclass(kw_only=True, eq=False, repr=False)
class ConductivityRegressor(_Regressor):
    """Total ionic conductivity as log10(S/cm), predicted by boosted trees and a prior.

    Parameters
    ----------
    n_estimators, learning_rate, max_depth, min_child_weight, subsample, colsample_bynode, reg_lambda, \
    num_parallel_tree
        Parameters of XGBoost; each of the `n_estimators` rounds grows `num_parallel_tree` trees.
    source_shrinkage
        Strength with which the intercept of each source is shrunk towards zero, as a number of pellets.
    tolerance
        Errors much smaller than this, in decades, are penalised quadratically, much larger ones linearly.
    source_weight
        The weight of a row is the size of its source to the power of minus this: 0 counts pellets, 1 sources.
    prior_share
        Weight of the prior (`nasicon_ml.estimators.priors`) in the average with the trees, 0 to 1; 0 is none.
    monotone
        Whether firing too hot or too cold may never raise the conductivity.
    feature_set
        Features computed from recipes (`nasicon_ml.features.build.FeatureSet`).
    booster
        A scikit-learn regressor that accepts NaN, fitted in place of the trees of this package (None). Prior and
        conversion of conductivities to 25 °C are kept, but there are no intercepts of sources.
    cv
        Folds for the intervals: a number of folds by source, a splitter that takes groups, or None, which fits
        once without intervals (sufficient in a search or a cross-validation).
    random_state
        Seed of subsampling.

    Attributes
    ----------
    target_ : FittedTarget
        Prior, trees, and the trees of the activation energy.
    intervals_ : IntervalModel or None
        The fitted intervals.
    n_features_in_, feature_names_in_
        As in scikit-learn; for recipes, their columns.
    """

    _target = TargetName.CONDUCTIVITY

    n_estimators: int = 250
    learning_rate: float = 0.06
    max_depth: int = 5
    min_child_weight: float = 3.0
    colsample_bynode: float = 0.3
    reg_lambda: float = 3.0
    num_parallel_tree: int = 4
    source_shrinkage: float = 2.0
    tolerance: float = 0.3
    source_weight: float = 0.0
    prior_share: float = 0.3


@dataclass(kw_only=True, eq=False, repr=False)
class DensityRegressor(_Regressor):
    """Relative density in per cent of theoretical, learned as log10 of the porosity.

    Parameters
    ----------
    n_estimators, learning_rate, max_depth, min_child_weight, subsample, colsample_bynode, reg_lambda, \
    num_parallel_tree, source_weight, feature_set, booster, cv, random_state
        As in `ConductivityRegressor`.
    monotone
        Whether firing too hot or too cold may never raise the density.

    Attributes
    ----------
    target_, intervals_, n_features_in_, feature_names_in_
        As in `ConductivityRegressor`.
    """

    _target = TargetName.RELATIVE_DENSITY

    n_estimators: int = 60
    learning_rate: float = 0.1
    max_depth: int = 4
    min_child_weight: float = 1.0
    colsample_bynode: float = 0.2
    reg_lambda: float = 1.0
    num_parallel_tree: int = 6
    source_weight: float = 0.5

    def _check_target(self, y: Floats) -> None:
        if (y > 100.0).any():
            raise ValueError(f"relative density is in per cent of theoretical, at most 100; y has {y.max():g}")


@dataclass(kw_only=True, eq=False, repr=False)
class PhasePurityClassifier(ClassifierMixin, _TargetEstimator):  # type: ignore[misc]
    """Whether XRD shows no secondary phase, with calibrated probabilities.

    Parameters
    ----------
    n_estimators, learning_rate, max_depth, min_child_weight, subsample, colsample_bynode, reg_lambda, \
    num_parallel_tree, source_weight, feature_set, random_state
        As in `ConductivityRegressor`.
    source_shrinkage
        Inverse variance of the intercepts of sources, in log-odds.
    monotone
        Whether firing too hot may never raise the probability of purity.
    booster
        A scikit-learn classifier that accepts NaN, fitted in place of the trees of this package (None).
    cv
        Folds for the calibration, as in `ConductivityRegressor`; None keeps the probabilities of the trees.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        The classes; the second one is the pure one.
    target_ : FittedTarget
        The trees.
    calibration_ : BetaCalibration or None
        Function from log-odds to probabilities.
    """

    _target = TargetName.PHASE_PURITY

    n_estimators: int = 200
    learning_rate: float = 0.04
    max_depth: int = 2
    min_child_weight: float = 3.0
    colsample_bynode: float = 0.3
    reg_lambda: float = 5.0
    num_parallel_tree: int = 4
    source_shrinkage: float = 0.7
    source_weight: float = 0.0

    @without_autologging()
    def fit(self, X: Any, y: ArrayLike, groups: ArrayLike | None = None) -> PhasePurityClassifier:
        """Fit the model; parameters as in `ConductivityRegressor.fit`, y with two classes.

        Raises
        ------
        ValueError
            If X or y cannot be used.
        """
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        labels = np.asarray(column_or_1d(y, warn=True))
        if labels.dtype == object:  # such as a column of a table that may have missing values
            if pd.isna(labels).any():
                raise ValueError("Input y contains NaN: leave out the rows of which purity is not known")
            labels = pd.Series(labels).infer_objects().to_numpy()
        check_classification_targets(labels)
        self.classes_, outcome = np.unique(labels, return_inverse=True)
        if len(self.classes_) > 2:
            raise ValueError(
                f"Only binary classification is supported. The type of the target is {type_of_target(labels)}."
            )
        if len(self.classes_) < 2:
            raise ValueError("purity has two classes, pure and impure, and y holds 1 class")
        training = self._fit_all(X, outcome.astype(np.float64), groups)
        margin, _ = self._out_of_fold(training)
        is_predicted = np.isfinite(margin)
        margin, y = margin[is_predicted], training.rows.y[is_predicted]
        self.calibration_ = fit_calibration(margin, y, trust=OWN_TRUST) if len(np.unique(y)) == 2 else None
        return self

    def predict_proba(self, X: Any) -> Floats:
        """Return the probabilities of `classes_`, shape (n, 2)."""
        margin = self._reported(self._read(X, reset=False))
        calibration = BetaCalibration(1.0, 1.0, 0.0) if self.calibration_ is None else self.calibration_
        pure = calibration.probability(margin)
        return np.column_stack([1.0 - pure, pure])

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the more likely class of each row, shape (n,)."""
        likelier = np.argmax(self.predict_proba(X), axis=1)  # raises NotFittedError before `classes_` is read
        return np.asarray(self.classes_[likelier])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags
