"""``nasicon-ml data``: checks the dataset, sums it up, finds pellets in it, and cites its sources."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nasicon_ml.cli.formatting import amount, conditions, measured, plural, scientific
from nasicon_ml.cli.inputs import (
    ANSWER,
    TABLE_ENDINGS,
    SectionedCommand,
    Whole,
    check_destination,
    complete,
    option,
    refusal,
    say_notes,
    together,
)
from nasicon_ml.cli.render import print_json, print_table, say
from nasicon_ml.columns import PELLET, RECIPE, SOURCES, Column, Kind, Role
from nasicon_ml.errors import FieldError, nearest

if TYPE_CHECKING:
    import pandas as pd

    from nasicon_ml.checks import Finding

FOUND_ERRORS = 1
_HEADINGS = {
    Role.KEY: "Where it is from",
    Role.COMPOSITION: "Composition",
    Role.PROCESSING: "Processing",
    Role.PREPARATION: "Preparation",
    Role.CONDITION: "Results",
    Role.RESULT: "Results",
    Role.PROVENANCE: "Where it is from",
    Role.STATUS: "Where it is from",
    Role.PREDICTION: "Composition",
}
#: Of the status, only the notes are asked for; what is suspect has an option of its own.
_ASKED = [Column.SYSTEM, *(column for column in PELLET if column.role is not Role.STATUS), Column.NOTES]
#: What the table says in any case, or in the words of how a pellet was made.
_SHOWN = {
    Column.PELLET_ID, Column.FORMULA, Column.SYSTEM, Column.SOURCE, Column.DOI, Column.CONDUCTIVITY_TOTAL_S_CM,
    Column.RELATIVE_DENSITY_PCT, Column.PHASE_PURE, Column.MEASUREMENT_TEMPERATURE_C, *RECIPE,
}  # fmt: skip
_COUNTED = (Column.CONDUCTIVITY_TOTAL_S_CM, Column.RELATIVE_DENSITY_PCT, Column.ACTIVATION_ENERGY_EV)
_HELP = {
    Kind.NUMBER: "such as 900, 700..900, '>95' or 800,850",
    Kind.TEXT: "a part of it",
    Kind.FORMULA: "the same composition, however written",
    Kind.FLAG: "true or false",
}

_EPILOG = """\b
Examples:
  nasicon-ml data find LATP --sintering-temperature 700..900 --atmosphere Ar --density ">95"
  nasicon-ml data find --element Y --without Ge --conductivity ">=1e-4" --sort density
  nasicon-ml data find --text "spark plasma" --csv > found.csv
  nasicon-ml data find --doi 10.1021/acsaem.2c02464 --json

