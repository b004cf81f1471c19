"""Shared options of the commands, recipes from options and files, models, and checks of output files.

Shell completion (docs/cli.md) calls `complete_value` for the values of options and arguments.
"""

from __future__ import annotations

import numbers
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from nasicon_ml.cli.render import notify
from nasicon_ml.columns import MODEL_INPUT, RECIPE, Column, Kind, Role, to_number
from nasicon_ml.errors import BundleError, FieldError, UnreadableFileError, number_hint

if TYPE_CHECKING:
    import pandas as pd

    from nasicon_ml.checks import Finding
    from nasicon_ml.io import RawTable
    from nasicon_ml.model import PropertyModel
    from nasicon_ml.recipe.combinations import VariedField


Function = TypeVar("Function", bound=Callable[..., Any])

ANSWER = "Answer"
#: Allowed endings of the names of output files.
TABLE_ENDINGS = (".csv", ".json", ".parquet", ".pq")
FIGURE_ENDINGS = (".png", ".pdf", ".svg")
COMPOSITION = "Composition"
PROCESSING = "Processing (what you leave out is unknown to the model, and widens the intervals)"
PREPARATION = "Preparation (need not be known)"
_OTHER = "Other"
#: Maximum number of pellets that a warning about own pellets lists.
_MAX_LISTED = 10
_SECTIONS = {Role.COMPOSITION: COMPOSITION, Role.PROCESSING: PROCESSING, Role.PREPARATION: PREPARATION}
#: Metavars of files and folders, with the type of path that the shell completes.
_PATH_METAVARS = {"FILE": "file", "SPACE.yaml": "file", "FOLDER": "dir", "DIR": "dir"}
_MODELS = ("models:/nasicon-recipe@champion", "models:/nasicon-recipe@challenger")
_VERSIONS = ("champion", "challenger", "latest")


def completion_items(words: Iterable[str], incomplete: str) -> list[CompletionItem]:
    """Return the words that start with the typed text, ignoring case."""
    return [CompletionItem(word) for word in words if word.lower().startswith(incomplete.lower())]


