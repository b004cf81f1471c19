import pandas as pd
import pytest

from nasicon_ml.columns import PELLET, Column
from nasicon_ml.data.own_pellets import OwnPelletsError, own_checksum, own_pellets, refuse_known_sources
from nasicon_ml.errors import DatasetError, FieldError, UnreadableFileError

HEAD = "formula,sintering_temperature_c,conductivity_total_s_cm,relative_density_pct"
GOOD = "Li1.3Al0.3Ti1.7(PO4)3,900,5e-4,93"


def written(folder, *lines, head=HEAD):
    path = folder / "mine.csv"
    path.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    return path


def test_a_formula_and_one_result_suffice(tmp_path):
    found = own_pellets(written(tmp_path, "LATP x=0.3,95", head="formula,relative_density_pct"))
    assert set(found.columns) == {*map(str, PELLET), "system"}
    assert found.loc[0, ["pellet_id", "source", "formula", "system"]].tolist() == [
        "own-1", "own", "Li1.3Al0.3Ti1.7(PO4)3", "LATP",
    ]  # fmt: skip


def test_keys_and_sources_are_kept_and_made_up_where_they_lack(tmp_path):
    found = own_pellets(written(tmp_path, f"a,lab2,{GOOD}", f",,{GOOD[:-2]}94", head=f"pellet_id,source,{HEAD}"))
    assert found["pellet_id"].tolist() == ["a", "own-2"]
    assert found["source"].tolist() == ["lab2", "own"]


def test_all_bad_rows_are_reported_with_line_column_value_and_rule(tmp_path):
    path = written(tmp_path, GOOD, "LiQx(PO4)3,900,5e-4,93", "LATP x=0.3,1173-1273,,0.93", "LATP x=0.3,900,,")
    with pytest.raises(OwnPelletsError, match=r"4 errors in your own pellets; nothing is done") as caught:
        own_pellets(path)
    told = [(found.line, found.column, found.value, found.rule) for found in caught.value.findings]
    assert told == [
        (3, "formula", "LiQx(PO4)3", "bad_formula"),
        (4, "sintering_temperature_c", "1173-1273", "not_a_number"),
        (4, "relative_density_pct", "0.93", "fraction_for_percent"),
        (5, "conductivity_total_s_cm", None, "missing_result"),
    ]
    assert f"{path}, line 4: relative_density_pct: '0.93' is not accepted" in str(caught.value)
    assert "such as the middle: 1223" in str(caught.value)


@pytest.mark.parametrize(
    ("head", "line", "words"),
    [
        ("formula,sintering_temperature_c", "LTP,900", "own pellets need one result at least"),
        ("relative_density_pct", "93", "the column formula is absent"),
        ("formula,densty", "LTP,93", "'densty' is not a column of the dataset"),
        ("pellet_id,formula,relative_density_pct", "a,LTP,93\na,LTP,95", "'a' is already in line 2"),
        (HEAD, f"{GOOD}\n{GOOD}", r"the same measurement as line 2"),
        (HEAD, "", "there is no pellet in it"),
        (
            "formula,relative_density_pct,suspect,suspect_reason", "LTP,93,true,it fell",
            "all of its pellets are marked suspect",
        ),
    ],
)  # fmt: skip
def test_files_that_are_refused(tmp_path, head, line, words):
    with pytest.raises(DatasetError, match=words):
        own_pellets(written(tmp_path, line, head=head))


def test_replicates_with_keys_of_their_own_are_two_pellets(tmp_path):
    assert len(own_pellets(written(tmp_path, f"a,{GOOD}", f"b,{GOOD}", head=f"pellet_id,{HEAD}"))) == 2


def test_no_table(tmp_path):
    with pytest.raises(UnreadableFileError):
        own_pellets(tmp_path / "nowhere.csv")


def test_a_table_is_read_as_a_file_is_and_once_more_changes_nothing(tmp_path):
    path = written(tmp_path, GOOD)
    by_file, by_table = own_pellets(path), own_pellets(pd.read_csv(path))
    pd.testing.assert_frame_equal(by_file, by_table)
    pd.testing.assert_frame_equal(own_pellets(by_file), by_file)
    assert own_checksum(by_file) == own_checksum(by_table) != own_checksum(by_file.assign(notes="x"))


def test_a_source_of_the_dataset_is_refused(tmp_path):
    mine = own_pellets(written(tmp_path, GOOD))
    refuse_known_sources(mine, {"raj2023"})
    with pytest.raises(DatasetError, match=r"source: 'own' of pellet 'own-1' is a source of the dataset; allowed"):
        refuse_known_sources(mine, {"own"})
    assert str(Column.SOURCE) == "source"


@pytest.mark.parametrize("name", ["formula", "pellet_id", "relative_density_pct"])
def test_a_column_that_stands_twice_is_refused(name: str) -> None:
    frame = pd.DataFrame({"formula": ["LTP"], "pellet_id": ["a"], "relative_density_pct": [90]})
    with pytest.raises(FieldError, match=f"{name}' is not accepted; allowed: every column once"):
        own_pellets(pd.concat([frame, frame[[name]]], axis=1))
