"""Whole tables of recipes, in arrays: every good row is kept, every bad one is explained."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.checks import (
    Finding,
    Severity,
    check_columns,
    check_unique_columns,
    fraction_findings,
    kelvin_findings,
)
from nasicon_ml.columns import ADDITIVE, COLUMNS, MODEL_INPUT, Column, Kind
from nasicon_ml.composition.occupancy import ParsedFormulas, formula_findings, parse_unique
from nasicon_ml.composition.precursors import additive_findings, precursor_findings
from nasicon_ml.errors import FieldError
from nasicon_ml.recipe.recipe import Recipe
from nasicon_ml.recipe.rules import ADDITIVE_PROBLEMS, SECOND_PHASE_TWICE, Problem, no_formulas, unknown_columns

if TYPE_CHECKING:
    from nasicon_ml.io import RawTable

CALCINED_HOTTER_RULE = "calcined_hotter_than_sintered"


@dataclass(frozen=True)
class RecipeBatch:
    """The recipes of a table, good and bad apart.

    Parameters
    ----------
    table
        The good rows, `columns.MODEL_INPUT`, index 0 to n - 1, canonical formulas.
    rows
        Position in the input of each good row, int, shape (n_good,).
    lines
        Line in the file of each good row, if the input has lines.
    findings
        What is wrong with the bad rows, in order of rows.
    warnings
        What is doubtful about the good rows (charge imbalance, temperatures that look like kelvin, a calcination
        hotter than the sintering, precursors that are no formulas), in order of rows.
    """

    table: pd.DataFrame
    rows: NDArray[np.intp]
    lines: NDArray[np.intp] | None
    findings: list[Finding]
    warnings: list[Finding] = field(default_factory=list)

    @property
    def bad_rows(self) -> NDArray[np.intp]:
        """Positions in the input of the bad rows, int, shape (n_bad,)."""
        return np.unique(np.array([finding.row for finding in self.findings], dtype=np.intp))


def recipe_table(recipes: Iterable[Recipe]) -> pd.DataFrame:
    """Return recipes as a table.

    Returns
    -------
    pandas.DataFrame
        Shape (n_recipes, len(columns.MODEL_INPUT)): float64 with NaN, object with None; the measurement
        temperature is missing, which means room temperature to a model.
    """
    rows = [recipe.to_row() for recipe in recipes]
    data: dict[str, NDArray[Any]] = {}
    for column in MODEL_INPUT:
        values = [row.get(column.value) for row in rows]  # None becomes NaN in an array of numbers
        data[column.value] = np.array(values, dtype="float64" if column.kind is Kind.NUMBER else "object")
    return pd.DataFrame(data, index=pd.RangeIndex(len(rows)))


def read_batch(raw: RawTable | pd.DataFrame) -> RecipeBatch:
    """Read a table of recipes.

    Parameters
    ----------
    raw
        Cells as people write them. Columns of the vocabulary that are neither part of a recipe nor the
        measurement temperature are passed over.

    Returns
    -------
    RecipeBatch
        A row is good exactly if `Recipe` accepts it, and then holds the same values.

    Raises
    ------
    FieldError
        If a column is unknown or stands twice, or there are no formulas.
    """
    frame = raw if isinstance(raw, pd.DataFrame) else raw.frame
    lines = None if isinstance(raw, pd.DataFrame) else raw.lines
    _check_header(frame)
    clean, findings = check_columns(frame, MODEL_INPUT)
    unread = {finding.row for finding in findings if finding.column == Column.FORMULA}
    parsed = parse_unique(clean[Column.FORMULA])
    about_formulas = formula_findings(clean[Column.FORMULA], parsed)
    findings += [f for f in about_formulas if f.severity is Severity.ERROR and f.row not in unread]
    findings += _second_phases(clean, parsed)
    findings += _additive_findings(clean, {finding.row for finding in findings})
    order = {column.value: place for place, column in enumerate(MODEL_INPUT)}
    findings.sort(key=lambda finding: (finding.row, order[finding.column]))

    good = np.ones(len(clean), dtype=bool)
    good[[finding.row for finding in findings]] = False
    rows = np.flatnonzero(good)
    clean[Column.FORMULA] = parsed.per_row(
        None if c is None else c.main_phase.formula for c in parsed.compositions
    )
    warnings = [f for f in about_formulas if f.severity is Severity.WARNING and good[f.row]]
    warnings += [f for f in recipe_warnings(clean) if good[f.row]]
    warnings.sort(key=lambda finding: (finding.row, order[finding.column]))
    return RecipeBatch(
        clean if len(rows) == len(clean) else clean.iloc[rows].reset_index(drop=True),
        rows,
        None if lines is None else np.asarray(lines)[rows],
        _with_lines(findings, lines),
        _with_lines(warnings, lines),
    )


def recipe_frame(X: Any, columns: Sequence[Column] = MODEL_INPUT, *, refuse_others: bool = False) -> pd.DataFrame:
    """Return the recipe columns of a table, or a table of formulas.

    Parameters
    ----------
    X
        A DataFrame, or n formulas: a list, an array or a Series of text or of pymatgen's Composition.
    columns
        Which columns of the DataFrame are kept, where it has them; found by name.
    refuse_others
        Whether columns that are not in the vocabulary are refused instead of passed over.

    Returns
    -------
    pandas.DataFrame
        n rows, cells as they were given; index of X.

    Raises
    ------
    FieldError
        If there are no formulas, a column stands twice, or is unknown and refused.
    ValueError
        If X is neither a table nor formulas.
    """
    if isinstance(X, pd.DataFrame):
        _check_header(X, known=set(Column) if refuse_others else set(X.columns))
        frame = X[[str(column) for column in columns if column in X.columns]]
    else:
        if isinstance(X, str) or (getattr(X, "ndim", 1) != 1 and X.shape[1:] != (1,)):
            raise ValueError(
                f"recipes are a DataFrame with the column {Column.FORMULA}, or a list of formulas; no sparse "
                f"matrix, no numbers and no single text, but this is {type(X).__name__}"
            )
        # Not an array: that would take a Composition apart.
        cells = X if isinstance(X, pd.Series) else pd.Series(list(np.ravel(X) if hasattr(X, "ndim") else X))
        frame = pd.DataFrame({str(Column.FORMULA): cells.astype(object)})
    return frame.assign(**{str(Column.FORMULA): frame[Column.FORMULA].map(_formula_text)})


def _formula_text(cell: Any) -> Any:
    """Return the formula of a pymatgen Composition; anything else as it is."""
    return str(cell.formula).replace(" ", "") if hasattr(cell, "get_el_amt_dict") else cell


#: What recipes may be given as, in Python.
AnyRecipes = str | Path | Recipe | Mapping[str, Any] | pd.DataFrame | Iterable[str | Recipe | Mapping[str, Any]]


def as_recipe_table(recipes: AnyRecipes) -> pd.DataFrame:
    """Return recipes, however they are given, as a table.

    Parameters
    ----------
    recipes
        A formula or the name of a system (``"LATP x=0.3"``), a `Recipe`, a mapping of its fields, or several of
        these; a table with the column ``formula`` and any of the others; a file of recipes.

    Returns
    -------
    pandas.DataFrame
        As `recipe_table` makes it.

    Raises
    ------
    FieldError
        If one cannot be read: it names which, and the value. If a column of a table is unknown.
    UnreadableFileError
        If a file is no table.
    """
    if isinstance(recipes, pd.DataFrame):
        return read_recipes(recipes).table
    if isinstance(recipes, Path) or (isinstance(recipes, str) and _is_file(recipes)):
        from nasicon_ml.io import read_table, standardize_table

        return read_recipes(standardize_table(read_table(recipes), (*MODEL_INPUT, Column.PELLET_ID))).table
    if not isinstance(recipes, (str, Recipe, Mapping, Iterable)):
        raise FieldError("recipes", recipes, "a formula, a Recipe, a dict of fields, several, a table or a file")
    is_row = isinstance(recipes, pd.Series) and Column.FORMULA in recipes.index
    alone = is_row or isinstance(recipes, (str, Recipe, Mapping))
    several: Any = [recipes] if alone else recipes
    found, at_c, temperature = [], [], Column.MEASUREMENT_TEMPERATURE_C
    for number, one in enumerate(several, 1):
        try:
            found.append(_one_recipe(one))
            at_c.append(temperature.parse(None if isinstance(one, (str, Recipe)) else one.get(temperature)))
        except FieldError as error:
            place = "" if alone else f"recipe {number}"
            raise type(error)(error.field, error.value, error.allowed, error.hint, place) from None
    return recipe_table(found).assign(**{temperature.value: np.array(at_c, dtype=np.float64)})


def _one_recipe(recipe: object) -> Recipe:
    if isinstance(recipe, Recipe):
        return recipe
    if isinstance(recipe, (Mapping, pd.Series)):
        return Recipe.from_row(recipe)
    return Recipe(formula=recipe)  # type: ignore[arg-type]  # what is no text is refused in words


def _is_file(text: str) -> bool:
    """Whether a text names a file: by its ending, or because there is one."""
    from nasicon_ml.io import FORMATS

    try:
        return Path(text).suffix.lower() in FORMATS or Path(text).is_file()
    except (OSError, ValueError):  # no name that a file could have
        return False


def read_recipes(raw: RawTable | pd.DataFrame, *, raise_errors: bool = True) -> RecipeBatch:
    """Read a table of recipes as `read_batch` does, and raise the first error.

    Raises
    ------
    FieldError
        If a row cannot be read: it names the row, or file and line, and the value.
    """
    batch = read_batch(raw)
    frame = raw if isinstance(raw, pd.DataFrame) else raw.frame
    if batch.findings and raise_errors:
        first = batch.findings[0]
        try:
            COLUMNS[first.column].parse(first.value)
            Recipe.from_row(frame.iloc[first.row])
        except FieldError as error:
            place = f"row {frame.index[first.row]}"
            if not isinstance(raw, pd.DataFrame):
                place = f"{raw.name}, {place}" if first.line is None else f"{raw.name}, line {first.line}"
            raise type(error)(error.field, error.value, error.allowed, error.hint, place) from None
    return batch


def recipe_warnings(table: pd.DataFrame) -> list[Finding]:
    """Find temperatures of recipes that look wrong, and precursors that are no formulas.

    Temperatures look like kelvin (1073, 1123.15, or a measurement at 298), or the powder was calcined hotter than
    the pellet was sintered: pellets are made so, too, but more often the two were exchanged; a lithium excess is a
    fraction, or a precursor no formula.

    `read_batch` says the same of the rows it keeps; this is for recipes that came another way.

    Parameters
    ----------
    table
        What `recipe_table` gives: clean values, index 0 to n - 1.

    Returns
    -------
    list of Finding
        Warnings, in order of rows.
    """
    found = [replace(finding, severity=Severity.WARNING) for finding in kelvin_findings(table)]
    column = Column.CALCINATION_TEMPERATURE_C
    in_kelvin = [finding.row for finding in found]
    calcined = table[column].to_numpy(dtype=np.float64)
    sintered = table[Column.SINTERING_TEMPERATURE_C].to_numpy(dtype=np.float64)
    found += [
        Finding(row, column.value, float(calcined[row]), CALCINED_HOTTER_RULE, Severity.WARNING,
                f"{column}: {calcined[row]:g} °C is hotter than the sintering at {sintered[row]:g} °C;"
                " are the two exchanged?")
        for row in np.flatnonzero((calcined > sintered) & ~np.isin(np.arange(len(table)), in_kelvin)).tolist()
    ]  # fmt: skip
    found += fraction_findings(table) + precursor_findings(table) + additive_findings(table)
    return sorted(found, key=lambda finding: finding.row)


def _check_header(frame: pd.DataFrame, known: Collection[object] = frozenset(Column)) -> None:
    names = list(frame.columns)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise unknown_columns(unknown)
    check_unique_columns(frame)
    if Column.FORMULA not in names:
        raise no_formulas(names)


def _second_phases(clean: pd.DataFrame, parsed: ParsedFormulas) -> list[Finding]:
    """Move second phases from the formulas to the additive columns of the table."""
    phases = [c.second_phase if c else None for c in parsed.compositions]
    if not any(phases):
        return []
    has_phase = parsed.per_row(phase is not None for phase in phases).astype(bool)  # None counts as no
    taken = clean[list(ADDITIVE)].notna().any(axis=1).to_numpy()
    moved = has_phase & ~taken
    formulas = parsed.per_row(phase.formula if phase else None for phase in phases)
    amounts = parsed.per_row(phase.amount if phase else None for phase in phases)
    units = parsed.per_row(phase.unit if phase else None for phase in phases)
    clean.loc[moved, Column.ADDITIVE] = formulas[moved]
    clean.loc[moved, Column.ADDITIVE_AMOUNT] = amounts[moved].astype("float64")
    clean.loc[moved, Column.ADDITIVE_UNIT] = units[moved]
    return _findings_at(np.flatnonzero(has_phase & taken), SECOND_PHASE_TWICE, clean)


def _additive_findings(clean: pd.DataFrame, known_bad: set[int]) -> list[Finding]:
    """Apply the rules about additive, amount and unit to rows that are good so far."""
    given = [clean[column].notna().to_numpy() for column in ADDITIVE]
    code = 4 * given[0] + 2 * given[1] + 1 * given[2]
    findings: list[Finding] = []
    for number, problem in enumerate(ADDITIVE_PROBLEMS):
        if problem:
            rows = [int(row) for row in np.flatnonzero(code == number) if int(row) not in known_bad]
            findings += _findings_at(rows, problem, clean)
    return findings


def _findings_at(rows: Iterable[int], problem: Problem, clean: pd.DataFrame) -> list[Finding]:
    column, values = problem.column, clean[problem.column]
    said = {int(row): problem.error(values[row]).message for row in rows}
    return [
        Finding(row, column.value, values[row], problem.rule, Severity.ERROR, message)
        for row, message in said.items()
    ]


def _with_lines(findings: list[Finding], lines: NDArray[np.intp] | None) -> list[Finding]:
    if lines is None:
        return findings
    return [replace(finding, line=int(lines[finding.row])) for finding in findings]
