"""Headers of tables: where they stand, and which column each of them means."""

from __future__ import annotations

import difflib
import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType

from nasicon_ml.checks import listed
from nasicon_ml.columns import ADDITIVE_UNITS, COLUMNS, OTHER_UNITS, ZERO_CELSIUS_K, Column, Kind, Role, columns_of
from nasicon_ml.errors import LONGEST_NAME, UnreadableFileError
from nasicon_ml.io.raw import MAX_COLUMNS, RawTable, refuse_repeated

#: Names of columns by the words that they consist of, in any order, beside our own names.
_NAMES: Mapping[Column, str] = MappingProxyType(
    {
        Column.PELLET_ID: "sample, sample id, sample name, sample no, sample number, sample code, pellet,"
        " pellet no, pellet name, pellet number, id, name, no, nr, number, label",
        Column.FORMULA: "composition, chemical formula, chemical composition, nominal composition,"
        " nominal formula, sample composition, target composition, compound, material, stoichiometry",
        Column.ADDITIVE: "additives, sintering aid, sintering additive, additive name, flux",
        Column.ADDITIVE_AMOUNT: "additive content, amount, sintering aid amount, sintering aid content",
        Column.SYNTHESIS_ROUTE: "synthesis, synthesis method, route, preparation route, preparation method",
        Column.CALCINATION_TEMPERATURE_C: "calcination",
        Column.PARTICLE_SIZE_UM: "powder size, powder particle size, d50, particle diameter, mean particle size,"
        " average particle size",
        Column.SINTERING_TIME_H: "time",
        Column.HEATING_RATE_C_MIN: "heating, rate",
        Column.ATMOSPHERE: "gas, sintering atmosphere",
        Column.DENSIFICATION: "densification method, sintering method, sintering technique, sintering process",
        Column.PRESSURE_MPA: "sintering pressure, applied pressure",
        Column.LITHIUM_EXCESS_PCT: "excess lithium",
        Column.PRECURSORS: "precursor, starting materials, raw materials, reagents",
        Column.GREEN_PRESSURE_MPA: "pressing pressure, uniaxial pressure, forming pressure, compaction pressure",
        Column.MEASUREMENT_TEMPERATURE_C: "test temperature",
        Column.CONDUCTIVITY_TOTAL_S_CM: "conductivity, ionic conductivity, total ionic conductivity, sigma,"
        " sigma total, sigma ion, sigma ionic, total, lithium conductivity, lithium ion conductivity",
        Column.CONDUCTIVITY_BULK_S_CM: "bulk ionic conductivity, grain conductivity, sigma bulk, sigma b,"
        " sigma grain",
        Column.ACTIVATION_ENERGY_EV: "ea, e a, e act, activation",
        Column.RELATIVE_DENSITY_PCT: "density, relative rho, rho, theoretical density",
        Column.PHASE_PURE: "pure, phase purity, purity, single phase, xrd pure",
        Column.SECONDARY_PHASES: "secondary phase, second phase, second phases, impurities, impurity,"
        " impurity phase, impurity phases",
        Column.GRAIN_SIZE_UM: "mean grain size, average grain size",
        Column.LATTICE_A_ANGSTROM: "a, lattice parameter a",
        Column.LATTICE_C_ANGSTROM: "c, lattice parameter c",
        Column.NOTES: "note, comment, comments, remark, remarks",
    }
)
#: Words that stand for others; nothing where they add nothing.
_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "temp": "temperature", "temps": "temperature", "temperatures": "temperature", "rel": "relative",
        "tot": "total", "sinter": "sintering", "sintered": "sintering", "sint": "sintering", "firing": "sintering",
        "fired": "sintering", "calc": "calcination", "calcined": "calcination", "calcining": "calcination",
        "calcine": "calcination", "meas": "measurement", "measured": "measurement", "measuring": "measurement",
        "dwell": "time", "holding": "time", "hold": "time", "soaking": "time", "soak": "time", "duration": "time",
        "ramp": "heating", "ramping": "heating", "li": "lithium", "\u03c3": "sigma", "\u03c1": "rho",
        "cond": "conductivity", "conductivities": "conductivity", "dens": "density", "of": "",
        "atm": Column.ATMOSPHERE.value,
        "the": "", "at": "", "in": "", "rt": "", "room": "", "xrd": "", "identifier": "id",
    }
)  # fmt: skip
#: Units as they are written, by the key of `OTHER_UNITS` or our own unit in lower case.
_UNITS: Mapping[str, str] = MappingProxyType(
    {
        "c": "°c", "oc": "°c", "degc": "°c", "degreec": "°c", "celsius": "°c", "degcelsius": "°c", "℃": "°c",
        "kelvin": "k", "hour": "h", "hours": "h", "hr": "h", "hrs": "h", "minute": "min", "minutes": "min",
        "mins": "min", "second": "s", "seconds": "s", "sec": "s", "day": "d", "um": "µm", "micron": "µm",
        "microns": "µm", "micrometer": "µm", "micrometre": "µm", "c/min": "°c/min", "cmin": "°c/min",
        "kmin": "k/min", "c/h": "°c/h", "scm": "s/cm", "sm": "s/m", "mscm": "ms/cm", "us/cm": "µs/cm",
        "uscm": "µs/cm", "/ohmcm": "s/cm", "/ω/cm": "s/cm", "/ohm/cm": "s/cm", "/(ωcm)": "s/cm",
        "pct": "%", "percent": "%",
        "%td": "%", "%theoretical": "%", "%oftheoretical": "%", "-": "fraction", "weight%": "wt%", "mass%": "wt%",
        "a": "å", "angstrom": "å", "ev/atom": "ev",
    }
)  # fmt: skip
POWERS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺\u2212\u2013", "0123456789-+--")
_AT = re.compile(r"(?:\bat|@)\s*(\d+)\s*(°?\s*C|K)\b|\(\s*(\d+)\s*(°\s*C|K)\s*\)", re.IGNORECASE)
_LOG = re.compile(r"(?:log_?10|log|lg)(?=[\s(_\u03c3])[\s_]*(.*)", re.IGNORECASE)
_GRAM_PER_CM3 = re.compile(r"g\s*[/·.]?\s*cm", re.IGNORECASE)


