"""What a pellet was made from: which kind of compound brought each kind of cation.

Papers list formulas (``Li2CO3;Al(NO3)3;Ti(OC4H9)4;NH4H2PO4``). What matters is less the formula than its kind: an
oxide reacts slowly and far from its partners, an alkoxide mixes in solution, a chloride leaves chlorine behind.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import pandas as pd

from nasicon_ml.checks import Finding, Severity
from nasicon_ml.columns import SEPARATOR, Column, split_cell
from nasicon_ml.composition.formula import ALKALI_LETTERS, ELEMENT_INDEX, HOST_LETTERS, clean
from nasicon_ml.errors import FormulaError

#: The whole powder was bought, or one of the precursors is called so.
COMMERCIAL = "commercial"


class Cation(StrEnum):
    """Kinds of cations whose source is told apart."""

    ALKALI = "alkali"
    HOST = "host"
    TRIVALENT = "trivalent"
    PHOSPHORUS = "phosphorus"


class Source(StrEnum):
    """Kinds of compounds that bring a cation; the order is that of their codes in recipe space."""

    OXIDE = "oxide"
    HYDROXIDE = "hydroxide"
    CARBONATE = "carbonate"
    NITRATE = "nitrate"
    ALKOXIDE = "alkoxide"
    CHLORIDE = "chloride"  # and oxychloride
    CARBOXYLATE = "carboxylate"  # acetate, oxalate, citrate
    SULFATE = "sulfate"
    PHOSPHATE = "phosphate"  # of a metal; of phosphorus, whatever the metal
    AMMONIUM = "ammonium"  # phosphates of ammonium
    ACID = "acid"
    ORGANIC = "organic"
    METAL = "metal"
    OTHER = "other"
    COMMERCIAL = "commercial"


#: Elements of each kind; those of none (Si, Nb, Mg ...) are passed over.
ELEMENTS_OF: Mapping[Cation, frozenset[str]] = {
    Cation.ALKALI: frozenset(ALKALI_LETTERS),
    Cation.HOST: frozenset(HOST_LETTERS),
    Cation.TRIVALENT: frozenset(
        {
            "Al", "Ga", "In", "Sc", "Y", "Cr", "Fe", "La", "Ce", "Pr", "Nd", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho",
            "Er", "Tm", "Yb", "Lu",
        }
    ),
    Cation.PHOSPHORUS: frozenset({"P"}),
}  # fmt: skip

#: Of crystallisation.
_WATER = re.compile(r"[·*.\s]\s*(?:\d+\.?\d*|[nx])?\s*H2O$")
#: Alkoxides as chemists write them: Ti(OiPr)4, Zr(OBu)4.
_SHORT_ALKYL = re.compile(r"O-?(?:[inst]|sec|tert|iso)?-?(?:Me|Et|Pr|Bu)(?![a-z])")
_TOKEN = re.compile(r"([A-Z][a-z]?)|\d+(?:\.\d+)?|[()\[\]{}]|[xyn](?=[A-Z(\[]|$)")
_CARBOXYLATE = re.compile(r"COO|OOC|C2H3O2|CH3CO2|CHO2|C2O4|C6H5O7")
_ALKOXIDE = re.compile(r"OC\d*H\d+|OCH3")
_BARE_ORGANIC = re.compile(r"C(\d+)H(\d+)O")


@dataclass(frozen=True)
class Precursors:
    """What a list of precursors says.

    Attributes
    ----------
    sources
        Kind of cation -> the kind of compound that brings it; of several, the first that is named.
    unread
        Names that are no formulas, as they stand there.
    """

    sources: Mapping[Cation, Source]
    unread: tuple[str, ...] = ()


@lru_cache(4096)
def read_precursors(text: str) -> Precursors:
    """Read a cell of `Column.PRECURSORS`.

    Parameters
    ----------
    text
        Formulas separated by `SEPARATOR`, or ``commercial``: then that is the source of everything.

    Returns
    -------
    Precursors
        Names that are no formulas (``sodium citrate``) say nothing; they are kept apart.
    """
    sources: dict[Cation, Source] = {}
    unread = []
    for name in split_cell(text):
        if name.lower() == COMMERCIAL:
            return Precursors(dict.fromkeys(Cation, Source.COMMERCIAL))
        formula = _plain(name)
        elements = _elements(formula)
        if elements is None:
            unread.append(name)
            continue
        for cation, members in ELEMENTS_OF.items():
            if elements & members and cation not in sources:
                sources[cation] = (
                    _of_phosphorus(elements) if cation is Cation.PHOSPHORUS else _of_metal(formula, elements)
                )
    return Precursors(sources, tuple(unread))


def _plain(name: str) -> str:
    """Write a name in plain digits, without water, alkyls as formulas; what has no plain letters is no formula."""
    try:
        return _SHORT_ALKYL.sub("OC3H7", _WATER.sub("", clean(name)))
    except FormulaError:
        return ""


def _elements(formula: str) -> frozenset[str] | None:
    """Return the elements of a formula; None if it is none."""
    found, position = set(), 0
    while position < len(formula):
        match = _TOKEN.match(formula, position)
        if match is None or (match[1] and match[1] not in ELEMENT_INDEX):
            return None
        found |= {match[1]} if match[1] else set()
        position = match.end()
    return frozenset(found) or None


def _of_phosphorus(elements: frozenset[str]) -> Source:
    if "C" in elements:
        return Source.ORGANIC
    if "N" in elements:
        return Source.AMMONIUM
    if elements - {"P", "O", "H"}:
        return Source.PHOSPHATE
    return Source.ACID if "H" in elements else Source.OXIDE if "O" in elements else Source.OTHER


def _of_metal(formula: str, elements: frozenset[str]) -> Source:
    if "P" in elements:
        return Source.PHOSPHATE
    if "C" in elements:
        return _of_organic(formula)
    if "N" in elements:
        return Source.NITRATE if "NO3" in formula else Source.OTHER
    for element, source in (("Cl", Source.CHLORIDE), ("S", Source.SULFATE), ("H", Source.HYDROXIDE)):
        if element in elements:
            return source
    if elements & {"Si", "F"}:
        return Source.OTHER
    return Source.OXIDE if "O" in elements else Source.METAL


def _of_organic(formula: str) -> Source:
    if _CARBOXYLATE.search(formula):
        return Source.CARBOXYLATE
    if "CO3" in formula:
        return Source.CARBONATE
    bare = _BARE_ORGANIC.search(formula)
    saturated = bare is not None and int(bare[2]) >= 2 * int(bare[1])
    return Source.ALKOXIDE if saturated or _ALKOXIDE.search(formula) else Source.ORGANIC


def additive_findings(table: pd.DataFrame) -> list[Finding]:
    """Return a warning for each additive whose name is no formula, nor a mixture or glass of formulas.

    Parameters
    ----------
    table
        Clean values, index 0 to n - 1.
    """
    given = table[Column.ADDITIVE]
    found = []
    for row, name in given[given.notna()].items():
        parts = re.split(r"[-;]", re.sub(r"[\s_]*glass$", "", str(name)))
        if any(_elements(_plain(re.sub(r"^[0-9.]+", "", part.strip()))) is None for part in parts):
            words = f"{Column.ADDITIVE}: {name!r} is no formula, and says little to a model; write it as in Li3BO3"
            rule = "additive_no_formula"
            found.append(Finding(int(str(row)), Column.ADDITIVE.value, name, rule, Severity.WARNING, words))
    return found


def precursor_findings(table: pd.DataFrame) -> list[Finding]:
    """Return a warning for each list of precursors with a name that is no formula.

    Parameters
    ----------
    table
        Clean values, index 0 to n - 1.
    """
    given = table[Column.PRECURSORS]
    found = []
    for row, text in given[given.notna()].items():
        unread = read_precursors(str(text)).unread
        if unread:
            words = (
                f"{Column.PRECURSORS}: {', '.join(map(repr, unread))} is no formula, and says nothing to a model; "
                f"write formulas separated by {SEPARATOR!r}, such as Li2CO3;TiO2, or {COMMERCIAL}"
            )
            rule = "precursor_no_formula"
            found.append(Finding(int(str(row)), Column.PRECURSORS.value, text, rule, Severity.WARNING, words))
    return found
