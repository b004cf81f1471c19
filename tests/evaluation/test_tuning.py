import numpy as np
import pytest

from nasicon_ml.columns import Column
from nasicon_ml.data.load import load_pellets
from nasicon_ml.errors import LeakageError
from nasicon_ml.estimators.boosting import DEFAULT_SETTINGS
from nasicon_ml.estimators.fitting import FitContext
from nasicon_ml.estimators.targets import TargetName, training_rows
from nasicon_ml.evaluation import tuning
from nasicon_ml.features.build import build_features

PURITY = TargetName.PHASE_PURITY


@pytest.fixture(scope="module")
def context():
    pellets = load_pellets()
    sources = np.unique(pellets[Column.SOURCE].astype(str))[::4]
    pellets = pellets[pellets[Column.SOURCE].isin(sources)].reset_index(drop=True)
    return FitContext(pellets, build_features(pellets), DEFAULT_SETTINGS, seed=0, threads=1)


@pytest.fixture(scope="module")
def rows(context):
    return training_rows(context.pellets, PURITY)


@pytest.mark.slow
def test_search_is_deterministic_and_never_worse_than_the_default_settings(context, rows):
    chosen = np.ones(len(rows.rows), dtype=bool)
    tuned = tuning.OptunaTuner(4)(context, PURITY, rows, chosen)
    assert tuning.OptunaTuner(4)(context, PURITY, rows, chosen) == tuned
    assert tuned.settings[TargetName.CONDUCTIVITY] == DEFAULT_SETTINGS[TargetName.CONDUCTIVITY]
    tuned_loss, default_loss = (tuning._inner_loss(each, PURITY, rows, chosen) for each in (tuned, context))
    assert tuned_loss <= default_loss


@pytest.mark.slow
def test_search_does_not_depend_on_held_out_values(context, rows):
    """Altered held-out values must not change the settings that are found."""
    sources = context.pellets[Column.SOURCE].to_numpy()[rows.rows]
    chosen = np.isin(sources, np.unique(sources)[::2])
    altered = type(rows)(rows.rows, np.where(chosen, rows.y, 1 - rows.y), rows.weight)
    tuner = tuning.OptunaTuner(3)
    assert tuner(context, PURITY, rows, chosen) == tuner(context, PURITY, altered, chosen)


def test_search_with_a_leaking_inner_split_raises(context, rows, monkeypatch):
    monkeypatch.setattr(tuning, "grouped_folds", lambda sources, folds, _seed: np.arange(len(sources)) % folds)
    with pytest.raises(LeakageError, match="are on both sides"):
        tuning.OptunaTuner(1)(context, PURITY, rows, np.ones(len(rows.rows), dtype=bool))
