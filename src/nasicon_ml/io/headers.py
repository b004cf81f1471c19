"""Find the header of a table, and read the column names and units in it."""

from __future__ import annotations

import difflib
import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType

from nasicon_ml.checks import join_numbers
from nasicon_ml.columns import (
    ADDITIVE_UNITS,
    COLUMNS,
    CONDUCTIVITIES,
    OTHER_UNITS,
    ZERO_CELSIUS_K,
    Column,
    Kind,
    Role,
    columns_of,
)
from nasicon_ml.errors import LONGEST_NAME, UnreadableFileError
from nasicon_ml.io.raw import MAX_COLUMNS, RawTable, check_unique_names

#: Synonyms of column names and labels; the order of their words does not matter.
_COLUMN_SYNONYMS: Mapping[Column, str] = MappingProxyType({
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
})  # fmt: skip
#: Words that are replaced before names are compared; an empty string drops the word.
_WORD_SYNONYMS: Mapping[str, str] = MappingProxyType({
    "temp": "temperature", "temps": "temperature", "temperatures": "temperature", "rel": "relative",
    "tot": "total", "sinter": "sintering", "sintered": "sintering", "sint": "sintering", "firing": "sintering",
    "fired": "sintering", "calc": "calcination", "calcined": "calcination", "calcining": "calcination",
    "calcine": "calcination", "meas": "measurement", "measured": "measurement", "measuring": "measurement",
    "dwell": "time", "holding": "time", "hold": "time", "soaking": "time", "soak": "time", "duration": "time",
    "ramp": "heating", "ramping": "heating", "li": "lithium", "\u03c3": "sigma", "\u03c1": "rho",
    "cond": "conductivity", "conductivities": "conductivity", "dens": "density", "of": "",
    "atm": Column.ATMOSPHERE.value,
    "the": "", "at": "", "in": "", "rt": "", "room": "", "xrd": "", "identifier": "id",
})  # fmt: skip
#: Spellings of units, with the key in `OTHER_UNITS` or the column's own unit in lower case.
_UNIT_SYNONYMS: Mapping[str, str] = MappingProxyType({
    "c": "°c", "oc": "°c", "degc": "°c", "degreec": "°c", "celsius": "°c", "degcelsius": "°c", "℃": "°c",
    "kelvin": "k", "hour": "h", "hours": "h", "hr": "h", "hrs": "h", "minute": "min", "minutes": "min",
    "mins": "min", "second": "s", "seconds": "s", "sec": "s", "day": "d", "um": "µm", "micron": "µm",
    "microns": "µm", "micrometer": "µm", "micrometre": "µm", "c/min": "°c/min", "cmin": "°c/min",
    "kmin": "k/min", "c/h": "°c/h", "scm": "s/cm", "sm": "s/m", "mscm": "ms/cm", "us/cm": "µs/cm",
    "uscm": "µs/cm", "/ohmcm": "s/cm", "/ω/cm": "s/cm", "/ohm/cm": "s/cm", "/(ωcm)": "s/cm",
    "pct": "%", "percent": "%",
    "%td": "%", "%theoretical": "%", "%oftheoretical": "%", "-": "fraction", "weight%": "wt%", "mass%": "wt%",
    "a": "å", "angstrom": "å", "ev/atom": "ev",
})  # fmt: skip
SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺\u2212\u2013", "0123456789-+--")
#: Also the Greek letter instead of the micro sign, and signs that look like the degree sign.
_UNIT_CHARACTERS = SUPERSCRIPTS | str.maketrans("\u03bc\u00ba\u02da", "\u00b5\u00b0\u00b0")
_MEASUREMENT_TEMPERATURE = re.compile(
    r"(?:\bat|@)\s*(\d+)\s*(°?\s*C|K)\b|\(\s*(\d+)\s*(°\s*C|K)\s*\)", re.IGNORECASE
)
_LOGARITHM = re.compile(r"(?:log_?10|log|lg)(?=[\s(_\u03c3])[\s_]*(.*)", re.IGNORECASE)
_GRAM_PER_CM3 = re.compile(r"g\s*[/·.]?\s*cm", re.IGNORECASE)


def normalize_unit(text: str) -> str:
    """Return a unit as `OTHER_UNITS` spells it: "mS cm⁻¹" becomes "ms/cm"."""
    key = text.strip().lower().translate(_UNIT_CHARACTERS)
    key = re.sub(r"[\s·⋅.*^{}$\\_]", "", key)
    key = re.sub(r"(cm|min|mol|ohm|[ωmhs])-1", r"/\1", key)
    return _UNIT_SYNONYMS.get(key, key)


