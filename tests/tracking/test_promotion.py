"""Promotion of versions to champion by the gate or by force, and rollback to the previous champion."""

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
def two_recorded_versions(store_folder, instant_training, monkeypatch):
    """A store with a champion, version 1, and a challenger, version 2, whose files tests may damage."""
    replace_gate(monkeypatch, passed=True)
    run_training()
    promote()
    run_training()
    return store_folder


@pytest.mark.slow
def test_first_champion_is_evaluated_without_a_reference(two_imports, monkeypatch):
    calls = replace_gate(monkeypatch, passed=True)
    outcome = promote()
    assert (outcome.version, outcome.previous, outcome.promoted, outcome.forced) == ("2", None, True, False)
    assert [reference for _, reference in calls] == [None]
    assert aliases() == {CHAMPION: "2"}


@pytest.mark.slow
def test_challenger_that_passes_the_gate_becomes_champion(two_versions, monkeypatch):
    calls = replace_gate(monkeypatch, passed=True)
    outcome = promote()
    assert (outcome.version, outcome.previous, outcome.promoted) == ("2", "1", True)
    assert calls[0][1] is not None
    assert aliases() == {CHAMPION: "2"}
    tags = show_version().tags
    assert (tags["promoted_over"], tags["gate"]) == ("1", "passed")
    assert tags["promoted_at"].endswith("+00:00")
    assert json.loads(tags["gate_report"])[0]["message"].startswith("conductivity")
    assert "forced_reason" not in tags


@pytest.mark.slow
def test_refused_promotion_changes_no_aliases_and_tags(two_versions, monkeypatch):
    before = show_version("2").tags
    replace_gate(monkeypatch, passed=False)
    outcome = promote()
    assert (outcome.promoted, outcome.forced) == (False, False)
    assert aliases() == {CHAMPION: "1", CHALLENGER: "2"}
    assert show_version("2").tags == before


def test_force_requires_a_reason_and_records_it(two_versions, monkeypatch):
    replace_gate(monkeypatch, passed=False)
    for arguments in ({"force": True}, {"force": True, "reason": " \n"}, {"reason": "because"}):
        with pytest.raises(FieldError, match="reason: "):
            promote(**arguments)
    assert aliases()[CHAMPION] == "1"
    outcome = promote(force=True, reason="the new  papers\nare what we measure")
    assert (outcome.promoted, outcome.forced) == (True, True)
    tags = show_version().tags
    assert (tags["gate"], tags["forced_reason"]) == ("forced", "the new papers are what we measure")


def test_force_is_not_recorded_if_the_gate_passes(two_versions):
    assert promote(force=True, reason="to be sure").forced is False
    assert "forced_reason" not in show_version().tags


def test_version_that_is_not_the_challenger_can_be_promoted(two_versions):
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
def test_promoting_the_champion_or_an_unknown_version_raises(version, message, two_versions):
    with pytest.raises(TrackingError, match=message):
        promote(version)


def test_promote_without_challenger_raises_and_recommends_training(two_versions):
    promote()
    with pytest.raises(TrackingError, match=r"no version 'challenger'.*nasicon-ml train"):
        promote()


def test_rollback_restores_the_previous_champion(two_versions):
    promote()
    assert (rollback(reason="it  fails on LAGP").left, aliases()[CHAMPION]) == ("2", "1")
    assert show_version("2").tags["rolled_back_reason"] == "it fails on LAGP"
    with pytest.raises(TrackingError, match="version 1 is the first champion on record"):
        rollback()
    promote("2")
    assert rollback().version == "1"


@pytest.mark.slow
def test_rollback_restores_the_challenger_unless_there_is_a_newer_one(two_versions, instant_training):
    promote()
    assert aliases() == {CHAMPION: "2"}
    assert rollback().challenger == "2"
    assert aliases() == {CHAMPION: "1", CHALLENGER: "2"}
    assert promote().version == "2"
    run_training()
    assert rollback().challenger == "3", "a newer challenger is kept"
    assert aliases() == {CHAMPION: "1", CHALLENGER: "3"}


