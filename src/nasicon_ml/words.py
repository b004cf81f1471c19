"""Words of the laboratory: how a choice, a gas or an additive is called, and what says that there is none."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from types import MappingProxyType

#: Other names of choices, in lower case with underscores. A word that means one choice in one column and another
#: in the next has both, with a space between.
ALIASES: Mapping[str, str] = MappingProxyType({
    "argon": "Ar", "nitrogen": "N2", "oxygen": "O2", "arh2": "Ar/H2", "forming_gas": "Ar/H2",
    "reducing": "Ar/H2", "ambient": "air", "sps": "spark_plasma", "fast/sps": "spark_plasma",
    "sps/fast": "spark_plasma", "fast": "field_assisted", "flash": "field_assisted",
    "field_assisted_technology": "field_assisted", "pressureless": "conventional", "free": "conventional",
    "furnace": "conventional", "muffle_furnace": "conventional", "tube_furnace": "conventional",
    "box_furnace": "conventional", "normal": "conventional", "sintering": "conventional",
    "sintered": "conventional", "solid_state": "conventional",
    "conventional_solid_state": "solid_state conventional", "two_step": "conventional",
    "hp": "hot_press", "hot_pressing": "hot_press", "hot_pressed": "hot_press", "csp": "cold_sintering",
    "cold_sinter": "cold_sintering", "cold_sintered": "cold_sintering",
    "glass_ceramic": "glass_ceramic_crystallization", "crystallization": "glass_ceramic_crystallization",
    "crystallisation": "glass_ceramic_crystallization", "crystallized": "glass_ceramic_crystallization",
    "crystallised": "glass_ceramic_crystallization", "glass": "glass_ceramic_crystallization",
    "glass_ceramic_crystallisation": "glass_ceramic_crystallization",
    "glass_crystallization": "glass_ceramic_crystallization",
    "glass_crystallisation": "glass_ceramic_crystallization",
    "melt_quench": "glass_ceramic_crystallization",
    "melt_quenched": "melt_quench glass_ceramic_crystallization",
    "melt_quenching": "melt_quench glass_ceramic_crystallization",
    "quenched": "melt_quench glass_ceramic_crystallization",
    "uhs": "ultrafast_high_temperature", "ultrafast": "ultrafast_high_temperature",
    "joule_heating": "ultrafast_high_temperature", "tape_casting": "tape_cast", "tape_casted": "tape_cast",
    "aerosol_deposition": "aerosol", "aerosol_deposited": "aerosol", "pld": "pulsed_laser_deposition",
    "laser_ablation": "pulsed_laser_deposition", "pulsed_laser": "pulsed_laser_deposition",
    "sputtered": "sputtering", "sputter": "sputtering", "rf_sputtering": "sputtering",
    "rf_sputtered": "sputtering", "magnetron_sputtering": "sputtering", "magnetron_sputtered": "sputtering",
    "rf_magnetron_sputtering": "sputtering", "rf_magnetron_sputtered": "sputtering",
    "sputter_deposition": "sputtering", "ssr": "solid_state", "solgel": "sol_gel",
    "citrate_sol_gel": "sol_gel", "pechini_sol_gel": "pechini", "solvothermal": "hydrothermal",
    "co_precipitation": "coprecipitation", "co_precipitated": "coprecipitation",
    "coprecipitated": "coprecipitation", "precipitation": "coprecipitation", "spray_drying": "spray",
    "spray_dried": "spray", "spray_pyrolysis": "spray", "flame_spray": "spray",
    "flame_spray_pyrolysis": "spray", "ball_milling": "mechanochemical", "ball_milled": "mechanochemical",
    "high_energy_ball_milling": "mechanochemical", "mechanical_alloying": "mechanochemical",
    "mechanical_milling": "mechanochemical", "mechanical_activation": "mechanochemical",
    "molten_salt": "molten_flux", "flux": "molten_flux", "bought": "commercial", "purchased": "commercial",
    "wet_chemical": "solution", "wet_chemistry": "solution",
    "wt": "wt%", "wt.%": "wt%", "weight%": "wt%", "mass%": "wt%", "mol": "mol%", "mol.%": "mol%",
    "mole%": "mol%", "at%": "mol%",
    "hip": "hot_isostatic_press", "hiped": "hot_isostatic_press", "hipped": "hot_isostatic_press",
    "hot_isostatic_pressing": "hot_isostatic_press", "hot_isostatic_pressed": "hot_isostatic_press",
    "hot_isostatically_pressed": "hot_isostatic_press", "cold_press": "cold_pressing",
    "cold_pressed": "cold_pressing", "screen_printed": "screen_printing", "thick_film": "screen_printing",
    "ald": "thin_film", "atomic_layer_deposition": "thin_film", "evaporation": "thin_film",
    "evaporated": "thin_film", "thermal_evaporation": "thin_film", "cvd": "thin_film",
    "chemical_vapor_deposition": "thin_film", "chemical_vapour_deposition": "thin_film",
    "spin_coating": "thin_film", "spin_coated": "thin_film", "combustion": "solution_combustion",
    "solution_combustion_synthesis": "solution_combustion", "glycine_nitrate": "solution_combustion",
    "molar": "formula_unit", "per_formula_unit": "formula_unit", "f.u.": "formula_unit",
})  # fmt: skip
#: Words that tell nothing of a choice.
_FILLER = re.compile(
    r"an?|and|in|under|the|of|by|via|with|from|flow(?:ing)?|stream|static|stagnant|dry|dried|ambient|lab(?:oratory)?|"
    r"gas|pure|synthetic|compressed|purity|sinter(?:ing|ed)?|fir(?:ing|ed)|process(?:ed|ing)?|method|technique|"
    r"synthesi[sz]ed|synthesis|route|reaction|assisted|modified|type|powder|environment|conditions"
)
_BRACKETS = re.compile(r"[(\[][^)\]]*[)\]]")
_SHARE = re.compile(r"\d+(?:\.\d+)?\s*(?:(?:vol|mol|at)\.?\s*)?%|(?<![a-z\d.])\d+(?:\.\d+)?(?=[\s/:a-z]|$)")
_OF_GASES = re.compile(r"(?:ultra|very)?[\s-]*high[\s-]*purity|\batmospher\w+")
_GASES = {"ar": "Ar", "argon": "Ar", "n2": "N2", "nitrogen": "N2", "he": "He", "helium": "He", "h2": "H2",
          "hydrogen": "H2"}  # fmt: skip


def spellings_of(choices: tuple[str, ...]) -> dict[str, str]:
    """Return every accepted spelling (lower case, underscores) with the choice it stands for."""
    table = {alias: choice for alias, meant in ALIASES.items() for choice in meant.split() if choice in choices}
    return table | {choice.lower(): choice for choice in choices}


def plain_choices(text: str) -> Iterator[str]:
    """Yield what a word may be called in a table of spellings, the most literal first.

    Without brackets, shares of gases and words that tell nothing: ``conventional sintering``, ``flowing N₂``,
    ``spark plasma sintering (SPS)``, ``5% H2/Ar``.
    """
    text = re.sub(r"\s*\.?\s*%", "%", unicodedata.normalize("NFKC", text).strip().lower())
    yield _joined(text)
    bare = _OF_GASES.sub(" ", _SHARE.sub(" ", _BRACKETS.sub(" ", text))).strip(" ,;.")
    yield _joined(bare)
    words = re.split(r"[\s_,;]+|(?<=\w)-(?=\w)", bare)
    while words and _FILLER.fullmatch(words[-1]):
        yield "_".join(words)
        words.pop()
    words = [word for word in words if not _FILLER.fullmatch(word)]
    yield "_".join(words)
    gases = {_GASES.get(word) for word in re.findall(r"[a-z]+2?", " ".join(words))}
    if "H2" in gases and len(gases) > 1 and None not in gases:
        yield "ar/h2"


def _joined(text: str) -> str:
    return re.sub(r"[\s-]+", "_", text.strip())


#: What is written where there is no additive, beside what says "not reported".
_NOT = r"(?:no|none|not|non|without|w/o|un|free\s+of|zero|0+(?:[.,]0+)?)"
_ADDED = (
    r"(?:additives?|additions?|sintering[\s-]+(?:aids?|additives?)|aids?|dopants?|doped|doping|added|used|flux|"
    r"second\s+phase|modified)"
)
_NO_ADDITIVE = re.compile(
    rf"{_NOT}|{_NOT}[\s-]*(?:any\s+)?{_ADDED}|{_ADDED}[\s-]*free|nil|pristine|pure|bare|false|n\.a\.?|/|"
    r"[-\u2012-\u2015]+|0+(?:[.,]0+)?\s*(?:wt|mol|vol|at)?\.?\s*%(?:\s*\S.*)?"
)
SUBSCRIPTS = str.maketrans("\u2080\u2081\u2082\u2083\u2084\u2085\u2086\u2087\u2088\u2089", "0123456789")
#: Names of additives in words.
ADDITIVE_NAMES: Mapping[str, str] = MappingProxyType({
    "alumina": "Al2O3", "aluminium oxide": "Al2O3", "aluminum oxide": "Al2O3", "silica": "SiO2",
    "silicon dioxide": "SiO2", "titania": "TiO2", "titanium dioxide": "TiO2", "zirconia": "ZrO2",
    "germania": "GeO2", "boron oxide": "B2O3", "boric acid": "H3BO3", "bismuth oxide": "Bi2O3",
    "lithium fluoride": "LiF", "lithium chloride": "LiCl", "lithium oxide": "Li2O",
    "lithium phosphate": "Li3PO4", "lithium borate": "Li3BO3", "lithium nitrate": "LiNO3",
    "lithium carbonate": "Li2CO3", "sodium fluoride": "NaF", "water": "H2O", "acetic acid": "CH3COOH",
    "nmp": "C5H9NO", "dmf": "C3H7NO", "dmso": "C2H6OS",
})  # fmt: skip


def says_no_additive(text: str) -> bool:
    """Whether a name in the place of an additive says that there is none: ``no``, ``0``, ``undoped``."""
    return _NO_ADDITIVE.fullmatch(" ".join(text.lower().split())) is not None
