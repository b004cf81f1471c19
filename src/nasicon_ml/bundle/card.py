"""What a person, or a program, should know before trusting a model: the card, and its text in Markdown.

`card.json` is the content itself, `card.md` is made of it. All of it comes from the model; nothing is typed in but
what holds for every model of this package.
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
#: The error by which a target is judged; less is better for all of them.
HEADLINE: dict[str, str] = {name.value: target.metric for name, target in TARGETS.items()}
UNITS = {target.metric: "Brier score" if target.is_probability else target.unit for target in TARGETS.values()}
#: Coverage is called off where it differs from what is promised by more than this, over all pellets of a target
#: and in a part of them: what some dozen sources say of it is known no better.
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
    """Return the content of a model's card: JSON of schema `SCHEMA`, numbers to six decimals.

    It depends on the model alone, so equal models have equal cards.
    """
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
        "known_failures": _known_failures(metadata, scores, {one[Column.SYSTEM] for one in systems}),
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
    counted = pellets.groupby(Column.SYSTEM)[str(Column.SOURCE)].agg(["size", "nunique"])
    counted = counted.sort_values("size", ascending=False, kind="stable")
    return [
        {Column.SYSTEM.value: str(system), "pellets": int(size), "sources": int(sources)}
        for system, size, sources in zip(counted.index, counted["size"], counted["nunique"], strict=True)
    ]


def _scores(rows: tuple[Mapping[str, Any], ...]) -> list[dict[str, Any]]:
    """Return the score table as one entry for each target and subset, each metric with its baselines."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        entry = found.setdefault(
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
    return list(found.values())


def _coverage(scores: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Collect what the intervals hold, over all pellets of each target that has intervals."""
    found = []
    for entry in scores:
        metrics = {name: by_model.get("full") for name, by_model in entry["metrics"].items()}
        for level in LEVELS:
            if entry["subset"] != "all" or metrics.get(f"coverage_{level}") is None:
                continue
            width = next((name for name in metrics if name.startswith(f"width_{level}_")), None)
            found.append(
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
    return found


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
    """Return how the scores came about, in one line; runs with equal lines can be compared.

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
    """Collect what is known to be wrong; `scores` as in the card, `systems` tell which subsets are one."""
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
    """Return the error that counts of one target and subset, beside the median's."""
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
    for level in LEVELS:
        coverage = entry["metrics"].get(f"coverage_{level}", {}).get("full")
        if coverage is not None and abs(coverage - level / 100) > tolerance:
            kept = {name: entry[name] for name in ("target", "subset", "pellets", "sources")}
            found.append(kept | {"level": level / 100, "coverage": coverage})
    return found


#: What stands for a subset of the scores.
_ROWS = {_ALL: "all lithium pellets", _SODIUM: "sodium pellets"}
#: Decimals of an error by its unit, and of a width by the unit of its metric.
_DECIMALS = {"points": 1, "decades": 2, "eV": 3, "Brier score": 3}


def card_markdown(content: Mapping[str, Any]) -> str:
    """Write what `card_content` gives as Markdown."""
    cite = content["how_to_cite"]
    parts = {
        "What it is for": _bullets(content["intended_use"]),
        "What it is not for": _bullets(content["unintended_use"]),
        "Data": _bullets(_data(content["data"])),
        "Scores": _score_tables(content),
        "Where it is at home": _domain_lines(content["domain"]),
        "Known failures": _failures(content["known_failures"], content["caveats"]),
        "How it was made": _bullets(_training(content["training"])),
        "How to cite": [
            f"- {cite['by']}: *{cite['software']}*, version {cite['version']} (CITATION.cff).",
            f"- {cite['sources']}",
        ],
    }
    lines = [f"# {content['name']}: model card", "", content["summary"], *_headed(parts, "##")]
    return "\n".join(lines) + "\n"


def _headed(parts: Mapping[str, Iterable[str]], level: str) -> list[str]:
    """Return parts of a text, each behind an empty line and its heading."""
    return [line for title, body in parts.items() for line in ("", f"{level} {title}", "", *body)]


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
    parts = {}
    for target in dict.fromkeys(entry["target"] for entry in content["scores"]):
        entries = [entry for entry in content["scores"] if entry["target"] == target]
        entries.sort(key=lambda entry: entry["subset"] != _ALL)
        parts[_name(target)] = _score_table(target, entries)
    if content["coverage"]:
        parts["Intervals: what they promise and what they hold"] = _coverage_table(content["coverage"])
    return [
        f"Protocol: {made}." if made else "The protocol is not recorded.",
        (
            "No source stands on both sides of a fold: these are errors on sources the model has not seen. Beside "
            "each error stand those of the same model without processing, and of the median. Conductivities are "
            "those near room temperature, where the row does not say otherwise."
        ),
        *_headed(parts, "###"),
    ]


def _score_table(target: str, entries: Sequence[Mapping[str, Any]]) -> list[str]:
    metric = HEADLINE.get(target, "")
    unit = UNITS.get(metric, "")
    error = unit if metric == "brier" else f"mean error ({unit})"
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


def _domain_lines(domain: Mapping[str, Any]) -> list[str]:
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


def _failures(failures: Mapping[str, Any], caveats: Iterable[str]) -> list[str]:
    broken, checked = failures["broken_rules"], failures["rules_checked"]
    statements = ["It was not held to the rules of the literature."]
    if checked is not None:
        statements = [f"{len(broken)} of {checked}{':' if broken else '.'}"]
        statements += ["", *_bullets(f"{one['statement']} (`{one['rule']}`)" for one in broken)] if broken else []
    worst, not_better, outside = (
        _bullets(map(_worst, failures[name]))
        for name in ("worst_systems", "no_better_than_median", "outside_the_domain")
    )
    parts = {
        "Statements of the literature it breaks": statements,
        "Where it errs most": worst or ["No system has enough pellets to tell."],
        "Where it is no better than the median": not_better or ["Nowhere that was scored."],
        "Outside its domain": outside or ["Too few pellets to tell."],
        "Where intervals do not hold what they promise": _bullets(map(_off, failures["coverage_off"]))
        or ["Nowhere that was scored."],
        "By nature": _bullets(caveats),
    }
    return _headed(parts, "###")[1:]


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


def _name(target: str) -> str:
    return target.replace("_", " ").capitalize()


def _count(number: int, things: str) -> str:
    return f"{number:,} {things.removesuffix('s') if number == 1 else things}"


def _number(value: float | None, unit: str, decimals: int | None = None) -> str:
    places = _DECIMALS.get(unit, 3) if decimals is None else decimals
    return "" if value is None else f"{value:.{places}f}"


def _percent(value: float | None, decimals: int = 0) -> str:
    return "" if value is None else f"{100 * value:.{decimals}f} %"
