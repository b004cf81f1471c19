"""``nasicon-ml train``: dataset in; scores, an MLflow run and a registered model out."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import click

from nasicon_ml.cli.inputs import Function, SectionedCommand, Whole, is_part_of, option, say_of_own
from nasicon_ml.cli.render import Step, print_json, progress, say, score_report
from nasicon_ml.columns import Column
from nasicon_ml.errors import BundleError, MissingExtraError, NasiconError

if TYPE_CHECKING:
    from nasicon_ml.tracking.runs import TrackedRun
    from nasicon_ml.workflows.train import TrainingOptions, TrainingResult

#: Seconds between two lines about the progress where there is no terminal to draw a bar on.
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


def _count(name: str, smallest: int, default: int, text: str, section: str) -> Callable[[Function], Function]:
    return option(
        name, section=section, type=Whole(smallest), default=default, show_default=True,
        metavar="NUMBER", help=text,
    )  # fmt: skip


_DATA, _PROTOCOL, _KEPT = "Data", "Protocol", "What is kept"


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
@_count("--folds", 2, 10, "Folds of the cross-validation; a source is never divided.", _PROTOCOL)
@_count("--repeats", 1, 1, "How often the sources are dealt into folds anew.", _PROTOCOL)
@_count("--seed", 0, 0, "Seed of folds, sampling and tuning.", _PROTOCOL)
@_count("--trials", 0, 0, "Optuna trials for each target in each fold; 0: good fixed settings.", _PROTOCOL)
@_count("--threads", 1, 2, "Threads; they change no number.", _PROTOCOL)
@option("--bundle", section=_KEPT, metavar="FOLDER", help="Save the model as a bundle there, too.")
@option("--no-register", is_flag=True, section=_KEPT, help="Record the run, but register no version.")
@option("--no-track", is_flag=True, section=_KEPT, help="Record nothing in MLflow.")
@option("--experiment", section=_KEPT, metavar="NAME",
        help="MLflow experiment.  [default: MLFLOW_EXPERIMENT_NAME, or nasicon-ml]")  # fmt: skip
@option("--tracking-uri", section=_KEPT, metavar="URI", help="MLflow store or server.")
@option("--json", "as_json", is_flag=True, section=_KEPT, help="Write JSON to standard output.")
def train(bundle: str | None, no_track: bool, as_json: bool, **given: Any) -> None:
    """Train the models on measured pellets, score them on unseen sources, and record the run in MLflow."""
    if no_track and (given["tracking_uri"] or given["experiment"]):
        raise click.UsageError("--no-track records nothing: it goes with neither --tracking-uri nor --experiment")
    if bundle is not None:
        _check_bundle_folder(
            Path(bundle), {name: given[name.removeprefix("--")] for name in ("--dataset", "--add")}
        )
    if given["add"] is not None:
        _check_added(given["add"], given["dataset"], given["exclude_sources"])
    refused = "" if no_track or given["no_register"] else _foreseen(given)
    if refused:
        say(f"note: the gate will refuse this version: {refused}")
    with progress("training", line_every_s=_LINE_EVERY_S) as step:
        result, run = _train(given, step, no_track=no_track)
        if bundle is not None:
            _save_bundle(result, run, bundle)
    if as_json:
        print_json(_content(result, run, bundle))
        return
    click.echo(score_report(result))
    for label, text in _places(result, run, bundle, refused):
        click.echo(f"{label:<9}{text}")


def _options(given: Mapping[str, Any]) -> TrainingOptions:
    from nasicon_ml.workflows.train import TrainingOptions

    names = ("folds", "repeats", "seed", "trials", "include_suspect", "exclude_sources", "threads")
    return TrainingOptions(**{name: given[name] for name in names})


def _foreseen(given: Mapping[str, Any]) -> str:
    """Say before the training why the gate could never let its version pass; empty if it might."""
    from nasicon_ml.tracking.promotion import foreseeable_refusal

    where = {name: given[name] for name in ("dataset", "add", "tracking_uri")}
    return foreseeable_refusal(_options(given), **where)


def _train(given: dict[str, Any], step: Step, *, no_track: bool) -> tuple[TrainingResult, TrackedRun | None]:
    from nasicon_ml.workflows.train import train as train_models

    options = _options(given)
    added = {} if given["add"] is None else {"add": given["add"]}
    if no_track:
        return train_models(options, dataset=given["dataset"], progress=step, **added), None
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
        progress=step,
        **added,
    )
    return run.result, run


def _save_bundle(result: TrainingResult, run: TrackedRun | None, bundle: str) -> None:
    """Save the bundle; if that fails, say what is kept all the same."""
    try:
        result.model.save(bundle)
    except NasiconError as error:
        if run is None:
            raise
        version = "" if run.version is None else f"; the model is kept as version {run.version}: registry export"
        raise NasiconError(f"{error}; the training is recorded as run {run.run_id}{version}") from error


def _check_added(add: str, dataset: str | None, left_out: Sequence[str]) -> None:
    """Refuse bad rows before the run begins, and standard input, which can be read only once."""
    if add == "-":
        raise click.UsageError("--add: give the name of a file; standard input cannot be read twice")
    from nasicon_ml.data.load import load_pellets
    from nasicon_ml.data.own_pellets import own_pellets, refuse_known_sources

    own, pellets = own_pellets(add), load_pellets(dataset)
    refuse_known_sources(own, set(pellets[Column.SOURCE]) - set(left_out))
    say_of_own(add, own, pellets)


def _check_bundle_folder(folder: Path, sources: Mapping[str, str | None]) -> None:
    """Refuse a folder with other things in it now, not after all the training; say if a bundle is replaced."""
    from nasicon_ml.bundle.store import refuse_other_folder

    for name, source in sources.items():
        if source is not None and is_part_of(Path(source), folder):
            raise click.UsageError(f"--bundle: {folder} holds the file of {name}, which would be lost")
    try:
        refuse_other_folder(folder)
    except BundleError as error:
        raise click.UsageError(f"--bundle: {error}") from None
    if folder.exists() and any(folder.iterdir()):
        say(f"note: --bundle {folder}: the bundle that is there will be replaced")


def _added(options: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a model's options keep of own pellets: their number and a checksum."""
    if "added_pellets" not in options:
        return None
    return {"pellets": options["added_pellets"], "sha256": options["added_sha256"]}


