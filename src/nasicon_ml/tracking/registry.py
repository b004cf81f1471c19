"""The registry: versions and what they lack, registering one, and loading one without running its code."""

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
from nasicon_ml.tracking.store import OF_THE_DISK, Store, opened

if TYPE_CHECKING:
    from nasicon_ml.model import PropertyModel

#: The name all versions are registered under; the aliases of the one to use, and of the newest one.
MODEL_NAME, CHAMPION, CHALLENGER = "nasicon-recipe", "champion", "challenger"
#: Where the bundle lies within a logged model, and within the artifacts of a run.
BUNDLE_IN_MODEL, BUNDLE_IN_RUN = f"artifacts/{BUNDLE}", BUNDLE
#: The tag of a run and its version that lists the files of its bundle with their sizes, as JSON.
BUNDLE_FILES = "bundle_files"
#: The tag of a version that names the champion it was promoted over; others stand in `promotion`.
PROMOTED_OVER = "promoted_over"
#: The tag of the registered model that lists the numbers of its champions, first to last, as JSON.
CHAMPIONS = "champions"
#: Nobody was champion before.
NOBODY = "none"

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
    """Register a logged model as a new version with the alias ``challenger``, and return its number.

    Whatever goes wrong on the way, Ctrl-C included, no version is left behind.
    """
    client = store.client
    with store.alone():  # or what another program registers could be taken back with what is ours
        is_first = _make_model(store)
        try:
            created = client.create_model_version(
                MODEL_NAME, f"models:/{model_id}", run_id=run_id, tags=dict(tags), model_id=model_id,
                description=client.get_run(run_id).data.tags.get("mlflow.note.content"),
            )  # fmt: skip
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

    _refuse_large(store, uri, source)
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


def _refuse_large(store: Store, uri: str, source: str) -> None:
    """Refuse files that cannot be a bundle before they are downloaded."""
    import mlflow

    try:
        listed = mlflow.artifacts.list_artifacts(artifact_uri=source, tracking_uri=store.uri)
    except (OSError, mlflow.exceptions.MlflowException):
        return  # the download says what is wrong
    size = sum(item.file_size or 0 for item in listed)
    if size > MAX_BUNDLE_BYTES:
        raise BundleError(f"{uri} is no bundle: its files have {size} bytes, a bundle at most {MAX_BUNDLE_BYTES}")


def _source(store: Store, uri: str) -> str:
    """Return where the bundle of a model lies, after making sure that the model exists."""
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
    if aliases is None:
        raise TrackingError(_no_such_model(store, name))
    versions = sorted(int(found.version) for found in _every(store, name))
    if alias is not None:
        if alias in aliases:
            return aliases[alias]
        known = ", ".join(f"{key} (version {value})" for key, value in sorted(aliases.items())) or "none"
        hint = nearest(alias, aliases)
        raise TrackingError(f"{name} has no alias {alias!r} in {store.uri}; there are: {known}. {hint}".strip())
    if version == "latest" and versions:
        return str(versions[-1])
    if version is not None and version.isdecimal() and int(version) in versions:
        return str(int(version))
    known = ", ".join(map(str, versions[-10:])) or "none"
    raise TrackingError(f"{name} has no version {version!r} in {store.uri}; there are: {known}")


def _aliases(store: Store, name: str = MODEL_NAME) -> dict[str, str] | None:
    """Return the aliases of a model with the numbers of their versions; None if it is not registered."""
    from mlflow.exceptions import MlflowException

    try:
        model = store.client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return {str(alias): str(version) for alias, version in model.aliases.items()}


def _every(store: Store, name: str = MODEL_NAME) -> Iterable[Any]:
    """Yield MLflow's own entries of the versions, page by page."""
    token: str | None = None
    while token != "":
        page = store.client.search_model_versions(f"name = '{name}'", page_token=token)
        yield from page
        token = page.token or ""


