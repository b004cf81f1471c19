"""Training runs and the registry of models in MLflow. Nothing else in the package imports MLflow."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasicon_ml.tracking.cards import version_card
    from nasicon_ml.tracking.promotion import Comparison, Promotion, Rollback, compare_versions, promote, rollback
    from nasicon_ml.tracking.registry import CHALLENGER, CHAMPION, MODEL_NAME, is_registry_uri, load_bundle
    from nasicon_ml.tracking.runs import TrackedRun, run_training
    from nasicon_ml.tracking.store import resolve_uri
    from nasicon_ml.tracking.transfer import export_version, import_bundle
    from nasicon_ml.tracking.versions import Version, list_versions, show_version

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

_HOME = {
    "CHALLENGER": "registry",
    "CHAMPION": "registry",
    "MODEL_NAME": "registry",
    "Comparison": "promotion",
    "Promotion": "promotion",
    "Rollback": "promotion",
    "TrackedRun": "runs",
    "Version": "versions",
    "compare_versions": "promotion",
    "export_version": "transfer",
    "import_bundle": "transfer",
    "is_registry_uri": "registry",
    "list_versions": "versions",
    "load_bundle": "registry",
    "promote": "promotion",
    "resolve_uri": "store",
    "rollback": "promotion",
    "run_training": "runs",
    "show_version": "versions",
    "version_card": "cards",
}


def __getattr__(name: str) -> Any:
    """Import a name's module when the name is first asked for."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
