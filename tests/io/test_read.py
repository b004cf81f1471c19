"""Reading of tables from files and standard input: paths, formats, and inputs of random bytes."""

import contextlib
import io
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nasicon_ml.errors import UnreadableFileError
from nasicon_ml.io import FORMATS, read_table


class Stdin:
    """Standard input with the given bytes."""

    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)


@pytest.mark.parametrize(
    "content",
    [
        b"formula,atmosphere\nLTP,air\n",
        b"\xef\xbb\xbfformula,atmosphere\nLTP,air\n",
        b'[{"formula": "LTP", "atmosphere": "air"}]',
        b'\n {"formula": "LTP",\n "atmosphere": "air"}',
        b"- formula: LTP\n  atmosphere: air\n",
        b"# a remark\nformula: LTP\natmosphere: air\n",
        b"---\nformula: LTP\natmosphere: air\n",
    ],
)
def test_format_of_standard_input_is_detected_from_content(
    content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin(content))
    table = read_table("-")
    assert table.frame.to_dict("records") == [{"formula": "LTP", "atmosphere": "air"}]
    assert table.name == "standard input"


def test_file_format_overrides_the_extension(tmp_path: Path) -> None:
    file = tmp_path / "recipes.txt"
    file.write_text("formula: LTP\n", encoding="utf-8")
    assert read_table(file, file_format="yaml").frame.to_dict("list") == {"formula": ["LTP"]}
    with pytest.raises(
        UnreadableFileError, match=r"'yml' is not known; allowed: csv, json, yaml, parquet, workbook.*'yaml'"
    ):
        read_table(file, file_format="yml")


def test_extensions_are_case_insensitive(tmp_path: Path) -> None:
    file = tmp_path / "PELLETS.CSV"
    file.write_text("formula\nLTP\n", encoding="utf-8")
    assert len(read_table(file).frame) == 1


def test_missing_file_raises_with_similar_file_name(tmp_path: Path) -> None:
    (tmp_path / "pellets.csv").write_text("formula\n", encoding="utf-8")
    with pytest.raises(UnreadableFileError, match=r"there is no such file\. Did you mean 'pellets\.csv'"):
        read_table(tmp_path / "pelets.csv")
    with pytest.raises(UnreadableFileError, match="there is no such file"):
        read_table(tmp_path / "no" / "folder.csv")


def test_unknown_extension_raises_with_known_extensions(tmp_path: Path) -> None:
    (tmp_path / "a.dat").write_bytes(b"x")
    with pytest.raises(UnreadableFileError, match=r"'\.dat'.*\.csv, \.tsv"):
        read_table(tmp_path / "a.dat")


def test_folder_raises(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="this is a folder"):
        read_table(tmp_path)


def test_invalid_file_name_raises(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="cannot be read"):
        read_table(tmp_path / "a\0b.csv")


SNIPPETS = st.sampled_from(
    [b",", b"\n", b'"', b";", b"- ", b": ", b"{", b"[", b"}", b"&a", b"*a", b"formula", b"\xb5", b"1,5"]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.one_of(st.binary(max_size=300), st.lists(SNIPPETS, max_size=30).map(b"".join)),
    file_format=st.sampled_from([*sorted(set(FORMATS.values())), None]),
)
def test_any_bytes_give_a_table_or_unreadable_file_error(
    data: bytes, file_format: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin(data))
    with contextlib.suppress(UnreadableFileError):
        table = read_table("-", file_format=file_format)
        assert table.lines is None or len(table.lines) == len(table.frame)
        assert table.frame.columns.is_unique
