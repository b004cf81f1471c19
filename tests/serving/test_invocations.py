"""`mlflow models serve` over HTTP: the predictions of `nasicon-ml predict`, or an error status with a reason."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nasicon_ml.columns import MODEL_INPUT, PREDICTION, Column, Kind
from nasicon_ml.model import PropertyModel
from nasicon_ml.tracking.scoring import MAX_BYTES, MAX_ROWS
from tests.contracts.source import ROOT
from tests.serving.server import CSV, JSON, Answer, Served

pytestmark = pytest.mark.slow

NUMBERS = [column.value for column in PREDICTION if column.kind is Kind.NUMBER]
OTHERS = [column.value for column in PREDICTION if column.kind is not Kind.NUMBER]
PROGRAM = Path(sys.executable).with_name("nasicon-ml")
LTP = {"formula": "LTP"}


def records(*rows: dict[str, Any], **params: Any) -> dict[str, Any]:
    return {"dataframe_records": list(rows)} | ({"params": params} if params else {})


def predictions_of(answer: Answer) -> pd.DataFrame:
    assert (answer.status, answer.headers["content-type"]) == (200, JSON), answer.text
    return pd.DataFrame(answer.json()["predictions"], columns=[column.value for column in PREDICTION])


def assert_same_predictions(result: pd.DataFrame, expected: pd.DataFrame) -> None:
    numbers = expected[NUMBERS].to_numpy(float)
    np.testing.assert_allclose(result[NUMBERS].to_numpy(float), numbers, rtol=1e-9, atol=0)
    assert result[OTHERS].fillna("").to_numpy().tolist() == expected[OTHERS].fillna("").to_numpy().tolist()


@pytest.fixture(scope="module")
def recipes(bundle: Path) -> str:
    """The example's recipes, and one measured pellet in thirty, as CSV."""
    names = [column.value for column in MODEL_INPUT]
    pellets = PropertyModel.load(bundle).pellets[names].iloc[::30]
    example = pd.read_csv(ROOT / "examples" / "recipes.csv")
    return pd.concat([example.drop(columns=Column.PELLET_ID), pellets])[names].to_csv(index=False)


