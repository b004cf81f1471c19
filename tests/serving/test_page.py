"""docs/serving.md: its commands are sent to the real server and answered as it says; its limits are the code's."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tools.renew_docs import between_markers, with_console_outputs
from tools.serving_page import MEASURED, PAGE, curl, measured_section

from nasicon_ml.columns import MODEL_INPUT, Column
from nasicon_ml.tracking import scoring
from nasicon_ml.tracking.signature import signature
from tests.contracts.source import ROOT
from tests.serving.server import Served

TEXT = PAGE.read_text(encoding="utf-8")
IN_ONE_LINE = " ".join(TEXT.split())
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def roughly(shown: str) -> Any:
    """The output as JSON, its numbers without the digits that depend on the machine; else as text."""
    try:
        return json.loads(shown, parse_float=lambda text: float(f"{float(text):.6g}"))
    except ValueError:
        return shown


@pytest.mark.slow
def test_the_commands_are_answered_as_shown(served: Served) -> None:
    renewed = with_console_outputs(TEXT, curl(served))
    blocks = list(zip(CONSOLE.findall(TEXT), CONSOLE.findall(renewed), strict=True))
    assert len(blocks) >= 5
    for shown, found in blocks:
        asked, _, answer = shown.partition("\n")
        assert asked == found.partition("\n")[0]
        assert roughly(answer) == roughly(found.partition("\n")[2]), "renew it: python -m tools.serving_page"


@pytest.mark.slow
def test_the_python_example_works(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)
    exec(code.replace("http://127.0.0.1:5001", served.url), {})  # noqa: S102  (our own page)
    assert 1e-9 < float(capsys.readouterr().out) < 1e-2


def test_what_was_measured_is_what_the_benchmark_wrote() -> None:
    found = json.loads(MEASURED.read_text(encoding="utf-8"))
    assert between_markers(TEXT, "measured", measured_section(found)) == TEXT, "python -m tools.serving_page"
    assert (found["load"]["requests"], found["load"]["clients"], found["load"]["largest"]) == (2000, 4, 200)


def test_limits_and_defaults_are_those_of_the_code() -> None:
    rows, size = scoring.MAX_ROWS, scoring.MAX_BYTES
    assert f"more than {rows} recipes, or more than {size} bytes" in IN_ONE_LINE
    assert f"At most {rows} recipes and {size} bytes a request" in IN_ONE_LINE
    assert (scoring._MAX_CONCURRENT, "Four requests are worked on at a time" in IN_ONE_LINE) == (4, True)
    # Read, not imported: MLflow takes what runs that file for a model.
    source = (ROOT / "src" / "nasicon_ml" / "tracking" / "pyfunc_model.py").read_text(encoding="utf-8")
    (at_once,) = re.findall(r"^_CHUNK_ROWS = (\d+)$", source, flags=re.MULTILINE)
    assert f"{at_once} recipes at a time" in IN_ONE_LINE
    rows_of_table = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", TEXT, flags=re.MULTILINE)
    assert rows_of_table == [
        (spec.name, "not given" if spec.default is None else f"{spec.default:g}") for spec in signature().params
    ]
    column = Column.MEASUREMENT_TEMPERATURE_C
    assert f"{column.minimum:g} to {column.maximum:g}" in IN_ONE_LINE
    assert f"{scoring.JSON}` or `{scoring.CSV}" in IN_ONE_LINE
    assert Column.MEASUREMENT_TEMPERATURE_C in MODEL_INPUT


def test_files_that_are_named_exist() -> None:
    named = set(re.findall(r"(?:examples|models|benchmarks)/[\w./]+", TEXT))
    assert {name for name in named if not (ROOT / name).exists()} == set()
    assert Path(MEASURED).name in TEXT
