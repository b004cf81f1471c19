"""The command ``nasicon-ml data``: check, search, summarise and cite the dataset."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nasicon_ml.cli.formatting import describe_conditions, describe_results, format_quantity, plural, scientific
from nasicon_ml.cli.inputs import (
    ANSWER,
    TABLE_ENDINGS,
    SectionedCommand,
    WholeNumber,
    check_destination,
    combine_options,
    complete_value,
    file_argument,
    json_object_option,
    json_option,
    option,
    output_option,
    report_notes,
    short_message,
)
from nasicon_ml.cli.render import notify, print_json, print_table
from nasicon_ml.columns import PELLET, RECIPE, SOURCES, Column, Kind, Role
from nasicon_ml.errors import DatasetError, FieldError, nearest

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
#: Columns with a search option. Of the status columns only the notes: ``--suspect`` is a separate option.
_SEARCH_COLUMNS = [Column.SYSTEM, *(column for column in PELLET if column.role is not Role.STATUS), Column.NOTES]
#: Columns that the table always contains, as a column or within the description of the processing.
_DISPLAYED_COLUMNS = {
    Column.PELLET_ID, Column.FORMULA, Column.SYSTEM, Column.SOURCE, Column.DOI, Column.CONDUCTIVITY_TOTAL_S_CM,
    Column.RELATIVE_DENSITY_PCT, Column.PHASE_PURE, Column.MEASUREMENT_TEMPERATURE_C, *RECIPE,
}  # fmt: skip
_SUMMARISED_COLUMNS = (Column.CONDUCTIVITY_TOTAL_S_CM, Column.RELATIVE_DENSITY_PCT, Column.ACTIVATION_ENERGY_EV)
_VALUE_HELP = {
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


#: One option for each search column, in the order of the vocabulary.
_column_options = combine_options(
    *(
        option(
            column.option, column.value, section=_HEADINGS[column.role], metavar="WHAT",
            help=f"{column.axis_label[0].upper()}{column.axis_label[1:]}:"
            f" {_VALUE_HELP.get(column.kind, ', '.join(column.choices))}.",
        )
        for column in _SEARCH_COLUMNS
    )
)  # fmt: skip


@click.group()
def data() -> None:
    """Check, summarise and look up the measured pellets."""


def _check_systems(searched: str | None, systems: pd.Series[Any]) -> None:
    """Raise an error for a system that no pellet has, because it is probably misspelt."""
    names = sorted(systems.dropna().unique())
    accepted = {"given", "unknown", *map(str.lower, names)}
    for name in filter(None, map(str.strip, (searched or "").split(","))):
        if name.lower() not in accepted:
            raise FieldError(
                Column.SYSTEM, name, "a system of the dataset ('nasicon-ml data summary')", nearest(name, names)
            )


def _assign_words(values: dict[str, Any], systems: pd.Series[Any]) -> None:
    """Use words without an option as a system, a composition or a search text."""
    words = " ".join(values.pop("words"))
    if not words:
        return
    from nasicon_ml.composition import parse

    if values[Column.FORMULA] is not None:
        formula = f"{values[Column.FORMULA]} {words}"
        raise click.UsageError(f'A value with spaces needs quotation marks: {Column.FORMULA.option} "{formula}"')
    target = "text"
    if words.lower() in set(systems.dropna().str.lower()):
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
@option("--top", section=ANSWER, type=WholeNumber(1), default=20, show_default=True, metavar="NUMBER",
        help="Rows of the table; CSV, JSON and files hold all.")  # fmt: skip
@option("--csv", "as_csv", is_flag=True, section=ANSWER, help="Write all columns as CSV to standard output.")
@json_option
@output_option("the pellets to a file")
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
    _assign_words(values, pellets[Column.SYSTEM])
    searched = [column for column in _SEARCH_COLUMNS if values[column.value] is not None]
    settings = {name: values[name] for name in ("elements", "without", "text", "sort", "ascending")}
    conditions = {column.value: values[column.value] for column in searched}
    try:
        _check_systems(values[Column.SYSTEM], pellets[Column.SYSTEM])
        found = find_pellets(pellets, **settings, **conditions)
    except FieldError as error:
        options = {column.value: column.option for column in _SEARCH_COLUMNS}
        raise click.UsageError(f"{options.get(error.field, f'--{error.field}')}: {short_message(error)}") from None
    criteria = [f"{column.label} {values[column.value]}" for column in searched]
    criteria += [f"with {element}" for element in values["elements"]]
    criteria += [f"without {element}" for element in values["without"]]
    criteria += [f"{values['text']!r} in its texts"] if values["text"] else []
    notify(f"looked for: {', '.join(criteria) or 'all pellets'}")
    if found.empty and (hint := nearest(values["text"], sorted(pellets[Column.SYSTEM].dropna().unique()))):
        notify(f"note: nothing says {values['text']!r}. {hint}")
    if output is not None:
        write_table(found, output)
        notify(f"{plural(len(found), 'pellet')} written to {output}")
    if values["as_csv"]:
        click.echo(table_as_csv(found), nl=False)
    elif values["as_json"]:
        sources = int(found[Column.SOURCE].nunique())
        print_json({"count": len(found), "sources": sources, "pellets": table_records(found)})
    else:
        _print_found(found, searched, values["top"])


def _print_found(found: pd.DataFrame, searched: list[Column], top: int) -> None:
    """Print the first rows as a table, followed by the number of pellets and the ranges of their results."""
    from nasicon_ml.io import table_records

    if not found.empty:
        extra = [column for column in searched if column not in _DISPLAYED_COLUMNS]
        print_table(_pellets_table(table_records(found.head(top)), extra))
        click.echo()
    sources = found[Column.SOURCE].nunique()
    more = f" (the first {top} are shown; --top, --csv or --output for all)" if len(found) > top else ""
    click.echo(f"{plural(len(found), 'pellet')} of {plural(sources, Column.SOURCE.label)}{more}")
    for column in _SUMMARISED_COLUMNS:
        values = found[column].dropna()
        if len(values):
            write = scientific if column.unit == "S/cm" else "{:.4g}".format
            low, median, high = map(write, values.quantile([0, 0.5, 1]))
            span = f"{low} to {high} {column.unit}, middle {median}"
            click.echo(f"  {column.label}: {len(values)} reported, {span}")
    pure = found[Column.PHASE_PURE].dropna()
    if len(pure):
        click.echo(
            f"  {Column.PHASE_PURE.label}: {len(pure)} reported, {int(pure.astype(bool).sum())} of them pure"
        )


def _pellets_table(pellets: list[dict[str, Any]], extra: Sequence[Column] = ()) -> pd.DataFrame:
    """Return pellets as a table of id, composition, processing, results, further searched columns and source."""
    import pandas as pd

    rows = [
        {
            Column.PELLET_ID.label: cells[Column.PELLET_ID],
            Column.FORMULA.label: cells[Column.FORMULA],
            "made": describe_conditions(cells),
            "measured": describe_results(cells),
            **{column.label: cells[column] and format_quantity(column, cells[column]) for column in extra},
            Column.SOURCE.label: cells[Column.SOURCE],
        }
        for cells in pellets
    ]
    return pd.DataFrame(rows, dtype="object")


@data.command()
@click.argument("key", metavar="KEY")
@json_object_option
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
    members = [table_records(pellets[pellets[Column.SOURCE] == source[Column.SOURCE]]) for source in sources]
    citations = list(map(citation, sources, members))
    if pellet:
        pellet[0][Column.FORMULA.value] = pellet[0][Column.FORMULA.value] or _formula_in_file(key.strip())
    if as_json:
        if pellet:
            print_json({"pellet": pellet[0], Column.SOURCE.value: sources[0], "citation": citations[0]})
            return
        keys = (Column.SOURCE.value, "citation", "pellets")
        parts = zip(sources, citations, members, strict=True)
        print_json({"sources": [dict(zip(keys, part, strict=True)) for part in parts]})
        return
    if pellet:
        labels = {column.value: column.axis_label for column in Column}
        _print_fields(key.strip(), [(labels[name], value) for name, value in pellet[0].items()])
        click.echo()
    for number, (source, text) in enumerate(zip(sources, citations, strict=True)):
        if number:
            click.echo()
        _print_fields(Column.SOURCE.value, [(column.axis_label, source[column]) for column in SOURCES])
        if not pellet:
            click.echo()
            print_table(_pellets_table(members[number]))
        click.echo(f"\nCite as: {text}")


def _print_fields(header: str, fields: list[tuple[str, Any]]) -> None:
    import pandas as pd

    known = [(label, value) for label, value in fields if value is not None]
    print_table(pd.DataFrame(known, columns=["field", header], dtype="object"))


def _formula_in_file(pellet_id: str) -> str | None:
    """Return the formula as written in the file, for rows whose formula cannot be parsed."""
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
        members = pellets[pellets[Column.SOURCE] == source[Column.SOURCE]]
        click.echo(bibtex(source, table_records(members)))


@data.command()
@file_argument
@click.option(
    "--sources", metavar="FILE", shell_complete=complete_value, help="The list of sources to check against."
)
@json_object_option
@click.pass_context
def validate(ctx: click.Context, file: str | None, sources: str | None, as_json: bool) -> None:
    """Check FILE (by default the committed dataset; - is standard input) and list everything that is wrong.

    Numbers that are possible but unlike all that other works of the committed dataset measured are warnings, with
    the unit that was probably meant.

    The sources must stand in the list given by --sources, by default sources.csv beside FILE, else the committed
    one. Exit code 0: no errors (there may be warnings); 1: errors; 2: the file cannot be read.
    """
    import pandas as pd

    from nasicon_ml.data.files import PELLETS_FILE, datasets_folder, verify_checksum
    from nasicon_ml.data.load import add_lines, load_pellets, load_sources
    from nasicon_ml.data.validate import find_problems, unusual_in_file
    from nasicon_ml.io import read_table

    path = datasets_folder() / PELLETS_FILE if file is None else Path(file)
    raw = read_table(path)
    report_notes(raw)
    sources_path = _sources_in_folder(path) if sources is None else Path(sources)
    known_sources = set(load_sources(sources_path, verify=False)[Column.SOURCE])
    findings = find_problems(raw, known_sources)
    with suppress(DatasetError):  # skip the comparison if the dataset itself cannot be loaded
        findings = add_lines([*findings, *unusual_in_file(raw, load_pellets(verify=False))], raw)
    errors = sum(finding.severity == "error" for finding in findings)
    warnings = len(findings) - errors
    records = _finding_records(findings)
    if as_json:
        counts = {"rows": len(raw.frame), "errors": errors, "warnings": warnings}
        print_json({"file": raw.name, **counts, "findings": records})
    else:
        if records:
            print_table(pd.DataFrame(records, dtype="object"))
        click.echo(f"{raw.name}: {len(raw.frame)} rows, {errors} errors, {warnings} warnings")
    if file is None:
        try:
            verify_checksum(path)
        except DatasetError as error:
            click.echo(f"note: {error}", err=True)
    ctx.exit(FOUND_ERRORS if errors else 0)


def _sources_in_folder(path: Path) -> Path | None:
    from nasicon_ml.data.files import SOURCES_FILE

    sources = path.parent / SOURCES_FILE
    return sources if str(path) != "-" and sources.is_file() else None


def _finding_records(findings: list[Finding]) -> list[dict[str, Any]]:
    """Return findings as records with rows counted from 1, and None for the header."""
    return [
        {
            "line": finding.line,
            "row": finding.row + 1 if finding.row >= 0 else None,
            "column": finding.column,
            "value": _json_value(finding.value),
            "rule": finding.rule,
            "severity": finding.severity.value,
            "message": finding.message,
        }
        for finding in findings
    ]


def _json_value(value: Any) -> Any:
    """Return a value that JSON can represent unchanged, and anything else as text."""
    if value is None or isinstance(value, (str, bool, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value)  # JSON has no NaN and no infinity


#: The tables of a summary with their titles, in the order in which they are printed.
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
@click.option("--top", type=WholeNumber(1), help="Only the first rows of every part.")
@json_object_option
def summary(parts: tuple[str, ...], top: int | None, as_json: bool) -> None:
    """Count what the dataset covers: by system, field, choice and source.

    "Usable" pellets are those not marked suspect; results, fields and choices are counted among them, without
    results that are doubted.
    """
    from nasicon_ml.data.files import dataset_version, datasets_folder
    from nasicon_ml.data.load import load_pellets, load_sources
    from nasicon_ml.data.summary import summarise
    from nasicon_ml.io import table_records

    dataset_summary = summarise(load_pellets(include_suspect=True), load_sources())
    tables = {part: getattr(dataset_summary, part) for part in PARTS if part in parts or not parts}
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
    current = (
        renew_checksums(folder) if write else {file.name: dataset_checksum(file) for file in folder.glob("*.csv")}
    )
    for name in sorted({*current, *recorded}):
        same = current.get(name) == recorded.get(name)
        state = "gone" if name not in current else "as recorded" if same else "renewed" if write else "differs"
        click.echo(f"{current.get(name, '-'):64}  {name}  {state}")
    ctx.exit(FOUND_ERRORS if current != recorded and not write else 0)