def plain_unit(text: str) -> str:
    """Write a unit as `OTHER_UNITS` has it: "mS cm⁻¹" is "ms/cm"."""
    key = text.strip().translate(POWERS).lower().replace("\u03bc", "\u00b5").replace("º", "°").replace("˚", "°")
    key = re.sub(r"[\s·⋅.*^{}$\\_]", "", key)
    key = re.sub(r"(cm|min|mol|ohm|[ωmhs])-1", r"/\1", key)
    return _UNITS.get(key, key)


def conversion(column: Column, unit: str) -> tuple[float, float] | None:
    """Return the factor and shift from a unit to the column's own; None where it is no unit of the column's."""
    key = plain_unit(unit)
    if column.unit and key == column.unit.lower():
        return 1.0, 0.0
    return OTHER_UNITS.get((column.unit, key))


@dataclass(frozen=True)
class Meaning:
    """What the name of a column says."""

    #: Which column is meant; several where it may be any of them.
    columns: tuple[Column, ...]
    #: From what stands there to the column's unit.
    factor: float = 1.0
    shift: float = 0.0
    #: Whether the decadic logarithm stands there.
    is_logarithm: bool = False
    #: What the name says of other columns: a temperature, the unit of an amount.
    beside: Mapping[Column, str | float] = field(default_factory=dict)
    #: What stands where a unit stands and is none of the column's.
    unknown_unit: str = ""

    @property
    def column(self) -> Column:
        """The column; the first of several."""
        return self.columns[0]

    @property
    def is_certain(self) -> bool:
        """Whether one column is meant, in a known unit."""
        return len(self.columns) == 1 and not self.unknown_unit


