"""Who is champion: promotion, refusal, force and the way back."""

import json
import os
import shutil
from pathlib import Path

import pytest

from nasicon_ml.errors import BundleError, FieldError, TrackingError
from nasicon_ml.evaluation import gate
from nasicon_ml.evaluation.gate import GateCheck, GateReport
from nasicon_ml.tracking import (
    CHALLENGER,
    CHAMPION,
    compare_versions,
    list_versions,
    load_bundle,
    promote,
    promotion,
    rollback,
    run_training,
    show_version,
)
from nasicon_ml.tracking.registry import champion_history
from nasicon_ml.tracking.store import open_store
from tests.tracking.conftest import aliases, replace_gate


@pytest.fixture
def own_two_versions(workplace, instant_training, monkeypatch):
    """A champion, version 1, and a challenger, version 2, recorded here, with files to be damaged."""
    replace_gate(monkeypatch, passed=True)
    run_training()
    promote()
    run_training()
    return workplace


@pytest.mark.slow
def test_the_first_champion_is_compared_with_nobody(two_imports, monkeypatch):
    asked = replace_gate(monkeypatch, passed=True)
    done = promote()
    assert (done.version, done.previous, done.promoted, done.forced) == ("2", None, True, False)
    assert [reference for _, reference in asked] == [None]
    assert aliases() == {CHAMPION: "2"}


@pytest.mark.slow
def test_a_challenger_that_passes_follows_the_champion(two_versions, monkeypatch):
    asked = replace_gate(monkeypatch, passed=True)
    done = promote()
    assert (done.version, done.previous, done.promoted) == ("2", "1", True)
    assert asked[0][1] is not None
    assert aliases() == {CHAMPION: "2"}
    tags = show_version().tags
    assert (tags["promoted_over"], tags["gate"]) == ("1", "passed")
    assert tags["promoted_at"].endswith("+00:00")
    assert json.loads(tags["gate_report"])[0]["message"].startswith("conductivity")
    assert "forced_reason" not in tags


@pytest.mark.slow
def test_a_refused_challenger_changes_nothing(two_versions, monkeypatch):
    before = show_version("2").tags
    replace_gate(monkeypatch, passed=False)
    done = promote()
    assert (done.promoted, done.forced) == (False, False)
    assert aliases() == {CHAMPION: "1", CHALLENGER: "2"}
    assert show_version("2").tags == before


def test_force_needs_a_reason_and_keeps_it(two_versions, monkeypatch):
    replace_gate(monkeypatch, passed=False)
    for wrong in ({"force": True}, {"force": True, "reason": " \n"}, {"reason": "because"}):
        with pytest.raises(FieldError, match="reason: "):
            promote(**wrong)
    assert aliases()[CHAMPION] == "1"
    done = promote(force=True, reason="the new  papers\nare what we measure")
    assert (done.promoted, done.forced) == (True, True)
    tags = show_version().tags
    assert (tags["gate"], tags["forced_reason"]) == ("forced", "the new papers are what we measure")


def test_force_where_the_gate_passes_is_no_force(two_versions):
    assert promote(force=True, reason="to be sure").forced is False
    assert "forced_reason" not in show_version().tags


def test_a_version_can_be_named_and_need_not_be_the_challenger(two_versions):
    promote()
    assert promote("1").previous == "2"
    assert aliases() == {CHAMPION: "1"}


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("1", "version 1 is the champion already"),
        ("champion", "version 1 is the champion already"),
        ("9", r"no version '9'.*there are versions 1, 2; aliases: challenger \(version 2\), champion"),
        ("champoin", "Did you mean 'champion'"),
        ("-1", "no version '-1'"),
        ("../2", "no version '../2'"),
    ],
)
def test_what_cannot_be_promoted_says_why(version, message, two_versions):
    with pytest.raises(TrackingError, match=message):
        promote(version)


def test_without_a_challenger_the_way_to_one_is_named(two_versions):
    promote()
    with pytest.raises(TrackingError, match=r"no version 'challenger'.*nasicon-ml train"):
        promote()


def test_rollback_follows_the_way_of_the_champions_back(two_versions):
    promote()
    assert (rollback(reason="it  fails on LAGP").left, aliases()[CHAMPION]) == ("2", "1")
    assert show_version("2").tags["rolled_back_reason"] == "it fails on LAGP"
    with pytest.raises(TrackingError, match="version 1 is the first champion on record"):
        rollback()
    promote("2")
    assert rollback().version == "1"


