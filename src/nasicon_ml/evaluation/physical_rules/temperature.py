"""Rules about firing: how hot, how long, how fast."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.evaluation.physical_rules.contexts import (
    LAGP_FIRED,
    LAGP_GLASS_CERAMICS,
    LAGP_SOL_GEL,
    LAGP_SOLID_STATE,
    LAGP_USUAL,
    LATP_COARSE,
    LATP_COMMERCIAL,
    LATP_COPRECIPITATED,
    LATP_FIRED,
    LATP_SOL_GEL,
    LATP_SOLID_STATE,
    LATP_USUAL,
    fired_at,
    latp,
    varied,
)
from nasicon_ml.evaluation.physical_rules.model import (
    DEGREES,
    DEWEES_2019,
    RAJ_2023,
    ZHANG_2023,
    Answers,
    Check,
    PhysicalRule,
    along,
    higher,
    interior_maximum,
    no_hotter,
)
from nasicon_ml.recipe import Recipe

_SIGMA, _DENSITY, _PURE = TargetName.CONDUCTIVITY, TargetName.RELATIVE_DENSITY, TargetName.PHASE_PURITY
#: The temperatures of the air series of Raj 2023.
_RAJ_CELSIUS = (700.0, 800.0, 900.0, 1000.0)


def temperature_rules() -> tuple[PhysicalRule, ...]:
    """Give the rules about the temperature and the time of firing."""
    return (*_too_hot_latp(), *_too_cold(), *_lagp(), *_coarse_latp_in_air(), *_one_optimum(), *_ramp_and_route())


def _at(recipes: tuple[Recipe, ...], celsius: float) -> list[Recipe]:
    return varied(recipes, sintering_temperature_c=celsius)


def _too_hot_latp() -> tuple[PhysicalRule, ...]:
    conflict = (
        f"Against it: commercial powder of x = 0.4 stayed pure up to 1000 °C in air, 2 h, by XRD ({RAJ_2023}); "
        "these recipes are held for 6 h and start from unreacted powders."
    )
    solid_state = (LATP_SOLID_STATE, replace(LATP_FIRED, synthesis_route="solid_state"))
    return (
        PhysicalRule(
            "latp_aluminium_leaves_above_900",
            "In solid-state LATP, AlPO4 appears above 900 °C: less likely pure at 1000 than at 850 °C.",
            DEWEES_2019,
            _PURE,
            higher(_PURE, _at(solid_state, 850), _at(solid_state, 1000)),
            note=conflict,
        ),
        PhysicalRule(
            "lithium_loss_above_950_costs_purity",
            "Above 950 °C Li2O evaporates, AlPO4 and TiO2 form: LATP is less likely pure at 1050 than at 950 °C.",
            DEWEES_2019,
            _PURE,
            higher(_PURE, _at(LATP_USUAL, 950), _at(LATP_USUAL, 1050)),
            note=conflict,
        ),
        PhysicalRule(
            "lithium_loss_grows_with_time",
            "Above 950 °C Li2O evaporates: LATP held at 1050 °C for 24 h is no more likely pure than after 2 h.",
            DEWEES_2019,
            _PURE,
            higher(
                _PURE,
                varied(LATP_USUAL, sintering_temperature_c=1050, sintering_time_h=2),
                varied(LATP_USUAL, sintering_temperature_c=1050, sintering_time_h=24),
            ),
            may_be_equal=True,
        ),
        PhysicalRule(
            "overfired_latp_conducts_less",
            "Too high a temperature costs lithium and blocks grain boundaries: LATP conducts less from 1150 than "
            "from 950 °C.",
            ZHANG_2023,
            _SIGMA,
            higher(_SIGMA, _at(LATP_USUAL, 950), _at(LATP_USUAL, 1150)),
            note="Stated of LAGP and of the family in general.",
        ),
        PhysicalRule(
            "pechini_latp_calcined_hot_is_impure",
            "Pechini LATP calcined above 850 °C contains Li4P2O7: less likely pure after 950 than after 750 °C.",
            DEWEES_2019,
            _PURE,
            higher(
                _PURE,
                varied((replace(LATP_SOL_GEL, synthesis_route="pechini"),), calcination_temperature_c=750),
                varied((replace(LATP_SOL_GEL, synthesis_route="pechini"),), calcination_temperature_c=950),
            ),
        ),
    )


def _too_cold() -> tuple[PhysicalRule, ...]:
    cold = varied(LATP_USUAL[:3], calcination_temperature_c=500, sintering_temperature_c=550)
    return (
        PhysicalRule(
            "unreacted_below_600",
            "Below 600 °C the reaction stays incomplete: LATP that never saw more than 550 °C is less likely pure "
            "than after 850 °C.",
            DEWEES_2019,
            _PURE,
            higher(_PURE, varied(LATP_USUAL[:3], sintering_temperature_c=850), cold),
        ),
        PhysicalRule(
            "cold_preheating_leaves_voids",
            "Preheating below 600 °C leaves voids in the final pellet: less dense than after 800 °C.",
            DEWEES_2019,
            _DENSITY,
            higher(
                _DENSITY,
                varied(LATP_USUAL[:3], calcination_temperature_c=800),
                varied(LATP_USUAL[:3], calcination_temperature_c=500),
            ),
        ),
        PhysicalRule(
            "underfired_latp_is_porous",
            "LATP fired at 700 °C is less dense than fired at 900 °C.",
            RAJ_2023,
            _DENSITY,
            higher(_DENSITY, _at(LATP_USUAL, 900), _at(LATP_USUAL, 700)),
            note="Measured on commercial powder: 76.7 % after 700 °C, 94.8 % after 800 °C.",
        ),
    )


def _lagp() -> tuple[PhysicalRule, ...]:
    solid_state = (LAGP_SOLID_STATE, replace(LAGP_FIRED, synthesis_route="solid_state"))
    coprecipitated = (replace(LAGP_SOL_GEL, synthesis_route="coprecipitation"),)
    grid = (650, 700, 750, 800, 850, 900, 950)
    return (
        PhysicalRule(
            "lagp_density_has_an_optimum",
            "The density of solid-state LAGP peaks at about 800 °C: a maximum inside 650 to 950 °C.",
            DEWEES_2019,
            _DENSITY,
            along(_DENSITY, fired_at(solid_state, grid), interior_maximum),
        ),
        PhysicalRule(
            "lagp_conductivity_has_an_optimum",
            "The conductivity of solid-state LAGP peaks at about 750 °C: a maximum inside 650 to 950 °C.",
            DEWEES_2019,
            _SIGMA,
            along(_SIGMA, fired_at(solid_state, grid), interior_maximum),
        ),
        PhysicalRule(
            "lagp_purity_falls_above_800",
            "Solid-state LAGP is purest at 800 °C, then GeO2 and AlPO4 form: less likely pure at 900 °C.",
            DEWEES_2019,
            _PURE,
            higher(_PURE, _at(solid_state, 800), _at(solid_state, 900)),
        ),
        PhysicalRule(
            "lagp_glass_ceramic_has_an_optimum",
            "LAGP glass is best crystallised at 820 °C: conductivity has a maximum inside 650 to 950 °C.",
            ZHANG_2023,
            _SIGMA,
            along(_SIGMA, fired_at(LAGP_GLASS_CERAMICS, grid), interior_maximum),
            note=f"Where it lies is disputed: 825 °C for 8 h or 850 °C for 12 h ({DEWEES_2019}).",
        ),
        PhysicalRule(
            "lagp_glass_ceramic_impure_above_750",
            "In LAGP glass-ceramics GeO2 appears above 750 °C: less likely pure at 850 than at 750 °C.",
            ZHANG_2023,
            _PURE,
            higher(_PURE, _at(LAGP_GLASS_CERAMICS, 750), _at(LAGP_GLASS_CERAMICS, 850)),
        ),
        PhysicalRule(
            "lagp_coprecipitated_impure_above_850",
            "In coprecipitated LAGP impurities are prominent at 850 and 900 °C: less likely pure than at 750 °C.",
            ZHANG_2023,
            _PURE,
            higher(_PURE, _at(coprecipitated, 750) * 2, _at(coprecipitated, 850) + _at(coprecipitated, 900)),
        ),
        PhysicalRule(
            "overfired_lagp_conducts_less",
            "Too high a temperature costs lithium and blocks grain boundaries: LAGP conducts less from 1000 than "
            "from 850 °C.",
            ZHANG_2023,
            _SIGMA,
            higher(_SIGMA, _at(LAGP_USUAL, 850), _at(LAGP_USUAL, 1000)),
        ),
    )


def _coarse_latp_in_air() -> tuple[PhysicalRule, ...]:
    series = fired_at(LATP_COARSE, _RAJ_CELSIUS)
    return (
        PhysicalRule(
            "coarse_latp_denser_at_800_than_700",
            "LATP powder of 3.1 µm is denser after 800 than after 700 °C in air.",
            RAJ_2023,
            _DENSITY,
            higher(_DENSITY, _at(LATP_COARSE, 800), _at(LATP_COARSE, 700)),
            note="Measured: 94.8 against 76.7 %.",
        ),
        PhysicalRule(
            "coarse_latp_conducts_better_at_800_than_700",
            "LATP powder of 3.1 µm conducts better after 800 than after 700 °C in air.",
            RAJ_2023,
            _SIGMA,
            higher(_SIGMA, _at(LATP_COARSE, 800), _at(LATP_COARSE, 700)),
        ),
        PhysicalRule(
            "coarse_latp_density_has_an_optimum",
            "The density of LATP powder of 3.1 µm in air is highest at 800 °C and falls towards 1000 °C.",
            RAJ_2023,
            _DENSITY,
            along(_DENSITY, series, interior_maximum),
        ),
        PhysicalRule(
            "coarse_latp_conductivity_has_an_optimum",
            "The conductivity of LATP powder of 3.1 µm in air is highest at 800 °C and falls towards 1000 °C.",
            RAJ_2023,
            _SIGMA,
            along(_SIGMA, series, interior_maximum),
        ),
        PhysicalRule(
            "coarse_latp_stays_pure_in_air",
            "In air LATP of x = 0.4 is phase pure from 700 to 1000 °C: more likely pure than not at each.",
            RAJ_2023,
            _PURE,
            along(_PURE, fired_at((LATP_COMMERCIAL,), _RAJ_CELSIUS), lambda curve: float(curve.min() - 0.5)),
            note=f"Against it: AlPO4 above 900 °C, lithium loss above 950 °C in solid-state LATP ({DEWEES_2019}).",
        ),
    )


def _one_optimum() -> tuple[PhysicalRule, ...]:
    recipes = tuple(recipe for point in fired_at(LATP_COARSE, _RAJ_CELSIUS) for recipe in point)
    single = tuple(replace(LATP_COMMERCIAL, sintering_temperature_c=value) for value in _RAJ_CELSIUS)

    def curve(answers: Answers, name: TargetName) -> np.ndarray:
        return answers[name].reshape(len(_RAJ_CELSIUS), len(LATP_COARSE)).mean(axis=1)

    def apart(answers: Answers) -> float:
        best = [_RAJ_CELSIUS[int(np.argmax(curve(answers, name)))] for name in (_SIGMA, _DENSITY)]
        return -abs(best[0] - best[1])

    def follows(answers: Answers) -> float:
        sigma, density = curve(answers, _SIGMA), curve(answers, _DENSITY)
        return float(sigma[int(np.argmax(density))] - sigma[int(np.argmin(density))])

    def energy_gap(answers: Answers) -> float:
        energy, best = answers[TargetName.ACTIVATION_ENERGY], int(np.argmax(answers[_SIGMA]))
        return float(np.delete(energy, best).min() - energy[best])

    return (
        PhysicalRule(
            "density_and_conductivity_peak_together",
            "Once the highest density is reached, firing hotter costs both: density and conductivity peak at the "
            "same temperature.",
            RAJ_2023,
            _SIGMA,
            Check(recipes, apart),
            may_be_equal=True,
            unit=DEGREES,
            note="The effect is minus the distance of the two peaks, on the temperatures of the source.",
        ),
        PhysicalRule(
            "conductivity_follows_density_in_air",
            "For one powder and gas conductivity follows density: the densest conducts more than the most porous.",
            RAJ_2023,
            _SIGMA,
            Check(recipes, follows),
        ),
        PhysicalRule(
            "best_conductor_has_lowest_energy",
            "Within a series in air the highest conductivity goes with the lowest activation energy.",
            RAJ_2023,
            TargetName.ACTIVATION_ENERGY,
            Check(single, energy_gap),
            may_be_equal=True,
        ),
    )


def _ramp_and_route() -> tuple[PhysicalRule, ...]:
    sol_gel = (LATP_SOL_GEL, replace(LATP_SOL_GEL, particle_size_um=None))
    slow, fast = varied(sol_gel, heating_rate_c_min=1), varied(sol_gel, heating_rate_c_min=10)
    grid = (700, 750, 800, 850, 900, 950, 1000)
    liquid = tuple(replace(recipe, particle_size_um=None) for recipe in (LATP_SOL_GEL, LATP_COPRECIPITATED))
    mixed = tuple(replace(LATP_SOLID_STATE, formula=latp(x), particle_size_um=None) for x in (0.3, 0.4))
    return (
        PhysicalRule(
            "slow_heating_densifies_sol_gel_latp",
            "Slower heating helps sol-gel LATP of x = 0.3 to densify: denser at 1 than at 10 °C/min.",
            DEWEES_2019,
            _DENSITY,
            higher(_DENSITY, slow, fast),
        ),
        PhysicalRule(
            "slow_heating_helps_sol_gel_latp_conduct",
            "Slower heating helps the conductivity of sol-gel LATP of x = 0.3: higher at 1 than at 10 °C/min.",
            DEWEES_2019,
            _SIGMA,
            higher(_SIGMA, slow, fast),
        ),
        PhysicalRule(
            "liquid_routes_need_no_more_heat",
            "Liquid routes need less heat: sol-gel and coprecipitated LATP densify no hotter than solid-state.",
            DEWEES_2019,
            _DENSITY,
            no_hotter(_DENSITY, fired_at(liquid, grid), fired_at(mixed, grid), grid),
            may_be_equal=True,
            unit=DEGREES,
        ),
    )
