"""Predictions for unusual recipes (films, cold pellets), and smoothness of conductivity over the temperature.

``python -m benchmarks.edge_cases [BUNDLE ...]`` prints one column for each bundle, the committed one by default.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from nasicon_ml.arrays import Floats
from nasicon_ml.columns import Column
from nasicon_ml.model import PropertyModel
from nasicon_ml.recipe import Recipe, recipe_table
from nasicon_ml.workflows.predict import loaded_model

COMPOSITIONS = (
    "LiTi2(PO4)3", "Li1.2Al0.2Ti1.8(PO4)3", "Li1.3Al0.3Ti1.7(PO4)3", "Li1.4Al0.4Ti1.6(PO4)3",
    "Li1.5Al0.5Ti1.5(PO4)3", "Li1.6Al0.6Ti1.4(PO4)3", "Li1.3Cr0.3Ti1.7(PO4)3", "Li1.3Sc0.3Ti1.7(PO4)3",
    "Li1.3Ga0.3Ti1.7(PO4)3", "Li1.3Fe0.3Ti1.7(PO4)3", "Li1.3Y0.3Ti1.7(PO4)3", "Li1.3In0.3Ti1.7(PO4)3",
    "Li1.3La0.3Ti1.7(PO4)3", "LiGe2(PO4)3", "Li1.4Al0.4Ge1.6(PO4)3", "Li1.5Al0.5Ge1.5(PO4)3",
    "Li1.5Cr0.5Ge1.5(PO4)3", "Li1.4Al0.4Ge0.8Ti0.8(PO4)3", "Li1.3Al0.3Ge0.2Ti1.5(PO4)3",
    "Li1.45Al0.45Ge0.2Ti1.35(PO4)3", "LiZr2(PO4)3", "Li1.2Ca0.1Zr1.9(PO4)3", "Li1.15Y0.15Zr1.85(PO4)3",
    "Li1.3Al0.3Zr1.7(PO4)3", "LiHf2(PO4)3", "Li1.2Cr0.2Hf1.8(PO4)3", "LiSn2(PO4)3", "NaZr2(PO4)3",
    "Na3Zr2Si2PO12", "Na3.4Zr2Si2.4P0.6O12",
)  # fmt: skip
TEMPERATURES_C = np.arange(600.0, 1201.0, 5.0)
#: Differences of conductivity within this many decades are ignored.
TOLERANCE_DECADES = 0.02
LAGP, LATP = "Li1.5Al0.5Ge1.5(PO4)3", "Li1.3Al0.3Ti1.7(PO4)3"
EDGE_CASES: dict[str, dict[str, Any]] = {
    "LAGP, conventional, 850 °C, 6 h": {"formula": LAGP, "sintering_temperature_c": 850, "sintering_time_h": 6},
    "LAGP, sputtered": {"formula": LAGP, "densification": "sputtering"},
    "LAGP, aerosol": {"formula": LAGP, "densification": "aerosol"},
    "LAGP, tape cast": {"formula": LAGP, "densification": "tape_cast"},
    "LATP, cold sintered, 150 °C": {
        "formula": LATP, "densification": "cold_sintering", "sintering_temperature_c": 150,
    },
    "LATP, cold pressed": {"formula": LATP, "densification": "cold_pressing"},
    "LATP, spark plasma, 700 °C": {
        "formula": LATP, "densification": "spark_plasma", "sintering_temperature_c": 700, "sintering_time_h": 0.1,
    },
    **{
        f"LATP, {temperature} °C, 6 h": {
            "formula": LATP, "synthesis_route": "solid_state", "densification": "conventional",
            "sintering_temperature_c": temperature, "sintering_time_h": 6,
        }
        for temperature in (25, 600, 700, 800, 900, 1000, 1100)
    },
}  # fmt: skip


def count_turning_points(curve: Floats, tolerance: float) -> int:
    """Return the number of turning points of a curve of shape (n,), ignoring changes within the tolerance."""
    turns, direction = 0, 0
    lowest = highest = curve[0]
    for value in curve[1:]:
        lowest, highest = min(lowest, value), max(highest, value)
        fell, rose = value < highest - tolerance, value > lowest + tolerance
        now = -1 if fell and direction >= 0 else 1 if rose and direction <= 0 else direction
        if now and now != direction:
            turns += direction != 0
            direction = now
            lowest = highest = value
        elif now > 0:
            lowest = highest  # only a fall from the top counts from here on
        elif now < 0:
            highest = lowest
    return turns


def smoothness(model: PropertyModel) -> dict[str, float]:
    """Return measures of the smoothness of conductivity over the sintering temperature."""
    recipes = [
        Recipe(
            formula=formula, synthesis_route="solid_state", densification="conventional",
            sintering_temperature_c=float(temperature), sintering_time_h=6,
        )
        for formula in COMPOSITIONS
        for temperature in TEMPERATURES_C
    ]  # fmt: skip
    found = model.scores(recipe_table(recipes))[Column.PREDICTED_CONDUCTIVITY_S_CM]
    curves = np.log10(found).reshape(len(COMPOSITIONS), -1)
    turns = np.array([count_turning_points(curve, TOLERANCE_DECADES) for curve in curves])
    return {
        f"turning points of {len(COMPOSITIONS)} curves": float(turns.sum()),
        "curves with one maximum": float((turns <= 1).sum()),
        "largest change within 25 °C, mean, decades": float(np.abs(curves[:, 5:] - curves[:, :-5]).max(1).mean()),
    }


def answers(model: PropertyModel) -> pd.Series:
    """Return the answers to `EDGE_CASES` in words."""
    found = model.predict(recipe_table([Recipe(**fields) for fields in EDGE_CASES.values()]))
    words = [
        f"{row[Column.PREDICTED_CONDUCTIVITY_S_CM]:.1e} S/cm, {row[Column.PREDICTED_RELATIVE_DENSITY_PCT]:.0f} %"
        f"{'' if row[Column.INSIDE_DOMAIN] else ', outside'}"
        for _, row in found.iterrows()
    ]
    return pd.Series(words, index=list(EDGE_CASES))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundles", nargs="*", default=["models/champion"])
    columns = {}
    for bundle in parser.parse_args(arguments).bundles:
        model = loaded_model(bundle)
        numbers = {name: f"{value:.3g}" for name, value in smoothness(model).items()}
        columns[bundle] = pd.concat([answers(model), pd.Series(numbers)])
    print(pd.DataFrame(columns).to_string())


if __name__ == "__main__":
    main()
