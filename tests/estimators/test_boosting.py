"""Boosters of one target: settings, weights, constraints, and that they are saved as they are."""

import json

import numpy as np
import pytest
import xgboost as xgb

from nasicon_ml.estimators.boosting import (
    DEFAULT_SETTINGS,
    MIXED_LOGISTIC,
    MIXED_ROBUST,
    BoosterSettings,
    TrainingMatrix,
    fit_booster,
    raw_prediction,
)
from nasicon_ml.features.build import FeatureSet, feature_names

PLAIN = BoosterSettings("reg:squarederror", 40, 0.1, 3, 1.0, 0.8, 0.7, 1.0, 2)
ROBUST = PLAIN.changed(objective=MIXED_ROBUST, source_shrinkage=1.0, tolerance=0.3)
LOGISTIC = PLAIN.changed(objective=MIXED_LOGISTIC, source_shrinkage=1.0)
#: No drawing of rows or features, and nothing that counts weights against a fixed number; few splits, so that none
#: is a tie that rounding decides.
UNSHRUNK = {
    "subsample": 1.0, "colsample_bynode": 1.0, "reg_lambda": 0.0, "min_child_weight": 0.0, "num_parallel_tree": 1,
    "rounds": 5, "max_depth": 2,
}  # fmt: skip
NAMES = ("heat", "powder", "noise")


def rows(seed=0, count=120, *, sources=20, outcome=False):
    """Pellets whose value falls with heat, but rises again a little in the middle, and is noisy."""
    random = np.random.default_rng(seed)
    X = random.uniform(0, 1, (count, 3))
    X[random.uniform(size=X.shape) < 0.15] = np.nan
    y = -np.nan_to_num(X[:, 0], nan=0.5) + 0.4 * np.sin(9 * np.nan_to_num(X[:, 0])) + random.normal(0, 0.3, count)
    if outcome:
        y = (y > np.median(y)).astype(float)
    source = np.array([f"s{at}" for at in random.integers(0, sources, count)], dtype=object)
    return TrainingMatrix(X, NAMES, y, np.ones(count), source)


def stacked(first, times, chosen):
    """The rows, those chosen once more for every further time."""
    order = np.concatenate([np.arange(len(first.y)), *([np.flatnonzero(chosen)] * (times - 1))])
    return TrainingMatrix(
        first.X[order], first.feature_names, first.y[order], first.weight[order], first.sources[order]
    )


def by(kind):
    return {"plain": PLAIN, "robust": ROBUST, "logistic": LOGISTIC}[kind], rows(outcome=kind == "logistic")


KINDS = pytest.mark.parametrize("kind", ["plain", "robust", "logistic"])


class TestParameters:
    #: What is passed on, and nothing else: XGBoost only warns of a name that it does not know.
    KNOWN = frozenset(
        {
            "objective", "learning_rate", "max_depth", "min_child_weight", "subsample", "colsample_bynode",
            "reg_lambda", "num_parallel_tree", "monotone_constraints", "seed", "nthread", "tree_method",
            "verbosity",
        }
    )  # fmt: skip

    @pytest.mark.parametrize("target", DEFAULT_SETTINGS)
    def test_parameters_are_those_of_xgboost(self, target):
        names = feature_names(FeatureSet.FULL)
        assert set(DEFAULT_SETTINGS[target].parameters(3, names)) <= self.KNOWN
        assert DEFAULT_SETTINGS[target].parameters(3, names)["seed"] == 3

    @pytest.mark.parametrize("objective", [MIXED_ROBUST, MIXED_LOGISTIC])
    def test_mixed_objectives_are_not_parameters_of_xgboost(self, objective):
        assert "objective" not in PLAIN.changed(objective=objective).parameters(0)
        assert PLAIN.parameters(0)["objective"] == "reg:squarederror"

    @pytest.mark.parametrize("target", DEFAULT_SETTINGS)
    def test_xgboost_accepts_all_parameters(self, target):
        """It warns of a name that it does not know, and a warning is an error here."""
        data = xgb.DMatrix(np.zeros((4, len(NAMES))), np.array([0.0, 1.0, 0.0, 1.0]), nthread=1)
        parameters = DEFAULT_SETTINGS[target].parameters(0, NAMES)
        xgb.train(parameters, data, num_boost_round=1)
        with pytest.warns(UserWarning, match="source_weight"):
            xgb.train(parameters | {"source_weight": 1.0}, data, num_boost_round=1)

    def test_constraints_have_the_order_of_the_features(self):
        setting = PLAIN.changed(monotone=(("noise", 1), ("heat", -1)))
        assert setting.parameters(0, NAMES)["monotone_constraints"] == (-1, 0, 1)
        assert setting.parameters(0, NAMES[::-1])["monotone_constraints"] == (1, 0, -1)

    def test_constraints_on_absent_features_are_left_out(self):
        setting = PLAIN.changed(monotone=(("heat", -1), ("elsewhere", 1)))
        assert setting.parameters(0, NAMES)["monotone_constraints"] == (-1, 0, 0)
        assert "monotone_constraints" not in setting.parameters(0, ("powder", "noise"))
        assert "monotone_constraints" not in setting.parameters(0)

    @pytest.mark.parametrize("target", DEFAULT_SETTINGS)
    def test_constrained_features_are_features(self, target):
        """A misspelt name would fall away without a word."""
        directions = dict(DEFAULT_SETTINGS[target].monotone)
        assert set(directions) <= set(feature_names(FeatureSet.FULL))
        assert set(directions.values()) <= {-1, 1}

    def test_composition_features_have_no_constraints(self):
        names = feature_names(FeatureSet.COMPOSITION)
        assert all("monotone_constraints" not in one.parameters(0, names) for one in DEFAULT_SETTINGS.values())


