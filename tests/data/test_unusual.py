"""Possible numbers that nobody measured are warned of, with what was probably meant."""

import pandas as pd
import pytest

from nasicon_ml.columns import Column
from nasicon_ml.data.load import load_pellets
from nasicon_ml.data.validate import UNUSUAL_VALUE_RULE, unusual_findings, unusual_in_file
from tests.data.examples import GOOD, table

REFERENCE = load_pellets()
MINE = {"pellet_id": "p1", "source": "mine", "formula": "LATP x=0.3"}


def messages(**cells: str) -> list[str]:
    return [found.message for found in unusual_in_file(table({**MINE, **cells}), REFERENCE)]


@pytest.mark.parametrize(
    ("column", "value", "words"),
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
def test_the_right_value_is_named(column: str, value: str, words: str) -> None:
    (message,) = messages(**{column: value})
    assert message.startswith(f"{column}: ")
    assert words in message


@pytest.mark.parametrize(
    "cells",
    [
        {"conductivity_total_s_cm": "3e-4", "sintering_temperature_c": "950", "sintering_time_h": "6"},
        {"conductivity_total_s_cm": "0.01", "measurement_temperature_c": "300"},
        {"lithium_excess_pct": "0", "powder_bed": "true", "green_pressure_mpa": "300"},
        {"lithium_excess_pct": "60"},  # new, and no other unit explains it
        {"sintering_temperature_c": "1123"},  # said of it already: kelvin
        {"conductivity_total_s_cm": "0.12", "suspect": "true", "suspect_reason": "mS/cm?"},
        {
            "conductivity_total_s_cm": "0.12", "doubtful_columns": "conductivity_total_s_cm",
            "suspect_reason": "mS/cm?",
        },
    ],
)  # fmt: skip
def test_what_was_measured_or_is_doubted_anyway_is_silent(cells: dict[str, str]) -> None:
    assert messages(**cells) == []


def test_a_conductivity_is_held_against_those_of_its_temperature() -> None:
    assert messages(conductivity_total_s_cm="0.02", measurement_temperature_c="300") == []
    (message,) = messages(conductivity_total_s_cm="0.02", measurement_temperature_c="25")
    assert "LATP pellets of other works near 25 °C (0.002)" in message


def test_its_own_work_is_no_witness() -> None:
    """A dataset that holds a wrong value must not make it usual."""
    rows = [
        {**GOOD, "pellet_id": f"p{n}", "source": f"s{n}", "conductivity_total_s_cm": "1e-4"} for n in range(12)
    ]
    wrong = {**GOOD, "pellet_id": "odd", "source": "odd", "conductivity_total_s_cm": "0.1"}
    pellets = clean(*rows, wrong)
    found = unusual_findings(pellets, pellets)
    assert [(one.row, one.column, one.rule) for one in found] == [
        (12, "conductivity_total_s_cm", UNUSUAL_VALUE_RULE)
    ]
    pair = clean(*rows, wrong, {**wrong, "pellet_id": "odd2", "source": "odd2"})
    assert unusual_findings(pair, pair) == []


def test_few_pellets_make_no_range() -> None:
    pellets = clean(*[{**GOOD, "pellet_id": f"p{n}", "source": f"s{n}"} for n in range(5)])
    odd = clean({**GOOD, "source": "odd", "conductivity_total_s_cm": "0.1"})
    assert unusual_findings(odd, pellets) == []


def test_pellets_without_a_system_are_not_named_as_one() -> None:
    rows = [
        {**GOOD, "pellet_id": f"p{n}", "source": f"s{n}", "conductivity_total_s_cm": "1e-4"} for n in range(12)
    ]
    reference = clean(*rows).assign(system=None)
    (found,) = unusual_findings(
        clean({**GOOD, "source": "odd", "conductivity_total_s_cm": "0.1"}).assign(system=None), reference
    )
    assert "the 12 pellets of other works" in found.message


def test_the_committed_dataset_has_few() -> None:
    """So few that a person looks at them."""
    assert len(unusual_findings(REFERENCE, REFERENCE)) <= 25


def clean(*rows: dict[str, str]) -> pd.DataFrame:
    from nasicon_ml.data.load import clean_pellets, systems_of

    found, _ = clean_pellets(table(*rows))
    return found.assign(**{Column.SYSTEM.value: systems_of(found[Column.FORMULA])})