def _no_such_model(store: Store, name: str) -> str:
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
        Its number, as text.
    aliases
        ``champion``, ``challenger`` or none, sorted.
    created
        UTC time of its registration, ISO 8601.
    run_id
        The run that made it; empty if it is gone.
    usable
        Whether it is complete: registered to the end, its run finished, every file of its bundle there, whole.
    problem
        What is missing if it is not.
    tags
        What is recorded of it: dataset, commit, protocol, scores by target (``conductivity.mae_decades``),
        coverage (``conductivity.coverage_90``), promotions.
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
        """Its address, for ``--model``."""
        return f"models:/{MODEL_NAME}/{self.version}"

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON knows it."""
        return asdict(self) | {"aliases": list(self.aliases), "tags": dict(self.tags), "uri": self.uri}


def list_versions(*, tracking_uri: str | None = None) -> list[Version]:
    """List all versions, newest first.

    Parameters
    ----------
    tracking_uri
        The store; by default that of MLFLOW_TRACKING_URI, or ``mlflow.db`` in the working directory.

    Raises
    ------
    TrackingError
        If there is no store, or it does not answer.
    """
    with opened(tracking_uri, must_exist=True) as store:
        named: dict[str, list[str]] = {}
        for alias, number in (_aliases(store) or {}).items():
            named.setdefault(number, []).append(alias)
        found = sorted(_every(store), key=lambda entity: int(entity.version), reverse=True)
        return [_as_version(store, entity, named.get(str(entity.version), ())) for entity in found]


def show_version(version: str = CHAMPION, *, tracking_uri: str | None = None) -> Version:
    """Look one version up.

    Parameters
    ----------
    version
        Its number, an alias (``champion``, ``challenger``), or ``latest``.
    tracking_uri
        As for `list_versions`.

    Raises
    ------
    TrackingError
        If there is no such version; the message names those that there are.
    """
    with opened(tracking_uri, must_exist=True) as store:
        return find_version(store, version)


def find_version(store: Store, wanted: str) -> Version:
    """Find a version of an open store by number, alias or ``latest``; what is a number is never an alias.

    Raises
    ------
    TrackingError
        If there is none.
    """
    aliases = _aliases(store) or {}
    entities = {str(entity.version): entity for entity in _every(store)}
    if wanted.isascii() and wanted.isdecimal():
        number = str(int(wanted))
    elif wanted == "latest" and entities:
        number = max(entities, key=int)
    else:
        number = aliases.get(wanted, "")
    if number not in entities:
        raise TrackingError(_no_such(store, wanted, entities, aliases))
    names = [alias for alias, version in aliases.items() if version == number]
    return _as_version(store, entities[number], names)


def usable_version(store: Store, wanted: str, purpose: str = "used") -> Version:
    """Find a version as `find_version` does, and refuse one that is not complete.

    Raises
    ------
    TrackingError
        If there is none, or it lacks something.
    """
    found = find_version(store, wanted)
    if not found.usable:
        raise TrackingError(f"version {found.version} of {MODEL_NAME} cannot be {purpose}: {found.problem}")
    return found


def alias_of(store: Store, alias: str) -> str | None:
    """Return the number of the version with an alias in an open store, None if there is none."""
    return (_aliases(store) or {}).get(alias)


def _no_such(store: Store, wanted: str, numbers: Iterable[str], aliases: Mapping[str, str]) -> str:
    there = sorted(numbers, key=int)
    if not there:
        return f"no version of {MODEL_NAME} is registered in {store.uri}; make one: nasicon-ml train"
    named = ", ".join(f"{alias} (version {number})" for alias, number in sorted(aliases.items())) or "none"
    hint = nearest(wanted, aliases) if not wanted.isdecimal() else ""
    if wanted == CHALLENGER:
        hint = "A new one is made by nasicon-ml train."
    elif wanted == CHAMPION:
        hint = "One is made by nasicon-ml registry promote."
    return (
        f"{MODEL_NAME} has no version {wanted!r} in {store.uri}; there are versions {', '.join(there[-10:])}; "
        f"aliases: {named}. {hint}"
    ).strip()


def _as_version(store: Store, entity: Any, aliases: Iterable[str]) -> Version:
    problem = _problem(store, entity)
    return Version(
        version=str(entity.version),
        aliases=tuple(sorted(aliases)),
        created=datetime.fromtimestamp(entity.creation_timestamp / 1000, UTC).isoformat(timespec="seconds"),
        run_id=str(entity.run_id or ""),
        usable=not problem,
        problem=problem,
        tags={str(name): str(value) for name, value in (entity.tags or {}).items()},
    )


def _problem(store: Store, entity: Any) -> str:
    """Return what a version lacks; empty if it is complete."""
    from mlflow.exceptions import MlflowException

    if str(entity.status) != "READY":
        return f"its registration was not finished (status {entity.status})"
    listed = _listed_files(entity.tags or {})
    model_id = _model_id(entity)
    if listed is None or not model_id:
        return "it has no list of its files (registered by an earlier version, or by other means)"
    gone = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND"}
    try:
        return _unfinished(store, entity, model_id) or _lost_files(store, model_id, listed)
    except MlflowException as error:
        # A server with users says of what is gone that nobody may see it.
        if error.error_code not in {*gone, "PERMISSION_DENIED"}:
            raise
        hidden = "" if error.error_code in gone else ", or may not be seen by you"
        return f"its run or its model was deleted{hidden}"
    except OSError as error:
        return f"its files cannot be read ({error.strerror or error})"


def _model_id(entity: Any) -> str:
    """Return the id of the logged model behind a version: MLflow keeps it in the source alone."""
    found = re.fullmatch(r"models:/(m-[0-9a-f]{32})/?", str(entity.source or ""))
    return found[1] if found else ""


def _unfinished(store: Store, entity: Any, model_id: str) -> str:
    """Return whether the run or the model behind a version never came to its end."""
    if entity.run_id and str(store.client.get_run(entity.run_id).info.status) != "FINISHED":
        return "its run was not finished"
    if str(store.client.get_logged_model(model_id).status) != "READY":
        return "its model was not logged to the end"
    return ""


def _lost_files(store: Store, model_id: str, listed: Mapping[str, int]) -> str:
    """Return which files of a version's bundle are not there in full size."""
    found = store.client.list_logged_model_artifacts(model_id, BUNDLE_IN_MODEL)
    there = {item.path.rpartition("/")[2]: item.file_size for item in found if not item.is_dir}
    if not there:
        return "its files are gone"
    lost = sorted(name for name, size in listed.items() if there.get(name) != size)
    return f"these of its files are missing or not whole: {', '.join(lost)}" if lost else ""


