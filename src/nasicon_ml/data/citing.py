"""Cite the sources of pellets, in one line or as BibTeX; for unidentified sources, list words to search for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from nasicon_ml.columns import CONDUCTIVITIES, SEPARATOR, Column, split_cell

#: Systems whose shorthand occurs in papers.
_WELL_KNOWN_SYSTEMS = ("LATP", "LAGP", "NZSP")
#: Columns that help to identify a paper, in the order of output, with the format of their values.
_IDENTIFYING_COLUMNS = (
    (Column.SYNTHESIS_ROUTE, "{}"), (Column.DENSIFICATION, "{}"), (Column.SINTERING_TEMPERATURE_C, "{:g} °C"),
    (Column.CONDUCTIVITY_TOTAL_S_CM, "{} S/cm"), (Column.CONDUCTIVITY_BULK_S_CM, "{} S/cm"),
    (Column.RELATIVE_DENSITY_PCT, "{:g} % dense"), (Column.ACTIVATION_ENERGY_EV, "{:g} eV"),
)  # fmt: skip


def citation(source: Mapping[str, Any] | pd.Series, pellets: Sequence[Mapping[Any, Any]] = ()) -> str:
    """Return the citation of a source in one line.

    Parameters
    ----------
    source
        One row of the list of sources.
    pellets
        Pellets of the source, as cells by column.

    Returns
    -------
    str
        The known authors, year, title and DOI. If neither title nor DOI is known, the key under which the work was
        read, and words to search for (from `pellets`).
    """
    authors, year, title = (_text_of(source, column) for column in (Column.AUTHORS, Column.YEAR, Column.TITLE))
    head = f"{authors} ({year})" if authors and year else authors or (f"({year})" if year else "")
    links = " ".join(f"https://doi.org/{doi}" for doi in split_cell(_text_of(source, Column.DOI)))
    parts = [part.rstrip(".") for part in (head, title, links) if part] or [_unidentified_work(source)]
    places = [_as_link(place) for place in split_cell(_text_of(source, Column.CITED_IN)) if place not in links]
    read_in = f"; read in {', '.join(places)}" if places else ""
    words = "" if title or links else search_words(pellets)
    return f"{'. '.join(parts)}{read_in}{f'; to find it, search for: {words}' if words else ''}"


def search_words(pellets: Sequence[Mapping[Any, Any]]) -> str:
    """Return words to search for in order to find the publication of pellets.

    Parameters
    ----------
    pellets
        Cells by column. The words describe the pellet with the most known values; of several the best conductor.

    Returns
    -------
    str
        Material, method and numbers, such as "LATP, Li1.3Al0.3Ti1.7(PO4)3, sol-gel, 850 °C, 6.1e-4 S/cm".
    """
    candidates = [pellet for pellet in pellets if _value_of(pellet, Column.FORMULA) is not None]
    if not candidates:
        return ""
    columns = [column for column, _ in _IDENTIFYING_COLUMNS]
    best = max(candidates, key=lambda pellet: (
        sum(_value_of(pellet, column) is not None for column in columns),
        *(_value_of(pellet, column) or 0.0 for column in CONDUCTIVITIES),
    ))  # fmt: skip
    system = _value_of(best, Column.SYSTEM)
    words = [system] if system in _WELL_KNOWN_SYSTEMS else []
    words.append(best[Column.FORMULA])
    for column, form in _IDENTIFYING_COLUMNS:
        value = _value_of(best, column)
        if value is not None and value != "conventional":
            words.append(form.format(_scientific(value) if column in CONDUCTIVITIES else value))
    return ", ".join(word.replace("_", "-") for word in words)


#: Escapes of characters that LaTeX interprets or that its usual fonts lack.
_LATEX_ESCAPES = str.maketrans({
    **{char: f"\\{char}" for char in "&%$#_{}"},
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "\u2264": r"$\leq$", "\u2265": r"$\geq$", "\u2212": "-", "\u2013": "--",
    "\u2019": "'", "\u00b0": r"\textdegree{}", "\u00b5": r"\textmu{}", "\u03bc": r"\textmu{}",
    "\u03c3": r"$\sigma$", "\u00b7": r"\textperiodcentered{}",
    **{chr(0x2080 + digit): f"$_{digit}$" for digit in range(10)},
})  # fmt: skip
_INITIALS_LAST = re.compile(r"(.+?)\s+((?:[A-Z]\.[-\s]?)+)")
_ET_AL = re.compile(r"\s*(?:et al\.?|among authors).*$")


def bibtex(source: Mapping[str, Any] | pd.Series, pellets: Sequence[Mapping[Any, Any]] = ()) -> str:
    """Return the BibTeX entry of a source.

    Parameters
    ----------
    source, pellets
        As in `citation`.

    Returns
    -------
    str
        Entry with the known authors, year, title and DOI. The note contains further DOIs, where the work was read
        and, if neither title nor DOI is known, words to search for. Characters that LaTeX interprets are escaped,
        except in DOI and URL, which are literal.
    """
    dois, title = split_cell(_text_of(source, Column.DOI)), _text_of(source, Column.TITLE)
    places = [place for place in split_cell(_text_of(source, Column.CITED_IN)) if place not in dois]
    words = "" if title or dois else search_words(pellets)
    notes = [
        "" if title or dois else _unidentified_work(source),
        f"also DOI {', '.join(dois[1:])}" if dois[1:] else "",
        f"read in {', '.join(places)}" if places else "",
        f"to find it, search for: {words}" if words else "",
    ]
    fields = {
        "author": " and ".join(_bibtex_names(_text_of(source, Column.AUTHORS))),
        Column.YEAR.value: _text_of(source, Column.YEAR),
        # Double braces keep the capitals of formulas.
        Column.TITLE.value: f"{{{title.translate(_LATEX_ESCAPES)}}}" if title else "",
        Column.DOI.value: dois[0] if dois else "",
        "url": f"https://doi.org/{dois[0]}" if dois else "",
        "note": "; ".join(filter(None, notes)).translate(_LATEX_ESCAPES),
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    kind = "article" if dois else "misc"
    return "\n".join([f"@{kind}{{{bibtex_key(_text_of(source, Column.SOURCE))},", *lines, "}"])


def bibtex_key(source: str) -> str:
    """Return the key of a source's entry: letters, digits and hyphens."""
    return re.sub(r"[^A-Za-z0-9]+", "-", source).strip("-")


