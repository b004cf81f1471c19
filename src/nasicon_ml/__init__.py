"""Ionic conductivity, density and phase purity of NASICON-type electrolytes, predicted from the whole recipe.

>>> import nasicon_ml
>>> nasicon_ml.parse("LATP x=0.4").formula
'Li1.4Al0.4Ti1.6(PO4)3'

docs/python.md shows the main functions in use. They are loaded at first access, so that the import is fast.
"""

from typing import Any

import lazy_loader

_load, _, _names = lazy_loader.attach_stub(__name__, __file__)
__all__ = [*_names, "__version__"]  # noqa: PLE0604 - the names are those of __init__.pyi


def __getattr__(name: str) -> Any:
    """Load an attribute at its first access."""
    if name == "__version__":
        from importlib.metadata import version

        return version("nasicon-ml")
    return _load(name)


def __dir__() -> list[str]:
    """List all names, so that a notebook completes names that are not loaded yet."""
    return sorted({*globals(), *__all__})
