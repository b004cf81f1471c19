import pandas as pd

from nasicon_ml.composition import occupancies
from nasicon_ml.estimators.phases import PHASE_NEIGHBOURS, SecondaryPhases
from nasicon_ml.features.distances import nearest_neighbours, recipe_space
from nasicon_ml.recipe import Recipe, recipe_table


def likely(phases, asked, known):
    neighbours = nearest_neighbours(
        recipe_space(asked), recipe_space(known).take(phases.pellets), PHASE_NEIGHBOURS
    )
    return phases.likely_phases(neighbours, occupancies(asked["formula"].to_list()), asked["additive"])


def test_likely_phases_are_those_of_neighbours_with_available_elements():
    known = recipe_table([Recipe(formula="LATP x=0.3"), Recipe(formula="LAGP x=0.5"), Recipe(formula="LTP")])
    pellets = known.assign(secondary_phases=["AlPO4;TiO2", "GeO2;AlPO4", None])
    phases = SecondaryPhases.from_pellets(pellets)
    assert phases.pellets.tolist() == [0, 1]
    assert phases.names == ("AlPO4", "GeO2", "TiO2")
    asked = recipe_table([Recipe(formula="LATP x=0.3"), Recipe(formula="LAGP x=0.5"), Recipe(formula="LTP")])
    named = likely(phases, asked, known)
    assert named == [("AlPO4", "TiO2"), ("AlPO4", "GeO2"), ("TiO2",)], "no aluminium, no AlPO4"


def test_elements_of_additives_are_available():
    known = recipe_table([Recipe(formula="LATP x=0.3")])
    phases = SecondaryPhases.from_pellets(known.assign(secondary_phases=["BPO4"]))
    plain = recipe_table([Recipe(formula="LATP x=0.3")])
    borated = recipe_table(
        [Recipe(formula="LATP x=0.3", additive="Li3BO3", additive_amount=2, additive_unit="wt%")]
    )
    for table, expected in ((plain, ()), (borated, ("BPO4",))):
        named = likely(phases, table, known)
        assert named[0] == expected
        assert likely(phases, table.astype({"additive": "category"}), known) == named


def test_without_reported_phases_none_is_likely():
    known = recipe_table([Recipe(formula="LATP x=0.3")])
    phases = SecondaryPhases.from_pellets(known.assign(secondary_phases=pd.Series([None], dtype=object)))
    assert likely(phases, known, known) == [()]
