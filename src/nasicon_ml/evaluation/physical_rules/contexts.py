"""Recipes that a chemist would call usual: rules are put to a model in several of them, and averaged.

A tree can be wrong at one split; a trend that fails on the average of usual recipes is a fault of the model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from nasicon_ml.recipe import Recipe


def latp(x: float) -> str:
    """Write the formula of Li(1+x)Al(x)Ti(2-x)(PO4)3."""
    return f"LATP x={x:g}"


def lagp(x: float) -> str:
    """Write the formula of Li(1+x)Al(x)Ge(2-x)(PO4)3."""
    return f"LAGP x={x:g}"


#: LATP from mixed powders, from two liquid routes, and as most works describe it: firing alone.
LATP_SOLID_STATE = Recipe(
    formula=latp(0.3),
    synthesis_route="solid_state",
    calcination_temperature_c=900,
    calcination_time_h=4,
    particle_size_um=1.0,
    sintering_temperature_c=950,
    sintering_time_h=6,
    heating_rate_c_min=5,
    atmosphere="air",
    densification="conventional",
)
LATP_SOL_GEL = replace(
    LATP_SOLID_STATE,
    synthesis_route="sol_gel",
    calcination_temperature_c=800,
    particle_size_um=0.2,
    sintering_temperature_c=900,
)
LATP_COPRECIPITATED = replace(LATP_SOL_GEL, synthesis_route="coprecipitation", particle_size_um=0.4)
LATP_FIRED = Recipe(
    formula=latp(0.3), sintering_temperature_c=900, sintering_time_h=6, densification="conventional"
)
LATP_USUAL = (LATP_SOLID_STATE, LATP_SOL_GEL, LATP_COPRECIPITATED, LATP_FIRED)

LAGP_SOLID_STATE = replace(
    LATP_SOLID_STATE,
    formula=lagp(0.5),
    calcination_temperature_c=700,
    calcination_time_h=5,
    sintering_temperature_c=800,
    sintering_time_h=8,
)
LAGP_SOL_GEL = replace(LAGP_SOLID_STATE, synthesis_route="sol_gel", particle_size_um=0.1)
LAGP_FIRED = Recipe(
    formula=lagp(0.5), sintering_temperature_c=800, sintering_time_h=8, densification="conventional"
)
LAGP_USUAL = (LAGP_SOLID_STATE, LAGP_SOL_GEL, LAGP_FIRED)

#: Glass-ceramic: melt, quench, crystallise the glass as one piece.
LAGP_GLASS_CERAMIC = Recipe(
    formula=lagp(0.5),
    synthesis_route="melt_quench",
    sintering_temperature_c=820,
    sintering_time_h=8,
    heating_rate_c_min=5,
    atmosphere="air",
    densification="glass_ceramic_crystallization",
)
LAGP_GLASS_CERAMIC_FIRED = Recipe(
    formula=lagp(0.5),
    synthesis_route="melt_quench",
    sintering_temperature_c=820,
    sintering_time_h=8,
    densification="glass_ceramic_crystallization",
)
LAGP_GLASS_CERAMICS = (LAGP_GLASS_CERAMIC, LAGP_GLASS_CERAMIC_FIRED)

#: Commercial LATP powder of x = 0.4 as in Raj 2023, and two neighbours that another laboratory would make.
COARSE_UM, FINE_UM = 3.1, 0.31
LATP_COMMERCIAL = Recipe(
    formula=latp(0.4),
    synthesis_route="commercial",
    particle_size_um=COARSE_UM,
    sintering_temperature_c=800,
    sintering_time_h=2,
    heating_rate_c_min=2.5,
    atmosphere="air",
    densification="conventional",
)
LATP_COARSE = (
    LATP_COMMERCIAL,
    replace(LATP_COMMERCIAL, formula=latp(0.3)),
    replace(LATP_COMMERCIAL, synthesis_route="solid_state", sintering_time_h=6),
)


def varied(recipes: Iterable[Recipe], **changes: Any) -> list[Recipe]:
    """Give the recipes with some fields changed."""
    return [replace(recipe, **changes) for recipe in recipes]


def fired_at(recipes: Sequence[Recipe], celsius: Iterable[float], **changes: Any) -> list[list[Recipe]]:
    """Give the recipes at each of some sintering temperatures, as `along` takes them."""
    return [varied(recipes, sintering_temperature_c=value, **changes) for value in celsius]


def composed(recipes: Sequence[Recipe], formulas: Iterable[str]) -> list[list[Recipe]]:
    """Give the recipes with each of some formulas, as `along` takes them."""
    return [varied(recipes, formula=formula) for formula in formulas]
