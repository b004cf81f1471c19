import dataclasses
import json
import math
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from nasicon_ml.columns import MODEL_INPUT
from nasicon_ml.errors import DatasetError, MissingExtraError, TrackingError
from nasicon_ml.tracking import CHALLENGER, CHAMPION, MODEL_NAME, record, run_training
from nasicon_ml.tracking.store import open_store
from nasicon_ml.workflows.train import TrainingOptions
from tests.tracking.conftest import aliases, set_champion

FIGURES = {
    *(f"plots/{target}_{what}.png" for target in ("conductivity", "relative_density")
      for what in ("parity", "intervals", "coverage", "by_system", "domain", "importance")),
    "plots/phase_purity_reliability.png", "plots/phase_purity_domain.png", "plots/phase_purity_importance.png",
}  # fmt: skip


def score(result, target, subset, model, metric):
    rows = result.scores
    selected = rows[
        (rows["target"] == target)
        & (rows["subset"] == subset)
        & (rows["model"] == model)
        & (rows["metric"] == metric)
    ]
    return selected["value"].item()


def artifact_paths(client, run_id, folder):
    return {item.path for item in client.list_artifacts(run_id, folder)}


# ------------------------------------------------------------------ completed runs


def test_run_is_finished_and_has_options_and_hyperparameters(tracked, client):
    run = client.get_run(tracked.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["folds"] == "2"
    assert run.data.params["exclude_sources"] == "none"
    assert run.data.params["conductivity.rounds"] == "10"
    assert float(run.data.params["conductivity.learning_rate"]) > 0


def test_metrics_of_run_are_the_charted_scores(tracked, client, result):
    metrics = client.get_run(tracked.run_id).data.metrics
    assert {"conductivity.mae_decades", "relative_density.coverage_90", "phase_purity.brier"} <= set(metrics)
    assert set(metrics) <= set(record.CHARTED_METRICS)
    assert metrics == {
        name: pytest.approx(score(result, target, "all", "full", metric), rel=1e-12)
        for name in metrics
        for target, metric in [name.split(".")]
    }
    assert all(math.isfinite(value) for value in metrics.values())


@pytest.mark.parametrize("name", record.CHARTED_METRICS)
def test_charted_metric_is_a_score_of_a_full_training(name, real_scores):
    target, metric = name.split(".")
    overall_scores = real_scores[(real_scores["subset"] == "all") & (real_scores["model"] == "full")]
    assert metric in set(overall_scores.loc[overall_scores["target"] == target, "metric"])


@pytest.mark.parametrize(
    ("options", "dataset", "add", "name"),
    [
        ({}, None, None, "seed 0, 10 folds"),
        ({"seed": 7, "folds": 5, "repeats": 3}, None, None, "seed 7, 5 folds, 3 repeats"),
        ({}, None, "/home/me/Lab.csv", "own pellets of Lab.csv, seed 0, 10 folds"),
        ({"trials": 20}, Path("d/mine.csv"), None, "dataset mine.csv, tuned, 20 trials, seed 0, 10 folds"),
        (
            {"exclude_sources": ("a1", "b2"), "include_suspect": True}, None, None,
            "with suspect pellets, without a1, b2, seed 0, 10 folds",
        ),
        ({"exclude_sources": tuple("abcd")}, None, None, "without 4 sources, seed 0, 10 folds"),
    ],
)  # fmt: skip
def test_run_name_describes_data_and_options(options, dataset, add, name):
    assert record.run_name(TrainingOptions(**options), dataset, add) == name


def test_run_model_version_and_experiment_have_descriptions(tracked, client):
    """The pages of MLflow show names and descriptions of all of these."""
    run = client.get_run(tracked.run_id)
    assert run.info.run_name == "seed 0, 2 folds"
    note = run.data.tags["mlflow.note.content"]
    assert note.startswith("Seed 0, 2 folds.\n")
    (row,) = (line for line in note.splitlines() if line.startswith("| conductivity | mae_decades |"))
    assert row.count("|") == note.splitlines()[4].count("|") == 8
    assert "nan" not in note
    model = client.get_logged_model(tracked.model_id)
    assert (model.name, model.tags["mlflow.note.content"]) == (MODEL_NAME, note)
    assert client.get_model_version(MODEL_NAME, tracked.version).description == note
    assert "@champion" in client.get_registered_model(MODEL_NAME).description
    tags = client.get_experiment(run.info.experiment_id).tags
    assert tags["mlflow.experimentKind"] == "custom_model_development"
    assert "nasicon-ml" in tags["mlflow.note.content"]


def test_dataset_is_logged_as_input_with_checksum(tracked, client, result, small_dataset):
    (dataset_input,) = client.get_run(tracked.run_id).inputs.dataset_inputs
    assert (dataset_input.dataset.name, dataset_input.dataset.digest) == ("small", result.dataset_sha256[:36])
    assert json.loads(dataset_input.dataset.profile)["sha256"] == result.dataset_sha256
    assert json.loads(dataset_input.dataset.source) == {"uri": small_dataset.as_uri()}
    columns = {column["name"] for column in json.loads(dataset_input.dataset.schema)["mlflow_colspec"]}
    assert set(MODEL_INPUT) <= columns


def test_tags_of_run_have_dataset_checksum_commit_and_protocol(tracked, client, result):
    tags = client.get_run(tracked.run_id).data.tags
    assert tags["dataset_sha256"] == result.dataset_sha256
    assert tags["protocol"] == "2-fold cross-validation by source, seed 0, fixed settings, without suspect pellets"
    assert tags["nasicon_ml_version"][0].isdigit()
    root = Path(__file__).parents[2]
    # The latest commit, or one before it if somebody committed since the training.
    subprocess.run(["git", "-C", root, "merge-base", "--is-ancestor", tags["git_commit"], "HEAD"], check=True)


@pytest.mark.parametrize("name", ["scores", "out_of_fold", "folds", "importance"])
def test_logged_tables_equal_the_result(name, tracked, client, result):
    expected = getattr(result, name)
    experiment = client.get_run(tracked.run_id).info.experiment_id
    table = client.load_table(experiment, f"tables/{name}.json", run_ids=[tracked.run_id])
    assert list(table.columns) == [str(column) for column in expected.columns]
    assert len(table) == len(expected)
    numbers = expected.select_dtypes("number").columns
    assert table[numbers].to_numpy(float) == pytest.approx(
        expected[numbers].to_numpy(float), abs=1e-9, nan_ok=True
    )


def test_fold_scores_and_trials_are_logged_as_tables(tracked, client, result):
    experiment = client.get_run(tracked.run_id).info.experiment_id
    fold_scores = client.load_table(experiment, "tables/fold_scores.json", run_ids=[tracked.run_id])
    assert fold_scores.groupby("target")["fold"].apply(set).map(len).to_dict()["conductivity"] == 2
    by_fold = fold_scores[fold_scores["target"] == "conductivity"]
    overall = score(result, "conductivity", "all", "full", "mae_decades")
    assert (by_fold["full"] * by_fold["pellets"]).sum() / by_fold["pellets"].sum() == pytest.approx(overall)
    assert "tables/trials.json" not in artifact_paths(client, tracked.run_id, "tables")
    with open_store(tracked.tracking_uri) as store:
        run = store.client.create_run(experiment).info.run_id
        record.log_tables(store, run, dataclasses.replace(result, trials=pd.DataFrame({"trial": [0]})))
        assert "tables/trials.json" in artifact_paths(store.client, run, "tables")


def test_all_figures_are_logged(tracked, client):
    assert artifact_paths(client, tracked.run_id, "plots") == FIGURES


def test_logged_bundle_equals_the_saved_bundle(tracked, client, result, tmp_path):
    result.model.save(tmp_path / "expected")
    logged = Path(client.download_artifacts(tracked.run_id, "bundle", str(tmp_path)))
    assert {path.name: path.read_bytes() for path in logged.iterdir()} == {
        path.name: path.read_bytes() for path in (tmp_path / "expected").iterdir()
    }


def test_logged_model_is_ready_and_has_the_scores(tracked, client, result):
    model = client.get_logged_model(tracked.model_id)
    assert (str(model.status), model.source_run_id) == ("READY", tracked.run_id)
    metrics = {metric.key: metric for metric in model.metrics}
    assert metrics["conductivity.mae_decades"].dataset_digest == result.dataset_sha256[:36]
    assert len(metrics) == len(client.get_run(tracked.run_id).data.metrics)


def test_version_is_challenger_with_dataset_protocol_and_scores(tracked, client, result):
    assert tracked.version == "1"
    version = client.get_model_version_by_alias(MODEL_NAME, CHALLENGER)
    assert (str(version.version), version.run_id, version.status) == ("1", tracked.run_id, "READY")
    assert version.tags["dataset_sha256"] == result.dataset_sha256
    assert version.tags["protocol"].startswith("2-fold")
    assert float(version.tags["conductivity.mae_decades"]) == pytest.approx(
        score(result, "conductivity", "all", "full", "mae_decades"), rel=1e-3
    )


def test_progress_rises_from_zero_to_one(store_folder, instant_training):
    calls = []
    run_training(progress=lambda message, fraction: calls.append((message, fraction)), register=False)
    fractions = [fraction for _, fraction in calls]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert "recording the model" in dict(calls)


@pytest.mark.slow
def test_training_replaces_the_challenger_and_not_the_champion(store_folder, instant_training):
    assert run_training().version == "1"
    assert aliases() == {CHALLENGER: "1"}
    set_champion("1")
    assert run_training().version == "2"
    assert aliases() == {CHALLENGER: "2", CHAMPION: "1"}


def test_run_without_registration_creates_no_registered_model(store_folder, instant_training):
    run = run_training(register=False, experiment="lab")
    assert (run.version, run.experiment) == (None, "lab")
    with open_store() as store:
        assert store.client.get_run(run.run_id).info.status == "FINISHED"
        assert store.client.search_registered_models() == []


@pytest.mark.slow
def test_artifacts_are_stored_beside_the_database(store_folder, tmp_path_factory, instant_training):
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "runs.db").write_bytes((store_folder / "mlflow.db").read_bytes())
    run_training(tracking_uri=f"sqlite:///{folder}/runs.db", register=False)
    assert (folder / "mlartifacts").is_dir()
    assert sorted(path.name for path in store_folder.iterdir()) == ["mlflow.db"]


