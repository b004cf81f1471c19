import pytest

from nasicon_ml.composition.formula import MAX_CHARACTERS, clean_formula
from nasicon_ml.errors import FormulaError


@pytest.mark.parametrize(
    ("pasted", "plain"),
    [
        ("Li₁.₃Al₀.₃Ti₁.₇(PO₄)₃", "Li1.3Al0.3Ti1.7(PO4)3"),
        ("Li1+xAlxTi2\u2212x(PO4)3", "Li1+xAlxTi2-x(PO4)3"),
        ("Li₁₊ₓAlₓTi₂₋ₓ(PO₄)₃", "Li1+xAlxTi2-x(PO4)3"),
        ("LAGP \u2013 0.05\u00a0Li2O", "LAGP - 0.05 Li2O"),
        ("LAGP∙0.05Li2O", "LAGP·0.05Li2O"),
        ("  LATP\t x=0.3\n", "LATP x=0.3"),
        ("\ufeffLTP\u200b", "LTP"),
    ],
)
def test_clean_formula_replaces_special_characters(pasted: str, plain: str) -> None:
    assert clean_formula(pasted) == plain


@pytest.mark.parametrize("text", ["LiTi2(PO4)3δ", "Li٣Ti2(PO4)3", "LiTi2(PO4)3\x00", "LiTi2(PO4)³"])
def test_message_about_invalid_character_names_it(text: str) -> None:
    with pytest.raises(FormulaError, match=r"The character .* \(U\+[0-9A-F]{4}\) has no meaning here"):
        clean_formula(text)


@pytest.mark.parametrize("text", ["", "   ", "\u200b"])
def test_empty_formula_raises(text: str) -> None:
    with pytest.raises(FormulaError, match="It is empty"):
        clean_formula(text)


@pytest.mark.parametrize("value", [None, 3, 1.5, ["LTP"], b"LTP"])
def test_input_other_than_text_raises(value: object) -> None:
    with pytest.raises(FormulaError, match="a formula such as"):
        clean_formula(value)


def test_too_long_formula_raises() -> None:
    assert clean_formula("L" * MAX_CHARACTERS)
    with pytest.raises(FormulaError, match=r"at most 200 characters\. This has 201"):
        clean_formula("L" * (MAX_CHARACTERS + 1))
