"""Search spaces of recipes: what is to be looked through, made lazily, and what of it is best."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasicon_ml.screening.space import Candidates as Candidates
    from nasicon_ml.screening.space import SampledSpace as SampledSpace
    from nasicon_ml.screening.space import SearchSpace as SearchSpace

_HOMES = {
    "Candidates": "space",
    "SampledSpace": "space",
    "SearchSpace": "space",
}
__all__ = [*_HOMES]  # noqa: PLE0604 - the names are the keys of the table above


def __getattr__(name: str) -> Any:
    """Load what is asked for when it is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
