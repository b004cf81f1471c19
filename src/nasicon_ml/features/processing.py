"""Features of additive, preparation and processing: fields as given, and physical quantities derived from them.

Missing values are NaN and stay NaN; gradient-boosted trees learn a separate direction for them.

At 900 °C a zirconium phosphate stays porous, while a titanium phosphate loses lithium. So the sintering
temperature is also given relative to the usual one for the host cations and the particle size.

Amounts of an additive are given in wt%, mol% or formula units; all are converted to moles per formula unit of the
electrolyte, and to wt%.

The sintering law estimates the degree of sintering, from the green body (0) to the sintered pellet (1). It is a
sigmoid in temperature; its position depends on the host cations and the powder (`usual_firing_c`), the time, a
flux and the technique. Trees cannot extrapolate: they treat a pellet fired at 25 °C like the coldest published
one. The law can, and models start from it (`nasicon_ml.estimators.priors`).
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
from nasicon_ml.composition.precursors import CationGroup, CompoundKind, read_precursors

Columns = dict[str, Floats]

#: Liquids of cold sintering: water, acetic acid, NMP, DMF, DMSO, lye. They evaporate or transport material, and
#: are no second phase.
PROCESS_LIQUIDS = frozenset({"H2O", "CH3COOH", "C5H9NO", "C3H7NO", "C2H6OS", "NaOH"})
#: Additives with one of these elements melt or form a glass below the sintering temperatures of this family; so do
#: nitrates.
FLUXING_ELEMENTS = frozenset({"B", "Bi", "F", "Cl", "S", "V"})
ADDITIVE_FEATURES = (
    "additive_present", "additive_moles_per_formula", "additive_wt_pct", "additive_fluxing",
    "additive_process_liquid", "additive_lithium",
)  # fmt: skip
#: Parts of names of glasses and nitrates.
_FLUXING_NAMES = re.compile(r"glass|NO3|P2O5|LiPO3")


@cache
def _molar_mass_g_mol(formula: str) -> float:
    """Return the molar mass of an additive, NaN if its name is not a formula (a trade name, a mixture)."""
    from pymatgen.core import Composition

    try:
        return float(Composition(formula).weight)
    except (ValueError, KeyError, OverflowError, AttributeError):  # the last: unknown elements, as in L2O
        return float("nan")


def additive_columns(table: pd.DataFrame, host_g_mol: Callable[[], Floats]) -> Columns:
    """Return features of the additives of n recipes; columns of shape (n,), 0 without an additive.

    Parameters
    ----------
    table
        Recipe columns, n rows.
    host_g_mol
        Returns the molar mass of each recipe's electrolyte (`host_mass_g_mol`), shape (n,), or of m electrolytes,
        shape (m, 1), for all pairs with n processings: then amounts have shape (m, n). Called only if there is an
        additive.
    """
    codes, unique = pd.factorize(table[Column.ADDITIVE])
    present = codes >= 0
    if not present.any():  # saves importing pymatgen
        return {name: np.zeros(len(table)) for name in ADDITIVE_FEATURES}
    properties = np.array([(*_additive_kind(name), _molar_mass_g_mol(name)) for name in unique])
    fluxing, liquid, lithium, molar_mass = np.where(present, properties[codes].T, np.nan)
    moles, weight_pct = _additive_amounts(table, molar_mass, host_g_mol())
    values = (np.ones(len(table)), moles, weight_pct, fluxing, liquid, lithium)
    return {name: np.where(present, value, 0.0) for name, value in zip(ADDITIVE_FEATURES, values, strict=True)}


def _additive_kind(name: str) -> tuple[bool, bool, bool]:
    """Return whether an additive is fluxing, is a process liquid, and contains lithium."""
    elements = set(re.findall(r"[A-Z][a-z]?", name))
    if name in PROCESS_LIQUIDS:
        return False, True, False
    fluxing = bool(elements & FLUXING_ELEMENTS) or _FLUXING_NAMES.search(name) is not None
    return fluxing, False, "Li" in elements


def _additive_amounts(table: pd.DataFrame, molar_mass: Floats, host_mass: Floats) -> tuple[Floats, Floats]:
    """Return moles per formula unit and wt% of the host; NaN where the amount or the unit is not given."""
    amount = table[Column.ADDITIVE_AMOUNT].to_numpy(dtype=np.float64)
    units = [(table[Column.ADDITIVE_UNIT] == unit).to_numpy() for unit in ("wt%", "mol%", "formula_unit")]
    moles = np.select(units, [amount / 100.0 * host_mass / molar_mass, amount / 100.0, amount], np.nan)
    return moles, np.where(units[0], amount, 100.0 * moles * molar_mass / host_mass)


def host_mass_g_mol(sites: OccupancyTable) -> Floats:
    """Return the mass of one formula unit of the electrolyte in g/mol, shape (n_unique,)."""
    weights = _atomic_weights()
    amounts = sites.a + sites.m + sites.t + sites.other_anions
    return np.asarray((amounts * weights).sum(axis=1) + sites.oxygen * weights[ELEMENTS.index("O")])


@cache
def _atomic_weights() -> Floats:
    from pymatgen.core import Element

    return np.array([float(Element(symbol).atomic_mass) for symbol in ELEMENTS])


#: Sources with a column each: those that many papers state.
SOURCE_COLUMNS: Mapping[CationGroup, tuple[CompoundKind, ...]] = {
    CationGroup.HOST: (CompoundKind.ALKOXIDE, CompoundKind.CHLORIDE, CompoundKind.OXIDE),
    CationGroup.TRIVALENT: (CompoundKind.NITRATE, CompoundKind.ALKOXIDE, CompoundKind.OXIDE),
    CationGroup.PHOSPHORUS: (CompoundKind.AMMONIUM, CompoundKind.ACID),
}
_SOURCE_CODES = {source: float(code) for code, source in enumerate(CompoundKind)}


def preparation_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return only the columns of the preparation; those missing from the table are NaN."""
    return table.reindex(columns=[column.value for column in columns_of(Role.PREPARATION)])


