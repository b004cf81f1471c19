"""Search for pellets by system, element, column and text, and for sources by key; BibTeX entries."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.columns import Column, Kind
from nasicon_ml.composition import parse
from nasicon_ml.data.citing import bibtex, bibtex_key
from nasicon_ml.data.find import SEARCHABLE_COLUMNS, find_pellets, find_sources, matches_query
from nasicon_ml.data.load import load_pellets, load_sources
from nasicon_ml.errors import FieldError

PELLETS = load_pellets()
TEMPERATURE = Column.SINTERING_TEMPERATURE_C


def test_conditions_are_combined_and_sorted_by_conductivity() -> None:
    result = find_pellets(system="LATP", sintering_temperature="700..900", atmosphere="argon", density=">95")
    assert len(result)
    assert set(result[Column.SYSTEM]) == {"LATP"}
    assert result[TEMPERATURE].between(700, 900).all()
    assert set(result[Column.ATMOSPHERE]) == {"Ar"}
    assert (result[Column.RELATIVE_DENSITY_PCT] > 95).all()
    assert result[Column.CONDUCTIVITY_TOTAL_S_CM].dropna().is_monotonic_decreasing
    others = PELLETS[~PELLETS[Column.PELLET_ID].isin(result[Column.PELLET_ID])]
    same = (others[Column.SYSTEM] == "LATP") & (others[Column.ATMOSPHERE] == "Ar")
    assert not (same & others[TEMPERATURE].between(700, 900) & (others[Column.RELATIVE_DENSITY_PCT] > 95)).any()


NUMBERS = st.floats(-50, 1500).map(lambda number: round(number, 1))


@given(st.lists(st.one_of(NUMBERS, st.just(float("nan"))), max_size=8), NUMBERS, NUMBERS)
def test_number_queries_match_the_same_values_as_comparisons_in_python(
    values: list[float], first: float, second: float
) -> None:
    cells, (low, high) = pd.Series(values, dtype="float64"), sorted((first, second))

    def matches(text: object) -> list[bool]:
        return matches_query(cells, TEMPERATURE, text).tolist()

    assert (
        matches(f"{low}..{high}")
        == matches((low, high))
        == matches(f"{low} to {high} °C")
        == [low <= value <= high for value in values]
    )
    assert matches(f">{low}") == [value > low for value in values]
    assert matches(f">= {low}") == matches(f"{low}..") == [value >= low for value in values]
    assert matches(f"<{low}") == [value < low for value in values]
    assert matches(f"<={low}") == matches(f"..{low}") == [value <= low for value in values]
    assert matches(low) == matches(f"={low}") == [value == low for value in values]
    assert matches(f"{low},{high}") == matches([low, high]) == [value in (low, high) for value in values]
    assert matches("given") == [value == value for value in values]  # noqa: PLR0124 -- NaN is not
    assert matches("unknown") == [value != value for value in values]  # noqa: PLR0124


@pytest.mark.parametrize("query", ["1e-4..1e-3", "0.0001..0.001", ">=1e-4"])
def test_number_queries_may_have_exponents(query: str) -> None:
    result = find_pellets(PELLETS, conductivity=query)
    assert (result[Column.CONDUCTIVITY_TOTAL_S_CM] >= 1e-4).all()
    assert len(result) > 50


def test_find_pellets_by_element_doi_text_formula_and_flag() -> None:
    with_yttrium = find_pellets(PELLETS, elements=["Y"], without=["Si"])
    assert len(with_yttrium)
    assert all("Y" in parse(formula).m_site for formula in with_yttrium[Column.FORMULA])
    assert not any("Si" in formula for formula in with_yttrium[Column.FORMULA])
    doi = "https://doi.org/10.1021/ACSAEM.2c02464"
    assert set(find_pellets(PELLETS, doi=doi)[Column.SOURCE]) == {"raj2023"}
    assert set(find_pellets(PELLETS, text="RAJ2023 ar")[Column.SOURCE]) == {"raj2023"}
    cold = find_pellets(PELLETS, text="cold sintering", system="LAGP")
    assert "cold_sintering" in set(cold[Column.DENSIFICATION])
    same = find_pellets(PELLETS, formula="LATP x=0.4")
    assert set(same[Column.FORMULA]) == {"Li1.4Al0.4Ti1.6(PO4)3"}
    assert find_pellets(PELLETS, additive="none")[Column.ADDITIVE].isna().all()
    assert find_pellets(PELLETS, phase_pure="no")[Column.PHASE_PURE].eq(False).all()
    by_title = load_sources().dropna(subset=[Column.TITLE.value]).iloc[0]
    assert by_title[Column.SOURCE] in set(
        find_pellets(load_pellets(include_suspect=True), text=by_title[Column.TITLE])[Column.SOURCE]
    )


def test_results_are_sorted_with_missing_values_last() -> None:
    for ascending in (False, True):
        result = find_pellets(PELLETS, sort="density", ascending=ascending)[Column.RELATIVE_DENSITY_PCT].to_numpy()
        known = result[~np.isnan(result)]
        assert (np.diff(known) * (1 if ascending else -1) >= 0).all()
        assert np.isnan(result[len(known) :]).all()
    assert find_pellets(PELLETS, sort="pellet_id", ascending=True)[Column.PELLET_ID].is_monotonic_increasing


@pytest.mark.parametrize(
    ("query", "match"),
    [
        ({"sintering_temperature": "hot"}, r"sintering_temperature: 'hot' .*a range \(700\.\.900\)"),
        ({"sintering_temperature": "900..700"}, r"Write 700\.\.900"),
        ({"density": ">95 MPa"}, "density: '>95 MPa'"),
        ({"atmosphere": "argonn"}, "Did you mean 'argon'"),
        ({"formula": "LATPP x=0.3"}, "Did you mean 'LATP'"),
        ({"sintering_temprature": 900}, "Did you mean 'sintering_temperature"),
        ({"elements": ["AL"]}, "Did you mean 'Al'"),
        ({"sort": "densty"}, "Did you mean 'density'"),
        ({"phase_pure": "perhaps"}, "true or false"),
    ],
)
def test_invalid_query_raises_with_suggestion(query: dict[str, object], match: str) -> None:
    with pytest.raises(FieldError, match=match):
        find_pellets(PELLETS, **query)  # type: ignore[arg-type]


def test_every_column_can_be_queried_by_option_and_column_name() -> None:
    for name, column in SEARCHABLE_COLUMNS.items():
        query = "given" if column.kind is not Kind.TEXT else "unknown"
        cells = find_pellets(PELLETS, **{name: query})[column]
        assert (cells.notna() if query == "given" else cells.isna()).all()


@pytest.mark.parametrize(
    "key", ["pe588a483a3", "raj2023", "10.1021/acsaem.2c02464", "doi: 10.1021/ACSAEM.2C02464",
            "https://doi.org/10.1021/acsaem.2c02464", "https://dx.doi.org/10.1021/acsaem.2c02464"],
)  # fmt: skip
def test_find_sources_by_pellet_source_key_and_doi(key: str) -> None:
    assert find_sources(key, PELLETS, load_sources())[Column.SOURCE].tolist() == ["raj2023"]


def test_every_doi_and_source_key_finds_a_source() -> None:
    pellets, sources = load_pellets(include_suspect=True), load_sources()
    for key in [*pellets[Column.DOI].dropna().unique(), *sources[Column.SOURCE]]:
        assert len(find_sources(key, pellets, sources)) >= 1
    with pytest.raises(FieldError, match="Did you mean 'raj2023'"):
        find_sources("raj2032", pellets, sources)


def parse_bibtex(entry: str) -> dict[str, str]:
    """Parse one entry as BibTeX does: a key, then names with values in balanced braces."""
    header = re.match(r"@(article|misc)\{([A-Za-z0-9-]+),\n", entry)
    assert header, entry
    position, fields = header.end(), {"type": header[1], "key": header[2]}
    while entry[position] != "}":
        name = re.compile(r"\s*([a-z]+) = \{").match(entry, position)
        assert name, entry[position:]
        start = position = name.end()
        depth = 1
        while depth:
            escaped = entry[position] == "\\"
            depth += 0 if escaped else {"{": 1, "}": -1}.get(entry[position], 0)
            position += 1 + escaped
        fields[name[1]] = entry[start : position - 1]
        position = re.compile(r",?\n?").match(entry, position).end()  # type: ignore[union-attr]
    assert entry[position:] == "}"
    return fields


def test_every_source_has_a_valid_bibtex_entry_with_unique_key() -> None:
    pellets, keys = load_pellets(include_suspect=True), set()
    for source in load_sources().to_dict("records"):
        own_pellets = pellets[pellets[Column.SOURCE] == source[Column.SOURCE]].to_dict("records")
        fields = parse_bibtex(bibtex(source, own_pellets))
        keys.add(fields["key"])
        for name in fields.keys() - {"doi", "url"}:
            unescaped = re.sub(r"\$[^$]*\$|\\[A-Za-z]+\{\}|\\[&%$#_{}]", "", fields[name])
            assert not re.search(r"[&%$#_\\~^]", unescaped), fields[name]
        assert fields.keys() & {"doi", "title", "note"}
        if "doi" not in fields and "title" not in fields:
            assert "search for: " in fields["note"] or not any(
                isinstance(row["formula"], str) for row in own_pellets
            )
    assert len(keys) == len(load_sources())


def test_bibtex_entry_has_known_fields() -> None:
    source = {"source": "a_1", "authors": "A. Smith & Sons; Leo C.J. et al.", "year": "2013",
              "title": "50 % of Li_2O ≤ 1",
              "doi": "10.1/x_y;10.2/z", "cited_in": "10.3/w"}  # fmt: skip
    assert parse_bibtex(bibtex(source)) == {
        "type": "article", "key": "a-1", "author": r"A. Smith \& Sons and Leo, C.J. and others", "year": "2013",
        "title": r"{50 \% of Li\_2O $\leq$ 1}", "doi": "10.1/x_y", "url": "https://doi.org/10.1/x_y",
        "note": "also DOI 10.2/z; read in 10.3/w",
    }  # fmt: skip
    pellet = {"formula": "LiTi2(PO4)3", "system": "LTP", "conductivity_total_s_cm": 1e-6}
    assert parse_bibtex(bibtex({"source": "k"}, [pellet]))["note"] == (
        "work not identified, read as k; to find it, search for: LiTi2(PO4)3, 1e-6 S/cm"
    )


@given(st.text(max_size=40))
def test_bibtex_escapes_any_text(text: str) -> None:
    fields = parse_bibtex(bibtex({"source": "a", "title": text or "x", "authors": text, "doi": "10.1/x"}))
    assert fields["title"].startswith("{")
    assert bibtex_key("10.1/a b") == "10-1-a-b"
