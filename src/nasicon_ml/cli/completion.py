"""What a shell offers when Tab is pressed: files and folders, choices of the vocabulary, models and versions.

The shell asks click (docs/cli.md says how it is told to); verbs and options are click's own answer.
"""

from __future__ import annotations

from collections.abc import Iterable

import click
from click.shell_completion import CompletionItem

#: What names a place on the disk in the help, and what kind of it a shell should offer.
_PLACES = {"FILE": "file", "SPACE.yaml": "file", "FOLDER": "dir", "DIR": "dir"}
_MODELS = ("models:/nasicon-recipe@champion", "models:/nasicon-recipe@challenger")
_VERSIONS = ("champion", "challenger", "latest")


def starting(words: Iterable[str], incomplete: str) -> list[CompletionItem]:
    """Return the words that begin as what was typed, whatever the case."""
    return [CompletionItem(word) for word in words if word.lower().startswith(incomplete.lower())]


def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer what the word for a value in the help stands for; nothing where that is a name or a number."""
    stands_for = str(param.metavar).strip("[]")  # in brackets: need not be given
    place = _PLACES.get(stands_for)
    if place is not None:
        return [CompletionItem(incomplete, type=place)]
    if stands_for == "MODEL":
        return [CompletionItem(incomplete, type="dir"), *starting(_MODELS, incomplete)]
    if stands_for in {"V", "A", "B"}:
        return starting(_VERSIONS, incomplete)
    return param.type.shell_complete(ctx, param, incomplete)
