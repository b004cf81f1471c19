"""Features of recipes: arrays for whole tables, a scikit-learn transformer, featurizers for matminer."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasicon_ml.features.build import FeatureSet as FeatureSet
    from nasicon_ml.features.build import build_features as build_features
    from nasicon_ml.features.build import feature_names as feature_names
    from nasicon_ml.features.transformers import RecipeFeaturizer as RecipeFeaturizer

_HOMES = {
    "FeatureSet": "build",
    "RecipeFeaturizer": "transformers",
    "build_features": "build",
    "feature_names": "build",
}
__all__ = [*_HOMES]  # noqa: PLE0604 - the names are the keys of the table above


def __getattr__(name: str) -> Any:
    """Load what is asked for when it is asked for: scikit-learn only for the transformer."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
