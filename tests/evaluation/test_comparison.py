"""Two models on the same pellets: what is paired, and what the difference is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.bundle.out_of_fold import no_rows
from nasicon_ml.columns import Column
from nasicon_ml.errors import DatasetError
from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.evaluation.comparison import compare, compare_with_baseline

CONDUCTIVITY, DENSITY, PURITY = (
    TargetName.CONDUCTIVITY, TargetName.RELATIVE_DENSITY, TargetName.PHASE_PURITY
)  # fmt: skip
N_SOURCES, PER_SOURCE = 12, 3


def held_out(error: float = 0.1, repeats: int = 1, seed: int = 0) -> pd.DataFrame:
    """Make an out-of-fold table in which every prediction is off by the same error."""
    rng = np.random.default_rng(0)
    parts = []
    for target in (CONDUCTIVITY, DENSITY, PURITY):
        measured = rng.integers(0, 2, N_SOURCES * PER_SOURCE).astype(float)
        for repeat in range(repeats):
            deal = np.random.default_rng([seed, repeat]).permutation(N_SOURCES) % 3
            sources = np.repeat(np.arange(N_SOURCES), PER_SOURCE)
            parts.append(
                pd.DataFrame(
                    {
                        "target": str(target),
                        "repeat": repeat,
                        "fold": deal[sources],
                        str(Column.PELLET_ID): [f"p{number}" for number in range(len(measured))],
                        str(Column.SOURCE): [f"s{number}" for number in sources],
                        str(Column.SYSTEM): "LATP",
                        str(Column.MEASUREMENT_TEMPERATURE_C): 25.0,
                        str(Column.SINTERING_TEMPERATURE_C): 900.0,
                        "measured": measured,
                        "predicted": measured + error,
                        "median": 0.5,
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)


@given(st.floats(0.01, 0.4), st.floats(0.01, 0.4))
def test_the_difference_is_that_of_the_scores(first: float, second: float) -> None:
    scores = {score.target: score for score in compare(held_out(first), held_out(second))}
    assert set(scores) == {CONDUCTIVITY, DENSITY, PURITY}
    assert scores[CONDUCTIVITY].difference.value == pytest.approx(second - first, abs=1e-12)
    assert scores[PURITY].difference.value == pytest.approx(second**2 - first**2, abs=1e-12)
    for score in scores.values():
        assert score.candidate - score.reference == pytest.approx(score.difference.value, abs=1e-12)
        assert (score.n_rows, score.n_sources) == (N_SOURCES * PER_SOURCE, N_SOURCES)
        assert (score.share, score.same_folds) == (1.0, True)


def test_a_model_compared_with_itself_differs_in_nothing(trained) -> None:
    for score in compare(trained.out_of_fold, trained.out_of_fold):
        assert (score.difference.value, score.difference.lower, score.difference.upper) == (0, 0, 0)
        assert score.same_folds


def test_scores_are_those_of_the_score_table(trained) -> None:
    table = trained.scores
    table = table[(table["subset"] == "all") & (table["model"] == "full")].set_index(["target", "metric"])["value"]
    for score in compare_with_baseline(trained.out_of_fold):
        assert score.candidate == pytest.approx(table[str(score.target), score.metric], rel=1e-9)
        assert score.difference.value < 0


def test_the_interval_is_wider_when_few_sources_decide() -> None:
    worse_in_one, worse_in_all = held_out(0.1), held_out(0.1)
    one = worse_in_one[str(Column.SOURCE)] == "s0"
    worse_in_one.loc[one, "predicted"] += 1.2
    worse_in_all["predicted"] += 0.1
    of_one, of_all = (compare(held_out(0.1), table)[0].difference for table in (worse_in_one, worse_in_all))
    assert of_one.value == pytest.approx(of_all.value)
    assert of_one.lower == 0
    assert of_all.lower == pytest.approx(0.1)


def test_other_folds_are_told_whatever_they_are_called() -> None:
    renamed = held_out().assign(fold=lambda table: 2 - table["fold"])
    assert all(score.same_folds for score in compare(held_out(), renamed))
    assert not any(score.same_folds for score in compare(held_out(), held_out(seed=1)))


def test_only_common_pellets_and_repeats_count() -> None:
    one = held_out()[str(Column.PELLET_ID)] == "p0"
    fewer = held_out(0.2)[~one]
    for score in compare(held_out(repeats=3), fewer):
        assert score.n_rows == N_SOURCES * PER_SOURCE - 1
        assert score.share == pytest.approx(1 - 1 / (N_SOURCES * PER_SOURCE))
        assert score.same_folds


def test_a_pellet_whose_value_was_corrected_is_left_out() -> None:
    corrected = held_out(0.2)
    corrected.loc[corrected[str(Column.PELLET_ID)] == "p5", "measured"] += 1
    assert {score.n_rows for score in compare(held_out(), corrected)} == {N_SOURCES * PER_SOURCE - 1}


def test_what_cannot_be_compared_says_so() -> None:
    with pytest.raises(DatasetError, match="without out-of-fold predictions"):
        compare(no_rows(), held_out())
    with pytest.raises(DatasetError, match="no out-of-fold predictions of relative density"):
        compare(held_out(), held_out()[lambda table: table["target"] != str(DENSITY)])
    other = held_out().assign(**{str(Column.PELLET_ID): lambda table: "x" + table[str(Column.PELLET_ID)]})
    with pytest.raises(DatasetError, match="no pellet with conductivity in common"):
        compare(held_out(), other)
