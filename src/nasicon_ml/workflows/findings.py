"""What a finished model is told about itself: findings in its dataset, and rules of the literature it breaks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from nasicon_ml.data.validate import count_problems
from nasicon_ml.evaluation.plausibility import check_plausibility
from nasicon_ml.model import PropertyModel


def with_findings(model: PropertyModel, dataset: Path) -> PropertyModel:
    """Give the model with its metadata completed.

    Parameters
    ----------
    model
        A trained model.
    dataset
        The file it was trained on.
    """
    checked = check_plausibility(model)
    broken = checked[~checked["holds"]]
    metadata = replace(
        model.metadata,
        validation=count_problems(dataset),
        rules_checked=len(checked),
        broken_rules=tuple(broken["rule"]),
        broken_statements=dict(zip(broken["rule"], broken["statement"], strict=True)),
    )
    return replace(model, metadata=metadata)
