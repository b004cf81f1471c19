import time

import pytest

from nasicon_ml.composition import CHARGE_TOLERANCE, parse
from nasicon_ml.composition.formula import ANION_CHARGES, OPTIONAL_TETRAHEDRAL_CATIONS, SUPPORTED_ELEMENTS
from nasicon_ml.composition.sites import TETRAHEDRAL_STATES, USUAL_STATES
from nasicon_ml.errors import FormulaError


def test_every_supported_cation_has_oxidation_states() -> None:
    assert set(USUAL_STATES) | set(ANION_CHARGES) | {"O"} == SUPPORTED_ELEMENTS
    assert set(TETRAHEDRAL_STATES) == {"Si", "P", *OPTIONAL_TETRAHEDRAL_CATIONS}


@pytest.mark.parametrize("element", sorted(USUAL_STATES))
def test_usual_states_are_oxidation_states_in_pymatgen(element: str) -> None:
    from pymatgen.core import Element

    known = set(Element(element).oxidation_states) | set(Element(element).icsd_oxidation_states)
    assert set(USUAL_STATES[element]) <= known


@pytest.mark.parametrize(
    ("formula", "element", "state"),
    [
        ("Li1.2Fe0.2Ti1.8(PO4)3", "Fe", 3),  # the default
        ("Li1.4Fe0.2Ti1.8(PO4)3", "Fe", 2),
        ("Li3V2(PO4)3", "V", 3),
        ("LiV2(PO4)3", "V", 4),
        ("Li0.9Ti1.9V0.1(PO4)3", "V", 5),
        ("Li0.95Ti1.95V0.05(PO4)3", "V", 5),  # 4+ would be within the tolerance, 5+ is exact
        ("Li0.976Ti1.973V0.027(PO4)3", "V", 5),  # both are within the tolerance, 5+ is nearer
        ("Li1.3Al0.3Ti1.7P2.9V0.1O12", "V", 5),  # on T
        ("Li1.5Al0.3As0.2Ti1.5(PO4)3", "As", 3),
        ("Li1.3Al0.3Te0.03Ti1.67(PO4)3", "Te", 4),
        ("LiSn2(PO4)3", "Sn", 4),
        ("LiAlSb(PO4)3", "Sb", 5),
        ("Na3.4Zr1.8Co0.2Si2PO12", "Co", 2),
        ("Na3Zr0.66667Fe1.33333P3O12", "Fe", 3),  # half way between 2+ and 3+: the default
        ("Li1.05Fe0.05Ti1.95(PO4)3", "Fe", 3),
        ("Li1.1Fe0.05Ti1.95(PO4)3", "Fe", 3),  # off by no more than the tolerance: the default
        ("LiTi1.9Mo0.05Ti0.05(PO4)3", "Mo", 4),
    ],
)
def test_oxidation_state_that_balances_the_charge_is_chosen(formula: str, element: str, state: int) -> None:
    assert parse(formula).oxidation_states[element] == state


def test_oxidation_states_do_not_depend_on_order_of_elements() -> None:
    # Either iron or ytterbium has to be 2+.
    assert parse("Li1.3Fe0.1Yb0.1Ti1.8(PO4)3") == parse("Li1.3Yb0.1Fe0.1Ti1.8(PO4)3")


def test_fewest_elements_deviate_from_their_default_state() -> None:
    # Either iron alone or europium and ytterbium together have to be 2+.
    states = parse("Li1.6Fe0.2Eu0.1Yb0.1Ti1.6(PO4)3").oxidation_states
    assert (states["Fe"], states["Eu"], states["Yb"]) == (2, 3, 3)


def test_many_elements_of_mixed_valence_take_little_time() -> None:
    mixed_valence = [element for element, states in USUAL_STATES.items() if len(states) > 1]
    text = "Li1.9" + "".join(f"{element}0.1" for element in mixed_valence) + "Ti0.2P3O12"
    start = time.process_time()
    composition = parse(text)
    assert time.process_time() - start < 10  # takes milliseconds; trying all combinations would take minutes
    assert {
        element for element in mixed_valence if composition.oxidation_states[element] != USUAL_STATES[element][0]
    }


def test_oxidation_state_can_be_set_by_number() -> None:
    composition = parse("Li3Ti2(PO4)3", oxidation_states={"Ti": 3})
    assert composition.oxidation_states["Ti"] == 3
    assert composition.charge_imbalance == 0
    assert composition.substitution_by_valence == {3: 2}


def test_oxidation_state_can_be_set_by_shares() -> None:
    composition = parse("Li2.5V2(PO4)3", oxidation_states={"V": {3: 0.75, 4: 0.25}})
    assert composition.oxidation_states["V"] == 3.25
    assert composition.charge_imbalance == 0
    assert composition.substitution_by_valence == {3: 1.5, 4: 0.5}
    assert composition != parse("Li2.5V2(PO4)3")


def test_states_of_other_elements_balance_a_given_state() -> None:
    composition = parse("Li1.5Fe0.1V0.2Ti1.7(PO4)3", oxidation_states={"V": 3})
    assert composition.oxidation_states["V"] == 3
    assert composition.oxidation_states["Fe"] == 2


@pytest.mark.parametrize(
    ("states", "message"),
    [
        ({"V": 3}, "oxidation states of elements in the formula. 'V' is not in it"),
        ({"Tii": 3}, "'Tii' is not in it. Did you mean 'Ti'"),
        ({"Ti": 9}, "an oxidation state of Ti from -4 to 8"),
        ({"Ti": float("nan")}, "an oxidation state of Ti"),
        ({"Ti": 10**400}, "an oxidation state of Ti"),
        ({"Ti": "3+"}, "Ti was given as '3+'"),
        ({"Ti": True}, "Ti was given as True"),
        ({"Ti": {}}, "or a mapping of states to shares"),
        ({"Ti": {3: -1.0, 4: 2.0}}, "Ti was given as"),
        ({"Ti": {3: 0.0}}, "Ti was given as"),
        ({"Ti": {"3": 1.0}}, "Ti was given as"),
    ],
)
def test_invalid_oxidation_states_raise(states: dict[str, object], message: str) -> None:
    with pytest.raises(FormulaError) as caught:
        parse("LiTi2(PO4)3", oxidation_states=states)  # type: ignore[arg-type]
    assert message in str(caught.value)


def test_charge_tolerance_is_the_documented_value() -> None:
    assert CHARGE_TOLERANCE == 0.05
