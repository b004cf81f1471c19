"""Scores of out-of-fold predictions by subset, for the model, the composition-only model and the median.

Metrics are scikit-learn's where available. Errors of pellets of one source are correlated, so standard errors are
estimated by a bootstrap of whole sources. The importance of a field of a recipe is the increase of the error when
its values are shuffled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from nasicon_ml.arrays import Floats, Ints, Mask
from nasicon_ml.columns import MODEL_INPUT, RECIPE, Column, Role
from nasicon_ml.estimators.fitting import FittedTarget
from nasicon_ml.estimators.targets import TARGETS, TargetName, TrainingRows, measurement_temperature
from nasicon_ml.estimators.uncertainty import is_near_room_temperature
from nasicon_ml.evaluation.cross_validation import LEVEL_NEEDED, LEVELS, UNKNOWN_SHARE, interval_columns
from nasicon_ml.features.build import build_features

#: A subset is scored if it has at least this many pellets and sources.
ENOUGH_PELLETS = 15
ENOUGH_SOURCES = 4

FULL, COMPOSITION_ONLY, MEDIAN = "full", "composition only", "median"
MODELS = {FULL: "predicted", COMPOSITION_ONLY: "composition_only", MEDIAN: "median"}
ALL, SINTERED, SODIUM = "all", "sintering temperature given", "sodium"
AWAY = "away from room temperature"
INSIDE, OUTSIDE = "inside the domain", "outside the domain"
#: Subsets by known share of the processing: exclusive lower and inclusive upper limit of the unknown share.
KNOWN_PROCESSING = {
    "most of the processing known": (-np.inf, 1 / 3),
    "part of the processing known": (1 / 3, 2 / 3),
    "little of the processing known": (2 / 3, np.inf),
}
#: Number of bootstrap draws of the sources, and their seed.
DRAWS, SEED = 1000, 0


def loss(name: TargetName, measured: Floats, predicted: Floats) -> float:
    """Return the mean absolute error on the scale of reports, or the mean logarithmic loss of log-odds."""
    from sklearn.metrics import mean_absolute_error

    if TARGETS[name].is_probability:
        return float(np.mean(np.logaddexp(0.0, predicted) - measured * predicted))
    return float(mean_absolute_error(measured, predicted))


def row_errors(rows: pd.DataFrame, target: str) -> Floats:
    """Return the absolute error of each out-of-fold row, or the squared error of a probability (Brier score)."""
    error = (rows["predicted"] - rows["measured"]).to_numpy(dtype=np.float64)
    return np.square(error) if TARGETS[TargetName(target)].is_probability else np.abs(error)


def coverage(measured: Floats, lower: Floats, upper: Floats) -> float:
    """Return the share of measured values inside their interval, ends included."""
    return float(np.mean((measured >= lower) & (measured <= upper)))


def mean_width(lower: Floats, upper: Floats) -> float:
    """Return the mean width of the intervals, in their unit."""
    return float(np.mean(upper - lower))


def auroc(outcome: Floats, score: Floats) -> float:
    """Return the area under the ROC curve; NaN if there is only one class."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(outcome, score)) if np.ptp(outcome) > 0 else float("nan")


def expected_calibration_error(outcome: Floats, probability: Floats, bins: int = 10) -> float:
    """Return the mean ``|observed share - mean probability|`` over bins of equal counts, weighted by count.

    Bins have equal counts because most probabilities from few data are in the middle, so that outer bins of equal
    width would contain only a few rows.
    """
    return float(_calibration_errors(outcome[None, :], probability, bins)[0])


def _calibration_errors(outcomes: Floats | Mask, probability: Floats, bins: int) -> Floats:
    """Return the `expected_calibration_error` of each of m rows of outcomes, shape (m, n); shape (m,)."""
    order = np.argsort(probability, kind="stable")
    gaps = [
        len(rows) * np.abs(outcomes[:, rows].mean(axis=1) - probability[rows].mean())
        for rows in np.array_split(order, min(bins, len(order)))
        if len(rows)
    ]
    return np.asarray(np.stack(gaps, axis=1).sum(axis=1) / len(probability))


