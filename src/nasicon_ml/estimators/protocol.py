"""Says in one line how the scores of a model came about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def protocol(options: Mapping[str, Any]) -> str:
    """Describe the protocol; runs with equal lines can be compared.

    Parameters
    ----------
    options
        What `nasicon_ml.workflows.train.TrainingOptions.recorded` gives, as in a model's metadata.
    """
    repeats, trials = options.get("repeats", 1), options.get("trials", 0)
    times = f", dealt {repeats} times" if repeats > 1 else ""
    tuned = f", settings tuned in each fold by {trials} trials" if trials else ", fixed settings"
    suspect = "with" if options.get("include_suspect") else "without"
    sources = options.get("exclude_sources", ())
    left_out = f", without {', '.join(sources)}" if sources else ""
    return (
        f"{options.get('folds', 'unknown')}-fold cross-validation by source{times}, "
        f"seed {options.get('seed', 'unknown')}{tuned}, {suspect} suspect pellets{left_out}"
    )
