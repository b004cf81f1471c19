"""Element symbols by atomic number, and which element may stand on which site of A1+xM2(TO4)3."""

from __future__ import annotations

from nasicon_ml.errors import nearest

#: Symbols from hydrogen to lawrencium; the position plus one is the atomic number.
ELEMENTS: tuple[str, ...] = (
    "H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne", "Na", "Mg", "Al", "Si", "P", "S", "Cl", "Ar",
    "K", "Ca", "Sc", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As", "Se", "Br", "Kr",
    "Rb", "Sr", "Y", "Zr", "Nb", "Mo", "Tc", "Ru", "Rh", "Pd", "Ag", "Cd", "In", "Sn", "Sb", "Te", "I", "Xe",
    "Cs", "Ba", "La", "Ce", "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb", "Lu",
    "Hf", "Ta", "W", "Re", "Os", "Ir", "Pt", "Au", "Hg", "Tl", "Pb", "Bi", "Po", "At", "Rn", "Fr", "Ra",
    "Ac", "Th", "Pa", "U", "Np", "Pu", "Am", "Cm", "Bk", "Cf", "Es", "Fm", "Md", "No", "Lr",
)  # fmt: skip
ELEMENT_INDEX: dict[str, int] = {symbol: position for position, symbol in enumerate(ELEMENTS)}

#: Mobile ions, always on A, with the letters that begin the name of a system.
ALKALI_LETTERS: dict[str, str] = {"Li": "L", "Na": "N", "K": "K", "Rb": "Rb", "Cs": "Cs", "Ag": "Ag"}

#: The 4+ cations that NASICONs are built on, with their letters, in the order a system's name has them.
HOST_LETTERS: dict[str, str] = {"Ti": "T", "Ge": "G", "Zr": "Z", "Hf": "H", "Sn": "Sn"}

#: Cations that only ever sit in the octahedra of M (six-fold Shannon radius up to 0.905 Å).
OCTAHEDRAL: frozenset[str] = frozenset(
    {
        "Mg", "Al", "Sc", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As", "Y", "Zr", "Nb",
        "Mo", "Ru", "Rh", "In", "Sn", "Sb", "Te", "Ho", "Er", "Tm", "Yb", "Lu", "Hf", "Ta", "W", "Ir", "U",
        "B",
    }
)  # fmt: skip

#: Cations above 0.905 Å (Shannon, six-fold, default state, cerium as 3+), smallest first: they enter M as long
#: as it has room, in this order, and the rest goes to A.
LARGE: tuple[str, ...] = (
    "Dy", "Tb", "Gd", "Th", "Eu", "Cd", "Sm", "Nd", "Pr", "Ca", "Ce", "Bi", "La", "Sr", "Pb", "Ba",
)  # fmt: skip

#: Always tetrahedral.
TETRAHEDRAL: tuple[str, ...] = ("Si", "P")
#: Tetrahedral only as far as Si and P leave corners of the TO4 groups empty, in this order.
TETRAHEDRAL_IF_ROOM: tuple[str, ...] = ("S", "As", "V", "B")

#: Anions beside oxygen, with their charges. Sulfur counts here only when no tetrahedron is left for it.
ANIONS: dict[str, int] = {"F": -1, "Cl": -1, "Br": -1, "I": -1, "N": -3, "S": -2}

#: Every element that has a place.
PLACED: frozenset[str] = frozenset(
    {*ALKALI_LETTERS, *OCTAHEDRAL, *LARGE, *TETRAHEDRAL, *TETRAHEDRAL_IF_ROOM, *ANIONS, "O"}
)


def nearest_element(word: str) -> str:
    """Return which element symbol a misspelt one resembles most, as a sentence; empty if none."""
    if word.capitalize() in ELEMENT_INDEX:
        return f"Did you mean {word.capitalize()!r}?"
    for length in (2, 1):  # "Lii" begins with lithium's symbol, and difflib would need luck to see it
        if len(word) > length and word[:length].capitalize() in ELEMENT_INDEX:
            return f"Did you mean {word[:length].capitalize()!r}?"
    return nearest(word, ELEMENTS) if len(word) > 1 else ""
