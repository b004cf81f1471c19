"""Rules about the powder, the gas around it, and the rate at which it is heated in that gas."""

from __future__ import annotations

from dataclasses import replace

from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.evaluation.physical_rules.contexts import (
    COARSE_UM,
    FINE_UM,
    LATP_COARSE,
    LATP_COMMERCIAL,
    fired_at,
    varied,
)
from nasicon_ml.evaluation.physical_rules.model import (
    DEGREES,
    RAJ_2023,
    PhysicalRule,
    along,
    best_within,
    higher,
    no_hotter,
)
from nasicon_ml.recipe import Recipe

_SIGMA, _DENSITY, _PURE = TargetName.CONDUCTIVITY, TargetName.RELATIVE_DENSITY, TargetName.PHASE_PURITY
_FINE = tuple(varied(LATP_COARSE, particle_size_um=FINE_UM))
_GAS = "Ar"


def powder_rules() -> tuple[PhysicalRule, ...]:
    """Give the rules about particle size, atmosphere and heating rate."""
    return (*_particle_size(), *_argon_purity(), *_argon_against_air(), *_best_of_the_series())


def _in_argon(recipes: tuple[Recipe, ...], rate: float, *celsius: float) -> list[Recipe]:
    """Give the recipes in argon at a heating rate, at each of some temperatures."""
    points = fired_at(recipes, celsius, atmosphere=_GAS, heating_rate_c_min=rate)
    return [recipe for point in points for recipe in point]


def _in_air(recipes: tuple[Recipe, ...], *celsius: float) -> list[Recipe]:
    return [recipe for point in fired_at(recipes, celsius) for recipe in point]


def _particle_size() -> tuple[PhysicalRule, ...]:
    grid = (700, 750, 800, 850, 900, 950, 1000)
    return (
        PhysicalRule(
            "finer_latp_is_denser",
            "At 800 °C in air a finer LATP powder gives a denser pellet: 0.31 above 3.1 µm.",
            RAJ_2023,
            _DENSITY,
            higher(_DENSITY, _FINE, LATP_COARSE),
            note="Measured: 97.8 against 94.8 %.",
        ),
        PhysicalRule(
            "finer_latp_conducts_better",
            "At 800 °C in air a finer LATP powder gives a better conductor: 0.31 above 3.1 µm.",
            RAJ_2023,
            _SIGMA,
            higher(_SIGMA, _FINE, LATP_COARSE),
            note="Measured: 3 to 4 times, half a decade.",
        ),
        PhysicalRule(
            "finer_latp_needs_no_more_heat",
            "A finer powder densifies at a lower temperature: 0.31 µm needs no more than 3.1 µm.",
            RAJ_2023,
            _DENSITY,
            no_hotter(_DENSITY, fired_at(_FINE, grid), fired_at(LATP_COARSE, grid), grid),
            may_be_equal=True,
            unit=DEGREES,
            note="Measured by dilatometry: the end of densification falls from 940 to 850 °C.",
        ),
        PhysicalRule(
            "coarse_latp_cracks_in_argon",
            "Grains above 2 µm crack in argon: at 800 and 900 °C a powder of 0.31 µm is denser there than 3.1 µm.",
            RAJ_2023,
            _DENSITY,
            higher(_DENSITY, _in_argon(_FINE, 2.5, 800, 900), _in_argon(LATP_COARSE, 2.5, 800, 900)),
        ),
    )


def _argon_purity() -> tuple[PhysicalRule, ...]:
    return (
        PhysicalRule(
            "slow_heating_in_argon_no_less_pure",
            "In argon a ramp must not exceed 1.5 °C/min: LATP at 1.0 is as likely pure as at 2.5.",
            RAJ_2023,
            _PURE,
            higher(_PURE, _in_argon(_FINE, 1.0, 800, 850, 900), _in_argon(_FINE, 2.5, 800, 850, 900)),
            may_be_equal=True,
        ),
        PhysicalRule(
            "slow_heating_in_argon_is_pure",
            "In argon at 1.0 °C/min LATP of 0.31 µm is pure at 800 °C: more likely pure than not.",
            RAJ_2023,
            _PURE,
            along(_PURE, [_in_argon(_FINE[:1], 1.0, 800)], lambda curve: float(curve.min() - 0.5)),
        ),
        PhysicalRule(
            "fast_heating_in_argon_is_less_pure_than_air",
            "At 2.5 °C/min argon brings AlPO4, TiO2 and Ti2O3, air does not: LATP is less likely pure in argon.",
            RAJ_2023,
            _PURE,
            higher(_PURE, _in_air(LATP_COARSE, 800, 900, 1000), _in_argon(LATP_COARSE, 2.5, 800, 900, 1000)),
        ),
        PhysicalRule(
            "reducing_gas_is_no_purer_than_air",
            "Ti4+ is reduced in inert and reducing gas only: in Ar/H2 LATP is no more likely pure than in air.",
            RAJ_2023,
            _PURE,
            higher(
                _PURE,
                _in_air(LATP_COARSE, 800, 900),
                varied(_in_air(LATP_COARSE, 800, 900), atmosphere="Ar/H2"),
            ),
            may_be_equal=True,
            note="No measured pellet of LATP was fired in Ar/H2: the rule tests what lies beyond the data.",
        ),
    )


