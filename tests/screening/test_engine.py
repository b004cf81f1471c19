"""A screening finds what scoring one recipe after the other finds, however it is divided."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nasicon_ml.columns import Column
from nasicon_ml.errors import FieldError, NasiconError
from nasicon_ml.model import PropertyModel
from nasicon_ml.screening.engine import Progress, estimate, screen
from nasicon_ml.screening.objectives import Question, objective_named
from nasicon_ml.screening.result import COLUMNS, OutputFolder, ScreeningResult
from nasicon_ml.screening.scoring import Effort, Scorer
from nasicon_ml.screening.space import SearchSpace
from tests.contracts.source import ROOT
from tests.screening.spaces import UNBALANCED, SmallSpace

SPACE = SmallSpace()
KEEP = 25


@pytest.fixture(scope="module")
def whole(champion: PropertyModel) -> ScreeningResult:
    """In one chunk, by one thread."""
    return screen(SPACE, champion, Question(keep=KEEP), Effort(threads=1, chunk=SPACE.size))


@pytest.fixture(scope="module")
def one_by_one(champion: PropertyModel) -> pd.DataFrame:
    """All recipes of the space and what `predict` says of them."""
    found = SPACE.chunk(0, SPACE.size)
    recipes = found.table.assign(**{Column.FORMULA.value: found.formulas(np.arange(len(found.positions)))})
    answers = champion.predict(recipes)
    return pd.concat([recipes, answers], axis=1).assign(number=found.positions)


def test_it_finds_what_predict_says_is_best(whole: ScreeningResult, one_by_one: pd.DataFrame) -> None:
    good = one_by_one[one_by_one[Column.INSIDE_DOMAIN] & (one_by_one[Column.FORMULA] != UNBALANCED)]
    best = good.sort_values([Column.PREDICTED_CONDUCTIVITY_S_CM, "number"], ascending=[False, True]).head(KEEP)
    assert whole.kept[Column.SPACE_POSITION].tolist() == best["number"].tolist()
    for column in (Column.FORMULA, Column.NEAREST_PELLETS, Column.PREDICTED_PHASE_PURITY, Column.SYSTEM):
        assert whole.kept[column].tolist() == best[column].tolist()
    assert list(whole.kept.columns) == [column.value for column in COLUMNS]
    counts = whole.aggregate.counts
    assert (counts.positions, counts.candidates) == (SPACE.size, len(one_by_one))
    assert counts.balanced == (one_by_one[Column.FORMULA] != UNBALANCED).sum()
    assert counts.inside == counts.valued == len(good)


def test_the_answers_of_the_kept_are_those_they_were_kept_for(whole: ScreeningResult) -> None:
    np.testing.assert_array_equal(whole.kept[Column.OBJECTIVE], whole.kept[Column.PREDICTED_CONDUCTIVITY_S_CM])
    front = whole.front
    points = whole.aggregate.front.points[np.argsort(-whole.aggregate.front.points[:, 0], kind="stable")]
    np.testing.assert_array_equal(front[Column.PREDICTED_CONDUCTIVITY_S_CM], points[:, 0])
    np.testing.assert_array_equal(front[Column.PREDICTED_RELATIVE_DENSITY_PCT], points[:, 1])
    np.testing.assert_array_equal(front[Column.PREDICTED_PHASE_PURITY], points[:, 2])
    assert front[Column.INSIDE_DOMAIN].all()


def test_nothing_dominates_the_front(whole: ScreeningResult, one_by_one: pd.DataFrame) -> None:
    good = one_by_one[one_by_one[Column.INSIDE_DOMAIN] & (one_by_one[Column.FORMULA] != UNBALANCED)]
    cold = -good[Column.SINTERING_TEMPERATURE_C].fillna(np.inf)
    columns = [
        good[column].to_numpy()
        for column in (
            Column.PREDICTED_CONDUCTIVITY_S_CM,
            Column.PREDICTED_RELATIVE_DENSITY_PCT,
            Column.PREDICTED_PHASE_PURITY,
        )
    ]
    points = np.column_stack([*columns, cold])
    at_least = (points[:, None] >= points[None]).all(axis=2)
    dominated = (at_least & (points[:, None] > points[None]).any(axis=2)).any(axis=0)
    numbers = good["number"].to_numpy()
    first_of_equal = ~pd.DataFrame(points).duplicated().to_numpy()
    assert whole.aggregate.front.positions.tolist() == numbers[~dominated & first_of_equal].tolist()


@pytest.mark.parametrize(("chunk", "threads"), [(37, 3), (250, 2), (899, 1)])
def test_chunks_and_threads_do_not_matter(
    champion: PropertyModel, whole: ScreeningResult, chunk: int, threads: int
) -> None:
    divided = screen(SPACE, champion, Question(keep=KEEP), Effort(threads=threads, chunk=chunk))
    assert divided.aggregate.to_json() == whole.aggregate.to_json()
    pd.testing.assert_frame_equal(divided.kept, whole.kept, check_exact=True)


@pytest.mark.parametrize("name", ["lower-bound", "success", "desirability"])
def test_no_objective_depends_on_how_the_space_is_divided(champion: PropertyModel, name: str) -> None:
    space = dataclasses.replace(SPACE, times_h=(6.0,))
    objective = objective_named(name, threshold_s_cm=1e-4 if name == "success" else None)
    question = Question(objective, keep=40, level=0.8, at_c=60.0)
    one, many = (screen(space, champion, question, Effort(threads=2, chunk=chunk)) for chunk in (300, 41))
    assert one.aggregate.to_json() == many.aggregate.to_json()
    assert len(one.aggregate.kept.positions) == 40
    assert one.kept[Column.MEASUREMENT_TEMPERATURE_C].unique().tolist() == [60.0]


def test_constraints_can_be_switched_off(champion: PropertyModel, one_by_one: pd.DataFrame) -> None:
    question = Question(keep=len(one_by_one), inside_only=False, balanced_only=False)
    found = screen(SPACE, champion, question, Effort(threads=1))
    assert sorted(found.kept[Column.SPACE_POSITION]) == one_by_one["number"].tolist()
    assert UNBALANCED in set(found.kept[Column.FORMULA])
    assert not found.kept[Column.INSIDE_DOMAIN].all()


def test_what_is_kept_of_a_sample_is_what_the_space_holds(champion: PropertyModel) -> None:
    space = SearchSpace.from_dict(
        {
            "compositions": [{"system": "LATP", "x": {"from": 0.1, "to": 0.5, "step": 0.05}}],
            "additives": ["none", {"name": "LiF", "amount": 1, "unit": "wt%"}],
            "processing": {"sintering_temperature_c": [700, 800, 900], "atmosphere": ["air", "Ar"]},
            "constraints": [
                {
                    "when": {"atmosphere": "Ar"},
                    "then": {"sintering_temperature_c": {"max": 800}},
                    "because": "of the binder",
                }
            ],
        }
    )
    best = screen(space, champion, Question(keep=1000), Effort(threads=2, chunk=17))
    np.testing.assert_array_equal(best.kept[Column.OBJECTIVE], best.kept[Column.PREDICTED_CONDUCTIVITY_S_CM])
    drawn = space.sample(20, "random", seed=4)
    sampled = screen(drawn, champion, Question(keep=1000), Effort(threads=2, chunk=7))
    assert sampled.aggregate.counts.positions == 20
    in_space = drawn.chosen[sampled.kept[Column.SPACE_POSITION].to_numpy()]
    found = best.kept.set_index(Column.SPACE_POSITION.value).loc[in_space].reset_index(drop=True)
    pd.testing.assert_frame_equal(sampled.kept.drop(columns=Column.SPACE_POSITION.value), found, check_exact=True)


def test_a_space_without_a_good_recipe_gives_an_empty_result(champion: PropertyModel, tmp_path: Path) -> None:
    space = dataclasses.replace(SPACE, formulas=(UNBALANCED,), times_h=(2.0,))
    found = screen(space, champion, output=OutputFolder(tmp_path / "out", scored=True))
    assert found.kept.empty
    assert found.front.empty
    assert (
        (tmp_path / "out" / "kept.csv").read_text(encoding="utf-8").startswith("space_position,objective_value,")
    )
    assert found.to_json()["counts"]["balanced"] == 0


def test_the_scored_space_is_what_predict_says(
    champion: PropertyModel, one_by_one: pd.DataFrame, tmp_path: Path
) -> None:
    question = Question(keep=3, balanced_only=False)
    screen(
        SPACE, champion, question, Effort(threads=2, chunk=100), output=OutputFolder(tmp_path / "out", scored=True)
    )
    scored = pd.read_parquet(tmp_path / "out" / "scored")
    assert len(list((tmp_path / "out" / "scored").iterdir())) > 5
    assert scored[Column.SPACE_POSITION].tolist() == one_by_one["number"].tolist()
    for column in (Column.FORMULA, Column.ATMOSPHERE, Column.SYSTEM):
        assert scored[column].tolist() == one_by_one[column].tolist()
    for column in (Column.PREDICTED_CONDUCTIVITY_LOWER_S_CM, Column.DOMAIN_SCORE, Column.SINTERING_TEMPERATURE_C):
        np.testing.assert_array_equal(scored[column].to_numpy(), one_by_one[column].to_numpy(dtype=float))


def test_progress_counts_up_to_the_size(champion: PropertyModel) -> None:
    seen: list[Progress] = []
    screen(SPACE, champion, Question(keep=3), Effort(threads=2, chunk=200), progress=seen.append)
    assert [one.done for one in seen] == [200, 400, 600, 800, 900]
    assert seen[-1].remaining_s == 0
    assert all(one.per_second > 0 for one in seen)
    assert seen[-1].best >= seen[0].best


def test_threads_take_turns_as_before_afterwards(champion: PropertyModel) -> None:
    usual, meanwhile = sys.getswitchinterval(), []
    screen(SPACE, champion, progress=lambda _: meanwhile.append(sys.getswitchinterval()))
    assert max(meanwhile) < usual == sys.getswitchinterval()


def test_an_estimate_is_of_the_whole_space(champion: PropertyModel, tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    expected = estimate(Scorer(SPACE, champion, Question(), parts), Effort(threads=1), 10**9)
    assert expected.candidates == 10**9
    assert expected.seconds == pytest.approx(10**9 / expected.per_second)
    assert estimate(Scorer(SPACE, champion, Question()), Effort(), 10, at_once=50).at_once == 50
    assert not parts.exists()


@pytest.mark.parametrize("settings", [{"keep": 0}, {"keep": 2.5}, {"level": 1.0}, {"at_c": 5000.0}])
def test_a_question_that_makes_no_sense_is_refused(settings: dict[str, float]) -> None:
    with pytest.raises(FieldError, match="is not accepted"):
        Question(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "settings", [{"threads": 0}, {"chunk": 0}, {"engine": "spark"}, {"engine": "dask"}, {"scheduler": "tcp://x:1"}]
)
def test_an_effort_that_makes_no_sense_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(FieldError, match="is not accepted"):
        Effort(**settings)  # type: ignore[arg-type]


def test_chunks_are_as_long_as_asked_for_or_as_suits_the_space(champion: PropertyModel) -> None:
    space = SearchSpace.from_yaml(ROOT / "examples" / "screening" / "small.yaml")
    drawn = space.sample(4)
    assert (
        Effort().chunk_size(space)
        == space.default_chunk_size
        > Effort().chunk_size(drawn)
        == drawn.default_chunk_size
    )
    assert Effort(chunk=7).chunk_size(space) == Effort(chunk=7).chunk_size(drawn) == 7
    seen: list[Progress] = []
    screen(Short(), champion, Question(keep=3), Effort(threads=1), progress=seen.append)
    assert [progress.done for progress in seen] == [*range(500, SPACE.size, 500), SPACE.size]


class Short(SmallSpace):
    """The space of these tests in chunks of its own length."""

    @property
    def default_chunk_size(self) -> int:
        return 500


def test_a_level_that_nothing_supports_writes_nothing(champion: PropertyModel, tmp_path: Path) -> None:
    with pytest.raises(FieldError, match="level"):
        screen(SPACE, champion, Question(level=0.99999), output=OutputFolder(tmp_path / "out"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["a file", "a full folder", "a folder nowhere"])
def test_a_place_that_is_none_is_refused(champion: PropertyModel, tmp_path: Path, kind: str) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    folder = {"a file": tmp_path / "file", "a full folder": tmp_path, "a folder nowhere": tmp_path / "a" / "b"}[
        kind
    ]
    with pytest.raises(NasiconError, match=r"is a file|is not empty|there is no folder"):
        screen(SPACE, champion, output=OutputFolder(folder))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
