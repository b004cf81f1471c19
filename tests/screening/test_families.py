"""What a family may say, and what is refused in words that help."""

from __future__ import annotations

from typing import Any

import pytest

from nasicon_ml.errors import SpaceError
from nasicon_ml.screening import SearchSpace


def read(family: Any, **more: Any) -> SearchSpace:
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
def test_what_is_no_family_is_refused(family: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        read(family)


def test_excess_beyond_the_tolerance_needs_consent() -> None:
    space = read({"hosts": "Ti", "excess": [0, 0.2]}, charge_balance="any")
    assert space.chunk(0, 2).sites.alkali_excess.tolist() == [0.0, 0.2]
    with pytest.raises(SpaceError, match="charge_balance: 'maybe' is not accepted; allowed: required or any"):
        read({"hosts": "Ti"}, charge_balance="maybe")


def test_a_system_without_a_letter_for_its_dopant_takes_any() -> None:
    space = read({"system": "LMTP", "dopants": ["Sc", "Y"], "x": 0.2})
    assert space.chunk(0, 2).formulas([0, 1]) == ["Li1.2Sc0.2Ti1.8(PO4)3", "Li1.2Y0.2Ti1.8(PO4)3"]
