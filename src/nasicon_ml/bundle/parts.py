"""What a bundle holds: the fitted parts of a model, and what is known of how it was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from nasicon_ml.bundle.out_of_fold import no_rows
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
    """What a reader of a bundle wants to know about its making.

    Attributes
    ----------
    created
        UTC time of training, ISO 8601.
    dataset_sha256, dataset_rows
        The pellets it was trained on.
    options
        Training options by name.
    versions
        Versions of this package and the libraries that decide the numbers, and of the dataset (from edition 2 on).
    rows_used
        Pellets by target.
    scores
        The score table of the training run, one dictionary a row.
    validation
        Findings of `nasicon_ml.data.validate` in the file it was trained on: "errors" and "warnings"; empty in
        bundles from before that.
    rules_checked
        How many rules of the literature the model was held to; 0 where it was not.
    broken_rules
        Names of those it breaks (`nasicon_ml.evaluation.plausibility`).
    broken_statements
        What each of them states, by its name.
    broken_scopes
        Which recipes each of them is about, by its name; empty in bundles from before that.
    """

    created: str
    dataset_sha256: str
    dataset_rows: int
    options: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    rows_used: Mapping[str, int] = field(default_factory=dict)
    scores: tuple[Mapping[str, Any], ...] = ()
    validation: Mapping[str, int] = field(default_factory=dict)
    rules_checked: int = 0
    broken_rules: tuple[str, ...] = ()
    broken_statements: Mapping[str, str] = field(default_factory=dict)
    broken_scopes: Mapping[str, RuleScope] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelParts:
    """The fitted parts of a model of conductivity, density and phase purity.

    Attributes
    ----------
    boosters
        The trees, by target, activation energy among them.
    feature_set, feature_names
        The features they take, in order.
    intervals
        Conformal intervals of conductivity and density.
    calibration
        Of the probability of phase purity.
    domain
        What the training pellets cover.
    pellets
        The training pellets, columns `nasicon_ml.columns.PELLET` and the system.
    metadata
        How it was made.
    own
        How errors on pellets of one source go together, by which own pellets move answers; empty in bundles from
        before that.
    priors
        What stands beside the trees of a target, for those that have a prior.
    out_of_fold
        What the training predicted for held-out sources, all repeats, columns
        `nasicon_ml.bundle.out_of_fold.COLUMNS`, to six decimals; no rows in bundles from before that.
    """

    boosters: Mapping[TargetName, TreeEnsemble]
    feature_set: str
    feature_names: tuple[str, ...]
    intervals: Mapping[TargetName, IntervalModel]
    calibration: BetaCalibration
    domain: Domain
    pellets: pd.DataFrame
    metadata: ModelMetadata
    own: Mapping[TargetName, OwnKernel] = field(default_factory=dict)
    priors: Mapping[TargetName, Prior] = field(default_factory=dict)
    out_of_fold: pd.DataFrame = field(default_factory=no_rows)
