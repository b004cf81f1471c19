"""Copies of SQLite tracking stores with their artifacts."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote


def copy_store(source: Path, target: Path) -> Path:
    """Copy the folder of a store and update the absolute paths in its database.

    MLflow caches the location of the files of a model id in each process. A process that has read them from
    `source` does not notice that files of the copy are changed or missing.
    """
    shutil.copytree(source, target, dirs_exist_ok=True)
    with closing(sqlite3.connect(target / "mlflow.db")) as database, database:
        for table, column in (
            ("experiments", "artifact_location"), ("runs", "artifact_uri"), ("logged_models", "artifact_location"),
            ("model_versions", "storage_location"),
        ):  # fmt: skip
            statement = f"UPDATE {table} SET {column} = replace({column}, ?, ?)"  # noqa: S608
            database.execute(statement, (quote(str(source)), quote(str(target))))
    return target
