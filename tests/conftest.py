"""What every test may rely on: no run of the suite depends on the machine's settings or leaves anything behind."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from nasicon_ml.workflows.train import TrainingResult

# Examples may be slow on a busy machine, which is no defect; in CI they are the same in every run.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")

os.environ["MPLBACKEND"] = "Agg"  # also for the programs that tests start: no display is needed


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep a developer's tracking server and dataset folder out of the tests."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_ID", "NASICON_ML_DATASETS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def trained() -> TrainingResult:
    """Train for real on the whole dataset, with few folds so that it takes seconds."""
    from nasicon_ml.workflows.train import TrainingOptions, train

    return train(TrainingOptions(folds=3))
