"""From the installed command to the committed model and back."""

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

ARGON = (
    "--formula", "Li1.4Al0.4Ti1.6(PO4)3", "--sintering-temperature", "800", "--sintering-time", "2",
    "--heating-rate", "1", "--particle-size", "0.31", "--atmosphere", "Ar",
)  # fmt: skip
HEAD = "formula,sintering_temperature_c,sintering_time_h,heating_rate_c_min,particle_size_um,atmosphere\n"
GOOD = '"Li1.4Al0.4Ti1.6(PO4)3",800,2,1,0.31,argon\n'


def load(text: str) -> Any:
    """Read JSON, and refuse what only Python calls JSON."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_one_recipe_gets_a_whole_answer(command: Command, tmp_path: Path) -> None:
    outcome = command("predict", *ARGON)
    assert (outcome.returncode, outcome.stderr.count("\n")) == (0, 1)
    assert outcome.stderr.startswith("model: ")
    assert outcome.stdout.startswith("Li1.4Al0.4Ti1.6(PO4)3   LATP, x = 0.4\n")
    for words in ("S/cm", "90 % interval", "known domain", "not given", "https://doi.org/10.1021/acsaem.2c02464"):
        assert words in outcome.stdout
    assert "\x1b" not in outcome.stdout, "no colours in a pipe"
    assert list(tmp_path.iterdir()) == []


def test_what_moved_the_answers_stands_in_text_json_and_figure(command: Command, tmp_path: Path) -> None:
    outcome = command("predict", *ARGON, "--explain", "--figure", "why.png")
    assert (outcome.returncode, "figure written to why.png" in outcome.stderr) == (0, True)
    assert "atmosphere = Ar" in outcome.stdout
    assert "phase purity, percentage points: " in outcome.stdout
    assert (tmp_path / "why.png").read_bytes().startswith(b"\x89PNG")
    answer = load(command("predict", *ARGON, "--explain", "--json").stdout)["predictions"][0]
    purity = answer["explanation"]["phase_purity"]
    end = purity["base"] + sum(part["contribution"] for part in purity["parts"])
    assert end == pytest.approx(100 * answer["phase_purity"]["probability"])
    assert load(command("predict", *ARGON, "--json").stdout)["predictions"][0]["explanation"] is None


def test_a_figure_explains_one_recipe(command: Command) -> None:
    arguments = ("--formula", "LATP x=0.3", "--sintering-temperature", "800,900", "--explain")
    refused = command("predict", *arguments, "--figure", "why.png")
    assert (refused.returncode, "of one recipe" in refused.stderr) == (2, True)
    assert command("predict", *arguments).stdout.count("What moved the answers") == 2


def test_an_anion_that_nobody_measured_is_outside(command: Command) -> None:
    answer = load(command("predict", "--formula", "Li1.3Al0.3Ti1.7P3O11.5Br", "--json").stdout)["predictions"][0]
    assert answer["domain"]["reasons"] == ["Br on the anion site never measured"]
    assert not answer["domain"]["inside"]


def test_rules_that_the_model_breaks_stand_beside_what_they_concern(command: Command, tmp_path: Path) -> None:
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
    asked = ("predict", "--model", "bundle", "--system", "LATP", "--x", "0.3", "--json", "--sintering-temperature")
    hot, usual = (load(command(*asked, celsius).stdout)["predictions"][0] for celsius in ("1100", "850"))
    assert [one["rule"] for one in hot["broken_rules"]] == ["overfired_latp_conducts_less"]
    assert hot["broken_rules"][0]["statement"].endswith("LATP conducts less from 1150 than from 950 °C.")
    assert usual["broken_rules"] == []


def test_options_and_file_and_standard_input_give_the_same_numbers(command: Command, tmp_path: Path) -> None:
    (tmp_path / "recipes.csv").write_text(HEAD + GOOD, encoding="utf-8")
    by_options = load(command("predict", *ARGON, "--json").stdout)["predictions"][0]
    by_file = load(command("predict", "recipes.csv", "--json").stdout)["predictions"][0]
    by_input = load(command("predict", "-", "--json", stdin=HEAD + GOOD).stdout)["predictions"][0]
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


def test_heat_helps_the_ions_and_less_certainty_narrows_the_interval(command: Command) -> None:
    def conductivity(*options: str) -> dict[str, float]:
        return load(command("predict", *ARGON, "--json", *options).stdout)["predictions"][0]["conductivity"]

    room, warm, half = conductivity(), conductivity("--at", "60"), conductivity("--level", "0.5")
    assert warm["temperature_c"] == 60.0
    assert 2 < warm["value"] / room["value"] < 10
    assert half["value"] == room["value"]
    assert room["lower"] < half["lower"] < half["upper"] < room["upper"]


def test_the_examples_are_all_predicted(command: Command, tmp_path: Path) -> None:
    outcome = command(
        "predict", str(ROOT / "examples" / "recipes.csv"), "--output", "out.csv", "--plot", "out.png"
    )
    assert outcome.returncode == 0, outcome.stderr
    body = outcome.stdout.split("\n\n")[0]
    lines = [line for line in body.splitlines() if not line.startswith("     ")]  # the nearest pellets
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


def test_bad_rows_do_not_lose_the_good_ones(command: Command, tmp_path: Path) -> None:
    rows = (
        GOOD,
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
    (tmp_path / "recipes.csv").write_text(HEAD + "".join(rows), encoding="utf-8")
    outcome = command("predict", "recipes.csv", "--output", "out.json")
    assert outcome.returncode == 1
    said = outcome.stderr.splitlines()
    for understood in (
        "commas read as decimal points",
        "'300 nm' converted (0.3 µm)",
        "'1073 K' converted (800 °C)",
    ):
        assert any(line.startswith("note: recipes.csv: ") and understood in line for line in said)
    assert sum(line.startswith("model: ") for line in said) == 1
    for line, words in (
        (7, "Did you mean 'argon'?"),
        (8, "2100 K is 1826.85 °C"),
        (9, "Tl"),
        (10, "formula"),
    ):
        (complaint,) = (text for text in said if text.startswith(f"recipes.csv, line {line}: "))
        assert words in complaint
    assert said[-1] == "4 bad rows left out, 6 predicted"
    content = load((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert [item["line"] for item in content["predictions"]] == [2, 3, 4, 5, 6, 11]
    assert [item["line"] for item in content["rejected"]] == [7, 8, 9, 10]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("formula,sintring_temperature\nLATP x=0.3,850\n", "Did you mean 'sintering_temperature_c'?"),
        ("LATP x=0.3,850\n", "put the names of the columns"),
        ("formula,atmosphere\nLATP x=0.3,air,2\n", "line 2: 3 cells"),
        ("formula\nLATPP x=0.3\n", "Did you mean 'LATP'?"),
        ("", "the file is empty"),
    ],
)
def test_a_file_without_a_good_row_is_refused(command: Command, tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "recipes.csv").write_text(text, encoding="utf-8")
    outcome = command("predict", "recipes.csv", "--json", "--output", "out.csv")
    assert (outcome.returncode, outcome.stdout) == (2, "")
    assert words in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["recipes.csv"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("predict", "gone.csv"), "gone.csv: there is no such file"),
        (("predict", *ARGON, "--output", "nowhere/out.csv"), "there is no folder nowhere"),
        (("predict", *ARGON, "--model", "nowhere"), "there is no such folder"),
        (("predict", *ARGON, "--model", "models:/nasicon-recipe@champion"), "mlflow.db"),
        (("predict", *ARGON, "--level", "0.99999"), "level"),
        (("predict", *ARGON, "--sintering-atmosphere", "Ar"), "--sintering-atmosphere"),
        (("predict", "--formula", "NaCl"), "formula"),
        (("predict",), "give --formula"),
        (("predikt",), "Did you mean 'predict'?"),
    ],
)
def test_what_cannot_be_done_is_said_without_a_traceback(
    command: Command, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    outcome = command(*arguments)
    assert (outcome.returncode, outcome.stdout) == (2, "")
    assert words in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that nobody can write to")
def test_an_answer_that_cannot_be_written_is_not_said_to_be(command: Command) -> None:
    outcome = command("predict", *ARGON, "--output", "/proc/out.csv")
    assert (outcome.returncode, outcome.stdout) == (2, "")
    assert "/proc" in outcome.stderr
    assert "written to" not in outcome.stderr


def test_a_closed_pipe_is_no_error(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "recipes.csv").write_text(HEAD + GOOD * 3000, encoding="utf-8")
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
        assert process.stderr.read().count(b"\n") == 1, "the model is named, and nothing else said"
    assert process.returncode == 141


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a named pipe")
def test_stopping_leaves_nothing_behind(tmp_path: Path, environment: dict[str, str]) -> None:
    os.mkfifo(tmp_path / "recipes.csv")
    process = subprocess.Popen(
        [str(PROGRAM), "predict", "recipes.csv", "--output", "out.csv"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A shell that starts a program in the background lets it ignore Ctrl-C; undo that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )
    with (tmp_path / "recipes.csv").open("w", encoding="utf-8") as pipe:  # opens when the program reads it
        pipe.write(HEAD)
        pipe.flush()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=240)
    assert process.returncode == 130
    assert out == b""
    assert err.strip() == b"stopped"
    assert [path.name for path in tmp_path.iterdir()] == ["recipes.csv"]


def test_help_is_complete(command: Command) -> None:
    outcome = command("predict", "--help")
    assert (outcome.returncode, outcome.stderr) == (0, "")
    text = " ".join(outcome.stdout.split())
    for words in (
        "--formula",
        "--substitute",
        "Sintering temperature in °C, 20 to 1700.",
        "--tracking-uri",
        "Examples:",
    ):
        assert words in text


def in_shell(line: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
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
def test_a_closed_or_full_stream_is_said_in_a_sentence(
    tmp_path: Path, environment: dict[str, str], arguments: str, streams: str, code: int, message: str
) -> None:
    outcome = in_shell(f"{PROGRAM} {arguments} {streams}", tmp_path, environment)
    said = [line for line in outcome.stderr.splitlines(keepends=True) if not line.startswith("model: ")]
    assert (outcome.returncode, "".join(said)) == (code, message)
    assert bool(outcome.stdout) == (code == 0), "the answer goes where it can"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_files_are_written_even_if_standard_output_is_full(tmp_path: Path, environment: dict[str, str]) -> None:
    outcome = in_shell(f"{PROGRAM} predict --formula LTP --output out.csv >/dev/full", tmp_path, environment)
    assert outcome.returncode == 2
    assert "predicted_conductivity_s_cm" in (tmp_path / "out.csv").read_text(encoding="utf-8")


def test_a_shell_can_be_told_to_complete(command: Command, environment: dict[str, str]) -> None:
    environment["_NASICON_ML_COMPLETE"] = "bash_source"
    script = command().stdout
    environment |= {
        "_NASICON_ML_COMPLETE": "bash_complete",
        "COMP_WORDS": "nasicon-ml predict --atm",
        "COMP_CWORD": "2",
    }
    assert "complete -o nosort -F _nasicon_ml_completion nasicon-ml" in script
    assert command().stdout == "plain,--atmosphere\n"
