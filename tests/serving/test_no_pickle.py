"""No file of a logged model is a pickle or compressed, whatever its name."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import pickletools
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import yaml

from nasicon_ml.tracking.store import sqlite_path

#: The first bytes of compressed files and archives, which might contain a pickle.
COMPRESSED = (
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ",
    b"PK\x03\x04",
    b"\x78\x01",
    b"\x78\x5e",
    b"\x78\x9c",
    b"\x78\xda",
    b"\x93NUMPY",
)
#: MLflow's description of the model, and its registered name and version, written when it is downloaded.
EXPECTED_NAMES = {"MLmodel", "registered_model_meta"}
EXPECTED_SUFFIXES = {".py", ".pyi", ".typed", ".json", ".yaml", ".txt", ".csv", ".md", ".npz"}
#: Modules that read or write pickles, or code objects.
PICKLE_MODULES = ("pickle", "joblib", "cloudpickle", "dill", "marshal", "shelve")


def is_pickle(data: bytes) -> bool:
    """Return whether the bytes begin with a pickle of any protocol."""
    try:
        return next(reversed([code.name for code, _, _ in pickletools.genops(data)]), "") == "STOP"
    except (ValueError, IndexError, UnicodeDecodeError):
        return data[:1] == b"\x80" and data[1:2] in {b"\x02", b"\x03", b"\x04", b"\x05"}


def problems(path: Path) -> list[str]:
    data = path.read_bytes()
    messages = []
    if path.suffix not in EXPECTED_SUFFIXES and path.name not in EXPECTED_NAMES:
        messages.append("unexpected suffix")
    if is_pickle(data):
        messages.append("pickle")
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:  # raises for object arrays
            messages += [name for name in arrays if arrays[name].dtype.hasobject]
    elif data.startswith(COMPRESSED):
        messages.append("compressed")
    if path.suffix == ".py":
        lines = data.decode().splitlines()
        messages += [
            line
            for line in lines
            if line.split()[:1] in (["import"], ["from"]) and line.split()[1] in PICKLE_MODULES
        ]
    return messages


@pytest.mark.slow
def test_logged_model_contains_no_pickle(store: str) -> None:
    database = sqlite_path(store)
    assert database is not None
    (description,) = database.parent.rglob("MLmodel")
    files = [path for path in description.parent.rglob("*") if path.is_file()]
    files = [
        path for path in files if path.parent.name != "__pycache__"
    ]  # written by a server that loaded the model
    assert len(files) > 100
    assert {str(path): messages for path in files if (messages := problems(path))} == {}
    flavor = yaml.safe_load(description.read_text())["flavors"]["python_function"]
    assert flavor["loader_module"] == "mlflow.pyfunc.loaders.code_model"
    assert "python_model" not in flavor  # the key by which MLflow names a pickled model


def zipped(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("data.pkl", data)
    return file.getvalue()


CONTENT = {"a": [1, 2.5, "text"], "b": (None, len)}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_with_another_suffix_is_detected(protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_bytes(pickle.dumps(CONTENT, protocol))
    assert problems(path) == ["pickle"]
    path.write_bytes(pickle.dumps(CONTENT, protocol) + b"and more")
    assert problems(path) == ["pickle"]


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress, zlib.compress, zipped])
def test_compressed_file_is_detected(compress, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "model.csv"
    path.write_bytes(compress(pickle.dumps(CONTENT)))
    assert "compressed" in problems(path)


def test_text_files_are_not_taken_for_pickles(tmp_path: Path) -> None:
    for name, text in {"a.csv": "formula\nLTP\n", "a.json": "{}", "a.py": "import json\n", "a.txt": "."}.items():
        path = tmp_path / name
        path.write_text(text)
        assert problems(path) == (["pickle"] if text == "." else [])  # a single "." is a valid, empty pickle
