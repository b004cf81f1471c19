"""The Spark example of docs/clusters.md; skipped unless pyspark and Java are installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nasicon_ml.recipe import read_batch
from nasicon_ml.tracking.runs import import_bundle
from nasicon_ml.workflows.predict import default_bundle, predict

PAGE = Path(__file__).resolve().parents[2] / "docs" / "clusters.md"


@pytest.mark.slow
def test_spark_predictions_equal_those_of_predict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyspark")
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    (code,) = re.findall(r"```python\n(import mlflow.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.chdir(tmp_path)
    version = import_bundle(default_bundle(), tracking_uri=store)
    code = code.replace("@champion", f"/{version.version}")
    table = pd.DataFrame(
        {
            "formula": [f"LATP x={0.1 + 0.001 * row:.3f}" for row in range(200)],
            "sintering_temperature_c": np.arange(700.0, 900.0),
            "atmosphere": ["Ar", None] * 100,
        }
    )
    table.to_parquet("recipes.parquet")
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": store,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_SUBMIT_ARGS": "--conf spark.ui.enabled=false pyspark-shell",
    }
    completed = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert completed.returncode == 0, completed.stderr[-3000:]
    result = pd.read_parquet("answers.parquet").sort_values("formula")
    expected = predict(read_batch(table).table).results
    for column in ("predicted_conductivity_s_cm", "predicted_relative_density_pct", "inside_domain"):
        assert np.array_equal(result[column].to_numpy(), expected[column].to_numpy()), column
