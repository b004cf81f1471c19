"""Benchmark protocol P8: predictions and scores with k known own pellets, and hand-computed gains."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from benchmarks.dataset import Options
from benchmarks.own_pellets import gains, known, own_pellets_predictions, score_own, summarise_own_pellets

from benchmarks import own_pellets as p8
from nasicon_ml.columns import Column

OPTIONS = Options(folds=3, repeats=1, draws=100, threads=1)


def test_gains_match_hand_computed_values() -> None:
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
    # Bootstrap draws of only "a" gain 1, those of only "b" gain 4.
    assert (row["lower"], row["upper"], row["verdict"]) == (-4, -1, "better")


def test_model_name_has_the_number_of_known_pellets() -> None:
    assert (known(1), known(2)) == ("ours, 1 pellet known", "ours, 2 pellets known")


@pytest.mark.slow
def test_scores_exist_for_each_number_of_known_pellets(trained) -> None:
    results = score_own(trained.out_of_fold, trained.model.pellets, OPTIONS)
    scores = pd.DataFrame(results.scores)
    assert set(scores["model"]) == {known(k) for k in range(4)}
    assert set(scores["target"]) == {"conductivity", "relative_density", "phase_purity"}
    errors = scores[scores["metric"] == "mae_decades"].set_index("model")["mean"]
    assert errors[known(3)] < errors[known(0)]
    for row in results.differences:
        assert row["difference"] == pytest.approx(row["score_ours"] - row["score_peer"])
        by_table = scores.query("target == @row['target'] and metric == @row['metric'] and model == @row['peer']")
        assert row["score_peer"] == pytest.approx(by_table["mean"].iloc[0])


@pytest.fixture(scope="module")
def densities(trained):
    """Out-of-fold predictions of density, the target with the fewest pellets."""
    frame = trained.out_of_fold
    return frame[frame["target"] == "relative_density"].reset_index(drop=True)


@pytest.fixture(scope="module")
def predictions(densities, trained):
    return own_pellets_predictions(densities, trained.model.pellets, ks=(0, 2), draws=4)


def test_only_sources_with_enough_lithium_pellets_are_predicted(predictions, densities):
    lithium = densities[densities["system"].str.startswith("L")]
    counts = lithium["source"].value_counts()
    assert set(predictions["source"]) == set(counts[counts >= 4].index)
    for k, rows in predictions.groupby("k"):
        assert rows["weight"].sum() == pytest.approx(counts[counts >= 4].sum())
        sizes = rows.groupby(["source", "draw"]).size()
        assert (sizes == counts[sizes.index.get_level_values("source")].to_numpy() - k).all()


def test_predictions_without_known_pellets_equal_out_of_fold_predictions(predictions, densities):
    without_known = predictions[predictions["k"] == 0].drop_duplicates("pellet_id").set_index("pellet_id")
    out_of_fold = densities.set_index("pellet_id").loc[without_known.index]
    for column in ("measured", "predicted", "lower", "upper"):
        np.testing.assert_allclose(without_known[column], out_of_fold[column], rtol=1e-9)


def test_known_pellets_reduce_the_error(trained, densities):
    curve = summarise_own_pellets(
        own_pellets_predictions(densities, trained.model.pellets, ks=(0, 3), draws=6)
    ).set_index("k")
    assert curve.loc[3, "mae"] < 0.9 * curve.loc[0, "mae"]
    assert curve.loc[3, "coverage_90"] == pytest.approx(0.9, abs=0.08)
    assert curve[["brier", "auroc"]].isna().all().all()


@pytest.mark.slow
def test_predictions_do_not_depend_on_the_measurement_to_be_predicted(predictions, densities, trained):
    """A wrong measured value changes no prediction in draws in which its pellet is predicted and not known."""
    wrong_id = predictions["pellet_id"].iloc[0]
    source = predictions["source"].iloc[0]
    wrong = densities.copy()
    wrong.loc[wrong["pellet_id"] == wrong_id, "measured"] = 41.0
    changed = own_pellets_predictions(wrong, trained.model.pellets, ks=(0, 2), draws=4)
    keys = ["source", "draw", "k"]
    tested_draws = predictions.loc[predictions["pellet_id"] == wrong_id, keys]
    chosen = [
        frame.merge(tested_draws, on=keys)[[*keys, "pellet_id", "predicted", "lower", "upper"]]
        for frame in (predictions, changed)
    ]
    assert len(chosen[0]) > len(tested_draws) > 4
    pd.testing.assert_frame_equal(*chosen)
    # Draws in which it is known do change, so this test can fail.
    others = predictions["source"].eq(source) & (predictions["k"] == 2)
    assert not np.allclose(predictions.loc[others, "predicted"], changed.loc[others, "predicted"])


def test_own_kernel_is_fitted_without_the_sources_it_is_used_on(densities, trained, monkeypatch):
    fitted = []

    def record(errors, *, seed=0):
        fitted.append(set(errors.sources))
        return original(errors, seed=seed)

    original = p8.fit_own_kernel
    monkeypatch.setattr(p8, "fit_own_kernel", record)
    own_pellets_predictions(densities, trained.model.pellets, ks=(1,), draws=1)
    all_sources = set(densities["source"])
    assert len(fitted) == densities["fold"].nunique()
    left_out = [all_sources - sources for sources in fitted]
    assert set().union(*left_out) == all_sources
    for fold, sources in zip(sorted(densities["fold"].unique()), left_out, strict=True):
        assert sources == set(densities.loc[densities["fold"] == fold, "source"])


@pytest.mark.slow
def test_purity_is_scored_as_a_probability(trained):
    frame = trained.out_of_fold
    purity = frame[frame["target"] == "phase_purity"]
    curve = summarise_own_pellets(
        own_pellets_predictions(purity, trained.model.pellets, ks=(0, 2), draws=3)
    ).set_index("k")
    assert curve.loc[2, "brier"] < curve.loc[0, "brier"]
    assert curve.loc[2, "auroc"] > curve.loc[0, "auroc"]
    assert curve[["mae", "coverage_90"]].isna().all().all()
