"""The real server under load: `mlflow models serve`, asked by several clients at once.

    python -m benchmarks.serving

Two thousand requests of 1 to 200 recipes by four clients, in the three forms a request may have, to a server of
one process and then to one of two. The recipes are those of measured pellets with their processing varied. It
writes `benchmarks/results/serving.md` and `.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.serving_server import CHAMPION, CSV, JSON, Answer, Served, published, serving
from nasicon_ml.columns import MODEL_INPUT, PREDICTION, Column, Kind
from nasicon_ml.io import write_text
from nasicon_ml.model import PropertyModel
from nasicon_ml.workflows.predict import default_bundle, predict

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
COMMAND = "python -m benchmarks.serving"
CLIENTS, REQUESTS, LARGEST, SMALL = 4, 2000, 200, 20
#: Number of large requests before the measurement, so that libraries and allocator have reached a steady state.
WARM_UP = 40
#: Number of requests over which memory is averaged at the beginning and at the end.
ENDS = 100
#: Every n-th answer is compared with the prediction of the model in this process.
COMPARED = 20
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Request:
    """A table of recipes, encoded as a request."""

    table: pd.DataFrame
    body: bytes
    content_type: str
    form: str


@dataclass(frozen=True)
class Timed:
    """An answer with its duration, time of arrival and the server's memory at that time."""

    answer: Answer
    seconds: float
    done: float
    resident: int


def make_requests(pellets: pd.DataFrame, count: int, largest: int, seed: int = 0) -> list[Request]:
    """Return requests of 1 to `largest` measured recipes with varied temperature, time and particle size."""
    rng = np.random.default_rng(seed)
    known = pellets[[column.value for column in MODEL_INPUT]]
    forms = ("records", "split", "csv")
    return [
        _request(_varied(known, int(size), rng), forms[number % len(forms)])
        for number, size in enumerate(rng.integers(1, largest + 1, size=count))
    ]


def _varied(known: pd.DataFrame, size: int, rng: np.random.Generator) -> pd.DataFrame:
    table = known.iloc[rng.integers(0, len(known), size=size)].reset_index(drop=True)
    shifts = {
        Column.SINTERING_TEMPERATURE_C: rng.integers(-50, 51, size=size),
        Column.SINTERING_TIME_H: table[Column.SINTERING_TIME_H] * rng.choice([-0.5, 0.0, 1.0], size=size),
        Column.PARTICLE_SIZE_UM: table[Column.PARTICLE_SIZE_UM] * rng.uniform(-0.3, 0.3, size=size),
    }
    for column, shift in shifts.items():
        table[column] = (table[column] + shift).clip(column.minimum, column.maximum)
    return table


def _request(table: pd.DataFrame, form: str) -> Request:
    if form == "csv":
        return Request(table, table.to_csv(index=False).encode(), CSV, form)
    rows = [{name: cell for name, cell in row.items() if pd.notna(cell)} for row in table.to_dict("records")]
    content: dict[str, Any] = {"dataframe_records": rows}
    if form == "split":
        cells = table.astype("object").where(table.notna(), None)
        content = {"dataframe_split": {"columns": list(table.columns), "data": cells.to_numpy().tolist()}}
    return Request(table, json.dumps(content).encode(), JSON, form)


def send_all(served: Served, requests: Sequence[Request], clients: int) -> list[Timed]:
    """Send all requests, `clients` at a time; answers are in the order of the requests."""

    def send(request: Request) -> Timed:
        begun = time.perf_counter()
        answer = served.ask("/invocations", request.body, request.content_type)
        done = time.perf_counter()
        return Timed(answer, done - begun, done, served.resident_bytes())

    with ThreadPoolExecutor(clients) as pool:
        return list(pool.map(send, requests))


def largest_difference(requests: Sequence[Request], timed: Sequence[Timed], model: PropertyModel) -> float:
    """Return the largest relative difference between the answers and the model's predictions."""
    worst = 0.0
    for request, one in zip(requests, timed, strict=True):
        expected = predict(request.table, model).results
        found = pd.DataFrame(one.answer.json()["predictions"])
        numbers = [column.value for column in PREDICTION if column.kind is Kind.NUMBER]
        predicted = expected[numbers].to_numpy(float)
        answered = found[numbers].to_numpy(float)
        scale = np.maximum(np.abs(predicted), np.finfo(float).tiny)
        worst = max(worst, float(np.max(np.abs(answered - predicted) / scale)))
    return worst


