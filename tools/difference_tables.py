"""Measure the calibration of predicted differences between recipes, and update docs/uncertainty.md.

    python -m tools.difference_tables

The data are all pairs of pellets of one source, with the out-of-fold predictions of the first repeat in a model's
bundle. The correlation of errors is fitted to the sources of the other folds. The works of
`benchmarks.held_out_works` are excluded.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from benchmarks.held_out_works import HELD_OUT
from numpy.typing import NDArray
from tools.renew_docs import between_markers

from nasicon_ml.columns import Column
from nasicon_ml.estimators.joint import (
    RecipePoints,
    ReferenceCorrelation,
    differences_of_probabilities,
    differences_of_values,
)
from nasicon_ml.estimators.own_pellets import OutOfFoldErrors, OwnKernel, fit_own_kernel
from nasicon_ml.estimators.targets import ANSWERS, TARGETS, TargetName
from nasicon_ml.estimators.uncertainty import ConformalScores
from nasicon_ml.evaluation.cross_validation import (
    LEVELS,
    grouped_splits,
    interval_columns,
    near_room_temperature,
    out_of_fold_errors,
)
from nasicon_ml.model import PropertyModel
from nasicon_ml.workflows.predict import default_bundle

Ints = NDArray[np.intp]

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "uncertainty.md"
#: Bin edges of the correlation of two errors.
CORRELATION_EDGES = (0.0, 0.4, 0.6, 0.75, 1.0)
PROBABILITY_EDGES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
WORDS = {
    TargetName.CONDUCTIVITY: ("conductivity", "decades", 2),
    TargetName.RELATIVE_DENSITY: ("density", "points", 0),
    TargetName.PHASE_PURITY: ("phase purity", "", 2),
}


def pairs(out_of_fold: pd.DataFrame, pellets: pd.DataFrame, name: TargetName) -> pd.DataFrame:
    """Return all pairs of out-of-fold pellets of one source, with the predicted and the measured difference.

    Parameters
    ----------
    out_of_fold
        As in `nasicon_ml.workflows.train.TrainingResult.out_of_fold`.
    pellets
        The pellets with their recipes.
    name
        The target.

    Returns
    -------
    pandas.DataFrame
        source; weight, with which every pellet of a source counts about once; correlation of the two errors;
        measured, predicted and better as in `nasicon_ml.estimators.joint.Differences`; lower and upper ends at
        each level under the names of `interval_columns`; alone, the half-width at the highest level if nothing
        were shared, on the scale the model learns.
    """
    rows = out_of_fold[
        (out_of_fold["target"] == str(name)) & (out_of_fold["repeat"] == out_of_fold["repeat"].min())
    ]
    rows = rows[near_room_temperature(name, rows)].reset_index(drop=True)
    by_level = {}
    for level in LEVELS:
        ends = dict(zip(("lower", "upper"), (rows[column] for column in interval_columns(level)), strict=True))
        by_level[level] = out_of_fold_errors(name, rows.assign(**ends), pellets)
    errors = by_level[LEVELS[-1]]
    frames: list[pd.DataFrame] = []
    for train, test in grouped_splits(errors.sources, rows["fold"].to_numpy()):
        kernel = fit_own_kernel(errors.take(train))
        test_rows = np.flatnonzero(test)
        for group in errors.take(test_rows).groups().values():
            frames += _pairs_of_source(by_level, kernel, train, test_rows[group])
    return pd.concat(frames, ignore_index=True)


def _pairs_of_source(
    by_level: dict[float, OutOfFoldErrors], kernel: OwnKernel, train: NDArray[np.bool_], rows: Ints
) -> Iterator[pd.DataFrame]:
    """Yield the pairs of one source, grouped by the reference pellet."""
    errors = by_level[LEVELS[-1]]
    name, target = errors.name, TARGETS[errors.name]
    points = RecipePoints.from_learned(name, errors.space, errors.predicted)
    for position, reference in enumerate(rows[:-1]):
        others = rows[position + 1 :]
        shared = ReferenceCorrelation.compute(
            name, kernel, points.take(others), points.take(np.array([reference]))
        )
        frame = {str(Column.SOURCE): errors.sources[others], "weight": 2.0 / len(rows)}
        frame |= {"correlation": shared.correlation}
        reported = target.inverse(errors.measured)
        frame["measured"] = reported[others] - reported[reference]
        for level, one in by_level.items():
            if target.is_probability:
                there = one.predicted[others], float(one.predicted[reference])
                found = differences_of_probabilities(shared, *there, level)
            else:
                # Of the sources of the other folds: the scores in units of the half-width.
                scores = ConformalScores.from_residuals((one.measured - one.predicted)[train], one.half[train])
                learned = one.predicted[others], float(one.predicted[reference])
                half = one.half[others], float(one.half[reference])
                found = differences_of_values(name, kernel, shared, learned, half, scores, level)
            frame |= dict(zip(interval_columns(level), (found.lower, found.upper), strict=True))
        yield pd.DataFrame(frame | {"predicted": found.value, "better": found.better})


def coverage(frame: pd.DataFrame) -> list[list[str]]:
    """Return the coverage of the intervals of differences by the correlation of the two errors, as table cells."""
    lines = []
    names = [f"{low:g} to {high:g}" for low, high in itertools.pairwise(CORRELATION_EDGES)]
    part = pd.cut(frame["correlation"], CORRELATION_EDGES, labels=names, include_lowest=True)
    for label, rows in [("all pairs", frame), *((name, frame[part == name]) for name in names)]:
        if rows.empty:
            continue
        cells = [label, f"{len(rows):,} ({rows[Column.SOURCE].nunique()})"]
        for level in LEVELS:
            lower, upper = (rows[column] for column in interval_columns(level))
            inside = (rows["measured"] >= lower) & (rows["measured"] <= upper)
            cells.append(f"{100 * np.average(inside, weights=rows['weight']):.0f}")
        lower, upper = (rows[column] for column in interval_columns(LEVELS[-1]))
        lines.append([*cells, np.average((upper - lower) / 2, weights=rows["weight"])])
    return lines


def calibration_of_better(frame: pd.DataFrame) -> list[list[str]]:
    """Return how often the predicted better pellet was better, by predicted probability, without ties."""
    known = frame[frame["measured"] != 0]
    stated = np.maximum(known["better"], 1.0 - known["better"])
    is_correct = ((known["better"] > 0.5) == (known["measured"] > 0)).astype(float)
    part = pd.cut(stated, PROBABILITY_EDGES, labels=False, include_lowest=True)
    lines = []
    for index, (low, high) in enumerate(itertools.pairwise(PROBABILITY_EDGES)):
        rows = part == index
        if rows.any():
            weight = known["weight"][rows]
            mean = np.average(stated[rows], weights=weight)
            frequency = np.average(is_correct[rows], weights=weight)
            count = f"{int(rows.sum()):,} ({known[Column.SOURCE][rows].nunique()})"
            lines.append(
                [f"{100 * low:.0f} to {100 * high:.0f} %", count, f"{100 * mean:.0f}", f"{100 * frequency:.0f}"]
            )
    return lines


def section(found: dict[TargetName, pd.DataFrame], dataset: str) -> str:
    """Return the section of the page."""
    source = (
        f"Dataset {dataset[:12]}, first repeat of its folds; without {len(HELD_OUT)} works that nobody tunes for."
    )
    parts = [source]
    for name, frame in found.items():
        words, unit, digits = WORDS[name]
        if not TARGETS[name].is_probability:
            levels = " | ".join(f"{100 * level:.0f} %" for level in LEVELS)
            head = [
                f"| {words}: correlation of the errors | pairs (sources) | {levels} | half-width at 90 %, {unit} |"
            ]
            head += ["|" + " --- |" * (len(LEVELS) + 3)]
            body = [f"| {' | '.join(cells)} | {width:.{digits}f} |" for *cells, width in coverage(frame)]
            parts.append("\n".join([*head, *body]))
        head = [
            f"| {words}: said to be better with | pairs (sources) | said on average | was better |",
            "|" + " --- |" * 4,
        ]
        parts.append("\n".join([*head, *(f"| {' | '.join(cells)} |" for cells in calibration_of_better(frame))]))
    return "\n" + "\n\n".join(parts) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the calibration and update the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=default_bundle())
    model = PropertyModel.load(parser.parse_args(arguments).model)
    table = model.out_of_fold[~model.out_of_fold[Column.SOURCE].isin(HELD_OUT)]
    found = {name: pairs(table, model.pellets, name) for name in ANSWERS}
    text = section(found, model.metadata.dataset_sha256)
    PAGE.write_text(between_markers(PAGE.read_text(encoding="utf-8"), "differences", text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
