"""Numbers about elements, as arrays ordered like `nasicon_ml.composition.ELEMENTS`.

Magpie's element properties are read from the tables that matminer installs (Ward et al.,
10.1038/npjcompumats.2016.28), without importing matminer itself, which takes seconds. Ionic radii are
Shannon's (10.1107/S0567739476001551), as pymatgen carries them.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nasicon_ml.composition import ELEMENTS
from nasicon_ml.errors import MissingExtraError

Floats = NDArray[np.float64]

HIGHEST_VALENCE = 7


@cache
def magpie(name: str) -> Floats:
    """Read one Magpie property; shape (len(ELEMENTS),), NaN where Magpie has none.

    Raises
    ------
    KeyError
        If matminer installs no such table.
    """
    path = _magpie_folder() / f"{name}.table"
    if not path.is_file():
        raise KeyError(f"Magpie has no property {name!r}")
    values = np.full(len(ELEMENTS), np.nan)
    for position, line in enumerate(path.read_text(encoding="utf-8").splitlines()[: len(ELEMENTS)]):
        try:
            values[position] = float(line)
        except ValueError:  # "Missing[NotAvailable]" and its like
            continue
    values.flags.writeable = False
    return values


@cache
def _magpie_folder() -> Path:
    spec = importlib.util.find_spec("matminer")
    if spec is None or spec.origin is None:
        raise MissingExtraError("matminer", "all", "reading Magpie's element properties")
    return Path(spec.origin).parent / "utils" / "data_files" / "magpie_elementdata"


@cache
def octahedral_radius_angstrom() -> Floats:
    """Shannon radii of six-fold coordinated cations in Å.

    Returns
    -------
    ndarray
        Shape (len(ELEMENTS), HIGHEST_VALENCE + 1), indexed by element and valence; NaN where Shannon gives
        none. High spin where both are given: the field is weak in a phosphate.
    """
    from pymatgen.core import Element

    table = np.full((len(ELEMENTS), HIGHEST_VALENCE + 1), np.nan)
    for position, symbol in enumerate(ELEMENTS):
        radii = Element(symbol).data.get("Shannon radii", {})
        for valence_text, by_coordination in radii.items():
            valence = int(valence_text or 0)  # pymatgen has one entry without a valence
            spins = by_coordination.get("VI", {})
            if 0 < valence <= HIGHEST_VALENCE and spins:
                entry = spins.get("High Spin") or spins.get("") or next(iter(spins.values()))
                table[position, valence] = entry["ionic_radius"]
    table.flags.writeable = False
    return table


def radius_at_valence(valence: Floats) -> Floats:
    """Octahedral radius in Å of each element at its (possibly mixed) valence, linear between whole valences.

    Parameters
    ----------
    valence
        Shape (n, len(ELEMENTS)), NaN where the element is absent.

    Returns
    -------
    ndarray
        Same shape. Where Shannon has no radius at that valence, the nearest valence he has is taken; NaN
        where the element is absent or has no octahedral radius at all.
    """
    table = _filled_radii()
    known = np.clip(np.nan_to_num(valence, nan=1.0), 1, HIGHEST_VALENCE)
    low = np.floor(known).astype(int)
    high = np.minimum(low + 1, HIGHEST_VALENCE)
    element = np.arange(table.shape[0])[None, :]
    share = known - low
    radius = (1.0 - share) * table[element, low] + share * table[element, high]
    return np.where(np.isnan(valence), np.nan, radius)


@cache
def _filled_radii() -> Floats:
    table = octahedral_radius_angstrom().copy()
    for row in table:
        known = np.flatnonzero(~np.isnan(row))
        if len(known):
            nearest = known[np.abs(np.arange(len(row))[:, None] - known[None, :]).argmin(axis=1)]
            row[:] = row[nearest]
    table.flags.writeable = False
    return table
