"""A screening with own pellets agrees with a prediction with own pellets."""

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

SPEC = {
    "compositions": [{"system": "LATP", "x": [0.3, 0.4]}],
    "processing": {"sintering_temperature_c": [850, 900], "atmosphere": ["air", "Ar"]},
}


@pytest.mark.filterwarnings("ignore::nasicon_ml.errors.TableNote")
def test_screening_with_own_pellets_agrees_with_predict() -> None:
    model = loaded_model(ROOT / "models" / "champion")
    pellets = own_pellets(ROOT / "examples" / "my_pellets.csv")
    own_model = OwnModel.of(model, pellets)
    space, question, effort = SearchSpace.from_dict(SPEC), Question(inside_only=False), Effort(1, 3)
    kept = screen(space, own_model, question, effort).kept
    predicted = predict(kept, model, own=pellets).results
    for column in (Column.PREDICTED_CONDUCTIVITY_S_CM, Column.PREDICTED_RELATIVE_DENSITY_PCT):
        np.testing.assert_allclose(kept[column].to_numpy(), predicted[column].to_numpy(), rtol=1e-9)
    assert kept[Column.PREDICTED_CONDUCTIVITY_S_CM].is_monotonic_decreasing
    kept_without_own = screen(space, model, question, effort).kept.set_index(Column.SPACE_POSITION)
    conductivity = kept.set_index(Column.SPACE_POSITION)[Column.PREDICTED_CONDUCTIVITY_S_CM]
    assert (conductivity / kept_without_own[Column.PREDICTED_CONDUCTIVITY_S_CM] - 1).abs().min() > 1e-3
    assert model_checksum(own_model) != model_checksum(model)  # so that neither resumes a screening of the other
