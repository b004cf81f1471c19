"""Rules about techniques of densification, films and additives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.evaluation.physical_rules.contexts import (
    LAGP_GLASS_CERAMIC,
    LAGP_GLASS_CERAMICS,
    LAGP_USUAL,
    LATP_USUAL,
    lagp,
    varied,
)
from nasicon_ml.evaluation.physical_rules.model import (
    DEWEES_2019,
    ZHANG_2023,
    PhysicalRule,
    higher,
    lower,
)
from nasicon_ml.recipe import Recipe

_SIGMA, _DENSITY, _PURE = TargetName.CONDUCTIVITY, TargetName.RELATIVE_DENSITY, TargetName.PHASE_PURITY

#: A minute-long pass through a press that heats by current.
_PRESSED_LATP = varied(
    LATP_USUAL, densification="spark_plasma", sintering_temperature_c=900, sintering_time_h=0.17,
    heating_rate_c_min=100, pressure_mpa=50, atmosphere="vacuum",
)  # fmt: skip
_PRESSED_LAGP = varied(
    LAGP_USUAL, densification="spark_plasma", sintering_temperature_c=650, sintering_time_h=0.17,
    heating_rate_c_min=100, pressure_mpa=60, atmosphere="vacuum",
)  # fmt: skip


def _cold(recipes: Sequence[Recipe]) -> list[Recipe]:
    return varied(
        recipes, densification="cold_sintering", sintering_temperature_c=130, sintering_time_h=1.0,
        heating_rate_c_min=None, atmosphere=None, pressure_mpa=400,
    )  # fmt: skip


def technique_rules() -> tuple[PhysicalRule, ...]:
    """Give the rules about techniques, films and additives."""
    return (*_fast_and_pressed(), *_cold_sintered(), *_glass_ceramics(), *_films(), *_additives())


def _fast_and_pressed() -> tuple[PhysicalRule, ...]:
    microwave = varied(LATP_USUAL, densification="microwave", sintering_time_h=0.17, heating_rate_c_min=None)
    hot_pressed = Recipe(
        formula=lagp(0.5), sintering_temperature_c=550, sintering_time_h=0.5, densification="hot_press",
        pressure_mpa=100,
    )  # fmt: skip
    words = "Spark plasma sintering beats conventional sintering of"
    return (
        PhysicalRule(
            "sps_latp_is_denser",
            f"{words} LATP: denser.",
            DEWEES_2019,
            _DENSITY,
            higher(_DENSITY, _PRESSED_LATP, LATP_USUAL),
        ),
        PhysicalRule(
            "sps_lagp_is_denser",
            f"{words} LAGP: denser.",
            DEWEES_2019,
            _DENSITY,
            higher(_DENSITY, _PRESSED_LAGP, LAGP_USUAL),
        ),
        PhysicalRule(
            "sps_latp_conducts_better",
            f"{words} LATP: a better conductor.",
            DEWEES_2019,
            _SIGMA,
            higher(_SIGMA, _PRESSED_LATP, LATP_USUAL),
        ),
        PhysicalRule(
            "sps_lagp_conducts_better",
            f"{words} LAGP: a better conductor.",
            DEWEES_2019,
            _SIGMA,
            higher(_SIGMA, _PRESSED_LAGP, LAGP_USUAL),
        ),
        PhysicalRule(
            "microwave_latp_conducts_better",
            "LATP sintered by microwaves for ten minutes conducts better than conventionally sintered LATP.",
            DEWEES_2019,
            _SIGMA,
            higher(_SIGMA, microwave, LATP_USUAL),
            note="One work found five times the conductivity, 0.7 decades.",
        ),
        PhysicalRule(
            "hot_pressing_lagp_at_750_is_impure",
            "Hot pressing LAGP at 750 °C brings AlPO4 and germanium: less likely pure than at 550 °C.",
            ZHANG_2023,
            _PURE,
            higher(_PURE, [hot_pressed], [replace(hot_pressed, sintering_temperature_c=750)]),
        ),
    )


def _cold_sintered() -> tuple[PhysicalRule, ...]:
    cold_lagp = _cold(LAGP_USUAL)
    salted = varied(cold_lagp, additive="LiC2F6NO4S2", additive_amount=10, additive_unit="wt%")
    return (
        PhysicalRule(
            "cold_sintered_latp_conducts_less",
            "Cold sintering gives a low conductivity: LATP below conventionally sintered LATP.",
            ZHANG_2023,
            _SIGMA,
            lower(_SIGMA, _cold(LATP_USUAL), LATP_USUAL),
            note="Stated of LAGP; with a lithium salt that stays in the pellet 1e-4 S/cm is reached.",
        ),
        PhysicalRule(
            "cold_sintered_lagp_conducts_less",
            "Cold sintering gives a low conductivity: LAGP below conventionally sintered LAGP.",
            ZHANG_2023,
            _SIGMA,
            lower(_SIGMA, cold_lagp, LAGP_USUAL),
        ),
        PhysicalRule(
            "cold_sintered_lagp_is_less_dense",
            "Cold sintering gives a low density, 75 %: LAGP below conventionally sintered LAGP.",
            ZHANG_2023,
            _DENSITY,
            lower(_DENSITY, cold_lagp, LAGP_USUAL),
        ),
        PhysicalRule(
            "lithium_salt_helps_cold_sintering",
            "With LiTFSI, cold-sintered LAGP gets above 90 % and to the order of 1e-4 S/cm: better than without.",
            ZHANG_2023,
            _SIGMA,
            higher(_SIGMA, salted, cold_lagp),
        ),
    )


def _glass_ceramics() -> tuple[PhysicalRule, ...]:
    powder = varied(LAGP_GLASS_CERAMICS, densification="conventional")
    return (
        PhysicalRule(
            "glass_ceramic_lagp_conducts_better",
            "LAGP crystallised from a melt-quenched glass conducts better than conventionally sintered LAGP.",
            f"{DEWEES_2019}; {ZHANG_2023}",
            _SIGMA,
            higher(_SIGMA, [*LAGP_GLASS_CERAMICS] * 3, [*LAGP_USUAL] * 2),
        ),
        PhysicalRule(
            "whole_glass_conducts_better_than_its_powder",
            "LAGP glass crystallised as one piece conducts better than its powder sintered.",
            ZHANG_2023,
            _SIGMA,
            higher(_SIGMA, LAGP_GLASS_CERAMICS, powder),
            note="Measured: 2.38e-4 against 6.3e-5 S/cm.",
        ),
        PhysicalRule(
            "whole_glass_is_denser_than_its_powder",
            "LAGP glass crystallised as one piece is denser than its powder sintered.",
            ZHANG_2023,
            _DENSITY,
            higher(_DENSITY, LAGP_GLASS_CERAMICS, powder),
        ),
    )


def _films() -> tuple[PhysicalRule, ...]:
    cast = varied(LAGP_USUAL, densification="tape_cast")
    sprayed = [Recipe(formula=lagp(0.5), densification="aerosol")]
    sputtered = [Recipe(formula=lagp(0.5), synthesis_route="sputtering", densification="sputtering")]
    pellet = [Recipe(formula=lagp(0.5), densification="conventional")]
    return (
        PhysicalRule(
            "cast_lagp_is_less_dense",
            "Films are worse than pellets: cast LAGP, 80 %, is less dense than a pellet, 95 %.",
            ZHANG_2023,
            _DENSITY,
            lower(_DENSITY, cast, LAGP_USUAL),
        ),
        PhysicalRule(
            "cast_lagp_conducts_less",
            "Films are worse than pellets: cast LAGP, 2e-5 S/cm, conducts less than a pellet.",
            ZHANG_2023,
            _SIGMA,
            lower(_SIGMA, cast, LAGP_USUAL),
        ),
        PhysicalRule(
            "aerosol_lagp_conducts_less",
            "Films are worse than pellets: aerosol-deposited LAGP, 5e-6 S/cm, conducts less than a pellet.",
            ZHANG_2023,
            _SIGMA,
            lower(_SIGMA, sprayed, pellet),
            note="A single measured film stands in the dataset; trees hardly ever split on one.",
        ),
        PhysicalRule(
            "sputtered_lagp_conducts_less",
            "Films are worse than pellets: sputtered LAGP, 1.3e-6 S/cm, conducts less than a pellet.",
            ZHANG_2023,
            _SIGMA,
            lower(_SIGMA, sputtered, pellet),
        ),
    )


def _additives() -> tuple[PhysicalRule, ...]:
    fluoride = varied(
        (*LAGP_USUAL, *LAGP_GLASS_CERAMICS), additive="LiF", additive_amount=0.5, additive_unit="wt%"
    )
    plain = (*LAGP_USUAL, *LAGP_GLASS_CERAMICS)
    borate = varied(plain, additive="B2O3", additive_amount=1.0, additive_unit="wt%")
    lithia = varied(LAGP_GLASS_CERAMICS, additive="Li2O", additive_amount=0.05, additive_unit="formula_unit")
    alumina = varied((LAGP_GLASS_CERAMIC,), additive="Al2O3", additive_amount=0.1, additive_unit="formula_unit")
    return (
        PhysicalRule(
            "lif_raises_lagp",
            "0.5 wt% LiF raises the grain-boundary conductivity of LAGP.",
            ZHANG_2023,
            _SIGMA,
            higher(_SIGMA, fluoride, plain),
        ),
        PhysicalRule(
            "lif_lowers_the_energy_of_lagp",
            "0.5 wt% LiF lowers the activation energy of LAGP.",
            ZHANG_2023,
            TargetName.ACTIVATION_ENERGY,
            lower(TargetName.ACTIVATION_ENERGY, fluoride, plain),
        ),
        PhysicalRule(
            "b2o3_raises_lagp",
            "A little B2O3 raises the total conductivity of LAGP.",
            ZHANG_2023,
            _SIGMA,
            higher(_SIGMA, borate, plain),
        ),
        PhysicalRule(
            "excess_lithia_raises_lagp_glass_ceramic",
            "0.05 Li2O per formula unit raises the conductivity of LAGP glass-ceramics.",
            f"{DEWEES_2019}; {ZHANG_2023}",
            _SIGMA,
            higher(_SIGMA, lithia, LAGP_GLASS_CERAMICS),
        ),
        PhysicalRule(
            "excess_alumina_costs_purity",
            "Excess Al2O3 in LAGP glass-ceramics brings Li4P2O7, AlPO4 and GeO2: less likely pure.",
            ZHANG_2023,
            _PURE,
            lower(_PURE, alumina, [LAGP_GLASS_CERAMIC]),
        ),
    )
