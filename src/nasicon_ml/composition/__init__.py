"""Formulas and shorthand to site occupancies of A1+xM2(TO4)3: x, charge balance, the system's name."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasicon_ml.composition.composition import Composition as Composition
    from nasicon_ml.composition.composition import SecondPhase as SecondPhase
    from nasicon_ml.composition.elements import ELEMENTS as ELEMENTS
    from nasicon_ml.composition.occupancy import OccupancyTable as OccupancyTable
    from nasicon_ml.composition.occupancy import check_formulas as check_formulas
    from nasicon_ml.composition.occupancy import occupancies as occupancies
    from nasicon_ml.composition.reading import parse as parse
    from nasicon_ml.composition.sites import CHARGE_TOLERANCE as CHARGE_TOLERANCE

_HOMES = {
    "CHARGE_TOLERANCE": "sites",
    "Composition": "composition",
    "ELEMENTS": "elements",
    "OccupancyTable": "occupancy",
    "SecondPhase": "composition",
    "check_formulas": "occupancy",
    "occupancies": "occupancy",
    "parse": "reading",
}
__all__ = [*_HOMES]  # noqa: PLE0604 - the names are the keys of the table above


def __getattr__(name: str) -> Any:
    """Load what is asked for when it is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
