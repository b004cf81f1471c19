"""The model card: its content, written to `card.json`, and its text in Markdown, written to `card.md`.

The content comes from the model, except for constants that apply to every model of this package.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from nasicon_ml.bundle.parts import ModelMetadata, ModelParts
from nasicon_ml.columns import COLUMNS, Column
from nasicon_ml.estimators.domain import FEW_SOURCES, NEAR_SOURCES, field_label
from nasicon_ml.estimators.targets import TARGETS
from nasicon_ml.estimators.uncertainty import NEAR_PELLETS

SCHEMA = "nasicon-ml/model-card/1"
LEVELS = (50, 80, 90)
_DIGITS = 6
#: The main error of each target; less is better for all of them.
HEADLINE: dict[str, str] = {name.value: target.metric for name, target in TARGETS.items()}
UNITS = {target.metric: "Brier score" if target.is_probability else target.unit for target in TARGETS.values()}
#: Largest accepted difference between coverage and level, over all pellets of a target and in a subset, where the
#: coverage of a few dozen sources is less certain.
COVERAGE_TOLERANCE, COVERAGE_TOLERANCE_OF_PARTS = 0.03, 0.1
WORST_SYSTEMS = 3
_OUTSIDE, _ALL, _SODIUM = "outside the domain", "all", "sodium"

SUMMARY = (
    "Total ionic conductivity, relative density and probability of phase purity of NASICON-type ceramics, from "
    "composition and processing. Gradient-boosted trees (XGBoost), with intervals and a domain."
)
INTENDED_USE = (
    (
        "Comparing recipes of ceramic NASICON-type lithium (and, less well, sodium) electrolytes before they are "
        "made: which composition, route, sintering temperature, atmosphere and heating rate promise a dense, "
        "phase-pure, conductive pellet."
    ),
    (
        "Choosing what to measure next. Each answer comes with an interval, the nearest measured pellets and "
        "their sources, and a warning outside the known domain."
    ),
)
UNINTENDED_USE = (
    (
        "Proof that a pellet will have a property: laboratories that report one composition differ nearly as much "
        "as the model errs (docs/method.md)."
    ),
    "Bulk conductivity, thin films, composites with polymers, electrolytes of other structure types.",
    "Interfaces, stability against electrodes, ageing.",
)
CAVEATS = (
    "Missing fields are missing in the literature, too: a pattern in what authors report can look like physics.",
    "Phase purity is what XRD of the source could see, which differs by source.",
    "Systems with few sources lean on the others: look at the scores by system.",
)
TITLE = "nasicon-ml: NASICON-type electrolytes predicted from the whole recipe"
AUTHORS = "the nasicon-ml developers"


def card_content(model: ModelParts) -> dict[str, Any]:
    """Return the content of a model's card as JSON of schema `SCHEMA`, with numbers to six decimals."""
    metadata = model.metadata
    systems = _systems(model.pellets)
    scores = _scores(metadata.scores)
    version = metadata.versions.get("nasicon-ml", "of unknown version")
    return {
        "schema": SCHEMA,
        "name": "nasicon-recipe",
        "summary": SUMMARY,
        "intended_use": list(INTENDED_USE),
        "unintended_use": list(UNINTENDED_USE),
        "data": {
            "sha256": metadata.dataset_sha256,
            "pellets": metadata.dataset_rows,
            "sources": int(model.pellets[Column.SOURCE].nunique()),
            "pellets_by_target": dict(metadata.rows_used),
            "added_pellets": int(metadata.options.get("added_pellets", 0)),
            "validation": dict(metadata.validation) or None,
        },
        "protocol": protocol(metadata.options) if metadata.options else None,
        "training": {
            "features": len(model.feature_names),
            "options": dict(metadata.options),
            "versions": dict(metadata.versions),
        },
        "scores": scores,
        "coverage": _coverage(scores),
        "domain": _domain(model, systems),
        "known_failures": _known_failures(metadata, scores, {entry[Column.SYSTEM] for entry in systems}),
        "caveats": list(CAVEATS),
        "how_to_cite": {
            "software": TITLE,
            "by": AUTHORS,
            "version": version,
            "sources": "Cite the sources of the pellets that an answer rests on, by DOI: they are named with it.",
        },
    }


def _systems(pellets: pd.DataFrame) -> list[dict[str, Any]]:
    """Count pellets and sources of each system, the largest first."""
    counts = pellets.groupby(Column.SYSTEM)[str(Column.SOURCE)].agg(["size", "nunique"])
    counts = counts.sort_values("size", ascending=False, kind="stable")
    return [
        {Column.SYSTEM.value: str(system), "pellets": int(size), "sources": int(sources)}
        for system, size, sources in zip(counts.index, counts["size"], counts["nunique"], strict=True)
    ]


