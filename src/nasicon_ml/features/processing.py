"""What the processing says: the numbers as given, and the physics that joins several of them, in arrays.

What is not given is NaN and stays NaN; gradient-boosted trees send it down a branch of its own.

900 °C leave a zirconium phosphate porous and make a titanium phosphate lose lithium. So the sintering
temperature is also given against what is usual for the host cations and the fineness of the powder.

Amounts of an additive come in wt%, mol% or formula units; all are brought to one basis, moles per formula unit
of the electrolyte, and to wt%.

The sintering law says how far a pellet has sintered. Between the green body (0) and the sintered pellet (1) lies
a step on the temperature scale; where it lies depends on the host cations and the powder (`usual_firing_c`), the
time, a flux, and the technique. Trees know of no temperature that nobody reported: a pellet fired at 25 °C is
taken for the coldest that was published. The law says what it is instead, and models start from it
(`nasicon_ml.estimators.priors`).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache

import numpy as np
import pandas as pd

from nasicon_ml.arrays import Floats, Ints, Mask
from nasicon_ml.columns import RECIPE, ZERO_CELSIUS_K, Column, Kind, Role, columns_of
from nasicon_ml.composition import ELEMENTS, OccupancyTable
from nasicon_ml.composition.precursors import Cation, Source, read_precursors

Columns = dict[str, Floats]

#: Liquids of cold sintering: water, acetic acid, NMP, DMF, DMSO, lye. They leave the pellet or carry matter in it,
#: unlike a second phase.
PROCESS_LIQUIDS = frozenset({"H2O", "CH3COOH", "C5H9NO", "C3H7NO", "C2H6OS", "NaOH"})
#: An additive with one of these melts or forms a glass below the sintering temperatures of this family; nitrates
#: do too.
FLUXING_ELEMENTS = frozenset({"B", "Bi", "F", "Cl", "S", "V"})
ADDITIVE_FEATURES = (
    "additive_present", "additive_moles_per_formula", "additive_wt_pct", "additive_fluxing",
    "additive_process_liquid", "additive_lithium",
)  # fmt: skip
#: What says in a name that the additive is a glass or a nitrate.
_FLUXING_NAMES = re.compile(r"glass|NO3|P2O5|LiPO3")


@cache
def _molar_mass_g_mol(formula: str) -> float:
    """Molar mass of an additive, NaN if its name is not a formula (a glass with a trade name, a mixture)."""
    from pymatgen.core import Composition

    try:
        return float(Composition(formula).weight)
    except (ValueError, KeyError, OverflowError, AttributeError):  # the last: L2O, of an element that is none
        return float("nan")


def additive_columns(table: pd.DataFrame, host_g_mol: Callable[[], Floats]) -> Columns:
    """Describe the additives of n recipes; columns of shape (n,).

    Parameters
    ----------
    table
        Recipe columns, n rows.
    host_g_mol
        Gives the mass of a formula unit of each recipe's electrolyte (`host_mass_g_mol`), shape (n,); or of m
        electrolytes, shape (m, 1), each with the processing of all n rows: then amounts have shape (m, n). Called
        only if there is an additive.

    Recipes without an additive get 0 everywhere: none was added, as far as the source says.
    """
    codes, unique = pd.factorize(table[Column.ADDITIVE])
    present = codes >= 0
    if not present.any():  # nor is anything needed that knows chemistry: importing it takes long
        return {name: np.zeros(len(table)) for name in ADDITIVE_FEATURES}
    known = np.array([(*_kind(name), _molar_mass_g_mol(name)) for name in unique])
    fluxing, liquid, lithium, molar = np.where(present, known[codes].T, np.nan)
    moles, weight_pct = _amounts(table, molar, host_g_mol())
    values = (np.ones(len(table)), moles, weight_pct, fluxing, liquid, lithium)
    return {name: np.where(present, value, 0.0) for name, value in zip(ADDITIVE_FEATURES, values, strict=True)}


def _kind(name: str) -> tuple[bool, bool, bool]:
    """Whether an additive is fluxing, a process liquid, and brings lithium."""
    elements = set(re.findall(r"[A-Z][a-z]?", name))
    if name in PROCESS_LIQUIDS:
        return False, True, False
    fluxing = bool(elements & FLUXING_ELEMENTS) or _FLUXING_NAMES.search(name) is not None
    return fluxing, False, "Li" in elements


def _amounts(table: pd.DataFrame, molar: Floats, host: Floats) -> tuple[Floats, Floats]:
    """Moles per formula unit and wt% of the host; NaN where the amount or the unit is not given."""
    amount = table[Column.ADDITIVE_AMOUNT].to_numpy(dtype=np.float64)
    unit = table[Column.ADDITIVE_UNIT]
    by_weight = (unit == "wt%").to_numpy()
    by_mole = (unit == "mol%").to_numpy()
    by_formula = (unit == "formula_unit").to_numpy()
    moles = np.select(
        [by_weight, by_mole, by_formula], [amount / 100.0 * host / molar, amount / 100.0, amount], np.nan
    )
    return moles, np.where(by_weight, amount, 100.0 * moles * molar / host)


def host_mass_g_mol(sites: OccupancyTable) -> Floats:
    """Mass of one formula unit of the electrolyte in g/mol; shape (n_unique,)."""
    weights = _atomic_weights()
    amounts = sites.a + sites.m + sites.t + sites.other_anions
    return np.asarray((amounts * weights).sum(axis=1) + sites.oxygen * weights[ELEMENTS.index("O")])


@cache
def _atomic_weights() -> Floats:
    from pymatgen.core import Element

    return np.array([float(Element(symbol).atomic_mass) for symbol in ELEMENTS])


#: Sources that have a column of their own: those that many papers state.
SOURCE_COLUMNS: Mapping[Cation, tuple[Source, ...]] = {
    Cation.HOST: (Source.ALKOXIDE, Source.CHLORIDE, Source.OXIDE),
    Cation.TRIVALENT: (Source.NITRATE, Source.ALKOXIDE, Source.OXIDE),
    Cation.PHOSPHORUS: (Source.AMMONIUM, Source.ACID),
}
_CODES = {source: float(code) for code, source in enumerate(Source)}


def preparation_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of the preparation alone; those that a table does not have say nothing."""
    return table.reindex(columns=[column.value for column in columns_of(Role.PREPARATION)])


