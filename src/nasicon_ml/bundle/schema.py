"""What `model.json` of a bundle has to look like: every name, type, length and bound, before any of it is used.

Bounds are far wider than any training gives, and narrow enough that nothing computed from them leaves the numbers
a computer knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nasicon_ml.bundle.shapes import Shape, either, flag, listing, mapping, number, one_of, record, text, whole
from nasicon_ml.columns import Column, Kind
from nasicon_ml.estimators.boosting import INPUTS, TERMS
from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.features.build import FeatureSet
from nasicon_ml.features.processing import PROCESSING_FIELDS

_WORD, _LINE = text(200), text(2000)
_COUNT = whole(0, 10**9)
_NUMBER, _SLOPE, _POSITIVE = number(-1000, 1000), number(0, 1000), number(1e-9, 1e9)
_INTERVALS = (TargetName.CONDUCTIVITY, TargetName.RELATIVE_DENSITY)
_CHOICES = tuple(str(column) for column in PROCESSING_FIELDS if column.kind is Kind.CATEGORY)
_RANGED = (
    "x", str(Column.MEASUREMENT_TEMPERATURE_C),
    *(str(column) for column in PROCESSING_FIELDS if column.kind is Kind.NUMBER),
)  # fmt: skip
_RANGES = mapping(listing(number(-1e6, 1e6), 2, 2), len(_RANGED), _RANGED)

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
    }
)
_PRIOR = record(
    {
        "share": number(0, 1),
        "intercept": _NUMBER,
        "coefficients": listing(_NUMBER, 0, 1000),
        "means": listing(_NUMBER, 0, 1000),
        "columns": listing(whole(0, 10**6), 0, 1000),
    }
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
        lengths = len(prior["coefficients"]), len(prior["means"]), len(prior["columns"])
        if lengths != (len(TERMS), len(TERMS), len(INPUTS)):
            raise ValueError(f"a prior of this version has {len(TERMS)} terms of {len(INPUTS)} features")
        if max(prior["columns"]) >= n_features:
            raise ValueError(f"priors.{name}.columns: there are {n_features} features only")
