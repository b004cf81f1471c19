"""Promote a version to champion through the gate, and roll back to the previous champion.

The registry moves the alias ``champion`` in one operation. All tags of a promotion are written before that, so
that a program killed at any moment leaves either the old or the new champion. Ctrl-C or SIGTERM before the first
of these writes changes nothing; afterwards all of them are completed.
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
    NO_CHAMPION,
    PROMOTED_OVER,
    Version,
    champion_history,
    load_version,
    usable_version,
    version_with_alias,
)
from nasicon_ml.tracking.store import EXPERIMENT, Store, is_server, open_store

if TYPE_CHECKING:
    from nasicon_ml.evaluation.gate import GateReport
    from nasicon_ml.model import PropertyModel
    from nasicon_ml.workflows.train import TrainingOptions

#: Version tags that record promotions and rollbacks.
PROMOTED_AT, PROMOTED_BY, GATE, FORCED_REASON = "promoted_at", "promoted_by", "gate", "forced_reason"
ROLLED_BACK_AT, ROLLED_BACK_REASON = "rolled_back_at", "rolled_back_reason"
#: The tag with the gate's report as JSON, and the longest tag value that every MLflow store accepts.
GATE_REPORT, _MAX_TAG_LENGTH = "gate_report", 5000
PASSED, FORCED = "passed", "forced"


@dataclass(frozen=True)
class Promotion:
    """Outcome of an attempt to promote a version.

    Attributes
    ----------
    version, previous
        Numbers of the version and of the champion it was compared with (None without a champion).
    promoted
        Whether the version is the champion now.
    forced
        Whether it was promoted although the gate refused it.
    report
        Report of the gate; None if the champion could not be read and the gate was overridden.
    """

    version: str
    previous: str | None
    promoted: bool
    forced: bool
    report: GateReport | None

    def to_json(self) -> dict[str, Any]:
        """Return the promotion as a JSON-serializable dictionary."""
        fields = {name: getattr(self, name) for name in ("version", "previous", "promoted", "forced")}
        return fields | {"gate": self.report.to_json() if self.report else None}


@dataclass(frozen=True)
class Comparison:
    """Two versions, and the gate's report on the candidate as successor of the reference."""

    reference: Version
    candidate: Version
    report: GateReport

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as a JSON-serializable dictionary."""
        versions = {"reference": self.reference.version, "candidate": self.candidate.version}
        return versions | {"gate": self.report.to_json()}


@dataclass(frozen=True)
class Rollback:
    """Numbers of the deposed champion (`left`), the restored champion (`version`) and the present challenger."""

    left: str
    version: str
    challenger: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the rollback as a JSON-serializable dictionary."""
        return asdict(self)


def compare_versions(reference: str, candidate: str, *, tracking_uri: str | None = None) -> Comparison:
    """Return the gate's report on one version as successor of another, without changing anything.

    Parameters
    ----------
    reference, candidate
        Numbers or aliases.
    tracking_uri
        The store; by default that of MLFLOW_TRACKING_URI, or ``mlflow.db`` in the working directory.

    Raises
    ------
    TrackingError
        If a version does not exist or is incomplete.
    BundleError
        If a bundle was changed.
    """
    from nasicon_ml.evaluation.gate import evaluate_candidate

    with open_store(tracking_uri, must_exist=True) as store:
        champion, challenger = usable_version(store, reference), usable_version(store, candidate)
        report = evaluate_candidate(load_version(store, challenger.version), load_version(store, champion.version))
    return Comparison(champion, challenger, report)


