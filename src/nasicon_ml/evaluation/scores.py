"""The score table of a training run: every number with its subset, counts, baseline and composition-only twin."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from nasicon_ml.columns import Column
from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.estimators.uncertainty import NEAR_ROOM_TEMPERATURE_C
from nasicon_ml.evaluation import metrics

#: A system gets scores of its own from this many pellets and sources on.
ENOUGH_PELLETS = 15
ENOUGH_SOURCES = 4

FULL, COMPOSITION_ONLY, MEDIAN = "full", "composition only", "median"
MODELS = {FULL: "predicted", COMPOSITION_ONLY: "composition_only", MEDIAN: "median"}
ALL, SINTERED, SODIUM = "all", "sintering temperature given", "sodium"
AWAY = "away from room temperature"
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
        own, and so have sodium pellets.
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
    for system, part in lithium.groupby(Column.SYSTEM):
        if part[Column.PELLET_ID].nunique() >= ENOUGH_PELLETS and part[Column.SOURCE].nunique() >= ENOUGH_SOURCES:
            yield str(system), part
    sodium = frame[frame[Column.SYSTEM].str.startswith("N")]
    if sodium[Column.PELLET_ID].nunique() >= ENOUGH_PELLETS:
        yield SODIUM, sodium


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
        return scores
    unit = _UNITS[name]
    scores = {
        f"mae_{unit}": lambda f, c: metrics.mean_absolute_error(_values(f, "measured"), _values(f, c)),
        f"median_ae_{unit}": lambda f, c: metrics.median_absolute_error(_values(f, "measured"), _values(f, c)),
        "r2": lambda f, c: metrics.r_squared(_values(f, "measured"), _values(f, c)),
    }
    if model == FULL and name is not TargetName.ACTIVATION_ENERGY:
        scores["coverage_90"] = lambda f, _: metrics.coverage(
            _values(f, "measured"), _values(f, "lower"), _values(f, "upper")
        )
        scores[f"width_90_{unit}"] = lambda f, _: metrics.mean_width(_values(f, "lower"), _values(f, "upper"))
    return scores


def _values(frame: pd.DataFrame, column: str) -> metrics.Floats:
    return frame[column].to_numpy(dtype=np.float64)