@pytest.mark.slow
def test_after_a_rollback_there_is_a_challenger_still(two_versions, instant_training):
    promote()
    assert aliases() == {CHAMPION: "2"}
    assert rollback().challenger == "2"
    assert aliases() == {CHAMPION: "1", CHALLENGER: "2"}
    assert promote().version == "2"
    run_training()
    assert rollback().challenger == "3", "a newer one goes on challenging"
    assert aliases() == {CHAMPION: "1", CHALLENGER: "3"}


def test_rollback_ends_at_the_first_champion_however_often_they_were_promoted(two_versions):
    promote()
    promote("1")
    assert [rollback().version for _ in range(2)] == ["2", "1"]
    with pytest.raises(TrackingError, match="version 1 is the first champion on record"):
        rollback()
    promote("2")
    with open_store() as store:
        assert champion_history(store) == ["1", "2"]


@pytest.mark.parametrize("stopped_in", ["promote", "rollback"])
def test_a_list_of_champions_whose_alias_was_never_moved_misleads_nobody(two_versions, monkeypatch, stopped_in):
    promote()

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(promotion, "_set_champion", killed)
        with pytest.raises(KeyboardInterrupt):
            promote("1") if stopped_in == "promote" else rollback()
    assert aliases()[CHAMPION] == "2"
    if stopped_in == "promote":
        assert rollback().version == "1"
        with pytest.raises(TrackingError, match="version 1 is the first champion on record"):
            rollback()
    else:
        promote("1")
        assert rollback().version == "2"


def test_a_champion_from_before_the_list_is_read_from_the_versions(two_versions):
    promote()
    with open_store() as store:
        store.client.delete_registered_model_tag("nasicon-recipe", "champions")
        assert champion_history(store) == ["1", "2"]
        store.client.set_model_version_tag("nasicon-recipe", "1", "promoted_over", "2")
        assert champion_history(store) == ["1", "2"], "a circle ends"
    assert rollback().version == "1"


def test_what_is_a_number_is_a_version_and_no_alias(two_versions):
    with open_store() as store:
        store.client.set_registered_model_alias("nasicon-recipe", "1", "2")
    assert show_version("1").version == "1"
    with pytest.raises(TrackingError, match="version 1 is the champion already"):
        promote("1")


def test_a_version_that_may_not_be_seen_is_unusable_and_the_others_are_listed(two_versions, monkeypatch):
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

    really_get, gone = MlflowClient.get_run, show_version("1").run_id

    def refused(client, run_id):
        if run_id == gone:
            raise MlflowException("Permission denied", PERMISSION_DENIED)
        return really_get(client, run_id)

    monkeypatch.setattr(MlflowClient, "get_run", refused)
    problem = "its run or its model was deleted, or may not be seen by you"
    assert [(found.version, found.problem) for found in list_versions()] == [("2", ""), ("1", problem)]


def test_a_version_larger_than_a_bundle_is_not_downloaded(own_two_versions, monkeypatch):
    import mlflow

    with (bundle_of("2") / "model.json").open("r+b") as file:
        file.truncate(200 * 1024**2)
    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", None)
    with pytest.raises(
        BundleError, match=r"is not a bundle: its files have 2\d{8} bytes, a bundle at most 100663296"
    ):
        load_bundle("models:/nasicon-recipe/2")


def test_without_a_champion_there_is_nothing_to_roll_back(two_imports):
    with pytest.raises(TrackingError, match="has no champion"):
        rollback()


def bundle_of(version):
    """Find the files of a version."""
    with open_store() as store:
        source = store.client.get_model_version("nasicon-recipe", version).source
        location = store.client.get_logged_model(source.removeprefix("models:/")).artifact_location
    return Path(location.removeprefix("file://")) / "artifacts" / "bundle"


def lose_files(workplace, version, name=None):
    """Remove a version's bundle from its logged model, or cut one file of it short."""
    bundle = bundle_of(version)
    assert bundle.is_relative_to(workplace)
    if name is None:
        shutil.rmtree(bundle)
    else:
        os.truncate(bundle / name, 10)


