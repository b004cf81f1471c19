"""``nasicon-ml screen``: which of all possible recipes is best."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from nasicon_ml.cli.formatting import duration, model_line, plural, scientific
from nasicon_ml.cli.inputs import (
    ANSWER,
    ColumnValue,
    Number,
    SectionedCommand,
    Whole,
    complete,
    find_model,
    is_part_of,
    level_option,
    model_options,
    option,
    own_from_file,
    own_options,
    say_of_own,
)
from nasicon_ml.cli.render import progress, say, screening_report
from nasicon_ml.columns import Column, to_number
from nasicon_ml.errors import DatasetError, FieldError, MissingExtraError, NasiconError
from nasicon_ml.processors import usable_processors
from nasicon_ml.signals import first_ctrl_c

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from nasicon_ml.screening.engine import Estimate, Progress
    from nasicon_ml.screening.objectives import Question, Wish
    from nasicon_ml.screening.result import OutputFolder, ScreeningResult
    from nasicon_ml.screening.space import SampledSpace, SearchSpace

SOUGHT, WORK = "What is looked for", "Work"
STOPPED = 130
#: More candidates than this are not looked through unless --yes says so.
MOST_WITHOUT_YES = 10_000_000
MAP, FRONT = "map.png", "front.png"
#: Threads do for what takes no longer than this, in seconds: processes have to be started first.
WORTH_PROCESSES_S = 3.0
#: Lines about the progress are written no more often than this, in seconds.
_EVERY_S = 10.0
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
  nasicon-ml screen space.yaml --own my_pellets.xlsx
  nasicon-ml screen --resume found

Exit code: 0 done; 2 nothing could be done, and the message says why; 130 stopped with Ctrl-C, what was found
until then is shown and written, and --resume goes on."""


@click.command(cls=SectionedCommand, epilog=_EPILOG)
@click.argument("space", required=False, metavar="[SPACE.yaml]", shell_complete=complete)
@option("--objective", section=SOUGHT, default="conductivity", show_default=True, metavar="NAME",
         help="conductivity; lower-bound (of its interval); success (probability of exceeding --threshold, times "
              "that of phase purity); desirability (of several properties, --desire).")  # fmt: skip
@option("--threshold", section=SOUGHT, type=Number(0, 1000), metavar="NUMBER",
         help="Conductivity in S/cm that is to be exceeded, for 'success'.")  # fmt: skip
@option("--desire", section=SOUGHT, multiple=True, metavar="PROPERTY=WORST:BEST[:WEIGHT]",
         help="What 'desirability' is made of: conductivity, density, purity, sintering-temperature; may be "
              "repeated.  [default: conductivity=1e-6:1e-3, density=80:98, purity=0:1, "
              "sintering-temperature=1200:700]")  # fmt: skip
@option("--keep", section=SOUGHT, type=Whole(), default=100, show_default=True, metavar="NUMBER",
         help="How many of the best recipes are kept.")  # fmt: skip
@option("--at", "--at-c", "at_c", section=SOUGHT, type=ColumnValue(Column.MEASUREMENT_TEMPERATURE_C),
         metavar="NUMBER",
         help="Temperature in °C at which the conductivity is wanted.  [default: 25, or what SPACE says]",
)  # fmt: skip
@level_option(SOUGHT)
@option("--outside", is_flag=True, section=SOUGHT, help="Also keep recipes outside the known domain.")
@option("--unbalanced", is_flag=True, section=SOUGHT, help="Also score recipes whose charges do not add up.")
@option("--budget", section=WORK, type=Whole(), metavar="NUMBER",
         help="Score only so many candidates of the space, drawn from it.")  # fmt: skip
@option("--method", section=WORK, default="sobol", show_default=True, metavar="NAME",
         help="How they are drawn: sobol (evenly spread) or random.")  # fmt: skip
@option("--seed", section=WORK, type=Whole(), default=0, show_default=True, metavar="NUMBER", help="Of the draw.")
@option("--threads", section=WORK, type=Whole(), default=min(8, usable_processors()), metavar="NUMBER",
         help="Chunks scored at the same time, by threads or processes; the result is the same.  [default: one a "
              "processor]")  # fmt: skip
@option("--chunk", section=WORK, type=Whole(), metavar="NUMBER",
         help="Candidates scored in one call; the result is the same.  [default: 65536, with --budget 16384]",
)  # fmt: skip
@option("--engine", section=WORK, metavar="NAME",
         help="What computes it: local (threads), processes (of this machine), or dask (a cluster); the result is "
              f"the same.  [default: local, or processes for what takes longer than {WORTH_PROCESSES_S:g} s]",
)  # fmt: skip
@option("--scheduler", section=WORK, metavar="ADDRESS",
         help="Of the Dask cluster, such as tcp://host:8786.")  # fmt: skip
