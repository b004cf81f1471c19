import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.composition import occupancies
from nasicon_ml.estimators.domain import Domain, fit_domain
from nasicon_ml.recipe import Recipe, recipe_table


def recipes(*entries):
    table = recipe_table([Recipe(**entry) for entry in entries])
    return table, occupancies(table["formula"].to_list())


def one_source_per_pellet(table):
    """Return a different source for each pellet."""
    return np.array([f"work {row}" for row in range(len(table))], dtype=object)


@pytest.fixture(scope="module")
def domain():
    """Eleven LATP pellets at 700 to 900 °C in air, three of LAGP at 750 °C in argon, all of different sources."""
    latp = [
        {"formula": f"LATP x={0.1 + 0.05 * n:.2f}", "sintering_temperature_c": 700 + 20 * n, "atmosphere": "air"}
        for n in range(11)
    ]
    lagp = [{"formula": "LAGP x=0.5", "sintering_temperature_c": 750, "atmosphere": "Ar"}] * 3
    table, sites = recipes(*latp, *lagp)
    table["measurement_temperature_c"] = np.linspace(20, 100, len(table))
    return fit_domain(table, sites, np.linspace(0, 1, len(table)), one_source_per_pellet(table))


def reasons(domain, distance=0.0, **recipe):
    comparison, distances = domain.compare(*recipes(recipe)), np.array([distance])
    result = comparison.reasons(distances)[0]
    assert (comparison.score(distances)[0] < 1) == (result == ())
    return "; ".join(result)


def score(domain, distance=0.0, **recipe):
    return domain.compare(*recipes(recipe)).score(np.array([distance]))[0]


def test_recipes_inside_the_domain_have_no_reasons(domain):
    assert reasons(domain, formula="LATP x=0.3", sintering_temperature_c=800, atmosphere="air") == ""
    assert reasons(domain, formula="LATP x=0.3") == ""


@pytest.mark.parametrize(
    ("recipe", "reason"),
    [
        ({"formula": "Li1.3Sc0.3Ti1.7(PO4)3"}, "Sc never seen on the M site"),
        ({"formula": "Na1.3Al0.3Ti1.7(PO4)3"}, "Na never seen on the A site"),
        ({"formula": "Li1.3Al0.3Ti1.7Si0.1P2.9O12"}, "Si never seen on the T site"),
        (
            {"formula": "LATP x=0.3", "sintering_temperature_c": 1100},
            "sintering temperature (°C) 1100 is above that of any LATP pellet (900)",
        ),
        (
            {"formula": "LATP x=0.3", "sintering_temperature_c": 500},
            "sintering temperature (°C) 500 is below that of any LATP pellet (700)",
        ),
        # Three LAGP pellets are too few for a range of LAGP, so that of all pellets is used.
        (
            {"formula": "LAGP x=0.5", "sintering_temperature_c": 1100},
            "sintering temperature (°C) 1100 is above that of any pellet (900)",
        ),
        ({"formula": "LATP x=1.2"}, "substitution x 1.2 is above that of any LATP pellet (0.6)"),
        ({"formula": "LATP x=0.3", "atmosphere": "O2"}, "atmosphere 'O2' never seen"),
    ],
)
def test_recipe_outside_the_domain_has_the_right_reason(domain, recipe, reason):
    assert reasons(domain, **recipe) == reason


def test_all_reasons_are_listed_including_the_distance(domain):
    text = reasons(domain, distance=5.0, formula="Li1.3Sc0.3Ti1.7(PO4)3")
    assert text.startswith(
        "Sc never seen on the M site; far from what was measured (mean distance to the nearest 8 sources 5.00"
    )


def test_system_with_few_pellets_has_the_range_of_all_systems(domain):
    assert reasons(domain, formula="LAGP x=0.5", sintering_temperature_c=800) == ""


def test_measurement_temperature_above_all_pellets_is_a_reason(domain):
    table, sites = recipes({"formula": "LATP x=0.3"})
    zero = np.zeros(1)
    assert domain.compare(table.assign(measurement_temperature_c=60.0), sites).reasons(zero) == [()]
    hot = domain.compare(table.assign(measurement_temperature_c=600.0), sites).reasons(zero)
    assert hot == [("measurement temperature (°C) 600 is above that of any pellet (100)",)]


