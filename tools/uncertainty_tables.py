"""Measures what docs/uncertainty.md states, and renews it there together with its figures.

    python -m tools.uncertainty_tables

Trains with three repeats (some minutes). Everything is measured on sources that the fold had not seen.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from tools.renew_docs import between_markers

from nasicon_ml import plots
from nasicon_ml.evaluation.coverage import coverage_curves, coverage_table, domain_curve, domain_table
from nasicon_ml.evaluation.scores import ALL, AWAY, KNOWN, SODIUM, scored_subsets
from nasicon_ml.workflows.train import TrainingOptions, TrainingResult, train

ROOT = Path(__file__).resolve().parents[1]
PAGE, IMAGES = ROOT / "docs" / "uncertainty.md", ROOT / "docs" / "images"
REPEATS = 3
WORDS = {
    "conductivity": "Conductivity, widths in decades",
    "relative_density": "Density, widths in points",
    "phase_purity": "phase purity",
}
#: Systems with fewer sources than this say next to nothing about a coverage.
FEWEST_SOURCES = 8


def coverage_section(table: pd.DataFrame) -> str:
    """Write the coverage of both targets: one table each, a row a subset."""
    parts = []
    for target, rows in table.groupby("target", sort=False):
        levels = sorted(set(rows["level"]))
        heads = [
            "pellets (sources)",
            *(f"{100 * level:.0f} %" for level in levels),
            *(f"width {100 * level:.0f} %" for level in levels),
        ]
        lines = [WORDS[str(target)] + ":", "", *_head(["inside the interval at", *heads])]
        known = set(KNOWN)
        for subset in dict.fromkeys(rows["subset"]):
            part = rows[rows["subset"] == subset].set_index("level")
            enough = part["n_sources"].iloc[0] >= FEWEST_SOURCES
            if not enough and subset not in {ALL, AWAY, SODIUM, *known}:
                continue
            cells = [f"{part['n_rows'].iloc[0]} ({part['n_sources'].iloc[0]})"]
            cells += [
                f"{100 * part['coverage'][level]:.0f} ± {100 * part['coverage_se'][level]:.0f}" for level in levels
            ]
            cells += [f"{part['width'][level]:.{2 if target == 'conductivity' else 0}f}" for level in levels]
            lines.append(_line([subset, *cells]))
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def purity_section(result: TrainingResult) -> str:
    """Write the calibration error of the probability, and what chance makes of it."""
    scores = result.scores.query("target == 'phase_purity' and subset == 'all' and model == 'full'")
    value = scores.set_index("metric")["value"]
    return (
        f"Calibration error of the probability: {value['ece']:.3f}; exactly right probabilities would show "
        f"{value['ece_by_chance']:.3f} by chance alone. Brier skill {value['brier_skill']:.2f}."
    )


def domain_section(table: pd.DataFrame) -> str:
    """Write the errors inside and outside the domain: a row a target and subset."""
    heads = [
        "error inside and outside",
        "pellets",
        "share outside",
        "sources outside",
        "inside",
        "outside",
        "ratio",
    ]
    lines = _head([heads[0], *heads[1:]])
    for row in table.to_dict("records"):
        digits = 1 if row["target"] == "relative_density" else 2
        lines.append(
            _line(
                [
                    WORDS[row["target"]].split(",")[0].lower(), row["subset"],
                    f"{100 * row['share_outside']:.0f} %", str(row["sources_outside"]),
                    f"{row['error_inside']:.{digits}f}", f"{row['error_outside']:.{digits}f}",
                    f"{row['ratio']:.2f} ({row['ratio_lower']:.2f} to {row['ratio_upper']:.2f})",
                ]
            )
        )  # fmt: skip
    words = (
        "Errors are mean absolute ones in decades and points, for purity the mean squared error of the "
        "probability. In brackets: the middle 95 % of drawing sources again."
    )
    return "\n".join([*lines, "", words])


def write_figures(result: TrainingResult, folder: Path) -> list[str]:
    """Draw coverage, reliability and error against distance; give the lines that show them."""
    shown = []
    for target in ("conductivity", "relative_density"):
        curves = coverage_curves(result.out_of_fold, target)
        plots.save(plots.coverage_curves(curves, target), folder / f"{target}_coverage.png")
        shown.append(f"![Coverage of {target.replace('_', ' ')}](images/{target}_coverage.png)")
    rows = scored_subsets(result.out_of_fold, "phase_purity")[ALL]
    plots.save(plots.reliability(rows, subset="lithium pellets"), folder / "phase_purity_reliability.png")
    shown.append("![Reliability of phase purity](images/phase_purity_reliability.png)")
    for target in WORDS:
        curve = domain_curve(result.out_of_fold, target)
        plots.save(plots.error_by_domain(curve, target), folder / f"{target}_domain.png")
        shown.append(f"![Error of {target.replace('_', ' ')} by domain](images/{target}_domain.png)")
    return shown


def renew(result: TrainingResult, page: Path = PAGE, images: Path = IMAGES) -> None:
    """Write what was measured into the page, and the figures beside it."""
    options = result.options
    made = f"Dataset {result.dataset_sha256[:12]}, {options.folds} folds by source, dealt {options.repeats} times."
    coverage = coverage_section(coverage_table(result.out_of_fold))
    domain = domain_section(domain_table(result.out_of_fold))
    parts = [made, coverage, purity_section(result), domain, *write_figures(result, images)]
    text = between_markers(page.read_text(encoding="utf-8"), "measured", "\n" + "\n\n".join(parts) + "\n")
    page.write_text(text, encoding="utf-8")


def _head(cells: Sequence[str]) -> list[str]:
    return [_line(cells), "|" + " --- |" * len(cells)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Train, measure, renew."""
    renew(train(TrainingOptions(repeats=REPEATS)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
