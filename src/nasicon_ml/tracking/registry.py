"""Model registry: register, list, load and export versions, without running code stored with a model."""

from __future__ import annotations

import json
import logging
import re
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasicon_ml.bundle.manifest import MAX_BUNDLE_BYTES
from nasicon_ml.errors import BundleError, TrackingError, nearest
from nasicon_ml.io.structured import load_json
from nasicon_ml.tracking.signature import BUNDLE
from nasicon_ml.tracking.store import DISK_ERRNOS, Store, open_store

if TYPE_CHECKING:
    from nasicon_ml.model import PropertyModel

#: Name of the registered model; aliases of the version in use and of the newest version.
MODEL_NAME, CHAMPION, CHALLENGER = "nasicon-recipe", "champion", "challenger"
#: Folder of the bundle within a logged model, and within the artifacts of a run.
BUNDLE_IN_MODEL, BUNDLE_IN_RUN = f"artifacts/{BUNDLE}", BUNDLE
#: Tag of a run and its version: file names and sizes of the bundle, as JSON.
BUNDLE_FILES = "bundle_files"
#: Tag of a version: the champion it replaced. The other tags of a promotion are in `promotion`.
PROMOTED_OVER = "promoted_over"
#: Tag of the registered model: version numbers of its champions, oldest first, as JSON.
CHAMPIONS = "champions"
#: Value of `PROMOTED_OVER` for the first champion.
NO_CHAMPION = "none"

_MODEL_URI = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/]+)|/(?P<version>[^/]+))?/?")
_RUN_URI = re.compile(r"runs:/(?P<run>[^/]+)(?:/(?P<path>.+?))?/?")
_ALLOWED_URIS = "models:/NAME@ALIAS, models:/NAME/VERSION, runs:/RUN_ID"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FetchedModel:
    """A model loaded from MLflow, and its resolved URI: that of the version if an alias was given."""

    name: str
    model: PropertyModel


def register(store: Store, run_id: str, model_id: str, tags: Mapping[str, str]) -> str:
    """Register a logged model as a new version with the alias ``challenger``, and return its number.

    If registering fails or is interrupted by Ctrl-C, no version is left behind.
    """
    client = store.client
    with store.exclusive():  # a failure must not undo what another program registers at the same time
        is_first = _create_registered_model(store)
        try:
            created = client.create_model_version(
                MODEL_NAME, f"models:/{model_id}", run_id=run_id, tags=dict(tags), model_id=model_id,
                description=client.get_run(run_id).data.tags.get("mlflow.note.content"),
            )  # fmt: skip
            version = str(created.version)
            # MLflow's page of the logged model shows this link to the version.
            link = json.dumps([{"name": MODEL_NAME, "version": version}])
            client.set_logged_model_tags(model_id, {"mlflow.modelVersions": link})
            client.set_registered_model_alias(MODEL_NAME, CHALLENGER, version)
        except BaseException:
            _undo_registration(store, run_id, remove_model=is_first)
            raise
    return version


def _create_registered_model(store: Store) -> bool:
    """Create the registered model unless it exists; return whether it was created."""
    from mlflow.exceptions import MlflowException

    try:
        store.client.create_registered_model(
            MODEL_NAME,
            description="Conductivity, relative density and phase purity of NASICON-type recipes. The version to "
            "use is @champion; @challenger becomes it with 'nasicon-ml registry promote'.",
        )
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return False
    return True


def _undo_registration(store: Store, run_id: str, *, remove_model: bool) -> None:
    """Remove the version, and optionally the registered model, of a failed registration."""
    client = store.client
    try:
        for version in client.search_model_versions(f"name = '{MODEL_NAME}'"):
            if version.run_id == run_id:
                client.delete_model_version(MODEL_NAME, version.version)
        if remove_model and not client.search_model_versions(f"name = '{MODEL_NAME}'"):
            client.delete_registered_model(MODEL_NAME)
    except Exception as error:  # noqa: BLE001  (the first error is the one to report)
        _log.warning("an incomplete version of run %s may be left in %s: %s", run_id, store.uri, error)


