"""Measure the calibration of the uncertainties, and update docs/uncertainty.md and its figures.

    python -m tools.uncertainty_tables

Trains with three repeats, which takes minutes. All measures are of out-of-fold predictions.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tools.renew_docs import between_markers

from nasicon_ml import plots
from nasicon_ml.columns import Column
from nasicon_ml.evaluation.cross_validation import LEVELS, interval_columns
from nasicon_ml.evaluation.scores import (
    ALL,
    AWAY,
    DRAWS,
    KNOWN_PROCESSING,
    SEED,
    SODIUM,
    Difference,
    coverage_curves,
    domain_curve,
    domain_rows,
    row_errors,
    scored_subsets,
    source_weights,
    weighted_mean,
    with_interval,
)
from nasicon_ml.workflows.train import TrainingOptions, TrainingResult, train

ROOT = Path(__file__).resolve().parents[1]
PAGE, IMAGES = ROOT / "docs" / "uncertainty.md", ROOT / "docs" / "images"
REPEATS = 3
WORDS = {
    "conductivity": "Conductivity, widths in decades",
    "relative_density": "Density, widths in points",
    "phase_purity": "phase purity",
}
#: Targets with intervals.
WITH_INTERVALS = ("conductivity", "relative_density")
#: Smallest number of sources of a system whose coverage is shown.
FEWEST_SOURCES = 8


def coverage_table(out_of_fold: pd.DataFrame) -> pd.DataFrame:
    """Return the coverage of the out-of-fold intervals by level and subset.

    Parameters
    ----------
    out_of_fold
        As in `nasicon_ml.workflows.train.TrainingResult.out_of_fold`.

    Returns
    -------
    pandas.DataFrame
        target, level, subset (those of `score_table`), coverage (mean over repeats), coverage_se (its standard
        error by drawing sources with replacement), width (mean, in decades or points), n_rows, n_sources.
    """
    rows = []
    for target in WITH_INTERVALS:
        for subset, part in scored_subsets(out_of_fold, target).items():
            once = part[part["repeat"] == part["repeat"].min()]
            counts = {"n_rows": len(once), "n_sources": once[Column.SOURCE].nunique()}
            weights = source_weights(part[Column.SOURCE].to_numpy(), DRAWS, SEED)
            for level in LEVELS:
                lower, upper = (part[column].to_numpy(dtype=np.float64) for column in interval_columns(level))
                measured = part["measured"].to_numpy(dtype=np.float64)
                inside = ((measured >= lower) & (measured <= upper)).astype(np.float64)
                drawn = weighted_mean(inside, weights)
                rows.append(
                    {"target": target, "level": level, "subset": subset, "coverage": float(inside.mean())}
                    | {"coverage_se": float(np.nanstd(drawn)), "width": float(np.mean(upper - lower))}
                    | counts
                )
    return pd.DataFrame(rows)


def domain_table(out_of_fold: pd.DataFrame) -> pd.DataFrame:
    """Return the errors of out-of-fold rows inside and outside the domain of the other folds.

    Parameters
    ----------
    out_of_fold
        As in `nasicon_ml.workflows.train.TrainingResult.out_of_fold`.

    Returns
    -------
    pandas.DataFrame
        target, subset ("all", or "all and sodium"), share_outside, error_inside, error_outside (mean absolute in
        decades or points, mean squared of a probability), ratio of the two with its ratio_lower and ratio_upper
        (middle 95 % of drawing sources again), n_outside, sources_outside.
    """
    rows = []
    for target in WORDS:
        lithium = scored_subsets(out_of_fold, target)[ALL]
        for subset, part in ((ALL, lithium), (f"{ALL} and {SODIUM}", domain_rows(out_of_fold, target))):
            outside = part[Column.DOMAIN_SCORE].to_numpy(dtype=np.float64) >= 1
            if not 0 < outside.sum() < len(outside):
                continue
            error = row_errors(part, target)
            ratio = _ratio(error, outside, part[Column.SOURCE].to_numpy())
            beyond = part[outside]
            rows.append(
                {"target": target, "subset": subset, "share_outside": float(outside.mean())}
                | {"error_inside": float(error[~outside].mean()), "error_outside": float(error[outside].mean())}
                | {"ratio": ratio.value, "ratio_lower": ratio.lower, "ratio_upper": ratio.upper}
                | {"n_outside": beyond[Column.PELLET_ID].nunique()}
                | {"sources_outside": beyond[Column.SOURCE].nunique()}
            )
    return pd.DataFrame(rows)


def _ratio(error: NDArray[np.float64], outside: np.ndarray, sources: np.ndarray) -> Difference:
    weights = source_weights(sources, DRAWS, SEED)
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = weighted_mean(error[outside], weights[:, outside]) / weighted_mean(
            error[~outside], weights[:, ~outside]
        )
    return with_interval(float(error[outside].mean() / error[~outside].mean()), drawn)


def coverage_section(table: pd.DataFrame) -> str:
    """Return a table of coverage by subset for each target."""
    parts = []
    for target, rows in table.groupby("target", sort=False):
        levels = sorted(set(rows["level"]))
        heads = [
            "pellets (sources)",
            *(f"{100 * level:.0f} %" for level in levels),
            *(f"width {100 * level:.0f} %" for level in levels),
        ]
        lines = [WORDS[str(target)] + ":", "", *_head(["inside the interval at", *heads])]
        known = set(KNOWN_PROCESSING)
        for subset in dict.fromkeys(rows["subset"]):
            part = rows[rows["subset"] == subset].set_index("level")
            if part["n_sources"].iloc[0] < FEWEST_SOURCES and subset not in {ALL, AWAY, SODIUM, *known}:
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
    """Return a sentence on the calibration error of the probability and its expectation by chance."""
    scores = result.scores.query("target == 'phase_purity' and subset == 'all' and model == 'full'")
    value = scores.set_index("metric")["value"]
    return (
        f"Calibration error of the probability: {value['ece']:.3f}; exactly right probabilities would show "
        f"{value['ece_by_chance']:.3f} by chance alone. Brier skill {value['brier_skill']:.2f}."
    )


def domain_section(table: pd.DataFrame) -> str:
    """Return the table of errors inside and outside the domain, with a row per target and subset."""
    heads = [
        "error inside and outside",
        "pellets",
        "share outside",
        "sources outside",
        "inside",
        "outside",
        "ratio",
    ]
    lines = _head(heads)
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
    """Save the figures of coverage, reliability and error by domain, and return their Markdown links."""
    links = []
    for target in WITH_INTERVALS:
        curves = coverage_curves(result.out_of_fold, target)
        plots.save(plots.coverage_curves(curves, target), folder / f"{target}_coverage.png")
        links.append(f"![Coverage of {target.replace('_', ' ')}](images/{target}_coverage.png)")
    rows = scored_subsets(result.out_of_fold, "phase_purity")[ALL]
    plots.save(plots.reliability(rows, subset="lithium pellets"), folder / "phase_purity_reliability.png")
    links.append("![Reliability of phase purity](images/phase_purity_reliability.png)")
    for target in WORDS:
        curve = domain_curve(result.out_of_fold, target)
        plots.save(plots.error_by_domain(curve, target), folder / f"{target}_domain.png")
        links.append(f"![Error of {target.replace('_', ' ')} by domain](images/{target}_domain.png)")
    return links


def renew(result: TrainingResult, page: Path = PAGE, images: Path = IMAGES) -> None:
    """Update the page with measured values and figures."""
    options = result.options
    source = (
        f"Dataset {result.dataset_sha256[:12]}, {options.folds} folds by source, dealt {options.repeats} times."
    )
    coverage = coverage_section(coverage_table(result.out_of_fold))
    domain = domain_section(domain_table(result.out_of_fold))
    parts = [source, coverage, purity_section(result), domain, *write_figures(result, images)]
    text = between_markers(page.read_text(encoding="utf-8"), "measured", "\n" + "\n\n".join(parts) + "\n")
    page.write_text(text, encoding="utf-8")


def _head(cells: Sequence[str]) -> list[str]:
    return [_line(cells), "|" + " --- |" * len(cells)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Train, measure and update the page."""
    renew(train(TrainingOptions(repeats=REPEATS)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
