"""Answers in numbers for many recipes are those that a single recipe gets."""

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


def value_of(column: Column) -> st.SearchStrategy[object]:
    """Any value that a recipe may have, the extremes and nothing among them, and choices that there are not."""
    if column.kind is Kind.CATEGORY:
        return st.sampled_from([None, *column.choices, "what nobody has heard of"])
    low, high = float(column.minimum), float(column.maximum)
    return st.one_of(st.none(), st.sampled_from([low, high]), st.floats(low, high))


def as_read(rows: list[dict[str, object]]) -> pd.DataFrame:
    """Make the table that reading such rows would give, without the checks: choices may be any text."""
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
    made = []
    for formula, _ in rows:
        given_ = draw(st.lists(st.sampled_from(PROCESSING), unique=True, max_size=len(PROCESSING)))
        made.append({"formula": formula} | {str(column): draw(value_of(column)) for column in given_})
    return as_read(made)


def numbers_of(frame: pd.DataFrame, columns: list[Column]) -> np.ndarray:
    return frame[[str(column) for column in columns]].to_numpy(dtype=np.float64)


@pytest.mark.slow
@given(tables(), st.sampled_from([0.5, 0.9]))
@settings(max_examples=25)
def test_many_at_once_get_what_each_gets_alone(table: pd.DataFrame, level: float) -> None:
    scores = MODEL.scores(table, level=level)
    together = np.column_stack([np.asarray(values, dtype=np.float64) for values in scores.values()])
    alone = np.vstack(
        [
            numbers_of(MODEL.predict(table.iloc[[row]].reset_index(drop=True), level=level), list(scores))
            for row in range(len(table))
        ]
    )
    assert np.array_equal(together, alone)
    assert np.isfinite(together).all()


def table_of_pairs(compositions: int, **fields: object) -> pd.DataFrame:
    """Combine some compositions, titanium's and germanium's, with some hundred ways of making them."""
    xs = np.linspace(0.0, 0.6, compositions // 2)
    formulas = [f"{system} x={x:.3f}" for system in ("LATP", "LAGP") for x in xs]
    ways = [
        {"sintering_temperature_c": c, "sintering_time_h": h, "atmosphere": gas, "particle_size_um": um}
        for c in (None, 700.0, 850.0, 950.0, 1100.0)
        for h in (None, 0.5, 12.0)
        for gas in (None, "air", "Ar/H2")
        for um in (0.3, 3.0, None)
    ]
    rows = [{"formula": formula} | way | fields for way in ways for formula in formulas]
    return as_read(rows)


@pytest.mark.parametrize(
    "fields", [{}, {"additive": "LiF", "additive_amount": 1.0, "additive_unit": "mol%", "pressure_mpa": 50.0}]
)
def test_all_pairs_of_compositions_and_ways_get_what_each_gets_alone(monkeypatch, fields) -> None:
    """Such tables are answered pair by pair, unless one forbids it."""
    table = table_of_pairs(10, **fields)
    pairs = MODEL.scores(table)
    calls = []
    predicted = MODEL.predict(table)
    monkeypatch.setattr(model, "pairing_is_faster", lambda pairs: calls.append(pairs.coverage))
    rows = MODEL.scores(table)
    assert calls == [1.0]
    some = table.iloc[::97].reset_index(drop=True)
    alone = MODEL.predict(some)
    for column, values in pairs.items():
        assert np.array_equal(values, rows[column]), column
        assert np.array_equal(values, predicted[str(column)].to_numpy()), column
        assert np.array_equal(values[::97], alone[str(column)].to_numpy()), column


def test_a_part_of_all_pairs_in_any_order_gets_the_same() -> None:
    table = table_of_pairs(12)
    whole = MODEL.scores(table)
    rows = np.random.default_rng(0).permutation(len(table))[:1100]
    part = MODEL.scores(table.iloc[rows].reset_index(drop=True))
    for column, values in part.items():
        assert np.array_equal(values, whole[column][rows]), column


def test_they_are_all_answers_that_are_numbers() -> None:
    expected = {column for column in PREDICTION if column.kind in (Kind.NUMBER, Kind.FLAG)}
    assert set(MODEL.scores(recipe_table([Recipe(formula="LTP")]))) == expected


def test_compositions_that_were_read_before_need_no_formula() -> None:
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
    with_formula, without = MODEL.scores(table), MODEL.scores(categorical, sites=sites)
    for column, values in with_formula.items():
        assert np.array_equal(values, without[column]), column
