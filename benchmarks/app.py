"""How long a visitor of 'nasicon-ml app' waits: for the first page, and for an answer after a change.

Run with ``python -m benchmarks.app``; it needs Chromium. Prints JSON, times in seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

_PATIENCE_MS = 120_000


def main() -> None:
    """Start the command, open the page, change the temperature again and again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=20)
    changes = parser.parse_args().changes
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).parent / "nasicon-ml"
    begun = time.perf_counter()
    server = subprocess.Popen(
        [program, "app", "--no-browser", "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.set_default_timeout(_PATIENCE_MS)
            _wait(f"http://127.0.0.1:{port}/_stcore/health")
            page.goto(f"http://127.0.0.1:{port}/?sintering_temperature_c=700")
            page.wait_for_selector("h1")
            times = {"first page": time.perf_counter() - begun}
            page.get_by_label("Composition", exact=True).wait_for()
            times["form"] = time.perf_counter() - begun
            page.get_by_test_id("stMetricValue").first.wait_for()
            times["first answer"] = time.perf_counter() - begun
            times["of it, CPU of the server"] = _cpu_s(server.pid)
            _settled(page)
            answers, wholes = zip(
                *(_change(page, temperature) for temperature in _temperatures(changes)), strict=True
            )
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()
    times |= {"answer after a change, median": statistics.median(answers), "answer, slowest": max(answers)}
    times |= {"whole page after a change, median": statistics.median(wholes), "whole page, slowest": max(wholes)}
    times["load of the machine, 1 min"] = os.getloadavg()[0]
    print(json.dumps({name: round(value, 2) for name, value in times.items()}, indent=2))


def _wait(url: str) -> None:
    while True:
        try:
            urllib.request.urlopen(url).read()  # noqa: S310
        except OSError:
            time.sleep(0.05)
        else:
            return


def _cpu_s(pid: int) -> float:
    """Return how long a process has kept a core busy, in s, which other programs hardly change."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _settled(page: Page) -> None:
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')


def _temperatures(changes: int) -> list[int]:
    """Return cold and hot in turn, none twice: between neighbours the rounded answer may stay the same."""
    return [(700 if number % 2 else 950) + number for number in range(changes)]


def _change(page: Page, temperature: int) -> tuple[float, float]:
    """Change the sintering temperature; return the seconds until the answer and until the whole page are new."""
    badges = page.get_by_test_id("stMetric")
    before = badges.first.inner_text()
    field = page.get_by_label("Sintering temperature (°C)", exact=True)
    field.fill(str(temperature))
    begun = time.perf_counter()
    field.press("Enter")
    expect(badges.first).not_to_have_text(before, use_inner_text=True, timeout=_PATIENCE_MS)
    answered = time.perf_counter() - begun
    _settled(page)
    return answered, time.perf_counter() - begun


if __name__ == "__main__":
    main()
