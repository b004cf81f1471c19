"""The command ``nasicon-ml train``: train, score and register a model."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import click

from nasicon_ml.cli.inputs import (
    Function,
    SectionedCommand,
    WholeNumber,
    is_same_or_inside,
    option,
    warn_about_own_pellets,
)
from nasicon_ml.cli.render import ProgressCallback, notify, print_json, progress_bar, score_report
from nasicon_ml.columns import Column
from nasicon_ml.errors import BundleError, MissingExtraError, NasiconError

if TYPE_CHECKING:
    from nasicon_ml.tracking.runs import TrackedRun
    from nasicon_ml.workflows.train import TrainingOptions, TrainingResult

#: Seconds between two lines about the progress without a terminal.
_LINE_EVERY_S = 15.0

_EPILOG = """\b
Examples:
  nasicon-ml train
  nasicon-ml train --add my_pellets.csv --bundle out/lab
  nasicon-ml train --exclude-source raj2023 --no-register
  nasicon-ml train --no-track --bundle out/model --json
  nasicon-ml train --tracking-uri https://mlflow.example.org --experiment lab

Without --tracking-uri (or the variable MLFLOW_TRACKING_URI) the run is kept in mlflow.db and mlartifacts/ in
this folder, and 'mlflow ui' started here shows it. A run that fails or is stopped registers nothing.
Exit code: 0 done; 2 nothing could be trained; 130 stopped with Ctrl-C."""


_DATA, _PROTOCOL, _OUTPUT = "Data", "Protocol", "What is kept"


def _count_option(name: str, smallest: int, default: int, text: str) -> Callable[[Function], Function]:
    return option(
        name, section=_PROTOCOL, type=WholeNumber(smallest), default=default, show_default=True,
        metavar="NUMBER", help=text,
    )  # fmt: skip


@click.command(cls=SectionedCommand, epilog=_EPILOG)
@option("--dataset", section=_DATA, metavar="FILE", help="Pellet table.  [default: the one that comes along]")
@option(
    "--add", section=_DATA, metavar="FILE",
    help="Train with your own pellets, too, as a source of their own. No row of them is recorded or saved.",
)  # fmt: skip
@option("--include-suspect", is_flag=True, section=_DATA, help="Use pellets that are marked suspect, too.")
@option(
    "--exclude-source", "exclude_sources", multiple=True, section=_DATA, metavar="KEY",
    help="Leave a source out altogether; may be repeated.",
)  # fmt: skip
@_count_option("--folds", 2, 10, "Folds of the cross-validation; a source is never divided.")
@_count_option("--repeats", 1, 1, "How often the sources are divided into folds again.")
@_count_option("--seed", 0, 0, "Seed of folds, sampling and tuning.")
@_count_option("--trials", 0, 0, "Optuna trials for each target in each fold; 0: good fixed settings.")
@_count_option("--threads", 1, 2, "Threads; they change no number.")
@option("--bundle", section=_OUTPUT, metavar="FOLDER", help="Save the model as a bundle there, too.")
@option("--no-register", is_flag=True, section=_OUTPUT, help="Record the run, but register no version.")
@option("--no-track", is_flag=True, section=_OUTPUT, help="Record nothing in MLflow.")
@option("--experiment", section=_OUTPUT, metavar="NAME",
        help="MLflow experiment.  [default: MLFLOW_EXPERIMENT_NAME, or nasicon-ml]")  # fmt: skip
@option("--tracking-uri", section=_OUTPUT, metavar="URI", help="MLflow store or server.")
@option("--json", "as_json", is_flag=True, section=_OUTPUT, help="Write JSON to standard output.")
def train(bundle: str | None, no_track: bool, as_json: bool, **given: Any) -> None:
    """Train the models on measured pellets, score them on unseen sources, and record the run in MLflow."""
    if no_track and (given["tracking_uri"] or given["experiment"]):
        raise click.UsageError("--no-track records nothing: it goes with neither --tracking-uri nor --experiment")
    if bundle is not None:
        _check_bundle_folder(
            Path(bundle), {name: given[name.removeprefix("--")] for name in ("--dataset", "--add")}
        )
    if given["add"] is not None:
        _check_added_pellets(given["add"], given["dataset"], given["exclude_sources"])
    refusal = "" if no_track or given["no_register"] else _foreseen_refusal(given)
    if refusal:
        notify(f"note: the gate will refuse this version: {refusal}")
    with progress_bar("training", line_every_s=_LINE_EVERY_S) as progress:
        result, run = _train(given, progress, no_track=no_track)
        if bundle is not None:
            _save_bundle(result, run, bundle)
    if as_json:
        print_json(_training_json(result, run, bundle))
        return
    click.echo(score_report(result))
    for label, text in _result_lines(result, run, bundle, refusal):
        click.echo(f"{label:<9}{text}")


def _training_options(given: Mapping[str, Any]) -> TrainingOptions:
    from nasicon_ml.workflows.train import TrainingOptions

    names = ("folds", "repeats", "seed", "trials", "include_suspect", "exclude_sources", "threads")
    return TrainingOptions(**{name: given[name] for name in names})


def _foreseen_refusal(given: Mapping[str, Any]) -> str:
    """Return why the gate is certain to refuse the new version; empty if it may pass."""
    from nasicon_ml.tracking.promotion import foreseeable_refusal

    inputs = {name: given[name] for name in ("dataset", "add", "tracking_uri")}
    return foreseeable_refusal(_training_options(given), **inputs)


def _train(
    given: dict[str, Any], progress: ProgressCallback, *, no_track: bool
) -> tuple[TrainingResult, TrackedRun | None]:
    from nasicon_ml.workflows.train import train as train_models

    options = _training_options(given)
    added = {} if given["add"] is None else {"add": given["add"]}
    if no_track:
        return train_models(options, dataset=given["dataset"], progress=progress, **added), None
    from nasicon_ml.tracking.runs import run_training
    from nasicon_ml.tracking.store import load_mlflow

    try:
        load_mlflow()
    except MissingExtraError as error:
        raise NasiconError(f"{error}; or record nothing: --no-track") from None
    run = run_training(
        options,
        tracking_uri=given["tracking_uri"],
        experiment=given["experiment"],
        register=not given["no_register"],
        dataset=given["dataset"],
        progress=progress,
        **added,
    )
    return run.result, run


def _save_bundle(result: TrainingResult, run: TrackedRun | None, bundle: str) -> None:
    """Save the bundle; if that fails, name the recorded run and version in the error."""
    try:
        result.model.save(bundle)
    except NasiconError as error:
        if run is None:
            raise
        version = "" if run.version is None else f"; the model is kept as version {run.version}: registry export"
        raise NasiconError(f"{error}; the training is recorded as run {run.run_id}{version}") from error


def _check_added_pellets(add: str, dataset: str | None, excluded: Sequence[str]) -> None:
    """Check the own pellets before the training; raise a usage error for standard input."""
    if add == "-":
        raise click.UsageError("--add: give the name of a file; standard input cannot be read twice")
    from nasicon_ml.data.load import load_pellets
    from nasicon_ml.data.own_pellets import own_pellets, refuse_known_sources

    own, pellets = own_pellets(add), load_pellets(dataset)
    refuse_known_sources(own, set(pellets[Column.SOURCE]) - set(excluded))
    warn_about_own_pellets(add, own, pellets)


def _check_bundle_folder(folder: Path, sources: Mapping[str, str | None]) -> None:
    """Check before the training that a folder can take the bundle, and print a note if one is replaced."""
    from nasicon_ml.bundle.store import refuse_other_folder

    for name, source in sources.items():
        if source is not None and is_same_or_inside(Path(source), folder):
            raise click.UsageError(f"--bundle: {folder} holds the file of {name}, which would be lost")
    try:
        refuse_other_folder(folder)
    except BundleError as error:
        raise click.UsageError(f"--bundle: {error}") from None
    if folder.exists() and any(folder.iterdir()):
        notify(f"note: --bundle {folder}: the bundle that is there will be replaced")


def _added_pellets(options: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the number and checksum of the own pellets in the options of a model; None without own pellets."""
    if "added_pellets" not in options:
        return None
    return {"pellets": options["added_pellets"], "sha256": options["added_sha256"]}