def complete_value(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return completions according to the metavar of a parameter; none for names and numbers."""
    metavar = str(param.metavar).strip("[]")  # optional arguments have brackets
    if metavar in _PATH_METAVARS:
        return [CompletionItem(incomplete, type=_PATH_METAVARS[metavar])]
    if metavar == "MODEL":
        return [CompletionItem(incomplete, type="dir"), *completion_items(_MODELS, incomplete)]
    if metavar in {"V", "A", "B"}:
        return completion_items(_VERSIONS, incomplete)
    return param.type.shell_complete(ctx, param, incomplete)


class SectionedOption(click.Option):
    """An option with the heading of the help section to which it belongs."""

    def __init__(self, *args: Any, section: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section


class SectionedCommand(click.Command):
    """A command whose help groups its options under headings, in the order of their first options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; an extra argument is usually a value with a space and without quotes."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            if not error.message.startswith("Got unexpected extra argument"):
                raise
            hint = '. A value with spaces needs quotation marks: --formula "LATP x=0.3"'
            raise click.UsageError(error.message + hint, ctx) from None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options section by section."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                sections.setdefault(getattr(parameter, "section", _OTHER), []).append(record)
        for heading, records in sorted(sections.items(), key=lambda section: section[0] == _OTHER):
            with formatter.section(heading):
                formatter.write_dl(records)


def option(*names: str, section: str, **settings: Any) -> Callable[[Function], Function]:
    """Return a decorator that adds an option to a section of the help."""
    return click.option(*names, cls=SectionedOption, section=section, shell_complete=complete_value, **settings)


class ColumnValue(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.3 on only
    """The value of a column, parsed like a cell of a table."""

    def __init__(self, column: Column) -> None:
        self.column = column
        self.name = "number" if column.kind is Kind.NUMBER else "text"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | str | bool | None:
        """Parse the value, or fail with the allowed values and the nearest spelling."""
        try:
            return self.column.parse(value)
        except FieldError as error:
            return self.fail(short_message(error), param, ctx)

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Return the choices of the column as completions."""
        return completion_items(self.column.choices, incomplete)


class ColumnValues(ColumnValue):
    """One value of a column, or a tuple of several: ``850``; ``800,850``; ``750:1050:25``."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse the values, or fail with the allowed values."""
        if self.column.kind is Kind.TEXT and self.column is not Column.ADDITIVE:
            return super().convert(value, param, ctx)
        return convert_one_or_several(self, str(value), self.column.parse, param, ctx)


def convert_one_or_several(
    param_type: click.ParamType,  # type: ignore[type-arg]
    text: str,
    parse: Callable[[str], Any],
    param: click.Parameter | None,
    ctx: click.Context | None,
) -> Any:
    """Return the value in a text or a tuple of several values, or fail with the allowed values."""
    from nasicon_ml.recipe.combinations import read_values

    try:
        values = read_values(text, parse)
    except FieldError as error:
        return param_type.fail(short_message(error), param, ctx)
    return values[0] if len(values) == 1 else tuple(values)


class Number(click.ParamType):  # type: ignore[type-arg]
    """A number between two limits, with hints about decimal commas and percentages."""

    name = "number"

    def __init__(self, minimum: float, maximum: float, *, percent_hint: bool = False) -> None:
        self.minimum, self.maximum = minimum, maximum
        self.percent_hint = percent_hint

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parse the value, or fail with the allowed range."""
        allowed = f"a number between {self.minimum:g} and {self.maximum:g}"
        try:
            number = to_number(str(value))
        except ValueError:
            return self.fail(short_message(FieldError("", value, allowed, number_hint(str(value)))), param, ctx)
        if not self.minimum < number < self.maximum:
            is_percent = self.percent_hint and 1 < number < 100
            hint = f"{number:g} % is written {number / 100:g}." if is_percent else ""
            return self.fail(short_message(FieldError("", value, allowed, hint)), param, ctx)
        return number


class Numbers(Number):
    """One number or a tuple of several, written as for `ColumnValues`."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse the numbers, or fail with the allowed range."""
        convert = super().convert
        return convert_one_or_several(self, str(value), lambda text: convert(text, param, ctx), param, ctx)


class WholeNumber(click.IntRange):
    """An integer within limits, in plain digits; `int` would accept ``1_5`` as fifteen."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse the value, or fail with the allowed range."""
        if isinstance(value, str) and not re.fullmatch(r"\s*[+-]?[0-9]+\s*", value):
            return self.fail(
                short_message(FieldError("", value, "a whole number", number_hint(value))), param, ctx
            )
        return super().convert(value, param, ctx)  # type: ignore[arg-type]  # click: object before 8.3


def short_message(error: FieldError) -> str:
    """Return the message of a field error without the field, because click prints the name of the option."""
    return error.message.removeprefix(f"{error.field}: ")


def parse_substitutes(
    ctx: click.Context, param: click.Parameter, pairs: Iterable[str]
) -> dict[str, tuple[str, ...]]:
    """Parse ``M=Sc`` or ``M=Sc,Y``: the placeholder and its elements."""
    substitutes: dict[str, tuple[str, ...]] = {}
    for pair in pairs:
        match = re.fullmatch(r"\s*([A-Za-z]+)\s*=\s*([A-Za-z]+(?:\s*,\s*[A-Za-z]+)*)\s*", pair)
        if match is None:
            allowed = "a place holder, an equals sign and an element, such as M=Sc, or several: M=Al,Sc,Y"
            raise click.BadParameter(short_message(FieldError("", pair, allowed)), ctx, param)
        if match[1] in substitutes:
            raise click.BadParameter(f"{match[1]!r} is given twice; several elements: {match[1]}=Sc,Y", ctx, param)
        substitutes[match[1]] = tuple(element.strip() for element in match[2].split(","))
    return substitutes


def combine_options(*options: Callable[[Any], Any]) -> Callable[[Function], Function]:
    """Return a decorator that adds several options, in the order in which the help lists them."""

    def add(function: Function) -> Function:
        for add_option in reversed(options):
            function = add_option(function)
        return function

    return add


composition_options = combine_options(
    option(Column.FORMULA.option, Column.FORMULA.value, section=COMPOSITION, metavar="TEXT", multiple=True,
           help="Formula: Li1.4Al0.4Ti1.6(PO4)3, 'Li1+xAlxTi2-x(PO4)3' with --x, or"
           " 'LATP x=0.4 + 2 wt% Al2O3'; may be repeated."),
    option("--system", Column.SYSTEM.value, section=COMPOSITION, metavar="TEXT",
           help="Instead of a formula: LATP, LAGP, LATGP, LTP, NZSP, ...; most need --x."),
    option("--x", section=COMPOSITION, type=Numbers(-10, 10), metavar="NUMBER",
           help="Substitution x of the system or of a formula with x."),
    option("--substitute", section=COMPOSITION, multiple=True, callback=parse_substitutes, metavar="M=ELEMENT",
           help="Element for a place holder in the formula, or several: M=Al,Sc,Y; may be repeated."),
)  # fmt: skip


def given_recipe_options(values: Mapping[str, Any]) -> list[str]:
    """Return the names of the given options that describe recipes."""
    names = [column.value for column in RECIPE] + [Column.SYSTEM.value, "x", "substitute"]
    return [name for name in names if values[name] not in (None, (), {})]


def recipes_from_options(values: Mapping[str, Any]) -> Inputs:
    """Return the recipes described by `composition_options` and `recipe_options`."""
    formula, system = values[Column.FORMULA], values[Column.SYSTEM]
    if not formula and system is None:
        raise click.UsageError("no recipe: give --formula, --system with --x, or a FILE of recipes.")
    if formula and system is not None:
        raise click.UsageError("--formula and --system are two ways to say the same: give one of them.")
    fields = {column.value: values[column] for column in RECIPE if column is not Column.FORMULA}
    return expand_recipe(formula or system, values["x"], values["substitute"], fields)


def _help(column: Column) -> str:
    text = column.label[0].upper() + column.label[1:]
    if column.kind is Kind.NUMBER:
        unit = f" in {column.unit}" if column.unit else ""
        return f"{text}{unit}, {column.minimum:g} to {column.maximum:g}."
    if column.choices:
        return f"{text}: {', '.join(column.choices)}."
    if column is Column.PRECURSORS:
        return f"{text}: formulas separated by ';', or commercial."
    if column.kind is Kind.FLAG:
        return f"{text}: {column.allowed}."
    return f"{text}."


#: One option for each column of a recipe except the formula, in the vocabulary's order.
recipe_options = combine_options(
    *(
        option(
            column.option, column.value, section=_SECTIONS[column.role], type=ColumnValues(column),
            metavar="NUMBER" if column.kind is Kind.NUMBER else "TEXT", help=_help(column),
        )
        for column in RECIPE
        if column is not Column.FORMULA
    )
)  # fmt: skip

#: The FILE of recipes.
file_argument = click.argument("file", required=False, metavar="[FILE]", shell_complete=complete_value)
file_options = combine_options(
    option("--format", "file_format", section=ANSWER, metavar="FORMAT",
           type=click.Choice(["csv", "json", "yaml", "parquet", "workbook"]),
           help="csv, json, yaml, parquet or workbook, where the name of FILE does not say it."),
    option("--sheet", section=ANSWER, metavar="NAME",
           help="Sheet of FILE, where it is a workbook: name or number.  [default: the first]"),
)  # fmt: skip


def level_option(section: str) -> Callable[[Function], Function]:
    """Return the option ``--level``, the level of the intervals."""
    return option(
        "--level", section=section, type=Number(0, 1, percent_hint=True), default=0.9, show_default=True,
        metavar="NUMBER", help="Probability with which the intervals should hold the truth.",
    )  # fmt: skip


def _check_own(ctx: click.Context, param: click.Parameter, name: str | None) -> str | None:
    if name == "-":
        raise click.BadParameter("give the name of a file; standard input is for recipes", ctx, param)
    return name


#: The options of `read_own_pellets`.
own_options = combine_options(
    option("--own", section=ANSWER, metavar="FILE", callback=_check_own,
           help="Your own measured pellets, a workbook or any other table (formula and one result suffice): they"
           " move the answers and intervals. Nothing of them is kept or sent."),
    option("--own-sheet", section=ANSWER, metavar="NAME",
           help="Sheet of --own, where it is a workbook: name or number.  [default: the first]"),
    option("--strict", is_flag=True, section=ANSWER,
           help="Refuse tables with columns that are not known, instead of leaving these out."),
)  # fmt: skip

#: The options of `resolve_model`.
model_options = combine_options(
    option("--model", section=ANSWER, metavar="MODEL",
           help="Bundle folder, or an MLflow address such as models:/nasicon-recipe@champion."
           "  [default: the model that comes with nasicon-ml]"),
    option("--tracking-uri", section=ANSWER, metavar="URI",
           help="MLflow's store, for a --model in MLflow.  [default: MLFLOW_TRACKING_URI, or mlflow.db here]"),
)  # fmt: skip

answer_options = combine_options(
    option("--at", "at_c", section=ANSWER, type=ColumnValue(Column.MEASUREMENT_TEMPERATURE_C), metavar="NUMBER",
           help="Temperature in °C at which the conductivity is wanted.  [default: 25, or what FILE says]"),
    level_option(ANSWER),
    own_options,
    model_options,
)  # fmt: skip

#: For commands without sections in the help.
json_object_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
json_option = option("--json", "as_json", is_flag=True, section=ANSWER, help="Write JSON to standard output.")


def output_option(content: str) -> Callable[[Function], Function]:
    """Return the option ``--output`` for a table."""
    return option("--output", section=ANSWER, metavar="FILE", help=f"Write {content}: .csv, .json or .parquet.")


def figure_option(content: str, *names: str) -> Callable[[Function], Function]:
    """Return the option ``--figure`` for a drawing, with further names."""
    help_text = f"Draw {content}: .png, .pdf or .svg."
    return option(*names, "--figure", section=ANSWER, metavar="FILE", help=help_text)


# --------------------------------------------------------------------------------------------- recipes


@dataclass(frozen=True)
class Inputs:
    """The valid recipes of an input, and the findings about the invalid ones."""

    #: The n valid recipes, columns `nasicon_ml.columns.MODEL_INPUT`.
    table: pd.DataFrame
    #: Number of each recipe in the input, from 1; length n.
    recipe_numbers: tuple[int, ...]
    #: Line of each recipe in the file, None for formats without lines; length n.
    lines: tuple[int | None, ...]
    #: Ids of the recipes in the input; None if it has no ids.
    pellet_ids: tuple[str | None, ...] | None
    #: Errors of the invalid rows.
    findings: tuple[Finding, ...] = ()
    #: Warnings about the valid rows.
    warnings: tuple[Finding, ...] = ()
    #: Name of the input in messages; empty for options.
    name: str = ""
    #: Fields with several values among recipes given by options.
    varied: tuple[VariedField, ...] = ()

    def __len__(self) -> int:
        return len(self.recipe_numbers)

    @property
    def bad_rows(self) -> int:
        """Number of rows that are left out."""
        return len({finding.row for finding in self.findings})

    def chunks(self, size: int) -> Iterator[Inputs]:
        """Yield chunks of at most `size` recipes, without findings and warnings."""
        for start in range(0, len(self), size):
            rows = slice(start, start + size)
            ids = None if self.pellet_ids is None else self.pellet_ids[rows]
            yield Inputs(self.table.iloc[rows], self.recipe_numbers[rows], self.lines[rows], ids)

    def location(self, finding: Finding) -> str:
        """Return the location of a finding: the file, and the line or the number of the recipe."""
        if not self.name:
            return f"recipe {finding.row + 1}" if self.varied else "this recipe"
        if finding.line is not None:
            return f"{self.name}, line {finding.line}"
        return f"{self.name}, recipe {finding.row + 1}"


def recipes_from_file(
    path: str, file_format: str | None, sheet: str | None = None, *, strict: bool = False
) -> Inputs:
    """Read a file of recipes."""
    from nasicon_ml.io import read_table, standardize_table
    from nasicon_ml.recipe import read_batch

    raw = read_table(path, file_format=file_format, sheet=sheet)
    raw = standardize_table(raw, (*MODEL_INPUT, Column.PELLET_ID), strict=strict)
    report_notes(raw)
    try:
        batch = read_batch(raw)
    except FieldError as error:  # about a column, so about the whole file
        raise UnreadableFileError(f"{raw.name}: {error}") from None
    ids, invalid_ids = _pellet_ids(raw)
    valid = [index for index, row in enumerate(batch.rows.tolist()) if row not in invalid_ids]
    rows = batch.rows[valid].tolist()
    findings = sorted((*batch.findings, *invalid_ids.values()), key=lambda finding: finding.row)
    return Inputs(
        batch.table.iloc[valid].reset_index(drop=True) if invalid_ids else batch.table,
        tuple(row + 1 for row in rows),
        (None,) * len(valid) if batch.lines is None else tuple(batch.lines[valid].tolist()),
        None if ids is None else tuple(ids[row] for row in rows),
        tuple(findings),
        tuple(finding for finding in batch.warnings if finding.row not in invalid_ids),
        raw.name,
    )


def _pellet_ids(raw: RawTable) -> tuple[list[str | None] | None, dict[int, Finding]]:
    """Return the ids of the recipes in a file, None if it has none, and findings about invalid ids by row."""
    from nasicon_ml.checks import Finding, Severity

    column = Column.PELLET_ID
    if column not in raw.frame.columns:
        return None, {}
    ids: list[str | None] = []
    invalid: dict[int, Finding] = {}
    for row, cell in enumerate(raw.frame[column].tolist()):
        try:
            # Ids may be numbers.
            ids.append(column.parse(str(cell) if isinstance(cell, numbers.Real) else cell))  # type: ignore[arg-type]
        except FieldError as error:
            ids.append(None)
            line = None if raw.lines is None else int(raw.lines[row])
            invalid[row] = Finding(row, column.value, cell, "bad_key", Severity.ERROR, error.message, line)
    return ids, invalid


def report_notes(raw: RawTable) -> None:
    """Print the notes about how a file was read."""
    for note in raw.notes:
        notify(f"note: {raw.name}: {note}")


def expand_recipe(
    formula: str | Iterable[str], x: Any, substitute: Mapping[str, Any], fields: Mapping[str, Any]
) -> Inputs:
    """Return the recipe given by options, or all combinations of their values, and print the number of these.

    The formula (or system), x and the elements of placeholders may have several values. `fields` maps the other
    column names to a value, a tuple of several values, or None if not given.
    """
    from nasicon_ml.recipe import recipe_table, recipe_warnings
    from nasicon_ml.recipe.combinations import X_NAME, combinations

    given = {X_NAME: x, **substitute, **fields}
    combined = combinations(formula, {name: value for name, value in given.items() if value is not None})
    table, varied, count = recipe_table(combined.recipes), combined.varied, len(combined.recipes)
    if varied:
        notify(f"{count} recipes: {' x '.join(map(str, varied))}")
    warnings = tuple(recipe_warnings(table))
    return Inputs(table, (*range(1, count + 1),), (None,) * count, None, warnings=warnings, varied=varied)


def read_own_pellets(values: Mapping[str, Any]) -> pd.DataFrame | None:
    """Read the file of `own_options`; return None if there is none."""
    from nasicon_ml.data.own_pellets import own_pellets

    if values["own"] is None:
        return None
    return own_pellets(values["own"], sheet=values["own_sheet"], strict=values["strict"])


def warn_about_own_pellets(
    name: str, own: pd.DataFrame, reference: pd.DataFrame, model: PropertyModel | None = None
) -> None:
    """Print warnings about own pellets with suspicious values.

    Values are compared with the pellets in `reference` and, if a model is given, with its prediction of each
    pellet from the other own pellets.
    """
    from nasicon_ml.checks import group_by_cause
    from nasicon_ml.data.validate import unusual_findings
    from nasicon_ml.recipe import recipe_warnings

    findings = [*recipe_warnings(own), *unusual_findings(own, reference)]
    unique = list({(finding.row, finding.column, finding.rule): finding for finding in findings}.values())
    ids = own[Column.PELLET_ID].tolist()
    for first, *others in group_by_cause(unique):
        other_ids = [str(ids[finding.row]) for finding in others]
        listed = ", ".join(other_ids[:_MAX_LISTED]) + (", ..." if len(other_ids) > _MAX_LISTED else "")
        suffix = f" (likewise {listed})" if others else ""
        notify(f"warning: {name}, pellet {ids[first.row]}: {first.message}{suffix}")
    if model is not None:
        from nasicon_ml.workflows.explain import describe_outliers

        for pellet_id, text in describe_outliers(model, own):
            notify(f"warning: {name}, pellet {pellet_id}: {text}")


# ------------------------------------------------------------------------------------- model and files


#: Prefixes of model addresses in MLflow.
_MLFLOW_SCHEMES = ("models:/", "runs:/")


def resolve_model(name: str | None, tracking_uri: str | None) -> tuple[str, PropertyModel | str]:
    """Return the name of a model, and the model itself if it is in MLflow, else its folder.

    `name` is a folder, an address in MLflow, or None for the default model.
    """
    if name is None:
        from nasicon_ml.workflows.predict import default_bundle

        folder = str(default_bundle())
        return folder, folder
    if name.startswith(_MLFLOW_SCHEMES):
        from nasicon_ml.tracking.registry import fetch_bundle

        fetched = fetch_bundle(name, tracking_uri=tracking_uri)
        return fetched.name, fetched.model
    if not Path(name).is_dir():
        raise BundleError(
            f"--model {name}: there is no such folder; MLflow addresses begin with models:/ or runs:/"
        )
    return name, name


def load_model(name: str | None, tracking_uri: str | None) -> tuple[str, PropertyModel]:
    """Return the name of a model and the model, for a `name` as in `resolve_model`."""
    from nasicon_ml.model import PropertyModel
    from nasicon_ml.workflows.predict import loaded_model

    resolved_name, model = resolve_model(name, tracking_uri)
    return resolved_name, model if isinstance(model, PropertyModel) else loaded_model(model)


def check_destinations(values: Mapping[str, Any], sources: Mapping[str, str | None]) -> None:
    """Check the files of ``--output`` and ``--figure``; see `check_destination`."""
    check_destination(values["output"], TABLE_ENDINGS, "--output", sources)
    sources = {**sources, "the file of --output": values["output"]}
    check_destination(values.get("figure"), FIGURE_ENDINGS, "--figure", sources)


def check_destination(
    name: str | None, endings: tuple[str, ...], option: str, sources: Mapping[str, str | None]
) -> None:
    """Raise a usage error if an output file cannot be written, and print a note if it will be replaced.

    `option` is the option that gave the file; `sources` maps descriptions to the input files and folders, which
    must not be overwritten, or to None.
    """
    if name is None:
        return
    path = Path(name)
    if path.suffix.lower() not in endings:
        raise click.UsageError(f"{option} {name}: the name must end in {', '.join(endings)}")
    if not path.parent.is_dir():
        raise click.UsageError(f"{option} {name}: there is no folder {path.parent}; make it first")
    if path.is_dir():
        raise click.UsageError(f"{option} {name}: this is a folder")
    for label, source in sources.items():
        if source is not None and is_same_or_inside(path, Path(source)):
            raise click.UsageError(f"{option} {name}: this is {label}, which would be lost")
    if not os.access(path.parent, os.W_OK):
        raise click.UsageError(f"{option} {name}: nothing may be written into the folder {path.parent}")
    if path.is_file():
        notify(f"note: {option} {name}: the file that is there will be replaced")


def is_same_or_inside(path: Path, source: Path) -> bool:
    """Whether a path is the same file as `source` or lies inside it; symbolic and hard links are followed."""
    try:
        if not source.exists():
            return False
        return path.resolve().is_relative_to(source.resolve()) or (path.exists() and path.samefile(source))
    except (OSError, ValueError, RuntimeError):  # an invalid file name or a circular link
        return False
