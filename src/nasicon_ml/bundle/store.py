"""Writing and reading of bundles: folders of arrays, JSON, CSV and Markdown. Nothing in them is executed.

```
manifest.json    format version, time of training, SHA-256 of every other file
model.json       features, priors, intervals, calibration, domain, training options, scores
*.npz            the trees of each target, arrays of NumPy; *.ubj of XGBoost until format 2
pellets.csv      the training pellets, for neighbours and distances
out_of_fold.csv  predictions of the training for held-out sources; since format 2
card.md          the model card
card.json        the same for programs; since format 2
```

A bundle may be untrusted. Every file is read once and compared with the manifest (`nasicon_ml.bundle.manifest`);
then its content is checked while it is parsed, because checksums can be recomputed after a change. The out-of-fold
predictions are parsed when they are first used. The cards are written and never read.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nasicon_ml.bundle.card import card_content, card_markdown
from nasicon_ml.bundle.manifest import MANIFEST as MANIFEST  # noqa: PLC0414 -- part of this module
from nasicon_ml.bundle.manifest import CheckedFiles, read_files, write_manifest
from nasicon_ml.bundle.out_of_fold import NO_ROWS
from nasicon_ml.bundle.parts import ModelMetadata, ModelParts
from nasicon_ml.bundle.schema import check_model_json
from nasicon_ml.checks import check_columns
from nasicon_ml.columns import NEW_IN_0_2, PELLET, Column
from nasicon_ml.composition import occupancies
from nasicon_ml.errors import BundleError, NasiconError
from nasicon_ml.estimators.domain import Domain
from nasicon_ml.estimators.own_pellets import OwnKernel
from nasicon_ml.estimators.priors import Prior
from nasicon_ml.estimators.rule_scope import RuleScope
from nasicon_ml.estimators.targets import TARGETS, TargetName
from nasicon_ml.estimators.uncertainty import BetaCalibration, ConformalScores, IntervalModel, Spread
from nasicon_ml.io.csv import read_exact_csv
from nasicon_ml.io.structured import dump_json, load_json
from nasicon_ml.trees.arrays import convert_ubj_to_json, from_json, read_npz, write_npz
from nasicon_ml.trees.ensemble import TreeEnsemble

FORMAT_VERSION = 3
_MODEL, _PELLETS, _OUT_OF_FOLD = "model.json", "pellets.csv", "out_of_fold.csv"
_CARD, _CARD_JSON = "card.md", "card.json"
#: Columns of `pellets.csv`: all, or those of version 0.1 if the others are empty.
_HEADERS = (list(map(str, PELLET)), [str(column) for column in PELLET if column not in NEW_IN_0_2])
_TREES = {name: f"{name}.npz" for name in TargetName}
_XGBOOST_TREES = {name: f"{name}.ubj" for name in TargetName}
_COMMON_FILES = (_MODEL, _PELLETS, _CARD)
#: The files of each format, without the manifest.
FILES = {
    1: (*_COMMON_FILES, *_XGBOOST_TREES.values()),
    2: (*_COMMON_FILES, *_XGBOOST_TREES.values(), _OUT_OF_FOLD, _CARD_JSON),
    FORMAT_VERSION: (*_COMMON_FILES, *_TREES.values(), _OUT_OF_FOLD, _CARD_JSON),
}


#: Age from which a draft is abandoned; writing a bundle takes about a second.
_ABANDONED_AFTER_S = 3600
#: Largest number of characters of a file shown in a message.
_MOST_SHOWN = 400


def save_bundle(model: ModelParts, folder: str | Path) -> Path:
    """Write a model as a bundle; the folder appears complete or not at all.

    Parameters
    ----------
    model
        The model.
    folder
        The folder to write. An existing bundle is replaced; any other folder that is not empty is refused.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    BundleError
        If the folder contains something else, or cannot be written.
    """
    folder = Path(folder)
    refuse_other_folder(folder)
    card = card_content(model)
    files = model_files(model) | {_CARD: card_markdown(card).encode("utf-8"), _CARD_JSON: dump_json(card)}
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{folder.name}-draft-"
        _remove_old_drafts(folder.parent, prefix)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=prefix) as draft_name:
            draft = Path(draft_name) / "bundle"
            draft.mkdir()
            for name, content in files.items():
                (draft / name).write_bytes(content)
            write_manifest(draft, FORMAT_VERSION, model.metadata.created, files)
            _put_in_place(draft, folder, Path(draft_name) / "old")
    except OSError as error:
        raise BundleError(f"{folder} cannot be written: {error.strerror or error}") from error
    return folder


def refuse_other_folder(folder: Path) -> None:
    """Raise if writing a bundle would delete anything but an older bundle.

    Raises
    ------
    BundleError
        If there is a file, or a folder that contains anything but an older bundle.
    """
    if not folder.exists():
        return
    if not folder.is_dir() or (any(folder.iterdir()) and not (folder / MANIFEST).is_file()):
        raise BundleError(f"{folder} exists and is not a model bundle; choose another folder or remove it")
    others = {entry.name for entry in folder.iterdir()} - {MANIFEST}.union(*FILES.values())
    if others:
        raise BundleError(
            f"{folder} holds, beside an older bundle, {min(others)!r}, which would be lost; choose another folder"
        )


def _remove_old_drafts(parent: Path, prefix: str) -> None:
    """Remove drafts of killed programs, except those that contain the old content of the folder."""
    for entry in parent.iterdir():
        is_draft = entry.name.startswith(prefix) and not (entry / "old").exists()
        if is_draft and time.time() - entry.stat().st_mtime > _ABANDONED_AFTER_S:
            shutil.rmtree(entry, ignore_errors=True)


def _put_in_place(draft: Path, folder: Path, old: Path) -> None:
    """Move an existing folder to `old` and the draft to the folder; move `old` back if that fails."""
    existed = folder.exists()
    if existed:
        folder.replace(old)
    try:
        draft.replace(folder)
    except OSError:
        if existed:
            old.replace(folder)
        raise


def load_bundle(folder: str | Path) -> ModelParts:
    """Read a bundle; every file is compared with the manifest before it is parsed.

    Raises
    ------
    BundleError
        If the folder is not a bundle; if a file is missing, additional, changed, too large, not a regular file or
        has invalid content; or if the format is newer than this version reads.
    """
    return _model(read_files(Path(folder), FILES))


def _model(files: CheckedFiles) -> ModelParts:
    content = _read_model_json(files)
    metadata = content["metadata"] | {"created": files.created}
    for name in ("scores", "broken_rules"):
        metadata[name] = tuple(metadata.get(name, ()))
    scopes = metadata.get("broken_scopes", {})
    metadata["broken_scopes"] = {name: RuleScope.from_json(scope) for name, scope in scopes.items()}
    return ModelParts(
        boosters=_read_trees(files, len(content["feature_names"])),
        feature_set=content["feature_set"],
        feature_names=tuple(content["feature_names"]),
        intervals={
            TargetName(name): _interval_from_json(name, data) for name, data in content["intervals"].items()
        },
        calibration=BetaCalibration.from_json(content["calibration"]),
        domain=Domain.from_json(content["domain"]),
        pellets=_read_pellets(files),
        metadata=ModelMetadata(**metadata),
        priors={
            TargetName(name): Prior.from_json(TargetName(name), prior)
            for name, prior in content.get("priors", {}).items()
        },
        # Older bundles have none; own pellets then raise an error.
        own={TargetName(name): OwnKernel(**kernel) for name, kernel in content.get("own", {}).items()},
        out_of_fold_csv=_read_out_of_fold(files),
    )


def model_files(model: ModelParts) -> dict[str, bytes]:
    """Return the files of a bundle that determine predictions: name -> content, without cards and manifest."""
    has_later_columns = model.pellets.reindex(columns=list(NEW_IN_0_2)).notna().any(axis=None)
    header = _HEADERS[0] if has_later_columns else _HEADERS[1]
    pellets = model.pellets.to_csv(index=False, columns=header, lineterminator="\n")
    files = {_TREES[name]: write_npz(trees.arrays) for name, trees in model.boosters.items()}
    return files | {
        _MODEL: dump_json(_model_json(model)),
        _PELLETS: pellets.encode("utf-8"),
        _OUT_OF_FOLD: model.out_of_fold_csv.encode("utf-8"),
    }


def model_from_files(files: Mapping[str, bytes]) -> ModelParts:
    """Return the model from the output of `model_files`, read as from a bundle, without its time of training.

    Raises
    ------
    BundleError
        If a file has invalid content.
    """
    return _model(CheckedFiles(Path(), FORMAT_VERSION, "", files))


def _model_json(model: ModelParts) -> dict[str, Any]:
    metadata = asdict(model.metadata)
    del metadata["created"]  # is part of the manifest
    for name in ("validation", "broken_scopes"):
        if not metadata[name]:
            del metadata[name]  # keeps the files of older models unchanged
    return {
        "targets": _scales(),
        "feature_set": model.feature_set,
        "feature_names": list(model.feature_names),
        "intervals": {str(name): _interval_to_json(interval) for name, interval in model.intervals.items()},
        "calibration": asdict(model.calibration),
        "domain": model.domain.to_json(),
        "priors": {str(name): prior.to_json() for name, prior in model.priors.items()},
        "own": {str(name): asdict(kernel) for name, kernel in model.own.items()},
        "metadata": metadata,
    }


def _read_model_json(files: CheckedFiles) -> dict[str, Any]:
    with _naming_file(files, _MODEL):
        content: Any = load_json(files.content[_MODEL].decode("utf-8"), finite=True)
        scales = content.get("targets") if isinstance(content, dict) else None
        if isinstance(scales, dict) and scales != _scales():
            raise BundleError(
                f"{files.folder / _MODEL} learned on other scales ({_shortened(str(scales))}) "
                f"than this version ({_scales()})"
            )
        check_model_json(content)
    return dict(content)


def _shortened(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def _scales() -> dict[str, str]:
    return {str(name): target.scale for name, target in TARGETS.items()}


def _read_trees(files: CheckedFiles, n_features: int) -> dict[TargetName, TreeEnsemble]:
    trees = {}
    if files.format_version < FORMAT_VERSION:
        with _naming_file(files, " or ".join(_XGBOOST_TREES.values())):
            texts = convert_ubj_to_json({name: files.content[file] for name, file in _XGBOOST_TREES.items()})
        for name, file in _XGBOOST_TREES.items():
            with _naming_file(files, file):
                arrays = from_json(texts[name])
                arrays.check(n_features)
                trees[name] = TreeEnsemble(arrays)
        return trees
    for name, file in _TREES.items():
        with _naming_file(files, file):
            trees[name] = TreeEnsemble(read_npz(files.content[file], n_features))
    return trees


def _read_pellets(files: CheckedFiles) -> pd.DataFrame:
    with _naming_file(files, _PELLETS):
        cells = read_exact_csv(files.content[_PELLETS].decode("utf-8"), *_HEADERS)
        clean, findings = check_columns(pd.DataFrame(cells, dtype="object"), PELLET)
        if findings:
            raise ValueError(f"{len(findings)} cells cannot be read, the first: {findings[0].message}")
        for column in (Column.FORMULA, Column.SOURCE, Column.PELLET_ID):
            if clean.empty or clean[column].isna().any():
                raise ValueError(f"a pellet without {column.value} is of no use, nor is a table without pellets")
        sites = occupancies(clean[Column.FORMULA].to_list())
        return clean.assign(**{Column.SYSTEM.value: sites.per_row(sites.systems)})


def _read_out_of_fold(files: CheckedFiles) -> str:
    if _OUT_OF_FOLD not in files.content:
        return NO_ROWS
    with _naming_file(files, _OUT_OF_FOLD):
        return files.content[_OUT_OF_FOLD].decode("utf-8")


@contextmanager
def _naming_file(files: CheckedFiles, name: str) -> Iterator[None]:
    """Convert the errors of readers to a `BundleError` that names the file."""
    try:
        yield
    except BundleError:
        raise
    except (NasiconError, ValueError, OverflowError) as error:
        reason = _shortened(str(error).strip().partition("\n")[0])
        hint = ""
        if files.format_version < FORMAT_VERSION:
            hint = f"; it has the older format {files.format_version}: if it is complete, train its model again"
        raise BundleError(f"{files.folder / name} does not hold what a bundle holds: {reason}{hint}") from None


def _interval_to_json(interval: IntervalModel) -> dict[str, Any]:
    return {
        "spread": asdict(interval.spread),
        "by_system": dict(interval.by_system),
        "scores": interval.scores.scores.tolist(),
        "energy_error_ev": interval.energy_error_ev,
    }


def _interval_from_json(name: str, data: Mapping[str, Any]) -> IntervalModel:
    scores = ConformalScores(np.asarray(data["scores"], dtype=np.float64))
    by_system = {system: float(factor) for system, factor in data["by_system"].items()}
    return IntervalModel(
        TargetName(name), Spread(**data["spread"]), by_system, float(data["energy_error_ev"]), scores
    )
