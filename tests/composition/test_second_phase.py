import pytest

from nasicon_ml.composition import SecondPhase, parse
from nasicon_ml.errors import FormulaError


@pytest.mark.parametrize(
    ("text", "main", "second"),
    [
        ("Li1.5Al0.5Ge1.5(PO4)3-0.05Li2O", "Li1.5Al0.5Ge1.5(PO4)3", ("Li2O", 0.05, "formula_unit")),
        ("Li1.5Al0.5Ge1.5(PO4)3 \u2013 0.05 Li2O", "Li1.5Al0.5Ge1.5(PO4)3", ("Li2O", 0.05, "formula_unit")),
        ("Li1.5Al0.5Ge1.5(PO4)3·0.05Li2O", "Li1.5Al0.5Ge1.5(PO4)3", ("Li2O", 0.05, "formula_unit")),
        ("Li1.5Al0.5Ge1.5(PO4)3-xLi2O, x=0.05", "Li1.5Al0.5Ge1.5(PO4)3", ("Li2O", 0.05, "formula_unit")),
        ("Li1.5Al0.5Ge1.5(PO4)3+2xLi2O, x=0.05", "Li1.5Al0.5Ge1.5(PO4)3", ("Li2O", 0.1, "formula_unit")),
        ("Li1.3Al0.3Ti1.7(PO4)3-xDy2O3, x=0.05", "Li1.3Al0.3Ti1.7(PO4)3", ("Dy2O3", 0.05, "formula_unit")),
        ("Li1+xAlxTi2-x(PO4)3-yLiF, x=0.3, y=0.1", "Li1.3Al0.3Ti1.7(PO4)3", ("LiF", 0.1, "formula_unit")),
        ("LAGP x=0.5 - 0.05 Li2O", "Li1.5Al0.5Ge1.5(PO4)3", ("Li2O", 0.05, "formula_unit")),
        ("LAGP-0.05Li2O, x=0.5", "Li1.5Al0.5Ge1.5(PO4)3", ("Li2O", 0.05, "formula_unit")),
        ("LATP x=0.3 + 2 wt% Al2O3", "Li1.3Al0.3Ti1.7(PO4)3", ("Al2O3", 2.0, "wt%")),
        ("LATP x=0.3, 2wt.% LiF", "Li1.3Al0.3Ti1.7(PO4)3", ("LiF", 2.0, "wt%")),
        ("LATP x=0.3 with 0.5 weight% of LiF", "Li1.3Al0.3Ti1.7(PO4)3", ("LiF", 0.5, "wt%")),
        ("Li1.3Al0.3Ti1.7(PO4)3 - 5 mol% B2O3", "Li1.3Al0.3Ti1.7(PO4)3", ("B2O3", 5.0, "mol%")),
        ("Li1.3Al0.3Ti1.7(PO4)3 + 4wt%(Li2SO4)0.6(LiPO3)0.4", "Li1.3Al0.3Ti1.7(PO4)3",
         ("(Li2SO4)0.6(LiPO3)0.4", 4.0, "wt%")),
        ("Na3Zr2Si2PO12 + 5 wt% Na2SiO3", "Na3Zr2Si2PO12", ("Na2SiO3", 5.0, "wt%")),
    ],
)  # fmt: skip
def test_second_phase_and_main_phase_are_parsed(text: str, main: str, second: tuple[str, float, str]) -> None:
    composition = parse(text)
    assert composition.second_phase == SecondPhase(*second)
    assert composition.main_phase == parse(main)
    assert parse(composition.formula) == composition


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("LATP x=0.3 + 2% Al2O3", "Say whether wt% or mol%"),
        ("LATP x=0.3 + 2 vol% Al2O3", "vol% is not read"),
        ("LATP x=0.3 + 2 wt%", "It does not name the phase: 2 wt% ..."),
        ("LATP x=0.3 + Al2O3", "How much is 'Al2O3'?"),
        ("LiTi2(PO4)3 -", "How much is ''?"),
        ("LATP x=0.3 + 2 wt% Alumina", "In 'Alumina': 'Alumina' is not part of a formula"),
        ("LATP x=0.3 + 120 wt% Al2O3", "In 'Al2O3': its amount must be a number from 0 to 100"),
        ("LiTi2(PO4)3-xLi2O, x=-1", "its amount must be a number from 0 to 100"),
        ("LATP x=0.3 + 2 wt% LiF + 3 wt% B2O3", "Only one second phase can be given"),
        ("LATP x=0.3 - 0.05Li2O + 2 wt% LiF", "Only one second phase can be given"),
        ("2 wt% LiF", "The per cent in it cannot be understood"),
        ("LAGP-yLi2O, x=0.5", "The formula has y: say its value"),
    ],
)
def test_invalid_second_phase_raises_with_hint(text: str, message: str) -> None:
    with pytest.raises(FormulaError) as caught:
        parse(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "text", ["LATP x=0.3 + 0 wt% Al2O3", "LATP x=0.3 - 0.0 mol% LiF", "Li1.3Al0.3Ti1.7(PO4)3-yLi2O, y=0"]
)
def test_second_phase_of_amount_zero_is_dropped(text: str) -> None:
    assert parse(text) == parse("LATP x=0.3")
