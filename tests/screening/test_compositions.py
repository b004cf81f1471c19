"""Compositions of families: mixtures on the M site, formulas, charges and systems."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nasicon_ml.composition import ELEMENTS, OccupancyTable, occupancies
from nasicon_ml.composition.sites import USUAL_STATES
from nasicon_ml.errors import SpaceError
from nasicon_ml.screening import Candidates, SearchSpace, compositions
from nasicon_ml.screening.compositions import Ion, read_dopant, read_host, read_mixtures
from nasicon_ml.screening.specification import SpecNode
from tests.screening.stated_spaces import families


def candidates(*spec: dict[str, Any]) -> Candidates:
    space = SearchSpace.from_dict({"compositions": list(spec), "charge_balance": "any"})
    return space.chunk(0, space.size)


def formulas(*spec: dict[str, Any]) -> list[str]:
    result = candidates(*spec)
    return result.formulas(range(len(result)))


def assert_same_occupancies(actual: OccupancyTable, expected: OccupancyTable) -> None:
    for name in ("a", "m", "t", "valence", "oxygen", "other_anions"):
        actual_values = getattr(actual, name)[actual.index]
        expected_values = getattr(expected, name)[expected.index]
        assert np.array_equal(actual_values, expected_values, equal_nan=True), name
    assert (actual.systems[actual.index] == expected.systems[expected.index]).all()


@given(st.lists(families(), min_size=1, max_size=4))
@settings(max_examples=150)
def test_formulas_are_parsed_to_same_occupancies(spec: list[dict[str, Any]]) -> None:
    result = candidates(*spec)
    assert_same_occupancies(result.sites, occupancies(result.formulas(range(len(result)))))


@given(families())
@example({"hosts": "Ti", "dopants": "V5+", "amount": [0.129066], "excess": [0.0629]})  # V4+ balances equally well
@settings(max_examples=100)
def test_charge_imbalance_equals_lithium_excess(family: dict[str, Any]) -> None:
    excess = family.get("excess", [0.0])[0]
    imbalance = abs(candidates(family).sites.charge_imbalance[0])
    if any(len(states) > 1 and element in str(family) for element, states in USUAL_STATES.items()):
        # `parse` takes other oxidation states only if the charge is then nearer to 0, or as near (within 0.005).
        assert imbalance <= max(abs(excess), 0.05) + 0.00501
    else:
        assert imbalance == pytest.approx(abs(excess), abs=1.1e-6)


def test_formulas_of_known_families() -> None:
    assert formulas({"system": "LATP", "x": [0.3]}) == ["Li1.3Al0.3Ti1.7(PO4)3"]
    assert formulas({"system": "NZSP", "silicon": 2}) == ["Na3Zr2Si2PO12"]
    assert formulas({"system": "LATGP", "hosts": {"Ti": 0.75, "Ge": 0.25}, "x": 0.4}) == [
        "Li1.4Al0.4Ti1.2Ge0.4(PO4)3"
    ]
    assert formulas({"hosts": "Ti", "dopants": {"Al": 0.75, "Y": 0.25}, "x": 0.4}) == ["Li1.4Al0.3Y0.1Ti1.6(PO4)3"]


def test_x_counts_charge_of_dopants_and_amount_counts_cations() -> None:
    assert formulas({"hosts": "Zr", "dopants": "Ca", "x": 0.2}) == ["Li1.2Ca0.1Zr1.9(PO4)3"]
    assert formulas({"hosts": "Zr", "dopants": "Ca", "amount": 0.2}) == ["Li1.4Ca0.2Zr1.8(PO4)3"]
    assert formulas({"hosts": "Ti", "dopants": "Nb", "amount": 0.2}) == ["Li0.8Nb0.2Ti1.8(PO4)3"]
    assert formulas({"hosts": "Ti", "dopants": "Fe2+", "amount": 0.2}) == ["Li1.4Fe0.2Ti1.8(PO4)3"]


def test_m_site_is_full_with_rounded_shares() -> None:
    thirds = {"hosts": {"mix": ["Ti", "Ge", "Zr"], "step": 0.3333333}, "dopants": "Al", "x": [0, 0.1, 0.2]}
    assert set(candidates(thirds).sites.m_total.tolist()) == {2.0}


def test_excess_adds_lithium_beyond_charge_balance() -> None:
    assert formulas({"system": "LAGP", "x": 0.5, "excess": 0.1}) == ["Li1.6Al0.5Ge1.5(PO4)3"]


def test_equal_compositions_of_several_families_occur_once() -> None:
    undoped = {"hosts": "Ti", "dopants": ["Al", "Sc"], "x": [0, 0.2]}
    assert formulas(undoped, {"system": "LATP", "x": [0.2, 0.4]}) == [
        "LiTi2(PO4)3",
        "Li1.2Al0.2Ti1.8(PO4)3",
        "Li1.2Sc0.2Ti1.8(PO4)3",
        "Li1.4Al0.4Ti1.6(PO4)3",
    ]


def test_too_many_compositions_raise_space_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compositions, "MAX_COMPOSITIONS", 10)
    with pytest.raises(SpaceError, match=r"compositions: 11 is not accepted; allowed: at most 10"):
        candidates({"system": "LATP", "x": {"from": 0, "to": 1, "step": 0.1}})


@pytest.mark.parametrize("share", [0.0999, 0.1, 0.1001, 0.11])
@pytest.mark.parametrize("amount", [0, 0.004, 0.005, 0.006, 0.3])
def test_systems_at_thresholds_agree_with_parsed_formulas(share: float, amount: float) -> None:
    result = candidates({"hosts": {"Ti": 1 - share, "Ge": share}, "dopants": ["Al", "Sc"], "amount": amount})
    assert_same_occupancies(result.sites, occupancies(result.formulas(range(len(result)))))


def test_oxidation_states_agree_with_reading_of_formula() -> None:
    """A little Fe2+ could also be Fe3+ within the tolerance: `parse` takes Fe3+, and so does the search space."""
    sites = candidates({"hosts": "Ti", "dopants": "Fe2+", "amount": [0.02, 0.2]}).sites
    assert sites.valence[:, ELEMENTS.index("Fe")].tolist() == [3.0, 2.0]


def read_space(family: Any, **more: Any) -> SearchSpace:
    return SearchSpace.from_dict({"compositions": [family], **more})


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ({"system": "LATB", "x": 0.1}, "system: 'LATB' .*the name of a system: .*Did you mean 'LATP'"),
        ({"system": 3}, "the name of a system"),
        ({"system": "LATP"}, "with x .* or with amount"),
        ({"system": "LATP", "x": 0.1, "amount": 0.1}, "Give one of them"),
        ({"system": "LATP", "x": 2.5}, r"x: 2.5 is not accepted; allowed: at most two cations on M"),
        ({"system": "LATP", "x": 0.1, "dopants": "Sc"}, "a LATP without dopants"),
        ({"system": "LATP", "x": 0.1, "hosts": "Ge"}, "mixtures of the hosts of LATP: Ti"),
        ({"system": "LATP", "x": 0.1, "ion": "Na"}, "ion: 'Na' is not accepted; allowed: Li"),
        ({"system": "LATP", "x": 0.1, "silicon": 0.1}, "silicon where the system has an S"),
        ({"system": "NZSP"}, "silicon where the system has an S"),
        ({"system": "LATGP", "x": 0.1}, r"As in hosts: \{Ti: 0.75, Ge: 0.25\}"),
        ({"system": "LTP", "x": 0.1}, "no x where there is no dopant"),
        ({"system": "LMTP", "x": 0.1}, "no x where there is no dopant"),
        ({"x": 0.1}, "a family with its hosts"),
        ({"hosts": "Ti", "host": "Ge"}, r"host: 'Ge' is not accepted; .*Did you mean 'hosts'\?"),
        ({"hosts": "Ti", "ion": "Mg"}, "ion: 'Mg' is not accepted; allowed: Li, Na"),
        ({"hosts": "Ti", "silicon": 3.5}, "silicon: 3.5 is not accepted; allowed: a number from 0 to 3"),
        ({"hosts": "Ti", "silicon": True}, "silicon: True is not accepted"),
        ({"hosts": "Ti", "silicon": [0.1, 0.1]}, "every value once"),
        ({"hosts": "Ti", "dopants": "Nb", "x": 0.1}, "For 1 Nb give amount in place of x"),
        ({"hosts": "Ti", "dopants": {"Al": 0.5, "Nb": 0.5}, "x": 0.1}, "give amount in place of x"),
        ({"hosts": "Ti", "dopants": "Nb", "amount": 1.0}, "some Li left on A"),
        ({"hosts": "Ti", "dopants": "Mg", "amount": 1.5, "silicon": 3}, "at most 5 Li"),
        ({"hosts": ["Ti", "Sn"], "dopants": "Sn2+", "amount": 0.1}, r"dopants: 'Sn2\+' .*Sn4\+"),
        ({"hosts": "Ti", "excess": 0.1}, "excess: 0.1 is not accepted; allowed: a number from -0.05 to 0.05"),
        ("LATP", "compositions: 'LATP' is not accepted; allowed: a mapping with system"),
        ([], "compositions: "),
    ],
)  # fmt: skip
def test_invalid_family_raises_space_error_with_hint(family: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        read_space(family)


def test_large_excess_requires_charge_balance_any() -> None:
    space = read_space({"hosts": "Ti", "excess": [0, 0.2]}, charge_balance="any")
    assert space.chunk(0, 2).sites.alkali_excess.tolist() == [0.0, 0.2]
    with pytest.raises(SpaceError, match="charge_balance: 'maybe' is not accepted; allowed: required or any"):
        read_space({"hosts": "Ti"}, charge_balance="maybe")


def test_system_without_fixed_dopant_accepts_any_dopant() -> None:
    space = read_space({"system": "LMTP", "dopants": ["Sc", "Y"], "x": 0.2})
    assert space.chunk(0, 2).formulas([0, 1]) == ["Li1.2Sc0.2Ti1.8(PO4)3", "Li1.2Y0.2Ti1.8(PO4)3"]


def dopants(value: Any) -> list[dict[str, float]]:
    return [
        {str(ion): share for ion, share in mixture}
        for mixture in read_mixtures(SpecNode(value, "dopants"), read_dopant)
    ]


def test_dopants_are_read_as_elements_shares_or_mixtures_in_steps() -> None:
    assert dopants("Al") == [{"Al": 1.0}]
    assert dopants(["Al", {"Al": 0.9, "Y": 0.1}]) == [{"Al": 1.0}, {"Al": 0.9, "Y": 0.1}]
    assert dopants({"mix": ["Al", "Y"], "step": 0.5}) == [{"Al": 1.0}, {"Al": 0.5, "Y": 0.5}, {"Y": 1.0}]


@pytest.mark.parametrize(("elements", "step", "count"), [(["Al"], 0.5, 1), (["Al", "Y", "Sc"], 0.25, 15)])
def test_mix_with_step_gives_all_mixtures_once(elements: list[str], step: float, count: int) -> None:
    mixtures = dopants({"mix": elements, "step": step})
    assert len({tuple(sorted(mixture.items())) for mixture in mixtures}) == len(mixtures) == count
    assert all(sum(mixture.values()) == pytest.approx(1) for mixture in mixtures)


def test_charges_of_dopants_are_read_in_several_notations() -> None:
    assert read_mixtures(SpecNode(["Fe", "Fe2+", "Fe+2", "Mg", "Ta5+"]), read_dopant)[0] == ((Ion("Fe", 3), 1.0),)
    assert dopants(["Fe3+", "Fe2+", "Fe+2"]) == [{"Fe": 1.0}, {"Fe2+": 1.0}, {"Fe2+": 1.0}]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("Alu", r"dopants: 'Alu' is not accepted; allowed: elements that can occupy M"),
        ("al", r"Did you mean 'Al'\?"),
        ("Na", "elements that can occupy M"),
        ("P", "elements that can occupy M"),
        ("Al2+", r"a usual charge of Al: Al3\+"),
        ("Fe4+", r"a usual charge of Fe: Fe3\+, Fe2\+"),
        (3, "an element, shares of elements"),
        ({}, "an element, shares of elements"),
        ({"Al": 0.5, "Y": 0.6}, r"shares that add up to 1. These add up to 1.1"),
        ({"Al": 0.5, "Al3+": 0.5}, "every element once"),
        ({"Fe2+": 0.5, "Fe": 0.5}, "every element once"),
        ({"Al": 1.5}, "a number from 0 to 1"),
        ({"mix": ["Al", "Al"], "step": 0.5}, "every element once"),
        ({"mix": ["Al", "Y"], "step": 0.3}, "a step that divides 1"),
        ({"mix": ["Al", "Y"], "step": 0}, "step: 0 is not accepted"),
        ({"mix": ["Al", "Y"]}, "There is no 'step' in it"),
        ({"mix": "Al", "step": 0.5}, "Write it as a list"),
    ],
)
def test_invalid_mixture_raises_space_error_with_hint(value: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        dopants(value)


def test_only_tetravalent_elements_are_hosts() -> None:
    assert read_mixtures(SpecNode("Ti", "hosts"), read_host) == [((Ion("Ti", 4), 1.0),)]
    with pytest.raises(SpaceError, match="hosts: 'Al' is not accepted; allowed: hosts Ti, Ge, Zr, Hf, Sn"):
        read_mixtures(SpecNode("Al", "hosts"), read_host)


def test_too_many_mixtures_raise_space_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SpaceError, match="at most 20000 mixtures"):
        dopants({"mix": ["Al", "Y", "Sc", "In", "Ga"], "step": 0.001})
    monkeypatch.setattr(compositions, "MAX_MIXTURES", 2)
    with pytest.raises(SpaceError, match="at most 2 mixtures"):
        dopants(["Al", "Y", "Sc"])
