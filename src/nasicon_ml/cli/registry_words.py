"""Versions, comparisons and verdicts in words."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nasicon_ml.evaluation.comparison import PairedScore
    from nasicon_ml.evaluation.gate import GateReport
    from nasicon_ml.tracking.promotion import Comparison, Promotion, Rollback
    from nasicon_ml.tracking.versions import Version

_WIDTH = 110
#: Scores in the list: tag, head.
_LISTED = {
    "conductivity.mae_decades": "decades",
    "relative_density.mae_points": "points",
    "phase_purity.brier": "Brier",
}
#: Tags that have a line of their own, or that nobody reads.
_APART = ("bundle_files", "gate_report", "protocol", "dataset_sha256")


def versions_text(versions: Sequence[Version]) -> str:
    """Write a list of versions as a table."""
    if not versions:
        return "no version is registered; make one: nasicon-ml train"
    rows: list[tuple[str, ...]] = [("version", "alias", "registered (UTC)", *_LISTED.values(), "dataset", "")]
    for version in versions:
        scores = [version.tags.get(tag, "") for tag in _LISTED]
        problem = "" if version.usable else f"UNUSABLE: {version.problem}"
        rows.append(
            (
                version.version, ", ".join(version.aliases), version.created[:16].replace("T", " "), *scores,
                version.tags.get("dataset_sha256", "")[:12], problem,
            )
        )  # fmt: skip
    return "\n".join(_aligned(rows))


def version_text(version: Version) -> str:
    """Write all that is recorded of a version."""
    lines = [
        f"version     {version.version} of nasicon-recipe: {version.uri}",
        f"alias       {', '.join(version.aliases) or 'none'}",
        f"registered  {version.created}",
        f"run         {version.run_id or 'gone'}",
        f"usable      {'yes' if version.usable else f'NO: {version.problem}'}",
        f"dataset     SHA-256 {version.tags.get('dataset_sha256', 'not on record')}",
        f"protocol    {version.tags.get('protocol', 'not on record')}",
        "",
    ]
    rows = [(name, value) for name, value in sorted(version.tags.items()) if name not in _APART]
    return "\n".join([*lines, *_aligned(rows)])


def comparison_text(comparison: Comparison) -> str:
    """Write what the gate says of one version after another."""
    names = (f"version {comparison.reference.version}", f"version {comparison.candidate.version}")
    return "\n".join([*_report(comparison.report, names), "", _outcome(comparison.report)])


def promotion_text(promotion: Promotion) -> str:
    """Write what came of a promotion."""
    reference = f"version {promotion.previous}" if promotion.previous else "median"
    lines: list[str] = []
    if promotion.report is not None:
        lines += [*_report(promotion.report, (reference, f"version {promotion.version}")), ""]
    if not promotion.promoted:
        kept = f"version {promotion.previous} stays champion" if promotion.previous else "there is no champion"
        lines.append(f"REFUSED: version {promotion.version} was not promoted; {kept}.")
        lines.append("To promote it all the same: --force --reason '...'")
        return "\n".join(lines)
    how = "against the gate" if promotion.forced else "it passed the gate"
    before = f", after version {promotion.previous}" if promotion.previous else ""
    lines.append(f"version {promotion.version} is champion now{before} ({how}): models:/nasicon-recipe@champion")
    return "\n".join(lines)


def rollback_text(rollback: Rollback) -> str:
    """Write who is champion again."""
    return f"version {rollback.version} is champion again, in place of version {rollback.left}"


def imported_text(version: Version) -> str:
    """Write which version a bundle became."""
    return (
        f"registered as version {version.version} of nasicon-recipe, now challenger: {version.uri}\n"
        "next: nasicon-ml registry promote"
    )


def _report(report: GateReport, names: tuple[str, str]) -> Iterator[str]:
    if report.scores:
        first = report.scores[0]
        yield f"Each pellet predicted without its source; {first.n_sources} sources of conductivities."
        rows: list[tuple[str, ...]] = [("target", "score", *names, "difference (95 %)", "pellets")]
        rows += [_score_row(score) for score in report.scores]
        yield from _aligned(rows)
        yield ""
    for verdict in report.verdicts:
        mark = "passed   " if verdict.passed else "REFUSED  "
        yield from textwrap.wrap(mark + verdict.message, _WIDTH, subsequent_indent=" " * len(mark))


def _score_row(score: PairedScore) -> tuple[str, ...]:
    difference = score.difference
    return (
        score.target.replace("_", " "), score.metric, f"{score.reference:.4g}", f"{score.candidate:.4g}",
        f"{difference.value:+.4f} ({difference.lower:+.4f} to {difference.upper:+.4f})", str(score.n_rows),
    )  # fmt: skip


def _outcome(report: GateReport) -> str:
    return "The gate would let it pass." if report.passed else "The gate would refuse it."


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[position]) for row in rows) for position in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
