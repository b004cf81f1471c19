"""Estimators are scikit-learn's in every way that a model of recipes can be, and fit what training fits."""

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

#: Checks whose targets are no such quantity.
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
def taught(pellets):
    """Return, for each target, the pellets that teach it and their measured values."""
    rows = {name: training_rows(pellets, name) for name in ESTIMATORS}
    return {name: (pellets.iloc[each.rows].reset_index(drop=True), each.y) for name, each in rows.items()}


def quick(name, **parameters):
    return ESTIMATORS[name](**({"n_estimators": 6, "cv": None} | parameters))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ESTIMATORS.values(), ids=lambda kind: kind.__name__)
def test_scikit_learns_checks(kind):
    check_estimator(kind(n_estimators=6), expected_failed_checks=EXPECTED_TO_FAIL[kind], on_skip=None)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_defaults_are_those_of_training(name):
    assert ESTIMATORS[name]()._settings() == DEFAULT_SETTINGS[name]


@pytest.mark.parametrize("name", ESTIMATORS)
def test_fitted_to_the_same_rows_they_answer_as_training_does(taught, name):
    table, y = taught[name]
    rows = training_rows(table, name)
    # Trees of the activation energy have the settings of training in both.
    settings = QUICK | {TargetName.ACTIVATION_ENERGY: DEFAULT_SETTINGS[TargetName.ACTIVATION_ENERGY]}
    context = recipe_context(table, settings, seed=0, threads=1)
    fitted = fit_target(context, name, rows, np.ones(len(rows.rows), dtype=bool))
    expected = fitted.reported(context.features.values, measurement_temperature(table))
    model = quick(name).fit(table, y)
    if name is TargetName.PHASE_PURITY:
        expected = 1.0 / (1.0 + np.exp(-expected))
        np.testing.assert_allclose(model.predict_proba(table)[:, 1], expected, rtol=1e-12)
    else:
        np.testing.assert_array_equal(model.predict(table), expected)


def test_groups_are_the_column_of_sources_unless_given(taught):
    table, y = taught[TargetName.CONDUCTIVITY]
    by_column = quick(TargetName.CONDUCTIVITY).fit(table, y).predict(table)
    recipes = table.drop(columns=Column.SOURCE.value)
    given = quick(TargetName.CONDUCTIVITY).fit(recipes, y, groups=table[Column.SOURCE]).predict(table)
    none = quick(TargetName.CONDUCTIVITY).fit(recipes, y).predict(table)
    np.testing.assert_array_equal(by_column, given)
    assert (none != given).any()


def test_formulas_without_processing_are_accepted(taught):
    table, y = taught[TargetName.RELATIVE_DENSITY]
    model = quick(TargetName.RELATIVE_DENSITY).fit(table, y)
    assert list(model.feature_names_in_) == RECIPE
    short = model.predict(table[["formula"]].head(3).assign(formula=["LATP x=0.3", "LAGP x=0.5", "LiTi2(PO4)3"]))
    assert ((short > 50) & (short < 100)).all()


def test_features_of_a_pipeline_give_the_same_predictions(taught):
    table, y = taught[TargetName.RELATIVE_DENSITY]
    features = build_features(table)
    frame = pd.DataFrame(features.values, columns=features.names)
    expected = quick(TargetName.RELATIVE_DENSITY).fit(table, y).predict(table)
    fitted = quick(TargetName.RELATIVE_DENSITY).fit(frame, y, groups=table[Column.SOURCE])
    np.testing.assert_array_equal(fitted.predict(frame), expected)
    conductivity, log10 = taught[TargetName.CONDUCTIVITY]
    named = build_features(conductivity)
    model = quick(TargetName.CONDUCTIVITY).fit(named.values, log10)
    assert model.target_.prior is None  # columns without names hold no composition that it knows


def test_intervals_have_the_intended_coverage_and_grow_with_the_level(taught):
    table, y = taught[TargetName.CONDUCTIVITY]
    train = np.isin(table[Column.SOURCE].astype(str), np.unique(table[Column.SOURCE].astype(str))[::2])
    model = quick(TargetName.CONDUCTIVITY, n_estimators=40, cv=4).fit(table[train], y[train])
    wide, narrow = (model.predict_interval(table[~train], level) for level in (0.9, 0.5))
    assert (wide[:, 0] < narrow[:, 0]).all()
    assert (narrow[:, 1] <= wide[:, 1]).all()
    assert (wide[:, 1] <= 0.0).all()  # 1 S/cm
    assert 0.75 < np.mean((wide[:, 0] <= y[~train]) & (y[~train] <= wide[:, 1])) <= 1.0
    assert (wide[:, 0] <= model.predict(table[~train])).all()


def test_without_folds_there_are_no_intervals(taught):
    table, y = taught[TargetName.RELATIVE_DENSITY]
    with pytest.raises(ValueError, match="no intervals: they need cv"):
        quick(TargetName.RELATIVE_DENSITY).fit(table, y).predict_interval(table)
    with pytest.raises(NotFittedError):
        DensityRegressor().predict_interval(table)


