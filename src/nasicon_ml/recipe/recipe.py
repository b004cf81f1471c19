"""A recipe of a pellet, validated on construction."""

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
from nasicon_ml.recipe.rules import (
    ADDITIVE_CONFLICTS,
    DUPLICATE_SECOND_PHASE,
    MISSING_FORMULA,
    unknown_field_error,
)

if TYPE_CHECKING:
    import pandas as pd


#: Maximum length of the JSON or YAML text of a recipe, which has about twenty short fields.
MAX_CHARACTERS = 20_000
_NUMERIC_FIELDS = frozenset(column.value for column in Column if column.kind is Kind.NUMBER)
_ONE_RECIPE = "one recipe, fields with their values"
_YAML_NULL, _YAML_TEXT = "tag:yaml.org,2002:null", "tag:yaml.org,2002:str"


def _fields_from_json(text: str) -> dict[str, Any]:
    """Return the fields in the JSON text of one recipe.

    Raises
    ------
    UnreadableFileError
        If the text is not JSON, or not one object of plain values.
    FieldError
        If a field is given twice.
    """
    _check_length(text)
    try:
        content = load_json(text, finite=True)
    except RepeatedKeyError as error:
        raise _repeated_field_error(error.key, error.value) from None
    except ValueError as error:
        raise UnreadableFileError(f"recipe: this is not JSON: {error}") from None
    if not isinstance(content, dict):
        kind = "a list" if isinstance(content, list) else "a single value"
        raise UnreadableFileError(f"recipe: this is {kind}; needed: {_ONE_RECIPE}")
    for name, value in content.items():
        if isinstance(value, (dict, list)):
            raise _nested_field_error(name)
    return content


