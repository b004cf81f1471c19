"""Citations of sources, and search words for works that are not identified."""

import pytest

from nasicon_ml.data.citing import citation, search_words
from nasicon_ml.data.load import load_pellets, load_sources

PELLET = {
    "formula": "Li1.3Al0.3Ti1.7(PO4)3", "system": "LATP", "synthesis_route": "sol_gel",
    "densification": "conventional", "sintering_temperature_c": 850.0, "conductivity_total_s_cm": 6.1e-4,
    "relative_density_pct": float("nan"),
}  # fmt: skip
SEARCH_WORDS = "LATP, Li1.3Al0.3Ti1.7(PO4)3, sol-gel, 850 °C, 6.1e-4 S/cm"
PELLET_WITHOUT_RESULTS = {"formula": "Na3Zr2Si2PO12", "system": "NZSP", "densification": None}


@pytest.mark.parametrize(
    ("row", "expected"),
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
def test_citation_has_known_fields_or_source_key(row: dict[str, object], expected: str) -> None:
    assert citation(row) == expected


@pytest.mark.parametrize(
    ("pellets", "expected"),
    [
        ([PELLET], SEARCH_WORDS),
        ([PELLET_WITHOUT_RESULTS, PELLET], SEARCH_WORDS),
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
        ([PELLET_WITHOUT_RESULTS], "NZSP, Na3Zr2Si2PO12"),
        ([{**PELLET_WITHOUT_RESULTS, "formula": None}], ""),
        ([], ""),
    ],
)
def test_search_words_have_material_method_and_values(pellets: list[dict[str, object]], expected: str) -> None:
    assert search_words(pellets) == expected


def test_citation_has_search_words_only_without_title_and_doi() -> None:
    hint = f"; to find it, search for: {SEARCH_WORDS}"
    assert citation({"source": "ly7"}, [PELLET]) == f"work not identified, read as ly7{hint}"
    assert citation({"source": "ly7", "authors": "A. B"}, [PELLET]) == f"A. B{hint}"
    assert hint not in citation({"source": "ly7", "title": "On LATP"}, [PELLET])
    assert hint not in citation({"source": "ly7", "doi": "10.1/x"}, [PELLET])


def test_every_source_of_dataset_has_citation_or_search_words() -> None:
    pellets = load_pellets(include_suspect=True)
    pellets_by_source = {key: rows.to_dict("records") for key, rows in pellets.groupby("source")}
    for source in load_sources().to_dict("records"):
        is_identified = (
            source["title"]
            or source["doi"]
            or all(row["formula"] is None for row in pellets_by_source[source["source"]])
        )
        assert is_identified or "search for: " in citation(source, pellets_by_source[source["source"]]), source[
            "source"
        ]
