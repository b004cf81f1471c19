"""The axis of compositions: families A1+x(D, H)2(SiO4)s(PO4)3-s; every different composition stands once.

A family is a small grid of mixtures on M, amounts of dopant, silicon and excess of the mobile ion, in whole
millionths of a formula unit. Charges balance by construction: what dopants and silicon lack is made up by the
mobile ion. Wide arrays are made only when asked for.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasicon_ml.arrays import Floats, Ints, Mask
from nasicon_ml.columns import Column
from nasicon_ml.composition import Composition, OccupancyTable, shorthand
from nasicon_ml.composition.formula import (
    ALKALI_LETTERS,
    ELEMENT_INDEX,
    ELEMENTS,
    HOST_LETTERS,
    LARGE_CATIONS,
    OCTAHEDRAL_CATIONS,
    nearest_element,
)
from nasicon_ml.composition.sites import (
    CHARGE_TOLERANCE,
    RESOLUTION,
    T_CATIONS,
    TETRAHEDRAL_STATES,
    USUAL_STATES,
    SiteAmounts,
    is_in_system_name,
    net_substitution,
    oxidation_states,
)
from nasicon_ml.features.distances import distinct_rows
from nasicon_ml.screening.reading import SpecNode, read_numbers

MIX_KEYS = ("mix", "step")
#: More mixtures than this from one list are a typing error.
MOST_MIXTURES = 20_000
_SHARE_ROUNDING = 1e-6
_LEAST_STEP = 1e-3
_ION = re.compile(r"([A-Z][a-z]?)(?:(\d)\+|\+(\d))?")
#: Elements that can stand on M as dopants.
DOPANTS = tuple(element for element in ELEMENT_INDEX if element in OCTAHEDRAL_CATIONS or element in LARGE_CATIONS)


@dataclass(frozen=True, order=True)
class Ion:
    """An element with the charge it brings to the balance."""

    element: str
    charge: int

    def __str__(self) -> str:
        usual = USUAL_STATES[self.element][0] == self.charge
        return self.element if usual else f"{self.element}{self.charge}+"


Mixture = tuple[tuple[Ion, float], ...]


def read_mixtures(node: SpecNode, read: Callable[[str, SpecNode], Ion]) -> list[Mixture]:
    """Read what a family has on M: symbols, shares such as ``{Ti: 0.75, Ge: 0.25}``, or mixtures in steps."""
    allowed = "an element, shares of elements, or mix with step; one of them or a list"
    found: list[Mixture] = []
    for item in node.one_or_more(allowed):
        if isinstance(item.value, str):
            found.append(((read(item.value, item), 1.0),))
        elif isinstance(item.value, Mapping) and "mix" in item.value:
            found += _in_steps(item, read)
        elif isinstance(item.value, Mapping) and item.value:
            found.append(_shares(item, read))
        else:
            raise item.error(allowed)
        if len(found) > MOST_MIXTURES:
            raise item.error(f"at most {MOST_MIXTURES} mixtures", "Take larger steps, or fewer elements.")
    return found


def _shares(item: SpecNode, read: Callable[[str, SpecNode], Ion]) -> Mixture:
    parts = item.any_fields("elements with their shares")
    shares = {read(key, part): part.number(0, 1) for key, part in parts.items()}
    if len({ion.element for ion in shares}) < len(parts):
        raise item.error("every element once")
    total = math.fsum(shares.values())
    if abs(total - 1) > _SHARE_ROUNDING:
        raise item.error("shares that add up to 1", f"These add up to {total:g}.")
    return tuple((ion, share) for ion, share in shares.items() if share)


def _in_steps(item: SpecNode, read: Callable[[str, SpecNode], Ion]) -> list[Mixture]:
    """Return all mixtures of some elements whose shares are whole numbers of steps; pure elements among them."""
    parts = item.fields(MIX_KEYS, MIX_KEYS)
    ions = [read(part.value, part) for part in parts["mix"].items("a list of elements")]
    if len({ion.element for ion in ions}) < len(ions):
        raise parts["mix"].error("every element once")
    step = parts["step"].number(_LEAST_STEP, 1)
    whole = round(1 / step)
    if abs(whole * step - 1) > _SHARE_ROUNDING:
        raise parts["step"].error("a step that divides 1, such as 0.25")
    count = math.comb(whole + len(ions) - 1, len(ions) - 1)
    if count > MOST_MIXTURES:
        raise item.error(f"at most {MOST_MIXTURES} mixtures", f"These would be {count}.")
    bars = itertools.combinations(range(whole + len(ions) - 1), len(ions) - 1)
    found = []
    for cut in bars:
        edges = (-1, *cut, whole + len(ions) - 1)
        parts_of_whole = [high - low - 1 for low, high in itertools.pairwise(edges)]
        found.append(tuple((ion, n / whole) for ion, n in zip(ions, parts_of_whole, strict=True) if n))
    return found[::-1]  # the first element first


def host(symbol: object, node: SpecNode) -> Ion:
    """Read a host; all are 4+."""
    if symbol not in HOST_LETTERS:
        raise node.error(f"hosts {', '.join(HOST_LETTERS)}", value=symbol)
    return Ion(str(symbol), 4)


def dopant(symbol: object, node: SpecNode) -> Ion:
    """Read a dopant, whose charge may be stated, as in ``Fe2+``."""
    match = _ION.fullmatch(symbol.strip()) if isinstance(symbol, str) else None
    element = match[1] if match else ""
    if match is None or element not in DOPANTS:
        hint = nearest_element(symbol) if isinstance(symbol, str) and symbol not in ELEMENT_INDEX else ""
        raise node.error(f"elements that can stand on M: {', '.join(DOPANTS)}", hint, value=symbol)
    states = USUAL_STATES[element]
    charge = int(match[2] or match[3] or states[0])
    if charge not in states:
        usual = ", ".join(f"{element}{state}+" for state in states)
        raise node.error(f"a usual charge of {element}: {usual}", value=symbol)
    return Ion(element, charge)


Units = NDArray[np.int64]

SYSTEM = Column.SYSTEM.value
FAMILY_KEYS = (SYSTEM, "ion", "hosts", "dopants", "x", "amount", "silicon", "excess")
_M_FULL, _T_FULL = 2 * RESOLUTION, T_CATIONS * RESOLUTION
_MOST_IONS = 5 * RESOLUTION
_LEAST_PER_CATION = 1e-6


@dataclass(frozen=True)
class Family:
    """One family, as stated."""

    ion: str  # the mobile ion
    # hosts, dopants: mixtures on M, in shares of the hosts, and of the dopants; an empty mixture where there is no
    # dopant
    hosts: tuple[Mixture, ...]
    dopants: tuple[Mixture, ...]
    amounts: tuple[float, ...]  # what the dopants bring or amount to (see `by_charge`), per formula unit
    by_charge: bool  # whether the amounts are x, the charge that dopants leave to the mobile ion, or cations
    # silicon, excess: on T, and of the mobile ion beyond the balance, per formula unit
    silicon: tuple[float, ...]
    excess: tuple[float, ...]
    node: SpecNode  # where it stands

    def __len__(self) -> int:
        lengths = (self.hosts, self.dopants, self.amounts, self.silicon, self.excess)
        return math.prod(len(values) for values in lengths)

    @property
    def elements(self) -> set[str]:
        """All cations it may hold."""
        mixed = {ion.element for mixture in (*self.hosts, *self.dopants) for ion, _ in mixture}
        return {self.ion, "Si", "P"} | mixed

    def grids(self) -> Iterator[dict[str, Units]]:
        """Return element -> millionths per formula unit, shape (n,), for each mixture of hosts.

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

    def _doped(self, amounts: Floats, mixture_of: Ints) -> dict[Ion, Units]:
        """Return the millionths of each dopant, shape (n,), where the n-th has a stated amount of a mixture."""
        ions = sorted({ion for mixture in self.dopants for ion, _ in mixture})
        shares = np.array([[dict(mixture).get(ion, 0.0) for ion in ions] for mixture in self.dopants])
        if self.by_charge:
            amounts = amounts / np.array([self._per_cation(mixture) for mixture in self.dopants])[mixture_of]
        return {ion: _units(amounts * shares[mixture_of, at]) for at, ion in enumerate(ions)}

    def _per_cation(self, dopants: Mixture) -> float:
        """Charge that one cation of the mixture leaves to the mobile ion."""
        charge = math.fsum(share * (4 - ion.charge) for ion, share in dopants)
        if charge < _LEAST_PER_CATION:
            raise self.node.error(
                "x for dopants that need more of the mobile ion",
                f"For {_words(dopants)} give amount in place of x.",
                value=_words(dopants),
            )
        return charge

    def _check(self, room: Units, ions: Units, amounts: Floats, mixture_of: Ints) -> None:
        key = "x" if self.by_charge else "amount"
        place = self.node.child(key) if key in self.node.value else self.node
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


