"""The model card: JSON and Markdown with the same content, which is taken from the model."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import yaml

from nasicon_ml.bundle.card import (
    COVERAGE_TOLERANCE,
    COVERAGE_TOLERANCE_OF_PARTS,
    HEADLINE,
    SCHEMA,
    card_content,
    card_markdown,
)
from nasicon_ml.data.files import shipped_folder
from nasicon_ml.model import PropertyModel
from tests.contracts.source import ROOT


@pytest.fixture(scope="module")
def bundle(trained, tmp_path_factory):
    return trained.model.save(tmp_path_factory.mktemp("models") / "bundle")


@pytest.fixture(scope="module")
def content(bundle):
    return json.loads((bundle / "card.json").read_bytes())


@pytest.fixture(scope="module")
def text(bundle):
    return (bundle / "card.md").read_text(encoding="utf-8")


def with_metadata(model, **changes):
    return replace(model, metadata=replace(model.metadata, **changes))


@pytest.mark.slow
def test_json_and_markdown_have_the_same_content(trained, content, text):
    assert content["schema"] == SCHEMA == "nasicon-ml/model-card/1"
    assert card_markdown(content) == text, "the Markdown needs no content beyond the JSON"
    assert json.loads(json.dumps(card_content(trained.model))) == content


def test_loaded_model_has_the_same_card(bundle, content):
    assert json.loads(json.dumps(card_content(PropertyModel.load(bundle)))) == content


@pytest.mark.slow
def test_card_has_all_sections_in_order(text):
    headings = [line for line in text.split("\n") if line.startswith("## ")]
    assert headings == [
        "## What it is for", "## What it is not for", "## Data", "## Scores", "## Where it is at home",
        "## Known failures", "## How it was made", "## How to cite",
    ]  # fmt: skip


def test_data_and_protocol_match_the_training(trained, content, text):
    data = content["data"]
    assert data["sha256"] == trained.dataset_sha256
    assert data["pellets_by_target"] == trained.rows_used
    assert data["sources"] == trained.model.pellets["source"].nunique()
    assert data["validation"] == trained.model.metadata.validation
    assert content["protocol"] == (
        "3-fold cross-validation by source, seed 0, fixed settings, without suspect pellets"
    )
    for expected in (data["sha256"], content["protocol"], f"{data['pellets']:,} measured pellets"):
        assert expected in text


def test_scores_are_listed_with_baselines(trained, content, text):
    listed = {
        (entry["target"], entry["subset"], model, metric): value
        for entry in content["scores"]
        for metric, by_model in entry["metrics"].items()
        for model, value in by_model.items()
    }
    scores = trained.scores.set_index(["target", "subset", "model", "metric"])["value"].to_dict()
    assert listed == pytest.approx(scores, abs=1e-6)
    for target, digits in {
        "conductivity": 2,
        "relative_density": 1,
        "phase_purity": 3,
        "activation_energy": 3,
    }.items():
        models = ("full", "composition only", "median")
        values = [scores[target, "all", model, HEADLINE[target]] for model in models]
        cells = " | ".join(f"{value:.{digits}f}" for value in values)
        assert f"| {cells} |" in next(line for line in _section(text, target) if "all lithium" in line)


def _section(text, target):
    heading = {
        "conductivity": "### Conductivity", "relative_density": "### Relative density",
        "phase_purity": "### Phase purity", "activation_energy": "### Activation energy",
    }[target]  # fmt: skip
    lines = text.split("\n")
    return lines[lines.index(heading) : lines.index(heading) + 30]


def test_coverage_and_width_are_given_at_three_levels(trained, content):
    scores = trained.scores.set_index(["target", "subset", "model", "metric"])["value"].to_dict()
    listed = {
        (entry["target"], entry["level"]): (entry["coverage"], entry["width"]) for entry in content["coverage"]
    }
    assert set(listed) == {
        (target, level) for target in ("conductivity", "relative_density") for level in (0.5, 0.8, 0.9)
    }
    for (target, level), (coverage, width) in listed.items():
        unit = {"conductivity": "decades", "relative_density": "points"}[target]
        percent = f"{100 * level:.0f}"
        assert coverage == pytest.approx(scores[target, "all", "full", f"coverage_{percent}"], abs=1e-6)
        assert width == pytest.approx(scores[target, "all", "full", f"width_{percent}_{unit}"], abs=1e-6)


def test_domain_lists_ranges_systems_and_elements(trained, content, text):
    domain = content["domain"]
    ranges = {entry["field"]: (entry["lowest"], entry["highest"]) for entry in domain["ranges"]}
    celsius = trained.model.pellets["sintering_temperature_c"]
    assert ranges["sintering temperature (°C)"] == (celsius.min(), celsius.max())
    counts = trained.model.pellets["system"].value_counts()
    assert domain["systems"][0]["system"] == counts.index[0]
    assert domain["systems"][0]["pellets"] == counts.iloc[0]
    assert sum(entry["pellets"] for entry in domain["systems"]) == len(trained.model.pellets)
    assert f"| sintering temperature (°C) | {celsius.min():g} | {celsius.max():g} |" in text
    assert "elements on the T site: " in text


def test_known_failures_list_broken_rules_with_their_statements(trained, content, text):
    metadata = trained.model.metadata
    failures = content["known_failures"]
    assert failures["rules_checked"] == metadata.rules_checked > 80
    assert [entry["rule"] for entry in failures["broken_rules"]] == list(metadata.broken_rules)
    assert len(metadata.broken_rules) > 0
    for entry in failures["broken_rules"]:
        assert f"- {entry['statement']} (`{entry['rule']}`)" in text
    assert f"{len(metadata.broken_rules)} of {metadata.rules_checked}:" in text


def test_known_failures_list_worst_systems_and_coverage_out_of_tolerance(trained, content):
    failures = content["known_failures"]
    scores = trained.scores.set_index(["target", "subset", "model", "metric"])["value"]
    systems = {*trained.model.pellets["system"], "sodium"}
    errors = scores.xs("full", level="model").xs("mae_decades", level="metric")["conductivity"]
    worst = errors[errors.index.isin(systems)].sort_values(ascending=False).head(3)
    listed_systems = [entry["subset"] for entry in failures["worst_systems"] if entry["target"] == "conductivity"]
    assert listed_systems == worst.index.to_list()
    listed = {(entry["target"], entry["subset"], entry["level"]) for entry in failures["coverage_off"]}
    expected = {
        (target, subset, level / 100)
        for level in (50, 80, 90)
        for (target, subset), value in scores.xs("full", level="model")
        .xs(f"coverage_{level}", level="metric")
        .items()
        if abs(value - level / 100) > (COVERAGE_TOLERANCE if subset == "all" else COVERAGE_TOLERANCE_OF_PARTS)
    }
    assert listed == expected
    listed = {(entry["target"], entry["subset"]) for entry in failures["no_better_than_median"]}
    expected = set()
    for target, metric in HEADLINE.items():
        if target in scores.index:
            errors = scores[target].xs(metric, level="metric").unstack("model")
            expected |= {(target, subset) for subset in errors.index[errors["full"] >= errors["median"]]}
    assert listed == expected


def test_missing_metadata_is_stated(trained):
    model = with_metadata(
        trained.model, options={}, versions={}, scores=(), validation={}, rules_checked=0, broken_rules=(),
        broken_statements={},
    )  # fmt: skip
    text = card_markdown(card_content(model))
    for sentence in (
        "The protocol is not recorded.", "The file was not validated when the model was trained.",
        "It was not held to the rules of the literature.", "No system has enough pellets to tell.",
        "version of unknown version",
    ):  # fmt: skip
        assert sentence in text, sentence


def test_added_pellets_are_counted_and_zero_broken_rules_are_stated(trained):
    options = {**trained.model.metadata.options, "added_pellets": 1, "added_sha256": "0" * 64}
    model = with_metadata(trained.model, options=options, broken_rules=(), broken_statements={})
    text = card_markdown(card_content(model))
    assert "- 1 pellet of somebody's own beside them, of which no row is kept" in text
    assert f"0 of {model.metadata.rules_checked}.\n" in text


def test_citation_matches_citation_cff(trained, text):
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    version = trained.model.metadata.versions["nasicon-ml"]
    author = citation["authors"][0]["name"]
    assert f"- {author}: *{citation['title']}*, version {version} (CITATION.cff)." in text


def test_card_of_committed_model_states_repeats_and_is_short():
    text = card_markdown(card_content(PropertyModel.load(shipped_folder("models", "champion"))))
    assert "dealt 3 times" in text
    assert len(text) < 40_000, "a card should stay short enough to be read"
