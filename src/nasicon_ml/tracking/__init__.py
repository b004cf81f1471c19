"""Training runs and the registry of models in MLflow. Nothing else in the package imports MLflow."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasicon_ml.tracking.promotion import Comparison, Promotion, Rollback, compare_versions, promote, rollback
    from nasicon_ml.tracking.registry import (
        CHALLENGER,
        CHAMPION,
        MODEL_NAME,
        Version,
        export_version,
        is_registry_uri,
        list_versions,
        load_bundle,
        show_version,
        version_card,
    )
    from nasicon_ml.tracking.runs import TrackedRun, import_bundle, run_training
    from nasicon_ml.tracking.store import resolve_uri

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "MODEL_NAME",
    "Comparison",
    "Promotion",
    "Rollback",
    "TrackedRun",
    "Version",
    "compare_versions",
    "export_version",
    "import_bundle",
    "is_registry_uri",
    "list_versions",
    "load_bundle",
    "promote",
    "resolve_uri",
    "rollback",
    "run_training",
    "show_version",
    "version_card",
]

#: Looked through in this order: what takes long to import comes last.
_MODULES = ("store", "registry", "promotion", "runs")


def __getattr__(name: str) -> Any:
    """Import a name's module when the name is first asked for."""
    if name in __all__:
        for module in (importlib.import_module(f"{__name__}.{part}") for part in _MODULES):
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
