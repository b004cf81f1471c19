"""Hypothesis strategies for odd texts, formulas, values and column names."""

from __future__ import annotations

import datetime as dt
import decimal
import fractions
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from nasicon_ml.columns import RECIPE, Column
from tests.composition.strategies import any_nasicon_text, formula_like
from tests.recipe.strategies import FORMULAS

MEGABYTE = 1_000_000

#: Texts that other programs would execute, open, expand or misread.
HOSTILE = [
    "=cmd|' /C calc'!A0", "+1+1", "-2+3+cmd|' /C calc'!A0", "@SUM(1+1)*cmd|' /C calc'!A0", "\t=1+1",
    "=HYPERLINK(1)",
    "$(id)", "`id`", "; rm -rf /", "| cat", "../../etc/passwd", "/dev/zero", "file://localhost/etc/passwd",
    "__import__('os').system('id')", "{{7*7}}", "${jndi:ldap://x}", "%s%s%n", "{0.__class__}",
    "'; DROP TABLE pellets;--",
    "<script>alert(1)</script>", "\x1b[2J\x1b]0;title\x07", "\x00", "LTP\x00", "\x7f", "\x9b31m", "\ud800",
    "LTP\udfff",
    "\ufeffLTP", "\u202eLTP", "L\u0301TP", "\u200bLTP", "L\u0422P",
    "\uff2c\uff49\uff11\uff0e\uff13", "٣", "½", "∞", "🧪", "\ufffe", "\r\n",
    "a\r=1",
    "nan", "NaN", "inf", "-inf", "Infinity", "1e400", "-1e400", "1e-400", "0x10", "1_000", "1,5", "١٢", "9" * 400,
    "9" * 5000,
    "800 °C", "800C", "1073 K", "2 h", "120 min", "10 nm", "<90", ">5", "5±1", "1x10-4", "800-900", "~800",
    "1:30", "010",
    "true", "True", "NO", "null", "None", "undefined", "NULL", "#N/A", "#REF!", "2020-01-01", "01.02.2020",
    "12:30",
    "[1, 2]", "{'a': 1}", "[[[[[[[[", "!!python/object/apply:os.system ['id']", "&a [*a]", "*a", "<<: {}", "|",
    ">", "- ", "? ",
]  # fmt: skip
#: Incomplete, malformed or unsupported formulas.
NEARLY_VALID_FORMULAS = [
    "LATP", "LATP 0.3", "LATP x=", "LATP x=nan", "LATP x=inf", "LATP x=1e400", "LATP x=-0.1", "LATP x=0.3, x=0.4",
    "LATP x=1/0", "LATP x=0/0", "LATP x=0.3 +", "LATP x=0.3 + 2 wt%", "LATP x=0.3 + -2 wt% LiF",
    "LATP x=0.3 + 200 wt% LiF",
    "LATP x=0.3 + 1e400 wt% LiF", "LATP x=0.3 + 2 wt% LiF + 3 wt% B2O3", "Li1.3Al0.3Ti1.7(PO4",
    "Li1.3Al0.3Ti1.7PO4)3",
    "((((((((LTP))))))))", "Li0Ti0(PO4)0", "Li1e400Ti2(PO4)3", "Li99999999Ti2(PO4)3", "LiTi2(P04)3",
    "LiTi2(PO4)3.",
    "LiTi2(PO4)3-", "LiTi2(PO4)3-x", "LiTi2(PO4)3-0.05", "Li1+xAlxTi2-x(PO4)3", "Li1+xAlxTi2-x(PO4)3, x=5",
    "Li1+x+x+x",
    "Li((((x))))", "Li(1+x", "Lix/0Ti2(PO4)3, x=1", "Li1.3M0.3Ti1.7(PO4)3", "Li1.3M0.3Ti1.7(PO4)3, M=Xx", "M=M",
    "x=x",
    "LiFePO4", "NaCl", "H2O", "Uuo", "(PO4)3", "PO4", "Ti2(PO4)3", "Li", "3Li", ".", "+", "-", "·", "%", "%%",
    "=", ",", "()",
    "LTP" * 60, "LATP x=0." + "3" * 150, "Li1.3Al0.3Ti1.7(PO4)3" * 9, "Li" * 99, "(" * 199, "x=1," * 49, "1" * 199,
]  # fmt: skip
#: Very long texts: what is repeated, and how often.
LONG_TEXT_PARTS = [
    ("Li", 500_000),
    ("(", MEGABYTE),
    ("1", MEGABYTE),
    ("LATP x=0.3 ", 100_000),
    ("é", 500_000),
    (" ", MEGABYTE),
    ("\x00", 99_999),
]