def test_repeated_rollback_ends_at_the_first_champion(two_versions):
    promote()
    promote("1")
    assert [rollback().version for _ in range(2)] == ["2", "1"]
    with pytest.raises(TrackingError, match="version 1 is the first champion on record"):
        rollback()
    promote("2")
    with open_store() as store:
        assert champion_history(store) == ["1", "2"]


@pytest.mark.parametrize("action", ["promote", "rollback"])
def test_rollback_is_correct_after_an_interrupted_promotion_or_rollback(two_versions, monkeypatch, action):
    promote()

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(promotion, "_set_champion", interrupted)
        with pytest.raises(KeyboardInterrupt):
            promote("1") if action == "promote" else rollback()
    assert aliases()[CHAMPION] == "2"
    if action == "promote":
        assert rollback().version == "1"
        with pytest.raises(TrackingError, match="version 1 is the first champion on record"):
            rollback()
    else:
        promote("1")
        assert rollback().version == "2"


def test_champion_history_without_a_list_is_read_from_version_tags(two_versions):
    promote()
    with open_store() as store:
        store.client.delete_registered_model_tag("nasicon-recipe", "champions")
        assert champion_history(store) == ["1", "2"]
        store.client.set_model_version_tag("nasicon-recipe", "1", "promoted_over", "2")
        assert champion_history(store) == ["1", "2"], "cyclic tags do not loop forever"
    assert rollback().version == "1"


def test_number_names_a_version_even_if_it_is_also_an_alias(two_versions):
    with open_store() as store:
        store.client.set_registered_model_alias("nasicon-recipe", "1", "2")
    assert show_version("1").version == "1"
    with pytest.raises(TrackingError, match="version 1 is the champion already"):
        promote("1")


def test_version_without_read_permission_is_listed_as_unusable(two_versions, monkeypatch):
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

    original_get_run, hidden_run_id = MlflowClient.get_run, show_version("1").run_id

    def get_run(client, run_id):
        if run_id == hidden_run_id:
            raise MlflowException("Permission denied", PERMISSION_DENIED)
        return original_get_run(client, run_id)

    monkeypatch.setattr(MlflowClient, "get_run", get_run)
    problem = "its run or its model was deleted, or may not be seen by you"
    assert [(version.version, version.problem) for version in list_versions()] == [("2", ""), ("1", problem)]


def test_version_larger_than_the_limit_of_a_bundle_is_not_downloaded(two_recorded_versions, monkeypatch):
    import mlflow

    with (bundle_folder_of("2") / "model.json").open("r+b") as file:
        file.truncate(200 * 1024**2)
    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", None)
    with pytest.raises(
        BundleError, match=r"is not a bundle: its files have 2\d{8} bytes, a bundle at most 100663296"
    ):
        load_bundle("models:/nasicon-recipe/2")


def test_rollback_without_champion_raises(two_imports):
    with pytest.raises(TrackingError, match="has no champion"):
        rollback()


def bundle_folder_of(version):
    """Return the folder of the bundle of a version."""
    with open_store() as store:
        source = store.client.get_model_version("nasicon-recipe", version).source
        location = store.client.get_logged_model(source.removeprefix("models:/")).artifact_location
    return Path(location.removeprefix("file://")) / "artifacts" / "bundle"


def damage_bundle(store_folder, version, name=None):
    """Remove a version's bundle from its logged model, or truncate one file of it."""
    bundle = bundle_folder_of(version)
    assert bundle.is_relative_to(store_folder)
    if name is None:
        shutil.rmtree(bundle)
    else:
        os.truncate(bundle / name, 10)


@pytest.mark.slow
def test_version_with_truncated_file_cannot_be_promoted_even_by_force(two_recorded_versions):
    damage_bundle(two_recorded_versions, "2", "conductivity.npz")
    assert show_version("2").problem == "these of its files are missing or not whole: conductivity.npz"
    for arguments in ({}, {"force": True, "reason": "we need it"}):
        with pytest.raises(TrackingError, match=r"version 2 .* cannot be used: .*conductivity\.npz"):
            promote(**arguments)
    assert aliases()[CHAMPION] == "1"