def calibration_error_by_chance(probability: Floats, bins: int = 10, draws: int = 200) -> float:
    """Return the expected calibration error of perfectly calibrated probabilities.

    Outcomes are drawn independently from the probabilities. The result is the smallest error to expect for this
    number of rows; the correlation of pellets of one source increases it somewhat.
    """
    outcomes = np.random.default_rng(0).uniform(size=(draws, len(probability))) < probability
    return float(np.mean(_calibration_errors(outcomes, probability, bins)))


def score_table(out_of_fold: pd.DataFrame) -> pd.DataFrame:
    """Score out-of-fold predictions.

    Parameters
    ----------
    out_of_fold
        As in `nasicon_ml.workflows.train.TrainingResult.out_of_fold`.

    Returns
    -------
    pandas.DataFrame
        target, subset, model, metric, value (mean over repeats), n_rows, n_sources. Subset "all" contains the
        lithium pellets, with conductivities near room temperature (15 to 40 °C). Conductivities at other
        temperatures and sodium pellets are separate subsets. "all" is further divided by system, by the known
        share of the processing, and into inside and outside the domain of the other folds.
    """
    rows: list[dict[str, object]] = []
    for target, frame in out_of_fold.groupby("target", sort=False):
        name = TargetName(str(target))
        for subset, part in _subsets(name, frame):
            first_repeat = part[part["repeat"] == part["repeat"].min()]
            counts = {"n_rows": len(first_repeat), "n_sources": first_repeat[Column.SOURCE].nunique()}
            for model, column in MODELS.items():
                for metric, score in _metrics(name, model).items():
                    value = float(np.mean([score(repeat, column) for _, repeat in part.groupby("repeat")]))
                    keys = {"target": str(name), "subset": subset, "model": model, "metric": metric}
                    rows.append(keys | {"value": value} | counts)
    table = pd.DataFrame(rows)
    return table[np.isfinite(table["value"])].reset_index(drop=True)


def fold_scores(out_of_fold: pd.DataFrame) -> pd.DataFrame:
    """Score each fold: target, repeat, fold, main metric, pellets, sources, and a column for each model.

    Only the subset "all" of `score_table` is scored; folds without such rows are left out.
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
    """Return the rows of one target in each subset of `score_table`."""
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
    for subset, part in (parts | _subsets_by_known_processing(lithium) | _subsets_by_domain(lithium)).items():
        if part[Column.PELLET_ID].nunique() >= ENOUGH_PELLETS and part[Column.SOURCE].nunique() >= ENOUGH_SOURCES:
            yield subset, part
    sodium = frame[frame[Column.SYSTEM].str.startswith("N")]
    if sodium[Column.PELLET_ID].nunique() >= ENOUGH_PELLETS:
        yield SODIUM, sodium


def _subsets_by_known_processing(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return out-of-fold rows by the known share of the processing."""
    if UNKNOWN_SHARE not in frame:
        return {}
    unknown = frame[UNKNOWN_SHARE]
    return {
        name: frame[(unknown > above) & (unknown <= up_to)] for name, (above, up_to) in KNOWN_PROCESSING.items()
    }


