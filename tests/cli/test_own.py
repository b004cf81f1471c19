"""Own pellets: `predict --own` and `train --add`."""

import json

import pandas as pd
import pytest

from nasicon_ml.cli.answers import OwnShift
from nasicon_ml.cli.main import main
from nasicon_ml.cli.render import describe_own_shift
from nasicon_ml.workflows.train import TrainingOptions

RECIPE = ("--system", "LATP", "--x", "0.3", "--sintering-temperature", "900", "--neighbours", "0")
GOOD = "formula,sintering_temperature_c,conductivity_total_s_cm\nLATP x=0.3,900,5e-3\nLATP x=0.3,950,6e-3\n"
BAD = (
    "formula,sintering_temperature_c,relative_density_pct\nLATP x=0.3,900,93\nLATP x=0.3,800-900,93\nLAXP,900,90\n"
)


@pytest.fixture(scope="module")
def bundle(trained, tmp_path_factory):
    return str(trained.model.save(tmp_path_factory.mktemp("models") / "bundle"))


@pytest.fixture
def workdir(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.csv").write_text(GOOD, encoding="utf-8")
    (tmp_path / "bad.csv").write_text(BAD, encoding="utf-8")
    (tmp_path / "recipes.csv").write_text("formula\nLATP x=0.3\nLAGP x=0.5\n", encoding="utf-8")
    return tmp_path


def test_shift_of_one_recipe_by_own_pellets_is_printed(workdir, bundle, capsys):
    assert main(["predict", *RECIPE, "--model", bundle, "--own", "good.csv"]) == 0
    out = capsys.readouterr().out
    assert "  your 2 pellets        moved conductivity by +" in out
    assert "decades (times" in out
    assert sorted(path.name for path in workdir.iterdir()) == ["bad.csv", "good.csv", "recipes.csv"]
    assert main(["predict", *RECIPE, "--model", bundle]) == 0
    assert "your" not in capsys.readouterr().out


def test_shifts_of_several_recipes_are_summarized_and_written(workdir, bundle, capsys):
    assert main(["predict", "recipes.csv", "--model", bundle, "--own", "good.csv", "--output", "out.csv"]) == 0
    assert "\nyour 2 pellets moved conductivity by +" in capsys.readouterr().out
    written = pd.read_csv(workdir / "out.csv")
    assert (written["own_pellets"] == 2).all()
    assert written["own_shift_decades"][0] > written["own_shift_decades"][1] > 0
    assert (written["own_shift_points"].abs() < 1e-9).all()


def test_json_contains_shift_or_null(workdir, bundle, capsys):
    assert main(["predict", *RECIPE, "--model", bundle, "--own", "good.csv", "--json"]) == 0
    moved = json.loads(capsys.readouterr().out)["predictions"][0]
    assert moved["own_pellets"]["used"] == 2
    assert set(moved["own_pellets"]) == {
        "used",
        "own_shift_decades",
        "own_shift_points",
        "own_shift_purity",
        "dominant",
    }
    assert main(["predict", *RECIPE, "--model", bundle, "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)["predictions"][0]
    assert plain["own_pellets"] is None
    assert moved["conductivity"]["value"] > plain["conductivity"]["value"]


@pytest.mark.parametrize(
    "command", [("predict", *RECIPE, "--own", "bad.csv"), ("train", "--no-track", "--add", "bad.csv")]
)
def test_invalid_own_pellets_exit_with_code_2_and_list_lines(workdir, capsys, command):
    assert main(list(command)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "error: bad.csv: 2 errors in your own pellets; nothing is done with any of them" in err
    assert "bad.csv, line 3: sintering_temperature_c: '800-900' is not accepted" in err
    assert "[not_a_number]" in err
    assert "bad.csv, line 4: formula: 'LAXP' is not accepted" in err
    assert not (workdir / "mlflow.db").exists()


def test_missing_file_of_own_pellets_exits_with_code_2(workdir, capsys):
    assert main(["predict", *RECIPE, "--own", "nowhere.csv"]) == 2
    assert "nowhere.csv" in capsys.readouterr().err


def test_own_pellets_from_standard_input_are_rejected(workdir, capsys):
    assert main(["predict", "-", "--own", "-"]) == 2
    assert "give the name of a file; standard input is for recipes" in capsys.readouterr().err
    assert main(["train", "--no-track", "--add", "-"]) == 2
    assert "give the name of a file; standard input cannot be read twice" in capsys.readouterr().err


def test_own_pellets_of_dataset_source_are_rejected_unless_source_is_excluded(
    workdir, capsys, monkeypatch, trained
):
    (workdir / "raj.csv").write_text(
        "formula,relative_density_pct,source\nLATP x=0.4,95,raj2023\n", encoding="utf-8"
    )
    assert main(["train", "--no-track", "--add", "raj.csv"]) == 2
    assert "'raj2023' of pellet 'own-1' is a source of the dataset" in capsys.readouterr().err
    seen = {}

    def train(options, **arguments):
        seen.update(arguments, options=options)
        return trained

    monkeypatch.setattr("nasicon_ml.workflows.train.train", train)
    assert main(["train", "--no-track", "--add", "raj.csv", "--exclude-source", "raj2023"]) == 0
    assert (seen["add"], seen["options"]) == ("raj.csv", TrainingOptions(exclude_sources=("raj2023",)))


@pytest.mark.slow
def test_training_with_own_pellets_stores_their_checksum_but_no_data(workdir, small_dataset, capsys):
    pytest.importorskip("mlflow")
    options = ["--dataset", str(small_dataset), "--folds", "2", "--add", "good.csv", "--bundle", "lab"]
    assert main(["train", *options, "--no-register"]) == 0
    assert "added    2 pellets of your own (SHA-256 " in capsys.readouterr().out
    written_files = [
        path for path in workdir.rglob("*") if path.is_file() and path.name not in {"good.csv", "bad.csv"}
    ]
    assert len(written_files) > 10
    for path in written_files:
        data = path.read_bytes()
        assert b"own-1" not in data, path
        if path.name != "mlflow.db":  # the run is named after the file
            assert b"good.csv" not in data, path
    databases = [path for path in written_files if path.name == "mlflow.db"]
    assert b"added_sha256" in databases[0].read_bytes()
    capsys.readouterr()
    assert main(["predict", *RECIPE, "--model", "lab", "--own", "good.csv"]) == 2
    assert "this model was trained with these own pellets" in capsys.readouterr().err
    (workdir / "new.csv").write_text(GOOD.replace("5e-3", "4e-3"), encoding="utf-8")
    assert main(["predict", *RECIPE, "--model", "lab", "--own", "new.csv"]) == 0


def test_describe_own_shift():
    assert describe_own_shift(OwnShift(1, -0.301, 1.24, -0.051)) == (
        "moved conductivity by -0.30 decades (times 0.5), density by +1.2 points, purity by -5 points"
    )


def test_implausible_own_values_are_used_with_a_warning(bundle, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = "formula,sintering_temperature_c,conductivity_total_s_cm\nLATP x=0.3,1123,0.12\nLATP x=0.4,950,3e-4\n"
    (tmp_path / "odd.csv").write_text(rows, encoding="utf-8")
    assert main(["predict", *RECIPE, "--model", bundle, "--own", "odd.csv"]) == 0
    messages = capsys.readouterr().err
    assert "warning: odd.csv, pellet own-1: sintering_temperature_c: 1123 °C looks like kelvin" in messages
    assert "0.12 mS/cm is 0.00012 S/cm" in messages
    assert "own-2" not in messages
