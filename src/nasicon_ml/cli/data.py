"""``nasicon-ml data``: check, summarise and look up the measured pellets."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nasicon_ml.cli.completion import complete
from nasicon_ml.cli.inputs import Whole, say_notes
from nasicon_ml.cli.lookup import cite, find, show
from nasicon_ml.cli.render import print_json, print_table

if TYPE_CHECKING:
    from nasicon_ml.checks import Finding

FOUND_ERRORS = 1


def _path(ctx: click.Context, param: click.Parameter, name: str | None) -> Path | None:  # noqa: ARG001
    """Return any name as a path (`click.Path` would fail on a name that no file can have)."""
    return None if name is None else Path(name)


@click.group()
def data() -> None:
    """Check, summarise and look up the measured pellets."""


@data.command()
@click.argument("file", required=False, callback=_path, metavar="[FILE]", shell_complete=complete)
@click.option(
    "--sources",
    metavar="FILE",
    callback=_path,
    shell_complete=complete,
    help="The list of sources to check against.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def validate(ctx: click.Context, file: Path | None, sources: Path | None, as_json: bool) -> None:
    """Check FILE (by default the committed dataset; - is standard input) and list everything that is wrong.

    Numbers that are possible but unlike all that other works of the committed dataset measured are warnings, with
    the unit that was probably meant.

    The sources must stand in the list given by --sources, by default sources.csv beside FILE, else the committed
    one. Exit code 0: no errors (there may be warnings); 1: errors; 2: the file cannot be read.
    """
    import pandas as pd

    from nasicon_ml.columns import Column
    from nasicon_ml.data.files import PELLETS_FILE, datasets_folder, verify_checksum
    from nasicon_ml.data.load import load_pellets, load_sources, with_lines
    from nasicon_ml.data.unusual import unusual_in_file
    from nasicon_ml.data.validate import find_problems
    from nasicon_ml.errors import DatasetError
    from nasicon_ml.io import read_table

    path = file or datasets_folder() / PELLETS_FILE
    raw = read_table(path)
    say_notes(raw)
    known = set(load_sources(sources or _sources_beside(path), verify=False)[Column.SOURCE])
    findings = find_problems(raw, known)
    with contextlib.suppress(DatasetError):  # a dataset that cannot be loaded is no measure
        findings = with_lines([*findings, *unusual_in_file(raw, load_pellets(verify=False))], raw)
    errors = sum(finding.severity == "error" for finding in findings)
    counts = {"errors": errors, "warnings": len(findings) - errors}
    rows = _finding_rows(findings)
    if as_json:
        print_json({"file": raw.name, "rows": len(raw.frame), **counts, "findings": rows})
    else:
        if rows:
            print_table(pd.DataFrame(rows, dtype="object"))
        click.echo(f"{raw.name}: {len(raw.frame)} rows, {counts['errors']} errors, {counts['warnings']} warnings")
    if file is None:
        try:
            verify_checksum(path)
        except DatasetError as error:
            click.echo(f"note: {error}", err=True)
    ctx.exit(FOUND_ERRORS if errors else 0)


def _sources_beside(path: Path) -> Path | None:
    from nasicon_ml.data.files import SOURCES_FILE

    beside = path.parent / SOURCES_FILE
    return beside if str(path) != "-" and beside.is_file() else None


def _finding_rows(findings: list[Finding]) -> list[dict[str, Any]]:
    """Return findings as they are shown: rows counted from 1, none for the header."""
    return [
        {
            "line": finding.line,
            "row": finding.row + 1 if finding.row >= 0 else None,
            "column": finding.column,
            "value": _plain(finding.value),
            "rule": finding.rule,
            "severity": finding.severity.value,
            "message": finding.message,
        }
        for finding in findings
    ]


def _plain(value: Any) -> Any:
    """Return what JSON can hold as it is, anything else as text."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else str(value)  # JSON has no NaN and no infinity
    return str(value)


#: The parts of a summary, in the order in which they are printed, with the line above each.
PARTS = {
    "totals": "All pellets",
    "alkalis": "By alkali",
    "systems": "By system",
    "fields": "By field (usable pellets)",
    "choices": "By choice (usable pellets)",
    "sources": "By source",
    "reasons": "Why pellets are suspect, or single results of usable ones doubted (first reason)",
}


@data.command()
@click.option("--part", "parts", multiple=True, type=click.Choice(list(PARTS)), help="Only this part; repeatable.")
@click.option("--top", type=Whole(1), help="Only the first rows of every part.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def summary(parts: tuple[str, ...], top: int | None, as_json: bool) -> None:
    """Count what the dataset covers: by system, field, choice and source.

    "Usable" pellets are those not marked suspect; results, fields and choices are counted among them, without
    results that are doubted.
    """
    from nasicon_ml.data.files import dataset_version, datasets_folder
    from nasicon_ml.data.load import load_pellets, load_sources
    from nasicon_ml.data.summary import summarise
    from nasicon_ml.io import table_records

    found = summarise(load_pellets(include_suspect=True), load_sources())
    tables = {part: getattr(found, part) for part in PARTS if part in parts or not parts}
    version = dataset_version(datasets_folder())
    if as_json:
        content = {part: table_records(table.head(top or len(table))) for part, table in tables.items()}
        print_json({"version": version, **content})
        return
    for number, (part, table) in enumerate(tables.items()):
        if number:
            click.echo()
        shown = table.head(top or len(table))
        more = f", the first {len(shown)} of {len(table)}" if len(shown) < len(table) else ""
        edition = f" of dataset {version}" if version and part == "totals" else ""
        print_table(shown, f"{PARTS[part]}{edition}{more}")


@data.command()
@click.option("--write", is_flag=True, help="Record the checksums of the files as they are now.")
@click.pass_context
def checksums(ctx: click.Context, write: bool) -> None:
    """Compare the files of the dataset with their recorded checksums, or renew the record with --write.

    Exit code 1 if a file differs from the record.
    """
    from nasicon_ml.data.files import dataset_checksum, datasets_folder, recorded_checksums, renew_checksums

    folder = datasets_folder()
    recorded = recorded_checksums(folder)
    now = (
        renew_checksums(folder) if write else {file.name: dataset_checksum(file) for file in folder.glob("*.csv")}
    )
    differs = False
    for name in sorted({*now, *recorded}):
        same = now.get(name) == recorded.get(name)
        differs |= not same
        state = "gone" if name not in now else "as recorded" if same else "renewed" if write else "differs"
        click.echo(f"{now.get(name, '-'):64}  {name}  {state}")
    ctx.exit(FOUND_ERRORS if differs and not write else 0)


for _command in (find, show, cite):
    data.add_command(_command)