@lru_cache(maxsize=2000)
def meaning_of(name: str) -> Meaning | None:
    """Return what a column's name says; None where it is like no name of ours."""
    if name in COLUMNS:
        return Meaning((COLUMNS[name],))
    if not name.strip() or len(name) > LONGEST_NAME:
        return None
    text = name.strip().strip("\"'").strip()
    if found := _LOG.fullmatch(text):
        inner = meaning_of(found[1][1:-1] if re.fullmatch(r"\([^()]*\)", found[1]) else found[1])
        if inner is not None and inner.column is Column.CONDUCTIVITY_TOTAL_S_CM:
            return Meaning(inner.columns, inner.factor, inner.shift, True, inner.beside, inner.unknown_unit)
    beside: dict[Column, str | float] = {}
    if at := _AT.search(text):
        degrees = float(at[1] or at[3])
        is_kelvin = (at[2] or at[4]).lower() == "k"
        beside[Column.MEASUREMENT_TEMPERATURE_C] = degrees - ZERO_CELSIUS_K if is_kelvin else degrees
        text = text[: at.start()] + text[at.end() :]
    doubtful: Meaning | None = None
    for words, unit in _divided(text):
        columns = _named(words, unit)
        if not columns:
            continue
        meant = _with_unit(columns, unit, beside)
        if not meant.unknown_unit:
            return meant
        doubtful = doubtful or meant
    return doubtful


def _with_unit(columns: tuple[Column, ...], unit: str, beside: Mapping[Column, str | float]) -> Meaning:
    column = columns[0]
    if column not in (Column.CONDUCTIVITY_TOTAL_S_CM, Column.CONDUCTIVITY_BULK_S_CM):
        beside = {}
    if not unit or column.kind is not Kind.NUMBER:
        return Meaning(columns, beside=beside)
    if column is Column.ADDITIVE_AMOUNT and plain_unit(unit) in ADDITIVE_UNITS:
        return Meaning(columns, beside={Column.ADDITIVE_UNIT: plain_unit(unit)})
    step = conversion(column, unit)
    return Meaning(columns, unknown_unit=unit) if step is None else Meaning(columns, *step, beside=beside)


def _divided(text: str) -> Iterator[tuple[frozenset[str], str]]:
    """Yield the words of a name and its unit, in the ways in which the two may be told apart."""
    if found := re.fullmatch(r"(.*?)\s*[(\[{]\s*(?:in\s+)?([^()\[\]{}]*)\s*[)\]}]\s*", text):
        if not is_unit(found[2]):
            yield _words(f"{found[1]} {found[2]}"), ""
        is_explained = re.fullmatch(r"[^\W\d_]{4,}(\s.*)?", found[2]) and not is_unit(found[2])
        yield _words(found[1]), "" if is_explained else found[2]
        if inner := re.fullmatch(r"(.*?)\s*[(\[{][^()\[\]{}]*[)\]}]\s*", found[1]):
            yield _words(inner[1]), found[2]
    for sign in (" / ", "/", ",", " in "):
        left, _, right = text.partition(sign)
        if is_unit(right) or (sign == " / " and right):
            yield _words(left), right
    parts = re.split(r"[\s_]+", text)
    for size in (3, 2, 1):
        unit = " ".join(parts[-size:])
        if len(parts) > size and is_unit(unit):
            yield _words(" ".join(parts[:-size])), unit
    yield _words(text), ""


def is_unit(text: str) -> bool:
    """Whether a text is a unit that some column may have."""
    return plain_unit(text) in _ALL_UNITS


def _words(text: str) -> frozenset[str]:
    """Return the words of a name; T and t, which are not the same, stay as they are."""
    found = re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", text))
    plain = (word if word in {"T", "t"} else word.lower() for word in found)
    return frozenset(_WORDS.get(word, word) for word in plain) - {""}


