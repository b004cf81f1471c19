"""The parts a bundle is made of, and the out-of-fold table: what the model said of sources it had not seen.

The table lets anybody score a model again, or compare two on the same rows, without training. Numbers are kept
to six decimals: a millionth of a decade, of a per cent or of a probability is far below what any measurement
resolves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from nasicon_ml.columns import Column
from nasicon_ml.estimators.domain import Domain
from nasicon_ml.estimators.own_pellets import OwnKernel
from nasicon_ml.estimators.priors import Prior
from nasicon_ml.estimators.rule_scope import RuleScope
from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.estimators.uncertainty import BetaCalibration, IntervalModel
from nasicon_ml.io.csv import read_exact_csv, to_numbers

if TYPE_CHECKING:
    from nasicon_ml.trees.ensemble import TreeEnsemble

DECIMALS = 6
TEXTS = ("target", str(Column.PELLET_ID), str(Column.SOURCE), str(Column.SYSTEM))
COUNTS = ("repeat", "fold")
#: The columns of an out-of-fold table, in order; `nasicon_ml.workflows.train.TrainingResult` says what each holds.
COLUMNS = (
    "target", "repeat", "fold", *TEXTS[1:], str(Column.MEASUREMENT_TEMPERATURE_C),
    str(Column.SINTERING_TEMPERATURE_C), "measured", "predicted", "lower_50", "upper_50", "lower_80", "upper_80",
    "lower", "upper", "level_needed", "composition_only", "median", "unknown_share", str(Column.DOMAIN_SCORE),
)  # fmt: skip
NUMBERS = tuple(name for name in COLUMNS if name not in TEXTS + COUNTS)


def no_rows() -> pd.DataFrame:
    """Return the table of a model of which no out-of-fold predictions are known: all columns, no rows."""
    types = dict.fromkeys(TEXTS, "object") | dict.fromkeys(COUNTS, "int64") | dict.fromkeys(NUMBERS, "float64")
    return pd.DataFrame({name: pd.Series(dtype=types[name]) for name in COLUMNS})


def rounded(table: pd.DataFrame) -> pd.DataFrame:
    """Return an out-of-fold table with its numbers as a bundle keeps them."""
    return table.assign(**{name: table[name].round(DECIMALS) for name in NUMBERS})


def to_csv(table: pd.DataFrame) -> str:
    """Write an out-of-fold table; the shortest texts that give the same numbers again."""
    return table.to_csv(index=False, columns=list(COLUMNS), lineterminator="\n")


def from_csv(text: str) -> pd.DataFrame:
    """Read what `to_csv` wrote: columns `COLUMNS`, index from 0, equal to what was written, to the last bit.

    Raises
    ------
    ValueError
        If columns differ, a row has too few or too many cells, or a number is none.
    """
    cells = read_exact_csv(text, COLUMNS)
    columns: dict[str, object] = {}
    for name in COLUMNS:
        if name in TEXTS:
            columns[name] = np.array(cells[name], dtype=object)
        else:
            numbers = to_numbers(cells[name], name, may_be_missing=name in NUMBERS)
            if name in COUNTS and not np.all((numbers >= 0) & (numbers < 2**31) & (numbers == np.floor(numbers))):
                raise ValueError(f"{name}: holds other than whole numbers from 0")
            columns[name] = numbers.astype(np.int64) if name in COUNTS else numbers
    return pd.DataFrame(columns)


@dataclass(frozen=True)
class ModelMetadata:
    """What a reader of a bundle wants to know about its making."""

    created: str  # UTC time of training, ISO 8601
    # The pellets it was trained on
    dataset_sha256: str
    dataset_rows: int
    options: Mapping[str, Any] = field(default_factory=dict)  # training options by name
    # Versions of this package and the libraries that decide the numbers, and of the dataset (from edition 2 on)
    versions: Mapping[str, str] = field(default_factory=dict)
    rows_used: Mapping[str, int] = field(default_factory=dict)  # pellets by target
    scores: tuple[Mapping[str, Any], ...] = ()  # the score table of the training run, one dictionary a row
    # Findings of `nasicon_ml.data.validate` in the file it was trained on: "errors" and "warnings"; empty in
    # bundles from before that
    validation: Mapping[str, int] = field(default_factory=dict)
    rules_checked: int = 0  # how many rules of the literature the model was held to; 0 where it was not
    broken_rules: tuple[str, ...] = ()  # names of those it breaks (`nasicon_ml.evaluation.plausibility`)
    broken_statements: Mapping[str, str] = field(default_factory=dict)  # what each of them states, by its name
    # Which recipes each of them is about, by its name; empty in bundles from before that
    broken_scopes: Mapping[str, RuleScope] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelParts:
    """The fitted parts of a model of conductivity, density and phase purity."""

    boosters: Mapping[TargetName, TreeEnsemble]  # the trees, by target, activation energy among them
    # The features they take, in order
    feature_set: str
    feature_names: tuple[str, ...]
    intervals: Mapping[TargetName, IntervalModel]  # conformal intervals of conductivity and density
    calibration: BetaCalibration  # of the probability of phase purity
    domain: Domain  # what the training pellets cover
    pellets: pd.DataFrame  # the training pellets, columns `nasicon_ml.columns.PELLET` and the system
    metadata: ModelMetadata  # how it was made
    # How errors on pellets of one source go together, by which own pellets move answers; empty in bundles from
    # before that
    own: Mapping[TargetName, OwnKernel] = field(default_factory=dict)
    # What stands beside the trees of a target, for those that have a prior
    priors: Mapping[TargetName, Prior] = field(default_factory=dict)
    # What the training predicted for held-out sources, all repeats, columns `nasicon_ml.bundle.parts.COLUMNS`,
    # to six decimals; no rows in bundles from before that
    out_of_fold: pd.DataFrame = field(default_factory=no_rows)
