"""Figures: frame in, matplotlib figure out. No window, no pyplot state, nothing written unless asked.

Every function returns a `matplotlib.figure.Figure`; `save` writes one. Colours are those of Okabe and Ito and
of cividis, which hold for all common forms of colour blindness.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasicon_ml.plots.calibration import coverage_curves, error_by_domain, interval_calibration, reliability
    from nasicon_ml.plots.campaigns import batch_map, campaign_progress
    from nasicon_ml.plots.explanations import contributions, importance
    from nasicon_ml.plots.profiles import Axis, profile
    from nasicon_ml.plots.recipes import recipe_predictions, screening_front, screening_map
    from nasicon_ml.plots.residuals import parity, residuals_by_system
    from nasicon_ml.plots.style import save

__all__ = [
    "Axis",
    "batch_map",
    "campaign_progress",
    "contributions",
    "coverage_curves",
    "error_by_domain",
    "importance",
    "interval_calibration",
    "parity",
    "profile",
    "recipe_predictions",
    "reliability",
    "residuals_by_system",
    "save",
    "screening_front",
    "screening_map",
]

_HOME = {
    "Axis": "profiles",
    "batch_map": "campaigns",
    "campaign_progress": "campaigns",
    "contributions": "explanations",
    "coverage_curves": "calibration",
    "error_by_domain": "calibration",
    "importance": "explanations",
    "interval_calibration": "calibration",
    "parity": "residuals",
    "profile": "profiles",
    "recipe_predictions": "recipes",
    "reliability": "calibration",
    "residuals_by_system": "residuals",
    "save": "style",
    "screening_front": "recipes",
    "screening_map": "recipes",
}


def __getattr__(name: str) -> Any:
    """Import a figure's module when the figure is first asked for."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
