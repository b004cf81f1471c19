"""One target fitted to pellets that are shown several times, at temperatures nearby."""

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

QUICK = {name: one.changed(rounds=5) for name, one in DEFAULT_SETTINGS.items()}


@pytest.fixture(scope="module")
def context():
    pellets = load_pellets()
    pellets = pellets[pellets["formula"].notna()].reset_index(drop=True).iloc[::3].reset_index(drop=True)
    return recipe_context(pellets, QUICK, seed=0, threads=1)


def answers(context, name):
    rows = training_rows(context.pellets, name)
    fitted = fit_target(context, name, rows, np.ones(len(rows.rows), dtype=bool))
    return fitted.learned(context.features.values)


def test_only_conductivity_is_fitted_to_perturbed_temperatures(context):
    without = replace(context, perturbed=())
    assert len(context.perturbed) > 1
    sigma, density = TargetName.CONDUCTIVITY, TargetName.RELATIVE_DENSITY
    assert (answers(context, sigma) != answers(without, sigma)).any()
    np.testing.assert_array_equal(answers(context, density), answers(without, density))


def test_copies_of_a_pellet_have_the_weight_of_one(context):
    name = TargetName.CONDUCTIVITY
    rows = training_rows(context.pellets, name)
    sources = context.pellets["source"].to_numpy(dtype=object)[rows.rows]
    once = TrainingMatrix(context.features.values[rows.rows], context.features.names, rows.y, rows.weight, sources)
    thrice = TrainingMatrix(
        np.tile(once.X, (3, 1)),
        once.feature_names,
        *(np.tile(one, 3) for one in (once.y, once.weight, sources)),
        3,
    )
    settings = QUICK[name].changed(subsample=1.0, colsample_bynode=1.0, source_weight=0.5)
    assert row_weights(thrice, settings).sum() == pytest.approx(row_weights(once, settings).sum())
    found, expected = (raw_prediction(fit_booster(some, settings, seed=0), once.X) for some in (thrice, once))
    assert np.abs(found - expected).mean() < 0.02
    heavy, _ = (
        raw_prediction(fit_booster(replace(thrice, copies=copies), settings, seed=0), once.X) for copies in (1, 3)
    )
    assert np.abs(heavy - expected).mean() > 2 * np.abs(found - expected).mean()