def read_family(node: SpecNode, *, any_charge: bool) -> Family:
    """Read one family, off balance by more than `CHARGE_TOLERANCE` only with `any_charge`.

    Raises
    ------
    SpaceError
        If it is none.
    """
    parts = node.fields(FAMILY_KEYS)
    named = _system(parts[SYSTEM]) if SYSTEM in parts else None
    hosts = _hosts(parts, named, node)
    dopants: list[Mixture] = [((Ion(named.dopant, 3), 1.0),)] if named and named.dopant not in {"", "M"} else []
    if "dopants" in parts:
        if dopants:
            raise parts["dopants"].error(f"a {parts[SYSTEM].value} without dopants", "Its name says the dopant.")
        dopants = read_mixtures(parts["dopants"], dopant)
        _check_charges(hosts, dopants, parts["dopants"])
    amounts, by_charge = _amounts(parts, bool(dopants), node)
    silicon = read_numbers(parts["silicon"], 0, T_CATIONS) if "silicon" in parts else [0.0]
    if named and named.silicon != ("silicon" in parts):
        raise node.error(f"silicon where the system has an S, and nowhere else ({named.name})")
    limit = 2.0 if any_charge else CHARGE_TOLERANCE
    excess = read_numbers(parts["excess"], -limit, limit) if "excess" in parts else [0.0]
    return Family(
        _ion(parts, named),
        tuple(hosts),
        tuple(dopants) or ((),),
        tuple(amounts),
        by_charge,
        tuple(silicon),
        tuple(excess),
        node,
    )


