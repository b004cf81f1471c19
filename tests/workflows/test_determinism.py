"""The same data, seed and versions give the same bundle, byte for byte, for any threads, hash seed and locale."""

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
def test_bundle_from_another_process_with_other_threads_is_byte_identical(small_dataset, tmp_path):
    """The other process has other numbers of threads, another hash seed, time zone and locale."""
    trained = train(TrainingOptions(folds=3, threads=2), dataset=small_dataset)
    bundle = trained.model.save(tmp_path / "bundle")
    environment = os.environ | {
        "OMP_NUM_THREADS": "2",
        "PYTHONHASHSEED": "11",
        "TZ": "Asia/Tokyo",
        "LC_ALL": "C",
    }
    subprocess.run(
        [sys.executable, "-c", _TRAIN, "1", tmp_path / "other_bundle", tmp_path / "importance.csv", small_dataset],
        env=environment,
        check=True,
        capture_output=True,
    )
    other_bundle = tmp_path / "other_bundle"
    names = {path.name for path in bundle.iterdir()}
    assert names == {path.name for path in other_bundle.iterdir()}
    differing = {name for name in names if (bundle / name).read_bytes() != (other_bundle / name).read_bytes()}
    assert differing <= {MANIFEST}
    first, second = (json.loads((folder / MANIFEST).read_bytes()) for folder in (bundle, other_bundle))
    del first["created"], second["created"]
    assert first == second, "only the creation time may be different"
    assert trained.importance.to_csv() == (tmp_path / "importance.csv").read_text()
