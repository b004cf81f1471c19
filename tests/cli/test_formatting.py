"""Formatting of numbers, conditions, results and origins of pellets."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.cli.formatting import (
    describe_conditions,
    describe_origin,
    describe_results,
    fixed,
    format_ion,
    format_level,
    format_quantity,
    percent,
    scientific,
    split_list,
)
from nasicon_ml.columns import Column
from tests.cli.fakes import PELLETS


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (5.14e-4, 2, "5.1e-4"),
        (8.77e-4, 3, "8.77e-4"),
        (9.96e-4, 2, "1.0e-3"),
        (1.0, 2, "1.0e0"),
        (1e-12, 2, "1.0e-12"),
        (math.nan, 2, "n/a"),
        (math.inf, 2, "n/a"),
        (None, 2, "n/a"),
    ],
)
def test_scientific(value: float | None, digits: int, text: str) -> None:
    assert scientific(value, digits) == text


@given(st.floats(1e-14, 1))
def test_scientific_round_trip_is_accurate_to_half_a_digit(value: float) -> None:
    assert float(scientific(value, 3)) == pytest.approx(value, rel=0.0051)


def test_fixed_percent_and_level() -> None:
    assert [fixed(95.25), fixed(95.25, 0), fixed(None), fixed(math.nan)] == ["95.2", "95", "n/a", "n/a"]
    assert [percent(0.454), percent(1.0), percent(math.nan)] == ["45 %", "100 %", "n/a"]
    assert [format_level(0.9), format_level(0.995)] == ["90 %", "99.5 %"]


def test_conditions_begin_with_sintering_and_omit_unknown_fields() -> None:
    assert describe_conditions(PELLETS[0]) == "800 °C, 2 h, 1 °C/min, in Ar, conventional, powder of 0.31 µm"
    assert describe_conditions({Column.DENSIFICATION: "spark_plasma", Column.PRESSURE_MPA: None}) == "spark plasma"
    assert describe_conditions({}) == ""


@pytest.mark.parametrize(
    ("quantity", "unit", "text"),
    [
        (2.0, "wt%", "with 2 wt% Li2O"),
        (0.05, "formula_unit", "with 0.05 Li2O per formula unit"),
        (None, None, "with Li2O"),
    ],
)
def test_conditions_contain_additive_with_amount_if_known(
    quantity: float | None, unit: str | None, text: str
) -> None:
    cells = {Column.ADDITIVE: "Li2O", Column.ADDITIVE_AMOUNT: quantity, Column.ADDITIVE_UNIT: unit}
    assert describe_conditions(cells) == text


def test_conditions_contain_calcination_pressure_and_route() -> None:
    cells = {
        Column.CALCINATION_TEMPERATURE_C: 700.0,
        Column.CALCINATION_TIME_H: 3.0,
        Column.SYNTHESIS_ROUTE: "sol_gel",
        Column.PRESSURE_MPA: 50.0,
    }
    assert describe_conditions(cells) == "50 MPa, calcined at 700 °C, calcined for 3 h, sol gel"
    assert format_quantity(Column.CALCINATION_TIME_H, 0.1) == "0.1 h"


def test_results_contain_bounds_temperature_and_phases() -> None:
    assert describe_results(PELLETS[0]) == "8.77e-4 S/cm at 25 °C, 98.1 % dense, phase pure"
    assert describe_results(PELLETS[1]) == "with AlPO4, TiO2"
    assert describe_results(PELLETS[2]) == "< 1.00e-10 S/cm, > 90 % dense"
    assert describe_results({Column.PHASE_PURE: False}) == "not phase pure"
    assert describe_results({}) == "no conductivity, density or purity reported"


@pytest.mark.parametrize(
    ("source", "doi", "cited_in", "text"),
    [
        ("raj2023", "10.1/x", None, "raj2023, https://doi.org/10.1/x"),
        ("10.1/x", "10.1/x", None, "https://doi.org/10.1/x"),
        ("ly7", None, "a review", "ly7, DOI not known (read in a review)"),
        ("ly7", None, None, "ly7, DOI not known"),
    ],
)
def test_origin_contains_source_and_doi(source: str, doi: str | None, cited_in: str | None, text: str) -> None:
    assert describe_origin({Column.SOURCE: source, Column.DOI: doi, Column.CITED_IN: cited_in}) == text


def test_origin_without_doi_suggests_search_terms() -> None:
    cells = {**PELLETS[0], Column.SOURCE: "ly7", Column.DOI: None, Column.CITED_IN: None}
    assert describe_origin(cells).startswith("ly7, DOI not known; to find it, search for: ")
    assert "8.77e-4 S/cm" in describe_origin(cells)


def test_format_ion_and_split_list() -> None:
    assert [format_ion("Ti", 4.0), format_ion("O", -2.0), format_ion("V", 3.5), format_ion("X", None)] == [
        "Ti4+",
        "O2-",
        "V3.5+",
        "X",
    ]
    assert split_list("AlPO4; TiO2;") == ("AlPO4", "TiO2")
    assert split_list(None) == ()
