"""The page of results: every table with what made it."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from benchmarks.accuracy_figures import has_panels
from benchmarks.dataset import OBELIX_FILE, Options
from benchmarks.predictions import FLOOR, FLOOR_ALIKE, OURS
from benchmarks.protocols import TITLES
from benchmarks.scoring import REPLICATES
from nasicon_ml.data.files import PELLETS_FILE, dataset_checksum, datasets_folder
from nasicon_ml.workflows.train import DECISIVE_LIBRARIES

#: What each metric is called in a table's head, and its digits; other metrics stand in accuracy.csv alone.
HEADLINES = {
    "mae_decades": ("mean abs. error, decades", 3),
    "mae_points": ("mean abs. error, points", 2),
    "auroc": ("AUROC", 3),
    "auroc_within_folds": ("AUROC within folds", 3),
    "brier": ("Brier", 3),
    "brier_skill": ("Brier skill", 3),
    "ece": ("calibration error", 3),
    "coverage_90": ("coverage at 90 %", 2),
    "width_90_decades": ("width, decades", 2),
    "width_90_points": ("width, points", 1),
    "tau": ("tau", 3),
    "tau_by_pairs": ("tau, by pairs", 3),
    "regret_decades": ("regret, decades", 3),
    "regret_points": ("regret, points", 2),
}
#: Where few pellets are predicted at once, their order is as telling as their error.
RANKED = {"P5", "P7"}
RANK = {"spearman": ("rank correlation", 2)}
_PLACE = ("protocol", "target", "subset")
TARGET_WORDS = {
    "conductivity": "Conductivity",
    "relative_density": "Relative density",
    "phase_purity": "Phase purity",
}
NOTES = """\
- Ours and every peer are asked on the same folds; a source stands in one fold as a whole. Scored are lithium
  pellets, conductivities at 15 to 40 °C or at a temperature not stated. Sodium pellets may teach. Suspect rows
  are out.
- ± is the standard deviation over repeats, which deal the sources anew (P5 and P7: other seeds of the models).
- Differences are ours minus the peer's on the same pellets, by the first score of the table, with the middle 95
  % of a bootstrap that draws sources with replacement. Below 0 ours is better for errors, Brier scores and
  regrets, above 0 for all others. Where 0 lies inside, the papers at hand do not tell the two apart.
- AUROC over all pellets is sunk a little, the more so for models that know little: a fold that holds many pure
  pellets leaves few to learn from. *Within folds* compares pellets that one model judged.
- Calibration on the other folds adds to that: it is free for the peers, whose probabilities need it (left alone,
  their Brier scores are 0.213 and up), and nearly held still for ours, which learn with a level for every source.
  Held still for all, the best peer's AUROC on P4 is 0.665 instead of 0.651. *Within folds* is free of it.
- The best of the others is picked after the fact, which flatters it: nobody knows beforehand which one it is.
- Peers learn conductivities near room temperature; ours carry the others there. Median and base rate are those
  of the training rows of the same alkali. On P4 the probabilities of every model but the base rate are
  calibrated on the other folds, on P5 and P7 only the order is scored; the Gaussian process learns purity as
  the numbers 0 and 1.
- The floor is the mean absolute difference to the median of the other sources of the dataset at the same
  composition; sintered alike means by the same technique, within 25 °C. Floor and models are compared on the
  pellets that others made, too.
- The OBELiX recipe needs lattice parameters and the space group, which are measured on the finished material:
  it is asked on P1 only. *Ours, whole recipe of the linked pellet* is not by composition alone and no claim of
  P1; it says what the processing of the same pellets adds.
- Series (P6): sources with at least three recipes that differ; recipes that the dataset cannot tell apart count
  as one. A model that gives all recipes of a series the same answer has tau 0 there and the regret of chance.
- P5: one constant of our features comes from the dilatometry of that paper (90 °C less for a ten times finer
  powder, from 3.1 µm; `features.processing`). Its pellets are unseen, but the features are not wholly blind to it.
- P7: the models saw no pellet of the system and none of the works that report on it.
- P8: of every work with at least four pellets some are known, in 20 random orders, and the others are predicted.
- CrabNet (10.1038/s41524-021-00545-1) is **not of this run**: its release does not install beside current
  PyTorch. Measured with its repository on P1, it is off by 0.945 decades; which of the two sets of rows that
  was is not recorded.
