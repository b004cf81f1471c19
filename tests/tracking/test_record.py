"""The settings of a run are those that were used, also where XGBoost does not know them."""

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from nasicon_ml.estimators.boosting import DEFAULT_SETTINGS, MIXED_ROBUST
from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.tracking import record
from nasicon_ml.tracking import store as stores


@pytest.mark.parametrize("target", list(DEFAULT_SETTINGS))
def test_every_setting_is_a_parameter_and_the_objective_is_the_one_used(target, tracked, client):
    """XGBoost itself would call an objective of this package's own reg:squarederror."""
    params = client.get_run(tracked.run_id).data.params
    recorded = {name: params[f"{target}.{name}"] for name in dataclasses.asdict(DEFAULT_SETTINGS[target])}
    settings = dataclasses.asdict(DEFAULT_SETTINGS[target].changed(rounds=10))
    directions, ignored = settings.pop("monotone"), settings.pop("ignored")
    assert recorded.pop("monotone") == (", ".join(f"{name} {way:+d}" for name, way in directions) or "none")
    assert recorded.pop("ignored") == (", ".join(ignored) or "none")
    assert recorded.pop("objective") == settings.pop("objective")
    assert {name: float(value) for name, value in recorded.items()} == settings


def test_settings_that_a_search_changed_are_those_of_the_trees(result):
    name = TargetName.CONDUCTIVITY
    tuned = result.settings[name].changed(learning_rate=0.011, max_depth=7, rounds=3)
    params = record.hyperparameters(dataclasses.replace(result, settings=result.settings | {name: tuned}))
    shown = {
        name: params[f"conductivity.{name}"] for name in ("learning_rate", "max_depth", "rounds", "objective")
    }
    assert shown == {"learning_rate": "0.011", "max_depth": "7", "rounds": "3", "objective": MIXED_ROBUST}


def test_several_runs_that_name_a_new_dataset_at_once_all_have_it(result, workplace):
    together = 4
    barrier = threading.Barrier(together)

    def log(store, run_id, of):
        barrier.wait()
        record.log_dataset(store, run_id, of)

    with stores.open_store() as store, ThreadPoolExecutor(together) as pool:
        experiment = store.experiment_id("together")
        for number in range(5):
            of = dataclasses.replace(result, dataset_sha256=f"{number}" * 64)
            runs = [store.client.create_run(experiment).info.run_id for _ in range(together)]
            for logged in [pool.submit(log, store, run_id, of) for run_id in runs]:
                logged.result()
            for run_id in runs:
                (named,) = store.client.get_run(run_id).inputs.dataset_inputs
                assert of.dataset_sha256.startswith(named.dataset.digest)