def source_codes(prepared: pd.DataFrame) -> dict[Cation, Floats]:
    """Return which compound brings each kind of cation: its position in `Source`, shape (n,), NaN where not known.

    The table is one of `preparation_table`, n rows.
    """
    place, texts = pd.factorize(prepared[Column.PRECURSORS])
    read = [read_precursors(text).sources for text in texts]
    found = {}
    for cation in Cation:
        codes = [_CODES[one[cation]] if cation in one else np.nan for one in read]
        found[cation] = np.array([*codes, np.nan])[place]  # -1, not given, is the last
    return found


def preparation_columns(table: pd.DataFrame) -> Columns:
    """Return what a recipe says of its preparation; columns of shape (n,), NaN where it does not say.

    A pellet is taken to lie in no powder bed unless the recipe says so. A powder that was bought has no known
    sources.
    """
    table = preparation_table(table)
    codes = source_codes(table)
    excess, pressure, bed = (
        table[column].to_numpy(dtype=np.float64, na_value=np.nan)
        for column in (Column.LITHIUM_EXCESS_PCT, Column.GREEN_PRESSURE_MPA, Column.POWDER_BED)
    )
    least = LOGARITHMIC[Column.GREEN_PRESSURE_MPA]
    columns: Columns = {
        f"given_{Column.LITHIUM_EXCESS_PCT}": excess,
        f"log10_{Column.GREEN_PRESSURE_MPA}": np.log10(np.maximum(pressure, least)),
        f"given_{Column.POWDER_BED}": np.nan_to_num(bed),
    }
    bought = codes[Cation.HOST] == _CODES[Source.COMMERCIAL]
    for cation, sources in SOURCE_COLUMNS.items():
        unknown = np.isnan(codes[cation]) | bought
        for source in sources:
            columns[f"{cation}_source={source}"] = np.where(unknown, np.nan, codes[cation] == _CODES[source])
    stated = table[Column.PRECURSORS].notna()
    return columns | {f"{Column.PRECURSORS}_commercial": np.where(stated, bought, np.nan)}


