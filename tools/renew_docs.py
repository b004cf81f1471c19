"""Update the computed parts of README.md, the data card and docs/: scores, predictions and outputs.

    python -m tools.renew_docs [--check]

Three kinds of text are updated: the part between two markers (scores and counts, from the committed model and
dataset), the output below each command of a ``console`` block, and the ``text`` block below a ``python`` block.
With ``--check`` nothing is written, and the exit code is 1 if a page is out of date.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools.benchmark_table import benchmark_section, campaign_section, campaign_sentence, own_section
from tools.readme_tables import dataset_paragraph, score_section

ROOT = Path(__file__).resolve().parents[1]
README, PYTHON_PAGE = ROOT / "README.md", ROOT / "docs" / "python.md"
DATA_CARD = ROOT / "datasets" / "README.md"
SCIKIT_LEARN_PAGE = ROOT / "docs" / "scikit-learn.md"
OWN_PAGE, ACCURACY_PAGE = ROOT / "docs" / "own-pellets.md", ROOT / "docs" / "accuracy.md"
CAMPAIGNS_PAGE = ROOT / "docs" / "campaigns.md"
CHAMPION = ROOT / "models" / "champion"
#: Environment variables that must not affect the outputs.
OWN_SETTINGS = ("NASICON_ML_MODEL", "NASICON_ML_DATASETS", "MLFLOW_TRACKING_URI", "COLUMNS")
_CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PYTHON = re.compile(
    r"^```python\n(?P<code>.*?)^```\n(?:```text\n(?P<output>.*?)^```$)?", re.MULTILINE | re.DOTALL
)


def between_markers(text: str, name: str, content: str) -> str:
    """Replace the text between ``<!-- name:begin -->`` and ``<!-- name:end -->`` by `content`.

    Raises
    ------
    ValueError
        If either marker does not occur exactly once.
    """
    begin, end = f"<!-- {name}:begin", f"<!-- {name}:end -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"the markers {begin} ... {end} must be there once")
    before, rest = text.split(begin)
    comment, rest = rest.split("-->\n", 1)
    return f"{before}{begin}{comment}-->\n{content}\n{end}{rest.split(end)[1]}"


def with_console_outputs(text: str, run: Callable[[str], str]) -> str:
    """Replace the output below each ``$ command`` of the console blocks."""

    def replace(match: re.Match[str]) -> str:
        commands = [line for line in match[1].splitlines() if line.startswith("$ ")]
        return "```console\n" + "".join(f"{line}\n{run(line[2:])}" for line in commands) + "```"

    return _CONSOLE.sub(replace, text)


def with_python_outputs(text: str) -> str:
    """Run the python blocks in order in one namespace, and replace the text blocks by what they print.

    Raises
    ------
    ValueError
        If a block prints something but no text block follows it.
    """
    names: dict[str, Any] = {"__name__": "__main__"}

    def replace(match: re.Match[str]) -> str:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(match["code"], "a page of docs", "exec"), names)  # noqa: S102 -- our own page
        block = f"```python\n{match['code']}```\n"
        output = "".join(f"{line.rstrip()}\n" for line in printed.getvalue().splitlines())
        if match["output"] is None:
            if output:
                raise ValueError(f"this block prints, but no text block follows it:\n{match['code']}")
            return block
        return f"{block}```text\n{output}```"

    return _PYTHON.sub(replace, text)


def run_command(command: str) -> str:
    """Run a nasicon-ml command in the folder of the repository, and return its standard output.

    Raises
    ------
    ValueError
        If it is another command, or fails.
    """
    program, *arguments = shlex.split(command)
    if program != "nasicon-ml":
        raise ValueError(f"console blocks run nasicon-ml only, not {program}")
    installed = shutil.which(program, path=str(Path(sys.executable).parent)) or program
    environment = {name: value for name, value in os.environ.items() if name not in OWN_SETTINGS}
    outcome = subprocess.run(
        [installed, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if outcome.returncode:
        raise ValueError(f"{command} ends with {outcome.returncode}: {outcome.stderr}")
    return outcome.stdout


def renewed_readme(text: str) -> str:
    """Return README.md with all computed parts updated."""
    scores = json.loads((CHAMPION / "model.json").read_text(encoding="utf-8"))["metadata"]["scores"]
    text = between_markers(text, "scores", score_section(scores))
    text = between_markers(text, "dataset", dataset_paragraph())
    text = between_markers(text, "campaigns", campaign_sentence())
    return with_python_outputs(with_console_outputs(text, run_command))


def renewed_python_page(text: str, folder: Path) -> str:
    """Return a page of Python examples with their outputs; the examples run and write files in `folder`."""
    shutil.copytree(ROOT / "examples", folder / "examples", dirs_exist_ok=True)
    with contextlib.chdir(folder):
        return with_python_outputs(text)


def main() -> int:
    """Update the pages, or list those that are out of date."""
    for name in OWN_SETTINGS:
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory() as folder:
        pages = {
            README: renewed_readme(README.read_text(encoding="utf-8")),
            DATA_CARD: with_console_outputs(DATA_CARD.read_text(encoding="utf-8"), run_command),
            ACCURACY_PAGE: between_markers(
                ACCURACY_PAGE.read_text(encoding="utf-8"), "benchmark", benchmark_section()
            ),
            CAMPAIGNS_PAGE: between_markers(
                CAMPAIGNS_PAGE.read_text(encoding="utf-8"), "campaigns", campaign_section()
            ),
            OWN_PAGE: between_markers(OWN_PAGE.read_text(encoding="utf-8"), "own", own_section()),
            PYTHON_PAGE: renewed_python_page(PYTHON_PAGE.read_text(encoding="utf-8"), Path(folder)),
            SCIKIT_LEARN_PAGE: renewed_python_page(SCIKIT_LEARN_PAGE.read_text(encoding="utf-8"), Path(folder)),
        }
    outdated = [page for page, text in pages.items() if page.read_text(encoding="utf-8") != text]
    for page in outdated:
        if "--check" not in sys.argv:
            page.write_text(pages[page], encoding="utf-8")
        sys.stdout.write(f"{'out of date' if '--check' in sys.argv else 'renewed'}: {page.relative_to(ROOT)}\n")
    return int(bool(outdated) and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
