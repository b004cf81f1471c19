import pytest
from pymatgen.core import Element

from nasicon_ml.composition import ELEMENTS, parse
from nasicon_ml.composition.formula import ELEMENT_INDEX, LARGE_CATIONS, OCTAHEDRAL_CATIONS, nearest_element
from nasicon_ml.errors import FormulaError

Amounts = dict[str, float]


@pytest.mark.parametrize(
    ("formula", "a", "m", "t"),
    [
        ("Li1.3Al0.3Ti1.7(PO4)3", {"Li": 1.3}, {"Al": 0.3, "Ti": 1.7}, {"P": 3}),
        ("Na3Zr2Si2PO12", {"Na": 3}, {"Zr": 2}, {"Si": 2, "P": 1}),
        # large cations are on M while it is not full ...
        ("Li1.2Ca0.1Zr1.9(PO4)3", {"Li": 1.2}, {"Ca": 0.1, "Zr": 1.9}, {"P": 3}),
        ("Li1.3La0.3Ti1.7(PO4)3", {"Li": 1.3}, {"La": 0.3, "Ti": 1.7}, {"P": 3}),
        ("Li1.3La0.3Ti1.72(PO4)3", {"Li": 1.3}, {"La": 0.3, "Ti": 1.72}, {"P": 3}),
        # ... on A otherwise ...
        ("Li0.2Nd0.26667Zr2(PO4)3", {"Li": 0.2, "Nd": 0.26667}, {"Zr": 2}, {"P": 3}),
        ("Li0.4Sr0.3Ti1.5Zr0.5(PO4)3", {"Li": 0.4, "Sr": 0.3}, {"Ti": 1.5, "Zr": 0.5}, {"P": 3}),
        # ... and on both if M is filled by a part of them, the smaller ones first
        ("Li2Sr2Al(PO4)3", {"Li": 2, "Sr": 1}, {"Al": 1, "Sr": 1}, {"P": 3}),
        ("LiBa0.2Ca0.2Ti1.7(PO4)3", {"Li": 1, "Ba": 0.1}, {"Ca": 0.2, "Ba": 0.1, "Ti": 1.7}, {"P": 3}),
        # octahedral cations are on M even if it is overfull
        ("Li0.91Hf2.022(PO4)3", {"Li": 0.91}, {"Hf": 2.022}, {"P": 3}),
        ("Li1.3Al0.3In0.1Ti1.7(PO4)3", {"Li": 1.3}, {"Al": 0.3, "In": 0.1, "Ti": 1.7}, {"P": 3}),
        # V, As, B and S only fill what Si and P leave free on T
        ("Li1.3Al0.3Ti1.7P2.9V0.1O12", {"Li": 1.3}, {"Al": 0.3, "Ti": 1.7}, {"P": 2.9, "V": 0.1}),
        ("Li0.9Ti1.9V0.1(PO4)3", {"Li": 0.9}, {"Ti": 1.9, "V": 0.1}, {"P": 3}),
        ("Li1.05B0.05Zr1.95(PO4)3", {"Li": 1.05}, {"B": 0.05, "Zr": 1.95}, {"P": 3}),
        ("Li0.9Ti1.9V0.2P2.9O12", {"Li": 0.9}, {"Ti": 1.9, "V": 0.1}, {"P": 2.9, "V": 0.1}),
        ("Li0.8Zr2P2.8S0.2O12", {"Li": 0.8}, {"Zr": 2}, {"P": 2.8, "S": 0.2}),
        ("Li0.9Zr2P2.8S0.1V0.1O12", {"Li": 0.9}, {"Zr": 2}, {"P": 2.8, "S": 0.1, "V": 0.1}),
        ("Li2Zr2(SiO4)1(PO4)1(AsO4)1", {"Li": 2}, {"Zr": 2}, {"Si": 1, "P": 1, "As": 1}),
    ],
)
def test_cations_are_assigned_to_sites(formula: str, a: Amounts, m: Amounts, t: Amounts) -> None:
    composition = parse(formula)
    assert (dict(composition.a_site), dict(composition.m_site), dict(composition.t_site)) == (a, m, t)


