"""Locate the dataset and the default model that come with the package, and verify the checksums of the dataset.

In a source tree (``pip install -e .``) they are top-level folders of the tree, so that the committed files are
used. A regular installation copies them to ``share/nasicon-ml`` of the environment.
"""

from __future__ import annotations

import hashlib
import json
import os
import sysconfig
from pathlib import Path

from nasicon_ml.errors import DatasetError
from nasicon_ml.io import write_text
from nasicon_ml.io.structured import load_json

#: Environment variable with another folder of the dataset.
DATASETS_VARIABLE = "NASICON_ML_DATASETS"
PELLETS_FILE = "pellets.csv"
SOURCES_FILE = "sources.csv"
CHECKSUMS_FILE = "checksums.json"
#: File with the number of the edition of the dataset.
VERSION_FILE = "VERSION"
_SOURCE_TREE = Path(__file__).resolve().parents[3]
_INSTALLED = Path(sysconfig.get_path("data")) / "share" / "nasicon-ml"


def shipped_folder(*parts: str) -> Path:
    """Return a folder that comes with the package, such as ``"models", "champion"``; it need not exist."""
    in_tree = _SOURCE_TREE.joinpath(*parts)
    is_source_tree = (_SOURCE_TREE / "pyproject.toml").is_file() and in_tree.is_dir()
    return in_tree if is_source_tree else _INSTALLED.joinpath(*parts)


def datasets_folder() -> Path:
    """Return the folder of the dataset: ``NASICON_ML_DATASETS``, or else the one that comes with the package.

    Raises
    ------
    DatasetError
        If the folder does not exist.
    """
    configured = os.environ.get(DATASETS_VARIABLE)
    folder = Path(configured) if configured else shipped_folder("datasets")
    if not folder.is_dir():
        origin = f"the variable {DATASETS_VARIABLE} names it" if configured else "install nasicon-ml again"
        raise DatasetError(f"{folder}: the folder of the dataset does not exist ({origin})")
    return folder


def dataset_checksum(path: str | Path) -> str:
    """Return the SHA-256 of a file, with line ends converted to line feeds.

    Raises
    ------
    DatasetError
        If the file cannot be read.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from None
    return hashlib.sha256(data.replace(b"\r\n", b"\n")).hexdigest()


def dataset_version(folder: Path) -> str:
    """Return the edition of the dataset in a folder; empty if there is none."""
    try:
        return (folder / VERSION_FILE).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""


def recorded_checksums(folder: Path) -> dict[str, str]:
    """Return the checksums recorded in a folder by file name; empty if there are none.

    Raises
    ------
    DatasetError
        If the record exists but cannot be read.
    """
    record = folder / CHECKSUMS_FILE
    if not record.exists():
        return {}
    try:
        content = load_json(record.read_text(encoding="utf-8"))
        return {str(name): str(checksum) for name, checksum in content.items()}
    except (OSError, ValueError, AttributeError):
        message = "is not a JSON object of names and checksums, each name once"
        raise DatasetError(f"{record}: {message}") from None


def verify_checksum(path: Path) -> None:
    """Compare a file with the checksum recorded in its folder, if there is one.

    Raises
    ------
    DatasetError
        If they differ.
    """
    recorded = recorded_checksums(path.parent).get(path.name)
    actual = dataset_checksum(path)
    if recorded is not None and recorded != actual:
        raise DatasetError(
            f"{path}: the file is not the one whose checksum is recorded in {CHECKSUMS_FILE}"
            f" ({recorded[:12]}... recorded, {actual[:12]}... found). If you changed it on purpose, check it with"
            " 'nasicon-ml data validate' and renew the record with 'nasicon-ml data checksums --write'; if not,"
            " restore it with git"
        )


def renew_checksums(folder: Path) -> dict[str, str]:
    """Record the checksums of all CSV files of a folder, and return them by file name.

    Raises
    ------
    NasiconError
        If the record cannot be written.
    """
    checksums = {file.name: dataset_checksum(file) for file in sorted(folder.glob("*.csv"))}
    write_text(json.dumps(checksums, indent=2) + "\n", folder / CHECKSUMS_FILE)
    return checksums
