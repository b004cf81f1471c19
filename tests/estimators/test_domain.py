import numpy as np
import pytest

from nasicon_ml.composition import occupancies
from nasicon_ml.estimators.domain import Domain, fit_domain
from nasicon_ml.recipe import Recipe, recipe_table


def recipes(*entries):
    table = recipe_table([Recipe(**entry) for entry in entries])
    return table, occupancies(table["formula"].to_list())


@pytest.fixture(scope="module")
def domain():
    """Ten LATP pellets at 700 to 900 °C in air, two of LAGP at 750 °C in argon."""
    latp = [
        {"formula": f"LATP x={0.1 + 0.05 * n:.2f}", "sintering_temperature_c": 700 + 20 * n, "atmosphere": "air"}
        for n in range(11)
    ]
    lagp = [{"formula": "LAGP x=0.5", "sintering_temperature_c": 750, "atmosphere": "Ar"}] * 2
    table, sites = recipes(*latp, *lagp)
    table["measurement_temperature_c"] = np.linspace(20, 100, len(table))
    return fit_domain(table, sites, np.linspace(0, 1, len(table)))


def reasons(domain, distance=0.0, **recipe):
    table, sites = recipes(recipe)
    return domain.reasons(table, sites, np.array([distance]))[0]


def test_inside_is_silent(domain):
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
        # Two LAGP pellets are too few for a range of their own: all pellets' counts.
        (
            {"formula": "LAGP x=0.5", "sintering_temperature_c": 1100},
            "sintering temperature (°C) 1100 is above that of any pellet (900)",
        ),
        ({"formula": "LATP x=1.2"}, "substitution x 1.2 is above that of any LATP pellet (0.6)"),
        ({"formula": "LATP x=0.3", "atmosphere": "O2"}, "atmosphere 'O2' never seen"),
    ],
)
def test_each_reason_is_said(domain, recipe, reason):
    assert reasons(domain, **recipe) == reason


def test_distance_is_a_reason_and_reasons_add_up(domain):
    text = reasons(domain, distance=5.0, formula="Li1.3Sc0.3Ti1.7(PO4)3")
    assert text.startswith("Sc never seen on the M site; far from every measured pellet (distance 5.00")


def test_lagp_at_800_is_inside_where_latp_was_seen(domain):
    assert reasons(domain, formula="LAGP x=0.5", sintering_temperature_c=800) == ""


def test_measurement_beyond_all_data_is_a_reason(domain):
    table, sites = recipes({"formula": "LATP x=0.3"})
    zero = np.zeros(1)
    assert domain.reasons(table.assign(measurement_temperature_c=60.0), sites, zero)[0] == ""
    hot = domain.reasons(table.assign(measurement_temperature_c=600.0), sites, zero)[0]
    assert hot == "measurement temperature (°C) 600 is above that of any pellet (100)"


def test_fields_beyond_the_data_count_as_unknown(domain):
    table, sites = recipes(
        {"formula": "LATP x=0.3", "sintering_temperature_c": 1500, "atmosphere": "Ar/H2"},
        {"formula": "LATP x=0.3", "sintering_temperature_c": 800, "atmosphere": "air"},
    )
    known = domain.known_part(table, sites)
    assert known["sintering_temperature_c"].isna().tolist() == [True, False]
    assert known["atmosphere"].tolist() == [None, "air"]
    assert table["atmosphere"].tolist() == ["Ar/H2", "air"], "the recipe itself is not touched"


def test_round_trip_through_json(domain):
    assert Domain.from_json(domain.to_json()) == domain
