"""The page for users: its examples give what they show, its tables say what the code does."""

import doctest
import re

import pytest

from nasicon_ml.composition import parse
from nasicon_ml.composition.sites import USUAL_STATES
from tests.contracts.source import ROOT

PAGE = (ROOT / "docs" / "compositions.md").read_text(encoding="utf-8")


def test_examples() -> None:
    without_fences = re.sub(r"^```.*$", "", PAGE, flags=re.MULTILINE)
    example = doctest.DocTestParser().get_doctest(without_fences, {}, "compositions.md", None, 0)
    runner = doctest.DocTestRunner()
    runner.run(example)
    assert runner.tries >= 15
    assert runner.failures == 0


def _cells(heading: str) -> list[list[str]]:
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def test_every_way_of_writing_is_read() -> None:
    written = [text for row in _cells("What can be written") for text in re.findall(r"`([^`]+)`", row[0])]
    assert len(written) > 25
    for text in written:
        parse(text)


@pytest.mark.parametrize("row", _cells("x, excess, valences"), ids=lambda row: row[0])
def test_table_of_x(row: list[str]) -> None:
    composition = parse(row[0].strip("`"))
    shown = (composition.x, composition.alkali_excess, composition.charge_imbalance)
    assert shown == tuple(float(cell) for cell in row[1:])


def test_table_of_states() -> None:
    shown = {}
    for names, states in _cells("Oxidation states and charge"):
        for name in names.split(", "):
            shown[name] = tuple(int(state) for state in re.findall(r"\d", states.split(" on M")[0]))
    assert shown == {element: states for element, states in USUAL_STATES.items() if len(states) > 1}
