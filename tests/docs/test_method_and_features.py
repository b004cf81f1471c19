"""docs/method.md, docs/uncertainty.md and docs/features.md agree with the names and numbers of the code."""

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

# The method is described on two pages: the predictions, and their uncertainty.
METHOD = "".join((ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8") for page in ("method", "uncertainty"))
FEATURES = (ROOT / "docs" / "features.md").read_text(encoding="utf-8")
DOI = re.compile(r"\b10\.\d{4,9}/[^\s)\]},;\"'`]+[^\s)\]},;\"'`.]", re.ASCII)


def table_rows(page: str, first_header: str) -> list[list[str]]:
    """Return the cells of the tables with this first header, without the header rows."""
    rows: list[list[str]] = []
    inside = False
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if not cells:
            inside = False
        elif inside and not set(cells[0]) <= {"-"}:
            rows.append(cells)
        elif cells[0] == first_header:
            inside = True
    return rows


def documented_features(sections: list[str]) -> list[str]:
    return [
        name
        for section in sections
        for row in table_rows(section, "feature")
        for name in re.findall(r"`([^`]+)`", row[0])
    ]


def sections() -> dict[str, str]:
    return {part.split("\n", 1)[0]: part for part in FEATURES.split("\n## ")[1:]}


class TestFeatures:
    def test_every_feature_is_documented_once(self) -> None:
        patterns = documented_features(list(sections().values()))
        matches = {name: [p for p in patterns if fnmatchcase(name, p)] for name in feature_names(FeatureSet.FULL)}
        assert {name: matched for name, matched in matches.items() if len(matched) != 1} == {}

    def test_no_unknown_feature_is_documented(self) -> None:
        names = feature_names(FeatureSet.FULL)
        patterns = documented_features(list(sections().values()))
        assert [p for p in patterns if not any(fnmatchcase(name, p) for name in names)] == []

    def test_composition_sections_list_the_composition_feature_set(self) -> None:
        first_two = [text for title, text in sections().items() if title.startswith("Composition")]
        assert len(first_two) == 2
        assert tuple(documented_features(first_two)) != ()
        assert set(documented_features(first_two)) == set(feature_names(FeatureSet.COMPOSITION))

    def test_every_feature_has_a_description(self) -> None:
        for section in sections().values():
            assert all(len(row) == 3 and row[2] for row in table_rows(section, "feature"))

    def test_units_match_the_columns(self) -> None:
        given = {
            name: row[1]
            for row in table_rows(FEATURES, "feature")
            for name in re.findall(r"`given_([^`]+)`", row[0])
        }
        assert given == {name: Column(name).unit for name in given}
        assert len(given) == 9

    def test_oxygen_table_matches_the_code(self) -> None:
        shown = {row[0].strip("`"): float(row[1]) for row in table_rows(FEATURES, "atmosphere")}
        assert shown == processing.LOG10_OXYGEN_BAR

    def test_mixing_quality_table_matches_the_code(self) -> None:
        shown = {
            route: float(row[0])
            for row in table_rows(FEATURES, "mixing quality")
            for route in re.findall(r"`(\w+)`", row[1])
        }
        assert shown == processing.MIXING_QUALITY

    def test_constants_in_the_text_match_the_code(self) -> None:
        assert f"above {processing.LITHIA_LOSS_ONSET_C:g} °C" in FEATURES
        assert tuple(
            float(number) for number in re.findall(r"log10_sintering_work_(\d+)_kj_mol", FEATURES)
        ) == processing.SINTERING_ENERGIES_KJ_MOL  # fmt: skip

    def test_usual_firing_table_matches_the_code(self) -> None:
        shown = {row[0].strip("`"): float(row[1]) for row in table_rows(FEATURES, "host")}
        assert shown == processing.USUAL_FIRING_C | {"none of these": processing.USUAL_FIRING_WITHOUT_HOST_C}
        decade, size = processing.FINER_POWDER_C_PER_DECADE, processing.USUAL_PARTICLE_SIZE_UM
        assert f"{decade:g} °C · log10(d / {size:g} µm)" in FEATURES

    def test_missing_feature_is_detected(self) -> None:
        assert "`m_other`" in FEATURES
        shortened = FEATURES.replace("| `m_other` |", "| other |")
        assert "m_other" not in [
            n for row in table_rows(shortened, "feature") for n in re.findall(r"`([^`]+)`", row[0])
        ]


class TestMethod:
    @pytest.mark.parametrize("row", table_rows(METHOD, "constant"), ids=lambda row: row[0].strip("`"))
    def test_constant_matches_the_code(self, row: list[str]) -> None:
        module, _, name = row[0].strip("`").rpartition(".")
        assert getattr(importlib.import_module(module), name) == float(row[1])

    def test_constants_table_is_not_empty(self) -> None:
        assert len(table_rows(METHOD, "constant")) > 15

    def test_settings_table_matches_the_defaults(self) -> None:
        shown = {row[0].strip("`"): row[1:5] for row in table_rows(METHOD, "setting")}
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

    def test_settings_table_has_a_column_per_target(self) -> None:
        header = next(line for line in METHOD.splitlines() if line.startswith("| setting |"))
        assert [cell.strip() for cell in header.strip("|").split("|")][1:5] == list(map(str, TargetName))

    def test_monotone_constraints_match_the_defaults(self) -> None:
        shown = {(row[1], row[0].strip("`"), int(row[2])) for row in table_rows(METHOD, "constrained feature")}
        assert shown == {
            (str(name), *constraint)
            for name, settings in DEFAULT_SETTINGS.items()
            for constraint in settings.monotone
        }

    def test_ignored_features_match_the_defaults(self) -> None:
        shown = {(row[1], row[0].strip("`")) for row in table_rows(METHOD, "ignored feature")}
        assert shown == {
            (str(name), feature) for name, settings in DEFAULT_SETTINGS.items() for feature in settings.ignored
        }

    def test_prior_terms_match_the_fitted_terms(self) -> None:
        named = ", ".join(row[0] for row in table_rows(METHOD, "term"))
        terms = TERMS[TargetName.CONDUCTIVITY].items()
        assert named == ", ".join(name for name, term in terms if term.is_fitted)

    def test_distance_scales_match_the_code(self) -> None:
        shown = {row[0].strip("`"): row[1] for row in table_rows(METHOD, "field")}
        expected = {
            str(column): f"a factor of {10**scale:g}" if logarithmic else f"{scale:g} {column.unit}"
            for column, (scale, logarithmic) in SCALES.items()
        }
        assert shown == expected

    def test_documented_metrics_match_the_scores(self) -> None:
        from nasicon_ml.evaluation.scores import _metrics

        named = {name for row in table_rows(METHOD, "score") for name in re.findall(r"`([^`]+)`", row[0])}
        scored = {metric for target in TargetName for metric in _metrics(target, "full")}
        assert {name.removesuffix("…") for name in named} == {
            re.sub(r"(?<=width_\d\d_)\w+", "", name) for name in scored
        }

    def test_named_modules_exist(self) -> None:
        known = {module.name for module in modules()}
        named = re.findall(r"`((?:estimators|evaluation|features|data|workflows)\.\w+)`", METHOD)
        assert len(named) > 8
        assert [name for name in named if f"nasicon_ml.{name}" not in known] == []


@pytest.mark.parametrize("page", [METHOD, FEATURES], ids=["method", "features"])
def test_every_doi_is_in_the_code_or_the_dataset(page: str) -> None:
    known = "\n".join(module.text for module in modules())
    known += (ROOT / "datasets" / "sources.csv").read_text(encoding="utf-8")
    dois = set(DOI.findall(page.replace("https://doi.org/", "")))
    assert len(dois) >= 4
    assert {doi for doi in dois if doi not in known} == set()
