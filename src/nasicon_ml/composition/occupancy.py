"""Parse columns of formulas: each unique formula once, with the site occupancies as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.arrays import Floats, Ints
from nasicon_ml.checks import MAX_BAD_CELLS, MAX_BAD_TEXTS, Finding, Severity, check_error_count
from nasicon_ml.columns import Column, is_missing
from nasicon_ml.composition.formula import ELEMENT_INDEX, ELEMENTS, formula_error
from nasicon_ml.composition.reading import parse
from nasicon_ml.composition.sites import (
    CHARGE_TOLERANCE,
    OXYGEN_CHARGE,
    Composition,
    net_substitution,
    total_charge,
)
from nasicon_ml.errors import FormulaError

_DECIMALS = 9


@dataclass(frozen=True)
class OccupancyTable:
    """Site occupancies of many formulas, per three T cations.

    Parameters
    ----------
    a, m, t, other_anions
        Amounts, shape (n_unique, len(ELEMENTS)).
    valence
        Oxidation states, shape (n_unique, len(ELEMENTS)); NaN where the element is absent.
    oxygen
        Shape (n_unique,).
    systems
        Names of the systems, object, shape (n_unique,).
    index
        Index of the unique formula of each row, int, shape (n_rows,).
    """

    a: Floats
    m: Floats
    t: Floats
    valence: Floats
    oxygen: Floats
    other_anions: Floats
    systems: NDArray[np.object_]
    index: Ints

    @property
    def m_total(self) -> Floats:
        """Cations on M, shape (n_unique,)."""
        return _round(self.m.sum(axis=1))

    @property
    def x(self) -> Floats:
        """Net substitution as in `Composition.x`, shape (n_unique,)."""
        m_site, t_site = _amounts_by_element(self.m), _amounts_by_element(self.t)
        return _round(net_substitution(m_site, t_site, self._states, 2 - self.m_total))

    @property
    def alkali_excess(self) -> Floats:
        """Charge on A beyond 1 + x, shape (n_unique,)."""
        return _round(total_charge(_amounts_by_element(self.a), self._states) - 1 - self.x)

    @property
    def charge_imbalance(self) -> Floats:
        """Cation minus anion charge, elementary charges per three T cations, shape (n_unique,)."""
        all_but_oxygen = _amounts_by_element(self.a + self.m + self.t + self.other_anions)
        return _round(total_charge(all_but_oxygen, self._states) + OXYGEN_CHARGE * self.oxygen)

    @property
    def _states(self) -> dict[int, Floats]:
        return dict(enumerate(np.nan_to_num(self.valence).T))

    def per_row(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return an array over rows from one over unique formulas (first axis)."""
        return array[self.index]


def _amounts_by_element(site: Floats) -> dict[int, Floats]:
    """Return the amounts of the elements that occur on a site, by index in `ELEMENTS`."""
    return {element: site[:, element] for element in np.flatnonzero(site.any(axis=0)).tolist()}


def _round(values: Floats) -> Floats:
    """Round exactly as `Composition` does, without negative zeros."""
    return np.asarray(np.round(values, _DECIMALS) + 0.0, dtype=np.float64)


def occupancies(formulas: Sequence[str] | pd.Series[Any]) -> OccupancyTable:
    """Return the occupancies of many formulas as arrays.

    Parameters
    ----------
    formulas
        Any text that `parse` reads, one per row.

    Returns
    -------
    OccupancyTable
        Unique formulas in order of appearance.

    Raises
    ------
    FormulaError
        If a formula is missing or cannot be read; it describes the first one.
    """
    index, unique = pd.factorize(pd.Series(formulas, dtype="object").to_numpy())
    if (index < 0).any():
        raise formula_error(None, hint=f"Row {int(np.argmax(index < 0))} has no formula.")
    compositions = [parse(text) for text in unique]
    shape = (len(compositions), len(ELEMENTS))
    a, m, t, anions = (np.zeros(shape) for _ in range(4))
    valence = np.full(shape, np.nan)
    oxygen = np.zeros(len(compositions))
    for row, composition in enumerate(compositions):
        oxygen[row] = composition.oxygen
        for array, amounts in (
            (a, composition.a_site),
            (m, composition.m_site),
            (t, composition.t_site),
            (anions, composition.other_anions),
            (valence, composition.oxidation_states),
        ):
            for element, amount in amounts.items():
                array[row, ELEMENT_INDEX[element]] = amount
    systems = np.array([composition.system for composition in compositions], dtype=object)
    return OccupancyTable(a, m, t, valence, oxygen, anions, systems, index)


