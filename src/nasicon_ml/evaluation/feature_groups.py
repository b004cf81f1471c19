"""Which part of a recipe a feature belongs to, for explanations in the words of the recipe.

A feature made of one field belongs to that field. One made of several, where the field cannot be told apart, has a
group named after all of them: dividing such a feature among its fields would be made up.
"""

from __future__ import annotations

import re
from functools import cache

from nasicon_ml.columns import Column
from nasicon_ml.errors import FieldError
from nasicon_ml.features.composition import M_CATIONS

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
    (FIRING, r"(firing_excess|underfired|overfired)_c"),
    (HEATING_RATE, r"(given|log10)_heating_rate_c_min"),
    (REDUCTION_IN_TIME, r"reduction_drive_log_rate"),
    (REDUCTION, r"reduction_drive"),
    (ATMOSPHERE, r"atmosphere=\S+|log10_oxygen_bar"),
    (DENSIFICATION, r"densification=\w+"),
    (PRESSURE, r"(given|log10)_pressure_mpa"),
)

#: All groups, composition first, then in the order of the work.
GROUPS = tuple(group for group, _ in _PATTERNS)
#: Those that a formula alone decides.
COMPOSITION_GROUPS = (LITHIUM, HOST, DOPANTS, CATIONS)


@cache
def group_of(feature: str) -> str:
    """Name the part of a recipe that a feature belongs to.

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
    raise FieldError("feature", feature, "a feature that nasicon_ml.evaluation.feature_groups knows a group for")
