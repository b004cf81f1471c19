"""JSON and YAML text of one recipe, into fields and values. Nothing in the text is ever executed."""

from __future__ import annotations

from typing import Any

from nasicon_ml.columns import Column, Kind
from nasicon_ml.errors import FieldError, UnreadableFileError
from nasicon_ml.io.structured import RepeatedKeyError, load_json, plain_loader

#: A recipe has sixteen short fields; anything longer is not one.
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
        root = yaml.compose(text, Loader=plain_loader("recipe"))
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
