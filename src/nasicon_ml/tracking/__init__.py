"""Training runs and the registry of models in MLflow. Nothing else in the package imports MLflow."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasicon_ml.tracking.registry import CHALLENGER, CHAMPION, MODEL_NAME, is_registry_uri, load_bundle
    from nasicon_ml.tracking.runs import TrackedRun, run_training
    from nasicon_ml.tracking.store import resolve_uri

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "MODEL_NAME",
    "TrackedRun",
    "is_registry_uri",
    "load_bundle",
    "resolve_uri",
    "run_training",
]

_HOME = {
    "CHALLENGER": "registry",
    "CHAMPION": "registry",
    "MODEL_NAME": "registry",
    "TrackedRun": "runs",
    "is_registry_uri": "registry",
    "load_bundle": "registry",
    "resolve_uri": "store",
    "run_training": "runs",
}


def __getattr__(name: str) -> Any:
    """Import a name's module when the name is first asked for."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
