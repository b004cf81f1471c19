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
def test_the_search_is_repeatable_and_never_ends_above_the_fixed_settings(context, rows):
    chosen = np.ones(len(rows.rows), dtype=bool)
    first = tuning.OptunaTuner(4)(context, PURITY, rows, chosen)
    assert tuning.OptunaTuner(4)(context, PURITY, rows, chosen) == first
    assert first.settings[TargetName.CONDUCTIVITY] == DEFAULT_SETTINGS[TargetName.CONDUCTIVITY]
    found, fixed = (tuning._inner_loss(each, PURITY, rows, chosen) for each in (first, context))
    assert found <= fixed


@pytest.mark.slow
def test_the_search_sees_training_rows_only(context, rows):
    """Spoil what is held out: the settings found must not change."""
    sources = context.pellets[Column.SOURCE].to_numpy()[rows.rows]
    chosen = np.isin(sources, np.unique(sources)[::2])
    spoiled = type(rows)(rows.rows, np.where(chosen, rows.y, 1 - rows.y), rows.weight)
    tuner = tuning.OptunaTuner(3)
    assert tuner(context, PURITY, rows, chosen) == tuner(context, PURITY, spoiled, chosen)


def test_a_leaking_inner_split_stops_the_search(context, rows, monkeypatch):
    monkeypatch.setattr(tuning, "grouped_folds", lambda sources, folds, _seed: np.arange(len(sources)) % folds)
    with pytest.raises(LeakageError, match="are on both sides"):
        tuning.OptunaTuner(1)(context, PURITY, rows, np.ones(len(rows.rows), dtype=bool))