def load_bundle(uri: str, *, tracking_uri: str | None = None) -> PropertyModel:
    """Load a registered or logged model as `PropertyModel`.

    Parameters and errors are those of `fetch_bundle`.
    """
    return fetch_bundle(uri, tracking_uri=tracking_uri).model


def fetch_bundle(uri: str, *, tracking_uri: str | None = None) -> FetchedModel:
    """Load a registered or logged model as `PropertyModel`, with its resolved URI.

    Only the bundle is downloaded and read by `PropertyModel.load`: every file is checked against the manifest,
    and no code that was logged with the model is run.

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
        If the files there are not an unchanged bundle.
    """
    if not _MODEL_URI.fullmatch(uri) and not _RUN_URI.fullmatch(uri):
        raise TrackingError(f"{uri!r} does not name a model; allowed: {_ALLOWED_URIS}")
    with open_store(tracking_uri, must_exist=True) as store, tempfile.TemporaryDirectory() as folder:
        source = _bundle_location(store, uri)
        name = source.removesuffix(f"/{BUNDLE_IN_MODEL}").removesuffix(f"/{BUNDLE_IN_RUN}")
        return FetchedModel(name, _load_bundle(store, uri, source, folder))


def load_version(store: Store, version: str) -> PropertyModel:
    """Load a version of an open store by its number.

    Raises
    ------
    TrackingError, BundleError
        As `fetch_bundle`.
    """
    uri = f"models:/{MODEL_NAME}/{version}"
    with tempfile.TemporaryDirectory() as folder:
        return _load_bundle(store, uri, _bundle_location(store, uri), folder)


def _load_bundle(store: Store, uri: str, source: str, folder: str) -> PropertyModel:
    """Download a bundle into a folder and read it; errors name the model's URI instead of the folder."""
    from nasicon_ml.model import PropertyModel

    path = _download_bundle(store, uri, source, folder)
    try:
        return PropertyModel.load(path)
    except BundleError as error:
        raise BundleError(str(error).replace(str(path), uri)) from error


def _download_bundle(store: Store, uri: str, source: str, folder: str) -> Path:
    """Download the bundle of a model into a folder, and return its path."""
    import mlflow

    _refuse_large(store, uri, source)
    try:
        path = Path(mlflow.artifacts.download_artifacts(source, dst_path=folder, tracking_uri=store.uri))
    except (OSError, mlflow.exceptions.MlflowException) as error:
        if isinstance(error, OSError) and error.errno in DISK_ERRNOS:
            raise  # the local disk cannot take the download
        raise TrackingError(
            f"{uri} has no bundle at {source}: its files are missing or cannot be read in {store.uri}"
        ) from error
    # The URI may name the folder of a whole logged model.
    inner = path / BUNDLE_IN_MODEL
    return inner if inner.is_dir() else path


def _refuse_large(store: Store, uri: str, source: str) -> None:
    """Refuse to download files that are too large for a bundle."""
    import mlflow

    try:
        listed = mlflow.artifacts.list_artifacts(artifact_uri=source, tracking_uri=store.uri)
    except (OSError, mlflow.exceptions.MlflowException):
        return  # the download will report the problem
    size = sum(item.file_size or 0 for item in listed)
    if size > MAX_BUNDLE_BYTES:
        raise BundleError(
            f"{uri} is not a bundle: its files have {size} bytes, a bundle at most {MAX_BUNDLE_BYTES}"
        )


def _bundle_location(store: Store, uri: str) -> str:
    """Return the URI of the folder of a model's bundle, after checking that the run or version exists."""
    run = _RUN_URI.fullmatch(uri)
    if run:
        _check_run_exists(store, run["run"])
        return f"runs:/{run['run']}/{run['path'] or BUNDLE_IN_RUN}"
    named = _MODEL_URI.fullmatch(uri)
    if named is None:
        raise TrackingError(f"{uri!r} does not name a model; allowed: {_ALLOWED_URIS}")
    name, alias, version = named["name"], named["alias"], named["version"]
    if alias is None and version is None:
        if re.fullmatch(r"m-[0-9a-f]{32}", name):
            return f"models:/{name}"  # MLflow accepts no folder after such an id
        raise TrackingError(f"{uri!r} names no version of {name}; allowed: {_ALLOWED_URIS}")
    return f"models:/{name}/{_resolve_version(store, name, alias, version)}/{BUNDLE_IN_MODEL}"