def _result_lines(
    result: TrainingResult, run: TrackedRun | None, bundle: str | None, refusal: str
) -> Iterator[tuple[str, str]]:
    """Yield labels and texts about where the results are; `refusal` is why the gate will refuse the version."""
    added = _added_pellets(result.model.metadata.options)
    if added is not None:
        yield (
            "added",
            f"{added['pellets']} pellets of your own (SHA-256 {added['sha256'][:12]}...); no row is kept",
        )
    yield "dataset", f"{result.dataset_path} (SHA-256 {result.dataset_sha256[:12]}...)"
    if run is not None:
        from nasicon_ml.tracking.registry import CHALLENGER, MODEL_NAME

        yield "run", f"{run.run_id} in experiment {run.experiment!r}"
        if run.version is not None:
            yield "version", f"{run.version} of {MODEL_NAME}, now {CHALLENGER}: models:/{MODEL_NAME}/{run.version}"
            promote = "nasicon-ml registry promote   (compares it with the champion first)"
            yield "next", f"the gate will refuse it: {refusal}" if refusal else promote
        yield "store", run.tracking_uri
        figures = _figures_folder(run.artifact_uri)
        if figures is not None:
            yield "plots", str(figures)
        page = f"#/experiments/{run.experiment_id}?workflowType=machine_learning"
        yield "look", _describe_viewing(run.tracking_uri, page)
    if bundle is not None:
        yield "bundle", f"{bundle}   (nasicon-ml predict --model {shlex.quote(bundle)})"