@dataclass(frozen=True)
class UnitConversion:
    """A conversion into the unit of a column: ``factor * number + shift``, or of ``10**number`` for logarithms."""

    factor: float = 1.0
    shift: float = 0.0
    is_logarithm: bool = False

    def convert(self, number: float) -> float:
        """Return the converted number, rounded to 12 digits to hide the binary rounding error."""
        power = 10.0 ** min(number, 300.0) if self.is_logarithm else number
        return float(f"{power * self.factor + self.shift:.12g}")

    def for_numbers(self, numbers: Iterable[float]) -> UnitConversion:
        """Return the conversion with 273 instead of 273.15 if all are whole numbers: 1123 K is meant as 850 °C."""
        if self.shift == -ZERO_CELSIUS_K and all(number == int(number) for number in numbers):
            return replace(self, shift=-273.0)
        return self


def unit_conversion(column: Column, unit: str) -> UnitConversion | None:
    """Return the conversion from a unit into the column's unit; None if the column cannot have the unit."""
    key = normalize_unit(unit)
    if column.unit and key == column.unit.lower():
        return UnitConversion()
    known = OTHER_UNITS.get((column.unit, key))
    return None if known is None else UnitConversion(*known)


@dataclass(frozen=True)
class ParsedColumnName:
    """The content of a column name such as "conductivity at 60 °C (mS/cm)"."""

    #: The columns of the vocabulary that the name may refer to.
    candidates: tuple[Column, ...]
    conversion: UnitConversion = UnitConversion()
    #: Values of other columns that are part of the name: a measurement temperature, the unit of an amount.
    implied_values: Mapping[Column, str | float] = field(default_factory=dict)
    #: The unit in the name, if the column cannot have it.
    unknown_unit: str = ""

    @property
    def column(self) -> Column:
        """The first candidate."""
        return self.candidates[0]

    @property
    def is_certain(self) -> bool:
        """Whether there is one candidate, and its unit is known."""
        return len(self.candidates) == 1 and not self.unknown_unit


@lru_cache(maxsize=2000)
def parse_column_name(name: str) -> ParsedColumnName | None:
    """Return the column, unit and implied values in a column name; None if it resembles no known name."""
    if name in COLUMNS:
        return ParsedColumnName((COLUMNS[name],))
    if not name.strip() or len(name) > LONGEST_NAME:
        return None
    text = name.strip().strip("\"'").strip()
    if match := _LOGARITHM.fullmatch(text):
        inner = parse_column_name(match[1][1:-1] if re.fullmatch(r"\([^()]*\)", match[1]) else match[1])
        if inner is not None and inner.column is Column.CONDUCTIVITY_TOTAL_S_CM:
            return replace(inner, conversion=replace(inner.conversion, is_logarithm=True))
    implied_values: dict[Column, str | float] = {}
    if match := _MEASUREMENT_TEMPERATURE.search(text):
        temperature = float(match[1] or match[3])
        is_kelvin = (match[2] or match[4]).lower() == "k"
        implied_values[Column.MEASUREMENT_TEMPERATURE_C] = (
            temperature - ZERO_CELSIUS_K if is_kelvin else temperature
        )
        text = text[: match.start()] + text[match.end() :]
    with_unknown_unit: ParsedColumnName | None = None
    for words, unit in _split_unit(text):
        candidates = _columns_by_words(words, unit)
        if not candidates:
            continue
        parsed = _parse_unit(candidates, unit, implied_values)
        if not parsed.unknown_unit:
            return parsed
        with_unknown_unit = with_unknown_unit or parsed
    return with_unknown_unit


def _parse_unit(
    candidates: tuple[Column, ...], unit: str, implied_values: Mapping[Column, str | float]
) -> ParsedColumnName:
    column = candidates[0]
    if column not in CONDUCTIVITIES:
        implied_values = {}
    if not unit or column.kind is not Kind.NUMBER:
        return ParsedColumnName(candidates, implied_values=implied_values)
    if column is Column.ADDITIVE_AMOUNT and normalize_unit(unit) in ADDITIVE_UNITS:
        return ParsedColumnName(candidates, implied_values={Column.ADDITIVE_UNIT: normalize_unit(unit)})
    conversion = unit_conversion(column, unit)
    if conversion is None:
        return ParsedColumnName(candidates, unknown_unit=unit)
    return ParsedColumnName(candidates, conversion, implied_values)