def champions_in(store: Store) -> list[str]:
    """Return the numbers of the versions that were champion, first to last; the last is the present one.

    The list is kept as a tag of the registered model, which only who may promote can write on a server with users.
    A store from before that list is read by what each version says it was promoted over.
    """
    champion = alias_of(store, CHAMPION)
    if champion is None:
        return []
    listed = _list_of_champions(store)
    if listed is None:
        return _by_promotions(store, champion)
    if champion not in listed:  # the alias was moved by another program
        return [*listed, champion]
    # A promotion that was killed has written its version already, and is not champion.
    return listed[: len(listed) - listed[::-1].index(champion)]


def _list_of_champions(store: Store) -> list[str] | None:
    tags = store.client.get_registered_model(MODEL_NAME).tags
    try:
        return [str(int(number)) for number in load_json(tags[CHAMPIONS])]
    except (KeyError, ValueError, TypeError):
        return None


def _by_promotions(store: Store, champion: str) -> list[str]:
    over = {str(entity.version): (entity.tags or {}).get(PROMOTED_OVER, NOBODY) for entity in _every(store)}
    found = [champion]
    while (before := over.get(found[-1], NOBODY)) in over and before not in found:
        found.append(before)
    return found[::-1]


def _listed_files(tags: Mapping[str, str]) -> dict[str, int] | None:
    """Read the list of files that a version was registered with."""
    try:
        listed = load_json(tags[BUNDLE_FILES])
        return {str(name): int(size) for name, size in listed.items()} or None
    except (KeyError, ValueError, TypeError, AttributeError):
        return None


def version_card(version: str = "champion", *, tracking_uri: str | None = None) -> tuple[str, dict[str, Any]]:
    """Return the model card of a version: as Markdown, and as JSON knows it.

    Parameters
    ----------
    version
        Its number, an alias, or ``latest``.
    tracking_uri
        The store; by default that of MLFLOW_TRACKING_URI, or ``mlflow.db`` in the working directory.

    Raises
    ------
    TrackingError
        If there is no such version, or its files cannot be fetched.
    BundleError
        If its files were changed.
    """
    from nasicon_ml.bundle.card import card_content, card_markdown

    with opened(tracking_uri, must_exist=True) as store:
        content = card_content(load_version(store, find_version(store, version).version))
    return card_markdown(content), content


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
        found = usable_version(store, version, "exported")
        return found, load_version(store, found.version).save(folder)
