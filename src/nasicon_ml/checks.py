"""Check tables against the vocabulary and report all findings; find temperatures that look like kelvin."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from nasicon_ml.arrays import Floats, Mask, Strings
from nasicon_ml.columns import ADDITIVE, ZERO_CELSIUS_K, Column, Kind, is_missing, kelvin_to_celsius, to_number
from nasicon_ml.errors import FieldError

#: Limits on the different bad texts, and the bad cells, of one column. Beyond them the column has the wrong name,
#: and a finding for each cell would take minutes.
MAX_BAD_TEXTS = 5_000
MAX_BAD_CELLS = 100_000


class Severity(StrEnum):
    """The severity of a finding: errors make a file invalid, warnings need a second look."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem with one cell.

    `row` is the 0-based position in the table; `line` is the line of the file, if known.
    """

    row: int
    column: str
    value: object
    rule: str
    severity: Severity
    message: str
    line: int | None = None


def group_by_cause(findings: Sequence[Finding]) -> list[list[Finding]]:
    """Group the errors of a column by message, and its warnings by rule."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        is_error = finding.severity is Severity.ERROR
        groups.setdefault((finding.column, finding.message if is_error else finding.rule), []).append(finding)
    return list(groups.values())


def describe_other_places(findings: Sequence[Finding]) -> str:
    """Return the places of all findings but the first, to append to its message; empty for a single finding."""
    if len(findings) == 1:
        return ""
    others = findings[1:]
    rows = [finding.row + 1 if finding.line is None else finding.line for finding in others]
    return f" (likewise {join_numbers(rows, 'row' if others[0].line is None else 'line')})"


_MAX_JOINED_NUMBERS = 5


def join_numbers(numbers: Sequence[int], noun: str) -> str:
    """Return numbers as text: "line 3", "lines 3, 5 and 8", "lines 3, 5, 8, 9, 12 and 40 more"."""
    if len(numbers) == 1:
        return f"{noun} {numbers[0]}"
    shown = [str(number) for number in numbers[:_MAX_JOINED_NUMBERS]]
    more = len(numbers) - len(shown)
    last = f"{more} more" if more else shown.pop()
    return f"{noun}s {', '.join(shown)} and {last}"


def check_columns(frame: pd.DataFrame, columns: Sequence[Column]) -> tuple[pd.DataFrame, list[Finding]]:
    """Parse columns of a table, and collect the cells that are not accepted.

    Parameters
    ----------
    frame
        Any table; all cells of an absent column are missing.
    columns
        The columns to parse. Formulas are only stripped of spaces; `nasicon_ml.composition` parses them.

    Returns
    -------
    pandas.DataFrame
        Shape (n_rows, n_columns), index 0 to n_rows - 1: float64 with NaN for numbers, object with None for
        other columns.
    list of Finding
        One for each bad cell, sorted by row and column; the cell is missing in the clean table.

    Raises
    ------
    FieldError
        If a column is repeated, or more than `MAX_BAD_TEXTS` different texts or `MAX_BAD_CELLS` cells of a column
        are bad.
    """
    check_unique_columns(frame)
    findings: list[Finding] = []
    clean: dict[str, npt.NDArray[Any]] = {}
    for column in columns:
        if column in frame.columns:
            clean[column.value] = _parse_column(frame[column], column, findings)
        else:
            clean[column.value] = _missing_cells(len(frame), column)
    if Column.ADDITIVE_AMOUNT in columns:  # an additive with amount zero is dropped
        is_zero = clean[Column.ADDITIVE_AMOUNT] == 0
        for column in ADDITIVE:
            if column in columns:
                clean[column.value][is_zero] = np.nan if column.kind is Kind.NUMBER else None
    order = {column.value: position for position, column in enumerate(columns)}
    findings.sort(key=lambda finding: (finding.row, order[finding.column]))
    return pd.DataFrame(clean, index=pd.RangeIndex(len(frame))), findings


