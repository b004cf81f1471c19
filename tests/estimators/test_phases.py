import pandas as pd

from nasicon_ml.composition import occupancies
from nasicon_ml.estimators.phases import PHASE_NEIGHBOURS, SecondaryPhases
from nasicon_ml.features.distances import nearest_neighbours, recipe_space
from nasicon_ml.recipe import Recipe, recipe_table


def likely_phases(phases, queries, known):
    neighbours = nearest_neighbours(
        recipe_space(queries), recipe_space(known).take(phases.pellets), PHASE_NEIGHBOURS
    )
    return phases.likely_phases(neighbours, occupancies(queries["formula"].to_list()), queries["additive"])


def test_likely_phases_are_those_of_neighbours_with_available_elements():
    known = recipe_table([Recipe(formula="LATP x=0.3"), Recipe(formula="LAGP x=0.5"), Recipe(formula="LTP")])
    pellets = known.assign(secondary_phases=["AlPO4;TiO2", "GeO2;AlPO4", None])
    phases = SecondaryPhases.from_pellets(pellets)
    assert phases.pellets.tolist() == [0, 1]
    assert phases.names == ("AlPO4", "GeO2", "TiO2")
    queries = recipe_table([Recipe(formula="LATP x=0.3"), Recipe(formula="LAGP x=0.5"), Recipe(formula="LTP")])
    result = likely_phases(phases, queries, known)
    assert result == [("AlPO4", "TiO2"), ("AlPO4", "GeO2"), ("TiO2",)], "LTP has no aluminium for AlPO4"


def test_elements_of_additives_allow_secondary_phases():
    known = recipe_table([Recipe(formula="LATP x=0.3")])
    phases = SecondaryPhases.from_pellets(known.assign(secondary_phases=["BPO4"]))
    plain = recipe_table([Recipe(formula="LATP x=0.3")])
    borated = recipe_table(
        [Recipe(formula="LATP x=0.3", additive="Li3BO3", additive_amount=2, additive_unit="wt%")]
    )
    for table, expected in ((plain, ()), (borated, ("BPO4",))):
        result = likely_phases(phases, table, known)
        assert result[0] == expected
        assert likely_phases(phases, table.astype({"additive": "category"}), known) == result


def test_no_phase_is_likely_if_none_was_reported():
    known = recipe_table([Recipe(formula="LATP x=0.3")])
    phases = SecondaryPhases.from_pellets(known.assign(secondary_phases=pd.Series([None], dtype=object)))
    assert likely_phases(phases, known, known) == [()]
