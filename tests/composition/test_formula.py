import pytest

from nasicon_ml.composition.formula import format_amount, read_amounts
from nasicon_ml.errors import FormulaError


@pytest.mark.parametrize(
    ("formula", "amounts"),
    [
        ("LiTi2(PO4)3", {"Li": 1, "Ti": 2, "P": 3, "O": 12}),
        ("Li(Ti(PO4)1.5)2", {"Li": 1, "Ti": 2, "P": 3, "O": 12}),
        ("Li[Ti2]{P3O12}", {"Li": 1, "Ti": 2, "P": 3, "O": 12}),
        ("Li0.5Li.5Ti0P1", {"Li": 1, "P": 1}),
        ("Li5e-05O", {"Li": 5e-05, "O": 1}),
        ("Li1.1179999999999999O", {"Li": 1.118, "O": 1}),
        ("(Li2SO4)0.6(LiPO3)0.4", {"Li": 1.6, "S": 0.6, "O": 3.6, "P": 0.4}),
    ],
)
def test_read_amounts_sums_elements_over_brackets(formula: str, amounts: dict[str, float]) -> None:
    assert read_amounts(formula) == pytest.approx(amounts)


@pytest.mark.parametrize(
    ("formula", "hint"),
    [
        ("Lx2", "'Lx' is not an element"),
        ("Xx2", "'Xx' is not an element"),
        ("Ox3", "'x' after 'O' is not an element or number"),
        ("Alumina", "'Alumina' is not part of a formula"),
        ("2LiO", "The number '2' follows no element or bracket"),
        ("Li1.3.3O", "The number '.3' follows no element or bracket"),
        ("(3LiO)", "The number '3' follows no element or bracket"),
        ("(LiO", "'(' is never closed"),
        ("LiO)", "')' closes no bracket"),
        ("(LiO]", "']' closes no bracket"),
        ("Li()O", "A bracket is empty"),
        ("((((((((Li))))))))", "Brackets are nested more than 6 deep"),
        ("Li0O0", "too large, too small, or all zero"),
        ("Li999999O999999", "too large, too small, or all zero"),
        ("Li-1O", "'-1O' is not part of a formula"),
    ],
)
def test_invalid_formula_raises_with_hint(formula: str, hint: str) -> None:
    with pytest.raises(FormulaError) as caught:
        read_amounts(formula)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("value", "text"), [(1.0, "1"), (0.30000000000000004, "0.3"), (1e-9, "0.000000001"), (12, "12")]
)
def test_format_amount_writes_no_exponents(value: float, text: str) -> None:
    assert format_amount(value) == text
