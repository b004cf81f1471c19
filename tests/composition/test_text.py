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
def test_pasted_text_becomes_plain(pasted: str, plain: str) -> None:
    assert clean_formula(pasted) == plain


@pytest.mark.parametrize("text", ["LiTi2(PO4)3δ", "Li٣Ti2(PO4)3", "LiTi2(PO4)3\x00", "LiTi2(PO4)³"])
def test_characters_without_meaning_are_named(text: str) -> None:
    with pytest.raises(FormulaError, match=r"The character .* \(U\+[0-9A-F]{4}\) has no meaning here"):
        clean_formula(text)


@pytest.mark.parametrize("text", ["", "   ", "\u200b"])
def test_empty(text: str) -> None:
    with pytest.raises(FormulaError, match="It is empty"):
        clean_formula(text)


@pytest.mark.parametrize("thing", [None, 3, 1.5, ["LTP"], b"LTP"])
def test_only_text(thing: object) -> None:
    with pytest.raises(FormulaError, match="a formula such as"):
        clean_formula(thing)


def test_length_is_limited() -> None:
    assert clean_formula("L" * MAX_CHARACTERS)
    with pytest.raises(FormulaError, match=r"at most 200 characters\. This has 201"):
        clean_formula("L" * (MAX_CHARACTERS + 1))
