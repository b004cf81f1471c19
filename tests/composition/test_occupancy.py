import numpy as np
import pandas as pd
import pytest

from nasicon_ml.checks import Severity
from nasicon_ml.composition import ELEMENTS, check_formulas, occupancies, parse
from nasicon_ml.composition import occupancy as occupancy_module
from nasicon_ml.errors import FormulaError

LI, AL, TI, P, O, F, V = (ELEMENTS.index(el) for el in ("Li", "Al", "Ti", "P", "O", "F", "V"))  # noqa: E741
FORMULAS = ["LATP x=0.3", "LTP", "LATP x=0.3", "LiTi2P3O11.8F0.2", "Li0.4Sr0.3Ti1.5Zr0.5(PO4)3"]


def test_shapes_and_values_of_occupancies() -> None:
    table = occupancies(FORMULAS)
    assert table.index.tolist() == [0, 1, 0, 2, 3]
    for array in (table.a, table.m, table.t, table.valence, table.other_anions):
        assert array.shape == (4, len(ELEMENTS))
        assert array.dtype == np.float64
    assert table.a[0, LI] == 1.3
    assert (table.m[0, AL], table.m[0, TI], table.t[0, P], table.oxygen[0]) == (0.3, 1.7, 3, 12)
    assert (table.valence[0, AL], table.valence[0, O], table.other_anions[2, F]) == (3, -2, 0.2)
    assert np.isnan(table.valence[0, V])
    assert table.systems.tolist() == ["LATP", "LTP", "LTP", "LTZP"]
    assert table.per_row(table.systems).tolist() == ["LATP", "LTP", "LATP", "LTP", "LTZP"]


def test_derived_arrays_equal_attributes_of_compositions() -> None:
    table = occupancies(FORMULAS)
    compositions = [parse(FORMULAS[row]) for row in (0, 1, 3, 4)]
    for name in ("x", "alkali_excess", "charge_imbalance", "m_total"):
        assert getattr(table, name).tolist() == [getattr(composition, name) for composition in compositions]


def test_each_unique_formula_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def counting_parse(text: str) -> object:
        calls.append(text)
        return parse(text)

    monkeypatch.setattr(occupancy_module, "parse", counting_parse)
    occupancies(["LTP", "LGP"] * 1000)
    assert calls == ["LTP", "LGP"]
    check_formulas(pd.Series(["LZP", "LTP", "no"] * 1000))
    assert calls[2:] == ["LZP", "LTP", "no"]


def test_empty_input_gives_empty_arrays_and_no_findings() -> None:
    table = occupancies([])
    assert table.a.shape == (0, len(ELEMENTS))
    assert table.x.shape == (0,)
    canonical, findings = check_formulas(pd.Series([], dtype="object"))
    assert len(canonical) == 0
    assert findings == []


def test_first_invalid_or_missing_formula_raises() -> None:
    with pytest.raises(FormulaError, match=r"'LATB x=0\.3' is not accepted"):
        occupancies(["LTP", "LATB x=0.3", "nonsense"])
    with pytest.raises(FormulaError, match="Row 1 has no formula"):
        occupancies(["LTP", None])  # type: ignore[list-item]


def test_check_formulas_returns_canonical_formulas_and_findings() -> None:
    series = pd.Series(
        [
            "LATP x=0.3",
            "LATB",
            None,
            "LAGP x=0.5 + 2 wt% B2O3",
            "Li1.6Al0.5Ge1.5(PO4)3",
            float("nan"),
            "-",
            "LATB",
            7,
        ],
        index=range(10, 19),
        dtype="object",
    )
    canonical, findings = check_formulas(series)
    assert canonical.index.tolist() == list(range(9))
    assert canonical.tolist() == [
        "Li1.3Al0.3Ti1.7(PO4)3", None, None, "Li1.5Al0.5Ge1.5(PO4)3 + 2 wt% B2O3", "Li1.6Al0.5Ge1.5(PO4)3",
        None, None, None, None,
    ]  # fmt: skip
    assert [(finding.row, finding.rule) for finding in findings] == [
        (1, "bad_formula"), (2, "missing_formula"), (4, "charge_imbalance"), (5, "missing_formula"),
        (6, "missing_formula"), (7, "bad_formula"), (8, "bad_formula"),
    ]  # fmt: skip
    assert [finding.severity for finding in findings if finding.rule == "charge_imbalance"] == [Severity.WARNING]
    assert (
        "off by +0.1 charges per three T cations (tolerance 0.05; taken as Al+3, Ge+4, Li+1)"
        in findings[2].message
    )
    assert "Did you mean 'LATP'?" in findings[0].message
    assert findings[0].value == "LATB"


def test_cells_other_than_text_are_findings() -> None:
    canonical, findings = check_formulas(pd.Series([["LTP"], {"a": 1}, True, pd.NA, 1.5], dtype="object"))
    assert canonical.isna().all()
    assert [finding.rule for finding in findings] == [
        "bad_formula", "bad_formula", "bad_formula", "missing_formula", "bad_formula",
    ]  # fmt: skip


def test_repeated_formulas_of_a_large_table_take_little_time() -> None:
    import time

    formulas = [f"Li{1 + step / 1000:.3f}Al{step / 1000:.3f}Ti{2 - step / 1000:.3f}(PO4)3" for step in range(300)]
    occupancies(formulas)  # loads pymatgen and caches the unique formulas
    repeated = formulas * 334
    start = time.process_time()
    table = occupancies(repeated)
    assert table.per_row(table.x).shape == (len(repeated),)
    assert time.process_time() - start < 2  # 0.02 s on an idle machine
