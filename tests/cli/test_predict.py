"""`nasicon-ml predict` with the fake model: options, files, output, messages and exit codes."""

from __future__ import annotations

import io
import json
import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from nasicon_ml.columns import MODEL_INPUT, Column
from nasicon_ml.errors import BundleError
from tests.cli.conftest import Run
from tests.cli.fakes import FakeModel, fake_predict

RECIPES = "formula,sintering_temperature_c\nLATP x=0.4,800\nLATPP x=0.4,800\nLAGP x=0.5,850\n"


@pytest.fixture
def recipes(tmp_path: Path) -> str:
    (tmp_path / "recipes.csv").write_text(RECIPES, encoding="utf-8")
    return "recipes.csv"


@pytest.mark.parametrize(
    "options",
    [
        ("--formula", "Li1.4Al0.4Ti1.6(PO4)3"),
        ("--formula", "LATP x=0.4"),
        ("--formula", "Li1+xAlxTi2-x(PO4)3", "--x", "0.4"),
        ("--system", "LATP", "--x", "0.4"),
        ("--formula", "Li1.4M0.4Ti1.6(PO4)3", "--substitute", "M=Al"),
    ],
)
def test_one_recipe_given_by_options_is_printed(run: Run, options: tuple[str, ...]) -> None:
    outcome = run("predict", *options, "--sintering-temperature", "800")
    assert outcome.code == 0
    assert outcome.out.startswith("Li1.4Al0.4Ti1.6(PO4)3   LATP, x = 0.4\n")
    assert "8.0e-5 S/cm" in outcome.out
    assert "https://doi.org/10.1021/acsaem.2c02464" in outcome.out
    origin = r"trained 2026-01-02 03:04 UTC on the dataset abababababab\.\.\."
    assert re.fullmatch(rf"model: \S*champion, {origin}\n", outcome.err)


def test_several_values_predict_every_combination(run: Run) -> None:
    outcome = run("predict", "--system", "LATP", "--x", "0.3,0.4", "--sintering-temperature", "800:900:50")
    assert outcome.code == 0
    assert outcome.err.startswith("6 recipes: x 0.3, 0.4 x sintering temperature 800, 850, 900 °C\n")
    rows = [line for line in outcome.out.splitlines() if not line.startswith("     ")]
    assert [row.split()[0] for row in rows] == ["#", "1", "2", "3", "4", "5", "6"]
    content = json.loads(run("predict", "--formula", "LATP x=0.3", "--formula", "LTP", "--json").out)
    assert [answer["recipe"]["formula"] for answer in content["predictions"]] == [
        "Li1.3Al0.3Ti1.7(PO4)3", "LiTi2(PO4)3",
    ]  # fmt: skip


def test_file_prints_table_and_reports_invalid_rows(run: Run, recipes: str) -> None:
    outcome = run("predict", recipes)
    assert outcome.code == 1
    lines = outcome.out.splitlines()
    assert [line.split()[0] for line in lines] == ["#", "1", "nearest:", "3", "nearest:"]
    assert "8.5e-5" in lines[3]
    assert lines[4].startswith(
        "     nearest: p1, Li1.4Al0.4Ti1.6(PO4)3, 8.77e-4 S/cm at 25 °C, 98.1 % dense, phase pure; "
    )
    assert lines[4].endswith("raj2023, https://doi.org/10.1021/acsaem.2c02464")
    assert "recipes.csv, line 3: formula: 'LATPP x=0.4' is not accepted" in outcome.err
    assert outcome.err.endswith("1 bad row left out, 2 predicted\n")


def test_nearest_pellets_are_shown_for_at_most_20_recipes(run: Run, tmp_path: Path) -> None:
    for count, shown in ((20, 20), (21, 0)):
        (tmp_path / "many.csv").write_text("formula\n" + "LATP x=0.4\n" * count, encoding="utf-8")
        assert run("predict", "many.csv").out.count("nearest: ") == shown
    (tmp_path / "few.csv").write_text("formula\nLATP x=0.4\n", encoding="utf-8")
    assert "nearest" not in run("predict", "few.csv", "--neighbours", "0").out
    # The JSON file has all neighbours, the terminal one.
    outcome = run("predict", "few.csv", "--output", "few.json")
    assert outcome.out.count("nearest: ") == 1
    content = json.loads(Path("few.json").read_text(encoding="utf-8"))
    assert len(content["predictions"][0]["nearest_pellets"]) == 3