def _fields_from_yaml(text: str) -> dict[str, Any]:
    """Return the fields in the YAML text of one recipe.

    Only PyYAML's safe loader is used, without aliases. Numbers are kept as text, because YAML reads the sintering
    time ``1:30`` as ninety.

    Raises
    ------
    UnreadableFileError
        If the text is not YAML, or not one mapping of plain values.
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
            raise _nested_field_error(key.value)
        pairs.append((key.value, _yaml_value(key.value, node)))
    return _unique_fields(pairs)


def _yaml_value(name: str, node: Any) -> Any:
    import yaml

    if node.tag == _YAML_NULL:
        return None
    if node.tag == _YAML_TEXT or name in _NUMERIC_FIELDS:
        return node.value
    try:
        # Convert numbers, flags and dates where a name is needed, so that the field rejects their type.
        return yaml.safe_load(node.value)
    except (yaml.YAMLError, ValueError):
        return node.value


def _unique_fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields:
            raise _repeated_field_error(name, value)
        fields[name] = value
    return fields


def _repeated_field_error(name: str, value: Any) -> FieldError:
    return FieldError(name, value, "every field once", "It is given twice.")


def _nested_field_error(name: object) -> UnreadableFileError:
    return UnreadableFileError(f"recipe: {name!r} holds a list or an object; needed: one plain value a field")


def _check_length(text: str) -> None:
    if len(text) > MAX_CHARACTERS:
        raise UnreadableFileError(f"recipe: {len(text)} characters are too many for {_ONE_RECIPE}")


_FIELDS = frozenset(column.value for column in RECIPE)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Recipe of a pellet. Only the formula is obligatory; None means unknown.

    The formula may be any text that `nasicon_ml.composition.parse` reads. It is stored in canonical form, and its
    second phase in the additive fields. Values may be numbers or text, as in a table; choices may be in any case
    and under other usual names (``argon``, ``SPS``).

    Parameters
    ----------
    formula
        Formula or shorthand, or the Composition that `parse` returns for it.
    additive, additive_amount, additive_unit
        Sintering aid or second phase; the amount in wt%, mol% or formula_unit (per formula unit as written).
    synthesis_route, densification, atmosphere
        One of the choices of their columns.
    calcination_temperature_c, sintering_temperature_c
        In °C.
    calcination_time_h, sintering_time_h
        In h.
    particle_size_um
        Particle size of the powder before sintering, in µm.
    heating_rate_c_min
        Heating rate to the sintering temperature, in °C/min.
    pressure_mpa
        Pressure during sintering, in MPa.
    lithium_excess_pct
        Excess of lithium (of sodium in sodium compounds) over the formula, in %; 0 if none was used.
    precursors
        Formulas of the precursors separated by ``;``, or ``commercial`` for a powder that was bought.
    green_pressure_mpa
        Pressure of forming the pellet before sintering, in MPa.
    powder_bed
        Whether the pellet was covered with powder of its own composition during sintering.

    Raises
    ------
    FieldError
        If a value is invalid, or fields contradict each other.
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
            raise MISSING_FORMULA.error(None)
        if self.additive_amount == 0:  # an amount of 0 means no additive
            for column in ADDITIVE:
                self._set(column, None)
        composition = given if isinstance(given, Composition) else parse(self.formula)
        if composition.second_phase:
            self._move_second_phase(composition.second_phase)
        name, amount, unit = (getattr(self, column.value) is not None for column in ADDITIVE)
        conflict = ADDITIVE_CONFLICTS[4 * name + 2 * amount + unit]
        if conflict:
            raise conflict.error(getattr(self, conflict.column.value))
        self._set(Column.FORMULA, composition.main_phase.formula)

    def _set(self, column: Column, value: object) -> None:
        object.__setattr__(self, column.value, value)

    def _move_second_phase(self, phase: SecondPhase) -> None:
        """Move a second phase from the formula to the additive fields."""
        if any(getattr(self, column.value) is not None for column in ADDITIVE):
            raise DUPLICATE_SECOND_PHASE.error(self.formula)
        for column, value in zip(ADDITIVE, (phase.formula, phase.amount, phase.unit), strict=True):
            self._set(column, value)

    @property
    def composition(self) -> Composition:
        """Composition of the main phase."""
        return parse(self.formula)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Recipe:
        """Return the recipe with the given fields; unknown fields raise `FieldError`."""
        for name, value in fields.items():
            if name not in _FIELDS:
                raise unknown_field_error(name, value)
        if Column.FORMULA.value not in fields:
            raise MISSING_FORMULA.error(None)
        return cls(**{str(name): value for name, value in fields.items()})

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Return the recipe in the text of one JSON object."""
        return cls.from_dict(_fields_from_json(text))

    @classmethod
    def from_yaml(cls, text: str) -> Recipe:
        """Return the recipe in the text of one YAML mapping."""
        return cls.from_dict(_fields_from_yaml(text))

    @classmethod
    def from_row(cls, row: Mapping[str, Any] | pd.Series[Any]) -> Recipe:
        """Return the recipe in a row of a table.

        Missing cells mean unknown values. Columns of the vocabulary that are not part of a recipe are ignored, and
        other columns raise `FieldError`.
        """
        import pandas as pd

        fields: dict[str, Any] = {}
        for name, value in row.items():
            if name in _FIELDS:
                missing = pd.api.types.is_scalar(value) and pd.isna(value)
                fields[str(name)] = None if missing else value
            elif name not in set(Column):
                raise unknown_field_error(name, value)
        return cls.from_dict(fields)

    def to_dict(self) -> dict[str, str | float | bool]:
        """Return the known fields and their values."""
        return {name: value for name, value in self.to_row().items() if value is not None}

    def to_json(self) -> str:
        """Return the known fields as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=2)

    def to_yaml(self) -> str:
        """Return the known fields as YAML."""
        import yaml

        return str(yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True))

    def to_row(self) -> dict[str, str | float | bool | None]:
        """Return all fields in the order of the vocabulary, None if unknown."""
        return {column.value: getattr(self, column.value) for column in RECIPE}
