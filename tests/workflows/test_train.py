"""Training runs: reproducible, without leakage, and with complete metadata."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mean_absolute_error

from nasicon_ml.data.files import PELLETS_FILE, dataset_version, datasets_folder
from nasicon_ml.data.load import load_pellets
from nasicon_ml.data.validate import count_problems
from nasicon_ml.errors import DatasetError, FieldError, LeakageError
from nasicon_ml.estimators.boosting import DEFAULT_SETTINGS
from nasicon_ml.estimators.targets import ANSWERS
from nasicon_ml.evaluation import cross_validation
from nasicon_ml.evaluation.plausibility import check_plausibility
from nasicon_ml.workflows.train import TrainingOptions, train, with_known_problems


def test_model_metadata_has_the_dataset_version(trained):
    assert trained.model.metadata.versions["dataset"] == dataset_version(datasets_folder())


def test_each_pellet_is_predicted_out_of_fold_once_without_its_source(trained):
    frame = trained.out_of_fold
    assert not frame.duplicated(["target", "repeat", "pellet_id"]).any()
    per_source = frame.groupby(["target", "repeat", "source"])["fold"].nunique()
    assert (per_source == 1).all()
    assert frame.groupby("target").size().to_dict() == trained.rows_used
    assert np.isfinite(frame[["measured", "predicted", "composition_only", "median"]]).all().all()


def test_scores_agree_with_the_out_of_fold_predictions(trained):
    frame = trained.out_of_fold
    part = frame[(frame["target"] == "relative_density") & frame["system"].str.startswith("L")]
    expected = mean_absolute_error(part["measured"].to_numpy(), part["predicted"].to_numpy())
    scores = trained.scores.set_index(["target", "subset", "model", "metric"])["value"]
    assert scores["relative_density", "all", "full", "mae_points"] == pytest.approx(expected)
    for target, metric in (("conductivity", "mae_decades"), ("relative_density", "mae_points")):
        for model in ("full", "composition only", "median"):
            assert np.isfinite(scores[target, "all", model, metric])


def test_conductivity_error_is_below_the_median_baseline_but_plausible(trained):
    """A far lower error would point to leakage."""
    scores = trained.scores.set_index(["target", "subset", "model", "metric"])["value"]
    error = scores["conductivity", "all", "full", "mae_decades"]
    assert 0.3 < error < 0.9 * scores["conductivity", "all", "median", "mae_decades"]


def test_coverage_of_90_percent_intervals_is_near_90_percent(trained):
    scores = trained.scores.set_index(["target", "subset", "model", "metric"])["value"]
    for target in ("conductivity", "relative_density"):
        assert scores[target, "all", "full", "coverage_90"] == pytest.approx(0.9, abs=0.05)


def test_split_that_divides_a_source_raises_leakage_error(monkeypatch, small_dataset):
    monkeypatch.setattr(
        cross_validation, "grouped_folds", lambda sources, folds, _seed: np.arange(len(sources)) % folds
    )
    with pytest.raises(LeakageError, match="are on both sides of a split"):
        train(TrainingOptions(folds=3), dataset=small_dataset)


def test_unknown_excluded_source_is_refused_with_suggestion():
    with pytest.raises(FieldError, match=r"source: 'raj2022' .*Did you mean 'raj2023'"):
        train(TrainingOptions(exclude_sources=("raj2022",)))


@pytest.mark.parametrize(("field", "value"), [("folds", 1), ("repeats", 0), ("trials", -1), ("threads", 0)])
def test_invalid_training_options_are_refused(field, value):
    with pytest.raises(FieldError, match=rf"{field}: {value} is not accepted"):
        TrainingOptions(**{field: value})


def test_too_small_dataset_is_refused_with_number_of_pellets(tmp_path):
    pellets = pd.read_csv(datasets_folder() / "pellets.csv", dtype=str, keep_default_na=False)
    few = tmp_path / "few.csv"
    pellets[pellets["source"] == "raj2023"].to_csv(few, index=False)
    with pytest.raises(
        DatasetError, match="conductivity: 13 usable pellets from 1 sources are too few for 10 folds"
    ):
        train(dataset=few)


@pytest.mark.parametrize("column", ["pellet_id", "source"])
def test_pellets_without_id_or_source_are_refused(tmp_path, column):
    pellets = pd.read_csv(datasets_folder() / "pellets.csv", dtype=str, keep_default_na=False)
    pellets.loc[[2, 3], column] = ""
    pellets.to_csv(tmp_path / "nameless.csv", index=False)
    with pytest.raises(DatasetError, match=f"{column} is missing in 2 pellets; each needs one"):
        train(dataset=tmp_path / "nameless.csv")


@pytest.mark.slow
@pytest.mark.usefixtures("small_training")
def test_progress_increases_from_zero_to_done(progress):
    shares = [share for _, share in progress]
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert progress[-1] == ("done", 1.0)


@pytest.mark.slow
def test_suspect_pellets_are_used_on_request_and_excluded_sources_are_not(small_training, small_dataset):
    assert not small_training.model.pellets["suspect"].astype(bool).any()
    source = small_training.model.pellets["source"].value_counts().index[0]
    options = TrainingOptions(folds=2, include_suspect=True, exclude_sources=(source,))
    other = train(options, dataset=small_dataset)
    everything = load_pellets(small_dataset, include_suspect=True)
    kept = everything[everything["source"] != source]
    assert set(other.model.pellets["pellet_id"]) == set(kept.loc[kept["formula"].notna(), "pellet_id"])
    assert other.model.pellets["suspect"].astype(bool).any()
    assert source not in set(other.out_of_fold["source"])
    assert set(other.out_of_fold["pellet_id"]) & set(kept.loc[kept["suspect"].astype(bool), "pellet_id"])


@pytest.mark.slow
def test_search_with_one_trial_uses_the_default_settings(small_training, small_dataset):
    """The first trial of every search uses the default settings."""
    searched = train(TrainingOptions(folds=2, trials=1), dataset=small_dataset)
    pd.testing.assert_frame_equal(small_training.scores, searched.scores)
    assert searched.model.metadata.options["trials"] == 1
    trials = searched.trials  # per target: two feature sets in each of two folds, and one fit to all pellets
    assert trials.groupby("target").size().to_dict() == dict.fromkeys(ANSWERS, 5)
    assert set(trials["trial"]) == {0}
    assert trials["inner_loss"].gt(0).all()
    assert trials["max_depth"].eq(trials["target"].map(lambda name: DEFAULT_SETTINGS[name].max_depth)).all()


@pytest.fixture
def pellets():
    return pd.read_csv(datasets_folder() / PELLETS_FILE, dtype=str, keep_default_na=False)


def test_metadata_lists_the_plausibility_rules_that_the_model_breaks(trained):
    checked = check_plausibility(trained.model)
    broken = checked[~checked["holds"]]
    metadata = trained.model.metadata
    assert metadata.rules_checked == len(checked)
    assert metadata.broken_rules == tuple(broken["rule"])
    assert metadata.broken_statements == dict(zip(broken["rule"], broken["statement"], strict=True))
    assert set(metadata.broken_scopes) == set(broken["rule"])


def test_metadata_counts_the_problems_of_the_dataset(trained):
    validation = trained.model.metadata.validation
    assert validation == count_problems(datasets_folder() / PELLETS_FILE)
    assert validation["errors"] == 0
    assert validation["warnings"] > 0


def test_problems_are_counted_in_the_given_dataset_file(trained, pellets, tmp_path):
    """An error that is added to the file is counted."""
    pellets.loc[0, "relative_density_pct"] = "0.93"
    pellets.to_csv(tmp_path / "my_pellets.csv", index=False)
    clean = trained.model.metadata.validation
    assert (
        with_known_problems(trained.model, tmp_path / "my_pellets.csv").metadata.validation["errors"]
        == clean["errors"] + 1
    )


def test_pellets_are_checked_against_the_sources_file_in_the_same_folder(pellets, tmp_path):
    pellets.head(20).to_csv(tmp_path / "my_pellets.csv", index=False)
    without_sources = count_problems(tmp_path / "my_pellets.csv")
    (tmp_path / "sources.csv").write_text("source\nsomebody2026\n")
    assert count_problems(tmp_path / "my_pellets.csv")["errors"] == without_sources["errors"] + 20
    (tmp_path / "sources.csv").write_bytes(b"\xff\xfe\x00")
    assert count_problems(tmp_path / "my_pellets.csv") == {
        **without_sources,
        "errors": without_sources["errors"] + 1,
    }
