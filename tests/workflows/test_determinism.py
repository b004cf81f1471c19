"""Same data, seed and versions: the same bundle, byte for byte, whatever the threads and the order of hashing."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from nasicon_ml.bundle.store import MANIFEST
from nasicon_ml.workflows.train import TrainingOptions, train

_TRAIN = """
import sys
from nasicon_ml.workflows.train import TrainingOptions, train
result = train(TrainingOptions(folds=3, threads=int(sys.argv[1])), dataset=sys.argv[4])
result.model.save(sys.argv[2])
result.importance.to_csv(sys.argv[3])
"""


@pytest.mark.slow
def test_another_process_with_other_threads_makes_the_same_bundle(small_dataset, tmp_path):
    """That of the tests' own process has two threads for its folds, one of OpenMP, another order of hashing."""
    trained = train(TrainingOptions(folds=3, threads=2), dataset=small_dataset)
    here = trained.model.save(tmp_path / "here")
    environment = os.environ | {
        "OMP_NUM_THREADS": "2",
        "PYTHONHASHSEED": "11",
        "TZ": "Asia/Tokyo",
        "LC_ALL": "C",
    }
    subprocess.run(
        [sys.executable, "-c", _TRAIN, "1", tmp_path / "there", tmp_path / "importance.csv", small_dataset],
        env=environment,
        check=True,
        capture_output=True,
    )
    there = tmp_path / "there"
    names = {path.name for path in here.iterdir()}
    assert names == {path.name for path in there.iterdir()}
    differ = {name for name in names if (here / name).read_bytes() != (there / name).read_bytes()}
    assert differ <= {MANIFEST}
    first, second = (json.loads((folder / MANIFEST).read_bytes()) for folder in (here, there))
    del first["created"], second["created"]
    assert first == second, "only the time of making may differ"
    assert trained.importance.to_csv() == (tmp_path / "importance.csv").read_text()
