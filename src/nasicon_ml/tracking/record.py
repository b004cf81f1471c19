"""Log a training run to MLflow: parameters, dataset, tables, figures, bundle, model and metrics."""

from __future__ import annotations

import importlib.metadata
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from nasicon_ml import plots
from nasicon_ml.bundle.card import protocol
from nasicon_ml.columns import PELLET
from nasicon_ml.errors import DatasetError
from nasicon_ml.evaluation.scores import (
    ALL,
    FULL,
    SODIUM,
    coverage_curves,
    domain_curve,
    fold_scores,
    scored_subsets,
)
from nasicon_ml.model import PropertyModel
from nasicon_ml.tracking.registry import BUNDLE_FILES, BUNDLE_IN_RUN, MODEL_NAME
from nasicon_ml.tracking.signature import (
    BUNDLE,
    MLFLOW_TYPES,
    input_example,
    recipe_columns,
    requirements,
    signature,
)
from nasicon_ml.tracking.store import Store
from nasicon_ml.workflows.train import TrainingOptions, TrainingResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Longest dataset digest that MLflow accepts; the full checksum is a tag of the run.
_DIGEST_LENGTH = 36
_PACKAGE = Path(__file__).resolve().parents[1]
#: Tag of a run that imports a bundle, and of its version: when the bundle was made.
IMPORTED_TAG = "imported_bundle_of"
#: Tag that MLflow shows as the description of a run or a logged model.
DESCRIPTION = "mlflow.note.content"
#: Scores that are logged as metrics of a run, for its charts; the table ``scores`` has all of them.
CHARTED_METRICS = (
    "conductivity.mae_decades", "conductivity.r2", "conductivity.coverage_90", "conductivity.width_90_decades",
    "relative_density.mae_points", "relative_density.r2", "relative_density.coverage_90",
    "phase_purity.brier", "phase_purity.brier_skill", "phase_purity.auroc", "phase_purity.ece",
    "activation_energy.mae_ev",
)  # fmt: skip
_MAX_NAMED_SOURCES = 3


def start_tags(options: TrainingOptions) -> dict[str, str]:
    """Return the tags that are known before training: user, code version and protocol."""
    from mlflow.tracking.context.registry import resolve_tags

    tags = {key: str(value) for key, value in resolve_tags().items()}
    tags["mlflow.source.name"] = "nasicon-ml train"
    # MLflow records the commit of the running program's repository instead of this package's.
    tags.pop("mlflow.source.git.commit", None)
    tags |= code_version()
    if "git_commit" in tags:
        tags["mlflow.source.git.commit"] = tags["git_commit"]
    return tags | {"protocol": protocol(options.recorded())}


def run_name(options: TrainingOptions, dataset: str | Path | None, add: str | Path | None) -> str:
    """Return a short description of a training: "own pellets of lab.csv, seed 7, 10 folds"."""
    excluded = options.exclude_sources
    parts = {
        f"own pellets of {Path(add or '').name}": add is not None,
        f"dataset {Path(dataset or '').name}": dataset is not None,
        f"tuned, {options.trials} trials": options.trials > 0,
        "with suspect pellets": options.include_suspect,
        f"without {', '.join(excluded)}": 0 < len(excluded) <= _MAX_NAMED_SOURCES,
        f"without {len(excluded)} sources": len(excluded) > _MAX_NAMED_SOURCES,
        f"seed {options.seed}, {options.folds} folds": True,
        f"{options.repeats} repeats": options.repeats > 1,
    }
    return ", ".join(part for part, applies in parts.items() if applies)


def code_version() -> dict[str, str]:
    """Return the version of this package, and its git commit if it is run from its repository."""
    versions = {"nasicon_ml_version": "not installed"}
    with suppress(importlib.metadata.PackageNotFoundError):
        versions["nasicon_ml_version"] = importlib.metadata.version("nasicon-ml")
    # Without git, or with an installed package, there is no commit to record.
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
    """Return all settings of each target's final boosted trees."""
    return {
        f"{target}.{name}": _format_setting(value)
        for target, settings in result.settings.items()
        for name, value in asdict(settings).items()
    }