def promote(
    version: str = CHALLENGER, *, force: bool = False, reason: str = "", tracking_uri: str | None = None
) -> Promotion:
    """Make a version the champion, if it passes the gate (`nasicon_ml.evaluation.gate`).

    Parameters
    ----------
    version
        Number or alias of the version.
    force
        Whether to promote it even if the gate refuses. An incomplete version is refused in any case.
    reason
        Reason for `force`, recorded as the tag ``forced_reason``.
    tracking_uri
        As for `compare_versions`.

    Returns
    -------
    Promotion
        If the gate refused the version, `promoted` is False and the report gives the reasons.

    Raises
    ------
    FieldError
        If force is given without a reason, or a reason without force.
    TrackingError
        If the version does not exist, is incomplete, is the champion already, or is on a server and comes from
        another experiment than ``nasicon-ml``; if the champion cannot be read for the comparison; or if another
        version became champion during the comparison.
    BundleError
        If the version's bundle was changed.
    """
    reason = " ".join(reason.split())
    if force and not reason:
        raise FieldError("reason", reason, "a sentence that says why the gate is overridden, with --reason")
    if reason and not force:
        raise FieldError("reason", reason, "nothing, unless the gate is overridden with --force")
    with open_store(tracking_uri, must_exist=True) as store:
        candidate, previous = usable_version(store, version), version_with_alias(store, CHAMPION)
        _refuse_other_experiments(store, candidate)
        if candidate.version == previous:
            raise TrackingError(f"version {candidate.version} is the champion already")
        report = _gate_report(store, candidate, previous, force=force)
        passed = report is not None and report.passed
        if not passed and not force:
            return Promotion(candidate.version, previous, promoted=False, forced=False, report=report)
        with store.exclusive():
            champion = version_with_alias(store, CHAMPION)
            if champion != previous:
                raise TrackingError(
                    f"version {champion} was made champion while {candidate.version} was compared with "
                    f"version {previous or NO_CHAMPION}; nothing was changed: compare again"
                )
            with store.stop.delayed():
                _write_promotion_tags(store, candidate, previous, report, reason if not passed else "")
                _write_champions(store, [*champion_history(store), candidate.version])
                _set_champion(store, candidate.version)
    return Promotion(candidate.version, previous, promoted=True, forced=not passed, report=report)


def rollback(*, reason: str = "", tracking_uri: str | None = None) -> Rollback:
    """Restore the previous champion; repeated calls go back to the first one.

    If there is no challenger, the deposed champion becomes the challenger.

    Parameters
    ----------
    reason
        Reason, recorded as the tag ``rolled_back_reason`` of the deposed champion.
    tracking_uri
        As for `compare_versions`.

    Raises
    ------
    TrackingError
        If there is no champion, it has no predecessor, or the predecessor is incomplete.
    """
    reason = " ".join(reason.split())
    with open_store(tracking_uri, must_exist=True) as store, store.exclusive():
        number = version_with_alias(store, CHAMPION)
        if number is None:
            raise TrackingError(f"{MODEL_NAME} has no champion in {store.uri}: there is nothing to roll back")
        champions = champion_history(store)
        if len(champions) < 2:
            raise TrackingError(f"version {number} is the first champion on record: there is none to return to")
        previous = usable_version(store, champions[-2])
        with store.stop.delayed():
            store.client.set_model_version_tag(MODEL_NAME, number, ROLLED_BACK_AT, _now())
            if reason:
                store.client.set_model_version_tag(MODEL_NAME, number, ROLLED_BACK_REASON, reason)
            _write_champions(store, champions[:-1])
            _set_champion(store, previous.version)
            challenger = version_with_alias(store, CHALLENGER)
            if challenger is None:
                store.client.set_registered_model_alias(MODEL_NAME, CHALLENGER, number)
    return Rollback(number, previous.version, challenger or number)


def foreseeable_refusal(
    options: TrainingOptions,
    *,
    dataset: str | Path | None = None,
    add: str | Path | None = None,
    tracking_uri: str | None = None,
) -> str:
    """Return why the gate is certain to refuse the version of a planned training; empty if that is not certain.

    Parameters are those of `nasicon_ml.tracking.run_training`.
    """
    from nasicon_ml.data.files import PELLETS_FILE, dataset_checksum, datasets_folder
    from nasicon_ml.data.own_pellets import own_checksum, own_pellets
    from nasicon_ml.evaluation.gate import expected_refusal

    try:
        with open_store(tracking_uri, must_exist=True) as store:
            number = version_with_alias(store, CHAMPION)
            reference = None if number is None else load_version(store, number)
    except (TrackingError, BundleError, MissingExtraError):  # the training reports the problem
        return ""
    if reference is None:
        return ""
    added = {} if add is None else {"added_sha256": own_checksum(own_pellets(add))}
    sha256 = dataset_checksum(datasets_folder() / PELLETS_FILE if dataset is None else Path(dataset))
    refusal = expected_refusal(sha256, options.recorded() | added, reference)
    return f"the champion is version {number}: {refusal}" if refusal else ""


