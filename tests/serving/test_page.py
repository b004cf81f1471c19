"""docs/serving.md: its commands give the output shown with a real server, and its limits match the code."""

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


def rounded(shown: str) -> Any:
    """Return JSON with numbers rounded to six digits, as the last ones depend on the machine; else the text."""
    try:
        return json.loads(shown, parse_float=lambda text: float(f"{float(text):.6g}"))
    except ValueError:
        return shown


@pytest.mark.slow
def test_console_commands_give_the_output_shown(served: Served) -> None:
    renewed = with_console_outputs(TEXT, curl(served))
    blocks = list(zip(CONSOLE.findall(TEXT), CONSOLE.findall(renewed), strict=True))
    assert len(blocks) >= 5
    for shown, actual in blocks:
        command, _, output = shown.partition("\n")
        assert command == actual.partition("\n")[0]
        assert rounded(output) == rounded(actual.partition("\n")[2]), "renew it: python -m tools.serving_page"


@pytest.mark.slow
def test_python_example_prints_a_conductivity(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)
    exec(code.replace("http://127.0.0.1:5001", served.url), {})  # noqa: S102  (our own page)
    assert 1e-9 < float(capsys.readouterr().out) < 1e-2


def test_measured_section_matches_the_benchmark_results() -> None:
    results = json.loads(MEASURED.read_text(encoding="utf-8"))
    assert between_markers(TEXT, "measured", measured_section(results)) == TEXT, "python -m tools.serving_page"
    assert (results["load"]["requests"], results["load"]["clients"], results["load"]["largest"]) == (2000, 4, 200)


def test_limits_and_defaults_match_the_code() -> None:
    rows, size = scoring.MAX_ROWS, scoring.MAX_BYTES
    assert f"more than {rows} recipes, or more than {size} bytes" in IN_ONE_LINE
    assert f"At most {rows} recipes and {size} bytes a request" in IN_ONE_LINE
    assert (scoring._MAX_CONCURRENT, "Four requests are worked on at a time" in IN_ONE_LINE) == (4, True)
    # Read, not imported: importing the file would register its model with MLflow.
    source = (ROOT / "src" / "nasicon_ml" / "tracking" / "pyfunc_model.py").read_text(encoding="utf-8")
    (chunk_rows,) = re.findall(r"^_CHUNK_ROWS = (\d+)$", source, flags=re.MULTILINE)
    assert f"{chunk_rows} recipes at a time" in IN_ONE_LINE
    rows_of_table = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", TEXT, flags=re.MULTILINE)
    assert rows_of_table == [
        (spec.name, "not given" if spec.default is None else f"{spec.default:g}") for spec in signature().params
    ]
    column = Column.MEASUREMENT_TEMPERATURE_C
    assert f"{column.minimum:g} to {column.maximum:g}" in IN_ONE_LINE
    assert f"{scoring.JSON}` or `{scoring.CSV}" in IN_ONE_LINE
    assert Column.MEASUREMENT_TEMPERATURE_C in MODEL_INPUT


def test_named_files_exist() -> None:
    named = set(re.findall(r"(?:examples|models|benchmarks)/[\w./]+", TEXT))
    assert {name for name in named if not (ROOT / name).exists()} == set()
    assert Path(MEASURED).name in TEXT
