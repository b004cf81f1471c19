"""Mixtures on M: elements, shares, all mixtures in steps; charges."""

from __future__ import annotations

from typing import Any

import pytest

from nasicon_ml.errors import SpaceError
from nasicon_ml.screening import mixtures
from nasicon_ml.screening.mixtures import Ion, dopant_mixtures, host_mixtures
from nasicon_ml.screening.reading import Stated


def dopants(value: Any) -> list[dict[str, float]]:
    return [{str(ion): share for ion, share in mixture} for mixture in dopant_mixtures(Stated(value, "dopants"))]


def test_elements_shares_and_steps() -> None:
    assert dopants("Al") == [{"Al": 1.0}]
    assert dopants(["Al", {"Al": 0.9, "Y": 0.1}]) == [{"Al": 1.0}, {"Al": 0.9, "Y": 0.1}]
    assert dopants({"mix": ["Al", "Y"], "step": 0.5}) == [{"Al": 1.0}, {"Al": 0.5, "Y": 0.5}, {"Y": 1.0}]


@pytest.mark.parametrize(("elements", "step", "count"), [(["Al"], 0.5, 1), (["Al", "Y", "Sc"], 0.25, 15)])
def test_all_mixtures_in_steps(elements: list[str], step: float, count: int) -> None:
    found = dopants({"mix": elements, "step": step})
    assert len({tuple(sorted(mixture.items())) for mixture in found}) == len(found) == count
    assert all(sum(mixture.values()) == pytest.approx(1) for mixture in found)


def test_charges() -> None:
    assert dopant_mixtures(Stated(["Fe", "Fe2+", "Fe+2", "Mg", "Ta5+"]))[0] == ((Ion("Fe", 3), 1.0),)
    assert dopants(["Fe3+", "Fe2+", "Fe+2"]) == [{"Fe": 1.0}, {"Fe2+": 1.0}, {"Fe2+": 1.0}]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("Alu", r"dopants: 'Alu' is not accepted; allowed: elements that can stand on M"),
        ("al", r"Did you mean 'Al'\?"),
        ("Na", "elements that can stand on M"),
        ("P", "elements that can stand on M"),
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
def test_what_is_no_mixture_is_refused(value: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        dopants(value)


def test_hosts_are_the_four_valent_ones() -> None:
    assert host_mixtures(Stated("Ti", "hosts")) == [((Ion("Ti", 4), 1.0),)]
    with pytest.raises(SpaceError, match="hosts: 'Al' is not accepted; allowed: hosts Ti, Ge, Zr, Hf, Sn"):
        host_mixtures(Stated("Al", "hosts"))


def test_too_many_mixtures_are_refused_before_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SpaceError, match="at most 20000 mixtures"):
        dopants({"mix": ["Al", "Y", "Sc", "In", "Ga"], "step": 0.001})
    monkeypatch.setattr(mixtures, "MOST_MIXTURES", 2)
    with pytest.raises(SpaceError, match="at most 2 mixtures"):
        dopants(["Al", "Y", "Sc"])
