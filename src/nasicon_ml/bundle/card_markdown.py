"""Writes the content of a model card as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nasicon_ml.bundle.card import HEADLINE, UNITS
from nasicon_ml.columns import Column

_NAMES = {
    "conductivity": "Conductivity",
    "relative_density": "Relative density",
    "phase_purity": "Phase purity",
    "activation_energy": "Activation energy",
}
_ERRORS = {"brier": "Brier score"}
_ALL = "all"
#: What stands for a subset of the scores.
_ROWS = {_ALL: "all lithium pellets", "sodium": "sodium pellets"}
#: Decimals of an error by its unit, and of a width by the unit of its metric.
_DECIMALS = {"points": 1, "decades": 2, "eV": 3, "Brier score": 3}


def card_markdown(content: Mapping[str, Any]) -> str:
    """Write a model card.

    Parameters
    ----------
    content
        What `nasicon_ml.bundle.card.card_content` gives.
    """
    lines = [
        f"# {content['name']}: model card",
        "",
        content["summary"],
        "",
        "## What it is for",
        "",
        *_bullets(content["intended_use"]),
        "",
        "## What it is not for",
        "",
        *_bullets(content["unintended_use"]),
        "",
        "## Data",
        "",
        *_bullets(_data(content["data"])),
        "",
        "## Scores",
        "",
        *_score_tables(content),
        "## Where it is at home",
        "",
        *_domain(content["domain"]),
        "",
        "## Known failures",
        "",
        *_failures(content["known_failures"]),
        "### By nature",
        "",
        *_bullets(content["caveats"]),
        "",
        "## How it was made",
        "",
        *_bullets(_training(content["training"])),
        "",
        "## How to cite",
        "",
        *_bullets(_cite(content["how_to_cite"])),
    ]
    return "\n".join(lines) + "\n"


def _bullets(lines: Iterable[str]) -> list[str]:
    return [f"- {line}" for line in lines]


def _data(data: Mapping[str, Any]) -> list[str]:
    lines = [
        (
            f"{_count(data['pellets'], 'measured pellets')} of {_count(data['sources'], 'sources')}, "
            f"SHA-256 of the file `{data['sha256']}`"
        ),
        *(
            f"{_name(target)}: {_count(count, 'pellets')}"
            for target, count in sorted(data["pellets_by_target"].items())
        ),
    ]
    if data["added_pellets"]:
        lines.append(
            f"{_count(data['added_pellets'], 'pellets')} of somebody's own beside them, of which no row is kept"
        )
    checked = data["validation"]
    if checked is None:
        return [*lines, "The file was not validated when the model was trained."]
    found = f"{_count(checked['errors'], 'errors')} and {_count(checked['warnings'], 'warnings')}"
    return [*lines, f"Validation of the file (`nasicon-ml data validate`): {found}"]


def _score_tables(content: Mapping[str, Any]) -> list[str]:
    made = content["protocol"]
    lines = [
        f"Protocol: {made}." if made else "The protocol is not recorded.",
        (
            "No source stands on both sides of a fold: these are errors on sources the model has not seen. Beside "
            "each error stand those of the same model without processing, and of the median. Conductivities are "
            "those near room temperature, where the row does not say otherwise."
        ),
        "",
    ]
    for target in dict.fromkeys(entry["target"] for entry in content["scores"]):
        entries = [entry for entry in content["scores"] if entry["target"] == target]
        entries.sort(key=lambda entry: entry["subset"] != _ALL)
        lines += [f"### {_name(target)}", "", *_score_table(target, entries), ""]
    coverage = content["coverage"]
    if coverage:
        lines += ["### Intervals: what they promise and what they hold", "", *_coverage_table(coverage), ""]
    return lines


def _score_table(target: str, entries: Sequence[Mapping[str, Any]]) -> list[str]:
    metric = HEADLINE.get(target, "")
    unit = UNITS.get(metric, "")
    error = _ERRORS.get(metric, f"mean error ({unit})")
    more = {"auroc": "AUROC", "brier_skill": "skill"} if metric == "brier" else {"r2": "R²"}
    heads = ["pellets", "sources", error, "composition only", "median", *more.values()]
    has_intervals = any("coverage_90" in entry["metrics"] for entry in entries)
    heads += ["inside 90 %"] if has_intervals else []
    lines = [f"| rows | {' | '.join(heads)} |", f"|---|{'--:|' * len(heads)}"]
    for entry in entries:
        metrics = entry["metrics"]
        cells = [str(entry["pellets"]), str(entry["sources"])]
        cells += [
            _number(metrics.get(metric, {}).get(model), unit) for model in ("full", "composition only", "median")
        ]
        cells += [_number(metrics.get(name, {}).get("full"), "eV", 2) for name in more]
        cells += [_percent(metrics.get("coverage_90", {}).get("full"))] if has_intervals else []
        lines.append(f"| {_ROWS.get(entry['subset'], entry['subset'])} | {' | '.join(cells)} |")
    return lines


def _coverage_table(coverage: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = ["| target | promised | held | mean width | pellets | sources |", "|---|--:|--:|--:|--:|--:|"]
    for one in coverage:
        width = f"{_number(one['width'], one['unit'])} {one['unit']}" if one["width"] is not None else ""
        cells = [_percent(one["level"]), _percent(one["coverage"], 1), width, one["pellets"], one["sources"]]
        lines.append(f"| {_name(one['target'])} | {' | '.join(map(str, cells))} |")
    return lines


def _domain(domain: Mapping[str, Any]) -> list[str]:
    systems = [
        f"{one[Column.SYSTEM]} {one['pellets']} of {_count(one['sources'], 'sources')}"
        for one in domain["systems"]
    ]
    shown, rest = systems[:12], len(systems) - 12
    more = f"; and {rest} more" if rest > 0 else ""
    lines = [
        domain["words"],
        "",
        f"- pellets by system: {'; '.join(shown)}{more}",
        *(
            f"- elements on the {site} site: {', '.join(found)}"
            for site, found in sorted(domain["elements"].items())
        ),
        *(f"- {label}: {', '.join(found)}" for label, found in sorted(domain["choices"].items())),
        f"- mean distance to the nearest sources below {domain['near']:.2f} (0: the same recipe)",
        "",
        "Ranges over all systems; each system has its own, where enough pellets say so.",
        "",
        "| field | lowest | highest |",
        "|---|--:|--:|",
    ]
    return [*lines, *(f"| {one['field']} | {one['lowest']:g} | {one['highest']:g} |" for one in domain["ranges"])]


def _failures(failures: Mapping[str, Any]) -> list[str]:
    broken, checked = failures["broken_rules"], failures["rules_checked"]
    lines = ["### Statements of the literature it breaks", ""]
    if checked is None:
        lines += ["It was not held to the rules of the literature.", ""]
    else:
        lines += [f"{len(broken)} of {checked}{':' if broken else '.'}", ""]
        lines += [*_bullets(f"{one['statement']} (`{one['rule']}`)" for one in broken), ""] if broken else []
    lines += ["### Where it errs most", ""]
    lines += _bullets(map(_worst, failures["worst_systems"])) or ["No system has enough pellets to tell."]
    lines += ["", "### Where it is no better than the median", ""]
    lines += _bullets(map(_worst, failures["no_better_than_median"])) or ["Nowhere that was scored."]
    lines += ["", "### Outside its domain", ""]
    lines += _bullets(map(_worst, failures["outside_the_domain"])) or ["Too few pellets to tell."]
    lines += ["", "### Where intervals do not hold what they promise", ""]
    lines += _bullets(map(_off, failures["coverage_off"])) or ["Nowhere that was scored."]
    return [*lines, ""]


def _worst(one: Mapping[str, Any]) -> str:
    unit = "" if one["unit"] == "Brier score" else f" {one['unit']}"
    measure = "Brier score" if one["unit"] == "Brier score" else "mean error"
    median = "" if one["median"] is None else f", the median's {_number(one['median'], one['unit'])}{unit}"
    return (
        f"{_which(one)}: {measure} {_number(one['error'], one['unit'])}{unit}{median} "
        f"({_count(one['pellets'], 'pellets')} of {_count(one['sources'], 'sources')})"
    )


def _which(one: Mapping[str, Any]) -> str:
    return f"{_name(one['target'])}, {_ROWS.get(one['subset'], one['subset'])}"


def _off(one: Mapping[str, Any]) -> str:
    return (
        f"{_which(one)}: {_percent(one['coverage'])} inside intervals of "
        f"{_percent(one['level'])} ({_count(one['pellets'], 'pellets')} of {_count(one['sources'], 'sources')})"
    )


def _training(training: Mapping[str, Any]) -> list[str]:
    return [
        f"features: {training['features']}",
        *(f"option {name}: {_option(value)}" for name, value in sorted(training["options"].items())),
        *(f"{name} {version}" for name, version in sorted(training["versions"].items())),
    ]


def _option(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cite(cite: Mapping[str, Any]) -> list[str]:
    return [f"{cite['by']}: *{cite['software']}*, version {cite['version']} (CITATION.cff).", cite["sources"]]


def _name(target: str) -> str:
    return _NAMES.get(target, target.replace("_", " "))


def _count(number: int, things: str) -> str:
    return f"{number:,} {things.removesuffix('s') if number == 1 else things}"


def _number(value: float | None, unit: str, decimals: int | None = None) -> str:
    places = _DECIMALS.get(unit, 3) if decimals is None else decimals
    return "" if value is None else f"{value:.{places}f}"


def _percent(value: float | None, decimals: int = 0) -> str:
    return "" if value is None else f"{100 * value:.{decimals}f} %"
