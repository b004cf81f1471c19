"""Scores of out-of-fold predictions, with subsets, counts, baseline and composition-only model.

The metrics are scikit-learn's where it has them. Pellets of one source err alike, so that a score of some hundred
pellets is known no better than their number of sources allows: standard errors come from drawing sources again.
What a field of a recipe is worth is how much the error grows without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from nasicon_ml.arrays import Floats, Ints
from nasicon_ml.columns import MODEL_INPUT, RECIPE, Column, Role
from nasicon_ml.estimators.fitting import FittedTarget
from nasicon_ml.estimators.targets import TARGETS, TargetName, TrainingRows, measurement_temperature
from nasicon_ml.estimators.uncertainty import is_near_room_temperature
from nasicon_ml.evaluation.cross_validation import LEVEL_NEEDED, LEVELS, UNKNOWN_SHARE, interval_columns
from nasicon_ml.features.build import build_features

#: A system gets scores of its own from this many pellets and sources on.
ENOUGH_PELLETS = 15
ENOUGH_SOURCES = 4

FULL, COMPOSITION_ONLY, MEDIAN = "full", "composition only", "median"
MODELS = {FULL: "predicted", COMPOSITION_ONLY: "composition_only", MEDIAN: "median"}
ALL, SINTERED, SODIUM = "all", "sintering temperature given", "sodium"
AWAY = "away from room temperature"
INSIDE, OUTSIDE = "inside the domain", "outside the domain"
#: Subsets by how much of the processing is known: the share unknown from which on, and up to which.
KNOWN = {
    "most of the processing known": (-np.inf, 1 / 3),
    "part of the processing known": (1 / 3, 2 / 3),
    "little of the processing known": (2 / 3, np.inf),
}
#: How often sources are drawn again, and the seed of it.
DRAWS, SEED = 1000, 0


def loss(name: TargetName, measured: Floats, predicted: Floats) -> float:
    """Return the mean absolute error on the scale of reports; of log-odds, the mean logarithmic loss."""
    from sklearn.metrics import mean_absolute_error

    if TARGETS[name].is_probability:
        return float(np.mean(np.logaddexp(0.0, predicted) - measured * predicted))
    return float(mean_absolute_error(measured, predicted))


def row_errors(rows: pd.DataFrame, target: str) -> Floats:
    """Return the error of each out-of-fold row: absolute, or, of a probability, squared (its part of Brier)."""
    error = (rows["predicted"] - rows["measured"]).to_numpy(dtype=np.float64)
    return np.square(error) if TARGETS[TargetName(target)].is_probability else np.abs(error)


def coverage(measured: Floats, lower: Floats, upper: Floats) -> float:
    """Return the share of measured values inside their interval, ends included."""
    return float(np.mean((measured >= lower) & (measured <= upper)))


def mean_width(lower: Floats, upper: Floats) -> float:
    """Return the mean width of the intervals, in their unit."""
    return float(np.mean(upper - lower))


def auroc(outcome: Floats, score: Floats) -> float:
    """Return the area under the ROC curve; NaN where only one class occurs."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(outcome, score)) if np.ptp(outcome) > 0 else float("nan")


def expected_calibration_error(outcome: Floats, probability: Floats, bins: int = 10) -> float:
    """Return the mean ``|observed share - mean probability|`` over bins of equal counts, weighted by count.

    Bins of equal counts, because probabilities from few data crowd in the middle and bins of equal width
    would rest on a handful of rows each.
    """
    order = np.argsort(probability, kind="stable")
    gaps = [
        len(rows) * abs(float(outcome[rows].mean() - probability[rows].mean()))
        for rows in np.array_split(order, min(bins, len(order)))
        if len(rows)
    ]
    return float(np.sum(gaps) / len(outcome))