def source_codes(prepared: pd.DataFrame) -> dict[CationGroup, Floats]:
    """Return the kind of compound that is the source of each cation, as its position in `CompoundKind`.

    The table is one of `preparation_table`, n rows. Arrays have shape (n,), NaN where the source is not known.
    """
    text_index, texts = pd.factorize(prepared[Column.PRECURSORS])
    sources = [read_precursors(text).sources for text in texts]
    codes = {}
    for cation in CationGroup:
        of_texts = [_SOURCE_CODES[known[cation]] if cation in known else np.nan for known in sources]
        codes[cation] = np.array([*of_texts, np.nan])[text_index]  # a missing text has index -1: the last
    return codes


def preparation_columns(table: pd.DataFrame) -> Columns:
    """Return the features of the preparation; columns of shape (n,), NaN where not given.

    Without a statement there is no powder bed. The sources of a commercial powder are unknown.
    """
    table = preparation_table(table)
    codes = source_codes(table)
    excess, pressure, bed = (
        table[column].to_numpy(dtype=np.float64, na_value=np.nan)
        for column in (Column.LITHIUM_EXCESS_PCT, Column.GREEN_PRESSURE_MPA, Column.POWDER_BED)
    )
    smallest = LOGARITHMIC[Column.GREEN_PRESSURE_MPA]
    columns: Columns = {
        f"given_{Column.LITHIUM_EXCESS_PCT}": excess,
        f"log10_{Column.GREEN_PRESSURE_MPA}": np.log10(np.maximum(pressure, smallest)),
        f"given_{Column.POWDER_BED}": np.nan_to_num(bed),
    }
    commercial = codes[CationGroup.HOST] == _SOURCE_CODES[CompoundKind.COMMERCIAL]
    for cation, sources in SOURCE_COLUMNS.items():
        unknown = np.isnan(codes[cation]) | commercial
        for source in sources:
            columns[f"{cation}_source={source}"] = np.where(
                unknown, np.nan, codes[cation] == _SOURCE_CODES[source]
            )
    stated = table[Column.PRECURSORS].notna()
    return columns | {f"{Column.PRECURSORS}_commercial": np.where(stated, commercial, np.nan)}


