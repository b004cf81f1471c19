"""Hyperparameters and datasets of recorded runs."""

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from nasicon_ml.estimators.boosting import DEFAULT_SETTINGS, MIXED_ROBUST
from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.tracking import record
from nasicon_ml.tracking import store as stores


@pytest.mark.parametrize("target", list(DEFAULT_SETTINGS))
def test_all_settings_are_recorded_with_the_objective_used(target, tracked, client):
    """XGBoost itself would report a custom objective of this package as reg:squarederror."""
    params = client.get_run(tracked.run_id).data.params
    recorded = {name: params[f"{target}.{name}"] for name in dataclasses.asdict(DEFAULT_SETTINGS[target])}
    settings = dataclasses.asdict(DEFAULT_SETTINGS[target].changed(rounds=10))
    directions, ignored = settings.pop("monotone"), settings.pop("ignored")
    assert recorded.pop("monotone") == (", ".join(f"{name} {sign:+d}" for name, sign in directions) or "none")
    assert recorded.pop("ignored") == (", ".join(ignored) or "none")
    assert recorded.pop("objective") == settings.pop("objective")
    assert {name: float(value) for name, value in recorded.items()} == settings


def test_tuned_settings_are_recorded(result):
    name = TargetName.CONDUCTIVITY
    tuned = result.settings[name].changed(learning_rate=0.011, max_depth=7, rounds=3)
    params = record.hyperparameters(dataclasses.replace(result, settings=result.settings | {name: tuned}))
    recorded = {
        name: params[f"conductivity.{name}"] for name in ("learning_rate", "max_depth", "rounds", "objective")
    }
    assert recorded == {"learning_rate": "0.011", "max_depth": "7", "rounds": "3", "objective": MIXED_ROBUST}


def test_concurrent_runs_can_log_the_same_new_dataset(result, store_folder):
    n_runs = 4
    barrier = threading.Barrier(n_runs)

    def log(store, run_id, changed):
        barrier.wait()
        record.log_dataset(store, run_id, changed)

    with stores.open_store() as store, ThreadPoolExecutor(n_runs) as pool:
        experiment = store.experiment_id("concurrent")
        for number in range(5):
            changed = dataclasses.replace(result, dataset_sha256=f"{number}" * 64)
            runs = [store.client.create_run(experiment).info.run_id for _ in range(n_runs)]
            for future in [pool.submit(log, store, run_id, changed) for run_id in runs]:
                future.result()
            for run_id in runs:
                (dataset_input,) = store.client.get_run(run_id).inputs.dataset_inputs
                assert changed.dataset_sha256.startswith(dataset_input.dataset.digest)
