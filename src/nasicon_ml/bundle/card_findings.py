"""What is known to be wrong with a model, read from its own scores: for its card."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from nasicon_ml.bundle.parts import ModelMetadata

#: The error by which a target is judged; less is better for all of them.
HEADLINE = {
    "conductivity": "mae_decades",
    "relative_density": "mae_points",
    "phase_purity": "brier",
    "activation_energy": "mae_ev",
}
UNITS = {"mae_decades": "decades", "mae_points": "points", "mae_ev": "eV", "brier": "Brier score"}
#: Coverage is called off where it differs from what is promised by more than this, over all pellets of a target
#: and in a part of them: what some dozen sources say of it is known no better.
COVERAGE_TOLERANCE, COVERAGE_TOLERANCE_OF_PARTS = 0.03, 0.1
WORST_SYSTEMS = 3
_LEVELS = (50, 80, 90)
_OUTSIDE, _ALL, _SODIUM = "outside the domain", "all", "sodium"


def known_failures(
    metadata: ModelMetadata, scores: Sequence[Mapping[str, Any]], systems: Collection[str]
) -> dict[str, Any]:
    """Collect what is known to be wrong.

    Parameters
    ----------
    metadata
        Of the model: rules it breaks.
    scores
        As in its card: target, subset, pellets, sources, metrics.
    systems
        Names of systems, by which a subset that is one is told.

    Returns
    -------
    dict
        rules_checked (None if it was not held to any), broken_rules (rule, statement), worst_systems (those with
        the largest errors of each target), no_better_than_median, outside_the_domain and coverage_off (each with
        its numbers).
    """
    errors = [found for entry in scores if (found := _error(entry)) is not None]
    parts = set(systems) | {_SODIUM}
    by_system = [found for found in errors if found["subset"] in parts]
    worst = []
    for target in HEADLINE:
        ranked = sorted((one for one in by_system if one["target"] == target), key=lambda one: -one["error"])
        worst += ranked[:WORST_SYSTEMS]
    return {
        "rules_checked": metadata.rules_checked or None,
        "broken_rules": [
            {"rule": name, "statement": metadata.broken_statements.get(name, "")} for name in metadata.broken_rules
        ],
        "worst_systems": worst,
        "no_better_than_median": [
            found for found in errors if found["median"] is not None and found["error"] >= found["median"]
        ],
        "outside_the_domain": [found for found in errors if found["subset"] == _OUTSIDE],
        "coverage_off": [found for entry in scores for found in _coverage_off(entry)],
    }


def _error(entry: Mapping[str, Any]) -> dict[str, Any] | None:
    """Give the error that counts of one target and subset, beside the median's."""
    metric = HEADLINE.get(entry["target"], "")
    by_model = entry["metrics"].get(metric, {})
    if by_model.get("full") is None:
        return None
    return {
        "target": entry["target"],
        "subset": entry["subset"],
        "metric": metric,
        "unit": UNITS[metric],
        "error": by_model["full"],
        "median": by_model.get("median"),
        "pellets": entry["pellets"],
        "sources": entry["sources"],
    }


def _coverage_off(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    tolerance = COVERAGE_TOLERANCE if entry["subset"] == _ALL else COVERAGE_TOLERANCE_OF_PARTS
    found = []
    for level in _LEVELS:
        coverage = entry["metrics"].get(f"coverage_{level}", {}).get("full")
        if coverage is not None and abs(coverage - level / 100) > tolerance:
            kept = {name: entry[name] for name in ("target", "subset", "pellets", "sources")}
            found.append(kept | {"level": level / 100, "coverage": coverage})
    return found
