"""Speed benchmark: its figures are ratios of measured times, and each run reports what it did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from benchmarks.speed import in_turn
from benchmarks.speed_report import AIMS, figures, page
from benchmarks.speed_runs import SPACE, Beginning, daily, drawn, limit, screening, usual, usual_once

from nasicon_ml.screening import SearchSpace

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"


def example_results() -> dict[str, Any]:
    """Results of a machine that takes 20 µs a recipe with one thread and 10 µs with two, half of it for trees."""
    rows = [
        {"recipes": n, "threads": threads, "seconds": n * 2e-5 / threads, "peak_mb": 500.0}
        for threads, sizes in {1: (10**4, 10**5), 2: (10**4, 10**5, 10**6)}.items()
        for n in sizes
    ]
    started = {"median": 0.25, "shortest": 0.2}
    return {
        "command": "c", "hardware": "h", "load_before": 0.0, "python": "3", "versions": {"numpy": "2"},
        "date": "d",
        "screening": rows,
        "limit": [{"recipes": 10**6, "threads": threads, "seconds": 10 / threads} for threads in (1, 2)],
        "usual": {"recipes": 1000, "threads": 1, "seconds": 2.0},
        "usual_once": {"recipes": 1000, "threads": 2, "seconds": 0.03},
        "drawn": [{"recipes": 1000, "threads": n, "seconds": 0.04 / n, "peak_mb": 1.0} for n in (1, 2)],
        "drawn_in_processes": {"recipes": 1000, "threads": 2, "seconds": 0.015, "peak_mb": 1.0},
        "screening_in_processes": {"recipes": 10**6, "threads": 2, "seconds": 8.0, "peak_mb": 1.0},
        "cold": {"nasicon-ml predict": {"median": 1.0, "shortest": 0.9}, 'python -c "import nasicon_ml"': started},
        "daily": [{"what": w, "recipes": 1, "seconds": s} for w, s in (("a", 0.01), ("b", 0.2), ("c", 0.1))],
        "training": [{"times": 1, "rows": 10, "seconds": 5.0, "peak_mb": 9.0}],
    }  # fmt: skip


def test_figures_are_ratios_of_measured_times() -> None:
    result = figures(example_results())
    assert result["usual"] == pytest.approx(200)
    assert result["usual_one"] == pytest.approx(100)
    assert result["limit"] == pytest.approx(2)
    assert result["limit_one"] == pytest.approx(2)
    assert result["once"] == pytest.approx(3)
    assert (result["drawn"], result["drawn_usual"]) == (pytest.approx(4), pytest.approx(100))
    assert (result["drawn_processes"], result["processes"]) == (pytest.approx(3), pytest.approx(2.5))
    assert result["slope"] == pytest.approx(1)
    assert (result["peak_mb"], result["cold_s"], result["import_s"]) == (500, 1.0, 0.25)
    assert (result["threads"], result["one_s"], result["table_s"], result["matminer_s"]) == (2, 0.01, 0.2, 0.1)
    assert set(AIMS) <= set(result)


def test_page_marks_aims_as_met_or_missed() -> None:
    rows = [line for line in page(example_results()).splitlines() if line.endswith(("| met |", "| **missed** |"))]
    assert [row.endswith("| met |") for row in rows] == [
        False, False, False, False, True, True, True, True, True, True, False, True,
    ]  # fmt: skip


def test_daily_runs_time_predictions_of_one_ten_and_many_recipes() -> None:
    rows = daily(10, 1)["rows"]
    assert [row["recipes"] for row in rows[:2]] == [1, 10]
    assert rows[2]["recipes"] > 1000
    assert all(row["seconds"] > 0 for row in rows)


def test_screening_and_limit_runs_report_recipes_threads_and_results() -> None:
    result = screening(3000, 2)
    assert (result["recipes"], result["threads"]) == (3000, 2)
    assert result["best_s_cm"] > 1e-6
    assert drawn(300, 1)["recipes"] == 300
    assert drawn(300, 2, "processes")["best_s_cm"] == drawn(300, 1)["best_s_cm"]
    assert limit(3000, 1)["seconds"] > 0


def test_compared_runs_alternate_and_their_median_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    seconds = iter([3.0, 1.0, 1.0, 9.0, 2.0, 4.0])

    def run(name: str, *_: int) -> dict[str, float]:
        calls.append(name)
        return {"seconds": next(seconds)}

    monkeypatch.setattr("benchmarks.speed.run", run)
    assert in_turn(("limit", 1, 1), ("drawn", 1, 1)) == [{"seconds": 2.0}, {"seconds": 4.0}]
    assert calls == ["limit", "drawn"] * 3


@pytest.mark.slow
def test_usual_matminer_programs_are_timed() -> None:
    assert usual(20, 1)["seconds"] > 0
    assert usual_once(300, 1)["seconds"] > 0


def test_search_space_has_ten_million_recipes_and_beginning_is_its_start() -> None:
    space = SearchSpace.from_dict(SPACE)
    assert space.size >= 10**7
    first_recipes = Beginning(space, 100)
    assert first_recipes.chunk(0, 5000).positions.tolist() == space.chunk(0, 100).positions.tolist()


def test_committed_page_agrees_with_committed_results() -> None:
    result = json.loads((RESULTS / "speed.json").read_text(encoding="utf-8"))
    assert (RESULTS / "speed.md").read_text(encoding="utf-8") == page(result)
    assert max(row["recipes"] for row in result["screening"]) == 10**7
