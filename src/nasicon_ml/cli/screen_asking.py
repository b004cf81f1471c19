"""What the options of ``nasicon-ml screen`` ask for, as the screening takes it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nasicon_ml.errors import FieldError
from nasicon_ml.screening.objectives import Wish, objective_named
from nasicon_ml.screening.output import Place
from nasicon_ml.screening.question import Effort, Question
from nasicon_ml.screening.sampling import SampledSpace
from nasicon_ml.screening.space import SearchSpace


def question_of(values: dict[str, Any]) -> Question:
    """Give what is looked for.

    Raises
    ------
    FieldError
        If the objective or one of its settings is none.
    """
    objective = objective_named(
        values["objective"], threshold_s_cm=values["threshold"], wishes=read_wishes(values["desire"])
    )
    return Question(
        objective,
        values["keep"],
        values["level"],
        values["at_c"],
        inside_only=not values["outside"],
        balanced_only=not values["unbalanced"],
    )


def effort_of(values: dict[str, Any]) -> Effort:
    """Give how it is computed."""
    return Effort(values["threads"], values["chunk"], values["engine"], values["scheduler"])


def space_of(values: dict[str, Any]) -> SearchSpace | SampledSpace:
    """Read the space, and draw from it if a budget is given."""
    stated = values.get("stated")
    space = SearchSpace.from_yaml(values["space"]) if stated is None else SearchSpace.from_dict(stated)
    if values["budget"] is None:
        return space
    return space.sample(values["budget"], values["method"], values["seed"])


def place_of(values: dict[str, Any]) -> Place | None:
    """Give where the result goes to."""
    folder = values["resume"] if values["resume"] is not None else values["output"]
    if folder is None:
        return None
    return Place(
        Path(folder),
        resume=values["resume"] is not None,
        scored=values["scored"],
        file_format=values["file_format"],
    )


def read_wishes(texts: Iterable[str]) -> dict[str, Wish]:
    """Read ``density=85:98:2``: property, worst and best value, and weight.

    Raises
    ------
    FieldError
        If a text is written otherwise, or a property stands there twice.
    """
    wishes: dict[str, Wish] = {}
    for text in texts:
        name, _, numbers = text.partition("=")
        name = name.strip().replace("_", "-")
        try:
            read = [float(number) for number in numbers.split(":")]
        except ValueError:
            read = []
        if len(read) not in {2, 3}:
            raise FieldError(
                "--desire", text, "PROPERTY=WORST:BEST or PROPERTY=WORST:BEST:WEIGHT, as density=85:98:2"
            )
        if name in wishes:
            raise FieldError("--desire", text, "each property once")
        wishes[name] = Wish(*read)
    return wishes
