"""The committed champion in a store of its own, and the real server of it: both are made once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nasicon_ml.workflows.predict import default_bundle
from tests.serving.server import CHAMPION, Served, published, serving

#: What the issue of safe loading asks for: nothing may need a pickle.
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
    """The champion, served by `mlflow models serve` that may not unpickle anything."""
    with serving(CHAMPION, store, env=NO_PICKLE) as found:
        yield found
