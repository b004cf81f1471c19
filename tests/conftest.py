"""What every test may rely on: nothing depends on how the suite was started, and nothing is left behind."""

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

# Examples may be slow on a busy machine, which is no defect. They are the same in every run, so that tests which
# passed pass again; those of `--hypothesis-profile=random` find what these do not.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("random", deadline=None)
settings.load_profile("repeatable")

os.environ["MPLBACKEND"] = "Agg"  # also for the programs that tests start: no display is needed
# Workers share the cores already: threads that wait for one another take twice the processor time. Read on import.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A job in the background is started with SIGINT ignored, and so would be the programs that tests start and stop.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
for _number in (signal.SIGTERM, signal.SIGCHLD):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.SIG_DFL)

#: Whether every quick test of the fuzz suite was asked for, so that its figures can be held to what it promises.
WHOLE_FUZZ_SUITE = pytest.StashKey[bool]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note whether the whole fuzz suite is to be run; import the package before property-based tests.

    Hypothesis also draws constants of the imported modules of a project, so its examples would depend on the tests
    that ran before.
    """
    if any(is_hypothesis_test(getattr(item, "function", None)) for item in session.items):
        logging.disable(logging.WARNING)  # Streamlit reports that it does not run
        try:
            with warnings.catch_warnings(action="ignore"):  # those of MLflow's own modules
                for module in pkgutil.walk_packages(nasicon_ml.__path__, "nasicon_ml."):
                    if module.name != "nasicon_ml.app.main":  # a page, which Streamlit runs
                        with suppress(ImportError):  # of a part that is not installed
                            importlib.import_module(module.name)
        finally:
            logging.disable(logging.NOTSET)
    folder = Path(__file__).parent / "fuzz"
    asked = {item.path for item in session.items}
    quick = {path for path in folder.glob("test_*.py") if path.stem not in {"test_million", "test_process"}}
    session.config.stash[WHOLE_FUZZ_SUITE] = quick <= asked and not session.config.getoption("keyword")


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Add the malformed inputs that a worker has counted to those of the others."""
    output = getattr(node, "workeroutput", {})
    TALLY.merge(output.get("tally", {}))
    node.config.stash[WHOLE_FUZZ_SUITE] = output.get("whole_fuzz_suite", False)  # type: ignore[attr-defined]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand over what this worker has counted; a whole suite that counts too few malformed inputs fails."""
    whole = session.config.stash.get(WHOLE_FUZZ_SUITE, False)
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput |= {"tally": TALLY.to_json(), "whole_fuzz_suite": whole}
    elif whole and not session.config.option.collectonly and TALLY.too_few():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show how many malformed inputs there were, and how they ended."""
    if TALLY.total():
        terminalreporter.section("fuzz: malformed input in numbers")
        for line in TALLY.lines():
            terminalreporter.write_line(line)
        if terminalreporter.config.stash.get(WHOLE_FUZZ_SUITE, False):
            for line in TALLY.too_few():
                terminalreporter.write_line(f"FAILED: {line}", red=True)


@pytest.fixture
def _no_store_stays() -> Iterator[None]:
    """Fail a test that leaves MLflow with a store of its own, in which later tests would look."""

    def is_set() -> bool:
        return "mlflow" in sys.modules and sys.modules["mlflow"].is_tracking_uri_set()

    before = is_set()
    yield
    assert is_set() == before, "mlflow.set_tracking_uri() was called and not undone"


@pytest.fixture(autouse=True)
def _own_settings(_no_store_stays: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep a developer's tracking server and dataset folder out of the tests."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_ID", "NASICON_ML_DATASETS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def trained() -> TrainingResult:
    """Train for real on the whole dataset, with few folds so that it takes seconds."""
    from nasicon_ml.workflows.train import TrainingOptions, train

    return train(TrainingOptions(folds=3))


@pytest.fixture(scope="session")
def small_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every fourth source that states a sintering temperature, as a file of its own."""
    import pandas as pd

    from nasicon_ml.columns import Column
    from nasicon_ml.data.files import PELLETS_FILE, datasets_folder

    frame = pd.read_csv(datasets_folder() / PELLETS_FILE, dtype=str, keep_default_na=False)
    sources = sorted(frame.loc[frame[Column.SINTERING_TEMPERATURE_C] != "", Column.SOURCE].unique())[::4]
    path = tmp_path_factory.mktemp("dataset") / "small.csv"
    frame[frame[Column.SOURCE].isin(sources)].to_csv(path, index=False)
    return path
