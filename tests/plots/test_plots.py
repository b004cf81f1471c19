"""Figures of out-of-fold predictions, feature importance and predicted recipes."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from scipy.stats import binomtest

from nasicon_ml import plots
from nasicon_ml.columns import Column
from nasicon_ml.errors import DatasetError, FieldError, MissingExtraError, NasiconError
from nasicon_ml.plots.evaluation import crowding
from nasicon_ml.plots.recipes import subscripted
from nasicon_ml.plots.style import wilson
from tests.plots import frames

NUMERIC_TARGETS = ("conductivity", "relative_density")


@pytest.fixture(scope="module")
def out_of_fold():
    return frames.out_of_fold()


def texts(figure):
    return " | ".join(text.get_text() for axes in figure.axes for text in axes.texts)


def draw(figure, tmp_path):
    path = plots.save(figure, tmp_path / "figure.png")
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    return path


@pytest.mark.parametrize("target", NUMERIC_TARGETS)
@pytest.mark.parametrize("function", [plots.parity, plots.residuals_by_system, plots.interval_calibration])
def test_figures_of_numeric_targets_state_number_of_pellets_and_sources(function, target, out_of_fold, tmp_path):
    figure = function(out_of_fold, target)
    assert isinstance(figure, Figure)
    assert "400 pellets of 100 sources" in texts(figure)
    draw(figure, tmp_path)


def test_parity_draws_every_pellet_with_interval_and_scores(out_of_fold):
    figure = plots.parity(out_of_fold, "conductivity")
    rows = out_of_fold[out_of_fold["target"] == "conductivity"]
    axes = figure.axes[0]
    points = next(item for item in axes.collections if isinstance(item, PathCollection)).get_offsets()
    assert sorted(map(tuple, np.asarray(points))) == sorted(zip(rows["measured"], rows["predicted"], strict=True))
    lines = next(item for item in axes.collections if isinstance(item, LineCollection)).get_segments()
    assert sorted(segment[1][1] for segment in lines) == sorted(rows["upper"])
    assert f"mean |error| {(rows['measured'] - rows['predicted']).abs().mean():.2f} decades" in texts(figure)
    assert axes.get_xlabel() == "measured total conductivity (S/cm)"
    assert axes.get_xlim() == axes.get_ylim()


def test_parity_draws_each_pellet_of_several_repeats_once():
    figure = plots.parity(frames.out_of_fold(n=40, repeats=3), "relative_density")
    assert "40 pellets" in texts(figure)


def test_parity_of_identical_values_is_drawn(out_of_fold, tmp_path):
    rows = out_of_fold.assign(measured=90.0, predicted=90.0, lower=85.0, upper=95.0)
    draw(plots.parity(rows, "relative_density"), tmp_path)


def test_systems_are_sorted_by_error_and_labelled_with_counts(out_of_fold):
    axes = plots.residuals_by_system(out_of_fold, "conductivity").axes[0]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    rows = out_of_fold[out_of_fold["target"] == "conductivity"]
    error = (rows["predicted"] - rows["measured"]).abs().groupby(rows[Column.SYSTEM]).mean().sort_values()
    common = [name for name in error.index if (rows[Column.SYSTEM] == name).sum() >= 8]
    assert [label.split()[0] for label in labels if "others" not in label] == common
    top = rows[rows[Column.SYSTEM] == common[0]]
    assert labels[0] == f"{common[0]}   n = {len(top)}, {top[Column.SOURCE].nunique()} sources"


def test_rare_systems_are_grouped_as_others(out_of_fold):
    rows = out_of_fold.copy()
    rows.loc[rows.index[:3], Column.SYSTEM.value] = ["LHP", "LSnP", None]
    axes = plots.residuals_by_system(rows, "conductivity").axes[0]
    labels = " ".join(label.get_text() for label in axes.get_yticklabels())
    assert "others" in labels
    assert "LHP" not in labels


@pytest.mark.parametrize("target", NUMERIC_TARGETS)
def test_interval_calibration_counts_values_inside_intervals(target, out_of_fold):
    rows = out_of_fold[out_of_fold["target"] == target]
    inside = rows["measured"].between(rows["lower"], rows["upper"])
    left, right = plots.interval_calibration(out_of_fold, target).axes
    legend = [text.get_text() for text in left.get_legend().get_texts()]
    assert legend == [f"inside: {inside.sum()}", f"outside: {(~inside).sum()}"]
    assert f"over all: {100 * inside.mean():.1f} %" in [t.get_text() for t in right.get_legend().get_texts()]


def test_interval_calibration_uses_matching_side_of_asymmetric_interval(out_of_fold):
    rows = out_of_fold[out_of_fold["target"] == "relative_density"].head(2).copy()
    rows["measured"], rows["predicted"] = [85.0, 95.0], 90.0
    rows["lower"], rows["upper"] = 80.0, 93.0
    left = plots.interval_calibration(rows, "relative_density").axes[0]
    inside, outside = (np.asarray(item.get_offsets()) for item in left.collections)
    assert inside.tolist() == [[10.0, 5.0]]
    assert outside.tolist() == [[3.0, 5.0]]


def test_reliability_counts_every_pellet(out_of_fold, tmp_path):
    figure = plots.reliability(out_of_fold)
    above, below = figure.axes
    counts = [int(text.get_text()) for text in above.texts if text.get_text().isdigit()]
    assert sum(counts) == 400
    rows = out_of_fold[out_of_fold["target"] == "phase_purity"]
    pure = int(rows["measured"].sum())
    assert [text.get_text() for text in below.get_legend().get_texts()] == [
        f"pure: {pure}",
        f"impure: {400 - pure}",
    ]
    draw(figure, tmp_path)


def test_brier_skill_is_relative_to_base_rates_of_the_table(out_of_fold):
    from sklearn.metrics import brier_score_loss

    rows = out_of_fold[out_of_fold["target"] == "phase_purity"].assign(median=0.4)
    score = brier_score_loss(rows["measured"], rows["predicted"])
    skill = 1 - score / brier_score_loss(rows["measured"], rows["median"])
    legend = [text.get_text() for text in plots.reliability(rows).axes[0].get_legend().get_texts()]
    assert f"Brier score {score:.3f}, skill {skill:.2f}" in legend


def test_reliability_with_a_single_outcome_is_drawn(out_of_fold, tmp_path):
    draw(plots.reliability(out_of_fold.assign(measured=1.0)), tmp_path)


def test_importance_shows_20_largest_in_descending_order(tmp_path):
    frame = frames.importances().sample(frac=1, random_state=0)
    figure = plots.importance(frame, "relative_density")
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == [f"feature_with_a_name_{i}" for i in range(20)]
    assert "the first 20 of 30" in texts(figure)
    assert "points" in figure.axes[0].get_xlabel()
    draw(figure, tmp_path)


def test_recipes_outside_the_domain_have_hollow_markers(tmp_path):
    figure = plots.recipe_predictions(frames.predictions(), level=0.8)
    first = figure.axes[0]
    filled, hollow = (item for item in first.collections if isinstance(item, PathCollection))
    assert (len(filled.get_offsets()), len(hollow.get_offsets())) == (5, 1)
    assert first.get_xscale() == "log"
    assert first.get_xlabel() == "conductivity (S/cm) at 25 °C\nwith 80 % interval"
    assert figure.get_supxlabel() == "hollow: 1 of 6 lies outside what the model has seen"
    labels = [label.get_text() for label in first.get_yticklabels()]
    assert labels[0] == "Li$_{1.3}$Al$_{0.3}$Ti$_{1.7}$(PO$_{4}$)$_{3}$\n900 °C, air"
    assert labels[5] == "Li$_{1.4}$Al$_{0.4}$Ti$_{1.2}$Ge$_{0.4}$(PO$_{4}$)$_{3}$"
    draw(figure, tmp_path)


@pytest.mark.parametrize("n", [1, 40])
def test_title_states_number_of_recipes(n, tmp_path):
    figure = plots.recipe_predictions(frames.predictions(n) if n == 40 else frames.predictions().head(1))
    heading = "Predictions for 1 recipe" if n == 1 else "Predictions for the first 30 of 40 recipes"
    assert figure.get_suptitle() == heading
    draw(figure, tmp_path)


def test_axis_label_mentions_different_measurement_temperatures():
    frame = frames.predictions().assign(**{Column.MEASUREMENT_TEMPERATURE_C.value: [25.0, 60, 25, 25, 25, 25]})
    assert "each at its own temperature" in plots.recipe_predictions(frame).axes[0].get_xlabel()


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("Li1.3Al0.3Ti1.7(PO4)3", "Li$_{1.3}$Al$_{0.3}$Ti$_{1.7}$(PO$_{4}$)$_{3}$"),
        ("NaPO3", "NaPO$_{3}$"),
        ("Li", "Li"),
    ],
)
def test_amounts_become_subscripts(formula, expected):
    assert subscripted(formula) == expected


def test_unknown_target_raises_error_with_suggestion(out_of_fold):
    with pytest.raises(FieldError, match=r"conductivity, relative_density.*Did you mean 'conductivity'"):
        plots.parity(out_of_fold, "conductivty")


def test_empty_tables_raise(out_of_fold):
    with pytest.raises(DatasetError, match="no out-of-fold prediction of conductivity"):
        plots.parity(out_of_fold.iloc[:0], "conductivity")
    with pytest.raises(DatasetError, match="no importance"):
        plots.importance(frames.importances().iloc[:0], "conductivity")
    with pytest.raises(DatasetError, match="no recipe"):
        plots.recipe_predictions(pd.DataFrame())


@pytest.mark.parametrize(("successes", "total"), [(9, 10), (0, 10), (10, 10), (50, 100), (1, 1)])
def test_wilson_interval_agrees_with_scipy(successes, total):
    expected = binomtest(successes, total).proportion_ci(confidence_level=0.95, method="wilson")
    result = wilson(np.array([float(successes)]), np.array([float(total)]))
    assert np.ravel(result) == pytest.approx([expected.low, expected.high], abs=1e-6)


def test_crowding_counts_all_points_of_the_same_cell():
    x = np.array([0.0, 0.0, 0.001, 1.0])
    assert crowding(x, x, cells=10).tolist() == [3, 3, 3, 1]


def test_rcparams_are_not_modified(out_of_fold):
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    plots.parity(out_of_fold, "conductivity")
    assert dict(mpl.rcParams) == before


def test_failed_save_keeps_existing_file(tmp_path, out_of_fold):
    path = tmp_path / "figure.nonsense"
    path.write_text("before")
    with pytest.raises(NasiconError, match="cannot be written"):
        plots.save(plots.reliability(out_of_fold), path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_missing_matplotlib_raises_error_naming_the_extra(monkeypatch, out_of_fold):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"nasicon-ml\[plots\]"):
        plots.reliability(out_of_fold)


def test_importing_plots_imports_neither_matplotlib_nor_pandas():
    code = "import sys, nasicon_ml.plots; print(sorted({'matplotlib', 'pandas'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_drawing_does_not_import_pyplot():
    code = (
        "import sys; from tests.plots import frames; from nasicon_ml import plots;"
        "plots.reliability(frames.out_of_fold(n=40)); print('matplotlib.pyplot' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "False"
