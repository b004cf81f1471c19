"""``nasicon-ml registry``: the versions of the model, who is champion, and the gate before it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click

from nasicon_ml.cli.options import Function

REFUSED = 1

_EPILOG = """\b
A version V is a number, an alias (champion, challenger) or latest.
Exit code: 0 done; 1 refused by the gate; 2 nothing could be done, and the message says why."""


def _shared(function: Function) -> Function:
    """Give a verb the options that all of them have."""
    for decorator in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
        click.option("--tracking-uri", metavar="URI", help="MLflow store or server."),
    ):
        function = decorator(function)
    return function


def _printed(content: Any, as_json: bool, words: Callable[[Any], str]) -> None:
    """Print a result: as JSON, or in words."""
    if as_json:
        shown = [one.to_json() for one in content] if isinstance(content, list) else content.to_json()
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
    else:
        click.echo(words(content))


@click.group(epilog=_EPILOG)
def registry() -> None:
    """List, compare, promote and move versions of the model; the store is the one of 'nasicon-ml train'."""


@registry.command("list")
@_shared
def list_(as_json: bool, tracking_uri: str | None) -> None:
    """List all versions, newest first, and say which can be used."""
    from nasicon_ml.cli.registry_words import versions_text
    from nasicon_ml.tracking.versions import list_versions

    _printed(list_versions(tracking_uri=tracking_uri), as_json, versions_text)


@registry.command()
@click.argument("version", default="champion", metavar="[V]")
@click.option("--card", is_flag=True, help="Print its model card, too.")
@_shared
def show(version: str, card: bool, as_json: bool, tracking_uri: str | None) -> None:
    """Show what is recorded of one version, by default the champion."""
    from nasicon_ml.cli.registry_words import version_text
    from nasicon_ml.tracking.versions import show_version

    found = show_version(version, tracking_uri=tracking_uri)
    if not card:
        _printed(found, as_json, version_text)
        return
    from nasicon_ml.tracking.cards import version_card

    text, content = version_card(found.version, tracking_uri=tracking_uri)
    if as_json:
        click.echo(json.dumps(found.to_json() | {"card": content}, indent=2, ensure_ascii=False))
    else:
        click.echo(f"{version_text(found)}\n\n{text}")


@registry.command()
@click.argument("reference", metavar="A")
@click.argument("candidate", metavar="B")
@_shared
@click.pass_context
def compare(ctx: click.Context, reference: str, candidate: str, as_json: bool, tracking_uri: str | None) -> None:
    """Say what the gate would say of version B as the successor of version A; nothing is changed."""
    from nasicon_ml.cli.registry_words import comparison_text
    from nasicon_ml.tracking.promotion import compare_versions

    found = compare_versions(reference, candidate, tracking_uri=tracking_uri)
    _printed(found, as_json, comparison_text)
    ctx.exit(0 if found.report.passed else REFUSED)


@registry.command()
@click.argument("version", default="challenger", metavar="[V]")
@click.option("--force", is_flag=True, help="Promote it even if the gate refuses.")
@click.option("--reason", default="", metavar="TEXT", help="Why, with --force; it is kept as a tag.")
@_shared
@click.pass_context
def promote(ctx: click.Context, /, version: str, as_json: bool, **given: Any) -> None:
    """Make version V, by default the challenger, the champion, if it passes the gate.

    Champion and challenger are compared on the same pellets, each predicted without its source. Refused is a
    version that predicts any target worse beyond the tolerance, whose intervals do not hold what they promise,
    that breaks what the literature states and the champion keeps, or whose dataset has errors.
    """
    from nasicon_ml.cli.registry_words import promotion_text
    from nasicon_ml.tracking.promotion import promote as promote_version

    found = promote_version(version, **given)
    _printed(found, as_json, promotion_text)
    ctx.exit(0 if found.promoted else REFUSED)


@registry.command()
@click.option("--reason", default="", metavar="TEXT", help="Why; it is kept as a tag of the version that is left.")
@_shared
def rollback(reason: str, as_json: bool, tracking_uri: str | None) -> None:
    """Make the previous champion champion again."""
    from nasicon_ml.cli.registry_words import rollback_text
    from nasicon_ml.tracking.promotion import rollback as roll_back

    _printed(roll_back(reason=reason, tracking_uri=tracking_uri), as_json, rollback_text)


@registry.command()
@click.argument("version", metavar="V")
@click.argument("folder", metavar="DIR")
@_shared
def export(version: str, folder: str, as_json: bool, tracking_uri: str | None) -> None:
    """Write version V into the folder DIR, as a bundle for 'predict --model DIR' or 'registry import DIR'."""
    from nasicon_ml.tracking.transfer import export_version

    found, path = export_version(version, folder, tracking_uri=tracking_uri)
    if as_json:
        click.echo(json.dumps(found.to_json() | {"folder": str(path)}, indent=2, ensure_ascii=False))
    else:
        click.echo(f"version {found.version} written to {path}")


@registry.command("import")
@click.argument("folder", metavar="DIR")
@click.option("--experiment", metavar="NAME", help="MLflow experiment.  [default: nasicon-ml]")
@_shared
def import_(folder: str, experiment: str | None, as_json: bool, tracking_uri: str | None) -> None:
    """Register the bundle in the folder DIR as a new version, the challenger."""
    from nasicon_ml.cli.registry_words import imported_text
    from nasicon_ml.tracking.store import EXPERIMENT
    from nasicon_ml.tracking.transfer import import_bundle

    found = import_bundle(folder, tracking_uri=tracking_uri, experiment=experiment or EXPERIMENT)
    _printed(found, as_json, imported_text)
