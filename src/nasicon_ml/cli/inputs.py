"""The recipes a command works on, from options or from a file, with where each one stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nasicon_ml.columns import RECIPE, Column, is_missing
from nasicon_ml.errors import FieldError, UnreadableFileError

if TYPE_CHECKING:
    import pandas as pd

    from nasicon_ml.checks import Finding


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
    positions = [int(position) for position in batch.rows]
    lines = (None,) * len(positions) if batch.lines is None else tuple(int(line) for line in batch.lines)
    pellet_ids = None
    if Column.PELLET_ID in raw.frame.columns:
        named = raw.frame[Column.PELLET_ID].tolist()
        pellet_ids = tuple(None if is_missing(named[row]) else str(named[row]).strip() for row in positions)
    numbers = tuple(position + 1 for position in positions)
    return Inputs(batch.table, numbers, lines, pellet_ids, tuple(batch.findings), tuple(batch.warnings), raw.name)


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
