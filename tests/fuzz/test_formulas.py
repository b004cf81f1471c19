"""Odd formulas, by the Python API and on the command line."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.composition import parse
from nasicon_ml.errors import FieldError, NasiconError
from tests.fuzz.conftest import fuzz
from tests.fuzz.oracle import check_answers, check_command, command, refused
from tests.fuzz.tally import TALLY, Verdict, in_time
from tests.fuzz.texts import ODD_NUMBERS, ODD_OBJECTS, long_text, odd_formula, odd_text, odd_value

CHANNEL = "Python parse"


def hold(call: Any) -> None:
    """A composition that can be, or an error that names the formula."""

    def parsed() -> Any:
        try:
            return call()
        except FieldError as error:
            return error

    found = in_time(CHANNEL, parsed)
    if isinstance(found, NasiconError):
        refused(CHANNEL, found)
        return
    amounts = [*found.a_site.values(), *found.m_site.values(), *found.t_site.values(), found.oxygen]
    assert all(math.isfinite(amount) and amount > 0 for amount in amounts)
    assert math.isclose(sum(found.t_site.values()), 3)
    assert parse(found.formula) == found
    TALLY.add(CHANNEL, Verdict.ANSWERED)


@fuzz(700)
@given(text=odd_formula)
def test_a_formula_is_read_or_refused(text: str) -> None:
    hold(lambda: parse(text))


@fuzz(60)
@given(text=long_text)
def test_a_formula_without_end_is_refused_at_once(text: str) -> None:
    hold(lambda: parse(text))


@fuzz(150)
@given(
    text=st.sampled_from(["Li1+xAlxTi2-x(PO4)3", "Li1.3M0.3Ti1.7(PO4)3", "LATP", "LMTP x=0.3"]) | odd_formula,
    x=st.none() | odd_value,
    name=st.sampled_from(["M", "Me", "Ln", "x", "Ti"]) | odd_text,
    element=st.sampled_from(["Sc", "Xx", "sc", ""]) | odd_value,
)
def test_values_of_a_formula_are_checked(text: str, x: Any, name: str, element: Any) -> None:
    hold(lambda: parse(text, x=x, substitute={name: element}))


@fuzz(60)
@given(value=st.sampled_from([*ODD_NUMBERS, *ODD_OBJECTS]))
def test_what_is_no_text_is_no_formula(value: Any) -> None:
    hold(lambda: parse(value))


@fuzz(250)
@given(text=odd_formula)
def test_a_formula_on_the_command_line(text: str, tmp_path_factory: Any) -> None:
    outcome = command("CLI predict", ["predict", "--json", f"--formula={text}"], _folder(tmp_path_factory))
    verdict = check_command(outcome)
    if verdict is Verdict.ANSWERED:
        assert len(check_answers(outcome.out, 1)["predictions"]) == 1
    TALLY.add("CLI predict", verdict)


@fuzz(80)
@given(text=odd_formula)
def test_a_formula_where_a_file_belongs(text: str, tmp_path_factory: Any) -> None:
    """What is a formula is answered as one, anything else is refused."""
    outcome = command("CLI predict", ["predict", "--json", "--", text], _folder(tmp_path_factory))
    verdict = check_command(outcome)
    if verdict is not Verdict.REFUSED:
        assert "read as --formula" in outcome.err
        check_answers(outcome.out, 1)
    TALLY.add("CLI predict", verdict)


@fuzz(25)
@given(text=odd_text)
def test_a_pellet_that_is_none(text: str, tmp_path_factory: Any) -> None:
    outcome = command("CLI data", ["data", "show", "--json", "--", text], _folder(tmp_path_factory))
    verdict = check_command(outcome)
    assert verdict is Verdict.REFUSED or json.loads(outcome.out)
    TALLY.add("CLI data", verdict)


def _folder(factory: Any) -> Path:
    return Path(factory.getbasetemp())
