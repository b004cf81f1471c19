"""The recipes a command works on, from options or from a file, with where each one stands."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nasicon_ml.columns import RECIPE, Column
from nasicon_ml.errors import FieldError, UnreadableFileError

if TYPE_CHECKING:
    import pandas as pd

    from nasicon_ml.checks import Finding
    from nasicon_ml.tables import RawTable


@dataclass(frozen=True)
class Inputs:
    """Recipes that can be worked on, and what is wrong with the others.

    Attributes
    ----------
    table
        The good recipes, columns `nasicon_ml.columns.MODEL_INPUT`, n rows.
    numbers
        Which recipe of the input each row is, counted from 1; length n.
    lines
        The line of the file where each one stands, None where the format has no lines; length n.
    pellet_ids
        The ids the input gives its recipes; None if it gives none.
    findings
        What is wrong with the bad rows.
    warnings
        What is doubtful about the good ones.
    name
        What messages call the input; empty for options.
    """

    table: pd.DataFrame
    numbers: tuple[int, ...]
    lines: tuple[int | None, ...]
    pellet_ids: tuple[str | None, ...] | None
    findings: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()
    name: str = ""

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def bad_rows(self) -> int:
        """How many rows are left out."""
        return len({finding.row for finding in self.findings})

    def place(self, finding: Finding) -> str:
        """Say where a finding stands: the file, and the line or the number of the recipe."""
        if not self.name:
            return "this recipe"
        if finding.line is not None:
            return f"{self.name}, line {finding.line}"
        return f"{self.name}, recipe {finding.row + 1}"


def from_file(path: str, file_format: str | None) -> Inputs:
    """Read a file of recipes.

    Raises
    ------
    UnreadableFileError
        If it is no table, or a column is unknown.
    """
    from nasicon_ml.recipe import read_batch
    from nasicon_ml.tables import read_table

    raw = read_table(path, file_format=file_format)
    try:
        batch = read_batch(raw)
    except FieldError as error:  # about a column, so about the whole file
        raise UnreadableFileError(f"{raw.name}: {error}") from None
    keys, unfit = _pellet_ids(raw)
    kept = [place for place, row in enumerate(batch.rows.tolist()) if row not in unfit]
    positions = batch.rows[kept].tolist()
    lines = (None,) * len(kept) if batch.lines is None else tuple(batch.lines[kept].tolist())
    findings = sorted((*batch.findings, *unfit.values()), key=lambda finding: finding.row)
    return Inputs(
        batch.table.iloc[kept].reset_index(drop=True) if unfit else batch.table,
        tuple(position + 1 for position in positions),
        lines,
        None if keys is None else tuple(keys[row] for row in positions),
        tuple(findings),
        tuple(finding for finding in batch.warnings if finding.row not in unfit),
        raw.name,
    )


def _pellet_ids(raw: RawTable) -> tuple[list[str | None] | None, dict[int, Finding]]:
    """Read what a file calls its recipes, if it does, and find names that can be neither shown nor written."""
    from nasicon_ml.checks import Finding, Severity

    column = Column.PELLET_ID
    if column not in raw.frame.columns:
        return None, {}
    keys: list[str | None] = []
    unfit: dict[int, Finding] = {}
    for row, cell in enumerate(raw.frame[column].tolist()):
        try:
            # Numbers, too, may name recipes.
            keys.append(column.parse(str(cell) if isinstance(cell, numbers.Real) else cell))  # type: ignore[arg-type]
        except FieldError as error:
            keys.append(None)
            line = None if raw.lines is None else int(raw.lines[row])
            unfit[row] = Finding(row, column.value, cell, "bad_key", Severity.ERROR, error.message, line)
    return keys, unfit


def from_options(
    formula: str, x: float | None, substitute: Mapping[str, str], fields: Mapping[str, object]
) -> Inputs:
    """Make one recipe of options.

    Parameters
    ----------
    formula
        A formula or the name of a system.
    x, substitute
        The value of x and the elements of place holders in the formula.
    fields
        All other fields of the recipe by column name, None where not given.

    Raises
    ------
    FieldError
        If a field is wrong, or two contradict each other.
    """
    from nasicon_ml.composition import parse
    from nasicon_ml.kelvin import kelvin_findings
    from nasicon_ml.recipe import Recipe, recipe_table

    given = {column.value: fields[column] for column in RECIPE if fields.get(column) is not None}
    composition = parse(formula, x=x, substitute=substitute)
    recipe = Recipe.from_dict({Column.FORMULA.value: composition.formula, **given})
    table = recipe_table([recipe])
    # That charges do not add up stands in the answer to one recipe.
    return Inputs(table, (1,), (None,), None, warnings=tuple(kelvin_findings(table)))


def doubts_about_temperature(at_c: float) -> tuple[Finding, ...]:
    """Say what is doubtful about a temperature, in °C, at which the conductivity is wanted."""
    import pandas as pd

    from nasicon_ml.kelvin import kelvin_findings

    return tuple(kelvin_findings(pd.DataFrame({Column.MEASUREMENT_TEMPERATURE_C.value: [float(at_c)]})))
