"""The committed dataset itself."""

import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from nasicon_ml.cli.data import data
from nasicon_ml.columns import NEW_IN_0_2, PELLET, SOURCES, Column
from nasicon_ml.data.citing import citation
from nasicon_ml.data.files import dataset_checksum, datasets_folder, recorded_checksums
from nasicon_ml.data.load import load_pellets, load_sources
from nasicon_ml.data.validate import find_problems
from nasicon_ml.io import read_table

FOLDER = datasets_folder()


def test_it_validates_without_errors() -> None:
    sources = set(load_sources()[Column.SOURCE])
    errors = [
        (found.line, found.message)
        for found in find_problems(read_table(FOLDER / "pellets.csv"), sources)
        if found.severity == "error"
    ]
    assert errors == []


def test_checksums_hold_for_every_table() -> None:
    tables = sorted(FOLDER.glob("*.csv"))
    assert [file.name for file in tables] == ["obelix_nasicon.csv", "pellets.csv", "sources.csv"]
    assert recorded_checksums(FOLDER) == {file.name: dataset_checksum(file) for file in tables}


def test_columns_stand_in_the_order_of_the_vocabulary() -> None:
    header = list(read_table(FOLDER / "pellets.csv").frame.columns)
    assert header == [column for column in PELLET if column in header or column not in NEW_IN_0_2]
    assert list(read_table(FOLDER / "sources.csv").frame.columns) == list(SOURCES)


def test_every_pellet_has_its_source_and_every_source_its_pellets() -> None:
    pellets = load_pellets(include_suspect=True)
    sources = load_sources().set_index(Column.SOURCE)
    counts = pellets[Column.SOURCE].value_counts()
    assert counts.to_dict() == sources[Column.PELLET_COUNT].astype(int).to_dict()
    assert sources[Column.LICENCE].notna().all()
    assert all(citation(row) for row in load_sources().to_dict("records"))
    for key, readings in pellets.groupby(Column.SOURCE)[Column.READING].unique().items():
        assert set(sources.loc[key, Column.READING].split(";")) == set(readings)


def test_a_doi_or_a_reading_belongs_to_one_source() -> None:
    pellets = load_pellets(include_suspect=True)
    for column in (Column.DOI, Column.READING):
        assert (pellets.groupby(column)[Column.SOURCE].nunique() == 1).all()


def test_the_paper_to_reproduce_is_there() -> None:
    pellets = load_pellets(include_suspect=True)
    raj = pellets[pellets[Column.SOURCE] == "raj2023"]
    assert len(raj) == 20
    assert set(raj[Column.DOI].dropna()) == {"10.1021/acsaem.2c02464"}
    best = raj.loc[raj[Column.CONDUCTIVITY_TOTAL_S_CM].idxmax()]
    # Table 3 of the paper: milled powder, 800 °C in argon at 1 °C/min.
    assert best[Column.CONDUCTIVITY_TOTAL_S_CM] == 8.77e-4
    assert best[Column.RELATIVE_DENSITY_PCT] == 98.1
    assert best[Column.HEATING_RATE_C_MIN] == 1.0
    assert best[Column.ATMOSPHERE] == "Ar"


def test_suspects_are_left_out_and_name_their_reason() -> None:
    everything = load_pellets(include_suspect=True)
    usable = load_pellets()
    suspects = everything[everything[Column.SUSPECT].astype(bool)]
    assert len(usable) + len(suspects) == len(everything) == 1761
    assert suspects[Column.SUSPECT_REASON].notna().all()
    assert (usable[Column.SUSPECT_REASON].notna() == usable[Column.DOUBTFUL_COLUMNS].notna()).all()
    assert usable[[Column.FORMULA, Column.SYSTEM, Column.SOURCE]].notna().all(axis=None)


def test_duplicates_point_to_a_pellet_that_stays() -> None:
    everything = load_pellets(include_suspect=True).set_index(Column.PELLET_ID)
    pairs = everything[Column.SUSPECT_REASON].str.extract(r"duplicate of (\w+)")[0].dropna()
    assert len(pairs) > 30
    for duplicate, kept in pairs.items():
        assert everything.loc[kept, Column.SOURCE] == everything.loc[duplicate, Column.SOURCE]
        assert not str(everything.loc[kept, Column.SUSPECT_REASON] or "").startswith("duplicate")


def test_the_rows_of_obelix_name_their_pellets() -> None:
    obelix = read_table(FOLDER / "obelix_nasicon.csv").frame
    pellets = load_pellets(include_suspect=True).set_index(Column.PELLET_ID)
    tied = obelix[obelix[Column.PELLET_ID] != ""]
    assert len(obelix) == 135
    assert set(obelix["split"]) == {"train", "test"}
    assert set(obelix.loc[obelix[Column.PELLET_ID] == "", "nasicon_structure"]) == {"false"}
    assert set(pellets.index[pellets[Column.IN_OBELIX].astype(bool)]) == set(tied[Column.PELLET_ID])


def test_the_dataset_speaks_of_itself_alone() -> None:
    for file in [*FOLDER.glob("*.csv"), *FOLDER.glob("*.md")]:
        text = file.read_text(encoding="utf-8")
        for word in ("seed 0", "/work", "shared/data"):
            assert word not in text, (file.name, word)


def test_the_card_counts_what_is_missing() -> None:
    card = " ".join(" ".join(path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md")).split())
    usable = load_pellets()
    measured = usable[usable[Column.CONDUCTIVITY_TOTAL_S_CM].notna()]
    unstated = int(measured[Column.MEASUREMENT_TEMPERATURE_C].isna().sum())
    assert (
        f"of the {len(measured)} usable conductivities, {unstated} have no stated measurement temperature" in card
    )
    sources = load_sources().set_index(Column.SOURCE)[Column.DOI].dropna()
    everything = load_pellets(include_suspect=True)
    single = everything[Column.SOURCE].isin(sources.index[~sources.str.contains(";")])
    empty = int((everything[Column.DOI].isna() & single).sum())
    assert f"It stays empty in {empty} rows of sources with one DOI" in card


def test_a_row_carries_a_doi_of_its_own_source() -> None:
    sources = load_sources().set_index(Column.SOURCE)[Column.DOI].fillna("")
    given = load_pellets(include_suspect=True).dropna(subset=[Column.DOI])
    for source, dois in given.groupby(Column.SOURCE)[Column.DOI].unique().items():
        assert set(dois) <= set(sources[source].split(";")), source


def blocks(page: Path) -> list[tuple[str, str]]:
    """Every command of the page that shows its output."""
    found = []
    for block in page.read_text(encoding="utf-8").split("```console\n")[1:]:
        command, _, output = block.split("```")[0].partition("\n")
        if command.startswith("$ "):
            found.append((command[2:], output))
    return found


CARD = blocks(FOLDER / "README.md")


def test_the_card_shows_its_counts() -> None:
    assert len(CARD) == 6


@pytest.mark.parametrize(("command", "output"), CARD, ids=[command for command, _ in CARD])
def test_the_card_says_what_the_command_says(command: str, output: str) -> None:
    program, verb, *arguments = shlex.split(command)
    assert (program, verb) == ("nasicon-ml", "data")
    result = CliRunner().invoke(data, arguments)
    assert result.exit_code == 0
    assert result.stdout == output