class TestMonotone:
    @KINDS
    @pytest.mark.parametrize("direction", [-1, 1])
    def test_predictions_are_monotone_in_a_constrained_feature(self, kind, direction):
        setting, data = by(kind)
        heat = np.linspace(-0.2, 1.2, 200)
        steps = []
        for constraints in ((), (("heat", direction),)):
            booster = fit_booster(data, setting.changed(monotone=constraints), seed=0)
            for others in ((0.2, 0.8), (0.9, 0.1), (np.nan, 0.5)):
                grid = np.column_stack([heat, np.tile(others, (len(heat), 1))])
                steps.append(direction * np.diff(raw_prediction(booster, grid)))
        free, held = np.concatenate(steps[:3]), np.concatenate(steps[3:])
        assert free.min() < -1e-3, "without the constraint there are steps the other way"
        assert held.min() >= -1e-6

    def test_a_constraint_on_an_absent_feature_changes_nothing(self):
        data = rows()
        first, second = (
            fit_booster(data, ROBUST.changed(monotone=constraints), seed=0)
            for constraints in ((), (("elsewhere", 1),))
        )
        assert first.save_raw("ubj") == second.save_raw("ubj")


class TestIgnored:
    @KINDS
    def test_trees_never_split_on_an_ignored_feature(self, kind):
        setting, data = by(kind)
        free, kept = (fit_booster(data, setting.changed(ignored=some), seed=0) for some in ((), ("heat",)))
        assert "f0" in free.get_score()
        assert set(kept.get_score()) == {"f1", "f2"}
        other = np.column_stack([np.zeros(len(data.y)), data.X[:, 1:]])
        np.testing.assert_array_equal(raw_prediction(kept, other), raw_prediction(kept, data.X))

    @pytest.mark.parametrize("target", DEFAULT_SETTINGS)
    def test_ignored_features_are_features(self, target):
        setting = DEFAULT_SETTINGS[target]
        assert set(setting.ignored) <= set(feature_names(FeatureSet.FULL))
        assert not set(setting.ignored) & set(dict(setting.monotone))


