import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasicon_ml.composition import parse
from nasicon_ml.errors import FormulaError
from tests.composition.strategies import formula_like


def test_x_can_be_an_argument() -> None:
    assert parse("LATP", x=0.3) == parse("LATP x=0.3")
    assert parse("Li1+xAlxTi2-x(PO4)3", x=0.3) == parse("LATP x=0.3")
    assert parse("LATP x=0.3", x=0.3) == parse("LATP x=0.3")


def test_substitute_can_be_an_argument() -> None:
    assert parse("Li1.3M0.3Ti1.7(PO4)3", substitute={"M": "Sc"}) == parse("LScTP x=0.3")
    assert parse("LMTP", x=0.3, substitute={"M": "Sc"}) == parse("LScTP x=0.3")


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("LATP x=0.3", {"x": 0.4}, "one value of x. The text says 0.3, x is 0.4"),
        ("LiTi2(PO4)3", {"x": 0.4}, "x is given, but the formula has no x"),
        ("LTP", {"x": 0.4}, "LTP has no x"),
        ("LATP", {"x": math.nan}, "a number for x"),
        ("LATP", {"x": math.inf}, "a number for x"),
        ("LATP", {"x": "0.3"}, "a number for x. It is '0.3' here"),
        ("LATP", {"x": True}, "a number for x"),
        ("LATP", {"x": 1e308}, "x from -10 to 10"),
        ("LiTi2(PO4)3", {"substitute": {"M": "Sc"}}, "M is given, but the formula has no M"),
        ("Li1.3M0.3Ti1.7(PO4)3, M=Y", {"substitute": {"M": "Sc"}}, "one element for M. It is Y in the text"),
        ("Li1.3M0.3Ti1.7(PO4)3", {"substitute": {"M": "scandium"}}, "one element symbol for M"),
        ("Li1.3M0.3Ti1.7(PO4)3", {"substitute": {"M": 3}}, "one element symbol for M"),
        ("Li1.3M0.3Ti1.7(PO4)3", {"substitute": {"Q": "Sc"}}, "place holders M, Me, Ln. 'Q' is none of them"),
    ],
)
def test_invalid_arguments_raise(text: str, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(FormulaError) as caught:
        parse(text, **arguments)  # type: ignore[arg-type]
    assert message in str(caught.value)


def test_error_has_field_and_value() -> None:
    with pytest.raises(FormulaError) as caught:
        parse("Li1.3Al0.3Ti1.7(PO4")
    assert caught.value.field == "formula"
    assert caught.value.value == "Li1.3Al0.3Ti1.7(PO4"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("Li1.3Al0.3Ti1.7(P04)3", "Did you mean PO4 with the letter O?"),
        ("Na3Zr2(Si04)2(PO4)", "Did you mean SiO4 with the letter O?"),
        ("LiTi2P3012", "Did you mean P3O12 with the letter O?"),
        ("LiTi2P3012F0.1 + 2 wt% Li2O", "Did you mean P3O12 with the letter O?"),
        ("LATP 0.3", "write LATP x=0.3."),
        ("LATP0.3", "write LATP x=0.3."),
        ("latp (0.3)", "write LATP x=0.3."),
        ("LAGP-0.5", "write LAGP x=0.5."),
        ("LTP 0.3", "'LTP' is not an element"),
    ],
)
def test_message_about_typing_error_suggests_correction(text: str, hint: str) -> None:
    with pytest.raises(FormulaError) as caught:
        parse(text)
    assert hint in str(caught.value)


def test_amount_below_one_is_not_taken_for_a_typing_error() -> None:
    assert parse("Li1Ti2P0.5P2.5O12") == parse("LTP")


@pytest.mark.parametrize("value", [None, 3, ["LTP"], {"LTP": 1}, b"LTP"])
def test_input_other_than_text_raises(value: object) -> None:
    with pytest.raises(FormulaError):
        parse(value)  # type: ignore[arg-type]


def _assert_round_trip_or_error(text: str) -> None:
    try:
        composition = parse(text)
    except FormulaError as error:
        assert str(error).startswith("formula: ")  # noqa: PT017 - most examples are refused, some are not
    else:
        assert parse(composition.formula) == composition


@given(st.text(max_size=250))
def test_any_text_round_trips_or_raises_formula_error(text: str) -> None:
    _assert_round_trip_or_error(text)


@settings(max_examples=300)
@given(formula_like)
def test_formula_like_text_round_trips_or_raises_formula_error(text: str) -> None:
    _assert_round_trip_or_error(text)


@settings(max_examples=300)
@given(
    st.sampled_from(["LATP x=0.3", "Li1+xAlxTi2-x(PO4)3, x=0.4", "Li1.5Al0.5Ge1.5(PO4)3-0.05Li2O + 2 wt% LiF"]),
    st.data(),
)
def test_damaged_formula_round_trips_or_raises_formula_error(text: str, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(start + 3, len(text))))
        text = text[:start] + data.draw(formula_like.filter(lambda piece: len(piece) < 6)) + text[end:]
    _assert_round_trip_or_error(text)


@pytest.mark.parametrize(
    "text",
    [
        "1" * 199 + "%", "1 " * 99 + "%", "Li1 " * 49 + "%", "x=" * 100, "x=1," * 50, "(" * 200, "Li1+(" * 40,
        "with " * 40, ", " * 100, "- " * 99 + "%", "1.1" * 60 + "%", "+ " * 90 + "1 wt% LiF", "[]" * 90 + "x=1",
        "Li1e308Ti2(PO4)3", "Li" + "9" * 150 + "Ti2(PO4)3", "Li0." + "0" * 150 + "1Ti2(PO4)3", "1e308", "nan",
        "((((((Li999999)999999)999999)999999)999999)999999)999999Ti2(PO4)3", "LATP x=1e308",
        "inf", "LATP x=0." + "1" * 100,
    ],
)  # fmt: skip
def test_hostile_text_raises_formula_error(text: str) -> None:
    with pytest.raises(FormulaError):
        parse(text)


@pytest.mark.parametrize("x", [10**400, 10**5000, float("inf"), float("nan"), True, "0.3"], ids=range(6))
def test_invalid_x_raises(x: object) -> None:
    with pytest.raises(FormulaError, match="allowed: a number for x"):
        parse("Li1+xAlxTi2-x(PO4)3", x=x)  # type: ignore[arg-type]


def test_phosphorus_amount_ending_in_012_is_not_read_as_oxygen() -> None:
    assert parse("Li1.046988Ti2Si0.046988P2.953012O12").t_site == {"Si": 0.046988, "P": 2.953012}
    assert parse("Li1.046988Ti2P2.953012Si0.046988O12").t_site == {"Si": 0.046988, "P": 2.953012}
    assert parse("O12P2.953012Si0.046988Ti2Li1.046988").t_site == {"Si": 0.046988, "P": 2.953012}
