"""The committed champion in a temporary store, and a real server of it; each is created once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nasicon_ml.workflows.predict import default_bundle
from tests.serving.server import CHAMPION, Served, published, serving

#: Forbids MLflow to unpickle anything.
NO_PICKLE = {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}


@pytest.fixture(scope="session")
def bundle() -> Path:
    return default_bundle()


@pytest.fixture(scope="session")
def store(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URI of a store whose champion is the committed model."""
    return published(bundle, tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="session")
def served(store: str) -> Iterator[Served]:
    """The champion, served by `mlflow models serve` with unpickling forbidden."""
    with serving(CHAMPION, store, env=NO_PICKLE) as server:
        yield server