#: How far below the usual firing temperature a pellet has sintered by half, and the width of the step, in °C.
#: LATP of 3.1 µm, usually fired at 900 °C, was 76.7 % dense after 700 °C and 94.8 % after 800 °C (raj2023,
#: 10.1021/acsaem.2c02464).
HALF_SINTERED_BELOW_USUAL_C, STEP_C = 180.0, 50.0
#: What ten times the time is worth, in °C, and the time that the usual temperatures are for, in h. For an apparent
#: activation energy of 500 kJ/mol the master sintering curve (10.1111/j.1151-2916.1996.tb08097.x) gives 53 °C.
LONGER_C_PER_DECADE, USUAL_TIME_H = 50.0, 6.0
#: Times between these are told apart.
SHORTEST_H, LONGEST_H = 0.05, 200.0
#: Techniques that need less heat, in °C. Pressed LAGP densifies in minutes at 600 to 650 °C and glass crystallises
#: from about 600 °C on (review of LAGP, 10.1002/adfm.202300973), where powder needs 850 °C.
LESS_HEAT_C = {
    "spark_plasma": 200.0, "field_assisted": 200.0, "hot_press": 200.0, "hot_isostatic_press": 200.0,
    "high_pressure": 200.0, "glass_ceramic_crystallization": 250.0,
}  # fmt: skip
#: Techniques that are done in minutes: their time is no part of the law.
QUICK = ("spark_plasma", "field_assisted", "hot_press", "microwave", "high_pressure", "ultrafast_high_temperature")
#: How much less heat a fluxing additive needs, in °C. A choice: 0.5 wt% LiF lowers the crystallisation temperature
#: of LAGP by 17 °C (10.1002/adfm.202300973).
FLUX_C = 60.0
#: Cold sintering densifies under its pressure from about the boiling point of its liquid on; °C.
COLD_SINTERING_C, COLD_STEP_C = 80.0, 20.0
#: Films are deposited dense or porous; no powder sinters.
DEPOSITED = ("sputtering", "pulsed_laser_deposition", "aerosol", "thin_film")
_LARGEST_EXPONENT = 50.0


def sintered_share(table: pd.DataFrame, hosts_c: Floats, fluxing: Floats) -> Floats:
    """Return how far recipes sinter, 0 (green body) to 1.

    Parameters
    ----------
    table
        Recipe columns, n rows.
    hosts_c
        As for `nasicon_ml.features.processing.firing_columns`, shape (n,) or (m, 1).
    fluxing
        1 where the additive melts or forms a glass (`additive_fluxing`), shape (n,).

    Returns
    -------
    ndarray
        Shape (n,) or (m, n); NaN where the sintering temperature is not given, 0 for pellets that are pressed
        only, 1 for deposited films.
    """
    temperature = table[Column.SINTERING_TEMPERATURE_C].to_numpy(dtype=np.float64)
    hours = np.clip(table[Column.SINTERING_TIME_H].to_numpy(dtype=np.float64), SHORTEST_H, LONGEST_H)
    technique = table[Column.DENSIFICATION]
    longer = np.nan_to_num(LONGER_C_PER_DECADE * np.log10(hours / USUAL_TIME_H))
    less = np.where(is_one_of(technique, QUICK), 0.0, longer) + FLUX_C * (fluxing > 0)
    less = less + looked_up(technique, LESS_HEAT_C, 0.0)
    half = usual_firing_c(table, hosts_c) - HALF_SINTERED_BELOW_USUAL_C - less
    cold = is_one_of(technique, ("cold_sintering",))
    half, width = np.where(cold, COLD_SINTERING_C, half), np.where(cold, COLD_STEP_C, STEP_C)
    steps = np.clip((half - temperature) / width, -_LARGEST_EXPONENT, _LARGEST_EXPONENT)
    share = 1.0 / (1.0 + np.exp(steps))
    share = np.where(is_one_of(technique, DEPOSITED), 1.0, share)
    return np.where(is_one_of(technique, ("cold_pressing",)), 0.0, share)


