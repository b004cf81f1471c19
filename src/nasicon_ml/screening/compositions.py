"""The axis of compositions: unique compositions of families A1+x(D, H)2(SiO4)s(PO4)3-s.

A family is a small grid of mixtures on the M site, amounts of dopant, silicon and excess of the mobile ion, as
integers in millionths of a formula unit. Charges balance by construction: the mobile ion compensates the charges
of dopants and silicon. Arrays with a column for every element are created only on demand.
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
from nasicon_ml.screening.specification import SpecNode, read_numbers

MIX_KEYS = ("mix", "step")
#: Maximum number of mixtures of one list; more are a typing error.
MAX_MIXTURES = 20_000
_SHARE_TOLERANCE = 1e-6
_MIN_STEP = 1e-3
_ION = re.compile(r"([A-Z][a-z]?)(?:(\d)\+|\+(\d))?")
#: Elements that can be dopants on the M site.
DOPANTS = tuple(element for element in ELEMENT_INDEX if element in OCTAHEDRAL_CATIONS or element in LARGE_CATIONS)


@dataclass(frozen=True, order=True)
class Ion:
    """An element with its charge."""

    element: str
    charge: int

    def __str__(self) -> str:
        usual = USUAL_STATES[self.element][0] == self.charge
        return self.element if usual else f"{self.element}{self.charge}+"


Mixture = tuple[tuple[Ion, float], ...]


def read_mixtures(node: SpecNode, read_ion: Callable[[str, SpecNode], Ion]) -> list[Mixture]:
    """Read mixtures on M: symbols, shares such as ``{Ti: 0.75, Ge: 0.25}``, or all mixtures with some step."""
    allowed = "an element, shares of elements, or mix with step; one of them or a list"
    mixtures: list[Mixture] = []
    for item in node.one_or_more(allowed):
        if isinstance(item.value, str):
            mixtures.append(((read_ion(item.value, item), 1.0),))
        elif isinstance(item.value, Mapping) and "mix" in item.value:
            mixtures += _read_stepped_mixtures(item, read_ion)
        elif isinstance(item.value, Mapping) and item.value:
            mixtures.append(_read_shares(item, read_ion))
        else:
            raise item.error(allowed)
        if len(mixtures) > MAX_MIXTURES:
            raise item.error(f"at most {MAX_MIXTURES} mixtures", "Take larger steps, or fewer elements.")
    return mixtures


def _read_shares(item: SpecNode, read_ion: Callable[[str, SpecNode], Ion]) -> Mixture:
    parts = item.any_fields("elements with their shares")
    shares = {read_ion(key, part): part.number(0, 1) for key, part in parts.items()}
    if len({ion.element for ion in shares}) < len(parts):
        raise item.error("every element once")
    total = math.fsum(shares.values())
    if abs(total - 1) > _SHARE_TOLERANCE:
        raise item.error("shares that add up to 1", f"These add up to {total:g}.")
    return tuple((ion, share) for ion, share in shares.items() if share)


def _read_stepped_mixtures(item: SpecNode, read_ion: Callable[[str, SpecNode], Ion]) -> list[Mixture]:
    """Return all mixtures, including pure elements, whose shares are multiples of the step."""
    parts = item.fields(MIX_KEYS, MIX_KEYS)
    ions = [read_ion(part.value, part) for part in parts["mix"].items("a list of elements")]
    if len({ion.element for ion in ions}) < len(ions):
        raise parts["mix"].error("every element once")
    step = parts["step"].number(_MIN_STEP, 1)
    n_steps = round(1 / step)
    if abs(n_steps * step - 1) > _SHARE_TOLERANCE:
        raise parts["step"].error("a step that divides 1, such as 0.25")
    n_slots, n_bars = n_steps + len(ions) - 1, len(ions) - 1
    count = math.comb(n_slots, n_bars)
    if count > MAX_MIXTURES:
        raise item.error(f"at most {MAX_MIXTURES} mixtures", f"These would be {count}.")
    # Stars and bars: the gaps between the bars are the shares, in steps.
    mixtures = []
    for bars in itertools.combinations(range(n_slots), n_bars):
        gaps = [high - low - 1 for low, high in itertools.pairwise((-1, *bars, n_slots))]
        mixtures.append(tuple((ion, gap / n_steps) for ion, gap in zip(ions, gaps, strict=True) if gap))
    return mixtures[::-1]  # the pure first element comes first


def read_host(symbol: object, node: SpecNode) -> Ion:
    """Read a host element, whose charge is always 4+."""
    if symbol not in HOST_LETTERS:
        raise node.error(f"hosts {', '.join(HOST_LETTERS)}", value=symbol)
    return Ion(str(symbol), 4)


def read_dopant(symbol: object, node: SpecNode) -> Ion:
    """Read a dopant, whose charge may be stated, as in ``Fe2+``."""
    match = _ION.fullmatch(symbol.strip()) if isinstance(symbol, str) else None
    element = match[1] if match else ""
    if match is None or element not in DOPANTS:
        hint = nearest_element(symbol) if isinstance(symbol, str) and symbol not in ELEMENT_INDEX else ""
        raise node.error(f"elements that can occupy M: {', '.join(DOPANTS)}", hint, value=symbol)
    states = USUAL_STATES[element]
    charge = int(match[2] or match[3] or states[0])
    if charge not in states:
        usual = ", ".join(f"{element}{state}+" for state in states)
        raise node.error(f"a usual charge of {element}: {usual}", value=symbol)
    return Ion(element, charge)


#: Amounts in millionths per formula unit.
Units = NDArray[np.int64]

SYSTEM = Column.SYSTEM.value
FAMILY_KEYS = (SYSTEM, "ion", "hosts", "dopants", "x", "amount", "silicon", "excess")
_M_UNITS, _T_UNITS = 2 * RESOLUTION, T_CATIONS * RESOLUTION
_MAX_MOBILE_UNITS = 5 * RESOLUTION
_MIN_CHARGE_PER_CATION = 1e-6


@dataclass(frozen=True)
class Family:
    """A family of compositions: the grid of all combinations of its mixtures and amounts."""

    ion: str  # the mobile ion
    hosts: tuple[Mixture, ...]  # mixtures on M, in shares of the hosts
    dopants: tuple[Mixture, ...]  # mixtures on M, in shares of the dopants; one empty mixture without dopants
    amounts: tuple[float, ...]  # amounts of the dopants, per formula unit
    is_charge: bool  # whether `amounts` are x, the charge compensated by the mobile ion, or numbers of cations
    silicon: tuple[float, ...]  # amounts on T, per formula unit
    excess: tuple[float, ...]  # amounts of the mobile ion in excess of charge balance, per formula unit
    node: SpecNode  # the family in the description of the space

    def __len__(self) -> int:
        lengths = (self.hosts, self.dopants, self.amounts, self.silicon, self.excess)
        return math.prod(len(values) for values in lengths)

    @property
    def elements(self) -> set[str]:
        """All possible cations."""
        m_site = {ion.element for mixture in (*self.hosts, *self.dopants) for ion, _ in mixture}
        return {self.ion, "Si", "P"} | m_site

    def grids(self) -> Iterator[dict[str, Units]]:
        """Return element -> units, shape (n,), for each mixture of hosts.

        Raises
        ------
        SpaceError
            If there are too many dopant cations for M, or too few or too many mobile ions.
        """
        grid = np.meshgrid(np.array(self.amounts), _to_units(self.silicon), _to_units(self.excess), indexing="ij")
        amounts, silicon, excess = (np.tile(values.ravel(), len(self.dopants)) for values in grid)
        mixture_index = np.repeat(np.arange(len(self.dopants)), grid[0].size)
        dopants = self._dopant_units(amounts, mixture_index)
        host_units = _M_UNITS - sum(dopants.values(), np.zeros(len(amounts), dtype=np.int64))
        mobile = RESOLUTION + silicon.astype(np.int64) + excess.astype(np.int64)
        for ion, units in dopants.items():
            mobile = mobile + (4 - ion.charge) * units
        self._check_limits(host_units, mobile, amounts, mixture_index)
        for mixture in self.hosts:
            cations = {self.ion: mobile, "Si": silicon, "P": _T_UNITS - silicon}
            for ion, units in (*dopants.items(), *_distribute(host_units, mixture).items()):
                cations[ion.element] = cations.get(ion.element, 0) + units
            yield cations

    def _dopant_units(self, amounts: Floats, mixture_index: Ints) -> dict[Ion, Units]:
        """Return the units of each dopant, shape (n,)."""
        ions = sorted({ion for mixture in self.dopants for ion, _ in mixture})
        shares = np.array([[dict(mixture).get(ion, 0.0) for ion in ions] for mixture in self.dopants])
        if self.is_charge:
            amounts = (
                amounts / np.array([self._charge_per_cation(mixture) for mixture in self.dopants])[mixture_index]
            )
        return {ion: _to_units(amounts * shares[mixture_index, column]) for column, ion in enumerate(ions)}

    def _charge_per_cation(self, dopants: Mixture) -> float:
        """Return the charge per dopant cation that the mobile ion compensates."""
        charge = math.fsum(share * (4 - ion.charge) for ion, share in dopants)
        if charge < _MIN_CHARGE_PER_CATION:
            raise self.node.error(
                "x for dopants that need more of the mobile ion",
                f"For {_format_mixture(dopants)} give amount in place of x.",
                value=_format_mixture(dopants),
            )
        return charge

    def _check_limits(self, host_units: Units, mobile: Units, amounts: Floats, mixture_index: Ints) -> None:
        key = "x" if self.is_charge else "amount"
        node = self.node.child(key) if key in self.node.value else self.node
        for is_outside, allowed in (
            (host_units < 0, "at most two cations on M"),
            (mobile <= 0, f"some {self.ion} left on A"),
            (mobile > _MAX_MOBILE_UNITS, f"at most {_MAX_MOBILE_UNITS / RESOLUTION:g} {self.ion}"),
        ):
            if is_outside.any():
                row = int(np.argmax(is_outside))
                dopants = _format_mixture(self.dopants[mixture_index[row]]) or "no dopant"
                raise node.error(allowed, f"With {dopants} there is too much.", value=float(amounts[row]))


def _format_mixture(mixture: Mixture) -> str:
    return ", ".join(f"{share:g} {ion}" for ion, share in mixture)


def _to_units(amounts: tuple[float, ...] | Floats) -> Units:
    return np.rint(np.array(amounts) * RESOLUTION).astype(np.int64)


def _distribute(units: Units, mixture: Mixture) -> dict[Ion, Units]:
    """Distribute units among the ions of a mixture; the last one takes the rounding difference."""
    distributed = {ion: np.rint(units * share).astype(np.int64) for ion, share in mixture[:-1]}
    distributed[mixture[-1][0]] = units - sum(distributed.values(), np.zeros(len(units), dtype=np.int64))
    return distributed


def read_family(node: SpecNode, *, any_charge: bool) -> Family:
    """Read one family; unless `any_charge`, its charges must balance within `CHARGE_TOLERANCE`.

    Raises
    ------
    SpaceError
        If it is not a valid family.
    """
    parts = node.fields(FAMILY_KEYS)
    system = _read_system(parts[SYSTEM]) if SYSTEM in parts else None
    hosts = _read_hosts(parts, system, node)
    dopants: list[Mixture] = [((Ion(system.dopant, 3), 1.0),)] if system and system.dopant not in {"", "M"} else []
    if "dopants" in parts:
        if dopants:
            raise parts["dopants"].error(f"a {parts[SYSTEM].value} without dopants", "Its name says the dopant.")
        dopants = read_mixtures(parts["dopants"], read_dopant)
        _check_charges(hosts, dopants, parts["dopants"])
    amounts, is_charge = _read_amounts(parts, bool(dopants), node)
    silicon = read_numbers(parts["silicon"], 0, T_CATIONS) if "silicon" in parts else [0.0]
    if system and system.silicon != ("silicon" in parts):
        raise node.error(f"silicon where the system has an S, and nowhere else ({system.name})")
    limit = 2.0 if any_charge else CHARGE_TOLERANCE
    excess = read_numbers(parts["excess"], -limit, limit) if "excess" in parts else [0.0]
    return Family(
        _read_mobile_ion(parts, system),
        tuple(hosts),
        tuple(dopants) or ((),),
        tuple(amounts),
        is_charge,
        tuple(silicon),
        tuple(excess),
        node,
    )


def _check_charges(hosts: list[Mixture], dopants: list[Mixture], node: SpecNode) -> None:
    """Raise if an element has two charges, which a formula cannot express."""
    host_elements = {ion.element for mixture in hosts for ion, _ in mixture}
    for mixture in dopants:
        for ion, _ in mixture:
            if ion.element in host_elements and ion.charge != 4:
                raise node.error(f"{ion.element}4+ beside the host {ion.element}", value=str(ion))


def _read_system(node: SpecNode) -> shorthand.Shorthand:
    system = shorthand.find_shorthand(node.value) if isinstance(node.value, str) else None
    if system is None:
        hint = shorthand.nearest_shorthand(node.value) if isinstance(node.value, str) else ""
        raise node.error(f"the name of a system: {', '.join(shorthand.COMMON_NAMES)}", hint)
    return system


def _read_mobile_ion(parts: Mapping[str, SpecNode], system: shorthand.Shorthand | None) -> str:
    if "ion" not in parts:
        return system.alkali if system else "Li"
    ion = parts["ion"].value
    if ion not in ALKALI_LETTERS or (system and ion != system.alkali):
        raise parts["ion"].error(system.alkali if system else ", ".join(ALKALI_LETTERS))
    return str(ion)


def _read_hosts(
    parts: Mapping[str, SpecNode], system: shorthand.Shorthand | None, node: SpecNode
) -> list[Mixture]:
    if "hosts" in parts:
        mixtures = read_mixtures(parts["hosts"], read_host)
        elements = {ion.element for mixture in mixtures for ion, _ in mixture}
        if system and elements != set(system.hosts):
            raise parts["hosts"].error(f"mixtures of the hosts of {system.name}: {', '.join(system.hosts)}")
        return mixtures
    if system is None:
        raise node.error("a family with its hosts, or the name of a system", "There are neither.")
    if len(system.hosts) > 1:
        first, second = system.hosts
        raise node.error(f"{system.name} with its hosts", f"As in hosts: {{{first}: 0.75, {second}: 0.25}}.")
    return [((Ion(system.hosts[0], 4), 1.0),)]


def _read_amounts(parts: Mapping[str, SpecNode], has_dopants: bool, node: SpecNode) -> tuple[list[float], bool]:
    """Return the amounts of the dopants, and whether they are charges (x)."""
    keys = [key for key in ("x", "amount") if key in parts]
    if not has_dopants:
        if keys:
            raise parts[keys[0]].error(f"no {keys[0]} where there is no dopant", "Name the dopants.")
        return [0.0], False
    if len(keys) != 1:
        raise node.error("dopants with x (the charge they bring) or with amount (of cations)", "Give one of them.")
    return read_numbers(parts[keys[0]], 0, 4 if keys[0] == "x" else 2), keys == ["x"]


#: Maximum number of compositions, each of which takes some eighty bytes of memory.
MAX_COMPOSITIONS = 1_000_000
_OXYGEN = 12
_TETRAHEDRAL = ("Si", "P")
_ALLOWED = "a list of families of compositions"


@dataclass(frozen=True)
class Compositions:
    """n unique compositions."""

    elements: tuple[str, ...]  # the k cations, by atomic number
    units: NDArray[np.int32]  # millionths per formula unit, int32, shape (n, k)
    states: NDArray[np.int8]  # oxidation states, as determined by `nasicon_ml.composition.parse`, shape (n, k)
    systems: tuple[str, ...]  # names of the systems
    system_index: NDArray[np.int32]  # index of the system of each composition, shape (n,)

    def __len__(self) -> int:
        return len(self.units)

    def select(self, mask: Mask) -> Compositions:
        """Return the masked compositions."""
        return Compositions(
            self.elements, self.units[mask], self.states[mask], self.systems, self.system_index[mask]
        )

    def amount(self, element: str) -> Floats:
        """Return the amount of an element per formula unit, shape (n,)."""
        if element not in self.elements:
            return np.zeros(len(self))
        return self.units[:, self.elements.index(element)] / RESOLUTION

    @property
    def x(self) -> Floats:
        """Net substitution as in `Composition.x`, shape (n,)."""
        m_site, t_site = (
            {
                column: self.units[:, column]
                for column, element in enumerate(self.elements)
                if _site(element) == site
            }
            for site in "mt"
        )
        states = dict(enumerate(self.states.T.astype(np.int64)))
        return np.asarray(net_substitution(m_site, t_site, states, 0) / RESOLUTION)

    def occupancies(self, rows: Ints, index: Ints) -> OccupancyTable:
        """Return some compositions as a table with all elements; `index` is that of `OccupancyTable`."""
        shape = (len(rows), len(ELEMENTS))
        sites = {site: np.zeros(shape) for site in "amt"}
        valence = np.full(shape, np.nan)
        amounts = self.units[rows] / RESOLUTION
        for k, element in enumerate(self.elements):
            column = ELEMENT_INDEX[element]
            sites[_site(element)][:, column] = amounts[:, k]
            valence[:, column] = np.where(amounts[:, k] > 0, self.states[rows, k], np.nan)
        valence[:, ELEMENT_INDEX["O"]] = -2.0
        oxygen = np.full(len(rows), float(_OXYGEN))
        systems = np.array(self.systems, dtype=object)[self.system_index[rows]]
        return OccupancyTable(
            **sites, valence=valence, oxygen=oxygen, other_anions=np.zeros(shape), systems=systems, index=index
        )

    def count_by_system(self) -> dict[str, int]:
        """Return the number of compositions of each system that occurs."""
        counts = np.bincount(self.system_index, minlength=len(self.systems)).tolist()
        return {name: count for name, count in zip(self.systems, counts, strict=True) if count}


def read_compositions(node: SpecNode, *, any_charge: bool) -> Compositions:
    """Read the families of a space; a composition that several of them contain occurs once.

    Raises
    ------
    SpaceError
        If a family is invalid, or there are more than `MAX_COMPOSITIONS`.
    """
    families, count = [], 0
    for item in node.one_or_more(_ALLOWED):
        families.append(read_family(item, any_charge=any_charge))
        count += len(families[-1])
        if count > MAX_COMPOSITIONS:
            raise item.error(f"at most {MAX_COMPOSITIONS} in all", "Take larger steps.", value=count)
    elements = tuple(sorted(set().union(*(family.elements for family in families)), key=ELEMENT_INDEX.__getitem__))
    units = np.concatenate([_units_table(grid, elements) for family in families for grid in family.grids()])
    units = units[distinct_rows(len(units), units.T)[0]]
    states = _determine_states(elements, units)
    systems, system_index = _name_systems(elements, units, states)
    return Compositions(elements, units, states, systems, system_index)


def _units_table(grid: Mapping[str, Units], elements: Sequence[str]) -> NDArray[np.int32]:
    """Return the units of a grid as a table with a column for each of the elements."""
    table = np.zeros((len(grid["P"]), len(elements)), dtype=np.int32)
    for element, units in grid.items():
        table[:, elements.index(element)] = units
    return table


def _determine_states(elements: Sequence[str], units: NDArray[np.int32]) -> NDArray[np.int8]:
    """Determine oxidation states like `nasicon_ml.composition.parse`: usual ones if the charges then balance."""
    usual = np.array([_possible_states(element)[0] for element in elements])
    states = np.tile(usual.astype(np.int8), (len(units), 1))
    surplus = units.astype(np.int64) @ usual - 2 * _OXYGEN * RESOLUTION
    variable = [column for column, element in enumerate(elements) if len(_possible_states(element)) > 1]
    is_doubtful = (np.abs(surplus) > round(CHARGE_TOLERANCE * RESOLUTION)) & (units[:, variable] > 0).any(axis=1)
    for row in np.flatnonzero(is_doubtful).tolist():
        balanced = oxidation_states(_to_sites(elements, units[row]))
        states[row] = [balanced.get(element, usual[column]) for column, element in enumerate(elements)]
    return states


def _possible_states(element: str) -> tuple[int, ...]:
    return (TETRAHEDRAL_STATES[element],) if element in _TETRAHEDRAL else USUAL_STATES[element]


def _site(element: str) -> str:
    """Return the site of an element: a, m or t."""
    return "a" if element in ALKALI_LETTERS else "t" if element in _TETRAHEDRAL else "m"


def _to_sites(elements: Sequence[str], units: NDArray[np.int32]) -> SiteAmounts:
    amounts = {el: amount / RESOLUTION for el, amount in zip(elements, units.tolist(), strict=True) if amount > 0}
    a, m, t = ({el: amount for el, amount in amounts.items() if _site(el) == site} for site in "amt")
    return SiteAmounts(a, m, t, float(_OXYGEN), {})


def _name_systems(
    elements: Sequence[str], units: NDArray[np.int32], states: NDArray[np.int8]
) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """Return the names of the systems, and the index of each composition's system.

    A name depends only on which elements exceed the thresholds of `is_in_system_name`.
    """
    amounts = units / RESOLUTION
    m_columns = [column for column, element in enumerate(elements) if _site(element) == "m"]
    m_total = amounts[:, m_columns].sum(axis=1).round(9)
    in_name = [is_in_system_name(element, amounts[:, column], m_total) for column, element in enumerate(elements)]
    first, group = distinct_rows(len(units), in_name)
    group_names = [_to_composition(elements, units[row], states[row]).system for row in first.tolist()]
    names = tuple(dict.fromkeys(group_names))
    name_index = np.array([names.index(name) for name in group_names], dtype=np.int32)
    return names, name_index[group]


def _to_composition(elements: Sequence[str], units: NDArray[np.int32], states: NDArray[np.int8]) -> Composition:
    sites = _to_sites(elements, units)
    valence = {el: float(states[elements.index(el)]) for el in (*sites.a_site, *sites.m_site, *sites.t_site)}
    return Composition(sites.a_site, sites.m_site, sites.t_site, sites.oxygen, {}, valence | {"O": -2.0}, None)
