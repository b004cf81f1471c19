"""A work is cited, or what to search for is said."""

import pytest

from nasicon_ml.data.citing import citation, search_words
from nasicon_ml.data.load import load_pellets, load_sources

PELLET = {
    "formula": "Li1.3Al0.3Ti1.7(PO4)3", "system": "LATP", "synthesis_route": "sol_gel",
    "densification": "conventional", "sintering_temperature_c": 850.0, "conductivity_total_s_cm": 6.1e-4,
    "relative_density_pct": float("nan"),
}  # fmt: skip
WORDS = "LATP, Li1.3Al0.3Ti1.7(PO4)3, sol-gel, 850 °C, 6.1e-4 S/cm"
BARE = {"formula": "Na3Zr2Si2PO12", "system": "NZSP", "densification": None}


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


@pytest.mark.parametrize(
    ("pellets", "words"),
    [
        ([PELLET], WORDS),
        ([BARE, PELLET], WORDS),
        (
            [{**PELLET, "conductivity_total_s_cm": 2e-5}, PELLET],
            "LATP, Li1.3Al0.3Ti1.7(PO4)3, sol-gel, 850 °C, 6.1e-4 S/cm",
        ),
        (
            [
                {
                    "formula": "LiHf2(PO4)3",
                    "system": "LHP",
                    "densification": "hot_press",
                    "relative_density_pct": 92.5,
                }
            ],
            "LiHf2(PO4)3, hot-press, 92.5 % dense",
        ),
        ([BARE], "NZSP, Na3Zr2Si2PO12"),
        ([{**BARE, "formula": None}], ""),
        ([], ""),
    ],
)
def test_what_to_search_for_is_material_method_and_numbers(pellets: list[dict[str, object]], words: str) -> None:
    assert search_words(pellets) == words


def test_only_what_has_neither_title_nor_doi_is_searched_for() -> None:
    hint = f"; to find it, search for: {WORDS}"
    assert citation({"source": "ly7"}, [PELLET]) == f"work not identified, read as ly7{hint}"
    assert citation({"source": "ly7", "authors": "A. B"}, [PELLET]) == f"A. B{hint}"
    assert hint not in citation({"source": "ly7", "title": "On LATP"}, [PELLET])
    assert hint not in citation({"source": "ly7", "doi": "10.1/x"}, [PELLET])


def test_every_work_of_the_dataset_can_be_cited_or_searched_for() -> None:
    pellets = load_pellets(include_suspect=True)
    of_source = {key: rows.to_dict("records") for key, rows in pellets.groupby("source")}
    for source in load_sources().to_dict("records"):
        known = (
            source["title"] or source["doi"] or all(row["formula"] is None for row in of_source[source["source"]])
        )
        assert known or "search for: " in citation(source, of_source[source["source"]]), source["source"]
