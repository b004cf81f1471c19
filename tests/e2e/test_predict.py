"""The installed `nasicon-ml predict`, with the committed model."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nasicon_ml.columns import PREDICTION, Column
from tests.e2e.conftest import PROGRAM, ROOT, Command

pytestmark = pytest.mark.slow

RECIPE_OPTIONS = (
    "--formula", "Li1.4Al0.4Ti1.6(PO4)3", "--sintering-temperature", "800", "--sintering-time", "2",
    "--heating-rate", "1", "--particle-size", "0.31", "--atmosphere", "Ar",
)  # fmt: skip
HEADER = "formula,sintering_temperature_c,sintering_time_h,heating_rate_c_min,particle_size_um,atmosphere\n"
VALID_ROW = '"Li1.4Al0.4Ti1.6(PO4)3",800,2,1,0.31,argon\n'


def parse_json(text: str) -> Any:
    """Parse JSON; raise for NaN and Infinity, which only Python accepts."""

    def reject(constant: str) -> None:
        raise AssertionError(f"{constant} is not valid JSON")

    return json.loads(text, parse_constant=reject)


def first_prediction(outcome: subprocess.CompletedProcess[str]) -> Any:
    return parse_json(outcome.stdout)["predictions"][0]


def test_one_recipe_prints_a_complete_answer(command: Command, tmp_path: Path) -> None:
    outcome = command("predict", *RECIPE_OPTIONS)
    assert (outcome.returncode, outcome.stderr.count("\n")) == (0, 1)
    assert outcome.stderr.startswith("model: ")
    assert outcome.stdout.startswith("Li1.4Al0.4Ti1.6(PO4)3   LATP, x = 0.4\n")
    for expected in (
        "S/cm",
        "90 % interval",
        "known domain",
        "not given",
        "https://doi.org/10.1021/acsaem.2c02464",
    ):
        assert expected in outcome.stdout
    assert "\x1b" not in outcome.stdout, "no colours without a terminal"
    assert list(tmp_path.iterdir()) == []


def test_explanation_is_in_text_json_and_figure(command: Command, tmp_path: Path) -> None:
    outcome = command("predict", *RECIPE_OPTIONS, "--explain", "--figure", "why.png")
    assert (outcome.returncode, "figure written to why.png" in outcome.stderr) == (0, True)
    assert "atmosphere = Ar" in outcome.stdout
    assert "phase purity, percentage points: " in outcome.stdout
    assert (tmp_path / "why.png").read_bytes().startswith(b"\x89PNG")
    answer = first_prediction(command("predict", *RECIPE_OPTIONS, "--explain", "--json"))
    purity = answer["explanation"]["phase_purity"]
    prediction = purity["base"] + sum(part["contribution"] for part in purity["parts"])
    assert prediction == pytest.approx(100 * answer["phase_purity"]["probability"])
    assert first_prediction(command("predict", *RECIPE_OPTIONS, "--json"))["explanation"] is None


def test_explanation_figure_of_several_recipes_is_rejected(command: Command) -> None:
    arguments = ("--formula", "LATP x=0.3", "--sintering-temperature", "800,900", "--explain")
    refused = command("predict", *arguments, "--figure", "why.png")
    assert (refused.returncode, "of one recipe" in refused.stderr) == (2, True)
    assert command("predict", *arguments).stdout.count("What moved the answers") == 2


def test_unmeasured_anion_is_outside_domain(command: Command) -> None:
    answer = first_prediction(command("predict", "--formula", "Li1.3Al0.3Ti1.7P3O11.5Br", "--json"))
    assert answer["domain"]["reasons"] == ["Br on the anion site never measured"]
    assert not answer["domain"]["inside"]


def test_broken_rules_are_reported_only_for_recipes_in_their_scope(command: Command, tmp_path: Path) -> None:
    from nasicon_ml import PropertyModel
    from nasicon_ml.evaluation.plausibility import physical_rules

    model = PropertyModel.load(ROOT / "models" / "champion")
    broken = {rule.name: rule for rule in physical_rules() if rule.name == "overfired_latp_conducts_less"}
    metadata = replace(
        model.metadata,
        broken_scopes={name: rule.scope for name, rule in broken.items()},
        broken_statements={name: rule.statement for name, rule in broken.items()},
    )
    replace(model, metadata=metadata).save(tmp_path / "bundle")
    recipe = ("--system", "LATP", "--x", "0.3", "--sintering-temperature")
    arguments = ("predict", "--model", "bundle", "--json", *recipe)
    hot, moderate = (first_prediction(command(*arguments, temperature_c)) for temperature_c in ("1100", "850"))
    assert [rule["rule"] for rule in hot["broken_rules"]] == ["overfired_latp_conducts_less"]
    assert hot["broken_rules"][0]["statement"].endswith("LATP conducts less from 1150 than from 950 °C.")
    assert moderate["broken_rules"] == []


def test_options_file_and_standard_input_give_equal_predictions(command: Command, tmp_path: Path) -> None:
    (tmp_path / "recipes.csv").write_text(HEADER + VALID_ROW, encoding="utf-8")
    by_options = first_prediction(command("predict", *RECIPE_OPTIONS, "--json"))
    by_file = first_prediction(command("predict", "recipes.csv", "--json"))
    by_input = first_prediction(command("predict", "-", "--json", stdin=HEADER + VALID_ROW))
    assert by_file == by_input
    assert by_file | {"line": None} == by_options
    sigma, density = by_options["conductivity"], by_options["relative_density"]
    assert 1e-7 < sigma["lower"] < sigma["value"] < sigma["upper"] < 1
    assert 20 < density["lower"] < density["value"] < density["upper"] <= 100
    assert 0 < by_options["phase_purity"]["probability"] < 1
    score = by_options["domain"].pop("score")
    assert 0 < score < 1
    assert by_options["domain"] == {"inside": True, "reasons": []}
    nearest = by_options["nearest_pellets"]
    assert [pellet["distance"] for pellet in nearest] == sorted(pellet["distance"] for pellet in nearest)
    assert nearest[0]["source"] == "raj2023"


def test_conductivity_rises_with_temperature_and_interval_with_level(command: Command) -> None:
    def conductivity(*options: str) -> dict[str, float]:
        return first_prediction(command("predict", *RECIPE_OPTIONS, "--json", *options))["conductivity"]

    room, warm, half = conductivity(), conductivity("--at", "60"), conductivity("--level", "0.5")
    assert warm["temperature_c"] == 60.0
    assert 2 < warm["value"] / room["value"] < 10
    assert half["value"] == room["value"]
    assert room["lower"] < half["lower"] < half["upper"] < room["upper"]


def test_all_example_recipes_are_predicted(command: Command, tmp_path: Path) -> None:
    outcome = command(
        "predict", str(ROOT / "examples" / "recipes.csv"), "--output", "out.csv", "--plot", "out.png"
    )
    assert outcome.returncode == 0, outcome.stderr
    body = outcome.stdout.split("\n\n")[0]
    lines = [line for line in body.splitlines() if not line.startswith("     ")]  # lines of the nearest pellets
    assert outcome.stdout.count("     nearest: ") == 8
    assert len(lines) == 9
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        rows = {row[Column.PELLET_ID]: row for row in csv.DictReader(file)}
    assert len(rows) == 8
    assert set(PREDICTION) <= set(next(iter(rows.values())))
    outside = {name for name, row in rows.items() if row[Column.INSIDE_DOMAIN] == "false"}
    assert outside == {"bismuth"}
    assert "Bi" in rows["bismuth"][Column.DOMAIN_NOTES]
    assert float(rows["argon-slow"][Column.PREDICTED_CONDUCTIVITY_S_CM]) > float(
        rows["argon-fast"][Column.PREDICTED_CONDUCTIVITY_S_CM]
    )
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


def test_valid_rows_are_predicted_and_invalid_rows_reported(command: Command, tmp_path: Path) -> None:
    rows = (
        VALID_ROW,
        "LATP x=0.3,1073 K,2,1,0.31,Ar\n",
        '"LATP x=0,3",800,2,1,0.31,Ar\n',
        'LATP x=0.3,800,"2,5",1,0.31,Ar\n',
        "LATP x=0.3,800,2,1,300 nm,Ar\n",
        "LATP x=0.3,800,2,1,0.31,argn\n",
        "LATP x=0.3,2100,2,1,0.31,Ar\n",
        "Li1.3Al0.3Tl1.7(PO4)3,800,2,1,0.31,Ar\n",
        ",800,2,1,0.31,Ar\n",
        "LAGP x=0.5,,,,,\n",
    )
    (tmp_path / "recipes.csv").write_text(HEADER + "".join(rows), encoding="utf-8")
    outcome = command("predict", "recipes.csv", "--output", "out.json")
    assert outcome.returncode == 1
    messages = outcome.stderr.splitlines()
    for conversion in (
        "commas read as decimal points",
        "'300 nm' converted (0.3 µm)",
        "'1073 K' converted (800 °C)",
    ):
        assert any(line.startswith("note: recipes.csv: ") and conversion in line for line in messages)
    assert sum(line.startswith("model: ") for line in messages) == 1
    for line, expected in (
        (7, "Did you mean 'argon'?"),
        (8, "2100 K is 1826.85 °C"),
        (9, "Tl"),
        (10, "formula"),
    ):
        (message,) = (message for message in messages if message.startswith(f"recipes.csv, line {line}: "))
        assert expected in message
    assert messages[-1] == "4 bad rows left out, 6 predicted"
    content = parse_json((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert [item["line"] for item in content["predictions"]] == [2, 3, 4, 5, 6, 11]
    assert [item["line"] for item in content["rejected"]] == [7, 8, 9, 10]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("formula,sintring_temperature\nLATP x=0.3,850\n", "Did you mean 'sintering_temperature_c'?"),
        ("LATP x=0.3,850\n", "put the names of the columns"),
        ("formula,atmosphere\nLATP x=0.3,air,2\n", "line 2: 3 cells"),
        ("formula\nLATPP x=0.3\n", "Did you mean 'LATP'?"),
        ("", "the file is empty"),
    ],
)
def test_file_without_valid_row_exits_with_code_2(
    command: Command, tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "recipes.csv").write_text(text, encoding="utf-8")
    outcome = command("predict", "recipes.csv", "--json", "--output", "out.csv")
    assert (outcome.returncode, outcome.stdout) == (2, "")
    assert message in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["recipes.csv"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("predict", "gone.csv"), "gone.csv: there is no such file"),
        (("predict", *RECIPE_OPTIONS, "--output", "nowhere/out.csv"), "there is no folder nowhere"),
        (("predict", *RECIPE_OPTIONS, "--model", "nowhere"), "there is no such folder"),
        (("predict", *RECIPE_OPTIONS, "--model", "models:/nasicon-recipe@champion"), "mlflow.db"),
        (("predict", *RECIPE_OPTIONS, "--level", "0.99999"), "level"),
        (("predict", *RECIPE_OPTIONS, "--sintering-atmosphere", "Ar"), "--sintering-atmosphere"),
        (("predict", "--formula", "NaCl"), "formula"),
        (("predict",), "give --formula"),
        (("predikt",), "Did you mean 'predict'?"),
    ],
)
def test_invalid_arguments_exit_with_code_2_without_traceback(
    command: Command, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    outcome = command(*arguments)
    assert (outcome.returncode, outcome.stdout) == (2, "")
    assert message in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that is never writable")
def test_unwritable_output_is_not_reported_as_written(command: Command) -> None:
    outcome = command("predict", *RECIPE_OPTIONS, "--output", "/proc/out.csv")
    assert (outcome.returncode, outcome.stdout) == (2, "")
    assert "/proc" in outcome.stderr
    assert "written to" not in outcome.stderr


def test_closed_pipe_exits_with_code_141_without_message(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "recipes.csv").write_text(HEADER + VALID_ROW * 3000, encoding="utf-8")
    process = subprocess.Popen(
        [str(PROGRAM), "predict", "recipes.csv"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        assert process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read().count(b"\n") == 1, "only the name of the model is printed"
    assert process.returncode == 141


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a named pipe")
def test_interrupted_prediction_exits_with_code_130_and_writes_nothing(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    os.mkfifo(tmp_path / "recipes.csv")
    process = subprocess.Popen(
        [str(PROGRAM), "predict", "recipes.csv", "--output", "out.csv"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Programs that a shell starts in the background ignore SIGINT; undo that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )
    with (tmp_path / "recipes.csv").open("w", encoding="utf-8") as pipe:  # blocks until the program opens it
        pipe.write(HEADER)
        pipe.flush()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=240)
    assert process.returncode == 130
    assert out == b""
    assert err.strip() == b"stopped"
    assert [path.name for path in tmp_path.iterdir()] == ["recipes.csv"]


def test_help_contains_options_and_examples(command: Command) -> None:
    outcome = command("predict", "--help")
    assert (outcome.returncode, outcome.stderr) == (0, "")
    text = " ".join(outcome.stdout.split())
    for expected in (
        "--formula",
        "--substitute",
        "Sintering temperature in °C, 20 to 1700.",
        "--tracking-uri",
        "Examples:",
    ):
        assert expected in text


def run_in_shell(line: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize(
    "arguments", ["predict --formula LTP", "predict --help", "--version", "data show p0c52b321e6"]
)
@pytest.mark.parametrize(
    ("streams", "code", "message"),
    [
        (">/dev/full", 2, "error: standard output cannot be written (No space left on device)\n"),
        (">&-", 2, "error: standard output cannot be written (Bad file descriptor)\n"),
        ("2>/dev/full", 0, ""),
        ("2>&-", 0, ""),
        ("<&- >&- 2>&-", 2, ""),
    ],
)
def test_closed_or_full_stream_gives_exit_code_and_message(
    tmp_path: Path, environment: dict[str, str], arguments: str, streams: str, code: int, message: str
) -> None:
    outcome = run_in_shell(f"{PROGRAM} {arguments} {streams}", tmp_path, environment)
    messages = [line for line in outcome.stderr.splitlines(keepends=True) if not line.startswith("model: ")]
    assert (outcome.returncode, "".join(messages)) == (code, message)
    assert bool(outcome.stdout) == (code == 0), "the answer is printed if standard output is writable"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_output_file_is_written_even_if_standard_output_is_full(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    outcome = run_in_shell(f"{PROGRAM} predict --formula LTP --output out.csv >/dev/full", tmp_path, environment)
    assert outcome.returncode == 2
    assert "predicted_conductivity_s_cm" in (tmp_path / "out.csv").read_text(encoding="utf-8")


def test_bash_completion_script_and_suggestions(command: Command, environment: dict[str, str]) -> None:
    environment["_NASICON_ML_COMPLETE"] = "bash_source"
    script = command().stdout
    environment |= {
        "_NASICON_ML_COMPLETE": "bash_complete",
        "COMP_WORDS": "nasicon-ml predict --atm",
        "COMP_CWORD": "2",
    }
    assert "complete -o nosort -F _nasicon_ml_completion nasicon-ml" in script
    assert command().stdout == "plain,--atmosphere\n"
