"""``nasicon-ml screen``: which of all possible recipes is best."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from nasicon_ml.cli.options import ColumnValue, Function, Number, SectionedCommand, SectionedOption
from nasicon_ml.columns import Column
from nasicon_ml.errors import NasiconError, plain_line

if TYPE_CHECKING:
    from nasicon_ml.screening.local import Estimate
    from nasicon_ml.screening.result import ScreeningResult
    from nasicon_ml.screening.sampling import SampledSpace
    from nasicon_ml.screening.space import SearchSpace

SOUGHT, WORK, ANSWER = "What is looked for", "Work", "Answer"
STOPPED = 130
#: More candidates than this are not looked through unless --yes says so.
MOST_WITHOUT_YES = 10_000_000
#: Options that a resumed screening takes from its state where they are not given again.
_REMEMBERED = (
    "space", "objective", "threshold", "desire", "keep", "at_c", "level", "outside", "unbalanced", "budget",
    "method", "seed", "chunk", "model", "file_format", "scored",
)  # fmt: skip

_EPILOG = """\b
Examples:
  nasicon-ml screen space.yaml --output found
  nasicon-ml screen space.yaml --objective success --threshold 1e-4 --keep 50
  nasicon-ml screen space.yaml --objective desirability --desire conductivity=1e-6:1e-3:2 --desire density=85:98
  nasicon-ml screen space.yaml --budget 1000000 --method sobol --seed 1 --output found
  nasicon-ml screen --resume found

