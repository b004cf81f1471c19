import numpy as np
import pandas as pd
import pytest
from tools.uncertainty_tables import coverage_table, domain_table

from nasicon_ml.columns import Column
from nasicon_ml.evaluation.cross_validation import LEVELS, interval_columns
from nasicon_ml.evaluation.scores import KNOWN_PROCESSING, coverage_curve, domain_curve, score_table


@pytest.fixture(scope="module")
def out_of_fold():
    """Normal errors with scale 1 inside the domain, 2 outside; intervals are correct for scale 1."""
    rng = np.random.default_rng(0)
    frames = []
    for target in ("conductivity", "relative_density", "phase_purity"):
        n = 1200
        outside = np.arange(n) % 10 == 0
        error = rng.normal(size=n) * np.where(outside, 2.0, 1.0)
        columns = {
            "target": target, "repeat": 0, "fold": np.arange(n) % 10,
            Column.PELLET_ID.value: np.arange(n).astype(str),
            Column.SOURCE.value: [f"s{number % 300}" for number in range(n)],
            Column.SYSTEM.value: np.where(np.arange(n) % 3 == 0, "LAGP", "LATP"),
            Column.MEASUREMENT_TEMPERATURE_C.value: 25.0, Column.SINTERING_TEMPERATURE_C.value: 900.0,
            "measured": error, "predicted": 0.0, "composition_only": 0.0, "median": 0.0,
            "unknown_share": np.arange(n) % 11 / 10, Column.DOMAIN_SCORE.value: np.where(outside, 1.5, 0.5),
        }  # fmt: skip
        if target == "phase_purity":
            columns["predicted"] = rng.uniform(0.05, 0.95, n)
            columns["measured"] = (rng.uniform(size=n) < columns["predicted"]).astype(float)
            columns["median"] = 0.5
        from scipy.stats import norm

        columns["level_needed"] = 2 * norm.cdf(np.abs(error)) - 1
        for level in LEVELS:
            half = norm.ppf(0.5 + level / 2)
            columns |= dict(zip(interval_columns(level), (np.full(n, -half), np.full(n, half)), strict=True))
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)


def test_coverage_table_has_coverage_standard_error_width_and_counts(out_of_fold):
    table = coverage_table(out_of_fold).set_index(["target", "subset", "level"]).sort_index()
    inside = table.xs(("conductivity", "inside the domain"))
    assert inside["coverage"].to_numpy() == pytest.approx(LEVELS, abs=0.03)
    assert table.loc[("conductivity", "outside the domain", 0.9), "coverage"] < 0.75
    assert inside.loc[0.9, "width"] == pytest.approx(2 * 1.6449, abs=1e-3)
    assert inside.loc[0.5, "coverage_se"] == pytest.approx(np.sqrt(0.25 / 1080), rel=0.25)
    assert table.loc[("relative_density", "all", 0.9), ["n_rows", "n_sources"]].tolist() == [1200, 300]


def test_correlated_errors_of_a_source_increase_the_standard_error(out_of_fold):
    correlated = out_of_fold.copy()
    correlated["measured"] = correlated.groupby(["target", Column.SOURCE])["measured"].transform("first")
    with_correlation, without_correlation = (
        coverage_table(frame).set_index(["target", "subset", "level"]).loc[("conductivity", "all", 0.5)]
        for frame in (correlated, out_of_fold)
    )
    assert with_correlation["coverage_se"] > 1.6 * without_correlation["coverage_se"]


def test_subsets_by_known_processing_add_up_to_all_rows(out_of_fold):
    table = coverage_table(out_of_fold)
    rows = table[(table["target"] == "conductivity") & (table["level"] == 0.9)].set_index("subset")
    assert rows.loc[list(KNOWN_PROCESSING), "n_rows"].sum() == rows.loc["all", "n_rows"]


def test_coverage_curve_agrees_with_the_table(out_of_fold):
    rows = out_of_fold[out_of_fold["target"] == "conductivity"]
    curve = coverage_curve(rows, np.array(LEVELS))
    table = coverage_table(out_of_fold).set_index(["target", "subset", "level"])
    assert curve["coverage"].tolist() == pytest.approx(
        [table.loc[("conductivity", "all", level), "coverage"] for level in LEVELS]
    )
    assert (np.diff(curve["coverage"]) > 0).all()


def test_domain_table_compares_errors_outside_and_inside(out_of_fold):
    table = domain_table(out_of_fold).set_index(["target", "subset"])
    row = table.loc[("conductivity", "all")]
    assert row["share_outside"] == pytest.approx(0.1)
    assert row["ratio"] == pytest.approx(row["error_outside"] / row["error_inside"])
    assert row["ratio_lower"] < row["ratio"] < row["ratio_upper"]
    assert row["ratio_lower"] > 1.6
    assert table.loc[("phase_purity", "all"), "ratio"] == pytest.approx(1.0, abs=0.3), (
        "purity errors do not depend on the domain"
    )


def test_domain_table_is_empty_if_all_pellets_are_inside(out_of_fold):
    inside = out_of_fold.assign(**{Column.DOMAIN_SCORE.value: 0.5})
    assert domain_table(inside).empty


def test_domain_curve_has_larger_errors_outside_than_inside(out_of_fold):
    curve = domain_curve(out_of_fold, "conductivity", groups=10)
    assert curve["n_rows"].sum() == 1200
    assert curve["score"].is_monotonic_increasing
    assert curve["error"].iloc[-1] > 1.5 * curve["error"].iloc[0]
    outside = (
        domain_table(out_of_fold).set_index(["target", "subset"]).loc[("conductivity", "all"), "error_outside"]
    )
    assert curve["error"].iloc[-1] == pytest.approx(outside)
    inside = out_of_fold.assign(**{Column.DOMAIN_SCORE.value: 0.5})
    assert len(domain_curve(inside, "conductivity", groups=10)) == 9


def test_score_table_has_all_levels_and_both_domain_subsets(out_of_fold):
    scores = score_table(out_of_fold).set_index(["target", "subset", "model", "metric"])["value"]
    for level in LEVELS:
        name = f"coverage_{100 * level:.0f}"
        assert scores["relative_density", "inside the domain", "full", name] == pytest.approx(level, abs=0.03)
    widths = [scores["conductivity", "all", "full", f"width_{level}_decades"] for level in (50, 80, 90)]
    assert widths == sorted(widths)
    ratio = (
        scores["conductivity", "outside the domain", "full", "mae_decades"]
        / scores["conductivity", "inside the domain", "full", "mae_decades"]
    )
    assert ratio == pytest.approx(2.0, rel=0.3)


def test_calibration_error_of_correct_probabilities_is_that_by_chance(out_of_fold):
    scores = score_table(out_of_fold).set_index(["target", "subset", "model", "metric"])["value"]
    chance = scores["phase_purity", "all", "full", "ece_by_chance"]
    assert 0.01 < chance < 0.05
    assert scores["phase_purity", "all", "full", "ece"] == pytest.approx(chance, abs=0.02)
