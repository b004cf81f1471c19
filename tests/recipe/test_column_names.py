"""What people call columns, and the columns they mean."""

import pytest

from nasicon_ml.columns import RECIPE, Column
from nasicon_ml.recipe.rules import SYSTEM_AND_X_HINT, column_hint, guess_column, normalize_name


@pytest.mark.parametrize(
    ("name", "meant"),
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
def test_which_column_a_name_means(name: object, meant: str) -> None:
    assert guess_column(name) == meant


@pytest.mark.parametrize("column", list(Column))
def test_every_column_means_itself_however_it_is_written(column: Column) -> None:
    assert guess_column(column.value) == column.value
    assert guess_column(f" {column.value.replace('_', ' ').title()} (ours) ") == column.value


def test_only_the_columns_asked_about_are_guessed() -> None:
    assert guess_column("Conductivity (S/cm)", RECIPE) == ""


def test_names_are_written_our_way() -> None:
    assert normalize_name(" Sintering Temperature (°C)") == "sintering_temperature"


@pytest.mark.parametrize("name", ["x", "X", "x (-)", "System"])
def test_x_belongs_into_the_formula(name: str) -> None:
    assert column_hint(name) == SYSTEM_AND_X_HINT


def test_hints_are_sentences() -> None:
    assert column_hint("Atmosfere") == "Did you mean 'atmosphere'?"
    assert column_hint("colour") == ""


@pytest.mark.parametrize("name", ["(" * 1_000_000, "sintering" * 100_000])
def test_a_name_without_end_is_compared_with_nothing(name: str) -> None:
    """A million brackets once took minutes."""
    assert column_hint(name) == ""
