"""A stopped screening can be resumed, with the result of an uninterrupted one."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from nasicon_ml.errors import NasiconError, UnreadableFileError
from nasicon_ml.model import PropertyModel
from nasicon_ml.screening.engine import Progress, screen
from nasicon_ml.screening.objectives import Question
from nasicon_ml.screening.result import STATE, OutputFolder, ScreeningResult, model_checksum, read_state
from nasicon_ml.screening.scoring import Effort
from tests.screening.spaces import SmallSpace

SPACE = SmallSpace()
QUESTION = Question(keep=20)
EFFORT = Effort(threads=2, chunk=60)


class StopAfter:
    """Requests a stop, or raises an error, after a number of chunks."""

    def __init__(self, chunks: int, error: type[BaseException] | None = None) -> None:
        self.remaining, self.error = chunks, error

    def progress(self, _: Progress) -> None:
        self.remaining -= 1
        if self.error is not None and self.remaining <= 0:
            raise self.error

    def stop(self) -> bool:
        return self.error is None and self.remaining <= 0

    @property
    def callbacks(self) -> dict[str, Any]:
        return {"progress": self.progress, "stop": self.stop}


@pytest.fixture(scope="module")
def uninterrupted(champion: PropertyModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "out"
    screen(SPACE, champion, QUESTION, EFFORT, output=OutputFolder(folder, scored=True))
    return folder


def result_files(folder: Path) -> dict[str, bytes]:
    """Return all files except those with times."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in paths
        if path.name not in {STATE, "summary.json"}
    }


def summary(folder: Path) -> dict[str, object]:
    content = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return {name: value for name, value in content.items() if name not in {"seconds", "scored_per_second"}}


@pytest.mark.slow
@pytest.mark.parametrize("stops", [(1,), (4,), (2, 1, 3)])
def test_resumed_screening_equals_uninterrupted_one(
    champion: PropertyModel, uninterrupted: Path, tmp_path: Path, stops: tuple[int, ...]
) -> None:
    folder = tmp_path / "out"
    for run, chunks in enumerate(stops):
        output = OutputFolder(folder, resume=run > 0, scored=True)
        partial = screen(SPACE, champion, QUESTION, EFFORT, output=output, **StopAfter(chunks).callbacks)
        check_partial(partial, folder)
    result = screen(SPACE, champion, QUESTION, EFFORT, output=OutputFolder(folder, resume=True, scored=True))
    assert result.is_complete
    assert result_files(folder) == result_files(uninterrupted)
    assert summary(folder) == summary(uninterrupted)


def check_partial(partial: ScreeningResult, folder: Path) -> None:
    """Check that the files of a partial result are marked as partial and consistent."""
    done = partial.aggregate.counts.positions
    assert not partial.is_complete
    assert 0 < done < SPACE.size
    assert summary(folder)["complete"] is False
    scored = pd.read_parquet(folder / "scored")
    assert scored["space_position"].max() < done
    assert len(scored) == partial.aggregate.counts.balanced
    assert set(partial.kept["space_position"]) <= set(scored["space_position"])


@pytest.mark.slow
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_screening_ended_by_exception_can_be_resumed(
    champion: PropertyModel, uninterrupted: Path, tmp_path: Path, error: type[BaseException]
) -> None:
    folder = tmp_path / "out"
    with pytest.raises(error):
        screen(
            SPACE,
            champion,
            QUESTION,
            EFFORT,
            output=OutputFolder(folder, scored=True),
            **StopAfter(2, error).callbacks,
        )
    assert read_state(folder).position == 120
    assert pd.read_parquet(folder / "scored")["space_position"].max() < 120
    screen(SPACE, champion, QUESTION, EFFORT, output=OutputFolder(folder, resume=True, scored=True))
    assert result_files(folder) == result_files(uninterrupted)


