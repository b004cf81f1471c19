"""What a command is given: options named after the vocabulary, files of recipes, the model, places to write to.

When Tab is pressed the shell asks click (docs/cli.md says how it is told to), which asks `complete` for values.
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

from nasicon_ml.cli.render import say
from nasicon_ml.columns import MODEL_INPUT, RECIPE, Column, Kind, Role, to_number
from nasicon_ml.errors import BundleError, FieldError, UnreadableFileError, number_hint

if TYPE_CHECKING:
    import pandas as pd

    from nasicon_ml.checks import Finding
    from nasicon_ml.io import RawTable
    from nasicon_ml.model import PropertyModel
    from nasicon_ml.recipe.combinations import Varied


Function = TypeVar("Function", bound=Callable[..., Any])

ANSWER = "Answer"
#: Endings of the names of files to which results are written.
TABLE_ENDINGS = (".csv", ".json", ".parquet", ".pq")
FIGURE_ENDINGS = (".png", ".pdf", ".svg")
COMPOSITION = "Composition"
PROCESSING = "Processing (what you leave out is unknown to the model, and widens the intervals)"
PREPARATION = "Preparation (need not be known)"
_OTHER = "Other"
#: Warnings about own pellets that are listed.
_LISTED = 10
_SECTIONS = {Role.COMPOSITION: COMPOSITION, Role.PROCESSING: PROCESSING, Role.PREPARATION: PREPARATION}
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


class SectionedOption(click.Option):
    """An option that knows under which heading of the help it stands."""

    def __init__(self, *args: Any, section: str = _OTHER, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section


class SectionedCommand(click.Command):
    """A command whose help groups its options under headings, in the order of their first options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments; one too many is mostly a value with a space that stands without quotes."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            if not error.message.startswith("Got unexpected extra argument"):
                raise
            cure = '. A value with spaces needs quotation marks: --formula "LATP x=0.3"'
            raise click.UsageError(error.message + cure, ctx) from None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, section by section."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                sections.setdefault(getattr(parameter, "section", _OTHER), []).append(record)
        for heading, records in sorted(sections.items(), key=lambda section: section[0] == _OTHER):
            with formatter.section(heading):
                formatter.write_dl(records)


def option(*names: str, section: str, **settings: Any) -> Callable[[Function], Function]:
    """Add an option that stands under a heading of the help."""
    return click.option(*names, cls=SectionedOption, section=section, shell_complete=complete, **settings)