def _argon_against_air() -> tuple[PhysicalRule, ...]:
    coarse = (LATP_COMMERCIAL, *LATP_COARSE[1:])
    return (
        PhysicalRule(
            "coarse_latp_denser_in_air_than_argon",
            "Unmilled LATP (3.1 µm) fired in argon at 2.5 °C/min is less dense than in air, at 800 and 900 °C.",
            RAJ_2023,
            _DENSITY,
            higher(_DENSITY, _in_air(coarse, 800, 900), _in_argon(coarse, 2.5, 800, 900)),
        ),
        PhysicalRule(
            "coarse_latp_conducts_better_in_air_than_argon",
            "Unmilled LATP (3.1 µm) fired in argon at 2.5 °C/min conducts less than in air, at 800 and 900 °C.",
            RAJ_2023,
            _SIGMA,
            higher(_SIGMA, _in_air(coarse, 800, 900), _in_argon(coarse, 2.5, 800, 900)),
            note="At 700 and 1000 °C the source found the opposite, at 1000 °C because of platinum in the pores.",
        ),
        PhysicalRule(
            "coarse_latp_swells_in_argon",
            "Coarse LATP swells and cracks in argon at 2.5 °C/min: less dense after 1000 than after 800 °C.",
            RAJ_2023,
            _DENSITY,
            higher(_DENSITY, _in_argon(coarse, 2.5, 800), _in_argon(coarse, 2.5, 1000)),
            note="Measured: down to 65.8 % at 1000 °C.",
        ),
        PhysicalRule(
            "milled_latp_in_slow_argon_no_worse_than_air",
            "Milled LATP conducts as well or better from argon at 1 °C/min than from air at 2.5, 800 to 900 °C.",
            RAJ_2023,
            _SIGMA,
            higher(_SIGMA, _in_argon(_FINE, 1.0, 800, 850, 900), _in_air(_FINE, 800, 850, 900)),
            may_be_equal=True,
        ),
    )


def _best_of_the_series() -> tuple[PhysicalRule, ...]:
    best = replace(
        LATP_COMMERCIAL, particle_size_um=FINE_UM, atmosphere=_GAS, heating_rate_c_min=1.0,
        sintering_temperature_c=800,
    )  # fmt: skip
    others = [
        replace(LATP_COMMERCIAL, particle_size_um=size, atmosphere=gas, sintering_temperature_c=celsius)
        for size, gas, celsius in (
            *((COARSE_UM, gas, celsius) for gas in ("air", _GAS) for celsius in (700, 800, 900, 1000)),
            *((FINE_UM, gas, celsius) for gas in ("air", _GAS) for celsius in (800, 850, 900)),
        )
    ]
    best_fine = varied((replace(LATP_COMMERCIAL, particle_size_um=FINE_UM), best), sintering_temperature_c=800)
    words = "Of the series the pellet of milled powder in argon at 1 °C/min, 800 °C and 2 h is"
    hotter = PhysicalRule(
        "milled_latp_conducts_best_at_800",
        "Pellets of milled LATP fired at 800 °C conduct 4 to 5 times better than those fired at 850 °C.",
        RAJ_2023,
        _SIGMA,
        higher(_SIGMA, best_fine, varied(best_fine, sintering_temperature_c=850)),
    )
    ranked = tuple(
        PhysicalRule(
            name,
            f"{words} {what}.",
            RAJ_2023,
            target,
            along(target, [[recipe] for recipe in (best, *others)], best_within(0, 0)),
            may_be_equal=True,
        )
        for name, what, target in (
            ("milled_slow_argon_conducts_best", "the best conductor", _SIGMA),
            ("milled_slow_argon_is_densest", "the densest", _DENSITY),
        )
    )
    return (*ranked, hotter)
