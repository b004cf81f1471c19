"""The parts of a fitted model, as stored in a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from nasicon_ml.bundle.out_of_fold import NO_ROWS, from_csv
from nasicon_ml.errors import BundleError
from nasicon_ml.estimators.domain import Domain
from nasicon_ml.estimators.own_pellets import OwnKernel
from nasicon_ml.estimators.priors import Prior
from nasicon_ml.estimators.rule_scope import RuleScope
from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.estimators.uncertainty import BetaCalibration, IntervalModel

if TYPE_CHECKING:
    from nasicon_ml.trees.ensemble import TreeEnsemble


@dataclass(frozen=True)
class ModelMetadata:
    """How a model was trained."""

    created: str  # UTC time of training, ISO 8601
    # The training pellets
    dataset_sha256: str
    dataset_rows: int
    options: Mapping[str, Any] = field(default_factory=dict)  # training options by name
    # Versions of this package, of the libraries that influence results, and of the dataset (from edition 2 on)
    versions: Mapping[str, str] = field(default_factory=dict)
    rows_used: Mapping[str, int] = field(default_factory=dict)  # pellets by target
    scores: tuple[Mapping[str, Any], ...] = ()  # rows of the score table of the training run
    # Findings of `nasicon_ml.data.validate` in the dataset: "errors" and "warnings"; empty in older bundles
    validation: Mapping[str, int] = field(default_factory=dict)
    rules_checked: int = 0  # number of checked rules of the literature; 0 if none were
    broken_rules: tuple[str, ...] = ()  # names of the violated ones (`nasicon_ml.evaluation.plausibility`)
    broken_statements: Mapping[str, str] = field(default_factory=dict)  # statement of each violated rule, by name
    broken_scopes: Mapping[str, RuleScope] = field(default_factory=dict)  # their scopes; empty in older bundles


@dataclass(frozen=True)
class ModelParts:
    """The fitted parts of a model of conductivity, density and phase purity."""

    boosters: Mapping[TargetName, TreeEnsemble]  # the trees of each target, including activation energy
    # The features of the trees, in order
    feature_set: str
    feature_names: tuple[str, ...]
    intervals: Mapping[TargetName, IntervalModel]  # conformal intervals of conductivity and density
    calibration: BetaCalibration  # of the probability of phase purity
    domain: Domain  # what the training pellets cover
    pellets: pd.DataFrame  # the training pellets, columns `nasicon_ml.columns.PELLET` and the system
    metadata: ModelMetadata  # how it was trained
    # Covariances of errors for conditioning on own pellets; empty in older bundles
    own: Mapping[TargetName, OwnKernel] = field(default_factory=dict)
    priors: Mapping[TargetName, Prior] = field(default_factory=dict)  # for targets that have one
    out_of_fold_csv: str = NO_ROWS  # out-of-fold predictions of the training; no rows in older bundles

    @cached_property
    def out_of_fold(self) -> pd.DataFrame:
        """Out-of-fold predictions of the training, all repeats; columns `nasicon_ml.bundle.out_of_fold.COLUMNS`.

        They are parsed when they are first used, because predictions do not need them.

        Raises
        ------
        BundleError
            If they are not such a table.
        """
        try:
            return from_csv(self.out_of_fold_csv)
        except ValueError as error:
            raise BundleError(f"out_of_fold.csv does not hold what a bundle holds: {error}") from None
