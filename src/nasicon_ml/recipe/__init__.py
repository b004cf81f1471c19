"""Recipes: one, checked when made, or a whole table at once."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasicon_ml.recipe.batch import RecipeBatch as RecipeBatch
    from nasicon_ml.recipe.batch import read_batch as read_batch
    from nasicon_ml.recipe.batch import recipe_table as recipe_table
    from nasicon_ml.recipe.batch import recipe_warnings as recipe_warnings
    from nasicon_ml.recipe.recipe import Recipe as Recipe

_HOMES = {
    "Recipe": "recipe",
    "RecipeBatch": "batch",
    "read_batch": "batch",
    "recipe_table": "batch",
    "recipe_warnings": "batch",
}
__all__ = [*_HOMES]  # noqa: PLE0604 - the names are the keys of the table above


def __getattr__(name: str) -> Any:
    """Load what is asked for when it is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