any_text = st.text(st.characters(), max_size=60)
surrogates = st.text(st.characters(categories=["Cs", "Cc", "Cf", "L", "N"]), min_size=1, max_size=12)
long_text = st.sampled_from(LONG_TEXT_PARTS).map(lambda part: part[0] * part[1])


@st.composite
def damaged(draw: st.DrawFn, texts: st.SearchStrategy[str], odd: str = "()[]=+-x0.,%·{}\x00\ud800é \n\"'") -> str:
    """Draw a text and delete, repeat, reverse, insert or change the case of some characters."""
    text = draw(texts)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 6)))
        part = text[start:end]
        change = draw(st.sampled_from(["delete", "repeat", "reverse", "insert", "swap case"]))
        new = {
            "delete": "",
            "repeat": part * 3,
            "reverse": part[::-1],
            "insert": part + draw(st.sampled_from(odd)),
            "swap case": part.swapcase(),
        }[change]
        text = text[:start] + new + text[end:]
    return text


odd_formula = st.one_of(
    damaged(st.sampled_from([*FORMULAS, *NEARLY_VALID_FORMULAS[:12]])),
    damaged(any_nasicon_text()),
    formula_like,
    st.sampled_from(NEARLY_VALID_FORMULAS),
    st.sampled_from(HOSTILE),
    any_text,
    surrogates,
)
odd_text = st.one_of(st.sampled_from(HOSTILE), any_text, surrogates)

#: Numbers that are not finite, out of range or of unusual types.
ODD_NUMBERS = [
    float("nan"), float("inf"), -float("inf"), -1, -273.16, -0.0, 0, 1e308, -1e308, 5e-324, 10**400, 10**5000,
    -(10**400), 1073.15,
    298.15, 2**63, 1e9, True, False, np.float32("nan"), np.float64("inf"), np.int8(-5), np.bool_(True),
    np.float16(6e4),
    decimal.Decimal("NaN"), decimal.Decimal("1e400"), decimal.Decimal("800"), fractions.Fraction(1, 3),
    fractions.Fraction(10**500), 1 + 2j, pd.NA, pd.NaT, pd.Timestamp("2020-01-01"), pd.Timedelta(1),
    np.datetime64("NaT"),
    dt.date(2020, 1, 1), dt.timedelta(1),
]  # fmt: skip
ODD_OBJECTS: list[Any] = [
    [], {}, (), set(), b"", b"800", bytearray(b"1"), object(), object, range(3), [800], {"value": 800},
    np.array([1, 2]),
    np.array(5.0), np.array("LTP"), pd.Series([1]), pd.DataFrame(), Ellipsis, NotImplemented, lambda: 800,
    Column.FORMULA,
    float, memoryview(b"1"), [[[[]]]],
]  # fmt: skip
odd_value = st.one_of(
    st.sampled_from(ODD_NUMBERS),
    st.sampled_from(ODD_OBJECTS),
    odd_text,
    st.floats(),
    st.integers(-(10**20), 10**20),
    st.binary(max_size=5),
)
odd_name = st.one_of(
    st.sampled_from([column.value for column in Column if column not in RECIPE]),
    st.sampled_from(
        ["Formula", "formula ", "temperature", "sintering_temp", "x", "system", "", " ", "__class__", "self"]
    ),
    damaged(st.sampled_from([column.value for column in RECIPE])),
    odd_text,
)