@option("--yes", is_flag=True, section=WORK, help=f"Begin, even with more than {MOST_WITHOUT_YES:,} candidates.")
@own_options
@model_options
@option("--output", section=ANSWER, metavar="FOLDER",
         help="New folder for the kept recipes, the front, a summary, figures, and what --resume needs.",
)  # fmt: skip
@option("--format", "file_format", section=ANSWER, type=click.Choice(["csv", "parquet"]), default="csv",
         show_default=True, help="Format of the kept recipes and the front.")  # fmt: skip
@option("--scored", is_flag=True, section=ANSWER,
         help="Write every scored recipe, too, as Parquet files in the folder.")  # fmt: skip
@option("--resume", section=ANSWER, metavar="FOLDER",
         help="Go on with the screening in a folder; its options need not be repeated.")  # fmt: skip
@option("--json", "as_json", is_flag=True, section=ANSWER, help="Write the summary as JSON to standard output.")
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
    if values["own"] is not None and values["engine"] == "dask":
        raise click.UsageError("--own: own pellets stay on this machine; leave --engine dask out", ctx)
    drawn = [name for name in ("method", "seed") if _is_given(ctx, name)]
    if drawn and values["budget"] is None:
        raise click.UsageError(f"--{drawn[0]} says how --budget is drawn, and there is no --budget", ctx)


def _recall(ctx: click.Context, values: dict[str, Any]) -> None:
    """Fill in from the state what was not given again; what was given is compared before anything is scored."""
    from nasicon_ml.screening.result import read_state

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
    """Read everything, say how long it takes, then screen."""
    from nasicon_ml.model import OwnModel, PropertyModel
    from nasicon_ml.screening.engine import estimate
    from nasicon_ml.screening.engine import screen as screen_space
    from nasicon_ml.screening.scoring import Effort, Scorer

    question = _question_of(values)
    effort = Effort(values["threads"], values["chunk"], values["engine"] or "local", values["scheduler"])
    space = _space_of(values)
    output = _output_of(values)
    if output is not None:
        output.check()
    name, model = find_model(values["model"], values["tracking_uri"])
    if output is not None and is_part_of(output.folder, Path(name)):
        raise click.UsageError(
            f"--output {output.folder}: this is within the model's folder, which holds its files alone"
        )
    values["model"] = name
    if not isinstance(model, PropertyModel):
        model = PropertyModel.load(model)
    own = own_from_file(values)
    if own is not None:
        say_of_own(values["own"], own, model.pellets, model)
        model = OwnModel.of(model, own)
    if output is not None:
        note = {name: values[name] for name in _REMEMBERED} | {"stated": _stated(space)}
        output = replace(output, note=json.loads(json.dumps(note, default=str)))
    say(model_line(name, model.metadata))
    say(space.describe())
    if not space.size:
        raise NasiconError(f"{values['space']}: the constraints leave no candidate")
    at_once = None
    if effort.scheduler is not None:
        from nasicon_ml.screening.cluster import cluster_threads

        at_once = cluster_threads(effort.scheduler)
    expected = estimate(Scorer(space, model, question), effort, space.count().candidates, at_once)
    if values["engine"] is None and expected.at_once > 1 and expected.seconds > WORTH_PROCESSES_S:
        effort = replace(effort, engine="processes")
    _tell(expected, effort.engine, yes=values["yes"])
    with first_ctrl_c(_say_stopping) as stop, _shown() as show:
        return screen_space(space, model, question, effort, output=output, progress=show, stop=stop)


def _stated(space: SearchSpace | SampledSpace) -> Any:
    from nasicon_ml.screening.space import SampledSpace

    return (space.space if isinstance(space, SampledSpace) else space).stated


def _tell(expected: Estimate, engine: str, *, yes: bool) -> None:
    """Print how long it takes, and refuse what takes long unless ``--yes`` is given."""
    worker = "process" if engine == "processes" else "thread"
    say(
        f"{expected.candidates:,} to score at {expected.per_second:,.0f} a second and {worker}, "
        f"{plural(expected.at_once, worker)}: about {duration(expected.seconds)}"
    )
    if expected.candidates > MOST_WITHOUT_YES and not yes:
        raise click.UsageError(
            f"that is more than {MOST_WITHOUT_YES:,} candidates: --yes begins nevertheless, --budget NUMBER draws "
            "some of them, larger steps in SPACE.yaml make fewer"
        )


def _written(found: ScreeningResult, values: dict[str, Any]) -> tuple[list[Path], dict[str, Any]]:
    """Draw the figures if there is a folder; return the names of the files, and the summary."""
    summary = found.to_json()
    summary["model"] = {"name": values["model"]} | summary["model"]
    folder = values["resume"] if values["output"] is None else values["output"]
    if folder is None:
        return [], summary
    ending = values["file_format"]
    names = [Path(folder) / name for name in (f"kept.{ending}", f"front.{ending}", "summary.json")]
    try:
        names += _draw(found, Path(folder))
    except MissingExtraError as error:
        say(f"warning: no figures: {error}")
    names += [Path(folder) / "scored"] if values["scored"] else []
    return names, summary | {"files": [str(name) for name in names]}


