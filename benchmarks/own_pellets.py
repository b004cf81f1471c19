"""Protocol P8: predictions after some pellets of the same source are known.

This simulates a laboratory with own pellets. For every source with at least four pellets, its pellets are drawn in
random orders; after k of them are known, the others are predicted. The unconditioned predictions are out-of-fold,
and the covariance for conditioning is fitted only to sources of the other folds.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from benchmarks.dataset import Options
from benchmarks.scoring import Results, differences, over_repeats
from nasicon_ml.arrays import Floats, Ints
from nasicon_ml.columns import Column
from nasicon_ml.estimators.own_pellets import OutOfFoldErrors, OwnKernel, draw_known_pellets, fit_own_kernel
from nasicon_ml.estimators.targets import ANSWERS, TARGETS, TargetName
from nasicon_ml.evaluation.cross_validation import grouped_splits, near_room_temperature, out_of_fold_errors
from nasicon_ml.evaluation.scores import auroc, source_weights
from nasicon_ml.workflows.train import TrainingOptions, train

#: Sources with fewer pellets of a target are not assessed.
LEAST_PELLETS = 4
SUBSET = f"works with at least {LEAST_PELLETS} pellets"


def known(k: float) -> str:
    """Return the name of the model after k own pellets are known."""
    return f"ours, {k:.0f} pellet{'' if k == 1 else 's'} known"


def own_pellets(options: Options) -> Results:
    """Train a model and score its out-of-fold predictions after k pellets of each work are known."""
    result = train(
        TrainingOptions(options.folds, repeats=options.repeats, seed=options.seed, threads=options.threads)
    )
    return score_own(result.out_of_fold, result.model.pellets, options)


def score_own(out_of_fold: pd.DataFrame, pellets: pd.DataFrame, options: Options) -> Results:
    """Score out-of-fold predictions as from `train` after k pellets of each work are known."""
    rows = own_pellets_predictions(out_of_fold, pellets, seed=options.seed)
    summaries = [summarise_own_pellets(part).assign(repeat=repeat) for repeat, part in rows.groupby("repeat")]
    found = Results()
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
    """Compare the error with the most known pellets with those for fewer, with a bootstrap over sources."""
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


def own_pellets_predictions(
    out_of_fold: pd.DataFrame,
    pellets: pd.DataFrame,
    *,
    ks: tuple[int, ...] = (0, 1, 2, 3),
    draws: int = 20,
    seed: int = 0,
) -> pd.DataFrame:
    """Predict the other pellets of every lithium source after k of its pellets are known.

    Parameters
    ----------
    out_of_fold
        As in `nasicon_ml.workflows.train.TrainingResult.out_of_fold`.
    pellets
        The pellets with their recipes (`TrainingResult.model.pellets`, or `load_pellets()`).
    ks
        Numbers of known pellets.
    draws
        Number of random orders of the pellets of each source.
    seed
        Seed of the orders.

    Returns
    -------
    pandas.DataFrame
        One row per target, repeat, draw, k and predicted pellet: measured, predicted, lower, upper (90 %) on the
        scale of reports, source, pellet, and weight, with which every pellet counts once for each k and repeat.

    Raises
    ------
    LeakageError
        If a source is in several folds, so that the covariance would be fitted to the source itself.
    """
    found = []
    for (target, _), rows in out_of_fold.groupby(["target", "repeat"], sort=False):
        name = TargetName(str(target))
        if name not in ANSWERS:
            continue
        frame = rows[near_room_temperature(name, rows)].reset_index(drop=True)
        part = pd.concat(_conditioned(name, frame, pellets, ks, draws, seed), ignore_index=True)
        found.append(part.assign(target=str(name), repeat=frame["repeat"].iloc[0]))
    return pd.concat(found, ignore_index=True)


def _conditioned(
    name: TargetName, frame: pd.DataFrame, pellets: pd.DataFrame, ks: tuple[int, ...], draws: int, seed: int
) -> Iterator[pd.DataFrame]:
    errors = out_of_fold_errors(name, frame, pellets)
    lithium = frame[Column.SYSTEM].str.startswith("L").to_numpy(dtype=bool)
    for training_mask, test in grouped_splits(errors.sources, frame["fold"].to_numpy()):
        kernel = fit_own_kernel(errors.take(training_mask), seed=seed)
        query_rows = np.flatnonzero(test & lithium)
        groups = {source: query_rows[rows] for source, rows in errors.take(query_rows).groups().items()}
        last: dict[str, int] = {}
        for known, asked, weight in draw_known_pellets(groups, ks, LEAST_PELLETS, draws, seed):
            source = str(errors.sources[asked[0]])
            last[source] = last.get(source, -1) + 1
            answers = _answers(errors, kernel, known, asked)
            yield pd.DataFrame(
                {
                    "draw": last[source] // len(ks),
                    "k": len(known),
                    str(Column.SOURCE): source,
                    str(Column.PELLET_ID): frame[Column.PELLET_ID].to_numpy()[asked],
                    "measured": frame["measured"].to_numpy(dtype=np.float64)[asked],
                    **answers,
                    "weight": weight,
                }
            )


def _answers(errors: OutOfFoldErrors, kernel: OwnKernel, known: Ints, asked: Ints) -> dict[str, Floats]:
    """Return predictions and 90 % intervals on the scale of reports."""
    if TARGETS[errors.name].is_probability:
        nothing = np.full(len(asked), np.nan)
        return {"predicted": errors.probability(kernel, known, asked), "lower": nothing, "upper": nothing}
    back = TARGETS[errors.name].inverse
    found = errors.correction(kernel, known, asked)
    centre, half = errors.predicted[asked] + found.shift, errors.half[asked] * found.width_factor
    ends = back(centre - half), back(centre + half)
    return {"predicted": back(centre), "lower": np.minimum(*ends), "upper": np.maximum(*ends)}


def summarise_own_pellets(predictions: pd.DataFrame) -> pd.DataFrame:
    """Score predictions as from `own_pellets_predictions`.

    Returns
    -------
    pandas.DataFrame
        target, k, and means over repeats and draws: mae (decades, points) with equal weights of pellets,
        mae_by_source with equal weights of sources, coverage_90 and width_90 (decades, points); for phase purity
        brier and auroc; n_rows and n_sources. NaN where a score does not apply.
    """
    table = []
    for (target, k), rows in predictions.groupby(["target", "k"], sort=False):
        is_probability = TARGETS[TargetName(str(target))].is_probability
        score = _probability_scores(rows) if is_probability else _value_scores(rows)
        counts = {"n_rows": rows[Column.PELLET_ID].nunique(), "n_sources": rows[Column.SOURCE].nunique()}
        table.append({"target": target, "k": k, **score, **counts})
    columns = ["target", "k", "mae", "mae_by_source", "coverage_90", "width_90", "brier", "auroc"]
    frame = pd.DataFrame(table, columns=[*columns, "n_rows", "n_sources"])
    order = {str(name): place for place, name in enumerate(ANSWERS)}
    frame = frame.sort_values(["target", "k"], key=lambda column: column.map(order).fillna(column))
    return frame.reset_index(drop=True)


def _value_scores(rows: pd.DataFrame) -> dict[str, float]:
    error = (rows["measured"] - rows["predicted"]).abs()
    inside = rows["measured"].between(rows["lower"], rows["upper"])
    return {
        "mae": float(np.average(error, weights=rows["weight"])),
        "mae_by_source": float(error.groupby(rows[Column.SOURCE]).mean().mean()),
        "coverage_90": float(np.average(inside, weights=rows["weight"])),
        "width_90": float(np.average(rows["upper"] - rows["lower"], weights=rows["weight"])),
    }


def _probability_scores(rows: pd.DataFrame) -> dict[str, float]:
    squared = (rows["measured"] - rows["predicted"]) ** 2
    each = [
        auroc(part["measured"].to_numpy(dtype=np.float64), part["predicted"].to_numpy(dtype=np.float64))
        for _, part in rows.groupby(["repeat", "draw"])
    ]
    return {"brier": float(np.average(squared, weights=rows["weight"])), "auroc": float(np.mean(each))}
