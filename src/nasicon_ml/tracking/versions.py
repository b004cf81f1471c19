"""The versions in the registry as a person asks for them: which there are, and which can be used."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from nasicon_ml.errors import TrackingError, nearest
from nasicon_ml.tracking.record import BUNDLE_FILES
from nasicon_ml.tracking.registry import BUNDLE_IN_MODEL, CHALLENGER, CHAMPION, MODEL_NAME
from nasicon_ml.tracking.store import Store, opened

#: Tags of a version about its promotions.
PROMOTED_OVER, PROMOTED_AT, PROMOTED_BY = "promoted_over", "promoted_at", "promoted_by"
GATE, REASON = "gate", "forced_reason"
ROLLED_BACK_AT, ROLLED_BACK_REASON = "rolled_back_at", "rolled_back_reason"
#: Nobody was champion before.
NOBODY = "none"


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
        """Give it as JSON knows it."""
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
        return versions_in(store)


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


def versions_in(store: Store) -> list[Version]:
    """List all versions of an open store, newest first."""
    aliases = aliases_in(store)
    named: dict[str, list[str]] = {}
    for alias, number in aliases.items():
        named.setdefault(number, []).append(alias)
    found = list(_every(store))
    found.sort(key=lambda entity: int(entity.version), reverse=True)
    return [_version(store, entity, named.get(str(entity.version), ())) for entity in found]


def find_version(store: Store, wanted: str) -> Version:
    """Find a version of an open store by number, alias or ``latest``.

    Raises
    ------
    TrackingError
        If there is none.
    """
    aliases = aliases_in(store)
    entities = {str(entity.version): entity for entity in _every(store)}
    number = aliases.get(wanted, wanted)
    if wanted == "latest" and entities:
        number = max(entities, key=int)
    if number.isascii() and number.isdecimal():
        number = str(int(number))
    if number not in entities:
        raise TrackingError(_no_such(store, wanted, entities, aliases))
    names = [alias for alias, version in aliases.items() if version == number]
    return _version(store, entities[number], names)


def champion_of(store: Store) -> str | None:
    """Give the number of the champion of an open store, None if there is none."""
    return aliases_in(store).get(CHAMPION)


def aliases_in(store: Store) -> dict[str, str]:
    """Give the aliases of an open store, with the numbers of their versions."""
    from mlflow.exceptions import MlflowException

    try:
        model = store.client.get_registered_model(MODEL_NAME)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return {}
    return {str(alias): str(version) for alias, version in model.aliases.items()}


def _every(store: Store) -> Iterable[Any]:
    """Give MLflow's own entries, page by page."""
    token: str | None = None
    while token != "":
        page = store.client.search_model_versions(f"name = '{MODEL_NAME}'", page_token=token)
        yield from page
        token = page.token or ""


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


def _version(store: Store, entity: Any, aliases: Iterable[str]) -> Version:
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
    """Say what a version lacks; empty if it is complete."""
    from mlflow.exceptions import MlflowException

    if str(entity.status) != "READY":
        return f"its registration was not finished (status {entity.status})"
    listed = _listed_files(entity.tags or {})
    model_id = _model_id(entity)
    if listed is None or not model_id:
        return "it has no list of its files (registered by an earlier version, or by other means)"
    try:
        return _unfinished(store, entity, model_id) or _lost_files(store, model_id, listed)
    except MlflowException as error:
        if error.error_code not in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND"}:
            raise
        return "its run or its model was deleted"
    except OSError as error:
        return f"its files cannot be read ({error.strerror or error})"


def _model_id(entity: Any) -> str:
    """Give the id of the logged model behind a version: MLflow keeps it in the source alone."""
    found = re.fullmatch(r"models:/(m-[0-9a-f]{32})/?", str(entity.source or ""))
    return found[1] if found else ""


def _unfinished(store: Store, entity: Any, model_id: str) -> str:
    """Say whether the run or the model behind a version never came to its end."""
    if entity.run_id and str(store.client.get_run(entity.run_id).info.status) != "FINISHED":
        return "its run was not finished"
    if str(store.client.get_logged_model(model_id).status) != "READY":
        return "its model was not logged to the end"
    return ""


def _lost_files(store: Store, model_id: str, listed: Mapping[str, int]) -> str:
    """Say which files of a version's bundle are not there in full size."""
    found = store.client.list_logged_model_artifacts(model_id, BUNDLE_IN_MODEL)
    there = {item.path.rpartition("/")[2]: item.file_size for item in found if not item.is_dir}
    if not there:
        return "its files are gone"
    lost = sorted(name for name, size in listed.items() if there.get(name) != size)
    return f"these of its files are missing or not whole: {', '.join(lost)}" if lost else ""


def _listed_files(tags: Mapping[str, str]) -> dict[str, int] | None:
    """Read the list of files that a version was registered with."""
    try:
        listed = json.loads(tags[BUNDLE_FILES])
        return {str(name): int(size) for name, size in listed.items()} or None
    except (KeyError, ValueError, TypeError, AttributeError):
        return None
