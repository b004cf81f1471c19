"""A fast fake model with simple predictions, so that tests of the command line do not depend on the real one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from nasicon_ml.bundle.parts import ModelMetadata
from nasicon_ml.checks import check_columns
from nasicon_ml.columns import MODEL_INPUT, PELLET, Column
from nasicon_ml.composition import parse
from nasicon_ml.features.distances import Neighbours
from nasicon_ml.model import Answers
from nasicon_ml.workflows.predict import Prediction

PELLETS = (
    {
        "pellet_id": "p1", "source": "raj2023", "doi": "10.1021/acsaem.2c02464",
        "formula": "Li1.4Al0.4Ti1.6(PO4)3", "sintering_temperature_c": 800, "sintering_time_h": 2,
        "heating_rate_c_min": 1, "atmosphere": "Ar", "particle_size_um": 0.31, "densification": "conventional",
        "measurement_temperature_c": 25, "conductivity_total_s_cm": 8.77e-4, "relative_density_pct": 98.1,
        "phase_pure": True,
    },
    {
        "pellet_id": "p2", "source": "raj2023", "formula": "Li1.4Al0.4Ti1.6(PO4)3", "phase_pure": False,
        "secondary_phases": "AlPO4;TiO2", "additive": "Li2O", "additive_amount": 0.05,
        "additive_unit": "formula_unit",
    },
    {
        "pellet_id": "p3", "source": "ly7", "formula": "Li1.3Al0.3Ti1.7(PO4)3", "cited_in": "a collection",
        "conductivity_total_s_cm": 1e-10, "conductivity_bound": "upper", "relative_density_pct": 90,
        "density_bound": "lower",
    },
)  # fmt: skip


class FakeModel:
    """Predicts 1e-7 times the sintering temperature as conductivity, NaN without one; all else is constant."""

    metadata = ModelMetadata(created="2026-01-02T03:04:05+00:00", dataset_sha256="ab" * 32, dataset_rows=3)

    def __init__(self) -> None:
        clean, findings = check_columns(pd.DataFrame(PELLETS, dtype="object"), PELLET)
        assert findings == []
        self.pellets = clean.assign(**{Column.SYSTEM.value: "LATP"})

    def answer(self, table: pd.DataFrame, *, level: float = 0.9) -> Answers:
        temperature = table[Column.SINTERING_TEMPERATURE_C].to_numpy()
        n, sigma, inside = len(table), temperature * 1e-7, ~(temperature >= 1200)
        numbers: dict[Column, Any] = {
            Column.PREDICTED_CONDUCTIVITY_S_CM: sigma,
            Column.PREDICTED_CONDUCTIVITY_LOWER_S_CM: sigma * (1 - level),
            Column.PREDICTED_CONDUCTIVITY_UPPER_S_CM: sigma / (1 - level),
            Column.PREDICTED_ACTIVATION_ENERGY_EV: np.full(n, 0.36),
            Column.PREDICTED_RELATIVE_DENSITY_PCT: np.full(n, 95.25),
            Column.PREDICTED_RELATIVE_DENSITY_LOWER_PCT: np.full(n, 88.0),
            Column.PREDICTED_RELATIVE_DENSITY_UPPER_PCT: np.full(n, 99.5),
            Column.PREDICTED_PHASE_PURITY: np.full(n, 0.45),
            Column.SYSTEM: np.array([parse(formula).system for formula in table[Column.FORMULA]], dtype=object),
            Column.INSIDE_DOMAIN: inside,
            Column.DOMAIN_SCORE: np.where(inside, 0.4, 1.7),
        }
        outside = ("sintering temperature is above that of any pellet", "far away")
        positions = np.tile(np.arange(len(PELLETS)), (n, 1))
        return Answers(
            numbers,
            [("AlPO4", "LiTiOPO4")] * n,
            [() if is_inside else outside for is_inside in inside],
            Neighbours(positions, positions / 10),
            self.pellets[Column.PELLET_ID].to_numpy(dtype=object),
        )


def fake_predict(
    recipes: pd.DataFrame,
    model: Any = None,
    *,
    level: float = 0.9,
    at_c: float | None = None,
    own: pd.DataFrame | None = None,
    neighbours: int = 3,
) -> Prediction:
    """Replace `nasicon_ml.workflows.predict.predict`."""
    model = model if isinstance(model, FakeModel) else FakeModel()
    table = recipes[[str(column) for column in MODEL_INPUT]].reset_index(drop=True)
    if at_c is not None:
        table[Column.MEASUREMENT_TEMPERATURE_C.value] = at_c
    answers = model.answer(table, level=level)
    return Prediction(table, answers, model, level)  # type: ignore[arg-type]