#: How far below the usual firing temperature a pellet is half sintered, and the width of the sigmoid, in °C.
#: LATP of 3.1 µm, usually fired at 900 °C, was 76.7 % dense after 700 °C and 94.8 % after 800 °C (raj2023,
#: 10.1021/acsaem.2c02464).
HALF_SINTERED_BELOW_USUAL_C, STEP_C = 180.0, 50.0
#: Temperature equivalent of ten times the time in °C, and the time to which the usual temperatures refer in h. For
#: an apparent activation energy of 500 kJ/mol the master sintering curve (10.1111/j.1151-2916.1996.tb08097.x)
#: gives 53 °C.
LONGER_C_PER_DECADE, USUAL_TIME_H = 50.0, 6.0
#: Times are clipped to these limits.
SHORTEST_H, LONGEST_H = 0.05, 200.0
#: How much lower the temperature of a technique is, in °C. Pressed LAGP densifies in minutes at 600 to 650 °C and
#: glass crystallises from about 600 °C on (review of LAGP, 10.1002/adfm.202300973), where powder needs 850 °C.
LESS_HEAT_C = {
    "spark_plasma": 200.0, "field_assisted": 200.0, "hot_press": 200.0, "hot_isostatic_press": 200.0,
    "high_pressure": 200.0, "glass_ceramic_crystallization": 250.0,
}  # fmt: skip
#: Techniques that take minutes: the law ignores their time.
QUICK = ("spark_plasma", "field_assisted", "hot_press", "microwave", "high_pressure", "ultrafast_high_temperature")
#: How much a fluxing additive lowers the temperature, in °C. An assumption: 0.5 wt% LiF lowers the crystallisation
#: temperature of LAGP by 17 °C (10.1002/adfm.202300973).
FLUX_C = 60.0
#: Cold sintering densifies under pressure from about the boiling point of its liquid, in °C.
COLD_SINTERING_C, COLD_STEP_C = 80.0, 20.0
#: Films are deposited dense or porous; they are not sintered.
DEPOSITED = ("sputtering", "pulsed_laser_deposition", "aerosol", "thin_film")
_LARGEST_EXPONENT = 50.0


def sintered_share(table: pd.DataFrame, hosts_c: Floats, fluxing: Floats) -> Floats:
    """Return the degree of sintering of recipes, 0 (green body) to 1.

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
        Shape (n,) or (m, n); NaN where the sintering temperature is not given, 0 for cold-pressed pellets, 1 for
        deposited films.
    """
    temperature = table[Column.SINTERING_TEMPERATURE_C].to_numpy(dtype=np.float64)
    hours = np.clip(table[Column.SINTERING_TIME_H].to_numpy(dtype=np.float64), SHORTEST_H, LONGEST_H)
    technique = table[Column.DENSIFICATION]
    for_time = np.nan_to_num(LONGER_C_PER_DECADE * np.log10(hours / USUAL_TIME_H))
    reduction = np.where(is_one_of(technique, QUICK), 0.0, for_time) + FLUX_C * (fluxing > 0)
    reduction = reduction + map_to_numbers(technique, LESS_HEAT_C, 0.0)
    half_sintered = usual_firing_c(table, hosts_c) - HALF_SINTERED_BELOW_USUAL_C - reduction
    is_cold = is_one_of(technique, ("cold_sintering",))
    half_sintered = np.where(is_cold, COLD_SINTERING_C, half_sintered)
    width = np.where(is_cold, COLD_STEP_C, STEP_C)
    exponent = np.clip((half_sintered - temperature) / width, -_LARGEST_EXPONENT, _LARGEST_EXPONENT)
    share = 1.0 / (1.0 + np.exp(exponent))
    share = np.where(is_one_of(technique, DEPOSITED), 1.0, share)
    return np.where(is_one_of(technique, ("cold_pressing",)), 0.0, share)


