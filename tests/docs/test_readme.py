"""README.md and docs/accuracy.md: scores, outputs, commands and statements agree with the committed model."""

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
from tests.docs.test_notebooks import prose, read_notebook

README = (ROOT / "README.md").read_text(encoding="utf-8")
ACCURACY = (ROOT / "docs" / "accuracy.md").read_text(encoding="utf-8")
IN_ONE_LINE = " ".join(f"{README} {ACCURACY}".split())  # sentences wrap
SCORES = pd.DataFrame(json.loads((CHAMPION / "model.json").read_text(encoding="utf-8"))["metadata"]["scores"])
PICTURE = "docs/images/predictions.png"


def score(target: str, subset: str, metric: str, model: str = "full") -> float:
    rows = SCORES.query("target == @target and subset == @subset and metric == @metric and model == @model")
    assert len(rows) == 1
    return float(rows["value"].iloc[0])


def benchmark_differences(protocol: str, target: str, subset: str, metric: str) -> pd.DataFrame:
    """Return the differences of our model to each other model in the committed benchmark."""
    table = pd.read_csv(RESULTS / "differences.csv")
    ours = table[table["ours"] == "ours"]
    return ours.query("protocol == @protocol and target == @target and subset == @subset and metric == @metric")


def commands() -> list[str]:
    """Return all command lines of nasicon-ml in README, in code blocks and in the text."""
    blocks = re.findall(r"^```(?:sh|console)\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    lines = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
    inline = re.findall(
        r"`(nasicon-ml [^`]+)`", re.sub(r"^```.*?^```", "", README, flags=re.MULTILINE | re.DOTALL)
    )
    return [line for line in [*lines, *inline] if line.startswith("nasicon-ml ")]


@pytest.mark.slow
def test_computed_parts_are_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores and counts come from the committed model, outputs from running the commands and code blocks."""
    monkeypatch.delenv("NASICON_ML_MODEL", raising=False)
    assert renewed_readme(README) == README, "renew it: make docs"


def test_benchmark_section_is_up_to_date() -> None:
    assert between_markers(ACCURACY, "benchmark", benchmark_section()) == ACCURACY, "renew it: make docs"


def test_score_table_shows_the_scores_of_the_committed_model() -> None:
    row = next(line for line in README.splitlines() if line.startswith("| **Conductivity**"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    for cell, model in zip(cells[2:5], ("full", "composition only", "median"), strict=True):
        assert cell == f"{score('conductivity', 'all', 'mae_decades', model):.2f}"
    assert cells[5] == f"{100 * score('conductivity', 'all', 'coverage_90'):.0f} %"


def test_pellet_counts_match_the_dataset() -> None:
    everything = load_pellets(include_suspect=True)
    assert f"{len(everything):,} measured pellets" in README
    assert f"{int((~everything['suspect'].astype(bool)).sum()):,} of them usable" in README


class TestStatements:
    """Statements of both pages about the model. If a better model makes one untrue, rewrite the sentence."""

    @pytest.mark.parametrize("subset", ["all", "sintering temperature given"])
    def test_conductivity_is_better_than_all_other_models(self, subset: str) -> None:
        assert "Conductivity near room temperature is ahead of all others: over all pellets by more" in IN_ONE_LINE
        differences = benchmark_differences("P2", "conductivity", subset, "mae_decades")
        others = differences[~differences["peer"].str.startswith(("ours", "floor"))]
        assert len(others) >= 7
        assert (others["difference"] < 0).all()
        assert set(others["verdict"]) == ({"better"} if subset == "all" else {"better", "not told apart"})

    def test_processing_lowers_the_error_in_every_row(self) -> None:
        assert "Stating the processing lowers the error in every row of the [table of scores]" in IN_ONE_LINE
        for _, target, subset, metric, *_ in ROWS:
            gain = score(target, subset, metric, "composition only") - score(target, subset, metric)
            assert (gain < 0) if metric == "auroc" else (gain > 0), (target, subset, metric)

    def test_limited_significance_of_processing_is_stated(self) -> None:
        assert "at the edge of what this many papers can decide" in IN_ONE_LINE
        text = prose(read_notebook(ROOT / "notebooks" / "02_training.ipynb"))
        assert "beside the composition only, on all of them:" in text

    def test_error_within_latp_is_close_to_that_of_the_median(self) -> None:
        assert "Within LATP alone the median is hard to beat" in IN_ONE_LINE
        gain = score("conductivity", "LATP", "mae_decades", "median") - score(
            "conductivity", "LATP", "mae_decades"
        )
        assert -0.05 < gain < 0.05

    @pytest.mark.parametrize(
        ("protocol", "target", "metric"),
        [("P3", "relative_density", "mae_points"), ("P4", "phase_purity", "auroc")],
    )
    def test_density_and_purity_are_better_but_not_significantly(
        self, protocol: str, target: str, metric: str
    ) -> None:
        assert "Density and purity are ahead of the others by less than the papers can decide" in IN_ONE_LINE
        differences = benchmark_differences(protocol, target, "all", metric)
        others = differences[~differences["peer"].str.startswith(("ours", "floor"))]
        assert (others["difference"] * (1 if metric == "auroc" else -1) > 0).all()
        assert "not told apart" in set(others["verdict"])

    def test_no_aim_is_met(self) -> None:
        assert "None of the aims is met" in IN_ONE_LINE
        lines = [
            line for line in benchmark_section().splitlines() if line.startswith("| ") and "our aim" not in line
        ]
        reached = []
        for line in lines:
            label, *cells, aim = (cell.strip() for cell in line.strip("|").split("|"))
            if aim in {"", "---"}:
                continue
            ours = float((cells[0] if "**" in cells[0] else cells[3]).strip("*"))
            larger_is_better = any(name in label for name in ("AUROC", "skill", "tau"))
            reached.append(ours >= float(aim) if larger_is_better else ours <= float(aim))
        assert len(reached) > 5
        assert not any(reached)

    def test_model_without_lagp_is_worse_than_the_median_on_lagp(self) -> None:
        assert "learned without LAGP, the model takes it for a poor conductor" in IN_ONE_LINE
        differences = benchmark_differences("P7", "conductivity", "without LAGP", "mae_decades")
        assert differences.set_index("peer").loc["median of the system", "verdict"] == "worse"

    @pytest.mark.parametrize("target", ["conductivity", "relative_density"])
    def test_intervals_have_the_stated_coverage(self, target: str) -> None:
        assert "The intervals have the stated coverage" in IN_ONE_LINE
        assert score(target, "all", "coverage_90") == pytest.approx(0.9, abs=0.03)

    def test_unseen_paper_is_predicted_in_level_but_not_in_order(self) -> None:
        assert "finds the level of its conductivities, but not which pellet beats which" in IN_ONE_LINE
        text = prose(read_notebook(ROOT / "notebooks" / "03_reproducing_raj2023.ipynb"))
        line = next(line for line in text.splitlines() if line.startswith("- **conductivity**"))
        assert "less than the plain LATP median" in line
        assert "no order that could not be luck" in line or "the wrong way round" in line


def test_every_verb_has_a_command() -> None:
    from nasicon_ml.cli.main import VERBS

    assert {shlex.split(line, comments=True)[1] for line in commands()} == set(VERBS)


@pytest.mark.parametrize("line", commands())
def test_command_line_is_parsed(line: str) -> None:
    from nasicon_ml.cli.main import cli

    command: click.Command = cli
    arguments = shlex.split(line, comments=True)[1:]
    context = click.Context(command)
    while isinstance(command, click.Group):
        _, subcommand, arguments = command.resolve_command(context, arguments)
        assert subcommand is not None
        command = subcommand
    command.make_context(line, arguments)  # raises if an option or a value is invalid


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^make (\w+)|`make (\w+)`", README, flags=re.MULTILINE))
    named = {name for pair in targets for name in pair if name}
    assert {"demo", "test"} <= named
    assert named <= set(re.findall(r"^(\w+):", makefile, flags=re.MULTILINE))


def test_picture_is_drawn_by_the_command_shown() -> None:
    assert f"]({PICTURE})" in README
    assert any("predict examples/recipes.csv" in line and "--plot predictions.png" in line for line in commands())
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"predict examples/recipes.csv --plot {PICTURE}" in makefile
    path = ROOT / PICTURE
    assert path.read_bytes().startswith(b"\x89PNG")
    assert 10_000 < path.stat().st_size < 200_000


def test_citation_has_the_version_and_license_of_the_project() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {PROJECT['version']}\n" in citation
    assert f"\nlicense: {PROJECT['license']}\n" in citation


def test_renewing_replaces_sections_and_outputs() -> None:
    assert between_markers("a\n<!-- n:begin, by x -->\nold\n<!-- n:end -->\nb", "n", "new") == (
        "a\n<!-- n:begin, by x -->\nnew\n<!-- n:end -->\nb"
    )
    assert with_console_outputs("```console\n$ one\nold\n$ two\n```", "output of {}\n".format) == (
        "```console\n$ one\noutput of one\n$ two\noutput of two\n```"
    )
    assert with_python_outputs("```python\nx = 2\n```\n\n```python\nprint(x)\n```\n```text\n1\n```") == (
        "```python\nx = 2\n```\n\n```python\nprint(x)\n```\n```text\n2\n```"
    )


def test_renewing_raises_without_markers_or_text_block() -> None:
    with pytest.raises(ValueError, match="must be there once"):
        between_markers("nothing", "n", "new")
    with pytest.raises(ValueError, match="no text block follows"):
        with_python_outputs("```python\nprint(1)\n```\n")