Anything can be asked to be 'given' or 'unknown'. Exit code: 0 done, also if nothing was found; 2 the question
cannot be understood."""


#: One option for each column that can be asked for, in the vocabulary's order.
_column_options = together(
    *(
        option(
            column.option, column.value, section=_HEADINGS[column.role], metavar="WHAT",
            help=f"{column.axis_label[0].upper()}{column.axis_label[1:]}:"
            f" {_HELP.get(column.kind, ', '.join(column.choices))}.",
        )
        for column in _ASKED
    )
)  # fmt: skip


@click.group()
def data() -> None:
    """Check, summarise and look up the measured pellets."""


def _check_systems(asked: str | None, known: pd.Series[Any]) -> None:
    """Refuse a system that no pellet has: it is misspelt, and would find nothing in silence."""
    names = sorted(known.dropna().unique())
    accepted = {"given", "unknown", *map(str.lower, names)}
    for name in filter(None, map(str.strip, (asked or "").split(","))):
        if name.lower() not in accepted:
            raise FieldError(
                Column.SYSTEM, name, "a system of the dataset ('nasicon-ml data summary')", nearest(name, names)
            )


def _understand(values: dict[str, Any], known: pd.Series[Any]) -> None:
    """Take what stands without an option for a system, a composition or words of the texts."""
    words = " ".join(values.pop("words"))
    if not words:
        return
    from nasicon_ml.composition import parse

    if values[Column.FORMULA] is not None:
        both = f"{values[Column.FORMULA]} {words}"
        raise click.UsageError(f'A value with spaces needs quotation marks: {Column.FORMULA.option} "{both}"')
    target = "text"
    if words.lower() in set(known.dropna().str.lower()):
        target = Column.SYSTEM.value
    else:
        with suppress(FieldError):
            parse(words)
            target = Column.FORMULA.value
    if values[target]:
        raise click.UsageError(f"--{target} {values[target]} and {words!r} are two values of the same: give one")
    values[target] = words


@data.command(cls=SectionedCommand, epilog=_EPILOG)
@click.argument("words", nargs=-1, metavar="[WORDS]")
@_column_options
@option("--element", "elements", section="Composition", multiple=True, metavar="SYMBOL",
        help="An element of the formula; may be repeated.")  # fmt: skip
@option("--without", section="Composition", multiple=True, metavar="SYMBOL",
        help="An element that is not in the formula; may be repeated.")  # fmt: skip
@option("--text", section="Where it is from", default="", metavar="WORDS",
        help="Words in notes, phases, precursors, source, DOI, authors or title.")  # fmt: skip
@option("--suspect", is_flag=True, section="Where it is from",
        help="Also pellets that are left out of training, and doubted results.")  # fmt: skip
@option("--sort", section=ANSWER, default=Column.CONDUCTIVITY_TOTAL_S_CM.option.removeprefix("--"),
        show_default=True, metavar="FIELD", help="What to sort by, the largest first.")  # fmt: skip
@option("--ascending", is_flag=True, section=ANSWER, help="Sort the smallest first.")
@option("--top", section=ANSWER, type=Whole(1), default=20, show_default=True, metavar="NUMBER",
        help="Rows of the table; CSV, JSON and files hold all.")  # fmt: skip
@option("--csv", "as_csv", is_flag=True, section=ANSWER, help="Write all columns as CSV to standard output.")
@option("--json", "as_json", is_flag=True, section=ANSWER, help="Write JSON to standard output.")
@option("--output", section=ANSWER, metavar="FILE", help="Write the pellets to a file: .csv, .json or .parquet.")
def find(**values: Any) -> None:
    """Find measured pellets by system, element, any column or text; sorted and counted.

    WORDS without an option are a system, a composition, or words of the texts. The answer goes to standard output,
    what was understood to standard error. 'nasicon-ml data show PELLET' shows a pellet that is named.
    """
    from nasicon_ml.data.find import find_pellets
    from nasicon_ml.data.load import load_pellets
    from nasicon_ml.io import table_as_csv, table_records, write_table

    output = values["output"]
    if values["as_csv"] and values["as_json"]:
        raise click.UsageError("--csv and --json are two forms of the same: give one of them.")
    check_destination(output, TABLE_ENDINGS, "--output", {})
    pellets = load_pellets(include_suspect=values[Column.SUSPECT])
    _understand(values, pellets[Column.SYSTEM])
    asked = [column for column in _ASKED if values[column.value] is not None]
    others = {name: values[name] for name in ("elements", "without", "text", "sort", "ascending")}
    where = {column.value: values[column.value] for column in asked}
    try:
        _check_systems(values[Column.SYSTEM], pellets[Column.SYSTEM])
        found = find_pellets(pellets, **others, **where)
    except FieldError as error:
        options = {column.value: column.option for column in _ASKED}
        raise click.UsageError(f"{options.get(error.field, f'--{error.field}')}: {refusal(error)}") from None
    said = [f"{column.label} {values[column.value]}" for column in asked]
    said += [f"with {element}" for element in values["elements"]]
    said += [f"without {element}" for element in values["without"]]
    said += [f"{values['text']!r} in its texts"] if values["text"] else []
    say(f"looked for: {', '.join(said) or 'all pellets'}")
    if found.empty and (meant := nearest(values["text"], sorted(pellets[Column.SYSTEM].dropna().unique()))):
        say(f"note: nothing says {values['text']!r}. {meant}")
    if output is not None:
        write_table(found, output)
        say(f"{plural(len(found), 'pellet')} written to {output}")
    if values["as_csv"]:
        click.echo(table_as_csv(found), nl=False)
    elif values["as_json"]:
        works = int(found[Column.SOURCE].nunique())
        print_json({"count": len(found), "sources": works, "pellets": table_records(found)})
    else:
        _print_found(found, asked, values["top"])


def _print_found(found: pd.DataFrame, asked: list[Column], top: int) -> None:
    """Print the first rows as a table, and below it how many there are and what they span."""
    from nasicon_ml.io import table_records

    if not found.empty:
        extra = [column for column in asked if column not in _SHOWN]
        print_table(_table(table_records(found.head(top)), extra))
        click.echo()
    works = found[Column.SOURCE].nunique()
    more = f" (the first {top} are shown; --top, --csv or --output for all)" if len(found) > top else ""
    click.echo(f"{plural(len(found), 'pellet')} of {plural(works, Column.SOURCE.label)}{more}")
    for column in _COUNTED:
        values = found[column].dropna()
        if len(values):
            exact = scientific if column.unit == "S/cm" else "{:.4g}".format
            low, middle, high = (exact(one) for one in values.quantile([0, 0.5, 1]))
            said = f"{low} to {high} {column.unit}, middle {middle}"
            click.echo(f"  {column.label}: {len(values)} reported, {said}")
    pure = found[Column.PHASE_PURE].dropna()
    if len(pure):
        click.echo(
            f"  {Column.PHASE_PURE.label}: {len(pure)} reported, {int(pure.astype(bool).sum())} of them pure"
        )


def _table(pellets: list[dict[str, Any]], extra: Sequence[Column] = ()) -> pd.DataFrame:
    """Return pellets as a table to read: id, composition, how made, what measured, what else was asked, source."""
    import pandas as pd

    rows = [
        {
            Column.PELLET_ID.label: cells[Column.PELLET_ID],
            Column.FORMULA.label: cells[Column.FORMULA],
            "made": conditions(cells),
            "measured": measured(cells),
            **{column.label: cells[column] and amount(column, cells[column]) for column in extra},
            Column.SOURCE.label: cells[Column.SOURCE],
        }
        for cells in pellets
    ]
    return pd.DataFrame(rows, dtype="object")


@data.command()
@click.argument("key", metavar="KEY")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(key: str, as_json: bool) -> None:
    """Print one pellet of the dataset with its source; or a source and its pellets.

    KEY is the id of a pellet, as predictions name it, a DOI, or the key of a source.
    """
    from nasicon_ml.data.citing import citation
    from nasicon_ml.data.find import find_sources
    from nasicon_ml.data.load import load_pellets, load_sources
    from nasicon_ml.io import table_records

    pellets = load_pellets(include_suspect=True)
    pellet = table_records(pellets[pellets[Column.PELLET_ID] == key.strip()])
    sources = table_records(find_sources(key, pellets, load_sources()))
    members = {
        source[Column.SOURCE]: table_records(pellets[pellets[Column.SOURCE] == source[Column.SOURCE]])
        for source in sources
    }
    cited = [citation(source, members[source[Column.SOURCE]]) for source in sources]
    if pellet:
        pellet[0][Column.FORMULA.value] = pellet[0][Column.FORMULA.value] or _printed_formula(key.strip())
    if as_json:
        listed = [
            {Column.SOURCE.value: source, "citation": line, "pellets": members[source[Column.SOURCE]]}
            for source, line in zip(sources, cited, strict=True)
        ]
        one = {"pellet": pellet[0], Column.SOURCE.value: sources[0], "citation": cited[0]} if pellet else None
        print_json(one or {"sources": listed})
        return
    if pellet:
        labels = {column.value: column.axis_label for column in Column}
        _print_fields(key.strip(), [(labels[name], value) for name, value in pellet[0].items()])
        click.echo()
    for number, (source, line) in enumerate(zip(sources, cited, strict=True)):
        if number:
            click.echo()
        _print_fields(Column.SOURCE.value, [(column.axis_label, source[column]) for column in SOURCES])
        if not pellet:
            click.echo()
            print_table(_table(members[source[Column.SOURCE]]))
        click.echo(f"\nCite as: {line}")


def _print_fields(head: str, fields: list[tuple[str, Any]]) -> None:
    import pandas as pd

    known = [(label, value) for label, value in fields if value is not None]
    print_table(pd.DataFrame(known, columns=["field", head], dtype="object"))


def _printed_formula(pellet_id: str) -> str | None:
    """Return the formula as it stands in the file, for rows whose formula cannot be understood."""
    from nasicon_ml.data.files import PELLETS_FILE, datasets_folder
    from nasicon_ml.io import read_table

    raw = read_table(datasets_folder() / PELLETS_FILE).frame
    cells = raw.loc[raw[Column.PELLET_ID] == pellet_id, Column.FORMULA]
    return str(cells.iloc[0]) or None


@data.command()
@click.argument("keys", metavar="KEY...", nargs=-1, required=True)
def cite(keys: tuple[str, ...]) -> None:
    """Print BibTeX of the works that pellets come from.

    A KEY is the id of a pellet, as predictions name it, a DOI, or the key of a source. Where neither title nor DOI
    is known, the note of the entry says what to search for.
    """
    import pandas as pd

    from nasicon_ml.data.citing import bibtex
    from nasicon_ml.data.find import find_sources
    from nasicon_ml.data.load import load_pellets, load_sources
    from nasicon_ml.io import table_records

    pellets, sources = load_pellets(include_suspect=True), load_sources()
    found = pd.concat([find_sources(key, pellets, sources) for key in keys]).drop_duplicates(Column.SOURCE.value)
    for source in table_records(found):
        of_source = pellets[pellets[Column.SOURCE] == source[Column.SOURCE]]
        click.echo(bibtex(source, table_records(of_source)))


@data.command()
@click.argument("file", required=False, metavar="[FILE]", shell_complete=complete)
@click.option("--sources", metavar="FILE", shell_complete=complete, help="The list of sources to check against.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def validate(ctx: click.Context, file: str | None, sources: str | None, as_json: bool) -> None:
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
    from nasicon_ml.data.validate import find_problems, unusual_in_file
    from nasicon_ml.errors import DatasetError
    from nasicon_ml.io import read_table

    path = datasets_folder() / PELLETS_FILE if file is None else Path(file)
    raw = read_table(path)
    say_notes(raw)
    known = set(
        load_sources(_sources_beside(path) if sources is None else Path(sources), verify=False)[Column.SOURCE]
    )
    findings = find_problems(raw, known)
    with suppress(DatasetError):  # a dataset that cannot be loaded is no measure
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
    if value is None or isinstance(value, (str, bool, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value)  # JSON has no NaN and no infinity


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
