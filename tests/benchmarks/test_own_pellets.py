"""Protocol P8 in the benchmark: every number of known pellets is scored, and gains by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from benchmarks.dataset import Options
from benchmarks.own_pellets import gains, known, own_pellets_predictions, score_own, summarise_own_pellets

from benchmarks import own_pellets as p8
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


@pytest.fixture(scope="module")
def frame(trained):
    """Out-of-fold densities: the smallest target."""
    table = trained.out_of_fold
    return table[table["target"] == "relative_density"].reset_index(drop=True)


@pytest.fixture(scope="module")
def found(frame, trained):
    return own_pellets_predictions(frame, trained.model.pellets, ks=(0, 2), draws=4)


def test_only_sources_with_enough_lithium_pellets_are_asked_about(found, frame):
    lithium = frame[frame["system"].str.startswith("L")]
    counts = lithium["source"].value_counts()
    assert set(found["source"]) == set(counts[counts >= 4].index)
    for k, rows in found.groupby("k"):
        assert rows["weight"].sum() == pytest.approx(counts[counts >= 4].sum())
        sizes = rows.groupby(["source", "draw"]).size()
        assert (sizes == counts[sizes.index.get_level_values("source")].to_numpy() - k).all()


def test_without_known_pellets_it_is_the_out_of_fold_prediction(found, frame):
    nothing = found[found["k"] == 0].drop_duplicates("pellet_id").set_index("pellet_id")
    same = frame.set_index("pellet_id").loc[nothing.index]
    for column in ("measured", "predicted", "lower", "upper"):
        np.testing.assert_allclose(nothing[column], same[column], rtol=1e-9)


def test_known_pellets_help(trained, frame):
    curve = summarise_own_pellets(
        own_pellets_predictions(frame, trained.model.pellets, ks=(0, 3), draws=6)
    ).set_index("k")
    assert curve.loc[3, "mae"] < 0.9 * curve.loc[0, "mae"]
    assert curve.loc[3, "coverage_90"] == pytest.approx(0.9, abs=0.08)
    assert curve[["brier", "auroc"]].isna().all().all()


@pytest.mark.slow
def test_what_is_to_be_predicted_has_no_say(found, frame, trained):
    """Spoil one measured value: where its pellet is asked about and not known, its source's answers stay."""
    spoiled_id = found["pellet_id"].iloc[0]
    source = found["source"].iloc[0]
    spoiled = frame.copy()
    spoiled.loc[spoiled["pellet_id"] == spoiled_id, "measured"] = 41.0
    again = own_pellets_predictions(spoiled, trained.model.pellets, ks=(0, 2), draws=4)
    keys = ["source", "draw", "k"]
    asked = found.loc[found["pellet_id"] == spoiled_id, keys]
    chosen = [
        table.merge(asked, on=keys)[[*keys, "pellet_id", "predicted", "lower", "upper"]]
        for table in (found, again)
    ]
    assert len(chosen[0]) > len(asked) > 4
    pd.testing.assert_frame_equal(*chosen)
    # Known, it does have a say: otherwise this test could not fail.
    others = found["source"].eq(source) & (found["k"] == 2)
    assert not np.allclose(found.loc[others, "predicted"], again.loc[others, "predicted"])


def test_no_covariance_is_fitted_to_the_source_it_is_used_on(frame, trained, monkeypatch):
    fitted = []

    def remember(errors, *, seed=0):
        fitted.append(set(errors.sources))
        return real(errors, seed=seed)

    real = p8.fit_own_kernel
    monkeypatch.setattr(p8, "fit_own_kernel", remember)
    own_pellets_predictions(frame, trained.model.pellets, ks=(1,), draws=1)
    everything = set(frame["source"])
    assert len(fitted) == frame["fold"].nunique()
    left_out = [everything - sources for sources in fitted]
    assert set().union(*left_out) == everything
    for fold, sources in zip(sorted(frame["fold"].unique()), left_out, strict=True):
        assert sources == set(frame.loc[frame["fold"] == fold, "source"])


@pytest.mark.slow
def test_purity_is_scored_as_a_probability(trained):
    table = trained.out_of_fold
    purity = table[table["target"] == "phase_purity"]
    curve = summarise_own_pellets(
        own_pellets_predictions(purity, trained.model.pellets, ks=(0, 2), draws=3)
    ).set_index("k")
    assert curve.loc[2, "brier"] < curve.loc[0, "brier"]
    assert curve.loc[2, "auroc"] > curve.loc[0, "auroc"]
    assert curve[["mae", "coverage_90"]].isna().all().all()
