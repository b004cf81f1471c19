"""No file of a logged model is a pickle, whatever it is called, compressed or not."""

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

#: How compressed files and archives begin, in which a pickle might hide.
PACKED = (
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
#: MLflow's own description of the model, and its note, written when it is fetched, of what it is registered as.
NAMES = {"MLmodel", "registered_model_meta"}
ENDINGS = {".py", ".pyi", ".typed", ".json", ".yaml", ".txt", ".csv", ".md", ".npz"}
#: Modules that read or write pickles, or code objects.
PICKLERS = ("pickle", "joblib", "cloudpickle", "dill", "marshal", "shelve")


def is_pickle(data: bytes) -> bool:
    """Whether the bytes can be read as a pickle, of any protocol, from their beginning."""
    try:
        return next(reversed([code.name for code, _, _ in pickletools.genops(data)]), "") == "STOP"
    except (ValueError, IndexError, UnicodeDecodeError):
        return data[:1] == b"\x80" and data[1:2] in {b"\x02", b"\x03", b"\x04", b"\x05"}


def problems(path: Path) -> list[str]:
    data = path.read_bytes()
    found = []
    if path.suffix not in ENDINGS and path.name not in NAMES:
        found.append("an ending that is not expected")
    if is_pickle(data):
        found.append("a pickle")
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:  # raises for what is no array
            found += [name for name in arrays if arrays[name].dtype.hasobject]
    elif data.startswith(PACKED):
        found.append("packed")
    if path.suffix == ".py":
        lines = data.decode().splitlines()
        found += [
            line for line in lines if line.split()[:1] in (["import"], ["from"]) and line.split()[1] in PICKLERS
        ]
    return found


@pytest.mark.slow
def test_nothing_of_a_logged_model_is_a_pickle(store: str) -> None:
    database = sqlite_path(store)
    assert database is not None
    (description,) = database.parent.rglob("MLmodel")
    files = [path for path in description.parent.rglob("*") if path.is_file()]
    files = [path for path in files if path.parent.name != "__pycache__"]  # made by a server that loaded it
    assert len(files) > 100
    assert {str(path): found for path in files if (found := problems(path))} == {}
    kept = yaml.safe_load(description.read_text())["flavors"]["python_function"]
    assert kept["loader_module"] == "mlflow.pyfunc.loaders.code_model"
    assert "python_model" not in kept  # where MLflow names the pickle of a model that is logged as one


def zipped(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("data.pkl", data)
    return file.getvalue()


CONTENT = {"a": [1, 2.5, "text"], "b": (None, len)}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_seen(protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_bytes(pickle.dumps(CONTENT, protocol))
    assert problems(path) == ["a pickle"]
    path.write_bytes(pickle.dumps(CONTENT, protocol) + b"and more")
    assert problems(path) == ["a pickle"]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zlib.compress, zipped])
def test_a_packed_file_is_seen(pack, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "model.csv"
    path.write_bytes(pack(pickle.dumps(CONTENT)))
    assert "packed" in problems(path)


def test_what_is_no_pickle_is_none(tmp_path: Path) -> None:
    for name, text in {"a.csv": "formula\nLTP\n", "a.json": "{}", "a.py": "import json\n", "a.txt": "."}.items():
        path = tmp_path / name
        path.write_text(text)
        assert problems(path) == (["a pickle"] if text == "." else [])  # a lone full stop is one, of nothing
