import pytest

from nasicon_ml.composition import parse
from nasicon_ml.composition.shorthand import COMMON_NAMES, _shorthands, find_shorthand
from nasicon_ml.errors import FormulaError


@pytest.mark.parametrize(
    ("shorthand", "formula"),
    [
        ("LATP x=0.3", "Li1.3Al0.3Ti1.7(PO4)3"),
        ("latp X=0.3", "Li1.3Al0.3Ti1.7(PO4)3"),
        ("LATP (x = .3)", "Li1.3Al0.3Ti1.7(PO4)3"),
        ("LATP, x=0", "LiTi2(PO4)3"),
        ("LATP x=2", "Li3Al2(PO4)3"),
        ("LAGP x=0.5", "Li1.5Al0.5Ge1.5(PO4)3"),
        ("LTP", "LiTi2(PO4)3"),
        ("LGP", "LiGe2(PO4)3"),
        ("LZP", "LiZr2(PO4)3"),
        ("LHP", "LiHf2(PO4)3"),
        ("lsnp", "LiSn2(PO4)3"),
        ("LATGP x=0.4 Ge=0.2", "Li1.4Al0.4Ti1.4Ge0.2(PO4)3"),
        ("LATGP x=0.4, Ti=1.4", "Li1.4Al0.4Ti1.4Ge0.2(PO4)3"),
        ("LTZP Zr=0.2", "LiTi1.8Zr0.2(PO4)3"),
        ("LATSP x=0.3 Si=0.2", "Li1.5Al0.3Ti1.7Si0.2P2.8O12"),
        ("LScTP x=0.3", "Li1.3Sc0.3Ti1.7(PO4)3"),
        ("LMTP x=0.3 M=Sc", "Li1.3Sc0.3Ti1.7(PO4)3"),
        ("LMTP x=0.3, M=Al", "Li1.3Al0.3Ti1.7(PO4)3"),
        ("LTSP x=0.3", "Li1.3Ti2Si0.3P2.7O12"),
        ("NZSP", "Na3Zr2Si2PO12"),
        ("NZSP x=2.2", "Na3.2Zr2Si2.2P0.8O12"),
        ("NZSP Si=1.8", "Na2.8Zr2Si1.8P1.2O12"),
        ("NATP x=0.5", "Na1.5Al0.5Ti1.5(PO4)3"),
    ],
)
def test_shorthand_is_expanded(shorthand: str, formula: str) -> None:
    assert parse(shorthand).formula == formula


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("LATP", "LATP with x from 0 to 2. Say how much: LATP x=0.3"),
        ("LATP x=2.01", "LATP with x from 0 to 2. x is 2.01 here"),
        ("LATP x=-0.1", "x is -0.1 here"),
        ("LATP y=0.3", "LATP with x. LATP has no y"),
        ("LATP x=0.3 Ge=0.2", "LATP with x. LATP has no Ge"),
        ("LTP x=0.3", "LTP alone. LTP has no x. With aluminium it is LATP x=0.3"),
        ("LATP x=0.3 M=Sc", "LATP has no M to replace"),
        ("LATGP x=0.4", "LATGP with the amount of Ti or of Ge. As in LATGP x=0.4 Ge=0.2"),
        ("LATGP x=0.4 Ge=0.2 Ti=1.4", "the amount of Ti or of Ge"),
        ("LATGP x=0.4 Ge=1.7", "LATGP with Ge from 0 to 1.6. Ge is 1.7 here"),
        ("LTZP", "As in LTZP Zr=0.2"),
        ("LATSP x=0.3", "LATSP with Si from 0 to 3"),
        ("NZSP x=3.1", "NZSP with x from 0 to 3"),
        ("NZSP x=2 Si=2", "Both are the amount of silicon here"),
        ("LZSP", "LZSP with x from 0 to 3"),
        ("LMTP x=0.3", "Say which element M is: LMTP x=0.3, M=Sc"),
        ("LMTP x=0.3 M=Mg", "Mg is not: write the formula out, as in Li1.2Mg0.1Ti1.9(PO4)3"),
        ("LMTP x=0.3 M=Zr", "LMTP with an M of valence 3"),
        ("LATB x=0.3", "'LATB' is not a shorthand. Did you mean 'LATP'?"),
        ("LATTP", "Did you mean 'LATP'?"),
    ],
)
def test_invalid_shorthand_raises_with_hint(text: str, message: str) -> None:
    with pytest.raises(FormulaError) as caught:
        parse(text)
    assert message in str(caught.value)


def test_shorthand_names_are_unique_ignoring_case() -> None:
    names = [shorthand.name for shorthand in _shorthands().values()]
    # 2 mobile ions, no dopant or one of 10, 5 hosts or 10 pairs of hosts, with and without silicon
    assert len(names) == 2 * (1 + 10) * 15 * 2


def test_common_names_are_shorthands() -> None:
    assert [name for name in COMMON_NAMES if find_shorthand(name) is None] == []


@pytest.mark.parametrize(
    "name", [name for name in COMMON_NAMES if find_shorthand(name) and find_shorthand(name).dopant != "M"]
)  # type: ignore[union-attr]
def test_system_of_shorthand_is_its_name(name: str) -> None:
    shorthand = find_shorthand(name)
    assert shorthand is not None
    amounts = (" x=0.4" if shorthand.dopant else "") + (
        f" {shorthand.hosts[1]}=0.5" if len(shorthand.hosts) > 1 else ""
    )
    amounts += " Si=1" if shorthand.silicon else ""
    assert parse(name + amounts).system == name
