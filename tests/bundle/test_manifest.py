"""Reading the files of a bundle: once each, compared with the manifest, only plain files of limited size."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nasicon_ml.bundle import manifest
from nasicon_ml.bundle.manifest import MANIFEST, read_files, write_manifest
from nasicon_ml.errors import BundleError

CONTENT = {"a.json": b"{}\n", "b.csv": b"x,y\n1,2\n", "c.npz": bytes(range(256))}
NAMES_BY_FORMAT = {1: ("a.json", "b.csv"), 2: tuple(CONTENT)}


def write_bundle(folder: Path, content: dict[str, bytes] | None = None) -> Path:
    content = CONTENT if content is None else content
    folder.mkdir()
    for name, data in content.items():
        (folder / name).write_bytes(data)
    write_manifest(folder, 2, "2026-01-01T00:00:00+00:00", content)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle")


def assert_refused(folder: Path, match: str) -> None:
    with pytest.raises(BundleError, match=match):
        read_files(folder, NAMES_BY_FORMAT)


def test_written_files_are_read_back(folder: Path) -> None:
    result = read_files(folder, NAMES_BY_FORMAT)
    assert result.content == CONTENT
    assert (result.folder, result.format_version, result.created) == (folder, 2, "2026-01-01T00:00:00+00:00")


def test_each_file_is_opened_once_and_returned_as_it_was_hashed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change of a file after it was read has no effect."""
    opened: list[str] = []
    original_open = os.open

    def counting_open(path: Any, *args: Any, **kwargs: Any) -> int:
        opened.append(Path(path).name)
        return original_open(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", counting_open)
    result = read_files(folder, NAMES_BY_FORMAT)
    assert sorted(opened) == sorted([*CONTENT, MANIFEST])
    (folder / "a.json").write_bytes(b"[]")
    assert result.content["a.json"] == CONTENT["a.json"]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_byte_is_refused_with_file_name(folder: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(CONTENT)))
    original = CONTENT[name]
    position = data.draw(st.integers(0, len(original) - 1))
    mask = data.draw(st.integers(1, 255))
    try:
        (folder / name).write_bytes(
            original[:position] + bytes([original[position] ^ mask]) + original[position + 1 :]
        )
        assert_refused(folder, rf"{name} was changed after the bundle was made")
    finally:
        (folder / name).write_bytes(original)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_changed_manifest_is_refused_or_gives_the_same_content(folder: Path, data: st.DataObject) -> None:
    original = (folder / MANIFEST).read_bytes()
    position = data.draw(st.integers(0, len(original) - 1))
    mask = data.draw(st.integers(1, 255))
    try:
        (folder / MANIFEST).write_bytes(
            original[:position] + bytes([original[position] ^ mask]) + original[position + 1 :]
        )
        try:
            result = read_files(folder, NAMES_BY_FORMAT)
        except BundleError:
            return
        assert result.content == CONTENT  # only the time of training or whitespace can differ
    finally:
        (folder / MANIFEST).write_bytes(original)


@pytest.mark.parametrize("name", sorted(CONTENT))
def test_missing_and_additional_files_are_refused_by_name(folder: Path, name: str) -> None:
    (folder / name).rename(folder / "other")
    assert_refused(folder, rf"missing or additional: \['{name}', 'other'\]")
    (folder / "other").unlink()
    assert_refused(folder, rf"missing or additional: \['{name}'\]")


def test_subfolders_are_refused(folder: Path) -> None:
    (folder / "more").mkdir()
    assert_refused(folder, r"missing or additional: \['more'\]")
    (folder / "more").rmdir()
    (folder / "b.csv").unlink()
    (folder / "b.csv").mkdir()
    assert_refused(folder, r"b\.csv (is not a plain file|cannot be read)")


def test_message_about_many_additional_files_is_short(folder: Path) -> None:
    for number in range(50):
        (folder / f"strange-{number:02}").touch()
    assert_refused(folder, r"'strange-09'\] and 40 more$")


def test_folder_with_too_many_files_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "_MAX_ENTRIES", 3)
    assert_refused(folder, "it holds more than 3 files")


@pytest.mark.parametrize("name", [*sorted(CONTENT), MANIFEST])
def test_symbolic_links_are_refused(folder: Path, tmp_path: Path, name: str) -> None:
    (folder / name).rename(tmp_path / "elsewhere")
    (folder / name).symlink_to(tmp_path / "elsewhere")
    assert_refused(folder, rf"{name} is a link; a bundle holds plain files only")
    (folder / name).unlink()
    (folder / name).symlink_to("/dev/zero")
    assert_refused(folder, rf"{name} is a link")
    (folder / name).unlink()
    (folder / name).symlink_to(tmp_path / "nowhere")
    assert_refused(folder, rf"{name} is a link")


@pytest.mark.parametrize("name", ["b.csv", MANIFEST])
def test_named_pipe_is_refused_without_waiting_for_a_writer(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)
    messages: list[str] = []

    def read_and_keep_message() -> None:
        try:
            read_files(folder, NAMES_BY_FORMAT)
        except BundleError as error:
            messages.append(str(error))

    reader = threading.Thread(target=read_and_keep_message, daemon=True)
    reader.start()
    reader.join(20)
    assert len(messages) == 1, "reading blocks until a program writes to the pipe"
    assert f"{name} is not a plain file" in messages[0]