def measure(served: Served, model: PropertyModel, requests: Sequence[Request], clients: int) -> dict[str, Any]:
    """Warm up the server, send the requests, and return the measurements.

    Raises
    ------
    RuntimeError
        If an answer is incomplete or differs from the model's predictions.
    """
    started = served.resident_bytes()
    largest = max(len(request.table) for request in requests)
    warm_up = [request for request in requests if len(request.table) > 0.9 * largest][:WARM_UP]
    send_all(served, warm_up, clients)
    warmed = served.resident_bytes()
    begun, load = time.perf_counter(), os.getloadavg()[0]
    timed = send_all(served, requests, clients)
    seconds = time.perf_counter() - begun
    for number, (request, one) in enumerate(zip(requests, timed, strict=True)):
        if one.answer.status != 200 or len(one.answer.json()["predictions"]) != len(request.table):
            raise RuntimeError(f"request {number}: status {one.answer.status}: {one.answer.text[:500]}")
    difference = largest_difference(requests[::COMPARED], timed[::COMPARED], model)
    if difference > TOLERANCE:
        raise RuntimeError(f"an answer differs from the model's by {difference:.1e}")
    memory = [one.resident for one in sorted(timed, key=lambda one: one.done)]
    ends = min(ENDS, len(memory) // 4)
    first, last = float(np.mean(memory[:ends])), float(np.mean(memory[-ends:]))
    recipes = sum(len(request.table) for request in requests)
    return {
        "clients": clients, "requests": len(requests), "largest": largest, "recipes": recipes, "errors": 0,
        "seconds": seconds, "requests_per_s": len(requests) / seconds, "recipes_per_s": recipes / seconds,
        "latency_s": _percentiles([one.seconds for one in timed]),
        "latency_small_s": _percentiles(
            [one.seconds for request, one in zip(requests, timed, strict=True) if len(request.table) <= SMALL]
        ),
        "largest_difference": difference, "compared": len(requests[::COMPARED]),
        "warm_up_requests": len(warm_up), "memory_requests": ends,
        "memory_mb": {
            "started": started / 1e6, "warmed_up": warmed / 1e6, "first": first / 1e6, "last": last / 1e6,
            "highest": max(memory) / 1e6,
        },
        "memory_growth": last / first - 1, "load_before": load, "load_after": os.getloadavg()[0],
    }  # fmt: skip


def _percentiles(seconds: Sequence[float]) -> dict[str, float]:
    if not seconds:
        return {}
    p50, p95, p99 = np.percentile(seconds, [50, 95, 99])
    return {"p50": float(p50), "p95": float(p95), "p99": float(p99), "max": float(np.max(seconds))}


def alone(served: Served, repeats: int = 50) -> dict[str, float]:
    """Return the latency of sequential requests of one recipe."""
    body = json.dumps({"dataframe_records": [{Column.FORMULA.value: "Li1.3Al0.3Ti1.7(PO4)3"}]}).encode()
    seconds = []
    for _ in range(repeats):
        begun = time.perf_counter()
        served.ask("/invocations", body)
        seconds.append(time.perf_counter() - begun)
    return _percentiles(seconds)


def described() -> dict[str, Any]:
    """Return command, date, versions and hardware."""
    names = ("nasicon-ml", "mlflow", "uvicorn", "fastapi", "xgboost", "numpy", "pandas")
    return {
        "command": COMMAND,
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in names},
        "hardware": {"processor": processor(), "cores": len(os.sched_getaffinity(0)), "memory_gb": _memory_gb()},
        "threads": os.environ.get("OMP_NUM_THREADS", "not limited"),
    }


