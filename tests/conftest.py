"""Settings, hooks and fixtures for all tests: results do not depend on how pytest was started."""

from __future__ import annotations

import importlib
import logging
import os
import pkgutil
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import is_hypothesis_test, settings

import nasicon_ml
from tests.fuzz.tally import TALLY

if TYPE_CHECKING:
    from nasicon_ml.workflows.train import TrainingResult

# No deadline, because the machine may be busy. By default every run draws the same examples, so that results are
# reproducible; `--hypothesis-profile=random` draws new ones.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("random", deadline=None)
settings.load_profile("repeatable")

os.environ["MPLBACKEND"] = "Agg"  # also inherited by programs that tests start; needs no display
# The pytest workers already use all cores; OpenMP threads would double the processor time. Read on import.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A background job starts with SIGINT ignored. Programs that tests start and stop would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
for _number in (signal.SIGTERM, signal.SIGCHLD):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.SIG_DFL)

#: Whether all quick tests of the fuzz suite are selected, so that its minimum number of inputs is required.
WHOLE_FUZZ_SUITE = pytest.StashKey[bool]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Record whether the whole fuzz suite is selected; import the package before property-based tests.

    Hypothesis also draws constants of the imported modules of a project, so its examples would depend on the tests
    that ran before.
    """
    if any(is_hypothesis_test(getattr(item, "function", None)) for item in session.items):
        logging.disable(logging.WARNING)  # Streamlit warns that it is not running
        try:
            with warnings.catch_warnings(action="ignore"):  # raised on import of MLflow's modules
                for module in pkgutil.walk_packages(nasicon_ml.__path__, "nasicon_ml."):
                    if module.name != "nasicon_ml.app.main":  # a script that only Streamlit can run
                        with suppress(ImportError):  # an optional dependency is not installed
                            importlib.import_module(module.name)
        finally:
            logging.disable(logging.NOTSET)
    folder = Path(__file__).parent / "fuzz"
    selected = {item.path for item in session.items}
    quick = {path for path in folder.glob("test_*.py") if path.stem not in {"test_million", "test_process"}}
    session.config.stash[WHOLE_FUZZ_SUITE] = quick <= selected and not session.config.getoption("keyword")


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Add the malformed inputs counted by a worker to the total."""
    output = getattr(node, "workeroutput", {})
    TALLY.merge(output.get("tally", {}))
    node.config.stash[WHOLE_FUZZ_SUITE] = output.get("whole_fuzz_suite", False)  # type: ignore[attr-defined]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Pass on the counts of this worker; fail a whole fuzz suite with too few malformed inputs."""
    whole = session.config.stash.get(WHOLE_FUZZ_SUITE, False)
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput |= {"tally": TALLY.to_json(), "whole_fuzz_suite": whole}
    elif whole and not session.config.option.collectonly and TALLY.too_few():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Report the number of malformed inputs and their outcomes."""
    if TALLY.total():
        terminalreporter.section("fuzz: malformed input in numbers")
        for line in TALLY.lines():
            terminalreporter.write_line(line)
        if terminalreporter.config.stash.get(WHOLE_FUZZ_SUITE, False):
            for line in TALLY.too_few():
                terminalreporter.write_line(f"FAILED: {line}", red=True)


@pytest.fixture
def _tracking_uri_is_restored() -> Iterator[None]:
    """Fail a test that leaves MLflow's tracking URI set, since later tests would use that store."""

    def is_set() -> bool:
        return "mlflow" in sys.modules and sys.modules["mlflow"].is_tracking_uri_set()

    before = is_set()
    yield
    assert is_set() == before, "mlflow.set_tracking_uri() was called and not undone"


@pytest.fixture(autouse=True)
def _no_user_settings(_tracking_uri_is_restored: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset the developer's environment variables for the tracking server and the dataset folder."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_ID", "NASICON_ML_DATASETS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def trained() -> TrainingResult:
    """Train on the whole dataset, with few folds so that it takes only seconds."""
    from nasicon_ml.workflows.train import TrainingOptions, train

    return train(TrainingOptions(folds=3))


@pytest.fixture(scope="session")
def small_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV file with every fourth source that states a sintering temperature."""
    import pandas as pd

    from nasicon_ml.columns import Column
    from nasicon_ml.data.files import PELLETS_FILE, datasets_folder

    frame = pd.read_csv(datasets_folder() / PELLETS_FILE, dtype=str, keep_default_na=False)
    sources = sorted(frame.loc[frame[Column.SINTERING_TEMPERATURE_C] != "", Column.SOURCE].unique())[::4]
    path = tmp_path_factory.mktemp("dataset") / "small.csv"
    frame[frame[Column.SOURCE].isin(sources)].to_csv(path, index=False)
    return path
