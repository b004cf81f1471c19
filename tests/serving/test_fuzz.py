"""Hundreds of malformed requests to the real server get status 4xx with a message, or predictions; never 500."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.columns import PREDICTION, RECIPE
from tests.fuzz.conftest import fuzz
from tests.fuzz.files import Sample, any_file, encoded
from tests.fuzz.oracle import check_message
from tests.fuzz.tally import TALLY, Verdict, in_time
from tests.fuzz.test_recipes import JSON_TEXTS
from tests.fuzz.texts import HOSTILE, damaged, odd_formula, odd_name, odd_text
from tests.recipe.strategies import recipe_fields
from tests.serving.server import CSV, JSON, Answer, Served

pytestmark = pytest.mark.slow
CHANNEL = "HTTP"
PATH = "/invocations"
#: JSON values, including NaN and infinity, which only Python's `json` writes.
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**30), 10**30), st.floats(), st.sampled_from(HOSTILE), odd_text,
    st.sampled_from([[], {}, [800], {"value": 800}, [[[]]], "800 °C", "1,5", 1e400, -5, 1073.15, 10**400,
    "9" * 5000, ""]),
)  # fmt: skip
NAMES = st.sampled_from([column.value for column in RECIPE])
RECIPES = st.lists(recipe_fields(), min_size=1, max_size=2)


def check_response(
    served: Served, body: bytes | None, content_type: str | None = JSON, *, path: str = PATH, method: str = ""
) -> None:
    """Send a request; check that it gets valid predictions, or an error that reveals no internals."""
    answer: Answer = in_time(CHANNEL, lambda: served.ask(path, body, content_type, method=method), elsewhere=True)
    assert answer.status in {200, 307} or 400 <= answer.status < 500, (answer.status, answer.text[:2000])
    if answer.status == 307:  # redirect to the path without the trailing slash
        assert not answer.body
        TALLY.add(CHANNEL, Verdict.REFUSED)
        return
    if answer.status != 200:
        check_message(answer.text)
        assert len(answer.text) < 10_000
        error = json.loads(answer.body)
        assert error.get("message") or error.get("detail"), error
        TALLY.add(CHANNEL, Verdict.REFUSED)
        return
    for row in answer.json()["predictions"]:
        check_row(row)
    TALLY.add(CHANNEL, Verdict.ANSWERED)


def check_row(row: dict[str, Any]) -> None:
    assert list(row) == [column.value for column in PREDICTION]
    lower, value, upper = (row[f"predicted_conductivity_{part}s_cm"] for part in ("lower_", "", "upper_"))
    assert 0 < lower <= value <= upper < float("inf")
    lower, value, upper = (row[f"predicted_relative_density_{part}pct"] for part in ("lower_", "", "upper_"))
    assert 0 < lower <= value <= upper <= 100
    assert 0 <= row["predicted_phase_purity"] <= 1


@fuzz(150)
@given(recipes=RECIPES, changes=st.dictionaries(NAMES | odd_name, VALUES, min_size=1, max_size=2))
def test_records_with_invalid_values_get_predictions_or_4xx(
    recipes: list[dict[str, Any]], changes: dict[str, Any], served: Served
) -> None:
    records = [recipes[0] | changes, *recipes[1:]]
    check_response(served, json.dumps({"dataframe_records": records}).encode())


@fuzz(60)
@given(formula=odd_formula)
def test_unusual_formulas_get_predictions_or_4xx(formula: str, served: Served) -> None:
    check_response(served, json.dumps({"dataframe_records": [{"formula": formula}]}).encode())


SPLITS = st.fixed_dictionaries(
    {},
    optional={
        "columns": st.lists(NAMES | odd_name | VALUES, max_size=4) | VALUES,
        "data": st.lists(st.lists(VALUES, max_size=4), max_size=3) | VALUES,
        "index": st.lists(VALUES, max_size=3) | VALUES,
    },
)


@fuzz(60)
@given(split=SPLITS)
def test_malformed_dataframe_split_gets_predictions_or_4xx(split: dict[str, Any], served: Served) -> None:
    check_response(served, json.dumps({"dataframe_split": split}).encode())


@fuzz(60)
@given(
    params=st.dictionaries(
        st.sampled_from(["level", "measurement_temperature_c", "at_c", "model"]) | odd_text, VALUES, max_size=3
    )
    | VALUES
)
def test_invalid_params_get_predictions_or_4xx(params: Any, served: Served) -> None:
    check_response(
        served, json.dumps({"dataframe_records": [{"formula": "LATP x=0.3"}], "params": params}).encode()
    )


@fuzz(80)
@given(
    text=st.sampled_from(JSON_TEXTS)
    | damaged(RECIPES.map(lambda rows: json.dumps({"dataframe_records": rows})), '{}[]",:\\\x00\ud800')
)
def test_damaged_json_gets_predictions_or_4xx(text: str, served: Served) -> None:
    check_response(served, encoded(text))


@fuzz(100)
@given(sample=any_file, content_type=st.sampled_from([CSV, CSV, CSV, JSON]))
def test_arbitrary_files_get_predictions_or_4xx(sample: Sample, content_type: str, served: Served) -> None:
    check_response(served, sample.data, content_type)


CONTENT_TYPES = [
    None, "", "text/plain", "text/html", "application/xml", "application/x-www-form-urlencoded",
    "multipart/form-data", "text/csv; charset=utf-16",
    "application/json; charset=latin-1", "application/json; format=pandas-split", "application/octet-stream",
    "a" * 4000, "application/json;;;=",
    "text/csv; header=absent", "application/x-yaml", "application/vnd.apache.parquet", "APPLICATION/JSON",
    "../../etc/passwd",
]  # fmt: skip


@pytest.mark.parametrize("content_type", CONTENT_TYPES, ids=range(len(CONTENT_TYPES)))
@pytest.mark.parametrize(
    "body", [b'{"dataframe_records": [{"formula": "LTP"}]}', b"formula\nLTP\n", b"", b"\0" * 100]
)
def test_unusual_content_types_get_predictions_or_4xx(
    content_type: str | None, body: bytes, served: Served
) -> None:
    check_response(served, body, content_type)


BODIES = [
    b"[" * 1_000_000, b'{"a":' * 500_000, b'{"dataframe_records": [' + b'{"formula": "LTP"},' * 100_000,
    b'"' + b"a" * 5_000_000,
    b'{"dataframe_records": [{"formula": "' + b"Li" * 2_000_000 + b'"}]}',
    b'{"inputs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"instances": [1, 2, 3]}', b'{"inputs": {"formula": ["LTP"]}}',
    b'{"dataframe_records": {"formula": "LTP"}}', b"null", b"[]",
    b'{"dataframe_records": []}', b'{"dataframe_records": [{"formula": "LTP"}], "dataframe_split": {}}',
    b'{"prompt": "hello"}', b"\xff\xfe",
    b'{"dataframe_records": [{"formula": "LTP", "formula": "LGP"}]}',
    b'{"dataframe_records": [{"formula": "LTP"}], "dataframe_records": []}',
    b'{"dataframe_records": [{"formula": "LTP", "sintering_time_h": ' + b"9" * 100_000 + b"}]}",
    b'{"messages": []}', b"-", b"{}" * 1000,
    b'{"dataframe_records": [{"formula": "LTP", "' + b"c" * 1_000_000 + b'": 1}]}',
    b'{"dataframe_records": [[["LTP"]]]}', b"1e999",
    b'{"dataframe_records": [{' + b",".join(b'"c%d": 1' % n for n in range(100_000)) + b"}]}",
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_huge_or_meaningless_bodies_get_predictions_or_4xx(body: bytes, served: Served) -> None:
    check_response(served, body)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "EVAL"])
def test_unusual_http_methods_get_predictions_or_4xx(method: str, served: Served) -> None:
    check_response(served, b"{}", method=method)


@pytest.mark.parametrize(
    "path",
    [
        "/invocations/",
        "/invocations/../../etc/passwd",
        "/%00",
        "/invocations?level=nan",
        "/" + "a" * 5000,
        "/.env",
    ],
)
def test_unusual_paths_get_predictions_or_4xx(path: str, served: Served) -> None:
    check_response(served, b'{"dataframe_records": [{"formula": "LTP"}]}', path=path)


def test_server_still_predicts_after_malformed_requests(served: Served, request: pytest.FixtureRequest) -> None:
    """If the whole file is run, the minimum number of malformed requests is checked as well."""
    answer = served.invoke({"dataframe_records": [{"formula": "LATP x=0.3"}]})
    assert answer.status == 200
    check_row(answer.json()["predictions"][0])
    print(dict(TALLY.verdicts[CHANNEL]))  # noqa: T201  (shown by pytest -s)
    if len([item for item in request.session.items if item.path == request.path]) > 100:
        assert TALLY.verdicts[CHANNEL].total() >= 500
        assert TALLY.verdicts[CHANNEL][Verdict.REFUSED] >= 400
