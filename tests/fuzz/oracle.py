"""Checks of outputs and error messages that must pass for any input."""

from __future__ import annotations

import io
import json
import math
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import pytest

from nasicon_ml.cli.main import main
from nasicon_ml.columns import PREDICTION, Column
from nasicon_ml.errors import NasiconError
from tests.fuzz.tally import TALLY, Verdict, in_time

#: Characters that control a terminal.
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f]")
_MAX_MESSAGE_LENGTH = 60_000
_INTERNALS = ("Traceback", 'File "', "fault of nasicon-ml")


@dataclass(frozen=True)
class Outcome:
    """The exit code of a command, and what it wrote to standard output and standard error."""

    code: int
    out: str
    err: str


def run_command(channel: str, arguments: list[str], folder: Path, stdin: bytes = b"") -> Outcome:
    """Run `nasicon-ml` in this process with byte streams as a real program has, and check its time."""
    return in_time(channel, lambda: _run(arguments, folder, stdin))


def _run(arguments: list[str], folder: Path, stdin: bytes) -> Outcome:
    streams = [io.TextIOWrapper(io.BytesIO(content), encoding="utf-8") for content in (stdin, b"", b"")]
    working_folder = Path.cwd()
    with pytest.MonkeyPatch.context() as patch:
        for name, stream in zip(("stdin", "stdout", "stderr"), streams, strict=True):
            patch.setattr(sys, name, stream)
        os.chdir(folder)
        try:
            code = main(arguments)
        finally:
            os.chdir(working_folder)
        texts = []
        for stream in streams[1:]:
            stream.flush()
            texts.append(stream.buffer.getvalue().decode("utf-8"))  # type: ignore[attr-defined]
    return Outcome(code, *texts)


def check_outcome(outcome: Outcome, *outputs: Path) -> Verdict:
    """Check the exit code, and output and messages that belong to it; the caller counts the verdict."""
    assert outcome.code in {0, 1, 2}, outcome
    check_message(outcome.err)
    if outcome.code == 2:
        assert outcome.out == "", outcome
        assert re.search(r"^error: |^Error: |: error", outcome.err, re.IGNORECASE | re.MULTILINE), outcome
    for output in outputs:
        assert output.exists() == (outcome.code != 2), outcome
    return (Verdict.ANSWERED, Verdict.PARTLY, Verdict.REFUSED)[outcome.code]


def check_message(text: str) -> None:
    """A message must have no traceback, no control characters and a reasonable length."""
    for internal in _INTERNALS:
        assert internal not in text, text[-3000:]
    assert not _CONTROL_CHARACTERS.search(text), repr(text[:500])
    assert len(text) < _MAX_MESSAGE_LENGTH, (len(text), text[:500])


def count_refusal(channel: str, error: NasiconError) -> None:
    """Check the message of an error of the Python API and count it as a refusal."""
    message = str(error)
    assert message
    check_message(message)
    assert len(message) < 5_000, message[:500]
    TALLY.add(channel, Verdict.REFUSED)


def check_json_predictions(text: str, recipes: int | None = None) -> dict[str, Any]:
    """Check JSON predictions: values within physical bounds, and each recipe either predicted or rejected."""

    def reject_constant(constant: str) -> NoReturn:
        raise AssertionError(f"{constant} in JSON")

    content: dict[str, Any] = json.loads(text, parse_constant=reject_constant)
    for answer in content["predictions"]:
        conductivity, density = answer["conductivity"], answer["relative_density"]
        assert 0 < conductivity["lower"] <= conductivity["value"] <= conductivity["upper"] < math.inf, answer
        assert 0 < density["lower"] <= density["value"] <= density["upper"] <= 100, answer
        assert 0 <= answer["phase_purity"]["probability"] <= 1, answer
        assert 0 < answer["activation_energy"]["value"] < 5, answer
        assert answer["domain"]["score"] >= 0, answer
    answered = {answer["input_row"] for answer in content["predictions"]}
    rejected = {cell["input_row"] for cell in content["rejected"]}
    assert len(answered) == len(content["predictions"])
    assert not answered & rejected
    if recipes is not None:
        assert answered | rejected == set(range(1, recipes + 1))
    return content


def check_prediction_table(results: pd.DataFrame, rows: int) -> None:
    """Check the number of rows and the physical bounds of a table of predictions."""
    assert len(results) == rows
    assert [str(name) for name in results.columns][: len(PREDICTION)] == [column.value for column in PREDICTION]
    lower, value, upper = (
        results[column].to_numpy(dtype=float)
        for column in (
            Column.PREDICTED_CONDUCTIVITY_LOWER_S_CM,
            Column.PREDICTED_CONDUCTIVITY_S_CM,
            Column.PREDICTED_CONDUCTIVITY_UPPER_S_CM,
        )
    )
    assert (lower > 0).all()
    assert (lower <= value).all()
    assert (value <= upper).all()
    assert np.isfinite(upper).all()
    lower, value, upper = (
        results[column].to_numpy(dtype=float)
        for column in (
            Column.PREDICTED_RELATIVE_DENSITY_LOWER_PCT,
            Column.PREDICTED_RELATIVE_DENSITY_PCT,
            Column.PREDICTED_RELATIVE_DENSITY_UPPER_PCT,
        )
    )
    assert (lower > 0).all()
    assert (lower <= value).all()
    assert (value <= upper).all()
    assert (upper <= 100).all()
    assert results[Column.PREDICTED_PHASE_PURITY].between(0, 1).all()
    assert np.isfinite(results[Column.DOMAIN_SCORE].to_numpy(dtype=float)).all()
