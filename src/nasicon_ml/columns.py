"""The vocabulary: name, kind, role, unit, label, bounds and choices of every column, and synonyms of choices.

Dataset, recipe, features, command line and MLflow signature use this vocabulary, and no other module contains the
name of a column. A member equals its name (``Column.FORMULA == "formula"``) and therefore indexes a data frame.
"""

from __future__ import annotations

import math
import numbers
import re
import unicodedata
from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import cache
from types import MappingProxyType

from nasicon_ml.errors import FieldError, nearest, number_hint, text_problem


class Kind(StrEnum):
    """The kind of values in a column."""

    NUMBER = "number"
    CATEGORY = "category"
    FLAG = "flag"
    FORMULA = "formula"
    TEXT = "text"


class Role(StrEnum):
    """The purpose of a column."""

    POSITION = "position"  # of a row in its file
    KEY = "key"
    COMPOSITION = "composition"  # part of a recipe
    PROCESSING = "processing"  # part of a recipe
    PREPARATION = "preparation"  # part of a recipe; optional, and stated by few recipes
    CONDITION = "condition"  # of the measurement, not of the pellet
    RESULT = "result"
    PROVENANCE = "provenance"
    STATUS = "status"
    BIBLIOGRAPHY = "bibliography"  # of a source, not of a pellet
    PREDICTION = "prediction"
    OWN = "own"  # the effect of own pellets on a prediction, if there are any
    NEIGHBOUR = "neighbour"  # of the measured pellets nearest to a recipe; written with predictions
    SCREENING = "screening"  # result of a screening; written with predictions


#: Synonyms of choices, in lower case with underscores. A word with different meanings in two columns has both
#: choices, separated by a space.
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
#: Words without information on the choice.
_FILLER_WORD = re.compile(
    r"an?|and|in|under|the|of|by|via|with|from|flow(?:ing)?|stream|static|stagnant|dry|dried|ambient|lab(?:oratory)?|"
    r"gas|pure|synthetic|compressed|purity|sinter(?:ing|ed)?|fir(?:ing|ed)|process(?:ed|ing)?|method|technique|"
    r"synthesi[sz]ed|synthesis|route|reaction|assisted|modified|type|powder|environment|conditions"
)
_BRACKETS = re.compile(r"[(\[][^)\]]*[)\]]")
_GAS_FRACTION = re.compile(r"\d+(?:\.\d+)?\s*(?:(?:vol|mol|at)\.?\s*)?%|(?<![a-z\d.])\d+(?:\.\d+)?(?=[\s/:a-z]|$)")
_GAS_QUALIFIER = re.compile(r"(?:ultra|very)?[\s-]*high[\s-]*purity|\batmospher\w+")
_GASES = {"ar": "Ar", "argon": "Ar", "n2": "N2", "nitrogen": "N2", "he": "He", "helium": "He", "h2": "H2",
          "hydrogen": "H2"}  # fmt: skip


@cache
def _spellings(choices: tuple[str, ...]) -> Mapping[str, str]:
    table = {alias: choice for alias, meant in ALIASES.items() for choice in meant.split() if choice in choices}
    return MappingProxyType(table | {choice.lower(): choice for choice in choices})


def _candidate_spellings(text: str) -> Iterator[str]:
    """Yield possible keys of `Column.spellings` for a text, the most literal first.

    Brackets, gas fractions and filler words are removed step by step, as in ``conventional sintering``,
    ``flowing N₂``, ``spark plasma sintering (SPS)`` and ``5% H2/Ar``.
    """
    text = re.sub(r"\s*\.?\s*%", "%", unicodedata.normalize("NFKC", text).strip().lower())
    bare = _GAS_QUALIFIER.sub(" ", _GAS_FRACTION.sub(" ", _BRACKETS.sub(" ", text))).strip(" ,;.")
    for candidate in (text, bare):
        yield re.sub(r"[\s-]+", "_", candidate.strip())
    words = re.split(r"[\s_,;]+|(?<=\w)-(?=\w)", bare)
    while words and _FILLER_WORD.fullmatch(words[-1]):
        yield "_".join(words)
        words.pop()
    words = [word for word in words if not _FILLER_WORD.fullmatch(word)]
    yield "_".join(words)
    gases = {_GASES.get(word) for word in re.findall(r"[a-z]+2?", " ".join(words))}
    if "H2" in gases and len(gases) > 1 and None not in gases:
        yield "ar/h2"