class ColumnValue(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.3 on only
    """The value of a column, read by the same rules as a cell of a table."""

    def __init__(self, column: Column) -> None:
        self.column = column
        self.name = "number" if column.kind is Kind.NUMBER else "text"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | str | bool | None:
        """Read the value, or fail with what is allowed and the nearest spelling."""
        try:
            return self.column.parse(value)
        except FieldError as error:
            return self.fail(refusal(error), param, ctx)

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Offer the choices of the column, if it has any."""
        return starting(self.column.choices, incomplete)


class ColumnValues(ColumnValue):
    """One value of a column, or a tuple of several: ``850``; ``800,850``; ``750:1050:25``."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the values, or fail with what is allowed."""
        if self.column.kind is Kind.TEXT and self.column is not Column.ADDITIVE:
            return super().convert(value, param, ctx)
        return one_or_several(self, str(value), self.column.parse, param, ctx)


def one_or_several(
    reader: click.ParamType,  # type: ignore[type-arg]
    text: str,
    read: Callable[[str], Any],
    param: click.Parameter | None,
    ctx: click.Context | None,
) -> Any:
    """Return the value in a text, or a tuple of several; fail with what is allowed."""
    from nasicon_ml.recipe.combinations import read_values

    try:
        values = read_values(text, read)
    except FieldError as error:
        return reader.fail(refusal(error), param, ctx)
    return values[0] if len(values) == 1 else tuple(values)


class Number(click.ParamType):  # type: ignore[type-arg]
    """A number between two limits, with a message that knows decimal commas and percentages."""

    name = "number"

    def __init__(self, minimum: float, maximum: float, *, percent_hint: bool = False) -> None:
        self.minimum, self.maximum = minimum, maximum
        self.percent_hint = percent_hint

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read the value, or fail with what is allowed."""
        allowed = f"a number between {self.minimum:g} and {self.maximum:g}"
        try:
            number = to_number(str(value))
        except ValueError:
            return self.fail(refusal(FieldError("", value, allowed, number_hint(str(value)))), param, ctx)
        if not self.minimum < number < self.maximum:
            is_percent = self.percent_hint and 1 < number < 100
            hint = f"{number:g} % is written {number / 100:g}." if is_percent else ""
            return self.fail(refusal(FieldError("", value, allowed, hint)), param, ctx)
        return number


class Numbers(Number):
    """One number or several, as `ColumnValues`."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the numbers, or fail with what is allowed."""
        read = super().convert
        return one_or_several(self, str(value), lambda text: read(text, param, ctx), param, ctx)


class Whole(click.IntRange):
    """A whole number within limits, in plain digits; Python alone would read ``1_5`` as fifteen."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the value, or fail with what is allowed."""
        if isinstance(value, str) and not re.fullmatch(r"\s*[+-]?[0-9]+\s*", value):
            return self.fail(refusal(FieldError("", value, "a whole number", number_hint(value))), param, ctx)
        return super().convert(value, param, ctx)  # type: ignore[arg-type]  # click: object before 8.3


def refusal(error: FieldError) -> str:
    """Return the message of a field error without the field, which the option's name stands for."""
    return error.message.removeprefix(f"{error.field}: ")


def read_substitutes(
    ctx: click.Context, param: click.Parameter, pairs: Iterable[str]
) -> dict[str, tuple[str, ...]]:
    """Read ``M=Sc`` or ``M=Sc,Y``: the place holder and the elements it stands for."""
    read: dict[str, tuple[str, ...]] = {}
    for pair in pairs:
        match = re.fullmatch(r"\s*([A-Za-z]+)\s*=\s*([A-Za-z]+(?:\s*,\s*[A-Za-z]+)*)\s*", pair)
        if match is None:
            allowed = "a place holder, an equals sign and an element, such as M=Sc, or several: M=Al,Sc,Y"
            raise click.BadParameter(refusal(FieldError("", pair, allowed)), ctx, param)
        if match[1] in read:
            raise click.BadParameter(f"{match[1]!r} is given twice; several elements: {match[1]}=Sc,Y", ctx, param)
        read[match[1]] = tuple(element.strip() for element in match[2].split(","))
    return read


def together(*options: Callable[[Any], Any]) -> Callable[[Function], Function]:
    """Return a decorator that adds several options, in the order in which the help lists them."""

    def add(function: Function) -> Function:
        for one in reversed(options):
            function = one(function)
        return function

    return add


composition_options = together(
    option(Column.FORMULA.option, Column.FORMULA.value, section=COMPOSITION, metavar="TEXT", multiple=True,
           help="Formula: Li1.4Al0.4Ti1.6(PO4)3, 'Li1+xAlxTi2-x(PO4)3' with --x, or"
           " 'LATP x=0.4 + 2 wt% Al2O3'; may be repeated."),
    option("--system", Column.SYSTEM.value, section=COMPOSITION, metavar="TEXT",
           help="Instead of a formula: LATP, LAGP, LATGP, LTP, NZSP, ...; most need --x."),
    option("--x", section=COMPOSITION, type=Numbers(-10, 10), metavar="NUMBER",
           help="Substitution x of the system or of a formula with x."),
    option("--substitute", section=COMPOSITION, multiple=True, callback=read_substitutes, metavar="M=ELEMENT",
           help="Element for a place holder in the formula, or several: M=Al,Sc,Y; may be repeated."),
)  # fmt: skip


def described(values: Mapping[str, Any]) -> list[str]:
    """Return which of the options that describe recipes are given, by name."""
    names = [column.value for column in RECIPE] + [Column.SYSTEM.value, "x", "substitute"]
    return [name for name in names if values[name] not in (None, (), {})]


def recipes_from_options(values: Mapping[str, Any]) -> Inputs:
    """Return the recipes that the options of `composition_options` and `recipe_options` describe."""
    formula, system = values[Column.FORMULA], values[Column.SYSTEM]
    if not formula and system is None:
        raise click.UsageError("no recipe: give --formula, --system with --x, or a FILE of recipes.")
    if formula and system is not None:
        raise click.UsageError("--formula and --system are two ways to say the same: give one of them.")
    fields = {column.value: values[column] for column in RECIPE if column is not Column.FORMULA}
    return recipe_from_options(formula or system, values["x"], values["substitute"], fields)


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
recipe_options = together(
    *(
        option(
            column.option, column.value, section=_SECTIONS[column.role], type=ColumnValues(column),
            metavar="NUMBER" if column.kind is Kind.NUMBER else "TEXT", help=_help(column),
        )
        for column in RECIPE
        if column is not Column.FORMULA
    )
)  # fmt: skip

#: Of a FILE of recipes.
file_options = together(
    option("--format", "file_format", section=ANSWER, metavar="FORMAT",
           type=click.Choice(["csv", "json", "yaml", "parquet", "workbook"]),
           help="csv, json, yaml, parquet or workbook, where the name of FILE does not say it."),
    option("--sheet", section=ANSWER, metavar="NAME",
           help="Sheet of FILE, where it is a workbook: name or number.  [default: the first]"),
)  # fmt: skip


def level_option(section: str) -> Callable[[Function], Function]:
    """Add ``--level``, the level of the intervals."""
    return option(
        "--level", section=section, type=Number(0, 1, percent_hint=True), default=0.9, show_default=True,
        metavar="NUMBER", help="Probability with which the intervals should hold the truth.",
    )  # fmt: skip


def _check_own(ctx: click.Context, param: click.Parameter, name: str | None) -> str | None:
    if name == "-":
        raise click.BadParameter("give the name of a file; standard input is for recipes", ctx, param)
    return name


#: What `own_from_file` takes.
own_options = together(
    option("--own", section=ANSWER, metavar="FILE", callback=_check_own,
           help="Your own measured pellets, a workbook or any other table (formula and one result suffice): they"
           " move the answers and intervals. Nothing of them is kept or sent."),
    option("--own-sheet", section=ANSWER, metavar="NAME",
           help="Sheet of --own, where it is a workbook: name or number.  [default: the first]"),
    option("--strict", is_flag=True, section=ANSWER,
           help="Refuse tables with columns that are not known, instead of leaving these out."),
)  # fmt: skip

#: What `find_model` takes.
model_options = together(
    option("--model", section=ANSWER, metavar="MODEL",
           help="Bundle folder, or an MLflow address such as models:/nasicon-recipe@champion."
           "  [default: the model that comes with nasicon-ml]"),
    option("--tracking-uri", section=ANSWER, metavar="URI",
           help="MLflow's store, for a --model in MLflow.  [default: MLFLOW_TRACKING_URI, or mlflow.db here]"),
)  # fmt: skip

answer_options = together(
    option("--at", "at_c", section=ANSWER, type=ColumnValue(Column.MEASUREMENT_TEMPERATURE_C), metavar="NUMBER",
           help="Temperature in °C at which the conductivity is wanted.  [default: 25, or what FILE says]"),
    level_option(ANSWER),
    own_options,
    model_options,
)  # fmt: skip


# --------------------------------------------------------------------------------------------- recipes


@dataclass(frozen=True)
class Inputs:
    """Recipes that can be worked on, and what is wrong with the others."""

    #: The good recipes, columns `nasicon_ml.columns.MODEL_INPUT`, n rows.
    table: pd.DataFrame
    #: Which recipe of the input each row is, counted from 1; length n.
    numbers: tuple[int, ...]
    #: The line of the file where each one stands, None where the format has no lines; length n.
    lines: tuple[int | None, ...]
    #: The ids the input gives its recipes; None if it gives none.
    pellet_ids: tuple[str | None, ...] | None
    #: What is wrong with the bad rows.
    findings: tuple[Finding, ...] = ()
    #: What is doubtful about the good ones.
    warnings: tuple[Finding, ...] = ()
    #: What messages call the input; empty for options.
    name: str = ""
    #: What takes several values among recipes given by options.
    varied: tuple[Varied, ...] = ()

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def bad_rows(self) -> int:
        """How many rows are left out."""
        return len({finding.row for finding in self.findings})

    def parts(self, size: int) -> Iterator[Inputs]:
        """Yield the recipes in parts of so many, without findings and warnings."""
        for start in range(0, len(self), size):
            rows = slice(start, start + size)
            ids = None if self.pellet_ids is None else self.pellet_ids[rows]
            yield Inputs(self.table.iloc[rows], self.numbers[rows], self.lines[rows], ids)

    def place(self, finding: Finding) -> str:
        """Return where a finding stands: the file, and the line or the number of the recipe."""
        if not self.name:
            return f"recipe {finding.row + 1}" if self.varied else "this recipe"
        if finding.line is not None:
            return f"{self.name}, line {finding.line}"
        return f"{self.name}, recipe {finding.row + 1}"


def recipes_from_file(
    path: str, file_format: str | None, sheet: str | None = None, *, strict: bool = False
) -> Inputs:
    """Read a file of recipes."""
    from nasicon_ml.io import read_table, understand
    from nasicon_ml.recipe import read_batch

    raw = read_table(path, file_format=file_format, sheet=sheet)
    raw = understand(raw, (*MODEL_INPUT, Column.PELLET_ID), strict=strict)
    say_notes(raw)
    try:
        batch = read_batch(raw)
    except FieldError as error:  # about a column, so about the whole file
        raise UnreadableFileError(f"{raw.name}: {error}") from None
    keys, unfit = _pellet_ids(raw)
    kept = [place for place, row in enumerate(batch.rows.tolist()) if row not in unfit]
    positions = batch.rows[kept].tolist()
    lines = (None,) * len(kept) if batch.lines is None else tuple(batch.lines[kept].tolist())
    findings = sorted((*batch.findings, *unfit.values()), key=lambda finding: finding.row)
    return Inputs(
        batch.table.iloc[kept].reset_index(drop=True) if unfit else batch.table,
        tuple(position + 1 for position in positions),
        lines,
        None if keys is None else tuple(keys[row] for row in positions),
        tuple(findings),
        tuple(finding for finding in batch.warnings if finding.row not in unfit),
        raw.name,
    )


def _pellet_ids(raw: RawTable) -> tuple[list[str | None] | None, dict[int, Finding]]:
    """Read what a file calls its recipes, if it does, and find names that can be neither shown nor written."""
    from nasicon_ml.checks import Finding, Severity

    column = Column.PELLET_ID
    if column not in raw.frame.columns:
        return None, {}
    keys: list[str | None] = []
    unfit: dict[int, Finding] = {}
    for row, cell in enumerate(raw.frame[column].tolist()):
        try:
            # Numbers, too, may name recipes.
            keys.append(column.parse(str(cell) if isinstance(cell, numbers.Real) else cell))  # type: ignore[arg-type]
        except FieldError as error:
            keys.append(None)
            line = None if raw.lines is None else int(raw.lines[row])
            unfit[row] = Finding(row, column.value, cell, "bad_key", Severity.ERROR, error.message, line)
    return keys, unfit


def say_notes(raw: RawTable) -> None:
    """Say how a file was understood."""
    for note in raw.notes:
        say(f"note: {raw.name}: {note}")


def recipe_from_options(
    formula: str | Iterable[str], x: Any, substitute: Mapping[str, Any], fields: Mapping[str, Any]
) -> Inputs:
    """Return the recipe given by options, or every combination of their values; say which there are.

    Of the formula (or system), x and the elements of place holders there may be several; `fields` are all others
    of the recipe by column name, None where not given, a tuple of several values.
    """
    from nasicon_ml.recipe import recipe_table, recipe_warnings
    from nasicon_ml.recipe.combinations import X, combinations

    given = {X: x, **substitute, **fields}
    found = combinations(formula, {name: value for name, value in given.items() if value is not None})
    table = recipe_table(found.recipes)
    count = len(found.recipes)
    if found.varied:
        say(f"{count} recipes: {' x '.join(map(str, found.varied))}")
    # That charges do not add up stands in the answer to one recipe.
    warnings = tuple(recipe_warnings(table))
    return Inputs(table, (*range(1, count + 1),), (None,) * count, None, warnings=warnings, varied=found.varied)


def own_from_file(values: Mapping[str, Any]) -> pd.DataFrame | None:
    """Read the own pellets that the options of a command name, if they name any."""
    from nasicon_ml.data.own_pellets import own_pellets

    if values["own"] is None:
        return None
    return own_pellets(values["own"], sheet=values["own_sheet"], strict=values["strict"])


def say_of_own(name: str, own: pd.DataFrame, reference: pd.DataFrame, model: PropertyModel | None = None) -> None:
    """Warn of own pellets whose numbers look like others, are unlike all that was measured, or unlike each other.

    They are held against the pellets `reference`, and against what a model expects of each from the others.
    """
    from nasicon_ml.checks import by_cause
    from nasicon_ml.data.validate import unusual_findings
    from nasicon_ml.recipe import recipe_warnings

    both = [*recipe_warnings(own), *unusual_findings(own, reference)]
    found = list({(finding.row, finding.column, finding.rule): finding for finding in both}.values())
    ids = own[Column.PELLET_ID].tolist()
    for same in by_cause(found):
        others = [str(ids[finding.row]) for finding in same[1:]]
        more = (
            f" (likewise {', '.join(others[:_LISTED])}{', ...' if len(others) > _LISTED else ''})"
            if others
            else ""
        )
        say(f"warning: {name}, pellet {ids[same[0].row]}: {same[0].message}{more}")
    if model is not None:
        from nasicon_ml.workflows.explain import describe_outliers

        for key, words in describe_outliers(model, own):
            say(f"warning: {name}, pellet {key}: {words}")


# ------------------------------------------------------------------------------------- model and files


#: Where a name is an address in MLflow and not a folder.
_MLFLOW_SCHEMES = ("models:/", "runs:/")


def find_model(name: str | None, tracking_uri: str | None) -> tuple[str, PropertyModel | str]:
    """Return what a model is called, and the model from MLflow or the name of its folder.

    A name is a folder, an address in MLflow, or None for the default model.
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


def check_destinations(
    values: Mapping[str, Any], sources: Mapping[str, str | None], figure: str = "figure"
) -> None:
    """Refuse, before the work, files of ``--output`` and of the option `figure`, as `check_destination` does."""
    check_destination(values["output"], TABLE_ENDINGS, "--output", sources)
    more = {"the file of --output": values["output"]}
    check_destination(values.get(figure), FIGURE_ENDINGS, f"--{figure}", {**sources, **more})


def check_destination(
    name: str | None, endings: tuple[str, ...], option: str, sources: Mapping[str, str | None]
) -> None:
    """Refuse, before the work, a file to which its result cannot be written; say if one is replaced.

    `option` named it; `sources` are the files and folders that are read, by what they are called (None: nothing).
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
        if source is not None and is_part_of(path, Path(source)):
            raise click.UsageError(f"{option} {name}: this is {label}, which would be lost")
    if not os.access(path.parent, os.W_OK):
        raise click.UsageError(f"{option} {name}: nothing may be written into the folder {path.parent}")
    if path.is_file():
        say(f"note: {option} {name}: the file that is there will be replaced")


def is_part_of(path: Path, source: Path) -> bool:
    """Whether a path is a file, or lies in a folder; links are followed, also those that are hard."""
    try:
        if not source.exists():
            return False
        return path.resolve().is_relative_to(source.resolve()) or (path.exists() and path.samefile(source))
    except (OSError, ValueError, RuntimeError):  # no name of a file, or links that lead in a circle
        return False
