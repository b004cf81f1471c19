"""A screening gives the result of predicting all recipes, for any chunk size and number of threads."""

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
def in_one_chunk(champion: PropertyModel) -> ScreeningResult:
    """Return the result of a screening in one chunk with one thread."""
    return screen(SPACE, champion, Question(keep=KEEP), Effort(threads=1, chunk=SPACE.size))


@pytest.fixture(scope="module")
def predicted(champion: PropertyModel) -> pd.DataFrame:
    """Return all recipes of the space with their predictions."""
    candidates = SPACE.chunk(0, SPACE.size)
    formulas = candidates.formulas(np.arange(len(candidates.positions)))
    recipes = candidates.table.assign(**{Column.FORMULA.value: formulas})
    return pd.concat([recipes, champion.predict(recipes)], axis=1).assign(position=candidates.positions)


def test_kept_recipes_are_best_ones_according_to_predict(
    in_one_chunk: ScreeningResult, predicted: pd.DataFrame
) -> None:
    eligible = predicted[predicted[Column.INSIDE_DOMAIN] & (predicted[Column.FORMULA] != UNBALANCED)]
    best = eligible.sort_values([Column.PREDICTED_CONDUCTIVITY_S_CM, "position"], ascending=[False, True]).head(
        KEEP
    )
    assert in_one_chunk.kept[Column.SPACE_POSITION].tolist() == best["position"].tolist()
    for column in (Column.FORMULA, Column.NEAREST_PELLETS, Column.PREDICTED_PHASE_PURITY, Column.SYSTEM):
        assert in_one_chunk.kept[column].tolist() == best[column].tolist()
    assert list(in_one_chunk.kept.columns) == [column.value for column in COLUMNS]
    counts = in_one_chunk.aggregate.counts
    assert (counts.positions, counts.candidates) == (SPACE.size, len(predicted))
    assert counts.balanced == (predicted[Column.FORMULA] != UNBALANCED).sum()
    assert counts.inside == counts.valued == len(eligible)


def test_objective_and_front_values_equal_reported_predictions(in_one_chunk: ScreeningResult) -> None:
    np.testing.assert_array_equal(
        in_one_chunk.kept[Column.OBJECTIVE], in_one_chunk.kept[Column.PREDICTED_CONDUCTIVITY_S_CM]
    )
    front = in_one_chunk.front
    points = in_one_chunk.aggregate.front.points[
        np.argsort(-in_one_chunk.aggregate.front.points[:, 0], kind="stable")
    ]
    np.testing.assert_array_equal(front[Column.PREDICTED_CONDUCTIVITY_S_CM], points[:, 0])
    np.testing.assert_array_equal(front[Column.PREDICTED_RELATIVE_DENSITY_PCT], points[:, 1])
    np.testing.assert_array_equal(front[Column.PREDICTED_PHASE_PURITY], points[:, 2])
    assert front[Column.INSIDE_DOMAIN].all()


def test_front_is_pareto_front_of_predictions(in_one_chunk: ScreeningResult, predicted: pd.DataFrame) -> None:
    eligible = predicted[predicted[Column.INSIDE_DOMAIN] & (predicted[Column.FORMULA] != UNBALANCED)]
    negative_temperature = -eligible[Column.SINTERING_TEMPERATURE_C].fillna(np.inf)
    columns = [
        eligible[column].to_numpy()
        for column in (
            Column.PREDICTED_CONDUCTIVITY_S_CM,
            Column.PREDICTED_RELATIVE_DENSITY_PCT,
            Column.PREDICTED_PHASE_PURITY,
        )
    ]
    points = np.column_stack([*columns, negative_temperature])
    at_least = (points[:, None] >= points[None]).all(axis=2)
    dominated = (at_least & (points[:, None] > points[None]).any(axis=2)).any(axis=0)
    positions = eligible["position"].to_numpy()
    first_of_equal = ~pd.DataFrame(points).duplicated().to_numpy()
    assert in_one_chunk.aggregate.front.positions.tolist() == positions[~dominated & first_of_equal].tolist()