GAS_CONSTANT_KJ_MOL_K = 8.314462618e-3
#: Apparent activation energies of densification in kJ/mol for which the work of sintering is computed. An
#: assumption: a low and a high one, so that trees can weigh time against temperature; not measured for every
#: system here.
SINTERING_ENERGIES_KJ_MOL = (250.0, 500.0)
#: Above this temperature Li2O is lost in measurable amounts (DeWees and Wang, ChemSusChem 2019, 12, 3713).
LITHIA_LOSS_ONSET_C = 950.0
#: log10 of the oxygen partial pressure in bar. Air and O2 are exact; bottled N2 and Ar contain some ppm, a
#: rotary-pump vacuum about 1e-3 mbar of air, a fifth of it oxygen; Ar/H2 is set by residual water.
LOG10_OXYGEN_BAR = {"air": -0.68, "O2": 0.0, "N2": -5.0, "Ar": -5.0, "vacuum": -6.7, "Ar/H2": -18.0}
#: How finely a route mixes the cations, 0 (mixed powders) to 3 (molecular): an ordered scale.
MIXING_QUALITY = {
    "solid_state": 0.0, "mechanochemical": 1.0, "molten_flux": 1.0, "rheological_phase": 1.0,
    "coprecipitation": 2.0, "spray": 2.0, "hydrothermal": 2.0, "solution": 2.0, "sol_gel": 3.0, "pechini": 3.0,
    "solution_combustion": 3.0, "melt_quench": 3.0, "sputtering": 3.0, "pulsed_laser_deposition": 3.0,
}  # fmt: skip
#: Fields that span orders of magnitude, and the smallest value at which each logarithm is cut off: seconds of
#: sintering, nanometres, a tenth of a MPa (a MPa for the green pellet).
LOGARITHMIC: dict[Column, float] = {
    Column.SINTERING_TIME_H: 1e-3,
    Column.PARTICLE_SIZE_UM: 1e-3,
    Column.HEATING_RATE_C_MIN: 1e-2,
    Column.PRESSURE_MPA: 1e-1,
    Column.GREEN_PRESSURE_MPA: 1.0,
}
#: Techniques that apply pressure while heating; for the others pressure is not part of the recipe.
PRESSING = (
    "spark_plasma", "field_assisted", "hot_press", "cold_sintering", "high_pressure", "hot_isostatic_press",
)  # fmt: skip
#: Usual sintering temperature of conventionally sintered pellets in °C by host cation: medians over the sources of
#: the dataset, rounded to 50 °C (a test recomputes them).
USUAL_FIRING_C = {"Ti": 900.0, "Ge": 850.0, "Zr": 1200.0, "Hf": 1100.0, "Sn": 950.0}
#: Without any of these on the M site, as in Li3Sc2(PO4)3 or LiFeNb(PO4)3: about the middle.
USUAL_FIRING_WITHOUT_HOST_C = 1000.0
#: How much a ten times finer powder lowers the temperature: densification ended at 940 °C for 3.1 µm and at 850 °C
#: for 0.31 µm in air (raj2023, 10.1021/acsaem.2c02464).
FINER_POWDER_C_PER_DECADE = 90.0
#: Particle size to which the usual temperatures refer, and that is assumed if none is given.
USUAL_PARTICLE_SIZE_UM = 3.1
#: Choices that are newer than the feature sets before `full_3`, whose columns must not change.
LATER_CHOICES = frozenset(
    {"solution_combustion", "hot_isostatic_press", "cold_pressing", "screen_printing", "thin_film"}
)

PROCESSING_FIELDS = tuple(column for column in RECIPE if column.role is Role.PROCESSING)
PROCESSING_NUMBERS = tuple(column for column in PROCESSING_FIELDS if column.kind is Kind.NUMBER)
PROCESSING_CHOICES = tuple(column for column in PROCESSING_FIELDS if column.kind is Kind.CATEGORY)


def given_columns(table: pd.DataFrame, *, all_choices: bool = False) -> Columns:
    """Return the fields as given, the logarithms of those that span decades, and one column per choice.

    Parameters
    ----------
    table
        Recipe columns, n rows.
    all_choices
        Whether `LATER_CHOICES` have columns, too, and the columns of a choice that is not given are 0 instead of
        NaN.
    """
    columns: Columns = {}
    for field in PROCESSING_FIELDS:
        if field.kind is Kind.NUMBER:
            values = table[field].to_numpy(dtype=np.float64)
            columns[f"given_{field}"] = values
            if field in LOGARITHMIC:
                columns[f"log10_{field}"] = np.log10(np.maximum(values, LOGARITHMIC[field]))
        else:
            choices = [choice for choice in field.choices if all_choices or choice not in LATER_CHOICES]
            codes = choice_codes(table[field], choices)
            missing = np.where(codes < 0, 0.0 if all_choices else np.nan, 0.0)
            columns |= {f"{field}={choice}": missing + (codes == code) for code, choice in enumerate(choices)}
    return columns


def choice_codes(values: pd.Series, choices: Sequence[str]) -> Ints:
    """Return the position of each value among the choices, shape (n,), -1 if it is none of them."""
    codes = {choice: float(code) for code, choice in enumerate(choices)}
    return map_to_numbers(values, codes, -1.0).astype(np.intp)


