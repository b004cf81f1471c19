"""Write the parts of README.md with numbers: the table of scores and the description of the dataset."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from nasicon_ml.columns import Column
from nasicon_ml.data.agreement import agreement
from nasicon_ml.data.load import load_pellets, load_sources
from nasicon_ml.estimators.uncertainty import NEAR_ROOM_TEMPERATURE_C

#: Largest difference of sintering temperatures that count as equal, in °C.
SINTERING_TOLERANCE_C = 25.0
MODELS = ("full", "composition only", "median")
HEADS = (
    "on papers the model has not seen", "pellets (papers)", "whole recipe", "composition only", "no model",
    "in the 90 % interval", "its mean width",
)  # fmt: skip
#: Label, target, subset, metric, score of "no model" if the run has none, and metric of the interval width.
ROWS = (
    ("**Conductivity**, mean error in decades", "conductivity", "all", "mae_decades", None, "width_90_decades"),
    ("- median error", "conductivity", "all", "median_ae_decades", None, None),
    (
        "- where the sintering temperature is stated", "conductivity", "sintering temperature given",
        "mae_decades", None, "width_90_decades",
    ),
    ("- LATP", "conductivity", "LATP", "mae_decades", None, "width_90_decades"),
    ("- LAGP", "conductivity", "LAGP", "mae_decades", None, "width_90_decades"),
    ("- sodium compounds", "conductivity", "sodium", "mae_decades", None, "width_90_decades"),
    ("**Density**, mean error in points", "relative_density", "all", "mae_points", None, "width_90_points"),
    ("- median error", "relative_density", "all", "median_ae_points", None, None),
    ("**Phase purity**, AUROC (1 is perfect)", "phase_purity", "all", "auroc", 0.5, None),
    ("- Brier score (0 is perfect)", "phase_purity", "all", "brier", None, None),
)  # fmt: skip


def score_section(scores: Sequence[Mapping[str, Any]]) -> str:
    """Return the table of scores, and the reproducibility of measurements below it.

    Parameters
    ----------
    scores
        The rows of a training run, as in ``model.json`` of a bundle.
    """
    table = pd.DataFrame(scores).set_index(["target", "subset", "model", "metric"])
    lines = [f"| {' | '.join(HEADS)} |", f"|{' --- |' * len(HEADS)}", *(_row(table, *row) for row in ROWS)]
    return "\n".join([*lines, "", _reproducibility()])


def _row(
    table: pd.DataFrame, words: str, target: str, subset: str, metric: str, chance: float | None, width: str | None
) -> str:
    def score(model: str, name: str) -> float | None:
        key = (target, subset, model, name)
        return float(table.loc[key, "value"]) if key in table.index else None

    digits = 3 if metric == "brier" else 1 if metric.endswith("points") else 2
    cells = [score(model, metric) for model in MODELS]
    if cells[-1] is None:
        cells[-1] = chance
    counts = table.loc[(target, subset, "full", metric)]
    shown = ["" if cell is None else f"{cell:.{digits}f}" for cell in cells]
    covered, reach = (None, None) if width is None else (score("full", "coverage_90"), score("full", width))
    unit = "points" if width == "width_90_points" else "decades"
    interval = ["", ""] if covered is None or reach is None else [f"{100 * covered:.0f} %", f"{reach:.1f} {unit}"]
    return f"| {' | '.join([words, f'{counts.n_rows:.0f} ({counts.n_sources:.0f})', *shown, *interval])} |"


def _reproducibility() -> str:
    lithium = load_pellets()
    lithium = lithium[lithium[Column.SYSTEM].str.startswith("L")]
    temperature = lithium[Column.MEASUREMENT_TEMPERATURE_C]
    is_near_room_temperature = temperature.isna() | temperature.between(*NEAR_ROOM_TEMPERATURE_C)
    decades = np.log10(lithium[Column.CONDUCTIVITY_TOTAL_S_CM]).where(
        is_near_room_temperature & lithium[Column.CONDUCTIVITY_BOUND].isna()
    )
    density = lithium[Column.RELATIVE_DENSITY_PCT].where(lithium[Column.DENSITY_BOUND].isna())
    overall, points = agreement(lithium, decades), agreement(lithium, density)
    matched = agreement(lithium, decades, sintered_within_c=SINTERING_TOLERANCE_C)
    return _wrapped(
        "For comparison: two laboratories that made the same composition differ by "
        f"{overall.difference:.2f} decades in conductivity ({matched.difference:.2f} if they sintered "
        f"alike) and by {points.difference:.0f} points of density. If the mean of all laboratories were known "
        f"exactly, errors of about {overall.floor:.2f} ({matched.floor:.2f}) decades and {points.floor:.0f} "
        "points would remain."
    )


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 118, break_long_words=False, break_on_hyphens=False)


def dataset_paragraph() -> str:
    """Return the paragraph on the size of the dataset."""
    everything, usable = load_pellets(include_suspect=True), load_pellets()
    measured = {
        "total conductivity": Column.CONDUCTIVITY_TOTAL_S_CM,
        "relative density": Column.RELATIVE_DENSITY_PCT,
        "phase purity": Column.PHASE_PURE,
    }
    counts = ", ".join(f"{int(usable[column].notna().sum())} with {name}" for name, column in measured.items())
    systems = usable[Column.SYSTEM].isin(["LATP", "LAGP"]).mean()
    return _wrapped(
        f"`datasets/pellets.csv` holds {len(everything):,} measured pellets of {len(load_sources())} sources, "
        f"{len(usable):,} of them usable without doubt: {counts}. {100 * systems:.0f} % are LATP or LAGP."
    )