def test_active_run_of_the_user_is_not_changed(store_folder, instant_training):
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{store_folder}/mlflow.db")
    try:
        with mlflow.start_run() as user_run:
            run = run_training(register=False)
            assert mlflow.active_run().info.run_id == user_run.info.run_id
        with open_store() as store:
            assert store.client.get_run(user_run.info.run_id).data.metrics == {}
            assert store.client.get_logged_model(run.model_id).source_run_id == run.run_id
    finally:
        mlflow.set_tracking_uri(None)


def test_run_training_prints_nothing(store_folder, instant_training, capfd):
    run_training()
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


# ------------------------------------------------------------------ failed and interrupted runs


def describe_only_run():
    """Return status and tags of the only run in the store, and the numbers of versions and registered models."""
    with open_store() as store:
        experiments = [experiment.experiment_id for experiment in store.client.search_experiments()]
        (run,) = store.client.search_runs(experiments)
        versions = store.client.search_model_versions("")
        return run.info.status, run.data.tags, len(versions), len(store.client.search_registered_models())


def raising(error):
    def function(*args, **kwargs):
        raise error

    return function


def raising_once(error, function):
    pending = [error]

    def wrapper(*args, **kwargs):
        if pending:
            raise pending.pop()
        return function(*args, **kwargs)

    return wrapper


