"""Malformed files of recipes and pellets, to every command and function that reads one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.columns import MODEL_INPUT, Column, Kind
from nasicon_ml.data.own_pellets import own_pellets
from nasicon_ml.errors import NasiconError
from nasicon_ml.io import read_table
from nasicon_ml.recipe import read_batch
from tests.fuzz.conftest import fuzz
from tests.fuzz.files import ODD_CELLS, Sample, any_file, odd_cells, write
from tests.fuzz.oracle import check_answers, check_command, command, refused
from tests.fuzz.tally import TALLY, Verdict, in_time
from tests.fuzz.texts import HOSTILE


class TrainingBeginsError(NasiconError):
    """All that is read before a training was accepted."""


@pytest.fixture(scope="module", autouse=True)
def _no_training() -> Any:
    """Stop every training where it begins: it takes half a minute, and reads nothing more."""

    def stop(*_: Any) -> None:
        raise TrainingBeginsError("the training begins")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nasicon_ml.workflows.train._check_fold_count", stop)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


@fuzz(350)
@given(sample=any_file, ending=st.sampled_from(["csv", "json", "parquet"]))
def test_recipes_on_the_command_line(sample: Sample, ending: str, folder: Path) -> None:
    path, output = write(sample, folder), folder / f"answers.{ending}"
    output.unlink(missing_ok=True)
    outcome = command("CLI predict FILE", ["predict", str(path), "--json", "--output", str(output)], folder)
    verdict = check_command(outcome, output)
    TALLY.add("CLI predict FILE", verdict)
    if verdict is Verdict.REFUSED:
        assert path.name in outcome.err, outcome
        return
    content = check_answers(outcome.out, sample.recipes)
    assert bool(content["rejected"]) == (verdict is Verdict.PARTLY)
    if ending != "json":
        written = read_table(output).frame
        assert len(written) == len(content["predictions"])
        again = read_batch(written)  # what is written can be predicted again, to the same recipes
        assert not again.findings
        assert again.table["formula"].tolist() == [
            answer["recipe"]["formula"] for answer in content["predictions"]
        ]
    if ending == "csv":
        cells = pd.read_csv(output, dtype=str, na_filter=False)  # as a spreadsheet would
        assert not any(
            str(cell).lstrip()[:1] in set("=+-@") and not _is_number(cell) for cell in cells.to_numpy().ravel()
        )


WOULD_RUN = [text for text in [*HOSTILE, *ODD_CELLS] if text.lstrip()[:1] in set("=+-@") and len(text) > 2]


@pytest.mark.parametrize("column", ["pellet_id", "additive"])
@pytest.mark.parametrize("text", WOULD_RUN, ids=range(len(WOULD_RUN)))
def test_no_answer_runs_in_a_spreadsheet(column: str, text: str, folder: Path) -> None:
    """What the input brings along is written so that a spreadsheet takes it for text."""
    (folder / "r.json").write_text(json.dumps([{"formula": "LTP", column: text}]), encoding="utf-8")
    output = folder / "runs.csv"
    output.unlink(missing_ok=True)
    verdict = check_command(
        command("CLI predict FILE", ["predict", "r.json", "--output", "runs.csv"], folder), output
    )
    TALLY.add("CLI predict FILE", verdict)
    assert verdict is Verdict.ANSWERED
    cell = pd.read_csv(output, dtype=str, na_filter=False)[column].iloc[0]
    assert cell[0] not in set("=+-@\t\r ") or _is_number(cell)
    assert read_table(output).frame[column].iloc[0] == " ".join(text.split())


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


@fuzz(60)
@given(sample=any_file)
def test_recipes_on_standard_input(sample: Sample, folder: Path) -> None:
    outcome = command("CLI predict -", ["predict", "-", "--json", "--neighbours", "0"], folder, sample.data)
    verdict = check_command(outcome)
    TALLY.add("CLI predict -", verdict)
    if verdict is not Verdict.REFUSED:
        check_answers(outcome.out)


@fuzz(60)
@given(sample=any_file)
def test_recipes_as_text_for_people(sample: Sample, folder: Path) -> None:
    outcome = command(
        "CLI predict FILE", ["predict", str(write(sample, folder)), "--details", "--neighbours", "1"], folder
    )
    TALLY.add("CLI predict FILE", check_command(outcome))
    assert "\x1b" not in outcome.out
    assert not any("\ud800" <= char <= "\udfff" for char in outcome.out)


@fuzz(100)
@given(sample=any_file, as_json=st.booleans())
def test_a_dataset_to_validate(sample: Sample, as_json: bool, folder: Path) -> None:
    outcome = command(
        "CLI data validate",
        ["data", "validate", str(write(sample, folder)), *(["--json"] if as_json else [])],
        folder,
    )
    verdict = check_command(outcome)
    TALLY.add("CLI data validate", verdict)
    if verdict is not Verdict.REFUSED and as_json:
        report = json.loads(outcome.out)
        assert bool(report["errors"]) == (verdict is Verdict.PARTLY)
        assert report["errors"] + report["warnings"] == len(report["findings"])
    elif verdict is not Verdict.REFUSED:
        assert "\x1b" not in outcome.out


#: A result beside each recipe makes a file of pellets.
@st.composite
def pellets(draw: st.DrawFn) -> Sample:
    sample = draw(any_file)
    if sample.ending == "csv" and sample.recipes is not None:
        lines = sample.data.split(b"\n")
        if len(lines) == sample.recipes + 2:
            cells = [b"conductivity_total_s_cm", *[b"1e-4"] * sample.recipes]
            data = b"\n".join(line + b"," + cell for line, cell in zip(lines, cells, strict=False)) + b"\n"
            return Sample("csv", data, sample.recipes, sample.damage)
    return sample


@fuzz(150)
@given(sample=pellets())
def test_own_pellets(sample: Sample, folder: Path) -> None:
    own = str(write(sample, folder))
    outcome = command("CLI --own FILE", ["predict", "--formula", "LATP x=0.3", "--json", "--own", own], folder)
    verdict = check_command(outcome)
    TALLY.add("CLI --own FILE", verdict)
    if verdict is Verdict.REFUSED:
        assert Path(own).name in outcome.err
    else:
        assert check_answers(outcome.out, 1)["predictions"][0]["own_pellets"]["used"] >= 1


@fuzz(40)
@given(sample=pellets())
def test_a_dataset_to_train_with(sample: Sample, folder: Path) -> None:
    dataset = str(write(sample, folder))
    outcome = command("CLI train FILE", ["train", "--no-track", "--dataset", dataset], folder)
    assert check_command(outcome) is Verdict.REFUSED
    TALLY.add("CLI train FILE", Verdict.ANSWERED if "the training begins" in outcome.err else Verdict.REFUSED)


@fuzz(30)
@given(sample=pellets())
def test_own_pellets_to_train_with(sample: Sample, folder: Path) -> None:
    outcome = command("CLI train FILE", ["train", "--no-track", "--add", str(write(sample, folder))], folder)
    assert check_command(outcome) is Verdict.REFUSED
    TALLY.add("CLI train FILE", Verdict.ANSWERED if "the training begins" in outcome.err else Verdict.REFUSED)


@fuzz(250)
@given(sample=any_file)
def test_tables_in_python(sample: Sample, folder: Path) -> None:
    path = write(sample, folder)
    hold("Python read_table", lambda: read_batch(read_table(path)), sample.recipes)


@pytest.mark.filterwarnings("ignore::nasicon_ml.errors.TableNote")  # how a table was understood is no fault
@fuzz(60)
@given(sample=pellets())
def test_own_pellets_in_python(sample: Sample, folder: Path) -> None:
    path = write(sample, folder)

    def read() -> Any:
        try:
            return own_pellets(path)
        except NasiconError as error:
            return error

    found = in_time("Python own_pellets", read)
    if isinstance(found, NasiconError):
        refused("Python own_pellets", found)
        return
    assert found[Column.FORMULA].notna().all()
    TALLY.add("Python own_pellets", Verdict.ANSWERED)


@fuzz(100)
@given(sample=odd_cells(), file_format=st.sampled_from(["csv", "json", "yaml", "parquet", "xlsx", "", "\x1b"]))
def test_the_wrong_format_in_python(sample: Sample, file_format: str, folder: Path) -> None:
    path = write(sample, folder)
    hold("Python read_table", lambda: read_batch(read_table(path, file_format=file_format)), None)


def hold(channel: str, read: Any, recipes: int | None) -> None:
    """Every row good or bad, and good ones within all bounds; or an error about the whole file."""

    def tried() -> Any:
        try:
            return read()
        except NasiconError as error:
            return error

    found = in_time(channel, tried)
    if isinstance(found, NasiconError):
        refused(channel, found)
        return
    good, bad = set(found.rows.tolist()), set(found.bad_rows.tolist())
    assert not good & bad
    if recipes is not None:
        assert good | bad == set(range(recipes))
    for column in MODEL_INPUT:
        if column.kind is Kind.NUMBER:
            values = found.table[column].dropna()
            assert values.between(column.minimum, column.maximum).all()
    TALLY.add(channel, Verdict.REFUSED if not good and bad else Verdict.PARTLY if bad else Verdict.ANSWERED)
