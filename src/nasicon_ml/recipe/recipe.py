"""One recipe: what is decided before the experiment, checked when it is made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nasicon_ml.columns import ADDITIVE, RECIPE, Column, Kind
from nasicon_ml.composition.reading import parse
from nasicon_ml.composition.sites import Composition, SecondPhase
from nasicon_ml.errors import FieldError, UnreadableFileError
from nasicon_ml.io.structured import RepeatedKeyError, load_json, restricted_loader
from nasicon_ml.recipe.rules import ADDITIVE_PROBLEMS, NO_FORMULA, SECOND_PHASE_TWICE, unknown_field

if TYPE_CHECKING:
    import pandas as pd


#: A recipe has some twenty short fields; anything longer is not one.
MAX_CHARACTERS = 20_000
_NUMBERS = frozenset(column.value for column in Column if column.kind is Kind.NUMBER)
_ONE_RECIPE = "one recipe, fields with their values"
_YAML_NULL, _YAML_TEXT = "tag:yaml.org,2002:null", "tag:yaml.org,2002:str"


def fields_of_json(text: str) -> dict[str, Any]:
    """Read the JSON of one recipe.

    Raises
    ------
    UnreadableFileError
        If it is not JSON, or not one object of plain values.
    FieldError
        If a field is given twice.
    """
    _check_length(text)
    try:
        content = load_json(text, finite=True)
    except RepeatedKeyError as error:
        raise _twice(error.key, error.value) from None
    except ValueError as error:
        raise UnreadableFileError(f"recipe: this is not JSON: {error}") from None
    if not isinstance(content, dict):
        kind = "a list" if isinstance(content, list) else "a single value"
        raise UnreadableFileError(f"recipe: this is {kind}; needed: {_ONE_RECIPE}")
    for name, value in content.items():
        if isinstance(value, (dict, list)):
            raise _nested(name)
    return content


def fields_of_yaml(text: str) -> dict[str, Any]:
    """Read the YAML of one recipe.

    Only PyYAML's safe loader is used, without aliases. Numbers are taken as they are written, since
    YAML would read a sintering time of ``1:30`` as ninety.

    Raises
    ------
    UnreadableFileError
        If it is not YAML, or not one mapping of plain values.
    FieldError
        If a field is given twice.
    """
    import yaml

    _check_length(text)
    try:
        root = yaml.compose(text, Loader=restricted_loader("recipe"))
    except (yaml.YAMLError, ValueError) as error:
        raise UnreadableFileError(f"recipe: this is not YAML: {error}") from None
    except RecursionError:
        raise UnreadableFileError(f"recipe: this is nested too deeply to be {_ONE_RECIPE}") from None
    if not isinstance(root, yaml.MappingNode):
        kind = "a list" if isinstance(root, yaml.SequenceNode) else "empty" if root is None else "a single value"
        raise UnreadableFileError(f"recipe: this is {kind}; needed: {_ONE_RECIPE}")
    pairs: list[tuple[str, Any]] = []
    for key, node in root.value:
        if not isinstance(key, yaml.ScalarNode):
            raise UnreadableFileError("recipe: a field's name is not plain text")
        if not isinstance(node, yaml.ScalarNode):
            raise _nested(key.value)
        pairs.append((key.value, _yaml_value(key.value, node)))
    return _once_each(pairs)


def _yaml_value(name: str, node: Any) -> Any:
    import yaml

    if node.tag == _YAML_NULL:
        return None
    if node.tag == _YAML_TEXT or name in _NUMBERS:
        return node.value
    try:
        # A number, flag or date where a name is needed: pass on what YAML makes of it, to be refused by kind.
        return yaml.safe_load(node.value)
    except (yaml.YAMLError, ValueError):
        return node.value


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields:
            raise _twice(name, value)
        fields[name] = value
    return fields


def _twice(name: str, value: Any) -> FieldError:
    return FieldError(name, value, "every field once", "It is given twice.")


def _nested(name: object) -> UnreadableFileError:
    return UnreadableFileError(f"recipe: {name!r} holds a list or an object; needed: one plain value a field")


def _check_length(text: str) -> None:
    if len(text) > MAX_CHARACTERS:
        raise UnreadableFileError(f"recipe: {len(text)} characters are too many for {_ONE_RECIPE}")


_FIELDS = frozenset(column.value for column in RECIPE)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A recipe. Only the formula is obligatory; what is None is not known.

    The formula may be anything that `nasicon_ml.composition.parse` reads; it is kept in its canonical form, and
    a second phase in it moves to the additive fields. Values may be numbers or text, as in a table; choices may
    be written in any case and with their usual other names (``argon``, ``SPS``).

    Parameters
    ----------
    formula
        Formula or shorthand, or what `parse` made of it (with a value of x, or elements for place holders).
    additive, additive_amount, additive_unit
        Sintering aid or second phase; the amount in wt%, mol% or formula_unit (per formula unit as written).
    synthesis_route, densification, atmosphere
        One of the choices of their columns.
    calcination_temperature_c, sintering_temperature_c
        In °C.
    calcination_time_h, sintering_time_h
        In h.
    particle_size_um
        Of the powder before sintering, in µm.
    heating_rate_c_min
        To the sintering temperature, in °C/min.
    pressure_mpa
        During sintering, in MPa.
    lithium_excess_pct
        Lithium (of sodium compounds, sodium) beyond the formula, in %; 0 if it is known that none was used.
    precursors
        What it was made from: formulas separated by ``;``, or ``commercial`` for a powder that was bought.
    green_pressure_mpa
        Of forming the pellet before sintering, in MPa.
    powder_bed
        Whether the pellet was covered with powder of its own composition while it was sintered.

    Raises
    ------
    FieldError
        If a value is not accepted, or fields contradict each other.
    FormulaError
        If the formula cannot be read.
    """

    formula: str
    additive: str | None = None
    additive_amount: float | None = None
    additive_unit: str | None = None
    synthesis_route: str | None = None
    calcination_temperature_c: float | None = None
    calcination_time_h: float | None = None
    particle_size_um: float | None = None
    sintering_temperature_c: float | None = None
    sintering_time_h: float | None = None
    heating_rate_c_min: float | None = None
    atmosphere: str | None = None
    densification: str | None = None
    pressure_mpa: float | None = None
    lithium_excess_pct: float | None = None
    precursors: str | None = None
    green_pressure_mpa: float | None = None
    powder_bed: bool | None = None

    def __post_init__(self) -> None:
        given: Any = self.formula
        if isinstance(given, Composition):
            self._set(Column.FORMULA, given.formula)
        for column in RECIPE:
            self._set(column, column.parse(getattr(self, column.value)))
        if self.formula is None:
            raise NO_FORMULA.error(None)
        if self.additive_amount == 0:  # nothing of an additive is no additive
            for column in ADDITIVE:
                self._set(column, None)
        composition = given if isinstance(given, Composition) else parse(self.formula)
        if composition.second_phase:
            self._move(composition.second_phase)
        given = [getattr(self, column.value) is not None for column in ADDITIVE]
        problem = ADDITIVE_PROBLEMS[4 * given[0] + 2 * given[1] + given[2]]
        if problem:
            raise problem.error(getattr(self, problem.column.value))
        self._set(Column.FORMULA, composition.main_phase.formula)

    def _set(self, column: Column, value: object) -> None:
        object.__setattr__(self, column.value, value)

    def _move(self, second: SecondPhase) -> None:
        """Move a second phase from the formula to the additive fields."""
        values = {
            Column.ADDITIVE: second.formula,
            Column.ADDITIVE_AMOUNT: second.amount,
            Column.ADDITIVE_UNIT: second.unit,
        }
        if any(getattr(self, column.value) is not None for column in values):
            raise SECOND_PHASE_TWICE.error(self.formula)
        for column, value in values.items():
            self._set(column, value)

    @property
    def composition(self) -> Composition:
        """The composition of the main phase."""
        return parse(self.formula)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Recipe:
        """Return the recipe with these fields; unknown fields raise `FieldError`."""
        for name, value in fields.items():
            if name not in _FIELDS:
                raise unknown_field(name, value)
        if Column.FORMULA.value not in fields:
            raise NO_FORMULA.error(None)
        return cls(**{str(name): value for name, value in fields.items()})

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Return the recipe in the text of one JSON object."""
        return cls.from_dict(fields_of_json(text))

    @classmethod
    def from_yaml(cls, text: str) -> Recipe:
        """Return the recipe in the text of one YAML mapping."""
        return cls.from_dict(fields_of_yaml(text))

    @classmethod
    def from_row(cls, row: Mapping[str, Any] | pd.Series[Any]) -> Recipe:
        """Return the recipe in a row of a table.

        Missing cells are not known; columns of the vocabulary that are no part of a recipe are passed over,
        other columns raise `FieldError`.
        """
        import pandas as pd

        fields: dict[str, Any] = {}
        for name, value in row.items():
            if name in _FIELDS:
                missing = pd.api.types.is_scalar(value) and pd.isna(value)
                fields[str(name)] = None if missing else value
            elif name not in set(Column):
                raise unknown_field(name, value)
        return cls.from_dict(fields)

    def to_dict(self) -> dict[str, str | float | bool]:
        """Fields and values; what is not known is left out."""
        return {name: value for name, value in self.to_row().items() if value is not None}

    def to_json(self) -> str:
        """JSON text of the fields that are known."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=2)

    def to_yaml(self) -> str:
        """YAML text of the fields that are known."""
        import yaml

        return str(yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True))

    def to_row(self) -> dict[str, str | float | bool | None]:
        """All fields in the vocabulary's order, None where not known."""
        return {column.value: getattr(self, column.value) for column in RECIPE}
