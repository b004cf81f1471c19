"""Prediction of works of dataset 2 that were held out from all tuning and training.

The keys were drawn before any experiment on dataset 2: the fifth of its new works with the smallest SHA-256. Four
of the fourteen are in dataset 1 under another key and are left out here.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.metrics import brier_score_loss, roc_auc_score

from benchmarks.baselines import BASELINES, InputKind, compute_inputs
from benchmarks.dataset import BenchmarkData, Options, load_benchmark_data
from benchmarks.predictions import ignore_convergence_warnings, predict_baselines, usable
from nasicon_ml.columns import Column
from nasicon_ml.estimators.targets import ANSWERS, PREDICTED, TARGETS, TargetName, training_rows
from nasicon_ml.workflows.train import TrainingOptions, train

HELD_OUT = (
    "ly1169", "ly1190", "ly2021", "ly2075", "ly2087", "ly550", "ly563", "ly637", "ly662", "ly973",
)  # fmt: skip


def predicted(data: BenchmarkData, options: Options, name: TargetName) -> pd.DataFrame:
    """Return measured values and what each baseline predicts of the held-out rows, on the scale of reports."""
    rows = training_rows(data.pellets, name)
    sources = data.pellets[Column.SOURCE].to_numpy(dtype=object)[rows.rows]
    test = np.isin(sources.astype(str), HELD_OUT)
    baselines = tuple(
        baseline for baseline in BASELINES if baseline.input_kind in (InputKind.COMPOSITION, InputKind.PROCESSING)
    )
    inputs = compute_inputs(baselines, data.pellets)
    learned = ~test & usable(data, name, rows)
    with ignore_convergence_warnings():
        found = predict_baselines(name, rows, learned, test, baselines, inputs, options)
    return pd.DataFrame({"row": rows.rows[test], "measured": rows.y[test], **found})


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    options = Options()
    data = load_benchmark_data(options)
    model = train(TrainingOptions(exclude_sources=HELD_OUT)).model
    answers = model.predict(data.pellets)
    for name in ANSWERS:
        frame = predicted(data, options, name)
        ours = answers[str(PREDICTED[name])].to_numpy(dtype=np.float64)[frame["row"]]
        frame.insert(2, "ours", np.log10(ours) if name is TargetName.CONDUCTIVITY else ours)
        print(f"\n{name.replace('_', ' ')}: {len(frame)} pellets of {len(HELD_OUT)} works")
        for column in frame.columns[2:]:
            print(f"  {column:40s} {_score(name, frame['measured'], frame[column])}")


def _score(name: TargetName, y: pd.Series, found: pd.Series) -> str:
    if not TARGETS[name].is_probability:
        return f"{np.abs(y - found).mean():.3f} {TARGETS[name].unit}"
    rate = f"mean {found.mean():.2f}, pure {y.mean():.2f}"
    return f"AUROC {roc_auc_score(y, found):.3f}, Brier {brier_score_loss(y, found):.3f}, {rate}"


if __name__ == "__main__":
    main()
