"""Finds what comes along with the package: the dataset and the default model.

In a source tree (``pip install -e .``) these are its own top-level folders, so that what is committed is what is
used. A plain installation puts copies under ``share/nasicon-ml`` of the environment.
"""

from __future__ import annotations

import sysconfig
from pathlib import Path

_SOURCE_TREE = Path(__file__).resolve().parents[2]
_INSTALLED = Path(sysconfig.get_path("data")) / "share" / "nasicon-ml"


def shipped_folder(*parts: str) -> Path:
    """Return the folder of something that comes along, which need not exist.

    Parameters
    ----------
    parts
        Its path inside the source tree, such as ``"models", "champion"``.
    """
    in_tree = _SOURCE_TREE.joinpath(*parts)
    is_source_tree = (_SOURCE_TREE / "pyproject.toml").is_file() and in_tree.is_dir()
    return in_tree if is_source_tree else _INSTALLED.joinpath(*parts)
