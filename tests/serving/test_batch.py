"""`mlflow models predict` and `mlflow.pyfunc.load_model`, in programs with unpickling forbidden."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nasicon_ml.columns import PREDICTION, Column
from nasicon_ml.recipe import read_batch
from nasicon_ml.workflows.predict import predict
from tests.serving.conftest import NO_PICKLE
from tests.serving.server import CHAMPION

pytestmark = pytest.mark.slow

PROGRAMS = Path(sys.executable).parent
ROWS = [{"formula": "LTP"}, {"formula": "LATP x=0.3", "sintering_temperature_c": 900, "atmosphere": "Ar"}]
CSV = "formula,sintering_temperature_c,atmosphere\nLTP,,\nLATP x=0.3,900,Ar\n"


def environment(store: str) -> dict[str, str]:
    settings = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
    return settings | NO_PICKLE | {
        "MLFLOW_TRACKING_URI": store,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONWARNINGS": "ignore",
    }  # fmt: skip


def models_predict(store: str, folder: Path, content: str, kind: str) -> subprocess.CompletedProcess[str]:
    (folder / "in").write_text(content, encoding="utf-8")
    command = [
        str(PROGRAMS / "mlflow"), "models", "predict", "-m", CHAMPION, "--env-manager", "local",
        "-i", "in", "-o", "out", "-t", kind,
    ]  # fmt: skip
    return subprocess.run(command, cwd=folder, env=environment(store), capture_output=True, text=True, check=False)


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_models_predict_equals_predict(kind: str, store: str, bundle: Path, tmp_path: Path) -> None:
    content = CSV if kind == "csv" else json.dumps({"dataframe_records": ROWS, "params": {"level": 0.5}})
    completed = models_predict(store, tmp_path, content, kind)
    assert completed.returncode == 0, completed.stderr
    result = pd.DataFrame(json.loads((tmp_path / "out").read_text())["predictions"])
    assert result.columns.tolist() == [column.value for column in PREDICTION]
    level = 0.9 if kind == "csv" else 0.5
    expected = predict(read_batch(pd.DataFrame(ROWS)).table, bundle, level=level).results
    for column in (Column.PREDICTED_CONDUCTIVITY_LOWER_S_CM, Column.PREDICTED_PHASE_PURITY):
        np.testing.assert_allclose(result[column], expected[column], rtol=1e-9)


AUDITED_SCRIPT = """
import json, sys
unpickled = []
sys.addaudithook(lambda event, args: unpickled.append(args) if event == "pickle.find_class" else None)
import mlflow, pandas
model = mlflow.pyfunc.load_model("models:/nasicon-recipe@champion")
result = model.predict(pandas.DataFrame([{"formula": "LTP"}]))
import pickle
print(json.dumps([len(result), [str(args) for args in unpickled]]))
pickle.loads(pickle.dumps(print))
assert unpickled  # the audit hook works
"""


def test_pyfunc_load_model_unpickles_nothing(store: str, tmp_path: Path) -> None:
    completed = subprocess.run(
        [sys.executable, "-c", AUDITED_SCRIPT], cwd=tmp_path, env=environment(store),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert completed.returncode == 0, completed.stderr
    assert json.loads(completed.stdout.splitlines()[-1]) == [1, []]
