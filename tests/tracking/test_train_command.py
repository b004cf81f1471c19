"""The verb `train` of the command line."""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pandas as pd
import pytest

from nasicon_ml.cli.main import main
from nasicon_ml.cli.render import score_report
from nasicon_ml.model import PropertyModel
from nasicon_ml.tracking import load_bundle
from nasicon_ml.tracking.store import sqlite_path
from nasicon_ml.workflows.train import TrainingOptions
from tests.tracking.conftest import train_returning


@pytest.fixture
def untracked(monkeypatch, result):
    """Replace training without tracking by a function that returns `result`; return the arguments of its call."""
    arguments = {}

    def train(options, *, dataset=None, progress=None):
        arguments.update(options=options, dataset=dataset)
        return train_returning(result)(options, dataset=dataset, progress=progress)

    monkeypatch.setattr("nasicon_ml.workflows.train.train", train)
    return arguments


def test_train_prints_scores_version_store_and_plots(store_folder, instant_training, capsys):
    assert main(["train"]) == 0
    out, err = capsys.readouterr()
    assert "Conductivity near room temperature: " in out
    assert "whole recipe   composition        median" in out
    assert "version  1 of nasicon-recipe, now challenger: models:/nasicon-recipe/1" in out
    assert f"store    sqlite:///{store_folder}/mlflow.db" in out
    plots = Path(re.search(r"^plots    (.*)$", out, flags=re.MULTILINE).group(1))
    assert plots.is_relative_to(store_folder / "mlartifacts")
    assert [path.suffix for path in plots.iterdir()] == [".png"]
    assert (
        "look     MLFLOW_DISABLE_TELEMETRY=true mlflow ui   (then open http://127.0.0.1:5000/#/experiments/1?"
        in out
    )
    assert "opening the store" in err
    assert "\x1b" not in out + err


