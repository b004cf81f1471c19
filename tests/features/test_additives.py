import numpy as np
import pytest

from nasicon_ml.composition import occupancies
from nasicon_ml.features.processing import additive_columns, host_mass_g_mol
from nasicon_ml.recipe import Recipe, recipe_table


def columns(**fields):
    table = recipe_table([Recipe(formula="LATP x=0.3", **fields)])
    sites = occupancies(table["formula"].to_list())
    found = additive_columns(table, lambda: sites.per_row(host_mass_g_mol(sites)))
    return {name: values[0] for name, values in found.items()}


def test_nothing_added_is_zero_everywhere():
    assert set(columns().values()) == {0.0}


def test_units_meet_on_one_basis():
    """LATP x = 0.3 weighs 383.4 g/mol, LiF 25.94 g/mol."""
    by_formula = columns(additive="LiF", additive_amount=0.1, additive_unit="formula_unit")
    by_mole = columns(additive="LiF", additive_amount=10, additive_unit="mol%")
    by_weight = columns(additive="LiF", additive_amount=by_formula["additive_wt_pct"], additive_unit="wt%")
    assert by_formula["additive_wt_pct"] == pytest.approx(100 * 0.1 * 25.94 / 383.4, rel=1e-3)
    for found in (by_mole, by_weight):
        assert found["additive_moles_per_formula"] == pytest.approx(0.1)
        assert found["additive_wt_pct"] == pytest.approx(by_formula["additive_wt_pct"])


@pytest.mark.parametrize(
    ("name", "fluxing", "liquid", "lithium"),
    [
        ("LiF", 1, 0, 1),
        ("B2O3", 1, 0, 0),
        ("Bi2O3", 1, 0, 0),
        ("LiNO3", 1, 0, 1),
        ("SnO-P2O5-MgO", 1, 0, 0),
        ("borosilicate_glass", 1, 0, 0),
        ("TiO2", 0, 0, 0),
        ("Li2O", 0, 0, 1),
        ("C3H7NO", 0, 1, 0),
        ("NaOH", 0, 1, 0),
        ("H2O", 0, 1, 0),
    ],
)
def test_kinds(name, fluxing, liquid, lithium):
    found = columns(additive=name, additive_amount=1, additive_unit="wt%")
    kinds = [found[f"additive_{kind}"] for kind in ("fluxing", "process_liquid", "lithium")]
    assert kinds == [fluxing, liquid, lithium]
    assert found["additive_present"] == 1.0


def test_unknown_amounts_stay_unknown():
    found = columns(additive="B2O3")
    assert np.isnan(found["additive_wt_pct"])
    assert np.isnan(found["additive_moles_per_formula"])
    assert np.isnan(
        columns(additive="borosilicate_glass", additive_amount=2, additive_unit="mol%")["additive_wt_pct"]
    )


@pytest.mark.parametrize("name", ["L2O", "Q", "a glass of our own", "Xx2O3"])
def test_a_name_that_is_no_formula_has_no_molar_mass(name):
    found = columns(additive=name, additive_amount=2, additive_unit="wt%")
    assert np.isnan(found["additive_moles_per_formula"])
    assert found["additive_wt_pct"] == 2.0
