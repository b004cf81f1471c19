"""What a training run leaves in MLflow: parameters, dataset, tables, figures, bundle, model and metrics."""

from __future__ import annotations

import importlib.metadata
import json
import math
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from nasicon_ml.columns import PELLET, Column, Kind
from nasicon_ml.errors import DatasetError
from nasicon_ml.tracking.registry import BUNDLE_FILES, BUNDLE_IN_RUN, LOGGED_NAME
from nasicon_ml.tracking.signature import BUNDLE, input_example, recipe_columns, requirements, signature

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nasicon_ml.model import PropertyModel
    from nasicon_ml.tracking.store import Store
    from nasicon_ml.workflows.train import TrainingOptions, TrainingResult

#: MLflow keeps at most so many characters of a dataset's digest; the whole checksum is a tag of the run.
_DIGEST_LENGTH = 36
_PACKAGE = Path(__file__).resolve().parents[1]
#: The tag of a run that registers a bundle made elsewhere, and of its version: when that was made.
IMPORTED = "imported_bundle_of"
#: How `nasicon_ml.evaluation.scores` calls the model itself and all scored rows; that module is imported late.
_FULL, _ALL = "full", "all"
#: Columns of the scores that the page of a run shows.
_NOTED = ("target", "model", "metric", "value", "n_rows", "n_sources")


def start_tags(options: TrainingOptions) -> dict[str, str]:
    """Return the tags that are known before training: who, with which code, by which protocol."""
    from mlflow.tracking.context.registry import resolve_tags

    tags = {key: str(value) for key, value in resolve_tags().items()}
    tags["mlflow.source.name"] = "nasicon-ml train"
    # MLflow would name the repository of whatever program runs; what counts is this package's.
    tags.pop("mlflow.source.git.commit", None)
    tags |= code_version()
    if "git_commit" in tags:
        tags["mlflow.source.git.commit"] = tags["git_commit"]
    return tags | {"protocol": protocol(options)}


def protocol(options: TrainingOptions) -> str:
    """Return in one line how the scores of a run came about, as its model card does."""
    from nasicon_ml.bundle.card import protocol as described

    return described(options.recorded())


def code_version() -> dict[str, str]:
    """Return the version of this package, and its git commit if it runs from its own repository."""
    versions = {"nasicon_ml_version": "not installed"}
    with suppress(importlib.metadata.PackageNotFoundError):
        versions["nasicon_ml_version"] = importlib.metadata.version("nasicon-ml")
    # There may be no git, or the package was installed from a file.
    with suppress(OSError, subprocess.SubprocessError):
        if _git("ls-files", "--error-unmatch", "__init__.py"):
            versions["git_commit"] = _git("rev-parse", "HEAD")
            versions["git_changed"] = str(bool(_git("status", "--porcelain", "--", "."))).lower()
    return versions


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(_PACKAGE), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()


def option_params(options: TrainingOptions) -> dict[str, str]:
    """Return the training options as parameters of a run."""
    return {
        name: ", ".join(value) or "none" if isinstance(value, tuple) else str(value)
        for name, value in asdict(options).items()
    }


def hyperparameters(result: TrainingResult) -> dict[str, str]:
    """Return every setting of the final trees of each target."""
    return {
        f"{target}.{name}": _shown(value)
        for target, settings in result.settings.items()
        for name, value in asdict(settings).items()
    }


def _shown(value: object) -> str:
    """Write a setting: a number, a name, names, or features with their directions."""
    if isinstance(value, tuple):
        return ", ".join(one if isinstance(one, str) else f"{one[0]} {one[1]:+d}" for one in value) or "none"
    return value if isinstance(value, str) else f"{value:g}"


def added_params(result: TrainingResult) -> dict[str, str]:
    """Return all that is recorded of own pellets: how many, and a checksum; nothing where there were none."""
    kept = ("added_pellets", "added_sha256")
    return {name: str(value) for name, value in result.model.metadata.options.items() if name in kept}


