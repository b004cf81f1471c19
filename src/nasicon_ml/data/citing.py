"""Says where pellets were published, in a line or as BibTeX, or what to search for where that is not known."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from nasicon_ml.columns import CONDUCTIVITIES, SEPARATOR, Column, split_cell

#: Shorthands that papers use themselves.
_COMMON_NAMES = ("LATP", "LAGP", "NZSP")
#: What tells a paper from others, in the order in which it is said: the column and how its value is written.
_TELLING = (
    (Column.SYNTHESIS_ROUTE, "{}"), (Column.DENSIFICATION, "{}"), (Column.SINTERING_TEMPERATURE_C, "{:g} °C"),
    (Column.CONDUCTIVITY_TOTAL_S_CM, "{} S/cm"), (Column.CONDUCTIVITY_BULK_S_CM, "{} S/cm"),
    (Column.RELATIVE_DENSITY_PCT, "{:g} % dense"), (Column.ACTIVATION_ENERGY_EV, "{:g} eV"),
)  # fmt: skip


def citation(source: Mapping[str, Any] | pd.Series, pellets: Sequence[Mapping[Any, Any]] = ()) -> str:
    """Return what is known of a source in one line.

    Parameters
    ----------
    source
        One row of the list of sources.
    pellets
        Its pellets, as cells by column.

    Returns
    -------
    str
        Authors, year, title and DOI as far as known. Where neither title nor DOI is, the key under which the work
        was read, and (from `pellets`) what to search for.
    """
    authors, year, title = (_known(source, column) for column in (Column.AUTHORS, Column.YEAR, Column.TITLE))
    head = f"{authors} ({year})" if authors and year else authors or (f"({year})" if year else "")
    links = " ".join(f"https://doi.org/{doi}" for doi in split_cell(_known(source, Column.DOI)))
    parts = [part.rstrip(".") for part in (head, title, links) if part] or [_unidentified(source)]
    places = [_place(place) for place in split_cell(_known(source, Column.CITED_IN)) if place not in links]
    read_in = f"; read in {', '.join(places)}" if places else ""
    words = "" if title or links else search_words(pellets)
    return f"{'. '.join(parts)}{read_in}{f'; to find it, search for: {words}' if words else ''}"


def search_words(pellets: Sequence[Mapping[Any, Any]]) -> str:
    """Return what a person can search for to find the work that pellets come from.

    Parameters
    ----------
    pellets
        Cells by column. The pellet with the most to tell is described, of equals the best conductor.

    Returns
    -------
    str
        Material, method and numbers, such as "LATP, Li1.3Al0.3Ti1.7(PO4)3, sol-gel, 850 °C, 6.1e-4 S/cm".
    """
    told = [pellet for pellet in pellets if _given(pellet, Column.FORMULA) is not None]
    if not told:
        return ""
    best = max(told, key=lambda pellet: (sum(_given(pellet, column) is not None for column, _ in _TELLING), *(
        _given(pellet, column) or 0.0 for column in CONDUCTIVITIES
    )))  # fmt: skip
    system = _given(best, Column.SYSTEM)
    words = [system] if system in _COMMON_NAMES else []
    words.append(best[Column.FORMULA])
    for column, form in _TELLING:
        value = _given(best, column)
        if value is not None and value != "conventional":
            words.append(form.format(_scientific(value) if column in CONDUCTIVITIES else value))
    return ", ".join(word.replace("_", "-") for word in words)


#: What LaTeX takes for a command, and signs its usual fonts lack.
_ESCAPED = str.maketrans({
    **{char: f"\\{char}" for char in "&%$#_{}"},
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "\u2264": r"$\leq$", "\u2265": r"$\geq$", "\u2212": "-", "\u2013": "--",
    "\u2019": "'", "\u00b0": r"\textdegree{}", "\u00b5": r"\textmu{}", "\u03bc": r"\textmu{}",
    "\u03c3": r"$\sigma$", "\u00b7": r"\textperiodcentered{}",
    **{chr(0x2080 + digit): f"$_{digit}$" for digit in range(10)},
})  # fmt: skip
_INITIALS_LAST = re.compile(r"(.+?)\s+((?:[A-Z]\.[-\s]?)+)")
_AND_OTHERS = re.compile(r"\s*(?:et al\.?|among authors).*$")


def bibtex(source: Mapping[str, Any] | pd.Series, pellets: Sequence[Mapping[Any, Any]] = ()) -> str:
    """Return the BibTeX entry of a source.

    Parameters
    ----------
    source
        One row of the list of sources.
    pellets
        Its pellets, as cells by column.

    Returns
    -------
    str
        With what is known of authors, year, title and DOI. The note holds everything else: further DOIs, where the
        work was read and, where neither title nor DOI is known, what to search for. Characters that LaTeX would
        take for commands are escaped, except in DOI and address, which are taken literally.
    """
    dois, title = split_cell(_known(source, Column.DOI)), _known(source, Column.TITLE)
    places = [place for place in split_cell(_known(source, Column.CITED_IN)) if place not in dois]
    words = "" if title or dois else search_words(pellets)
    notes = [
        "" if title or dois else _unidentified(source),
        f"also DOI {', '.join(dois[1:])}" if dois[1:] else "",
        f"read in {', '.join(places)}" if places else "",
        f"to find it, search for: {words}" if words else "",
    ]
    fields = {
        "author": " and ".join(_bibtex_names(_known(source, Column.AUTHORS))),
        Column.YEAR.value: _known(source, Column.YEAR),
        # In two braces: formulas keep their capitals.
        Column.TITLE.value: f"{{{title.translate(_ESCAPED)}}}" if title else "",
        Column.DOI.value: dois[0] if dois else "",
        "url": f"https://doi.org/{dois[0]}" if dois else "",
        "note": "; ".join(filter(None, notes)).translate(_ESCAPED),
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    kind = "article" if dois else "misc"
    return "\n".join([f"@{kind}{{{bibtex_key(_known(source, Column.SOURCE))},", *lines, "}"])


def bibtex_key(source: str) -> str:
    """Return the key of a source's entry: letters, digits and hyphens."""
    return re.sub(r"[^A-Za-z0-9]+", "-", source).strip("-")


def _bibtex_names(authors: str) -> list[str]:
    """Return names as BibTeX takes them, the surname first where initials stand last; "others" for et al."""
    bare = authors.strip().rstrip("?")
    listed = _AND_OTHERS.sub("", bare)
    separator = SEPARATOR if SEPARATOR in listed else ","
    names = [name.strip() for name in listed.split(separator) if name.strip()]
    names = [", ".join(match.groups()) if (match := _INITIALS_LAST.fullmatch(name)) else name for name in names]
    return [name.translate(_ESCAPED) for name in names] + (["others"] if listed != bare else [])


def _known(source: Mapping[str, Any] | pd.Series, column: Column) -> str:
    value = source.get(column.value)
    return value if isinstance(value, str) else ""


def _unidentified(source: Mapping[str, Any] | pd.Series) -> str:
    return f"work not identified, read as {_known(source, Column.READING) or _known(source, Column.SOURCE)}"


def _given(pellet: Mapping[Any, Any], column: Column) -> Any:
    value = pellet.get(column.value)
    return None if pd.isna(value) else value


def _scientific(value: float) -> str:
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def _place(place: str) -> str:
    """Write a DOI as a link, anything else as it is."""
    return f"https://doi.org/{place}" if place.startswith("10.") else place