def calibration_error_by_chance(probability: Floats, bins: int = 10, draws: int = 200) -> float:
    """Return the calibration error that these probabilities show on average when they are exactly right.

    Outcomes are drawn from the probabilities themselves, each on its own: it is the least that a finite number
    of rows can be held to. Pellets of one source are alike, so the real least is somewhat higher.
    """
    outcomes = np.random.default_rng(0).uniform(size=(draws, len(probability))) < probability
    return float(
        np.mean([expected_calibration_error(drawn.astype(np.float64), probability, bins) for drawn in outcomes])
    )


def score_table(out_of_fold: pd.DataFrame) -> pd.DataFrame:
    """Score out-of-fold predictions.

    Parameters
    ----------
    out_of_fold
        As in `nasicon_ml.workflows.train.TrainingResult.out_of_fold`.

    Returns
    -------
    pandas.DataFrame
        target, subset, model, metric, value (mean over repeats), n_rows, n_sources. Subset "all" holds the
        lithium pellets, conductivities near room temperature (15 to 40 °C); those measured elsewhere have their
        own, and so have sodium pellets. Of "all", there are subsets by system, by how much of the processing is
        known, and inside and outside the domain of the other folds.
    """
    rows: list[dict[str, object]] = []
    for target, frame in out_of_fold.groupby("target", sort=False):
        name = TargetName(str(target))
        for subset, part in _subsets(name, frame):
            once = part[part["repeat"] == part["repeat"].min()]
            counts = {"n_rows": len(once), "n_sources": once[Column.SOURCE].nunique()}
            for model, column in MODELS.items():
                for metric, score in _metrics(name, model).items():
                    values = [score(repeat, column) for _, repeat in part.groupby("repeat")]
                    value = float(np.mean(values))
                    rows.append(
                        {"target": str(name), "subset": subset, "model": model, "metric": metric, "value": value}
                        | counts
                    )
    table = pd.DataFrame(rows)
    return table[np.isfinite(table["value"])].reset_index(drop=True)


def fold_scores(out_of_fold: pd.DataFrame) -> pd.DataFrame:
    """Score each fold by itself: target, repeat, fold, decisive metric, pellets, sources, and a column a model.

    The rows are those of the subset "all" of `score_table`; a fold without one is left out.
    """
    rows: list[dict[str, object]] = []
    for target in out_of_fold["target"].unique():
        name = TargetName(str(target))
        metric = TARGETS[name].metric
        everything = scored_subsets(out_of_fold, name)[ALL]
        for (repeat, fold), part in everything.groupby(["repeat", "fold"]):
            counts = {"pellets": len(part), "sources": part[Column.SOURCE].nunique()}
            values = {model: _metrics(name, model)[metric](part, column) for model, column in MODELS.items()}
            rows.append(
                {"target": str(name), "repeat": repeat, "fold": fold, "metric": metric, **counts, **values}
            )
    return pd.DataFrame(rows)


def scored_subsets(out_of_fold: pd.DataFrame, target: str) -> dict[str, pd.DataFrame]:
    """Return the rows of one target behind each subset of `score_table`, so that figures can show the same."""
    return dict(_subsets(TargetName(target), out_of_fold[out_of_fold["target"] == target]))


