"""Folder and checksums of the dataset."""

import json
from pathlib import Path

import pytest

from nasicon_ml.data.files import (
    CHECKSUMS_FILE,
    DATASETS_VARIABLE,
    VERSION_FILE,
    dataset_checksum,
    dataset_version,
    datasets_folder,
    recorded_checksums,
    renew_checksums,
    verify_checksum,
)
from nasicon_ml.errors import DatasetError


def test_datasets_folder_is_found_from_another_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert (datasets_folder() / "pellets.csv").is_file()


def test_environment_variable_sets_datasets_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATASETS_VARIABLE, str(tmp_path))
    assert datasets_folder() == tmp_path
    monkeypatch.setenv(DATASETS_VARIABLE, str(tmp_path / "no"))
    with pytest.raises(DatasetError, match=f"does not exist .*{DATASETS_VARIABLE}"):
        datasets_folder()


def test_checksum_depends_on_content_but_not_on_line_endings(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"x\ny\n")
    (tmp_path / "b.csv").write_bytes(b"x\r\ny\r\n")
    (tmp_path / "c.csv").write_bytes(b"x\nz\n")
    first, second, third = (dataset_checksum(tmp_path / name) for name in ("a.csv", "b.csv", "c.csv"))
    assert first == second != third
    # printf 'x\ny\n' | sha256sum
    assert first == "09834d488008f5f1ef589a2d7cedc52425bee9dd23b2212e4c1d673c5cbb54e4"


def test_checksum_of_missing_file_raises(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no\.csv: cannot be read"):
        dataset_checksum(tmp_path / "no.csv")


def test_changed_file_is_refused_and_message_names_the_commands(tmp_path: Path) -> None:
    file = tmp_path / "pellets.csv"
    file.write_text("pellet_id\n", encoding="utf-8")
    verify_checksum(file)  # nothing is recorded
    assert renew_checksums(tmp_path) == {"pellets.csv": dataset_checksum(file)}
    verify_checksum(file)
    file.write_text("pellet_id\np1\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"data validate.*data checksums --write.*with git"):
        verify_checksum(file)


@pytest.mark.parametrize("content", ["{", "[]", "5", '{"a.csv": "1", "a.csv": "2"}'])
def test_invalid_checksums_file_raises(tmp_path: Path, content: str) -> None:
    (tmp_path / CHECKSUMS_FILE).write_text(content, encoding="utf-8")
    with pytest.raises(DatasetError, match="is not a JSON object"):
        recorded_checksums(tmp_path)


def test_checksums_file_is_json_of_csv_files_only(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("b\n", encoding="utf-8")
    (tmp_path / "a.csv").write_text("a\n", encoding="utf-8")
    (tmp_path / "readme.md").write_text("no table\n", encoding="utf-8")
    renew_checksums(tmp_path)
    assert list(json.loads((tmp_path / CHECKSUMS_FILE).read_text(encoding="utf-8"))) == ["a.csv", "b.csv"]


def test_dataset_version_is_read_from_version_file(tmp_path: Path) -> None:
    assert dataset_version(tmp_path) == ""
    (tmp_path / VERSION_FILE).write_text("2\n", encoding="utf-8")
    assert dataset_version(tmp_path) == dataset_version(datasets_folder()) == "2"