def test_values_beyond_the_training_data_are_uncovered(domain):
    table, sites = recipes(
        {"formula": "LATP x=0.3", "sintering_temperature_c": 1500, "atmosphere": "Ar/H2"},
        {"formula": "LATP x=0.3", "sintering_temperature_c": 800, "atmosphere": "air"},
    )
    uncovered = domain.compare(table, sites).uncovered_fields
    assert uncovered["sintering_temperature_c"].tolist() == [True, False]
    assert uncovered["atmosphere"].tolist() == [True, False]


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ({"sintering_temperature_c": 900}, 0.0),
        ({"sintering_temperature_c": 905}, 0.0),  # within the tolerance for rounding
        ({"sintering_temperature_c": 930}, 0.4),  # 75 °C above the range is the limit
        ({"sintering_temperature_c": 975}, 1.0),
        ({"sintering_temperature_c": 625}, 1.0),
        ({"sintering_temperature_c": 1050}, 2.0),
        ({"formula": "LATP x=0.725"}, 0.5),  # 0.25 above x = 0.6 is the limit
        ({"atmosphere": "O2"}, 1.0),
        ({"formula": "Li1.3Sc0.3Ti1.7(PO4)3"}, 1.3),  # 1 plus the amount of Sc
        ({"distance": 0.45}, 0.5),  # 90 % of the pellets are nearer than 0.9
        ({"distance": 1.8, "sintering_temperature_c": 975}, 2.0),  # the larger of the two
    ],
)
def test_score_is_the_largest_deviation_relative_to_its_limit(domain, recipe, expected):
    assert score(domain, **{"formula": "LATP x=0.3"} | recipe) == pytest.approx(expected)


def test_limit_of_particle_size_is_wider_than_that_of_sintering_time():
    """Errors on unseen sources grow with the distance in fields of the firing, not in those of the powder."""
    table, sites = recipes(
        *[{"formula": "LATP x=0.3", "particle_size_um": size, "sintering_time_h": size} for size in range(1, 11)]
    )
    domain = fit_domain(table, sites, np.ones(len(table)), one_source_per_pellet(table))
    assert score(domain, formula="LATP x=0.3", sintering_time_h=100) == pytest.approx(2.0)
    assert score(domain, formula="LATP x=0.3", particle_size_um=100) == pytest.approx(1.0)


def test_compositions_without_a_pellet_do_not_widen_the_domain():
    table, sites = recipes({"formula": "LATP x=0.3"}, {"formula": "Li1.3Sc0.3Ti1.7(PO4)3"})
    fitted = fit_domain(
        table.head(1), replace(sites, index=sites.index[:1]), np.ones(1), one_source_per_pellet(table.head(1))
    )
    assert "Sc" not in fitted.elements["M"]


@given(st.floats(0, 5), st.floats(0, 5))
def test_score_never_decreases_with_distance(domain, first, second):
    nearer, farther = sorted((first, second))
    recipe = {"formula": "LATP x=0.3", "sintering_temperature_c": 930}
    assert score(domain, distance=nearer, **recipe) <= score(domain, distance=farther, **recipe)