"""


@dataclass(frozen=True)
class RunInfo:
    """Command, options and wall time of a run."""

    command: str
    options: Options
    seconds: float


def front_matter(title: str, made: RunInfo) -> list[str]:
    """Return command, checksums, versions, date and wall time of a run as lines of Markdown."""
    folder = datasets_folder()
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in DECISIVE_LIBRARIES)
    options = made.options
    return [
        f"# {title}",
        "",
        "| | |",
        "| --- | --- |",
        f"| command | `{made.command}` |",
        f"| folds | {options.folds} by source, {options.repeats} repeats from seed {options.seed} |",
        f"| bootstrap | {options.draws} draws of sources |",
        f"| `datasets/{PELLETS_FILE}` | sha256 `{dataset_checksum(folder / PELLETS_FILE)}` |",
        f"| `datasets/{OBELIX_FILE}` | sha256 `{dataset_checksum(folder / OBELIX_FILE)}` |",
        f"| versions | {versions} |",
        f"| date | {datetime.now(UTC).date().isoformat()} |",
        f"| time | {made.seconds / 60:.1f} min on {options.threads} threads |",
        "",
    ]


def page(scores: pd.DataFrame, differences: pd.DataFrame, made: RunInfo) -> str:
    """Write the page of results.

    Parameters
    ----------
    scores, differences
        As in accuracy.csv and differences.csv.
    made
        How the run was made.
    """
    lines = front_matter("Accuracy, beside what others would use", made)
    lines += ["Made by `make benchmark-accuracy`; all numbers stand in `accuracy.csv` and `differences.csv`.", ""]
    if has_panels(scores):
        lines += ["![Errors of all models](accuracy.png)", ""]
    if "P6" in set(scores["protocol"]):
        lines += ["![Order within series](series.png)", ""]
    lines += ["## In short", "", *_in_short(scores, differences)]
    for protocol, part in scores.groupby("protocol", sort=False):
        lines += [f"## {protocol}: {TITLES.get(str(protocol), '')}".rstrip(": "), ""]
        for target, rows in part.groupby("target", sort=False):
            chosen = differences
            if len(differences):
                chosen = differences[(differences["protocol"] == protocol) & (differences["target"] == target)]
            lines += _section(str(protocol), str(target), rows, chosen)
    lines += ["## Notes", "", NOTES]
    return "\n".join(lines)


def _in_short(scores: pd.DataFrame, differences: pd.DataFrame) -> list[str]:
    """Return a table with a row per subset: own model, best baseline, their difference, and the floor."""
    rows = []
    for (protocol, target, subset), part in scores.groupby(list(_PLACE), sort=False):
        metric = next((name for name in HEADLINES if name in set(part["metric"])), None)
        if metric is None or str(subset).endswith(tuple(REPLICATES.values())):
            continue
        words, digits = HEADLINES[metric]
        mean = part[part["metric"] == metric].set_index("model")["mean"].dropna()
        own = next(str(name) for name in mean.index if str(name).startswith("ours"))
        peers = mean[[not str(name).startswith("ours") for name in mean.index]]
        what = f"{protocol}: {TARGET_WORDS[str(target)].lower()}, {subset}"
        which = f" ({own.removeprefix('ours, ')})" if own != OURS else ""
        cells = [what, words, f"**{mean[own]:.{digits}f}**{which}", "", "", ""]
        place = {"protocol": protocol, "target": target}
        if len(peers):
            best = str(peers.idxmin() if metric.startswith(("mae", "regret")) else peers.idxmax())
            told = _difference_cells(
                _matching_rows(differences, place | {"subset": subset}), own, best, metric, digits
            )
            cells[3:] = [f"{best}: {peers[best]:.{digits}f}", *told]
        there = _matching_rows(scores, place | {"subset": f"{subset}; {REPLICATES[FLOOR]}", "metric": metric})
        made = there.set_index("model")["mean"]
        floor = f"{made[FLOOR]:.{digits}f}, ours there {made[own]:.{digits}f}" if FLOOR in made else ""
        rows.append([*cells, floor])
    heads = [
        "what",
        "score",
        "ours",
        "best of the others",
        "ours minus it (95 %)",
        "ours is",
        "floor: same composition",
    ]
    return table(heads, rows)


def _matching_rows(frame: pd.DataFrame, place: dict[str, object]) -> pd.DataFrame:
    """Return the rows of a table with the given values; an empty table has none."""
    return frame[(frame[list(place)] == place).all(axis=1)] if len(frame) else frame


def _section(protocol: str, target: str, scores: pd.DataFrame, differences: pd.DataFrame) -> list[str]:
    headlines = HEADLINES | (RANK if protocol in RANKED else {})
    lines = []
    plain = scores[~scores["subset"].str.endswith(tuple(REPLICATES.values()))]
    for subset, part in plain.groupby("subset", sort=False):
        first = part.iloc[0]
        counts = f"{counted(first['n_rows'], 'pellet')} of {counted(first['n_sources'], 'source')}"
        lines += [f"**{TARGET_WORDS.get(target, target)}, {subset}**: {counts}", ""]
        shown = [metric for metric in headlines if metric in set(part["metric"])]
        against = differences[differences["subset"] == subset] if len(differences) else differences
        lines += _models_table(part, against, shown, headlines)
        if len(differences):
            lines += _floor_lines(str(subset), scores, differences)
    return lines


def counted(number: float, word: str) -> str:
    """Return a number with its noun, in the plural if needed."""
    return f"{number:.0f} {word}{'' if number == 1 else 's'}"


def _models_table(
    scores: pd.DataFrame, differences: pd.DataFrame, shown: Sequence[str], headlines: dict[str, tuple[str, int]]
) -> list[str]:
    """Return a table with a row per model: its scores, and the difference of the own model in the first one."""
    first = shown[0]
    ours = list(dict.fromkeys(differences["ours"])) if len(differences) else []
    heads = ["model", *(headlines[metric][0] for metric in shown)]
    if ours:
        heads += ["first row minus it (95 %)", "first row is"]
    rows = []
    for model in dict.fromkeys(scores["model"]):
        cells = [f"**{model}**" if str(model).startswith("ours") else str(model)]
        cells += [_score_cell(scores, str(model), metric, headlines[metric][1]) for metric in shown]
        if ours:
            cells += _difference_cells(differences, ours[0], str(model), first, headlines[first][1])
        rows.append(cells)
    return table(heads, rows)


def _score_cell(scores: pd.DataFrame, model: str, metric: str, digits: int) -> str:
    row = scores[(scores["model"] == model) & (scores["metric"] == metric)]
    if row.empty or not np.isfinite(row["mean"].iloc[0]):
        return ""
    mean, spread = row["mean"].iloc[0], row["spread"].iloc[0]
    return f"{mean:.{digits}f}" + (f" ± {spread:.{digits}f}" if np.isfinite(spread) else "")


def _difference_cells(differences: pd.DataFrame, own: str, peer: str, metric: str, digits: int) -> list[str]:
    if differences.empty:
        return ["", ""]
    chosen = (differences["ours"] == own) & (differences["peer"] == peer) & (differences["metric"] == metric)
    if not chosen.any():
        return ["", ""]
    row = differences[chosen].iloc[0]
    return [_with_ends(row, digits), str(row["verdict"])]


def _with_ends(row: pd.Series, digits: int) -> str:
    return f"{row['difference']:+.{digits}f} ({row['lower']:+.{digits}f} to {row['upper']:+.{digits}f})"


def _floor_lines(subset: str, scores: pd.DataFrame, differences: pd.DataFrame) -> list[str]:
    """Return a table of the floors of a subset with own model and best baseline on the same pellets."""
    rows = []
    for floor in (FLOOR, FLOOR_ALIKE):
        there = f"{subset}; {REPLICATES[floor]}"
        part = scores[(scores["subset"] == there) & scores["metric"].str.startswith("mae")]
        against = differences[(differences["subset"] == there) & (differences["peer"] == floor)]
        if part.empty or against.empty:
            continue
        digits = HEADLINES[str(part["metric"].iloc[0])][1]
        mean = part.set_index("model")["mean"]
        peers = mean[[not name.startswith(("ours", "floor")) for name in mean.index]]
        rows += [
            [
                floor, f"{row['n_rows']} of {row['n_sources']}", f"**{mean[floor]:.{digits}f}**",
                f"{row['ours']}: {mean[row['ours']]:.{digits}f}",
                f"{_with_ends(pd.Series(row), digits)}: {row['verdict']}",
                f"{peers.idxmin()}: {peers.min():.{digits}f}",
            ]
            for row in against.to_dict("records")
        ]  # fmt: skip
    heads = [
        "floor",
        "pellets of sources",
        "error of the floor",
        "ours there",
        "ours minus floor",
        "best peer there",
    ]
    return table(heads, rows) if rows else []


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a Markdown table as lines, followed by an empty line."""
    lines = [heads, ["---"] * len(heads), *rows]
    return [*("| " + " | ".join(cells) + " |" for cells in lines), ""]
