"""The page of results of the speed benchmark."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

#: What is aimed at: times the usual way, times the limit on a grid and one by one (in threads, in processes), two
#: threads and two processes over one, megabytes for ten million recipes, seconds for one cold recipe, for
#: importing the package and for the daily calls.
AIMS = {
    "usual": 300.0, "limit": 1.5, "drawn": 1.5, "drawn_processes": 1.5, "threads": 1.6, "processes": 1.6,
    "peak_mb": 1024.0, "cold_s": 1.0, "import_s": 0.3, "one_s": 0.012, "table_s": 0.1, "matminer_s": 0.2,
}  # fmt: skip
_WHAT = (
    "Screening: candidates made, three targets with intervals, purity and domain, the best kept and the Pareto "
    "front; of a grid, and of recipes drawn one by one, of which no two are made in the same way; at once: by so "
    "many threads or processes, the memory being that of the first process. Trees alone: "
    "the same trees evaluated by XGBoost (`inplace_predict`) on a ready matrix in single precision. Of what is "
    "drawn and of the trees alone the median of three counts, measured in turn. What a user would write: "
    "matminer's Magpie statistics of every formula, the processing beside, three `XGBRegressor`s at their "
    "defaults (a tenth of our trees, without intervals, domain and front); and the same by a careful user, who "
    "featurizes each of the 235 different formulas once."
)


def figures(found: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures of a measurement that are compared with the aims.

    Returns
    -------
    dict
        ``usual``: how many times as fast as what a user would write, all threads against one; ``usual_one``: one
        thread against one; ``limit``: time over that of the trees alone at the same threads, of the largest
        screening; ``peak_mb``; ``cold_s``; ``import_s``; ``slope``: of log time over log recipes from 10^5 on;
        ``threads`` and ``processes``: the rate of all of them over that of one; ``one_s``, ``table_s``,
        ``matminer_s``: of the daily calls; ``drawn`` and ``drawn_usual``: the same as ``limit`` and ``usual`` for
        recipes drawn one by one, and ``drawn_processes`` the same as ``limit`` for them in processes; ``once``:
        times as fast as a user who featurizes every formula once.
    """
    by_threads = {
        threads: [row for row in found["screening"] if row["threads"] == threads]
        for threads in {row["threads"] for row in found["screening"]}
    }
    most = max(by_threads)
    largest = {threads: rows[-1] for threads, rows in by_threads.items()}
    limit = {row["threads"]: row["recipes"] / row["seconds"] for row in found["limit"]}
    usual = found["usual"]["recipes"] / found["usual"]["seconds"]
    rate = {threads: row["recipes"] / row["seconds"] for threads, row in largest.items()}
    drawn = next(row["recipes"] / row["seconds"] for row in found["drawn"] if row["threads"] == most)
    in_processes = {
        name: found[f"{name}_in_processes"]["recipes"] / found[f"{name}_in_processes"]["seconds"]
        for name in ("screening", "drawn")
    }
    straight = [row for row in by_threads[most] if row["recipes"] >= 10**5]
    logs = np.log10([[row["recipes"], row["seconds"]] for row in straight])
    return {
        "usual": rate[most] / usual,
        "usual_one": rate[min(rate)] / usual,
        "limit": limit[most] / rate[most],
        "limit_one": limit[min(rate)] / rate[min(rate)],
        "peak_mb": largest[most]["peak_mb"],
        "cold_s": found["cold"]["nasicon-ml predict"]["median"],
        "import_s": found["cold"]['python -c "import nasicon_ml"']["median"],
        "drawn": limit[most] / drawn,
        "drawn_processes": limit[most] / in_processes["drawn"],
        "drawn_usual": drawn / usual,
        "once": rate[most] / (found["usual_once"]["recipes"] / found["usual_once"]["seconds"]),
        "threads": rate[most] / rate[min(rate)],
        "processes": in_processes["screening"] / rate[min(rate)],
        **dict(zip(("one_s", "table_s", "matminer_s"), (row["seconds"] for row in found["daily"]), strict=True)),
        "slope": float(np.polyfit(logs[:, 0], logs[:, 1], 1)[0]) if len(straight) > 1 else float("nan"),
    }


def page(found: Mapping[str, Any]) -> str:
    """Return the results as Markdown."""
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    return "\n".join(
        [
            "# How fast", "",
            "| | |", "| --- | --- |",
            f"| command | `{found['command']}` |",
            f"| hardware | {found['hardware']} |",
            f"| load average before | {found['load_before']:.1f} |",
            f"| versions | Python {found['python']}, {versions} |",
            f"| date | {found['date']} |", "",
            "## Aims", "", *_aims(figures(found)), "",
            "## Recipes per second", "", *_rates(found), "",
            _WHAT, "",
            "## From nothing to one answer", "", *_cold(found["cold"]), "",
            "## In a program that is running", "", *_daily(found["daily"]), "",
            "## Training at defaults", "", *_training(found["training"]), "",
        ]
    )  # fmt: skip