@pytest.mark.slow
def test_champion_with_missing_files_can_be_replaced_only_by_force(two_recorded_versions):
    damage_bundle(two_recorded_versions, "1")
    assert show_version("champion").problem == "its files are gone"
    with pytest.raises(TrackingError, match=r"champion, version 1, cannot be read.*--force --reason"):
        promote()
    outcome = promote(force=True, reason="the disk of the old one died")
    assert (outcome.promoted, outcome.forced, outcome.report) == (True, True, None)
    with pytest.raises(TrackingError, match=r"version 1 .* cannot be used"):
        rollback()
    assert aliases()[CHAMPION] == "2"


@pytest.mark.slow
def test_version_with_changed_bundle_is_not_promoted(two_recorded_versions):
    path = bundle_folder_of("2") / "model.json"
    path.write_bytes(path.read_bytes().replace(b"LATP", b"LAPT"))
    assert show_version("2").usable  # its size is the same
    with pytest.raises(BundleError, match=r"model\.json was changed"):
        promote()


def test_promotion_raises_if_the_champion_changed_during_evaluation(two_versions, monkeypatch):
    with open_store() as store:
        entry = store.client.get_model_version("nasicon-recipe", "2")
        store.client.create_model_version(entry.name, entry.source, run_id=entry.run_id, tags=entry.tags)
    evaluate_candidate = gate.evaluate_candidate

    def change_champion_and_evaluate(candidate, reference):
        with open_store() as store:
            store.client.set_registered_model_alias("nasicon-recipe", CHAMPION, "2")
        return evaluate_candidate(candidate, reference)

    monkeypatch.setattr(gate, "evaluate_candidate", change_champion_and_evaluate)
    with pytest.raises(TrackingError, match="version 2 was made champion while 3 was compared with version 1"):
        promote("3")
    assert aliases()[CHAMPION] == "2"
    assert "promoted_over" not in show_version("3").tags


@pytest.mark.parametrize("step", ["set_model_version_tag", "set_registered_model_alias"])
def test_interrupted_promotion_keeps_the_old_champion(step, two_versions, monkeypatch):
    with monkeypatch.context() as patch:

        def interrupted(*args, **kwargs):
            raise KeyboardInterrupt

        patch.setattr(f"mlflow.MlflowClient.{step}", interrupted)
        with pytest.raises(KeyboardInterrupt):
            promote()
    assert aliases() == {CHAMPION: "1", CHALLENGER: "2"}
    assert promote().promoted


def test_compare_versions_changes_no_aliases(two_versions, monkeypatch):
    calls = replace_gate(monkeypatch, passed=False)
    comparison = compare_versions("champion", "challenger")
    assert (comparison.reference.version, comparison.candidate.version) == ("1", "2")
    assert not comparison.report.passed
    assert calls[0][1] is not None
    assert aliases() == {CHAMPION: "1", CHALLENGER: "2"}


def test_gate_report_too_long_for_a_tag_is_stored_without_messages(monkeypatch):
    checks = tuple(GateCheck(f"question {number}", passed=False, message="x" * 900) for number in range(9))
    entries = promotion._report_entries(GateReport(checks, (), has_reference=True))
    assert len(entries) == 9
    assert all("message" not in entry and entry["passed"] is False for entry in entries)


@pytest.mark.slow
def test_promote_with_the_real_gate(store_folder, instant_training):
    """Models of ten trees on a part of the data pass or fail by their own scores, without a replaced gate."""
    run_training()
    first = promote()
    passed = {check.question: check.passed for check in first.report.checks}
    assert passed["dataset"] is True
    assert set(passed) == {
        "comparison", "conductivity", "relative_density", "phase_purity", "coverage", "physics", "dataset"
    }  # fmt: skip
    if not first.promoted:
        promote(force=True, reason="a start")
    run_training()
    second = promote()
    passed_by_equal_model = {check.question: check.passed for check in second.report.checks}
    assert all(score.difference.value == 0 and score.same_folds for score in second.report.scores)
    assert {question for question, is_passed in passed_by_equal_model.items() if not is_passed} <= {"coverage"}
    assert passed_by_equal_model["coverage"] is passed["coverage"]