def _bibtex_names(authors: str) -> list[str]:
    """Return names in BibTeX's format, the surname first if initials come last; "others" for et al."""
    stripped = authors.strip().rstrip("?")
    listed = _ET_AL.sub("", stripped)
    separator = SEPARATOR if SEPARATOR in listed else ","
    names = [name.strip() for name in listed.split(separator) if name.strip()]
    names = [", ".join(match.groups()) if (match := _INITIALS_LAST.fullmatch(name)) else name for name in names]
    return [name.translate(_LATEX_ESCAPES) for name in names] + (["others"] if listed != stripped else [])


def _text_of(source: Mapping[str, Any] | pd.Series, column: Column) -> str:
    value = source.get(column.value)
    return value if isinstance(value, str) else ""


def _unidentified_work(source: Mapping[str, Any] | pd.Series) -> str:
    return f"work not identified, read as {_text_of(source, Column.READING) or _text_of(source, Column.SOURCE)}"


def _value_of(pellet: Mapping[Any, Any], column: Column) -> Any:
    value = pellet.get(column.value)
    return None if pd.isna(value) else value


def _scientific(value: float) -> str:
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def _as_link(place: str) -> str:
    """Return a DOI as a link, and anything else unchanged."""
    return f"https://doi.org/{place}" if place.startswith("10.") else place