def test_screening_can_be_resumed_with_other_number_of_threads(
    champion: PropertyModel, uninterrupted: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    screen(SPACE, champion, QUESTION, EFFORT, output=OutputFolder(folder, scored=True), **StopAfter(2).callbacks)
    effort = dataclasses.replace(EFFORT, threads=1)
    screen(SPACE, champion, QUESTION, effort, output=OutputFolder(folder, resume=True, scored=True))
    assert result_files(folder) == result_files(uninterrupted)


@pytest.fixture
def stopped(champion: PropertyModel, tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    screen(SPACE, champion, QUESTION, EFFORT, output=OutputFolder(folder), **StopAfter(1).callbacks)
    return folder


def with_changed_domain(model: PropertyModel) -> PropertyModel:
    """Return the model with a slightly different domain."""
    return dataclasses.replace(model, domain=dataclasses.replace(model.domain, near=model.domain.near * 1.01))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": dataclasses.replace(SPACE, times_h=(2.0, 6.0))}, "another space"),
        ({"model": None}, "another model"),
        ({"question": Question(keep=21)}, "with keep 20, not 21"),
        ({"question": Question(keep=20, level=0.8)}, "with level 0.9, not 0.8"),
        ({"question": Question(keep=20, inside_only=False)}, "with inside_only 1, not 0|inside_only True"),
        ({"effort": Effort(chunk=120)}, "with chunk 60, not 120"),
        ({"scored": True}, "with scored"),
    ],
)
def test_resuming_different_screening_raises_error_naming_difference(
    champion: PropertyModel, stopped: Path, changes: dict[str, object], message: str
) -> None:
    before = {path.name: path.read_bytes() for path in stopped.iterdir()}
    arguments = {
        "space": SPACE,
        "model": champion,
        "question": QUESTION,
        "effort": EFFORT,
        "scored": False,
    } | changes
    model = with_changed_domain(champion) if arguments["model"] is None else champion
    with pytest.raises(NasiconError, match=message):
        screen(
            arguments["space"],  # type: ignore[arg-type]
            model,
            arguments["question"],  # type: ignore[arg-type]
            arguments["effort"],  # type: ignore[arg-type]
            output=OutputFolder(stopped, resume=True, scored=bool(arguments["scored"])),
        )
    assert {path.name: path.read_bytes() for path in stopped.iterdir()} == before


def truncate(text: str) -> str:
    return text[: len(text) // 2]


def change_position(text: str) -> str:
    return re.sub(r'"position": \d+', '"position": 480', text)


def repeat_position(text: str) -> str:
    return text.replace('"position": ', '"position": 480, "position": ', 1)


@pytest.mark.parametrize(
    "damage",
    [truncate, change_position, repeat_position, lambda _: "[]", lambda _: '{"format": 1}', lambda _: "\x00"],
)
def test_resuming_with_damaged_state_raises_unreadable_file_error(
    champion: PropertyModel, stopped: Path, damage: Callable[[str], str]
) -> None:
    state_file = stopped / STATE
    text = state_file.read_text(encoding="utf-8")
    assert damage(text) != text
    state_file.write_text(damage(text), encoding="utf-8")
    with pytest.raises(UnreadableFileError, match=r"state\.json: (was changed|is not the state)"):
        screen(SPACE, champion, QUESTION, EFFORT, output=OutputFolder(stopped, resume=True))


def test_resuming_in_folder_without_state_raises_error(champion: PropertyModel, tmp_path: Path) -> None:
    with pytest.raises(NasiconError, match="there is no screening to resume"):
        screen(SPACE, champion, QUESTION, EFFORT, output=OutputFolder(tmp_path, resume=True))
    with pytest.raises(UnreadableFileError, match="there is no screening to resume"):
        read_state(tmp_path)


def test_resuming_finished_screening_changes_no_files(champion: PropertyModel, uninterrupted: Path) -> None:
    before = result_files(uninterrupted)
    result = screen(
        SPACE, champion, QUESTION, EFFORT, output=OutputFolder(uninterrupted, resume=True, scored=True)
    )
    assert result.is_complete
    assert result_files(uninterrupted) == before


def test_model_checksum_equals_that_of_saved_bundle(champion: PropertyModel, tmp_path: Path) -> None:
    loaded = PropertyModel.load(champion.save(tmp_path / "bundle"))
    assert model_checksum(loaded) == model_checksum(champion)
    assert model_checksum(with_changed_domain(champion)) != model_checksum(champion)
