"""Error messages name the field, the value, what is allowed, and what was probably meant."""

import copy

import numpy as np
import pytest

from nasicon_ml.columns import Column
from nasicon_ml.errors import (
    FieldError,
    FormulaError,
    LeakageError,
    MissingExtraError,
    NasiconError,
    SpaceError,
    UnreadableFileError,
    nearest,
    number_hint,
    text_problem,
)


def test_space_error_message_begins_with_file_and_line() -> None:
    error = SpaceError("x", 3, "a number from 0 to 2", "Take less.", "space.yaml, line 7")
    assert str(error) == "space.yaml, line 7: x: 3 is not accepted; allowed: a number from 0 to 2. Take less."
    assert str(SpaceError("x", 3, "a number")) == "x: 3 is not accepted; allowed: a number"
    assert isinstance(error, FieldError)


@pytest.mark.parametrize(
    ("word", "choices", "hint"),
    [
        ("argn", ["air", "Argon"], "Did you mean 'Argon'?"),
        ("sintring_temperature_c", Column, "Did you mean 'sintering_temperature_c'?"),
        ("zzz", ["air", "argon"], ""),
        ("", ["air"], ""),
        ("air", [], ""),
    ],
)
def test_nearest_suggests_the_most_similar_choice(word: str, choices: list[str], hint: str) -> None:
    assert nearest(word, choices) == hint


def test_field_error_message_has_field_value_allowed_and_hint() -> None:
    error = FieldError("atmosphere", "steam", "air, Ar", "Did you mean 'air'?")
    assert str(error) == "atmosphere: 'steam' is not accepted; allowed: air, Ar. Did you mean 'air'?"
    assert (error.field, error.value, error.allowed) == ("atmosphere", "steam", "air, Ar")


@pytest.mark.parametrize(
    "error",
    [
        SpaceError("x", 3, "a number from 0 to 2", "Take less.", "space.yaml, line 7"),
        MissingExtraError("Matplotlib", "plots", "a figure"),
        UnreadableFileError("no table"),
    ],
)
def test_copied_error_keeps_type_message_and_attributes(error: NasiconError) -> None:
    """Errors of worker processes are rebuilt in the same way, by `__reduce__`."""
    copied = copy.copy(error)
    assert type(copied) is type(error)
    assert str(copied) == str(error)
    assert vars(copied) == vars(error)


def test_field_error_message_without_hint() -> None:
    assert str(FieldError("pressure_mpa", 5, "text")) == "pressure_mpa: 5 is not accepted; allowed: text"


def test_error_hierarchy_and_missing_extra_message() -> None:
    assert issubclass(FormulaError, FieldError)
    assert issubclass(FieldError, ValueError)
    assert issubclass(LeakageError, NasiconError)
    assert "pip install 'nasicon-ml[plots]'" in str(MissingExtraError("matplotlib", "plots", "drawing"))


def test_numpy_number_is_shown_as_plain_number():
    assert str(FieldError("pressure_mpa", np.float64(-1.0), "a number")).startswith("pressure_mpa: -1.0 is not")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("1x10-4", "Write 1e-4."),
        ("1.2 \u00d7 10^\u22124", "Write 1.2e-4."),
        ("3*10^+2", "Write 3e2."),
        ("1,5", "Write decimals with a point."),
        (">90", "Write 90, and lower into density_bound."),
        ("≥ 90 %", "Write 90, and lower into density_bound."),
        ("<1e-10", "Write 1e-10, and upper into density_bound."),
        ("ninety", ""),
        ("1x4", ""),
        (">", ""),
    ],
)
def test_number_hint_suggests_the_accepted_notation(text: str, hint: str) -> None:
    assert number_hint(text, "density_bound") == hint


def test_number_hint_for_bound_without_bound_column() -> None:
    assert number_hint(">5") == "Write the number alone: 5."


def test_field_error_message_is_escaped_and_truncated() -> None:
    error = FieldError("\x1b[2J" + "a" * 10**6, 10**5000, "text", "b" * 10**6 + "\ud800")
    assert "\\x1b[2Jaaa" in error.message
    assert "a int" in error.message
    assert error.message.endswith("b\\ud800")
    assert len(error.message) < 3_000


def test_unreadable_file_message_escapes_control_characters() -> None:
    error = UnreadableFileError("table.parquet: not a Parquet file (don't know what type: \x0e)\nsecond line")
    assert str(error) == "table.parquet: not a Parquet file (don't know what type: \\x0e)\nsecond line"


@pytest.mark.parametrize("text", ["\x00", "LiF\x1b[2J", "\ud800", "a" * 2_001, "raj\u202e2023", "a\u2066b"])
def test_text_problem_reports_unprintable_and_long_texts(text: str) -> None:
    assert text_problem(text)


@pytest.mark.parametrize("text", ["", "LiF", " LiF\tglass\n", "20Li₂O·V₂O₅ glass, 5 µm", "a" * 2_000, "\u200b"])
def test_text_problem_is_empty_for_printable_texts(text: str) -> None:
    assert text_problem(text) == ""
