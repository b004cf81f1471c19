"""Compositions of a space are those that their formulas are read as."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasicon_ml.composition import ELEMENTS, OccupancyTable, occupancies
from nasicon_ml.composition.oxidation import USUAL_STATES
from nasicon_ml.errors import SpaceError
from nasicon_ml.screening import Candidates, SearchSpace, compositions
from tests.screening.stated_spaces import families


def candidates(*stated: dict[str, Any]) -> Candidates:
    space = SearchSpace.from_dict({"compositions": list(stated), "charge_balance": "any"})
    return space.chunk(0, space.size)


def formulas(*stated: dict[str, Any]) -> list[str]:
    found = candidates(*stated)
    return found.formulas(range(len(found)))


def assert_same(ours: OccupancyTable, read: OccupancyTable) -> None:
    for name in ("a", "m", "t", "valence", "oxygen", "other_anions"):
        mine, theirs = getattr(ours, name)[ours.index], getattr(read, name)[read.index]
        assert np.array_equal(mine, theirs, equal_nan=True), name
    assert (ours.systems[ours.index] == read.systems[read.index]).all()


@given(st.lists(families(), min_size=1, max_size=4))
@settings(max_examples=150)
def test_formulas_are_read_as_what_the_arrays_hold(stated: list[dict[str, Any]]) -> None:
    found = candidates(*stated)
    assert_same(found.sites, occupancies(found.formulas(range(len(found)))))


@given(families())
@settings(max_examples=100)
def test_charges_balance_but_for_the_stated_excess(family: dict[str, Any]) -> None:
    excess = family.get("excess", [0.0])[0]
    left = abs(candidates(family).sites.charge_imbalance[0])
    several = [el for el, states in USUAL_STATES.items() if len(states) > 1 and el in str(family)]
    # A reader of the formula takes other states only where these are nearer to neutrality, or as near.
    assert left <= max(abs(excess), 0.05) + 0.003 if several else left == pytest.approx(abs(excess), abs=1.1e-6)


def test_the_known_families_come_out_as_they_are_written() -> None:
    assert formulas({"system": "LATP", "x": [0.3]}) == ["Li1.3Al0.3Ti1.7(PO4)3"]
    assert formulas({"system": "NZSP", "silicon": 2}) == ["Na3Zr2Si2PO12"]
    assert formulas({"system": "LATGP", "hosts": {"Ti": 0.75, "Ge": 0.25}, "x": 0.4}) == [
        "Li1.4Al0.4Ti1.2Ge0.4(PO4)3"
    ]
    assert formulas({"hosts": "Ti", "dopants": {"Al": 0.75, "Y": 0.25}, "x": 0.4}) == ["Li1.4Al0.3Y0.1Ti1.6(PO4)3"]


def test_x_is_the_charge_that_dopants_bring_and_amount_the_cations() -> None:
    assert formulas({"hosts": "Zr", "dopants": "Ca", "x": 0.2}) == ["Li1.2Ca0.1Zr1.9(PO4)3"]
    assert formulas({"hosts": "Zr", "dopants": "Ca", "amount": 0.2}) == ["Li1.4Ca0.2Zr1.8(PO4)3"]
    assert formulas({"hosts": "Ti", "dopants": "Nb", "amount": 0.2}) == ["Li0.8Nb0.2Ti1.8(PO4)3"]
    assert formulas({"hosts": "Ti", "dopants": "Fe2+", "amount": 0.2}) == ["Li1.4Fe0.2Ti1.8(PO4)3"]


def test_m_is_full_whatever_is_rounded() -> None:
    thirds = {"hosts": {"mix": ["Ti", "Ge", "Zr"], "step": 0.3333333}, "dopants": "Al", "x": [0, 0.1, 0.2]}
    assert set(candidates(thirds).sites.m_total.tolist()) == {2.0}


def test_excess_is_lithium_beyond_the_balance() -> None:
    assert formulas({"system": "LAGP", "x": 0.5, "excess": 0.1}) == ["Li1.6Al0.5Ge1.5(PO4)3"]


def test_a_composition_stands_once_whatever_it_is_called() -> None:
    undoped = {"hosts": "Ti", "dopants": ["Al", "Sc"], "x": [0, 0.2]}
    assert formulas(undoped, {"system": "LATP", "x": [0.2, 0.4]}) == [
        "LiTi2(PO4)3",
        "Li1.2Al0.2Ti1.8(PO4)3",
        "Li1.2Sc0.2Ti1.8(PO4)3",
        "Li1.4Al0.4Ti1.6(PO4)3",
    ]


def test_too_many_compositions_are_refused_before_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compositions, "MOST_COMPOSITIONS", 10)
    with pytest.raises(SpaceError, match=r"compositions: 11 is not accepted; allowed: at most 10"):
        candidates({"system": "LATP", "x": {"from": 0, "to": 1, "step": 0.1}})


@pytest.mark.parametrize("share", [0.0999, 0.1, 0.1001, 0.11])
@pytest.mark.parametrize("amount", [0, 0.004, 0.005, 0.006, 0.3])
def test_systems_are_named_at_their_thresholds(share: float, amount: float) -> None:
    found = candidates({"hosts": {"Ti": 1 - share, "Ge": share}, "dopants": ["Al", "Sc"], "amount": amount})
    assert_same(found.sites, occupancies(found.formulas(range(len(found)))))


def test_states_of_several_come_from_the_formula() -> None:
    """A little Fe2+ could as well be Fe3+ within the tolerance: a reader then takes that, and so do we."""
    sites = candidates({"hosts": "Ti", "dopants": "Fe2+", "amount": [0.02, 0.2]}).sites
    assert sites.valence[:, ELEMENTS.index("Fe")].tolist() == [3.0, 2.0]
