"""`python -m benchmarks.accuracy --limits`: the page of what limits the scores, with its tables and figures."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.accuracy_figures import curve
from benchmarks.accuracy_report import TARGET_WORDS, RunInfo, front_matter, table
from benchmarks.error_analysis import ENOUGH_FOR_OFFSET, NEIGHBOUR, ErrorAnalysis, analyse_errors
from benchmarks.learning_curves import learning_curve
from benchmarks.protocols import Run
from nasicon_ml.estimators.targets import ANSWERS, TARGETS, TargetName
from nasicon_ml.io.tables import write_table, write_text
from nasicon_ml.plots.style import save

_CURVES = {
    TargetName.CONDUCTIVITY: "mean abs. error, decades",
    TargetName.RELATIVE_DENSITY: "mean abs. error, points",
    TargetName.PHASE_PURITY: "AUROC",
}
_BY_REPLICATES = """\
Pellets in groups by how many other sources made the same composition, and by how far apart these are (mean
distance of their medians from the middle one). The floor is the error of answering that middle."""
_OFFSETS = f"""\
Works with at least {ENOUGH_FOR_OFFSET} pellets. The offset of a work is the mean error of its *other*
pellets: what remains when it is taken away is the scatter within works and what the model gets wrong there.
The difference is what no recipe states: powder, furnace, electrodes, habits."""
_WORST = f"""\
Signed error is predicted minus measured. *Others off by* is the middle of the other sources at the same
composition minus measured: where it is as large as the error, the work disagrees with the literature and
not with the model alone. Fields, distance (to the nearest three pellets of others) and other sources (at
the same composition) are means over the pellets. Suspect rows are those of the same work; suspect
neighbours, of the five nearest suspect pellets of all works, those within a distance of {NEIGHBOUR:g}."""
_LEARNING = """\
The same test folds, by models of a part of the training sources. A curve that still gets better at its
right end says that more papers would help; a flat one, that more of the same would not."""
_EXPLAINED = {
    "by_replicates": ("Error and agreement of the others", _BY_REPLICATES),
    "by_readings": (
        "Error and independent readings",
        "Pellets by how many readings of the literature agree on the row.",
    ),
    "by_fields": (
        "Error and what is stated",
        "Pellets by how many of the ten fields of the processing are given.",
    ),
    "offsets": ("What the works themselves add", _OFFSETS),
    "worst": ("The sources that add most to the error", _WORST),
    "quartiles": (
        "What good predictions had that bad ones lacked",
        "Means over the quarters of the error, best to worst.",
    ),
}


def write_limits(run: Run, command: str, folder: Path) -> None:
    """Split the errors of all targets into parts, draw the learning curves, and write the page."""
    started = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    curves = pd.concat([learning_curve(run.data, name, run.options, run.say) for name in ANSWERS])
    found = {name: analyse_errors(run.out_of_fold_predictions(name), run.data.pellets) for name in ANSWERS}
    for name in ANSWERS:
        figure = curve(
            curves[curves["target"] == name], "sources", "score", group="model",
            labels=("sources trained on (mean over folds)", _CURVES[name]),
            words=(f"{TARGET_WORDS[name]}: learning curve", "same test folds; bands: 95 % of draws of sources"),
        )  # fmt: skip
        save(figure, folder / f"learning_{name}.png")
    write_table(curves.round(6), folder / "learning.csv")
    write_table(_long(found).round(6), folder / "limits.csv")
    made = RunInfo(command, run.options, time.perf_counter() - started)
    write_text("\n".join(_page(curves, found, made)), folder / "limits.md")


def _long(found: dict[TargetName, ErrorAnalysis]) -> pd.DataFrame:
    """All groups of all targets in one table."""
    parts = [
        getattr(limits, key).assign(target=str(name), table=key)
        for name, limits in found.items()
        for key in ("by_replicates", "by_readings", "by_fields")
    ]
    return pd.concat(parts, ignore_index=True)[
        ["target", "table", "group", "n_rows", "n_sources", "error", "median", "floor"]
    ]


def _page(curves: pd.DataFrame, found: dict[TargetName, ErrorAnalysis], made: RunInfo) -> list[str]:
    lines = front_matter("What limits the scores", made)
    lines += ["The out-of-fold errors of [the benchmark](accuracy.md), taken apart.", ""]
    lines += ["## Learning curves", "", _LEARNING, ""]
    for name in ANSWERS:
        lines += [f"![{TARGET_WORDS[name]}](learning_{name}.png)", ""]
    lines += _table(curves.drop(columns=["metric"]).assign(share=curves["share"].map("{:.0%}".format)))
    for name, limits in found.items():
        unit = "|probability - outcome|" if TARGETS[name].is_probability else TARGETS[name].unit
        lines += [f"## {TARGET_WORDS[name]}, in {unit}", ""]
        for key, (title, words) in _EXPLAINED.items():
            lines += [f"### {title}", "", words, "", *_table(getattr(limits, key))]
    return lines


def _table(frame: pd.DataFrame) -> list[str]:
    heads = [str(column).replace("_", " ") for column in frame.columns]
    rows = [[_cell(cell) for cell in row] for row in frame.itertuples(index=False)]
    return table(heads, rows)


def _cell(cell: object) -> str:
    if isinstance(cell, (float, np.floating)):
        return "" if np.isnan(cell) else f"{cell:.3g}"
    return str(cell)
