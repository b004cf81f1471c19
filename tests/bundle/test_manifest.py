"""Files of a bundle: read once, held against the manifest, and nothing but plain files of a sensible size."""

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
NEEDED = {1: ("a.json", "b.csv"), 2: tuple(CONTENT)}


def written(folder: Path, content: dict[str, bytes] | None = None) -> Path:
    content = CONTENT if content is None else content
    folder.mkdir()
    for name, data in content.items():
        (folder / name).write_bytes(data)
    write_manifest(folder, 2, "2026-01-01T00:00:00+00:00", content)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path / "bundle")


def refused(folder: Path, match: str) -> None:
    with pytest.raises(BundleError, match=match):
        read_files(folder, NEEDED)


def test_written_files_can_be_read(folder: Path) -> None:
    found = read_files(folder, NEEDED)
    assert found.content == CONTENT
    assert (found.folder, found.format_version, found.created) == (folder, 2, "2026-01-01T00:00:00+00:00")


def test_each_file_is_opened_once_and_what_was_hashed_is_what_is_given(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever changes a file after it was read changes nothing."""
    opened: list[str] = []
    really_open = os.open

    def counted(path: Any, *arguments: Any, **more: Any) -> int:
        opened.append(Path(path).name)
        return really_open(path, *arguments, **more)

    monkeypatch.setattr(os, "open", counted)
    found = read_files(folder, NEEDED)
    assert sorted(opened) == sorted([*CONTENT, MANIFEST])
    (folder / "a.json").write_bytes(b"[]")
    assert found.content["a.json"] == CONTENT["a.json"]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_byte_is_refused_by_the_name_of_its_file(folder: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(CONTENT)))
    original = CONTENT[name]
    at = data.draw(st.integers(0, len(original) - 1))
    change = data.draw(st.integers(1, 255))
    try:
        (folder / name).write_bytes(original[:at] + bytes([original[at] ^ change]) + original[at + 1 :])
        refused(folder, rf"{name} was changed after the bundle was made")
    finally:
        (folder / name).write_bytes(original)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_changed_manifest_is_never_taken_for_another_bundle(folder: Path, data: st.DataObject) -> None:
    original = (folder / MANIFEST).read_bytes()
    at = data.draw(st.integers(0, len(original) - 1))
    change = data.draw(st.integers(1, 255))
    try:
        (folder / MANIFEST).write_bytes(original[:at] + bytes([original[at] ^ change]) + original[at + 1 :])
        try:
            found = read_files(folder, NEEDED)
        except BundleError:
            return
        assert found.content == CONTENT  # only the time of making, or the blanks between, can be others
    finally:
        (folder / MANIFEST).write_bytes(original)


@pytest.mark.parametrize("name", sorted(CONTENT))
def test_missing_and_additional_files_are_refused_by_name(folder: Path, name: str) -> None:
    (folder / name).rename(folder / "other")
    refused(folder, rf"missing or additional: \['{name}', 'other'\]")
    (folder / "other").unlink()
    refused(folder, rf"missing or additional: \['{name}'\]")


def test_a_folder_inside_is_refused(folder: Path) -> None:
    (folder / "more").mkdir()
    refused(folder, r"missing or additional: \['more'\]")
    (folder / "more").rmdir()
    (folder / "b.csv").unlink()
    (folder / "b.csv").mkdir()
    refused(folder, r"b\.csv (is not a plain file|cannot be read)")


def test_messages_about_many_additional_files_are_short(folder: Path) -> None:
    for number in range(50):
        (folder / f"strange-{number:02}").touch()
    refused(folder, r"'strange-09'\] and 40 more$")


def test_a_folder_of_many_thousand_files_is_not_listed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "_MAX_ENTRIES", 3)
    refused(folder, "it holds more than 3 files")


@pytest.mark.parametrize("name", [*sorted(CONTENT), MANIFEST])
def test_links_are_refused_wherever_they_lead(folder: Path, tmp_path: Path, name: str) -> None:
    (folder / name).rename(tmp_path / "elsewhere")
    (folder / name).symlink_to(tmp_path / "elsewhere")
    refused(folder, rf"{name} is a link; a bundle holds plain files only")
    (folder / name).unlink()
    (folder / name).symlink_to("/dev/zero")
    refused(folder, rf"{name} is a link")
    (folder / name).unlink()
    (folder / name).symlink_to(tmp_path / "nowhere")
    refused(folder, rf"{name} is a link")


@pytest.mark.parametrize("name", ["b.csv", MANIFEST])
def test_a_pipe_is_refused_without_waiting_for_a_writer(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)
    answers: list[str] = []

    def read() -> None:
        try:
            read_files(folder, NEEDED)
        except BundleError as error:
            answers.append(str(error))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(20)
    assert len(answers) == 1, "it waits for somebody to write"
    assert f"{name} is not a plain file" in answers[0]


def test_a_socket_is_refused(folder: Path) -> None:
    (folder / "b.csv").unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        try:
            os.chdir(folder)  # the path of a socket must be short
            listener.bind("b.csv")
        finally:
            os.chdir(here)
        refused(folder, r"b\.csv (is not a plain file|cannot be read)")


@pytest.mark.parametrize(
    "name", ["../b.csv", "x/b.csv", "/b.csv", "..", ".", "", "x\\b.csv", "c:b.csv", "b\0.csv"]
)
def test_names_that_lead_out_of_the_folder_are_refused(folder: Path, name: str) -> None:
    content = json.loads((folder / MANIFEST).read_bytes())
    content["files"][name] = content["files"].pop("b.csv")
    (folder / MANIFEST).write_text(json.dumps(content))
    refused(folder, "which is not the name of a file in its folder")


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
def test_invalid_content_of_a_manifest_is_refused(folder: Path, change: dict[str, Any], match: str) -> None:
    content = json.loads((folder / MANIFEST).read_bytes())
    (folder / MANIFEST).write_text(json.dumps(content | change))
    refused(folder, match)


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
def test_an_invalid_manifest_is_refused(folder: Path, data: bytes, match: str) -> None:
    (folder / MANIFEST).write_bytes(data)
    refused(folder, match)


def test_a_folder_without_manifest_is_not_a_bundle(folder: Path, tmp_path: Path) -> None:
    (folder / MANIFEST).unlink()
    refused(folder, "is not a model bundle: it has no manifest")
    refused(tmp_path / "nowhere", "is not a model bundle: it has no manifest")
    refused(folder / "a.json", "is not a model bundle: it has no manifest")


def test_sizes_are_limited(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (folder / "b.csv").open("r+b") as file:
        file.truncate(manifest.MAX_FILE_BYTES + 99)  # takes no room on the disk
    refused(
        folder, rf"b\.csv has {manifest.MAX_FILE_BYTES + 99} bytes; at most {manifest.MAX_FILE_BYTES} are read$"
    )
    (folder / "b.csv").write_bytes(CONTENT["b.csv"])
    read_files(folder, NEEDED)
    whole = sum(map(len, CONTENT.values()))
    monkeypatch.setattr(manifest, "MAX_BUNDLE_BYTES", whole)
    read_files(folder, NEEDED)
    monkeypatch.setattr(manifest, "MAX_BUNDLE_BYTES", whole - 1)
    refused(folder, r"c\.npz has 256 bytes; at most 255 are read, what is left of the whole bundle's")
    with (folder / MANIFEST).open("r+b") as file:
        file.truncate(manifest.MAX_MANIFEST_BYTES + 1)
    refused(folder, rf"{MANIFEST} has 65537 bytes; at most 65536 are read")


def test_a_file_that_grows_while_it_is_read_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The size that is stated may lie; what is read is bounded all the same."""
    monkeypatch.setattr(manifest, "MAX_FILE_BYTES", 100)
    really = os.fstat

    class Lies:
        def __init__(self, found: os.stat_result) -> None:
            self.st_mode, self.st_size = found.st_mode, 0

    monkeypatch.setattr(manifest.os, "fstat", lambda descriptor: Lies(really(descriptor)))
    refused(folder, r"c\.npz has 101 bytes; at most 100 are read")


def test_an_unreadable_file_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really_open = os.open

    def fails(path: Any, *arguments: Any, **more: Any) -> int:
        if Path(path).name == "b.csv":
            raise PermissionError(13, "Permission denied")
        return really_open(path, *arguments, **more)

    monkeypatch.setattr(os, "open", fails)
    refused(folder, r"b\.csv cannot be read: Permission denied")


def test_checksums_are_those_of_the_files(folder: Path) -> None:
    content = json.loads((folder / MANIFEST).read_bytes())
    assert content["files"] == {name: hashlib.sha256(data).hexdigest() for name, data in CONTENT.items()}
