"""Small disks (tmpfs) that can be filled or made read-only; tests are skipped where they cannot be mounted."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def folder_size(folder: Path) -> int:
    """Return the bytes of the files of a folder in whole blocks, with one block more for each."""
    return sum(-(-path.stat().st_size // 4096) * 4096 + 4096 for path in folder.rglob("*"))


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """Mount a disk of this many bytes; skip the test where that is not permitted."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("this system has no mount")
    if outcome.returncode:
        pytest.skip(f"no small disk can be mounted here: {outcome.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    """Remount a small disk with other options: ``size=...``, ``ro``, ``rw``."""
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


def leave_free(folder: Path, size: int) -> None:
    """Fill a small disk with one file so that this many bytes are left free."""
    filler = folder / "filler"
    filler.unlink(missing_ok=True)
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize
    with filler.open("wb") as file:
        file.write(b"\0" * max(0, free - size))