def _scores(rows: tuple[Mapping[str, Any], ...]) -> list[dict[str, Any]]:
    """Return the score table as an entry for each target and subset, each metric with its baselines."""
    entries: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        entry = entries.setdefault(
            (row["target"], row["subset"]),
            {
                "target": row["target"],
                "subset": row["subset"],
                "pellets": int(row["n_rows"]),
                "sources": int(row["n_sources"]),
                "metrics": {},
            },
        )
        entry["metrics"].setdefault(row["metric"], {})[row["model"]] = round(float(row["value"]), _DIGITS)
    return list(entries.values())


def _coverage(scores: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the coverage over all pellets of each target that has intervals."""
    coverage = []
    for entry in scores:
        metrics = {name: by_model.get("full") for name, by_model in entry["metrics"].items()}
        for level in LEVELS:
            if entry["subset"] != _ALL or metrics.get(f"coverage_{level}") is None:
                continue
            width = next((name for name in metrics if name.startswith(f"width_{level}_")), None)
            coverage.append(
                {
                    "target": entry["target"],
                    "level": level / 100,
                    "coverage": metrics[f"coverage_{level}"],
                    "width": None if width is None else metrics[width],
                    "unit": None if width is None else width.rpartition("_")[2],
                    "pellets": entry["pellets"],
                    "sources": entry["sources"],
                }
            )
    return coverage


def _domain(model: ModelParts, systems: list[dict[str, Any]]) -> dict[str, Any]:
    domain = model.domain
    everywhere = domain.ranges[""]
    occurred = f"and anions were measured in {FEW_SOURCES} works or more" if domain.sources else "occurred"
    return {
        "words": (
            f"Inside is a recipe whose elements were measured on their sites, whose choices {occurred}, whose "
            "numbers lie in the range of its system or little beyond, and which lies near enough to pellets of "
            f"{NEAR_SOURCES} independent sources. Each answer says whether it is inside, and why not."
        ),
        "systems": systems,
        "elements": {site: list(elements) for site, elements in domain.elements.items()},
        "ranges": [
            {"field": field_label(name), "lowest": everywhere[name][0], "highest": everywhere[name][1]}
            for name in ("x", *Column)
            if name in everywhere
        ],
        "choices": {COLUMNS[name].label: list(values) for name, values in domain.choices.items()},
        "near": round(domain.near, _DIGITS),
        "nearest_pellets_shown": NEAR_PELLETS,
    }


def protocol(options: Mapping[str, Any]) -> str:
    """Return a line that describes how the scores were computed; runs with equal lines can be compared.

    The options are those of a model's metadata (`nasicon_ml.workflows.train.TrainingOptions.recorded`).
    """
    repeats, trials = options.get("repeats", 1), options.get("trials", 0)
    times = f", dealt {repeats} times" if repeats > 1 else ""
    tuned = f", settings tuned in each fold by {trials} trials" if trials else ", fixed settings"
    suspect = "with" if options.get("include_suspect") else "without"
    sources = options.get("exclude_sources", ())
    left_out = f", without {', '.join(sources)}" if sources else ""
    return (
        f"{options.get('folds', 'unknown')}-fold cross-validation by source{times}, "
        f"seed {options.get('seed', 'unknown')}{tuned}, {suspect} suspect pellets{left_out}"
    )


def _known_failures(
    metadata: ModelMetadata, scores: Sequence[Mapping[str, Any]], systems: Collection[str]
) -> dict[str, Any]:
    """Return the known failures; `scores` as in the card, `systems` are the subsets that are systems."""
    errors = [error for entry in scores if (error := _error(entry)) is not None]
    by_system = [error for error in errors if error["subset"] in {*systems, _SODIUM}]
    worst = []
    for target in HEADLINE:
        of_target = (error for error in by_system if error["target"] == target)
        worst += sorted(of_target, key=lambda error: -error["error"])[:WORST_SYSTEMS]
    return {
        "rules_checked": metadata.rules_checked or None,
        "broken_rules": [
            {"rule": name, "statement": metadata.broken_statements.get(name, "")} for name in metadata.broken_rules
        ],
        "worst_systems": worst,
        "no_better_than_median": [
            error for error in errors if error["median"] is not None and error["error"] >= error["median"]
        ],
        "outside_the_domain": [error for error in errors if error["subset"] == _OUTSIDE],
        "coverage_off": [deviation for entry in scores for deviation in _coverage_deviations(entry)],
    }


def _error(entry: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the main error of a target and subset, with that of the median."""
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


def _coverage_deviations(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the levels of a target and subset whose coverage is not within the tolerance."""
    tolerance = COVERAGE_TOLERANCE if entry["subset"] == _ALL else COVERAGE_TOLERANCE_OF_PARTS
    deviations = []
    for level in LEVELS:
        coverage = entry["metrics"].get(f"coverage_{level}", {}).get("full")
        if coverage is not None and abs(coverage - level / 100) > tolerance:
            kept = {name: entry[name] for name in ("target", "subset", "pellets", "sources")}
            deviations.append(kept | {"level": level / 100, "coverage": coverage})
    return deviations


#: Labels of subsets of the scores; others are names of systems.
_SUBSET_LABELS = {_ALL: "all lithium pellets", _SODIUM: "sodium pellets"}
#: Decimals of an error by its unit, and of a width by the unit of its metric.
_DECIMALS = {"points": 1, "decades": 2, "eV": 3, "Brier score": 3}


def card_markdown(content: Mapping[str, Any]) -> str:
    """Return the output of `card_content` as Markdown."""
    cite = content["how_to_cite"]
    sections = {
        "What it is for": _bullets(content["intended_use"]),
        "What it is not for": _bullets(content["unintended_use"]),
        "Data": _bullets(_data_lines(content["data"])),
        "Scores": _score_tables(content),
        "Where it is at home": _domain_lines(content["domain"]),
        "Known failures": _failure_sections(content["known_failures"], content["caveats"]),
        "How it was made": _bullets(_training_lines(content["training"])),
        "How to cite": [
            f"- {cite['by']}: *{cite['software']}*, version {cite['version']} (CITATION.cff).",
            f"- {cite['sources']}",
        ],
    }
    lines = [f"# {content['name']}: model card", "", content["summary"], *_with_headings(sections, "##")]
    return "\n".join(lines) + "\n"


def _with_headings(sections: Mapping[str, Iterable[str]], level: str) -> list[str]:
    """Return the lines of sections, each after an empty line and its heading."""
    return [line for title, body in sections.items() for line in ("", f"{level} {title}", "", *body)]


def _bullets(lines: Iterable[str]) -> list[str]:
    return [f"- {line}" for line in lines]


def _data_lines(data: Mapping[str, Any]) -> list[str]:
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
    validation = data["validation"]
    if validation is None:
        return [*lines, "The file was not validated when the model was trained."]
    findings = f"{_count(validation['errors'], 'errors')} and {_count(validation['warnings'], 'warnings')}"
    return [*lines, f"Validation of the file (`nasicon-ml data validate`): {findings}"]


def _score_tables(content: Mapping[str, Any]) -> list[str]:
    sections = {}
    for target in dict.fromkeys(entry["target"] for entry in content["scores"]):
        entries = [entry for entry in content["scores"] if entry["target"] == target]
        entries.sort(key=lambda entry: entry["subset"] != _ALL)
        sections[_name(target)] = _score_table(target, entries)
    if content["coverage"]:
        sections["Intervals: what they promise and what they hold"] = _coverage_table(content["coverage"])
    return [
        f"Protocol: {content['protocol']}." if content["protocol"] else "The protocol is not recorded.",
        (
            "No source stands on both sides of a fold: these are errors on sources the model has not seen. Beside "
            "each error stand those of the same model without processing, and of the median. Conductivities are "
            "those near room temperature, where the row does not say otherwise."
        ),
        *_with_headings(sections, "###"),
    ]


def _score_table(target: str, entries: Sequence[Mapping[str, Any]]) -> list[str]:
    metric = HEADLINE.get(target, "")
    unit = UNITS.get(metric, "")
    error = unit if metric == "brier" else f"mean error ({unit})"
    further = {"auroc": "AUROC", "brier_skill": "skill"} if metric == "brier" else {"r2": "R²"}
    heads = ["pellets", "sources", error, "composition only", "median", *further.values()]
    has_intervals = any("coverage_90" in entry["metrics"] for entry in entries)
    heads += ["inside 90 %"] if has_intervals else []
    lines = [f"| rows | {' | '.join(heads)} |", f"|---|{'--:|' * len(heads)}"]
    for entry in entries:
        metrics = entry["metrics"]
        cells = [str(entry["pellets"]), str(entry["sources"])]
        cells += [
            _number(metrics.get(metric, {}).get(model), unit) for model in ("full", "composition only", "median")
        ]
        cells += [_number(metrics.get(name, {}).get("full"), "eV", 2) for name in further]
        cells += [_percent(metrics.get("coverage_90", {}).get("full"))] if has_intervals else []
        lines.append(f"| {_SUBSET_LABELS.get(entry['subset'], entry['subset'])} | {' | '.join(cells)} |")
    return lines


def _coverage_table(coverage: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = ["| target | promised | held | mean width | pellets | sources |", "|---|--:|--:|--:|--:|--:|"]
    for entry in coverage:
        width = f"{_number(entry['width'], entry['unit'])} {entry['unit']}" if entry["width"] is not None else ""
        percentages = _percent(entry["level"]), _percent(entry["coverage"], 1)
        cells = [_name(entry["target"]), *percentages, width, entry["pellets"], entry["sources"]]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


def _domain_lines(domain: Mapping[str, Any]) -> list[str]:
    systems = [
        f"{entry[Column.SYSTEM]} {entry['pellets']} of {_count(entry['sources'], 'sources')}"
        for entry in domain["systems"]
    ]
    shown, rest = systems[:12], len(systems) - 12
    more = f"; and {rest} more" if rest > 0 else ""
    return [
        domain["words"],
        "",
        f"- pellets by system: {'; '.join(shown)}{more}",
        *(
            f"- elements on the {site} site: {', '.join(elements)}"
            for site, elements in sorted(domain["elements"].items())
        ),
        *(f"- {label}: {', '.join(choices)}" for label, choices in sorted(domain["choices"].items())),
        f"- mean distance to the nearest sources below {domain['near']:.2f} (0: the same recipe)",
        "",
        "Ranges over all systems; each system has its own, where enough pellets say so.",
        "",
        "| field | lowest | highest |",
        "|---|--:|--:|",
        *(f"| {entry['field']} | {entry['lowest']:g} | {entry['highest']:g} |" for entry in domain["ranges"]),
    ]


def _failure_sections(failures: Mapping[str, Any], caveats: Iterable[str]) -> list[str]:
    broken, checked = failures["broken_rules"], failures["rules_checked"]
    statements = ["It was not held to the rules of the literature."]
    if checked is not None:
        statements = [f"{len(broken)} of {checked}{':' if broken else '.'}"]
        statements += (
            ["", *_bullets(f"{rule['statement']} (`{rule['rule']}`)" for rule in broken)] if broken else []
        )
    worst, not_better, outside = (
        _bullets(map(_error_text, failures[name]))
        for name in ("worst_systems", "no_better_than_median", "outside_the_domain")
    )
    sections = {
        "Statements of the literature it breaks": statements,
        "Where it errs most": worst or ["No system has enough pellets to tell."],
        "Where it is no better than the median": not_better or ["Nowhere that was scored."],
        "Outside its domain": outside or ["Too few pellets to tell."],
        "Where intervals do not hold what they promise": _bullets(map(_coverage_text, failures["coverage_off"]))
        or ["Nowhere that was scored."],
        "By nature": _bullets(caveats),
    }
    return _with_headings(sections, "###")[1:]


def _error_text(entry: Mapping[str, Any]) -> str:
    unit = entry["unit"]
    measure, suffix = ("Brier score", "") if unit == "Brier score" else ("mean error", f" {unit}")
    median = "" if entry["median"] is None else f", the median's {_number(entry['median'], unit)}{suffix}"
    return _failure_text(entry, f"{measure} {_number(entry['error'], unit)}{suffix}{median}")


def _coverage_text(entry: Mapping[str, Any]) -> str:
    return _failure_text(entry, f"{_percent(entry['coverage'])} inside intervals of {_percent(entry['level'])}")


def _failure_text(entry: Mapping[str, Any], failure: str) -> str:
    rows = f"{_count(entry['pellets'], 'pellets')} of {_count(entry['sources'], 'sources')}"
    subset = _SUBSET_LABELS.get(entry["subset"], entry["subset"])
    return f"{_name(entry['target'])}, {subset}: {failure} ({rows})"


def _training_lines(training: Mapping[str, Any]) -> list[str]:
    return [
        f"features: {training['features']}",
        *(f"option {name}: {_option_text(value)}" for name, value in sorted(training["options"].items())),
        *(f"{name} {version}" for name, version in sorted(training["versions"].items())),
    ]


def _option_text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _name(target: str) -> str:
    return target.replace("_", " ").capitalize()


def _count(number: int, plural: str) -> str:
    return f"{number:,} {plural.removesuffix('s') if number == 1 else plural}"


def _number(value: float | None, unit: str, decimals: int | None = None) -> str:
    places = _DECIMALS.get(unit, 3) if decimals is None else decimals
    return "" if value is None else f"{value:.{places}f}"


def _percent(value: float | None, decimals: int = 0) -> str:
    return "" if value is None else f"{100 * value:.{decimals}f} %"