def _subsets(name: TargetName, frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    if name is TargetName.CONDUCTIVITY:
        near = is_near_room_temperature(measurement_temperature(frame))
        away = frame[~near & frame[Column.SYSTEM].str.startswith("L")]
        if away[Column.PELLET_ID].nunique() >= ENOUGH_PELLETS:
            yield AWAY, away
        frame = frame[near]
    lithium = frame[frame[Column.SYSTEM].str.startswith("L")]
    yield ALL, lithium
    yield SINTERED, lithium[lithium[Column.SINTERING_TEMPERATURE_C].notna()]
    parts = {str(system): part for system, part in lithium.groupby(Column.SYSTEM)}
    for subset, part in (parts | by_amount_known(lithium) | by_domain(lithium)).items():
        if part[Column.PELLET_ID].nunique() >= ENOUGH_PELLETS and part[Column.SOURCE].nunique() >= ENOUGH_SOURCES:
            yield subset, part
    sodium = frame[frame[Column.SYSTEM].str.startswith("N")]
    if sodium[Column.PELLET_ID].nunique() >= ENOUGH_PELLETS:
        yield SODIUM, sodium


def by_amount_known(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Divide out-of-fold rows by the share of the processing that is known."""
    if UNKNOWN_SHARE not in frame:
        return {}
    unknown = frame[UNKNOWN_SHARE]
    return {name: frame[(unknown > above) & (unknown <= up_to)] for name, (above, up_to) in KNOWN.items()}


def by_domain(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Divide out-of-fold rows into those inside and outside the domain of the other folds' sources."""
    if Column.DOMAIN_SCORE not in frame:
        return {}
    inside = frame[Column.DOMAIN_SCORE] < 1
    return {INSIDE: frame[inside], OUTSIDE: frame[~inside]}


Score = Callable[[pd.DataFrame, str], float]


def _metrics(name: TargetName, model: str) -> dict[str, Score]:
    """Return the metrics of a model by name, each a function of rows and the column of its predictions."""
    from sklearn import metrics

    if name is TargetName.PHASE_PURITY:
        scores = {"brier": _of_values(metrics.mean_squared_error)}  # what Brier's score of 0 and 1 is
        # A base rate ranks nothing; that it differs a little from fold to fold is no forecast.
        if model != MEDIAN:
            scores |= {"auroc": _of_values(auroc), "brier_skill": _brier_skill}
            scores |= {"ece": _of_values(expected_calibration_error)}
            scores |= {"ece_by_chance": lambda rows, column: calibration_error_by_chance(_values(rows, column))}
        return scores
    unit = TARGETS[name].unit.lower()
    scores = {
        f"mae_{unit}": _of_values(metrics.mean_absolute_error),
        f"median_ae_{unit}": _of_values(metrics.median_absolute_error),
        "r2": _of_values(partial(metrics.r2_score, force_finite=False)),
    }
    if model == FULL and name is not TargetName.ACTIVATION_ENERGY:
        for level in LEVELS:
            scores |= _interval_metrics(level, unit)
    return scores


def _of_values(metric: Callable[[Floats, Floats], float]) -> Score:
    """Return a metric of measured and predicted values as one of rows."""
    return lambda rows, column: float(metric(_values(rows, "measured"), _values(rows, column)))


def _brier_skill(rows: pd.DataFrame, column: str) -> float:
    """Return 1 - Brier score over that of the base rate; above 0 is better than the base rate."""
    from sklearn.metrics import mean_squared_error

    brier = _of_values(mean_squared_error)
    return 1.0 - brier(rows, column) / brier(rows, MODELS[MEDIAN])


def _interval_metrics(level: float, unit: str) -> dict[str, Score]:
    lower, upper = interval_columns(level)

    def covered(rows: pd.DataFrame, _: str) -> float:
        return coverage(*(_values(rows, column) for column in ("measured", lower, upper)))

    def width(rows: pd.DataFrame, _: str) -> float:
        return mean_width(_values(rows, lower), _values(rows, upper))

    return {f"coverage_{100 * level:.0f}": covered, f"width_{100 * level:.0f}_{unit}": width}


def _values(rows: pd.DataFrame, column: str) -> Floats:
    return rows[column].to_numpy(dtype=np.float64)


def source_weights(sources: ArrayLike, draws: int, seed: int) -> Floats:
    """Draw as many sources as there are, with replacement, many times; same seed and sources: same draws.

    Return how often each of n rows, given by their sources, counts in each draw; whole numbers, shape (draws, n).
    """
    names, codes = np.unique(np.asarray(sources, dtype=str), return_inverse=True)
    counts = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
    return np.asarray(counts[:, codes], dtype=np.float64)


def weighted_mean(values: Floats, weights: Floats) -> Floats:
    """Return the mean of values, shape (n,), by draw, for weights of shape (draws, n); NaN for an empty draw."""
    with np.errstate(invalid="ignore"):
        return np.asarray(weights @ values / weights.sum(axis=1))


@dataclass(frozen=True)
class Difference:
    """A difference of two scores, with the middle 95 % of what other papers might have shown.

    Attributes
    ----------
    value
        On the rows at hand.
    lower, upper
        2.5 and 97.5 % of the draws.
    """

    value: float
    lower: float
    upper: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.lower > 0 or self.upper < 0


def interval(at_hand: float, drawn: Floats) -> Difference:
    """Return a difference with the interval of its draws, shape (draws,); draws without a number are left out."""
    usable = drawn[np.isfinite(drawn)]
    if len(usable) == 0:
        return Difference(at_hand, float("nan"), float("nan"))
    lower, upper = np.percentile(usable, [2.5, 97.5])
    return Difference(at_hand, float(lower), float(upper))


def coverage_curve(out_of_fold: pd.DataFrame, levels: np.ndarray) -> pd.DataFrame:
    """Return the coverage of out-of-fold rows at any levels.

    Parameters
    ----------
    out_of_fold
        Rows of one target.
    levels
        Each above 0 and below 1, shape (k,).

    Returns
    -------
    pandas.DataFrame
        level, coverage, and coverage_se (its standard error by drawing sources with replacement); k rows.
    """
    needed = out_of_fold[LEVEL_NEEDED].to_numpy(dtype=np.float64)
    weights = source_weights(out_of_fold[Column.SOURCE].to_numpy(), DRAWS, SEED)
    inside = (needed[:, None] < levels[None, :]).astype(np.float64)
    drawn = np.stack([weighted_mean(column, weights) for column in inside.T])
    return pd.DataFrame(
        {"level": levels, "coverage": inside.mean(axis=0), "coverage_se": np.nanstd(drawn, axis=1)}
    )


def coverage_curves(out_of_fold: pd.DataFrame, target: str) -> dict[str, pd.DataFrame]:
    """Return the coverage curves of all lithium pellets, of LATP, LAGP and sodium compounds, by label."""
    subsets = scored_subsets(out_of_fold, target)
    levels = np.linspace(0.05, 0.95, 37)
    shown = {ALL: "all lithium pellets", "LATP": "LATP", "LAGP": "LAGP", SODIUM: "sodium compounds"}
    return {
        f"{words} ({subsets[name][Column.SOURCE].nunique()} sources)": coverage_curve(subsets[name], levels)
        for name, words in shown.items()
        if name in subsets
    }


def domain_rows(out_of_fold: pd.DataFrame, target: str) -> pd.DataFrame:
    """Return the rows of a target by which its domain is judged: those of "all" and sodium."""
    subsets = scored_subsets(out_of_fold, target)
    return pd.concat([subsets[name] for name in (ALL, SODIUM) if name in subsets])


def domain_curve(out_of_fold: pd.DataFrame, target: str, groups: int = 8) -> pd.DataFrame:
    """Return the error in groups by domain score: equal counts inside the domain, and all that lies outside.

    Returns
    -------
    pandas.DataFrame
        score (median of the group), score_from, score_to, error (as in `row_errors`, mean), error_se (by drawing
        sources again), n_rows, n_sources; one row a group. Repeats count as rows of their own.
    """
    rows = domain_rows(out_of_fold, target)
    score = rows[Column.DOMAIN_SCORE].to_numpy(dtype=np.float64)
    error = row_errors(rows, target)
    found = []
    order = np.argsort(score, kind="stable")
    inside = int((score < 1).sum())
    for part in (*np.array_split(order[:inside], groups - 1), order[inside:]):
        if len(part) == 0:
            continue
        sources = rows[Column.SOURCE].to_numpy()[part]
        drawn = weighted_mean(error[part], source_weights(sources, DRAWS, SEED))
        found.append(
            {"score": float(np.median(score[part])), "score_from": float(score[part].min())}
            | {"score_to": float(score[part].max()), "error": float(error[part].mean())}
            | {"error_se": float(np.nanstd(drawn)), "n_rows": len(part), "n_sources": len(set(sources))}
        )
    return pd.DataFrame(found)


#: How often each field is shuffled.
_SHUFFLES = 3
#: Fields that only mean something together are shuffled together.
SHUFFLED_TOGETHER: dict[str, tuple[Column, ...]] = {
    Column.ADDITIVE.label: (Column.ADDITIVE, Column.ADDITIVE_AMOUNT, Column.ADDITIVE_UNIT)
}


def shuffled_groups(table: pd.DataFrame) -> dict[str, tuple[Column, ...]]:
    """Return the fields that are shuffled, by label; of role `Role.PREPARATION` those that some row states."""
    together = {column for group in SHUFFLED_TOGETHER.values() for column in group}
    single = {
        column.label: (column,)
        for column in RECIPE
        if column not in together and (column.role is not Role.PREPARATION or table[column].notna().any())
    }
    return single | SHUFFLED_TOGETHER


class ImportanceCollector:
    """Collects permutation importance over the folds of a cross-validation, in terms of the recipe.

    Parameters
    ----------
    pellets
        The whole pellet table.
    name, rows
        The target and its rows.
    feature_set
        What the models take.
    seed
        Of the shuffling.

    Notes
    -----
    Permutation importance: Breiman, 10.1023/A:1010933404324. The loss is the mean absolute error on the scale
    of reports, for a probability the mean logarithmic loss; only out-of-fold pellets count, so a field that the
    model merely memorised is worth nothing.
    """

    def __init__(
        self, pellets: pd.DataFrame, name: TargetName, rows: TrainingRows, feature_set: str, *, seed: int
    ) -> None:
        self._table = pellets[list(MODEL_INPUT)].reset_index(drop=True)
        self._temperature = measurement_temperature(pellets)
        self._name, self._rows, self._feature_set = name, rows, feature_set
        self._random = np.random.default_rng(seed)
        self._increases: list[dict[str, float]] = []
        self._sizes: list[int] = []

    def inspect(self, fitted: FittedTarget, test: Ints) -> None:
        """Shuffle each field among the test rows of one fold and keep the increase of the loss."""
        table = self._table.iloc[self._rows.rows[test]].reset_index(drop=True)
        temperature = self._temperature[self._rows.rows[test]]
        y = self._rows.y[test]
        groups = shuffled_groups(self._table)
        copies = [table]
        for columns in groups.values():
            for _ in range(_SHUFFLES):
                order = self._random.permutation(len(table))
                changed = table.copy()
                for column in columns:
                    changed[column] = table[column].to_numpy()[order]
                copies.append(changed)
        # One pass over all copies: the cost of features lies in the calls, not in the rows.
        features = build_features(pd.concat(copies, ignore_index=True), self._feature_set).values
        predicted = fitted.reported(features, np.tile(temperature, len(copies))).reshape(len(copies), len(table))
        losses = [loss(self._name, y, values) for values in predicted]
        increase = np.array(losses[1:]).reshape(len(groups), _SHUFFLES).mean(axis=1) - losses[0]
        self._increases.append(dict(zip(groups, increase.tolist(), strict=True)))
        self._sizes.append(len(table))

    def frame(self) -> pd.DataFrame:
        """Return target, feature, importance (increase of the loss) and its spread over folds, largest first."""
        increases = pd.DataFrame(self._increases)
        weight = np.array(self._sizes, dtype=np.float64)[:, None]
        mean = (increases.to_numpy() * weight).sum(axis=0) / weight.sum()
        frame = pd.DataFrame(
            {
                "target": str(self._name),
                "feature": increases.columns,
                "importance": mean,
                "spread": increases.std(axis=0, ddof=0).to_numpy(),
            }
        )
        return frame.sort_values("importance", ascending=False, ignore_index=True)
