"""A dataset with few sources, on which a benchmark takes seconds."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from benchmarks.dataset import OBELIX_FILE
from benchmarks.protocols import LEFT_OUT_PAPER

from nasicon_ml.columns import Column
from nasicon_ml.data.files import PELLETS_FILE, SOURCES_FILE, datasets_folder


@pytest.fixture(scope="session")
def few_sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a dataset with every fourth source and the source that a protocol leaves out."""
    pellets = pd.read_csv(datasets_folder() / PELLETS_FILE, dtype=str, keep_default_na=False)
    kept = {*pellets[Column.SOURCE].unique()[::4], LEFT_OUT_PAPER}
    folder = tmp_path_factory.mktemp("few sources")
    pellets[pellets[Column.SOURCE].isin(kept)].to_csv(folder / PELLETS_FILE, index=False)
    for name in (SOURCES_FILE, OBELIX_FILE):
        shutil.copy(datasets_folder() / name, folder)
    return folder
