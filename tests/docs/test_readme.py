"""README.md and docs/accuracy.md: scores, outputs, commands, and judgements in words are those of the model."""

from __future__ import annotations

import json
import re
import shlex

import click
import pandas as pd
import pytest
from tools.benchmark_table import RESULTS, benchmark_section
from tools.readme_tables import ROWS
from tools.renew_docs import CHAMPION, between_markers, renewed_readme, with_console_outputs, with_python_outputs

from nasicon_ml.data.load import load_pellets
from tests.contracts.source import ROOT
from tests.contracts.test_docs import PROJECT
from tests.docs.test_notebooks import prose, read

README = (ROOT / "README.md").read_text(encoding="utf-8")
ACCURACY = (ROOT / "docs" / "accuracy.md").read_text(encoding="utf-8")
IN_ONE_LINE = " ".join(f"{README} {ACCURACY}".split())  # sentences wrap
SCORES = pd.DataFrame(json.loads((CHAMPION / "model.json").read_text(encoding="utf-8"))["metadata"]["scores"])
PICTURE = "docs/images/predictions.png"


def score(target: str, subset: str, metric: str, model: str = "full") -> float:
    rows = SCORES.query("target == @target and subset == @subset and metric == @metric and model == @model")
    assert len(rows) == 1
    return float(rows["value"].iloc[0])


def compared(protocol: str, target: str, subset: str, metric: str) -> pd.DataFrame:
    """Ours against each of the others, by the committed benchmark."""
    differences = pd.read_csv(RESULTS / "differences.csv")
    ours = differences[differences["ours"] == "ours"]
    return ours.query("protocol == @protocol and target == @target and subset == @subset and metric == @metric")