def _split_unit(text: str) -> Iterator[tuple[frozenset[str], str]]:
    """Yield the words of a name and its unit, once for each way to separate them."""
    if match := re.fullmatch(r"(.*?)\s*[(\[{]\s*(?:in\s+)?([^()\[\]{}]*)\s*[)\]}]\s*", text):
        if not is_unit(match[2]):
            yield _name_words(f"{match[1]} {match[2]}"), ""
        is_explanation = re.fullmatch(r"[^\W\d_]{4,}(\s.*)?", match[2]) and not is_unit(match[2])
        yield _name_words(match[1]), "" if is_explanation else match[2]
        if inner := re.fullmatch(r"(.*?)\s*[(\[{][^()\[\]{}]*[)\]}]\s*", match[1]):
            yield _name_words(inner[1]), match[2]
    for separator in (" / ", "/", ",", " in "):
        left, _, right = text.partition(separator)
        if is_unit(right) or (separator == " / " and right):
            yield _name_words(left), right
    parts = re.split(r"[\s_]+", text)
    for size in (3, 2, 1):
        unit = " ".join(parts[-size:])
        if len(parts) > size and is_unit(unit):
            yield _name_words(" ".join(parts[:-size])), unit
    yield _name_words(text), ""


def is_unit(text: str) -> bool:
    """Return whether a text is a unit that any column may have."""
    return normalize_unit(text) in _ALL_UNITS


def _name_words(text: str) -> frozenset[str]:
    """Return the words of a name in lower case, except T (temperature) and t (time)."""
    words = re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", text))
    lower = (word if word in {"T", "t"} else word.lower() for word in words)
    return frozenset(_WORD_SYNONYMS.get(word, word) for word in lower) - {""}


def _columns_by_words(words: frozenset[str], unit: str) -> tuple[Column, ...]:
    """Return the columns that words may name; T is a temperature and t a time, unless the unit contradicts."""
    letters = words & {"T", "t"}
    if letters:
        rest, unit = words - {"T", "t"}, normalize_unit(unit)
        is_time = ("h", unit) in OTHER_UNITS or unit == "h"
        is_temperature = ("°C", unit) in OTHER_UNITS or unit == "°c"
        if not (is_time or is_temperature) and letters == {"t"} and rest & {"sintering", "calcination"}:
            process = "SINTERING" if "sintering" in rest else "CALCINATION"
            return Column[f"{process}_TEMPERATURE_C"], Column[f"{process}_TIME_H"]
        words = rest | {"time" if is_time or (letters == {"t"} and not is_temperature) else "temperature"}
    if words == {"temperature"}:
        return Column.SINTERING_TEMPERATURE_C, Column.CALCINATION_TEMPERATURE_C, Column.MEASUREMENT_TEMPERATURE_C
    if words == {"size"}:
        return Column.PARTICLE_SIZE_UM, Column.GRAIN_SIZE_UM
    column = _COLUMN_BY_WORDS.get(words)
    # The single letters a and c name a lattice parameter only together with its unit.
    if column in (Column.LATTICE_A_ANGSTROM, Column.LATTICE_C_ANGSTROM) and len(words) == 1 and not unit:
        return ()
    # A density in g/cm³ is not the relative density.
    if column is Column.RELATIVE_DENSITY_PCT and unit and unit_conversion(column, unit) is None:
        return ()
    return () if column is None else (column,)


#: Roles of the columns that a laboratory's table may have.
_LABORATORY_ROLES = set(Role) - {
    Role.PREDICTION, Role.OWN, Role.NEIGHBOUR, Role.SCREENING, Role.POSITION, Role.BIBLIOGRAPHY,
}  # fmt: skip
_ALL_UNITS = {*(unit for _, unit in OTHER_UNITS), *(c.unit.lower() for c in Column if c.unit), *ADDITIVE_UNITS}
_COLUMN_BY_WORDS: dict[frozenset[str], Column] = {
    words: column
    for column in columns_of(*_LABORATORY_ROLES)
    for name in (column.label, *_COLUMN_SYNONYMS.get(column, "").split(","), column.short_name)
    if (words := _name_words(name))
}


_NOT_ALPHANUMERIC = re.compile(r"[\W_]+")
_BRACKETS = re.compile(r"[(\[{][^)\]}]*[)\]}]")


def normalize_name(name: object) -> str:
    """Return a column name in lower case, with underscores and without brackets."""
    return _NOT_ALPHANUMERIC.sub("_", _BRACKETS.sub(" ", str(name)).lower()).strip("_")


def guess_column(name: object, columns: Iterable[Column] = Column, *, cutoff: float = 0.65) -> str:
    """Return the name of the column that a misspelled or free name most resembles; empty if there is none.

    `cutoff` is the least similarity (`difflib.SequenceMatcher.ratio`) of a name that is only similar.
    """
    known = {column.value: column.value for column in columns}
    parsed = parse_column_name(str(name))
    if parsed is not None and len(parsed.candidates) == 1:
        return known.get(parsed.column.value, "")
    if _GRAM_PER_CM3.search(str(name)):  # an absolute density has no column
        return ""
    for value in list(known):
        known.setdefault(COLUMNS[value].short_name, value)
    normalized = re.sub(r"temp(?=_|$)", "temperature", normalize_name(name))
    close = difflib.get_close_matches(normalized, known, n=1, cutoff=cutoff)
    return known[close[0]] if close else ""


