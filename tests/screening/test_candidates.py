"""Answers for candidates are those for the recipes that they spell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasicon_ml.columns import Column
from nasicon_ml.model import PropertyModel
from nasicon_ml.recipe import Recipe, recipe_table
from nasicon_ml.screening import SearchSpace
from tests.contracts.source import ROOT
from tests.screening.stated_spaces import small

MODEL = PropertyModel.load(Path(ROOT) / "models" / "champion")
SPACES = {
    "small": SearchSpace.from_dict(small()),
    "nothing but compositions": SearchSpace.from_dict({"compositions": small()["compositions"]}),
    "argon": SearchSpace.from_yaml(ROOT / "examples" / "screening" / "argon_cosintering.yaml"),
    "example": SearchSpace.from_yaml(ROOT / "examples" / "screening" / "small.yaml"),
}


@pytest.mark.parametrize("name", SPACES)
@given(seed=st.integers(0, 2**32), level=st.sampled_from([0.5, 0.9]))
@settings(max_examples=4)
def test_scores_are_the_predictions_for_the_same_fields(name: str, seed: int, level: float) -> None:
    space = SPACES[name]
    found = space.at(np.random.default_rng(seed).integers(space.size, size=60))
    made = []
    for row, formula in enumerate(found.formulas(range(len(found)))):
        fields = {key: value for key, value in found.table.iloc[row].items() if not pd.isna(value)}
        fields.pop(Column.MEASUREMENT_TEMPERATURE_C.value, None)
        made.append(Recipe.from_dict({Column.FORMULA.value: formula, **fields}))
    table = recipe_table(made)
    temperature = Column.MEASUREMENT_TEMPERATURE_C.value
    table[temperature] = found.table[temperature]
    expected = MODEL.predict(table, level=level)
    for column, values in MODEL.scores(found.table, level=level, sites=found.sites).items():
        np.testing.assert_allclose(values, expected[column].to_numpy(dtype=np.float64), rtol=1e-9, err_msg=column)
    systems = found.sites.per_row(found.sites.systems)
    assert expected[Column.SYSTEM].tolist() == systems.tolist()
