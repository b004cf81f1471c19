"""The estimators follow scikit-learn's conventions and fit the same models as training."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_predict, cross_validate
from sklearn.utils.estimator_checks import check_estimator

from nasicon_ml import ConductivityRegressor, DensityRegressor, PhasePurityClassifier
from nasicon_ml.columns import MODEL_INPUT, Column
from nasicon_ml.data.load import load_pellets
from nasicon_ml.errors import DatasetError, FieldError
from nasicon_ml.estimators.boosting import DEFAULT_SETTINGS
from nasicon_ml.estimators.fitting import fit_target, recipe_context
from nasicon_ml.estimators.targets import TargetName, measurement_temperature, training_rows
from nasicon_ml.features.build import build_features

ESTIMATORS = {
    TargetName.CONDUCTIVITY: ConductivityRegressor,
    TargetName.RELATIVE_DENSITY: DensityRegressor,
    TargetName.PHASE_PURITY: PhasePurityClassifier,
}
QUICK = {name: settings.changed(rounds=6) for name, settings in DEFAULT_SETTINGS.items()}
RECIPE = [str(column) for column in MODEL_INPUT]

#: Checks of scikit-learn whose generated targets are impossible for the quantity.
EXPECTED_TO_FAIL = {
    ConductivityRegressor: {
        "check_regressors_train": "its targets lie around 0: no NASICON conducts better than 1 S/cm",
    },
    DensityRegressor: {
        "check_regressors_train": "its targets lie around 0: no pellet is less dense than 20 %",
        "check_regressor_data_not_an_array": "its targets exceed 100 %, which is refused",
    },
    PhasePurityClassifier: {},
}


@pytest.fixture(scope="module")
def pellets():
    """Return the pellets of some sources, so that a fit is quick."""
    everything = load_pellets()
    sources = np.unique(everything[Column.SOURCE].astype(str))[::3]
    return everything[everything[Column.SOURCE].isin(sources)].reset_index(drop=True)


@pytest.fixture(scope="module")
def training_data(pellets):
    """Return, for each target, the pellets with a measured value and these values."""
    rows = {name: training_rows(pellets, name) for name in ESTIMATORS}
    return {name: (pellets.iloc[each.rows].reset_index(drop=True), each.y) for name, each in rows.items()}


def quick_estimator(name, **parameters):
    return ESTIMATORS[name](**({"n_estimators": 6, "cv": None} | parameters))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ESTIMATORS.values(), ids=lambda kind: kind.__name__)
def test_estimator_passes_the_checks_of_scikit_learn(kind):
    check_estimator(kind(n_estimators=6), expected_failed_checks=EXPECTED_TO_FAIL[kind], on_skip=None)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_default_settings_are_those_of_training(name):
    assert ESTIMATORS[name]()._settings() == DEFAULT_SETTINGS[name]


@pytest.mark.parametrize("name", ESTIMATORS)
def test_predictions_equal_those_of_training_on_the_same_rows(training_data, name):
    table, y = training_data[name]
    rows = training_rows(table, name)
    # The trees of the activation energy have the settings of training in both cases.
    settings = QUICK | {TargetName.ACTIVATION_ENERGY: DEFAULT_SETTINGS[TargetName.ACTIVATION_ENERGY]}
    context = recipe_context(table, settings, seed=0, threads=1)
    fitted = fit_target(context, name, rows, np.ones(len(rows.rows), dtype=bool))
    expected = fitted.reported(context.features.values, measurement_temperature(table))
    model = quick_estimator(name).fit(table, y)
    if name is TargetName.PHASE_PURITY:
        expected = 1.0 / (1.0 + np.exp(-expected))
        np.testing.assert_allclose(model.predict_proba(table)[:, 1], expected, rtol=1e-12)
    else:
        np.testing.assert_array_equal(model.predict(table), expected)


def test_groups_default_to_the_source_column(training_data):
    table, y = training_data[TargetName.CONDUCTIVITY]
    by_column = quick_estimator(TargetName.CONDUCTIVITY).fit(table, y).predict(table)
    recipes = table.drop(columns=Column.SOURCE.value)
    with_groups = (
        quick_estimator(TargetName.CONDUCTIVITY).fit(recipes, y, groups=table[Column.SOURCE]).predict(table)
    )
    without_groups = quick_estimator(TargetName.CONDUCTIVITY).fit(recipes, y).predict(table)
    np.testing.assert_array_equal(by_column, with_groups)
    assert (without_groups != with_groups).any()


def test_formulas_without_processing_are_accepted(training_data):
    table, y = training_data[TargetName.RELATIVE_DENSITY]
    model = quick_estimator(TargetName.RELATIVE_DENSITY).fit(table, y)
    assert list(model.feature_names_in_) == RECIPE
    predicted = model.predict(
        table[["formula"]].head(3).assign(formula=["LATP x=0.3", "LAGP x=0.5", "LiTi2(PO4)3"])
    )
    assert ((predicted > 50) & (predicted < 100)).all()


def test_feature_columns_give_the_same_predictions_as_recipes(training_data):
    table, y = training_data[TargetName.RELATIVE_DENSITY]
    features = build_features(table)
    frame = pd.DataFrame(features.values, columns=features.names)
    expected = quick_estimator(TargetName.RELATIVE_DENSITY).fit(table, y).predict(table)
    fitted = quick_estimator(TargetName.RELATIVE_DENSITY).fit(frame, y, groups=table[Column.SOURCE])
    np.testing.assert_array_equal(fitted.predict(frame), expected)
    conductivity, log10_conductivity = training_data[TargetName.CONDUCTIVITY]
    features_of_conductivity = build_features(conductivity)
    model = quick_estimator(TargetName.CONDUCTIVITY).fit(features_of_conductivity.values, log10_conductivity)
    assert model.target_.prior is None  # the composition is unknown without column names


def test_intervals_have_nominal_coverage_and_widen_with_the_level(training_data):
    table, y = training_data[TargetName.CONDUCTIVITY]
    train = np.isin(table[Column.SOURCE].astype(str), np.unique(table[Column.SOURCE].astype(str))[::2])
    model = quick_estimator(TargetName.CONDUCTIVITY, n_estimators=40, cv=4).fit(table[train], y[train])
    wide, narrow = (model.predict_interval(table[~train], level) for level in (0.9, 0.5))
    assert (wide[:, 0] < narrow[:, 0]).all()
    assert (narrow[:, 1] <= wide[:, 1]).all()
    assert (wide[:, 1] <= 0.0).all()  # 1 S/cm
    assert 0.75 < np.mean((wide[:, 0] <= y[~train]) & (y[~train] <= wide[:, 1])) <= 1.0
    assert (wide[:, 0] <= model.predict(table[~train])).all()


def test_predict_interval_without_cv_raises(training_data):
    table, y = training_data[TargetName.RELATIVE_DENSITY]
    with pytest.raises(ValueError, match="no intervals: they need cv"):
        quick_estimator(TargetName.RELATIVE_DENSITY).fit(table, y).predict_interval(table)
    with pytest.raises(NotFittedError):
        DensityRegressor().predict_interval(table)


def test_cv_calibrates_probabilities_and_keeps_their_order(training_data):
    table, y = training_data[TargetName.PHASE_PURITY]
    raw, calibrated = (
        quick_estimator(TargetName.PHASE_PURITY, cv=cv).fit(table, y > 0) for cv in (None, GroupKFold(3))
    )
    assert raw.calibration_ is None
    assert calibrated.classes_.tolist() == [False, True]
    column = quick_estimator(TargetName.PHASE_PURITY).fit(table, table[Column.PHASE_PURE])
    np.testing.assert_array_equal(column.predict_proba(table), raw.predict_proba(table))
    before, after = (model.predict_proba(table)[:, 1] for model in (raw, calibrated))
    assert (before != after).any()
    np.testing.assert_array_equal(np.argsort(before, kind="stable"), np.argsort(after, kind="stable"))


def test_groups_work_in_cross_validation_of_scikit_learn(training_data):
    table, y = training_data[TargetName.RELATIVE_DENSITY]
    model, groups = quick_estimator(TargetName.RELATIVE_DENSITY), table[Column.SOURCE]
    plain = cross_validate(model, table, y, groups=groups, cv=GroupKFold(3), scoring="neg_mean_absolute_error")
    with config_context(enable_metadata_routing=True):
        routed = cross_validate(
            clone(model).set_fit_request(groups=True), table[RECIPE], y, params={"groups": groups},
            cv=GroupKFold(3), scoring="neg_mean_absolute_error",
        )  # fmt: skip
    np.testing.assert_array_equal(plain["test_score"], routed["test_score"])
    predicted = cross_val_predict(model, table, y, groups=groups, cv=GroupKFold(3))
    assert np.abs(predicted - y).mean() == pytest.approx(-plain["test_score"].mean(), rel=0.2)


def test_grid_search_varies_parameters(training_data):
    table, y = training_data[TargetName.CONDUCTIVITY]
    grid = {"source_shrinkage": [0.5, 2.0], "prior_share": [0.0, 0.5]}
    search = GridSearchCV(quick_estimator(TargetName.CONDUCTIVITY), grid, cv=GroupKFold(2))
    search.fit(table, y, groups=table[Column.SOURCE])
    assert len(np.unique(search.cv_results_["mean_test_score"])) == 4


@pytest.mark.parametrize("name", ESTIMATORS)
def test_custom_booster_replaces_the_trees(training_data, name):
    table, y = training_data[name]
    is_probability = name is TargetName.PHASE_PURITY
    booster_class = HistGradientBoostingClassifier if is_probability else HistGradientBoostingRegressor
    model = quick_estimator(name, booster=booster_class(max_iter=20, min_samples_leaf=5)).fit(table, y)
    assert model.get_params()["booster__max_iter"] == 20
    assert model.score(table, y) > (0.55 if is_probability else 0.0)
    if is_probability:
        constant = (
            quick_estimator(name, booster=DummyClassifier(strategy="prior"))
            .fit(table, y)
            .predict_proba(table)[:, 1]
        )
        assert np.ptp(constant) == 0.0
    else:
        predicted = quick_estimator(name).fit(table, y).predict(table)
        assert np.corrcoef(model.predict(table), predicted)[0, 1] > 0.5


def test_conductivity_away_from_room_temperature_needs_activation_energies(training_data):
    table, y = training_data[TargetName.CONDUCTIVITY]
    without_energy = table.drop(columns=Column.ACTIVATION_ENERGY_EV.value).assign(measurement_temperature_c=np.nan)
    model_without_energy = quick_estimator(TargetName.CONDUCTIVITY).fit(without_energy, y)
    assert model_without_energy.target_.energy is None
    with pytest.raises(ValueError, match="at 25 °C alone"):
        model_without_energy.predict(without_energy.assign(measurement_temperature_c=60.0))
    with pytest.raises(DatasetError, match="states an activation energy"):
        quick_estimator(TargetName.CONDUCTIVITY).fit(without_energy.assign(measurement_temperature_c=60.0), y)
    model_with_energy = quick_estimator(TargetName.CONDUCTIVITY).fit(table, y)
    at_25_c, at_60_c = [
        model_with_energy.predict(without_energy.assign(measurement_temperature_c=celsius))
        for celsius in (25.0, 60.0)
    ]
    assert (at_25_c < at_60_c).all()


def test_invalid_recipes_targets_and_groups_are_refused(training_data):
    table, y = training_data[TargetName.RELATIVE_DENSITY]
    with pytest.raises(FieldError, match="atmosphere"):
        quick_estimator(TargetName.RELATIVE_DENSITY).fit(table.assign(atmosphere="airy"), y)
    with pytest.raises(ValueError, match="at most 100"):
        quick_estimator(TargetName.RELATIVE_DENSITY).fit(table, y + 30)
    with pytest.raises(ValueError, match="source of each of the"):
        quick_estimator(TargetName.RELATIVE_DENSITY).fit(table, y, groups=["a", "b"])
    with pytest.raises(ValueError, match="Input y contains NaN"):
        quick_estimator(TargetName.PHASE_PURITY).fit(
            table, table[Column.PHASE_PURE].where(np.arange(len(table)) > 3, None)
        )
    with pytest.raises(ValueError, match="Only binary classification"):
        quick_estimator(TargetName.PHASE_PURITY).fit(table, np.arange(len(table)) % 3)