def _figures_folder(artifact_uri: str) -> Path | None:
    """Return the folder of the figures of a run; None if they are on a server."""
    parts = urlsplit(artifact_uri)
    folder = Path(unquote(parts.path) if parts.scheme == "file" else artifact_uri) / "plots"
    return folder if folder.is_dir() else None


def _describe_viewing(uri: str, page: str) -> str:
    from nasicon_ml.tracking.store import DATABASE, sqlite_path

    if uri.startswith(("http://", "https://")):
        return f"open {uri.rstrip('/')}/{page} in a browser"
    # `mlflow ui` prefers an older folder of runs in the working directory to the database.
    has_older_runs = any(Path("mlruns").glob("*/meta.yaml"))
    is_default = sqlite_path(uri) == (Path.cwd() / DATABASE) and not has_older_runs
    command = "mlflow ui" if is_default else f"mlflow ui --backend-store-uri {shlex.quote(uri)}"
    return f"MLFLOW_DISABLE_TELEMETRY=true {command}   (then open http://127.0.0.1:5000/{page})"


def _training_json(result: TrainingResult, run: TrackedRun | None, bundle: str | None) -> dict[str, Any]:
    """Return the JSON content of ``--json``."""
    recorded = None
    if run is not None:
        names = ("run_id", "experiment", "model_id", "version", "tracking_uri", "artifact_uri")
        recorded = {name: getattr(run, name) for name in names}
    return {
        "schema": "nasicon-ml/training/1",
        "scores": result.scores.to_dict("records"),
        "rows_used": result.rows_used,
        "dataset": {"path": result.dataset_path, "sha256": result.dataset_sha256},
        "options": asdict(result.options),
        "added": _added_pellets(result.model.metadata.options),
        "seconds": round(result.seconds, 1),
        "run": recorded,
        "bundle": bundle,
    }
