"""A sintering law: how far pellets have sintered, from temperature, time, powder, flux and technique, in arrays.

Between the green body (0) and the sintered pellet (1) lies a step on the temperature scale. Where it lies depends
on the host cations and the powder (`nasicon_ml.features.processing.usual_firing_c`), the time, a flux, and the
technique. Trees know of no temperature that nobody reported: a pellet fired at 25 °C is taken for the coldest that
was published. The law says what it is instead, and models start from it (`nasicon_ml.estimators.priors`).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.columns import Column
from nasicon_ml.features.processing import usual_firing_c

Floats = NDArray[np.float64]

#: How far below the usual firing temperature a pellet has sintered by half, and the width of the step, in °C.
#: LATP of 3.1 µm, usually fired at 900 °C, was 76.7 % dense after 700 °C and 94.8 % after 800 °C (raj2023,
#: 10.1021/acsaem.2c02464).
HALF_SINTERED_BELOW_USUAL_C, STEP_C = 180.0, 50.0
#: What ten times the time is worth, in °C, and the time that the usual temperatures are for, in h. For an apparent
#: activation energy of 500 kJ/mol the master sintering curve (10.1111/j.1151-2916.1996.tb08097.x) gives 53 °C.
LONGER_C_PER_DECADE, USUAL_TIME_H = 50.0, 6.0
#: Times between these are told apart.
SHORTEST_H, LONGEST_H = 0.05, 200.0
#: Techniques that need less heat, in °C. Pressed LAGP densifies in minutes at 600 to 650 °C and glass crystallises
#: from about 600 °C on (review of LAGP, 10.1002/adfm.202300973), where powder needs 850 °C.
LESS_HEAT_C = {
    "spark_plasma": 200.0, "field_assisted": 200.0, "hot_press": 200.0, "hot_isostatic_press": 200.0,
    "high_pressure": 200.0, "glass_ceramic_crystallization": 250.0,
}  # fmt: skip
#: Techniques that are done in minutes: their time is no part of the law.
QUICK = ("spark_plasma", "field_assisted", "hot_press", "microwave", "high_pressure", "ultrafast_high_temperature")
#: How much less heat a fluxing additive needs, in °C. A choice: 0.5 wt% LiF lowers the crystallisation temperature
#: of LAGP by 17 °C (10.1002/adfm.202300973).
FLUX_C = 60.0
#: Cold sintering densifies under its pressure from about the boiling point of its liquid on; °C.
COLD_SINTERING_C, COLD_STEP_C = 80.0, 20.0
#: Films are deposited dense or porous; no powder sinters.
DEPOSITED = ("sputtering", "pulsed_laser_deposition", "aerosol", "thin_film")
_LARGEST_EXPONENT = 50.0


def sintered_share(table: pd.DataFrame, hosts_c: Floats, fluxing: Floats) -> Floats:
    """Return how far recipes sinter, 0 (green body) to 1.

    Parameters
    ----------
    table
        Recipe columns, n rows.
    hosts_c
        As for `nasicon_ml.features.processing.firing_columns`, shape (n,) or (m, 1).
    fluxing
        1 where the additive melts or forms a glass (`additive_fluxing`), shape (n,).

    Returns
    -------
    ndarray
        Shape (n,) or (m, n); NaN where the sintering temperature is not given, 0 for pellets that are pressed
        only, 1 for deposited films.
    """
    temperature = table[Column.SINTERING_TEMPERATURE_C].to_numpy(dtype=np.float64)
    hours = np.clip(table[Column.SINTERING_TIME_H].to_numpy(dtype=np.float64), SHORTEST_H, LONGEST_H)
    technique = table[Column.DENSIFICATION]
    longer = np.nan_to_num(LONGER_C_PER_DECADE * np.log10(hours / USUAL_TIME_H))
    less = np.where(technique.isin(QUICK), 0.0, longer) + FLUX_C * (fluxing > 0)
    less = less + technique.map(LESS_HEAT_C).to_numpy(dtype=np.float64, na_value=0.0)
    half = usual_firing_c(table, hosts_c) - HALF_SINTERED_BELOW_USUAL_C - less
    cold = technique.eq("cold_sintering").to_numpy(dtype=bool, na_value=False)
    half, width = np.where(cold, COLD_SINTERING_C, half), np.where(cold, COLD_STEP_C, STEP_C)
    steps = np.clip((half - temperature) / width, -_LARGEST_EXPONENT, _LARGEST_EXPONENT)
    share = 1.0 / (1.0 + np.exp(steps))
    share = np.where(technique.isin(DEPOSITED), 1.0, share)
    return np.where(technique.eq("cold_pressing").to_numpy(dtype=bool, na_value=False), 0.0, share)