@dataclass(frozen=True)
class ParsedFormulas:
    """Unique formulas of a table, parsed."""

    index: Ints  # index of the unique formula of each row, int, shape (n_rows,); -1 if the row has none
    compositions: list[Composition | None]  # one per unique formula; None if it cannot be read
    errors: list[FormulaError | None]  # one per unique formula; None if it can be read

    def per_row(self, values: Iterable[Any]) -> NDArray[np.object_]:
        """Return values over rows from one value per unique formula; None for rows without a formula."""
        return np.array([*values, None], dtype=object)[self.index]


def parse_unique(formulas: pd.Series[Any]) -> ParsedFormulas:
    """Parse each unique formula of a column, and collect the errors.

    Raises
    ------
    FieldError
        If more than `checks.MAX_BAD_TEXTS` unique formulas cannot be read.
    """
    index, unique = _factorize_formulas(formulas.to_numpy(dtype="object"))
    compositions: list[Composition | None] = []
    errors: list[FormulaError | None] = []
    error_count = 0
    for text in unique:
        try:
            compositions.append(parse(text))
            errors.append(None)
        except FormulaError as error:
            compositions.append(None)
            errors.append(error)
            error_count += 1
            check_error_count(error_count, MAX_BAD_TEXTS, error)
    return ParsedFormulas(index, compositions, errors)


def _factorize_formulas(cells: NDArray[np.object_]) -> tuple[Ints, list[Any]]:
    """Return the index of the unique formula of each row (-1 if it is missing), and the unique formulas."""
    if pd.api.types.infer_dtype(cells, skipna=True) not in {"string", "empty"}:
        # Lists and the like are not hashable; their text is not a formula either and gives the same error.
        hashable = [
            cell if isinstance(cell, str) or pd.api.types.is_scalar(cell) else repr(cell) for cell in cells
        ]
        cells = pd.Series(hashable, dtype="object").to_numpy()
    codes, unique = pd.factorize(cells)
    is_given = np.array([not is_missing(text) for text in unique] + [False], dtype=bool)
    index_of_code = np.where(is_given, np.cumsum(is_given) - 1, -1)
    return index_of_code[codes], unique[is_given[:-1]].tolist()


def check_formulas(formulas: pd.Series[Any]) -> tuple[pd.Series[Any], list[Finding]]:
    """Check a column of formulas.

    Parameters
    ----------
    formulas
        Any text that `parse` reads, one per row.

    Returns
    -------
    pandas.Series
        Canonical formulas (with second phases, if given), object, index 0 to n - 1; None if missing or invalid.
    list of Finding
        In order of rows: errors `missing_formula` and `bad_formula`, warnings `charge_imbalance` (beyond
        `CHARGE_TOLERANCE`).
    """
    parsed = parse_unique(formulas.reset_index(drop=True))
    canonical = parsed.per_row(None if c is None else c.formula for c in parsed.compositions)
    return pd.Series(canonical, dtype="object"), formula_findings(formulas, parsed)


def formula_findings(formulas: pd.Series[Any], parsed: ParsedFormulas) -> list[Finding]:
    """Return the findings about the formulas of a column, in order of rows."""
    column = Column.FORMULA
    problems = [*map(_problem, parsed.compositions, parsed.errors)]
    missing = ("missing_formula", Severity.ERROR, f"{column}: a formula is needed, and there is none")
    problems.append(missing)  # the last, for the index -1 of a missing formula
    has_problem = np.array([problem is not None for problem in problems])[parsed.index]
    cells = formulas.to_numpy(dtype="object")
    findings: list[Finding] = []
    error_count = 0
    for row in np.flatnonzero(has_problem).tolist():
        if problem := problems[parsed.index[row]]:
            rule, severity, message = problem
            error_count += severity is Severity.ERROR
            check_error_count(error_count, MAX_BAD_CELLS, formula_error(cells[row]))
            findings.append(Finding(row, column.value, cells[row], rule, severity, message))
    return findings


def _problem(composition: Composition | None, error: FormulaError | None) -> tuple[str, Severity, str] | None:
    if error is not None:
        return "bad_formula", Severity.ERROR, error.message
    if composition is None or abs(composition.charge_imbalance) <= CHARGE_TOLERANCE:
        return None
    states = composition.oxidation_states
    assumed = ", ".join(f"{el}{states[el]:+g}" for el in {**composition.m_site, **composition.a_site})
    message = (
        f"{Column.FORMULA}: {composition.main_phase.formula} is off by {composition.charge_imbalance:+.3g} "
        f"charges per three T cations (tolerance {CHARGE_TOLERANCE:g}; taken as {assumed})"
    )
    return "charge_imbalance", Severity.WARNING, message
