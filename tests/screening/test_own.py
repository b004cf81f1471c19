"""A screening moved by own pellets says of each recipe what a prediction with them says."""

from __future__ import annotations

import numpy as np
import pytest

from nasicon_ml.columns import Column
from nasicon_ml.data.own_pellets import own_pellets
from nasicon_ml.model import OwnModel
from nasicon_ml.screening.engine import screen
from nasicon_ml.screening.result import model_checksum
from nasicon_ml.screening.scoring import Effort, Question
from nasicon_ml.screening.space import SearchSpace
from nasicon_ml.workflows.predict import loaded_model, predict
from tests.contracts.source import ROOT

STATED = {
    "compositions": [{"system": "LATP", "x": [0.3, 0.4]}],
    "processing": {"sintering_temperature_c": [850, 900], "atmosphere": ["air", "Ar"]},
}


@pytest.mark.filterwarnings("ignore::nasicon_ml.errors.TableNote")
def test_a_screening_with_own_pellets_says_what_a_prediction_says() -> None:
    model = loaded_model(ROOT / "models" / "champion")
    own = own_pellets(ROOT / "examples" / "my_pellets.csv")
    moved = OwnModel.of(model, own)
    space, question, effort = SearchSpace.from_dict(STATED), Question(inside_only=False), Effort(1, 3)
    found = screen(space, moved, question, effort).kept
    same = predict(found, model, own=own).results
    for column in (Column.PREDICTED_CONDUCTIVITY_S_CM, Column.PREDICTED_RELATIVE_DENSITY_PCT):
        np.testing.assert_allclose(found[column].to_numpy(), same[column].to_numpy(), rtol=1e-9)
    assert found[Column.PREDICTED_CONDUCTIVITY_S_CM].is_monotonic_decreasing
    without = screen(space, model, question, effort).kept.set_index(Column.SPACE_POSITION)
    both = found.set_index(Column.SPACE_POSITION)[Column.PREDICTED_CONDUCTIVITY_S_CM]
    assert (both / without[Column.PREDICTED_CONDUCTIVITY_S_CM] - 1).abs().min() > 1e-3
    assert model_checksum(moved) != model_checksum(model)  # none goes on with the screening of the other