def test_json_output_has_run_dataset_and_scores(store_folder, instant_training, capsys, result):
    assert main(["train", "--json", "--experiment", "lab", "--no-register"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["schema"] == "nasicon-ml/training/1"
    assert (content["run"]["experiment"], content["run"]["version"]) == ("lab", None)
    assert content["run"]["tracking_uri"] == f"sqlite:///{store_folder}/mlflow.db"
    assert content["rows_used"] == result.rows_used
    assert content["dataset"]["sha256"] == result.dataset_sha256
    pd.testing.assert_frame_equal(pd.DataFrame(content["scores"]), result.scores, check_dtype=False)


def test_options_are_passed_to_the_training(tmp_path, monkeypatch, untracked):
    monkeypatch.chdir(tmp_path)
    arguments = (
        "train --no-track --dataset d.csv --folds 5 --repeats 2 --seed 3 --trials 4 --include-suspect "
        "--exclude-source raj2023 --exclude-source other --threads 1"
    )
    assert main(arguments.split()) == 0
    assert untracked["dataset"] == "d.csv"
    assert untracked["options"] == TrainingOptions(
        folds=5, repeats=2, seed=3, trials=4, include_suspect=True, exclude_sources=("raj2023", "other"), threads=1
    )


def test_no_track_saves_the_bundle_without_mlflow(tmp_path, monkeypatch, untracked, capsys, result):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    assert main(["train", "--no-track", "--bundle", "out/model"]) == 0
    assert "bundle   out/model   (nasicon-ml predict --model out/model)" in capsys.readouterr().out
    assert PropertyModel.load("out/model").metadata.dataset_sha256 == result.dataset_sha256
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_error_for_missing_mlflow_names_the_extra_and_no_track(tmp_path, monkeypatch, untracked, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    assert main(["train"]) == 2
    error = capsys.readouterr().err
    assert "pip install 'nasicon-ml[tracking]'" in error
    assert "--no-track" in error
    assert untracked == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--no-track", "--experiment", "lab"], "--no-track records nothing"),
        (["--folds", "1"], "--folds"),
        (["--seed", "-1"], "--seed"),
        (["--bundle", "taken"], "taken exists and is not a model bundle"),
        (["--tracking-uri", "http://127.0.0.1:9"], "cannot be reached"),
        (["--dataset", "missing.csv"], "missing.csv"),
        (["--exclude-source", "raj2032"], "Did you mean 'raj2023'"),
    ],
)
def test_invalid_call_exits_with_code_2_and_message(arguments, message, store_folder, capsys):
    (store_folder / "taken").mkdir()
    (store_folder / "taken" / "thesis.tex").write_text("important")
    assert main(["train", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert "Traceback" not in err
    assert (store_folder / "taken" / "thesis.tex").read_text() == "important"


def test_ctrl_c_exits_with_code_130(store_folder, monkeypatch, capsys):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("nasicon_ml.tracking.runs.train", interrupted)
    assert main(["train"]) == 130
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        (
            "sqlite:////somewhere/else.db",
            "MLFLOW_DISABLE_TELEMETRY=true mlflow ui --backend-store-uri sqlite:////somewhere/else.db",
        ),
        ("https://mlflow.example.org", "open https://mlflow.example.org/#/page in a browser"),
    ],
)
def test_describe_viewing_depends_on_the_store(uri, expected):
    from nasicon_ml.cli.train import _describe_viewing

    assert _describe_viewing(uri, "#/page").startswith(expected)


def test_viewing_command_names_the_store_if_the_folder_has_older_runs(store_folder):
    from nasicon_ml.cli.train import _describe_viewing

    older = store_folder / "mlruns" / "0"
    older.mkdir(parents=True)
    (older / "meta.yaml").write_text("")
    uri = f"sqlite:///{store_folder}/mlflow.db"
    assert f" mlflow ui --backend-store-uri {uri} " in _describe_viewing(uri, "#/page")


def test_score_report_is_narrow_and_complete(result):
    report = score_report(result)
    assert max(map(len, click.unstyle(report).splitlines())) <= 94
    for words in ("mean |error| (decades)", "(points)", "Brier score", "inside their 90 % interval (%)", "R²"):
        assert words in report
    row = next(line for line in report.splitlines() if "area under the ROC" in line)
    assert len(row.split()) == len(["area", "under", "the", "ROC", "curve"]) + 2


def test_headings_of_score_report_name_the_subset_of_pellets(result, real_scores):
    """On the real dataset, high-temperature measurements are not headed as room temperature."""
    report = click.unstyle(score_report(dataclasses.replace(result, scores=real_scores)))
    headings = [line.split(":")[0] for line in report.splitlines() if " pellets of " in line]
    assert headings[:3] == [
        "Conductivity near room temperature",
        "Conductivity near room temperature, sintering temperature given",
        "Conductivity away from room temperature",
    ]
    assert len(headings) == len(set(headings))


@pytest.mark.slow
def test_registered_model_is_used_by_predict_in_another_process(tmp_path, small_dataset):
    program = Path(sys.executable).parent / "nasicon-ml"
    env = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
    training = subprocess.run(
        [program, "train", "--dataset", small_dataset, "--folds", "3", "--json"],
        cwd=tmp_path, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert training.returncode == 0, training.stderr
    content = json.loads(training.stdout)
    assert content["run"]["version"] == "1"
    targets = {"conductivity", "relative_density", "phase_purity"}
    assert {row["target"] for row in content["scores"]} == {*targets, "activation_energy"}
    assert training.stderr.count("\n") < 20
    assert all(line.lstrip()[0].isdigit() and " %  " in line for line in training.stderr.splitlines())
    model = load_bundle("models:/nasicon-recipe@challenger", tracking_uri=content["run"]["tracking_uri"])
    assert model.metadata.dataset_sha256 == content["dataset"]["sha256"]
    prediction = subprocess.run(
        [program, "predict", "--formula", "LATP x=0.3", "--model", "models:/nasicon-recipe@challenger", "--json"],
        cwd=tmp_path, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert prediction.returncode == 0, prediction.stderr
    assert json.loads(prediction.stdout)["model"]["dataset_sha256"] == content["dataset"]["sha256"]


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        ("--seed 7", True),
        ("--folds 3", True),
        ("--folds 2", False),
        ("--folds 2 --repeats 2", False),
        ("--seed 7 --include-suspect", False),
        ("--seed 7 --no-register", False),
    ],
)
def test_train_warns_if_the_gate_will_refuse_the_model(
    options, refused, store_folder, instant_training, tracked, small_dataset, capsys
):
    shutil.copy(sqlite_path(tracked.tracking_uri), store_folder)  # its version 1 is champion
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nasicon_ml.tracking.record.log_result", lambda *_: None)
        code = main(["train", "--dataset", str(small_dataset), "--folds", "2", *options.split()])
    out, err = capsys.readouterr()
    warning = "learned from the same data by different folds"
    assert code == 0
    assert (warning in err, "the gate will refuse it: the champion is version 1" in out) == (refused, refused)
    assert ("(--folds 2 --repeats 1 --seed 0)" in err) == refused
