"""The model that a command is told to ask."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nasicon_ml.errors import BundleError

if TYPE_CHECKING:
    from nasicon_ml.model import PropertyModel

#: Where a name is an address in MLflow and not a folder.
_MLFLOW_SCHEMES = ("models:/", "runs:/")


def find_model(name: str | None, tracking_uri: str | None) -> tuple[str, PropertyModel | str]:
    """Say what a model is called, and fetch it from MLflow; of a folder, the name is given.

    Parameters
    ----------
    name
        A folder, an address in MLflow, or None for the default model.
    tracking_uri
        MLflow's store.

    Raises
    ------
    BundleError
        If there is no such folder.
    TrackingError
        If MLflow has no such model.
    """
    if name is None:
        from nasicon_ml.workflows.predict import default_bundle

        folder = str(default_bundle())
        return folder, folder
    if name.startswith(_MLFLOW_SCHEMES):
        from nasicon_ml.tracking.registry import fetch_bundle

        fetched = fetch_bundle(name, tracking_uri=tracking_uri)
        return fetched.name, fetched.model
    if not Path(name).is_dir():
        raise BundleError(
            f"--model {name}: there is no such folder; MLflow addresses begin with models:/ or runs:/"
        )
    return name, name
