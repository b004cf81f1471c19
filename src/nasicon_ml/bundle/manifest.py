"""What the files of a bundle have to look like, and reading each of them once, checked before it is parsed.

What is parsed later are the very bytes whose SHA-256 was compared with the manifest, so nothing can change in
between. The sums guard against damage and confusion, not against a stranger who makes a bundle: what is read
after them has to be safe by itself (`nasicon_ml.bundle.store`).

So `model.json` is held to a shape: every name, type, length and bound. Bounds are far wider than any training
gives, and narrow enough that nothing computed from them leaves the numbers a computer knows. A shape is a
function of a value and its place; it raises `ValueError` or returns nothing. Types are exact: "0.5" is no
number, 1 is no truth value, and True is no 1.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from nasicon_ml.errors import BundleError
from nasicon_ml.estimators.domain import ANION, RANGED
from nasicon_ml.estimators.priors import Prior
from nasicon_ml.estimators.rule_scope import SCOPE_CHOICES, SCOPE_NUMBERS
from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.features.build import FeatureSet
from nasicon_ml.features.processing import PROCESSING_CHOICES
from nasicon_ml.io.structured import dump_json, load_json

Shape = Callable[[Any, str], None]

_SHOWN = 40


def _accept(accepts: Callable[[Any], bool], allowed: str) -> Shape:
    def check(value: Any, place: str) -> None:
        if not accepts(value):
            _refuse(place, value, allowed)

    return check


def number(low: float = -1e12, high: float = 1e12) -> Shape:
    """Accept a number within bounds."""
    return _accept(
        lambda value: type(value) in {int, float} and low <= value <= high, f"a number from {low:g} to {high:g}"
    )


def whole(low: int, high: int) -> Shape:
    """Accept a whole number within bounds."""
    return _accept(
        lambda value: type(value) is int and low <= value <= high, f"a whole number from {low} to {high}"
    )


def flag() -> Shape:
    """Accept true or false."""
    return _accept(lambda value: type(value) is bool, "true or false")


def text(longest: int) -> Shape:
    """Accept text of at most so many characters."""
    return _accept(
        lambda value: type(value) is str and len(value) <= longest, f"text of at most {longest} characters"
    )


def one_of(allowed: Collection[str]) -> Shape:
    """Accept one of some texts."""
    return _accept(lambda value: type(value) is str and value in allowed, f"one of {', '.join(sorted(allowed))}")


def listing(item: Shape, least: int, most: int) -> Shape:
    """Accept a list, each item of one shape."""

    def check(value: Any, place: str) -> None:
        if not isinstance(value, list) or not least <= len(value) <= most:
            long = str(least) if least == most else f"{least} to {most}"
            _refuse(place, value, f"a list of {long}")
        for at, one in enumerate(value):
            item(one, f"{place}[{at}]")

    return check


def mapping(item: Shape, most: int, names: Collection[str] | None = None) -> Shape:
    """Accept an object with at most so many names (of those given), each value of one shape."""

    def check(value: Any, place: str) -> None:
        if not isinstance(value, dict) or len(value) > most:
            _refuse(place, value, f"an object of at most {most} names")
        for name, one in value.items():
            if names is not None and name not in names:
                _refuse(place, name, f"one of {', '.join(sorted(names))}")
            item(one, _below(place, name))

    return check


def record(needed: Mapping[str, Shape], optional: Mapping[str, Shape] | None = None) -> Shape:
    """Accept an object with these names and no others."""
    known = {**needed, **(optional or {})}

    def check(value: Any, place: str) -> None:
        if not isinstance(value, dict):
            _refuse(place, value, "an object")
        for name in needed:
            if name not in value:
                raise ValueError(f"{_below(place, name)} is missing")
        for name, one in value.items():
            if name not in known:
                raise ValueError(f"{_below(place, name)} is not known")
            known[name](one, _below(place, name))

    return check


def either(*shapes: Shape) -> Shape:
    """Accept what one of the shapes accepts; the last says what is wrong."""

    def check(value: Any, place: str) -> None:
        for shape in shapes[:-1]:
            try:
                return shape(value, place)
            except ValueError:
                continue
        return shapes[-1](value, place)

    return check


def _below(place: str, name: str) -> str:
    shown = name[:_SHOWN]
    if not (name.isascii() and name.isprintable() and name):
        shown = repr(shown)
    return f"{place}.{shown}" if place else shown


def _refuse(place: str, value: Any, allowed: str) -> None:
    shown = f"an object of {len(value)}" if isinstance(value, dict) else repr(value)
    if isinstance(value, list):
        shown = f"a list of {len(value)}"
    if len(shown) > _SHOWN:
        shown = shown[:_SHOWN] + "..."
    raise ValueError(f"{place or 'it'}: {shown} is not accepted; allowed: {allowed}")


_WORD, _LINE = text(200), text(2000)
_COUNT = whole(0, 10**9)
_NUMBER, _SLOPE, _POSITIVE = number(-1000, 1000), number(0, 1000), number(1e-9, 1e9)
_INTERVALS = (TargetName.CONDUCTIVITY, TargetName.RELATIVE_DENSITY)
_CHOICES = tuple(map(str, PROCESSING_CHOICES))
_RANGE = listing(number(-1e6, 1e6), 2, 2)
_RANGES = mapping(_RANGE, len(RANGED), RANGED)

_SPREAD = record({"intercept": number(-50, 50)}, dict.fromkeys(("unknown", "distance", "incomplete"), _SLOPE))
_INTERVAL = record(
    {
        "spread": _SPREAD,
        "by_system": mapping(number(1e-6, 1e6), 1000),
        "scores": listing(number(0, 1e9), 1, 10**6),
        "energy_error_ev": number(0, 10),
    }
)
#: Three numbers, or the two of Platt's scaling in bundles of version 0.1.
_CALIBRATION = either(
    record({"slope": _SLOPE, "intercept": _NUMBER}),
    record({"pure": _SLOPE, "impure": _SLOPE, "intercept": _NUMBER}),
)
_DOMAIN = record(
    {
        "ranges": mapping(_RANGES, 1000),
        "choices": record(dict.fromkeys(_CHOICES, listing(_WORD, 0, 1000))),
        "elements": record(dict.fromkeys(("A", "M", "T"), listing(text(2), 0, 200))),
        "near": number(0, 1e9),
    },
    {"sources": mapping(mapping(_COUNT, 1000), len(_CHOICES) + 1, (*_CHOICES, ANION))},  # came later than bundles
)
_PRIOR = record(
    {
        "intercept": _NUMBER,
        "coefficients": listing(_NUMBER, 0, 1000),
        "means": listing(_NUMBER, 0, 1000),
        "columns": listing(whole(0, 10**6), 0, 1000),
    },
    # A share in bundles of version 0.2, which do not name their terms.
    {"share": number(0, 1), "terms": listing(_WORD, 0, 1000)},
)
_KERNEL = record(
    dict.fromkeys(("noise", "level", "recipe"), _SLOPE)
    | dict.fromkeys(("composition", "processing", "prediction"), _POSITIVE),
    dict.fromkeys(("trust", "narrowing"), _SLOPE),
)
_SCORE = record(
    dict.fromkeys(("target", "subset", "model", "metric"), _WORD)
    | {"value": number()}
    | dict.fromkeys(("n_rows", "n_sources"), _COUNT)
)
_OPTION = either(flag(), number(-1e15, 1e15), listing(_LINE, 0, 10_000), _LINE)
_SCOPE = record(
    {
        "systems": mapping(_RANGE, 1000),
        "numbers": mapping(_RANGE, len(SCOPE_NUMBERS), SCOPE_NUMBERS),
        "choices": mapping(listing(_WORD, 1, 1000), len(SCOPE_CHOICES), SCOPE_CHOICES),
        "varied": listing(one_of((*SCOPE_NUMBERS, *SCOPE_CHOICES)), 0, 100),
    }
)
_METADATA = record(
    {"dataset_sha256": text(64), "dataset_rows": _COUNT},
    {
        "options": mapping(_OPTION, 100),
        "versions": mapping(_WORD, 100),
        "rows_used": mapping(_COUNT, 10, tuple(TargetName)),
        "scores": listing(_SCORE, 0, 100_000),
        "validation": record(dict.fromkeys(("errors", "warnings"), _COUNT)),
        "rules_checked": _COUNT,
        "broken_rules": listing(_WORD, 0, 1000),
        "broken_statements": mapping(_LINE, 1000),
        "broken_scopes": mapping(_SCOPE, 1000),
    },
)
_MODEL: Shape = record(
    {
        "targets": mapping(_WORD, 10),
        "feature_set": one_of(tuple(FeatureSet)),
        "feature_names": listing(_WORD, 1, 10_000),
        "intervals": record({str(name): _INTERVAL for name in _INTERVALS}),
        "calibration": _CALIBRATION,
        "domain": _DOMAIN,
        "metadata": _METADATA,
    },
    # Both came later than bundles.
    {"priors": mapping(_PRIOR, 10, tuple(TargetName)), "own": mapping(_KERNEL, 10, tuple(TargetName))},
)


def check_content(content: Any) -> None:
    """Refuse a `model.json` that is not one.

    Raises
    ------
    ValueError
        With the place and what is allowed there.
    """
    _MODEL(content, "")
    for name, interval in content["intervals"].items():
        if interval["scores"] != sorted(interval["scores"]):
            raise ValueError(f"intervals.{name}.scores: they are not in order")
    ranges, features = content["domain"]["ranges"], content["feature_names"]
    if "" not in ranges:
        raise ValueError("domain.ranges: those of all systems together are missing")
    for system, fields in ranges.items():
        for name, (low, high) in fields.items():
            if low > high:
                raise ValueError(f"domain.ranges.{system[:40]}.{name}: {low:g} is above {high:g}")
    for name, prior in content.get("priors", {}).items():
        Prior.from_json(TargetName(name), prior)
        if max(prior["columns"]) >= len(features):
            raise ValueError(f"priors.{name}.columns: there are {len(features)} features only")
    if len(set(features)) < len(features):
        raise ValueError("feature_names: a name stands twice")


MANIFEST = "manifest.json"
#: What is read at most, in bytes. The committed model has 5 MB in all, its largest file 1.6 MB.
MAX_MANIFEST_BYTES = 64 * 1024
MAX_FILE_BYTES = 32 * 1024**2
MAX_BUNDLE_BYTES = 96 * 1024**2
#: So many names of a folder are looked at: a bundle has a dozen.
_MAX_ENTRIES = 1000
_NAMES_SHOWN = 10

_CHECKSUM = re.compile(r"[0-9a-f]{64}")
_MANIFEST_SHAPE: Shape = record(
    {"format_version": whole(1, 1_000_000), "created": text(64), "files": mapping(text(64), 100)}
)


@dataclass(frozen=True)
class CheckedFiles:
    """The files of a bundle, read and found to be those of its manifest."""

    folder: Path  # where they were
    format_version: int  # of the bundle
    created: str  # when it was made
    content: Mapping[str, bytes]  # name -> bytes, the manifest's own left out


def write_manifest(folder: Path, format_version: int, created: str, files: Mapping[str, bytes]) -> None:
    """Write the manifest of the files of a bundle.

    The time of making stands here alone, so that two trainings on the same data differ in this file only.
    """
    sums = {name: _sha256(content) for name, content in files.items()}
    content = {"format_version": format_version, "created": created, "files": sums}
    (folder / MANIFEST).write_bytes(dump_json(content))


def read_files(folder: Path, needed: Mapping[int, Collection[str]]) -> CheckedFiles:
    """Read a bundle's files, `needed` by format version, and compare them with its manifest.

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
    shown = sorted(names)[:_NAMES_SHOWN]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return f"{shown}{more}"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
