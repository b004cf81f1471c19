"""Loading of pellets and sources as clean tables, and the errors of invalid files."""

from pathlib import Path

import pandas as pd
import pytest

from nasicon_ml.columns import PELLET, SOURCES, Column, Kind
from nasicon_ml.data.files import renew_checksums
from nasicon_ml.data.load import load_pellets, load_sources, systems_of
from nasicon_ml.errors import DatasetError, UnreadableFileError
from tests.data.examples import GOOD, OTHER, SECOND, file_of

SUSPECT = {**SECOND, "pellet_id": "p8", "suspect": "true", "suspect_reason": "odd", "formula": ""}


def write_pellets(tmp_path: Path, *rows: dict[str, str]) -> Path:
    file = tmp_path / "pellets.csv"
    file.write_text(file_of(*rows), encoding="utf-8")
    return file


def test_load_pellets_returns_clean_table_with_systems(tmp_path: Path) -> None:
    pellets = load_pellets(write_pellets(tmp_path, {**GOOD, "formula": "Li2.8Al0.8Ti3.2P6O24"}, SUSPECT, OTHER))
    assert list(pellets.columns) == [*PELLET, Column.SYSTEM]
    assert pellets.index.tolist() == [0, 1]
    assert pellets[Column.PELLET_ID].tolist() == ["p1", "p3"]
    assert pellets[Column.FORMULA].tolist() == ["Li1.4Al0.4Ti1.6(PO4)3", "LiTi2(PO4)3"]
    assert pellets[Column.SYSTEM].tolist() == ["LATP", "LTP"]
    assert pellets[Column.PHASE_PURE].tolist() == [False, True]
    assert pellets[Column.ATMOSPHERE].tolist() == ["air", None]
    for column in PELLET:
        assert pellets[column].dtype == ("float64" if column.kind is Kind.NUMBER else "object")
    for flag in (Column.SUSPECT, Column.IN_OBELIX, Column.IN_LIVERPOOL):
        assert pellets[flag].tolist() == [False, False]


def test_include_suspect_returns_suspect_rows(tmp_path: Path) -> None:
    pellets = load_pellets(write_pellets(tmp_path, GOOD, SUSPECT), include_suspect=True)
    assert pellets[Column.SUSPECT].tolist() == [False, True]
    assert pellets[Column.SYSTEM].tolist() == ["LATP", None]
    assert pellets[Column.FORMULA].tolist() == ["Li1.4Al0.4Ti1.6(PO4)3", None]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"formula": "LiXx2(PO4)3"}, "line 3: .*Xx"),
        ({"formula": ""}, "line 3: formula"),
        ({"atmosphere": "steam"}, "line 3: atmosphere: 'steam'"),
        ({"relative_density_pct": "0.9"}, "line 3: .*write 90"),
    ],
)
def test_invalid_cell_raises_with_line(tmp_path: Path, change: dict[str, str], match: str) -> None:
    file = write_pellets(tmp_path, GOOD, {**SECOND, **change})
    with pytest.raises(DatasetError, match=rf"{match}.*1 errors in all.*data validate"):
        load_pellets(file)


def test_invalid_cell_of_suspect_row_is_missing(tmp_path: Path) -> None:
    file = write_pellets(tmp_path, GOOD, {**SUSPECT, "relative_density_pct": "150"})
    assert len(load_pellets(file)) == 1
    assert load_pellets(file, include_suspect=True)[Column.RELATIVE_DENSITY_PCT].isna().tolist() == [False, True]


def test_unknown_column_raises_with_suggestion(tmp_path: Path) -> None:
    file = tmp_path / "pellets.csv"
    file.write_text("pellet_id,source,formula,sintering_temp_c\np1,raj2023,LTP,900\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"line 1: 'sintering_temp_c' is not a column.*sintering_temperature_c"):
        load_pellets(file)


def test_absent_columns_are_missing_values(tmp_path: Path) -> None:
    file = tmp_path / "pellets.csv"
    file.write_text("pellet_id,source,formula\np1,raj2023,LTP\n", encoding="utf-8")
    assert load_pellets(file)[Column.SINTERING_TEMPERATURE_C].isna().all()


def test_file_that_differs_from_recorded_checksum_raises(tmp_path: Path) -> None:
    file = write_pellets(tmp_path, GOOD)
    renew_checksums(tmp_path)
    assert len(load_pellets(file)) == 1
    write_pellets(tmp_path, GOOD, SECOND)
    with pytest.raises(DatasetError, match="checksum"):
        load_pellets(file)
    assert len(load_pellets(file, verify=False)) == 2


def test_missing_file_raises(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="there is no such file"):
        load_pellets(tmp_path / "no.csv")


def test_systems_of_missing_formulas_are_none_and_index_is_kept() -> None:
    empty = pd.Series([None, None], index=[3, 4], dtype="object")
    assert systems_of(empty).tolist() == [None, None]
    assert systems_of(pd.Series([None, "LAGP x=0.5"], index=[3, 4], dtype="object")).to_dict() == {
        3: None,
        4: "LAGP",
    }


def write_sources(tmp_path: Path, *lines: str) -> Path:
    file = tmp_path / "sources.csv"
    file.write_text("\n".join([",".join(SOURCES), *lines]) + "\n", encoding="utf-8")
    return file


def test_load_sources_returns_all_columns(tmp_path: Path) -> None:
    sources = load_sources(write_sources(tmp_path, "raj2023,10.1021/acsaem.2c02464,,,,raj2023,paper,,facts,20"))
    assert list(sources.columns) == list(SOURCES)
    assert sources["pellet_count"].tolist() == [20.0]


@pytest.mark.parametrize(
    ("lines", "match"),
    [
        (["a,,,,,,,,,1", "a,,,,,,,,,2"], "the source 'a' occurs more than once"),
        (["a,,,,,,,,,1", ",10.1/x,,,,,,,,2"], "source is missing in 1 rows"),
        (["a,,,,,,,,,many"], "line 2: pellet_count: 'many'"),
    ],
)
def test_invalid_sources_raise(tmp_path: Path, lines: list[str], match: str) -> None:
    with pytest.raises(DatasetError, match=match):
        load_sources(write_sources(tmp_path, *lines))
