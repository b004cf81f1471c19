"""Protocol P8: how good predictions become when some pellets of one's own are known (`evaluation.own_pellets`)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.ground import Options
from benchmarks.scoring import Ledger, differences, over_repeats
from nasicon_ml.columns import Column
from nasicon_ml.estimators.targets import TARGETS, TargetName
from nasicon_ml.evaluation.comparison import source_weights
from nasicon_ml.evaluation.own_pellets import LEAST_PELLETS, own_pellets_predictions, summarise_own_pellets
from nasicon_ml.workflows.train import TrainingOptions, train

Floats = NDArray[np.float64]

SUBSET = f"works with at least {LEAST_PELLETS} pellets"


def known(k: float) -> str:
    """Name our model after k pellets of one's own."""
    return f"ours, {k:.0f} pellet{'' if k == 1 else 's'} known"


def own_pellets(options: Options) -> Ledger:
    """Train with repeats, condition the out-of-fold predictions, and score them."""
    result = train(
        TrainingOptions(options.folds, repeats=options.repeats, seed=options.seed, threads=options.threads)
    )
    return score_own(result.out_of_fold, result.model.pellets, options)


def score_own(out_of_fold: pd.DataFrame, pellets: pd.DataFrame, options: Options) -> Ledger:
    """Score out-of-fold predictions, as from `train`, after k pellets of each work are known."""
    rows = own_pellets_predictions(out_of_fold, pellets, seed=options.seed)
    summaries = [summarise_own_pellets(part).assign(repeat=repeat) for repeat, part in rows.groupby("repeat")]
    found = Ledger()
    for target, table in pd.concat(summaries).groupby("target", sort=False):
        name = TargetName(str(target))
        head = {"protocol": "P8", "target": str(name), "subset": SUBSET}
        for k, of_k in sorted(table.groupby("k"), reverse=True):
            counts = {count: int(of_k[count].iloc[0]) for count in ("n_rows", "n_sources")}
            for column, metric in _metrics(name).items():
                score = over_repeats(of_k[column])
                found.scores.append(head | {"model": known(float(str(k))), "metric": metric} | score | counts)
        if not TARGETS[name].is_probability:
            found.differences.extend(
                head | {"metric": f"mae_{TARGETS[name].unit}"} | row
                for row in gains(rows[rows["target"] == target], options)
            )
    return found


def _metrics(name: TargetName) -> dict[str, str]:
    if TARGETS[name].is_probability:
        return {"auroc": "auroc", "brier": "brier"}
    unit = TARGETS[name].unit
    return {"mae": f"mae_{unit}", "coverage_90": "coverage_90", "width_90": f"width_90_{unit}"}


def gains(rows: pd.DataFrame, options: Options) -> list[dict[str, object]]:
    """Compare the error with the most known pellets to that with fewer, with a bootstrap over sources."""
    error = (rows["measured"] - rows["predicted"]).abs() * rows["weight"]
    rows = rows.assign(error=error)
    of_source = rows.pivot_table(values="error", index=str(Column.SOURCE), columns="k", aggfunc="sum")
    weight = rows.pivot_table(values="weight", index=str(Column.SOURCE), columns="k", aggfunc="sum")
    draws = source_weights(of_source.index, options.draws, options.seed)
    at_hand = {known(float(str(k))): float(of_source[k].sum() / weight[k].sum()) for k in of_source}
    drawn: dict[str, Floats] = {
        known(float(str(k))): draws @ of_source[k].to_numpy() / (draws @ weight[k].to_numpy()) for k in of_source
    }
    counts = {"n_rows": int(rows[Column.PELLET_ID].nunique()), "n_sources": len(of_source)}
    most = known(float(rows["k"].max()))
    return [row | counts for row in differences((most,), at_hand, drawn, lower_is_better=True)]
