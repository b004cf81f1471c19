"""Disks that are full or cannot be written: real ones, where the system lets a test make them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def size_of(folder: Path) -> int:
    """Return the bytes that a folder takes, in whole blocks."""
    return sum(-(-path.stat().st_size // 4096) * 4096 + 4096 for path in folder.rglob("*"))


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """Mount a disk of so many bytes; skip the test where that is not permitted."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount on this system")
    if outcome.returncode:
        pytest.skip(f"no small disk can be mounted here: {outcome.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    """Change a small disk: ``size=...``, ``ro``, ``rw``."""
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


def room(folder: Path, size: int) -> None:
    """Leave so many bytes free on a small disk, by a file that fills the rest."""
    filler = folder / "filler"
    filler.unlink(missing_ok=True)
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize
    with filler.open("wb") as file:
        file.write(b"\0" * max(0, free - size))