def metrics(result: TrainingResult) -> dict[str, float]:
    """Name the scores of a run: ``target.metric`` for the model itself on all rows.

    Subset and baseline stand between the two, in this order: ``conductivity.median.mae_decades``,
    ``conductivity.system.LATP.mae_decades``, ``conductivity.system.LATP.composition_only.mae_decades``. How many
    pellets and sources were scored is ``conductivity.pellets``, ``conductivity.system.LATP.pellets``. Scores that
    cannot be computed (one class, one value) are left out.
    """
    systems = set(result.out_of_fold[Column.SYSTEM].dropna())
    named: dict[str, float] = {}
    for row in result.scores.to_dict("records"):
        where = ".".join([_slug(row["target"]), *_subset_parts(str(row["subset"]), systems)])
        if row["model"] == _FULL:
            named |= {f"{where}.pellets": float(row["n_rows"]), f"{where}.sources": float(row["n_sources"])}
        else:
            where = f"{where}.{_slug(row['model'])}"
        named[f"{where}.{_slug(row['metric'])}"] = float(row["value"])
    named["training.seconds"] = result.seconds
    return {name: value for name, value in named.items() if math.isfinite(value)}


def _subset_parts(subset: str, systems: set[str]) -> list[str]:
    """Return what stands for a subset in the name of a metric: nothing for all rows."""
    if subset == _ALL:
        return []
    return ["system", re.sub(r"[^\w-]+", "_", subset)] if subset in systems else [_slug(subset)]


def _slug(words: object) -> str:
    """Return words as a name for MLflow, which takes no signs such as > or °."""
    text = str(words).lower().replace(">", " over ").replace("<", " under ")
    return re.sub(r"[^a-z0-9]+", "_", text).strip("_") or "other"


def headline(scores: pd.DataFrame) -> dict[str, str]:
    """Return the scores of the model itself on all rows, rounded, as tags of a version."""
    chosen = scores[(scores["model"] == _FULL) & (scores["subset"] == _ALL)]
    return {f"{row['target']}.{row['metric']}": f"{row['value']:.4g}" for row in chosen.to_dict("records")}


def figures(result: TrainingResult) -> Iterator[tuple[str, Figure]]:
    """Draw everything that can be drawn of a run; yields the name of the file and the figure.

    Figures show the rows that the scores of the subset "all" are made of; those by system show sodium, too.
    """
    from nasicon_ml import plots
    from nasicon_ml.evaluation.coverage import coverage_curves, domain_curve
    from nasicon_ml.evaluation.scores import ALL, SODIUM, scored_subsets

    drawings: dict[str, Callable[[], Figure]] = {}
    for target in ("conductivity", "relative_density", "phase_purity"):
        subsets = scored_subsets(result.out_of_fold, target)
        rows = subsets[ALL]
        near = "near room temperature" if target == "conductivity" else ""
        subset = f"lithium pellets {near}".rstrip()
        if target == "phase_purity":
            drawings[f"{target}_reliability"] = partial(plots.reliability, rows, subset=subset)
        else:
            everything = pd.concat([rows, *(part for name, part in subsets.items() if name == SODIUM)])
            drawings[f"{target}_parity"] = partial(plots.parity, rows, target, subset=subset)
            drawings[f"{target}_intervals"] = partial(plots.interval_calibration, rows, target, subset=subset)
            curves = coverage_curves(result.out_of_fold, target)
            drawings[f"{target}_coverage"] = partial(plots.coverage_curves, curves, target)
            drawings[f"{target}_by_system"] = partial(plots.residuals_by_system, everything, target, subset=near)
        drawings[f"{target}_domain"] = partial(
            plots.error_by_domain, domain_curve(result.out_of_fold, target), target
        )
        drawings[f"{target}_importance"] = partial(plots.importance, result.importance, target)
    for name, draw in drawings.items():
        try:
            yield f"plots/{name}.png", draw()
        except DatasetError:  # too few rows of that target for this figure
            continue


def log_dataset(store: Store, run_id: str, result: TrainingResult) -> None:
    """Name the dataset as the run's input, with the vocabulary as its schema."""
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.types import ColSpec, Schema

    types = {Kind.NUMBER: "double", Kind.FLAG: "boolean"}
    schema = Schema([ColSpec(types.get(column.kind, "string"), column.value, required=False) for column in PELLET])
    profile = {"sha256": result.dataset_sha256, "pellets_used": result.rows_used}
    dataset = Dataset(
        name=Path(result.dataset_path).stem,
        digest=result.dataset_sha256[:_DIGEST_LENGTH],
        source_type="local",
        source=json.dumps({"uri": Path(result.dataset_path).absolute().as_uri()}),
        schema=json.dumps({"mlflow_colspec": schema.to_dict()}),
        profile=json.dumps(profile),
    )
    with store.alone():  # MLflow looks first whether another run has named it, and then adds it
        store.client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])


