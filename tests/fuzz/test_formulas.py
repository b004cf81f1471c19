"""Odd formulas, in the Python API and on the command line."""

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
from tests.fuzz.oracle import check_json_predictions, check_outcome, count_refusal, run_command
from tests.fuzz.tally import TALLY, Verdict, in_time
from tests.fuzz.texts import ODD_NUMBERS, ODD_OBJECTS, long_text, odd_formula, odd_text, odd_value

CHANNEL = "Python parse"


def check_composition(call: Any) -> None:
    """Check that the call returns a valid composition that survives a round trip, or raises a `FieldError`."""

    def call_or_error() -> Any:
        try:
            return call()
        except FieldError as error:
            return error

    result = in_time(CHANNEL, call_or_error)
    if isinstance(result, NasiconError):
        count_refusal(CHANNEL, result)
        return
    amounts = [*result.a_site.values(), *result.m_site.values(), *result.t_site.values(), result.oxygen]
    assert all(math.isfinite(amount) and amount > 0 for amount in amounts)
    assert math.isclose(sum(result.t_site.values()), 3)
    assert parse(result.formula) == result
    TALLY.add(CHANNEL, Verdict.ANSWERED)


@fuzz(700)
@given(text=odd_formula)
def test_parse_returns_valid_composition_or_raises_field_error(text: str) -> None:
    check_composition(lambda: parse(text))


@fuzz(60)
@given(text=long_text)
def test_parse_handles_very_long_text_in_time(text: str) -> None:
    check_composition(lambda: parse(text))


@fuzz(150)
@given(
    text=st.sampled_from(["Li1+xAlxTi2-x(PO4)3", "Li1.3M0.3Ti1.7(PO4)3", "LATP", "LMTP x=0.3"]) | odd_formula,
    x=st.none() | odd_value,
    name=st.sampled_from(["M", "Me", "Ln", "x", "Ti"]) | odd_text,
    element=st.sampled_from(["Sc", "Xx", "sc", ""]) | odd_value,
)
def test_parse_with_any_x_and_substitute_is_valid_or_raises_field_error(
    text: str, x: Any, name: str, element: Any
) -> None:
    check_composition(lambda: parse(text, x=x, substitute={name: element}))


@fuzz(60)
@given(value=st.sampled_from([*ODD_NUMBERS, *ODD_OBJECTS]))
def test_parse_of_non_string_raises_only_field_error(value: Any) -> None:
    check_composition(lambda: parse(value))


@fuzz(250)
@given(text=odd_formula)
def test_predict_formula_option_answers_or_refuses_any_text(text: str, tmp_path_factory: Any) -> None:
    outcome = run_command("CLI predict", ["predict", "--json", f"--formula={text}"], _folder(tmp_path_factory))
    verdict = check_outcome(outcome)
    if verdict is Verdict.ANSWERED:
        assert len(check_json_predictions(outcome.out, 1)["predictions"]) == 1
    TALLY.add("CLI predict", verdict)


@fuzz(80)
@given(text=odd_formula)
def test_predict_file_argument_is_read_as_formula_or_refused(text: str, tmp_path_factory: Any) -> None:
    outcome = run_command("CLI predict", ["predict", "--json", "--", text], _folder(tmp_path_factory))
    verdict = check_outcome(outcome)
    if verdict is not Verdict.REFUSED:
        assert "read as --formula" in outcome.err
        check_json_predictions(outcome.out, 1)
    TALLY.add("CLI predict", verdict)


@fuzz(25)
@given(text=odd_text)
def test_data_show_returns_json_or_refuses_any_identifier(text: str, tmp_path_factory: Any) -> None:
    outcome = run_command("CLI data", ["data", "show", "--json", "--", text], _folder(tmp_path_factory))
    verdict = check_outcome(outcome)
    assert verdict is Verdict.REFUSED or json.loads(outcome.out)
    TALLY.add("CLI data", verdict)


def _folder(factory: Any) -> Path:
    return Path(factory.getbasetemp())