#: The header is searched in this many rows.
MAX_HEADER_ROWS = 20
_NUMBER = re.compile(r"[+-]?\d+([.,]\d*)?([eE][+-]?\d+)?")
#: Error values of spreadsheets, which begin with # like comments.
_SPREADSHEET_ERROR = re.compile(r"#(N/A|NV|REF!|DIV/0!|VALUE!|NAME\?|NUM!|NULL!|WERT!|BEZUG!|ZAHL!)")
_UNNAMED = re.compile(r"(Unnamed: \d+(_level_\d+)?)?")

NumberedRows = Iterator[tuple[int, list[str]]]


def count_known_names(cells: Sequence[str]) -> int:
    """Return the number of cells that contain the name of a column."""
    return sum(parse_column_name(cell) is not None for cell in _header_names(cells[:MAX_COLUMNS]))


def _header_names(cells: Sequence[str]) -> list[str]:
    """Return the names in a header, without the # in front of a header that is commented out."""
    names = [cell.strip() for cell in cells]
    if names and names[0].startswith("#") and parse_column_name(names[0].lstrip("# ")):
        names[0] = names[0].lstrip("# ")
    return names


def find_header(
    rows: NumberedRows, file_name: str, *, allow_unnamed: bool = False
) -> tuple[int, list[str], list[str], NumberedRows]:
    """Find the header: the first row that names a column of formulas, or else the first that is not a comment.

    `rows` are the rows that are not blank, with their line numbers. Return the line of the header, its names,
    notes on the rows above, and the rows below.

    Raises
    ------
    UnreadableFileError
        If there is no header, or a name is repeated or missing.
    """
    first_rows = list(itertools.islice(rows, MAX_HEADER_ROWS))
    names = [_header_names(cells) for _, cells in first_rows]
    has_formula = [
        any((p := parse_column_name(cell)) and p.column is Column.FORMULA for cell in cells[:MAX_COLUMNS])
        for cells in names
    ]
    is_candidate = [not cells[0].startswith("#") or count_known_names(cells) > 0 for cells in names]
    if not any(is_candidate):
        raise UnreadableFileError(f"{file_name}: the file is empty")
    index = (has_formula if any(has_formula) else is_candidate).index(True)
    line, header = first_rows[index][0], names[index]
    while header and not header[-1]:
        header.pop()
    _check_header(header, line, file_name, allow_unnamed)
    skipped = [line for line, _ in first_rows[:index]]
    notes = [f"{join_numbers(skipped, 'line')} above the header skipped"] if skipped else []
    return line, header, notes, itertools.chain(first_rows[index + 1 :], rows)


def _check_header(header: list[str], line: int, file_name: str, allow_unnamed: bool) -> None:
    if not count_known_names(header) and any(_NUMBER.fullmatch(cell) for cell in header):
        raise UnreadableFileError(
            f"{file_name}, line {line}: the first row holds data, not column names; put the names of the columns"
            " (for example formula,sintering_temperature_c) above it"
        )
    check_unique_names(header, f"{file_name}, line {line}")
    if not allow_unnamed and "" in header[1:]:
        raise UnreadableFileError(f"{file_name}, line {line}: column {header.index('', 1) + 1} has no name")


def is_comment(cells: Sequence[str], header: Sequence[str]) -> bool:
    """Return whether a row below the header is a comment: it begins with #, but not as the name of a pellet."""
    first = cells[0].strip()
    if not first.startswith("#") or _SPREADSHEET_ERROR.fullmatch(first):
        return False
    parsed = parse_column_name(header[0]) if header else None
    is_pellet_id = parsed is not None and parsed.column is Column.PELLET_ID
    return not (is_pellet_id and len(cells) == len(header))


def drop_index_column(table: RawTable) -> RawTable:
    """Drop a first column without a name that counts the rows, or else name it as the pellets' column.

    Raises
    ------
    UnreadableFileError
        If it has no name, does not count the rows, and another column names the pellets.
    """
    frame = table.frame
    names = [str(name) for name in frame.columns]
    if not names or not _UNNAMED.fullmatch(names[0]):
        return table
    cells = [str(cell).strip() for cell in frame.iloc[:, 0]]
    if all(re.fullmatch(r"\d*", cell) for cell in cells):
        notes = ["the first column, which has no name, skipped as an index"] if any(cells) else []
        return replace(table, frame=frame.iloc[:, 1:]).with_notes(*notes)
    if Column.PELLET_ID in {parsed.column for name in names if (parsed := parse_column_name(name))}:
        raise UnreadableFileError(f"{table.name}: column 1 has no name")
    frame = frame.set_axis([Column.PELLET_ID.value, *names[1:]], axis="columns")
    note = f"the first column, which has no name, read as {Column.PELLET_ID}"
    return replace(table, frame=frame).with_notes(note)