#: Texts that state that there is no additive, in addition to `MISSING_WORDS`.
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
#: Formulas of additives by their names.
ADDITIVE_NAMES: Mapping[str, str] = MappingProxyType({
    "alumina": "Al2O3", "aluminium oxide": "Al2O3", "aluminum oxide": "Al2O3", "silica": "SiO2",
    "silicon dioxide": "SiO2", "titania": "TiO2", "titanium dioxide": "TiO2", "zirconia": "ZrO2",
    "germania": "GeO2", "boron oxide": "B2O3", "boric acid": "H3BO3", "bismuth oxide": "Bi2O3",
    "lithium fluoride": "LiF", "lithium chloride": "LiCl", "lithium oxide": "Li2O",
    "lithium phosphate": "Li3PO4", "lithium borate": "Li3BO3", "lithium nitrate": "LiNO3",
    "lithium carbonate": "Li2CO3", "sodium fluoride": "NaF", "water": "H2O", "acetic acid": "CH3COOH",
    "nmp": "C5H9NO", "dmf": "C3H7NO", "dmso": "C2H6OS",
})  # fmt: skip


def means_no_additive(text: str) -> bool:
    """Return whether a text in place of an additive states that there is none: ``no``, ``0``, ``undoped``."""
    return _NO_ADDITIVE.fullmatch(" ".join(text.lower().split())) is not None


#: Cells that mean "not reported".
MISSING_WORDS = frozenset({
    "", "na", "n/a", "n.a.", "n.a", "#n/a", "#nv", "nan", "none", "null", "-", "--", "---", "\u2013", "\u2014",
    "?", "??", "/", "...", "\u2026", "unknown", "not reported", "not known", "not given", "not measured",
    "n.d.", "nd", "n/d", "n.r.", "not available", "tbd",
})  # fmt: skip
TRUE_WORDS = frozenset({"true", "yes", "y", "1", "1.0", "pure"})
FALSE_WORDS = frozenset({"false", "no", "n", "0", "0.0", "impure"})

#: Separates several values in one cell: DOIs, phases, precursors, names of columns.
SEPARATOR = ";"

SYNTHESIS_ROUTES = (
    "solid_state", "sol_gel", "pechini", "coprecipitation", "solution", "hydrothermal", "spray",
    "mechanochemical", "melt_quench", "molten_flux", "rheological_phase", "sputtering",
    "pulsed_laser_deposition", "commercial", "solution_combustion",
)  # fmt: skip
DENSIFICATIONS = (
    "conventional", "spark_plasma", "field_assisted", "microwave", "hot_press", "cold_sintering",
    "glass_ceramic_crystallization", "tape_cast", "aerosol", "sputtering", "pulsed_laser_deposition",
    "high_pressure", "ultrafast_high_temperature", "hot_isostatic_press",
    "cold_pressing",  # pressed and not sintered
    "screen_printing",
    "thin_film",  # evaporation, atomic layer deposition and other films
)  # fmt: skip
ATMOSPHERES = ("air", "O2", "N2", "Ar", "Ar/H2", "vacuum")
ADDITIVE_UNITS = ("wt%", "mol%", "formula_unit")
BOUNDS = ("upper", "lower")  # an empty cell means an exact number

