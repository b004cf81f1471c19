"""docs/own-pellets.md: its example is valid, and its options, columns and numbers match the code."""

import io
import re

import pandas as pd
from benchmarks.own_pellets import LEAST_PELLETS
from tools.benchmark_table import own_section
from tools.renew_docs import between_markers

from nasicon_ml.cli.predict import predict
from nasicon_ml.cli.train import train
from nasicon_ml.columns import Column, Role, columns_of
from nasicon_ml.data.own_pellets import OWN_SOURCE, own_pellets
from nasicon_ml.estimators import own_pellets as own_fitting
from nasicon_ml.features import distances
from tests.contracts.source import ROOT

PAGE = (ROOT / "docs" / "own-pellets.md").read_text(encoding="utf-8")
IN_ONE_LINE = " ".join(PAGE.split())


def code_block(language: str) -> str:
    (content,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    return content


def test_example_is_read_as_own_pellets(tmp_path):
    path = tmp_path / "my_pellets.csv"
    path.write_text(code_block("csv"), encoding="utf-8")
    pellets = own_pellets(path)
    assert len(pellets) == len(code_block("csv").splitlines()) - 1
    assert set(pellets[Column.SYSTEM]) == {"LATP"}
    assert set(pd.read_csv(io.StringIO(code_block("csv"))).columns) <= set(pellets.columns)


def test_options_exist():
    options = {name for command in (predict, train) for parameter in command.params for name in parameter.opts}
    named = set(re.findall(r"(--[a-z][a-z-]+)", PAGE))
    assert {"--own", "--add"} <= named <= options


def test_described_columns_match_the_code():
    described = set(re.findall(r"^\| `(own_[a-z_]+)` \|", PAGE, flags=re.MULTILINE))
    assert described == {column.value for column in columns_of(Role.OWN)}
    assert f"named `{OWN_SOURCE}`" in IN_ONE_LINE


def test_numbers_in_the_text_match_the_code():
    assert f"with {own_fitting._FREEDOM:.0f} degrees of freedom" in IN_ONE_LINE
    assert f"the coverage is {100 * own_fitting._LEVEL:.0f} %" in IN_ONE_LINE
    assert f"up to {distances._MAX_LABORATORY_DIFFERENCE:.0f}. A field that neither" in IN_ONE_LINE
    assert (own_fitting._MOST_KNOWN, "from one to three others" in IN_ONE_LINE) == (3, True)
    assert (LEAST_PELLETS, "with at least four" in IN_ONE_LINE) == (4, True)


def test_benchmark_section_is_up_to_date() -> None:
    assert between_markers(PAGE, "own", own_section()) == PAGE, "renew it: make docs"
