"""Samples: different candidates, the same for the same seed, as many as were asked for, spread over the axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nasicon_ml.errors import FieldError
from nasicon_ml.screening import SearchSpace, sampling
from tests.screening.stated_spaces import small

SPACE = SearchSpace.from_dict(small())
FINE = {"from": 700, "to": 800, "step": 0.01}
LARGE = SearchSpace.from_dict(small(processing=small()["processing"] | {"sintering_temperature_c": FINE}))


@pytest.mark.parametrize("method", sampling.METHODS)
@pytest.mark.parametrize("space", [SPACE, LARGE], ids=["small", "large"])
def test_samples_are_good_different_and_repeatable(space: SearchSpace, method: str) -> None:
    sample = space.sample(200, method, seed=7)
    assert sample.size == len(np.unique(sample.chosen)) == 200
    assert np.array_equal(space.at(sample.chosen).numbers, sample.chosen)  # all satisfy the constraints
    assert np.array_equal(sample.chosen, space.sample(200, method, seed=7).chosen)
    assert not np.array_equal(sample.chosen, space.sample(200, method, seed=8).chosen)


@pytest.mark.parametrize("method", sampling.METHODS)
@pytest.mark.parametrize("budget", [810, 811, 10_000])
def test_a_budget_beyond_the_space_takes_all_of_it(method: str, budget: int) -> None:
    sample = SPACE.sample(budget, method)
    assert np.array_equal(sample.chosen, SPACE.chunk(0, SPACE.size).numbers)


def test_a_sample_is_cut_like_a_space() -> None:
    sample = LARGE.sample(100, "sobol")
    whole = sample.chunk(0, sample.size)
    parts = [sample.chunk(start, start + 30) for start in range(0, 120, 30)]
    assert whole.numbers.tolist() == [number for part in parts for number in part.numbers] == [*range(100)]
    assert whole.formulas(range(100)) == [spelled for part in parts for spelled in part.formulas(range(len(part)))]
    assert sample.at(np.array([42])).formulas([0]) == whole.formulas([42])
    assert LARGE.at(sample.chosen[[42]]).formulas([0]) == whole.formulas([42])


def test_random_samples_are_uniform(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn one by one or by shuffling, every candidate is as likely as any other."""
    for shuffled in (10**7, 0):
        monkeypatch.setattr(sampling, "_SHUFFLED", shuffled)
        counts = np.zeros(SPACE.size)
        for seed in range(60):
            counts[SPACE.sample(81, "random", seed).chosen] += 1
        good = SPACE.chunk(0, SPACE.size).numbers
        assert counts.sum() == counts[good].sum() == 60 * 81
        # chi-squared over 810 cells of 6 expected draws each, draws without replacement: variance 0.9
        chi = ((counts[good] - 6) ** 2 / (6 * 0.9)).sum()
        assert abs(chi - 810) < 5 * np.sqrt(2 * 810)


def test_sobol_spreads_over_every_axis_better_than_chance() -> None:
    free = SearchSpace.from_dict(
        small(
            constraints=None,
            processing={"sintering_temperature_c": FINE, "sintering_time_h": {"from": 1, "to": 9, "count": 1000}},
        )
    )

    def unevenness(method: str) -> float:
        total = 0.0
        for seed in range(5):
            table = free.sample(256, method, seed).chunk(0, 256).table
            for column in ("sintering_temperature_c", "sintering_time_h"):
                counts = np.histogram(table[column], bins=64)[0]
                total += float(((counts - 4) ** 2).sum())
        return total

    assert unevenness("sobol") < 0.25 * unevenness("random")


def test_a_sample_says_what_it_is() -> None:
    sample = SPACE.sample(100, "random", 3)
    assert sample.describe().endswith("sample: 100 of them, at random, seed 3")
    assert sample.to_json()["sample"] == {"method": "random", "budget": 100, "seed": 3, "size": 100}
    assert "fewer than the 9,000 asked for" in SPACE.sample(9000, "sobol").describe()
    prints = {SPACE.sample(*asked).fingerprint for asked in [(9, "random", 1), (9, "sobol", 1), (9, "random", 2)]}
    assert len(prints) == 3
    assert str(sample.count()) == "100"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ((10, "sobel", 0), r"sample: 'sobel' is not accepted; allowed: random or sobol. Did you mean 'sobol'\?"),
        ((0, "sobol", 0), "budget: 0 is not accepted; allowed: a whole number from 1 to 50000000"),
        ((10**9, "sobol", 0), "budget: 1000000000 is not accepted"),
        ((1.5, "sobol", 0), "budget: 1.5 is not accepted"),
        ((True, "sobol", 0), "budget: True is not accepted"),
        ((10, "sobol", -1), "seed: -1 is not accepted; allowed: a whole number from 0"),
    ],
)
def test_what_cannot_be_drawn_is_refused(asked: Any, message: str) -> None:
    with pytest.raises(FieldError, match=message):
        SPACE.sample(*asked)


def test_few_candidates_among_many_are_found_or_the_search_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "_SHUFFLED", 0)
    sample = SPACE.sample(809, "random")
    assert 700 < sample.size <= 809