def test_details_option_prints_panel_for_every_recipe(run: Run, recipes: str) -> None:
    out = run("predict", recipes, "--details", "--neighbours", "1").out
    assert out.count("Nearest measured pellets") == 2
    assert "  2. " not in out


@pytest.mark.parametrize("name", ["out.csv", "out.json", "out.parquet"])
def test_output_file_contains_valid_rows(run: Run, recipes: str, name: str) -> None:
    outcome = run("predict", recipes, "--output", name)
    assert outcome.code == 1
    assert f"2 predictions written to {name}\n" in outcome.err
    if name == "out.json":
        content = json.loads(Path(name).read_text(encoding="utf-8"))
        assert [item["input_row"] for item in content["predictions"]] == [1, 3]
        assert content["rejected"][0]["line"] == 3
        assert content == json.loads(run("predict", recipes, "--json").out), "equal to --json"
        return
    frame = pd.read_csv(name) if name == "out.csv" else pd.read_parquet(name)
    assert frame[Column.INPUT_ROW].tolist() == [1, 3]
    assert frame[Column.PREDICTED_CONDUCTIVITY_S_CM].tolist() == pytest.approx([8e-5, 8.5e-5])
    assert frame[Column.MEASUREMENT_TEMPERATURE_C].tolist() == [25.0, 25.0]
    doi = "10.1021/acsaem.2c02464"
    assert frame[Column.NEAREST_DOIS].tolist() == [f"{doi}; {doi}; ly7"] * 2, "in the order of the pellets"


def test_output_file_can_be_used_as_input(run: Run, recipes: str) -> None:
    run("predict", recipes, "--output", "out.csv")
    outcome = run("predict", "out.csv", "--at", "60")
    assert outcome.code == 0
    assert "S/cm, 60 °C" in outcome.out


def test_pellet_ids_of_input_file_are_kept(run: Run, tmp_path: Path) -> None:
    (tmp_path / "named.csv").write_text("pellet_id,formula\nslow,LATP x=0.4\n,LAGP x=0.5\n", encoding="utf-8")
    out = run("predict", "named.csv", "--output", "out.csv").out
    assert "slow: Li1.4" in out
    assert pd.read_csv("out.csv")[Column.PELLET_ID].tolist()[0] == "slow"


