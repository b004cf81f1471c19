"""docs/method.md, docs/uncertainty.md and docs/features.md agree with the code, by name and by number."""

from __future__ import annotations

import importlib
import re
from dataclasses import asdict
from fnmatch import fnmatchcase

import pytest

from nasicon_ml.columns import Column
from nasicon_ml.estimators.boosting import DEFAULT_SETTINGS, MIXED_LOGISTIC, MIXED_ROBUST
from nasicon_ml.estimators.priors import TERMS
from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.features import processing
from nasicon_ml.features.build import FeatureSet, feature_names
from nasicon_ml.features.distances import SCALES
from tests.contracts.source import ROOT, modules

# One text on two pages: how the numbers come about, and what they say about themselves.
METHOD = "".join((ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8") for page in ("method", "uncertainty"))
FEATURES = (ROOT / "docs" / "features.md").read_text(encoding="utf-8")
DOI = re.compile(r"\b10\.\d{4,9}/[^\s)\]},;\"'`]+[^\s)\]},;\"'`.]", re.ASCII)


def rows(page: str, first_head: str) -> list[list[str]]:
    """The cells of every table whose first head is this, without heads."""
    found: list[list[str]] = []
    inside = False
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if not cells:
            inside = False
        elif inside and not set(cells[0]) <= {"-"}:
            found.append(cells)
        elif cells[0] == first_head:
            inside = True
    return found


def named_features(sections: list[str]) -> list[str]:
    return [
        name
        for section in sections
        for row in rows(section, "feature")
        for name in re.findall(r"`([^`]+)`", row[0])
    ]


def sections() -> dict[str, str]:
    return {part.split("\n", 1)[0]: part for part in FEATURES.split("\n## ")[1:]}


class TestFeatures:
    def test_every_feature_is_named_once(self) -> None:
        patterns = named_features(list(sections().values()))
        matches = {name: [p for p in patterns if fnmatchcase(name, p)] for name in feature_names(FeatureSet.FULL)}
        assert {name: found for name, found in matches.items() if len(found) != 1} == {}

    def test_none_is_invented(self) -> None:
        names = feature_names(FeatureSet.FULL)
        patterns = named_features(list(sections().values()))
        assert [p for p in patterns if not any(fnmatchcase(name, p) for name in names)] == []

    def test_the_composition_set_is_the_first_two_sections(self) -> None:
        first_two = [text for title, text in sections().items() if title.startswith("Composition")]
        assert len(first_two) == 2
        assert tuple(named_features(first_two)) != ()
        assert set(named_features(first_two)) == set(feature_names(FeatureSet.COMPOSITION))

    def test_every_feature_says_what_it_means(self) -> None:
        for section in sections().values():
            assert all(len(row) == 3 and row[2] for row in rows(section, "feature"))

    def test_units_are_those_of_the_vocabulary(self) -> None:
        given = {
            name: row[1] for row in rows(FEATURES, "feature") for name in re.findall(r"`given_([^`]+)`", row[0])
        }
        assert given == {name: Column(name).unit for name in given}
        assert len(given) == 9

    def test_table_of_oxygen(self) -> None:
        shown = {row[0].strip("`"): float(row[1]) for row in rows(FEATURES, "atmosphere")}
        assert shown == processing.LOG10_OXYGEN_BAR

    def test_scale_of_mixing(self) -> None:
        shown = {
            route: float(row[0])
            for row in rows(FEATURES, "mixing quality")
            for route in re.findall(r"`(\w+)`", row[1])
        }
        assert shown == processing.MIXING_QUALITY

    def test_constants_in_the_text(self) -> None:
        assert f"above {processing.LITHIA_LOSS_ONSET_C:g} °C" in FEATURES
        assert tuple(
            float(number) for number in re.findall(r"log10_sintering_work_(\d+)_kj_mol", FEATURES)
        ) == processing.SINTERING_ENERGIES_KJ_MOL  # fmt: skip

    def test_usual_firing(self) -> None:
        shown = {row[0].strip("`"): float(row[1]) for row in rows(FEATURES, "host")}
        assert shown == processing.USUAL_FIRING_C | {"none of these": processing.USUAL_FIRING_WITHOUT_HOST_C}
        decade, size = processing.FINER_POWDER_C_PER_DECADE, processing.USUAL_PARTICLE_SIZE_UM
        assert f"{decade:g} °C · log10(d / {size:g} µm)" in FEATURES

    def test_a_feature_that_is_left_out_is_seen(self) -> None:
        assert "`m_other`" in FEATURES
        shortened = FEATURES.replace("| `m_other` |", "| other |")
        assert "m_other" not in [n for row in rows(shortened, "feature") for n in re.findall(r"`([^`]+)`", row[0])]


class TestMethod:
    @pytest.mark.parametrize("row", rows(METHOD, "constant"), ids=lambda row: row[0].strip("`"))
    def test_constants(self, row: list[str]) -> None:
        module, _, name = row[0].strip("`").rpartition(".")
        assert getattr(importlib.import_module(module), name) == float(row[1])

    def test_there_are_constants(self) -> None:
        assert len(rows(METHOD, "constant")) > 15

    def test_settings(self) -> None:
        shown = {row[0].strip("`"): row[1:5] for row in rows(METHOD, "setting")}
        stated = [asdict(DEFAULT_SETTINGS[name]) for name in TargetName]
        assert list(shown) == [field for field, value in stated[0].items() if not isinstance(value, tuple)]
        for column, settings in enumerate(stated):
            idle = {
                "source_shrinkage": settings["objective"] not in (MIXED_ROBUST, MIXED_LOGISTIC),
                "tolerance": settings["objective"] != MIXED_ROBUST,
            }
            for field, cells in shown.items():
                value = settings[field]
                text = value if isinstance(value, str) else f"{value:g}"
                assert cells[column] == ("-" if idle.get(field) else text), (field, column)

    def test_columns_of_settings_are_the_targets(self) -> None:
        heads = next(line for line in METHOD.splitlines() if line.startswith("| setting |"))
        assert [head.strip() for head in heads.strip("|").split("|")][1:5] == list(map(str, TargetName))

    def test_constraints(self) -> None:
        shown = {(row[1], row[0].strip("`"), int(row[2])) for row in rows(METHOD, "constrained feature")}
        assert shown == {
            (str(name), *one) for name, settings in DEFAULT_SETTINGS.items() for one in settings.monotone
        }

    def test_ignored_features(self) -> None:
        shown = {(row[1], row[0].strip("`")) for row in rows(METHOD, "ignored feature")}
        assert shown == {
            (str(name), one) for name, settings in DEFAULT_SETTINGS.items() for one in settings.ignored
        }

    def test_terms_of_the_prior(self) -> None:
        named = ", ".join(row[0] for row in rows(METHOD, "term"))
        terms = TERMS[TargetName.CONDUCTIVITY].items()
        assert named == ", ".join(name for name, term in terms if term.is_fitted)

    def test_scales_of_the_distance(self) -> None:
        shown = {row[0].strip("`"): row[1] for row in rows(METHOD, "field")}
        expected = {
            str(column): f"a factor of {10**scale:g}" if logarithmic else f"{scale:g} {column.unit}"
            for column, (scale, logarithmic) in SCALES.items()
        }
        assert shown == expected

    def test_metrics_are_those_of_the_scores(self) -> None:
        from nasicon_ml.evaluation.scores import _metrics

        named = {name for row in rows(METHOD, "score") for name in re.findall(r"`([^`]+)`", row[0])}
        scored = {metric for target in TargetName for metric in _metrics(target, "full")}
        assert {name.removesuffix("…") for name in named} == {
            re.sub(r"(?<=width_\d\d_)\w+", "", name) for name in scored
        }

    def test_modules_that_are_named_exist(self) -> None:
        known = {module.name for module in modules()}
        named = re.findall(r"`((?:estimators|evaluation|features|data|workflows)\.\w+)`", METHOD)
        assert len(named) > 8
        assert [name for name in named if f"nasicon_ml.{name}" not in known] == []


@pytest.mark.parametrize("page", [METHOD, FEATURES], ids=["method", "features"])
def test_no_doi_stands_here_that_the_code_and_the_data_do_not_know(page: str) -> None:
    known = "\n".join(module.text for module in modules())
    known += (ROOT / "datasets" / "sources.csv").read_text(encoding="utf-8")
    found = set(DOI.findall(page.replace("https://doi.org/", "")))
    assert len(found) >= 4
    assert {doi for doi in found if doi not in known} == set()
