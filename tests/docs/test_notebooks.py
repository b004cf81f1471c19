"""The committed notebooks are executed, up to date, small, and free of local paths and warnings.

`make notebooks` runs them; these tests check the stored outputs.
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
# An absolute path of the machine that ran the notebook.
LOCAL_PATH = re.compile(
    r"(?:/(?:home|root|Users|tmp|var|opt|work|mnt)/|[A-Z]:\\\\|site-packages|\.venv|ipykernel_)", re.ASCII
)
WARNING = re.compile(r"\b\w*Warning\b|Traceback")


def output_problems(notebook: dict[str, Any]) -> list[str]:
    """Return all problems of the outputs of a notebook."""
    problems = []
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    if [cell["execution_count"] for cell in code] != list(range(1, len(code) + 1)):
        problems.append("the cells were not run once each, from the first to the last")
    for number, cell in enumerate(code, start=1):
        for output in cell["outputs"]:
            if output["output_type"] == "error" or output.get("name") == "stderr":
                problems.append(f"cell {number} writes to standard error or fails")
            data = {**output.get("data", {}), "stream": output.get("text", "")}
            figure = data.pop("image/png", "")
            if len(figure) * 3 / 4 > MAX_FIGURE_BYTES:
                problems.append(f"cell {number} has a figure of {len(figure) * 3 // 4} bytes")
            text = json.dumps(data, ensure_ascii=False)
            problems += [
                f"cell {number} shows {pattern.search(text)}"
                for pattern in (LOCAL_PATH, WARNING)
                if pattern.search(text)
            ]
    if not any(cell["outputs"] for cell in code):
        problems.append("there are no outputs")
    return problems


def read_notebook(path: Path) -> dict[str, Any]:
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return notebook


def prose(notebook: dict[str, Any]) -> str:
    """Return the text of its markdown cells and markdown outputs."""
    texts = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    texts += ["".join(output.get("data", {}).get("text/markdown", "")) for output in outputs]
    return "\n\n".join(texts)


def test_the_four_notebooks_exist() -> None:
    assert [path.stem for path in NOTEBOOKS] == [
        "01_dataset", "02_training", "03_reproducing_raj2023", "04_what_processing_is_worth",
    ]  # fmt: skip


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestNotebook:
    def test_outputs_are_complete_and_clean(self, path: Path) -> None:
        assert output_problems(read_notebook(path)) == []

    def test_outputs_belong_to_the_committed_dataset_and_model(self, path: Path) -> None:
        recorded = read_notebook(path)["metadata"][BELONGS_TO]
        assert recorded == belongs_to(), "renew the outputs: make docs"

    def test_notebook_is_small_and_uses_the_python3_kernel(self, path: Path) -> None:
        assert path.stat().st_size < MAX_NOTEBOOK_BYTES
        assert read_notebook(path)["metadata"]["kernelspec"]["name"] == "python3"

    def test_no_dead_links(self, path: Path) -> None:
        assert dead_links(path, prose(read_notebook(path))) == []

    def test_docs_index_lists_the_notebook(self, path: Path) -> None:
        assert f"notebooks/{path.name}" in (ROOT / "docs" / "README.md").read_text(encoding="utf-8")


def test_constant_derived_from_the_held_out_paper_is_disclosed() -> None:
    """One constant comes from raj2023. Notebook 3 and protocol P5, which hold out its pellets, must say so."""
    difference = f"{FINER_POWDER_C_PER_DECADE:g} °C less"
    text = prose(read_notebook(next(path for path in NOTEBOOKS if path.stem == "03_reproducing_raj2023")))
    assert f"finer powder needs {difference} heat, counted from {USUAL_PARTICLE_SIZE_UM:g} µm" in text
    assert f"({difference} for a ten times finer" in NOTES


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        ({"output_type": "stream", "name": "stderr", "text": ["careful\n"]}, "standard error"),
        ({"output_type": "stream", "name": "stdout", "text": ["/home/me/data.csv\n"]}, "/home/"),
        ({"output_type": "display_data", "data": {"text/plain": ["FutureWarning: no"]}}, "FutureWarning"),
        ({"output_type": "display_data", "data": {"image/png": "A" * 200_000}}, "figure"),
        ({"output_type": "error", "ename": "ValueError"}, "fails"),
    ],
)
def test_invalid_output_is_detected(output: dict[str, Any], problem: str) -> None:
    notebook = read_notebook(NOTEBOOKS[0])
    notebook["cells"] = copy.deepcopy(notebook["cells"])
    next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")["outputs"].append(output)
    problems = output_problems(notebook)
    assert len(problems) == 1
    assert problem in problems[0]


def test_notebook_that_was_not_run_is_detected() -> None:
    notebook = read_notebook(NOTEBOOKS[0])
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell.update(outputs=[], execution_count=None)
    assert len(output_problems(notebook)) == 2
