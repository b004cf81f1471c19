"""The manifest of a bundle, and reading its files: each once, into memory, checked before any of it is parsed.

What is parsed later are the very bytes whose SHA-256 was compared, so nothing can change in between. The sums
guard against damage and confusion, not against a stranger who makes a bundle: what is read after them has to be
safe by itself (`nasicon_ml.bundle.store`).
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

from nasicon_ml.bundle.schema import Shape, mapping, record, text, whole
from nasicon_ml.errors import BundleError
from nasicon_ml.io.structured import dump_json, load_json

MANIFEST = "manifest.json"
#: What is read at most, in bytes. The committed model has 5 MB in all, its largest file 1.6 MB.
MAX_MANIFEST_BYTES = 64 * 1024
MAX_FILE_BYTES = 32 * 1024**2
MAX_BUNDLE_BYTES = 96 * 1024**2
#: So many names of a folder are looked at: a bundle has a dozen.
_MAX_ENTRIES = 1000
_SHOWN = 10

_CHECKSUM = re.compile(r"[0-9a-f]{64}")
_MANIFEST_SHAPE: Shape = record(
    {"format_version": whole(1, 1_000_000), "created": text(64), "files": mapping(text(64), 100)}
)


@dataclass(frozen=True)
class CheckedFiles:
    """The files of a bundle, read and found to be those of its manifest.

    Attributes
    ----------
    folder
        Where they were.
    format_version
        Of the bundle.
    created
        When it was made.
    content
        Name -> bytes, the manifest's own left out.
    """

    folder: Path
    format_version: int
    created: str
    content: Mapping[str, bytes]


def write_manifest(folder: Path, format_version: int, created: str, files: Mapping[str, bytes]) -> None:
    """Write the manifest of the files of a bundle.

    The time of making stands here alone, so that two trainings on the same data differ in this file only.
    """
    sums = {name: _sha256(content) for name, content in files.items()}
    content = {"format_version": format_version, "created": created, "files": sums}
    (folder / MANIFEST).write_bytes(dump_json(content))


def read_files(folder: Path, needed: Mapping[int, Collection[str]]) -> CheckedFiles:
    """Read a bundle's files and compare them with its manifest.

    Parameters
    ----------
    folder
        The bundle.
    needed
        Format version -> names of its files, the manifest left out.

    Raises
    ------
    BundleError
        If there is no manifest or it says other than a manifest says; if a file is missing, additional, changed,
        no plain file or too large; if the format is none of those.
    """
    names = _names_in(folder)
    if MANIFEST not in names:
        raise BundleError(f"{folder} is not a model bundle: it has no {MANIFEST}")
    path = folder / MANIFEST
    try:
        manifest = load_json(_read(path, MAX_MANIFEST_BYTES).decode("utf-8"), finite=True)
        _MANIFEST_SHAPE(manifest, "")
    except ValueError as error:
        raise BundleError(f"{path} cannot be read: {error}") from None
    version, sums = manifest["format_version"], manifest["files"]
    _check_names(path, sums)
    if version not in needed:
        known = " and ".join(str(known) for known in sorted(needed))
        raise BundleError(f"{folder} has format {version}; this version of nasicon-ml reads {known}")
    wanted = set(needed[version])
    wrong = ((names - {MANIFEST}) ^ wanted) | (set(sums) ^ wanted)
    if wrong:
        raise BundleError(
            f"{folder} does not hold exactly the files of a bundle; missing or additional: {_listed(wrong)}"
        )
    content: dict[str, bytes] = {}
    left = MAX_BUNDLE_BYTES
    for name in sorted(wanted):
        content[name] = _read(folder / name, min(MAX_FILE_BYTES, left))
        left -= len(content[name])
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
    """Refuse a manifest that points out of its folder, or whose sums are none."""
    for name, checksum in sums.items():
        if not name or name in {".", ".."} or any(sign in name for sign in "/\\:\0"):
            raise BundleError(f"{path} names {name[:80]!r}, which is not the name of a file in its folder")
        if not _CHECKSUM.fullmatch(checksum):
            raise BundleError(f"{path} has no SHA-256 for {name[:80]!r}: {checksum!r}")


def _read(path: Path, limit: int) -> bytes:
    """Read a plain file of at most so many bytes; nothing else is opened for longer than it takes to see it."""
    # A link is not followed, and a pipe does not wait for somebody to write.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        if path.is_symlink():
            raise BundleError(f"{path} is a link; a bundle holds plain files only")
        with os.fdopen(os.open(path, flags), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise BundleError(f"{path} is not a plain file; a bundle holds nothing else")
            if found.st_size > limit:
                raise BundleError(_too_large(path, found.st_size, limit))
            content = file.read(limit + 1)
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror or error}") from None
    if len(content) > limit:  # it grew while it was read
        raise BundleError(_too_large(path, len(content), limit))
    return content


def _too_large(path: Path, size: int, limit: int) -> str:
    whole_bundle = "" if limit in {MAX_FILE_BYTES, MAX_MANIFEST_BYTES} else ", what is left of the whole bundle's"
    return f"{path} has {size} bytes; at most {limit} are read{whole_bundle}"


def _listed(names: Collection[str]) -> str:
    shown = sorted(names)[:_SHOWN]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return f"{shown}{more}"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
