"""A program with everything imported, which runs command lines in children: so each costs no imports.

It reads one JSON object a line from standard input, and answers with one a line:

- ``{"steps": [[...], ...], "folder": ..., "log": ...}`` starts a child that runs these command lines one after the
  other until one fails, with standard output and standard error in the file. Optional keys: ``"env"``,
  ``"file_size"`` (limit on the files it writes, in bytes), ``"user"`` (user id it switches to), ``"set"`` (values
  of modules, such as ``{"nasicon_ml.tracking.store:FIRST_RESPONSE_TIMEOUT_S": 1}``), ``"ready"`` (a dataset that
  this program trains on once, so that the child's training is instant) and ``"fault"`` (see
  `tests.faults.moments`). Answer: ``{"pid": ...}``.
- ``{"wait": pid}`` waits for its end. Answer: ``{"code": ...}``, negative for the signal that killed it.

No store is opened here before a child is made: its connections must not be shared.
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

#: Fewer trees than a real training has.
ROUNDS = 10
#: Written to the log before each command line, and where it ends.
BEGIN, END = "--- begins", "--- ended with"


def prepare() -> None:
    """Import what a training and the registry need; make trainings small and their progress visible.

    Also what is imported on the way: a child that becomes another user may be unable to read the libraries.
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
    from nasicon_ml.cli import train as verb
    from nasicon_ml.tracking import record
    from nasicon_ml.workflows import train as workflow

    vars(verb)["_LINE_EVERY_S"] = 0.0
    few = {name: settings.changed(rounds=ROUNDS) for name, settings in workflow.DEFAULT_SETTINGS.items()}
    vars(workflow)["DEFAULT_SETTINGS"] = few
    record.figures = lambda _: [("plots/one.png", figure())]
    figure().savefig(io.BytesIO(), format="png")
    save_a_model()
    gc.collect()
    gc.freeze()


def figure() -> Any:
    """Make an empty figure, instead of all that a run has."""
    from matplotlib.figure import Figure

    return Figure(figsize=(1, 1))


def save_a_model() -> None:
    """Let MLflow look once through all that is installed, which takes seconds."""
    import mlflow.pyfunc

    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder) / "code.py"
        code.write_text(
            "import mlflow\nclass Nothing(mlflow.pyfunc.PythonModel):\n"
            "    def predict(self, context, model_input):\n        return model_input\n"
            "mlflow.models.set_model(Nothing())\n"
        )
        mlflow.pyfunc.save_model(f"{folder}/model", python_model=str(code), pip_requirements=["numpy"])


@functools.cache
def trained(dataset: str) -> Any:
    """Train here, for children that are to be stopped later than in training."""
    from nasicon_ml.workflows.train import TrainingOptions, train

    return train(TrainingOptions(folds=2, threads=1), dataset=dataset)


def run(wanted: dict[str, Any]) -> int:
    """Run the command lines, in the child; return the exit code of the last one."""
    from nasicon_ml.cli.main import main
    from nasicon_ml.tracking import runs

    if "ready" in wanted:
        vars(runs)["train"] = lambda *_, **__: trained(wanted["ready"])
    os.chdir(wanted["folder"])
    log = os.open(wanted["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o666)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    os.environ.update(wanted.get("env", {}))
    if "user" in wanted:
        os.setgroups([])
        os.setgid(wanted["user"])
        os.setuid(wanted["user"])
    if "file_size" in wanted:
        resource.setrlimit(resource.RLIMIT_FSIZE, (wanted["file_size"],) * 2)
    for name, value in wanted.get("set", {}).items():
        module, _, attribute = name.partition(":")
        setattr(importlib.import_module(module), attribute, value)
    if "fault" in wanted:
        moments.inject(wanted["fault"])
    code = 0
    for step in wanted["steps"]:
        say(f"{BEGIN} {step[0]}")
        sys.argv = ["nasicon-ml", *step]
        code = main()
        sys.stdout.flush()
        say(f"{END} {code}")
        if code:
            break
    return code


def say(text: str) -> None:
    os.write(2, f"{text} at {time.monotonic():.4f}\n".encode())


def serve() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if not sys.flags.ignore_environment:
        os.environ["MPLBACKEND"] = "Agg"
    from nasicon_ml.tracking.store import load_mlflow

    load_mlflow()
    prepare()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    print(json.dumps({"ready": os.getpid()}), file=answers)
    # Not sys.stdin: a child must not share what is read ahead.
    for line in iter(lambda: read_line(0), b""):
        wanted = json.loads(line)
        if "wait" in wanted:
            _, status = os.waitpid(wanted["wait"], 0)
            print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), file=answers)
            continue
        if "ready" in wanted:
            trained(wanted["ready"])
        child = os.fork()
        if not child:
            end(wanted)
        print(json.dumps({"pid": child}), file=answers)


def end(wanted: dict[str, Any]) -> None:
    """Run the command lines and end at once: unloading all that was imported takes longer than the test."""
    code = 1
    try:
        code = run(wanted)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def read_line(descriptor: int) -> bytes:
    found = b""
    while not found.endswith(b"\n"):
        piece = os.read(descriptor, 1)
        if not piece:
            break
        found += piece
    return found


if __name__ == "__main__":
    serve()
