"""The committed dataset and its data card (datasets/README.md)."""

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


def test_dataset_has_no_validation_errors() -> None:
    sources = set(load_sources()[Column.SOURCE])
    errors = [
        (finding.line, finding.message)
        for finding in find_problems(read_table(FOLDER / "pellets.csv"), sources)
        if finding.severity == "error"
    ]
    assert errors == []


def test_recorded_checksums_match_every_table() -> None:
    tables = sorted(FOLDER.glob("*.csv"))
    assert [file.name for file in tables] == ["obelix_nasicon.csv", "pellets.csv", "sources.csv"]
    assert recorded_checksums(FOLDER) == {file.name: dataset_checksum(file) for file in tables}


def test_columns_are_in_the_order_of_the_vocabulary() -> None:
    header = list(read_table(FOLDER / "pellets.csv").frame.columns)
    assert header == [column for column in PELLET if column in header or column not in NEW_IN_0_2]
    assert list(read_table(FOLDER / "sources.csv").frame.columns) == list(SOURCES)


def test_pellet_counts_and_readings_of_sources_match_pellets() -> None:
    pellets = load_pellets(include_suspect=True)
    sources = load_sources().set_index(Column.SOURCE)
    counts = pellets[Column.SOURCE].value_counts()
    assert counts.to_dict() == sources[Column.PELLET_COUNT].astype(int).to_dict()
    assert sources[Column.LICENCE].notna().all()
    assert all(citation(row) for row in load_sources().to_dict("records"))
    for key, readings in pellets.groupby(Column.SOURCE)[Column.READING].unique().items():
        assert set(sources.loc[key, Column.READING].split(";")) == set(readings)


def test_every_doi_and_reading_belongs_to_one_source() -> None:
    pellets = load_pellets(include_suspect=True)
    for column in (Column.DOI, Column.READING):
        assert (pellets.groupby(column)[Column.SOURCE].nunique() == 1).all()


def test_dataset_contains_best_pellet_of_raj2023() -> None:
    pellets = load_pellets(include_suspect=True)
    raj_pellets = pellets[pellets[Column.SOURCE] == "raj2023"]
    assert len(raj_pellets) == 20
    assert set(raj_pellets[Column.DOI].dropna()) == {"10.1021/acsaem.2c02464"}
    best = raj_pellets.loc[raj_pellets[Column.CONDUCTIVITY_TOTAL_S_CM].idxmax()]
    # Table 3 of the paper: milled powder, 800 °C in argon at 1 °C/min.
    assert best[Column.CONDUCTIVITY_TOTAL_S_CM] == 8.77e-4
    assert best[Column.RELATIVE_DENSITY_PCT] == 98.1
    assert best[Column.HEATING_RATE_C_MIN] == 1.0
    assert best[Column.ATMOSPHERE] == "Ar"


def test_suspect_rows_are_excluded_by_default_and_have_reasons() -> None:
    all_pellets = load_pellets(include_suspect=True)
    usable = load_pellets()
    suspects = all_pellets[all_pellets[Column.SUSPECT].astype(bool)]
    assert len(usable) + len(suspects) == len(all_pellets) == 1761
    assert suspects[Column.SUSPECT_REASON].notna().all()
    assert (usable[Column.SUSPECT_REASON].notna() == usable[Column.DOUBTFUL_COLUMNS].notna()).all()
    assert usable[[Column.FORMULA, Column.SYSTEM, Column.SOURCE]].notna().all(axis=None)


def test_duplicates_refer_to_a_usable_pellet_of_the_same_source() -> None:
    all_pellets = load_pellets(include_suspect=True).set_index(Column.PELLET_ID)
    pairs = all_pellets[Column.SUSPECT_REASON].str.extract(r"duplicate of (\w+)")[0].dropna()
    assert len(pairs) > 30
    for duplicate, kept in pairs.items():
        assert all_pellets.loc[kept, Column.SOURCE] == all_pellets.loc[duplicate, Column.SOURCE]
        assert not str(all_pellets.loc[kept, Column.SUSPECT_REASON] or "").startswith("duplicate")


def test_obelix_rows_refer_to_pellets_marked_in_obelix() -> None:
    obelix = read_table(FOLDER / "obelix_nasicon.csv").frame
    pellets = load_pellets(include_suspect=True).set_index(Column.PELLET_ID)
    matched = obelix[obelix[Column.PELLET_ID] != ""]
    assert len(obelix) == 135
    assert set(obelix["split"]) == {"train", "test"}
    assert set(obelix.loc[obelix[Column.PELLET_ID] == "", "nasicon_structure"]) == {"false"}
    assert set(pellets.index[pellets[Column.IN_OBELIX].astype(bool)]) == set(matched[Column.PELLET_ID])


def test_dataset_files_do_not_mention_internal_paths() -> None:
    for file in [*FOLDER.glob("*.csv"), *FOLDER.glob("*.md")]:
        text = file.read_text(encoding="utf-8")
        for word in ("seed 0", "/work", "shared/data"):
            assert word not in text, (file.name, word)


def test_data_card_states_current_counts_of_missing_values() -> None:
    card = " ".join(" ".join(path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md")).split())
    usable = load_pellets()
    measured = usable[usable[Column.CONDUCTIVITY_TOTAL_S_CM].notna()]
    unstated = int(measured[Column.MEASUREMENT_TEMPERATURE_C].isna().sum())
    assert (
        f"of the {len(measured)} usable conductivities, {unstated} have no stated measurement temperature" in card
    )
    sources = load_sources().set_index(Column.SOURCE)[Column.DOI].dropna()
    all_pellets = load_pellets(include_suspect=True)
    has_single_doi = all_pellets[Column.SOURCE].isin(sources.index[~sources.str.contains(";")])
    without_doi = int((all_pellets[Column.DOI].isna() & has_single_doi).sum())
    assert f"It stays empty in {without_doi} rows of sources with one DOI" in card


def test_doi_of_every_pellet_is_a_doi_of_its_source() -> None:
    sources = load_sources().set_index(Column.SOURCE)[Column.DOI].fillna("")
    with_doi = load_pellets(include_suspect=True).dropna(subset=[Column.DOI])
    for source, dois in with_doi.groupby(Column.SOURCE)[Column.DOI].unique().items():
        assert set(dois) <= set(sources[source].split(";")), source


def console_examples(page: Path) -> list[tuple[str, str]]:
    """Return the console commands on a page, each with the output shown below it."""
    examples = []
    for block in page.read_text(encoding="utf-8").split("```console\n")[1:]:
        command, _, output = block.split("```")[0].partition("\n")
        if command.startswith("$ "):
            examples.append((command[2:], output))
    return examples


CARD_EXAMPLES = console_examples(FOLDER / "README.md")


def test_data_card_has_six_console_examples() -> None:
    assert len(CARD_EXAMPLES) == 6


@pytest.mark.parametrize(("command", "output"), CARD_EXAMPLES, ids=[command for command, _ in CARD_EXAMPLES])
def test_console_examples_of_data_card_match_command_output(command: str, output: str) -> None:
    program, verb, *arguments = shlex.split(command)
    assert (program, verb) == ("nasicon-ml", "data")
    result = CliRunner().invoke(data, arguments)
    assert result.exit_code == 0
    assert result.stdout == output
