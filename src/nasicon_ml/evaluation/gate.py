"""Two models on the same pellets, and the gate that a model passes before it becomes the champion.

Both models predicted each pellet without having seen its source. Errors are compared pellet by pellet, so that
pellets that are difficult for both models cancel out. The bootstrap draws whole sources with replacement, because
pellets of one paper are similar; each draw is a weight of each row (how often its source was drawn), so that one
matrix product scores all draws.

A candidate is refused if it predicts any target worse than the champion beyond a tolerance, if the coverage of its
intervals is too low or too high, if it violates a rule of the literature that the champion satisfies, or if its
dataset has errors. All checks are made even after one has failed, so that a refusal lists all reasons.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from nasicon_ml.columns import Column
from nasicon_ml.errors import DatasetError
from nasicon_ml.estimators.targets import ANSWERS, TARGETS, TargetName
from nasicon_ml.evaluation.cross_validation import LEVELS, interval_columns
from nasicon_ml.evaluation.plausibility import DEGREES, check_plausibility
from nasicon_ml.evaluation.scores import (
    ALL,
    Difference,
    coverage,
    row_errors,
    scored_subsets,
    source_weights,
    weighted_mean,
    with_interval,
)
from nasicon_ml.model import PropertyModel

#: Number of bootstrap draws of the sources, and their seed.
DRAWS, SEED = 2000, 0
_KEYS = ["repeat", str(Column.PELLET_ID)]


@dataclass(frozen=True)
class PairedScore:
    """Scores of two models for one target on the same rows.

    Attributes
    ----------
    target, metric
        The target and its metric, of which lower values are better.
    reference, candidate
        The scores of the two models on the common rows.
    difference
        candidate - reference, with its bootstrap interval over sources; above 0 the candidate is worse.
    n_rows, n_sources
        Number of common pellets and of their sources.
    share
        Share of the reference's pellets that are common, 0 to 1.
    same_folds
        Whether both models assigned the sources of these rows to the same folds.
    """

    target: TargetName
    metric: str
    reference: float
    candidate: float
    difference: Difference
    n_rows: int
    n_sources: int
    share: float
    same_folds: bool


def compare(reference: pd.DataFrame, candidate: pd.DataFrame) -> tuple[PairedScore, ...]:
    """Compare two trainings by their out-of-fold predictions, target by target.

    Only lithium pellets that both predicted are compared (conductivities near room temperature), in the repeats
    that both have. A pellet whose measured value differs between the two is left out.

    Raises
    ------
    DatasetError
        If they have no pellet of a target in common, or one has no out-of-fold predictions.
    """
    return tuple(
        _paired_score(name, _scored_rows(reference, name), _scored_rows(candidate, name)) for name in ANSWERS
    )


def compare_with_baseline(candidate: pd.DataFrame) -> tuple[PairedScore, ...]:
    """Compare a training with the median of the other folds (for phase purity: the base rate)."""
    scores = []
    for name in ANSWERS:
        rows = _scored_rows(candidate, name)
        scores.append(_paired_score(name, rows.assign(predicted=rows["median"]), rows))
    return tuple(scores)


def _scored_rows(out_of_fold: pd.DataFrame, name: TargetName) -> pd.DataFrame:
    """Return the rows on which a target is scored."""
    if out_of_fold.empty:
        raise DatasetError("a model without out-of-fold predictions cannot be compared: train it again")
    rows = scored_subsets(out_of_fold, name).get(ALL)
    if rows is None or rows.empty:
        raise DatasetError(f"there are no out-of-fold predictions of {name.replace('_', ' ')} to compare")
    return rows


def _paired_score(name: TargetName, reference: pd.DataFrame, candidate: pd.DataFrame) -> PairedScore:
    kept = [*_KEYS, str(Column.SOURCE), "fold", "measured", "predicted"]
    common = reference[kept].merge(candidate[kept], on=_KEYS, suffixes=("", "_candidate"), validate="one_to_one")
    common = common[np.isclose(common["measured"], common["measured_candidate"])]
    if common.empty:
        raise DatasetError(f"the two models have no pellet with {name.replace('_', ' ')} in common")
    pellets = common.assign(
        reference=row_errors(common, name),
        candidate=row_errors(common.assign(predicted=common["predicted_candidate"]), name),
    ).groupby(str(Column.PELLET_ID), sort=True)
    losses = pellets[["reference", "candidate"]].mean()
    sources = pellets[str(Column.SOURCE)].first()
    worse_by = (losses["candidate"] - losses["reference"]).to_numpy(dtype=np.float64)
    drawn = weighted_mean(worse_by, source_weights(sources, DRAWS, SEED))
    return PairedScore(
        target=name,
        metric=TARGETS[name].metric,
        reference=float(losses["reference"].mean()),
        candidate=float(losses["candidate"].mean()),
        difference=with_interval(float(worse_by.mean()), drawn),
        n_rows=len(losses),
        n_sources=int(sources.nunique()),
        share=len(losses) / reference[str(Column.PELLET_ID)].nunique(),
        same_folds=_same_folds(common),
    )


def _same_folds(common: pd.DataFrame) -> bool:
    """Return whether both models split the rows into the same folds, whatever the numbers of the folds."""
    for _, rows in common.groupby("repeat"):
        pairs = rows[["fold", "fold_candidate"]].drop_duplicates()
        if len(pairs) != rows["fold"].nunique() or len(pairs) != rows["fold_candidate"].nunique():
            return False
    return True


#: Allowed increase of the error over the champion: about a thirtieth of each score.
TOLERANCES = {TargetName.CONDUCTIVITY: 0.02, TargetName.RELATIVE_DENSITY: 0.2, TargetName.PHASE_PURITY: 0.006}
#: Allowed coverage in per cent by level of the interval: plus or minus two standard errors for as many papers.
COVERAGE_RANGES = {0.5: (42.0, 58.0), 0.8: (74.0, 86.0), 0.9: (85.0, 95.0)}
#: Least share of the champion's pellets that must be common if the two models learned from different data.
LEAST_SHARE = 0.8
#: Allowed shortfall of a rule that the champion satisfies, by unit: about the change that another seed causes
#: (over four seeds and all rules at most 0.09 decades, 1.8 points, 0.02 of probability, 0.003 eV).
ALLOWANCES = {"decades": 0.1, "points": 2.0, "probability": 0.05, "eV": 0.01, DEGREES: 50.0}
#: Least share of the rules of the literature that must hold if there is no champion to compare with.
LEAST_RULES = 0.6
#: Training options that select the data.
_DATA_OPTIONS = ("include_suspect", "exclude_sources", "added_sha256")


@dataclass(frozen=True)
class GateCheck:
    """The result of one check of the gate.

    Attributes
    ----------
    question
        Name of the check: a target, ``coverage``, ``physics``, ``dataset`` or ``comparison``.
    passed
        Whether the candidate passed it.
    message
        The result in words, with the figures and the allowed range.
    figures
        The figures as JSON-compatible values.
    """

    question: str
    passed: bool
    message: str
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class GateReport:
    """All checks of a candidate, and the paired scores on which they are based."""

    checks: tuple[GateCheck, ...]
    scores: tuple[PairedScore, ...]
    has_reference: bool

    @property
    def passed(self) -> bool:
        """Whether every check was passed."""
        return all(check.passed for check in self.checks)

    @property
    def reasons(self) -> tuple[str, ...]:
        """The messages of the failed checks."""
        return tuple(check.message for check in self.checks if not check.passed)

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON-compatible values."""
        return {
            "passed": self.passed,
            "compared_with": "champion" if self.has_reference else "baseline",
            "verdicts": [asdict(check) for check in self.checks],
            "scores": [asdict(score) | {"target": str(score.target)} for score in self.scores],
        }