def _refuse_other_experiments(store: Store, candidate: Version) -> None:
    """Refuse, on a server, a version from a user's own experiment, whose owner may delete its files."""
    if not is_server(store.uri):
        return
    source = store.client.get_model_version(MODEL_NAME, candidate.version).source
    model_experiment = store.client.get_logged_model(str(source).removeprefix("models:/").strip("/")).experiment_id
    for number in {str(store.client.get_run(candidate.run_id).info.experiment_id), str(model_experiment)}:
        name = store.client.get_experiment(number).name
        if name != EXPERIMENT:
            raise TrackingError(
                f"version {candidate.version} comes from the experiment {name!r}, and on a server only versions "
                f"of {EXPERIMENT!r} become champion: export it and bring it in with 'registry import'"
            )


def _gate_report(store: Store, candidate: Version, previous: str | None, *, force: bool) -> GateReport | None:
    """Return the gate's report on a candidate; None if the champion cannot be read and `force` is given."""
    from nasicon_ml.evaluation.gate import evaluate_candidate

    candidate_model = load_version(store, candidate.version)
    reference: PropertyModel | None = None
    if previous is not None:
        try:
            reference = load_version(store, usable_version(store, previous).version)
        except (TrackingError, BundleError) as error:
            if force:
                return None
            raise TrackingError(
                f"the champion, version {previous}, cannot be read, so there is nothing to compare with: {error}; "
                "to promote it anyway: --force --reason '...'"
            ) from error
    return evaluate_candidate(candidate_model, reference)


def _write_promotion_tags(
    store: Store, candidate: Version, previous: str | None, report: GateReport | None, forced_reason: str
) -> None:
    """Write the tags of a promotion."""
    tags = {
        PROMOTED_OVER: previous or NO_CHAMPION,
        PROMOTED_AT: _now(),
        PROMOTED_BY: _user_name(store),
        GATE: FORCED if forced_reason else PASSED,
        GATE_REPORT: json.dumps(_report_entries(report)) if report else "",
    }
    if forced_reason:
        tags[FORCED_REASON] = forced_reason[:_MAX_TAG_LENGTH]
    for name, value in tags.items():
        store.client.set_model_version_tag(MODEL_NAME, candidate.version, name, value)
    if not forced_reason and FORCED_REASON in candidate.tags:
        store.client.delete_model_version_tag(MODEL_NAME, candidate.version, FORCED_REASON)


#: Number of champions kept in the list, so that it fits into a tag.
_MAX_CHAMPIONS = 500


def _write_champions(store: Store, numbers: list[str]) -> None:
    store.client.set_registered_model_tag(MODEL_NAME, CHAMPIONS, json.dumps(numbers[-_MAX_CHAMPIONS:]))


def _report_entries(report: GateReport) -> list[dict[str, Any]]:
    """Return the gate's checks for a tag, without their messages if these do not fit."""
    for names in (("question", "passed", "message"), ("question", "passed")):
        entries = [{name: getattr(check, name) for name in names} for check in report.checks]
        if len(json.dumps(entries)) <= _MAX_TAG_LENGTH:
            break
    return entries


def _set_champion(store: Store, version: str) -> None:
    """Move the alias ``champion``, and remove ``challenger`` from the new champion."""
    from mlflow.exceptions import MlflowException

    store.client.set_registered_model_alias(MODEL_NAME, CHAMPION, version)
    with suppress(MlflowException):  # a leftover challenger alias does no harm
        if str(store.client.get_registered_model(MODEL_NAME).aliases.get(CHALLENGER)) == version:
            store.client.delete_registered_model_alias(MODEL_NAME, CHALLENGER)


def _user_name(store: Store) -> str:
    """Return the name of the user who promotes: the one known to the server, else that of the system."""
    server_user = os.environ.get("MLFLOW_TRACKING_USERNAME")
    if server_user and store.database is None:
        return server_user
    with suppress(OSError, KeyError):  # the user of a container may have no name
        return getpass.getuser()
    return "unknown"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
