"""Write the benchmark tables of the docs and README.md from the files in benchmarks/results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

RESULTS = Path(__file__).resolve().parents[1] / "benchmarks" / "results"
HEADS = ("on papers never seen", "ours", "best of the others", "ours minus it (95 %)", "floor", "our aim")
_FLOOR, _REPLICATES = "floor: same composition", "; made by others, too"
_LOW_IS_GOOD = ("mae", "regret")


@dataclass(frozen=True)
class Row:
    """A line of the table: its label, and its protocol, target, subset and metric in the results."""

    label: str
    protocol: str
    target: str
    subset: str
    metric: str
    aim: str
    ours: str | None = None

    def format(self, value: float, sign: str = "") -> str:
        """Return a score with as many digits as its variation between repeats justifies."""
        return f"{value:{sign}.{1 if self.metric == _POINTS else 2}f}"


_DECADES, _POINTS = "mae_decades", "mae_points"
_CONDUCTIVITY, _DENSITY, _PURITY = "conductivity", "relative_density", "phase_purity"
_SINTERED, _OWN = "sintering temperature given", "works with at least 4 pellets"
ROWS = (
    Row("Conductivity from composition, OBELiX, decades (P1)", "P1", _CONDUCTIVITY, "OBELiX", _DECADES, "0.65"),
    Row("- trained on these rows alone, as the others are", "P1", _CONDUCTIVITY, "OBELiX", _DECADES, "0.65",
        ours="ours, composition only, trained on these rows"),
    Row("Conductivity near room temperature, decades (P2)", "P2", _CONDUCTIVITY, "all", _DECADES, ""),
    Row("- sintering temperature stated", "P2", _CONDUCTIVITY, _SINTERED, _DECADES, "0.42"),
    Row("- of LATP, LAGP and LATGP", "P2", _CONDUCTIVITY, f"LATP, LAGP, LATGP; {_SINTERED}", _DECADES, "0.38"),
    Row("Relative density, points (P3)", "P3", _DENSITY, "all", _POINTS, "6.0"),
    Row("Phase purity, AUROC (P4)", "P4", _PURITY, "all", "auroc", "0.78"),
    Row("- Brier skill", "P4", _PURITY, "all", "brier_skill", "0.15"),
    Row("Order within a series of conductivities, tau (P6)", "P6", _CONDUCTIVITY, "series", "tau", "0.5"),
    Row("Order within a series of densities, tau (P6)", "P6", _DENSITY, "series", "tau", "0.4"),
    Row("Conductivity of LAGP, learned without it (P7)", "P7", _CONDUCTIVITY, "without LAGP", _DECADES, ""),
)  # fmt: skip
OWN_ROWS = (
    Row("conductivity, decades", "P8", _CONDUCTIVITY, _OWN, _DECADES, "0.40"),
    Row("relative density, points", "P8", _DENSITY, _OWN, _POINTS, "4.5"),
    Row("phase purity, AUROC", "P8", _PURITY, _OWN, "auroc", ""),
)


_OWN_COLUMNS = (
    ("conductivity, decades", _CONDUCTIVITY, _DECADES, 1.0, 2, ""),
    ("inside 90 %", _CONDUCTIVITY, "coverage_90", 100.0, 0, " %"),
    ("width, decades", _CONDUCTIVITY, "width_90_decades", 1.0, 2, ""),
    ("density, points", _DENSITY, _POINTS, 1.0, 1, ""),
    ("inside 90 %", _DENSITY, "coverage_90", 100.0, 0, " %"),
    ("purity, AUROC", _PURITY, "auroc", 1.0, 2, ""),
    ("purity, Brier", _PURITY, "brier", 1.0, 3, ""),
)


_OWN_MODELS = [f"ours, {count} pellet{'' if count == 1 else 's'} known" for count in range(4)]
_METHODS = ("ours", "ours, no own pellets", "Gaussian process", "BayBE", "random order")
_TARGET_LABELS = {_CONDUCTIVITY: "conductivity, decades", _DENSITY: "density, points"}
_PRIORS = {
    "as good as ours": "with a prior as good as ours",
    "none": "with none",
    "sign reversed": "with one whose sign is reversed",
}


def benchmark_section(results: Path = RESULTS) -> str:
    """Return the comparison with other models, and the scores with own pellets below it."""
    scores = pd.read_csv(results / "accuracy.csv")
    differences = pd.read_csv(results / "differences.csv")
    lines = [f"| {' | '.join(HEADS)} |", f"|{' --- |' * len(HEADS)}"]
    lines += [_comparison_row(row, scores, differences) for row in ROWS]
    counts = [f"{count} known" for count in range(4)]
    lines += ["", f"| pellets of one's own (P8) | {' | '.join(counts)} | our aim at 3 |", f"|{' --- |' * 6}"]
    lines += [_own_pellets_row(row, scores) for row in OWN_ROWS]
    return "\n".join(lines)


def own_section(results: Path = RESULTS) -> str:
    """Return the table of scores and interval coverage by number of known own pellets."""
    scores = pd.read_csv(results / "accuracy.csv")
    scores = scores[(scores["protocol"] == "P8") & (scores["subset"] == _OWN)]
    heads = [words for words, *_ in _OWN_COLUMNS]
    lines = [f"| pellets known | {' | '.join(heads)} |", f"|{' --- |' * (len(heads) + 1)}"]
    for count, model in enumerate(_OWN_MODELS):
        mean = scores[scores["model"] == model].set_index(["target", "metric"])["mean"]
        cells = [
            f"{mean[target, metric] * factor:.{digits}f}{unit}"
            for _, target, metric, factor, digits, unit in _OWN_COLUMNS
        ]
        lines.append(f"| {count} | {' | '.join(cells)} |")
    counts = scores.drop_duplicates("target").set_index("target")[["n_rows", "n_sources"]]
    totals = ", ".join(
        f"{counts.loc[target, 'n_rows']} {words} of {counts.loc[target, 'n_sources']} sources"
        for target, words in (
            (_CONDUCTIVITY, "conductivities"),
            (_DENSITY, "densities"),
            (_PURITY, "verdicts on purity"),
        )
    )
    return "\n".join([*lines, "", f"Over {totals}."])


def campaign_section(results: Path = RESULTS) -> str:
    """Return the table of campaigns on published series, and a sentence on simulated laboratories."""
    scores = pd.read_csv(results / "campaigns.csv")
    differences = pd.read_csv(results / "campaign_differences.csv").set_index(
        ["target", "start", "metric", "peer"]
    )
    heads = [*_METHODS, "first five experiments: ours minus Gaussian process (95 %)", "ours minus BayBE (95 %)"]
    lines = [f"| regret after a third of the recipes | {' | '.join(heads)} |", f"|{' --- |' * (len(heads) + 1)}"]
    for (target, start), part in scores.groupby(["target", "start"], sort=False):
        digits = 2 if target == _CONDUCTIVITY else 1
        words = f"{_TARGET_LABELS[str(target)]}, from {'one random pellet' if start == 'one pellet' else start}"
        means = part.groupby("model")["third"].mean()
        cells = [f"{means[method]:.{digits}f}" for method in _METHODS]
        for peer in ("Gaussian process", "BayBE"):
            row = differences.loc[(target, start, "early", peer)]
            ends = f"{row['lower']:+.{digits}f} to {row['upper']:+.{digits}f}"
            cells.append(f"{row['difference']:+.{digits}f} ({ends}): {row['verdict']}")
        lines.append(f"| {words} ({part['source'].nunique()} series) | {' | '.join(cells)} |")
    pellets = pd.read_csv(results / "campaigns_synthetic.csv").groupby("prior")["pellets"].mean()
    counts = ", ".join(f"{pellets[prior]:.1f} {words}" for prior, words in _PRIORS.items())
    return "\n".join(
        [*lines, "", f"Made-up laboratories, pellets until the best of 60 recipes is found: {counts}."]
    )


def campaign_sentence(results: Path = RESULTS) -> str:
    """Return the sentence of README.md on the benefit of a campaign."""
    scores = pd.read_csv(results / "campaigns.csv")
    scores = scores[(scores["target"] == _CONDUCTIVITY) & (scores["start"] == "nothing")]
    means = scores.groupby("model")["third"].mean()
    return (
        f"Had [`recommend`](docs/campaigns.md) chosen the pellets of {scores['source'].nunique()}"
        " published series, the best of the first third\nwould have been"
        f" {means['ours']:.2f} decades short of the best of all, instead of {means['random order']:.2f} in random"
        f" order and {means['BayBE']:.2f} as BayBE\nchooses ([measured](docs/campaigns.md#does-it-help))."
    )


def _comparison_row(row: Row, scores: pd.DataFrame, differences: pd.DataFrame) -> str:
    mean = _means(scores, row, row.subset)
    ours = row.ours or next(str(name) for name in mean.index if str(name).startswith("ours"))
    others = mean[[name for name in mean.index if not str(name).startswith(("ours", "floor"))]]
    best = str(others.idxmin() if row.metric.startswith(_LOW_IS_GOOD) else others.idxmax())
    key = {"protocol": row.protocol, "target": row.target, "subset": row.subset, "metric": row.metric}
    key |= {"ours": ours, "peer": best}
    gain = ""
    for entry in differences[(differences[[*key]] == pd.Series(key)).all(axis=1)].to_dict("records"):
        ends = f"{row.format(entry['lower'], '+')} to {row.format(entry['upper'], '+')}"
        gain = f"{row.format(entry['difference'], '+')} ({ends}): {entry['verdict']}"
    replicates = _means(scores, row, row.subset + _REPLICATES)
    floor = ""
    if _FLOOR in replicates:
        floor = f"{row.format(replicates[_FLOOR])}, ours there {row.format(replicates[ours])}"
    cells = [
        row.label,
        f"**{row.format(mean[ours])}**",
        f"{best}: {row.format(others[best])}",
        gain,
        floor,
        row.aim,
    ]
    return f"| {' | '.join(cells)} |"


def _own_pellets_row(row: Row, scores: pd.DataFrame) -> str:
    mean = _means(scores, row, row.subset)
    return f"| {' | '.join([row.label, *(row.format(mean[model]) for model in _OWN_MODELS), row.aim])} |"


def _means(scores: pd.DataFrame, row: Row, subset: str) -> pd.Series:
    selected = (scores["protocol"] == row.protocol) & (scores["target"] == row.target)
    selected &= (scores["subset"] == subset) & (scores["metric"] == row.metric)
    return scores[selected].set_index("model")["mean"].dropna()