@pytest.mark.parametrize(("chunk", "threads"), [(37, 3), (250, 2), (899, 1)])
def test_result_does_not_depend_on_chunk_size_or_threads(
    champion: PropertyModel, in_one_chunk: ScreeningResult, chunk: int, threads: int
) -> None:
    result = screen(SPACE, champion, Question(keep=KEEP), Effort(threads=threads, chunk=chunk))
    assert result.aggregate.to_json() == in_one_chunk.aggregate.to_json()
    pd.testing.assert_frame_equal(result.kept, in_one_chunk.kept, check_exact=True)


@pytest.mark.parametrize("name", ["lower-bound", "success", "desirability"])
def test_result_of_each_objective_does_not_depend_on_chunk_size(champion: PropertyModel, name: str) -> None:
    space = dataclasses.replace(SPACE, times_h=(6.0,))
    objective = objective_named(name, threshold_s_cm=1e-4 if name == "success" else None)
    question = Question(objective, keep=40, level=0.8, at_c=60.0)
    few_chunks, many_chunks = (
        screen(space, champion, question, Effort(threads=2, chunk=chunk)) for chunk in (300, 41)
    )
    assert few_chunks.aggregate.to_json() == many_chunks.aggregate.to_json()
    assert len(few_chunks.aggregate.kept.positions) == 40
    assert few_chunks.kept[Column.MEASUREMENT_TEMPERATURE_C].unique().tolist() == [60.0]


def test_unbalanced_and_outside_recipes_are_kept_on_request(
    champion: PropertyModel, predicted: pd.DataFrame
) -> None:
    question = Question(keep=len(predicted), inside_only=False, balanced_only=False)
    result = screen(SPACE, champion, question, Effort(threads=1))
    assert sorted(result.kept[Column.SPACE_POSITION]) == predicted["position"].tolist()
    assert UNBALANCED in set(result.kept[Column.FORMULA])
    assert not result.kept[Column.INSIDE_DOMAIN].all()


def test_kept_recipes_of_sample_equal_those_of_whole_space(champion: PropertyModel) -> None:
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
    of_space = screen(space, champion, Question(keep=1000), Effort(threads=2, chunk=17))
    np.testing.assert_array_equal(
        of_space.kept[Column.OBJECTIVE], of_space.kept[Column.PREDICTED_CONDUCTIVITY_S_CM]
    )
    sample = space.sample(20, "random", seed=4)
    of_sample = screen(sample, champion, Question(keep=1000), Effort(threads=2, chunk=7))
    assert of_sample.aggregate.counts.positions == 20
    in_space = sample.chosen[of_sample.kept[Column.SPACE_POSITION].to_numpy()]
    expected_kept = of_space.kept.set_index(Column.SPACE_POSITION.value).loc[in_space].reset_index(drop=True)
    pd.testing.assert_frame_equal(
        of_sample.kept.drop(columns=Column.SPACE_POSITION.value), expected_kept, check_exact=True
    )


def test_space_without_balanced_recipe_gives_empty_result(champion: PropertyModel, tmp_path: Path) -> None:
    space = dataclasses.replace(SPACE, formulas=(UNBALANCED,), times_h=(2.0,))
    result = screen(space, champion, output=OutputFolder(tmp_path / "out", scored=True))
    assert result.kept.empty
    assert result.front.empty
    assert (
        (tmp_path / "out" / "kept.csv").read_text(encoding="utf-8").startswith("space_position,objective_value,")
    )
    assert result.to_json()["counts"]["balanced"] == 0


def test_scored_recipes_equal_predictions(
    champion: PropertyModel, predicted: pd.DataFrame, tmp_path: Path
) -> None:
    question = Question(keep=3, balanced_only=False)
    screen(
        SPACE, champion, question, Effort(threads=2, chunk=100), output=OutputFolder(tmp_path / "out", scored=True)
    )
    scored = pd.read_parquet(tmp_path / "out" / "scored")
    assert len(list((tmp_path / "out" / "scored").iterdir())) > 5
    assert scored[Column.SPACE_POSITION].tolist() == predicted["position"].tolist()
    for column in (Column.FORMULA, Column.ATMOSPHERE, Column.SYSTEM):
        assert scored[column].tolist() == predicted[column].tolist()
    for column in (Column.PREDICTED_CONDUCTIVITY_LOWER_S_CM, Column.DOMAIN_SCORE, Column.SINTERING_TEMPERATURE_C):
        np.testing.assert_array_equal(scored[column].to_numpy(), predicted[column].to_numpy(dtype=float))


