"""Specifications of search spaces: a small one that tests change, and a Hypothesis strategy for families."""

from __future__ import annotations

import copy
import re
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from nasicon_ml.composition.sites import USUAL_STATES
from nasicon_ml.screening.compositions import DOPANTS

SMALL_SPEC: dict[str, Any] = {
    "compositions": [
        {"system": "LATP", "x": {"from": 0, "to": 0.4, "step": 0.1}},
        {"hosts": "Ge", "dopants": ["Al", {"Al": 0.75, "Y": 0.25}], "x": [0.2, 0.4]},
    ],
    "additives": ["none", {"name": "LiF", "amount": [1, 2], "unit": "wt%"}],
    "processing": {
        "atmosphere": ["Ar", "air", "not given"],
        "heating_rate_c_min": [1, 1.5, 5, None],
        "sintering_temperature_c": {"from": 700, "to": 900, "step": 50},
        "densification": "conventional",
    },
    "constraints": [
        {"when": {"atmosphere": "Ar"}, "then": {"heating_rate_c_min": {"max": 1.5}}, "because": "binder"},
        {"require": {"sintering_temperature_c": {"max": 800}}, "because": "LiFePO4"},
    ],
}


def small_spec(**changes: Any) -> dict[str, Any]:
    """Return the small specification with some keys replaced; a key with the value None is removed."""
    spec = copy.deepcopy(SMALL_SPEC) | changes
    return {key: value for key, value in spec.items() if value is not None}


HOSTS = ("Ti", "Ge", "Zr", "Hf", "Sn")
_IONS = [f"{element}{state}+" for element in DOPANTS for state in USUAL_STATES[element]]
#: Round amounts as people write them, and arbitrary floats.
_amounts = st.one_of(st.integers(0, 40).map(lambda n: n / 100), st.floats(0, 0.4))


@st.composite
def _shares(draw: st.DrawFn, names: list[str]) -> dict[str, float]:
    first, second = draw(st.lists(st.sampled_from(names), min_size=2, max_size=2, unique=True))
    share = draw(st.one_of(st.sampled_from([0.1, 0.25, 0.5]), st.floats(0.01, 0.99)))
    return {first: share, second: 1 - share}


def _has_element_with_two_charges(family: dict[str, Any]) -> bool:
    hosts, dopants = (str(family.get(key, "")) for key in ("hosts", "dopants"))
    elements = re.findall(r"([A-Z][a-z]?)\d\+", dopants)
    return len(set(elements)) < len(elements) or any(re.search(f"{el}(?![a-z])", hosts) for el in elements)


@st.composite
def families(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a family of compositions: single or mixed hosts and dopants, silicon, excess lithium."""
    family: dict[str, Any] = {"hosts": draw(st.one_of(st.sampled_from(HOSTS), _shares(list(HOSTS))))}
    family["ion"] = draw(st.sampled_from(["Li", "Na", "K", "Ag"]))
    if draw(st.booleans()):
        family["dopants"] = draw(st.one_of(st.sampled_from(_IONS), _shares(_IONS)))
        family["amount"] = [draw(_amounts)]
        assume(not _has_element_with_two_charges(family))
    if draw(st.booleans()):
        largest = [1, 2.0] if "dopants" in family else [1, 2.0, 3]  # A has room for five ions
        family["silicon"] = [draw(st.one_of(_amounts, st.sampled_from(largest)))]
    if draw(st.booleans()):
        family["excess"] = [draw(st.floats(-0.04, 0.2))]
    return family
