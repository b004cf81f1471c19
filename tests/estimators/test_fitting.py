"""Fits of one target to several copies of each pellet with varied temperatures."""

from dataclasses import replace

import numpy as np
import pytest

from nasicon_ml.data.load import load_pellets
from nasicon_ml.estimators.boosting import (
    DEFAULT_SETTINGS,
    TrainingMatrix,
    fit_booster,
    raw_prediction,
    row_weights,
)
from nasicon_ml.estimators.fitting import fit_target, recipe_context
from nasicon_ml.estimators.targets import TargetName, training_rows

QUICK = {name: settings.changed(rounds=5) for name, settings in DEFAULT_SETTINGS.items()}


@pytest.fixture(scope="module")
def context():
    pellets = load_pellets()
    pellets = pellets[pellets["formula"].notna()].reset_index(drop=True).iloc[::3].reset_index(drop=True)
    return recipe_context(pellets, QUICK, seed=0, threads=1)


def fitted_predictions(context, name):
    rows = training_rows(context.pellets, name)
    fitted = fit_target(context, name, rows, np.ones(len(rows.rows), dtype=bool))
    return fitted.learned(context.features.values)


def test_only_conductivity_is_fitted_to_perturbed_temperatures(context):
    unperturbed = replace(context, perturbed=())
    assert len(context.perturbed) > 1
    sigma, density = TargetName.CONDUCTIVITY, TargetName.RELATIVE_DENSITY
    assert (fitted_predictions(context, sigma) != fitted_predictions(unperturbed, sigma)).any()
    np.testing.assert_array_equal(fitted_predictions(context, density), fitted_predictions(unperturbed, density))


def test_copies_of_a_pellet_together_have_the_weight_of_one(context):
    name = TargetName.CONDUCTIVITY
    rows = training_rows(context.pellets, name)
    sources = context.pellets["source"].to_numpy(dtype=object)[rows.rows]
    single = TrainingMatrix(
        context.features.values[rows.rows], context.features.names, rows.y, rows.weight, sources
    )
    copied = TrainingMatrix(
        np.tile(single.X, (3, 1)),
        single.feature_names,
        *(np.tile(values, 3) for values in (single.y, single.weight, sources)),
        3,
    )
    settings = QUICK[name].changed(subsample=1.0, colsample_bynode=1.0, source_weight=0.5)
    assert row_weights(copied, settings).sum() == pytest.approx(row_weights(single, settings).sum())
    result, expected = (
        raw_prediction(fit_booster(matrix, settings, seed=0), single.X) for matrix in (copied, single)
    )
    assert np.abs(result - expected).mean() < 0.02
    overweighted, _ = (
        raw_prediction(fit_booster(replace(copied, copies=copies), settings, seed=0), single.X)
        for copies in (1, 3)
    )
    assert np.abs(overweighted - expected).mean() > 2 * np.abs(result - expected).mean()