def _subsets_by_domain(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the out-of-fold rows inside and outside the domain of the other folds."""
    if Column.DOMAIN_SCORE not in frame:
        return {}
    inside = frame[Column.DOMAIN_SCORE] < 1
    return {INSIDE: frame[inside], OUTSIDE: frame[~inside]}


Metric = Callable[[pd.DataFrame, str], float]


def _metrics(name: TargetName, model: str) -> dict[str, Metric]:
    """Return the metrics of a model by name, as functions of rows and the column of the predictions."""
    from sklearn import metrics

    if name is TargetName.PHASE_PURITY:
        scores = {"brier": _column_metric(metrics.mean_squared_error)}  # equals the Brier score
        # The base rate does not rank pellets; its small differences between folds are no forecast.
        if model != MEDIAN:
            scores |= {"auroc": _column_metric(auroc), "brier_skill": _brier_skill}
            scores |= {"ece": _column_metric(expected_calibration_error)}
            scores |= {"ece_by_chance": lambda rows, column: calibration_error_by_chance(_values(rows, column))}
        return scores
    unit = TARGETS[name].unit.lower()
    scores = {
        f"mae_{unit}": _column_metric(metrics.mean_absolute_error),
        f"median_ae_{unit}": _column_metric(metrics.median_absolute_error),
        "r2": _column_metric(partial(metrics.r2_score, force_finite=False)),
    }
    if model == FULL and name is not TargetName.ACTIVATION_ENERGY:
        for level in LEVELS:
            scores |= _interval_metrics(level, unit)
    return scores


def _column_metric(metric: Callable[[Floats, Floats], float]) -> Metric:
    """Return a metric of measured and predicted values as a function of rows and a column."""
    return lambda rows, column: float(metric(_values(rows, "measured"), _values(rows, column)))


def _brier_skill(rows: pd.DataFrame, column: str) -> float:
    """Return 1 - Brier score / Brier score of the base rate; above 0 is better than the base rate."""
    from sklearn.metrics import mean_squared_error

    brier = _column_metric(mean_squared_error)
    return 1.0 - brier(rows, column) / brier(rows, MODELS[MEDIAN])


def _interval_metrics(level: float, unit: str) -> dict[str, Metric]:
    lower, upper = interval_columns(level)

    def covered(rows: pd.DataFrame, _: str) -> float:
        return coverage(*(_values(rows, column) for column in ("measured", lower, upper)))

    def width(rows: pd.DataFrame, _: str) -> float:
        return mean_width(_values(rows, lower), _values(rows, upper))

    return {f"coverage_{100 * level:.0f}": covered, f"width_{100 * level:.0f}_{unit}": width}


def _values(rows: pd.DataFrame, column: str) -> Floats:
    return rows[column].to_numpy(dtype=np.float64)


def source_weights(sources: ArrayLike, draws: int, seed: int) -> Floats:
    """Return bootstrap weights of rows: how often the source of each row is drawn, shape (draws, n).

    Each draw takes as many sources as there are, with replacement. Draws depend only on the seed and the sources.
    """
    names, codes = np.unique(np.asarray(sources, dtype=str), return_inverse=True)
    counts = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
    return np.asarray(counts[:, codes], dtype=np.float64)


def weighted_mean(values: Floats, weights: Floats) -> Floats:
    """Return the weighted mean of values, shape (n,), for weights of shape (draws, n); NaN for an empty draw."""
    with np.errstate(invalid="ignore"):
        return np.asarray(weights @ values / weights.sum(axis=1))


@dataclass(frozen=True)
class Difference:
    """A difference of two scores with its 95 % bootstrap interval.

    Attributes
    ----------
    value
        Difference on the observed rows.
    lower, upper
        2.5 % and 97.5 % quantiles of the draws.
    """

    value: float
    lower: float
    upper: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval excludes 0."""
        return self.lower > 0 or self.upper < 0


def with_interval(value: float, drawn: Floats) -> Difference:
    """Return a difference with the interval of its draws, shape (draws,); non-finite draws are ignored."""
    finite = drawn[np.isfinite(drawn)]
    if len(finite) == 0:
        return Difference(value, float("nan"), float("nan"))
    lower, upper = np.percentile(finite, [2.5, 97.5])
    return Difference(value, float(lower), float(upper))


def coverage_curve(out_of_fold: pd.DataFrame, levels: np.ndarray) -> pd.DataFrame:
    """Return the coverage of out-of-fold rows at the given levels.

    Parameters
    ----------
    out_of_fold
        Rows of one target.
    levels
        Levels above 0 and below 1, shape (k,).

    Returns
    -------
    pandas.DataFrame
        level, coverage, and coverage_se (its bootstrap standard error over sources); k rows.
    """
    needed = out_of_fold[LEVEL_NEEDED].to_numpy(dtype=np.float64)
    weights = source_weights(out_of_fold[Column.SOURCE].to_numpy(), DRAWS, SEED)
    inside = (needed[:, None] < levels[None, :]).astype(np.float64)
    drawn = np.stack([weighted_mean(column, weights) for column in inside.T])
    return pd.DataFrame(
        {"level": levels, "coverage": inside.mean(axis=0), "coverage_se": np.nanstd(drawn, axis=1)}
    )


def coverage_curves(out_of_fold: pd.DataFrame, target: str) -> dict[str, pd.DataFrame]:
    """Return the coverage curves of lithium pellets, LATP, LAGP and sodium compounds, by label."""
    subsets = scored_subsets(out_of_fold, target)
    levels = np.linspace(0.05, 0.95, 37)
    labels = {ALL: "all lithium pellets", "LATP": "LATP", "LAGP": "LAGP", SODIUM: "sodium compounds"}
    return {
        f"{label} ({subsets[name][Column.SOURCE].nunique()} sources)": coverage_curve(subsets[name], levels)
        for name, label in labels.items()
        if name in subsets
    }


def domain_rows(out_of_fold: pd.DataFrame, target: str) -> pd.DataFrame:
    """Return the rows on which the domain of a target is evaluated: the subsets "all" and sodium."""
    subsets = scored_subsets(out_of_fold, target)
    return pd.concat([subsets[name] for name in (ALL, SODIUM) if name in subsets])


def domain_curve(out_of_fold: pd.DataFrame, target: str, groups: int = 8) -> pd.DataFrame:
    """Return the error in groups by domain score: equal counts inside the domain, and one group outside.

    Returns
    -------
    pandas.DataFrame
        score (median of the group), score_from, score_to, error (mean of `row_errors`), error_se (bootstrap over
        sources), n_rows, n_sources; one row per group. Repeats count as separate rows.
    """
    rows = domain_rows(out_of_fold, target)
    score = rows[Column.DOMAIN_SCORE].to_numpy(dtype=np.float64)
    error = row_errors(rows, target)
    groups_found = []
    order = np.argsort(score, kind="stable")
    inside = int((score < 1).sum())
    for part in (*np.array_split(order[:inside], groups - 1), order[inside:]):
        if len(part) == 0:
            continue
        sources = rows[Column.SOURCE].to_numpy()[part]
        drawn = weighted_mean(error[part], source_weights(sources, DRAWS, SEED))
        groups_found.append(
            {"score": float(np.median(score[part])), "score_from": float(score[part].min())}
            | {"score_to": float(score[part].max()), "error": float(error[part].mean())}
            | {"error_se": float(np.nanstd(drawn)), "n_rows": len(part), "n_sources": len(set(sources))}
        )
    return pd.DataFrame(groups_found)


#: Number of shuffles of each field.
_SHUFFLES = 3
#: Fields that are shuffled together because they are meaningful only together.
_ADDITIVE_FIELDS = (Column.ADDITIVE, Column.ADDITIVE_AMOUNT, Column.ADDITIVE_UNIT)


def _shuffled_groups(table: pd.DataFrame) -> dict[str, tuple[Column, ...]]:
    """Return the groups of fields to shuffle by label; preparation fields only if a row states them."""
    single = {
        column.label: (column,)
        for column in RECIPE
        if column not in _ADDITIVE_FIELDS and (column.role is not Role.PREPARATION or table[column].notna().any())
    }
    return single | {Column.ADDITIVE.label: _ADDITIVE_FIELDS}


class ImportanceCollector:
    """Permutation importance of the fields of a recipe, collected over the folds of a cross-validation.

    Parameters
    ----------
    pellets
        The whole pellet table.
    name, rows
        The target and its rows.
    feature_set
        The feature set of the models.
    seed
        Seed of the shuffling.

    Notes
    -----
    Permutation importance: Breiman, 10.1023/A:1010933404324. The loss is the mean absolute error on the scale
    of reports, or the mean logarithmic loss for a probability. Only out-of-fold pellets are used, so a field that
    the model merely memorised has no importance.
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
        """Shuffle each group of fields among the test rows of one fold and store the increase of the loss."""
        table = self._table.iloc[self._rows.rows[test]].reset_index(drop=True)
        temperature = self._temperature[self._rows.rows[test]]
        y = self._rows.y[test]
        groups = _shuffled_groups(self._table)
        copies = [table]
        for columns in groups.values():
            for _ in range(_SHUFFLES):
                order = self._random.permutation(len(table))
                copies.append(table.assign(**{str(column): table[column].to_numpy()[order] for column in columns}))
        # One call for all copies, because computing features costs time per call rather than per row.
        features = build_features(pd.concat(copies, ignore_index=True), self._feature_set).values
        predicted = fitted.reported(features, np.tile(temperature, len(copies))).reshape(len(copies), len(table))
        losses = [loss(self._name, y, values) for values in predicted]
        increase = np.array(losses[1:]).reshape(len(groups), _SHUFFLES).mean(axis=1) - losses[0]
        self._increases.append(dict(zip(groups, increase.tolist(), strict=True)))
        self._sizes.append(len(table))

    def frame(self) -> pd.DataFrame:
        """Return target, feature, importance (increase of the loss) and its spread over folds, sorted."""
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
