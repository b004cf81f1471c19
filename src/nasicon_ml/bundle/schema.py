"""What `model.json` of a bundle has to look like: every name, type, length and bound, before any of it is used.

Bounds are far wider than any training gives, and narrow enough that nothing computed from them leaves the numbers
a computer knows.

A shape is a function of a value and its place; it raises `ValueError` or returns nothing. Types are exact: "0.5"
is no number, 1 is no truth value, and True is no 1.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from nasicon_ml.columns import Column, Kind
from nasicon_ml.estimators.domain import ANION
from nasicon_ml.estimators.priors import Prior
from nasicon_ml.estimators.rule_scope import SCOPE_CHOICES, SCOPE_NUMBERS
from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.features.build import FeatureSet
from nasicon_ml.features.processing import PROCESSING_FIELDS

Shape = Callable[[Any, str], None]

_SHOWN = 40


def _accept(accepts: Callable[[Any], bool], allowed: str) -> Shape:
    def check(value: Any, place: str) -> None:
        if not accepts(value):
            _refuse(place, value, allowed)

    return check


def number(low: float = -1e12, high: float = 1e12) -> Shape:
    """Accept a number within bounds."""
    return _accept(
        lambda value: type(value) in {int, float} and low <= value <= high, f"a number from {low:g} to {high:g}"
    )


def whole(low: int, high: int) -> Shape:
    """Accept a whole number within bounds."""
    return _accept(
        lambda value: type(value) is int and low <= value <= high, f"a whole number from {low} to {high}"
    )


def flag() -> Shape:
    """Accept true or false."""
    return _accept(lambda value: type(value) is bool, "true or false")


def text(longest: int) -> Shape:
    """Accept text of at most so many characters."""
    return _accept(
        lambda value: type(value) is str and len(value) <= longest, f"text of at most {longest} characters"
    )


def one_of(allowed: Collection[str]) -> Shape:
    """Accept one of some texts."""
    return _accept(lambda value: type(value) is str and value in allowed, f"one of {', '.join(sorted(allowed))}")


def listing(item: Shape, least: int, most: int) -> Shape:
    """Accept a list, each item of one shape."""

    def check(value: Any, place: str) -> None:
        if not isinstance(value, list) or not least <= len(value) <= most:
            long = str(least) if least == most else f"{least} to {most}"
            _refuse(place, value, f"a list of {long}")
        for at, one in enumerate(value):
            item(one, f"{place}[{at}]")

    return check


def mapping(item: Shape, most: int, names: Collection[str] | None = None) -> Shape:
    """Accept an object with at most so many names (of those given), each value of one shape."""

    def check(value: Any, place: str) -> None:
        if not isinstance(value, dict) or len(value) > most:
            _refuse(place, value, f"an object of at most {most} names")
        for name, one in value.items():
            if names is not None and name not in names:
                _refuse(place, name, f"one of {', '.join(sorted(names))}")
            item(one, _below(place, name))

    return check


def record(needed: Mapping[str, Shape], optional: Mapping[str, Shape] | None = None) -> Shape:
    """Accept an object with these names and no others."""
    known = {**needed, **(optional or {})}

    def check(value: Any, place: str) -> None:
        if not isinstance(value, dict):
            _refuse(place, value, "an object")
        for name in needed:
            if name not in value:
                raise ValueError(f"{_below(place, name)} is missing")
        for name, one in value.items():
            if name not in known:
                raise ValueError(f"{_below(place, name)} is not known")
            known[name](one, _below(place, name))

    return check


def either(*shapes: Shape) -> Shape:
    """Accept what one of the shapes accepts; the last says what is wrong."""

    def check(value: Any, place: str) -> None:
        for shape in shapes[:-1]:
            try:
                return shape(value, place)
            except ValueError:
                continue
        return shapes[-1](value, place)

    return check


def _below(place: str, name: str) -> str:
    shown = name[:_SHOWN]
    if not (name.isascii() and name.isprintable() and name):
        shown = repr(shown)
    return f"{place}.{shown}" if place else shown


def _refuse(place: str, value: Any, allowed: str) -> None:
    shown = f"an object of {len(value)}" if isinstance(value, dict) else repr(value)
    if isinstance(value, list):
        shown = f"a list of {len(value)}"
    if len(shown) > _SHOWN:
        shown = shown[:_SHOWN] + "..."
    raise ValueError(f"{place or 'it'}: {shown} is not accepted; allowed: {allowed}")


_WORD, _LINE = text(200), text(2000)
_COUNT = whole(0, 10**9)
_NUMBER, _SLOPE, _POSITIVE = number(-1000, 1000), number(0, 1000), number(1e-9, 1e9)
_INTERVALS = (TargetName.CONDUCTIVITY, TargetName.RELATIVE_DENSITY)
_CHOICES = tuple(str(column) for column in PROCESSING_FIELDS if column.kind is Kind.CATEGORY)
_RANGED = (
    "x", *map(str, (Column.MEASUREMENT_TEMPERATURE_C, Column.LITHIUM_EXCESS_PCT, Column.GREEN_PRESSURE_MPA)),
    *(str(column) for column in PROCESSING_FIELDS if column.kind is Kind.NUMBER),
)  # fmt: skip
_RANGE = listing(number(-1e6, 1e6), 2, 2)
_RANGES = mapping(_RANGE, len(_RANGED), _RANGED)

_SPREAD = record({"intercept": number(-50, 50)}, dict.fromkeys(("unknown", "distance", "incomplete"), _SLOPE))
_INTERVAL = record(
    {
        "spread": _SPREAD,
        "by_system": mapping(number(1e-6, 1e6), 1000),
        "scores": listing(number(0, 1e9), 1, 10**6),
        "energy_error_ev": number(0, 10),
    }
)
#: Three numbers, or the two of Platt's scaling in bundles of version 0.1.
_CALIBRATION = either(
    record({"slope": _SLOPE, "intercept": _NUMBER}),
    record({"pure": _SLOPE, "impure": _SLOPE, "intercept": _NUMBER}),
)
_DOMAIN = record(
    {
        "ranges": mapping(_RANGES, 1000),
        "choices": record(dict.fromkeys(_CHOICES, listing(_WORD, 0, 1000))),
        "elements": record(dict.fromkeys(("A", "M", "T"), listing(text(2), 0, 200))),
        "near": number(0, 1e9),
    },
    {"sources": mapping(mapping(_COUNT, 1000), len(_CHOICES) + 1, (*_CHOICES, ANION))},  # came later than bundles
)
_PRIOR = record(
    {
        "intercept": _NUMBER,
        "coefficients": listing(_NUMBER, 0, 1000),
        "means": listing(_NUMBER, 0, 1000),
        "columns": listing(whole(0, 10**6), 0, 1000),
    },
    # A share in bundles of version 0.2, which do not name their terms.
    {"share": number(0, 1), "terms": listing(_WORD, 0, 1000)},
)
_KERNEL = record(
    dict.fromkeys(("noise", "level", "recipe"), _SLOPE)
    | dict.fromkeys(("composition", "processing", "prediction"), _POSITIVE),
    dict.fromkeys(("trust", "narrowing"), _SLOPE),
)
_SCORE = record(
    dict.fromkeys(("target", "subset", "model", "metric"), _WORD)
    | {"value": number()}
    | dict.fromkeys(("n_rows", "n_sources"), _COUNT)
)
_OPTION = either(flag(), number(-1e15, 1e15), listing(_LINE, 0, 10_000), _LINE)
_SCOPE = record(
    {
        "systems": mapping(_RANGE, 1000),
        "numbers": mapping(_RANGE, len(SCOPE_NUMBERS), SCOPE_NUMBERS),
        "choices": mapping(listing(_WORD, 1, 1000), len(SCOPE_CHOICES), SCOPE_CHOICES),
        "varied": listing(one_of((*SCOPE_NUMBERS, *SCOPE_CHOICES)), 0, 100),
    }
)
_METADATA = record(
    {"dataset_sha256": text(64), "dataset_rows": _COUNT},
    {
        "options": mapping(_OPTION, 100),
        "versions": mapping(_WORD, 100),
        "rows_used": mapping(_COUNT, 10, tuple(TargetName)),
        "scores": listing(_SCORE, 0, 100_000),
        "validation": record(dict.fromkeys(("errors", "warnings"), _COUNT)),
        "rules_checked": _COUNT,
        "broken_rules": listing(_WORD, 0, 1000),
        "broken_statements": mapping(_LINE, 1000),
        "broken_scopes": mapping(_SCOPE, 1000),
    },
)
_MODEL: Shape = record(
    {
        "targets": mapping(_WORD, 10),
        "feature_set": one_of(tuple(FeatureSet)),
        "feature_names": listing(_WORD, 1, 10_000),
        "intervals": record({str(name): _INTERVAL for name in _INTERVALS}),
        "calibration": _CALIBRATION,
        "domain": _DOMAIN,
        "metadata": _METADATA,
    },
    # Both came later than bundles.
    {
        "priors": mapping(_PRIOR, 10, tuple(TargetName)),
        "own": mapping(_KERNEL, 10, tuple(TargetName)),
    },
)


def check_content(content: Any) -> None:
    """Refuse a `model.json` that is not one.

    Raises
    ------
    ValueError
        With the place and what is allowed there.
    """
    _MODEL(content, "")
    _check_scores(content["intervals"])
    _check_ranges(content["domain"]["ranges"])
    _check_priors(content.get("priors", {}), len(content["feature_names"]))
    if len(set(content["feature_names"])) < len(content["feature_names"]):
        raise ValueError("feature_names: a name stands twice")


def _check_scores(intervals: Mapping[str, Any]) -> None:
    for name, interval in intervals.items():
        scores = interval["scores"]
        if scores != sorted(scores):
            raise ValueError(f"intervals.{name}.scores: they are not in order")


def _check_ranges(ranges: Mapping[str, Any]) -> None:
    if "" not in ranges:
        raise ValueError("domain.ranges: those of all systems together are missing")
    for system, fields in ranges.items():
        for name, (low, high) in fields.items():
            if low > high:
                raise ValueError(f"domain.ranges.{system[:40]}.{name}: {low:g} is above {high:g}")


def _check_priors(priors: Mapping[str, Any], n_features: int) -> None:
    for name, prior in priors.items():
        Prior.from_json(TargetName(name), prior)
        if max(prior["columns"]) >= n_features:
            raise ValueError(f"priors.{name}.columns: there are {n_features} features only")
