import numpy as np
import pandas as pd
import pytest

from nasicon_ml.data.files import datasets_folder
from nasicon_ml.data.load import load_pellets
from nasicon_ml.errors import DatasetError, FieldError, LeakageError
from nasicon_ml.evaluation import crossval, metrics
from nasicon_ml.workflows.train import TrainingOptions, train


def test_same_data_seed_and_versions_give_the_same_numbers_with_any_number_of_threads(trained):
    again = train(TrainingOptions(folds=3, threads=1))
    pd.testing.assert_frame_equal(again.scores, trained.scores)
    pd.testing.assert_frame_equal(again.out_of_fold, trained.out_of_fold)
    pd.testing.assert_frame_equal(again.importance, trained.importance)
    for name, booster in trained.model.boosters.items():
        assert again.model.boosters[name].save_raw("ubj") == booster.save_raw("ubj"), name


def test_every_pellet_is_predicted_once_by_a_model_that_did_not_see_its_source(trained):
    frame = trained.out_of_fold
    assert not frame.duplicated(["target", "repeat", "pellet_id"]).any()
    per_source = frame.groupby(["target", "repeat", "source"])["fold"].nunique()
    assert (per_source == 1).all()
    assert frame.groupby("target").size().to_dict() == trained.rows_used
    assert np.isfinite(frame[["measured", "predicted", "composition_only", "median"]]).all().all()


def test_scores_are_those_of_the_out_of_fold_table(trained):
    frame = trained.out_of_fold
    part = frame[(frame["target"] == "relative_density") & frame["system"].str.startswith("L")]
    expected = metrics.mean_absolute_error(part["measured"].to_numpy(), part["predicted"].to_numpy())
    scores = trained.scores.set_index(["target", "subset", "model", "metric"])["value"]
    assert scores["relative_density", "all", "full", "mae_points"] == pytest.approx(expected)
    for target, metric in (("conductivity", "mae_decades"), ("relative_density", "mae_points")):
        for model in ("full", "composition only", "median"):
            assert np.isfinite(scores[target, "all", model, metric])


def test_the_model_learned_something(trained):
    """Well below the median's error and far from perfect: too good would be a leak."""
    scores = trained.scores.set_index(["target", "subset", "model", "metric"])["value"]
    error = scores["conductivity", "all", "full", "mae_decades"]
    assert 0.3 < error < 0.9 * scores["conductivity", "all", "median", "mae_decades"]


def test_coverage_is_near_what_is_promised(trained):
    scores = trained.scores.set_index(["target", "subset", "model", "metric"])["value"]
    for target in ("conductivity", "relative_density"):
        assert scores[target, "all", "full", "coverage_90"] == pytest.approx(0.9, abs=0.05)


def test_a_leaking_split_stops_the_run(monkeypatch):
    monkeypatch.setattr(crossval, "grouped_folds", lambda sources, folds, _seed: np.arange(len(sources)) % folds)
    with pytest.raises(LeakageError, match="stand on both sides of a split"):
        train(TrainingOptions(folds=3))


def test_a_left_out_source_is_nowhere_in_the_model():
    result = train(TrainingOptions(folds=2, exclude_sources=("raj2023",)))
    assert "raj2023" not in set(result.model.pellets["source"])
    assert "raj2023" not in set(result.out_of_fold["source"])
    with pytest.raises(FieldError, match=r"source: 'raj2022' .*Did you mean 'raj2023'"):
        train(TrainingOptions(exclude_sources=("raj2022",)))


@pytest.mark.parametrize(("field", "value"), [("folds", 1), ("repeats", 0), ("trials", -1), ("threads", 0)])
def test_options_that_cannot_work_are_refused(field, value):
    with pytest.raises(FieldError, match=rf"{field}: {value} is not accepted"):
        TrainingOptions(**{field: value})


def test_too_small_a_dataset_says_so(tmp_path):
    pellets = pd.read_csv(datasets_folder() / "pellets.csv", dtype=str, keep_default_na=False)
    few = tmp_path / "few.csv"
    pellets[pellets["source"] == "raj2023"].to_csv(few, index=False)
    with pytest.raises(
        DatasetError, match="conductivity: 13 usable pellets from 1 sources are too few for 10 folds"
    ):
        train(dataset=few)


@pytest.mark.parametrize("column", ["pellet_id", "source"])
def test_a_pellet_without_key_or_source_is_refused_before_any_work(tmp_path, column):
    pellets = pd.read_csv(datasets_folder() / "pellets.csv", dtype=str, keep_default_na=False)
    pellets.loc[[2, 3], column] = ""
    pellets.to_csv(tmp_path / "nameless.csv", index=False)
    with pytest.raises(DatasetError, match=f"{column} is missing in 2 pellets; each needs one"):
        train(dataset=tmp_path / "nameless.csv")


def test_progress_goes_from_nothing_to_done():
    seen = []
    train(TrainingOptions(folds=2), progress=lambda message, share: seen.append((message, share)))
    shares = [share for _, share in seen]
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert seen[-1] == ("done", 1.0)


def test_suspect_rows_only_on_request(trained):
    assert not trained.model.pellets["suspect"].astype(bool).any()
    assert len(load_pellets(include_suspect=True)) > len(load_pellets())
    with_them = train(TrainingOptions(folds=2, include_suspect=True))
    assert with_them.rows_used["conductivity"] > trained.rows_used["conductivity"]


def test_one_trial_is_the_fixed_settings():
    """The search begins with the fixed settings, so a search of one ends with them."""
    fixed, searched = train(TrainingOptions(folds=2)), train(TrainingOptions(folds=2, trials=1))
    pd.testing.assert_frame_equal(fixed.scores, searched.scores)
    assert searched.model.metadata.options["trials"] == 1