def _check_charges(hosts: list[Mixture], dopants: list[Mixture], node: SpecNode) -> None:
    """Refuse an element with two charges: no formula can tell the two apart."""
    elements = {ion.element for mixture in hosts for ion, _ in mixture}
    for mixture in dopants:
        for ion, _ in mixture:
            if ion.element in elements and ion.charge != 4:
                raise node.error(f"{ion.element}4+ beside the host {ion.element}", value=str(ion))


def _system(node: SpecNode) -> shorthand.Shorthand:
    short = shorthand.find_shorthand(node.value) if isinstance(node.value, str) else None
    if short is None:
        hint = shorthand.nearest_shorthand(node.value) if isinstance(node.value, str) else ""
        raise node.error(f"the name of a system: {', '.join(shorthand.COMMON_NAMES)}", hint)
    return short


def _ion(parts: Mapping[str, SpecNode], named: shorthand.Shorthand | None) -> str:
    if "ion" not in parts:
        return named.alkali if named else "Li"
    ion = parts["ion"].value
    if ion not in ALKALI_LETTERS or (named and ion != named.alkali):
        raise parts["ion"].error(named.alkali if named else ", ".join(ALKALI_LETTERS))
    return str(ion)


def _hosts(parts: Mapping[str, SpecNode], named: shorthand.Shorthand | None, node: SpecNode) -> list[Mixture]:
    if "hosts" in parts:
        found = read_mixtures(parts["hosts"], host)
        used = {ion.element for mixture in found for ion, _ in mixture}
        if named and used != set(named.hosts):
            raise parts["hosts"].error(f"mixtures of the hosts of {named.name}: {', '.join(named.hosts)}")
        return found
    if named is None:
        raise node.error("a family with its hosts, or the name of a system", "There are neither.")
    if len(named.hosts) > 1:
        first, second = named.hosts
        raise node.error(f"{named.name} with its hosts", f"As in hosts: {{{first}: 0.75, {second}: 0.25}}.")
    return [((Ion(named.hosts[0], 4), 1.0),)]


