"""Celsius that look like kelvin."""

import numpy as np
import pandas as pd
import pytest

from nasicon_ml.checks import STEPS, Severity, kelvin_findings, looks_like_kelvin
from nasicon_ml.columns import Column

SINTERING, MEASUREMENT = Column.SINTERING_TEMPERATURE_C, Column.MEASUREMENT_TEMPERATURE_C


@pytest.mark.parametrize(
    ("column", "value", "sure", "likely"),
    [
        (SINTERING, 1073.0, False, True),
        (SINTERING, 1123.15, True, False),
        (SINTERING, 1173.15, True, False),
        (SINTERING, 900.0, False, False),
        (SINTERING, 1075.0, False, False),
        (SINTERING, 298.0, False, True),
        (SINTERING, np.nan, False, False),
        (MEASUREMENT, 298.0, True, False),
        (MEASUREMENT, 293.0, True, False),
        (MEASUREMENT, 298.15, True, False),
        (MEASUREMENT, 333.0, False, True),
        (MEASUREMENT, 300.0, False, False),
        (MEASUREMENT, 25.0, False, False),
        (MEASUREMENT, -40.0, False, False),
    ],
)
def test_what_looks_like_kelvin(column: Column, value: float, sure: bool, likely: bool) -> None:
    found = looks_like_kelvin(np.array([value]), column)
    assert [mask.tolist() for mask in found] == [[sure], [likely]]


@pytest.mark.parametrize("column", list(STEPS))
def test_a_table_says_the_row_and_what_was_meant(column: Column) -> None:
    (found,) = kelvin_findings(pd.DataFrame({column.value: [np.nan, 30.0, 1073.15]}))
    assert (found.row, found.column, found.rule, found.severity) == (
        2, column.value, "kelvin_for_celsius", Severity.ERROR,
    )  # fmt: skip
    assert found.message == f"{column.value}: 1073.15 °C looks like kelvin: 1073.15 K is 800 °C"


def test_a_table_without_temperatures_has_none() -> None:
    assert kelvin_findings(pd.DataFrame({Column.FORMULA.value: ["LTP"]})) == []
