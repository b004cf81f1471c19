"""The other pages say what the functions say that they call."""

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


def opened(name: str, **parameters: str) -> AppTest:
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


def test_the_literature_is_found_as_by_the_command() -> None:
    page = opened("literature")
    page.text_input("system").set_value("LAGP")
    page.multiselect("filters").set_value([Column.RELATIVE_DENSITY_PCT.axis_label]).run()
    page.text_input("filter relative_density_pct").set_value(">95").run()
    expected = find_pellets(system="LAGP", density=">95")
    shown = page.dataframe[0].value
    assert 0 < len(shown) == len(expected)
    assert shown[Column.PELLET_ID.value].tolist() == expected[Column.PELLET_ID.value].tolist()
    assert any(one.value.startswith(f"{len(expected)} pellets of ") for one in page.markdown)


@pytest.mark.parametrize(("key", "text", "said"), [("with", "Zz", "Zz"), ("system", "nothing so called", "")])
def test_what_cannot_be_found_is_said(key: str, text: str, said: str) -> None:
    page = opened("literature")
    page.text_input(key).set_value(text).run()
    assert not page.exception
    assert any(said in error.value for error in page.error) if said else not page.dataframe


def test_recipes_of_the_address_are_compared() -> None:
    rows = [
        {"formula": "LATP x=0.3", "sintering_temperature_c": 850},
        {"formula": "LATP x=0.3", "sintering_temperature_c": 1000},
        {"formula": "Na3Zr2Si2PO12", "atmosphere": "air"},
    ]
    page = opened("compare", recipes=json.dumps(rows))
    assert not page.error
    found = differences(predict([Recipe.from_dict(row) for row in rows]))
    shown = page.dataframe[-1].value
    for target, each in found.items():
        cells = shown[f"higher {str(target).replace('_', ' ')}"].tolist()
        assert cells == ["", *(percent(one) for one in each.better[1:])]


@pytest.mark.parametrize("held", ["[[[", "7", '[{"formula": "nonsense"}, {"formula": "LATP"}]', "[]", "[{}]"])
def test_a_bad_address_is_no_fault(held: str) -> None:
    page = opened("compare", recipes=held)
    assert not page.exception
    assert not any("fault of nasicon" in error.value for error in page.error)


def test_the_card_of_the_model_is_shown() -> None:
    page = opened("models")
    assert any("## Known failures" in one.value for one in page.markdown)
    assert not page.error


def test_an_empty_registry_is_said() -> None:
    page = opened("models")
    page.toggle("registered").set_value(True).run()
    assert not page.exception
    assert page.info or page.error
    assert any("## Known failures" in one.value for one in page.markdown)
    assert not any("fault of nasicon" in error.value for error in page.error)


def card(page: AppTest) -> str:
    return next(one.value for one in page.markdown if "## Known failures" in one.value)


@pytest.mark.slow
def test_a_registered_version_can_be_chosen_to_answer(tmp_path: Path) -> None:
    import_bundle(default_bundle())
    import_bundle(ROOT / "tests" / "bundle" / "format_2")
    page = opened("models", registered="true")
    assert page.dataframe[0].value["version"].tolist() == ["2", "1"]
    assert page.dataframe[0].value["decades"].iloc[1]
    page.selectbox("answers").select("models:/nasicon-recipe/2").run()
    again = opened("models", registered="true", answers="models:/nasicon-recipe/2")
    cards = [
        next(one.value for one in pages.markdown if "## Known failures" in one.value) for pages in (page, again)
    ]
    assert cards[0] == cards[1] != opened("models").markdown[0].value
    assert not page.error
    assert not page.exception


def test_a_campaign_is_carried_on(tmp_path: Path) -> None:
    Campaign.start(tmp_path / "latp", SMALL)
    page = opened("next_pellets", campaign=str(tmp_path / "latp"))
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
    added = Campaign.open(tmp_path / "latp")
    assert added.pellets is not None
    assert added.pellets[Column.CONDUCTIVITY_TOTAL_S_CM.value].tolist() == [3.1e-4]
    assert added.pellets[Column.PHASE_PURE.value].tolist() == [True]
    assert len(added.open_batch) == 2


def test_a_result_that_cannot_be_is_refused(tmp_path: Path) -> None:
    Campaign.start(tmp_path / "latp", SMALL)
    page = opened("next_pellets", campaign=str(tmp_path / "latp"))
    page.button[0].click().run()
    page.text_input[2].set_value("much")
    next(one for one in page.button if one.label == "Add the pellet").click().run()
    assert any("much" in error.value for error in page.error)
    assert Campaign.open(tmp_path / "latp").pellets is None


def test_no_campaign_is_said_and_nothing_written(tmp_path: Path) -> None:
    page = opened("next_pellets", campaign=str(tmp_path / "none"))
    assert not page.exception
    assert not (tmp_path / "none").exists()
