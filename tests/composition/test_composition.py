import copy

import pytest
from pymatgen.core import Composition as PymatgenComposition

from nasicon_ml.composition import Composition, parse


@pytest.mark.parametrize(
    ("formula", "system"),
    [
        ("LiTi2(PO4)3", "LTP"),
        ("LiGe2(PO4)3", "LGP"),
        ("LiZr2(PO4)3", "LZP"),
        ("LiHf2(PO4)3", "LHP"),
        ("LiSn2(PO4)3", "LSnP"),
        ("Li1.3Al0.3Ti1.7(PO4)3", "LATP"),
        ("Li1.005Al0.005Ti1.995(PO4)3", "LTP"),
        ("Li1.006Al0.006Ti1.994(PO4)3", "LATP"),
        ("Li1.5Al0.5Ge1.5(PO4)3", "LAGP"),
        ("Li1.4Al0.4Ge0.2Ti1.4(PO4)3", "LATGP"),
        ("Li1.4Al0.4Ti1.44Ge0.16(PO4)3", "LATP"),
        ("Li1.3Sc0.3Ti1.7(PO4)3", "LScTP"),
        ("Li1.3Cr0.3Ti1.7(PO4)3", "LCrTP"),
        ("Li1.3Al0.15Y0.15Ti1.7(PO4)3", "LAYTP"),
        ("Li1.3Ti1.8Fe0.1Ca0.1(PO4)3", "LMTP"),
        ("LiTi1Zr1(PO4)3", "LTZP"),
        ("LiZr1Sn1(PO4)3", "LZSnP"),
        ("Li3Sc2(PO4)3", "LScP"),
        ("Na3Zr2Si2PO12", "NZSP"),
        ("Na3.12Zr1.88Y0.12Si2PO12", "NYZSP"),
        ("Na4Zr2Si3O12", "NZS"),
        ("Li1.5Al0.3Ti1.7Si0.2P2.8O12", "LATSP"),
        ("KTi2(PO4)3", "KTP"),
        ("Li0.4Na0.6Ti2(PO4)3", "NTP"),
    ],
)
def test_system_of_formula(formula: str, system: str) -> None:
    assert parse(formula).system == system


@pytest.mark.parametrize(
    ("formula", "x", "excess", "imbalance"),
    [
        ("LiTi2(PO4)3", 0, 0, 0),
        ("Li1.3Al0.3Ti1.7(PO4)3", 0.3, 0, 0),
        ("Li1.2Mg0.1Ti1.9(PO4)3", 0.2, 0, 0),
        ("Li0.8Nb0.2Ti1.8(PO4)3", -0.2, 0, 0),
        ("Na3Zr2Si2PO12", 2, 0, 0),
        ("Li1.5Al0.3Ti1.7Si0.2P2.8O12", 0.5, 0, 0),
        ("Li1.4Ti1.9(PO4)3", 0.4, 0, 0),  # vacancies on M count four each
        ("Li0.4Sr0.3Ti1.5Zr0.5(PO4)3", 0, 0, 0),  # strontium on A counts two
        ("Li1.6Al0.5Ge1.5(PO4)3", 0.5, 0.1, 0.1),
        ("Li0.7Al0.3Ti1.7(PO4)3", 0.3, -0.6, -0.6),
        ("Na3Zr1.6Y0.4Si2PO11.8", 2.4, -0.4, 0),  # oxygen vacancies instead of sodium
        ("LiTi2P3O11.8F0.2", 0, 0, 0.2),
    ],
)
def test_x_alkali_excess_and_charge_imbalance(formula: str, x: float, excess: float, imbalance: float) -> None:
    composition = parse(formula)
    assert (composition.x, composition.alkali_excess, composition.charge_imbalance) == (x, excess, imbalance)


@pytest.mark.parametrize(
    ("formula", "by_valence"),
    [
        ("LiTi2(PO4)3", {}),
        ("Li1.3Al0.2Sc0.1Ti1.7(PO4)3", {3: 0.3}),
        ("Li1.3Al0.1Zn0.1Ti1.8(PO4)3", {2: 0.1, 3: 0.1}),
        ("Li1.1Al0.4Nb0.3Ti1.3(PO4)3", {3: 0.4, 5: 0.3}),
        ("Li1.3Al0.3Te0.03Ti1.67(PO4)3", {3: 0.3, 4: 0.03}),
    ],
)
def test_substitution_by_valence(formula: str, by_valence: dict[int, float]) -> None:
    assert parse(formula).substitution_by_valence == by_valence


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        ("Ti1.7Al0.3Li1.3P3O12", "Li1.3Al0.3Ti1.7(PO4)3"),
        ("PSi2Zr1.88Y0.12Na3.12O12", "Na3.12Y0.12Zr1.88Si2PO12"),
        ("Li1.4Al0.4Ge0.2Ti1.4(PO4)3", "Li1.4Al0.4Ti1.4Ge0.2(PO4)3"),
        ("Li1.3Al0.3Ti1.7V0.1P2.9O12", "Li1.3Al0.3Ti1.7P2.9V0.1O12"),
        ("Li2Sr2Al(PO4)3", "Li2Sr2Al(PO4)3"),  # Sr is on two sites, but written once
        ("LiTi2P3O11.8F0.2", "LiTi2P3O11.8F0.2"),
        ("Na2LiTi2P2SiO12", "Na2LiTi2SiP2O12"),
    ],
)
def test_canonical_formula(text: str, formula: str) -> None:
    assert parse(text).formula == formula
    assert str(parse(text)) == formula


def test_alkali_is_the_most_abundant_mobile_ion() -> None:
    assert parse("Li0.6Na0.4Ti2(PO4)3").alkali == "Li"
    assert parse("Li0.4Na0.6Ti2(PO4)3").alkali == "Na"


def test_compositions_are_immutable() -> None:
    composition = parse("LiTi2(PO4)3")
    with pytest.raises(TypeError):
        composition.a_site["Li"] = 2.0  # type: ignore[index]
    with pytest.raises(AttributeError):
        composition.oxygen = 11.0  # type: ignore[misc]


def test_equal_compositions_have_equal_hashes() -> None:
    assert len({parse("LATP x=0.3"), parse("Li1.3Al0.3Ti1.7(PO4)3"), parse("LTP")}) == 2


def test_deep_copies_are_equal() -> None:
    composition = parse("LAGP x=0.5 + 2 wt% B2O3")
    assert copy.deepcopy(composition) == composition


def test_element_amounts_equal_pymatgen_composition() -> None:
    composition = parse("Li1.3Al0.3Ti1.7P2.9V0.1O12 + 2 wt% LiF")
    amounts = {"Li": 1.3, "Al": 0.3, "Ti": 1.7, "P": 2.9, "V": 0.1, "O": 12.0}
    assert composition.element_amounts() == amounts
    assert composition.to_pymatgen() == PymatgenComposition(amounts)


def test_main_phase_has_no_second_phase() -> None:
    composition = parse("LAGP x=0.5 + 2 wt% B2O3")
    assert composition.formula == "Li1.5Al0.5Ge1.5(PO4)3 + 2 wt% B2O3"
    assert composition.main_phase.formula == "Li1.5Al0.5Ge1.5(PO4)3"
    assert composition.main_phase.second_phase is None
    assert isinstance(composition.main_phase, Composition)
