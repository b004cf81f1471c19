"""Options made from the vocabulary, and a help text in sections."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from nasicon_ml.columns import RECIPE, Column, Kind, Role
from nasicon_ml.errors import FieldError

Function = TypeVar("Function", bound=Callable[..., Any])

COMPOSITION = "Composition"
PROCESSING = "Processing (what you leave out is unknown to the model, and widens the intervals)"
_OTHER = "Other"
_SECTIONS = {Role.COMPOSITION: COMPOSITION, Role.PROCESSING: PROCESSING}


class SectionedOption(click.Option):
    """An option that knows under which heading of the help it stands."""

    def __init__(self, *args: Any, section: str = _OTHER, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section


class SectionedCommand(click.Command):
    """A command whose help groups its options under headings, in the order of their first options."""

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
            number = float(str(value))
        except ValueError:
            hint = "Write decimals with a point." if re.fullmatch(r"\s*-?\d+,\d+\s*", str(value)) else ""
            return self.fail(refusal(FieldError("", value, allowed, hint)), param, ctx)
        if not self.minimum < number < self.maximum:
            is_percent = self.percent_hint and 1 < number < 100
            hint = f"{number:g} % is written {number / 100:g}." if is_percent else ""
            return self.fail(refusal(FieldError("", value, allowed, hint)), param, ctx)
        return number


def refusal(error: FieldError) -> str:
    """Give the message of a field error without the field, which the option's name stands for."""
    return error.message.removeprefix(f"{error.field}: ")


def read_substitutes(ctx: click.Context, param: click.Parameter, pairs: Iterable[str]) -> dict[str, str]:
    """Read ``M=Sc`` pairs: the place holder and the element it stands for."""
    read: dict[str, str] = {}
    for pair in pairs:
        match = re.fullmatch(r"\s*([A-Za-z]+)\s*=\s*([A-Za-z]+)\s*", pair)
        if match is None:
            allowed = "a place holder, an equals sign and an element, such as M=Sc"
            raise click.BadParameter(refusal(FieldError("", pair, allowed)), ctx, param)
        if match[1] in read:
            raise click.BadParameter(f"{match[1]!r} is given twice", ctx, param)
        read[match[1]] = match[2]
    return read


def recipe_options(function: Function) -> Function:
    """Add one option for each column of a recipe, in the vocabulary's order; the formula is not among them."""
    for column in reversed([column for column in RECIPE if column is not Column.FORMULA]):
        function = click.option(
            column.option,
            column.value,
            cls=SectionedOption,
            section=_SECTIONS[column.role],
            type=ColumnValue(column),
            metavar="NUMBER" if column.kind is Kind.NUMBER else "TEXT",
            help=_help(column),
        )(function)
    return function


def _help(column: Column) -> str:
    text = column.label[0].upper() + column.label[1:]
    if column.kind is Kind.NUMBER:
        unit = f" in {column.unit}" if column.unit else ""
        return f"{text}{unit}, {column.minimum:g} to {column.maximum:g}."
    if column.choices:
        return f"{text}: {', '.join(column.choices)}."
    return f"{text}."
