"""Suggestions of columns for names that people write."""

import pytest

from nasicon_ml.columns import RECIPE, Column
from nasicon_ml.recipe.rules import SYSTEM_AND_X_HINT, column_hint, guess_column, normalize_name


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("Sintering Temperature (°C)", "sintering_temperature_c"),
        ("SINTERING TIME / h", "sintering_time_h"),
        ("sintering temp", "sintering_temperature_c"),
        ("Relative density [%]", "relative_density_pct"),
        ("Density", "relative_density_pct"),
        ("Conductivity (S/cm)", "conductivity_total_s_cm"),
        ("heating rate (K/min)", "heating_rate_c_min"),
        ("sintring_temperature", "sintering_temperature_c"),
        ("Formula ", "formula"),
        ("colour", ""),
        (5, ""),
    ],
)
def test_guess_column_finds_column_for_name(name: object, column: str) -> None:
    assert guess_column(name) == column


@pytest.mark.parametrize("column", list(Column))
def test_guess_column_finds_every_column_in_title_case_with_suffix(column: Column) -> None:
    assert guess_column(column.value) == column.value
    assert guess_column(f" {column.value.replace('_', ' ').title()} (ours) ") == column.value


def test_guess_column_returns_only_given_columns() -> None:
    assert guess_column("Conductivity (S/cm)", RECIPE) == ""


def test_normalize_name_gives_snake_case_without_unit() -> None:
    assert normalize_name(" Sintering Temperature (°C)") == "sintering_temperature"


@pytest.mark.parametrize("name", ["x", "X", "x (-)", "System"])
def test_column_hint_for_system_or_x_points_to_formula(name: str) -> None:
    assert column_hint(name) == SYSTEM_AND_X_HINT


def test_column_hint_suggests_similar_column_or_is_empty() -> None:
    assert column_hint("Atmosfere") == "Did you mean 'atmosphere'?"
    assert column_hint("colour") == ""


@pytest.mark.parametrize("name", ["(" * 1_000_000, "sintering" * 100_000])
def test_column_hint_of_very_long_name_is_empty(name: str) -> None:
    """Comparing a million brackets with the columns once took minutes."""
    assert column_hint(name) == ""