def _format_setting(value: object) -> str:
    """Return a setting as text: a number, a name, a tuple of names, or features with their directions."""
    if isinstance(value, tuple):
        return ", ".join(item if isinstance(item, str) else f"{item[0]} {item[1]:+d}" for item in value) or "none"
    return value if isinstance(value, str) else f"{value:g}"


def added_params(result: TrainingResult) -> dict[str, str]:
    """Return the number and checksum of the own pellets; empty without own pellets."""
    names = ("added_pellets", "added_sha256")
    return {name: str(value) for name, value in result.model.metadata.options.items() if name in names}


def metrics(result: TrainingResult) -> dict[str, float]:
    """Return the `CHARTED_METRICS` of a run: scores of the full model on all rows, named ``target.metric``.

    Scores that cannot be computed (one class, one value) are left out.
    """
    scores = {f"{row['target']}.{row['metric']}": float(row["value"]) for row in _full_model_scores(result.scores)}
    return {name: scores[name] for name in CHARTED_METRICS if name in scores and math.isfinite(scores[name])}


def _full_model_scores(scores: pd.DataFrame) -> list[dict[Hashable, Any]]:
    """Return the scores of the full model on all rows."""
    return scores[(scores["model"] == FULL) & (scores["subset"] == ALL)].to_dict("records")


def score_tags(scores: pd.DataFrame) -> dict[str, str]:
    """Return the scores of the full model on all rows, rounded, as tags of a version."""
    return {f"{row['target']}.{row['metric']}": f"{row['value']:.4g}" for row in _full_model_scores(scores)}


def figures(result: TrainingResult) -> Iterator[tuple[str, Figure]]:
    """Yield file name and figure of each plot of a run.

    The plots show the rows of the subset "all"; the residuals by system also include sodium pellets.
    """
    drawings: dict[str, Callable[[], Figure]] = {}
    for target in ("conductivity", "relative_density", "phase_purity"):
        subsets = scored_subsets(result.out_of_fold, target)
        rows = subsets[ALL]
        temperature = "near room temperature" if target == "conductivity" else ""
        subset = f"lithium pellets {temperature}".rstrip()
        if target == "phase_purity":
            drawings[f"{target}_reliability"] = partial(plots.reliability, rows, subset=subset)
        else:
            with_sodium = pd.concat([rows, *(part for name, part in subsets.items() if name == SODIUM)])
            drawings[f"{target}_parity"] = partial(plots.parity, rows, target, subset=subset)
            drawings[f"{target}_intervals"] = partial(plots.interval_calibration, rows, target, subset=subset)
            curves = coverage_curves(result.out_of_fold, target)
            drawings[f"{target}_coverage"] = partial(plots.coverage_curves, curves, target)
            drawings[f"{target}_by_system"] = partial(
                plots.residuals_by_system, with_sodium, target, subset=temperature
            )
        drawings[f"{target}_domain"] = partial(
            plots.error_by_domain, domain_curve(result.out_of_fold, target), target
        )
        drawings[f"{target}_importance"] = partial(plots.importance, result.importance, target)
    for name, draw in drawings.items():
        try:
            yield f"plots/{name}.png", draw()
        except DatasetError:  # the target has too few rows for this figure
            continue


def log_dataset(store: Store, run_id: str, result: TrainingResult) -> None:
    """Log the dataset as the run's input, with the column vocabulary as its schema."""
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.types import ColSpec, Schema

    schema = Schema(
        [ColSpec(MLFLOW_TYPES.get(column.kind, "string"), column.value, required=False) for column in PELLET]
    )
    dataset = Dataset(
        name=Path(result.dataset_path).stem,
        digest=result.dataset_sha256[:_DIGEST_LENGTH],
        source_type="local",
        source=json.dumps({"uri": Path(result.dataset_path).absolute().as_uri()}),
        schema=json.dumps({"mlflow_colspec": schema.to_dict()}),
        profile=json.dumps({"sha256": result.dataset_sha256, "pellets_used": result.rows_used}),
    )
    with store.exclusive():  # MLflow checks whether the dataset exists, and then adds it
        store.client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])


