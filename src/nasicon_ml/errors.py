"""The errors that this package raises on purpose, and the hints in their messages."""

from __future__ import annotations

import difflib
import numbers
import re
import unicodedata
from collections.abc import Callable, Iterable


class NasiconError(Exception):
    """An error that the user can correct: the command line prints it without a traceback and exits with 2."""


class FieldError(NasiconError, ValueError):
    """A field has a value that is not allowed.

    Parameters
    ----------
    field
        The name of the column or option.
    value
        The given value.
    allowed
        A description of the allowed values.
    hint
        A sentence on what the user probably meant, if it can be guessed.
    place
        The file and line, or the row, if known.
    """

    def __init__(self, field: str, value: object, allowed: str, hint: str = "", place: str = "") -> None:
        self.field = field
        self.value = value
        self.allowed = allowed
        self.hint = hint
        self.place = place
        super().__init__(self.message)

    def __reduce__(self) -> tuple[type[FieldError], tuple[object, ...]]:
        """Rebuild the error from its arguments, also in another process."""
        return type(self), (self.field, self.value, self.allowed, self.hint, self.place)

    @property
    def message(self) -> str:
        """The message with place and hint."""
        name, allowed = plain_line(self.field, 80), plain_line(self.allowed)
        text = f"{name}: {format_value(self.value)} is not accepted; allowed: {allowed}"
        text = f"{plain_line(self.place)}: {text}" if self.place else text
        return f"{text}. {plain_line(self.hint)}" if self.hint else text


class FormulaError(FieldError):
    """A formula or shorthand that cannot be read as a NASICON composition."""


class SpaceError(FieldError):
    """A search space that cannot be read, or contains values that no recipe can have."""


class UnreadableFileError(NasiconError):
    """A file that cannot be read as a table; characters of the message that cannot be printed are escaped."""

    def __init__(self, message: str) -> None:
        super().__init__("\n".join(plain_line(line) for line in message.split("\n")))


class TableNote(UserWarning):
    """An assumption made in reading a table."""


class DatasetError(NasiconError):
    """The dataset on disk does not have the recorded checksum, or lacks the requested data."""


class BundleError(NasiconError):
    """A folder is not a usable model bundle."""


class TrackingError(NasiconError):
    """The MLflow store or server cannot do what is requested."""


class LeakageError(NasiconError, AssertionError):
    """A source is on both sides of a split. It is never caught, as scores of such a split are invalid."""


class MissingExtraError(NasiconError, ImportError):
    """An optional library is needed and not installed."""

    def __init__(self, library: str, extra: str, purpose: str) -> None:
        self._arguments = (library, extra, purpose)
        super().__init__(f"{purpose} needs {library}: pip install 'nasicon-ml[{extra}]'")

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str, str]]:
        """Rebuild the error from its arguments, also in another process."""
        return type(self), self._arguments


def format_value(value: object) -> str:
    """Return a value as text for a message, with at most 80 characters."""
    try:
        # The repr of a NumPy number would contain its type.
        text = str(value) if isinstance(value, numbers.Real) else repr(value)
    except ValueError:  # an integer of thousands of digits
        return f"a {type(value).__name__}"
    return f"{text[:77]}..." if len(text) > 80 else text


def plain_line(text: str, most: int = 2_000) -> str:
    """Return any text, such as a name from a file, so that a terminal can print it.

    Control characters and lone surrogates are escaped, and the middle of a text of more than `most` characters is
    left out.
    """
    if len(text) > most:
        text = f"{text[: most // 2]} ... {text[-most // 4 :]}"
    return (
        text if text.isprintable() else "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
    )


def nearest(word: str, choices: Iterable[str]) -> str:
    """Return a hint at the choice that is most similar to a word; empty if none is similar."""
    if len(word) > LONGEST_NAME:
        return ""
    known = {choice.lower(): str(choice) for choice in choices}
    close = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.6)
    return f"Did you mean {known[close[0]]!r}?" if close else ""


#: Characters that change the direction of the text behind them, which then looks like another text.
_BIDI_CHARACTERS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
#: Longer texts are not compared with names, which would be slow.
LONGEST_NAME = 100
#: The limit for cells of tables and fields of recipes; the longest note of the dataset has 409 characters.
MAX_CELL_CHARACTERS = 2_000


def text_problem(text: str) -> str:
    """Return the reason why a text cannot be a cell of a table, as a sentence; empty if it can.

    Control characters and lone surrogates cannot be shown or written.
    """
    if len(text) > MAX_CELL_CHARACTERS:
        return f"It has {len(text)} characters; {MAX_CELL_CHARACTERS} are the most."
    if text.isprintable():
        return ""
    for character in text:
        is_control = unicodedata.category(character) in {"Cc", "Cs"} and not character.isspace()
        if character in _BIDI_CHARACTERS or is_control:
            return f"It contains the character U+{ord(character):04X}, which cannot be shown."
    return ""


_POWER = re.compile(
    r"\s*([+-]?\d+(?:\.\d+)?)\s*[x\u00d7*\u00b7]\s*10\s*\^?\s*([-+\u2212\u2013]?\d+)\s*", re.IGNORECASE
)
_BOUND = re.compile(r"\s*([<>\u2264\u2265])=?\s*(\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*%?\s*", re.IGNORECASE)

_MINUS_SIGNS = str.maketrans("\u2212\u2013", "--")

#: Patterns of texts that are not plain numbers, and the hint for each; the first that matches counts.
_NUMBER_HINTS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (
        re.compile(r"\s*([1-9]\d{0,2}),(\d{3})\s*"),
        lambda m: f"Write {m[1]}{m[2]}, or {m[1]}.{m[2]}, whichever is meant.",
    ),
    (re.compile(r"\s*-?\d+,\d+\s*"), lambda _: "Write decimals with a point."),
    (
        re.compile(r"\s*[+-]?\d[\d_]*(\.[\d_]*)?([eE][+-]?[\d_]+)?\s*"),
        lambda _: "Write plain digits, without underscores, and decimals with a point.",
    ),
    (_POWER, lambda m: f"Write {m[1]}e{m[2].lstrip('+').translate(_MINUS_SIGNS)}."),
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
    """Return a hint at the plain form of a number such as ``1,5``, ``1x10-4`` or ``>90``; empty for other texts.

    `bound` is the column that marks the number as a bound, if there is one.
    """
    for pattern, hint in _NUMBER_HINTS:
        if match := pattern.fullmatch(text):
            return hint(match)
    if match := _BOUND.fullmatch(text):
        side = "upper" if match[1] in "<\u2264" else "lower"
        return f"Write {match[2]}, and {side} into {bound}." if bound else f"Write the number alone: {match[2]}."
    return ""
