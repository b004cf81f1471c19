"""The notebooks as they are committed: run, up to date, small, without anything of the machine that ran them.

`make notebooks` runs them; here their kept outputs are looked at.
"""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from benchmarks.accuracy_report import NOTES
from tools.run_notebooks import BELONGS_TO, belongs_to

from nasicon_ml.features.processing import FINER_POWDER_C_PER_DECADE, USUAL_PARTICLE_SIZE_UM
from tests.contracts.source import ROOT
from tests.contracts.test_docs import dead_links

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MAX_NOTEBOOK_BYTES = 800_000
MAX_FIGURE_BYTES = 120_000
# A path of somebody's machine, in any of the usual places.
MACHINE = re.compile(
    r"(?:/(?:home|root|Users|tmp|var|opt|work|mnt)/|[A-Z]:\\\\|site-packages|\.venv|ipykernel_)", re.ASCII
)
WARNING = re.compile(r"\b\w*Warning\b|Traceback")


def complaints(notebook: dict[str, Any]) -> list[str]:
    """Everything that is wrong with the outputs of a notebook."""
    found = []
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    if [cell["execution_count"] for cell in code] != list(range(1, len(code) + 1)):
        found.append("the cells were not run once each, from the first to the last")
    for number, cell in enumerate(code, start=1):
        for output in cell["outputs"]:
            if output["output_type"] == "error" or output.get("name") == "stderr":
                found.append(f"cell {number} says something on standard error, or fails")
            data = {**output.get("data", {}), "stream": output.get("text", "")}
            figure = data.pop("image/png", "")
            if len(figure) * 3 / 4 > MAX_FIGURE_BYTES:
                found.append(f"cell {number} has a figure of {len(figure) * 3 // 4} bytes")
            text = json.dumps(data, ensure_ascii=False)
            found += [
                f"cell {number} shows {pattern.search(text)}"
                for pattern in (MACHINE, WARNING)
                if pattern.search(text)
            ]
    if not any(cell["outputs"] for cell in code):
        found.append("there are no outputs")
    return found


def read(path: Path) -> dict[str, Any]:
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return notebook


def prose(notebook: dict[str, Any]) -> str:
    """What its markdown says: the cells, and the outputs that are markdown."""
    texts = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    texts += ["".join(output.get("data", {}).get("text/markdown", "")) for output in outputs]
    return "\n\n".join(texts)


def test_the_four_stories_are_there() -> None:
    assert [path.stem for path in NOTEBOOKS] == [
        "01_dataset", "02_training", "03_reproducing_raj2023", "04_what_processing_is_worth",
    ]  # fmt: skip


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestNotebook:
    def test_outputs_are_whole_and_clean(self, path: Path) -> None:
        assert complaints(read(path)) == []

    def test_outputs_belong_to_the_committed_dataset_and_model(self, path: Path) -> None:
        kept = read(path)["metadata"][BELONGS_TO]
        assert kept == belongs_to(), "renew the outputs: make docs"

    def test_it_is_small_and_runs_on_any_python(self, path: Path) -> None:
        assert path.stat().st_size < MAX_NOTEBOOK_BYTES
        assert read(path)["metadata"]["kernelspec"]["name"] == "python3"

    def test_links_lead_somewhere(self, path: Path) -> None:
        assert dead_links(path, prose(read(path))) == []

    def test_the_index_of_all_pages_names_it(self, path: Path) -> None:
        assert f"notebooks/{path.name}" in (ROOT / "docs" / "README.md").read_text(encoding="utf-8")


def test_what_the_features_know_of_the_paper_left_out_is_said() -> None:
    """One constant comes from raj2023 itself; notebook 3 and protocol P5 leave its pellets out, and say so."""
    said = f"{FINER_POWDER_C_PER_DECADE:g} °C less"
    story = prose(read(next(path for path in NOTEBOOKS if path.stem == "03_reproducing_raj2023")))
    assert f"finer powder needs {said} heat, counted from {USUAL_PARTICLE_SIZE_UM:g} µm" in story
    assert f"({said} for a ten times finer" in NOTES


@pytest.mark.parametrize(
    ("output", "complaint"),
    [
        ({"output_type": "stream", "name": "stderr", "text": ["careful\n"]}, "standard error"),
        ({"output_type": "stream", "name": "stdout", "text": ["/home/me/data.csv\n"]}, "/home/"),
        ({"output_type": "display_data", "data": {"text/plain": ["FutureWarning: no"]}}, "FutureWarning"),
        ({"output_type": "display_data", "data": {"image/png": "A" * 200_000}}, "figure"),
        ({"output_type": "error", "ename": "ValueError"}, "fails"),
    ],
)
def test_a_bad_output_is_seen(output: dict[str, Any], complaint: str) -> None:
    notebook = read(NOTEBOOKS[0])
    notebook["cells"] = copy.deepcopy(notebook["cells"])
    next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")["outputs"].append(output)
    found = complaints(notebook)
    assert len(found) == 1
    assert complaint in found[0]


def test_a_notebook_that_was_not_run_is_seen() -> None:
    notebook = read(NOTEBOOKS[0])
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell.update(outputs=[], execution_count=None)
    assert len(complaints(notebook)) == 2
