"""The schema of `model.json`: every name, type, length and bound.

Bounds are far wider than the values of any training, and narrow enough that nothing computed from them overflows.
A check is a function of a value and its path; it raises `ValueError` or returns nothing. Types are exact: "0.5" is
not a number, 1 is not a boolean, and True is not 1.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from nasicon_ml.estimators.domain import ANION, RANGED
from nasicon_ml.estimators.priors import Prior
from nasicon_ml.estimators.rule_scope import SCOPE_CHOICES, SCOPE_NUMBERS
from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.features.build import FeatureSet
from nasicon_ml.features.processing import PROCESSING_CHOICES

Check = Callable[[Any, str], None]

_MOST_SHOWN = 40


def _accept(is_accepted: Callable[[Any], bool], allowed: str) -> Check:
    def check(value: Any, path: str) -> None:
        if not is_accepted(value):
            _reject(path, value, allowed)

    return check


def number(low: float = -1e12, high: float = 1e12) -> Check:
    """Return a check for numbers within bounds."""
    return _accept(
        lambda value: type(value) in {int, float} and low <= value <= high, f"a number from {low:g} to {high:g}"
    )


def integer(low: int, high: int) -> Check:
    """Return a check for integers within bounds."""
    return _accept(
        lambda value: type(value) is int and low <= value <= high, f"a whole number from {low} to {high}"
    )


def boolean() -> Check:
    """Return a check for true or false."""
    return _accept(lambda value: type(value) is bool, "true or false")


def text(longest: int) -> Check:
    """Return a check for strings of limited length."""
    return _accept(
        lambda value: type(value) is str and len(value) <= longest, f"text of at most {longest} characters"
    )


def one_of(allowed: Collection[str]) -> Check:
    """Return a check for one of several strings."""
    return _accept(lambda value: type(value) is str and value in allowed, f"one of {', '.join(sorted(allowed))}")


def list_of(item: Check, least: int, most: int) -> Check:
    """Return a check for lists of limited length, with a check of each item."""

    def check(value: Any, path: str) -> None:
        if not isinstance(value, list) or not least <= len(value) <= most:
            length = str(least) if least == most else f"{least} to {most}"
            _reject(path, value, f"a list of {length}")
        for index, element in enumerate(value):
            item(element, f"{path}[{index}]")

    return check


def mapping_of(item: Check, most: int, names: Collection[str] | None = None) -> Check:
    """Return a check for objects with a limited number of (given) names, with a check of each value."""

    def check(value: Any, path: str) -> None:
        if not isinstance(value, dict) or len(value) > most:
            _reject(path, value, f"an object of at most {most} names")
        for name, element in value.items():
            if names is not None and name not in names:
                _reject(path, name, f"one of {', '.join(sorted(names))}")
            item(element, _joined(path, name))

    return check


def record(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    """Return a check for objects with exactly these names."""
    known = {**required, **(optional or {})}

    def check(value: Any, path: str) -> None:
        if not isinstance(value, dict):
            _reject(path, value, "an object")
        for name in required:
            if name not in value:
                raise ValueError(f"{_joined(path, name)} is missing")
        for name, element in value.items():
            if name not in known:
                raise ValueError(f"{_joined(path, name)} is not known")
            known[name](element, _joined(path, name))

    return check


def any_of(*checks: Check) -> Check:
    """Return a check for values that pass one of the checks; errors are those of the last one."""

    def check(value: Any, path: str) -> None:
        for alternative in checks[:-1]:
            try:
                return alternative(value, path)
            except ValueError:
                continue
        return checks[-1](value, path)

    return check


def _joined(path: str, name: str) -> str:
    shown = name[:_MOST_SHOWN]
    if not (name.isascii() and name.isprintable() and name):
        shown = repr(shown)
    return f"{path}.{shown}" if path else shown


def _reject(path: str, value: Any, allowed: str) -> None:
    shown = f"an object of {len(value)}" if isinstance(value, dict) else repr(value)
    if isinstance(value, list):
        shown = f"a list of {len(value)}"
    if len(shown) > _MOST_SHOWN:
        shown = shown[:_MOST_SHOWN] + "..."
    raise ValueError(f"{path or 'it'}: {shown} is not accepted; allowed: {allowed}")


_WORD, _LINE = text(200), text(2000)
_COUNT = integer(0, 10**9)
_NUMBER, _NON_NEGATIVE, _POSITIVE = number(-1000, 1000), number(0, 1000), number(1e-9, 1e9)
_CHOICES = tuple(map(str, PROCESSING_CHOICES))
_RANGE = list_of(number(-1e6, 1e6), 2, 2)

_INTERVAL = record(
    {
        "spread": record(
            {"intercept": number(-50, 50)}, dict.fromkeys(("unknown", "distance", "incomplete"), _NON_NEGATIVE)
        ),
        "by_system": mapping_of(number(1e-6, 1e6), 1000),
        "scores": list_of(number(0, 1e9), 1, 10**6),
        "energy_error_ev": number(0, 10),
    }
)
#: Beta calibration, or Platt's scaling in bundles of version 0.1.
_CALIBRATION = any_of(
    record({"slope": _NON_NEGATIVE, "intercept": _NUMBER}),
    record({"pure": _NON_NEGATIVE, "impure": _NON_NEGATIVE, "intercept": _NUMBER}),
)
_DOMAIN = record(
    {
        "ranges": mapping_of(mapping_of(_RANGE, len(RANGED), RANGED), 1000),
        "choices": record(dict.fromkeys(_CHOICES, list_of(_WORD, 0, 1000))),
        "elements": record(dict.fromkeys(("A", "M", "T"), list_of(text(2), 0, 200))),
        "near": number(0, 1e9),
    },
    {"sources": mapping_of(mapping_of(_COUNT, 1000), len(_CHOICES) + 1, (*_CHOICES, ANION))},
)
_PRIOR = record(
    {
        "intercept": _NUMBER,
        "coefficients": list_of(_NUMBER, 0, 1000),
        "means": list_of(_NUMBER, 0, 1000),
        "columns": list_of(integer(0, 10**6), 0, 1000),
    },
    # Bundles of version 0.2 have a share, and no names of terms.
    {"share": number(0, 1), "terms": list_of(_WORD, 0, 1000)},
)
_KERNEL = record(
    dict.fromkeys(("noise", "level", "recipe"), _NON_NEGATIVE)
    | dict.fromkeys(("composition", "processing", "prediction"), _POSITIVE),
    dict.fromkeys(("trust", "narrowing"), _NON_NEGATIVE),
)
_SCORE = record(
    dict.fromkeys(("target", "subset", "model", "metric"), _WORD)
    | {"value": number()}
    | dict.fromkeys(("n_rows", "n_sources"), _COUNT)
)
_OPTION = any_of(boolean(), number(-1e15, 1e15), list_of(_LINE, 0, 10_000), _LINE)
_SCOPE = record(
    {
        "systems": mapping_of(_RANGE, 1000),
        "numbers": mapping_of(_RANGE, len(SCOPE_NUMBERS), SCOPE_NUMBERS),
        "choices": mapping_of(list_of(_WORD, 1, 1000), len(SCOPE_CHOICES), SCOPE_CHOICES),
        "varied": list_of(one_of((*SCOPE_NUMBERS, *SCOPE_CHOICES)), 0, 100),
    }
)
_METADATA = record(
    {"dataset_sha256": text(64), "dataset_rows": _COUNT},
    {
        "options": mapping_of(_OPTION, 100),
        "versions": mapping_of(_WORD, 100),
        "rows_used": mapping_of(_COUNT, 10, tuple(TargetName)),
        "scores": list_of(_SCORE, 0, 100_000),
        "validation": record(dict.fromkeys(("errors", "warnings"), _COUNT)),
        "rules_checked": _COUNT,
        "broken_rules": list_of(_WORD, 0, 1000),
        "broken_statements": mapping_of(_LINE, 1000),
        "broken_scopes": mapping_of(_SCOPE, 1000),
    },
)
#: Names that older bundles lack are optional.
_MODEL = record(
    {
        "targets": mapping_of(_WORD, 10),
        "feature_set": one_of(tuple(FeatureSet)),
        "feature_names": list_of(_WORD, 1, 10_000),
        "intervals": record(
            {str(name): _INTERVAL for name in (TargetName.CONDUCTIVITY, TargetName.RELATIVE_DENSITY)}
        ),
        "calibration": _CALIBRATION,
        "domain": _DOMAIN,
        "metadata": _METADATA,
    },
    {"priors": mapping_of(_PRIOR, 10, tuple(TargetName)), "own": mapping_of(_KERNEL, 10, tuple(TargetName))},
)


def check_model_json(content: Any) -> None:
    """Check the content of a `model.json`.

    Raises
    ------
    ValueError
        If the content does not match the schema; with the path and what is allowed there.
    """
    _MODEL(content, "")
    for name, interval in content["intervals"].items():
        if interval["scores"] != sorted(interval["scores"]):
            raise ValueError(f"intervals.{name}.scores: they are not in order")
    ranges, features = content["domain"]["ranges"], content["feature_names"]
    if "" not in ranges:
        raise ValueError("domain.ranges: those of all systems together are missing")
    for system, fields in ranges.items():
        for name, (low, high) in fields.items():
            if low > high:
                raise ValueError(f"domain.ranges.{system[:40]}.{name}: {low:g} is above {high:g}")
    for name, prior in content.get("priors", {}).items():
        Prior.from_json(TargetName(name), prior)
        if max(prior["columns"]) >= len(features):
            raise ValueError(f"priors.{name}.columns: there are {len(features)} features only")
    if len(set(features)) < len(features):
        raise ValueError("feature_names: a name occurs twice")
