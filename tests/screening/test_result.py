"""A screening that was stopped goes on, and ends with what it would have found."""

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
    """Asks to stop once so many chunks are done."""

    def __init__(self, chunks: int, error: type[BaseException] | None = None) -> None:
        self.left, self.error = chunks, error

    def progress(self, _: Progress) -> None:
        self.left -= 1
        if self.error is not None and self.left <= 0:
            raise self.error

    def stop(self) -> bool:
        return self.error is None and self.left <= 0

    @property
    def calls(self) -> dict[str, Any]:
        return {"progress": self.progress, "stop": self.stop}


@pytest.fixture(scope="module")
def uninterrupted(champion: PropertyModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "out"
    screen(SPACE, champion, QUESTION, EFFORT, output=OutputFolder(folder, scored=True))
    return folder


def files(folder: Path) -> dict[str, bytes]:
    """All files but those that tell the time."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in found
        if path.name not in {STATE, "summary.json"}
    }


def summary(folder: Path) -> dict[str, object]:
    content = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return {name: value for name, value in content.items() if name not in {"seconds", "scored_per_second"}}


@pytest.mark.slow
@pytest.mark.parametrize("stops", [(1,), (4,), (2, 1, 3)])
def test_it_ends_as_if_it_had_not_been_stopped(
    champion: PropertyModel, uninterrupted: Path, tmp_path: Path, stops: tuple[int, ...]
) -> None:
    folder = tmp_path / "out"
    for turn, chunks in enumerate(stops):
        output = OutputFolder(folder, resume=turn > 0, scored=True)
        partial = screen(SPACE, champion, QUESTION, EFFORT, output=output, **StopAfter(chunks).calls)
        check_partial(partial, folder)
    whole = screen(SPACE, champion, QUESTION, EFFORT, output=OutputFolder(folder, resume=True, scored=True))
    assert whole.is_complete
    assert files(folder) == files(uninterrupted)
    assert summary(folder) == summary(uninterrupted)


def check_partial(partial: ScreeningResult, folder: Path) -> None:
    """What is there is valid, says that it is partial, and fits together."""
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
def test_whatever_ends_it_the_state_is_there(
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
            **StopAfter(2, error).calls,
        )
    assert read_state(folder).position == 120
    assert pd.read_parquet(folder / "scored")["space_position"].max() < 120
    screen(SPACE, champion, QUESTION, EFFORT, output=OutputFolder(folder, resume=True, scored=True))
    assert files(folder) == files(uninterrupted)


def test_threads_may_change(champion: PropertyModel, uninterrupted: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    screen(SPACE, champion, QUESTION, EFFORT, output=OutputFolder(folder, scored=True), **StopAfter(2).calls)
    effort = dataclasses.replace(EFFORT, threads=1)
    screen(SPACE, champion, QUESTION, effort, output=OutputFolder(folder, resume=True, scored=True))
    assert files(folder) == files(uninterrupted)


@pytest.fixture
def stopped(champion: PropertyModel, tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    screen(SPACE, champion, QUESTION, EFFORT, output=OutputFolder(folder), **StopAfter(1).calls)
    return folder


def other_model(model: PropertyModel) -> PropertyModel:
    """The same but for one number."""
    return dataclasses.replace(model, domain=dataclasses.replace(model.domain, near=model.domain.near * 1.01))


@pytest.mark.parametrize(
    ("changes", "words"),
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
def test_another_screening_is_refused_by_name(
    champion: PropertyModel, stopped: Path, changes: dict[str, object], words: str
) -> None:
    before = {path.name: path.read_bytes() for path in stopped.iterdir()}
    asked = {"space": SPACE, "model": champion, "question": QUESTION, "effort": EFFORT, "scored": False} | changes
    model = other_model(champion) if asked["model"] is None else champion
    with pytest.raises(NasiconError, match=words):
        screen(
            asked["space"],  # type: ignore[arg-type]
            model,
            asked["question"],  # type: ignore[arg-type]
            asked["effort"],  # type: ignore[arg-type]
            output=OutputFolder(stopped, resume=True, scored=bool(asked["scored"])),
        )
    assert {path.name: path.read_bytes() for path in stopped.iterdir()} == before


def cut(text: str) -> str:
    return text[: len(text) // 2]


def changed(text: str) -> str:
    return re.sub(r'"position": \d+', '"position": 480', text)


def twice(text: str) -> str:
    return text.replace('"position": ', '"position": 480, "position": ', 1)


@pytest.mark.parametrize(
    "damage", [cut, changed, twice, lambda _: "[]", lambda _: '{"format": 1}', lambda _: "\x00"]
)
def test_a_damaged_state_is_refused(champion: PropertyModel, stopped: Path, damage: Callable[[str], str]) -> None:
    state = stopped / STATE
    text = state.read_text(encoding="utf-8")
    assert damage(text) != text
    state.write_text(damage(text), encoding="utf-8")
    with pytest.raises(UnreadableFileError, match=r"state\.json: (was changed|is not the state)"):
        screen(SPACE, champion, QUESTION, EFFORT, output=OutputFolder(stopped, resume=True))


def test_there_has_to_be_something_to_resume(champion: PropertyModel, tmp_path: Path) -> None:
    with pytest.raises(NasiconError, match="there is no screening to resume"):
        screen(SPACE, champion, QUESTION, EFFORT, output=OutputFolder(tmp_path, resume=True))
    with pytest.raises(UnreadableFileError, match="there is no screening to resume"):
        read_state(tmp_path)


def test_a_finished_one_is_finished(champion: PropertyModel, uninterrupted: Path) -> None:
    before = files(uninterrupted)
    again = screen(SPACE, champion, QUESTION, EFFORT, output=OutputFolder(uninterrupted, resume=True, scored=True))
    assert again.is_complete
    assert files(uninterrupted) == before


def test_the_sum_of_a_model_is_that_of_its_bundle(champion: PropertyModel, tmp_path: Path) -> None:
    again = PropertyModel.load(champion.save(tmp_path / "bundle"))
    assert model_checksum(again) == model_checksum(champion)
    assert model_checksum(other_model(champion)) != model_checksum(champion)