def pellets_of_few_sources():
    """Pellets of which two sources used aerosol deposition, one SPS, two fluorine and three chlorine."""
    variants = [("conventional", "")] * 9 + [("aerosol", "F"), ("aerosol", ""), ("spark_plasma", "F")]
    variants += [("conventional", "Cl")] * 3 + [("spark_plasma", "")] * 2
    table, sites = recipes(
        *[
            {
                "formula": f"Li1.3Al0.3Ti1.7P3O{'11.8' + anion + '0.2' if anion else '12'}",
                "densification": densification,
            }
            for densification, anion in variants
        ]
    )
    sources = one_source_per_pellet(table)
    sources[-2:] = sources[-3]  # three pellets of one source
    sources[-3:] = sources[11]
    return table, sites, sources


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ({"densification": "conventional"}, ""),
        ({"densification": "aerosol"}, "densification 'aerosol' was measured in 2 works only"),
        ({"densification": "spark_plasma"}, "densification 'spark_plasma' was measured in 1 work only"),
        ({"densification": "hot_press"}, "densification 'hot_press' never seen"),
        ({"formula": "Li1.3Al0.3Ti1.7P3O11.5Br0.5"}, "Br on the anion site never measured"),
        ({"formula": "Li1.3Al0.3Ti1.7P3O11.8F0.2"}, "F on the anion site measured in 2 works only"),
    ],
)
def test_choices_and_anions_of_fewer_than_three_sources_are_outside(recipe, expected):
    table, sites, sources = pellets_of_few_sources()
    domain = fit_domain(table, sites, np.ones(len(table)), sources)
    recipe = {"formula": "LATP x=0.3"} | recipe
    assert reasons(domain, **recipe) == expected
    assert (score(domain, **recipe) >= 1) == bool(expected)


def test_choices_and_anions_of_three_sources_are_inside():
    table, sites, _ = pellets_of_few_sources()
    domain = fit_domain(table, sites, np.ones(len(table)), one_source_per_pellet(table))
    assert reasons(domain, formula="LATP x=0.3", densification="spark_plasma") == ""
    assert reasons(domain, formula="Li1.3Al0.3Ti1.7P3O11.8Cl0.2") == ""


def test_rare_choices_are_not_uncovered():
    """Only choices that never occurred count as unknown and widen the intervals."""
    table, sites, sources = pellets_of_few_sources()
    domain = fit_domain(table, sites, np.ones(len(table)), sources)
    queries = recipes({"formula": "LATP x=0.3", "densification": "aerosol"})
    assert not domain.compare(*queries).uncovered_fields["densification"].any()


def test_anion_counts_can_be_added_to_domains_of_older_bundles():
    table, sites, sources = pellets_of_few_sources()
    content = fit_domain(table, sites, np.ones(len(table)), sources).to_json()
    del content["sources"]
    older = Domain.from_json(content)
    assert reasons(older, formula="LATP x=0.3", densification="aerosol") == ""
    assert reasons(older, formula="Li1.3Al0.3Ti1.7P3O11.5Br0.5") == ""
    counted = older.with_anions(sites, sources)
    assert reasons(counted, formula="LATP x=0.3", densification="aerosol") == ""
    assert reasons(counted, formula="Li1.3Al0.3Ti1.7P3O11.5Br0.5") == "Br on the anion site never measured"
    assert reasons(counted, formula="Li1.3Al0.3Ti1.7P3O11.8F0.2") == "F on the anion site measured in 2 works only"


def test_round_trip_through_json(domain):
    assert Domain.from_json(json.loads(json.dumps(domain.to_json()))) == domain


def test_lithium_excess_and_green_pressure_beyond_all_pellets_are_reasons(domain):
    """Only where training pellets state them; domains of older bundles have no such ranges."""
    extreme = {"formula": "LATP x=0.3", "lithium_excess_pct": 60, "green_pressure_mpa": 4000}
    assert reasons(domain, **extreme) == ""
    table, sites = recipes(
        {"formula": "LATP x=0.3", "lithium_excess_pct": 0, "green_pressure_mpa": 100},
        {"formula": "LATP x=0.4", "lithium_excess_pct": 20},
    )
    fitted = fit_domain(table, sites, np.ones(len(table)), one_source_per_pellet(table))
    assert fitted.ranges[""]["lithium_excess_pct"] == (0.0, 20.0)
    assert fitted.ranges["LATP"] == {}
    assert reasons(fitted, **extreme) == (
        "lithium excess (%) 60 is above that of any pellet (20); "
        "green pressure (MPa) 4000 is above that of any pellet (100)"
    )
    assert reasons(fitted, formula="LATP x=0.3", lithium_excess_pct=22, green_pressure_mpa=150) == ""
    assert reasons(fitted, formula="LATP x=0.3") == ""
