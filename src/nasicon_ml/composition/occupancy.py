"""Compositions in arrays: every different formula is read once, everything after that is vectorised."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.arrays import Floats, Ints
from nasicon_ml.checks import MOST_BAD_CELLS, MOST_BAD_TEXTS, Finding, Severity, refuse_many
from nasicon_ml.columns import Column, is_missing
from nasicon_ml.composition.formula import ELEMENT_INDEX, ELEMENTS, refusal
from nasicon_ml.composition.reading import parse
from nasicon_ml.composition.sites import (
    CHARGE_TOLERANCE,
    OXYGEN_CHARGE,
    Composition,
    net_substitution,
    total_charge,
)
from nasicon_ml.errors import FormulaError

_DIGITS = 9


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
        Row to unique formula, int, shape (n_rows,).
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
        return _rounded(self.m.sum(axis=1))

    @property
    def x(self) -> Floats:
        """Net substitution as in `Composition.x`, shape (n_unique,)."""
        m_site, t_site = _by_element(self.m), _by_element(self.t)
        return _rounded(net_substitution(m_site, t_site, self._states, 2 - self.m_total))

    @property
    def alkali_excess(self) -> Floats:
        """Charge on A beyond 1 + x, shape (n_unique,)."""
        return _rounded(total_charge(_by_element(self.a), self._states) - 1 - self.x)

    @property
    def charge_imbalance(self) -> Floats:
        """Cation minus anion charge, elementary charges per three T cations, shape (n_unique,)."""
        all_but_oxygen = _by_element(self.a + self.m + self.t + self.other_anions)
        return _rounded(total_charge(all_but_oxygen, self._states) + OXYGEN_CHARGE * self.oxygen)

    @property
    def _states(self) -> dict[int, Floats]:
        return dict(enumerate(np.nan_to_num(self.valence).T))

    def per_row(self, array: NDArray[Any]) -> NDArray[Any]:
        """Spread an array over unique formulas (first axis) to one over rows."""
        return array[self.index]


def _by_element(site: Floats) -> dict[int, Floats]:
    """Return the amounts of the elements that occur on a site, by position in `ELEMENTS`."""
    return {at: site[:, at] for at in np.flatnonzero(site.any(axis=0)).tolist()}


def _rounded(values: Floats) -> Floats:
    """Round to what sums of millionths can hold, without negative zeros, exactly as `Composition` does."""
    return np.asarray(np.round(values, _DIGITS) + 0.0, dtype=np.float64)


def occupancies(formulas: Sequence[str] | pd.Series[Any]) -> OccupancyTable:
    """Return the occupancies of many formulas as arrays.

    Parameters
    ----------
    formulas
        Anything that `parse` reads, one a row.

    Returns
    -------
    OccupancyTable
        Unique formulas in order of appearance.

    Raises
    ------
    FormulaError
        On the first formula that cannot be read.
    """
    codes, unique = _factorize(formulas)
    if (codes < 0).any():
        raise refusal(None, hint=f"Row {int(np.argmax(codes < 0))} has no formula.")
    return _table([parse(text) for text in unique], codes)


def _factorize(
    formulas: Sequence[Any] | pd.Series[Any] | NDArray[np.object_],
) -> tuple[Ints, NDArray[np.object_]]:
    return pd.factorize(pd.Series(formulas, dtype="object").to_numpy())


def _table(compositions: Sequence[Composition], index: Ints) -> OccupancyTable:
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
    """Formulas of a table, each different one read once."""

    index: Ints  # row to unique formula, int, shape (n_rows,); -1 where there is none
    compositions: list[Composition | None]  # one per unique formula; None where it cannot be read
    errors: list[FormulaError | None]  # one per unique formula; None where it can

    def per_row(self, values: Iterable[Any]) -> NDArray[np.object_]:
        """Spread one value per unique formula over the rows; None where there is no formula."""
        return np.array([*values, None], dtype=object)[self.index]


def parse_unique(formulas: pd.Series[Any]) -> ParsedFormulas:
    """Read every different formula of a column once and keep what went wrong.

    Raises
    ------
    FieldError
        If more than `checks.MOST_BAD_TEXTS` different formulas cannot be read.
    """
    codes, unique = _stated(formulas.to_numpy(dtype="object"))
    compositions: list[Composition | None] = []
    errors: list[FormulaError | None] = []
    bad = 0
    for text in unique:
        try:
            compositions.append(parse(text))
            errors.append(None)
        except FormulaError as error:
            compositions.append(None)
            errors.append(error)
            bad += 1
            refuse_many(bad, MOST_BAD_TEXTS, error)
    return ParsedFormulas(codes, compositions, errors)


def _stated(cells: NDArray[np.object_]) -> tuple[Ints, list[Any]]:
    """Assign each different formula a number; -1 where there is none."""
    if pd.api.types.infer_dtype(cells, skipna=True) not in {"string", "empty"}:
        # Cells such as lists cannot be told apart; their text is refused with a message all the same.
        plain = [cell if isinstance(cell, str) or pd.api.types.is_scalar(cell) else repr(cell) for cell in cells]
        cells = pd.Series(plain, dtype="object").to_numpy()
    codes, unique = _factorize(cells)
    stated = np.array([not is_missing(text) for text in unique] + [False], dtype=bool)
    places = np.where(stated, np.cumsum(stated) - 1, -1)
    return places[codes], unique[stated[:-1]].tolist()


def check_formulas(formulas: pd.Series[Any]) -> tuple[pd.Series[Any], list[Finding]]:
    """Check a column of formulas.

    Parameters
    ----------
    formulas
        Anything that `parse` reads, one a row.

    Returns
    -------
    pandas.Series
        Canonical formulas (with second phases, where given), object, index 0 to n - 1; None where missing or bad.
    list of Finding
        In order of rows: errors `missing_formula` and `bad_formula`, warnings `charge_imbalance` (beyond
        `CHARGE_TOLERANCE`).
    """
    parsed = parse_unique(formulas.reset_index(drop=True))
    canonical = parsed.per_row(None if c is None else c.formula for c in parsed.compositions)
    return pd.Series(canonical, dtype="object"), formula_findings(formulas, parsed)


def formula_findings(formulas: pd.Series[Any], parsed: ParsedFormulas) -> list[Finding]:
    """List what is wrong with the formulas of a column, in order of rows."""
    column = Column.FORMULA
    verdicts: list[tuple[str, Severity, str] | None] = [
        _verdict(composition, error) for composition, error in zip(parsed.compositions, parsed.errors, strict=True)
    ]
    missing = ("missing_formula", Severity.ERROR, f"{column}: a formula is needed, and there is none")
    verdicts.append(missing)  # -1, no formula, is the last
    noteworthy = np.array([verdict is not None for verdict in verdicts])[parsed.index]
    cells = formulas.to_numpy(dtype="object")
    findings: list[Finding] = []
    bad = 0
    for row in np.flatnonzero(noteworthy).tolist():
        if verdict := verdicts[parsed.index[row]]:
            rule, severity, message = verdict
            bad += severity is Severity.ERROR
            refuse_many(bad, MOST_BAD_CELLS, refusal(cells[row]))
            findings.append(Finding(row, column.value, cells[row], rule, severity, message))
    return findings


def _verdict(composition: Composition | None, error: FormulaError | None) -> tuple[str, Severity, str] | None:
    if error is not None:
        return "bad_formula", Severity.ERROR, error.message
    if composition is None or abs(composition.charge_imbalance) <= CHARGE_TOLERANCE:
        return None
    states = composition.oxidation_states
    stated = ", ".join(f"{el}{states[el]:+g}" for el in {**composition.m_site, **composition.a_site})
    message = (
        f"{Column.FORMULA}: {composition.main_phase.formula} is off by {composition.charge_imbalance:+.3g} "
        f"charges per three T cations (tolerance {CHARGE_TOLERANCE:g}; taken as {stated})"
    )
    return "charge_imbalance", Severity.WARNING, message