def processor() -> str:
    """Return the name of the processor."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _memory_gb() -> float:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)


def page(found: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    load = found["load"]
    rows = [
        ("one recipe, one client", found["alone_s"]),
        (f"up to {SMALL} recipes, {load['clients']} clients", load["latency_small_s"]),
        (f"1 to {load['largest']} recipes, {load['clients']} clients", load["latency_s"]),
    ]
    said = (
        f"{load['requests']} requests of 1 to {load['largest']} recipes ({load['recipes']} in all) by "
        f"{load['clients']} clients at once, as records, split and CSV in turn: **{load['errors']} errors**, "
        f"{load['seconds']:.0f} s, **{load['requests_per_s']:.1f} requests and {load['recipes_per_s']:.0f} "
        f"recipes a second**. The numbers of {load['compared']} answers were compared with the model's own; the "
        f"largest relative difference is {load['largest_difference']:.1g}."
    )
    if two := found.get("two_workers"):
        rows.append(("the same, `--workers 2`", two["latency_s"]))
        said += (
            f" With `--workers 2`: {two['errors']} errors, **{two['requests_per_s']:.1f} requests and "
            f"{two['recipes_per_s']:.0f} recipes a second**, {two['memory_mb']['last']:.0f} MB."
        )
    latency = [
        f"| {name} | " + " | ".join(f"{1000 * one[key]:.0f}" for key in ("p50", "p95", "p99", "max")) + " |"
        for name, one in rows
        if one
    ]
    return "\n".join(
        [
            "# The server under load", "", *_circumstances(found), "", said, "",
            "| time to the answer in ms | p50 | p95 | p99 | longest |", "| --- | --- | --- | --- | --- |",
            *latency, "", *_memory(load), "",
        ]
    )  # fmt: skip


def _circumstances(found: dict[str, Any]) -> list[str]:
    load, hardware = found["load"], found["hardware"]
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    machine = f"{hardware['cores']} cores of {hardware['processor']}, {hardware['memory_gb']:.0f} GB"
    facts = {
        "command": f"`{found['command']}`",
        "server": f"`mlflow models serve -m {CHAMPION} --env-manager local`, one worker",
        "hardware": f"{machine}; the clients run on it, too",
        "load average before": f"{load['load_before']:.1f}",
        "load average after": f"{load['load_after']:.1f}, with what is measured here",
        "OMP_NUM_THREADS": found["threads"],
        "versions": f"Python {found['python']}, {versions}",
        "date": found["date"],
    }
    return ["| | |", "| --- | --- |", *(f"| {name} | {fact} |" for name, fact in facts.items())]


def _memory(load: dict[str, Any]) -> list[str]:
    memory = load["memory_mb"]
    cells = [f"{memory[name]:.0f}" for name in ("started", "warmed_up", "first", "last")]
    cells += [f"{100 * load['memory_growth']:+.1f} %", f"{memory['highest']:.0f}"]
    ends = (
        f"First and last: means over the first and the last {load['memory_requests']} requests. Before them came "
        f"{load['warm_up_requests']} large requests that are not counted: they warm the server up."
    )
    return [
        "Memory in use (RSS) of the server and the `mlflow` command that started it, in MB:",
        "",
        "| started | warmed up | first | last | change | highest |",
        "| --- | --- | --- | --- | --- | --- |",
        f"| {' | '.join(cells)} |",
        "",
        ends,
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(prog=COMMAND, description="The real server under load.")
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--clients", type=int, default=CLIENTS)
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for serving.md and serving.json")
    chosen = parser.parse_args(arguments)
    chosen.output.mkdir(parents=True, exist_ok=True)  # before the minutes of measuring
    model = PropertyModel.load(default_bundle())
    requests = make_requests(model.pellets, chosen.requests, LARGEST)
    with tempfile.TemporaryDirectory() as folder:
        store = published(default_bundle(), Path(folder))
        with serving(CHAMPION, store) as served:
            load = measure(served, model, requests, chosen.clients)
            found = described() | {"load": load, "alone_s": alone(served)}
        with serving(CHAMPION, store, workers=2) as served:
            found["two_workers"] = measure(served, model, requests, chosen.clients)
    write_text(json.dumps(found, indent=2) + "\n", chosen.output / "serving.json")
    write_text(page(found), chosen.output / "serving.md")
    print(page(found))


if __name__ == "__main__":
    main()
