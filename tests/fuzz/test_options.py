"""Odd values of command-line options, and options that do not exist or contradict each other."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasicon_ml.columns import RECIPE, Column
from tests.fuzz.conftest import fuzz
from tests.fuzz.oracle import check_json_predictions, check_outcome, run_command
from tests.fuzz.tally import TALLY, Verdict
from tests.fuzz.texts import HOSTILE, damaged, long_text, odd_formula, odd_text

VALUES = st.one_of(
    st.sampled_from(HOSTILE),
    st.floats().map(str),
    st.integers(-(10**6), 10**12).map(str),
    odd_text,
    damaged(
        st.sampled_from(["800", "2.5", "argon", "SPS", "M=Sc", "0.95", "25", "sol-gel", "wt%", "models/champion"])
    ),
)
RECIPE_OPTIONS = [column.option for column in RECIPE]
OPTIONS = [
    *RECIPE_OPTIONS, "--at", "--level", "--neighbours", "--x", "--system", "--substitute", "--model", "--own",
    "--format", "--tracking-uri", "--plot", "--output", "--at-c", "--levels", "--unknown", "-x", "--json",
    "--details",
]  # fmt: skip
VERBS = [
    "predict",
    "profile",
    "compare",
    "train",
    "data",
    "data validate",
    "data show",
    "data find",
    "data cite",
    "data summary",
    "data checksums",
    "predct",
    "eval",
    "",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("options")


def check_arguments(arguments: list[str], folder: Path) -> Verdict:
    """Run the command, check what it wrote, count the verdict and return it."""
    channel = f"CLI {arguments[0] if arguments[0] in {'predict', 'train', 'data'} else 'other'}"
    outcome = run_command(channel, arguments, folder)
    verdict = check_outcome(outcome)
    if verdict is Verdict.ANSWERED and arguments[0] == "predict" and "--json" in arguments:
        several = any("," in argument for argument in arguments)  # several values make several recipes
        check_json_predictions(outcome.out, None if several else 1)
    TALLY.add(channel, verdict)
    return verdict


@fuzz(450)
@given(option=st.sampled_from(OPTIONS), value=VALUES)
def test_predict_answers_or_refuses_any_option_value(option: str, value: str, folder: Path) -> None:
    base = [] if option in {"--formula", "--system"} else ["--formula", "LATP x=0.3"]
    check_arguments(["predict", "--json", *base, f"{option}={value}"], folder)
    assert not list(folder.glob("*.tmp"))


@fuzz(100)
@given(pairs=st.lists(st.tuples(st.sampled_from(OPTIONS), VALUES), min_size=2, max_size=4))
def test_predict_answers_or_refuses_several_odd_options(pairs: list[tuple[str, str]], folder: Path) -> None:
    check_arguments(["predict", "--json", *[part for option, value in pairs for part in (option, value)]], folder)


@pytest.mark.parametrize(
    "option", ["--formula", "--additive", "--atmosphere", "--sintering-temperature", "--model", "--own"]
)
@fuzz(7)
@given(value=long_text)
def test_predict_refuses_very_long_option_value(option: str, value: str, folder: Path) -> None:
    base = [] if option == "--formula" else ["--formula", "LATP x=0.3"]
    verdict = check_arguments(["predict", "--json", *base, option, value], folder)
    assert verdict is Verdict.REFUSED or not value.strip(" é")


@fuzz(60)
@given(system=odd_formula, x=VALUES, pair=damaged(st.sampled_from(["M=Sc", "Ln=La", "Me=Xx"])))
def test_predict_system_answers_or_refuses_any_x_and_substitute(
    system: str, x: str, pair: str, folder: Path
) -> None:
    check_arguments(["predict", "--json", f"--system={system}", f"--x={x}", f"--substitute={pair}"], folder)


@fuzz(60)
@given(
    verb=st.sampled_from(VERBS),
    rest=st.lists(odd_text.filter(lambda text: text != "--help"), min_size=1, max_size=3),
)
def test_commands_with_unknown_arguments_are_refused(verb: str, rest: list[str], folder: Path) -> None:
    verdict = check_arguments([*verb.split(), *rest], folder)
    assert verdict is Verdict.REFUSED or verb == "data find"  # which takes any words as search terms


@pytest.mark.parametrize("option", ["--folds", "--repeats", "--seed", "--trials", "--threads"])
@pytest.mark.parametrize("value", ["-1", "nan", "1e3", "1.5", "", "x", "0x10", "\ud800", "9" * 5000])
def test_train_with_invalid_option_value_is_refused(option: str, value: str, folder: Path) -> None:
    dataset = str(folder / "missing.csv")
    outcome = run_command("CLI train", ["train", "--no-track", "--dataset", dataset, option, value], folder)
    assert check_outcome(outcome) is Verdict.REFUSED
    assert f"Invalid value for '{option}'" in outcome.err  # not because the dataset is missing
    TALLY.add("CLI train", Verdict.REFUSED)


@pytest.mark.parametrize("at", ["298", "298.15", "1e9", "-273.16", "-nan", "inf", "room", "25 °C", "77 F"])
def test_predict_at_accepts_only_temperatures_in_range(at: str, folder: Path) -> None:
    assert Column.MEASUREMENT_TEMPERATURE_C.maximum < 1e9
    verdict = check_arguments(["predict", "--json", "--formula", "LATP x=0.3", "--at", at], folder)
    assert (verdict is Verdict.ANSWERED) == at.startswith("298")
