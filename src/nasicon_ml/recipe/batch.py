"""Read whole tables of recipes: keep the valid rows, and report findings about the invalid ones."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
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
from nasicon_ml.recipe.rules import (
    ADDITIVE_CONFLICTS,
    DUPLICATE_SECOND_PHASE,
    FieldConflict,
    missing_formula_error,
    unknown_columns_error,
)

if TYPE_CHECKING:
    from nasicon_ml.io import RawTable

CALCINED_HOTTER_RULE = "calcined_hotter_than_sintered"


@dataclass(frozen=True)
class RecipeBatch:
    """Recipes of a table, with findings about invalid rows.

    Parameters
    ----------
    table
        Valid rows: `columns.MODEL_INPUT`, index 0 to n - 1, canonical formulas.
    rows
        Row number in the input of each valid row, int, shape (n_valid,).
    lines
        Line in the file of each valid row, if the input has lines.
    findings
        Errors in the invalid rows, in order of rows.
    warnings
        Warnings about the valid rows (charge imbalance, and those of `recipe_warnings`), in order of rows.
    """

    table: pd.DataFrame
    rows: NDArray[np.intp]
    lines: NDArray[np.intp] | None
    findings: list[Finding]
    warnings: list[Finding] = field(default_factory=list)

    @property
    def bad_rows(self) -> NDArray[np.intp]:
        """Row numbers in the input of the invalid rows, int, shape (n_invalid,)."""
        return np.unique(np.array([finding.row for finding in self.findings], dtype=np.intp))


def recipe_table(recipes: Iterable[Recipe]) -> pd.DataFrame:
    """Return recipes as a table.

    Returns
    -------
    pandas.DataFrame
        Shape (n_recipes, len(columns.MODEL_INPUT)): float64 with NaN, object with None. The measurement
        temperature is missing; a model then assumes room temperature.
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
        measurement temperature are ignored.

    Returns
    -------
    RecipeBatch
        A row is valid if and only if `Recipe` accepts it, and then has the same values.

    Raises
    ------
    FieldError
        If a column is unknown or occurs twice, or there is no column of formulas.
    """
    frame = raw if isinstance(raw, pd.DataFrame) else raw.frame
    lines = None if isinstance(raw, pd.DataFrame) else raw.lines
    _check_header(frame)
    clean, findings = check_columns(frame, MODEL_INPUT)
    unreadable = {finding.row for finding in findings if finding.column == Column.FORMULA}
    parsed = parse_unique(clean[Column.FORMULA])
    of_formulas = formula_findings(clean[Column.FORMULA], parsed)
    findings += [f for f in of_formulas if f.severity is Severity.ERROR and f.row not in unreadable]
    findings += _move_second_phases(clean, parsed)
    findings += _additive_conflicts(clean, {finding.row for finding in findings})
    order = {column.value: position for position, column in enumerate(MODEL_INPUT)}
    findings.sort(key=lambda finding: (finding.row, order[finding.column]))

    is_valid = np.ones(len(clean), dtype=bool)
    is_valid[[finding.row for finding in findings]] = False
    rows = np.flatnonzero(is_valid)
    clean[Column.FORMULA] = parsed.per_row(
        None if c is None else c.main_phase.formula for c in parsed.compositions
    )
    warnings = [f for f in of_formulas if f.severity is Severity.WARNING and is_valid[f.row]]
    warnings += [f for f in recipe_warnings(clean) if is_valid[f.row]]
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
        Columns of the DataFrame to keep, if it has them.
    refuse_others
        Whether columns outside the vocabulary raise an error instead of being ignored.

    Returns
    -------
    pandas.DataFrame
        n rows with unchanged cells and the index of X.

    Raises
    ------
    FieldError
        If there is no column of formulas, or a column occurs twice or is unknown and refused.
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
        # A list, because an array would split a Composition into its elements.
        cells = X if isinstance(X, pd.Series) else pd.Series(list(np.ravel(X) if hasattr(X, "ndim") else X))
        frame = pd.DataFrame({str(Column.FORMULA): cells.astype(object)})
    return frame.assign(**{str(Column.FORMULA): frame[Column.FORMULA].map(_formula_text)})


def _formula_text(cell: Any) -> Any:
    """Return the formula of a pymatgen Composition, and anything else unchanged."""
    return str(cell.formula).replace(" ", "") if hasattr(cell, "get_el_amt_dict") else cell


#: Types that `as_recipe_table` accepts.
AnyRecipes = str | Path | Recipe | Mapping[str, Any] | pd.DataFrame | Iterable[str | Recipe | Mapping[str, Any]]


def as_recipe_table(recipes: AnyRecipes) -> pd.DataFrame:
    """Return recipes of any accepted type as a table.

    Parameters
    ----------
    recipes
        A formula or the name of a system (``"LATP x=0.3"``), a `Recipe`, a mapping of its fields, or several of
        these; a table with the column ``formula`` and any others; a file of recipes.

    Returns
    -------
    pandas.DataFrame
        Table as returned by `recipe_table`.

    Raises
    ------
    FieldError
        If a recipe cannot be read, or a column of a table is unknown; it names the recipe and the value.
    UnreadableFileError
        If a file is not a table.
    """
    if isinstance(recipes, pd.DataFrame):
        return read_recipes(recipes).table
    if isinstance(recipes, Path) or (isinstance(recipes, str) and _is_file(recipes)):
        from nasicon_ml.io import read_table, standardize_table

        return read_recipes(standardize_table(read_table(recipes), (*MODEL_INPUT, Column.PELLET_ID))).table
    if not isinstance(recipes, (Recipe, Iterable)):
        raise FieldError("recipes", recipes, "a formula, a Recipe, a dict of fields, several, a table or a file")
    is_row = isinstance(recipes, pd.Series) and Column.FORMULA in recipes.index
    is_single = is_row or isinstance(recipes, (str, Recipe, Mapping))
    items: Any = [recipes] if is_single else recipes
    parsed, temperatures_c, column = [], [], Column.MEASUREMENT_TEMPERATURE_C
    for number, item in enumerate(items, 1):
        try:
            parsed.append(_to_recipe(item))
            temperatures_c.append(column.parse(None if isinstance(item, (str, Recipe)) else item.get(column)))
        except FieldError as error:
            place = "" if is_single else f"recipe {number}"
            raise type(error)(error.field, error.value, error.allowed, error.hint, place) from None
    return recipe_table(parsed).assign(**{column.value: np.array(temperatures_c, dtype=np.float64)})


def _to_recipe(recipe: object) -> Recipe:
    if isinstance(recipe, Recipe):
        return recipe
    if isinstance(recipe, (Mapping, pd.Series)):
        return Recipe.from_row(recipe)
    return Recipe(formula=recipe)  # type: ignore[arg-type]  # other types raise FieldError


def _is_file(text: str) -> bool:
    """Return whether a text has the suffix of a file of recipes, or is the path of an existing file."""
    from nasicon_ml.io import FORMATS

    try:
        return Path(text).suffix.lower() in FORMATS or Path(text).is_file()
    except (OSError, ValueError):  # not a valid path
        return False


def read_recipes(raw: RawTable | pd.DataFrame, *, raise_errors: bool = True) -> RecipeBatch:
    """Read a table of recipes as `read_batch` does, and raise an error for the first invalid row.

    Raises
    ------
    FieldError
        If a row is invalid; it names the row, or the file and line, and the value.
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
    """Return warnings about recipes that look wrong.

    They concern temperatures that look like kelvin (1073, 1123.15, or a measurement at 298), a calcination hotter
    than the sintering (possible, but the two are more often swapped), a lithium excess that looks like a fraction,
    and additives and precursors that are not formulas. `read_batch` includes these warnings for valid rows.

    Parameters
    ----------
    table
        Table as returned by `recipe_table`: clean values, index 0 to n - 1.

    Returns
    -------
    list of Finding
        Warnings, in order of rows.
    """
    findings = [replace(finding, severity=Severity.WARNING) for finding in kelvin_findings(table)]
    column = Column.CALCINATION_TEMPERATURE_C
    in_kelvin = [finding.row for finding in findings]
    calcined = table[column].to_numpy(dtype=np.float64)
    sintered = table[Column.SINTERING_TEMPERATURE_C].to_numpy(dtype=np.float64)
    findings += [
        Finding(row, column.value, float(calcined[row]), CALCINED_HOTTER_RULE, Severity.WARNING,
                f"{column}: {calcined[row]:g} °C is hotter than the sintering at {sintered[row]:g} °C;"
                " are the two exchanged?")
        for row in np.flatnonzero((calcined > sintered) & ~np.isin(np.arange(len(table)), in_kelvin)).tolist()
    ]  # fmt: skip
    findings += fraction_findings(table) + precursor_findings(table) + additive_findings(table)
    return sorted(findings, key=lambda finding: finding.row)


