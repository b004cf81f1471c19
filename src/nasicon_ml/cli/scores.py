"""The scores of a training run as a table of text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import pandas as pd

    from nasicon_ml.workflows.train import TrainingResult

_MODELS = {"full": "whole recipe", "composition only": "composition", "median": "median"}
#: The subsets shown, and how each is headed.
_SUBSETS = {
    "all": "{target}",
    "sintering temperature given": "{target}, sintering temperature given",
    "away from room temperature": "Conductivity away from room temperature",
}
_TARGETS = {
    "conductivity": "Conductivity near room temperature",
    "relative_density": "Relative density",
    "phase_purity": "Phase purity",
    "activation_energy": "Activation energy",
}
#: How a score is written: words, unit, decimals.
_METRICS = {
    "mae_decades": ("mean |error|", "decades", 3),
    "median_ae_decades": ("median |error|", "decades", 3),
    "mae_points": ("mean |error|", "points", 2),
    "median_ae_points": ("median |error|", "points", 2),
    "mae_ev": ("mean |error|", "eV", 3),
    "median_ae_ev": ("median |error|", "eV", 3),
    "r2": ("R²", "", 3),
    "coverage_50": ("inside their 50 % interval", "%", 1),
    "width_50_decades": ("mean width of the 50 % interval", "decades", 2),
    "width_50_points": ("mean width of the 50 % interval", "points", 1),
    "coverage_80": ("inside their 80 % interval", "%", 1),
    "width_80_decades": ("mean width of the 80 % interval", "decades", 2),
    "width_80_points": ("mean width of the 80 % interval", "points", 1),
    "coverage_90": ("inside their 90 % interval", "%", 1),
    "width_90_decades": ("mean width of the 90 % interval", "decades", 2),
    "width_90_points": ("mean width of the 90 % interval", "points", 1),
    "auroc": ("area under the ROC curve", "", 3),
    "brier": ("Brier score (0 is best)", "", 3),
    "brier_skill": ("Brier skill (above 0 beats the base rate)", "", 3),
    "ece": ("calibration error", "", 3),
    "ece_by_chance": ("what chance alone makes of it", "", 3),
}
_FIRST, _OTHER = 52, 14


def score_report(result: TrainingResult) -> str:
    """Write the scores by target: the model, the same without processing, and the median, side by side.

    Parameters
    ----------
    result
        Of a training run; the subsets of `_SUBSETS` are shown.

    Returns
    -------
    str
        Lines of at most 94 characters.
    """
    options = result.options
    times = f", dealt {options.repeats} times" if options.repeats > 1 else ""
    lines = [
        click.style("Scores on sources that the models have not seen", bold=True)
        + f" ({options.folds}-fold cross-validation{times}, seed {options.seed})",
        "",
    ]
    for target in dict.fromkeys(result.scores["target"]):
        for subset, heading in _SUBSETS.items():
            chosen = result.scores[(result.scores["target"] == target) & (result.scores["subset"] == subset)]
            if not chosen.empty:
                name = heading.format(target=_TARGETS.get(target, target))
                lines += [*_block(chosen, name), ""]
    lines.append(f"Scores by system: nasicon-ml train --json. Trained in {_duration(result.seconds)}.")
    return "\n".join(lines) + "\n"


def _block(scores: pd.DataFrame, name: str) -> list[str]:
    counts = f"{scores['n_rows'].max():,} pellets of {scores['n_sources'].max():,} sources"
    models = [model for model in _MODELS if model in set(scores["model"])]
    is_probability = "brier" in set(scores["metric"])
    heads = ["base rate" if is_probability and model == "median" else _MODELS[model] for model in models]
    lines = [click.style(name, bold=True) + f": {counts}", _line("", heads)]
    for metric, rows in scores.groupby("metric", sort=False):
        values = dict(zip(rows["model"], rows["value"], strict=True))
        if metric == "auroc":
            values.pop("median", None)  # one rate for all ranks nothing
        words, unit, decimals = _METRICS.get(str(metric), (str(metric), "", 3))
        factor = 100 if unit == "%" else 1
        cells = [f"{factor * values[model]:.{decimals}f}" if model in values else "" for model in models]
        lines.append(_line(f"  {words}{f' ({unit})' if unit else ''}", cells))
    return lines


def _line(first: str, others: Sequence[str]) -> str:
    return f"{first:<{_FIRST}}{''.join(f'{other:>{_OTHER}}' for other in others)}".rstrip()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
