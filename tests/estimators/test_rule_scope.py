"""Rules of the literature are shown only for the recipes to which they apply."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.composition import occupancies
from nasicon_ml.estimators.rule_scope import RecipeFields, RuleScope, applicable_rules
from nasicon_ml.evaluation.plausibility import PhysicalRule, physical_rules
from nasicon_ml.recipe import Recipe, recipe_table

RULES: dict[str, PhysicalRule] = {rule.name: rule for rule in physical_rules()}
SCOPES = {name: rule.scope for name, rule in RULES.items()}


def matching_fields(rule: str, **recipe: object) -> int:
    table = recipe_table([Recipe(**recipe)])  # type: ignore[arg-type]
    return int(
        SCOPES[rule].matching_fields(RecipeFields.from_table(table, occupancies(table["formula"].to_list())))[0]
    )


OVERFIRED = "overfired_latp_conducts_less"  # from 950 to 1150 °C


@pytest.mark.parametrize(
    ("rule", "recipe", "applies"),
    [
        (OVERFIRED, {"formula": "LATP x=0.3", "sintering_temperature_c": 1100}, True),
        (OVERFIRED, {"formula": "LATP x=0.4", "sintering_temperature_c": 950, "atmosphere": "air"}, True),
        (OVERFIRED, {"formula": "LATP x=0.3", "sintering_temperature_c": 900}, False),  # outside the varied range
        (OVERFIRED, {"formula": "LATP x=0.3"}, False),  # does not state the varied field
        (OVERFIRED, {"formula": "LAGP x=0.3", "sintering_temperature_c": 1100}, False),
        (OVERFIRED, {"formula": "LATP x=0.9", "sintering_temperature_c": 1100}, False),
        (
            OVERFIRED,
            {"formula": "LATP x=0.3", "sintering_temperature_c": 1100, "densification": "spark_plasma"},
            False,
        ),
        (OVERFIRED, {"formula": "LATP x=0.3", "sintering_temperature_c": 1100, "sintering_time_h": 0.1}, False),
        # A recipe that states no route is not assumed to be coprecipitated, which is unusual.
        ("lagp_coprecipitated_impure_above_850", {"formula": "LAGP x=0.5", "sintering_temperature_c": 850}, False),
        (
            "lagp_coprecipitated_impure_above_850",
            {"formula": "LAGP x=0.5", "sintering_temperature_c": 850, "synthesis_route": "coprecipitation"},
            True,
        ),
        # A rule that compares films with pellets applies to films only.
        ("aerosol_lagp_conducts_less", {"formula": "LAGP x=0.5", "densification": "aerosol"}, True),
        ("aerosol_lagp_conducts_less", {"formula": "LAGP x=0.5", "densification": "conventional"}, False),
        ("aerosol_lagp_conducts_less", {"formula": "LAGP x=0.5", "densification": "tape_cast"}, False),
        # Spark plasma sintering is enough; its times and pressures need not be stated.
        ("sps_lagp_conducts_better", {"formula": "LAGP x=0.5", "densification": "spark_plasma"}, True),
        ("aluminium_is_the_best_dopant", {"formula": "Li1.3Sc0.3Ti1.7(PO4)3"}, True),
        # A rule that varies the composition applies only near the x of its recipes, here 0.3.
        ("aluminium_is_the_best_dopant", {"formula": "Li1.6Sc0.6Ti1.4(PO4)3"}, False),
        ("undoped_ltp_at_most_1_us_cm", {"formula": "LTP"}, True),
        ("lif_raises_lagp", {"formula": "LAGP x=0.5", "additive": "B2O3"}, False),
    ],
)
def test_rule_applies_to_recipes_similar_to_its_own(rule: str, recipe: dict[str, object], applies: bool) -> None:
    assert (matching_fields(rule, **recipe) >= 0) == applies


def test_varied_fields_are_derived_from_the_recipes() -> None:
    assert SCOPES[OVERFIRED].varied == ("sintering_temperature_c",)
    assert SCOPES[OVERFIRED].numbers["sintering_temperature_c"] == (950, 1150)
    assert SCOPES[OVERFIRED].systems == {"LATP": (0.3, 0.3)}
    assert SCOPES["aerosol_lagp_conducts_less"].varied == ("densification",)
    assert SCOPES["latp_rises_with_x_to_0_3"].varied == ("x",)


@pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))
def test_every_rule_applies_to_some_of_its_own_recipes(rule: PhysicalRule) -> None:
    """Not to those with the usual choice: a rule on argon does not apply to its own recipes in air."""
    table = recipe_table(rule.recipes)
    matching = SCOPES[rule.name].matching_fields(
        RecipeFields.from_table(table, occupancies(table["formula"].to_list()))
    )
    assert (matching >= 0).any()
    if not set(SCOPES[rule.name].choices) & set(SCOPES[rule.name].varied):
        stated = [all(cell is not None for cell in _varied_values(rule, recipe)) for recipe in rule.recipes]
        assert ((matching >= 0) == stated).all()


def _varied_values(rule: PhysicalRule, recipe: Recipe) -> list[object]:
    return [getattr(recipe, name) for name in SCOPES[rule.name].varied if name != "x"]


def test_applicable_rules_are_listed_per_recipe() -> None:
    table = recipe_table(
        [
            Recipe(formula="LATP x=0.4", sintering_temperature_c=800, atmosphere="Ar", particle_size_um=0.31),
            Recipe(formula="Na3Zr2Si2PO12"),
        ]
    )
    names = ("latp_and_lagp_lead_the_family", "slow_heating_in_argon_is_pure", "sps_lagp_is_denser")
    sites = occupancies(table["formula"].to_list())
    assert applicable_rules({name: SCOPES[name] for name in names}, table, sites) == [
        ("slow_heating_in_argon_is_pure",), (),
    ]  # fmt: skip
    assert applicable_rules({}, table, sites) == [(), ()]


def test_applicable_rules_that_match_most_fields_come_first() -> None:
    recipe = Recipe(formula="LATP x=0.4", sintering_temperature_c=900, sintering_time_h=6, atmosphere="air")
    table = recipe_table([recipe])
    (names,) = applicable_rules(SCOPES, table, occupancies(table["formula"].to_list()))
    counts = [matching_fields(name, **recipe.to_dict()) for name in names]
    assert counts == sorted(counts, reverse=True)
    assert len(set(counts)) > 1


@given(st.floats(20, 1700))
def test_rule_applies_only_within_its_varied_temperatures(celsius: float) -> None:
    matching = matching_fields(OVERFIRED, formula="LATP x=0.3", sintering_temperature_c=celsius)
    assert (matching >= 0) == (950 <= celsius <= 1150)


def test_round_trip_through_json() -> None:
    for scope in SCOPES.values():
        assert RuleScope.from_json(json.loads(json.dumps(asdict(scope)))) == scope
