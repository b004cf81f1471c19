"""The manifest of a bundle, and reading of the files, which are compared with it before they are parsed.

Every file is read once: the bytes whose SHA-256 is compared are those that are parsed, so that nothing can change
in between. Checksums protect against damage and confusion, not against an attacker who makes a bundle; parsing is
safe on its own (`nasicon_ml.bundle.store`).
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from nasicon_ml.bundle.schema import integer, mapping_of, record, text
from nasicon_ml.errors import BundleError
from nasicon_ml.io.structured import dump_json, load_json

MANIFEST = "manifest.json"
#: Limits in bytes. The committed model has 5 MB in total, its largest file 1.6 MB.
MAX_MANIFEST_BYTES = 64 * 1024
MAX_FILE_BYTES = 32 * 1024**2
MAX_BUNDLE_BYTES = 96 * 1024**2
#: Limit of the names read from a folder; a bundle has a dozen.
_MAX_ENTRIES = 1000
_MOST_SHOWN = 10

_CHECKSUM = re.compile(r"[0-9a-f]{64}")
_CHECK_MANIFEST = record(
    {"format_version": integer(1, 1_000_000), "created": text(64), "files": mapping_of(text(64), 100)}
)


@dataclass(frozen=True)
class CheckedFiles:
    """The files of a bundle, whose checksums are those of its manifest."""

    folder: Path
    format_version: int
    created: str  # time of training
    content: Mapping[str, bytes]  # name -> bytes, without the manifest


def write_manifest(folder: Path, format_version: int, created: str, files: Mapping[str, bytes]) -> None:
    """Write the manifest of the files of a bundle.

    No other file contains the time of training, so that two trainings on the same data differ in this file only.
    """
    sums = {name: _sha256(content) for name, content in files.items()}
    content = {"format_version": format_version, "created": created, "files": sums}
    (folder / MANIFEST).write_bytes(dump_json(content))


def read_files(folder: Path, names_by_format: Mapping[int, Collection[str]]) -> CheckedFiles:
    """Read the files of a bundle, given their names by format version, and compare them with its manifest.

    Raises
    ------
    BundleError
        If there is no valid manifest; if a file is missing, additional, changed, too large or not a regular file;
        if the format is unknown.
    """
    names = _names_in(folder)
    if MANIFEST not in names:
        raise BundleError(f"{folder} is not a model bundle: it has no {MANIFEST}")
    path = folder / MANIFEST
    try:
        manifest = load_json(_read(path, MAX_MANIFEST_BYTES).decode("utf-8"), finite=True)
        _CHECK_MANIFEST(manifest, "")
    except ValueError as error:
        raise BundleError(f"{path} cannot be read: {error}") from None
    version, sums = manifest["format_version"], manifest["files"]
    _check_names(path, sums)
    if version not in names_by_format:
        known = " and ".join(map(str, sorted(names_by_format)))
        raise BundleError(f"{folder} has format {version}; this version of nasicon-ml reads {known}")
    expected = set(names_by_format[version])
    wrong = ((names - {MANIFEST}) ^ expected) | (set(sums) ^ expected)
    if wrong:
        raise BundleError(
            f"{folder} does not hold exactly the files of a bundle; missing or additional: {_listed(wrong)}"
        )
    content: dict[str, bytes] = {}
    remaining = MAX_BUNDLE_BYTES
    for name in sorted(expected):
        content[name] = _read(folder / name, min(MAX_FILE_BYTES, remaining))
        remaining -= len(content[name])
        if _sha256(content[name]) != sums[name]:
            raise BundleError(f"{folder / name} was changed after the bundle was made (SHA-256 differs)")
    return CheckedFiles(folder, version, manifest["created"], content)


def _names_in(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            names = {entry.name for entry in islice(entries, _MAX_ENTRIES + 1)}
    except OSError as error:
        reason = error.strerror or error
        raise BundleError(f"{folder} is not a model bundle: it has no {MANIFEST} ({reason})") from None
    if len(names) > _MAX_ENTRIES:
        raise BundleError(f"{folder} is not a model bundle: it holds more than {_MAX_ENTRIES} files")
    return names


def _check_names(path: Path, sums: Mapping[str, str]) -> None:
    """Raise if a manifest names files outside its folder, or has invalid checksums."""
    for name, checksum in sums.items():
        if not name or name in {".", ".."} or any(sign in name for sign in "/\\:\0"):
            raise BundleError(f"{path} names {name[:80]!r}, which is not the name of a file in its folder")
        if not _CHECKSUM.fullmatch(checksum):
            raise BundleError(f"{path} has no SHA-256 for {name[:80]!r}: {checksum!r}")


def _read(path: Path, limit: int) -> bytes:
    """Read a regular file of at most `limit` bytes; raise for anything else."""
    # Links are not followed, and opening a pipe does not block.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        if path.is_symlink():
            raise BundleError(f"{path} is a link; a bundle holds plain files only")
        with os.fdopen(os.open(path, flags), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise BundleError(f"{path} is not a plain file; a bundle holds nothing else")
            if status.st_size > limit:
                raise BundleError(_too_large(path, status.st_size, limit))
            content = file.read(limit + 1)
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror or error}") from None
    if len(content) > limit:  # the file grew while it was read
        raise BundleError(_too_large(path, len(content), limit))
    return content


def _too_large(path: Path, size: int, limit: int) -> str:
    whole_bundle = "" if limit in {MAX_FILE_BYTES, MAX_MANIFEST_BYTES} else ", what is left of the whole bundle's"
    return f"{path} has {size} bytes; at most {limit} are read{whole_bundle}"


def _listed(names: Collection[str]) -> str:
    shown = sorted(names)[:_MOST_SHOWN]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return f"{shown}{more}"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
