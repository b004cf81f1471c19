"""Update the computed parts of docs/serving.md: the server's responses and the measurements.

    python -m tools.serving_page [--check]

The committed champion is served by `mlflow models serve`, and the page's `curl` commands are sent to it. With
``--check`` nothing is written, and the exit code is 1 if the page is out of date.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.serving_server import CHAMPION, Served, published, serving
from tools.renew_docs import between_markers, with_console_outputs

from nasicon_ml.workflows.predict import default_bundle

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "serving.md"
MEASURED = ROOT / "benchmarks" / "results" / "serving.json"


def curl(served: Served) -> Callable[[str], str]:
    """Return a function that sends a `curl` command of the page to the server and returns the output."""

    def run(command: str) -> str:
        request, *filters = command.split(" | ")
        options = _options(shlex.split(request))
        body = options["body"].encode()
        if body.startswith(b"@"):
            body = (ROOT / body[1:].decode()).read_bytes()
        address = urlsplit(options["url"])
        answer = served.ask(f"{address.path}?{address.query}".rstrip("?"), body, options["type"])
        after = options.get("written", "").replace("\\n", "\n").replace("%{http_code}", str(answer.status))
        if not filters:
            return answer.text + after
        (filter_,) = filters
        program, *arguments = shlex.split(filter_)
        if program != "python":
            raise ValueError(f"answers are passed on to python only, not to {program}")
        done = subprocess.run([sys.executable, *arguments], input=answer.body, capture_output=True, check=True)
        return done.stdout.decode()

    return run


def _options(words: list[str]) -> dict[str, str]:
    """Return the options of a curl command; options that the page does not use raise an error."""
    options: dict[str, str] = {}
    program, *rest = words
    if program != "curl":
        raise ValueError(f"console blocks run curl only, not {program}")
    while rest:
        word = rest.pop(0)
        if word == "-H":
            name, _, value = rest.pop(0).partition(": ")
            options[{"Content-Type": "type"}[name]] = value
        elif word in {"-d", "--data-binary", "-w"}:
            options["written" if word == "-w" else "body"] = rest.pop(0)
        elif word != "-s":
            options["url"] = word
    return options


def measured_section(found: dict[str, Any]) -> str:
    """Return the section on the benchmark's measurements."""
    load, hardware = found["load"], found["hardware"]
    ends = load["memory_requests"]
    first, last, started = (f"{load['memory_mb'][when]:.0f} MB" for when in ("first", "last", "started"))
    within = {name: f"{1000 * seconds:.0f} ms" for name, seconds in load["latency_s"].items()}
    alone = f"{1000 * found['alone_s']['p50']:.0f} ms"
    machine = f"{hardware['cores']} cores of {hardware['processor']}"
    asked = f"{load['requests']} requests of 1 to {load['largest']} recipes by {load['clients']} clients"
    speed = f"{load['requests_per_s']:.1f} requests and {load['recipes_per_s']:.0f} recipes a second"
    change = f"{100 * load['memory_growth']:+.1f} %"
    lines = [
        f"Measured with {asked} at once, on {machine} that server and",
        f"clients shared (load average before: {load['load_before']:.1f}):",
        "",
        f"- {load['errors']} errors, {speed};",
        f"- half of the answers within {within['p50']}, 95 % within {within['p95']}, 99 % within {within['p99']};",
        f"- a single recipe, without other clients: {alone};",
        f"- memory: {first} during the first {ends} requests, {last} during the last ({change}), after a warm-up",
        f"  of {load['warm_up_requests']} requests; {started} when started.",
    ]
    if two := found.get("two_workers"):
        lines[-1] = lines[-1].removesuffix(".") + ";"
        faster = f"{two['requests_per_s']:.1f} requests and {two['recipes_per_s']:.0f} recipes a second"
        half, size = 1000 * two["latency_s"]["p50"], two["memory_mb"]["last"]
        lines += [
            f"- with `--workers 2`: {two['errors']} errors, {faster},",
            f"  half of the answers within {half:.0f} ms; {size:.0f} MB.",
        ]
    return "\n".join(lines)


def renewed(text: str, run: Callable[[str], str]) -> str:
    """Return the page with all computed parts updated."""
    found = json.loads(MEASURED.read_text(encoding="utf-8"))
    return between_markers(with_console_outputs(text, run), "measured", measured_section(found))


def main() -> int:
    """Update the page, or report that it is out of date."""
    text = PAGE.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        store = published(default_bundle(), Path(folder))
        with serving(CHAMPION, store, env={"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}) as served:
            new = renewed(text, curl(served))
    if new == text:
        return 0
    if "--check" in sys.argv[1:]:
        print("docs/serving.md is not up to date: python -m tools.serving_page")  # noqa: T201
        return 1
    PAGE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
