"""What each part of a recipe is worth: permutation importance of its fields, and groups of features by part.

A feature made of one field belongs to that field. One made of several, where the field cannot be told apart, has a
group named after all of them: dividing such a feature among its fields would be made up.
"""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.columns import MODEL_INPUT, RECIPE, Column, Role
from nasicon_ml.errors import FieldError
from nasicon_ml.estimators.fitting import FittedTarget
from nasicon_ml.estimators.targets import TargetName, TrainingRows, measurement_temperature
from nasicon_ml.evaluation.scores import loss
from nasicon_ml.features.build import build_features
from nasicon_ml.features.composition import M_CATIONS

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

LITHIUM = "lithium and x"
HOST = "host (Ti, Ge, Zr, Hf, Sn)"
DOPANTS = "dopants"
CATIONS = "all cations together (size, charge, kind)"
ADDITIVE = Column.ADDITIVE.label
ROUTE = Column.SYNTHESIS_ROUTE.label
CALCINATION = "calcination"
PARTICLE_SIZE = Column.PARTICLE_SIZE_UM.label
SINTERING_TEMPERATURE = Column.SINTERING_TEMPERATURE_C.label
SINTERING_TIME = Column.SINTERING_TIME_H.label
SINTERING = "sintering temperature and time"
FIRING = "sintering temperature for these cations and this powder"
BOTH_FIRINGS = "sintering against calcination temperature"
HEATING_RATE = Column.HEATING_RATE_C_MIN.label
ATMOSPHERE = Column.ATMOSPHERE.label
REDUCTION = "atmosphere and reducible cations"
REDUCTION_IN_TIME = "atmosphere, reducible cations and heating rate"
DENSIFICATION = "densification technique"
PRESSURE = Column.PRESSURE_MPA.label
LITHIUM_EXCESS = Column.LITHIUM_EXCESS_PCT.label
PRECURSORS = Column.PRECURSORS.label
GREEN_PRESSURE = Column.GREEN_PRESSURE_MPA.label
POWDER_BED = Column.POWDER_BED.label

HOSTS = ("Ti", "Ge", "Zr", "Hf", "Sn")
_DOPANTS = tuple(cation for cation in M_CATIONS if cation not in HOSTS)

#: Groups with what the names of their features look like; the first that fits the whole name counts.
_PATTERNS: tuple[tuple[str, str], ...] = (
    (LITHIUM, r"a_lithium|a_sodium|x|alkali_excess|charge_imbalance"),
    (HOST, rf"m_({'|'.join(HOSTS)})|m_reducible|m_valence_4"),
    (DOPANTS, rf"m_({'|'.join(_DOPANTS)}|other|total)|m_valence_[235]|t_silicon"),
    (CATIONS, r"(m|magpie)_\w+_(mean|deviation|avg_dev)(_\w+)?|m_radius_\w+|m_mixing_entropy_r"),
    (ADDITIVE, r"additive_\w+"),
    (ROUTE, r"synthesis_route=\w+|mixing_quality"),
    (BOTH_FIRINGS, r"sintering_minus_calcination_c"),
    (CALCINATION, r"(given|log10)_calcination_\w+"),
    (PARTICLE_SIZE, r"(given|log10)_particle_size_um|surface_drive_per_um"),
    (SINTERING_TEMPERATURE, r"given_sintering_temperature_c"),
    (SINTERING_TIME, r"(given|log10)_sintering_time_h"),
    (SINTERING, r"log10_sintering_work_\w+|lithia_loss_c_log_h"),
    (FIRING, r"(firing_excess|underfired|overfired)_c|sintered_share"),
    (HEATING_RATE, r"(given|log10)_heating_rate_c_min"),
    (REDUCTION_IN_TIME, r"reduction_drive_log_rate"),
    (REDUCTION, r"reduction_drive"),
    (ATMOSPHERE, r"atmosphere=\S+|log10_oxygen_bar"),
    (DENSIFICATION, r"densification=\w+"),
    (PRESSURE, r"(given|log10)_pressure_mpa"),
    (LITHIUM_EXCESS, r"given_lithium_excess_pct"),
    (PRECURSORS, r"(host|trivalent|phosphorus)_source=\w+|precursors_commercial"),
    (GREEN_PRESSURE, r"log10_green_pressure_mpa"),
    (POWDER_BED, r"given_powder_bed"),
)

#: All groups, composition first, then in the order of the work.
GROUPS = tuple(group for group, _ in _PATTERNS)
#: Those that a formula alone decides.
COMPOSITION_GROUPS = (LITHIUM, HOST, DOPANTS, CATIONS)

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
    seed, shuffles
        Of the shuffling.

    Notes
    -----
    Permutation importance: Breiman, 10.1023/A:1010933404324. The loss is the mean absolute error on the scale
    of reports, for a probability the mean logarithmic loss; only out-of-fold pellets count, so a field that the
    model merely memorised is worth nothing.
    """

    def __init__(
        self,
        pellets: pd.DataFrame,
        name: TargetName,
        rows: TrainingRows,
        feature_set: str,
        *,
        seed: int,
        shuffles: int = 3,
    ) -> None:
        self._table = pellets[list(MODEL_INPUT)].reset_index(drop=True)
        self._temperature = measurement_temperature(pellets)
        self._name, self._rows, self._feature_set = name, rows, feature_set
        self._random = np.random.default_rng(seed)
        self._shuffles = shuffles
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
            for _ in range(self._shuffles):
                order = self._random.permutation(len(table))
                changed = table.copy()
                for column in columns:
                    changed[column] = table[column].to_numpy()[order]
                copies.append(changed)
        # One pass over all copies: the cost of features lies in the calls, not in the rows.
        features = build_features(pd.concat(copies, ignore_index=True), self._feature_set).values
        predicted = fitted.reported(features, np.tile(temperature, len(copies))).reshape(len(copies), len(table))
        losses = [loss(self._name, y, values) for values in predicted]
        increase = np.array(losses[1:]).reshape(len(groups), self._shuffles).mean(axis=1) - losses[0]
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


@cache
def group_of(feature: str) -> str:
    """Return the part of a recipe that a feature belongs to.

    Parameters
    ----------
    feature
        Name of a column of `nasicon_ml.features.build_features`.

    Raises
    ------
    FieldError
        If no group has such a feature.
    """
    for group, pattern in _PATTERNS:
        if re.fullmatch(pattern, feature):
            return group
    raise FieldError("feature", feature, "a feature that nasicon_ml.evaluation.importance knows a group for")