def _named(words: frozenset[str], unit: str) -> tuple[Column, ...]:
    """Return the columns that words name; T is a temperature, t a time, unless the unit says otherwise."""
    letters = words & {"T", "t"}
    if letters:
        rest, unit = words - {"T", "t"}, plain_unit(unit)
        is_time = ("h", unit) in OTHER_UNITS or unit == "h"
        is_temperature = ("°C", unit) in OTHER_UNITS or unit == "°c"
        if not (is_time or is_temperature) and letters == {"t"} and rest & {"sintering", "calcination"}:
            step = "SINTERING" if "sintering" in rest else "CALCINATION"
            return Column[f"{step}_TEMPERATURE_C"], Column[f"{step}_TIME_H"]
        words = rest | {"time" if is_time or (letters == {"t"} and not is_temperature) else "temperature"}
    if words == {"temperature"}:
        return Column.SINTERING_TEMPERATURE_C, Column.CALCINATION_TEMPERATURE_C, Column.MEASUREMENT_TEMPERATURE_C
    if words == {"size"}:
        return Column.PARTICLE_SIZE_UM, Column.GRAIN_SIZE_UM
    column = _BY_WORDS.get(words)
    # One letter is a name with its unit alone, and a density in g/cm³ is another quantity.
    if column in (Column.LATTICE_A_ANGSTROM, Column.LATTICE_C_ANGSTROM) and len(words) == 1 and not unit:
        return ()
    if column is Column.RELATIVE_DENSITY_PCT and unit and conversion(column, unit) is None:
        return ()
    return () if column is None else (column,)


#: Units at the end of our own names.
_UNIT_OF_NAME = re.compile(r"_(?:c|h|um|nm|c_min|mpa|s_cm|ev|pct|angstrom)$")
#: What a laboratory writes down; nobody writes predictions into a table.
_MEASURED = set(Role) - {
    Role.PREDICTION, Role.OWN, Role.NEIGHBOUR, Role.SCREENING, Role.POSITION, Role.BIBLIOGRAPHY,
}  # fmt: skip
_ALL_UNITS = {*(unit for _, unit in OTHER_UNITS), *(c.unit.lower() for c in Column if c.unit), *ADDITIVE_UNITS}
_BY_WORDS: dict[frozenset[str], Column] = {
    words: column
    for column in columns_of(*_MEASURED)
    for name in (column.label, *_NAMES.get(column, "").split(","), _UNIT_OF_NAME.sub("", column.value))
    if (words := _words(name))
}


_OTHER_SIGNS = re.compile(r"[\W_]+")
_BRACKETS = re.compile(r"[(\[{][^)\]}]*[)\]}]")
#: What people leave out of our names: units at the end, and that a conductivity is total or a density relative.
_LEFT_OUT = re.compile(rf"^relative_|(?:_total)?{_UNIT_OF_NAME.pattern}")


def plain_name(name: object) -> str:
    """Write a column's name our way: lower case, underscores, no brackets."""
    return _OTHER_SIGNS.sub("_", _BRACKETS.sub(" ", str(name)).lower()).strip("_")


def column_meant(name: object, columns: Iterable[Column] = Column, *, likeness: float = 0.65) -> str:
    """Guess which column a name stands for.

    The name is no column, such as ``Sintering Temperature (°C)`` or one with a slip of the pen, and has to be as
    like one of `columns` as `likeness` says, up to 1. Return the column's name; empty if it resembles none.
    """
    known = {column.value: column.value for column in columns}
    meant = meaning_of(str(name))
    if meant is not None and len(meant.columns) == 1:
        return known.get(meant.column.value, "")
    if _GRAM_PER_CM3.search(str(name)):  # no density of ours
        return ""
    for value in list(known):
        known.setdefault(_LEFT_OUT.sub("", value), value)
    written = re.sub(r"temp(?=_|$)", "temperature", plain_name(name))
    close = difflib.get_close_matches(written, known, n=1, cutoff=likeness)
    return known[close[0]] if close else ""


#: Rows among which the header is looked for.
MOST_ABOVE = 20
_NUMBER = re.compile(r"[+-]?\d+([.,]\d*)?([eE][+-]?\d+)?")
#: Errors that a spreadsheet writes into cells begin like remarks.
_ERROR = re.compile(r"#(N/A|NV|REF!|DIV/0!|VALUE!|NAME\?|NUM!|NULL!|WERT!|BEZUG!|ZAHL!)")
_UNNAMED = re.compile(r"(Unnamed: \d+(_level_\d+)?)?")