def check_unique_columns(frame: pd.DataFrame) -> None:
    """Raise `FieldError` if a column is repeated, or column names have several levels."""
    if frame.columns.nlevels > 1:
        raise FieldError("column", frame.columns[0], "one name a column", "These have several levels.")
    repeated = frame.columns[frame.columns.duplicated()]
    if len(repeated):
        raise FieldError("column", str(repeated[0]), "every column once", "It occurs twice in the header.")


def _missing_cells(count: int, column: Column) -> npt.NDArray[Any]:
    is_number = column.kind is Kind.NUMBER
    return np.full(count, np.nan if is_number else None, dtype="float64" if is_number else "object")


def _parse_column(raw: pd.Series[Any], column: Column, findings: list[Finding]) -> npt.NDArray[Any]:
    """Return the values of one column, and append its bad cells to `findings`."""
    if column.kind is Kind.NUMBER and isinstance(raw.dtype, np.dtype) and raw.dtype.kind in "iuf":
        values = raw.to_numpy(dtype="float64", copy=True)
        with np.errstate(invalid="ignore"):
            unparsed = ~np.isnan(values) & ~((values >= column.minimum) & (values <= column.maximum))
        cells = raw.to_numpy()
        errors: dict[str, FieldError] = {}
    else:
        cells = raw.astype("object").to_numpy()
        values = _missing_cells(len(cells), column)
        is_text = _is_text(cells)
        # Each different text is parsed once.
        codes, texts = pd.factorize(cells[is_text])
        text_values, errors = _parse_texts(column, texts)
        unparsed = ~is_text
        unparsed[unparsed] = [cell is not None and not is_missing(cell) for cell in cells[unparsed]]
        unparsed[is_text] = np.array([text in errors for text in texts], dtype=bool)[codes]
        values[is_text] = text_values[codes]  # None becomes NaN in an array of numbers
    bad_cells = 0
    for row in np.flatnonzero(unparsed).tolist():
        cell = cells[row]
        error = errors.get(cell) if isinstance(cell, str) else None
        if error is None:
            values[row], error = _parse_cell(column, cell)
        if error is not None:
            findings.append(
                Finding(row, column.value, cell, _broken_rule(column, cell), Severity.ERROR, error.message)
            )
            bad_cells += 1
            check_error_count(bad_cells, MAX_BAD_CELLS, error)
    return values


def check_error_count(count: int, limit: int, error: FieldError) -> None:
    """Raise a `FieldError` based on the latest error of a column if `count` exceeds `limit`."""
    if count > limit:
        hint = f"More than {limit} cells of this column are not accepted; this is one of them."
        raise FieldError(error.field, error.value, error.allowed, hint)


def _is_text(cells: Strings) -> Mask:
    if pd.api.types.infer_dtype(cells, skipna=False) == "string":
        return np.ones(len(cells), dtype=bool)
    return np.fromiter((isinstance(cell, str) for cell in cells), dtype=bool, count=len(cells))


def _parse_texts(column: Column, texts: Strings) -> tuple[Strings, dict[str, FieldError]]:
    """Return the values of different texts of one column, and the errors of the bad texts."""
    values = np.full(len(texts), None, dtype="object")
    errors: dict[str, FieldError] = {}
    unparsed = list(range(len(texts)))
    if column.kind is Kind.NUMBER:  # plain numbers within the bounds take a fast path
        numbers_read = np.array([_number_or_nan(text) for text in texts], dtype="float64")
        is_inside = (numbers_read >= column.minimum) & (numbers_read <= column.maximum)
        values[is_inside] = numbers_read[is_inside]
        unparsed = np.flatnonzero(~is_inside).tolist()
    for index in unparsed:
        values[index], error = _parse_cell(column, texts[index])
        if error is not None:
            errors[texts[index]] = error
            check_error_count(len(errors), MAX_BAD_TEXTS, error)
    return values, errors


def _number_or_nan(text: str) -> float:
    try:
        return to_number(text)
    except ValueError:
        return float("nan")


