"""The command ``nasicon-ml registry``: list, compare and promote the versions of the model."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nasicon_ml.cli.inputs import combine_options, complete_value, json_object_option
from nasicon_ml.cli.render import align_columns, notify, print_json, print_text

if TYPE_CHECKING:
    from nasicon_ml.evaluation.gate import GateReport, PairedScore
    from nasicon_ml.tracking.promotion import Comparison, Promotion, Rollback
    from nasicon_ml.tracking.registry import Version

REFUSED = 1
_WIDTH = 110
#: Tags that are shown on a separate line or not at all.
_HIDDEN_TAGS = ("bundle_files", "gate_report", "protocol", "dataset_sha256")

_EPILOG = """\b
A version V is a number, an alias (champion, challenger) or latest.
Exit code: 0 done; 1 refused by the gate; 2 nothing could be done, and the message says why."""


#: The options of all registry commands.
_shared_options = combine_options(
    click.option("--tracking-uri", metavar="URI", help="MLflow store or server."),
    json_object_option,
)


def _print_content(content: Any, as_json: bool, describe: Callable[[Any], str]) -> None:
    if not as_json:
        print_text(describe(content))
    elif isinstance(content, list):
        print_json([item.to_json() for item in content])
    else:
        print_json(content.to_json())


@click.group(epilog=_EPILOG)
def registry() -> None:
    """List, compare, promote and move versions of the model; the store is the one of 'nasicon-ml train'."""


@registry.command("list")
@_shared_options
def list_(as_json: bool, tracking_uri: str | None) -> None:
    """List all versions, newest first, and say which can be used."""
    from nasicon_ml.tracking.registry import list_versions

    _print_content(list_versions(tracking_uri=tracking_uri), as_json, _versions_text)


@registry.command()
@click.argument("version", default="champion", metavar="[V]", shell_complete=complete_value)
@click.option("--card", is_flag=True, help="Print its model card, too.")
@_shared_options
def show(version: str, card: bool, as_json: bool, tracking_uri: str | None) -> None:
    """Show what is recorded of one version, by default the champion."""
    from nasicon_ml.tracking.registry import show_version

    found = show_version(version, tracking_uri=tracking_uri)
    if not card:
        _print_content(found, as_json, _version_text)
        return
    from nasicon_ml.tracking.registry import version_card

    text, content = version_card(found.version, tracking_uri=tracking_uri)
    if as_json:
        print_json(found.to_json() | {"card": content})
    else:
        print_text(f"{_version_text(found)}\n\n{text}")


@registry.command()
@click.argument("reference", metavar="A", shell_complete=complete_value)
@click.argument("candidate", metavar="B", shell_complete=complete_value)
@_shared_options
@click.pass_context
def compare(ctx: click.Context, reference: str, candidate: str, as_json: bool, tracking_uri: str | None) -> None:
    """Say what the gate would say of version B as the successor of version A; nothing is changed."""
    from nasicon_ml.tracking.promotion import compare_versions

    found = compare_versions(reference, candidate, tracking_uri=tracking_uri)
    _print_content(found, as_json, _comparison_text)
    ctx.exit(0 if found.report.passed else REFUSED)


@registry.command()
@click.argument("version", default="challenger", metavar="[V]", shell_complete=complete_value)
@click.option("--force", is_flag=True, help="Promote it even if the gate refuses.")
@click.option("--reason", default="", metavar="TEXT", help="Why, with --force; it is kept as a tag.")
@_shared_options
@click.pass_context
def promote(ctx: click.Context, /, version: str, as_json: bool, **given: Any) -> None:
    """Make version V, by default the challenger, the champion, if it passes the gate.

    Champion and challenger are compared on the same pellets, each predicted without its source. Refused is a
    version that predicts any target worse beyond the tolerance, whose intervals do not hold what they promise,
    that breaks what the literature states and the champion keeps, or whose dataset has errors.
    """
    from nasicon_ml.tracking.promotion import promote as promote_version

    found = promote_version(version, **given)
    _print_content(found, as_json, _promotion_text)
    ctx.exit(0 if found.promoted else REFUSED)


@registry.command()
@click.option("--reason", default="", metavar="TEXT", help="Why; it is kept as a tag of the version that is left.")
@_shared_options
def rollback(reason: str, as_json: bool, tracking_uri: str | None) -> None:
    """Make the previous champion champion again."""
    from nasicon_ml.tracking.promotion import rollback as roll_back

    _print_content(roll_back(reason=reason, tracking_uri=tracking_uri), as_json, _rollback_text)


@registry.command()
@click.argument("version", metavar="V", shell_complete=complete_value)
@click.argument("folder", metavar="DIR", shell_complete=complete_value)
@_shared_options
def export(version: str, folder: str, as_json: bool, tracking_uri: str | None) -> None:
    """Write version V into the folder DIR, as a bundle for 'predict --model DIR' or 'registry import DIR'."""
    from nasicon_ml.tracking.registry import export_version

    if Path(folder, "manifest.json").exists():
        notify(f"note: {folder}: the bundle that is there will be replaced")
    found, path = export_version(version, folder, tracking_uri=tracking_uri)
    if as_json:
        print_json(found.to_json() | {"folder": str(path)})
    else:
        click.echo(f"version {found.version} written to {path}")


@registry.command("import")
@click.argument("folder", metavar="DIR", shell_complete=complete_value)
@click.option(
    "--experiment", metavar="NAME", help="MLflow experiment.  [default: MLFLOW_EXPERIMENT_NAME, or nasicon-ml]"
)
@_shared_options
def import_(folder: str, experiment: str | None, as_json: bool, tracking_uri: str | None) -> None:
    """Register the bundle in the folder DIR as a new version, the challenger."""
    from nasicon_ml.tracking.runs import import_bundle

    found = import_bundle(folder, tracking_uri=tracking_uri, experiment=experiment)
    _print_content(found, as_json, _imported_text)


# ---------------------------------------------------------------------------------------------- words


def versions_table(versions: Sequence[Version]) -> list[tuple[str, ...]]:
    """Return a row of headers and a row for each version with the scores of its training."""
    from nasicon_ml.estimators.targets import ANSWERS, TARGETS

    targets = [TARGETS[name] for name in ANSWERS]
    headers = ("Brier" if target.is_probability else target.unit for target in targets)
    rows: list[tuple[str, ...]] = [("version", "alias", "registered (UTC)", *headers, "dataset", "")]
    tags = [f"{target.name}.{target.metric}" for target in targets]
    for version in versions:
        scores = [version.tags.get(tag, "") for tag in tags]
        problem = "" if version.usable else f"UNUSABLE: {version.problem}"
        rows.append(
            (
                version.version, ", ".join(version.aliases), version.created[:16].replace("T", " "), *scores,
                version.tags.get("dataset_sha256", "")[:12], problem,
            )
        )  # fmt: skip
    return rows


def _versions_text(versions: Sequence[Version]) -> str:
    if not versions:
        return "no version is registered; make one: nasicon-ml train"
    return "\n".join(align_columns(versions_table(versions)))


def _version_text(version: Version) -> str:
    lines = [
        f"version     {version.version} of nasicon-recipe: {version.uri}",
        f"alias       {', '.join(version.aliases) or 'none'}",
        f"registered  {version.created}",
        f"run         {version.run_id or 'gone'}",
        f"usable      {'yes' if version.usable else f'NO: {version.problem}'}",
        f"dataset     SHA-256 {version.tags.get('dataset_sha256', 'not on record')}",
        f"protocol    {version.tags.get('protocol', 'not on record')}",
        "",
    ]
    rows = [(name, value) for name, value in sorted(version.tags.items()) if name not in _HIDDEN_TAGS]
    return "\n".join([*lines, *align_columns(rows)])


def _comparison_text(comparison: Comparison) -> str:
    names = (f"version {comparison.reference.version}", f"version {comparison.candidate.version}")
    outcome = "The gate would let it pass." if comparison.report.passed else "The gate would refuse it."
    return "\n".join([*_report_lines(comparison.report, names), "", outcome])


def _promotion_text(promotion: Promotion) -> str:
    reference = f"version {promotion.previous}" if promotion.previous else "median"
    lines: list[str] = []
    if promotion.report is not None:
        lines += [*_report_lines(promotion.report, (reference, f"version {promotion.version}")), ""]
    if not promotion.promoted:
        kept = f"version {promotion.previous} stays champion" if promotion.previous else "there is no champion"
        lines.append(f"REFUSED: version {promotion.version} was not promoted; {kept}.")
        lines.append("To promote it anyway: --force --reason '...'")
        return "\n".join(lines)
    reason = "against the gate" if promotion.forced else "it passed the gate"
    previous = f", after version {promotion.previous}" if promotion.previous else ""
    lines.append(
        f"version {promotion.version} is champion now{previous} ({reason}): models:/nasicon-recipe@champion"
    )
    return "\n".join(lines)


def _rollback_text(rollback: Rollback) -> str:
    again = " again" if rollback.challenger == rollback.left else ""
    return (
        f"version {rollback.version} is champion again, in place of version {rollback.left}; "
        f"version {rollback.challenger} is the challenger{again}"
    )


def _imported_text(version: Version) -> str:
    return (
        f"registered as version {version.version} of nasicon-recipe, now challenger: {version.uri}\n"
        "next: nasicon-ml registry promote"
    )


def _report_lines(report: GateReport, names: tuple[str, str]) -> Iterator[str]:
    if report.scores:
        first = report.scores[0]
        yield f"Each pellet predicted without its source; {first.n_sources} sources of conductivities."
        rows: list[tuple[str, ...]] = [("target", "score", *names, "difference (95 %)", "pellets")]
        rows += [_score_row(score) for score in report.scores]
        yield from align_columns(rows)
        yield ""
    for check in report.checks:
        mark = "passed   " if check.passed else "REFUSED  "
        yield from textwrap.wrap(mark + check.message, _WIDTH, subsequent_indent=" " * len(mark))


def _score_row(score: PairedScore) -> tuple[str, ...]:
    difference = score.difference
    return (
        score.target.replace("_", " "), score.metric, f"{score.reference:.4g}", f"{score.candidate:.4g}",
        f"{difference.value:+.4f} ({difference.lower:+.4f} to {difference.upper:+.4f})", str(score.n_rows),
    )  # fmt: skip