def _places(
    result: TrainingResult, run: TrackedRun | None, bundle: str | None, refused: str
) -> Iterator[tuple[str, str]]:
    """Return where everything is, as pairs of a label and a text; `refused` says why no gate lets it pass."""
    added = _added(result.model.metadata.options)
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
            yield "next", f"the gate will refuse it: {refused}" if refused else promote
        yield "store", run.tracking_uri
        plots = _plots_folder(run.artifact_uri)
        if plots is not None:
            yield "plots", str(plots)
        page = f"#/experiments/{run.experiment_id}?workflowType=machine_learning"
        yield "look", _how_to_look(run.tracking_uri, page)
    if bundle is not None:
        yield "bundle", f"{bundle}   (nasicon-ml predict --model {shlex.quote(bundle)})"


def _plots_folder(artifact_uri: str) -> Path | None:
    """Return the folder of a run's figures; None where a server keeps them."""
    parts = urlsplit(artifact_uri)
    folder = Path(unquote(parts.path) if parts.scheme == "file" else artifact_uri) / "plots"
    return folder if folder.is_dir() else None


def _how_to_look(uri: str, page: str) -> str:
    from nasicon_ml.tracking.store import DATABASE, sqlite_path

    if uri.startswith(("http://", "https://")):
        return f"open {uri.rstrip('/')}/{page} in a browser"
    # With an older folder of runs beside it, `mlflow ui` would open that one.
    has_older = any(Path("mlruns").glob("*/meta.yaml"))
    is_here = sqlite_path(uri) == (Path.cwd() / DATABASE) and not has_older
    command = "mlflow ui" if is_here else f"mlflow ui --backend-store-uri {shlex.quote(uri)}"
    return f"MLFLOW_DISABLE_TELEMETRY=true {command}   (then open http://127.0.0.1:5000/{page})"


def _content(result: TrainingResult, run: TrackedRun | None, bundle: str | None) -> dict[str, Any]:
    """Return everything that ``--json`` prints."""
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
        "added": _added(result.model.metadata.options),
        "seconds": round(result.seconds, 1),
        "run": recorded,
        "bundle": bundle,
    }
