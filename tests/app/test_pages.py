"""The pages other than the recipe page show the results of the functions they call."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from nasicon_ml.campaigns.folder import Campaign
from nasicon_ml.cli.formatting import percent
from nasicon_ml.columns import Column
from nasicon_ml.data.find import find_pellets
from nasicon_ml.recipe import Recipe
from nasicon_ml.tracking import import_bundle
from nasicon_ml.workflows.differences import differences
from nasicon_ml.workflows.predict import default_bundle, predict
from tests.contracts.source import ROOT

SMALL = ROOT / "examples" / "screening" / "small.yaml"


def run_page(name: str, **parameters: str) -> AppTest:
    script = f"""
from nasicon_ml.app import {name}
from nasicon_ml.app.session import show_errors
with show_errors():
    {name}.show()
"""
    page = AppTest.from_string(script, default_timeout=600)
    for key, value in parameters.items():
        page.query_params[key] = value
    return page.run()


def test_literature_page_shows_the_result_of_find_pellets() -> None:
    page = run_page("literature")
    page.text_input("system").set_value("LAGP")
    page.multiselect("filters").set_value([Column.RELATIVE_DENSITY_PCT.axis_label]).run()
    page.text_input("filter relative_density_pct").set_value(">95").run()
    expected = find_pellets(system="LAGP", density=">95")
    shown = page.dataframe[0].value
    assert 0 < len(shown) == len(expected)
    assert shown[Column.PELLET_ID.value].tolist() == expected[Column.PELLET_ID.value].tolist()
    assert any(one.value.startswith(f"{len(expected)} pellets of ") for one in page.markdown)


@pytest.mark.parametrize(("key", "text", "message"), [("with", "Zz", "Zz"), ("system", "nothing so called", "")])
def test_search_without_results_shows_an_error_or_no_table(key: str, text: str, message: str) -> None:
    page = run_page("literature")
    page.text_input(key).set_value(text).run()
    assert not page.exception
    assert any(message in error.value for error in page.error) if message else not page.dataframe


def test_recipes_in_the_url_are_compared() -> None:
    rows = [
        {"formula": "LATP x=0.3", "sintering_temperature_c": 850},
        {"formula": "LATP x=0.3", "sintering_temperature_c": 1000},
        {"formula": "Na3Zr2Si2PO12", "atmosphere": "air"},
    ]
    page = run_page("compare", recipes=json.dumps(rows))
    assert not page.error
    expected = differences(predict([Recipe.from_dict(row) for row in rows]))
    shown = page.dataframe[-1].value
    for target, difference in expected.items():
        cells = shown[f"higher {str(target).replace('_', ' ')}"].tolist()
        assert cells == ["", *(percent(one) for one in difference.better[1:])]


@pytest.mark.parametrize("recipes", ["[[[", "7", '[{"formula": "nonsense"}, {"formula": "LATP"}]', "[]", "[{}]"])
def test_invalid_recipes_in_the_url_show_no_internal_error(recipes: str) -> None:
    page = run_page("compare", recipes=recipes)
    assert not page.exception
    assert not any("fault of nasicon" in error.value for error in page.error)


def test_model_card_is_shown() -> None:
    page = run_page("models")
    assert any("## Known failures" in one.value for one in page.markdown)
    assert not page.error


def test_empty_registry_shows_a_message_and_the_model_card() -> None:
    page = run_page("models")
    page.toggle("registered").set_value(True).run()
    assert not page.exception
    assert page.info or page.error
    assert any("## Known failures" in one.value for one in page.markdown)
    assert not any("fault of nasicon" in error.value for error in page.error)


def model_card(page: AppTest) -> str:
    return next(one.value for one in page.markdown if "## Known failures" in one.value)


@pytest.mark.slow
def test_registered_version_can_be_selected_for_predictions(tmp_path: Path) -> None:
    import_bundle(default_bundle())
    import_bundle(ROOT / "tests" / "bundle" / "format_2")
    page = run_page("models", registered="true")
    assert page.dataframe[0].value["version"].tolist() == ["2", "1"]
    assert page.dataframe[0].value["decades"].iloc[1]
    page.selectbox("answers").select("models:/nasicon-recipe/2").run()
    reopened = run_page("models", registered="true", answers="models:/nasicon-recipe/2")
    assert model_card(page) == model_card(reopened) != model_card(run_page("models"))
    assert not page.error
    assert not page.exception


def test_campaign_page_proposes_a_batch_and_adds_a_result(tmp_path: Path) -> None:
    Campaign.start(tmp_path / "latp", SMALL)
    page = run_page("next_pellets", campaign=str(tmp_path / "latp"))
    assert not page.error
    page.button[0].click().run()
    assert not page.error
    assert any("batch 1 is proposed" in one.value for one in page.success)
    proposed = Campaign.open(tmp_path / "latp").open_batch
    assert len(proposed) == 3
    page.text_input[2].set_value("3.1e-4")
    purity = next(one for one in page.selectbox if one.label == "No secondary phase in XRD")
    purity.set_value("true")
    next(one for one in page.button if one.label == "Add the pellet").click().run()
    assert not page.error
    campaign = Campaign.open(tmp_path / "latp")
    assert campaign.pellets is not None
    assert campaign.pellets[Column.CONDUCTIVITY_TOTAL_S_CM.value].tolist() == [3.1e-4]
    assert campaign.pellets[Column.PHASE_PURE.value].tolist() == [True]
    assert len(campaign.open_batch) == 2


def test_invalid_result_shows_an_error_and_is_not_saved(tmp_path: Path) -> None:
    Campaign.start(tmp_path / "latp", SMALL)
    page = run_page("next_pellets", campaign=str(tmp_path / "latp"))
    page.button[0].click().run()
    page.text_input[2].set_value("much")
    next(one for one in page.button if one.label == "Add the pellet").click().run()
    assert any("much" in error.value for error in page.error)
    assert Campaign.open(tmp_path / "latp").pellets is None


def test_missing_campaign_shows_no_exception_and_is_not_created(tmp_path: Path) -> None:
    page = run_page("next_pellets", campaign=str(tmp_path / "none"))
    assert not page.exception
    assert not (tmp_path / "none").exists()