ZERO_CELSIUS_K = 273.15
#: Factor and shift from another unit to the unit of a column, by (unit of the column, other unit in lower case).
OTHER_UNITS: Mapping[tuple[str, str], tuple[float, float]] = MappingProxyType({
    ("°C", "k"): (1, -ZERO_CELSIUS_K), ("h", "min"): (1 / 60, 0), ("h", "s"): (1 / 3600, 0), ("h", "d"): (24, 0),
    ("h", "days"): (24, 0), ("µm", "nm"): (1e-3, 0), ("µm", "mm"): (1e3, 0), ("°C/min", "k/min"): (1, 0),
    ("°C/min", "°c/h"): (1 / 60, 0), ("°C/min", "k/h"): (1 / 60, 0), ("MPa", "gpa"): (1e3, 0),
    ("MPa", "kpa"): (1e-3, 0), ("MPa", "bar"): (0.1, 0), ("S/cm", "ms/cm"): (1e-3, 0),
    ("S/cm", "µs/cm"): (1e-6, 0), ("S/cm", "s/m"): (1e-2, 0), ("eV", "mev"): (1e-3, 0),
    ("eV", "kj/mol"): (1 / 96.485, 0),
    ("%", "fraction"): (100, 0), ("%", "mol%"): (1, 0), ("Å", "nm"): (10, 0), ("Å", "pm"): (0.01, 0),
    ("MPa", "psi"): (0.00689476, 0),
})  # fmt: skip
#: The usual spelling of units in `OTHER_UNITS`.
SPELLED_UNITS: Mapping[str, str] = MappingProxyType({
    "k": "K", "ms/cm": "mS/cm", "µs/cm": "µS/cm", "s/m": "S/m", "mev": "meV", "kj/mol": "kJ/mol", "gpa": "GPa",
    "kpa": "kPa", "°c/h": "°C/h", "k/min": "K/min", "k/h": "K/h",
})  # fmt: skip


#: Parts of a name that its short form omits: units, and that a conductivity is total or a density relative.
_OMITTED = re.compile(r"^relative_|(?:_total)?_(?:c_min|c|h|um|mpa|s_cm|ev|pct|angstrom)$")