def test_socket_is_refused(folder: Path) -> None:
    (folder / "b.csv").unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        working_directory = Path.cwd()
        try:
            os.chdir(folder)  # paths of sockets are limited to some 100 bytes
            listener.bind("b.csv")
        finally:
            os.chdir(working_directory)
        assert_refused(folder, r"b\.csv (is not a plain file|cannot be read)")


@pytest.mark.parametrize(
    "name", ["../b.csv", "x/b.csv", "/b.csv", "..", ".", "", "x\\b.csv", "c:b.csv", "b\0.csv"]
)
def test_file_names_outside_the_folder_are_refused(folder: Path, name: str) -> None:
    content = json.loads((folder / MANIFEST).read_bytes())
    content["files"][name] = content["files"].pop("b.csv")
    (folder / MANIFEST).write_text(json.dumps(content))
    assert_refused(folder, "which is not the name of a file in its folder")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"format_version": 3}, "has format 3; this version of nasicon-ml reads 1 and 2"),
        ({"format_version": True}, "format_version: True is not accepted; allowed: a whole number"),
        ({"format_version": "2"}, "format_version: '2' is not accepted"),
        ({"format_version": 2.0}, "format_version: 2.0 is not accepted"),
        ({"created": 5}, "created: 5 is not accepted; allowed: text"),
        ({"created": "x" * 10_000}, "created: 'xxx.* is not accepted; allowed: text of at most 64 characters"),
        ({"files": []}, "files: a list of 0 is not accepted"),
        ({"files": {"a.json": None}}, r"files\.a\.json: None is not accepted"),
        ({"files": {"a.json": "abc"}}, r"has no SHA-256 for 'a\.json': 'abc'"),
        ({"files": {f"f{n}": "0" * 64 for n in range(101)}}, "files: an object of 101 is not accepted"),
        ({"more": 1}, "more is not known"),
    ],
)
def test_manifest_with_invalid_values_is_refused(folder: Path, change: dict[str, Any], match: str) -> None:
    content = json.loads((folder / MANIFEST).read_bytes())
    (folder / MANIFEST).write_text(json.dumps(content | change))
    assert_refused(folder, match)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "cannot be read"),
        (b"not json", "cannot be read"),
        (b"\xff\xfe{\x00}\x00", "cannot be read"),
        (b"[]", "it: a list of 0 is not accepted; allowed: an object"),
        (b"[" * 50_000, "it is nested too deeply"),
        (b'{"format_version": NaN}', "NaN is not a number"),
        (b'{"format_version": 2, "format_version": 2}', "'format_version' occurs twice"),
        (b'{"created": "x", "files": {}}', "format_version is missing"),
    ],
)
def test_malformed_manifest_is_refused(folder: Path, data: bytes, match: str) -> None:
    (folder / MANIFEST).write_bytes(data)
    assert_refused(folder, match)


def test_folder_without_manifest_is_refused_as_not_a_bundle(folder: Path, tmp_path: Path) -> None:
    (folder / MANIFEST).unlink()
    assert_refused(folder, "is not a model bundle: it has no manifest")
    assert_refused(tmp_path / "nowhere", "is not a model bundle: it has no manifest")
    assert_refused(folder / "a.json", "is not a model bundle: it has no manifest")


def test_sizes_of_files_bundle_and_manifest_are_limited(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (folder / "b.csv").open("r+b") as file:
        file.truncate(manifest.MAX_FILE_BYTES + 99)  # a sparse file, which takes no disk space
    assert_refused(
        folder, rf"b\.csv has {manifest.MAX_FILE_BYTES + 99} bytes; at most {manifest.MAX_FILE_BYTES} are read$"
    )
    (folder / "b.csv").write_bytes(CONTENT["b.csv"])
    read_files(folder, NAMES_BY_FORMAT)
    total = sum(map(len, CONTENT.values()))
    monkeypatch.setattr(manifest, "MAX_BUNDLE_BYTES", total)
    read_files(folder, NAMES_BY_FORMAT)
    monkeypatch.setattr(manifest, "MAX_BUNDLE_BYTES", total - 1)
    assert_refused(folder, r"c\.npz has 256 bytes; at most 255 are read, what is left of the whole bundle's")
    with (folder / MANIFEST).open("r+b") as file:
        file.truncate(manifest.MAX_MANIFEST_BYTES + 1)
    assert_refused(folder, rf"{MANIFEST} has 65537 bytes; at most 65536 are read")


def test_file_that_grows_while_it_is_read_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of bytes read is limited even if `fstat` reports a smaller size."""
    monkeypatch.setattr(manifest, "MAX_FILE_BYTES", 100)
    original_fstat = os.fstat

    class StatOfEmptyFile:
        def __init__(self, result: os.stat_result) -> None:
            self.st_mode, self.st_size = result.st_mode, 0

    monkeypatch.setattr(manifest.os, "fstat", lambda descriptor: StatOfEmptyFile(original_fstat(descriptor)))
    assert_refused(folder, r"c\.npz has 101 bytes; at most 100 are read")


def test_unreadable_file_is_named_in_the_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original_open = os.open

    def failing_open(path: Any, *args: Any, **kwargs: Any) -> int:
        if Path(path).name == "b.csv":
            raise PermissionError(13, "Permission denied")
        return original_open(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", failing_open)
    assert_refused(folder, r"b\.csv cannot be read: Permission denied")


def test_manifest_contains_the_sha256_of_each_file(folder: Path) -> None:
    content = json.loads((folder / MANIFEST).read_bytes())
    assert content["files"] == {name: hashlib.sha256(data).hexdigest() for name, data in CONTENT.items()}