def test_plot_is_written(run: Run, recipes: str) -> None:
    outcome = run("predict", recipes, "--plot", "figure.svg")
    assert "figure written to figure.svg" in outcome.err
    assert "<svg" in Path("figure.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize("column", [column.value for column in MODEL_INPUT])
@pytest.mark.parametrize("cell", ["[1, 2]", '{"a": 1}'], ids=["list", "object"])
def test_nested_cells_of_json_files_are_refused(run: Run, tmp_path: Path, column: str, cell: str) -> None:
    formula = "" if column == Column.FORMULA else '"formula": "LTP", '
    (tmp_path / "nested.json").write_text(f'[{{{formula}"{column}": {cell}}}]', encoding="utf-8")
    outcome = run("predict", "nested.json")
    assert outcome.code == 2
    assert f"{column}: {json.loads(cell)!r} is not accepted" in outcome.err


def test_level_temperature_and_neighbours_are_passed_to_the_model(run: Run, recipes: str) -> None:
    content = json.loads(
        run("predict", recipes, "--json", "--level", "0.5", "--at", "-20", "--neighbors", "0").out
    )
    assert content["level"] == 0.5
    first = content["predictions"][0]
    assert first["conductivity"]["temperature_c"] == -20.0
    assert first["conductivity"]["lower"] == pytest.approx(4e-5)
    assert first["nearest_pellets"] == []


def test_json_option_prints_only_json_to_standard_output(run: Run, recipes: str) -> None:
    outcome = run("predict", recipes, "--json", "--output", "out.csv")
    assert outcome.code == 1
    assert len(json.loads(outcome.out)["predictions"]) == 2
    assert "out.csv" in outcome.err


@pytest.mark.parametrize(
    ("text", "file_format"),
    [
        (RECIPES, "csv"),
        ('[{"formula": "LATP x=0.4", "sintering_temperature_c": 800}]', "json"),
        ("- formula: LATP x=0.4\n  sintering_temperature_c: 800\n", "yaml"),
    ],
)
def test_format_of_standard_input_is_detected_or_given(
    run: Run, monkeypatch: pytest.MonkeyPatch, text: str, file_format: str
) -> None:
    class Stdin(io.TextIOWrapper):
        def isatty(self) -> bool:
            return False

    for options in ((), ("--format", file_format)):
        monkeypatch.setattr("sys.stdin", Stdin(io.BytesIO(text.encode())))
        assert "8.0e-5" in run("predict", "-", *options).out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "no recipe: give --formula, --system with --x, or a FILE"),
        (("--x", "0.4"), "no recipe"),
        (("--formula", "LATP x=0.4", "--system", "LATP"), "two ways to say the same"),
        (("recipes.csv", "--atmosphere", "Ar"), "--atmosphere describes one recipe"),
        (("recipes.csv", "--system", "LATP"), "--system describes one recipe"),
        (("recipes.csv", "--substitute", "M=Sc"), "--substitute describes one recipe"),
        (("--formula", "LATP x=0.4", "--format", "csv"), "there is no FILE"),
        (("recipes.csv", "--output", "out.xlsx"), "must end in .csv, .json, .parquet"),
        (("recipes.csv", "--figure", "out.csv"), "--figure out.csv: the name must end in .png, .pdf, .svg"),
        (("recipes.csv", "--output", "nowhere/out.csv"), "there is no folder nowhere"),
        (("recipes.csv", "--output", "folder.csv"), "this is a folder"),
        (("recipes.csv", "--output", "recipes.csv"), "this is the file of the recipes"),
        (("--formula", "LATP x=0.4", "--neighbours", "-1"), "--neighbours"),
        (("--formula", "LATP x=0.4", "--level", "95"), "95 % is written 0.95"),
        (("--formula", "LATP x=0.4", "--sintering-temp", "800"), "'--sintering-temperature'"),
        (("--formula", "LATP"), "Say how much: LATP x=0.3"),
        (("--formula", "LATP x=0,4"), "Write decimals with a point"),
        (("--formula", ""), "formula"),
        (("--formula", "LATP x=0.4", "--additive-amount", "2"), "Say in additive what was added"),
        (("--formula", "LATP x=0.4", "--model", "nowhere"), "--model nowhere: there is no such folder"),
        (("missing.csv",), "missing.csv: there is no such file"),
        (("recipe.csv",), "Did you mean 'recipes.csv'?"),
        (("empty.csv",), "empty.csv: the file is empty"),
        (("header.csv",), "header.csv: there is no recipe in it"),
        (("bad.csv",), "bad.csv: none of the recipes can be read"),
        (("recipes.csv", "--sheet", "2"), "it is not a workbook"),
        (("--formula", "LATP x=0.4", "--sheet", "2"), "there is no FILE"),
        (("recipes.csv", "--format", "json"), "not valid JSON"),
    ],
)
def test_invalid_arguments_exit_with_code_2_and_write_nothing(
    run: Run, recipes: str, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    files = {
        "empty.csv": "",
        "header.csv": "formula,atmosphere\n",
        "bad.csv": "formula\nLATPP x=0.3\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "folder.csv").mkdir()
    before = sorted(tmp_path.iterdir())
    outcome = run("predict", *arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.out == ""
    assert sorted(tmp_path.iterdir()) == before, "no file is written"
    assert (tmp_path / recipes).read_text(encoding="utf-8") == RECIPES


def test_unwritable_output_folder_is_rejected_before_prediction(
    run: Run, recipes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    monkeypatch.setattr("nasicon_ml.workflows.predict.predict", None)
    outcome = run("predict", recipes, "--output", "out.csv")
    assert outcome.code == 2
    assert "nothing may be written" in outcome.err


def test_failed_prediction_keeps_existing_output_file(
    run: Run, recipes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any, **options: Any) -> None:
        raise BundleError("this bundle was trained on other features")

    monkeypatch.setattr("nasicon_ml.workflows.predict.predict", fail)
    Path("out.csv").write_text("old\n", encoding="utf-8")
    outcome = run("predict", recipes, "--output", "out.csv", "--json")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.endswith("\nerror: this bundle was trained on other features\n")
    assert Path("out.csv").read_text(encoding="utf-8") == "old\n"


def test_long_table_is_predicted_in_chunks_with_one_model(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    models: list[object] = []

    def spy(recipes: pd.DataFrame, model: object, **options: Any) -> Any:
        models.append(model)
        return fake_predict(recipes, model, **options)

    monkeypatch.setattr("nasicon_ml.workflows.predict.predict", spy)
    monkeypatch.setattr("nasicon_ml.cli.predict._CHUNK_SIZE", 2)
    rows = "".join(f"LATP x=0.4,{temperature}\n" for temperature in (700, 750, 800, 850, 900))
    (tmp_path / "long.csv").write_text(f"formula,sintering_temperature_c\n{rows}", encoding="utf-8")
    run("predict", "long.csv", "--output", "out.csv")
    frame = pd.read_csv("out.csv")
    assert frame[Column.PREDICTED_CONDUCTIVITY_S_CM].tolist() == pytest.approx([7e-5, 7.5e-5, 8e-5, 8.5e-5, 9e-5])
    assert frame[Column.INPUT_ROW].tolist() == [1, 2, 3, 4, 5]
    assert str(models[0]).endswith("champion")
    assert isinstance(models[1], FakeModel)
    assert models[1] is models[2], "the model is loaded once"


def test_mlflow_model_is_fetched_from_given_tracking_uri(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[tuple[str, str | None]] = []

    def fetch(uri: str, *, tracking_uri: str | None = None) -> Any:
        requests.append((uri, tracking_uri))
        return SimpleNamespace(name="models:/nasicon-recipe/7", model=FakeModel())

    monkeypatch.setattr("nasicon_ml.tracking.registry.fetch_bundle", fetch)
    uri = "models:/nasicon-recipe@champion"
    outcome = run("predict", "--formula", "LATP x=0.4", "--model", uri, "--tracking-uri", "sqlite:///a.db")
    assert outcome.code == 0
    assert outcome.err.startswith("model: models:/nasicon-recipe/7, trained 2026-01-02 03:04 UTC"), (
        "the version is named"
    )
    assert requests == [(uri, "sqlite:///a.db")]


def test_at_most_50_invalid_cells_are_listed(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text(
        "formula\nLATP x=0.4\n" + "".join(f"nonsense{n}\n" for n in range(60)), encoding="utf-8"
    )
    err = run("predict", "bad.csv").err
    assert err.count("is not accepted") == 50
    assert "and 10 more bad cells" in err
    assert err.endswith("60 bad rows left out, 1 predicted\n")


def test_equal_invalid_values_are_reported_once(run: Run, tmp_path: Path) -> None:
    rows = "".join(f"LATP x=0.4,{1000 + 25 * n}.15\n" for n in range(60)) + "LATP x=0.4,800-900\n" * 60
    (tmp_path / "bad.csv").write_text(f"formula,sintering_temperature_c\n{rows}", encoding="utf-8")
    err = run("predict", "bad.csv").err.splitlines()
    (bad,) = (line for line in err if "is not accepted" in line and "800-900" in line)
    assert "bad.csv, line 62: " in bad
    assert bad.endswith("(likewise lines 63, 64, 65, 66, 67 and 54 more)")


def test_laboratory_table_is_converted_with_notes_and_rejected_if_strict(run: Run, tmp_path: Path) -> None:
    table = "Sample;Composition;T_sinter (K);t / min;Operator\nMK1;LATP x=0,4;1123;~360;M\n"
    (tmp_path / "lab.csv").write_text(table, encoding="utf-8")
    outcome = run("predict", "lab.csv", "--json")
    (recipe,) = json.loads(outcome.out)["predictions"]
    assert recipe["pellet_id"] == "MK1"
    assert recipe["recipe"]["sintering_temperature_c"] == 850
    assert recipe["recipe"]["sintering_time_h"] == 6
    for note in (
        "columns separated by semicolons",
        "column 'T_sinter (K)' read as sintering_temperature_c, minus 273",
        "column 't / min' read as sintering_time_h, divided by 60",
        "not read, as no column of ours is like it: 'Operator' (--strict refuses such a file)",
        "sintering_time_h: '~360' read as if exact (6 h)",
    ):
        assert f"note: lab.csv: {note}\n" in outcome.err
    refused = run("predict", "lab.csv", "--strict")
    assert refused.code == 2
    assert "'Operator' is not accepted" in refused.err


def test_ambiguous_temperature_column_is_rejected_with_candidates(run: Run, tmp_path: Path) -> None:
    (tmp_path / "lab.csv").write_text("composition,temperature\nLATP x=0.4,850\n", encoding="utf-8")
    outcome = run("predict", "lab.csv")
    assert outcome.code == 2
    assert "Which one is it: sintering_temperature_c, calcination_temperature_c, measurement" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "interpretation"),
    [
        (["Li1.4Al0.4Ti1.6(PO4)3"], "read as --formula 'Li1.4Al0.4Ti1.6(PO4)3'"),
        (["LATP x=0.4", "--atmosphere", "Ar"], "read as --formula 'LATP x=0.4'"),
        (["LATP", "--x", "0.4"], "read as --formula LATP"),
    ],
)
def test_formula_in_place_of_file_is_accepted(run: Run, arguments: list[str], interpretation: str) -> None:
    outcome = run("predict", *arguments)
    assert outcome.code == 0
    assert outcome.err.startswith(f"{interpretation}\n")
    assert outcome.out.startswith("Li1.4Al0.4Ti1.6(PO4)3   LATP, x = 0.4\n")


@pytest.mark.parametrize(
    ("name", "message"),
    [("LATP.csv", "LATP.csv: there is no such file"), ("Li1.4Xx0.4Ti1.6(PO4)3", "'Xx' is not an element"),
     ("folder/LATP", "folder/LATP: there is no such file")],
)  # fmt: skip
def test_argument_that_is_neither_file_nor_formula_exits_with_code_2(run: Run, name: str, message: str) -> None:
    outcome = run("predict", name)
    assert outcome.code == 2
    assert message in outcome.err


def test_formula_with_unbalanced_charges_is_predicted_with_a_warning(run: Run, tmp_path: Path) -> None:
    (tmp_path / "odd.csv").write_text("formula\nLi1.3Al0.5Ti1.7(PO4)3\n", encoding="utf-8")
    outcome = run("predict", "odd.csv")
    assert outcome.code == 0
    assert outcome.err.splitlines()[1].startswith("warning: odd.csv, line 2: formula:")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--formula", "LATP x=0.4", "--sintering-temperature", "1073"),
            "this recipe: sintering_temperature_c: 1073 °C",
        ),
        (("--formula", "LATP x=0.4", "--at", "298"), "--at: measurement_temperature_c: 298 °C"),
        (("recipes.csv", "--at", "298.15"), "--at: measurement_temperature_c: 298.15 °C"),
        (("kelvin.csv",), "kelvin.csv, line 2: sintering_temperature_c: 1073 °C"),
    ],
)
def test_temperature_that_looks_like_kelvin_is_predicted_with_a_warning(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    (tmp_path / "recipes.csv").write_text("formula\nLATP x=0.4\nLTP\n", encoding="utf-8")
    (tmp_path / "kelvin.csv").write_text("formula,sintering_temperature_c\nLTP,1073\nLTP,1075\n", encoding="utf-8")
    outcome = run("predict", *arguments)
    assert outcome.code == 0
    assert outcome.err.count("warning: ") == 1
    assert f"warning: {message} looks like kelvin: " in outcome.err


def test_temperatures_in_celsius_give_no_warning(run: Run) -> None:
    arguments = ("--sintering-temperature", "1075", "--calcination-temperature", "700", "--at", "25")
    assert "warning" not in run("predict", "--formula", "LTP", *arguments).err


OWN = "formula,relative_density_pct\nLATP x=0.3,95\n"


@pytest.mark.parametrize("option", ["--output", "--plot"])
@pytest.mark.parametrize("path_kind", ["same path", "symlink", "hard link", "unnormalized path"])
def test_output_does_not_overwrite_own_pellets(run: Run, tmp_path: Path, option: str, path_kind: str) -> None:
    extension = "csv" if option == "--output" else "png"
    own_file, output_path = tmp_path / f"own.{extension}", tmp_path / f"out.{extension}"
    own_file.write_text(OWN, encoding="utf-8")
    if path_kind == "symlink":
        output_path.symlink_to(own_file)
    elif path_kind == "hard link":
        output_path.hardlink_to(own_file)
    else:
        output_path = own_file if path_kind == "same path" else tmp_path / ".." / tmp_path.name / own_file.name
    outcome = run("predict", "--formula", "LTP", "--own", str(own_file), option, str(output_path))
    assert outcome.code == 2
    assert "this is the file of your own pellets, which would be lost" in outcome.err
    assert own_file.read_text(encoding="utf-8") == OWN


def test_output_does_not_overwrite_files_of_given_model(run: Run, tmp_path: Path) -> None:
    bundle = tmp_path / "lab" / "bundle"
    bundle.mkdir(parents=True)
    (bundle / "pellets.csv").write_text(OWN, encoding="utf-8")
    for output in (bundle / "pellets.csv", bundle / "new.csv"):
        outcome = run("predict", "--formula", "LTP", "--model", str(bundle), "--output", str(output))
        assert (outcome.code, "this is a file of the model, which would be lost" in outcome.err) == (2, True)


def test_output_does_not_overwrite_files_of_default_model(run: Run) -> None:
    from nasicon_ml.workflows.predict import default_bundle

    file = default_bundle() / "pellets.csv"
    before = file.read_bytes()
    outcome = run("predict", "--formula", "LTP", "--output", str(file))
    assert (outcome.code, "this is a file of the model, which would be lost" in outcome.err) == (2, True)
    assert file.read_bytes() == before


def test_replaced_output_file_is_reported(run: Run, recipes: str) -> None:
    assert "will be replaced" not in run("predict", recipes, "--output", "out.csv").err
    outcome = run("predict", recipes, "--output", "out.csv")
    assert outcome.code == 1
    assert outcome.err.startswith("note: --output out.csv: the file that is there will be replaced\n")


@pytest.mark.parametrize(
    ("option", "value"),
    [("--neighbours", "1_0"), ("--sintering-time", "1_5"), ("--at", "2_5"), ("--level", "0.9_0"), ("--x", "0_1")],
)
def test_numbers_with_underscores_are_rejected(run: Run, option: str, value: str) -> None:
    outcome = run("predict", "--formula", "LATP x=0.3", option, value)
    assert outcome.code == 2
    assert f"{value!r} is not accepted" in outcome.err
    assert "without underscores" in outcome.err


PREPARATION_OPTIONS = ("--precursors", "Li2CO3;TiO2;NH4H2PO4", "--lithium-excess", "-5", "--powder-bed", "yes")


def test_preparation_fields_are_shown_and_never_listed_as_not_given(run: Run) -> None:
    plain = run("predict", "--formula", "LATP x=0.4").out
    assert "lithium excess" not in plain  # optional, so not listed under "not given"
    outcome = run("predict", "--formula", "LATP x=0.4", *PREPARATION_OPTIONS, "--green-pressure", "200")
    assert (outcome.code, "warning" in outcome.err) == (0, False)
    description = "-5 % of lithium in excess, pressed at 200 MPa, from Li2CO3;TiO2;NH4H2PO4, in powder bed"
    assert description in " ".join(outcome.out.split())
    content = json.loads(run("predict", "--formula", "LATP x=0.4", *PREPARATION_OPTIONS, "--json").out)
    recipe = content["predictions"][0]["recipe"]
    assert recipe["powder_bed"] is True
    assert recipe["lithium_excess_pct"] == -5
    assert recipe["green_pressure_mpa"] is None


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [
        ("--lithium-excess", "150", "a number from -50 to 100 %"),
        ("--green-pressure", "1e4", "a number from 0 to 5000 MPa"),
        ("--powder-bed", "perhaps", "true or false"),
    ],
)
def test_invalid_preparation_value_exits_with_code_2(run: Run, option: str, value: str, allowed: str) -> None:
    outcome = run("predict", "--formula", "LATP x=0.4", option, value)
    assert outcome.code == 2
    assert option in outcome.err
    assert allowed in " ".join(outcome.err.split())


def test_precursor_that_is_not_a_formula_gives_a_warning(run: Run) -> None:
    outcome = run("predict", "--formula", "LATP x=0.4", "--precursors", "TTIP;Li2CO3")
    assert outcome.code == 0
    assert "warning: this recipe: precursors: 'TTIP' is not a formula" in outcome.err