@pytest.mark.slow
def test_a_version_that_lost_files_cannot_be_promoted_even_by_force(own_two_versions):
    lose_files(own_two_versions, "2", "conductivity.npz")
    assert show_version("2").problem == "these of its files are missing or not whole: conductivity.npz"
    for force in ({}, {"force": True, "reason": "we need it"}):
        with pytest.raises(TrackingError, match=r"version 2 .* cannot be used: .*conductivity\.npz"):
            promote(**force)
    assert aliases()[CHAMPION] == "1"


@pytest.mark.slow
def test_a_champion_that_lost_its_files_can_be_replaced_by_force_alone(own_two_versions):
    lose_files(own_two_versions, "1")
    assert show_version("champion").problem == "its files are gone"
    with pytest.raises(TrackingError, match=r"champion, version 1, cannot be read.*--force --reason"):
        promote()
    done = promote(force=True, reason="the disk of the old one died")
    assert (done.promoted, done.forced, done.report) == (True, True, None)
    with pytest.raises(TrackingError, match=r"version 1 .* cannot be used"):
        rollback()
    assert aliases()[CHAMPION] == "2"


@pytest.mark.slow
def test_a_changed_bundle_is_found_before_it_is_promoted(own_two_versions):
    path = bundle_of("2") / "model.json"
    path.write_bytes(path.read_bytes().replace(b"LATP", b"LAPT"))
    assert show_version("2").usable  # its size is the same
    with pytest.raises(BundleError, match=r"model\.json was changed"):
        promote()


def test_a_champion_made_meanwhile_is_not_deposed(two_versions, monkeypatch):
    with open_store() as store:
        entry = store.client.get_model_version("nasicon-recipe", "2")
        store.client.create_model_version(entry.name, entry.source, run_id=entry.run_id, tags=entry.tags)
    evaluate_candidate = gate.evaluate_candidate

    def slow(candidate, reference):
        with open_store() as store:
            store.client.set_registered_model_alias("nasicon-recipe", CHAMPION, "2")
        return evaluate_candidate(candidate, reference)

    monkeypatch.setattr(gate, "evaluate_candidate", slow)
    with pytest.raises(TrackingError, match="version 2 was made champion while 3 was compared with version 1"):
        promote("3")
    assert aliases()[CHAMPION] == "2"
    assert "promoted_over" not in show_version("3").tags


@pytest.mark.parametrize("step", ["set_model_version_tag", "set_registered_model_alias"])
def test_a_promotion_cut_short_leaves_the_old_champion(step, two_versions, monkeypatch):
    with monkeypatch.context() as patch:

        def interrupted(*args, **kwargs):
            raise KeyboardInterrupt

        patch.setattr(f"mlflow.MlflowClient.{step}", interrupted)
        with pytest.raises(KeyboardInterrupt):
            promote()
    assert aliases() == {CHAMPION: "1", CHALLENGER: "2"}
    assert promote().promoted


def test_comparing_changes_nothing(two_versions, monkeypatch):
    asked = replace_gate(monkeypatch, passed=False)
    found = compare_versions("champion", "challenger")
    assert (found.reference.version, found.candidate.version, found.report.passed) == ("1", "2", False)
    assert asked[0][1] is not None
    assert aliases() == {CHAMPION: "1", CHALLENGER: "2"}


def test_a_report_too_long_for_a_tag_keeps_its_verdicts(monkeypatch):
    checks = tuple(GateCheck(f"question {number}", passed=False, message="x" * 900) for number in range(9))
    kept = promotion._report_entries(GateReport(checks, (), has_reference=True))
    assert len(kept) == 9
    assert all("message" not in entry and entry["passed"] is False for entry in kept)


@pytest.mark.slow
def test_the_real_gate_compares_what_was_recorded(workplace, instant_training):
    """No part of it is replaced: models of ten trees on a part of the data pass or fail by their own figures."""
    run_training()
    found = promote()
    questions = {check.question: check.passed for check in found.report.checks}
    assert questions["dataset"] is True
    assert set(questions) == {
        "comparison", "conductivity", "relative_density", "phase_purity", "coverage", "physics", "dataset"
    }  # fmt: skip
    if not found.promoted:
        promote(force=True, reason="a start")
    run_training()
    again = promote()
    beside_itself = {check.question: check.passed for check in again.report.checks}
    assert all(score.difference.value == 0 and score.same_folds for score in again.report.scores)
    assert {question for question, passed in beside_itself.items() if not passed} <= {"coverage"}
    assert beside_itself["coverage"] is questions["coverage"]
