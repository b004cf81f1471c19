"""A training on the small dataset, done once, and the progress that it reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from nasicon_ml.workflows.train import TrainingOptions, TrainingResult, train


@pytest.fixture(scope="session")
def progress() -> list[tuple[str, float]]:
    """Messages and shares done that the training on the small dataset reports."""
    return []


@pytest.fixture(scope="session")
def small_training(small_dataset: Path, progress: list[tuple[str, float]]) -> TrainingResult:
    """Result of a training on the small dataset."""
    return train(
        TrainingOptions(folds=2),
        dataset=small_dataset,
        progress=lambda message, share: progress.append((message, share)),
    )
