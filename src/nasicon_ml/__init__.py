"""Ionic conductivity, density and phase purity of NASICON-type electrolytes, predicted from the whole recipe.

>>> import nasicon_ml
>>> nasicon_ml.parse("LATP x=0.4").formula
'Li1.4Al0.4Ti1.6(PO4)3'

What most people need is here; docs/python.md shows it in use. Nothing is loaded before it is asked for, so the
import itself is instant.
"""

from typing import Any

import lazy_loader

_load, _, _names = lazy_loader.attach_stub(__name__, __file__)
__all__ = [*_names, "__version__"]  # noqa: PLE0604 - the names are those of __init__.pyi


def __getattr__(name: str) -> Any:
    """Load what is asked for when it is asked for."""
    if name == "__version__":
        from importlib.metadata import version

        return version("nasicon-ml")
    return _load(name)


def __dir__() -> list[str]:
    """Name everything, so that completion in a notebook finds it before it was loaded."""
    return sorted({*globals(), *__all__})
