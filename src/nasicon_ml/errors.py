"""The errors this package raises on purpose: what was given, what is allowed, what to do."""

from __future__ import annotations

import difflib
import numbers
import re
import unicodedata
from collections.abc import Callable, Iterable


class NasiconError(Exception):
    """Anything a user can mend: the command line prints it without a traceback and exits with 2."""


class FieldError(NasiconError, ValueError):
    """One field holds a value that is not allowed.

    Parameters
    ----------
    field
        The column's name, as a person writes it in a table.
    value
        What was given.
    allowed
        What would be accepted, in words.
    hint
        What the person probably meant, if that can be guessed.
    place
        Where it stands, if that is known: file and line, or row.
    """

    def __init__(self, field: str, value: object, allowed: str, hint: str = "", place: str = "") -> None:
        self.field = field
        self.value = value
        self.allowed = allowed
        self.hint = hint
        self.place = place
        super().__init__(self.message)

    def __reduce__(self) -> tuple[type[FieldError], tuple[object, ...]]:
        """Rebuild it from what it was made of, as another process does that gets it out of a pool."""
        return type(self), (self.field, self.value, self.allowed, self.hint, self.place)

    @property
    def message(self) -> str:
        """The whole message, with the place."""
        name, allowed = plain_line(self.field, 80), plain_line(self.allowed)
        text = f"{name}: {shown(self.value)} is not accepted; allowed: {allowed}"
        text = f"{plain_line(self.place)}: {text}" if self.place else text
        return f"{text}. {plain_line(self.hint)}" if self.hint else text


class FormulaError(FieldError):
    """A formula or shorthand that cannot be read as a NASICON composition."""


class SpaceError(FieldError):
    """A search space that says something which no recipe can have, or which cannot be understood."""


class UnreadableFileError(NasiconError):
    """A file that cannot be read as the table it should be; what a library says of its bytes is made printable."""

    def __init__(self, message: str) -> None:
        super().__init__("\n".join(plain_line(line) for line in message.split("\n")))


class TableNote(UserWarning):
    """How a table was understood, where that goes without saying for nobody."""


class DatasetError(NasiconError):
    """The dataset on disk is not the one whose checksum is recorded, or lacks what is asked of it."""


class BundleError(NasiconError):
    """A folder that is not a usable model bundle."""


class TrackingError(NasiconError):
    """The MLflow store or server that was named cannot do what is asked of it."""


class LeakageError(NasiconError, AssertionError):
    """A source stands on both sides of a split. Never caught: no score may come out of such a split."""


class MissingExtraError(NasiconError, ImportError):
    """An optional library is needed and absent."""

    def __init__(self, library: str, extra: str, purpose: str) -> None:
        self._given = (library, extra, purpose)
        super().__init__(f"{purpose} needs {library}: pip install 'nasicon-ml[{extra}]'")

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str, str]]:
        """Return what makes it again, in another process too."""
        return type(self), self._given


def shown(value: object) -> str:
    """Write a value as it stands in a message, in 80 characters at most."""
    try:
        # A number out of an array is written as the number it is.
        text = str(value) if isinstance(value, numbers.Real) else repr(value)
    except ValueError:  # a whole number of thousands of digits
        return f"a {type(value).__name__}"
    return f"{text[:77]}..." if len(text) > 80 else text


def plain_line(text: str, most: int = 2_000) -> str:
    """Write what may be anything, such as a name out of a file, so that it can be shown on a terminal.

    Characters that steer a terminal, and halves of a character, are written as escapes; what is too long loses its
    middle.
    """
    if len(text) > most:
        text = f"{text[: most // 2]} ... {text[-most // 4 :]}"
    return (
        text if text.isprintable() else "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
    )


def nearest(word: str, choices: Iterable[str]) -> str:
    """Return which of the choices the word resembles most, as a sentence; empty if it resembles none."""
    if len(word) > LONGEST_NAME:
        return ""
    known = {choice.lower(): str(choice) for choice in choices}
    close = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.6)
    return f"Did you mean {known[close[0]]!r}?" if close else ""


#: They turn the text that follows round, so that it is shown as another.
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
#: What is longer resembles no name, and comparing it would take its time.
LONGEST_NAME = 100
#: No cell of a table, and no field of a recipe, is longer; the longest note of the dataset has 409 characters.
MAX_CELL_CHARACTERS = 2_000


def text_problem(text: str) -> str:
    """Return why a text can be no cell of a table, as a sentence; empty if it can.

    Characters that steer a terminal, and halves of a character, can be neither shown nor written.
    """
    if len(text) > MAX_CELL_CHARACTERS:
        return f"It has {len(text)} characters; {MAX_CELL_CHARACTERS} are the most."
    if text.isprintable():
        return ""
    strange = [
        char
        for char in text
        if char in _DIRECTIONS or (unicodedata.category(char) in {"Cc", "Cs"} and not char.isspace())
    ]
    return f"The character U+{ord(strange[0]):04X} in it is none that can be shown." if strange else ""


_POWER = re.compile(
    r"\s*([+-]?\d+(?:\.\d+)?)\s*[x\u00d7*\u00b7]\s*10\s*\^?\s*([-+\u2212\u2013]?\d+)\s*", re.IGNORECASE
)
_BOUND = re.compile(r"\s*([<>\u2264\u2265])=?\s*(\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*%?\s*", re.IGNORECASE)


def _exponent(text: str) -> str:
    return text.lstrip("+").replace("\u2212", "-").replace("\u2013", "-")


#: What people mean by a number that is none, the first that fits.
_MEANT: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (
        re.compile(r"\s*([1-9]\d{0,2}),(\d{3})\s*"),
        lambda m: f"Write {m[1]}{m[2]}, or {m[1]}.{m[2]}, whichever is meant.",
    ),
    (re.compile(r"\s*-?\d+,\d+\s*"), lambda _: "Write decimals with a point."),
    (
        re.compile(r"\s*[+-]?\d[\d_]*(\.[\d_]*)?([eE][+-]?[\d_]+)?\s*"),
        lambda _: "Write plain digits, without underscores, and decimals with a point.",
    ),
    (_POWER, lambda m: f"Write {m[1]}e{_exponent(m[2])}."),
    (
        re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:-|\u2013|\.\.+|to)\s*(\d+(?:\.\d+)?)\s*\D{0,3}\s*", re.IGNORECASE),
        lambda m: f"Write one number, such as the middle: {(float(m[1]) + float(m[2])) / 2:g}.",
    ),
    (
        re.compile(r"\s*(?:[~\u2248]|ca\.?)?\s*(\d+(?:\.\d+)?)\s*(?:(?:\u00b1|\+/?-)\s*[\d.]+)?\s*"),
        lambda m: f"Write the number alone: {m[1]}.",
    ),
)


def number_hint(text: str, bound: str | None = None) -> str:
    """Return how a number is written that stands there as ``1,5``, ``1x10-4`` or ``>90``; else empty.

    Parameters
    ----------
    text
        The cell.
    bound
        The column that says whether the number is a bound, if there is one.
    """
    for pattern, words in _MEANT:
        if match := pattern.fullmatch(text):
            return words(match)
    if match := _BOUND.fullmatch(text):
        side = "upper" if match[1] in "<\u2264" else "lower"
        return f"Write {match[2]}, and {side} into {bound}." if bound else f"Write the number alone: {match[2]}."
    return ""
