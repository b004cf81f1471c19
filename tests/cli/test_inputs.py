"""Recipes come with where they stand in their file; the good ones survive the bad ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from nasicon_ml.cli.inputs import from_file, from_options
from nasicon_ml.columns import MODEL_INPUT, Column
from nasicon_ml.errors import FieldError, FormulaError, UnreadableFileError


def write(folder: Path, text: str, name: str = "recipes.csv") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_options_make_one_recipe() -> None:
    fields = {"sintering_temperature_c": 800.0, "atmosphere": None}
    inputs = from_options("Li1+xMxTi2-x(PO4)3", 0.3, {"M": "Sc"}, fields)
    assert list(inputs.table.columns) == list(MODEL_INPUT)
    assert inputs.table[Column.FORMULA].tolist() == ["Li1.3Sc0.3Ti1.7(PO4)3"]
    assert inputs.table[Column.SINTERING_TEMPERATURE_C].tolist() == [800.0]
    assert (inputs.numbers, inputs.lines, inputs.bad_rows, len(inputs)) == ((1,), (None,), 0, 1)


def test_options_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(FieldError, match="not in both"):
        from_options("LATP x=0.3 + 2 wt% LiF", None, {}, {"additive": "Al2O3"})
    with pytest.raises(FormulaError, match="one value of x"):
        from_options("LATP x=0.3", 0.4, {}, {})


def test_good_rows_keep_their_place_and_bad_ones_say_theirs(tmp_path: Path) -> None:
    text = "pellet_id,formula,sintering_temperature_c\na,LATP x=0.3,800\nb,LATPP x=0.3,800\n\n ,LAGP x=0.5,\n"
    inputs = from_file(write(tmp_path, text), None)
    assert inputs.numbers == (1, 3)
    assert inputs.lines == (2, 5)
    assert inputs.pellet_ids == ("a", None)
    assert inputs.bad_rows == 1
    (finding,) = inputs.findings
    assert inputs.place(finding) == f"{tmp_path / 'recipes.csv'}, line 3"
    assert "Did you mean 'LATP'?" in finding.message


def test_formats_without_lines_count_recipes(tmp_path: Path) -> None:
    path = write(tmp_path, '[{"formula": "LATP x=0.3"}, {"formula": "nonsense"}]', "recipes.json")
    inputs = from_file(path, None)
    assert (inputs.numbers, inputs.lines, inputs.pellet_ids) == ((1,), (None,), None)
    assert inputs.place(inputs.findings[0]) == f"{path}, recipe 2"


def test_several_bad_cells_of_a_row_are_one_bad_row(tmp_path: Path) -> None:
    text = "formula,sintering_temperature_c,atmosphere\nLATP x=0.3,hot,argn\n"
    inputs = from_file(write(tmp_path, text), None)
    assert (len(inputs.findings), inputs.bad_rows, len(inputs)) == (2, 1, 0)


def test_a_doubtful_row_is_kept_with_a_warning(tmp_path: Path) -> None:
    inputs = from_file(write(tmp_path, "formula\nLi1.3Al0.5Ti1.7(PO4)3\n"), None)
    assert len(inputs) == 1
    (warning,) = inputs.warnings
    assert "charges" in warning.message
    assert inputs.place(warning).endswith("line 2")


def test_an_unknown_column_refuses_the_file_by_name(tmp_path: Path) -> None:
    path = write(tmp_path, "formula,sintring_temperature\nLATP x=0.3,800\n")
    with pytest.raises(
        UnreadableFileError, match=r"recipes\.csv: column: .*Did you mean 'sintering_temperature_c'"
    ):
        from_file(path, None)


def test_names_of_recipes_that_cannot_be_written_leave_their_rows_out(tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    file.write_text(
        '[{"formula": "LTP", "pellet_id": "\\ud800"}, {"formula": "LGP", "pellet_id": 7}, {"formula": "NZSP"},'
        ' {"formula": "LTP", "pellet_id": ["a"]}, {"formula": "LTP x", "pellet_id": "\\u001b[2J"}]',
        encoding="utf-8",
    )
    inputs = from_file(str(file), None)
    assert inputs.numbers == (2, 3)
    assert inputs.pellet_ids == ("7", None)
    assert [(finding.row, finding.column) for finding in inputs.findings] == [
        (0, "pellet_id"), (3, "pellet_id"), (4, "formula"), (4, "pellet_id"),
    ]  # fmt: skip
    assert inputs.bad_rows == 3