def log_model(run_id: str, model_id: str, bundle: Path) -> None:
    """Log the bundle as a model that MLflow can load and serve, as code and without pickle."""
    import mlflow.pyfunc
    from mlflow.models import Model

    path = sys.path[:]
    try:
        Model.log(
            artifact_path=None,
            name=LOGGED_NAME,
            model_id=model_id,
            run_id=run_id,
            flavor=mlflow.pyfunc,
            python_model=str(_PACKAGE / "tracking" / "pyfunc_model.py"),
            artifacts={BUNDLE: str(bundle)},
            code_paths=[str(_PACKAGE)],
            signature=signature(),
            metadata={"recipe_columns": recipe_columns()},
            input_example=input_example(),
            pip_requirements=requirements(),
        )
    finally:
        sys.path[:] = path  # MLflow tries the model out, and leaves its draft's folder on the path


def log_tables(store: Store, run_id: str, result: TrainingResult) -> None:
    """Log scores, out-of-fold predictions, folds and importance as tables that MLflow shows."""
    tables = {
        "scores": result.scores,
        "out_of_fold": result.out_of_fold,
        "folds": result.folds,
        "importance": result.importance,
    }
    for name, table in tables.items():
        plain = table.set_axis([str(column) for column in table.columns], axis=1).reset_index(drop=True)
        store.client.log_table(run_id, plain, f"tables/{name}.json")


def log_result(
    store: Store, run_id: str, model_id: str, result: TrainingResult, report: Callable[[str, float], None]
) -> None:
    """Log everything a training gave; `report` is called with a message and the share done."""
    client = store.client
    report("recording tables", 0.0)
    log_params(store, run_id, hyperparameters(result) | added_params(result))
    log_dataset(store, run_id, result)
    client.set_tag(run_id, "dataset_sha256", result.dataset_sha256)
    client.set_tag(run_id, "mlflow.note.content", _note(result))
    log_tables(store, run_id, result)
    report("recording figures", 0.2)
    for name, figure in figures(result):
        client.log_figure(run_id, figure, name)
    report("recording the model", 0.5)
    log_bundle(store, run_id, model_id, result.model)
    report("recording scores", 0.9)
    _log_metrics(store, run_id, model_id, result)


def log_bundle(store: Store, run_id: str, model_id: str, model: PropertyModel) -> None:
    """Log a model twice: as a bundle of the run, and as a model that MLflow can load and serve."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / BUNDLE
        model.save(bundle)
        store.client.set_tag(run_id, BUNDLE_FILES, bundle_files(bundle))
        store.client.log_artifacts(run_id, str(bundle), BUNDLE_IN_RUN)
        log_model(run_id, model_id, bundle)


def bundle_files(bundle: Path) -> str:
    """List the files of a bundle with their sizes in bytes, so that a version that lost some can be told."""
    return json.dumps({path.name: path.stat().st_size for path in sorted(bundle.iterdir())})


def log_params(store: Store, run_id: str, values: Mapping[str, str]) -> None:
    """Log parameters of a run."""
    from mlflow.entities import Param

    store.client.log_batch(run_id, params=[Param(name, value) for name, value in values.items()])


def _log_metrics(store: Store, run_id: str, model_id: str, result: TrainingResult) -> None:
    """Log the scores for the run and, in the same step, for its model and dataset."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    dataset = {
        "dataset_name": Path(result.dataset_path).stem,
        "dataset_digest": result.dataset_sha256[:_DIGEST_LENGTH],
    }
    entities = [
        Metric(name, value, now, 0, model_id=model_id, run_id=run_id, **dataset)
        for name, value in metrics(result).items()
    ]
    for start in range(0, len(entities), 500):  # MLflow takes at most 1000 at a time
        store.client.log_batch(run_id, metrics=entities[start : start + 500])


def _note(result: TrainingResult) -> str:
    """Write the description that the page of a run opens with."""
    chosen = result.scores[result.scores["subset"] == _ALL]
    lines = [
        "Scores on sources the model has not seen.",
        "",
        "| target | model | metric | value | pellets | sources |",
        "|---|---|---|---|---|---|",
    ]
    for row in chosen.to_dict("records"):
        cells = [f"{row[name]:.3g}" if name == "value" else str(row[name]) for name in _NOTED]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
