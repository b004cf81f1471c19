"""Boosters of one target: XGBoost parameters, constraints, weights, reproducibility and saving."""

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
#: No subsampling, and no regularization that compares weights with a constant; few splits, so that none is a tie
#: that rounding decides.
UNREGULARIZED = {
    "subsample": 1.0, "colsample_bynode": 1.0, "reg_lambda": 0.0, "min_child_weight": 0.0, "num_parallel_tree": 1,
    "rounds": 5, "max_depth": 2,
}  # fmt: skip
NAMES = ("heat", "powder", "noise")


def make_rows(seed=0, count=120, *, sources=20, binary=False):
    """Rows whose target falls with heat except for a bump in the middle, and is noisy."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(0, 1, (count, 3))
    X[rng.uniform(size=X.shape) < 0.15] = np.nan
    y = -np.nan_to_num(X[:, 0], nan=0.5) + 0.4 * np.sin(9 * np.nan_to_num(X[:, 0])) + rng.normal(0, 0.3, count)
    if binary:
        y = (y > np.median(y)).astype(float)
    source = np.array([f"s{number}" for number in rng.integers(0, sources, count)], dtype=object)
    return TrainingMatrix(X, NAMES, y, np.ones(count), source)


def repeat_rows(data, times, chosen):
    """Return the rows, with each chosen one contained `times` times."""
    order = np.concatenate([np.arange(len(data.y)), *([np.flatnonzero(chosen)] * (times - 1))])
    return TrainingMatrix(
        data.X[order], data.feature_names, data.y[order], data.weight[order], data.sources[order]
    )


def settings_and_rows(kind):
    return {"plain": PLAIN, "robust": ROBUST, "logistic": LOGISTIC}[kind], make_rows(binary=kind == "logistic")


KINDS = pytest.mark.parametrize("kind", ["plain", "robust", "logistic"])


class TestParameters:
    #: The only names that may be passed, because XGBoost merely warns of unknown ones.
    KNOWN = frozenset(
        {
            "objective", "learning_rate", "max_depth", "min_child_weight", "subsample", "colsample_bynode",
            "reg_lambda", "num_parallel_tree", "monotone_constraints", "seed", "nthread", "tree_method",
            "verbosity",
        }
    )  # fmt: skip

    @pytest.mark.parametrize("target", DEFAULT_SETTINGS)
    def test_parameters_have_known_names_only_and_contain_the_seed(self, target):
        names = feature_names(FeatureSet.FULL)
        assert set(DEFAULT_SETTINGS[target].parameters(3, names)) <= self.KNOWN
        assert DEFAULT_SETTINGS[target].parameters(3, names)["seed"] == 3

    @pytest.mark.parametrize("objective", [MIXED_ROBUST, MIXED_LOGISTIC])
    def test_mixed_objectives_are_not_passed_to_xgboost(self, objective):
        assert "objective" not in PLAIN.changed(objective=objective).parameters(0)
        assert PLAIN.parameters(0)["objective"] == "reg:squarederror"

    @pytest.mark.parametrize("target", DEFAULT_SETTINGS)
    def test_xgboost_accepts_all_parameters(self, target):
        """XGBoost warns of unknown names, and warnings are errors in these tests."""
        data = xgb.DMatrix(np.zeros((4, len(NAMES))), np.array([0.0, 1.0, 0.0, 1.0]), nthread=1)
        parameters = DEFAULT_SETTINGS[target].parameters(0, NAMES)
        xgb.train(parameters, data, num_boost_round=1)
        with pytest.warns(UserWarning, match="source_weight"):
            xgb.train(parameters | {"source_weight": 1.0}, data, num_boost_round=1)

    def test_constraints_follow_the_feature_order(self):
        setting = PLAIN.changed(monotone=(("noise", 1), ("heat", -1)))
        assert setting.parameters(0, NAMES)["monotone_constraints"] == (-1, 0, 1)
        assert setting.parameters(0, NAMES[::-1])["monotone_constraints"] == (1, 0, -1)

    def test_constraints_on_absent_features_are_dropped(self):
        setting = PLAIN.changed(monotone=(("heat", -1), ("elsewhere", 1)))
        assert setting.parameters(0, NAMES)["monotone_constraints"] == (-1, 0, 0)
        assert "monotone_constraints" not in setting.parameters(0, ("powder", "noise"))
        assert "monotone_constraints" not in setting.parameters(0)

    @pytest.mark.parametrize("target", DEFAULT_SETTINGS)
    def test_constrained_features_exist(self, target):
        """A misspelt name would be dropped silently."""
        directions = dict(DEFAULT_SETTINGS[target].monotone)
        assert set(directions) <= set(feature_names(FeatureSet.FULL))
        assert set(directions.values()) <= {-1, 1}

    def test_composition_features_have_no_constraints(self):
        names = feature_names(FeatureSet.COMPOSITION)
        assert all(
            "monotone_constraints" not in setting.parameters(0, names) for setting in DEFAULT_SETTINGS.values()
        )


class TestMonotone:
    @KINDS
    @pytest.mark.parametrize("direction", [-1, 1])
    def test_predictions_are_monotone_in_a_constrained_feature(self, kind, direction):
        setting, data = settings_and_rows(kind)
        heat = np.linspace(-0.2, 1.2, 200)
        steps = []
        for constraints in ((), (("heat", direction),)):
            booster = fit_booster(data, setting.changed(monotone=constraints), seed=0)
            for others in ((0.2, 0.8), (0.9, 0.1), (np.nan, 0.5)):
                grid = np.column_stack([heat, np.tile(others, (len(heat), 1))])
                steps.append(direction * np.diff(raw_prediction(booster, grid)))
        unconstrained, constrained = np.concatenate(steps[:3]), np.concatenate(steps[3:])
        assert unconstrained.min() < -1e-3, "without the constraint some steps go the other way"
        assert constrained.min() >= -1e-6

    def test_constraint_on_an_absent_feature_has_no_effect(self):
        data = make_rows()
        first, second = (
            fit_booster(data, ROBUST.changed(monotone=constraints), seed=0)
            for constraints in ((), (("elsewhere", 1),))
        )
        assert first.save_raw("ubj") == second.save_raw("ubj")


class TestIgnored:
    @KINDS
    def test_trees_never_split_on_an_ignored_feature(self, kind):
        setting, data = settings_and_rows(kind)
        default, ignoring = (
            fit_booster(data, setting.changed(ignored=names), seed=0) for names in ((), ("heat",))
        )
        assert "f0" in default.get_score()
        assert set(ignoring.get_score()) == {"f1", "f2"}
        without_heat = np.column_stack([np.zeros(len(data.y)), data.X[:, 1:]])
        np.testing.assert_array_equal(raw_prediction(ignoring, without_heat), raw_prediction(ignoring, data.X))

    @pytest.mark.parametrize("target", DEFAULT_SETTINGS)
    def test_ignored_features_exist_and_are_unconstrained(self, target):
        setting = DEFAULT_SETTINGS[target]
        assert set(setting.ignored) <= set(feature_names(FeatureSet.FULL))
        assert not set(setting.ignored) & set(dict(setting.monotone))


class TestWeights:
    @pytest.mark.parametrize("objective", ["reg:squarederror", "binary:logistic"])
    @pytest.mark.parametrize(("seed", "times"), [(0, 2), (1, 3), (2, 5)])
    def test_repeated_rows_of_a_source_have_no_effect_with_source_weight_1(self, objective, seed, times):
        data = make_rows(seed, sources=6, binary=objective == "binary:logistic")
        repeated = repeat_rows(data, times, data.sources == "s1")
        by_source = PLAIN.changed(**UNREGULARIZED, objective=objective, source_weight=1.0)
        first, second = (
            raw_prediction(fit_booster(table, by_source, seed=0), data.X) for table in (data, repeated)
        )
        np.testing.assert_allclose(first, second, atol=1e-4)
        by_row = by_source.changed(source_weight=0.0)
        first, second = (raw_prediction(fit_booster(table, by_row, seed=0), data.X) for table in (data, repeated))
        assert np.abs(first - second).max() > 0.02

    @pytest.mark.parametrize(
        ("source_weight", "expected"), [(0.0, 0.75), (1.0, 0.5), (0.5, 3**0.5 / (1 + 3**0.5))]
    )
    def test_leaf_value_is_the_mean_weighted_by_source_weight(self, source_weight, expected):
        """Three rows of one source are 1, one of another is 0; a single leaf has their weighted mean."""
        data = TrainingMatrix(
            np.zeros((4, 1)), ("heat",), np.array([1.0, 1.0, 1.0, 0.0]), np.ones(4),
            np.array(["a", "a", "a", "b"], dtype=object),
        )  # fmt: skip
        setting = BoosterSettings("reg:squarederror", 1, 1.0, 1, 0.0, 1.0, 1.0, 0.0, source_weight=source_weight)
        assert raw_prediction(fit_booster(data, setting, seed=0), np.zeros((1, 1)))[0] == pytest.approx(expected)

    @KINDS
    def test_weight_2_is_equivalent_to_two_rows(self, kind):
        """Weights are applied once, although our objectives and XGBoost both receive them."""
        setting, data = settings_and_rows(kind)
        # As many rows above the median as below it, because the start of the trees ignores weights.
        chosen = np.isin(np.arange(len(data.y)), np.r_[np.argsort(data.y)[:20], np.argsort(data.y)[-20:]])
        weighted = TrainingMatrix(data.X, NAMES, data.y, np.where(chosen, 2.0, 1.0), data.sources)
        # No intercepts of sources: their shrinkage is in rows, and the mean weight is 1 in both tables.
        setting = setting.changed(**UNREGULARIZED, source_shrinkage=1e12)
        first, second = (
            raw_prediction(fit_booster(table, setting, seed=0), data.X)
            for table in (weighted, repeat_rows(data, 2, chosen))
        )
        np.testing.assert_allclose(first, second, atol=1e-4)
        unweighted = raw_prediction(fit_booster(data, setting, seed=0), data.X)
        assert np.abs(first - unweighted).max() > 0.02

    def test_common_factor_of_the_weights_has_no_effect(self):
        data = make_rows()
        scaled = TrainingMatrix(data.X, NAMES, data.y, np.full(len(data.y), 4.0), data.sources)
        for setting in (PLAIN, ROBUST):
            first, second = (fit_booster(table, setting, seed=0).save_raw("ubj") for table in (data, scaled))
            assert first == second


class TestBoosters:
    @KINDS
    def test_boosters_are_deterministic_given_the_seed(self, kind):
        setting, data = settings_and_rows(kind)
        raw = [fit_booster(data, setting, seed=seed).save_raw("ubj") for seed in (5, 5, 6)]
        assert raw[0] == raw[1]
        assert raw[0] != raw[2]

    @KINDS
    def test_saved_booster_predicts_the_same_after_loading(self, kind, tmp_path):
        setting, data = settings_and_rows(kind)
        booster = fit_booster(data, setting, seed=0)
        file = tmp_path / "booster.ubj"
        booster.save_model(file)
        loaded = xgb.Booster(model_file=file)
        np.testing.assert_array_equal(raw_prediction(loaded, data.X), raw_prediction(booster, data.X))

    @KINDS
    def test_contributions_add_up_to_the_prediction(self, kind):
        setting, data = settings_and_rows(kind)
        booster = fit_booster(data, setting, seed=0)
        parts = booster.predict(xgb.DMatrix(data.X, missing=np.nan, nthread=1), pred_contribs=True)
        assert parts.shape == (len(data.y), len(NAMES) + 1)
        np.testing.assert_allclose(parts.sum(axis=1), raw_prediction(booster, data.X), atol=1e-5)

    def test_mixed_objectives_start_at_the_median_or_base_rate(self):
        """The base rate has half a pellet added to each class; XGBoost itself would start at 0.5."""
        data = make_rows()
        no_learning = {"rounds": 1, "learning_rate": 1e-12}
        start = raw_prediction(fit_booster(data, ROBUST.changed(**no_learning), seed=0), data.X)
        np.testing.assert_allclose(start, np.median(data.y), atol=1e-6)
        pure = np.array([1.0] * 30 + [0.0] * 90)
        data = TrainingMatrix(data.X, NAMES, pure, data.weight, data.sources)
        start = raw_prediction(fit_booster(data, LOGISTIC.changed(**no_learning), seed=0), data.X)
        np.testing.assert_allclose(start, np.log(30.5 / 90.5), atol=1e-6)

    def test_numbers_of_rounds_and_trees_match_the_settings(self):
        booster = fit_booster(make_rows(), ROBUST.changed(rounds=7, num_parallel_tree=3), seed=0)
        assert booster.num_boosted_rounds() == 7
        learner = json.loads(booster.save_raw("json"))["learner"]
        assert len(learner["gradient_booster"]["model"]["trees"]) == 21

    def test_prediction_of_no_rows_is_empty(self):
        assert raw_prediction(fit_booster(make_rows(), PLAIN, seed=0), np.empty((0, 3))).shape == (0,)
