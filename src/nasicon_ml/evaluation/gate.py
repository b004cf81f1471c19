"""Two models on the same pellets, and the gate that a model passes before it becomes the champion.

Both predicted each pellet without having seen its source. Differences are paired, so that what both find hard
cancels out. Then whole sources are drawn again with replacement, for pellets of one paper are alike; a draw is
kept as a weight of each row, how often its source was drawn, so that one matrix product scores all draws.

A candidate is refused if it predicts any target worse than the champion does, beyond a tolerance; if its
intervals do not hold what they promise; if it breaks what the literature states and the champion keeps; or if
the dataset it learned from has errors. Every question is asked, also after one was failed, so that a refusal
says everything.
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
from nasicon_ml.evaluation.cross_validation import LEVELS, end_columns
from nasicon_ml.evaluation.plausibility import DEGREES, check_plausibility
from nasicon_ml.evaluation.scores import (
    ALL,
    Difference,
    coverage,
    interval,
    row_errors,
    scored_subsets,
    source_weights,
    weighted_mean,
)
from nasicon_ml.model import PropertyModel

#: How often the sources are drawn anew, and the seed of it.
DRAWS, SEED = 2000, 0
_KEYS = ["repeat", str(Column.PELLET_ID)]


@dataclass(frozen=True)
class PairedScore:
    """One target, two models, the same rows."""

    # What is scored, and how; of the metric, less is better
    target: TargetName
    metric: str
    # The two scores on the common rows
    reference: float
    candidate: float
    # candidate - reference, with its bootstrap interval over sources: above 0 the candidate is worse
    difference: Difference
    # Common pellets and their sources
    n_rows: int
    n_sources: int
    share: float  # part of the reference's pellets that are common, 0 to 1
    same_folds: bool  # whether the sources of these rows were dealt into the same folds


def compare(reference: pd.DataFrame, candidate: pd.DataFrame) -> tuple[PairedScore, ...]:
    """Compare two trainings by their out-of-fold predictions, target by target.

    Compared are lithium pellets, conductivities near room temperature, that both predicted, in the repeats that
    both have; a pellet whose measured value differs between the two is left out.

    Raises
    ------
    DatasetError
        If they have no pellet of a target in common, or one of them has no out-of-fold predictions.
    """
    return tuple(_paired(name, _scored(reference, name), _scored(candidate, name)) for name in ANSWERS)


def compare_with_baseline(candidate: pd.DataFrame) -> tuple[PairedScore, ...]:
    """Compare a training with the median (of phase purity: the base rate) of the other folds."""
    found = []
    for name in ANSWERS:
        rows = _scored(candidate, name)
        found.append(_paired(name, rows.assign(predicted=rows["median"]), rows))
    return tuple(found)


def _scored(out_of_fold: pd.DataFrame, name: TargetName) -> pd.DataFrame:
    """Return the rows that a target is scored on."""
    if out_of_fold.empty:
        raise DatasetError("a model without out-of-fold predictions cannot be compared: train it again")
    rows = scored_subsets(out_of_fold, name).get(ALL)
    if rows is None or rows.empty:
        raise DatasetError(f"there are no out-of-fold predictions of {name.replace('_', ' ')} to compare")
    return rows


def _paired(name: TargetName, reference: pd.DataFrame, candidate: pd.DataFrame) -> PairedScore:
    kept = [*_KEYS, str(Column.SOURCE), "fold", "measured", "predicted"]
    both = reference[kept].merge(candidate[kept], on=_KEYS, suffixes=("", "_candidate"), validate="one_to_one")
    both = both[np.isclose(both["measured"], both["measured_candidate"])]
    if both.empty:
        raise DatasetError(f"the two models have no pellet with {name.replace('_', ' ')} in common")
    pellets = both.assign(
        reference=row_errors(both, name),
        candidate=row_errors(both.assign(predicted=both["predicted_candidate"]), name),
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
        difference=interval(float(worse_by.mean()), drawn),
        n_rows=len(losses),
        n_sources=int(sources.nunique()),
        share=len(losses) / reference[str(Column.PELLET_ID)].nunique(),
        same_folds=_same_folds(both),
    )


def _same_folds(both: pd.DataFrame) -> bool:
    """Whether the two deals part the rows alike, whatever the folds are called."""
    for _, rows in both.groupby("repeat"):
        pairs = rows[["fold", "fold_candidate"]].drop_duplicates()
        if len(pairs) != rows["fold"].nunique() or len(pairs) != rows["fold_candidate"].nunique():
            return False
    return True


#: By how much a candidate may be worse than the champion: about a thirtieth of each score.
TOLERANCES = {TargetName.CONDUCTIVITY: 0.02, TargetName.RELATIVE_DENSITY: 0.2, TargetName.PHASE_PURITY: 0.006}
#: How many per cent of the pellets an interval may hold, by its level: two standard errors of as many papers.
COVERAGE_RANGES = {0.5: (42.0, 58.0), 0.8: (74.0, 86.0), 0.9: (85.0, 95.0)}
#: The part of the champion's pellets that has to be common if the two learned from different data.
LEAST_SHARE = 0.8
#: By how much a rule that the champion keeps may be missed, by unit: as much as another seed alone moves an effect
#: (over four seeds and all rules at most 0.09 decades, 1.8 points, 0.02 of probability, 0.003 eV).
ALLOWANCES = {"decades": 0.1, "points": 2.0, "probability": 0.05, "eV": 0.01, DEGREES: 50.0}
#: Without a champion to compare with: the part of the literature's rules that has to hold.
LEAST_RULES = 0.6
#: Options that say what a model learned from, and not how.
_DATA_OPTIONS = ("include_suspect", "exclude_sources", "added_sha256")


@dataclass(frozen=True)
class Verdict:
    """One question of the gate."""

    question: str  # its name: a target, ``coverage``, ``physics``, ``dataset``, ``comparison``
    passed: bool  # the answer
    message: str  # the answer in words, with figures and what would have been allowed
    figures: Mapping[str, Any] = field(default_factory=dict)  # the figures, as JSON knows them


@dataclass(frozen=True)
class GateReport:
    """All verdicts on a candidate, and the paired scores they rest on."""

    verdicts: tuple[Verdict, ...]
    scores: tuple[PairedScore, ...]
    has_reference: bool

    @property
    def passed(self) -> bool:
        """Whether every question was passed."""
        return all(verdict.passed for verdict in self.verdicts)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it was refused; empty if it was not."""
        return tuple(verdict.message for verdict in self.verdicts if not verdict.passed)

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON knows it."""
        return {
            "passed": self.passed,
            "compared_with": "champion" if self.has_reference else "baseline",
            "verdicts": [asdict(verdict) for verdict in self.verdicts],
            "scores": [asdict(score) | {"target": str(score.target)} for score in self.scores],
        }


def judge(candidate: PropertyModel, reference: PropertyModel | None) -> GateReport:
    """Ask a candidate everything it has to show, as against the champion.

    A model without what a question needs (a bundle of an earlier version) fails it. Where there is no champion
    yet, the candidate has to beat the median of each target, and most rules of the literature have to hold.
    """
    try:
        if reference is None:
            scores = compare_with_baseline(candidate.out_of_fold)
        else:
            scores = compare(reference.out_of_fold, candidate.out_of_fold)
        compared = _comparable(candidate, reference, scores)
    except DatasetError as error:
        scores, compared = (), Verdict("comparison", passed=False, message=str(error))
    verdicts = (
        compared,
        *(_not_worse(score, reference is not None) for score in scores),
        _intervals_hold(candidate),
        _physics(candidate, reference),
        _dataset(candidate),
    )
    return GateReport(verdicts, scores, reference is not None)


def _comparable(
    candidate: PropertyModel, reference: PropertyModel | None, scores: tuple[PairedScore, ...]
) -> Verdict:
    """Whether the scores are of the same rows and folds; different data cannot be dealt alike."""
    if reference is None:
        return Verdict("comparison", passed=True, message="there is no champion: compared with the median")
    same_folds = all(score.same_folds for score in scores)
    share = min(score.share for score in scores)
    figures = {"same_folds": same_folds, "share_of_pellets": share}
    if same_folds and share == 1:
        return Verdict("comparison", passed=True, message="on the same pellets and folds", figures=figures)
    of_candidate, of_reference = candidate.metadata, reference.metadata
    if _data(of_candidate.dataset_sha256, of_candidate.options) == _data(
        of_reference.dataset_sha256, of_reference.options
    ):
        return Verdict("comparison", passed=False, figures=figures, message=_other_folds(reference))
    message = (
        f"the two learned from different data: compared on the {100 * share:.0f} % of the champion's pellets that "
        f"both predicted, in {'the same' if same_folds else 'their own'} folds"
    )
    if share < LEAST_SHARE:
        message += f"; at least {100 * LEAST_SHARE:.0f} % are needed"
    return Verdict("comparison", passed=share >= LEAST_SHARE, message=message, figures=figures)


def never_passes(sha256: str, options: Mapping[str, Any], reference: PropertyModel) -> str:
    """Say before a training, by its data and options, why its model could not pass the gate; empty if it might."""
    before = reference.metadata.options
    same_data = _data(sha256, options) == _data(reference.metadata.dataset_sha256, before)
    dealt_alike = all(options.get(name) == before.get(name) for name in ("folds", "seed"))
    if not same_data or (dealt_alike and options.get("repeats", 1) >= before.get("repeats", 1)):
        return ""
    return _other_folds(reference)


def _other_folds(reference: PropertyModel) -> str:
    options = reference.metadata.options
    protocol = " ".join(f"--{name} {options[name]}" for name in ("folds", "repeats", "seed") if name in options)
    return (
        "the two learned from the same data by different folds, so luck would decide: train with the champion's "
        f"folds and seed ({protocol})"
    )


def _data(sha256: str, options: Mapping[str, Any]) -> tuple[str, ...]:
    return (sha256, *(str(options.get(name) or "") for name in _DATA_OPTIONS))


def _not_worse(score: PairedScore, has_reference: bool) -> Verdict:
    """Whether a target is predicted as well as by the champion, or better than by the median."""
    allowed = TOLERANCES[score.target] if has_reference else 0.0
    other = "champion" if has_reference else "median"
    passed = score.difference.value <= allowed
    message = (
        f"{score.target.replace('_', ' ')}: {score.metric} {score.candidate:.4g}, {other} {score.reference:.4g}: "
        f"{score.difference.value:+.4f} ({score.difference.lower:+.4f} to {score.difference.upper:+.4f}), at most "
        f"{allowed:g} worse is allowed"
    )
    return Verdict(str(score.target), passed, message, asdict(score) | {"target": str(score.target)})


def _intervals_hold(candidate: PropertyModel) -> Verdict:
    """Whether intervals hold as many pellets of unseen sources as they promise."""
    figures: dict[str, float] = {}
    wrong = []
    for name in (TargetName.CONDUCTIVITY, TargetName.RELATIVE_DENSITY):
        rows = scored_subsets(candidate.out_of_fold, name).get(ALL) if len(candidate.out_of_fold) else None
        if rows is None or rows.empty:
            return Verdict("coverage", passed=False, message=f"nothing is known of the intervals of {name}")
        measured = rows["measured"].to_numpy(dtype=np.float64)
        for level in LEVELS:
            ends = (rows[column].to_numpy(dtype=np.float64) for column in end_columns(level))
            held = 100 * coverage(measured, *ends)
            low, high = COVERAGE_RANGES[level]
            figures[f"{name}.coverage_{100 * level:.0f}"] = held
            if not low <= held <= high:
                wrong.append(f"{name.replace('_', ' ')} {held:.1f} % at {100 * level:.0f} % ({low:g} to {high:g})")
    message = f"intervals hold too many or too few pellets: {'; '.join(wrong)}" if wrong else "intervals hold"
    return Verdict("coverage", not wrong, message, figures)


def _physics(candidate: PropertyModel, reference: PropertyModel | None) -> Verdict:
    """Whether the candidate keeps what the literature states, where the champion does."""
    checked = check_plausibility(candidate).set_index("rule")
    held = float(checked["holds"].mean())
    figures: dict[str, Any] = {"rules_held": int(checked["holds"].sum()), "rules": len(checked)}
    said = f"{figures['rules_held']} of {len(checked)} rules of the literature hold"
    if reference is None:
        message = f"{said}, at least {100 * LEAST_RULES:.0f} % are asked for"
        return Verdict("physics", held >= LEAST_RULES, message, figures)
    before = check_plausibility(reference).set_index("rule")
    missed = -checked["margin"] - checked["unit"].map(ALLOWANCES)
    broken = sorted(checked.index[before["holds"] & ~checked["holds"] & (missed > 0)])
    figures |= {"rules_held_by_champion": int(before["holds"].sum()), "broken": broken}
    if not broken:
        return Verdict("physics", True, f"{said}; none that the champion keeps is clearly broken", figures)
    shown = "; ".join(
        f"{name} ({checked['margin'][name]:+.3g} {checked['unit'][name]}): {checked['statement'][name]}"
        for name in broken
    )
    return Verdict("physics", False, f"{said}; broken though the champion keeps them: {shown}", figures)


def _dataset(candidate: PropertyModel) -> Verdict:
    """Whether the dataset it learned from was found free of errors."""
    found = candidate.metadata.validation
    if "errors" not in found:
        return Verdict("dataset", passed=False, message="whether its dataset has errors is not on record")
    errors = int(found["errors"])
    message = f"the dataset has {errors} errors" if errors else "the dataset has no errors"
    return Verdict("dataset", errors == 0, message, dict(found))