@pytest.fixture(scope="module")
def command_predictions(recipes: str, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The predictions that `nasicon-ml predict` writes for these recipes."""
    folder = tmp_path_factory.mktemp("command")
    (folder / "recipes.csv").write_text(recipes, encoding="utf-8")
    command = [str(PROGRAM), "predict", "recipes.csv", "--model", str(bundle), "--json", "--output", "out.csv"]
    completed = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    written = pd.read_csv(folder / "out.csv", float_precision="round_trip")
    printed = [answer["conductivity"]["value"] for answer in json.loads(completed.stdout)["predictions"]]
    assert written[Column.PREDICTED_CONDUCTIVITY_S_CM].tolist() == printed
    return written


def test_csv_predictions_equal_those_of_the_command(
    served: Served, recipes: str, command_predictions: pd.DataFrame
) -> None:
    assert_same_predictions(predictions_of(served.ask("/invocations", recipes.encode(), CSV)), command_predictions)


def test_json_predictions_equal_those_of_the_command(
    served: Served, recipes: str, command_predictions: pd.DataFrame
) -> None:
    table = pd.read_csv(io.StringIO(recipes), float_precision="round_trip")
    split = json.loads(table.to_json(orient="split", double_precision=15))
    assert_same_predictions(predictions_of(served.invoke({"dataframe_split": split})), command_predictions)
    # Records without their missing fields, so that keys differ between records.
    rows = [{name: cell for name, cell in row.items() if pd.notna(cell)} for row in table.to_dict("records")]
    assert len({tuple(row) for row in rows}) > 5
    assert_same_predictions(predictions_of(served.invoke(records(*rows))), command_predictions)


def test_params_have_the_same_effect_as_the_command_options(served: Served, bundle: Path, tmp_path: Path) -> None:
    table = "formula,measurement_temperature_c\nLTP,25\nLATP x=0.3,\n"
    (tmp_path / "in.csv").write_text(table)
    command = [str(PROGRAM), "predict", "in.csv", "--model", str(bundle), "--output", "out.csv"]
    subprocess.run([*command, "--level", "0.5", "--at", "80"], cwd=tmp_path, capture_output=True, check=True)
    expected = pd.read_csv(tmp_path / "out.csv", float_precision="round_trip")
    rows = ({"formula": "LTP", "measurement_temperature_c": 25}, {"formula": "LATP x=0.3"})
    assert_same_predictions(
        predictions_of(served.invoke(records(*rows, level=0.5, measurement_temperature_c=80))), expected
    )
    path = "/invocations?level=0.5&measurement_temperature_c=80"
    assert_same_predictions(predictions_of(served.ask(path, table.encode(), CSV)), expected)


@pytest.mark.parametrize("path", ["/ping", "/health", "/version"])
def test_health_endpoint_returns_200(served: Served, path: str) -> None:
    answer = served.ask(path)
    assert answer.status == 200
    if path == "/version":
        import mlflow

        assert answer.text == mlflow.__version__


INVALID_TABLES: dict[str, tuple[Any, str]] = {
    "unknown column": (records({**LTP, "sintering_temp": 900}), "'sintering_temp'"),
    "suggested column": (records({**LTP, "sintering_temp": 900}), "Did you mean 'sintering_temperature_c'?"),
    "no formula": (records({"sintering_time_h": 2}), "a table with formula"),
    "invalid formula": (records({"formula": "Xx2"}), "row 1: formula: 'Xx2'"),
    "not ASCII": (records({"formula": "锂"}), "row 1: formula: '锂'"),
    "lone surrogate": (records({"formula": "Li\ud800"}), "row 1: formula"),
    "wrong type": (records({**LTP, "sintering_temperature_c": "hot"}), "row 1: sintering_temperature_c: 'hot'"),
    "boolean for a number": (records({**LTP, "sintering_time_h": True}), "row 1: sintering_time_h: True"),
    "number for a category": (records({**LTP, "atmosphere": 5}), "row 1: atmosphere: 5"),
    "unknown category": (records({**LTP, "atmosphere": "Argonne"}), "Did you mean 'argon'?"),
    "value out of range": (records(LTP, {**LTP, "sintering_time_h": -2}), "row 2: sintering_time_h: -2"),
    "huge number": (records({**LTP, "pressure_mpa": 10**400}), "row 1: pressure_mpa: inf"),
    "infinity": (records({**LTP, "pressure_mpa": float("inf")}), "row 1: pressure_mpa: inf"),
    "NaN for a formula": (records({"formula": float("nan")}), "row 1: formula"),
    "nested list": (records({**LTP, "pressure_mpa": [1, 2]}), "row 1: pressure_mpa: [1, 2]"),
    "nested object": (records({"formula": {"a": 1}}), "row 1: formula: {'a': 1}"),
    "duplicate column": (
        {"dataframe_split": {"columns": ["formula", "formula"], "data": [["LTP", "LTP"]]}}, "'formula'",
    ),
    "no recipe": (records(), "no recipe"),
    "no row": ({"dataframe_split": {"columns": ["formula"], "data": []}}, "no recipe"),
    "too few cells": (
        {"dataframe_split": {"columns": ["formula", "atmosphere"], "data": [["LTP"]]}}, "row 1: 1 cells",
    ),
    "list of records": ([LTP], "the JSON is a list"),
    "two tables": (records(LTP) | {"inputs": [LTP]}, "exactly one of"),
    "unknown key": (records(LTP) | {"param": {}}, "Did you mean 'params'?"),
    "chat messages": ({"messages": []}, "'messages'"),
    "misspelled parameter": (records(LTP, levle=0.5), "Did you mean 'level'?"),
    "level above 1": (records(LTP, level=1.5), "level: 1.5"),
    "level as text": (records(LTP, level="most"), "level: 'most'"),
    "temperature out of range": (records(LTP, measurement_temperature_c=900), "measurement_temperature_c: 900"),
    "NaN for a temperature": (
        records(LTP, measurement_temperature_c=float("nan")), "measurement_temperature_c: nan",
    ),
}  # fmt: skip


def assert_rejected(answer: Answer, status: int, reason: str) -> None:
    assert answer.status == status, answer.text
    assert answer.headers["content-type"] == JSON
    error = answer.json()
    assert set(error) == {"error_code", "message"}
    assert reason in error["message"], error["message"]
    assert "Traceback" not in answer.text
    assert "site-packages" not in answer.text
    assert "Failed to predict" not in answer.text


@pytest.mark.parametrize("case", INVALID_TABLES)
def test_invalid_table_returns_400_and_names_the_problem(served: Served, case: str) -> None:
    content, reason = INVALID_TABLES[case]
    assert_rejected(served.invoke(content), 400, reason)


@pytest.mark.parametrize(
    ("body", "content_type", "status", "reason"),
    [
        (b"", JSON, 400, "empty"),
        (b" \n", CSV, 400, "empty"),
        (b'{"dataframe_records": [', JSON, 400, "line 1, column 24: not valid JSON"),
        (b'{"dataframe_records": [{"formula": "LTP", "formula": "LATP"}]}', JSON, 400, "'formula' is given twice"),
        (b"[" * 100_000, JSON, 400, "nested too deeply"),
        (b'{"dataframe_records": [{"formula": 1' + b"0" * 10_000 + b"}]}", JSON, 400, "row 1: formula: inf"),
        (b"\xff\xfe\x00", JSON, 400, "UTF-16"),
        (b"\x80\x04K\x01.", JSON, 400, "not UTF-8"),
        (b"formula\nLTP,900\n", CSV, 400, "line 2: 2 cells"),
        (b"formula,formula\nLTP,LTP\n", CSV, 400, "'formula' occurs more than once"),
        (b'formula\n"LTP\n', CSV, 400, "quotation marks"),
        (b"formula;sintering_time_h\nLTP;2,5\n", CSV, 400, "decimals with a point"),
        (b"formula,sintering_temp\nLTP,900\n", CSV, 400, "'sintering_temperature_c'"),
        (b"formula,sintering_time_h\nLTP,-1\n", CSV, 400, "row 1: sintering_time_h"),
        (b"formula\n", CSV, 400, "no recipe"),
        (b"{}", None, 415, "Content-Type: none"),
        (b"<recipe/>", "application/xml", 415, "'application/xml'"),
        (b"{}", "application/json; charset=latin-1", 415, "charset"),
        (b"PAR1", "application/vnd.apache.parquet", 415, "parquet"),
    ],
)
def test_unreadable_body_or_content_type_is_rejected(
    served: Served, body: bytes, content_type: str | None, status: int, reason: str
) -> None:
    assert_rejected(served.ask("/invocations", body, content_type), status, reason)


def test_misspelled_query_parameter_returns_400(served: Served) -> None:
    assert_rejected(served.ask("/invocations?levle=0.5", b"formula\nLTP\n", CSV), 400, "Did you mean 'level'?")


def test_nan_and_null_in_json_are_missing_values(served: Served) -> None:
    """MLflow's client writes missing values of pandas as NaN."""
    with_missing = predictions_of(
        served.invoke(records({**LTP, "sintering_time_h": float("nan"), "atmosphere": None}))
    )
    assert_same_predictions(with_missing, predictions_of(served.invoke(records(LTP))))


def test_oversized_requests_are_rejected_without_memory_growth(served: Served) -> None:
    served.invoke(records(*[LTP] * 200))
    before = served.resident_bytes()
    for _ in range(3):
        assert_rejected(served.ask("/invocations", b" " * (20 * MAX_BYTES)), 413, f"larger than {MAX_BYTES} bytes")
        assert_rejected(served.invoke(records(*[LTP] * (MAX_ROWS + 1))), 413, f"{MAX_ROWS + 1} recipes")
        assert_rejected(served.ask("/invocations", b"\n" * (3 * MAX_ROWS), CSV), 400, "empty")
        assert_rejected(served.ask("/invocations", b"formula\n" + b"LTP\n" * (3 * MAX_ROWS), CSV), 413, "lines")
    assert served.resident_bytes() < before + 8 * MAX_BYTES
    assert len(predictions_of(served.invoke(records(LTP)))) == 1


def test_unknown_path_returns_404_and_get_invocations_405(served: Served) -> None:
    assert served.ask("/nowhere").status == 404
    assert served.ask("/invocations").status == 405


def test_content_length_with_chunked_encoding_closes_the_connection(served: Served) -> None:
    table = json.dumps({"dataframe_records": [LTP]}).encode()
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(table), table)
    smuggled = b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"
    host = served.url.removeprefix("http://")
    head = f"POST /invocations HTTP/1.1\r\nHost: {host}\r\nContent-Type: {JSON}\r\nTransfer-Encoding: chunked\r\n"
    request = head.encode() + b"Content-Length: %d\r\n\r\n" % len(chunks) + chunks + smuggled
    name, port = host.split(":")
    with socket.create_connection((name, int(port)), timeout=60) as connection:
        connection.sendall(request)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1, "the smuggled request must not be answered"