GAS_CONSTANT_KJ_MOL_K = 8.314462618e-3
#: Apparent activation energies of densification in kJ/mol for which the work of sintering is computed. A choice:
#: a low and a high one, so that trees can weigh time against temperature; none is measured for every system here.
SINTERING_ENERGIES_KJ_MOL = (250.0, 500.0)
#: Above this Li2O is lost in measurable amounts (DeWees and Wang, ChemSusChem 2019, 12, 3713).
LITHIA_LOSS_ONSET_C = 950.0
#: log10 of the oxygen partial pressure in bar. Air and O2 are exact; bottled N2 and Ar hold some ppm, a
#: rotary-pump vacuum about 1e-3 mbar of air, a fifth of it oxygen; Ar/H2 is set by the water left in it.
LOG10_OXYGEN_BAR = {"air": -0.68, "O2": 0.0, "N2": -5.0, "Ar": -5.0, "vacuum": -6.7, "Ar/H2": -18.0}
#: How intimately a route mixes the cations, 0 (mixed powders) to 3 (molecular): an ordered scale.
MIXING_QUALITY = {
    "solid_state": 0.0, "mechanochemical": 1.0, "molten_flux": 1.0, "rheological_phase": 1.0,
    "coprecipitation": 2.0, "spray": 2.0, "hydrothermal": 2.0, "solution": 2.0, "sol_gel": 3.0, "pechini": 3.0,
    "solution_combustion": 3.0, "melt_quench": 3.0, "sputtering": 3.0, "pulsed_laser_deposition": 3.0,
}  # fmt: skip
#: Fields whose spread over orders of magnitude makes the logarithm the natural scale.
#: The smallest value told apart from zero stands beside each: seconds of sintering, nanometres, a tenth of a MPa
#: (a MPa of the green pellet).
LOGARITHMIC: dict[Column, float] = {
    Column.SINTERING_TIME_H: 1e-3,
    Column.PARTICLE_SIZE_UM: 1e-3,
    Column.HEATING_RATE_C_MIN: 1e-2,
    Column.PRESSURE_MPA: 1e-1,
    Column.GREEN_PRESSURE_MPA: 1.0,
}
#: Techniques that press while they heat; for the others a pressure is no part of the recipe.
PRESSING = (
    "spark_plasma", "field_assisted", "hot_press", "cold_sintering", "high_pressure", "hot_isostatic_press",
)  # fmt: skip
#: Usual sintering temperature of conventionally sintered pellets in °C by host cation: medians over the sources of
#: the dataset, rounded to 50 °C (a test computes them anew).
USUAL_FIRING_C = {"Ti": 900.0, "Ge": 850.0, "Zr": 1200.0, "Hf": 1100.0, "Sn": 950.0}
#: Where none of these sits on the M site: Li3Sc2(PO4)3, LiFeNb(PO4)3 and the like, about in the middle.
USUAL_FIRING_WITHOUT_HOST_C = 1000.0
#: How much less heat a ten times finer powder needs: densification ended at 940 °C for 3.1 µm and at 850 °C for
#: 0.31 µm in air (raj2023, 10.1021/acsaem.2c02464).
FINER_POWDER_C_PER_DECADE = 90.0
#: The powder that the usual temperatures are for, and that a recipe is taken to have which does not say.
USUAL_PARTICLE_SIZE_UM = 3.1
#: Choices that came after the sets of features before `full_3`, whose columns must stay what they are.
LATER_CHOICES = frozenset(
    {"solution_combustion", "hot_isostatic_press", "cold_pressing", "screen_printing", "thin_film"}
)

PROCESSING_FIELDS = tuple(column for column in RECIPE if column.role is Role.PROCESSING)
PROCESSING_NUMBERS = tuple(column for column in PROCESSING_FIELDS if column.kind is Kind.NUMBER)
PROCESSING_CHOICES = tuple(column for column in PROCESSING_FIELDS if column.kind is Kind.CATEGORY)


