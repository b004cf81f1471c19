"""`mlflow models serve` as it is started by hand, asked over HTTP: the right numbers, or 400 and a reason."""

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


def answered(answer: Answer) -> pd.DataFrame:
    assert (answer.status, answer.headers["content-type"]) == (200, JSON), answer.text
    return pd.DataFrame(answer.json()["predictions"], columns=[column.value for column in PREDICTION])


def same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    numbers = expected[NUMBERS].to_numpy(float)
    np.testing.assert_allclose(found[NUMBERS].to_numpy(float), numbers, rtol=1e-9, atol=0)
    assert found[OTHERS].fillna("").to_numpy().tolist() == expected[OTHERS].fillna("").to_numpy().tolist()


@pytest.fixture(scope="module")
def recipes(bundle: Path) -> str:
    """The example's recipes, and one measured pellet in thirty, as CSV."""
    names = [column.value for column in MODEL_INPUT]
    pellets = PropertyModel.load(bundle).pellets[names].iloc[::30]
    example = pd.read_csv(ROOT / "examples" / "recipes.csv")
    return pd.concat([example.drop(columns=Column.PELLET_ID), pellets])[names].to_csv(index=False)


@pytest.fixture(scope="module")
def by_command(recipes: str, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """What `nasicon-ml predict` writes for them."""
    folder = tmp_path_factory.mktemp("command")
    (folder / "recipes.csv").write_text(recipes, encoding="utf-8")
    command = [str(PROGRAM), "predict", "recipes.csv", "--model", str(bundle), "--json", "--output", "out.csv"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    written = pd.read_csv(folder / "out.csv", float_precision="round_trip")
    shown = [answer["conductivity"]["value"] for answer in json.loads(done.stdout)["predictions"]]
    assert written[Column.PREDICTED_CONDUCTIVITY_S_CM].tolist() == shown
    return written


def test_csv_gives_the_numbers_of_the_command(served: Served, recipes: str, by_command: pd.DataFrame) -> None:
    same(answered(served.ask("/invocations", recipes.encode(), CSV)), by_command)


def test_records_and_split_give_the_numbers_of_the_command(
    served: Served, recipes: str, by_command: pd.DataFrame
) -> None:
    table = pd.read_csv(io.StringIO(recipes), float_precision="round_trip")
    split = json.loads(table.to_json(orient="split", double_precision=15))
    same(answered(served.invoke({"dataframe_split": split})), by_command)
    # Only what is stated: every record has other fields.
    rows = [{name: cell for name, cell in row.items() if pd.notna(cell)} for row in table.to_dict("records")]
    assert len({tuple(row) for row in rows}) > 5
    same(answered(served.invoke(records(*rows))), by_command)


def test_the_parameters_are_those_of_the_command(served: Served, bundle: Path, tmp_path: Path) -> None:
    table = "formula,measurement_temperature_c\nLTP,25\nLATP x=0.3,\n"
    (tmp_path / "in.csv").write_text(table)
    command = [str(PROGRAM), "predict", "in.csv", "--model", str(bundle), "--output", "out.csv"]
    subprocess.run([*command, "--level", "0.5", "--at", "80"], cwd=tmp_path, capture_output=True, check=True)
    expected = pd.read_csv(tmp_path / "out.csv", float_precision="round_trip")
    rows = ({"formula": "LTP", "measurement_temperature_c": 25}, {"formula": "LATP x=0.3"})
    same(answered(served.invoke(records(*rows, level=0.5, measurement_temperature_c=80))), expected)
    address = "/invocations?level=0.5&measurement_temperature_c=80"
    same(answered(served.ask(address, table.encode(), CSV)), expected)


@pytest.mark.parametrize("path", ["/ping", "/health", "/version"])
def test_it_says_that_it_is_there(served: Served, path: str) -> None:
    answer = served.ask(path)
    assert answer.status == 200
    if path == "/version":
        import mlflow

        assert answer.text == mlflow.__version__


BAD: dict[str, tuple[Any, str]] = {
    "unknown column": (records({**LTP, "sintering_temp": 900}), "'sintering_temp'"),
    "the right column": (records({**LTP, "sintering_temp": 900}), "Did you mean 'sintering_temperature_c'?"),
    "no formula": (records({"sintering_time_h": 2}), "a table with formula"),
    "a formula that is none": (records({"formula": "Xx2"}), "row 1: formula: 'Xx2'"),
    "not ASCII": (records({"formula": "锂"}), "row 1: formula: '锂'"),
    "half a character": (records({"formula": "Li\ud800"}), "row 1: formula"),
    "wrong type": (records({**LTP, "sintering_temperature_c": "hot"}), "row 1: sintering_temperature_c: 'hot'"),
    "a flag for a number": (records({**LTP, "sintering_time_h": True}), "row 1: sintering_time_h: True"),
    "a number for a word": (records({**LTP, "atmosphere": 5}), "row 1: atmosphere: 5"),
    "an unknown word": (records({**LTP, "atmosphere": "Argonne"}), "Did you mean 'argon'?"),
    "impossible value": (records(LTP, {**LTP, "sintering_time_h": -2}), "row 2: sintering_time_h: -2"),
    "huge number": (records({**LTP, "pressure_mpa": 10**400}), "row 1: pressure_mpa: inf"),
    "infinity": (records({**LTP, "pressure_mpa": float("inf")}), "row 1: pressure_mpa: inf"),
    "NaN for a formula": (records({"formula": float("nan")}), "row 1: formula"),
    "nested list": (records({**LTP, "pressure_mpa": [1, 2]}), "row 1: pressure_mpa: [1, 2]"),
    "nested object": (records({"formula": {"a": 1}}), "row 1: formula: {'a': 1}"),
    "column twice": (
        {"dataframe_split": {"columns": ["formula", "formula"], "data": [["LTP", "LTP"]]}}, "'formula'",
    ),
    "no recipe": (records(), "no recipe"),
    "no row": ({"dataframe_split": {"columns": ["formula"], "data": []}}, "no recipe"),
    "too few cells": (
        {"dataframe_split": {"columns": ["formula", "atmosphere"], "data": [["LTP"]]}}, "row 1: 1 cells",
    ),
    "a list": ([LTP], "the JSON is a list"),
    "two tables": (records(LTP) | {"inputs": [LTP]}, "exactly one of"),
    "unknown key": (records(LTP) | {"param": {}}, "Did you mean 'params'?"),
    "a question to a chat model": ({"messages": []}, "'messages'"),
    "misspelled parameter": (records(LTP, levle=0.5), "Did you mean 'level'?"),
    "level above all": (records(LTP, level=1.5), "level: 1.5"),
    "level in words": (records(LTP, level="most"), "level: 'most'"),
    "temperature out of range": (records(LTP, measurement_temperature_c=900), "measurement_temperature_c: 900"),
    "NaN for a temperature": (
        records(LTP, measurement_temperature_c=float("nan")), "measurement_temperature_c: nan",
    ),
}  # fmt: skip


def refused(answer: Answer, status: int, reason: str) -> None:
    assert answer.status == status, answer.text
    assert answer.headers["content-type"] == JSON
    said = answer.json()
    assert set(said) == {"error_code", "message"}
    assert reason in said["message"], said["message"]
    assert "Traceback" not in answer.text
    assert "site-packages" not in answer.text
    assert "Failed to predict" not in answer.text


@pytest.mark.parametrize("case", BAD)
def test_a_bad_table_is_refused_with_the_name_of_what_is_wrong(served: Served, case: str) -> None:
    content, reason = BAD[case]
    refused(served.invoke(content), 400, reason)


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
def test_what_is_no_table_is_refused(
    served: Served, body: bytes, content_type: str | None, status: int, reason: str
) -> None:
    refused(served.ask("/invocations", body, content_type), status, reason)


def test_a_misspelled_parameter_in_the_address_is_refused(served: Served) -> None:
    refused(served.ask("/invocations?levle=0.5", b"formula\nLTP\n", CSV), 400, "Did you mean 'level'?")


def test_nan_in_json_is_a_field_that_is_not_known(served: Served) -> None:
    """So MLflow's own client writes what a table of pandas lacks."""
    gap = answered(served.invoke(records({**LTP, "sintering_time_h": float("nan"), "atmosphere": None})))
    same(gap, answered(served.invoke(records(LTP))))


def test_what_is_too_large_is_refused_and_not_kept(served: Served) -> None:
    served.invoke(records(*[LTP] * 200))
    before = served.resident_bytes()
    for _ in range(3):
        refused(served.ask("/invocations", b" " * (20 * MAX_BYTES)), 413, f"larger than {MAX_BYTES} bytes")
        refused(served.invoke(records(*[LTP] * (MAX_ROWS + 1))), 413, f"{MAX_ROWS + 1} recipes")
        refused(served.ask("/invocations", b"\n" * (3 * MAX_ROWS), CSV), 400, "empty")
        refused(served.ask("/invocations", b"formula\n" + b"LTP\n" * (3 * MAX_ROWS), CSV), 413, "lines")
    assert served.resident_bytes() < before + 8 * MAX_BYTES
    assert len(answered(served.invoke(records(LTP)))) == 1


def test_other_addresses_are_the_servers_own(served: Served) -> None:
    assert served.ask("/nowhere").status == 404
    assert served.ask("/invocations").status == 405


def test_a_request_of_two_lengths_ends_its_connection(served: Served) -> None:
    table = json.dumps({"dataframe_records": [LTP]}).encode()
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(table), table)
    hidden = b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"
    host = served.url.removeprefix("http://")
    head = f"POST /invocations HTTP/1.1\r\nHost: {host}\r\nContent-Type: {JSON}\r\nTransfer-Encoding: chunked\r\n"
    request = head.encode() + b"Content-Length: %d\r\n\r\n" % len(chunks) + chunks + hidden
    name, port = host.split(":")
    with socket.create_connection((name, int(port)), timeout=60) as connection:
        connection.sendall(request)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1, "what stands behind it is no request of its own"
