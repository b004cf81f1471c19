"""Reading of the pellets of users."""

import pandas as pd
import pytest

from nasicon_ml.columns import PELLET, Column
from nasicon_ml.data.own_pellets import OwnPelletsError, own_checksum, own_pellets, refuse_known_sources
from nasicon_ml.errors import DatasetError, FieldError, UnreadableFileError

HEADER = "formula,sintering_temperature_c,conductivity_total_s_cm,relative_density_pct"
GOOD = "Li1.3Al0.3Ti1.7(PO4)3,900,5e-4,93"


def write_pellets(folder, *lines, header=HEADER):
    path = folder / "own.csv"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def test_formula_and_one_result_are_enough(tmp_path):
    result = own_pellets(write_pellets(tmp_path, "LATP x=0.3,95", header="formula,relative_density_pct"))
    assert set(result.columns) == {*map(str, PELLET), "system"}
    assert result.loc[0, ["pellet_id", "source", "formula", "system"]].tolist() == [
        "own-1", "own", "Li1.3Al0.3Ti1.7(PO4)3", "LATP",
    ]  # fmt: skip


def test_missing_keys_and_sources_are_generated(tmp_path):
    result = own_pellets(
        write_pellets(tmp_path, f"a,lab2,{GOOD}", f",,{GOOD[:-2]}94", header=f"pellet_id,source,{HEADER}")
    )
    assert result["pellet_id"].tolist() == ["a", "own-2"]
    assert result["source"].tolist() == ["lab2", "own"]


def test_all_invalid_cells_are_reported_with_line_column_value_and_rule(tmp_path):
    path = write_pellets(
        tmp_path, GOOD, "LiQx(PO4)3,900,5e-4,93", "LATP x=0.3,1173-1273,,0.93", "LATP x=0.3,900,,"
    )
    with pytest.raises(OwnPelletsError, match=r"4 errors in your own pellets; nothing is done") as caught:
        own_pellets(path)
    reported = [(finding.line, finding.column, finding.value, finding.rule) for finding in caught.value.findings]
    assert reported == [
        (3, "formula", "LiQx(PO4)3", "bad_formula"),
        (4, "sintering_temperature_c", "1173-1273", "not_a_number"),
        (4, "relative_density_pct", "0.93", "fraction_for_percent"),
        (5, "conductivity_total_s_cm", None, "missing_result"),
    ]
    assert f"{path}, line 4: relative_density_pct: '0.93' is not accepted" in str(caught.value)
    assert "such as the middle: 1223" in str(caught.value)


@pytest.mark.parametrize(
    ("header", "line", "match"),
    [
        ("formula,sintering_temperature_c", "LTP,900", "own pellets need one result at least"),
        ("relative_density_pct", "93", "the column formula is absent"),
        ("formula,densty", "LTP,93", "'densty' is not a column of the dataset"),
        ("pellet_id,formula,relative_density_pct", "a,LTP,93\na,LTP,95", "'a' is already in line 2"),
        (HEADER, f"{GOOD}\n{GOOD}", r"the same measurement as line 2"),
        (HEADER, "", "there is no pellet in it"),
        (
            "formula,relative_density_pct,suspect,suspect_reason", "LTP,93,true,it fell",
            "all of its pellets are marked suspect",
        ),
    ],
)  # fmt: skip
def test_invalid_files_raise(tmp_path, header, line, match):
    with pytest.raises(DatasetError, match=match):
        own_pellets(write_pellets(tmp_path, line, header=header))


def test_equal_rows_with_different_keys_are_replicates(tmp_path):
    assert len(own_pellets(write_pellets(tmp_path, f"a,{GOOD}", f"b,{GOOD}", header=f"pellet_id,{HEADER}"))) == 2


def test_missing_file_raises(tmp_path):
    with pytest.raises(UnreadableFileError):
        own_pellets(tmp_path / "nowhere.csv")


def test_table_gives_same_result_as_file_and_reading_is_idempotent(tmp_path):
    path = write_pellets(tmp_path, GOOD)
    from_file, from_table = own_pellets(path), own_pellets(pd.read_csv(path))
    pd.testing.assert_frame_equal(from_file, from_table)
    pd.testing.assert_frame_equal(own_pellets(from_file), from_file)
    assert own_checksum(from_file) == own_checksum(from_table) != own_checksum(from_file.assign(notes="x"))


def test_source_of_the_dataset_is_refused(tmp_path):
    own = own_pellets(write_pellets(tmp_path, GOOD))
    refuse_known_sources(own, {"raj2023"})
    with pytest.raises(DatasetError, match=r"source: 'own' of pellet 'own-1' is a source of the dataset; allowed"):
        refuse_known_sources(own, {"own"})
    assert str(Column.SOURCE) == "source"


@pytest.mark.parametrize("name", ["formula", "pellet_id", "relative_density_pct"])
def test_repeated_column_is_refused(name: str) -> None:
    frame = pd.DataFrame({"formula": ["LTP"], "pellet_id": ["a"], "relative_density_pct": [90]})
    with pytest.raises(FieldError, match=f"{name}' is not accepted; allowed: every column once"):
        own_pellets(pd.concat([frame, frame[[name]]], axis=1))
