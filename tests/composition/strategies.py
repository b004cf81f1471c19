"""Hypothesis strategies for compositions. Amounts are multiples of 0.001, so that sums are exact."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from hypothesis import assume
from hypothesis import strategies as st

from nasicon_ml.composition.formula import SUPPORTED_ELEMENTS

#: Dopants and their valences. Copper needs an override of its oxidation state; lanthanum is a large cation.
DOPANTS = {
    "Cu": 1, "Mg": 2, "Zn": 2, "Ca": 2, "Al": 3, "Sc": 3, "Y": 3, "In": 3, "La": 3, "Ge": 4, "Zr": 4, "Nb": 5,
    "Ta": 5,
}  # fmt: skip


@dataclass(frozen=True)
class Balanced:
    """Amounts of a charge-balanced composition, and its x."""

    amounts: dict[str, Fraction]
    x: Fraction

    def text(self, scale: Fraction = Fraction(1)) -> str:
        """Return the formula with all amounts multiplied by `scale`, without rounding."""
        return "".join(f"{element}{decimal(amount * scale)}" for element, amount in self.amounts.items() if amount)


def decimal(value: Fraction) -> str:
    """Return the decimal notation of a fraction whose denominator has no factors but 2 and 5."""
    digits = 0
    while (value * 10**digits).denominator != 1:
        digits += 1
        assert digits <= 20
    whole = str(int(value * 10**digits)).rjust(digits + 1, "0")
    return f"{whole[:-digits]}.{whole[-digits:]}" if digits else whole


def thousandths(smallest: int, largest: int) -> st.SearchStrategy[Fraction]:
    return st.integers(smallest, largest).map(lambda count: Fraction(count, 1000))


@st.composite
def balanced(draw: st.DrawFn) -> Balanced:
    """Draw A1+xM'M2-x(TO4)3 with up to three dopants and silicon, charge-balanced by construction."""
    alkali = draw(st.sampled_from(["Li", "Na", "K", "Ag"]))
    host = draw(st.sampled_from(["Ti", "Ge", "Zr", "Hf", "Sn"]))
    names = draw(st.lists(st.sampled_from([el for el in DOPANTS if el != host]), max_size=3, unique=True))
    dopants = {name: draw(thousandths(1, 300)) for name in names}
    silicon = draw(st.one_of(st.just(Fraction(0)), thousandths(1, 2999)))
    x = sum(((4 - DOPANTS[name]) * amount for name, amount in dopants.items()), silicon)
    assume(-1 < x <= 4)  # from no mobile ion to five, the most that the A site holds
    host_amount = 2 - sum(dopants.values())
    amounts = {alkali: 1 + x, **dopants, host: host_amount, "Si": silicon, "P": 3 - silicon, "O": Fraction(12)}
    return Balanced(amounts, x)


@st.composite
def any_nasicon_text(draw: st.DrawFn) -> str:
    """Draw a formula of supported elements with about the proportions of a NASICON, charge-balanced or not."""
    amounts = {
        draw(st.sampled_from(["Li", "Na", "K", "Rb", "Cs", "Ag"])): draw(thousandths(1, 4000)),
        draw(st.sampled_from(["Ti", "Zr", "Fe", "Mn"])): draw(thousandths(1000, 2100)),
    }
    fillers = draw(st.lists(st.sampled_from(["Si", "V", "As", "B", "S"]), max_size=3))
    others = draw(st.lists(st.sampled_from(sorted(SUPPORTED_ELEMENTS - {"P", "O"})), max_size=3))
    parts = [(element, draw(thousandths(1, 250))) for element in (*fillers, *others)]
    tetrahedral = 3 - sum(amount for _, amount in parts[: len(fillers)])
    parts += [
        *amounts.items(),
        ("P", tetrahedral + draw(st.sampled_from([0, 0, Fraction(-1, 100), Fraction(1, 100)]))),
    ]
    parts.append(("O", draw(st.one_of(st.just(Fraction(12)), thousandths(11500, 12500)))))
    return "".join(f"{element}{decimal(amount)}" for element, amount in draw(st.permutations(parts)))


#: Text of the characters of formulas, which exercises more of the parser than arbitrary text.
formula_like = st.text(alphabet="LiTiAlPOSGeMxyz0123456789.()[]{}+-·=,; %wtmol/*₃", max_size=60)
