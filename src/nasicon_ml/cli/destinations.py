"""Where a command is to write: found out before the work whose result would have no place to go to."""

from __future__ import annotations

import os
from pathlib import Path

import click


def check_destination(name: str | None, endings: tuple[str, ...], option: str, source: str | None) -> None:
    """Find out before the work whether its result has a place to go to."""
    if name is None:
        return
    path, source_path = Path(name), Path(source or "-")
    if path.suffix.lower() not in endings:
        raise click.UsageError(f"{option} {name}: the name must end in {', '.join(endings)}")
    if not path.parent.is_dir():
        raise click.UsageError(f"{option} {name}: there is no folder {path.parent}; make it first")
    if path.is_dir():
        raise click.UsageError(f"{option} {name}: this is a folder")
    if path.exists() and source_path.exists() and path.samefile(source_path):
        raise click.UsageError(f"{option} {name}: this is the file of the recipes, which would be lost")
    if not os.access(path.parent, os.W_OK):
        raise click.UsageError(f"{option} {name}: nothing may be written into the folder {path.parent}")
