"""Parsing of requests to the scoring server: any bytes give a table in one form, or are refused."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.columns import Column
from nasicon_ml.errors import FieldError
from nasicon_ml.tracking.scoring import (
    CSV,
    JSON,
    MAX_BYTES,
    MAX_ROWS,
    RefusedRequest,
    read_params,
    read_request,
)

ROWS = [["LTP", 900], ["LATP x=0.3", None]]
FORMS = {
    "dataframe_records": [{"formula": "LTP", "sintering_temperature_c": 900}, {"formula": "LATP x=0.3"}],
    "instances": [{"formula": "LTP", "sintering_temperature_c": 900}, {"formula": "LATP x=0.3"}],
    "dataframe_split": {"columns": ["formula", "sintering_temperature_c"], "data": ROWS, "index": [5, 6]},
    "inputs": {"formula": ["LTP", "LATP x=0.3"], "sintering_temperature_c": [900, None]},
}


def read_json(content, query=""):
    return json.loads(read_request(json.dumps(content).encode(), JSON, query))


@pytest.mark.parametrize("form", FORMS)
def test_all_json_forms_are_converted_to_dataframe_split(form):
    assert read_json({form: FORMS[form]}) == {
        "dataframe_split": {"columns": ["formula", "sintering_temperature_c"], "data": ROWS},
        "params": {},
    }


@pytest.mark.parametrize("header", [CSV, "text/csv; charset=utf-8", 'Text/CSV;charset="UTF-8"'])
def test_csv_is_converted_to_dataframe_split_with_text_cells(header):
    content = json.loads(
        read_request(b"\xef\xbb\xbfformula,sintering_temperature_c\r\nLTP,900\r\nLATP x=0.3\r\n", header)
    )
    assert content["dataframe_split"]["data"] == [["LTP", "900"], ["LATP x=0.3", ""]]


def test_parameters_are_read_from_body_or_query_string():
    from_body = read_json(
        {"inputs": [{"formula": "LTP"}], "params": {"level": 0.5, "measurement_temperature_c": None}}
    )
    assert from_body["params"] == {"level": 0.5}
    from_query = read_request(b"formula\nLTP\n", CSV, "measurement_temperature_c=60&level=0.8")
    assert json.loads(from_query)["params"] == {"level": 0.8, "measurement_temperature_c": 60.0}
    with pytest.raises(RefusedRequest, match=r"level: 0\.9 is not accepted; allowed: every parameter once"):
        read_json({"inputs": [{"formula": "LTP"}], "params": {"level": 0.9}}, "level=0.5")


@pytest.mark.parametrize("value", ["x", "", True, [], {}, float("nan"), "nan", 10**400])
def test_level_that_is_not_a_number_is_refused(value):
    with pytest.raises(FieldError, match=r"level: .* is not accepted"):
        read_params([("level", value)])


@pytest.mark.parametrize("value", ["x", "", True, [], float("nan"), float("inf"), -101, 601, "298 K"])
def test_invalid_measurement_temperature_is_refused(value):
    with pytest.raises(FieldError, match=r"measurement_temperature_c: .* is not accepted"):
        read_params([("measurement_temperature_c", value)])


def test_number_of_recipes_is_limited():
    largest = read_json({"dataframe_split": {"columns": ["formula"], "data": [["LTP"]] * MAX_ROWS}})
    assert len(largest["dataframe_split"]["data"]) == MAX_ROWS
    with pytest.raises(RefusedRequest, match=f"{MAX_ROWS + 1} recipes are more") as caught:
        read_json({"dataframe_split": {"columns": ["formula"], "data": [["LTP"]] * (MAX_ROWS + 1)}})
    assert caught.value.status == 413


def test_number_of_bytes_is_limited():
    with pytest.raises(RefusedRequest, match=f"larger than {MAX_BYTES} bytes"):
        read_request(b" " * (MAX_BYTES + 1), JSON)


def test_byte_limit_suits_the_largest_number_of_complete_recipes():
    """Otherwise one of the two limits would make the other pointless."""
    row = {column.value: "x" * 30 for column in Column if column.role.value in {"composition", "processing"}}
    assert 0.2 < len(json.dumps(row)) * MAX_ROWS / MAX_BYTES < 1.5


def test_many_unknown_or_repeated_columns_are_refused_with_short_message():
    many = [{f"name {number}": 1} for number in range(20_000)]
    with pytest.raises(RefusedRequest, match="'name 0'") as caught:
        read_json({"dataframe_records": many})
    assert len(caught.value.message) < 5_000
    with pytest.raises(RefusedRequest, match="twice"):
        read_json({"dataframe_split": {"columns": ["formula"] * 200_000, "data": []}})


@pytest.mark.parametrize("item", ["[]", "{}", "[[]]"])
def test_too_many_lists_and_objects_are_refused(item):
    body = f'{{"dataframe_records": [{",".join([item] * 200_000)}]}}'.encode()
    with pytest.raises(RefusedRequest, match="more lists and objects"):
        read_request(body, JSON)


def test_brackets_in_formulas_are_accepted():
    rows = [{"formula": "Li1.3[Al0.3Ti1.7]{PO4}3"}] * MAX_ROWS
    assert len(read_json({"inputs": rows})["dataframe_split"]["data"]) == MAX_ROWS


def test_csv_with_wide_header_and_many_short_rows_is_refused():
    """Rows padded to the width of the header would fill the memory."""
    with pytest.raises(RefusedRequest):
        read_request(b"formula," * 100_000 + b"formula\n" + b"x\n" * 500_000, CSV)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10)
NAMES = st.sampled_from(
    ["formula", "sintering_temperature_c", "dataframe_records", "dataframe_split", "inputs", "instances", "params",
     "columns", "data", "index", "level", "LTP"]
)  # fmt: skip
ANY_JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=5), inner, max_size=4),
)


def assert_table_or_refusal(body, content_type, query=""):
    content = {}
    with contextlib.suppress(RefusedRequest):
        content = json.loads(read_request(body, content_type, query))
    if not content:
        with pytest.raises(RefusedRequest) as caught:
            read_request(body, content_type, query)
        assert caught.value.status in {400, 413, 415}
        assert caught.value.message
        return
    columns, rows = content["dataframe_split"]["columns"], content["dataframe_split"]["data"]
    assert set(columns) <= set(Column)
    assert all(len(row) == len(columns) for row in rows)
    assert rows
    assert set(content["params"]) <= {"level", "measurement_temperature_c"}


@given(st.dictionaries(NAMES, ANY_JSON, max_size=3) | ANY_JSON)
def test_any_json_gives_a_table_or_is_refused(content):
    assert_table_or_refusal(json.dumps(content).encode(), JSON)


@given(
    st.binary(max_size=200), st.sampled_from([JSON, CSV]) | st.text(max_size=20) | st.none(), st.text(max_size=20)
)
def test_any_bytes_give_a_table_or_are_refused(body, content_type, query):
    assert_table_or_refusal(body, content_type, query)


@given(st.lists(st.lists(st.text(max_size=8), max_size=4), max_size=4))
def test_any_csv_gives_a_table_or_is_refused(cells):
    text = "formula,sintering_temperature_c\n" + "\n".join(",".join(row) for row in cells)
    assert_table_or_refusal(text.encode("utf-8", "surrogatepass"), CSV)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"dataframe_split": {"columns": ["formula", "atmosphere"], "data": [["LTP"]]}}, "row 1: 1 cells"),
        ({"dataframe_split": {"columns": ["formula"], "data": [["LTP"], "LTP"]}}, "row 2: a text where a list"),
        ({"dataframe_split": {"data": [["LTP"]]}}, "an object with columns and data"),
        ({"dataframe_split": {"columns": "formula", "data": []}}, "are to be lists"),
        ({"dataframe_records": [{"formula": "LTP"}, 5]}, "row 2: a number where an object"),
        ({"dataframe_records": {"formula": "LTP"}}, "dataframe_records is an object"),
        ({"inputs": {"formula": ["LTP", "LTP"], "atmosphere": ["Ar"]}}, "differ in length"),
        ({"inputs": {"formula": "LTP"}}, "'formula' holds a text"),
        ({"dataframe_records": [], "inputs": []}, "given: dataframe_records, inputs"),
        ({"params": {}}, "given: none"),
        ({"inputs": [{"formula": "LTP"}], "params": [1]}, "params is a list"),
        ({"inputs": [{"formula": "LTP"}], "signature_name": "x"}, "'signature_name' is not accepted"),
        (None, "the JSON is null"),
    ],
)
def test_malformed_table_or_params_are_refused(content, message):
    with pytest.raises(RefusedRequest, match=message):
        read_json(content)


@pytest.mark.parametrize(
    ("digits", "value"), [("9" * 18, 10**18 - 1), ("9" * 400, float("inf")), ("-" + "9" * 5000, -float("inf"))]
)
def test_integers_of_any_size_are_read_as_numbers(digits, value):
    """A value too large for Python or pandas becomes infinity, which the check of its column refuses."""
    body = f'{{"inputs": [{{"formula": "LTP", "pressure_mpa": {digits}}}]}}'.encode()
    assert json.loads(read_request(body, JSON))["dataframe_split"]["data"] == [["LTP", value]]


@pytest.mark.parametrize(
    "text",
    [
        '{"inputs": [{"formula": "LTP", "formula": "LATP x=0.3"}]}',
        '{"inputs": [], "inputs": [{"formula": "LTP"}]}',
        '{"inputs": [{"formula": "LTP"}], "params": {"level": 0.5, "level": 0.9}}',
    ],
)
def test_repeated_json_key_is_refused(text):
    with pytest.raises(RefusedRequest, match="is given twice in one object"):
        read_request(text.encode(), JSON)
