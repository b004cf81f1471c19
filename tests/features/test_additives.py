import numpy as np
import pytest

from nasicon_ml.composition import occupancies
from nasicon_ml.features.processing import additive_columns, host_mass_g_mol
from nasicon_ml.recipe import Recipe, recipe_table


def additive_features(**fields):
    table = recipe_table([Recipe(formula="LATP x=0.3", **fields)])
    sites = occupancies(table["formula"].to_list())
    features = additive_columns(table, lambda: sites.per_row(host_mass_g_mol(sites)))
    return {name: values[0] for name, values in features.items()}


def test_recipe_without_additive_has_zero_in_all_columns():
    assert set(additive_features().values()) == {0.0}


def test_amounts_in_different_units_are_converted_consistently():
    """LATP x = 0.3 weighs 383.4 g/mol, LiF 25.94 g/mol."""
    by_formula = additive_features(additive="LiF", additive_amount=0.1, additive_unit="formula_unit")
    by_mole = additive_features(additive="LiF", additive_amount=10, additive_unit="mol%")
    by_weight = additive_features(
        additive="LiF", additive_amount=by_formula["additive_wt_pct"], additive_unit="wt%"
    )
    assert by_formula["additive_wt_pct"] == pytest.approx(100 * 0.1 * 25.94 / 383.4, rel=1e-3)
    for features in (by_mole, by_weight):
        assert features["additive_moles_per_formula"] == pytest.approx(0.1)
        assert features["additive_wt_pct"] == pytest.approx(by_formula["additive_wt_pct"])


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
def test_additive_is_classified_as_flux_process_liquid_or_lithium(name, fluxing, liquid, lithium):
    features = additive_features(additive=name, additive_amount=1, additive_unit="wt%")
    kinds = [features[f"additive_{kind}"] for kind in ("fluxing", "process_liquid", "lithium")]
    assert kinds == [fluxing, liquid, lithium]
    assert features["additive_present"] == 1.0


def test_unknown_additive_amount_gives_nan():
    features = additive_features(additive="B2O3")
    assert np.isnan(features["additive_wt_pct"])
    assert np.isnan(features["additive_moles_per_formula"])
    glass = additive_features(additive="borosilicate_glass", additive_amount=2, additive_unit="mol%")
    assert np.isnan(glass["additive_wt_pct"])


@pytest.mark.parametrize("name", ["L2O", "Q", "a glass of our own", "Xx2O3"])
def test_additive_that_is_not_a_formula_has_unknown_molar_amount(name):
    features = additive_features(additive=name, additive_amount=2, additive_unit="wt%")
    assert np.isnan(features["additive_moles_per_formula"])
    assert features["additive_wt_pct"] == 2.0