def _aims(reached: Mapping[str, float]) -> Iterator[str]:
    yield "| | aim | measured | |"
    yield "| --- | --: | --: | --- |"
    rows = (
        ("times as fast as what a user would write", f"{AIMS['usual']:.0f}", reached["usual"], ".0f", "usual", 1),
        ("time over that of the trees alone", f"{AIMS['limit']:g}", reached["limit"], ".2f", "limit", -1),
        ("the same of recipes drawn one by one", f"{AIMS['drawn']:g}", reached["drawn"], ".2f", "drawn", -1),
        ("the same in two processes", f"{AIMS['drawn_processes']:g}", reached["drawn_processes"], ".2f",
         "drawn_processes", -1),
        ("two threads over one, largest grid", f"{AIMS['threads']:g}", reached["threads"], ".2f", "threads", 1),
        ("two processes over one, the same grid", f"{AIMS['processes']:g}", reached["processes"], ".2f",
         "processes", 1),
        ("peak memory of the largest (MB)", f"{AIMS['peak_mb']:.0f}", reached["peak_mb"], ".0f", "peak_mb", -1),
        ("one cold `nasicon-ml predict` (s)", f"{AIMS['cold_s']:g}", reached["cold_s"], ".2f", "cold_s", -1),
        ("`import nasicon_ml` (s)", f"{AIMS['import_s']:g}", reached["import_s"], ".2f", "import_s", -1),
        ("`predict(recipe)` in a loop (s)", f"{AIMS['one_s']:g}", reached["one_s"], ".3f", "one_s", -1),
        ("`predict(table)` of 1,000 (s)", f"{AIMS['table_s']:g}", reached["table_s"], ".3f", "table_s", -1),
        ("matminer's interface, all pellets (s)", f"{AIMS['matminer_s']:g}", reached["matminer_s"], ".3f",
         "matminer_s", -1),
    )  # fmt: skip
    for name, aim, value, form, key, sign in rows:
        met = "met" if sign * value >= sign * AIMS[key] else "**missed**"
        yield f"| {name} | {aim} | {value:{form}} | {met} |"
    yield ""
    yield (
        f"The time grows as the number of recipes to the power {reached['slope']:.3f} from 100,000 on. One thread "
        f"against one: {reached['usual_one']:.0f} times as fast as what a user would write, "
        f"{reached['limit_one']:.2f} times the time of the trees alone. A grid has few compositions and few ways "
        "of making, and what depends on one of them is computed once. Recipes drawn one by one share nothing: "
        f"they take {reached['drawn']:.2f} times the time of the trees alone in two threads, "
        f"{reached['drawn_processes']:.2f} times in two processes (which `nasicon-ml screen` takes for what takes "
        "long; the time to start one is counted), and are "
        f"{reached['drawn_usual']:.0f} times as fast as what a user would write (threads). A careful user's "
        f"program takes {reached['once']:.1f} times as long as the grid, with two threads each."
    )


def _rates(found: Mapping[str, Any]) -> Iterator[str]:
    yield "| what | at once | recipes | seconds | recipes per second | peak MB |"
    yield "| --- | --: | --: | --: | --: | --: |"
    rows = [
        *(("screening", row) for row in found["screening"]),
        ("screening in processes", found["screening_in_processes"]),
        *(("trees alone", row) for row in found["limit"]),
        *(("drawn one by one", row) for row in found["drawn"]),
        ("drawn one by one, in processes", found["drawn_in_processes"]),
        ("what a user would write", found["usual"]),
        ("what a careful user would write", found["usual_once"]),
    ]
    for name, row in rows:
        peak = f"{row['peak_mb']:.0f}" if "peak_mb" in row else ""
        rate = row["recipes"] / row["seconds"]
        yield f"| {name} | {row['threads']} | {row['recipes']:,} | {row['seconds']:.2f} | {rate:,.0f} | {peak} |"


def _cold(cold: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    ours = cold["nasicon-ml predict"]["median"]
    yield "| command | seconds | of ours |"
    yield "| --- | --: | --: |"
    for name, times in cold.items():
        yield f"| `{name}` | {times['median']:.2f} | {times['median'] / ours:.2f} |"


def _daily(rows: list[Mapping[str, Any]]) -> Iterator[str]:
    yield "| call | recipes | seconds |"
    yield "| --- | --: | --: |"
    for row in rows:
        yield f"| {row['what']} | {row['recipes']:,} | {row['seconds']:.3f} |"


def _training(trainings: list[Mapping[str, Any]]) -> Iterator[str]:
    yield "| the dataset, times | pellets | seconds | of once | peak MB |"
    yield "| --: | --: | --: | --: | --: |"
    for row in trainings:
        share = row["seconds"] / trainings[0]["seconds"]
        yield f"| {row['times']} | {row['rows']:,} | {row['seconds']:.1f} | {share:.1f} | {row['peak_mb']:.0f} |"