Rows = Iterator[tuple[int, list[str]]]


def known_names(cells: Sequence[str]) -> int:
    """Count the cells that name a column of ours."""
    return sum(meaning_of(cell) is not None for cell in _names(cells[:MAX_COLUMNS]))


def _names(cells: Sequence[str]) -> list[str]:
    """Return the names in a header; the mark of a remark in front of it is none of them."""
    names = [cell.strip() for cell in cells]
    if names and names[0].startswith("#") and meaning_of(names[0].lstrip("# ")):
        names[0] = names[0].lstrip("# ")
    return names


def find_header(records: Rows, name: str, *, nameless: bool = False) -> tuple[int, list[str], list[str], Rows]:
    """Find the header: the first row that names a column of formulas; else the first that is no remark.

    Of the rows, which are not blank, and their lines, return the line of the header, its names, what there is to
    say about the rows above, and the rows below. `nameless`: there may be columns without a name.

    Raises
    ------
    UnreadableFileError
        If there is no header, or a name stands in it twice or not at all.
    """
    first = list(itertools.islice(records, MOST_ABOVE))
    rows = [_names(cells) for _, cells in first]
    formulas = [
        any((m := meaning_of(cell)) and m.column is Column.FORMULA for cell in names[:MAX_COLUMNS])
        for names in rows
    ]
    plain = [not names[0].startswith("#") or known_names(names) > 0 for names in rows]
    if not any(plain):
        raise UnreadableFileError(f"{name}: the file is empty")
    place = (formulas if any(formulas) else plain).index(True)
    line, header = first[place][0], rows[place]
    while header and not header[-1]:
        header.pop()
    _check_header(header, line, name, nameless)
    above = [first[row][0] for row in range(place)]
    notes = [f"{listed(above, 'line')} above the header passed over"] if above else []
    return line, header, notes, itertools.chain(first[place + 1 :], records)


def _check_header(header: list[str], line: int, name: str, nameless: bool) -> None:
    if not known_names(header) and any(_NUMBER.fullmatch(cell) for cell in header):
        raise UnreadableFileError(
            f"{name}, line {line}: the first row holds data, not column names; put the names of the columns"
            " (for example formula,sintering_temperature_c) above it"
        )
    refuse_repeated(header, f"{name}, line {line}")
    for position, cell in enumerate(header[1:], start=2):
        if not cell and not nameless:
            raise UnreadableFileError(f"{name}, line {line}: column {position} has no name")


def is_remark(cells: Sequence[str], header: Sequence[str]) -> bool:
    """Whether a row below the header is a remark: it begins with #, and is no pellet that is called #5."""
    first = cells[0].strip()
    if not first.startswith("#") or _ERROR.fullmatch(first):
        return False
    meant = meaning_of(header[0]) if header else None
    is_name = meant is not None and meant.column is Column.PELLET_ID
    return not (is_name and len(cells) == len(header))


def without_index(table: RawTable) -> RawTable:
    """Leave out a first column without a name that counts the rows, or take it for the names of the pellets.

    Raises
    ------
    UnreadableFileError
        If it is neither.
    """
    frame = table.frame
    names = [str(name) for name in frame.columns]
    if not names or not _UNNAMED.fullmatch(names[0]):
        return table
    cells = [str(cell).strip() for cell in frame.iloc[:, 0]]
    if all(re.fullmatch(r"\d*", cell) for cell in cells):
        note = ["the first column, which has no name, passed over as an index"] if any(cells) else []
        return replace(table, frame=frame.iloc[:, 1:]).noting(*note)
    if Column.PELLET_ID in {meant.column for name in names if (meant := meaning_of(name))}:
        raise UnreadableFileError(f"{table.name}: column 1 has no name")
    frame = frame.set_axis([Column.PELLET_ID.value, *names[1:]], axis="columns")
    return replace(table, frame=frame).noting(f"the first column, which has no name, read as {Column.PELLET_ID}")