def test_folds_calibrate_probabilities(taught):
    table, y = taught[TargetName.PHASE_PURITY]
    raw, calibrated = (quick(TargetName.PHASE_PURITY, cv=cv).fit(table, y > 0) for cv in (None, GroupKFold(3)))
    assert raw.calibration_ is None
    assert calibrated.classes_.tolist() == [False, True]
    column = quick(TargetName.PHASE_PURITY).fit(table, table[Column.PHASE_PURE])
    np.testing.assert_array_equal(column.predict_proba(table), raw.predict_proba(table))
    before, after = (model.predict_proba(table)[:, 1] for model in (raw, calibrated))
    assert (before != after).any()
    np.testing.assert_array_equal(np.argsort(before, kind="stable"), np.argsort(after, kind="stable"))


def test_cross_validation_of_scikit_learn_keeps_sources_together(taught):
    table, y = taught[TargetName.RELATIVE_DENSITY]
    model, groups = quick(TargetName.RELATIVE_DENSITY), table[Column.SOURCE]
    plain = cross_validate(model, table, y, groups=groups, cv=GroupKFold(3), scoring="neg_mean_absolute_error")
    with config_context(enable_metadata_routing=True):
        routed = cross_validate(
            clone(model).set_fit_request(groups=True), table[RECIPE], y, params={"groups": groups},
            cv=GroupKFold(3), scoring="neg_mean_absolute_error",
        )  # fmt: skip
    np.testing.assert_array_equal(plain["test_score"], routed["test_score"])
    predicted = cross_val_predict(model, table, y, groups=groups, cv=GroupKFold(3))
    assert np.abs(predicted - y).mean() == pytest.approx(-plain["test_score"].mean(), rel=0.2)


def test_a_grid_search_takes_every_parameter(taught):
    table, y = taught[TargetName.CONDUCTIVITY]
    grid = {"source_shrinkage": [0.5, 2.0], "prior_share": [0.0, 0.5]}
    search = GridSearchCV(quick(TargetName.CONDUCTIVITY), grid, cv=GroupKFold(2))
    search.fit(table, y, groups=table[Column.SOURCE])
    assert len(np.unique(search.cv_results_["mean_test_score"])) == 4


@pytest.mark.parametrize("name", ESTIMATORS)
def test_another_booster_replaces_the_trees(taught, name):
    table, y = taught[name]
    is_probability = name is TargetName.PHASE_PURITY
    other = HistGradientBoostingClassifier if is_probability else HistGradientBoostingRegressor
    model = quick(name, booster=other(max_iter=20, min_samples_leaf=5)).fit(table, y)
    assert model.get_params()["booster__max_iter"] == 20
    assert model.score(table, y) > (0.55 if is_probability else 0.0)
    if is_probability:
        dull = quick(name, booster=DummyClassifier(strategy="prior")).fit(table, y).predict_proba(table)[:, 1]
        assert np.ptp(dull) == 0.0
    else:
        predicted = quick(name).fit(table, y).predict(table)
        assert np.corrcoef(model.predict(table), predicted)[0, 1] > 0.5


def test_conductivities_away_from_room_temperature_need_an_energy(taught):
    table, y = taught[TargetName.CONDUCTIVITY]
    nothing = table.drop(columns=Column.ACTIVATION_ENERGY_EV.value).assign(measurement_temperature_c=np.nan)
    cold = quick(TargetName.CONDUCTIVITY).fit(nothing, y)
    assert cold.target_.energy is None
    with pytest.raises(ValueError, match="at 25 °C alone"):
        cold.predict(nothing.assign(measurement_temperature_c=60.0))
    with pytest.raises(DatasetError, match="states an activation energy"):
        quick(TargetName.CONDUCTIVITY).fit(nothing.assign(measurement_temperature_c=60.0), y)
    warm = quick(TargetName.CONDUCTIVITY).fit(table, y)
    at = [warm.predict(nothing.assign(measurement_temperature_c=celsius)) for celsius in (25.0, 60.0)]
    assert (at[0] < at[1]).all()


def test_impossible_targets_are_refused(taught):
    table, y = taught[TargetName.RELATIVE_DENSITY]
    with pytest.raises(FieldError, match="atmosphere"):
        quick(TargetName.RELATIVE_DENSITY).fit(table.assign(atmosphere="airy"), y)
    with pytest.raises(ValueError, match="at most 100"):
        quick(TargetName.RELATIVE_DENSITY).fit(table, y + 30)
    with pytest.raises(ValueError, match="source of each of the"):
        quick(TargetName.RELATIVE_DENSITY).fit(table, y, groups=["a", "b"])
    with pytest.raises(ValueError, match="Input y contains NaN"):
        quick(TargetName.PHASE_PURITY).fit(table, table[Column.PHASE_PURE].where(np.arange(len(table)) > 3, None))
    with pytest.raises(ValueError, match="Only binary classification"):
        quick(TargetName.PHASE_PURITY).fit(table, np.arange(len(table)) % 3)