class Column(StrEnum):
    """A column of the vocabulary; their order is the order in every file and table."""

    kind: Kind
    role: Role
    label: str
    unit: str
    minimum: float
    maximum: float
    choices: tuple[str, ...]

    def __new__(
        cls,
        name: str,
        kind: Kind,
        role: Role,
        label: str,
        unit: str = "",
        bounds: tuple[float, float] = (-math.inf, math.inf),
        choices: tuple[str, ...] = (),
    ) -> Column:
        """Create the member, whose value is the column's name."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.kind, member.role, member.label, member.unit = kind, role, label, unit
        member.minimum, member.maximum = bounds
        member.choices = choices
        return member

    INPUT_ROW = ("input_row", Kind.NUMBER, Role.POSITION, "row in the file", "", (1, 1e9))

    PELLET_ID = ("pellet_id", Kind.TEXT, Role.KEY, "pellet")
    SOURCE = ("source", Kind.TEXT, Role.KEY, "source")

    FORMULA = ("formula", Kind.FORMULA, Role.COMPOSITION, "composition")
    ADDITIVE = ("additive", Kind.TEXT, Role.COMPOSITION, "additive")
    ADDITIVE_AMOUNT = ("additive_amount", Kind.NUMBER, Role.COMPOSITION, "additive amount", "", (0, 100))
    ADDITIVE_UNIT = ("additive_unit", Kind.CATEGORY, Role.COMPOSITION, "additive unit", "", (0, 0), ADDITIVE_UNITS)

    SYNTHESIS_ROUTE = (
        "synthesis_route", Kind.CATEGORY, Role.PROCESSING, "synthesis route", "", (0, 0), SYNTHESIS_ROUTES,
    )  # fmt: skip
    CALCINATION_TEMPERATURE_C = (
        "calcination_temperature_c", Kind.NUMBER, Role.PROCESSING, "calcination temperature", "°C", (20, 1700),
    )  # fmt: skip
    CALCINATION_TIME_H = ("calcination_time_h", Kind.NUMBER, Role.PROCESSING, "calcination time", "h", (0, 1000))
    PARTICLE_SIZE_UM = ("particle_size_um", Kind.NUMBER, Role.PROCESSING, "particle size", "µm", (0.001, 500))
    SINTERING_TEMPERATURE_C = (
        "sintering_temperature_c", Kind.NUMBER, Role.PROCESSING, "sintering temperature", "°C", (20, 1700),
    )  # fmt: skip
    SINTERING_TIME_H = ("sintering_time_h", Kind.NUMBER, Role.PROCESSING, "sintering time", "h", (0, 1000))
    HEATING_RATE_C_MIN = (
        "heating_rate_c_min", Kind.NUMBER, Role.PROCESSING, "heating rate", "°C/min", (0.01, 20000),
    )  # fmt: skip
    ATMOSPHERE = ("atmosphere", Kind.CATEGORY, Role.PROCESSING, "atmosphere", "", (0, 0), ATMOSPHERES)
    DENSIFICATION = ("densification", Kind.CATEGORY, Role.PROCESSING, "densification", "", (0, 0), DENSIFICATIONS)
    PRESSURE_MPA = ("pressure_mpa", Kind.NUMBER, Role.PROCESSING, "pressure", "MPa", (0, 10000))

    LITHIUM_EXCESS_PCT = ("lithium_excess_pct", Kind.NUMBER, Role.PREPARATION, "lithium excess", "%", (-50, 100))
    PRECURSORS = ("precursors", Kind.TEXT, Role.PREPARATION, "precursors")
    GREEN_PRESSURE_MPA = ("green_pressure_mpa", Kind.NUMBER, Role.PREPARATION, "green pressure", "MPa", (0, 5000))
    POWDER_BED = ("powder_bed", Kind.FLAG, Role.PREPARATION, "powder bed")

    MEASUREMENT_TEMPERATURE_C = (
        "measurement_temperature_c", Kind.NUMBER, Role.CONDITION, "measurement temperature", "°C", (-100, 600),
    )  # fmt: skip

    CONDUCTIVITY_TOTAL_S_CM = (
        "conductivity_total_s_cm", Kind.NUMBER, Role.RESULT, "total conductivity", "S/cm", (1e-14, 1),
    )  # fmt: skip
    CONDUCTIVITY_BOUND = (
        "conductivity_bound", Kind.CATEGORY, Role.RESULT, "conductivity is a bound", "", (0, 0), BOUNDS,
    )  # fmt: skip
    CONDUCTIVITY_BULK_S_CM = (
        "conductivity_bulk_s_cm", Kind.NUMBER, Role.RESULT, "bulk conductivity", "S/cm", (1e-14, 1),
    )  # fmt: skip
    ACTIVATION_ENERGY_EV = ("activation_energy_ev", Kind.NUMBER, Role.RESULT, "activation energy", "eV", (0.02, 2))
    RELATIVE_DENSITY_PCT = ("relative_density_pct", Kind.NUMBER, Role.RESULT, "relative density", "%", (20, 100))
    DENSITY_BOUND = ("density_bound", Kind.CATEGORY, Role.RESULT, "density is a bound", "", (0, 0), BOUNDS)
    PHASE_PURE = ("phase_pure", Kind.FLAG, Role.RESULT, "no secondary phase in XRD")
    SECONDARY_PHASES = ("secondary_phases", Kind.TEXT, Role.RESULT, "secondary phases")
    GRAIN_SIZE_UM = ("grain_size_um", Kind.NUMBER, Role.RESULT, "grain size", "µm", (0.001, 1000))
    LATTICE_A_ANGSTROM = ("lattice_a_angstrom", Kind.NUMBER, Role.RESULT, "lattice a", "Å", (7, 18))
    LATTICE_C_ANGSTROM = ("lattice_c_angstrom", Kind.NUMBER, Role.RESULT, "lattice c", "Å", (7, 50))
    SPACE_GROUP = ("space_group", Kind.TEXT, Role.RESULT, "space group")

    DOI = ("doi", Kind.TEXT, Role.PROVENANCE, "DOI")
    READING = ("reading", Kind.TEXT, Role.PROVENANCE, "key of the reading")
    CITED_IN = ("cited_in", Kind.TEXT, Role.PROVENANCE, "read in")
    LOCATOR = ("locator", Kind.TEXT, Role.PROVENANCE, "place in the text")
    READ_FROM = ("read_from", Kind.TEXT, Role.PROVENANCE, "read from")
    READINGS = ("readings", Kind.NUMBER, Role.PROVENANCE, "independent readings", "", (1, 20))
    IN_OBELIX = ("in_obelix", Kind.FLAG, Role.PROVENANCE, "also in OBELiX")
    IN_LIVERPOOL = ("in_liverpool", Kind.FLAG, Role.PROVENANCE, "also in the Liverpool dataset")

    SUSPECT = ("suspect", Kind.FLAG, Role.STATUS, "left out of training")
    SUSPECT_REASON = ("suspect_reason", Kind.TEXT, Role.STATUS, "why it is suspect")
    DOUBTFUL_COLUMNS = ("doubtful_columns", Kind.TEXT, Role.STATUS, "results that are doubted")
    NOTES = ("notes", Kind.TEXT, Role.STATUS, "notes")

    AUTHORS = ("authors", Kind.TEXT, Role.BIBLIOGRAPHY, "authors")
    YEAR = ("year", Kind.TEXT, Role.BIBLIOGRAPHY, "year")
    TITLE = ("title", Kind.TEXT, Role.BIBLIOGRAPHY, "title")
    LICENCE = ("licence", Kind.TEXT, Role.BIBLIOGRAPHY, "terms of the compilation it came through")
    PELLET_COUNT = ("pellet_count", Kind.NUMBER, Role.BIBLIOGRAPHY, "pellets", "", (1, 100000))

    PREDICTED_CONDUCTIVITY_S_CM = (
        "predicted_conductivity_s_cm", Kind.NUMBER, Role.PREDICTION, "conductivity", "S/cm",
    )  # fmt: skip
    PREDICTED_CONDUCTIVITY_LOWER_S_CM = (
        "predicted_conductivity_lower_s_cm", Kind.NUMBER, Role.PREDICTION, "conductivity, lower", "S/cm",
    )  # fmt: skip
    PREDICTED_CONDUCTIVITY_UPPER_S_CM = (
        "predicted_conductivity_upper_s_cm", Kind.NUMBER, Role.PREDICTION, "conductivity, upper", "S/cm",
    )  # fmt: skip
    PREDICTED_ACTIVATION_ENERGY_EV = (
        "predicted_activation_energy_ev", Kind.NUMBER, Role.PREDICTION, "activation energy", "eV",
    )  # fmt: skip
    PREDICTED_RELATIVE_DENSITY_PCT = (
        "predicted_relative_density_pct", Kind.NUMBER, Role.PREDICTION, "relative density", "%",
    )  # fmt: skip
    PREDICTED_RELATIVE_DENSITY_LOWER_PCT = (
        "predicted_relative_density_lower_pct", Kind.NUMBER, Role.PREDICTION, "relative density, lower", "%",
    )  # fmt: skip
    PREDICTED_RELATIVE_DENSITY_UPPER_PCT = (
        "predicted_relative_density_upper_pct", Kind.NUMBER, Role.PREDICTION, "relative density, upper", "%",
    )  # fmt: skip
    PREDICTED_PHASE_PURITY = (
        "predicted_phase_purity", Kind.NUMBER, Role.PREDICTION, "probability of phase purity",
    )  # fmt: skip
    LIKELY_SECONDARY_PHASES = ("likely_secondary_phases", Kind.TEXT, Role.PREDICTION, "likely secondary phases")
    SYSTEM = ("system", Kind.TEXT, Role.PREDICTION, "system")
    INSIDE_DOMAIN = ("inside_domain", Kind.FLAG, Role.PREDICTION, "inside the known domain")
    DOMAIN_SCORE = ("domain_score", Kind.NUMBER, Role.PREDICTION, "distance from the known domain (1: its border)")
    DOMAIN_NOTES = ("domain_notes", Kind.TEXT, Role.PREDICTION, "why outside")
    NEAREST_PELLETS = ("nearest_pellets", Kind.TEXT, Role.PREDICTION, "nearest measured pellets")
    NEAREST_DOIS = ("nearest_dois", Kind.TEXT, Role.NEIGHBOUR, "where the nearest pellets were published")

    SPACE_POSITION = ("space_position", Kind.NUMBER, Role.SCREENING, "position in the space", "", (0, 2**62))
    OBJECTIVE = ("objective_value", Kind.NUMBER, Role.SCREENING, "objective of the screening")
    OWN_PELLETS = ("own_pellets", Kind.NUMBER, Role.OWN, "own pellets used", "", (0, 1e9))
    OWN_SHIFT_DECADES = ("own_shift_decades", Kind.NUMBER, Role.OWN, "own shift of conductivity", "decades")
    OWN_SHIFT_POINTS = ("own_shift_points", Kind.NUMBER, Role.OWN, "own shift of density", "points")
    OWN_SHIFT_PURITY = ("own_shift_purity", Kind.NUMBER, Role.OWN, "own shift of purity")

    @property
    def axis_label(self) -> str:
        """The label with its unit, for an axis or the header of a table."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    @property
    def short_name(self) -> str:
        """The name without unit, ``relative`` and ``total``."""
        return _OMITTED.sub("", self.value)

    @property
    def option(self) -> str:
        """The command-line option (``--sintering-temperature``)."""
        return "--" + self.short_name.replace("_", "-")

    @property
    def allowed(self) -> str:
        """A description of the allowed values."""
        if self.choices:
            return ", ".join(self.choices)
        if self.kind is Kind.NUMBER:
            return f"a number from {self.minimum:g} to {self.maximum:g}{' ' + self.unit if self.unit else ''}"
        if self.kind is Kind.FLAG:
            return "true or false"
        return "text"

    def parse(self, value: object) -> float | str | bool | None:
        """Return the value of a cell as a person wrote it.

        Parameters
        ----------
        value
            A number, text, flag or missing value.

        Returns
        -------
        float, str, bool or None
            The value in the column's unit; None if it is missing.

        Raises
        ------
        FieldError
            If the value is not of the column's kind, is out of bounds, or is not one of the choices.
        """
        if isinstance(value, str) and self.kind is not Kind.FORMULA and (problem := text_problem(value)):
            raise FieldError(self.value, value, self.allowed, problem)
        if is_missing(value):
            return None
        if self.kind is Kind.NUMBER:
            return self._parse_number(value)
        if self.kind is Kind.FLAG:
            return self._parse_flag(value)
        if self.kind is Kind.CATEGORY:
            return self._parse_choice(value)
        if self is Column.ADDITIVE:
            return self._parse_additive(value)
        if isinstance(value, str):
            return " ".join(value.split())
        raise FieldError(self.value, value, self.allowed)

    def _parse_additive(self, value: object) -> str | None:
        """Return the additive; None if the cell states that there is none."""
        if not isinstance(value, str):
            if isinstance(value, numbers.Real) and value == 0:  # also False, which is YAML's "no"
                return None
            raise FieldError(self.value, value, "the formula of an additive")
        name = " ".join(value.split()).translate(SUBSCRIPTS)
        if means_no_additive(name):
            return None
        if match := re.match(r"(\d+(?:\.\d+)?)\s*(wt|mol)?\.?\s*%\s*(.+)", name):
            hint = f"Write {match[3]!r} here, {match[1]} into {Column.ADDITIVE_AMOUNT} and its unit into"
            raise FieldError(self.value, value, "a name without an amount", f"{hint} {Column.ADDITIVE_UNIT}.")
        if match := re.fullmatch(r".*(C|N|P|S|Si)0(\d).*", name):
            hint = f"Did you mean {match[1]}O{match[2]} with the letter O?"
            raise FieldError(self.value, value, "the formula of an additive", hint)
        return ADDITIVE_NAMES.get(name.lower(), name)

    def _parse_number(self, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, (numbers.Real, str)):
            raise FieldError(self.value, value, self.allowed)
        try:
            number = to_number(value)
        except ValueError:
            raise FieldError(self.value, value, self.allowed, self._number_hint(str(value))) from None
        except OverflowError:
            raise FieldError(self.value, value, self.allowed) from None
        if not self.minimum <= number <= self.maximum:
            raise FieldError(self.value, value, self.allowed, self._bounds_hint(number))
        return number

    def _number_hint(self, text: str) -> str:
        """Return a hint for a text that is not a plain number, such as one with a decimal comma or a unit."""
        match = re.fullmatch(r"\s*([+-]?\d+(?:[.,]\d+)?)\s*(\D+?)\.?\s*", text)
        if match is None or not self.unit:
            return number_hint(text, BOUND_OF.get(self))
        number, own_unit = float(match[1].replace(",", ".")), self.unit.lower()
        given_unit = match[2].lower().replace("\u03bc", "\u00b5")  # Greek letter mu to micro sign
        if given_unit in {own_unit, own_unit.lstrip("°"), own_unit.replace("\u00b5", "u")}:
            return f"Write the number alone: {number:g}."
        if (self.unit, given_unit) in OTHER_UNITS:
            factor, shift = OTHER_UNITS[self.unit, given_unit]
            converted = number * factor + shift
            if self.minimum <= converted <= self.maximum:
                return f"Write it in {self.unit}: {converted:.6g}."
        return f"Write the number alone, in {self.unit}."

    def _bounds_hint(self, number: float) -> str:
        if self is Column.RELATIVE_DENSITY_PCT and 0 < number <= 1:
            return f"Densities are per cent: write {number * 100:g}."
        if self.unit == "°C" and number > self.maximum:
            return f"Temperatures are in °C; {number:g} K is {number - ZERO_CELSIUS_K:g} °C."
        return ""

    def _parse_flag(self, value: object) -> bool:
        word = str(value).strip().lower()
        if word in TRUE_WORDS:
            return True
        if word in FALSE_WORDS:
            return False
        raise FieldError(self.value, value, self.allowed)

    def _parse_choice(self, value: object) -> str:
        if not isinstance(value, str):
            raise FieldError(self.value, value, self.allowed)
        spellings = self.spellings
        for candidate in _candidate_spellings(value):
            if candidate in spellings:
                return spellings[candidate]
        candidates = reversed(list(_candidate_spellings(value)))
        hints = (nearest(candidate, spellings) for candidate in candidates if candidate)
        raise FieldError(self.value, value, self.allowed, next(filter(None, hints), ""))

    @property
    def spellings(self) -> Mapping[str, str]:
        """The choice of each accepted spelling (lower case, underscores)."""
        return _spellings(self.choices)