def _check_run_exists(store: Store, run_id: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        store.client.get_run(run_id)
    except MlflowException as error:
        if error.error_code not in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            raise
        raise TrackingError(f"there is no run {run_id!r} in {store.uri}") from None


def _resolve_version(store: Store, name: str, alias: str | None, version: str | None) -> str:
    """Return the version number for an alias or version; errors list the existing ones."""
    aliases = _aliases(store, name)
    if aliases is None:
        raise TrackingError(_unknown_model_message(store, name))
    versions = sorted(int(entry.version) for entry in _iterate_versions(store, name))
    if alias is not None:
        if alias in aliases:
            return aliases[alias]
        raise TrackingError(
            f"{name} has no alias {alias!r} in {store.uri}; there are: {_alias_list(aliases)}. "
            f"{nearest(alias, aliases)}".strip()
        )
    if version == "latest" and versions:
        return str(versions[-1])
    if version is not None and version.isdecimal() and int(version) in versions:
        return str(int(version))
    known = ", ".join(map(str, versions[-10:])) or "none"
    raise TrackingError(f"{name} has no version {version!r} in {store.uri}; there are: {known}")


def _aliases(store: Store, name: str = MODEL_NAME) -> dict[str, str] | None:
    """Return the version numbers of a model by alias; None if the model is not registered."""
    from mlflow.exceptions import MlflowException

    try:
        model = store.client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return {str(alias): str(version) for alias, version in model.aliases.items()}


def _alias_list(aliases: Mapping[str, str]) -> str:
    return ", ".join(f"{alias} (version {number})" for alias, number in sorted(aliases.items())) or "none"


def _iterate_versions(store: Store, name: str = MODEL_NAME) -> Iterable[Any]:
    """Yield MLflow's entries of all versions, page by page."""
    token: str | None = None
    while token != "":
        page = store.client.search_model_versions(f"name = '{name}'", page_token=token)
        yield from page
        token = page.token or ""


def _unknown_model_message(store: Store, name: str) -> str:
    from mlflow.exceptions import MlflowException

    names: list[str] = []
    with suppress(MlflowException):
        names = [model.name for model in store.client.search_registered_models()]
    known = ", ".join(sorted(names)) or "none"
    return f"no model {name!r} is registered in {store.uri}; there are: {known}. {nearest(name, names)}".strip()


@dataclass(frozen=True)
class Version:
    """A version of ``nasicon-recipe``.

    Attributes
    ----------
    version
        Version number, as text.
    aliases
        ``champion``, ``challenger`` or none, sorted.
    created
        UTC time of the registration, ISO 8601.
    run_id
        Run that made the version; empty if it was deleted.
    usable
        Whether the version is complete: fully registered, its run finished, every file of its bundle present.
    problem
        What is missing if the version is not usable.
    tags
        Dataset, commit, protocol, scores by target (``conductivity.mae_decades``), coverage
        (``conductivity.coverage_90``), promotions.
    """

    version: str
    aliases: tuple[str, ...]
    created: str
    run_id: str
    usable: bool
    problem: str
    tags: Mapping[str, str]

    @property
    def uri(self) -> str:
        """URI of the version, as accepted by ``--model``."""
        return f"models:/{MODEL_NAME}/{self.version}"

    def to_json(self) -> dict[str, Any]:
        """Return the version as a JSON-serializable dictionary."""
        return asdict(self) | {"aliases": list(self.aliases), "tags": dict(self.tags), "uri": self.uri}


def list_versions(*, tracking_uri: str | None = None) -> list[Version]:
    """Return all versions, newest first.

    Parameters
    ----------
    tracking_uri
        The store; by default that of MLFLOW_TRACKING_URI, or ``mlflow.db`` in the working directory.

    Raises
    ------
    TrackingError
        If there is no store, or it does not answer.
    """
    with open_store(tracking_uri, must_exist=True) as store:
        aliases = _aliases(store) or {}
        entries = sorted(_iterate_versions(store), key=lambda entry: int(entry.version), reverse=True)
        return [_make_version(store, entry, aliases) for entry in entries]


def show_version(version: str = CHAMPION, *, tracking_uri: str | None = None) -> Version:
    """Return one version.

    Parameters
    ----------
    version
        Number, alias (``champion``, ``challenger``), or ``latest``.
    tracking_uri
        As for `list_versions`.

    Raises
    ------
    TrackingError
        If there is no such version; the message lists the existing ones.
    """
    with open_store(tracking_uri, must_exist=True) as store:
        return find_version(store, version)


def find_version(store: Store, wanted: str) -> Version:
    """Return a version of an open store by number, alias or ``latest``. Digits are always a number, not an alias.

    Raises
    ------
    TrackingError
        If there is no such version.
    """
    aliases = _aliases(store) or {}
    entries = {str(entry.version): entry for entry in _iterate_versions(store)}
    if wanted.isascii() and wanted.isdecimal():
        number = str(int(wanted))
    elif wanted == "latest" and entries:
        number = max(entries, key=int)
    else:
        number = aliases.get(wanted, "")
    if number not in entries:
        raise TrackingError(_unknown_version_message(store, wanted, entries, aliases))
    return _make_version(store, entries[number], aliases)


def usable_version(store: Store, wanted: str, purpose: str = "used") -> Version:
    """Return a version as `find_version` does, and refuse an incomplete one.

    Raises
    ------
    TrackingError
        If there is no such version, or it is incomplete.
    """
    version = find_version(store, wanted)
    if not version.usable:
        raise TrackingError(f"version {version.version} of {MODEL_NAME} cannot be {purpose}: {version.problem}")
    return version


def version_with_alias(store: Store, alias: str) -> str | None:
    """Return the number of the version with an alias in an open store; None if there is none."""
    return (_aliases(store) or {}).get(alias)


def _unknown_version_message(store: Store, wanted: str, numbers: Iterable[str], aliases: Mapping[str, str]) -> str:
    existing = sorted(numbers, key=int)
    if not existing:
        return f"no version of {MODEL_NAME} is registered in {store.uri}; make one: nasicon-ml train"
    hint = nearest(wanted, aliases) if not wanted.isdecimal() else ""
    if wanted == CHALLENGER:
        hint = "A new one is made by nasicon-ml train."
    elif wanted == CHAMPION:
        hint = "One is made by nasicon-ml registry promote."
    return (
        f"{MODEL_NAME} has no version {wanted!r} in {store.uri}; there are versions {', '.join(existing[-10:])}; "
        f"aliases: {_alias_list(aliases)}. {hint}"
    ).strip()


def _make_version(store: Store, entry: Any, aliases: Mapping[str, str]) -> Version:
    problem = _problem(store, entry)
    number = str(entry.version)
    return Version(
        version=number,
        aliases=tuple(sorted(alias for alias, version in aliases.items() if version == number)),
        created=datetime.fromtimestamp(entry.creation_timestamp / 1000, UTC).isoformat(timespec="seconds"),
        run_id=str(entry.run_id or ""),
        usable=not problem,
        problem=problem,
        tags={str(name): str(value) for name, value in (entry.tags or {}).items()},
    )


def _problem(store: Store, entry: Any) -> str:
    """Return why a version is incomplete; empty if it is complete."""
    from mlflow.exceptions import MlflowException

    if str(entry.status) != "READY":
        return f"its registration was not finished (status {entry.status})"
    listed = _recorded_files(entry.tags or {})
    model_id = _model_id(entry)
    if listed is None or not model_id:
        return "it has no list of its files (registered by an earlier version, or by other means)"
    deleted = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND"}
    try:
        return _unfinished_part(store, entry, model_id) or _missing_files(store, model_id, listed)
    except MlflowException as error:
        # A server with users denies permission for a deleted run or model.
        if error.error_code not in {*deleted, "PERMISSION_DENIED"}:
            raise
        hidden = "" if error.error_code in deleted else ", or may not be seen by you"
        return f"its run or its model was deleted{hidden}"
    except OSError as error:
        return f"its files cannot be read ({error.strerror or error})"


def _model_id(entry: Any) -> str:
    """Return the id of the logged model of a version, which MLflow keeps only in its source URI."""
    match = re.fullmatch(r"models:/(m-[0-9a-f]{32})/?", str(entry.source or ""))
    return match[1] if match else ""


def _unfinished_part(store: Store, entry: Any, model_id: str) -> str:
    """Return whether the run or the logged model of a version is unfinished; empty if both are finished."""
    if entry.run_id and str(store.client.get_run(entry.run_id).info.status) != "FINISHED":
        return "its run was not finished"
    if str(store.client.get_logged_model(model_id).status) != "READY":
        return "its model was not logged to the end"
    return ""


def _missing_files(store: Store, model_id: str, listed: Mapping[str, int]) -> str:
    """Return which files of a version's bundle are missing or differ in size; empty if none."""
    items = store.client.list_logged_model_artifacts(model_id, BUNDLE_IN_MODEL)
    sizes = {item.path.rpartition("/")[2]: item.file_size for item in items if not item.is_dir}
    if not sizes:
        return "its files are gone"
    missing = sorted(name for name, size in listed.items() if sizes.get(name) != size)
    return f"these of its files are missing or not whole: {', '.join(missing)}" if missing else ""


def champion_history(store: Store) -> list[str]:
    """Return the version numbers of all champions, oldest first; the last is the present champion.

    They are recorded in a tag of the registered model, which on a server only users with the right to promote can
    write. Older stores lack this tag; there the history follows from the versions' tags ``promoted_over``.
    """
    champion = version_with_alias(store, CHAMPION)
    if champion is None:
        return []
    listed = _recorded_champions(store)
    if listed is None:
        return _champions_from_versions(store, champion)
    if champion not in listed:  # the alias was moved by another program
        return [*listed, champion]
    # A killed promotion may have recorded a version that never became champion.
    return listed[: len(listed) - listed[::-1].index(champion)]


def _recorded_champions(store: Store) -> list[str] | None:
    tags = store.client.get_registered_model(MODEL_NAME).tags
    try:
        return [str(int(number)) for number in load_json(tags[CHAMPIONS])]
    except (KeyError, ValueError, TypeError):
        return None


def _champions_from_versions(store: Store, champion: str) -> list[str]:
    predecessors = {
        str(entry.version): (entry.tags or {}).get(PROMOTED_OVER, NO_CHAMPION)
        for entry in _iterate_versions(store)
    }
    champions = [champion]
    while (previous := predecessors.get(champions[-1])) in predecessors and previous not in champions:
        champions.append(previous)
    return champions[::-1]


def _recorded_files(tags: Mapping[str, str]) -> dict[str, int] | None:
    """Return sizes by file name of the bundle that a version was registered with; None if not recorded."""
    try:
        listed = load_json(tags[BUNDLE_FILES])
        return {str(name): int(size) for name, size in listed.items()} or None
    except (KeyError, ValueError, TypeError, AttributeError):
        return None


def version_card(version: str = CHAMPION, *, tracking_uri: str | None = None) -> tuple[str, dict[str, Any]]:
    """Return the model card of a version as Markdown and as a JSON-serializable dictionary.

    Parameters
    ----------
    version
        Number, alias, or ``latest``.
    tracking_uri
        As for `list_versions`.

    Raises
    ------
    TrackingError
        If there is no such version, or its files cannot be downloaded.
    BundleError
        If its files were changed.
    """
    from nasicon_ml.bundle.card import card_content, card_markdown

    with open_store(tracking_uri, must_exist=True) as store:
        content = card_content(load_version(store, find_version(store, version).version))
    return card_markdown(content), content


def export_version(version: str, folder: str | Path, *, tracking_uri: str | None = None) -> tuple[Version, Path]:
    """Write a version to a folder, as a bundle that needs neither MLflow nor a store.

    Parameters
    ----------
    version
        Number or alias.
    folder
        Target folder. An older bundle there is replaced, and the new one appears complete or not at all.
    tracking_uri
        As for `list_versions`.

    Returns
    -------
    Version, Path
        The exported version and the folder.

    Raises
    ------
    TrackingError
        If there is no such version, or it is incomplete.
    BundleError
        If its files were changed, or the folder contains other files.
    """
    with open_store(tracking_uri, must_exist=True) as store:
        exported = usable_version(store, version, "exported")
        return exported, load_version(store, exported.version).save(folder)
