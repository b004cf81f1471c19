"""The pages without a browser, by Streamlit's AppTest, and as served by the command `nasicon-ml app`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.programs import free_port

SCRIPT = Path(__file__).parents[2] / "src" / "nasicon_ml" / "app" / "main.py"


@pytest.fixture(autouse=True)
def _empty_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every test in an empty folder, with an empty tracking store."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")


@pytest.fixture
def page() -> AppTest:
    return AppTest.from_file(str(SCRIPT), default_timeout=600)


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address at which the real command serves the pages."""
    folder = tmp_path_factory.mktemp("app")
    port = free_port()
    command = [str(Path(sys.executable).parent / "nasicon-ml"), "app", "--no-browser", "--port", str(port)]
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}", "HOME": str(folder)}
    with (folder / "log.txt").open("w") as log:
        program = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}"
            while True:
                assert program.poll() is None, (folder / "log.txt").read_text()
                try:
                    urllib.request.urlopen(f"{url}/_stcore/health").read()  # noqa: S310
                    break
                except OSError:
                    time.sleep(0.2)
            yield url
        finally:
            program.send_signal(signal.SIGTERM)
            program.wait()
