"""A model on disk: a folder of XGBoost's own format, JSON, CSV and Markdown. Nothing in it is ever executed.

```
manifest.json   format version, when it was made, SHA-256 of every other file
model.json      features, priors, intervals, calibration, domain, how it was trained, its scores
*.ubj           the trees of each target, XGBoost's own binary JSON
pellets.csv     the training pellets, for neighbours and distances
card.md         the model card
```
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nasicon_ml.checks import check_columns
from nasicon_ml.columns import PELLET, Column
from nasicon_ml.errors import BundleError
from nasicon_ml.estimators.calibration import BetaCalibration
from nasicon_ml.estimators.card import model_card
from nasicon_ml.estimators.conformal import ConformalScores, Spread
from nasicon_ml.estimators.domain import Domain
from nasicon_ml.estimators.model import ModelMetadata, PropertyModel
from nasicon_ml.estimators.own import OwnKernel
from nasicon_ml.estimators.prior import CompositionPrior
from nasicon_ml.estimators.targets import TARGETS, TargetName
from nasicon_ml.estimators.uncertainty import IntervalModel

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
_MODEL, _PELLETS, _CARD = "model.json", "pellets.csv", "card.md"


def save_bundle(model: PropertyModel, folder: str | Path) -> Path:
    """Write a model as a bundle; the folder appears whole or not at all.

    Parameters
    ----------
    model
        What to write.
    folder
        Where. An older bundle there is replaced; any other folder that is not empty is refused.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    BundleError
        If the folder holds something else, or cannot be written.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / MANIFEST).is_file())):
        raise BundleError(f"{folder} exists and is not a model bundle; choose another folder or remove it")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as draft_name:
            draft = Path(draft_name) / "bundle"
            draft.mkdir()
            _write_files(model, draft)
            if folder.exists():
                folder.replace(Path(draft_name) / "old")
            draft.replace(folder)
    except OSError as error:
        raise BundleError(f"{folder} cannot be written: {error.strerror or error}") from error
    return folder


def load_bundle(folder: str | Path) -> PropertyModel:
    """Read a bundle; every file is checked against the manifest before it is parsed.

    Raises
    ------
    BundleError
        If the folder is no bundle, a file is missing, added or changed, or the format is newer than this
        version reads.
    """
    folder = Path(folder)
    manifest = _checked_manifest(folder)
    try:
        return _read_files(folder, manifest)
    except (KeyError, ValueError, TypeError) as error:
        raise BundleError(f"{folder / _MODEL} does not hold what a bundle holds: {error}") from error


def _write_files(model: PropertyModel, folder: Path) -> None:
    for name, booster in model.boosters.items():
        (folder / f"{name}.ubj").write_bytes(bytes(booster.save_raw("ubj")))
    model.pellets.to_csv(
        folder / _PELLETS, index=False, columns=[str(column) for column in PELLET], lineterminator="\n"
    )
    metadata = asdict(model.metadata)
    created = metadata.pop("created")
    content = {
        "targets": _scales(),
        "feature_set": model.feature_set,
        "feature_names": list(model.feature_names),
        "intervals": {str(name): _interval_to_json(interval) for name, interval in model.intervals.items()},
        "calibration": model.calibration.to_json(),
        "domain": model.domain.to_json(),
        "priors": {str(name): prior.to_json() for name, prior in model.priors.items()},
        "own": {str(name): kernel.to_json() for name, kernel in model.own.items()},
        "metadata": metadata,
    }
    _write_json(content, folder / _MODEL)
    (folder / _CARD).write_text(model_card(model.metadata, len(model.feature_names)), encoding="utf-8")
    files = {path.name: _sha256(path) for path in sorted(folder.iterdir())}
    # The time of making stands here alone, so that two trainings on the same data differ in this file only.
    _write_json({"format_version": FORMAT_VERSION, "created": created, "files": files}, folder / MANIFEST)


def _read_files(folder: Path, manifest: Mapping[str, Any]) -> PropertyModel:
    import xgboost as xgb

    content = json.loads((folder / _MODEL).read_text(encoding="utf-8"))
    if content["targets"] != _scales():
        raise BundleError(
            f"{folder} learned on other scales ({content['targets']}) than this version ({_scales()})"
        )
    boosters = {}
    for name in TargetName:
        booster = xgb.Booster()
        booster.load_model(bytearray((folder / f"{name}.ubj").read_bytes()))
        boosters[name] = booster
    metadata = content["metadata"] | {"created": manifest["created"]}
    metadata["scores"] = tuple(metadata["scores"])
    return PropertyModel(
        boosters=boosters,
        feature_set=content["feature_set"],
        feature_names=tuple(content["feature_names"]),
        intervals={
            TargetName(name): _interval_from_json(name, data) for name, data in content["intervals"].items()
        },
        calibration=BetaCalibration.from_json(content["calibration"]),
        domain=Domain.from_json(content["domain"]),
        pellets=_read_pellets(folder / _PELLETS),
        metadata=ModelMetadata(**metadata),
        priors={
            TargetName(name): CompositionPrior.from_json(prior)
            for name, prior in content.get("priors", {}).items()
        },
        # A bundle from before own pellets has none, and says so when it is asked to take some.
        own={TargetName(name): OwnKernel(**kernel) for name, kernel in content.get("own", {}).items()},
    )


def _scales() -> dict[str, str]:
    return {str(name): target.scale for name, target in TARGETS.items()}


def _read_pellets(path: Path) -> pd.DataFrame:
    from nasicon_ml.composition import occupancies

    clean, findings = check_columns(pd.read_csv(path, dtype=str, keep_default_na=False), PELLET)
    if findings:
        raise BundleError(f"{path}: {len(findings)} cells cannot be read, the first: {findings[0].message}")
    sites = occupancies(clean[Column.FORMULA].to_list())
    return clean.assign(**{Column.SYSTEM.value: sites.per_row(sites.systems)})


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


def _checked_manifest(folder: Path) -> dict[str, Any]:
    if not (folder / MANIFEST).is_file():
        raise BundleError(f"{folder} is not a model bundle: it has no {MANIFEST}")
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        version, files = manifest["format_version"], manifest["files"]
        manifest["created"]
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{folder / MANIFEST} cannot be read: {error}") from error
    if version != FORMAT_VERSION:
        raise BundleError(f"{folder} has format {version}; this version of nasicon-ml reads {FORMAT_VERSION}")
    needed = {_MODEL, _PELLETS, _CARD, *(f"{name}.ubj" for name in TargetName)}
    present = {path.name for path in folder.iterdir()} - {MANIFEST}
    if present != needed or set(files) != needed:
        wrong = sorted((present ^ needed) | (set(files) ^ needed))
        raise BundleError(f"{folder} does not hold exactly the files of a bundle; missing or additional: {wrong}")
    for name in sorted(needed):
        if _sha256(folder / name) != files[name]:
            raise BundleError(f"{folder / name} was changed after the bundle was made (SHA-256 differs)")
    return dict(manifest)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _write_json(content: Any, path: Path) -> None:
    path.write_text(
        json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True, allow_nan=False) + "\n", "utf-8"
    )
