"""Classify precursors: which kind of compound supplies each group of cations.

Papers list formulas (``Li2CO3;Al(NO3)3;Ti(OC4H9)4;NH4H2PO4``). The kind of compound matters more than the formula:
oxides react slowly over long diffusion paths, alkoxides mix in solution, and chlorides leave chlorine behind.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import pandas as pd

from nasicon_ml.checks import Finding, Severity
from nasicon_ml.columns import SEPARATOR, Column, split_cell
from nasicon_ml.composition.formula import ALKALI_LETTERS, ELEMENT_INDEX, HOST_LETTERS, clean_formula
from nasicon_ml.errors import FormulaError

#: Precursor that stands for a powder which was bought.
COMMERCIAL = "commercial"


class CationGroup(StrEnum):
    """Groups of cations whose precursors are classified."""

    ALKALI = "alkali"
    HOST = "host"
    TRIVALENT = "trivalent"
    PHOSPHORUS = "phosphorus"


class CompoundKind(StrEnum):
    """Kinds of compounds that supply a cation, in the order of their codes in recipe space."""

    OXIDE = "oxide"
    HYDROXIDE = "hydroxide"
    CARBONATE = "carbonate"
    NITRATE = "nitrate"
    ALKOXIDE = "alkoxide"
    CHLORIDE = "chloride"  # and oxychloride
    CARBOXYLATE = "carboxylate"  # acetate, oxalate, citrate
    SULFATE = "sulfate"
    PHOSPHATE = "phosphate"  # of any metal
    AMMONIUM = "ammonium"  # phosphates of ammonium
    ACID = "acid"
    ORGANIC = "organic"
    METAL = "metal"
    OTHER = "other"
    COMMERCIAL = "commercial"


#: Elements of each group; all others (Si, Nb, Mg ...) are ignored.
GROUP_ELEMENTS: Mapping[CationGroup, frozenset[str]] = {
    CationGroup.ALKALI: frozenset(ALKALI_LETTERS),
    CationGroup.HOST: frozenset(HOST_LETTERS),
    CationGroup.TRIVALENT: frozenset(
        {
            "Al", "Ga", "In", "Sc", "Y", "Cr", "Fe", "La", "Ce", "Pr", "Nd", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho",
            "Er", "Tm", "Yb", "Lu",
        }
    ),
    CationGroup.PHOSPHORUS: frozenset({"P"}),
}  # fmt: skip

_CRYSTAL_WATER = re.compile(r"[·*.\s]\s*(?:\d+\.?\d*|[nx])?\s*H2O$")
#: Abbreviated alkoxides, as in Ti(OiPr)4 and Zr(OBu)4.
_SHORT_ALKYL = re.compile(r"O-?(?:[inst]|sec|tert|iso)?-?(?:Me|Et|Pr|Bu)(?![a-z])")
_TOKEN = re.compile(r"([A-Z][a-z]?)|\d+(?:\.\d+)?|[()\[\]{}]|[xyn](?=[A-Z(\[]|$)")
_CARBOXYLATE = re.compile(r"COO|OOC|C2H3O2|CH3CO2|CHO2|C2O4|C6H5O7")
_ALKOXIDE = re.compile(r"OC\d*H\d+|OCH3")
_CARBON_HYDROGEN = re.compile(r"C(\d+)H(\d+)O")


@dataclass(frozen=True)
class Precursors:
    """Precursors of one pellet.

    Attributes
    ----------
    sources
        Kind of compound that supplies each group of cations; the first one listed if there are several.
    unrecognised
        Names that are not formulas, as written.
    """

    sources: Mapping[CationGroup, CompoundKind]
    unrecognised: tuple[str, ...] = ()


@lru_cache(4096)
def read_precursors(text: str) -> Precursors:
    """Parse a cell of `Column.PRECURSORS`: formulas separated by `SEPARATOR`, or ``commercial`` for all."""
    sources: dict[CationGroup, CompoundKind] = {}
    unrecognised = []
    for name in split_cell(text):
        if name.lower() == COMMERCIAL:
            return Precursors(dict.fromkeys(CationGroup, CompoundKind.COMMERCIAL))
        formula = _normalise(name)
        elements = _elements(formula)
        if elements is None:
            unrecognised.append(name)
            continue
        for group, members in GROUP_ELEMENTS.items():
            if elements & members and group not in sources:
                is_phosphorus = group is CationGroup.PHOSPHORUS
                sources[group] = (
                    _phosphorus_compound(elements) if is_phosphorus else _metal_compound(formula, elements)
                )
    return Precursors(sources, tuple(unrecognised))


def _normalise(name: str) -> str:
    """Return a formula without crystal water, with alkyls written out; empty if it cannot be cleaned."""
    try:
        return _SHORT_ALKYL.sub("OC3H7", _CRYSTAL_WATER.sub("", clean_formula(name)))
    except FormulaError:
        return ""


def _elements(formula: str) -> frozenset[str] | None:
    """Return the elements of a formula; None if the text is not a formula."""
    elements, position = set(), 0
    while position < len(formula):
        match = _TOKEN.match(formula, position)
        if match is None or (match[1] and match[1] not in ELEMENT_INDEX):
            return None
        if match[1]:
            elements.add(match[1])
        position = match.end()
    return frozenset(elements) or None


def _phosphorus_compound(elements: frozenset[str]) -> CompoundKind:
    if "C" in elements:
        return CompoundKind.ORGANIC
    if "N" in elements:
        return CompoundKind.AMMONIUM
    if elements - {"P", "O", "H"}:
        return CompoundKind.PHOSPHATE
    return CompoundKind.ACID if "H" in elements else CompoundKind.OXIDE if "O" in elements else CompoundKind.OTHER


def _metal_compound(formula: str, elements: frozenset[str]) -> CompoundKind:
    if "P" in elements:
        return CompoundKind.PHOSPHATE
    if "C" in elements:
        return _organic_compound(formula)
    if "N" in elements:
        return CompoundKind.NITRATE if "NO3" in formula else CompoundKind.OTHER
    kinds = {"Cl": CompoundKind.CHLORIDE, "S": CompoundKind.SULFATE, "H": CompoundKind.HYDROXIDE}
    for element, kind in kinds.items():
        if element in elements:
            return kind
    if elements & {"Si", "F"}:
        return CompoundKind.OTHER
    return CompoundKind.OXIDE if "O" in elements else CompoundKind.METAL


def _organic_compound(formula: str) -> CompoundKind:
    if _CARBOXYLATE.search(formula):
        return CompoundKind.CARBOXYLATE
    if "CO3" in formula:
        return CompoundKind.CARBONATE
    counts = _CARBON_HYDROGEN.search(formula)
    is_saturated = counts is not None and int(counts[2]) >= 2 * int(counts[1])
    return CompoundKind.ALKOXIDE if is_saturated or _ALKOXIDE.search(formula) else CompoundKind.ORGANIC


def additive_findings(table: pd.DataFrame) -> list[Finding]:
    """Return a warning for each additive that is neither a formula nor a mixture or glass of formulas.

    `table` has clean values and the index 0 to n - 1.
    """
    findings = []
    for row, name in table[Column.ADDITIVE].dropna().items():
        if not _consists_of_formulas(str(name)):
            problem = f"{name!r} is not a formula, so the model cannot use it; write it as in Li3BO3"
            findings.append(_warning(row, Column.ADDITIVE, name, "additive_no_formula", problem))
    return findings


@lru_cache(4096)
def _consists_of_formulas(additive: str) -> bool:
    parts = re.split(r"[-;]", re.sub(r"[\s_]*glass$", "", additive))
    return all(_elements(_normalise(re.sub(r"^[0-9.]+", "", part.strip()))) is not None for part in parts)


def precursor_findings(table: pd.DataFrame) -> list[Finding]:
    """Return a warning for each list of precursors with a name that is not a formula.

    `table` has clean values and the index 0 to n - 1.
    """
    findings = []
    for row, text in table[Column.PRECURSORS].dropna().items():
        unrecognised = read_precursors(str(text)).unrecognised
        if unrecognised:
            problem = (
                f"{', '.join(map(repr, unrecognised))} is not a formula, so the model ignores it; "
                f"write formulas separated by {SEPARATOR!r}, such as Li2CO3;TiO2, or {COMMERCIAL}"
            )
            findings.append(_warning(row, Column.PRECURSORS, text, "precursor_no_formula", problem))
    return findings


def _warning(row: Hashable, column: Column, value: object, rule: str, problem: str) -> Finding:
    return Finding(int(str(row)), column.value, value, rule, Severity.WARNING, f"{column}: {problem}")
