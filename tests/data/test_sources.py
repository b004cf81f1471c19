"""The list of sources, and what it makes of them."""

from pathlib import Path

import pytest

from nasicon_ml.columns import SOURCES
from nasicon_ml.data.sources import citation, load_sources
from nasicon_ml.errors import DatasetError

HEADER = ",".join(SOURCES)


def write(tmp_path: Path, *lines: str) -> Path:
    file = tmp_path / "sources.csv"
    file.write_text("\n".join([HEADER, *lines]) + "\n", encoding="utf-8")
    return file


def test_a_list_is_read(tmp_path: Path) -> None:
    sources = load_sources(write(tmp_path, "raj2023,10.1021/acsaem.2c02464,,,,raj2023,paper,,facts,20"))
    assert list(sources.columns) == list(SOURCES)
    assert sources["pellet_count"].tolist() == [20.0]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["a,,,,,,,,,1", "a,,,,,,,,,2"], "the source 'a' stands more than once"),
        (["a,,,,,,,,,1", ",10.1/x,,,,,,,,2"], "source is missing in 1 rows"),
        (["a,,,,,,,,,many"], "line 2: pellet_count: 'many'"),
    ],
)
def test_a_bad_list_is_refused(tmp_path: Path, lines: list[str], words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        load_sources(write(tmp_path, *lines))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (
            {"source": "a", "authors": "A. B.; C. D.", "year": "2013", "title": "On LATP.", "doi": "10.1/x"},
            "A. B.; C. D. (2013). On LATP. https://doi.org/10.1/x",
        ),
        ({"source": "a", "doi": "10.1/x;10.2/y"}, "https://doi.org/10.1/x https://doi.org/10.2/y"),
        ({"source": "a", "title": "On LAGP", "year": "2014"}, "(2014). On LAGP"),
        ({"source": "ly7", "reading": "ly7"}, "work not identified, read as ly7"),
        (
            {"source": "ly7", "reading": "ly7", "cited_in": "10.3/z;github:LIYunzhe1408 corpus"},
            "work not identified, read as ly7; read in https://doi.org/10.3/z, github:LIYunzhe1408 corpus",
        ),
        ({"source": "a", "doi": "10.1/x", "cited_in": "10.1/x"}, "https://doi.org/10.1/x"),
        ({"source": "only a key", "doi": None, "year": float("nan")}, "work not identified, read as only a key"),
    ],
)
def test_a_citation_says_what_is_known(row: dict[str, object], words: str) -> None:
    assert citation(row) == words
