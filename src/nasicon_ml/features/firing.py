"""How hot a pellet was fired for what it is made of, in arrays.

900 °C leave a zirconium phosphate porous and make a titanium phosphate lose lithium. So the sintering temperature
is also given against what is usual for the host cations and the fineness of the powder.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.columns import Column
from nasicon_ml.composition import ELEMENTS, OccupancyTable
from nasicon_ml.features.processing import LOGARITHMIC

Floats = NDArray[np.float64]
Columns = dict[str, Floats]

#: Usual sintering temperature of conventionally sintered pellets in °C by host cation: medians over the sources of
#: the dataset, rounded to 50 °C (a test computes them anew).
USUAL_FIRING_C = {"Ti": 900.0, "Ge": 850.0, "Zr": 1200.0, "Hf": 1100.0, "Sn": 950.0}
#: Where none of these sits on the M site: Li3Sc2(PO4)3, LiFeNb(PO4)3 and the like, about in the middle.
USUAL_FIRING_WITHOUT_HOST_C = 1000.0
#: How much less heat a ten times finer powder needs: densification ended at 940 °C for 3.1 µm and at 850 °C for
#: 0.31 µm in air (raj2023, 10.1021/acsaem.2c02464).
FINER_POWDER_C_PER_DECADE = 90.0
#: The powder that the usual temperatures are for, and that a recipe is taken to have which does not say.
USUAL_PARTICLE_SIZE_UM = 3.1


def firing_columns(table: pd.DataFrame, hosts_c: Floats) -> Columns:
    """Compare the sintering temperature with the usual one; columns of shape (n,), °C, NaN without a temperature.

    Parameters
    ----------
    table
        Recipe columns, n rows.
    hosts_c
        What `usual_for_hosts_c` gives for the recipes' compositions, shape (n,); or for m compositions, shape
        (m, 1), of which each is made in all n ways: then the columns have shape (m, n).

    Returns
    -------
    dict
        `firing_excess_c`, signed, and its two sides `underfired_c` and `overfired_c`, each 0 on the other side:
        both have one direction that physics is certain of, which the difference has not.
    """
    temperature = table[Column.SINTERING_TEMPERATURE_C].to_numpy(dtype=np.float64)
    excess = temperature - usual_firing_c(table, hosts_c)
    return {
        "firing_excess_c": excess,
        "underfired_c": np.maximum(-excess, 0.0),
        "overfired_c": np.maximum(excess, 0.0),
    }


def usual_for_hosts_c(sites: OccupancyTable) -> Floats:
    """Give the usual sintering temperature of the hosts, mixed by amount; shape (n_unique,), °C."""
    at = [ELEMENTS.index(host) for host in USUAL_FIRING_C]
    amounts = sites.m[:, at]
    total = amounts.sum(axis=1)
    usual = (amounts * np.array(list(USUAL_FIRING_C.values()))).sum(axis=1)
    mixed = usual / np.where(total > 0.0, total, 1.0)
    return np.where(total > 0.0, mixed, USUAL_FIRING_WITHOUT_HOST_C)


def usual_firing_c(table: pd.DataFrame, hosts_c: Floats) -> Floats:
    """Give the usual sintering temperature of the hosts for the powder, °C; parameters as of `firing_columns`."""
    size = table[Column.PARTICLE_SIZE_UM].to_numpy(dtype=np.float64)
    decades = np.log10(np.maximum(size, LOGARITHMIC[Column.PARTICLE_SIZE_UM]) / USUAL_PARTICLE_SIZE_UM)
    return np.asarray(hosts_c + FINER_POWDER_C_PER_DECADE * np.nan_to_num(decades, nan=0.0))
