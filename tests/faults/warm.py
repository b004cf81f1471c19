"""A process with everything imported that runs command lines in forked children, so that none has to import.

It reads one JSON object per line from standard input, and answers with one per line:

- ``{"steps": [[...], ...], "folder": ..., "log": ...}`` starts a child that runs these command lines, one after
  the other until one fails, and writes both output streams to the log. Answer: ``{"pid": ...}``. Optional keys:
  ``"env"``, ``"file_size"`` (limit on the files it writes, in bytes), ``"user"`` (user id it switches to),
  ``"set"`` (values of modules, such as ``{"nasicon_ml.tracking.store:FIRST_RESPONSE_TIMEOUT_S": 1}``),
  ``"pretrained_on"`` (a dataset that this process trains on once; the child reuses the result instead of training)
  and ``"fault"`` (see `tests.faults.moments`).
- ``{"wait": pid}`` waits for the end of a child. Answer: ``{"code": ...}``; negative for the signal that killed
  it.

No store is opened before the fork, because children must not share connections.
"""

from __future__ import annotations

import functools
import gc
import importlib
import io
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from tests.faults import moments

#: Number of trees, fewer than in a real training.
TREES = 10
#: Written to the log before and after each command line.
BEGIN_MARKER, END_MARKER = "--- begins", "--- ended with"


def prepare() -> None:
    """Import what a training and the registry need; make trainings small, and log every progress step.

    Modules that are imported late are included: a child with another user id may be unable to read the libraries.
    """
    import encodings.cp437  # noqa: F401  (the names in an archive of arrays)

    import mlflow.models
    import mlflow.pyfunc
    import mlflow.store.model_registry.sqlalchemy_store
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
    import xgboost  # noqa: F401

    import nasicon_ml.cli.predict
    import nasicon_ml.cli.registry
    import nasicon_ml.evaluation.gate
    import nasicon_ml.plots
    import nasicon_ml.tracking.promotion
    import nasicon_ml.workflows.predict  # noqa: F401
    from nasicon_ml.cli import train as train_cli
    from nasicon_ml.tracking import record
    from nasicon_ml.workflows import train as workflow

    vars(train_cli)["_LINE_EVERY_S"] = 0.0
    small_settings = {name: settings.changed(rounds=TREES) for name, settings in workflow.DEFAULT_SETTINGS.items()}
    vars(workflow)["DEFAULT_SETTINGS"] = small_settings
    record.figures = lambda _: [("plots/one.png", empty_figure())]
    empty_figure().savefig(io.BytesIO(), format="png")
    save_dummy_model()
    gc.collect()
    gc.freeze()


def empty_figure() -> Any:
    """Return an empty figure, which replaces the plots of a run."""
    from matplotlib.figure import Figure

    return Figure(figsize=(1, 1))


def save_dummy_model() -> None:
    """Save a model so that MLflow scans the installed packages once, which takes seconds."""
    import mlflow.pyfunc

    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder) / "code.py"
        code.write_text(
            "import mlflow\nclass Dummy(mlflow.pyfunc.PythonModel):\n"
            "    def predict(self, context, model_input):\n        return model_input\n"
            "mlflow.models.set_model(Dummy())\n"
        )
        mlflow.pyfunc.save_model(f"{folder}/model", python_model=str(code), pip_requirements=["numpy"])


@functools.cache
def train_once(dataset: str) -> Any:
    """Train in this process and keep the result for children."""
    from nasicon_ml.workflows.train import TrainingOptions, train

    return train(TrainingOptions(folds=2, threads=1), dataset=dataset)


def run(request: dict[str, Any]) -> int:
    """Run the command lines, in the child; return the exit code of the last one."""
    from nasicon_ml.cli.main import main
    from nasicon_ml.tracking import runs

    if "pretrained_on" in request:
        vars(runs)["train"] = lambda *_, **__: train_once(request["pretrained_on"])
    os.chdir(request["folder"])
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o666)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    os.environ.update(request.get("env", {}))
    if "user" in request:
        os.setgroups([])
        os.setgid(request["user"])
        os.setuid(request["user"])
    if "file_size" in request:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_size"],) * 2)
    for name, value in request.get("set", {}).items():
        module, _, attribute = name.partition(":")
        setattr(importlib.import_module(module), attribute, value)
    if "fault" in request:
        moments.inject(request["fault"])
    code = 0
    for step in request["steps"]:
        log_step(f"{BEGIN_MARKER} {step[0]}")
        sys.argv = ["nasicon-ml", *step]
        code = main()
        sys.stdout.flush()
        log_step(f"{END_MARKER} {code}")
        if code:
            break
    return code


def log_step(text: str) -> None:
    os.write(2, f"{text} at {time.monotonic():.4f}\n".encode())


def serve() -> None:
    """Answer requests until standard input ends."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if not sys.flags.ignore_environment:
        os.environ["MPLBACKEND"] = "Agg"
    from nasicon_ml.tracking.store import load_mlflow

    load_mlflow()
    prepare()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    print(json.dumps({"ready": os.getpid()}), file=answers)
    # Not sys.stdin, whose read-ahead buffer the child would share.
    for line in iter(lambda: read_line(0), b""):
        request = json.loads(line)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), file=answers)
            continue
        if "pretrained_on" in request:
            train_once(request["pretrained_on"])
        child = os.fork()
        if not child:
            run_and_exit(request)
        print(json.dumps({"pid": child}), file=answers)


def run_and_exit(request: dict[str, Any]) -> None:
    """Run the command lines and exit without cleaning up, which would take longer than the test."""
    code = 1
    try:
        code = run(request)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def read_line(descriptor: int) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(descriptor, 1)
        if not byte:
            break
        line += byte
    return line


if __name__ == "__main__":
    serve()
