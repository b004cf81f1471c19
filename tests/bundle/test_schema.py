from __future__ import annotations

import pytest

from nasicon_ml.bundle.schema import any_of, boolean, integer, list_of, mapping_of, number, one_of, record, text

CHECK = record(
    {"n": number(0, 1), "names": list_of(text(3), 1, 2)},
    {
        "by": mapping_of(integer(0, 9), 2, ("a", "b", "c")),
        "kind": one_of(("x", "y")),
        "any": any_of(boolean(), text(2)),
    },
)
VALID = {"n": 0.5, "names": ["abc"]}


@pytest.mark.parametrize(
    "changes", [{}, {"n": 0}, {"n": 1}, {"by": {"a": 0, "c": 9}}, {"kind": "y"}, {"any": True}, {"any": "no"}]
)
def test_valid_content_is_accepted(changes):
    CHECK(VALID | changes, "")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"n": "0.5"}, r"^n: '0\.5' is not accepted; allowed: a number from 0 to 1$"),
        ({"n": True}, "^n: True is not accepted"),
        ({"n": None}, "^n: None is not accepted"),
        ({"n": -0.001}, r"^n: -0\.001 is not accepted"),
        ({"n": float("nan")}, "^n: nan is not accepted"),
        ({"n": 10**400}, "^n: 1000.* is not accepted"),
        ({"names": []}, "^names: a list of 0 is not accepted; allowed: a list of 1 to 2"),
        ({"names": ["a", 5]}, r"^names\[1\]: 5 is not accepted; allowed: text of at most 3"),
        ({"names": "ab"}, "^names: 'ab' is not accepted"),
        ({"by": {"a": 1.0}}, r"^by\.a: 1\.0 is not accepted; allowed: a whole number"),
        ({"by": {"d": 1}}, "^by: 'd' is not accepted; allowed: one of a, b, c"),
        ({"by": {"a": 1, "b": 1, "c": 1}}, "^by: an object of 3 is not accepted"),
        ({"kind": "z"}, "^kind: 'z' is not accepted; allowed: one of x, y"),
        ({"kind": []}, "^kind: a list of 0 is not accepted"),
        ({"any": 1}, "^any: 1 is not accepted"),
        ({"other": 1}, "^other is not known"),
        ({"": 1}, "^'' is not known"),
        ({"a\nb": 1}, r"^'a\\nb' is not known"),
    ],
)
def test_invalid_content_is_refused_with_its_path(changes, match):
    with pytest.raises(ValueError, match=match):
        CHECK(VALID | changes, "")


def test_missing_field_is_reported_with_its_path():
    with pytest.raises(ValueError, match=r"^place\.names is missing"):
        CHECK({"n": 1}, "place")


def test_long_values_are_shortened_in_messages():
    with pytest.raises(ValueError, match=r"^kind: 'x{39}\.\.\. is not accepted"):
        CHECK(VALID | {"kind": "x" * 10_000}, "")
