"""Run the notebooks and save them with their outputs.

    python -m tools.run_notebooks [NAME ...]

Each notebook is run in its folder with a new kernel. Times and random ids are removed. The metadata contain the
checksums of the dataset and the committed model, so that a test can detect outdated outputs. Nothing is written if
a cell fails.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from tools.renew_docs import CHAMPION, OWN_SETTINGS

from nasicon_ml.data.files import PELLETS_FILE, dataset_checksum, datasets_folder
from nasicon_ml.io import write_text

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
#: Key of the checksums in a notebook's metadata.
BELONGS_TO = "nasicon_ml"
TIMEOUT_S = 600


def belongs_to() -> dict[str, str]:
    """Return the checksums of the dataset and the committed model."""
    manifest = json.loads((CHAMPION / "manifest.json").read_text(encoding="utf-8"))
    return {
        "dataset_sha256": dataset_checksum(datasets_folder() / PELLETS_FILE),
        "champion_sha256": manifest["files"]["model.json"],
    }


def run(path: Path) -> None:
    """Run one notebook and write it with its outputs."""
    notebook: Any = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=TIMEOUT_S, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    for number, cell in enumerate(notebook.cells, start=1):
        cell.id = f"cell-{number:02d}"
        cell.metadata = {}
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        BELONGS_TO: belongs_to(),
    }
    nbformat.validate(notebook)
    write_text(nbformat.writes(notebook, version=4) + "\n", path)


def main() -> None:
    """Run the notebooks named on the command line, or all."""
    for name in OWN_SETTINGS:
        os.environ.pop(name, None)
    selected = [NOTEBOOKS / f"{Path(name).stem}.ipynb" for name in sys.argv[1:]]
    for path in selected or sorted(NOTEBOOKS.glob("*.ipynb")):
        sys.stdout.write(f"running {path.name}\n")
        sys.stdout.flush()
        run(path)


if __name__ == "__main__":
    main()
