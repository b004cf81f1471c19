"""Under MLflow's autologging, the boosters that this package fits are not logged as runs."""

from __future__ import annotations

import mlflow
import numpy as np
import pytest

from nasicon_ml import DensityRegressor, load_pellets
from nasicon_ml.estimators.boosting import without_autologging
from nasicon_ml.workflows.train import train


@pytest.fixture
def autologging(tmp_path, empty_database, monkeypatch):
    (tmp_path / "mlflow.db").write_bytes(empty_database.read_bytes())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    mlflow.xgboost.autolog(silent=True, log_models=False)
    yield
    mlflow.xgboost.autolog(disable=True)


@pytest.mark.usefixtures("autologging")
def test_fit_creates_no_runs_under_autologging():
    pellets = load_pellets().dropna(subset=["relative_density_pct"]).head(40)
    DensityRegressor().fit(pellets, pellets["relative_density_pct"].to_numpy())
    assert len(mlflow.search_runs(search_all_experiments=True)) == 0
    import xgboost as xgb

    matrix = xgb.DMatrix(np.zeros((4, 1)), label=np.zeros(4))
    with without_autologging():
        xgb.train({}, matrix, num_boost_round=1)
    assert len(mlflow.search_runs(search_all_experiments=True)) == 0
    xgb.train({}, matrix, num_boost_round=1)  # direct calls of XGBoost are still logged
    assert len(mlflow.search_runs(search_all_experiments=True)) == 1


def test_train_disables_autologging(monkeypatch):
    calls = []

    class AutologgingUtils:
        @staticmethod
        def disable_autologging():
            calls.append(True)
            raise InterruptedError

    monkeypatch.setitem(__import__("sys").modules, "mlflow.utils.autologging_utils", AutologgingUtils)
    with pytest.raises(InterruptedError):
        train()
    assert calls == [True]
