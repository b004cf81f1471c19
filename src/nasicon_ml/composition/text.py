"""Text as people paste it into text as the parsers want it: plain ASCII, one space at a time, not too long."""

from __future__ import annotations

from nasicon_ml.columns import Column
from nasicon_ml.errors import FormulaError

MAX_LENGTH = 200
EXAMPLES = "a formula such as Li1.3Al0.3Ti1.7(PO4)3, or a shorthand such as LATP x=0.3"

# What word processors, journals and PDF readers make of plain characters.
_PLAIN = str.maketrans(
    {
        **dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True)),
        "₊": "+", "₋": "-", "₌": "=", "₍": "(", "₎": ")", "ₓ": "x", "\uff0e": ".",
        **dict.fromkeys("‐‑‒–—−﹣－", "-"),  # noqa: RUF001 - dashes that look like a minus are the point
        **dict.fromkeys("•∙⋅・‧●", "·"),
        **dict.fromkeys("\u00a0\u2002\u2003\u2007\u2008\u2009\u200a\u202f\t\n\r\f\v", " "),
        **dict.fromkeys("\u200b\u200c\u200d\ufeff\u00ad", ""),
    }
)  # fmt: skip


def refusal(text: object, allowed: str = EXAMPLES, hint: str = "") -> FormulaError:
    """Make the error for a formula: what was given, what is allowed, what to do."""
    return FormulaError(Column.FORMULA.value, text, allowed, hint)


def clean(text: object) -> str:
    """Bring a pasted formula to plain ASCII (and the middle dot).

    Parameters
    ----------
    text
        What the person gave.

    Returns
    -------
    str
        The text with plain digits and dashes, and single spaces.

    Raises
    ------
    FormulaError
        If it is not text, is empty or longer than `MAX_LENGTH`, or holds a character with no meaning here.
    """
    if not isinstance(text, str):
        raise refusal(text)
    if len(text) > MAX_LENGTH:
        raise refusal(text, f"at most {MAX_LENGTH} characters", f"This has {len(text)}.")
    plain = " ".join(text.translate(_PLAIN).split())
    if not plain:
        raise refusal(text, hint="It is empty.")
    strange = next((char for char in plain if not (char.isascii() and char.isprintable()) and char != "·"), None)
    if strange is not None:
        raise refusal(text, hint=f"The character {strange!r} (U+{ord(strange):04X}) has no meaning here.")
    return plain
