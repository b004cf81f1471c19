import pytest

from nasicon_ml.composition import parse
from nasicon_ml.composition.reading import FormulaScanner
from nasicon_ml.errors import FormulaError


@pytest.mark.parametrize(
    ("general", "expected"),
    [
        ("Li1+xAlxTi2-x(PO4)3, x=0.4", "Li1.4Al0.4Ti1.6(PO4)3"),
        ("Li1+xAlxTi2-x(PO4)3 (x = 0.4)", "Li1.4Al0.4Ti1.6(PO4)3"),
        ("Li1+xAlxTi2-x(PO4)3 with X=.4", "Li1.4Al0.4Ti1.6(PO4)3"),
        ("Li1+xAlxTi2-x(PO4)3, x=2/5", "Li1.4Al0.4Ti1.6(PO4)3"),
        ("Li1+xAlxTi2-xP3O12; x=0.4", "Li1.4Al0.4Ti1.6(PO4)3"),
        ("Li1+2xMgxTi2-x(PO4)3, x=0.1", "Li1.2Mg0.1Ti1.9(PO4)3"),
        ("Li1+2*xMgxTi2-x(PO4)3, x=0.1", "Li1.2Mg0.1Ti1.9(PO4)3"),
        ("Li1-xTi2-xNbx(PO4)3, x=0.1", "Li0.9Nb0.1Ti1.9(PO4)3"),
        ("Li1+x/2Sc0.1Ti1.9(PO4)3, x=0.2", "Li1.1Sc0.1Ti1.9(PO4)3"),
        ("Li1+x+yAlxScyTi2-x-y(PO4)3, x=0.1, y=0.2", "Li1.3Al0.1Sc0.2Ti1.7(PO4)3"),
        ("Li1+(x+y)AlxScyTi2-(x+y)(PO4)3, x=0.1, y=0.2", "Li1.3Al0.1Sc0.2Ti1.7(PO4)3"),
        ("Li1+x+yAlxTi2-xSiyP3-yO12 x=0.3 y=0.2", "Li1.5Al0.3Ti1.7Si0.2P2.8O12"),
        ("Li1+x+yAlxTi2-x(SiO4)y(PO4)3-y x=0.3 y=0.2", "Li1.5Al0.3Ti1.7Si0.2P2.8O12"),
        ("Li1+y(PO4)3-y(SiO4)yTi2, y=0.2", "Li1.2Ti2Si0.2P2.8O12"),
        ("Na1+zZr2SizP3-zO12, z=2", "Na3Zr2Si2PO12"),
        ("Li1+0.3Al0.3Ti2-0.3(PO4)3", "Li1.3Al0.3Ti1.7(PO4)3"),
        ("Li1+x Dy x Ti2-x (PO4)3, x=0.1", "Li1.1Dy0.1Ti1.9(PO4)3"),
        ("Li1.3M0.3Ti1.7(PO4)3, M=Sc", "Li1.3Sc0.3Ti1.7(PO4)3"),
        ("Li1+xMxTi2-x(PO4)3, M=Cr, x=0.2", "Li1.2Cr0.2Ti1.8(PO4)3"),
        ("Li1.3Me0.3Ti1.7(PO4)3 (Me = Y)", "Li1.3Y0.3Ti1.7(PO4)3"),
        ("Li1.3Ln0.3Ti1.7(PO4)3 Ln=Lu", "Li1.3Lu0.3Ti1.7(PO4)3"),
        ("Li1.3Mg0.15Ti1.85(PO4)3", "Li1.3Mg0.15Ti1.85(PO4)3"),
        ("Li1+xAlxTi2-x(PO4)3, x=0", "LiTi2(PO4)3"),
    ],
)
def test_general_formula_is_evaluated(general: str, expected: str) -> None:
    assert parse(general).formula == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Li1+xAlxTi2-x(PO4)3", "The formula has x: say its value, as in ', x=0.4'"),
        ("Li1+x+yAlxTi2-x(PO4)3, x=0.3", "The formula has y: say its value"),
        ("Li1.3M0.3Ti1.7(PO4)3", "M stands for a dopant: say which, as in ', M=Sc'"),
        ("Li1+xAlxTi2-x(PO4)3, x=2.5", "amounts of zero or more. '2-x' is -0.5 here"),
        ("Li1-2xTi2(PO4)3, x=0.6", "'1-2x' is -0.2 here"),
        ("Li1+xAlxTi2-x(PO4)3, x=0,4", "Write decimals with a point"),
        ("Li1,3Al0,3Ti1,7(PO4)3", "Write decimals with a point"),
        ("Li1.3Al0.3Ti1.7(PO4)3, x=0.3", "x is given, but the formula has no x: all its amounts are numbers"),
        ("Li1+yAlyTi2-y(PO4)3, x=0.3, y=0.1", "x is given, but the formula has no x: it has y"),
        ("Li1.3Al0.3Ti1.7(PO4)3, M=Sc", "M is given, but the formula has no M"),
        ("Li1.3Al0.3Ti1.7(PO4)3, Ge=0.2", "Ge is given, but the formula has no Ge"),
        ("LiTi2(PO4)3, Q=0.3", "'Q' is none of them"),
        ("LiTi2(PO4)3, Mee=Sc", "Did you mean 'Me'"),
        ("Li1.3M0.3Ti1.7(PO4)3, M=Scc", "one element symbol for M. It is 'Scc' here. Did you mean 'Sc'"),
        ("Li1.3M0.3Ti1.7(PO4)3, M=0.3", "one element symbol for M"),
        ("Li1+xAlxTi2-x(PO4)3, x=Al", "a number for x. It is 'Al' here"),
        ("Li1+xAlxTi2-x(PO4)3, x=0.3, x=0.4", "x is given twice"),
        ("Li1+xAlxTi2-x(PO4)3, x=11", "x from -10 to 10. It is 11 here"),
        ("Li1+xAlxTi2-x(PO4)3, x=1/0", "divides by zero"),
        ("Li1+x/0AlxTi2-x(PO4)3, x=0.1", "A number was expected at"),
        ("Li1+2*AlTi2-x(PO4)3, x=0.1", "x, y or z was expected at"),
        ("Li1+Al0.3Ti1.7(PO4)3", "An amount was expected at 'Al0.3Ti1.7'"),
        ("Li1+(xAlxTi2-x(PO4)3, x=0.1", "A bracket inside an amount is never closed"),
        ("Li1+((((((((x))))))))Ti2(PO4)3, x=0.1", "Brackets are nested more than 6 deep"),
        ("Lii1.3Al0.3Ti1.7(PO4)3", "'Lii' is not an element. Did you mean 'Li'"),
        ("LI1.3AL0.3TI1.7(PO4)3", "'LI' is not an element. Did you mean 'Li'"),
        ("li1.3al0.3ti1.7(po4)3", "Element symbols begin with a capital letter"),
        ("Li1.3Qa0.3Ti1.7(PO4)3", "'Qa' is not an element"),
        ("2LiTi2(PO4)3", "A formula begins with an element, not with a number"),
        ("LiTi2(PO4)3 ?", "'?' was not expected"),
        ("LiTi2(PO4)3x=3", "Values are written after the formula"),
        ("x=0.3", "There is no formula in it"),
    ],
)
def test_invalid_general_formula_raises_with_hint(text: str, message: str) -> None:
    with pytest.raises(FormulaError) as caught:
        parse(text)
    assert message in str(caught.value)


def test_formula_is_not_evaluated_as_python() -> None:
    with pytest.raises(FormulaError):
        parse("__import__('os').abort()")
    with pytest.raises(FormulaError):
        parse("Li(9**9**9)Ti2(PO4)3")


@pytest.mark.parametrize(
    ("body", "formula", "rest"),
    [
        ("Li1.5Al0.5Ge1.5(PO4)3-0.05Li2O", "Li1.5Al0.5Ge1.5(PO4)3", "-0.05Li2O"),
        ("Li1.5Al0.5Ge1.5P3O12 + 0.05 Li2O", "Li1.5Al0.5Ge1.5P3O12", "+ 0.05 Li2O"),
        ("Li(PO4)3-xLi2O", "Li(PO4)3", "-xLi2O"),
        ("Li(PO4)3-xFx", "Li(PO4)2.5Fx", ""),
        ("Li·0.1LiF", "Li", "·0.1LiF"),
    ],
)
def test_scanner_separates_formula_from_second_phase(body: str, formula: str, rest: str) -> None:
    assert FormulaScanner(body, body, {"x": 0.5}, {}).scan() == (formula.replace("Fx", "F0.5"), rest)
