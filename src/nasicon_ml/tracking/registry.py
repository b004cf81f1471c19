"""The registry: registering a version, and loading one without running anything it brings along."""

from __future__ import annotations

import json
import logging
import re
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasicon_ml.errors import BundleError, TrackingError, nearest
from nasicon_ml.tracking.signature import BUNDLE
from nasicon_ml.tracking.store import Store, opened
from nasicon_ml.tracking.trouble import OF_THE_DISK

if TYPE_CHECKING:
    from nasicon_ml.model import PropertyModel

#: The name all versions are registered under; the aliases of the one to use, and of the newest one.
MODEL_NAME, CHAMPION, CHALLENGER = "nasicon-recipe", "champion", "challenger"
#: Where the bundle lies within a logged model, and within the artifacts of a run.
BUNDLE_IN_MODEL, BUNDLE_IN_RUN = f"artifacts/{BUNDLE}", BUNDLE
#: The name of the logged model within its run.
LOGGED_NAME = "model"

_MODEL_URI = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/]+)|/(?P<version>[^/]+))?/?")
_RUN_URI = re.compile(r"runs:/(?P<run>[^/]+)(?:/(?P<path>.+?))?/?")
_FORMS = "models:/NAME@ALIAS, models:/NAME/VERSION, runs:/RUN_ID"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fetched:
    """A model from MLflow, and what it was in the end: the version behind an alias, the model behind a run."""

    name: str
    model: PropertyModel


def register(store: Store, run_id: str, model_id: str, tags: Mapping[str, str]) -> str:
    """Register a logged model as a new version with the alias ``challenger``, and give its number.

    Whatever goes wrong on the way, Ctrl-C included, no version is left behind.
    """
    with store.alone():  # or what another program registers could be taken back with what is ours
        return _register(store, run_id, model_id, tags)


def _register(store: Store, run_id: str, model_id: str, tags: Mapping[str, str]) -> str:
    client = store.client
    is_first = _make_model(store)
    try:
        created = client.create_model_version(
            MODEL_NAME, f"models:/{model_id}", run_id=run_id, tags=dict(tags), model_id=model_id
        )
        version = str(created.version)
        # What the page of the logged model links to.
        link = json.dumps([{"name": MODEL_NAME, "version": version}])
        client.set_logged_model_tags(model_id, {"mlflow.modelVersions": link})
        client.set_registered_model_alias(MODEL_NAME, CHALLENGER, version)
    except BaseException:
        _take_back(store, run_id, remove_model=is_first)
        raise
    return version


def _make_model(store: Store) -> bool:
    """Make the registered model unless it is there; say whether it was made."""
    from mlflow.exceptions import MlflowException

    try:
        store.client.create_registered_model(
            MODEL_NAME, description="Conductivity, relative density and phase purity of NASICON-type recipes."
        )
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return False
    return True


def _take_back(store: Store, run_id: str, *, remove_model: bool) -> None:
    """Remove what a failed registration left."""
    client = store.client
    try:
        for version in client.search_model_versions(f"name = '{MODEL_NAME}'"):
            if version.run_id == run_id:
                client.delete_model_version(MODEL_NAME, version.version)
        if remove_model and not client.search_model_versions(f"name = '{MODEL_NAME}'"):
            client.delete_registered_model(MODEL_NAME)
    except Exception as error:  # noqa: BLE001  (the first error is the one to report)
        _log.warning("an incomplete version of run %s may be left in %s: %s", run_id, store.uri, error)


def is_registry_uri(text: str) -> bool:
    """Whether a text names a model in MLflow, and not a folder."""
    return text.startswith(("models:/", "runs:/"))


def load_bundle(uri: str, *, tracking_uri: str | None = None) -> PropertyModel:
    """Load a registered or logged model as this package's own `PropertyModel`: `fetch_bundle` without the name.

    Parameters and errors are those of `fetch_bundle`.
    """
    return fetch_bundle(uri, tracking_uri=tracking_uri).model


def fetch_bundle(uri: str, *, tracking_uri: str | None = None) -> Fetched:
    """Load a registered or logged model as this package's own `PropertyModel`, and say which one it is.

    Only the bundle is fetched, and read as `PropertyModel.load` reads any bundle: every file is checked
    against the manifest, and no code that came with the model is run.

    Parameters
    ----------
    uri
        ``models:/nasicon-recipe@champion``, ``models:/nasicon-recipe/1``, ``models:/nasicon-recipe/latest``,
        ``runs:/RUN_ID`` or ``runs:/RUN_ID/FOLDER``.
    tracking_uri
        The store; by default that of MLFLOW_TRACKING_URI, or ``mlflow.db`` in the working directory.

    Raises
    ------
    TrackingError
        If there is no such model, version, alias or run, or the store does not answer.
    BundleError
        If what lies there is not an unchanged bundle.
    """
    if not _MODEL_URI.fullmatch(uri) and not _RUN_URI.fullmatch(uri):
        raise TrackingError(f"{uri!r} does not name a model; allowed: {_FORMS}")
    with opened(tracking_uri, must_exist=True) as store, tempfile.TemporaryDirectory() as folder:
        source = _source(store, uri)
        name = source.removesuffix(f"/{BUNDLE_IN_MODEL}").removesuffix(f"/{BUNDLE_IN_RUN}")
        return Fetched(name, _load(store, uri, source, folder))