def given_columns(table: pd.DataFrame, *, later: bool = False) -> Columns:
    """Return the fields as they are, logarithms where they span decades, one column a choice.

    Parameters
    ----------
    table
        Recipe columns, n rows.
    later
        Whether `LATER_CHOICES` have columns, too, and a choice that is not given is none: 0 in all of its columns.
        Without, it is not known, NaN.
    """
    columns: Columns = {}
    for field in PROCESSING_FIELDS:
        if field.kind is Kind.NUMBER:
            values = table[field].to_numpy(dtype=np.float64)
            columns[f"given_{field}"] = values
            if field in LOGARITHMIC:
                columns[f"log10_{field}"] = np.log10(np.maximum(values, LOGARITHMIC[field]))
        else:
            choices = [choice for choice in field.choices if later or choice not in LATER_CHOICES]
            codes = choice_codes(table[field], choices)
            none = np.where(codes < 0, 0.0 if later else np.nan, 0.0)
            columns |= {f"{field}={choice}": none + (codes == at) for at, choice in enumerate(choices)}
    return columns


def choice_codes(values: pd.Series, choices: Sequence[str]) -> Ints:
    """Return which of some choices each row has, shape (n,), -1 where it has none of them."""
    places = {choice: float(at) for at, choice in enumerate(choices)}
    return looked_up(values, places, -1.0).astype(np.intp)


