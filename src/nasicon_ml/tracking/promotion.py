"""Who is champion: promotion through the gate, and the way back.

The alias ``champion`` is moved in one step of the registry. Everything that belongs to a promotion is written
before it, as tags of the version, so that a program killed at any moment leaves the old champion or the new one.
Ctrl-C or SIGTERM before the first of these writes changes nothing; after that they are all done.
"""

from __future__ import annotations

import getpass
import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasicon_ml.errors import BundleError, FieldError, MissingExtraError, TrackingError
from nasicon_ml.tracking.registry import (
    CHALLENGER,
    CHAMPION,
    CHAMPIONS,
    MODEL_NAME,
    NOBODY,
    PROMOTED_OVER,
    Version,
    alias_of,
    champions_in,
    load_version,
    usable_version,
)
from nasicon_ml.tracking.store import EXPERIMENT, Store, is_server, opened

if TYPE_CHECKING:
    from nasicon_ml.evaluation.gate import GateReport
    from nasicon_ml.model import PropertyModel
    from nasicon_ml.workflows.train import TrainingOptions

#: Tags of a version about its promotions.
PROMOTED_AT, PROMOTED_BY, GATE, REASON = "promoted_at", "promoted_by", "gate", "forced_reason"
ROLLED_BACK_AT, ROLLED_BACK_REASON = "rolled_back_at", "rolled_back_reason"
#: The tag with all figures of the gate, as JSON; as much of it as MLflow keeps in a tag on any store.
REPORT, _LONGEST_TAG = "gate_report", 5000
PASSED, FORCED = "passed", "forced"


@dataclass(frozen=True)
class Promotion:
    """What came of an attempt to promote a version.

    Attributes
    ----------
    version, previous
        Its number, and that of the champion it was compared with, None if there was none.
    promoted
        Whether it is champion now.
    forced
        Whether it became so although the gate refused it.
    report
        What the gate found; None if the gate could not be asked and was overridden.
    """

    version: str
    previous: str | None
    promoted: bool
    forced: bool
    report: GateReport | None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON knows it."""
        found = {name: getattr(self, name) for name in ("version", "previous", "promoted", "forced")}
        return found | {"gate": self.report.to_json() if self.report else None}


@dataclass(frozen=True)
class Comparison:
    """Two versions, and what the gate says of the second as a successor of the first."""

    reference: Version
    candidate: Version
    report: GateReport

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON knows it."""
        versions = {"reference": self.reference.version, "candidate": self.candidate.version}
        return versions | {"gate": self.report.to_json()}


