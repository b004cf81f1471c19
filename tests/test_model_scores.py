"""`PropertyModel.scores` of many recipes equals `PropertyModel.predict` of single recipes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasicon_ml import model
from nasicon_ml.columns import MODEL_INPUT, PREDICTION, RECIPE, Column, Kind, Role
from nasicon_ml.composition import occupancies
from nasicon_ml.model import PropertyModel
from nasicon_ml.recipe import Recipe, recipe_table

MODEL = PropertyModel.load(Path(__file__).resolve().parents[1] / "models" / "champion")
FORMULAS = (
    "LATP x=0.3",
    "LAGP x=0.5",
    "LTP",
    "Li1.3Bi0.3Ti1.7(PO4)3",
    "Na3Zr2Si2PO12",
    "LiZr2(PO4)3",
    "LATP x=0.31",
)
PROCESSING = [column for column in RECIPE if column.role is Role.PROCESSING]


def processing_values(column: Column) -> st.SearchStrategy[object]:
    """Draw any allowed value, a bound, a missing value, or an unknown category."""
    if column.kind is Kind.CATEGORY:
        return st.sampled_from([None, *column.choices, "unknown category"])
    low, high = float(column.minimum), float(column.maximum)
    return st.one_of(st.none(), st.sampled_from([low, high]), st.floats(low, high))


def as_parsed_table(rows: list[dict[str, object]]) -> pd.DataFrame:
    """Return the table that reading these rows gives, but without checks: categories may be any text."""
    table = pd.DataFrame(rows, columns=[str(column) for column in MODEL_INPUT])
    numbers = [str(column) for column in MODEL_INPUT if column.kind is Kind.NUMBER]
    others = [name for name in table if name not in numbers]
    table[numbers] = table[numbers].astype("float64")
    table[others] = table[others].astype("object").where(table[others].notna(), None)
    return table


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    rows = draw(
        st.lists(st.tuples(st.sampled_from(FORMULAS), st.randoms(use_true_random=False)), min_size=1, max_size=6)
    )
    records = []
    for formula, _ in rows:
        columns = draw(st.lists(st.sampled_from(PROCESSING), unique=True, max_size=len(PROCESSING)))
        records.append({"formula": formula} | {str(column): draw(processing_values(column)) for column in columns})
    return as_parsed_table(records)


def as_array(frame: pd.DataFrame, columns: list[Column]) -> np.ndarray:
    return frame[[str(column) for column in columns]].to_numpy(dtype=np.float64)


@pytest.mark.slow
@given(tables(), st.sampled_from([0.5, 0.9]))
@settings(max_examples=25)
def test_scores_of_a_table_equal_predictions_of_single_rows(table: pd.DataFrame, level: float) -> None:
    scores = MODEL.scores(table, level=level)
    batch = np.column_stack([np.asarray(values, dtype=np.float64) for values in scores.values()])
    single = np.vstack(
        [
            as_array(MODEL.predict(table.iloc[[row]].reset_index(drop=True), level=level), list(scores))
            for row in range(len(table))
        ]
    )
    assert np.array_equal(batch, single)
    assert np.isfinite(batch).all()


def table_of_pairs(compositions: int, **fields: object) -> pd.DataFrame:
    """Combine compositions of LATP and LAGP with 135 settings of the processing."""
    xs = np.linspace(0.0, 0.6, compositions // 2)
    formulas = [f"{system} x={x:.3f}" for system in ("LATP", "LAGP") for x in xs]
    processing = [
        {"sintering_temperature_c": c, "sintering_time_h": h, "atmosphere": gas, "particle_size_um": um}
        for c in (None, 700.0, 850.0, 950.0, 1100.0)
        for h in (None, 0.5, 12.0)
        for gas in (None, "air", "Ar/H2")
        for um in (0.3, 3.0, None)
    ]
    rows = [{"formula": formula} | setting | fields for setting in processing for formula in formulas]
    return as_parsed_table(rows)


@pytest.mark.parametrize(
    "fields", [{}, {"additive": "LiF", "additive_amount": 1.0, "additive_unit": "mol%", "pressure_mpa": 50.0}]
)
def test_pairwise_scores_equal_scores_by_row_and_predictions(monkeypatch, fields) -> None:
    """Tables of all combinations are scored by pairs, unless `pairing_is_faster` is false."""
    table = table_of_pairs(10, **fields)
    pairs = MODEL.scores(table)
    calls = []
    predicted = MODEL.predict(table)
    monkeypatch.setattr(model, "pairing_is_faster", lambda pairs: calls.append(pairs.coverage))
    by_row = MODEL.scores(table)
    assert calls == [1.0]
    sample = table.iloc[::97].reset_index(drop=True)
    predicted_sample = MODEL.predict(sample)
    for column, values in pairs.items():
        assert np.array_equal(values, by_row[column]), column
        assert np.array_equal(values, predicted[str(column)].to_numpy()), column
        assert np.array_equal(values[::97], predicted_sample[str(column)].to_numpy()), column


def test_scores_of_a_shuffled_subset_are_unchanged() -> None:
    table = table_of_pairs(12)
    whole = MODEL.scores(table)
    rows = np.random.default_rng(0).permutation(len(table))[:1100]
    part = MODEL.scores(table.iloc[rows].reset_index(drop=True))
    for column, values in part.items():
        assert np.array_equal(values, whole[column][rows]), column


def test_scores_have_all_numeric_prediction_columns() -> None:
    expected = {column for column in PREDICTION if column.kind in (Kind.NUMBER, Kind.FLAG)}
    assert set(MODEL.scores(recipe_table([Recipe(formula="LTP")]))) == expected


def test_scores_from_occupancies_equal_scores_from_formulas() -> None:
    table = (
        MODEL.pellets[[str(column) for column in MODEL_INPUT]].sample(300, random_state=0).reset_index(drop=True)
    )
    sites = occupancies(table[Column.FORMULA].to_list())
    categorical = table.drop(columns=str(Column.FORMULA)).assign(
        **{
            str(column): pd.Categorical(table[column], categories=list(column.choices))
            for column in MODEL_INPUT
            if column.kind is Kind.CATEGORY
        }
    )
    with_formula, without_formula = MODEL.scores(table), MODEL.scores(categorical, sites=sites)
    for column, values in with_formula.items():
        assert np.array_equal(values, without_formula[column]), column