@pytest.mark.parametrize(
    ("formula", "oxygen", "anions"),
    [
        ("Na3Zr1.6Y0.4Si2PO11.8", 11.8, {}),
        ("Li1.3Al0.3Ti1.7P3O11.9F0.2", 11.9, {"F": 0.2}),
        ("LiTi2P3O11.5S0.5", 11.5, {"S": 0.5}),  # T is full, so S is an anion
        ("LiTi2P2.9S0.2O12", 12.413793, {"S": 0.206897}),  # T has room for a part of S
        ("LiTi2P3O11.7N0.2", 11.7, {"N": 0.2}),
    ],
)
def test_oxygen_and_other_anions(formula: str, oxygen: float, anions: Amounts) -> None:
    composition = parse(formula)
    assert (composition.oxygen, dict(composition.other_anions)) == (oxygen, anions)


def test_amounts_are_normalised_to_three_tetrahedral_cations() -> None:
    assert parse("Na6Zr4Si4P2O24") == parse("Na3Zr2Si2PO12")
    composition = parse("Li1.3Al0.3Ti1.7Si0.05P2.96O12")
    assert sum(composition.t_site.values()) == pytest.approx(3, abs=1e-12)
    assert composition.oxygen == pytest.approx(36 / 3.01, abs=1e-6)


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("LiFePO4", "with 1 to 2.5 on the M site per three P and Si. This has 3"),
        ("Li3PO4", "with 0 to 5 on the A site per three P and Si. This has 9"),
        ("Li3P3O12", "with 1 to 2.5 on the M site per three P and Si. This has 0"),
        ("LiTi2P3O9", "with 10.5 to 13 O per three P and Si. This has 9"),
        ("AlPO4", "It has no mobile ion: Li, Na, K, Rb, Cs or Ag"),
        ("Li7La3Zr2O12", "It has neither P nor Si"),
        ("LiTi2(VO4)3", "It has neither P nor Si"),
        ("LiTi2(PO4)3H2O", "No site is known for H"),
        ("LiTi2(PO4)3HeC", "No site is known for He, C"),
    ],
)
def test_composition_other_than_nasicon_raises(formula: str, message: str) -> None:
    with pytest.raises(FormulaError) as caught:
        parse(formula)
    assert message in str(caught.value)


def test_elements_are_ordered_by_atomic_number() -> None:
    assert len(ELEMENTS) == 103
    assert [Element(symbol).Z for symbol in ELEMENTS] == list(range(1, 104))


def _usual_radius(element: str) -> float:
    from nasicon_ml.composition.sites import USUAL_STATES

    state = 3 if element == "Ce" else USUAL_STATES[element][0]
    by_spin = Element(element).data["Shannon radii"][str(state)]["VI"]
    return float(max(entry["ionic_radius"] for entry in by_spin.values()))


def test_large_and_octahedral_cations_are_divided_at_0_905_angstrom() -> None:
    assert {element for element in LARGE_CATIONS if _usual_radius(element) <= 0.905} == set()
    known = OCTAHEDRAL_CATIONS - {"Te"}  # tabulated as large because of the lone pair of Te 4+, but found on M
    assert {element for element in known if _usual_radius(element) > 0.905} == set()


def test_large_cations_are_ordered_by_radius() -> None:
    radii = [_usual_radius(element) for element in LARGE_CATIONS]
    assert radii == sorted(radii)


@pytest.mark.parametrize(
    ("word", "symbol"), [("Lii", "Li"), ("LI", "Li"), ("Tii", "Ti"), ("zr", "Zr"), ("Alu", "Al"), ("Ph", "P")]
)
def test_nearest_element_is_suggested(word: str, symbol: str) -> None:
    assert nearest_element(word) == f"Did you mean {symbol!r}?"


def test_no_element_is_suggested_for_a_single_letter() -> None:
    assert nearest_element("Q") == ""
    assert all(symbol in ELEMENT_INDEX for symbol in ELEMENTS)