def map_to_numbers(values: pd.Series, numbers: Mapping[str, float], default: float) -> Floats:
    """Return the number of each text, shape (n,); the default for other texts and missing ones."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        of_categories = [numbers.get(name, default) for name in values.cat.categories]
        return np.array([*of_categories, default])[values.cat.codes]  # a missing text has code -1: the last
    mapped = map(numbers.get, values.to_numpy(), itertools.repeat(default))
    return np.fromiter(mapped, dtype=np.float64, count=len(values))


def is_one_of(values: pd.Series, choices: Iterable[str]) -> Mask:
    """Return which values are one of the choices, shape (n,); faster than `isin` for categorical columns."""
    return np.asarray(map_to_numbers(values, dict.fromkeys(choices, 1.0), 0.0) > 0)


def physics_columns(table: pd.DataFrame, m_reducible: Floats) -> Columns:
    """Return physical quantities derived from several fields.

    Parameters
    ----------
    table
        Recipe columns, n rows.
    m_reducible
        Reducible cations per formula unit of each recipe, shape (n,), or of m compositions, shape (m, 1), for all
        pairs with n processings: then columns that depend on both have shape (m, n).

    Returns
    -------
    dict
        Columns of shape (n,), NaN where a required field is not given.
    """
    temperature = table[Column.SINTERING_TEMPERATURE_C].to_numpy(dtype=np.float64)
    hours = table[Column.SINTERING_TIME_H].to_numpy(dtype=np.float64)
    rate = table[Column.HEATING_RATE_C_MIN].to_numpy(dtype=np.float64)
    size = table[Column.PARTICLE_SIZE_UM].to_numpy(dtype=np.float64)
    calcined = table[Column.CALCINATION_TEMPERATURE_C].to_numpy(dtype=np.float64)
    oxygen = map_to_numbers(table[Column.ATMOSPHERE], LOG10_OXYGEN_BAR, np.nan)
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
    columns["mixing_quality"] = map_to_numbers(table[Column.SYNTHESIS_ROUTE], MIXING_QUALITY, np.nan)
    return columns


def sintering_work(temperature_c: Floats, hours: Floats, rate_c_min: Floats, energy_kj_mol: float) -> Floats:
    """Return log10 of the work of sintering: the integral of exp(-Q/RT)/T over ramp and hold, in s/K.

    The ramp is integrated in closed form (its last degrees contribute most: R T/Q of the rate during the hold); if
    the heating rate is not given, only the hold is integrated.

    Parameters
    ----------
    temperature_c, hours, rate_c_min
        Temperature and time of the hold, and rate of the ramp to it, shape (n,).
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
    """Return the sintering temperature relative to the usual one, in °C; columns of shape (n,), NaN if not given.

    Parameters
    ----------
    table
        Recipe columns, n rows.
    hosts_c
        `usual_for_hosts_c` of each recipe, shape (n,), or of m compositions, shape (m, 1), for all pairs with n
        processings: then the columns have shape (m, n).

    Returns
    -------
    dict
        `firing_excess_c`, and its negative and positive parts `underfired_c` and `overfired_c`: physics fixes the
        sign of the effect of each part, but not of the difference.
    """
    temperature = table[Column.SINTERING_TEMPERATURE_C].to_numpy(dtype=np.float64)
    excess = temperature - usual_firing_c(table, hosts_c)
    return {
        "firing_excess_c": excess,
        "underfired_c": np.maximum(-excess, 0.0),
        "overfired_c": np.maximum(excess, 0.0),
    }


def usual_for_hosts_c(sites: OccupancyTable) -> Floats:
    """Return the usual sintering temperature in °C of the host cations, averaged by amount, shape (n_unique,)."""
    amounts = sites.m[:, [ELEMENTS.index(host) for host in USUAL_FIRING_C]]
    total = amounts.sum(axis=1)
    usual = (amounts * np.array(list(USUAL_FIRING_C.values()))).sum(axis=1)
    mixed = usual / np.where(total > 0.0, total, 1.0)
    return np.where(total > 0.0, mixed, USUAL_FIRING_WITHOUT_HOST_C)


def usual_firing_c(table: pd.DataFrame, hosts_c: Floats) -> Floats:
    """Return the usual sintering temperature in °C for hosts and powder; parameters as for `firing_columns`."""
    size = table[Column.PARTICLE_SIZE_UM].to_numpy(dtype=np.float64)
    decades = np.log10(np.maximum(size, LOGARITHMIC[Column.PARTICLE_SIZE_UM]) / USUAL_PARTICLE_SIZE_UM)
    return np.asarray(hosts_c + FINER_POWDER_C_PER_DECADE * np.nan_to_num(decades, nan=0.0))


def unknown_share(table: pd.DataFrame, ignored: Mapping[Column, Mask] | None = None) -> Floats:
    """Return the share of processing fields that a recipe does not give, shape (n,), 0 to 1.

    Pressure counts only for techniques that apply one (`PRESSING`), or if the technique is not given.

    Parameters
    ----------
    table
        Recipe columns, n rows.
    ignored
        Rows in which a field counts as not given, masks of shape (n,).
    """
    ignored = ignored or {}
    missing = {field: table[field].isna().to_numpy() | ignored.get(field, False) for field in PROCESSING_FIELDS}
    is_pressed = missing[Column.DENSIFICATION] | is_one_of(table[Column.DENSIFICATION], PRESSING)
    missing[Column.PRESSURE_MPA] = missing[Column.PRESSURE_MPA] & is_pressed
    count = np.zeros(len(table), dtype=np.int64)
    for rows in missing.values():
        count += rows
    return np.asarray(count / len(PROCESSING_FIELDS))