def log_model(run_id: str, model_id: str, bundle: Path) -> None:
    """Log the bundle as a model that MLflow can load and serve, from code and without pickle."""
    import mlflow.pyfunc
    from mlflow.models import Model

    path = sys.path[:]
    try:
        Model.log(
            artifact_path=None,
            name=MODEL_NAME,
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
        sys.path[:] = path  # MLflow loads the model as a test, and leaves a temporary folder on the path


def log_tables(store: Store, run_id: str, result: TrainingResult) -> None:
    """Log scores, out-of-fold predictions, folds, trials and importance as MLflow tables."""
    tables = {
        "scores": result.scores,
        "fold_scores": fold_scores(result.out_of_fold),
        "out_of_fold": result.out_of_fold,
        "folds": result.folds,
        "importance": result.importance,
    } | ({} if result.trials.empty else {"trials": result.trials})
    for name, table in tables.items():
        plain_table = table.set_axis(table.columns.map(str), axis=1).reset_index(drop=True)
        store.client.log_table(run_id, plain_table, f"tables/{name}.json")


def log_result(
    store: Store, run_id: str, model_id: str, result: TrainingResult, report: Callable[[str, float], None]
) -> None:
    """Log the result of a training; `report` is called with a message and the fraction done."""
    client = store.client
    report("recording tables", 0.0)
    log_params(store, run_id, hyperparameters(result) | added_params(result))
    log_dataset(store, run_id, result)
    client.set_tag(run_id, "dataset_sha256", result.dataset_sha256)
    text = description(str(client.get_run(run_id).info.run_name), result.scores)
    client.set_tag(run_id, DESCRIPTION, text)
    client.set_logged_model_tags(model_id, {DESCRIPTION: text})
    log_tables(store, run_id, result)
    report("recording figures", 0.2)
    for name, figure in figures(result):
        client.log_figure(run_id, figure, name)
    report("recording the model", 0.5)
    log_bundle(store, run_id, model_id, result.model)
    report("recording scores", 0.9)
    _log_metrics(store, run_id, model_id, result)


def log_bundle(store: Store, run_id: str, model_id: str, model: PropertyModel) -> None:
    """Log a model twice: as the run's bundle, and as a model that MLflow can load and serve."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / BUNDLE
        model.save(bundle)
        sizes = {path.name: path.stat().st_size for path in sorted(bundle.iterdir())}
        store.client.set_tag(run_id, BUNDLE_FILES, json.dumps(sizes))
        store.client.log_artifacts(run_id, str(bundle), BUNDLE_IN_RUN)
        log_model(run_id, model_id, bundle)


def log_params(store: Store, run_id: str, values: Mapping[str, str]) -> None:
    """Log the parameters of a run."""
    from mlflow.entities import Param

    store.client.log_batch(run_id, params=[Param(name, value) for name, value in values.items()])


def _log_metrics(store: Store, run_id: str, model_id: str, result: TrainingResult) -> None:
    """Log the metrics of the run, linked to its model and dataset."""
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
    store.client.log_batch(run_id, metrics=entities)


def description(title: str, scores: pd.DataFrame) -> str:
    """Return the Markdown description of a run, its model and its version: a title and a table of scores."""
    scores = scores[scores["subset"] == ALL]
    counts = scores.groupby(["target", "metric"], sort=False)[["n_rows", "n_sources"]].max()
    values = scores.pivot_table("value", ["target", "metric"], "model").reindex(counts.index)
    values = values.reindex(columns=[FULL, *values.columns.drop(FULL, errors="ignore")])
    values = values.rename(columns={FULL: "whole recipe"})
    headers = ["target", "metric", *values.columns, "pellets", "sources"]
    lines = [f"{title[:1].upper()}{title[1:]}.", "", "Scores on sources the model has not seen:", ""]
    lines += [f"| {' | '.join(headers)} |", "|---" * len(headers) + "|"]
    for row in values.join(counts).reset_index().itertuples(index=False):
        cells = [f"{value:.3g}" if isinstance(value, float) else str(value) for value in row]
        lines.append(f"| {' | '.join(cells)} |".replace(" nan ", "  "))
    return "\n".join([*lines, "", "Scores by system and subset: artifacts, `tables/scores.json`."])
