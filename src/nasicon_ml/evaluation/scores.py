"""The score table of a training run: every number with its subset, counts, baseline and composition-only twin."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from nasicon_ml.columns import Column
from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.estimators.uncertainty import NEAR_ROOM_TEMPERATURE_C
from nasicon_ml.evaluation import metrics
from nasicon_ml.evaluation.calibrated import LEVELS, UNKNOWN_SHARE, end_columns

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
_UNITS = {
    TargetName.CONDUCTIVITY: "decades",
    TargetName.RELATIVE_DENSITY: "points",
    TargetName.ACTIVATION_ENERGY: "ev",
}


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


def scored_subsets(out_of_fold: pd.DataFrame, target: str) -> dict[str, pd.DataFrame]:
    """Give the rows of one target behind each subset of `score_table`, so that figures can show the same."""
    return dict(_subsets(TargetName(target), out_of_fold[out_of_fold["target"] == target]))


def _subsets(name: TargetName, frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    if name is TargetName.CONDUCTIVITY:
        low, high = NEAR_ROOM_TEMPERATURE_C
        temperature = frame[Column.MEASUREMENT_TEMPERATURE_C]
        near = temperature.isna() | temperature.between(low, high)
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
    if name is TargetName.PHASE_PURITY:
        scores: dict[str, Score] = {"brier": lambda f, c: metrics.brier(_values(f, "measured"), _values(f, c))}
        # A base rate ranks nothing; that it differs a little from fold to fold is no forecast.
        if model != MEDIAN:
            scores["auroc"] = lambda f, c: metrics.auroc(_values(f, "measured"), _values(f, c))
            scores["brier_skill"] = lambda f, c: metrics.brier_skill(
                _values(f, "measured"), _values(f, c), _values(f, "median")
            )
            scores["ece"] = lambda f, c: metrics.expected_calibration_error(_values(f, "measured"), _values(f, c))
            scores["ece_by_chance"] = lambda f, c: metrics.calibration_error_by_chance(_values(f, c))
        return scores
    unit = _UNITS[name]
    scores = {
        f"mae_{unit}": lambda f, c: metrics.mean_absolute_error(_values(f, "measured"), _values(f, c)),
        f"median_ae_{unit}": lambda f, c: metrics.median_absolute_error(_values(f, "measured"), _values(f, c)),
        "r2": lambda f, c: metrics.r_squared(_values(f, "measured"), _values(f, c)),
    }
    if model == FULL and name is not TargetName.ACTIVATION_ENERGY:
        for level in LEVELS:
            scores |= _interval_metrics(level, unit)
    return scores


def _interval_metrics(level: float, unit: str) -> dict[str, Score]:
    lower, upper = end_columns(level)

    def covered(frame: pd.DataFrame, _: str) -> float:
        return metrics.coverage(*(_values(frame, column) for column in ("measured", lower, upper)))

    def width(frame: pd.DataFrame, _: str) -> float:
        return metrics.mean_width(_values(frame, lower), _values(frame, upper))

    return {f"coverage_{100 * level:.0f}": covered, f"width_{100 * level:.0f}_{unit}": width}


def _values(frame: pd.DataFrame, column: str) -> metrics.Floats:
    return frame[column].to_numpy(dtype=np.float64)