def _show(found: ScreeningResult, summary: dict[str, Any], names: list[Path], values: dict[str, Any]) -> None:
    if values["as_json"]:
        click.echo(json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        click.echo(screening_report(found))
    if names:
        say(f"written: {', '.join(str(name) for name in names)}")
    if not found.is_complete:
        folder = values["resume"] if values["output"] is None else values["output"]
        on = f"; go on with: nasicon-ml screen --resume {folder}" if folder else ""
        done = found.aggregate.counts.positions
        say(f"stopped: this is a partial result, of {done:,} of {found.space.size:,} candidates{on}")


# --------------------------------------------------------------------------------------------- inputs


def _question_of(values: dict[str, Any]) -> Question:
    """Return what is looked for."""
    from nasicon_ml.screening.objectives import Question, objective_named

    objective = objective_named(
        values["objective"], threshold_s_cm=values["threshold"], wishes=read_wishes(values["desire"])
    )
    return Question(
        objective,
        values["keep"],
        values["level"],
        values["at_c"],
        inside_only=not values["outside"],
        balanced_only=not values["unbalanced"],
    )


def _space_of(values: dict[str, Any]) -> SearchSpace | SampledSpace:
    """Read the space, and draw from it if a budget is given."""
    from nasicon_ml.screening.space import SearchSpace

    stated = values.get("stated")
    space = SearchSpace.from_yaml(values["space"]) if stated is None else SearchSpace.from_dict(stated)
    if values["budget"] is None:
        return space
    return space.sample(values["budget"], values["method"], values["seed"])


def _output_of(values: dict[str, Any]) -> OutputFolder | None:
    """Return where the result goes to."""
    from nasicon_ml.screening.result import OutputFolder

    folder = values["resume"] if values["output"] is None else values["output"]
    if folder is None:
        return None
    resume = values["resume"] is not None
    return OutputFolder(Path(folder), resume=resume, scored=values["scored"], file_format=values["file_format"])


def read_wishes(texts: Iterable[str]) -> dict[str, Wish]:
    """Read ``density=85:98:2``: property, worst and best value, and weight."""
    from nasicon_ml.screening.objectives import Wish

    wishes: dict[str, Wish] = {}
    for text in texts:
        name, _, numbers = text.partition("=")
        name = name.strip().replace("_", "-")
        try:
            read = [to_number(number) for number in numbers.split(":")]
        except ValueError:
            read = []
        if len(read) not in {2, 3}:
            raise FieldError(
                "--desire", text, "PROPERTY=WORST:BEST or PROPERTY=WORST:BEST:WEIGHT, as density=85:98:2"
            )
        if name in wishes:
            raise FieldError("--desire", text, "each property once")
        wishes[name] = Wish(*read)
    return wishes


# ------------------------------------------------------------------------------------------- progress


def _say_stopping() -> None:
    click.echo("stopping after the chunks in work (Ctrl-C again: at once)", err=True)


@contextmanager
def _shown() -> Iterator[Callable[[Progress], None]]:
    if not sys.stderr.isatty():
        yield _Lines()
        return
    with progress("screening") as step:
        yield lambda at: step(_state(at), at.done / at.size)


class _Lines:
    """Writes a line now and then."""

    def __init__(self) -> None:
        self.written = time.monotonic()

    def __call__(self, at: Progress) -> None:
        now = time.monotonic()
        if now - self.written >= _EVERY_S:
            self.written = now
            click.echo(f"{at.done:,} of {at.size:,} ({100 * at.done / at.size:.0f} %), {_state(at)}", err=True)


def _state(at: Progress) -> str:
    return f"{at.per_second:,.0f} a second, {duration(at.remaining_s)} left, best {scientific(at.best)}"


# -------------------------------------------------------------------------------------------- figures


def _draw(found: ScreeningResult, folder: Path) -> list[Path]:
    """Draw the map and the front into the folder; return the figures.

    One that would show nothing is left out, and an older one of its name removed.
    """
    from nasicon_ml.plots import save, screening_front, screening_map

    figures: dict[str, Callable[[], Figure]] = {
        MAP: lambda: screening_map(_map_cells(found)),
        FRONT: lambda: screening_front(found.front),
    }
    written = []
    for name, figure in figures.items():
        try:
            written.append(save(figure(), folder / name))
        except DatasetError:
            (folder / name).unlink(missing_ok=True)
    return written


def _map_cells(found: ScreeningResult) -> pd.DataFrame:
    """Return the best conductivity at every substitution and sintering temperature as a table."""
    import pandas as pd

    from nasicon_ml.plots.recipes import SUBSTITUTION

    x, temperature_c, best = found.aggregate.conductivity_map.points()
    return pd.DataFrame(
        {
            SUBSTITUTION: x,
            Column.SINTERING_TEMPERATURE_C.value: temperature_c,
            Column.PREDICTED_CONDUCTIVITY_S_CM.value: best,
        }
    )