def _parse_cell(column: Column, cell: object) -> tuple[float | str | bool | None, FieldError | None]:
    try:
        return column.parse(cell), None
    except FieldError as error:
        return None, error


def _broken_rule(column: Column, cell: object) -> str:
    if column.kind is not Kind.NUMBER:
        rules = {Kind.CATEGORY: f"unknown_{column.value}", Kind.FLAG: "not_a_flag"}
        return rules.get(column.kind, "not_text")
    if isinstance(cell, bool) or not isinstance(cell, (numbers.Real, str)):
        return "not_a_number"
    try:
        number = to_number(cell)
    except (ValueError, OverflowError):
        return "not_a_number"
    if column is Column.RELATIVE_DENSITY_PCT and number > column.maximum:
        return "density_above_100"
    if column is Column.RELATIVE_DENSITY_PCT and 0 < number <= 1:
        return "fraction_for_percent"
    return "out_of_bounds"


_KELVIN_RULE = "kelvin_for_celsius"
#: Columns of temperatures, with the usual step between chosen temperatures in °C.
TEMPERATURE_STEPS_C = {
    Column.CALCINATION_TEMPERATURE_C: 25,
    Column.SINTERING_TEMPERATURE_C: 25,
    Column.MEASUREMENT_TEMPERATURE_C: 5,
}
_ROOM_TEMPERATURES_K = (293.0, 298.0)


def looks_like_kelvin(values: Floats, column: Column) -> tuple[Mask, Mask]:
    """Find temperatures in a column of `TEMPERATURE_STEPS_C` that were probably meant in kelvin.

    The first mask marks values that can only be kelvin (1073.15, or a measurement at 298), the second values that
    are likely kelvin (1073 is 800 °C, but nobody sinters at 1073 °C).
    """
    step = TEMPERATURE_STEPS_C[column]
    exact = (values > ZERO_CELSIUS_K) & _is_multiple(values - ZERO_CELSIUS_K, 5)
    room = np.isin(values, _ROOM_TEMPERATURES_K) & (column is Column.MEASUREMENT_TEMPERATURE_C)
    sure = exact | room
    whole = (values > 273) & _is_multiple(values - 273, step) & ~_is_multiple(values, step)
    return sure, whole & ~sure


def kelvin_findings(clean: pd.DataFrame) -> list[Finding]:
    """Return an error for each temperature that can only be kelvin, and a warning for each that likely is.

    `clean` is a table of clean values; absent columns are skipped.
    """
    findings: list[Finding] = []
    for column in TEMPERATURE_STEPS_C:
        if column not in clean.columns:
            continue
        values = clean[column].to_numpy(dtype=np.float64)
        sure, likely = looks_like_kelvin(values, column)
        for mask, severity in ((sure, Severity.ERROR), (likely, Severity.WARNING)):
            for row in np.flatnonzero(mask).tolist():
                value = values[row]
                message = (
                    f"{column}: {value:g} °C looks like kelvin: {value:g} K is {kelvin_to_celsius(value):g} °C"
                )
                findings.append(Finding(row, column.value, float(value), _KELVIN_RULE, severity, message))
    return findings


#: A smaller lithium excess in per cent is probably a fraction.
_MIN_EXCESS_PCT = 1.0


def fraction_findings(clean: pd.DataFrame) -> list[Finding]:
    """Return a warning for each lithium excess in a table of clean values that looks like a fraction."""
    column = Column.LITHIUM_EXCESS_PCT
    if column not in clean.columns:
        return []
    size = clean[column].astype("float64").abs()
    return [
        Finding(
            int(str(row)), column.value, float(value), "looks_like_a_fraction", Severity.WARNING,
            f"{column}: {value:g} % is an unusually small excess; as a fraction it is {100 * value:g} %",
        )
        for row, value in clean[column][(size > 0) & (size < _MIN_EXCESS_PCT)].items()
    ]  # fmt: skip


def _is_multiple(values: Floats, step: float) -> Mask:
    return np.asarray(np.abs(values / step - np.round(values / step)) * step < 1e-6)
