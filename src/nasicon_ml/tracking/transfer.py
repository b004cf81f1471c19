"""Versions on their way between stores: a version out as a bundle, a bundle in as a version."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd

from nasicon_ml.errors import TrackingError
from nasicon_ml.tracking import record, registry
from nasicon_ml.tracking.runs import announce_model, recording, version_tags
from nasicon_ml.tracking.store import EXPERIMENT, opened
from nasicon_ml.tracking.versions import Version, find_version, show_version
from nasicon_ml.workflows.train import TrainingOptions


def export_version(version: str, folder: str | Path, *, tracking_uri: str | None = None) -> tuple[Version, Path]:
    """Write a version into a folder, as a bundle that needs neither MLflow nor a store.

    Parameters
    ----------
    version
        Its number or alias.
    folder
        Where; an older bundle there is replaced, and it appears whole or not at all.
    tracking_uri
        The store; by default that of MLFLOW_TRACKING_URI, or ``mlflow.db`` in the working directory.

    Returns
    -------
    Version, Path
        Which version it was, and the folder.

    Raises
    ------
    TrackingError
        If there is no such version, or it is not complete.
    BundleError
        If its files were changed, or the folder holds something else.
    """
    with opened(tracking_uri, must_exist=True) as store:
        found = find_version(store, version)
        if not found.usable:
            raise TrackingError(
                f"version {found.version} of {registry.MODEL_NAME} cannot be exported: {found.problem}"
            )
        return found, registry.load_version(store, found.version).save(folder)


def import_bundle(folder: str | Path, *, tracking_uri: str | None = None, experiment: str = EXPERIMENT) -> Version:
    """Register a bundle as a new version with the alias ``challenger``.

    A run is recorded that holds the bundle, its options and its scores, and says that it was imported.

    Parameters
    ----------
    folder
        A bundle, as `export_version` or ``nasicon-ml train --bundle`` writes it.
    tracking_uri, experiment
        As for `nasicon_ml.tracking.runs.run_training`.

    Raises
    ------
    BundleError
        If it is no unchanged bundle.
    TrackingError
        If the store cannot be used.
    """
    from nasicon_ml.model import PropertyModel

    model = PropertyModel.load(folder)
    metadata = model.metadata
    tags = {
        record.IMPORTED: metadata.created,
        "dataset_sha256": metadata.dataset_sha256,
        "nasicon_ml_version": str(metadata.versions.get("nasicon-ml", "")),
        "protocol": record.protocol(_options(metadata.options)),
    }
    params = {name: str(value) for name, value in metadata.options.items()}
    scores = pd.DataFrame([dict(row) for row in metadata.scores])
    with opened(tracking_uri) as store, recording(store, experiment, "import", tags) as run:
        record.log_params(store, run.run_id, params)
        run.model_id = announce_model(store, run.run_id, params)
        record.log_bundle(store, run.run_id, run.model_id, model)
        store.client.set_terminated(run.run_id, "FINISHED")
        number = registry.register(store, run.run_id, run.model_id, version_tags(store, run.run_id, scores))
    return show_version(number, tracking_uri=tracking_uri)


def _options(recorded: Any) -> TrainingOptions:
    """Read training options back from where a bundle keeps them."""
    known = {field.name for field in fields(TrainingOptions)}
    kept = {name: value for name, value in dict(recorded).items() if name in known}
    return TrainingOptions(**kept | {"exclude_sources": tuple(kept.get("exclude_sources", ()))})