def evaluate_candidate(candidate: PropertyModel, reference: PropertyModel | None) -> GateReport:
    """Check whether a candidate may replace the champion.

    A model that lacks the data for a check (a bundle of an earlier version) fails it. If there is no champion
    (`reference` is None), the candidate must beat the median of each target and satisfy most rules of the
    literature.
    """
    try:
        if reference is None:
            scores = compare_with_baseline(candidate.out_of_fold)
        else:
            scores = compare(reference.out_of_fold, candidate.out_of_fold)
        compared = _check_comparison(candidate, reference, scores)
    except DatasetError as error:
        scores, compared = (), GateCheck("comparison", passed=False, message=str(error))
    checks = (
        compared,
        *(_check_target(score, reference is not None) for score in scores),
        _check_coverage(candidate),
        _check_physics(candidate, reference),
        _check_dataset(candidate),
    )
    return GateReport(checks, scores, reference is not None)


def _check_comparison(
    candidate: PropertyModel, reference: PropertyModel | None, scores: tuple[PairedScore, ...]
) -> GateCheck:
    """Check that the scores are of the same rows and folds; with different data, of enough common rows."""
    if reference is None:
        return GateCheck("comparison", passed=True, message="there is no champion: compared with the median")
    same_folds = all(score.same_folds for score in scores)
    share = min(score.share for score in scores)
    figures = {"same_folds": same_folds, "share_of_pellets": share}
    if same_folds and share == 1:
        return GateCheck("comparison", passed=True, message="on the same pellets and folds", figures=figures)
    keys = [_data_key(model.metadata.dataset_sha256, model.metadata.options) for model in (candidate, reference)]
    if keys[0] == keys[1]:
        return GateCheck("comparison", passed=False, figures=figures, message=_other_folds_message(reference))
    message = (
        f"the two learned from different data: compared on the {100 * share:.0f} % of the champion's pellets that "
        f"both predicted, in {'the same' if same_folds else 'their own'} folds"
    )
    if share < LEAST_SHARE:
        message += f"; at least {100 * LEAST_SHARE:.0f} % are needed"
    return GateCheck("comparison", passed=share >= LEAST_SHARE, message=message, figures=figures)


