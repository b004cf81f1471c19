"""Examples and tables of docs/compositions.md agree with the code."""

import doctest
import re

import pytest

from nasicon_ml.composition import parse
from nasicon_ml.composition.sites import USUAL_STATES
from tests.contracts.source import ROOT

PAGE = (ROOT / "docs" / "compositions.md").read_text(encoding="utf-8")


def test_examples_give_the_output_shown() -> None:
    without_fences = re.sub(r"^```.*$", "", PAGE, flags=re.MULTILINE)
    doctests = doctest.DocTestParser().get_doctest(without_fences, {}, "compositions.md", None, 0)
    runner = doctest.DocTestRunner()
    runner.run(doctests)
    assert runner.tries >= 15
    assert runner.failures == 0


def _table_cells(heading: str) -> list[list[str]]:
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def test_every_notation_in_the_table_is_parsed() -> None:
    notations = [text for row in _table_cells("What can be written") for text in re.findall(r"`([^`]+)`", row[0])]
    assert len(notations) > 25
    for text in notations:
        parse(text)


@pytest.mark.parametrize("row", _table_cells("x, excess, valences"), ids=lambda row: row[0])
def test_table_of_x_excess_and_imbalance_matches_compositions(row: list[str]) -> None:
    composition = parse(row[0].strip("`"))
    shown = (composition.x, composition.alkali_excess, composition.charge_imbalance)
    assert shown == tuple(float(cell) for cell in row[1:])


def test_table_of_oxidation_states_matches_code() -> None:
    shown = {}
    for names, states in _table_cells("Oxidation states and charge"):
        for name in names.split(", "):
            shown[name] = tuple(int(state) for state in re.findall(r"\d", states.split(" on M")[0]))
    assert shown == {element: states for element, states in USUAL_STATES.items() if len(states) > 1}
