"""Protocol P8 in the benchmark: every number of known pellets is scored, and gains by hand."""

from __future__ import annotations

import pandas as pd
import pytest
from benchmarks.ground import Options
from benchmarks.own_pellets import gains, known, score_own

from nasicon_ml.columns import Column

OPTIONS = Options(folds=3, repeats=1, draws=100, threads=1)


def test_gains_by_hand() -> None:
    rows = pd.DataFrame(
        {
            str(Column.SOURCE): ["a", "a", "b", "a", "a", "b"],
            str(Column.PELLET_ID): ["a1", "a2", "b1"] * 2,
            "k": [0, 0, 0, 2, 2, 2],
            "measured": 0.0,
            "predicted": [1.0, 3.0, 8.0, 0.0, 2.0, 4.0],
            "weight": [1.0, 1.0, 2.0, 1.0, 1.0, 2.0],
        }
    )
    (row,) = gains(rows, OPTIONS)
    assert (row["ours"], row["peer"]) == (known(2), known(0))
    assert (row["score_ours"], row["score_peer"], row["difference"]) == (2.5, 5, -2.5)
    # A draw of "a" alone gains 1, one of "b" alone 4.
    assert (row["lower"], row["upper"], row["verdict"]) == (-4, -1, "better")


def test_names() -> None:
    assert (known(1), known(2)) == ("ours, 1 pellet known", "ours, 2 pellets known")


@pytest.mark.slow
def test_every_number_of_known_pellets_is_scored(trained) -> None:
    found = score_own(trained.out_of_fold, trained.model.pellets, OPTIONS)
    scores = pd.DataFrame(found.scores)
    assert set(scores["model"]) == {known(k) for k in range(4)}
    assert set(scores["target"]) == {"conductivity", "relative_density", "phase_purity"}
    errors = scores[scores["metric"] == "mae_decades"].set_index("model")["mean"]
    assert errors[known(3)] < errors[known(0)]
    for row in found.differences:
        assert row["difference"] == pytest.approx(row["score_ours"] - row["score_peer"])
        by_table = scores.query("target == @row['target'] and metric == @row['metric'] and model == @row['peer']")
        assert row["score_peer"] == pytest.approx(by_table["mean"].iloc[0])