def is_missing(value: object) -> bool:
    """Return whether a cell means "not reported": None, NaN, or one of `MISSING_WORDS`."""
    if isinstance(value, str):  # the most frequent types first
        return " ".join(value.split()).lower() in MISSING_WORDS
    if value is None:
        return True
    if type(value) is float:
        return math.isnan(value)
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Rational):
        return math.isnan(value)
    return type(value).__name__ in {"NAType", "NaTType"}  # of pandas, without importing it


def kelvin_to_celsius(value: float) -> float:
    """Return a temperature in °C; whole kelvin are 273 above, as 1123 K is meant as 850 °C."""
    return value - (ZERO_CELSIUS_K if value % 1 else 273)


def to_number(value: numbers.Real | float | str) -> float:
    """Return a value as float; unlike `float`, refuse ``1_5`` and digits that are not ASCII.

    Raises
    ------
    ValueError
        If a text is not a number.
    OverflowError
        If an integer is too large.
    """
    if isinstance(value, str) and ("_" in value or not value.strip().isascii()):
        raise ValueError(f"{value!r:.80} is not written in plain digits")
    return float(value)


#: Every column by its name.
COLUMNS: Mapping[str, Column] = MappingProxyType({column.value: column for column in Column})


def columns_of(*roles: Role) -> tuple[Column, ...]:
    """Return all columns with one of the roles, in the order of the vocabulary."""
    return tuple(column for column in Column if column.role in roles)


