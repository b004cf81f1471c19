"""Properties of all compositions, tested with Hypothesis."""

from fractions import Fraction
from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nasicon_ml.composition import occupancies, parse
from nasicon_ml.errors import FormulaError
from tests.composition.strategies import DOPANTS, Balanced, any_nasicon_text, balanced, decimal, thousandths

FACTORS = [Fraction(n) for n in (1, 2, 3, 4, 7, 12)] + [Fraction(1, n) for n in (2, 4, 5, 8, 10)]


def _oxidation_states(drawn: Balanced) -> dict[str, float] | None:
    return {"Cu": 1} if "Cu" in drawn.amounts else None  # the default of copper is 2+


@settings(max_examples=200)
@given(balanced())
def test_x_and_substitution_of_balanced_composition_are_recovered(drawn: Balanced) -> None:
    composition = parse(drawn.text(), oxidation_states=_oxidation_states(drawn))
    assert composition.x == float(drawn.x)
    assert composition.charge_imbalance == 0
    assert composition.alkali_excess == 0
    assert composition.m_total == 2
    expected: dict[int, float] = {}
    for name, amount in drawn.amounts.items():
        if name in DOPANTS and DOPANTS[name] != 4:
            expected[DOPANTS[name]] = expected.get(DOPANTS[name], 0) + float(amount)
    assert composition.substitution_by_valence == pytest.approx(expected)


@given(balanced(), thousandths(-900, 900))
def test_alkali_excess_is_recovered(drawn: Balanced, excess: Fraction) -> None:
    alkali = next(iter(drawn.amounts))
    amount = drawn.amounts[alkali] + excess
    # The oxidation states of tin and niobium would balance the excess.
    assume(0 < amount <= 5 and "Sn" not in drawn.amounts and "Nb" not in drawn.amounts)
    changed = Balanced({**drawn.amounts, alkali: amount}, drawn.x)
    composition = parse(changed.text(), oxidation_states=_oxidation_states(drawn))
    assert composition.alkali_excess == float(excess)
    assert composition.charge_imbalance == float(excess)
    assert composition.x == float(drawn.x)


@given(balanced(), st.sampled_from(FACTORS))
def test_composition_does_not_depend_on_scale_of_formula(drawn: Balanced, scale: Fraction) -> None:
    assert parse(drawn.text(scale)) == parse(drawn.text())


@given(balanced(), st.randoms(use_true_random=False))
def test_composition_does_not_depend_on_order_of_elements(drawn: Balanced, random: Random) -> None:
    items = list(drawn.amounts.items())
    random.shuffle(items)
    shuffled = Balanced(dict(items), drawn.x)
    assert parse(shuffled.text()) == parse(drawn.text())
    assert parse(shuffled.text()).formula == parse(drawn.text()).formula


@settings(max_examples=400)
@given(any_nasicon_text())
def test_canonical_formula_round_trips(text: str) -> None:
    try:
        composition = parse(text)
    except FormulaError:
        assume(False)
    reparsed = parse(composition.formula)
    assert reparsed == composition
    assert reparsed.formula == composition.formula
    assert sum(composition.t_site.values()) == pytest.approx(3, abs=1e-12)


@given(st.sampled_from(["LATP", "LAGP", "LScTP", "NAGP", "LAZP"]), thousandths(1, 2000))
def test_x_of_shorthand_is_recovered(name: str, x: Fraction) -> None:
    composition = parse(f"{name} x={decimal(x)}")
    assert composition.x == float(x)
    assert composition.charge_imbalance == 0
    assert composition == parse(name, x=float(x))


@settings(max_examples=50)
@given(st.lists(any_nasicon_text(), min_size=1, max_size=8))
def test_arrays_equal_attributes_of_compositions(texts: list[str]) -> None:
    compositions = []
    for text in texts:
        try:
            compositions.append(parse(text))
        except FormulaError:
            continue
    assume(compositions)
    table = occupancies([composition.formula for composition in compositions])
    for name in ("x", "alkali_excess", "charge_imbalance", "m_total"):
        expected = [getattr(composition, name) for composition in compositions]
        assert table.per_row(getattr(table, name)) == pytest.approx(expected, abs=2e-9)
    assert list(table.per_row(table.systems)) == [composition.system for composition in compositions]