def _amounts(parts: Mapping[str, SpecNode], doped: bool, node: SpecNode) -> tuple[list[float], bool]:
    given = [key for key in ("x", "amount") if key in parts]
    if not doped:
        if given:
            raise parts[given[0]].error(f"no {given[0]} where there is no dopant", "Name the dopants.")
        return [0.0], False
    if len(given) != 1:
        raise node.error("dopants with x (the charge they bring) or with amount (of cations)", "Give one of them.")
    return read_numbers(parts[given[0]], 0, 4 if given[0] == "x" else 2), given == ["x"]


#: So many compositions are held at once, some eighty bytes each.
MOST_COMPOSITIONS = 1_000_000
_OXYGEN = 12
_TETRAHEDRAL = ("Si", "P")
_ALLOWED = "a list of families of compositions"


@dataclass(frozen=True)
class Compositions:
    """Different compositions, n of them."""

    elements: tuple[str, ...]  # cations that occur, k of them, by atomic number
    units: NDArray[np.int32]  # millionths per formula unit, int32, shape (n, k)
    states: NDArray[np.int8]  # oxidation states as `nasicon_ml.composition.parse` reads them, int8, shape (n, k)
    # names, name_of: names of the systems, and which each has, shape (n,)
    names: tuple[str, ...]
    name_of: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.units)

    def take(self, rows: Mask | Ints) -> Compositions:
        """Return some of them."""
        return Compositions(self.elements, self.units[rows], self.states[rows], self.names, self.name_of[rows])

    def amount(self, element: str) -> Floats:
        """Amount of an element per formula unit, shape (n,)."""
        if element not in self.elements:
            return np.zeros(len(self))
        return self.units[:, self.elements.index(element)] / RESOLUTION

    @property
    def x(self) -> Floats:
        """Net substitution as in `Composition.x`, shape (n,)."""
        m_site, t_site = (
            {at: self.units[:, at] for at, element in enumerate(self.elements) if _site(element) == site}
            for site in "mt"
        )
        states = dict(enumerate(self.states.T.astype(np.int64)))
        return np.asarray(net_substitution(m_site, t_site, states, 0) / RESOLUTION)

    def occupancies(self, rows: Ints, index: Ints) -> OccupancyTable:
        """Return some of them as wide arrays, for a table whose every row has a position among them (`index`)."""
        shape = (len(rows), len(ELEMENTS))
        sites = {site: np.zeros(shape) for site in "amt"}
        valence = np.full(shape, np.nan)
        amounts = self.units[rows] / RESOLUTION
        for at, element in enumerate(self.elements):
            column = ELEMENT_INDEX[element]
            sites[_site(element)][:, column] = amounts[:, at]
            valence[:, column] = np.where(amounts[:, at] > 0, self.states[rows, at], np.nan)
        valence[:, ELEMENT_INDEX["O"]] = -2.0
        oxygen = np.full(len(rows), float(_OXYGEN))
        systems = np.array(self.names, dtype=object)[self.name_of[rows]]
        return OccupancyTable(
            **sites, valence=valence, oxygen=oxygen, other_anions=np.zeros(shape), systems=systems, index=index
        )