Exit code: 0 done; 2 nothing could be done, and the message says why; 130 stopped with Ctrl-C, what was found
until then is shown and written, and --resume goes on."""


def _option(*names: str, section: str, **settings: Any) -> Callable[[Function], Function]:
    return click.option(*names, cls=SectionedOption, section=section, **settings)


@click.command(cls=SectionedCommand, epilog=_EPILOG)
@click.argument("space", required=False, metavar="[SPACE.yaml]")
@_option("--objective", section=SOUGHT, default="conductivity", show_default=True, metavar="NAME",
         help="conductivity; lower-bound (of its interval); success (probability of exceeding --threshold, times "
              "that of phase purity); desirability (of several properties, --desire).")  # fmt: skip
@_option("--threshold", section=SOUGHT, type=Number(0, 1000), metavar="NUMBER",
         help="Conductivity in S/cm that is to be exceeded, for 'success'.")  # fmt: skip
@_option("--desire", section=SOUGHT, multiple=True, metavar="PROPERTY=WORST:BEST[:WEIGHT]",
         help="What 'desirability' is made of: conductivity, density, purity, sintering-temperature; may be "
              "repeated.  [default: conductivity=1e-6:1e-3, density=80:98, purity=0:1, "
              "sintering-temperature=1200:700]")  # fmt: skip
@_option("--keep", section=SOUGHT, type=int, default=100, show_default=True, metavar="NUMBER",
         help="How many of the best recipes are kept.")  # fmt: skip
@_option("--at", "--at-c", "at_c", section=SOUGHT, type=ColumnValue(Column.MEASUREMENT_TEMPERATURE_C),
         metavar="NUMBER",
         help="Temperature in °C at which the conductivity is wanted.  [default: 25, or what SPACE says]",
)  # fmt: skip
@_option("--level", section=SOUGHT, type=Number(0, 1, percent_hint=True), default=0.9, show_default=True,
         metavar="NUMBER", help="Probability with which the intervals should hold the truth.")  # fmt: skip
@_option("--outside", is_flag=True, section=SOUGHT, help="Also keep recipes outside the known domain.")
@_option("--unbalanced", is_flag=True, section=SOUGHT, help="Also score recipes whose charges do not add up.")
@_option("--budget", section=WORK, type=int, metavar="NUMBER",
         help="Score only so many candidates of the space, drawn from it.")  # fmt: skip
@_option("--method", section=WORK, default="sobol", show_default=True, metavar="NAME",
         help="How they are drawn: sobol (evenly spread) or random.")  # fmt: skip
@_option("--seed", section=WORK, type=int, default=0, show_default=True, metavar="NUMBER", help="Of the draw.")
@_option("--threads", section=WORK, type=int, default=min(8, os.cpu_count() or 1), metavar="NUMBER",
         help="Chunks scored at the same time; the result is the same.  [default: one a processor]")  # fmt: skip
@_option("--chunk", section=WORK, type=int, default=65_536, show_default=True, metavar="NUMBER",
         help="Candidates scored in one call; the result is the same.")  # fmt: skip
@_option("--engine", section=WORK, default="local", show_default=True, metavar="NAME",
         help="Where it is computed: local, or dask (a cluster); the result is the same.")  # fmt: skip
@_option("--scheduler", section=WORK, metavar="ADDRESS",
         help="Of the Dask cluster, such as tcp://host:8786.")  # fmt: skip
@_option("--yes", is_flag=True, section=WORK, help=f"Begin, even with more than {MOST_WITHOUT_YES:,} candidates.")
@_option("--model", section=ANSWER, metavar="MODEL",
         help="Bundle folder, or an MLflow address such as models:/nasicon-recipe@champion."
              "  [default: the model that comes with nasicon-ml]")  # fmt: skip
@_option("--tracking-uri", section=ANSWER, metavar="URI",
         help="MLflow's store, for a --model in MLflow.  [default: MLFLOW_TRACKING_URI, or mlflow.db here]",
)  # fmt: skip
@_option("--output", section=ANSWER, metavar="FOLDER",
         help="New folder for the kept recipes, the front, a summary, figures, and what --resume needs.",
)  # fmt: skip
@_option("--format", "file_format", section=ANSWER, type=click.Choice(["csv", "parquet"]), default="csv",
         show_default=True, help="Format of the kept recipes and the front.")  # fmt: skip
@_option("--scored", is_flag=True, section=ANSWER,
         help="Write every scored recipe, too, as Parquet files in the folder.")  # fmt: skip
@_option("--resume", section=ANSWER, metavar="FOLDER",
         help="Go on with the screening in a folder; its options need not be repeated.")  # fmt: skip
@_option("--json", "as_json", is_flag=True, section=ANSWER, help="Write the summary as JSON to standard output.")
@click.pass_context
def screen(ctx: click.Context, /, **values: Any) -> None:
    """Look through all recipes of a search space for the best ones.

    SPACE.yaml says which compositions and ways of making are possible (docs/search-spaces.md). Size and estimated
    time are told before the work begins.
    """
    _check_usage(ctx, values)
    found = _screened(values)
    names, summary = _written(found, values)
    _show(found, summary, names, values)
    ctx.exit(0 if found.is_complete else STOPPED)


def _check_usage(ctx: click.Context, values: dict[str, Any]) -> None:
    """Refuse options that contradict each other, and fill in what a resumed screening remembers."""
    if values["resume"] is not None:
        if values["output"] is not None:
            raise click.UsageError("--resume names the folder already: leave --output out", ctx)
        _recall(ctx, values)
    if values["space"] is None:
        raise click.UsageError("no search space: give SPACE.yaml, or --resume FOLDER.", ctx)
    if values["scored"] and values["output"] is None and values["resume"] is None:
        raise click.UsageError("--scored needs --output FOLDER to write to", ctx)
    drawn = [name for name in ("method", "seed") if _is_given(ctx, name)]
    if drawn and values["budget"] is None:
        raise click.UsageError(f"--{drawn[0]} says how --budget is drawn, and there is no --budget", ctx)


def _recall(ctx: click.Context, values: dict[str, Any]) -> None:
    """Take from the state what was not given again; what was is compared before anything is scored."""
    from nasicon_ml.screening.resuming import read_state

    note = read_state(Path(values["resume"])).note
    for name in _REMEMBERED:
        if name in note and not _is_given(ctx, name):
            values[name] = note[name]
            # The space itself is in the state: its file may be gone.
            values |= {"stated": note["stated"]} if name == "space" else {}


def _is_given(ctx: click.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source not in {ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP, None}


def _screened(values: dict[str, Any]) -> ScreeningResult:
    """Read everything first, then tell how long it takes, then do it."""
    from nasicon_ml.cli.models import find_model
    from nasicon_ml.cli.screen_asking import effort_of, place_of, question_of, space_of
    from nasicon_ml.cli.screen_progress import followed
    from nasicon_ml.model import PropertyModel
    from nasicon_ml.screening.engine import screen as screen_space
    from nasicon_ml.screening.local import estimate
    from nasicon_ml.screening.scoring import Scorer

    question, effort = question_of(values), effort_of(values)
    space = space_of(values)
    place = place_of(values)
    if place is not None:
        place.check()
    name, model = find_model(values["model"], values["tracking_uri"])
    values["model"] = name
    if not isinstance(model, PropertyModel):
        model = PropertyModel.load(model)
    if place is not None:
        note = {name: values[name] for name in _REMEMBERED} | {"stated": _stated(space)}
        place = replace(place, note=json.loads(json.dumps(note, default=str)))
    say(f"model: {name}, trained {model.metadata.created[:16].replace('T', ' ')} UTC")
    say(space.describe())
    if not space.size:
        raise NasiconError(f"{values['space']}: the constraints leave no candidate")
    at_once = None
    if effort.scheduler is not None:
        from nasicon_ml.screening.cluster import cluster_threads

        at_once = cluster_threads(effort.scheduler)
    expected = estimate(Scorer(space, model, question), effort, space.count().candidates, at_once)
    _tell(expected, yes=values["yes"])
    with followed() as watch:
        return screen_space(space, model, question, effort, place=place, watch=watch)


def _stated(space: SearchSpace | SampledSpace) -> Any:
    from nasicon_ml.screening.sampling import SampledSpace

    return (space.space if isinstance(space, SampledSpace) else space).stated


def _tell(expected: Estimate, *, yes: bool) -> None:
    """Say how long it takes, and ask before it takes long."""
    from nasicon_ml.cli.screen_words import duration

    say(
        f"{expected.candidates:,} to score at {expected.per_second:,.0f} a second and thread, {expected.at_once} "
        f"{'thread' if expected.at_once == 1 else 'threads'}: about {duration(expected.seconds)}"
    )
    if expected.candidates > MOST_WITHOUT_YES and not yes:
        raise click.UsageError(
            f"that is more than {MOST_WITHOUT_YES:,} candidates: --yes begins nevertheless, --budget NUMBER draws "
            "some of them, larger steps in SPACE.yaml make fewer"
        )


def _written(found: ScreeningResult, values: dict[str, Any]) -> tuple[list[Path], dict[str, Any]]:
    """Name the files, draw the figures if there is a folder, and give the summary."""
    summary = found.to_json()
    summary["model"] = {"name": values["model"]} | summary["model"]
    folder = values["output"] or values["resume"]
    if folder is None:
        return [], summary
    from nasicon_ml.cli.screen_figures import draw

    ending = values["file_format"]
    names = [Path(folder) / name for name in (f"kept.{ending}", f"front.{ending}", "summary.json")]
    figures, problem = draw(found, Path(folder))
    if problem:
        say(f"warning: {problem}")
    names += figures
    names += [Path(folder) / "scored"] if values["scored"] else []
    return names, summary | {"files": [str(name) for name in names]}


def _show(found: ScreeningResult, summary: dict[str, Any], names: list[Path], values: dict[str, Any]) -> None:
    from nasicon_ml.cli.screen_words import summary_text

    if values["as_json"]:
        click.echo(json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        click.echo(summary_text(found))
    if names:
        say(f"written: {', '.join(str(name) for name in names)}")
    if not found.is_complete:
        folder = values["output"] or values["resume"]
        on = f"; go on with: nasicon-ml screen --resume {folder}" if folder else ""
        done = found.tally.counts.positions
        say(f"stopped: this is a partial result, of {done:,} of {found.space.size:,} candidates{on}")


def say(message: str) -> None:
    """Write a line of what is to be said about the work to standard error."""
    click.echo("\n".join(plain_line(line) for line in message.split("\n")), err=True)
