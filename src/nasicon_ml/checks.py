"""Check whole tables against the vocabulary, all findings at once; find temperatures that look like kelvin."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from nasicon_ml.arrays import Floats, Mask
from nasicon_ml.columns import ADDITIVE, ZERO_CELSIUS_K, Column, Kind, from_kelvin, is_missing, to_number
from nasicon_ml.errors import FieldError

#: So many different texts of one column may be wrong, and so many cells. Beyond that the column is not what it is
#: called, and to explain each cell would take minutes.
MOST_BAD_TEXTS = 5_000
MOST_BAD_CELLS = 100_000


class Severity(StrEnum):
    """How bad a finding is. Errors make a file invalid; warnings ask for a second look."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with one cell.

    `row` is the 0-based position in the table; `line` is the line of the file it came from, if known.
    """

    row: int
    column: str
    value: object
    rule: str
    severity: Severity
    message: str
    line: int | None = None


def by_cause(findings: Sequence[Finding]) -> list[list[Finding]]:
    """Return findings together that one sentence says: errors of one message, warnings of one rule and column."""
    found: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        is_error = finding.severity is Severity.ERROR
        found.setdefault((finding.column, finding.message if is_error else finding.rule), []).append(finding)
    return list(found.values())


def likewise(same: Sequence[Finding]) -> str:
    """Return where the others of several findings are, to stand after the message of the first; empty for one."""
    if len(same) == 1:
        return ""
    others = same[1:]
    rows = [finding.row + 1 if finding.line is None else finding.line for finding in others]
    return f" (likewise {listed(rows, 'row' if others[0].line is None else 'line')})"


def listed(places: Sequence[int], word: str, most: int = 5) -> str:
    """Return lines or rows in words: "line 3", "lines 3, 5 and 8", "lines 3, 5, 8, 9, 12 and 40 more"."""
    if len(places) == 1:
        return f"{word} {places[0]}"
    shown = [str(place) for place in places[:most]]
    last = f"{len(places) - most} more" if len(places) > most else shown.pop()
    return f"{word}s {', '.join(shown)} and {last}"


def check_columns(frame: pd.DataFrame, columns: Sequence[Column]) -> tuple[pd.DataFrame, list[Finding]]:
    """Read the named columns of a table, as text or numbers, into clean values.

    Parameters
    ----------
    frame
        Any table; a column that is absent counts as not reported everywhere.
    columns
        The columns to read. Formulas are only trimmed here: `nasicon_ml.composition` reads them.

    Returns
    -------
    pandas.DataFrame
        Shape (n_rows, n_columns), index 0 to n_rows - 1: float64 with NaN for numbers, object with None for
        everything else.
    list of Finding
        One per bad cell, in order of row and column; the cell itself is missing in the clean table.

    Raises
    ------
    FieldError
        If a column stands twice; if more than `MOST_BAD_TEXTS` different texts of a column, or `MOST_BAD_CELLS`
        cells, are bad.
    """
    refuse_twice(frame)
    findings: list[Finding] = []
    clean: dict[str, npt.NDArray[Any]] = {}
    for column in columns:
        if column in frame.columns:
            clean[column.value] = _read_column(frame[column], column, findings)
        else:
            clean[column.value] = _blank(len(frame), column)
    if Column.ADDITIVE_AMOUNT in columns:  # nothing of an additive is no additive
        none = clean[Column.ADDITIVE_AMOUNT] == 0
        for column in ADDITIVE:
            if column in columns:
                clean[column.value][none] = np.nan if column.kind is Kind.NUMBER else None
    order = {column.value: position for position, column in enumerate(columns)}
    findings.sort(key=lambda finding: (finding.row, order[finding.column]))
    return pd.DataFrame(clean, index=pd.RangeIndex(len(frame))), findings


def refuse_twice(frame: pd.DataFrame) -> None:
    """Refuse a table in which a column stands twice, or whose columns have names in several levels.

    Raises
    ------
    FieldError
        Naming the first such column.
    """
    if frame.columns.nlevels > 1:
        raise FieldError("column", frame.columns[0], "one name a column", "These have several levels.")
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise FieldError("column", str(twice[0]), "every column once", "It stands twice in the header.")


def _blank(count: int, column: Column) -> npt.NDArray[Any]:
    """Return a column that states nothing."""
    is_number = column.kind is Kind.NUMBER
    return np.full(count, np.nan if is_number else None, dtype="float64" if is_number else "object")


def _read_column(raw: pd.Series[Any], column: Column, findings: list[Finding]) -> npt.NDArray[Any]:
    """Read one column; append what is wrong with it to `findings`."""
    if column.kind is Kind.NUMBER and isinstance(raw.dtype, np.dtype) and raw.dtype.kind in "iuf":
        values = raw.to_numpy(dtype="float64", copy=True)
        with np.errstate(invalid="ignore"):
            doubtful = ~np.isnan(values) & ~((values >= column.minimum) & (values <= column.maximum))
        cells = raw.to_numpy()
        errors: dict[str, FieldError] = {}
    else:
        cells = raw.astype("object").to_numpy()
        values = _blank(len(cells), column)
        is_text = _texts(cells)
        # A text that stands in a thousand rows is read once.
        codes, texts = pd.factorize(cells[is_text])
        known, errors = _read_texts(column, texts)
        doubtful = ~is_text
        doubtful[doubtful] = [not is_missing(cell) for cell in cells[doubtful]]
        doubtful[is_text] = np.array([text in errors for text in texts], dtype=bool)[codes]
        values[is_text] = known[codes]  # None becomes NaN in an array of numbers
    rows = np.flatnonzero(doubtful).tolist()
    bad = 0
    for row in rows:
        cell = cells[row]
        error = errors.get(cell) if isinstance(cell, str) else None
        if error is None:
            values[row], error = _read_cell(column, cell)
        if error is not None:
            findings.append(
                Finding(row, column.value, cell, _rule_of(column, cell), Severity.ERROR, error.message)
            )
            bad += 1
            refuse_many(bad, MOST_BAD_CELLS, error)
    return values


def refuse_many(count: int, limit: int, error: FieldError) -> None:
    """Stop at the first error more than the limit: something is wrong with the whole column.

    Raises
    ------
    FieldError
        If `count` is above `limit`; it shows the error, whose value is one of the bad ones.
    """
    if count > limit:
        hint = f"More than {limit} cells of this column are not accepted; this is one of them."
        raise FieldError(error.field, error.value, error.allowed, hint)


def _texts(cells: npt.NDArray[np.object_]) -> Mask:
    """Find the cells that are text."""
    if pd.api.types.infer_dtype(cells, skipna=False) == "string":
        return np.ones(len(cells), dtype=bool)
    return np.fromiter((isinstance(cell, str) for cell in cells), dtype=bool, count=len(cells))


def _read_texts(
    column: Column, texts: npt.NDArray[np.object_]
) -> tuple[npt.NDArray[np.object_], dict[str, FieldError]]:
    """Read different texts of one column; return their values, and what is wrong with those that have none."""
    known = np.full(len(texts), None, dtype="object")
    errors: dict[str, FieldError] = {}
    rest = list(range(len(texts)))
    if column.kind is Kind.NUMBER:
        # Plain numbers within the bounds, nearly all there are, need no second look.
        read = np.array([_plain_number(text) for text in texts], dtype="float64")
        plain = (read >= column.minimum) & (read <= column.maximum)
        known[plain] = read[plain]
        rest = np.flatnonzero(~plain).tolist()
    for place in rest:
        known[place], error = _read_cell(column, texts[place])
        if error is not None:
            errors[texts[place]] = error
            refuse_many(len(errors), MOST_BAD_TEXTS, error)
    return known, errors


def _plain_number(text: str) -> float:
    try:
        return to_number(text)
    except ValueError:
        return float("nan")


def _read_cell(column: Column, cell: object) -> tuple[float | str | bool | None, FieldError | None]:
    """Read one cell, or say why not."""
    try:
        return column.parse(cell), None
    except FieldError as error:
        return None, error


def _rule_of(column: Column, cell: object) -> str:
    if column.kind is not Kind.NUMBER:
        other = {Kind.CATEGORY: f"unknown_{column.value}", Kind.FLAG: "not_a_flag"}
        return other.get(column.kind, "not_text")
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


#: The rule's name in findings.
KELVIN_RULE = "kelvin_for_celsius"
#: The columns it is about, and the steps in which people choose such temperatures, in °C.
STEPS = {
    Column.CALCINATION_TEMPERATURE_C: 25,
    Column.SINTERING_TEMPERATURE_C: 25,
    Column.MEASUREMENT_TEMPERATURE_C: 5,
}
_ROOM_K = (293.0, 298.0)


def looks_like_kelvin(values: Floats, column: Column) -> tuple[Mask, Mask]:
    """Find temperatures in °C, in one of `STEPS`, that were probably meant in kelvin.

    The first array says where only kelvin can be meant (1073.15, or a measurement at 298), the second where it is
    likely (1073 is 800 °C, and nobody sinters at 1073 °C).
    """
    step = STEPS[column]
    exact = (values > ZERO_CELSIUS_K) & _is_multiple(values - ZERO_CELSIUS_K, 5)
    room = np.isin(values, _ROOM_K) & (column is Column.MEASUREMENT_TEMPERATURE_C)
    sure = exact | room
    whole = (values > 273) & _is_multiple(values - 273, step) & ~_is_multiple(values, step)
    return sure, whole & ~sure


def kelvin_findings(clean: pd.DataFrame) -> list[Finding]:
    """Find such temperatures in a table of clean values; errors where only kelvin can be meant, else warnings.

    They come by column and row; absent columns are passed over.
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


#: Nobody weighs in less than this many per cent of lithium; it is a fraction.
LEAST_EXCESS_PCT = 1.0
FRACTION_RULE = "looks_like_a_fraction"


def fraction_findings(clean: pd.DataFrame) -> list[Finding]:
    """Find lithium excesses that look like fractions, in a table of clean values; warnings, by index."""
    column = Column.LITHIUM_EXCESS_PCT
    if column not in clean.columns:
        return []
    size = clean[column].astype("float64").abs()
    return [
        Finding(
            int(str(row)), column.value, float(value), FRACTION_RULE, Severity.WARNING,
            f"{column}: {value:g} % is hardly weighed in; as a fraction it is {100 * value:g} %",
        )
        for row, value in clean[column][(size > 0) & (size < LEAST_EXCESS_PCT)].items()
    ]  # fmt: skip


def _words(value: float, column: Column) -> str:
    return f"{column.value}: {value:g} °C looks like kelvin: {value:g} K is {from_kelvin(value):g} °C"


def _is_multiple(values: Floats, step: float) -> Mask:
    return np.asarray(np.abs(values / step - np.round(values / step)) * step < 1e-6)