@dataclass(frozen=True)
class Rollback:
    """The version that was champion, the one that is again, and who challenges it now."""

    left: str
    version: str
    challenger: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON knows it."""
        return asdict(self)


def compare_versions(reference: str, candidate: str, *, tracking_uri: str | None = None) -> Comparison:
    """Ask the gate what it would say of one version as the successor of another; nothing is changed.

    Parameters
    ----------
    reference, candidate
        Numbers or aliases.
    tracking_uri
        The store; by default that of MLFLOW_TRACKING_URI, or ``mlflow.db`` in the working directory.

    Raises
    ------
    TrackingError
        If there is no such version, or one is not complete.
    BundleError
        If a bundle was changed.
    """
    from nasicon_ml.evaluation.gate import judge

    with opened(tracking_uri, must_exist=True) as store:
        before, after = usable_version(store, reference), usable_version(store, candidate)
        report = judge(load_version(store, after.version), load_version(store, before.version))
    return Comparison(before, after, report)


def promote(
    version: str = CHALLENGER, *, force: bool = False, reason: str = "", tracking_uri: str | None = None
) -> Promotion:
    """Make a version the champion, if it passes the gate (`nasicon_ml.evaluation.gate`).

    Parameters
    ----------
    version
        Its number or alias.
    force
        Promote it even if the gate refuses; a version that is not complete is refused all the same.
    reason
        Why, with `force`; kept as the tag ``forced_reason``.
    tracking_uri
        As for `compare_versions`.

    Returns
    -------
    Promotion
        Also of a version that was refused: `promoted` is False then, and the report says why.

    Raises
    ------
    FieldError
        If there is force without reason, or reason without force.
    TrackingError
        If there is no such version, it is not complete or champion already, it is on a server and comes from
        another experiment than ``nasicon-ml``, the champion cannot be read (so that there is nothing to compare
        with), or somebody else made another version champion in the meantime.
    BundleError
        If its bundle was changed.
    """
    reason = " ".join(reason.split())
    if force and not reason:
        raise FieldError("reason", reason, "a sentence that says why the gate is overridden, with --reason")
    if reason and not force:
        raise FieldError("reason", reason, "nothing, unless the gate is overridden with --force")
    with opened(tracking_uri, must_exist=True) as store:
        wanted, previous = usable_version(store, version), alias_of(store, CHAMPION)
        _refuse_other_experiments(store, wanted)
        if wanted.version == previous:
            raise TrackingError(f"version {wanted.version} is the champion already")
        report = _judged(store, wanted, previous, force=force)
        passed = report is not None and report.passed
        if not passed and not force:
            return Promotion(wanted.version, previous, promoted=False, forced=False, report=report)
        with store.alone():
            now = alias_of(store, CHAMPION)
            if now != previous:
                raise TrackingError(
                    f"version {now} was made champion while {wanted.version} was compared with "
                    f"version {previous or NOBODY}; nothing was changed: compare again"
                )
            with store.stop.delayed():
                _record(store, wanted, previous, report, reason if not passed else "")
                _list_champions(store, [*champions_in(store), wanted.version])
                _set_champion(store, wanted.version)
    return Promotion(wanted.version, previous, promoted=True, forced=not passed, report=report)


def rollback(*, reason: str = "", tracking_uri: str | None = None) -> Rollback:
    """Make the version champion again that was so before the present one; repeated, it ends at the first one.

    Where nobody challenges, the version that is left becomes the challenger again.

    Parameters
    ----------
    reason
        Why; kept as the tag ``rolled_back_reason`` of the version that is left.
    tracking_uri
        As for `compare_versions`.

    Raises
    ------
    TrackingError
        If there is no champion, it had no predecessor, or that one is not complete any more.
    """
    with opened(tracking_uri, must_exist=True) as store, store.alone():
        number = alias_of(store, CHAMPION)
        if number is None:
            raise TrackingError(f"{MODEL_NAME} has no champion in {store.uri}: there is nothing to roll back")
        champions = champions_in(store)
        if len(champions) < 2:
            raise TrackingError(f"version {number} is the first champion on record: there is none to return to")
        previous = usable_version(store, champions[-2])
        with store.stop.delayed():
            store.client.set_model_version_tag(MODEL_NAME, number, ROLLED_BACK_AT, _now())
            if reason.split():
                store.client.set_model_version_tag(
                    MODEL_NAME, number, ROLLED_BACK_REASON, " ".join(reason.split())
                )
            _list_champions(store, champions[:-1])
            _set_champion(store, previous.version)
            challenger = alias_of(store, CHALLENGER)
            if challenger is None:  # it was the one that is left before it was promoted
                store.client.set_registered_model_alias(MODEL_NAME, CHALLENGER, number)
    return Rollback(number, previous.version, challenger or number)


def foreseen(
    options: TrainingOptions,
    *,
    dataset: str | Path | None = None,
    add: str | Path | None = None,
    tracking_uri: str | None = None,
) -> str:
    """Say before a training why the gate could never let its version pass; empty if it might, or nobody knows.

    Parameters are those of `nasicon_ml.tracking.run_training`.
    """
    from nasicon_ml.data.files import PELLETS_FILE, dataset_checksum, datasets_folder
    from nasicon_ml.data.own_pellets import own_checksum, own_pellets
    from nasicon_ml.evaluation.gate import never_passes

    try:
        with opened(tracking_uri, must_exist=True) as store:
            number = alias_of(store, CHAMPION)
            reference = None if number is None else load_version(store, number)
    except (TrackingError, BundleError, MissingExtraError):  # the training says what is wrong with the store
        return ""
    if reference is None:
        return ""
    added = {} if add is None else {"added_sha256": own_checksum(own_pellets(add))}
    sha256 = dataset_checksum(datasets_folder() / PELLETS_FILE if dataset is None else Path(dataset))
    found = never_passes(sha256, options.recorded() | added, reference)
    return f"the champion is version {number}: {found}" if found else ""


def _refuse_other_experiments(store: Store, wanted: Version) -> None:
    """Refuse, on a server, a version from somebody's own experiment, where they may delete what it needs."""
    if not is_server(store.uri):
        return
    source = store.client.get_model_version(MODEL_NAME, wanted.version).source
    of_model = store.client.get_logged_model(str(source).removeprefix("models:/").strip("/")).experiment_id
    for number in {str(store.client.get_run(wanted.run_id).info.experiment_id), str(of_model)}:
        name = store.client.get_experiment(number).name
        if name != EXPERIMENT:
            raise TrackingError(
                f"version {wanted.version} comes from the experiment {name!r}, and on a server only versions of "
                f"{EXPERIMENT!r} become champion: export it and bring it in with 'registry import'"
            )