def commands() -> list[str]:
    """Every command line of this project that README shows, in blocks and in the text."""
    blocks = re.findall(r"^```(?:sh|console)\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    lines = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
    inline = re.findall(
        r"`(nasicon-ml [^`]+)`", re.sub(r"^```.*?^```", "", README, flags=re.MULTILINE | re.DOTALL)
    )
    return [line for line in [*lines, *inline] if line.startswith("nasicon-ml ")]


@pytest.mark.slow
def test_what_is_computed_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores and counts are the committed model's, outputs are what the command and the block print."""
    monkeypatch.delenv("NASICON_ML_MODEL", raising=False)
    assert renewed_readme(README) == README, "renew it: make docs"


def test_the_benchmark_is_up_to_date() -> None:
    assert between_markers(ACCURACY, "benchmark", benchmark_section()) == ACCURACY, "renew it: make docs"


def test_the_table_of_scores_has_the_numbers_of_the_model() -> None:
    row = next(line for line in README.splitlines() if line.startswith("| **Conductivity**"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    for cell, model in zip(cells[2:5], ("full", "composition only", "median"), strict=True):
        assert cell == f"{score('conductivity', 'all', 'mae_decades', model):.2f}"
    assert cells[5] == f"{100 * score('conductivity', 'all', 'coverage_90'):.0f} %"


def test_the_counts_are_those_of_the_dataset() -> None:
    everything = load_pellets(include_suspect=True)
    assert f"{len(everything):,} measured pellets" in README
    assert f"{int((~everything['suspect'].astype(bool)).sum()):,} of them usable" in README


class TestJudgements:
    """What both pages say about the models: if a better model breaks one of these, rewrite the sentence."""

    @pytest.mark.parametrize("subset", ["all", "sintering temperature given"])
    def test_conductivity_is_ahead(self, subset: str) -> None:
        assert "Conductivity near room temperature is ahead of all others: over all pellets by more" in IN_ONE_LINE
        told = compared("P2", "conductivity", subset, "mae_decades")
        others = told[~told["peer"].str.startswith(("ours", "floor"))]
        assert len(others) >= 7
        assert (others["difference"] < 0).all()
        assert set(others["verdict"]) == ({"better"} if subset == "all" else {"better", "not told apart"})

    def test_processing_lowers_the_error_in_every_row(self) -> None:
        assert "Stating the processing lowers the error in every row of the [table of scores]" in IN_ONE_LINE
        for _, target, subset, metric, *_ in ROWS:
            gain = score(target, subset, metric, "composition only") - score(target, subset, metric)
            assert (gain < 0) if metric == "auroc" else (gain > 0), (target, subset, metric)

    def test_at_the_edge_of_what_can_be_decided(self) -> None:
        assert "at the edge of what this many papers can decide" in IN_ONE_LINE
        told = prose(read(ROOT / "notebooks" / "02_training.ipynb"))
        assert "beside the composition only, on all of them:" in told

    def test_the_median_of_latp_is_hard_to_beat(self) -> None:
        assert "Within LATP alone the median is hard to beat" in IN_ONE_LINE
        gain = score("conductivity", "LATP", "mae_decades", "median") - score(
            "conductivity", "LATP", "mae_decades"
        )
        assert -0.05 < gain < 0.05

    @pytest.mark.parametrize(
        ("protocol", "target", "metric"),
        [("P3", "relative_density", "mae_points"), ("P4", "phase_purity", "auroc")],
    )
    def test_density_and_purity_are_ahead_by_less_than_can_be_decided(
        self, protocol: str, target: str, metric: str
    ) -> None:
        assert "Density and purity are ahead of the others by less than the papers can decide" in IN_ONE_LINE
        told = compared(protocol, target, "all", metric)
        others = told[~told["peer"].str.startswith(("ours", "floor"))]
        assert (others["difference"] * (1 if metric == "auroc" else -1) > 0).all()
        assert "not told apart" in set(others["verdict"])

    def test_no_aim_is_met(self) -> None:
        assert "None of the aims is met" in IN_ONE_LINE
        lines = [
            line for line in benchmark_section().splitlines() if line.startswith("| ") and "our aim" not in line
        ]
        met = []
        for line in lines:
            words, *cells, aim = (cell.strip() for cell in line.strip("|").split("|"))
            if aim in {"", "---"}:
                continue
            ours = float((cells[0] if "**" in cells[0] else cells[3]).strip("*"))
            larger = any(name in words for name in ("AUROC", "skill", "tau"))
            met.append(ours >= float(aim) if larger else ours <= float(aim))
        assert len(met) > 5
        assert not any(met)

    def test_a_host_never_seen_is_not_predicted(self) -> None:
        assert "learned without LAGP, the model takes it for a poor conductor" in IN_ONE_LINE
        told = compared("P7", "conductivity", "without LAGP", "mae_decades")
        assert told.set_index("peer").loc["median of the system", "verdict"] == "worse"

    @pytest.mark.parametrize("target", ["conductivity", "relative_density"])
    def test_the_intervals_hold_what_they_promise(self, target: str) -> None:
        assert "The intervals have the stated coverage" in IN_ONE_LINE
        assert score(target, "all", "coverage_90") == pytest.approx(0.9, abs=0.03)

    def test_an_unseen_paper_is_found_in_level_and_not_in_order(self) -> None:
        assert "finds the level of its conductivities, but not which pellet beats which" in IN_ONE_LINE
        told = prose(read(ROOT / "notebooks" / "03_reproducing_raj2023.ipynb"))
        line = next(line for line in told.splitlines() if line.startswith("- **conductivity**"))
        assert "less than the plain LATP median" in line
        assert "no order that could not be luck" in line or "the wrong way round" in line


def test_there_are_commands_for_every_verb() -> None:
    from nasicon_ml.cli.main import VERBS

    assert {shlex.split(line, comments=True)[1] for line in commands()} == set(VERBS)


@pytest.mark.parametrize("line", commands())
def test_every_command_is_understood(line: str) -> None:
    from nasicon_ml.cli.main import cli

    command: click.Command = cli
    arguments = shlex.split(line, comments=True)[1:]
    context = click.Context(command)
    while isinstance(command, click.Group):
        _, found, arguments = command.resolve_command(context, arguments)
        assert found is not None
        command = found
    command.make_context(line, arguments)  # raises where an option or a value is not understood


def test_the_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^make (\w+)|`make (\w+)`", README, flags=re.MULTILINE))
    named = {name for pair in targets for name in pair if name}
    assert {"demo", "test"} <= named
    assert named <= set(re.findall(r"^(\w+):", makefile, flags=re.MULTILINE))


def test_the_picture_is_made_by_the_command_that_is_shown() -> None:
    assert f"]({PICTURE})" in README
    assert any("predict examples/recipes.csv" in line and "--plot predictions.png" in line for line in commands())
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"predict examples/recipes.csv --plot {PICTURE}" in makefile
    path = ROOT / PICTURE
    assert path.read_bytes().startswith(b"\x89PNG")
    assert 10_000 < path.stat().st_size < 200_000


def test_the_version_to_cite_is_the_version() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {PROJECT['version']}\n" in citation
    assert f"\nlicense: {PROJECT['license']}\n" in citation


def test_renewing_puts_in_what_was_computed() -> None:
    assert between_markers("a\n<!-- n:begin, by x -->\nold\n<!-- n:end -->\nb", "n", "new") == (
        "a\n<!-- n:begin, by x -->\nnew\n<!-- n:end -->\nb"
    )
    assert with_console_outputs("```console\n$ one\nold\n$ two\n```", "{} said\n".format) == (
        "```console\n$ one\none said\n$ two\ntwo said\n```"
    )
    assert with_python_outputs("```python\nx = 2\n```\n\n```python\nprint(x)\n```\n```text\n1\n```") == (
        "```python\nx = 2\n```\n\n```python\nprint(x)\n```\n```text\n2\n```"
    )


def test_renewing_refuses_what_it_cannot_place() -> None:
    with pytest.raises(ValueError, match="must be there once"):
        between_markers("nothing", "n", "new")
    with pytest.raises(ValueError, match="no text block follows"):
        with_python_outputs("```python\nprint(1)\n```\n")