def load_version(store: Store, version: str) -> PropertyModel:
    """Load a version of an open store by its number.

    Raises
    ------
    TrackingError, BundleError
        As `fetch_bundle`.
    """
    uri = f"models:/{MODEL_NAME}/{version}"
    with tempfile.TemporaryDirectory() as folder:
        return _load(store, uri, _source(store, uri), folder)


def _load(store: Store, uri: str, source: str, folder: str) -> PropertyModel:
    """Fetch a bundle into a folder and read it; what is wrong with it is said of the model, not of the folder."""
    from nasicon_ml.model import PropertyModel

    found = _fetch(store, uri, source, folder)
    try:
        return PropertyModel.load(found)
    except BundleError as error:
        raise BundleError(str(error).replace(str(found), uri)) from error


def _fetch(store: Store, uri: str, source: str, folder: str) -> Path:
    """Download the bundle of a model into a folder."""
    import mlflow

    try:
        found = Path(mlflow.artifacts.download_artifacts(source, dst_path=folder, tracking_uri=store.uri))
    except (OSError, mlflow.exceptions.MlflowException) as error:
        if isinstance(error, OSError) and error.errno in OF_THE_DISK:
            raise  # there is no room here for what is there
        raise TrackingError(
            f"{uri} has no bundle at {source}: its files are missing or cannot be read in {store.uri}"
        ) from error
    # A folder that holds a whole logged model will do as well.
    inner = found / BUNDLE_IN_MODEL
    return inner if inner.is_dir() else found


def _source(store: Store, uri: str) -> str:
    """Say where the bundle of a model lies, after making sure that the model exists."""
    run = _RUN_URI.fullmatch(uri)
    if run:
        _existing_run(store, run["run"])
        return f"runs:/{run['run']}/{run['path'] or BUNDLE_IN_RUN}"
    named = _MODEL_URI.fullmatch(uri)
    if named is None:
        raise TrackingError(f"{uri!r} does not name a model; allowed: {_FORMS}")
    name, alias, version = named["name"], named["alias"], named["version"]
    if alias is None and version is None:
        if re.fullmatch(r"m-[0-9a-f]{32}", name):
            return f"models:/{name}"  # MLflow takes no folder after such an id; _fetch finds it
        raise TrackingError(f"{uri!r} names no version of {name}; allowed: {_FORMS}")
    return f"models:/{name}/{_version(store, name, alias, version)}/{BUNDLE_IN_MODEL}"


def _existing_run(store: Store, run_id: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        store.client.get_run(run_id)
    except MlflowException as error:
        if error.error_code not in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            raise
        raise TrackingError(f"there is no run {run_id!r} in {store.uri}") from None


def _version(store: Store, name: str, alias: str | None, version: str | None) -> str:
    """Resolve an alias or check a version; the message of a wrong one names the right ones."""
    aliases = _aliases(store, name)
    versions = sorted(int(found.version) for found in store.client.search_model_versions(f"name = '{name}'"))
    if alias is not None:
        if alias in aliases:
            return str(aliases[alias])
        known = ", ".join(f"{key} (version {value})" for key, value in sorted(aliases.items())) or "none"
        hint = nearest(alias, aliases)
        raise TrackingError(f"{name} has no alias {alias!r} in {store.uri}; there are: {known}. {hint}".strip())
    if version == "latest" and versions:
        return str(versions[-1])
    if version is not None and version.isdecimal() and int(version) in versions:
        return str(int(version))
    known = ", ".join(map(str, versions[-10:])) or "none"
    raise TrackingError(f"{name} has no version {version!r} in {store.uri}; there are: {known}")


def _aliases(store: Store, name: str) -> dict[str, Any]:
    from mlflow.exceptions import MlflowException

    try:
        return dict(store.client.get_registered_model(name).aliases)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    names: list[str] = []
    with suppress(MlflowException):
        names = [model.name for model in store.client.search_registered_models()]
    known = ", ".join(sorted(names)) or "none"
    hint = nearest(name, names)
    raise TrackingError(f"no model {name!r} is registered in {store.uri}; there are: {known}. {hint}".strip())