def test_progress_is_reported_after_each_chunk(champion: PropertyModel) -> None:
    reports: list[Progress] = []
    screen(SPACE, champion, Question(keep=3), Effort(threads=2, chunk=200), progress=reports.append)
    assert [progress.done for progress in reports] == [200, 400, 600, 800, 900]
    assert reports[-1].remaining_s == 0
    assert all(progress.per_second > 0 for progress in reports)
    assert reports[-1].best >= reports[0].best


def test_switch_interval_is_restored_after_screening(champion: PropertyModel) -> None:
    before, during = sys.getswitchinterval(), []
    screen(SPACE, champion, progress=lambda _: during.append(sys.getswitchinterval()))
    assert max(during) < before == sys.getswitchinterval()


def test_estimate_is_for_given_number_of_candidates_and_writes_nothing(
    champion: PropertyModel, tmp_path: Path
) -> None:
    scored_folder = tmp_path / "parts"
    estimated = estimate(Scorer(SPACE, champion, Question(), scored_folder), Effort(threads=1), 10**9)
    assert estimated.candidates == 10**9
    assert estimated.seconds == pytest.approx(10**9 / estimated.per_second)
    assert estimate(Scorer(SPACE, champion, Question()), Effort(), 10, at_once=50).at_once == 50
    assert not scored_folder.exists()


@pytest.mark.parametrize("settings", [{"keep": 0}, {"keep": 2.5}, {"level": 1.0}, {"at_c": 5000.0}])
def test_invalid_question_raises_field_error(settings: dict[str, float]) -> None:
    with pytest.raises(FieldError, match="is not accepted"):
        Question(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "settings", [{"threads": 0}, {"chunk": 0}, {"engine": "spark"}, {"engine": "dask"}, {"scheduler": "tcp://x:1"}]
)
def test_invalid_effort_raises_field_error(settings: dict[str, object]) -> None:
    with pytest.raises(FieldError, match="is not accepted"):
        Effort(**settings)  # type: ignore[arg-type]


def test_chunk_size_is_given_one_or_default_of_space(champion: PropertyModel) -> None:
    space = SearchSpace.from_yaml(ROOT / "examples" / "screening" / "small.yaml")
    sample = space.sample(4)
    assert (
        Effort().chunk_size(space)
        == space.default_chunk_size
        > Effort().chunk_size(sample)
        == sample.default_chunk_size
    )
    assert Effort(chunk=7).chunk_size(space) == Effort(chunk=7).chunk_size(sample) == 7
    reports: list[Progress] = []
    screen(SpaceWithShortChunks(), champion, Question(keep=3), Effort(threads=1), progress=reports.append)
    assert [progress.done for progress in reports] == [*range(500, SPACE.size, 500), SPACE.size]


class SpaceWithShortChunks(SmallSpace):
    """The space of these tests with another default chunk size."""

    @property
    def default_chunk_size(self) -> int:
        return 500


def test_unsupported_level_raises_error_before_writing(champion: PropertyModel, tmp_path: Path) -> None:
    with pytest.raises(FieldError, match="level"):
        screen(SPACE, champion, Question(level=0.99999), output=OutputFolder(tmp_path / "out"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["file", "folder that is not empty", "folder in missing folder"])
def test_invalid_output_folder_raises_error_and_writes_nothing(
    champion: PropertyModel, tmp_path: Path, kind: str
) -> None:
    (tmp_path / "file").write_text("text", encoding="utf-8")
    folders = {
        "file": tmp_path / "file",
        "folder that is not empty": tmp_path,
        "folder in missing folder": tmp_path / "a" / "b",
    }
    with pytest.raises(NasiconError, match=r"is a file|is not empty|there is no folder"):
        screen(SPACE, champion, output=OutputFolder(folders[kind]))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
