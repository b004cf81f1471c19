"""Rules about what the electrolyte is made of."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np

from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.evaluation.physical_rules.contexts import (
    LAGP_GLASS_CERAMICS,
    LAGP_USUAL,
    LATP_USUAL,
    composed,
    lagp,
    latp,
    varied,
)
from nasicon_ml.evaluation.physical_rules.model import (
    DEWEES_2019,
    RAJ_2023,
    TOLGANBEK_2022,
    UNITS,
    ZHANG_2023,
    Answers,
    Check,
    PhysicalRule,
    along,
    best_within,
    higher,
    highest_below,
    least_rise,
    lowest_within,
)
from nasicon_ml.recipe import Recipe

_SIGMA, _PURE = TargetName.CONDUCTIVITY, TargetName.PHASE_PURITY
#: Trivalent cations that the reviews name beside aluminium, at x = 0.3 on titanium.
_DOPED = {cation: f"Li1.3{cation}0.3Ti1.7(PO4)3" for cation in ("Cr", "Ga", "Sc", "Y", "In", "La")}
#: Members of the family that should conduct less than LATP and LAGP at room temperature.
_REST_OF_FAMILY = (
    "LiTi2(PO4)3", "LiGe2(PO4)3", "LiZr2(PO4)3", "LiHf2(PO4)3", "LiSn2(PO4)3", "Li1.2Ca0.1Zr1.9(PO4)3",
    "Li1.15Y0.15Zr1.85(PO4)3", "Li1.3Fe0.3Ti1.7(PO4)3", "Li1.3Cr0.3Ti1.7(PO4)3", "Li1.3Ga0.3Ti1.7(PO4)3",
    "Li1.3In0.3Ti1.7(PO4)3", "Li1.3Y0.3Ti1.7(PO4)3",
)  # fmt: skip
_CEILING_S_CM = 1.5e-3


def composition_rules() -> tuple[PhysicalRule, ...]:
    """Give the rules about lithium content, dopants and hosts."""
    return (*_undoped(), *_optimum(), *_dopants(), *_family(), *_temperature_of_measurement())


def _undoped() -> tuple[PhysicalRule, ...]:
    return (
        PhysicalRule(
            "undoped_ltp_far_below_latp",
            "Undoped LiTi2(PO4)3 conducts 1.5 decades or more below LATP of x = 0.3 made in the same way.",
            f"{RAJ_2023}; {TOLGANBEK_2022}",
            _SIGMA,
            higher(_SIGMA, LATP_USUAL, varied(LATP_USUAL, formula=latp(0))),
            required=1.5,
            note="The first source gives 1e-8 to 1e-6 against 1e-4 to 1e-3 S/cm, which is 2 decades or more.",
        ),
        PhysicalRule(
            "undoped_ltp_at_most_1_us_cm",
            "The total conductivity of undoped LiTi2(PO4)3 at room temperature is 1e-6 S/cm at most.",
            RAJ_2023,
            _SIGMA,
            along(_SIGMA, [varied(LATP_USUAL, formula=latp(0))], highest_below(-6.0)),
            may_be_equal=True,
            note="Works that densified LiTi2(PO4)3 well report up to some 1e-6 S/cm.",
        ),
        PhysicalRule(
            "latp_at_least_100_us_cm",
            "The total conductivity of LATP of x = 0.3 and 0.4 at room temperature is 1e-4 S/cm or more.",
            RAJ_2023,
            _SIGMA,
            along(_SIGMA, composed(LATP_USUAL, (latp(0.3), latp(0.4))), lowest_within(-4.0)),
            may_be_equal=True,
        ),
        PhysicalRule(
            "undoped_lgp_far_below_lagp",
            "Undoped LiGe2(PO4)3 conducts insufficiently: a decade or more below LAGP of x = 0.5.",
            TOLGANBEK_2022,
            _SIGMA,
            higher(_SIGMA, LAGP_USUAL, varied(LAGP_USUAL, formula=lagp(0))),
            required=1.0,
            note="The source gives no number; a decade is what 'insufficient' is taken to mean.",
        ),
        PhysicalRule(
            "latp_rises_with_x_to_0_3",
            "More aluminium brings more lithium and a higher conductivity of LATP, from x = 0 to 0.3.",
            TOLGANBEK_2022,
            _SIGMA,
            along(_SIGMA, composed(LATP_USUAL, map(latp, (0, 0.1, 0.2, 0.3))), least_rise),
        ),
        PhysicalRule(
            "lagp_rises_with_x_to_0_4",
            "More aluminium brings more carriers and a higher conductivity of LAGP, from x = 0 to 0.4.",
            ZHANG_2023,
            _SIGMA,
            along(_SIGMA, composed(LAGP_USUAL, map(lagp, (0, 0.2, 0.4))), least_rise),
        ),
    )


def _optimum() -> tuple[PhysicalRule, ...]:
    grid = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
    return (
        PhysicalRule(
            "latp_best_x_0_3_to_0_5",
            "The conductivity of LATP is highest between x = 0.3 and 0.5.",
            DEWEES_2019,
            _SIGMA,
            along(_SIGMA, composed(LATP_USUAL, map(latp, grid)), best_within(2, 4)),
            note="The source says 0.4 to 0.5; most measured maxima lie at 0.3, and a second review stops at 0.3.",
        ),
        PhysicalRule(
            "lagp_best_x_0_3_to_0_5",
            "The conductivity of LAGP is highest between x = 0.3 and 0.5.",
            DEWEES_2019,
            _SIGMA,
            along(_SIGMA, composed(LAGP_USUAL, map(lagp, grid)), best_within(2, 4)),
        ),
        PhysicalRule(
            "lagp_glass_ceramic_best_x_0_5",
            "Of LAGP glass-ceramics, x = 0.5 conducts best, even where AlPO4 is present.",
            ZHANG_2023,
            _SIGMA,
            along(_SIGMA, composed(LAGP_GLASS_CERAMICS, map(lagp, (0.3, 0.4, 0.5, 0.6, 0.7))), best_within(2, 2)),
            may_be_equal=True,
        ),
        PhysicalRule(
            "latp_purity_falls_beyond_x_0_5",
            "Above x = 0.5 the secondary phases of LATP increase: x = 0.7 is less likely pure than 0.5.",
            DEWEES_2019,
            _PURE,
            higher(_PURE, varied(LATP_USUAL, formula=latp(0.5)), varied(LATP_USUAL, formula=latp(0.7))),
            note=f"Stricter: no more than 15 % of the site, x = 0.3 ({TOLGANBEK_2022}). The two reviews disagree.",
        ),
        PhysicalRule(
            "lagp_purity_falls_beyond_x_0_5",
            "Above x = 0.5 the secondary phases of LAGP increase: x = 0.7 is less likely pure than 0.5.",
            DEWEES_2019,
            _PURE,
            higher(_PURE, varied(LAGP_USUAL, formula=lagp(0.5)), varied(LAGP_USUAL, formula=lagp(0.7))),
        ),
        PhysicalRule(
            "dopant_above_15_pct_costs_purity",
            "More than 15 % of the M site brings secondary phases: LATP of x = 0.5 is less likely pure than 0.3.",
            TOLGANBEK_2022,
            _PURE,
            higher(_PURE, LATP_USUAL, varied(LATP_USUAL, formula=latp(0.5))),
            note=f"Another review puts the limit at x = 0.4 to 0.5 ({DEWEES_2019}). The two disagree.",
        ),
    )


def _dopants() -> tuple[PhysicalRule, ...]:
    undoped = varied(LATP_USUAL, formula=latp(0))
    rules = [
        PhysicalRule(
            f"{cation.lower()}_doping_raises_ltp",
            f"{cation}3+ on the titanium site raises the conductivity: x = 0.3 above x = 0.",
            TOLGANBEK_2022,
            _SIGMA,
            higher(_SIGMA, varied(LATP_USUAL, formula=formula), undoped),
        )
        for cation, formula in _DOPED.items()
    ]
    best_other = composed(LATP_USUAL, (latp(0.3), *_DOPED.values()))
    return (
        *rules,
        PhysicalRule(
            "aluminium_is_the_best_dopant",
            "Of the trivalent cations on titanium, aluminium raises the conductivity most.",
            TOLGANBEK_2022,
            _SIGMA,
            along(_SIGMA, best_other, best_within(0, 0)),
            may_be_equal=True,
            note="Single works report scandium as good as aluminium.",
        ),
    )


def _family() -> tuple[PhysicalRule, ...]:
    # Hosts differ in where they are fired: the recipe does not say, so that none is at a disadvantage.
    little_said = (Recipe(formula=latp(0.3)), Recipe(formula=latp(0.3), densification="conventional"))
    members = composed(little_said, (latp(0.3), lagp(0.5), *_REST_OF_FAMILY))
    return (
        PhysicalRule(
            "latp_and_lagp_lead_the_family",
            "LATP and LAGP have the highest conductivities of the family at room temperature.",
            TOLGANBEK_2022,
            _SIGMA,
            along(_SIGMA, members, lambda curve: float(curve[:2].min() - curve[2:].max())),
        ),
        PhysicalRule(
            "nothing_above_1_5_ms_cm",
            "About 1e-3 S/cm is the most at room temperature: predictions above 1.5e-3 S/cm are suspect.",
            TOLGANBEK_2022,
            _SIGMA,
            along(_SIGMA, [[recipe] for recipe in _broad_grid()], highest_below(np.log10(_CEILING_S_CM))),
            may_be_equal=True,
        ),
    )


def _broad_grid() -> list[Recipe]:
    """Usual recipes of many compositions at many temperatures, and some techniques."""
    formulas = (*map(latp, (0, 0.2, 0.3, 0.4, 0.5)), "LATGP x=0.5 Ge=0.5", "LiZr2(PO4)3", "Li1.3Sc0.3Ti1.7(PO4)3")
    grid = [
        replace(recipe, formula=formula, sintering_temperature_c=celsius)
        for recipe, formula, celsius in product(LATP_USUAL, formulas, (750, 850, 950, 1050))
    ]
    grid += [
        replace(recipe, formula=lagp(x), sintering_temperature_c=celsius)
        for recipe, x, celsius in product((*LAGP_USUAL, *LAGP_GLASS_CERAMICS), (0, 0.3, 0.5, 0.7), (700, 800, 900))
    ]
    grid += [
        replace(
            recipe, sintering_time_h=0.2, heating_rate_c_min=100, densification="spark_plasma", pressure_mpa=50
        )
        for recipe in (*LATP_USUAL, *LAGP_USUAL)
    ]
    return grid


def _temperature_of_measurement() -> tuple[PhysicalRule, ...]:
    grid, celsius = _broad_grid(), (-20.0, 0.0, 25.0, 60.0, 100.0, 200.0)

    def least_step(answers: Answers) -> float:
        return float(np.diff(answers[_SIGMA].reshape(len(grid), len(celsius)), axis=1).min())

    return (
        PhysicalRule(
            "conductivity_rises_with_temperature",
            "The total conductivity rises with the temperature of measurement, for every recipe.",
            f"Arrhenius behaviour of all works of the dataset; activation energies listed in {ZHANG_2023}",
            _SIGMA,
            Check(tuple(recipe for recipe in grid for _ in celsius), least_step, celsius * len(grid)),
            note=f"{len(grid)} recipes from -20 to 200 °C; the effect is the smallest step in {UNITS[_SIGMA]}.",
        ),
    )