def read_compositions(node: SpecNode, *, any_charge: bool) -> Compositions:
    """Read the families of a space into an axis; a composition that several of them hold stands once.

    Raises
    ------
    SpaceError
        If a family is none, or there are more than `MOST_COMPOSITIONS`.
    """
    families, count = [], 0
    for item in node.one_or_more(_ALLOWED):
        families.append(read_family(item, any_charge=any_charge))
        count += len(families[-1])
        if count > MOST_COMPOSITIONS:
            raise item.error(f"at most {MOST_COMPOSITIONS} in all", "Take larger steps.", value=count)
    elements = tuple(sorted(set().union(*(family.elements for family in families)), key=ELEMENT_INDEX.__getitem__))
    units = np.concatenate([_of_family(family, elements) for family in families])
    units = units[distinct_rows(len(units), units.T)[0]]
    states = _states(elements, units)
    names, name_of = _systems(elements, units, states)
    return Compositions(elements, units, states, names, name_of)


def _of_family(family: Family, elements: Sequence[str]) -> NDArray[np.int32]:
    blocks = []
    for grid in family.grids():
        block = np.zeros((len(grid["P"]), len(elements)), dtype=np.int32)
        for element, units in grid.items():
            block[:, elements.index(element)] = units
        blocks.append(block)
    return np.concatenate(blocks)


def _states(elements: Sequence[str], units: NDArray[np.int32]) -> NDArray[np.int8]:
    """Return the states that a reader of the formula takes: the usual ones, or others where the charge asks."""
    usual = np.array([_possible(element)[0] for element in elements])
    states = np.tile(usual.astype(np.int8), (len(units), 1))
    surplus = units.astype(np.int64) @ usual - 2 * _OXYGEN * RESOLUTION
    varied = [at for at, element in enumerate(elements) if len(_possible(element)) > 1]
    doubtful = (np.abs(surplus) > round(CHARGE_TOLERANCE * RESOLUTION)) & (units[:, varied] > 0).any(axis=1)
    for row in np.flatnonzero(doubtful).tolist():
        found = oxidation_states(_sites(elements, units[row]))
        states[row] = [found.get(element, usual[at]) for at, element in enumerate(elements)]
    return states


def _possible(element: str) -> tuple[int, ...]:
    return (TETRAHEDRAL_STATES[element],) if element in _TETRAHEDRAL else USUAL_STATES[element]


def _site(element: str) -> str:
    """Return where an element of a family stands: on a, m or t."""
    return "a" if element in ALKALI_LETTERS else "t" if element in _TETRAHEDRAL else "m"


def _sites(elements: Sequence[str], row: NDArray[np.int32]) -> SiteAmounts:
    amounts = {el: units / RESOLUTION for el, units in zip(elements, row.tolist(), strict=True) if units > 0}
    a, m, t = ({el: n for el, n in amounts.items() if _site(el) == site} for site in "amt")
    return SiteAmounts(a, m, t, float(_OXYGEN), {})


def _systems(
    elements: Sequence[str], units: NDArray[np.int32], states: NDArray[np.int8]
) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """Name the systems: a name depends on nothing but which elements exceed their thresholds."""
    amounts = units / RESOLUTION
    m_total = amounts[:, [at for at, el in enumerate(elements) if _site(el) == "m"]].sum(axis=1).round(9)
    marks = np.column_stack([is_in_system_name(el, amounts[:, at], m_total) for at, el in enumerate(elements)])
    first, code = distinct_rows(len(marks), marks.T)
    found = [composition_of(elements, units[row], states[row]).system for row in first.tolist()]
    names = tuple(dict.fromkeys(found))
    places = np.array([names.index(name) for name in found], dtype=np.int32)
    return names, places[code]


def composition_of(elements: Sequence[str], units: NDArray[np.int32], states: NDArray[np.int8]) -> Composition:
    """Return the composition of one row."""
    sites = _sites(elements, units)
    found = {el: float(states[elements.index(el)]) for el in (*sites.a_site, *sites.m_site, *sites.t_site)}
    return Composition(sites.a_site, sites.m_site, sites.t_site, sites.oxygen, {}, found | {"O": -2.0}, None)


def as_mapping(compositions: Compositions) -> Mapping[str, int]:
    """Count the compositions of each system."""
    counts = np.bincount(compositions.name_of, minlength=len(compositions.names)).tolist()
    return {name: count for name, count in zip(compositions.names, counts, strict=True) if count}
