"""Ionic conductivity, density and phase purity of NASICON-type electrolytes, predicted from the whole recipe.

>>> import nasicon_ml
>>> nasicon_ml.parse("LATP x=0.4").formula
'Li1.4Al0.4Ti1.6(PO4)3'

What most people need is here; docs/python.md shows it in use. Nothing is loaded before it is asked for, so the
import itself is instant.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasicon_ml.composition.reading import parse as parse
    from nasicon_ml.data.find import find_pellets as find_pellets
    from nasicon_ml.data.load import load_pellets as load_pellets
    from nasicon_ml.estimators.regressors import ConductivityRegressor as ConductivityRegressor
    from nasicon_ml.estimators.regressors import DensityRegressor as DensityRegressor
    from nasicon_ml.estimators.regressors import PhasePurityClassifier as PhasePurityClassifier
    from nasicon_ml.features.transformers import RecipeFeaturizer as RecipeFeaturizer
    from nasicon_ml.model import PropertyModel as PropertyModel
    from nasicon_ml.recipe.recipe import Recipe as Recipe
    from nasicon_ml.workflows.predict import predict as predict
    from nasicon_ml.workflows.profile import profile as profile
    from nasicon_ml.workflows.recommend import recommend as recommend
    from nasicon_ml.workflows.train import TrainingOptions as TrainingOptions
    from nasicon_ml.workflows.train import train as train

    #: Version of the installed package.
    __version__: str

_HOMES = {
    "ConductivityRegressor": "estimators.regressors",
    "DensityRegressor": "estimators.regressors",
    "PhasePurityClassifier": "estimators.regressors",
    "PropertyModel": "model",
    "Recipe": "recipe.recipe",
    "RecipeFeaturizer": "features.transformers",
    "TrainingOptions": "workflows.train",
    "find_pellets": "data.find",
    "load_pellets": "data.load",
    "parse": "composition.reading",
    "predict": "workflows.predict",
    "profile": "workflows.profile",
    "recommend": "workflows.recommend",
    "train": "workflows.train",
}
_DISTRIBUTION = "nasicon-ml"
__all__ = [*_HOMES, "__version__"]  # noqa: PLE0604 - the names are the keys of the table above


def __getattr__(name: str) -> Any:
    """Load what is asked for when it is asked for, once."""
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version(_DISTRIBUTION)
    elif name in _HOMES:
        value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Name everything, so that completion in a notebook finds it before it was loaded."""
    return sorted({*globals(), *__all__})
