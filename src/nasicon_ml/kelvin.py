"""Temperatures that are round numbers in kelvin and not in degrees Celsius: somebody forgot to convert them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from nasicon_ml.checks import Finding, Severity
from nasicon_ml.columns import Column

#: The rule's name in findings.
KELVIN_RULE = "kelvin_for_celsius"
#: The columns it is about, and the steps in which people choose such temperatures, in °C.
STEPS = {
    Column.CALCINATION_TEMPERATURE_C: 25,
    Column.SINTERING_TEMPERATURE_C: 25,
    Column.MEASUREMENT_TEMPERATURE_C: 5,
}
_ROOM_K = (293.0, 298.0)
_ZERO_C_IN_K = 273.15

Mask = npt.NDArray[np.bool_]


def looks_like_kelvin(values: npt.NDArray[np.float64], column: Column) -> tuple[Mask, Mask]:
    """Find temperatures in °C that were probably meant in kelvin.

    Parameters
    ----------
    values
        Shape (n,), in °C; NaN where not reported.
    column
        One of `STEPS`.

    Returns
    -------
    tuple of (bool array, bool array)
        Shape (n,) each: where only kelvin can be meant (1073.15, or a measurement at 298), and where it is likely
        (1073 is 800 °C, and nobody sinters at 1073 °C).
    """
    step = STEPS[column]
    exact = (values > _ZERO_C_IN_K) & _is_multiple(values - _ZERO_C_IN_K, 5)
    room = np.isin(values, _ROOM_K) & (column is Column.MEASUREMENT_TEMPERATURE_C)
    sure = exact | room
    whole = (values > 273) & _is_multiple(values - 273, step) & ~_is_multiple(values, step)
    return sure, whole & ~sure


def kelvin_findings(clean: pd.DataFrame) -> list[Finding]:
    """Find such temperatures in a table.

    Parameters
    ----------
    clean
        A table of clean values (`checks.check_columns`), index 0 to n - 1; absent columns are passed over.

    Returns
    -------
    list of Finding
        By column and row: errors where only kelvin can be meant, else warnings.
    """
    findings: list[Finding] = []
    for column in STEPS:
        if column not in clean.columns:
            continue
        values = clean[column].to_numpy(dtype=np.float64)
        sure, likely = looks_like_kelvin(values, column)
        for mask, severity in ((sure, Severity.ERROR), (likely, Severity.WARNING)):
            findings += [
                Finding(row, column.value, float(values[row]), KELVIN_RULE, severity, _words(values[row], column))
                for row in np.flatnonzero(mask).tolist()
            ]
    return findings


def _words(value: float, column: Column) -> str:
    shift = _ZERO_C_IN_K if value % 1 else 273
    return f"{column.value}: {value:g} °C looks like kelvin: {value:g} K is {value - shift:g} °C"


def _is_multiple(values: npt.NDArray[np.float64], step: float) -> Mask:
    return np.asarray(np.abs(values / step - np.round(values / step)) * step < 1e-6)
