"""Families of compositions A1+x(D, H)2(SiO4)s(PO4)3-s, each a small grid, in whole millionths of a formula unit.

Charges balance by construction: what dopants and silicon lack is made up by the mobile ion.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasicon_ml.columns import Column
from nasicon_ml.composition import shorthand
from nasicon_ml.composition.elements import ALKALI_LETTERS
from nasicon_ml.composition.oxidation import CHARGE_TOLERANCE
from nasicon_ml.composition.sites import RESOLUTION, T_CATIONS
from nasicon_ml.screening import ranges
from nasicon_ml.screening.mixtures import Ion, Mixture, dopant_mixtures, host_mixtures
from nasicon_ml.screening.reading import Stated

Floats = NDArray[np.float64]
Units = NDArray[np.int64]

SYSTEM = Column.SYSTEM.value
FAMILY_KEYS = (SYSTEM, "ion", "hosts", "dopants", "x", "amount", "silicon", "excess")
_M_FULL, _T_FULL = 2 * RESOLUTION, T_CATIONS * RESOLUTION
_MOST_IONS = 5 * RESOLUTION
_LEAST_PER_CATION = 1e-6


@dataclass(frozen=True)
class Family:
    """One family, as stated.

    Attributes
    ----------
    ion
        The mobile ion.
    hosts, dopants
        Mixtures on M, in shares of the hosts, and of the dopants; an empty mixture where there is no dopant.
    amounts
        What the dopants bring or amount to (see `by_charge`), per formula unit.
    by_charge
        Whether the amounts are x, the charge that dopants leave to the mobile ion, or cations.
    silicon, excess
        On T, and of the mobile ion beyond the balance, per formula unit.
    stated
        Where it stands.
    """

    ion: str
    hosts: tuple[Mixture, ...]
    dopants: tuple[Mixture, ...]
    amounts: tuple[float, ...]
    by_charge: bool
    silicon: tuple[float, ...]
    excess: tuple[float, ...]
    stated: Stated

    def __len__(self) -> int:
        lengths = (self.hosts, self.dopants, self.amounts, self.silicon, self.excess)
        return math.prod(len(values) for values in lengths)

    @property
    def elements(self) -> set[str]:
        """All cations it may hold."""
        mixed = {ion.element for mixture in (*self.hosts, *self.dopants) for ion, _ in mixture}
        return {self.ion, "Si", "P"} | mixed

    def grids(self) -> Iterator[dict[str, Units]]:
        """Give element -> millionths per formula unit, shape (n,), for each mixture of hosts.

        Raises
        ------
        SpaceError
            If there is more dopant than M holds, or no mobile ion left, or more than there is room for.
        """
        grid = np.meshgrid(np.array(self.amounts), _units(self.silicon), _units(self.excess), indexing="ij")
        amounts, silicon, excess = (np.tile(values.ravel(), len(self.dopants)) for values in grid)
        mixture_of = np.repeat(np.arange(len(self.dopants)), grid[0].size)
        doped = self._doped(amounts, mixture_of)
        room = _M_FULL - sum(doped.values(), np.zeros(len(amounts), dtype=np.int64))
        ions = RESOLUTION + silicon.astype(np.int64) + excess.astype(np.int64)
        for ion, units in doped.items():
            ions = ions + (4 - ion.charge) * units
        self._check(room, ions, amounts, mixture_of)
        for hosts in self.hosts:
            found = {self.ion: ions, "Si": silicon, "P": _T_FULL - silicon}
            for ion, units in (*doped.items(), *_shared(hosts, room).items()):
                found[ion.element] = found.get(ion.element, 0) + units
            yield found

    def _doped(self, amounts: Floats, mixture_of: NDArray[np.intp]) -> dict[Ion, Units]:
        """Give the millionths of each dopant, shape (n,), where the n-th has a stated amount of a mixture."""
        ions = sorted({ion for mixture in self.dopants for ion, _ in mixture})
        shares = np.array([[dict(mixture).get(ion, 0.0) for ion in ions] for mixture in self.dopants])
        if self.by_charge:
            amounts = amounts / np.array([self._per_cation(mixture) for mixture in self.dopants])[mixture_of]
        return {ion: _units(amounts * shares[mixture_of, at]) for at, ion in enumerate(ions)}

    def _per_cation(self, dopants: Mixture) -> float:
        """Charge that one cation of the mixture leaves to the mobile ion."""
        charge = math.fsum(share * (4 - ion.charge) for ion, share in dopants)
        if charge < _LEAST_PER_CATION:
            raise self.stated.error(
                "x for dopants that need more of the mobile ion",
                f"For {_words(dopants)} give amount in place of x.",
                value=_words(dopants),
            )
        return charge

    def _check(self, room: Units, ions: Units, amounts: Floats, mixture_of: NDArray[np.intp]) -> None:
        key = "x" if self.by_charge else "amount"
        place = self.stated.child(key) if key in self.stated.value else self.stated
        for bad, what in (
            (room < 0, "at most two cations on M"),
            (ions <= 0, f"some {self.ion} left on A"),
            (ions > _MOST_IONS, f"at most {_MOST_IONS / RESOLUTION:g} {self.ion}"),
        ):
            if bad.any():
                at = int(np.argmax(bad))
                names = _words(self.dopants[mixture_of[at]]) or "no dopant"
                raise place.error(what, f"With {names} there is too much.", value=float(amounts[at]))


def _words(mixture: Mixture) -> str:
    return ", ".join(f"{share:g} {ion}" for ion, share in mixture)


def _units(amounts: tuple[float, ...] | Floats) -> Units:
    return np.rint(np.array(amounts) * RESOLUTION).astype(np.int64)


def _shared(hosts: Mixture, room: Units) -> dict[Ion, Units]:
    """Share what the dopants leave of M among the hosts; the last takes what rounding leaves."""
    found = {ion: np.rint(room * share).astype(np.int64) for ion, share in hosts[:-1]}
    found[hosts[-1][0]] = room - sum(found.values(), np.zeros(len(room), dtype=np.int64))
    return found


def read_family(stated: Stated, *, any_charge: bool) -> Family:
    """Read one family.

    Parameters
    ----------
    stated
        Its mapping.
    any_charge
        Whether compositions may be off balance by more than `CHARGE_TOLERANCE`.

    Raises
    ------
    SpaceError
        If it is none.
    """
    parts = stated.fields(FAMILY_KEYS)
    named = _system(parts[SYSTEM]) if SYSTEM in parts else None
    hosts = _hosts(parts, named, stated)
    dopants: list[Mixture] = [((Ion(_symbol(named), 3), 1.0),)] if named and _symbol(named) else []
    if "dopants" in parts:
        if dopants:
            raise parts["dopants"].error(f"a {parts[SYSTEM].value} without dopants", "Its name says the dopant.")
        dopants = dopant_mixtures(parts["dopants"])
        _check_charges(hosts, dopants, parts["dopants"])
    amounts, by_charge = _amounts(parts, bool(dopants), stated)
    silicon = ranges.numbers(parts["silicon"], 0, T_CATIONS) if "silicon" in parts else [0.0]
    if named and named.silicon != ("silicon" in parts):
        raise stated.error(f"silicon where the system has an S, and nowhere else ({named.name})")
    limit = 2.0 if any_charge else CHARGE_TOLERANCE
    excess = ranges.numbers(parts["excess"], -limit, limit) if "excess" in parts else [0.0]
    return Family(
        _ion(parts, named),
        tuple(hosts),
        tuple(dopants) or ((),),
        tuple(amounts),
        by_charge,
        tuple(silicon),
        tuple(excess),
        stated,
    )


def _check_charges(hosts: list[Mixture], dopants: list[Mixture], stated: Stated) -> None:
    """Refuse an element with two charges: no formula can tell the two apart."""
    elements = {ion.element for mixture in hosts for ion, _ in mixture}
    for mixture in dopants:
        for ion, _ in mixture:
            if ion.element in elements and ion.charge != 4:
                raise stated.error(f"{ion.element}4+ beside the host {ion.element}", value=str(ion))


def _system(stated: Stated) -> shorthand.Shorthand:
    short = shorthand.find(stated.value) if isinstance(stated.value, str) else None
    if short is None:
        hint = shorthand.hint(stated.value) if isinstance(stated.value, str) else ""
        raise stated.error(f"the name of a system: {', '.join(shorthand.COMMON)}", hint)
    return short


def _symbol(short: shorthand.Shorthand) -> str:
    """Give the dopant that a name says; empty where it says none, or M."""
    return "" if short.dopant == "M" else short.dopant


def _ion(parts: Mapping[str, Stated], named: shorthand.Shorthand | None) -> str:
    if "ion" not in parts:
        return named.alkali if named else "Li"
    ion = parts["ion"].value
    if ion not in ALKALI_LETTERS or (named and ion != named.alkali):
        raise parts["ion"].error(named.alkali if named else ", ".join(ALKALI_LETTERS))
    return str(ion)


def _hosts(parts: Mapping[str, Stated], named: shorthand.Shorthand | None, stated: Stated) -> list[Mixture]:
    if "hosts" in parts:
        found = host_mixtures(parts["hosts"])
        used = {ion.element for mixture in found for ion, _ in mixture}
        if named and used != set(named.hosts):
            raise parts["hosts"].error(f"mixtures of the hosts of {named.name}: {', '.join(named.hosts)}")
        return found
    if named is None:
        raise stated.error("a family with its hosts, or the name of a system", "There are neither.")
    if len(named.hosts) > 1:
        first, second = named.hosts
        raise stated.error(f"{named.name} with its hosts", f"As in hosts: {{{first}: 0.75, {second}: 0.25}}.")
    return [((Ion(named.hosts[0], 4), 1.0),)]


def _amounts(parts: Mapping[str, Stated], doped: bool, stated: Stated) -> tuple[list[float], bool]:
    given = [key for key in ("x", "amount") if key in parts]
    if not doped:
        if given:
            raise parts[given[0]].error(f"no {given[0]} where there is no dopant", "Name the dopants.")
        return [0.0], False
    if len(given) != 1:
        raise stated.error(
            "dopants with x (the charge they bring) or with amount (of cations)", "Give one of them."
        )
    return ranges.numbers(parts[given[0]], 0, 4 if given[0] == "x" else 2), given == ["x"]
