"""Strict reading and writing of JSON."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.io.structured import dump_json, load_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES)
def test_json_round_trip_gives_equal_value_and_bytes(value):
    try:
        data = dump_json(value)
    except UnicodeEncodeError:  # a lone surrogate cannot be encoded
        return
    assert load_json(data.decode("utf-8"), finite=True) == value
    assert dump_json(load_json(data.decode("utf-8"), finite=True)) == data


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [-float("inf")]}])
def test_nan_and_infinity_are_not_written(value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        dump_json(value)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"NaN", "NaN is not a number"),
        (b"[-Infinity]", "-Infinity is not a number"),
        (b"1e999", "1e999 is too large a number"),
        (b"9" * 5000, "limit"),
        (b'{"a": 1, "b": 2, "a": 3}', "'a' occurs twice"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"\xff", "codec can't decode"),
        (b"{} {}", "Extra data"),
        (b"", "Expecting value"),
    ],
)
def test_invalid_or_non_finite_json_raises(data, match):
    with pytest.raises(ValueError, match=match):
        load_json(data.decode("utf-8"), finite=True)
