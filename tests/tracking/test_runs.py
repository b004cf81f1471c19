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
from tests.tracking.conftest import aliases, crown

FIGURES = {
    *(f"plots/{target}_{what}.png" for target in ("conductivity", "relative_density")
      for what in ("parity", "intervals", "coverage", "by_system", "domain", "importance")),
    "plots/phase_purity_reliability.png", "plots/phase_purity_domain.png", "plots/phase_purity_importance.png",
}  # fmt: skip


def score(result, target, subset, model, metric):
    rows = result.scores
    chosen = rows[
        (rows["target"] == target)
        & (rows["subset"] == subset)
        & (rows["model"] == model)
        & (rows["metric"] == metric)
    ]
    return chosen["value"].item()


def files(client, run_id, folder):
    return {item.path for item in client.list_artifacts(run_id, folder)}


# ------------------------------------------------------------------ what a good run leaves


def test_a_run_is_finished_and_has_its_options_and_hyperparameters(tracked, client):
    run = client.get_run(tracked.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["folds"] == "2"
    assert run.data.params["exclude_sources"] == "none"
    assert run.data.params["conductivity.rounds"] == "10"
    assert float(run.data.params["conductivity.learning_rate"]) > 0


def test_metrics_are_a_dozen_scores_and_the_table_has_all(tracked, client, result):
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
def test_every_headline_is_a_score_that_a_full_training_has(name, real_scores):
    target, metric = name.split(".")
    chosen = real_scores[(real_scores["subset"] == "all") & (real_scores["model"] == "full")]
    assert metric in set(chosen.loc[chosen["target"] == target, "metric"])


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
def test_a_run_is_named_after_what_is_done(options, dataset, add, name):
    assert record.run_name(TrainingOptions(**options), dataset, add) == name


def test_pages_of_mlflow_say_what_they_show(tracked, client):
    """Experiment, run, logged model, registered model and version are named and described."""
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


def test_the_dataset_is_an_input_with_its_checksum(tracked, client, result, small_dataset):
    (given,) = client.get_run(tracked.run_id).inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("small", result.dataset_sha256[:36])
    assert json.loads(given.dataset.profile)["sha256"] == result.dataset_sha256
    assert json.loads(given.dataset.source) == {"uri": small_dataset.as_uri()}
    columns = {column["name"] for column in json.loads(given.dataset.schema)["mlflow_colspec"]}
    assert set(MODEL_INPUT) <= columns


def test_tags_say_which_data_code_and_protocol(tracked, client, result):
    tags = client.get_run(tracked.run_id).data.tags
    assert tags["dataset_sha256"] == result.dataset_sha256
    assert tags["protocol"] == "2-fold cross-validation by source, seed 0, fixed settings, without suspect pellets"
    assert tags["nasicon_ml_version"][0].isdigit()
    root = Path(__file__).parents[2]
    commit = subprocess.run(
        ["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert len(tags["git_commit"]) == len(commit) == 40


@pytest.mark.parametrize("name", ["scores", "out_of_fold", "folds", "importance"])
def test_tables_can_be_read_back_whole(name, tracked, client, result):
    expected = getattr(result, name)
    experiment = client.get_run(tracked.run_id).info.experiment_id
    found = client.load_table(experiment, f"tables/{name}.json", run_ids=[tracked.run_id])
    assert list(found.columns) == [str(column) for column in expected.columns]
    assert len(found) == len(expected)
    numbers = expected.select_dtypes("number").columns
    assert found[numbers].to_numpy(float) == pytest.approx(
        expected[numbers].to_numpy(float), abs=1e-9, nan_ok=True
    )


def test_folds_and_trials_are_tables(tracked, client, result):
    experiment = client.get_run(tracked.run_id).info.experiment_id
    found = client.load_table(experiment, "tables/fold_scores.json", run_ids=[tracked.run_id])
    assert found.groupby("target")["fold"].apply(set).map(len).to_dict()["conductivity"] == 2
    part = found[found["target"] == "conductivity"]
    whole = score(result, "conductivity", "all", "full", "mae_decades")
    assert (part["full"] * part["pellets"]).sum() / part["pellets"].sum() == pytest.approx(whole)
    assert "tables/trials.json" not in files(client, tracked.run_id, "tables")
    with open_store(tracked.tracking_uri) as store:
        run = store.client.create_run(experiment).info.run_id
        record.log_tables(store, run, dataclasses.replace(result, trials=pd.DataFrame({"trial": [0]})))
        assert "tables/trials.json" in files(store.client, run, "tables")


def test_every_figure_is_there(tracked, client):
    assert files(client, tracked.run_id, "plots") == FIGURES


def test_the_bundle_is_the_one_the_model_saves(tracked, client, result, tmp_path):
    result.model.save(tmp_path / "expected")
    found = Path(client.download_artifacts(tracked.run_id, "bundle", str(tmp_path)))
    assert {p.name: p.read_bytes() for p in found.iterdir()} == {
        p.name: p.read_bytes() for p in (tmp_path / "expected").iterdir()
    }


def test_the_logged_model_is_ready_and_carries_the_scores(tracked, client, result):
    model = client.get_logged_model(tracked.model_id)
    assert (str(model.status), model.source_run_id) == ("READY", tracked.run_id)
    metrics = {metric.key: metric for metric in model.metrics}
    assert metrics["conductivity.mae_decades"].dataset_digest == result.dataset_sha256[:36]
    assert len(metrics) == len(client.get_run(tracked.run_id).data.metrics)


def test_the_version_is_challenger_and_says_what_it_is(tracked, client, result):
    assert tracked.version == "1"
    version = client.get_model_version_by_alias(MODEL_NAME, CHALLENGER)
    assert (str(version.version), version.run_id, version.status) == ("1", tracked.run_id, "READY")
    assert version.tags["dataset_sha256"] == result.dataset_sha256
    assert version.tags["protocol"].startswith("2-fold")
    assert float(version.tags["conductivity.mae_decades"]) == pytest.approx(
        score(result, "conductivity", "all", "full", "mae_decades"), rel=1e-3
    )


def test_progress_only_rises_and_ends_at_one(workplace, instant_training):
    seen = []
    run_training(progress=lambda message, share: seen.append((message, share)), register=False)
    shares = [share for _, share in seen]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert "recording the model" in dict(seen)


@pytest.mark.slow
def test_a_training_makes_challengers_and_never_a_champion(workplace, instant_training):
    assert run_training().version == "1"
    assert aliases() == {CHALLENGER: "1"}
    crown("1")
    assert run_training().version == "2"
    assert aliases() == {CHALLENGER: "2", CHAMPION: "1"}


def test_without_registering_there_is_a_run_and_no_model(workplace, instant_training):
    run = run_training(register=False, experiment="lab")
    assert (run.version, run.experiment) == (None, "lab")
    with open_store() as store:
        assert store.client.get_run(run.run_id).info.status == "FINISHED"
        assert store.client.search_registered_models() == []


@pytest.mark.slow
def test_artifacts_lie_beside_the_database_wherever_one_works(workplace, tmp_path_factory, instant_training):
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "runs.db").write_bytes((workplace / "mlflow.db").read_bytes())
    run_training(tracking_uri=f"sqlite:///{folder}/runs.db", register=False)
    assert (folder / "mlartifacts").is_dir()
    assert sorted(path.name for path in workplace.iterdir()) == ["mlflow.db"]


def test_an_active_run_of_the_user_is_left_alone(workplace, instant_training):
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{workplace}/mlflow.db")
    try:
        with mlflow.start_run() as own:
            run = run_training(register=False)
            assert mlflow.active_run().info.run_id == own.info.run_id
        with open_store() as store:
            assert store.client.get_run(own.info.run_id).data.metrics == {}
            assert store.client.get_logged_model(run.model_id).source_run_id == run.run_id
    finally:
        mlflow.set_tracking_uri(None)


def test_the_terminal_stays_free_of_mlflows_notes(workplace, instant_training, capfd):
    run_training()
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


# ------------------------------------------------------------------ what a bad run leaves


def only_run():
    """The status and tags of the only run in the store, and the number of versions and models."""
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
PLACES = [
    TRAINING,
    "nasicon_ml.tracking.record.log_dataset",
    "nasicon_ml.tracking.record.log_tables",
    "nasicon_ml.tracking.record.figures",
    "mlflow.pyfunc.save_model",
    "nasicon_ml.tracking.record._log_metrics",
    "mlflow.MlflowClient.create_model_version",
]


BOTH_WAYS = {TRAINING, "mlflow.pyfunc.save_model", "mlflow.MlflowClient.create_model_version"}
ENDINGS = [
    (TRAINING, DatasetError("the dataset is broken"), "FAILED"),
    (TRAINING, SystemExit(143), "KILLED"),
    *((place, *(FAULT, CTRL_C)[number % 2]) for number, place in enumerate(PLACES)),
    *((place, *(CTRL_C, FAULT)[number % 2]) for number, place in enumerate(PLACES) if place in BOTH_WAYS),
]


@pytest.mark.slow
@pytest.mark.parametrize(("place", "error", "status"), ENDINGS, ids=repr)
def test_whatever_goes_wrong_the_run_is_ended_and_nothing_registered(
    place, error, status, workplace, instant_training, monkeypatch
):
    monkeypatch.setattr(place, raising(error))
    with pytest.raises(type(error)):
        run_training()
    found, tags, versions, models = only_run()
    assert (found, versions, models) == (status, 0, 0)
    assert tags["ended_by"].startswith(type(error).__name__)


@pytest.mark.slow
@pytest.mark.parametrize("step", ["set_logged_model_tags", "set_registered_model_alias"])
@pytest.mark.parametrize(("error", "status"), [FAULT, CTRL_C])
def test_a_registration_that_is_cut_short_is_taken_back(
    step, error, status, workplace, instant_training, monkeypatch
):
    import mlflow

    monkeypatch.setattr(mlflow.MlflowClient, step, raising_once(error, getattr(mlflow.MlflowClient, step)))
    with pytest.raises(type(error)):
        run_training()
    assert only_run()[0] == status
    assert only_run()[2:] == (0, 0)


@pytest.mark.slow
def test_taking_back_spares_the_versions_of_other_runs(workplace, instant_training, monkeypatch):
    crown(run_training().version)
    with monkeypatch.context() as patch:
        patch.setattr("mlflow.MlflowClient.set_logged_model_tags", raising(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            run_training()
    with open_store() as store:
        assert [version.version for version in store.client.search_model_versions("")] == [1]
        assert str(store.client.get_registered_model(MODEL_NAME).aliases[CHAMPION]) == "1"


def test_a_model_that_was_not_logged_to_the_end_is_marked(workplace, instant_training, monkeypatch):
    monkeypatch.setattr("mlflow.pyfunc.save_model", raising(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        run_training()
    with open_store() as store:
        experiment = store.client.get_experiment_by_name("nasicon-ml")
        (model,) = store.client.search_logged_models([experiment.experiment_id])
        assert str(model.status) == "FAILED"


def test_an_error_of_mlflow_is_a_sentence_and_the_run_failed(workplace, instant_training, monkeypatch):
    from mlflow.exceptions import MlflowException

    monkeypatch.setattr("mlflow.MlflowClient.log_inputs", raising(MlflowException("no room left")))
    with pytest.raises(TrackingError, match=r"mlflow\.db: no room left"):
        run_training()
    assert only_run()[0] == "FAILED"


def test_missing_matplotlib_is_said_before_training(workplace, monkeypatch):
    monkeypatch.setattr("nasicon_ml.tracking.runs.train", raising(AssertionError("trained")))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match="matplotlib"):
        run_training()


STOPPED = """
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
@pytest.mark.parametrize("ignored", [False, True], ids=["", "SIGINT ignored"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143)])
def test_a_stopped_program_leaves_a_killed_run(number, code, ignored, workplace):
    # A script's background and nohup ignore SIGINT: it stays so, and SIGTERM stops the program.
    start = ["sh", "-c", f"""trap {"''" if ignored else "-"} INT; exec "$0" -c "$1" """]
    with subprocess.Popen(
        [*start, sys.executable, STOPPED], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        try:
            assert program.stdout.readline() == "training\n"
            program.send_signal(number)
            if ignored and number == signal.SIGINT:
                with pytest.raises(subprocess.TimeoutExpired):
                    program.wait(0.5)
                program.terminate()
                code = 143
            program.communicate(timeout=240)
        finally:
            program.kill()
    assert program.returncode == code
    assert only_run()[0] == "KILLED"
    assert only_run()[2:] == (0, 0)


def test_options_appear_in_the_protocol():
    from nasicon_ml.bundle.card import protocol

    options = TrainingOptions(
        folds=5, repeats=3, seed=7, trials=20, include_suspect=True, exclude_sources=("raj2023",)
    )
    assert protocol(options.recorded()) == (
        "5-fold cross-validation by source, dealt 3 times, seed 7, settings tuned in each fold by 20 trials, "
        "with suspect pellets, without raj2023"
    )