FAULT, CTRL_C = (RuntimeError("a fault"), "FAILED"), (KeyboardInterrupt(), "KILLED")
TRAINING = "nasicon_ml.tracking.runs.train"
FAILING_CALLS = [
    TRAINING,
    "nasicon_ml.tracking.record.log_dataset",
    "nasicon_ml.tracking.record.log_tables",
    "nasicon_ml.tracking.record.figures",
    "mlflow.pyfunc.save_model",
    "nasicon_ml.tracking.record._log_metrics",
    "mlflow.MlflowClient.create_model_version",
]


TESTED_WITH_BOTH = {TRAINING, "mlflow.pyfunc.save_model", "mlflow.MlflowClient.create_model_version"}
FAILURES = [
    (TRAINING, DatasetError("the dataset is broken"), "FAILED"),
    (TRAINING, SystemExit(143), "KILLED"),
    *((call, *(FAULT, CTRL_C)[number % 2]) for number, call in enumerate(FAILING_CALLS)),
    *(
        (call, *(CTRL_C, FAULT)[number % 2])
        for number, call in enumerate(FAILING_CALLS)
        if call in TESTED_WITH_BOTH
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("call", "error", "status"), FAILURES, ids=repr)
def test_failure_ends_the_run_and_registers_nothing(
    call, error, status, store_folder, instant_training, monkeypatch
):
    monkeypatch.setattr(call, raising(error))
    with pytest.raises(type(error)):
        run_training()
    actual_status, tags, versions, models = describe_only_run()
    assert (actual_status, versions, models) == (status, 0, 0)
    assert tags["ended_by"].startswith(type(error).__name__)


@pytest.mark.slow
@pytest.mark.parametrize("step", ["set_logged_model_tags", "set_registered_model_alias"])
@pytest.mark.parametrize(("error", "status"), [FAULT, CTRL_C])
def test_interrupted_registration_is_undone(step, error, status, store_folder, instant_training, monkeypatch):
    import mlflow

    monkeypatch.setattr(mlflow.MlflowClient, step, raising_once(error, getattr(mlflow.MlflowClient, step)))
    with pytest.raises(type(error)):
        run_training()
    assert describe_only_run()[0] == status
    assert describe_only_run()[2:] == (0, 0)


@pytest.mark.slow
def test_undoing_a_registration_keeps_versions_of_other_runs(store_folder, instant_training, monkeypatch):
    set_champion(run_training().version)
    with monkeypatch.context() as patch:
        patch.setattr("mlflow.MlflowClient.set_logged_model_tags", raising(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            run_training()
    with open_store() as store:
        assert [version.version for version in store.client.search_model_versions("")] == [1]
        assert str(store.client.get_registered_model(MODEL_NAME).aliases[CHAMPION]) == "1"


def test_incompletely_logged_model_is_marked_as_failed(store_folder, instant_training, monkeypatch):
    monkeypatch.setattr("mlflow.pyfunc.save_model", raising(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        run_training()
    with open_store() as store:
        experiment = store.client.get_experiment_by_name("nasicon-ml")
        (model,) = store.client.search_logged_models([experiment.experiment_id])
        assert str(model.status) == "FAILED"


def test_mlflow_error_is_translated_and_run_is_marked_as_failed(store_folder, instant_training, monkeypatch):
    from mlflow.exceptions import MlflowException

    monkeypatch.setattr("mlflow.MlflowClient.log_inputs", raising(MlflowException("no room left")))
    with pytest.raises(TrackingError, match=r"mlflow\.db: no room left"):
        run_training()
    assert describe_only_run()[0] == "FAILED"


def test_missing_matplotlib_raises_before_training(store_folder, monkeypatch):
    monkeypatch.setattr("nasicon_ml.tracking.runs.train", raising(AssertionError("trained")))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match="matplotlib"):
        run_training()


ENDLESS_TRAINING = """
import time
import nasicon_ml.tracking.runs as runs
def train(options, *, dataset, add, progress):
    print("training", flush=True)
    while True:
        time.sleep(0.05)
runs.train = train
runs.run_training()
"""


@pytest.mark.slow
@pytest.mark.parametrize("ignored", [False, True], ids=["SIGINT not ignored", "SIGINT ignored"])
@pytest.mark.parametrize(("signal_number", "code"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143)])
def test_signal_ends_the_run_as_killed(signal_number, code, ignored, store_folder):
    # nohup and background jobs of scripts ignore SIGINT: the program still ignores it, and SIGTERM stops it.
    start = ["sh", "-c", f"""trap {"''" if ignored else "-"} INT; exec "$0" -c "$1" """]
    with subprocess.Popen(
        [*start, sys.executable, ENDLESS_TRAINING], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        try:
            assert program.stdout.readline() == "training\n"
            program.send_signal(signal_number)
            if ignored and signal_number == signal.SIGINT:
                with pytest.raises(subprocess.TimeoutExpired):
                    program.wait(0.5)
                program.terminate()
                code = 143
            program.communicate(timeout=240)
        finally:
            program.kill()
    assert program.returncode == code
    assert describe_only_run()[0] == "KILLED"
    assert describe_only_run()[2:] == (0, 0)


def test_protocol_contains_all_options():
    from nasicon_ml.bundle.card import protocol

    options = TrainingOptions(
        folds=5, repeats=3, seed=7, trials=20, include_suspect=True, exclude_sources=("raj2023",)
    )
    assert protocol(options.recorded()) == (
        "5-fold cross-validation by source, dealt 3 times, seed 7, settings tuned in each fold by 20 trials, "
        "with suspect pellets, without raj2023"
    )