def _judged(store: Store, wanted: Version, previous: str | None, *, force: bool) -> GateReport | None:
    """Ask the gate; None if the champion cannot be read and that is overridden."""
    from nasicon_ml.evaluation.gate import judge

    candidate = load_version(store, wanted.version)
    reference: PropertyModel | None = None
    if previous is not None:
        try:
            reference = load_version(store, usable_version(store, previous).version)
        except (TrackingError, BundleError) as error:
            if force:
                return None
            raise TrackingError(
                f"the champion, version {previous}, cannot be read, so there is nothing to compare with: {error}; "
                "to promote all the same: --force --reason '...'"
            ) from error
    return judge(candidate, reference)


def _record(
    store: Store, wanted: Version, previous: str | None, report: GateReport | None, forced_reason: str
) -> None:
    """Write what belongs to a promotion."""
    tags = {
        PROMOTED_OVER: previous or NOBODY,
        PROMOTED_AT: _now(),
        PROMOTED_BY: _user(store),
        GATE: FORCED if forced_reason else PASSED,
        REPORT: json.dumps(_short(report)) if report else "",
    }
    if forced_reason:
        tags[REASON] = forced_reason[:_LONGEST_TAG]
    for name, value in tags.items():
        store.client.set_model_version_tag(MODEL_NAME, wanted.version, name, value)
    if not forced_reason and REASON in wanted.tags:
        store.client.delete_model_version_tag(MODEL_NAME, wanted.version, REASON)


#: Of so many champions the numbers are kept: more than fit into a tag are not.
_MOST_CHAMPIONS = 500


def _list_champions(store: Store, numbers: list[str]) -> None:
    store.client.set_registered_model_tag(MODEL_NAME, CHAMPIONS, json.dumps(numbers[-_MOST_CHAMPIONS:]))


def _short(report: GateReport) -> list[dict[str, Any]]:
    """Return the verdicts in words, as many as a tag holds."""
    kept = [{"question": verdict.question, "passed": verdict.passed} for verdict in report.verdicts]
    said = [entry | {"message": verdict.message} for entry, verdict in zip(kept, report.verdicts, strict=True)]
    return said if len(json.dumps(said)) <= _LONGEST_TAG else kept


def _set_champion(store: Store, version: str) -> None:
    """Move the alias; a challenger that has become champion challenges no longer."""
    from mlflow.exceptions import MlflowException

    store.client.set_registered_model_alias(MODEL_NAME, CHAMPION, version)
    with suppress(MlflowException):  # that the old alias stays beside the new one harms nobody
        if str(store.client.get_registered_model(MODEL_NAME).aliases.get(CHALLENGER)) == version:
            store.client.delete_registered_model_alias(MODEL_NAME, CHALLENGER)


def _user(store: Store) -> str:
    """Name who promotes: on a server by the name it knows, else as the system does."""
    named = os.environ.get("MLFLOW_TRACKING_USERNAME")
    if named and store.database is None:
        return named
    with suppress(OSError, KeyError):  # a container's user has no name
        return getpass.getuser()
    return "unknown"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
