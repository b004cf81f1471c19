"""Compound kinds of the precursors of each cation group, from lists as papers write them."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.columns import Column
from nasicon_ml.composition.precursors import CationGroup, CompoundKind, precursor_findings, read_precursors


@pytest.mark.parametrize(
    ("text", "alkali", "host", "trivalent", "phosphorus"),
    [
        ("Li2CO3;Al2O3;GeO2;NH4H2PO4", "carbonate", "oxide", "oxide", "ammonium"),
        ("LiNO3; Al(NO3)3·9H2O; Ti(OC4H9)4; NH4H2PO4", "nitrate", "alkoxide", "nitrate", "ammonium"),
        ("CH3COOLi.2H2O;Al(OC3H7)3;Ti(OiPr)4;H3PO4", "carboxylate", "alkoxide", "alkoxide", "acid"),
        ("LiC2H3O2;Al(OH)3;TiC8H24O4;P2O5", "carboxylate", "alkoxide", "hydroxide", "oxide"),
        ("Li2C2O4;AlCl3;TiCl4", "carboxylate", "chloride", "chloride", None),
        ("LiOH·H2O;Al2(SO4)3 18H2O;ZrOCl2 8H2O", "hydroxide", "chloride", "sulfate", None),
        ("NaH2PO4;ZrO(NO3)2;Si(OC2H5)4", "phosphate", "nitrate", None, "phosphate"),
        ("NaHCO3;(ZrO2)0.97(Y2O3)0.03;SiO2;NH4PO4", "carbonate", "oxide", "oxide", "ammonium"),
        ("Li3PO4;Zr(HPO4)2;Sc2O3", "phosphate", "phosphate", "oxide", "phosphate"),
        ("Al(PO3)3;LiH2PO4;Ge", "phosphate", "metal", "phosphate", "phosphate"),
        ("NaOC2H5;Hf(OC4H9)4;PO(OC4H9)3", "alkoxide", "alkoxide", None, "organic"),
        ("Li₂CO₃;TiO₂", "carbonate", "oxide", None, None),
        ("CH3COOLi;Zr(CH3COO)x(OH)y", "carboxylate", "carboxylate", None, None),
        ("TiN;TiO(C5H7O2)2", None, "other", None, None),
        ("TiO(C5H7O2)2;MgO;H3BO3", None, "organic", None, None),
        ("commercial", *["commercial"] * 4),
        (" Commercial ", *["commercial"] * 4),
        ("", None, None, None, None),
    ],
)
def test_compound_kind_of_each_cation_group(text, alkali, host, trivalent, phosphorus) -> None:
    precursors = read_precursors(text)
    assert precursors.unrecognised == ()
    expected = dict(zip(CationGroup, (alkali, host, trivalent, phosphorus), strict=True))
    assert precursors.sources == {cation: CompoundKind(source) for cation, source in expected.items() if source}


def test_first_of_several_precursors_of_a_cation_group_is_used() -> None:
    assert read_precursors("TiO2;Ti(OC4H9)4").sources == {CationGroup.HOST: CompoundKind.OXIDE}
    assert read_precursors("Ti(OC4H9)4;TiO2").sources == {CationGroup.HOST: CompoundKind.ALKOXIDE}


def test_unrecognised_precursor_is_ignored_with_a_warning() -> None:
    precursors = read_precursors("sodium citrate;ZrO2;TTIP")
    assert (precursors.unrecognised, precursors.sources) == (
        ("sodium citrate", "TTIP"),
        {CationGroup.HOST: CompoundKind.OXIDE},
    )
    table = pd.DataFrame({"precursors": ["ZrO2", None, "sodium citrate;ZrO2"]}, dtype="object")
    (finding,) = precursor_findings(table)
    assert (finding.row, finding.column, finding.severity.value) == (2, "precursors", "warning")
    assert "'sodium citrate' is not a formula" in finding.message


@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from(["Li", "OH", "(", ")", "2", "CO3", ";", "x", " "])).map("".join)
)
def test_any_text_gives_cation_groups_and_unrecognised_names(text: str) -> None:
    precursors = read_precursors(text)
    assert set(precursors.sources) <= set(CationGroup)
    names = [part.strip() for part in text.split(";")]
    assert all(name in names for name in precursors.unrecognised)


@given(st.permutations(["Li2CO3", "Al(OH)3", "TiO2", "NH4H2PO4", "SiO2"]))
def test_order_of_precursors_of_different_cations_does_not_matter(parts: list[str]) -> None:
    assert read_precursors(";".join(parts)) == read_precursors("Li2CO3;Al(OH)3;TiO2;NH4H2PO4;SiO2")


def test_precursors_column_normalises_spaces() -> None:
    assert Column.PRECURSORS.parse("  Li2CO3;  TiO2 ") == "Li2CO3; TiO2"