class TestWeights:
    @pytest.mark.parametrize("objective", ["reg:squarederror", "binary:logistic"])
    @pytest.mark.parametrize(("seed", "times"), [(0, 2), (1, 3), (2, 5)])
    def test_with_weight_1_a_source_counts_once_however_many_rows_it_has(self, objective, seed, times):
        data = rows(seed, sources=6, outcome=objective == "binary:logistic")
        more = stacked(data, times, data.sources == "s1")
        even = PLAIN.changed(**UNSHRUNK, objective=objective, source_weight=1.0)
        first, second = (raw_prediction(fit_booster(some, even, seed=0), data.X) for some in (data, more))
        np.testing.assert_allclose(first, second, atol=1e-4)
        uneven = even.changed(source_weight=0.0)
        first, second = (raw_prediction(fit_booster(some, uneven, seed=0), data.X) for some in (data, more))
        assert np.abs(first - second).max() > 0.02

    @pytest.mark.parametrize(("power", "expected"), [(0.0, 0.75), (1.0, 0.5), (0.5, 3**0.5 / (1 + 3**0.5))])
    def test_a_leaf_weighs_sources_by_the_power(self, power, expected):
        """Three rows of one source say 1, one of another says 0; a single leaf is their weighted mean."""
        data = TrainingMatrix(
            np.zeros((4, 1)), ("heat",), np.array([1.0, 1.0, 1.0, 0.0]), np.ones(4),
            np.array(["a", "a", "a", "b"], dtype=object),
        )  # fmt: skip
        setting = BoosterSettings("reg:squarederror", 1, 1.0, 1, 0.0, 1.0, 1.0, 0.0, source_weight=power)
        assert raw_prediction(fit_booster(data, setting, seed=0), np.zeros((1, 1)))[0] == pytest.approx(expected)

    @KINDS
    def test_a_row_of_double_weight_is_two_rows(self, kind):
        """Weights count once, although our objectives and XGBoost both know of them."""
        setting, data = by(kind)
        # As many above the middle as below it: where the trees start does not know of weights.
        chosen = np.isin(np.arange(len(data.y)), np.r_[np.argsort(data.y)[:20], np.argsort(data.y)[-20:]])
        heavy = TrainingMatrix(data.X, NAMES, data.y, np.where(chosen, 2.0, 1.0), data.sources)
        # Levels are shrunk by a number of rows, and the mean weight is 1 in both tables: so without levels.
        setting = setting.changed(**UNSHRUNK, source_shrinkage=1e12)
        first, second = (
            raw_prediction(fit_booster(some, setting, seed=0), data.X)
            for some in (heavy, stacked(data, 2, chosen))
        )
        np.testing.assert_allclose(first, second, atol=1e-4)
        light = raw_prediction(fit_booster(data, setting, seed=0), data.X)
        assert np.abs(first - light).max() > 0.02

    def test_a_common_factor_of_the_weights_has_no_effect(self):
        data = rows()
        heavy = TrainingMatrix(data.X, NAMES, data.y, np.full(len(data.y), 4.0), data.sources)
        for setting in (PLAIN, ROBUST):
            first, second = (fit_booster(some, setting, seed=0).save_raw("ubj") for some in (data, heavy))
            assert first == second


class TestBoosters:
    @KINDS
    def test_the_same_seed_gives_the_same_bytes(self, kind):
        setting, data = by(kind)
        raw = [fit_booster(data, setting, seed=seed).save_raw("ubj") for seed in (5, 5, 6)]
        assert raw[0] == raw[1]
        assert raw[0] != raw[2]

    @KINDS
    def test_a_saved_booster_predicts_the_same(self, kind, tmp_path):
        setting, data = by(kind)
        booster = fit_booster(data, setting, seed=0)
        file = tmp_path / "booster.ubj"
        booster.save_model(file)
        loaded = xgb.Booster(model_file=file)
        np.testing.assert_array_equal(raw_prediction(loaded, data.X), raw_prediction(booster, data.X))

    @KINDS
    def test_contributions_add_up_to_the_prediction(self, kind):
        setting, data = by(kind)
        booster = fit_booster(data, setting, seed=0)
        parts = booster.predict(xgb.DMatrix(data.X, missing=np.nan, nthread=1), pred_contribs=True)
        assert parts.shape == (len(data.y), len(NAMES) + 1)
        np.testing.assert_allclose(parts.sum(axis=1), raw_prediction(booster, data.X), atol=1e-5)

    def test_mixed_objectives_start_at_the_median_or_base_rate(self):
        """The median, or the log-odds of the share with half a pellet more of each kind: not XGBoost's 0.5."""
        data = rows()
        untaught = {"rounds": 1, "learning_rate": 1e-12}
        found = raw_prediction(fit_booster(data, ROBUST.changed(**untaught), seed=0), data.X)
        np.testing.assert_allclose(found, np.median(data.y), atol=1e-6)
        pure = np.array([1.0] * 30 + [0.0] * 90)
        data = TrainingMatrix(data.X, NAMES, pure, data.weight, data.sources)
        found = raw_prediction(fit_booster(data, LOGISTIC.changed(**untaught), seed=0), data.X)
        np.testing.assert_allclose(found, np.log(30.5 / 90.5), atol=1e-6)

    def test_numbers_of_rounds_and_trees_are_those_of_the_settings(self):
        booster = fit_booster(rows(), ROBUST.changed(rounds=7, num_parallel_tree=3), seed=0)
        assert booster.num_boosted_rounds() == 7
        learner = json.loads(booster.save_raw("json"))["learner"]
        assert len(learner["gradient_booster"]["model"]["trees"]) == 21

    def test_no_rows_give_no_predictions(self):
        assert raw_prediction(fit_booster(rows(), PLAIN, seed=0), np.empty((0, 3))).shape == (0,)