def expected_refusal(sha256: str, options: Mapping[str, Any], reference: PropertyModel) -> str:
    """Return why a model trained on this dataset with these options could not pass the gate; "" if it might."""
    champion = reference.metadata
    same_data = _data_key(sha256, options) == _data_key(champion.dataset_sha256, champion.options)
    same_folds = all(options.get(name) == champion.options.get(name) for name in ("folds", "seed"))
    if not same_data or (same_folds and options.get("repeats", 1) >= champion.options.get("repeats", 1)):
        return ""
    return _other_folds_message(reference)


def _other_folds_message(reference: PropertyModel) -> str:
    options = reference.metadata.options
    protocol = " ".join(f"--{name} {options[name]}" for name in ("folds", "repeats", "seed") if name in options)
    return (
        "the two learned from the same data by different folds, so luck would decide: train with the champion's "
        f"folds and seed ({protocol})"
    )


def _data_key(sha256: str, options: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a key that is the same for trainings on the same data."""
    return (sha256, *(str(options.get(name) or "") for name in _DATA_OPTIONS))


def _check_target(score: PairedScore, has_reference: bool) -> GateCheck:
    """Check that a target is predicted as well as by the champion, or better than by the median."""
    allowed = TOLERANCES[score.target] if has_reference else 0.0
    other = "champion" if has_reference else "median"
    passed = score.difference.value <= allowed
    message = (
        f"{score.target.replace('_', ' ')}: {score.metric} {score.candidate:.4g}, {other} {score.reference:.4g}: "
        f"{score.difference.value:+.4f} ({score.difference.lower:+.4f} to {score.difference.upper:+.4f}), at most "
        f"{allowed:g} worse is allowed"
    )
    return GateCheck(str(score.target), passed, message, asdict(score) | {"target": str(score.target)})


def _check_coverage(candidate: PropertyModel) -> GateCheck:
    """Check that the intervals contain the stated share of the pellets of unseen sources."""
    figures: dict[str, float] = {}
    wrong = []
    for name in (TargetName.CONDUCTIVITY, TargetName.RELATIVE_DENSITY):
        rows = scored_subsets(candidate.out_of_fold, name).get(ALL) if len(candidate.out_of_fold) else None
        if rows is None or rows.empty:
            return GateCheck("coverage", passed=False, message=f"nothing is known of the intervals of {name}")
        measured = rows["measured"].to_numpy(dtype=np.float64)
        for level in LEVELS:
            ends = (rows[column].to_numpy(dtype=np.float64) for column in interval_columns(level))
            held = 100 * coverage(measured, *ends)
            low, high = COVERAGE_RANGES[level]
            figures[f"{name}.coverage_{100 * level:.0f}"] = held
            if not low <= held <= high:
                wrong.append(f"{name.replace('_', ' ')} {held:.1f} % at {100 * level:.0f} % ({low:g} to {high:g})")
    message = f"intervals hold too many or too few pellets: {'; '.join(wrong)}" if wrong else "intervals hold"
    return GateCheck("coverage", not wrong, message, figures)


def _check_physics(candidate: PropertyModel, reference: PropertyModel | None) -> GateCheck:
    """Check that the candidate satisfies the rules of the literature that the champion satisfies."""
    checked = check_plausibility(candidate).set_index("rule")
    held = float(checked["holds"].mean())
    figures: dict[str, Any] = {"rules_held": int(checked["holds"].sum()), "rules": len(checked)}
    summary = f"{figures['rules_held']} of {len(checked)} rules of the literature hold"
    if reference is None:
        message = f"{summary}, at least {100 * LEAST_RULES:.0f} % are required"
        return GateCheck("physics", held >= LEAST_RULES, message, figures)
    champion_rules = check_plausibility(reference).set_index("rule")
    missed = -checked["margin"] - checked["unit"].map(ALLOWANCES)
    broken = sorted(checked.index[champion_rules["holds"] & ~checked["holds"] & (missed > 0)])
    figures |= {"rules_held_by_champion": int(champion_rules["holds"].sum()), "broken": broken}
    if not broken:
        return GateCheck("physics", True, f"{summary}; none that the champion keeps is clearly broken", figures)
    shown = "; ".join(
        f"{name} ({checked['margin'][name]:+.3g} {checked['unit'][name]}): {checked['statement'][name]}"
        for name in broken
    )
    return GateCheck("physics", False, f"{summary}; broken though the champion keeps them: {shown}", figures)


def _check_dataset(candidate: PropertyModel) -> GateCheck:
    """Check that the validation of the training dataset found no errors."""
    found = candidate.metadata.validation
    if "errors" not in found:
        return GateCheck("dataset", passed=False, message="whether its dataset has errors is not on record")
    errors = int(found["errors"])
    message = f"the dataset has {errors} errors" if errors else "the dataset has no errors"
    return GateCheck("dataset", errors == 0, message, dict(found))