def looked_up(values: pd.Series, numbers: Mapping[str, float], otherwise: float) -> Floats:
    """Return the number of each text, shape (n,); another one where there is none for it, or no text."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        known = [numbers.get(name, otherwise) for name in values.cat.categories]
        return np.array([*known, otherwise])[values.cat.codes]  # -1, not given, is the last
    found = map(numbers.get, values.to_numpy(), itertools.repeat(otherwise))
    return np.fromiter(found, dtype=np.float64, count=len(values))


def is_one_of(values: pd.Series, choices: Iterable[str]) -> Mask:
    """Return which rows have one of some texts, shape (n,)."""
    return np.asarray(looked_up(values, dict.fromkeys(choices, 1.0), 0.0) > 0)


def physics_columns(table: pd.DataFrame, m_reducible: Floats) -> Columns:
    """Return what the fields mean together.

    Parameters
    ----------
    table
        Recipe columns, n rows.
    m_reducible
        Reducible cations per formula unit of each recipe, shape (n,); or of m compositions, shape (m, 1), each
        with the processing of all n rows: then what depends on both has shape (m, n).

    Returns
    -------
    dict
        Columns of shape (n,), NaN where a field they need is not given.
    """
    temperature = table[Column.SINTERING_TEMPERATURE_C].to_numpy(dtype=np.float64)
    hours = table[Column.SINTERING_TIME_H].to_numpy(dtype=np.float64)
    rate = table[Column.HEATING_RATE_C_MIN].to_numpy(dtype=np.float64)
    size = table[Column.PARTICLE_SIZE_UM].to_numpy(dtype=np.float64)
    calcined = table[Column.CALCINATION_TEMPERATURE_C].to_numpy(dtype=np.float64)
    oxygen = looked_up(table[Column.ATMOSPHERE], LOG10_OXYGEN_BAR, np.nan)
    columns: Columns = {
        f"log10_sintering_work_{energy:.0f}_kj_mol": sintering_work(temperature, hours, rate, energy)
        for energy in SINTERING_ENERGIES_KJ_MOL
    }
    above_onset = np.maximum(temperature - LITHIA_LOSS_ONSET_C, 0.0)
    columns["lithia_loss_c_log_h"] = above_onset * np.log10(1.0 + hours)
    columns["log10_oxygen_bar"] = oxygen
    columns["reduction_drive"] = -oxygen * m_reducible
    columns["reduction_drive_log_rate"] = -oxygen * m_reducible * np.log10(1.0 + rate)
    columns["surface_drive_per_um"] = 1.0 / np.maximum(size, LOGARITHMIC[Column.PARTICLE_SIZE_UM])
    columns["sintering_minus_calcination_c"] = temperature - calcined
    columns["mixing_quality"] = looked_up(table[Column.SYNTHESIS_ROUTE], MIXING_QUALITY, np.nan)
    return columns


def sintering_work(temperature_c: Floats, hours: Floats, rate_c_min: Floats, energy_kj_mol: float) -> Floats:
    """log10 of the work of sintering: the integral of exp(-Q/RT)/T over ramp and hold, in s/K.

    The ramp is integrated in closed form (its last degrees count most: R T/Q of the hold's rate at the top);
    with the heating rate not given the hold alone counts.

    Parameters
    ----------
    temperature_c, hours, rate_c_min
        Shape (n,). Temperature and time of the hold, rate of the ramp to it.
    energy_kj_mol
        Apparent activation energy Q of densification.

    Returns
    -------
    ndarray
        Shape (n,), NaN where temperature or time is not given.

    Notes
    -----
    Master sintering curve: Su and Johnson, 10.1111/j.1151-2916.1996.tb08097.x.
    """
    kelvin = temperature_c + ZERO_CELSIUS_K
    thermal = GAS_CONSTANT_KJ_MOL_K * kelvin
    ramp_s = 60.0 * np.nan_to_num(kelvin * thermal / energy_kj_mol / rate_c_min)
    seconds = 3600.0 * np.maximum(hours, LOGARITHMIC[Column.SINTERING_TIME_H]) + ramp_s
    log10_work: Floats = np.log10(seconds / kelvin) - energy_kj_mol / thermal / np.log(10.0)
    return log10_work


def firing_columns(table: pd.DataFrame, hosts_c: Floats) -> Columns:
    """Return the sintering temperature against the usual one, in °C; columns of shape (n,), NaN without one.

    Parameters
    ----------
    table
        Recipe columns, n rows.
    hosts_c
        What `usual_for_hosts_c` returns for the recipes' compositions, shape (n,); or for m compositions, shape
        (m, 1), each with the processing of all n rows: then the columns have shape (m, n).

    Returns
    -------
    dict
        `firing_excess_c`, signed, and its two sides `underfired_c` and `overfired_c`, each 0 on the other side:
        both have one direction that physics is certain of, which the difference has not.
    """
    temperature = table[Column.SINTERING_TEMPERATURE_C].to_numpy(dtype=np.float64)
    excess = temperature - usual_firing_c(table, hosts_c)
    return {
        "firing_excess_c": excess,
        "underfired_c": np.maximum(-excess, 0.0),
        "overfired_c": np.maximum(excess, 0.0),
    }


def usual_for_hosts_c(sites: OccupancyTable) -> Floats:
    """Return the usual sintering temperature of the hosts, mixed by amount; shape (n_unique,), °C."""
    at = [ELEMENTS.index(host) for host in USUAL_FIRING_C]
    amounts = sites.m[:, at]
    total = amounts.sum(axis=1)
    usual = (amounts * np.array(list(USUAL_FIRING_C.values()))).sum(axis=1)
    mixed = usual / np.where(total > 0.0, total, 1.0)
    return np.where(total > 0.0, mixed, USUAL_FIRING_WITHOUT_HOST_C)


def usual_firing_c(table: pd.DataFrame, hosts_c: Floats) -> Floats:
    """Return the usual temperature of the hosts for the powder, in °C; parameters as of `firing_columns`."""
    size = table[Column.PARTICLE_SIZE_UM].to_numpy(dtype=np.float64)
    decades = np.log10(np.maximum(size, LOGARITHMIC[Column.PARTICLE_SIZE_UM]) / USUAL_PARTICLE_SIZE_UM)
    return np.asarray(hosts_c + FINER_POWDER_C_PER_DECADE * np.nan_to_num(decades, nan=0.0))


def unknown_share(table: pd.DataFrame, blank: Mapping[Column, Mask] | None = None) -> Floats:
    """Share of the processing fields that a recipe does not give; shape (n,), 0 to 1.

    Pressure counts only for techniques that apply one (`PRESSING`), or where the technique is not given.

    Parameters
    ----------
    table
        Recipe columns, n rows.
    blank
        Fields that count as not given in some rows, masks of shape (n,).
    """
    blank = blank or {}
    missing = {
        field: table[field].isna().to_numpy() | blank[field] if field in blank else table[field].isna().to_numpy()
        for field in PROCESSING_FIELDS
    }
    pressed = missing[Column.DENSIFICATION] | is_one_of(table[Column.DENSIFICATION], PRESSING)
    missing[Column.PRESSURE_MPA] = missing[Column.PRESSURE_MPA] & pressed
    count = np.zeros(len(table), dtype=np.int64)
    for where in missing.values():
        count += where
    return np.asarray(count / len(PROCESSING_FIELDS))