def _check_header(frame: pd.DataFrame, known: Collection[object] = frozenset(Column)) -> None:
    names = list(frame.columns)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise unknown_columns_error(unknown)
    check_unique_columns(frame)
    if Column.FORMULA not in names:
        raise missing_formula_error(names)


def _move_second_phases(clean: pd.DataFrame, parsed: ParsedFormulas) -> list[Finding]:
    """Move second phases from the formulas to the additive columns; return errors where these are not empty."""
    phases = [c.second_phase if c else None for c in parsed.compositions]
    if not any(phases):
        return []
    has_phase = parsed.per_row(phase is not None for phase in phases).astype(bool)  # None counts as False
    has_additive = clean[list(ADDITIVE)].notna().any(axis=1).to_numpy()
    moved = has_phase & ~has_additive
    fields = [astuple(phase) if phase else (None, None, None) for phase in phases]
    for column, values in zip(ADDITIVE, zip(*fields, strict=True), strict=True):
        clean.loc[moved, column.value] = parsed.per_row(values)[moved].astype(clean[column].to_numpy().dtype)
    return _conflict_findings(np.flatnonzero(has_phase & has_additive).tolist(), DUPLICATE_SECOND_PHASE, clean)


def _additive_conflicts(clean: pd.DataFrame, invalid_rows: set[int]) -> list[Finding]:
    """Return the conflicts between additive, amount and unit in rows without other errors."""
    given = [clean[column].notna().to_numpy() for column in ADDITIVE]
    code = 4 * given[0] + 2 * given[1] + 1 * given[2]
    findings: list[Finding] = []
    for number, conflict in enumerate(ADDITIVE_CONFLICTS):
        if conflict:
            rows = [row for row in np.flatnonzero(code == number).tolist() if row not in invalid_rows]
            findings += _conflict_findings(rows, conflict, clean)
    return findings


def _conflict_findings(rows: list[int], conflict: FieldConflict, clean: pd.DataFrame) -> list[Finding]:
    name, rule, values = conflict.column.value, conflict.rule, clean[conflict.column]
    return [
        Finding(row, name, values[row], rule, Severity.ERROR, conflict.error(values[row]).message) for row in rows
    ]


def _with_lines(findings: list[Finding], lines: NDArray[np.intp] | None) -> list[Finding]:
    if lines is None:
        return findings
    return [replace(finding, line=int(lines[finding.row])) for finding in findings]