#: The columns of a recipe, which is decided before the experiment.
RECIPE = columns_of(Role.COMPOSITION, Role.PROCESSING, Role.PREPARATION)
#: The columns on an additive.
ADDITIVE = (Column.ADDITIVE, Column.ADDITIVE_AMOUNT, Column.ADDITIVE_UNIT)
#: The input of a model: the recipe, and the temperature of the predicted conductivity.
MODEL_INPUT = (*RECIPE, Column.MEASUREMENT_TEMPERATURE_C)
#: The columns of the dataset.
PELLET = columns_of(
    Role.KEY, Role.COMPOSITION, Role.PROCESSING, Role.PREPARATION, Role.CONDITION, Role.RESULT, Role.PROVENANCE,
    Role.STATUS,
)  # fmt: skip
#: Columns of `PELLET` that datasets and bundles of version 0.1 do not have.
NEW_IN_0_2 = (*columns_of(Role.PREPARATION), Column.DOUBTFUL_COLUMNS)
#: The columns of the list of sources.
SOURCES = (
    Column.SOURCE, Column.DOI, Column.AUTHORS, Column.YEAR, Column.TITLE, Column.READING, Column.READ_FROM,
    Column.CITED_IN, Column.LICENCE, Column.PELLET_COUNT,
)  # fmt: skip
#: The columns that a prediction adds to a recipe.
PREDICTION = columns_of(Role.PREDICTION)
#: A predicted value with the lower and upper end of its interval.
CONDUCTIVITY_INTERVAL = (
    Column.PREDICTED_CONDUCTIVITY_S_CM, Column.PREDICTED_CONDUCTIVITY_LOWER_S_CM,
    Column.PREDICTED_CONDUCTIVITY_UPPER_S_CM,
)  # fmt: skip
DENSITY_INTERVAL = (
    Column.PREDICTED_RELATIVE_DENSITY_PCT, Column.PREDICTED_RELATIVE_DENSITY_LOWER_PCT,
    Column.PREDICTED_RELATIVE_DENSITY_UPPER_PCT,
)  # fmt: skip

CONDUCTIVITIES = (Column.CONDUCTIVITY_TOTAL_S_CM, Column.CONDUCTIVITY_BULK_S_CM)
#: The column that marks the numbers of another as bounds.
BOUND_OF: Mapping[Column, Column] = MappingProxyType({
    Column.CONDUCTIVITY_TOTAL_S_CM: Column.CONDUCTIVITY_BOUND,
    Column.RELATIVE_DENSITY_PCT: Column.DENSITY_BOUND,
})  # fmt: skip
#: Units of prediction errors, by the measured column; the conductivity is compared as log10(S/cm).
ERROR_UNITS: Mapping[Column, str] = MappingProxyType({
    Column.CONDUCTIVITY_TOTAL_S_CM: "decades",
    Column.RELATIVE_DENSITY_PCT: "points",
    Column.PHASE_PURE: "probability",
    Column.ACTIVATION_ENERGY_EV: "eV",
})  # fmt: skip

ROOM_TEMPERATURE_C = 25.0


def split_cell(cell: str | None) -> list[str]:
    """Return the values in a cell, which are separated by `SEPARATOR`."""
    return [value.strip() for value in (cell or "").split(SEPARATOR) if value.strip()]
