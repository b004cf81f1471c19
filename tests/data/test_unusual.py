"""Warnings about values that are possible but far from all measured ones, with what was probably meant."""

import pandas as pd
import pytest

from nasicon_ml.columns import Column
from nasicon_ml.data.load import load_pellets
from nasicon_ml.data.validate import UNUSUAL_VALUE_RULE, unusual_findings, unusual_in_file
from tests.data.examples import GOOD, table

REFERENCE = load_pellets()
OWN = {"pellet_id": "p1", "source": "own", "formula": "LATP x=0.3"}


def messages(**cells: str) -> list[str]:
    return [finding.message for finding in unusual_in_file(table({**OWN, **cells}), REFERENCE)]


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("conductivity_total_s_cm", "0.12", "0.12 mS/cm is 0.00012 S/cm"),
        ("conductivity_total_s_cm", "1e-13", "is far below the"),
        ("conductivity_bulk_s_cm", "0.9", "0.9 mS/cm is 0.0009 S/cm"),
        ("sintering_temperature_c", "1300", "1300 K is 1027 °C"),
        ("sintering_time_h", "360", "360 min is 6 h"),
        ("particle_size_um", "310", "310 nm is 0.31 µm"),
        ("lithium_excess_pct", "0.1", "as a fraction it is 10 %"),
        ("relative_density_pct", "22", "is far below the"),
        ("green_pressure_mpa", "2500", "2500 bar is 250 MPa"),
    ],
)
def test_unusual_value_is_reported_with_probable_unit(column: str, value: str, expected: str) -> None:
    (message,) = messages(**{column: value})
    assert message.startswith(f"{column}: ")
    assert expected in message


@pytest.mark.parametrize(
    "cells",
    [
        {"conductivity_total_s_cm": "3e-4", "sintering_temperature_c": "950", "sintering_time_h": "6"},
        {"conductivity_total_s_cm": "0.01", "measurement_temperature_c": "300"},
        {"lithium_excess_pct": "0", "powder_bed": "true", "green_pressure_mpa": "300"},
        {"lithium_excess_pct": "60"},  # above all others, but no other unit explains it
        {"sintering_temperature_c": "1123"},  # reported as kelvin by another rule
        {"conductivity_total_s_cm": "0.12", "suspect": "true", "suspect_reason": "mS/cm?"},
        {
            "conductivity_total_s_cm": "0.12", "doubtful_columns": "conductivity_total_s_cm",
            "suspect_reason": "mS/cm?",
        },
    ],
)  # fmt: skip
def test_usual_doubtful_or_suspect_values_are_not_reported(cells: dict[str, str]) -> None:
    assert messages(**cells) == []


def test_conductivity_is_compared_at_its_measurement_temperature() -> None:
    assert messages(conductivity_total_s_cm="0.02", measurement_temperature_c="300") == []
    (message,) = messages(conductivity_total_s_cm="0.02", measurement_temperature_c="25")
    assert "LATP pellets of other works near 25 °C (0.002)" in message


def test_value_is_not_compared_with_its_own_source() -> None:
    """A wrong value in the dataset must not make itself usual. The same value from two sources does."""
    rows = [
        {**GOOD, "pellet_id": f"p{n}", "source": f"s{n}", "conductivity_total_s_cm": "1e-4"} for n in range(12)
    ]
    outlier = {**GOOD, "pellet_id": "odd", "source": "odd", "conductivity_total_s_cm": "0.1"}
    pellets = clean_table(*rows, outlier)
    findings = unusual_findings(pellets, pellets)
    assert [(finding.row, finding.column, finding.rule) for finding in findings] == [
        (12, "conductivity_total_s_cm", UNUSUAL_VALUE_RULE)
    ]
    pair = clean_table(*rows, outlier, {**outlier, "pellet_id": "odd2", "source": "odd2"})
    assert unusual_findings(pair, pair) == []


def test_fewer_than_minimum_reference_pellets_give_no_warning() -> None:
    pellets = clean_table(*[{**GOOD, "pellet_id": f"p{n}", "source": f"s{n}"} for n in range(5)])
    odd = clean_table({**GOOD, "source": "odd", "conductivity_total_s_cm": "0.1"})
    assert unusual_findings(odd, pellets) == []


def test_message_about_pellets_without_system_names_no_system() -> None:
    rows = [
        {**GOOD, "pellet_id": f"p{n}", "source": f"s{n}", "conductivity_total_s_cm": "1e-4"} for n in range(12)
    ]
    reference = clean_table(*rows).assign(system=None)
    (finding,) = unusual_findings(
        clean_table({**GOOD, "source": "odd", "conductivity_total_s_cm": "0.1"}).assign(system=None), reference
    )
    assert "the 12 pellets of other works" in finding.message


def test_committed_dataset_has_at_most_25_unusual_values() -> None:
    """So few that all of them can be checked by a person."""
    assert len(unusual_findings(REFERENCE, REFERENCE)) <= 25


def clean_table(*rows: dict[str, str]) -> pd.DataFrame:
    from nasicon_ml.data.load import clean_pellets, systems_of

    pellets, _ = clean_pellets(table(*rows))
    return pellets.assign(**{Column.SYSTEM.value: systems_of(pellets[Column.FORMULA])})
