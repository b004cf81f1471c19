"""Formulas with markup, unusual notation or typing errors: parsed as meant, or refused with a suggestion."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.composition import parse
from nasicon_ml.composition.formula import ELEMENT_INDEX, SUPPORTED_ELEMENTS
from nasicon_ml.errors import FormulaError


@pytest.mark.parametrize(
    ("notation", "equivalent"),
    [
        ("Li1.3AI0.3Ti1.7(PO4)3", "LATP x=0.3"),
        ("LATP x=0.3 + 2 wt% AI2O3", "LATP x=0.3 + 2 wt% Al2O3"),
        ("Li(1+x)Al(x)Ti(2-x)(PO4)3, x=0.3", "LATP x=0.3"),
        ("Li(1+x)Al(x)Ti(2-x)(PO4)(3), x=0.3", "LATP x=0.3"),
        ("Na(1+x)Zr2Si(x)P(3-x)O12, x=2", "NZSP"),
        ("Li(1.3)Al(0.3)Ti(1.7)(PO4)3", "LATP x=0.3"),
        ("Li1+xAlxTi2(1-x)+x(PO4)3, x=0.3", "LATP x=0.3"),
        ("Li1.3Al0.3Ti1.7(PO4)3 (LATP)", "LATP x=0.3"),
        ("Li1.3Al0.3Ti1.7(PO4)3 [LATP-0.3]", "LATP x=0.3"),
        ("Li1.3Al0.3Ti1.7(PO4)3, LATP", "LATP x=0.3"),
        ("Li1.3Al0.3Ti1.7(PO4)3 (LATP) + 2 wt% LiF", "LATP x=0.3 + 2 wt% LiF"),
        ("Li1+xAlxTi2-x(PO4)3 (LATP, x=0.3)", "LATP x=0.3"),
        ("LATP (Li1+xAlxTi2-x(PO4)3, x=0.3)", "LATP x=0.3"),
        ("LATP: Li1.3Al0.3Ti1.7(PO4)3", "LATP x=0.3"),
        ("LAGP (Li1.5Al0.5Ge1.5(PO4)3)", "LAGP x=0.5"),
        ("Li<sub>1.3</sub>Al<sub>0.3</sub>Ti<sub>1.7</sub>(PO<sub>4</sub>)<sub>3</sub>", "LATP x=0.3"),
        ("Li<SUB>1.3</SUB>Al<sub class='s'>0.3</sub>&nbsp;Ti1.7(PO&#8324;)3", "LATP x=0.3"),
        ("Li$_{1.3}$Al$_{0.3}$Ti$_{1.7}$(PO$_4$)$_3$", "LATP x=0.3"),
        (r"$\mathrm{Li_{1.3}Al_{0.3}Ti_{1.7}(PO_4)_3}$", "LATP x=0.3"),
        (r"\ce{Li_{1+x}Al_{x}Ti_{2-x}(PO4)3}, x=0.3", "LATP x=0.3"),
        (r"$Li_{1.5}Al_{0.5}Ge_{1.5}(PO_4)_3 \cdot 0.05 Li_2O$", "LAGP x=0.5 + 0.05 Li2O"),
        ("Li_1.3Al_0.3Ti_1.7(PO_4)_3", "LATP x=0.3"),
        ("Ti5/3Al1/3P3O12Li4/3", "Li4/3Al1/3Ti5/3(PO4)3"),
    ],
)
def test_unusual_notation_is_parsed_like_standard_notation(notation: str, equivalent: str) -> None:
    assert parse(notation) == parse(equivalent)


@pytest.mark.parametrize(
    ("formula", "suggestion"),
    [
        ("LiTi1.9NB0.1(PO4)3", "Did you mean 'Nb'? N and B are written N1B."),
        ("Li1.3IN0.3Ti1.7(PO4)3", "Did you mean 'In'?"),
        ("LiHF2(PO4)3", "Did you mean 'Hf'?"),
        ("NA3Zr2Si2PO12", "Did you mean 'Na'?"),
        ("Na3Zr2SI2PO12", "Did you mean 'Si'?"),
        ("LATP x=0.3 + 2 wt% Li2C03", "Did you mean CO3 with the letter O?"),
        ("LiTi2(P04)3", "Did you mean PO4 with the letter O?"),
        ("Li1.3Al0.3Ti1.7P3O12/1LiF", "A slash does not state an amount: write a second phase as '+ 2 wt% LiF'"),
        ("Li1.3Al0.3Ti1.7(PO4)3/Li3BO3", "'+ 2 wt% Li3BO3'"),
        ("LiTi2(PO4)3.1Li2O", "Is the point a decimal point or does Li2O follow?"),
        ("Na3Zr2Si2PO12.1NaF", "'+ 0.1NaF' (formula units)"),
        ("Li1.3Al0.3Ti1.7(PO4)3\u00b72H2O", "leave '\u00b72H2O' out"),
        ("LiTi2(PO4)3.2H2O", "Water leaves long before sintering"),
        ("LATP x=0.3\u00b7nH2O", "leave '\u00b7nH2O' out"),
        ("LATP03", "write LATP x=0.3."),
        ("LATP 00.3", "write LATP x=0.3."),
        ("LAGP05", "write LAGP x=0.5."),
        ("LATP x 0.4", "write LATP x=0.4."),
        ("LATP x=30%", "30 % of one is x=0.3"),
        ("Li1+xAlxTi2-x(PO4)3, x = 30 %", "30 % of one is x=0.3"),
        ("Li1.3Al0.3Ti1.7(PO4)3 (LAGP)", "LAGP has Ge, which the formula lacks"),
        ("Li1.3Al0.3Ti1.7(PO4)3 with 10 mol% excess Li2CO3", "lithium_excess_pct (--lithium-excess)"),
        ("LATP x=0.3, 10 % Li excess", "belongs in lithium_excess_pct"),
        ("Li1.3Al0.3Ti1.7(PO4)3 (this work)", "Leave '(this work)' out"),
        ("Li1.2Fe<sup>3+</sup>0.2Ti1.8(PO4)3", "Charges are not written in a formula"),
    ],
)  # fmt: skip
def test_typing_error_raises_with_suggestion(formula: str, suggestion: str) -> None:
    with pytest.raises(FormulaError) as caught:
        parse(formula)
    assert suggestion in str(caught.value)


@pytest.mark.parametrize("groups", ["(PO4)2.9(BO3)0.1", "P2.9B0.1O11.9", "(PO4)2.9(BO4)0.1"])
def test_boron_that_replaces_phosphorus_is_tetrahedral(groups: str) -> None:
    composition = parse(f"Li1.3Al0.3Ti1.7{groups}")
    assert dict(composition.t_site) == {"P": 2.9, "B": 0.1}
    assert dict(composition.m_site) == {"Al": 0.3, "Ti": 1.7}
    assert parse(composition.formula) == composition


@given(
    st.sampled_from(
        sorted(symbol for symbol in SUPPORTED_ELEMENTS if len(symbol) == 2 and symbol[0] in ELEMENT_INDEX)
    )
)
def test_element_in_capitals_raises_with_suggestion(symbol: str) -> None:
    with pytest.raises(FormulaError) as caught:
        parse(f"Li1.3{symbol.upper()}0.3Ti1.7(PO4)3")
    assert f"Did you mean {symbol!r}?" in str(caught.value)


@given(st.floats(0.0, 0.6))
def test_brackets_around_amounts_do_not_change_the_composition(x: float) -> None:
    plain = f"Li1+xAlxTi2-x(PO4)3, x={x:.4f}"
    assert parse(plain.replace("1+x", "(1+x)").replace("2-x", "(2-x)").replace("Alx", "Al(x)")) == parse(plain)
