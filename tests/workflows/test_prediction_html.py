"""What a notebook shows of a prediction and a model."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pandas as pd
import pytest

from nasicon_ml import Recipe, predict
from nasicon_ml.workflows.predict import MOST_ROWS, Prediction, default_bundle, loaded_model


@pytest.fixture(scope="module")
def prediction() -> Prediction:
    stated = {"sintering_temperature_c": 900, "additive": "LiF", "additive_amount": 2, "additive_unit": "wt%"}
    return predict([Recipe(formula="LATP x=0.3", **stated), Recipe(formula="Li1.3Bi0.3Ti1.7(PO4)3")])


def cells(prediction: Prediction) -> list[list[str]]:
    root = ET.fromstring(f"<div>{prediction._repr_html_()}</div>")  # noqa: S314 -- our own
    return [["".join(cell.itertext()) for cell in row] for row in root.iter("tr")]


def test_model_and_prediction_are_one_line(prediction: Prediction) -> None:
    model = loaded_model(default_bundle())
    assert repr(model).startswith("<PropertyModel trained 20")
    assert f"{model.metadata.dataset_rows:,} pellets" in repr(model)
    assert repr(prediction) == f"<Prediction of 2 recipes, intervals of 90 %, by {model!r}>"


def test_the_table_has_the_numbers_of_the_prediction(prediction: Prediction) -> None:
    heads, first, second = cells(prediction)
    assert heads[1] == "conductivity (S/cm), 90 % interval"
    answers = prediction.results
    assert first[0] == "Li1.3Al0.3Ti1.7(PO4)3with 2 wt% LiF, 900 \u00b0C"
    assert first[1].startswith(f"{answers['predicted_conductivity_s_cm'][0]:.1e}")
    assert first[2].endswith(f"to {answers['predicted_relative_density_upper_pct'][0]:.1f}")
    assert first[3] == f"{100 * answers['predicted_phase_purity'][0]:.0f} %"
    assert [row[4] for row in (first, second)] == [
        "inside" if inside else "OUTSIDE" for inside in answers["inside_domain"]
    ]


def test_what_a_recipe_says_is_text_and_many_rows_are_counted(prediction: Prediction) -> None:
    recipes = pd.concat([prediction.recipes.head(1)] * (MOST_ROWS + 2), ignore_index=True)
    many = predict(recipes)
    object.__setattr__(many, "recipes", recipes.assign(additive="<script>alert(1)</script>"))
    shown = many._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert "2 more recipes" in shown
    assert len(cells(many)) == 1 + MOST_ROWS
