"""The reader of binary JSON, held against a writer made from the format's description."""

from __future__ import annotations

import contextlib
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.estimators.ubjson import MAX_DEPTH, read_ubjson


def sized(text):
    raw = text.encode()
    return b"L" + struct.pack(">q", len(raw)) + raw


def counted(mark, count):
    return mark + b"#L" + struct.pack(">q", count)


def encoded_number(value):
    for mark, code in (("i", "b"), ("U", "B"), ("I", "h"), ("l", "i"), ("L", "q")):
        try:
            return mark.encode() + struct.pack(f">{code}", value)
        except struct.error:
            continue
    raise ValueError(value)


def encoded_array(value):
    mark = {"float32": b"d", "int32": b"l", "uint8": b"U", "int64": b"L"}[value.dtype.name]
    return counted(b"[$" + mark, len(value)) + value.astype(value.dtype.newbyteorder(">")).tobytes()


WRITERS = {
    type(None): lambda _: b"Z",
    bool: lambda value: b"T" if value else b"F",
    int: encoded_number,
    float: lambda value: b"D" + struct.pack(">d", value),
    str: lambda value: b"S" + sized(value),
    list: lambda value: counted(b"[", len(value)) + b"".join(map(encoded, value)),
    dict: lambda value: b"{" + b"".join(sized(name) + encoded(one) for name, one in value.items()) + b"}",
    np.ndarray: encoded_array,
}


def encoded(value):
    return WRITERS[type(value)](value)


TEXT = st.text(st.characters(blacklist_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_what_is_written_is_read(value):
    assert read_ubjson(encoded(value)) == value


@pytest.mark.parametrize("dtype", ["float32", "int32", "uint8", "int64"])
def test_arrays_of_one_type_come_in_the_byte_order_of_the_machine(dtype):
    array = np.array([0, 1, 100], dtype=dtype)
    found = read_ubjson(encoded({"a": array}))["a"]
    assert found.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(found, array)


@given(VALUES, st.data())
def test_a_file_that_ends_early_is_refused(value, data):
    whole = encoded({"a": value, "b": np.arange(3, dtype="int32")})
    with pytest.raises(ValueError, match=r"ends too early|more than the file holds"):
        read_ubjson(whole[: data.draw(st.integers(0, len(whole) - 1))])


@given(st.binary(max_size=60))
def test_noise_is_refused_or_read_and_nothing_else(noise):
    with contextlib.suppress(ValueError):
        read_ubjson(b"{" + noise)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (encoded(1) + b"Z", "byte 2: there is more than one value"),
        (b"N", "byte 0: unknown mark 'N'"),
        (b"[]  ", "byte 1: an array without type and count"),
        (b"[$S#L" + bytes(8), "byte 1: an array without type and count, or of unknown type"),
        (b"[#i\x01Z", "a count that is not of the type L"),
        (b"[#L" + struct.pack(">q", -1), "a count of -1"),
        (b"[$d#L" + struct.pack(">q", 2**61), "which is more than the file holds"),
        (b"[#L" + struct.pack(">q", 2**40) + b"Z", "which is more than the file holds"),
        (b"S" + sized("a" * 10_001), "a text of 10001 bytes"),
        (b"SL" + struct.pack(">q", 1) + b"\xff", "can't decode"),
        (b"{" + sized("a") + b"Z" + sized("a") + b"Z}", "'a' stands twice"),
        (b"{" + sized("a"), "ends too early"),
        ((b"{" + sized("a")) * 5000, "nested too deeply"),
        ((b"[#L" + struct.pack(">q", 1)) * 5000, "nested too deeply"),
    ],
)
def test_what_xgboost_does_not_write_is_refused(data, match):
    with pytest.raises(ValueError, match=match):
        read_ubjson(data)


def test_depth_has_a_limit():
    deep: object = None
    for _ in range(MAX_DEPTH):
        deep = [deep]
    assert read_ubjson(encoded(deep)) == deep
    with pytest.raises(ValueError, match="nested too deeply"):
        read_ubjson(encoded([deep]))


def test_some_arrays_can_have_readers_of_their_own():
    data = encoded({"a": [1], "b": [2], "c": "text"})
    found = read_ubjson(data, {"b": lambda _, at: ("mine", at + 1 + 9 + 2), "c": lambda _, at: (None, at)})
    assert found == {"a": [1], "b": "mine", "c": "text"}, "c is no array"
