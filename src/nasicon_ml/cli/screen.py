"""The command ``nasicon-ml screen``: the best recipes of a search space."""

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

from nasicon_ml.cli.formatting import describe_model, format_duration, plural, scientific
from nasicon_ml.cli.inputs import (
    ANSWER,
    ColumnValue,
    Number,
    SectionedCommand,
    WholeNumber,
    complete_value,
    is_same_or_inside,
    level_option,
    model_options,
    option,
    own_options,
    read_own_pellets,
    resolve_model,
    warn_about_own_pellets,
)
from nasicon_ml.cli.render import notify, progress_bar, screening_report
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

GOAL, WORK = "What is looked for", "Work"
STOPPED = 130
#: Maximum number of candidates that are screened without --yes.
MOST_WITHOUT_YES = 10_000_000
MAP, FRONT = "map.png", "front.png"
#: Estimated time in seconds above which processes are used, in spite of the time to start them.
WORTH_PROCESSES_S = 3.0
#: Minimum time between two lines about the progress, in seconds.
_LINE_EVERY_S = 10.0
#: Options that a resumed screening restores from its state unless they are given again.
_RESTORED_OPTIONS = (
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
@click.argument("space", required=False, metavar="[SPACE.yaml]", shell_complete=complete_value)
@option("--objective", section=GOAL, default="conductivity", show_default=True, metavar="NAME",
         help="conductivity; lower-bound (of its interval); success (probability of exceeding --threshold, times "
              "that of phase purity); desirability (of several properties, --desire).")  # fmt: skip
@option("--threshold", section=GOAL, type=Number(0, 1000), metavar="NUMBER",
         help="Conductivity in S/cm that is to be exceeded, for 'success'.")  # fmt: skip
@option("--desire", section=GOAL, multiple=True, metavar="PROPERTY=WORST:BEST[:WEIGHT]",
         help="What 'desirability' is made of: conductivity, density, purity, sintering-temperature; may be "
              "repeated.  [default: conductivity=1e-6:1e-3, density=80:98, purity=0:1, "
              "sintering-temperature=1200:700]")  # fmt: skip
@option("--keep", section=GOAL, type=WholeNumber(), default=100, show_default=True, metavar="NUMBER",
         help="How many of the best recipes are kept.")  # fmt: skip
@option("--at", "--at-c", "at_c", section=GOAL, type=ColumnValue(Column.MEASUREMENT_TEMPERATURE_C),
         metavar="NUMBER",
         help="Temperature in °C at which the conductivity is wanted.  [default: 25, or what SPACE says]",
)  # fmt: skip
@level_option(GOAL)
@option("--outside", is_flag=True, section=GOAL, help="Also keep recipes outside the known domain.")
@option("--unbalanced", is_flag=True, section=GOAL, help="Also score recipes whose charges do not add up.")
@option("--budget", section=WORK, type=WholeNumber(), metavar="NUMBER",
         help="Score only so many candidates of the space, drawn from it.")  # fmt: skip
@option("--method", section=WORK, default="sobol", show_default=True, metavar="NAME",
         help="How they are drawn: sobol (evenly spread) or random.")  # fmt: skip
@option(
    "--seed", section=WORK, type=WholeNumber(), default=0, show_default=True, metavar="NUMBER", help="Of the draw."
)
@option("--threads", section=WORK, type=WholeNumber(), default=min(8, usable_processors()), metavar="NUMBER",
         help="Chunks scored at the same time, by threads or processes; the result is the same.  [default: one a "
              "processor]")  # fmt: skip
@option("--chunk", section=WORK, type=WholeNumber(), metavar="NUMBER",
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
    values["folder"] = values["resume"] if values["output"] is None else values["output"]
    result = _run_screening(values)
    paths, summary = _write_figures(result, values)
    _print_result(result, summary, paths, values)
    ctx.exit(0 if result.is_complete else STOPPED)


def _check_usage(ctx: click.Context, values: dict[str, Any]) -> None:
    """Raise a usage error if options contradict each other, and restore the options of a resumed screening."""
    if values["resume"] is not None:
        if values["output"] is not None:
            raise click.UsageError("--resume names the folder already: leave --output out", ctx)
        _restore_options(ctx, values)
    if values["space"] is None:
        raise click.UsageError("no search space: give SPACE.yaml, or --resume FOLDER.", ctx)
    if values["scored"] and values["output"] is None and values["resume"] is None:
        raise click.UsageError("--scored needs --output FOLDER to write to", ctx)
    if values["own"] is not None and values["engine"] == "dask":
        raise click.UsageError("--own: own pellets stay on this machine; leave --engine dask out", ctx)
    sampling = [name for name in ("method", "seed") if _is_given(ctx, name)]
    if sampling and values["budget"] is None:
        raise click.UsageError(f"--{sampling[0]} says how --budget is drawn, and there is no --budget", ctx)


def _restore_options(ctx: click.Context, values: dict[str, Any]) -> None:
    """Restore options that were not given again; given ones are compared with the state before the screening."""
    from nasicon_ml.screening.result import read_state

    note = read_state(Path(values["resume"])).note
    for name in _RESTORED_OPTIONS:
        if name in note and not _is_given(ctx, name):
            values[name] = note[name]
            if name == "space":  # the state contains the space because its file may be gone
                values["stated"] = note["stated"]


def _is_given(ctx: click.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source not in {ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP, None}


def _run_screening(values: dict[str, Any]) -> ScreeningResult:
    """Read the inputs, print the estimated time, and screen the space."""
    from nasicon_ml.model import OwnModel, PropertyModel
    from nasicon_ml.screening.engine import estimate
    from nasicon_ml.screening.engine import screen as screen_space
    from nasicon_ml.screening.scoring import Effort, Scorer

    question = _read_question(values)
    effort = Effort(values["threads"], values["chunk"], values["engine"] or "local", values["scheduler"])
    space = _read_space(values)
    output = _output_folder(values)
    if output is not None:
        output.check()
    name, model = resolve_model(values["model"], values["tracking_uri"])
    if output is not None and is_same_or_inside(output.folder, Path(name)):
        raise click.UsageError(
            f"--output {output.folder}: this is within the model's folder, which holds its files alone"
        )
    values["model"] = name
    if not isinstance(model, PropertyModel):
        model = PropertyModel.load(model)
    own = read_own_pellets(values)
    if own is not None:
        warn_about_own_pellets(values["own"], own, model.pellets, model)
        model = OwnModel.of(model, own)
    if output is not None:
        note = {name: values[name] for name in _RESTORED_OPTIONS} | {"stated": _space_specification(space)}
        output = replace(output, note=json.loads(json.dumps(note, default=str)))
    notify(describe_model(name, model.metadata))
    notify(space.describe())
    if not space.size:
        raise NasiconError(f"{values['space']}: the constraints leave no candidate")
    at_once = None
    if effort.scheduler is not None:
        from nasicon_ml.screening.cluster import cluster_threads

        at_once = cluster_threads(effort.scheduler)
    expected = estimate(Scorer(space, model, question), effort, space.count().candidates, at_once)
    if values["engine"] is None and expected.at_once > 1 and expected.seconds > WORTH_PROCESSES_S:
        effort = replace(effort, engine="processes")
    _check_effort(expected, effort.engine, yes=values["yes"])
    with first_ctrl_c(_announce_stop) as stop, _screening_progress() as progress:
        return screen_space(space, model, question, effort, output=output, progress=progress, stop=stop)


def _space_specification(space: SearchSpace | SampledSpace) -> Any:
    from nasicon_ml.screening.space import SampledSpace

    return (space.space if isinstance(space, SampledSpace) else space).stated


def _check_effort(expected: Estimate, engine: str, *, yes: bool) -> None:
    """Print the estimated time, and raise a usage error for many candidates without ``--yes``."""
    worker = "process" if engine == "processes" else "thread"
    notify(
        f"{expected.candidates:,} to score at {expected.per_second:,.0f} a second and {worker}, "
        f"{plural(expected.at_once, worker)}: about {format_duration(expected.seconds)}"
    )
    if expected.candidates > MOST_WITHOUT_YES and not yes:
        raise click.UsageError(
            f"that is more than {MOST_WITHOUT_YES:,} candidates: --yes begins nevertheless, --budget NUMBER draws "
            "some of them, larger steps in SPACE.yaml make fewer"
        )


def _write_figures(result: ScreeningResult, values: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """Draw the figures if there is an output folder; return the paths of all output files and the summary."""
    summary = result.to_json()
    summary["model"] = {"name": values["model"]} | summary["model"]
    if values["folder"] is None:
        return [], summary
    folder, ending = Path(values["folder"]), values["file_format"]
    paths = [folder / f"kept.{ending}", folder / f"front.{ending}", folder / "summary.json"]
    try:
        paths += _draw_figures(result, folder)
    except MissingExtraError as error:
        notify(f"warning: no figures: {error}")
    paths += [folder / "scored"] if values["scored"] else []
    files = [str(path) for path in paths]
    return files, summary | {"files": files}


def _print_result(
    result: ScreeningResult, summary: dict[str, Any], files: list[str], values: dict[str, Any]
) -> None:
    if values["as_json"]:
        click.echo(json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        click.echo(screening_report(result))
    if files:
        notify(f"written: {', '.join(files)}")
    if not result.is_complete:
        hint = f"; go on with: nasicon-ml screen --resume {values['folder']}" if values["folder"] else ""
        done = result.aggregate.counts.positions
        notify(f"stopped: this is a partial result, of {done:,} of {result.space.size:,} candidates{hint}")


# --------------------------------------------------------------------------------------------- inputs


def _read_question(values: dict[str, Any]) -> Question:
    """Return the objective and the conditions of the screening."""
    from nasicon_ml.screening.objectives import Question, objective_named

    objective = objective_named(
        values["objective"], threshold_s_cm=values["threshold"], wishes=parse_wishes(values["desire"])
    )
    return Question(
        objective,
        values["keep"],
        values["level"],
        values["at_c"],
        inside_only=not values["outside"],
        balanced_only=not values["unbalanced"],
    )


def _read_space(values: dict[str, Any]) -> SearchSpace | SampledSpace:
    """Read the search space, and sample from it if a budget is given."""
    from nasicon_ml.screening.space import SearchSpace

    specification = values.get("stated")
    space = (
        SearchSpace.from_yaml(values["space"]) if specification is None else SearchSpace.from_dict(specification)
    )
    if values["budget"] is None:
        return space
    return space.sample(values["budget"], values["method"], values["seed"])


def _output_folder(values: dict[str, Any]) -> OutputFolder | None:
    """Return the output folder, if there is one."""
    from nasicon_ml.screening.result import OutputFolder

    if values["folder"] is None:
        return None
    return OutputFolder(
        Path(values["folder"]),
        resume=values["resume"] is not None,
        scored=values["scored"],
        file_format=values["file_format"],
    )


def parse_wishes(texts: Iterable[str]) -> dict[str, Wish]:
    """Parse ``density=85:98:2``: property, worst and best value, and weight."""
    from nasicon_ml.screening.objectives import Wish

    wishes: dict[str, Wish] = {}
    for text in texts:
        name, _, numbers = text.partition("=")
        name = name.strip().replace("_", "-")
        try:
            values = [to_number(number) for number in numbers.split(":")]
        except ValueError:
            values = []
        if len(values) not in {2, 3}:
            raise FieldError(
                "--desire", text, "PROPERTY=WORST:BEST or PROPERTY=WORST:BEST:WEIGHT, as density=85:98:2"
            )
        if name in wishes:
            raise FieldError("--desire", text, "each property once")
        wishes[name] = Wish(*values)
    return wishes


# ------------------------------------------------------------------------------------------- progress


def _announce_stop() -> None:
    click.echo("stopping after the chunks in work (Ctrl-C again: at once)", err=True)


@contextmanager
def _screening_progress() -> Iterator[Callable[[Progress], None]]:
    if not sys.stderr.isatty():
        yield _ProgressLines()
        return
    with progress_bar("screening") as update:
        yield lambda progress: update(_describe_progress(progress), progress.done / progress.size)


class _ProgressLines:
    """Writes a line about the progress every `_LINE_EVERY_S` seconds."""

    def __init__(self) -> None:
        self.last_written = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self.last_written >= _LINE_EVERY_S:
            self.last_written = now
            counts = f"{progress.done:,} of {progress.size:,} ({100 * progress.done / progress.size:.0f} %)"
            click.echo(f"{counts}, {_describe_progress(progress)}", err=True)


def _describe_progress(progress: Progress) -> str:
    remaining = format_duration(progress.remaining_s)
    return f"{progress.per_second:,.0f} a second, {remaining} left, best {scientific(progress.best)}"


# -------------------------------------------------------------------------------------------- figures


def _draw_figures(result: ScreeningResult, folder: Path) -> list[Path]:
    """Draw the map and the front into the folder and return their paths.

    An empty figure is left out, and an older file of the same name is removed.
    """
    from nasicon_ml.plots import save, screening_front, screening_map

    figures: dict[str, Callable[[], Figure]] = {
        MAP: lambda: screening_map(_map_table(result)),
        FRONT: lambda: screening_front(result.front),
    }
    written = []
    for name, figure in figures.items():
        try:
            written.append(save(figure(), folder / name))
        except DatasetError:
            (folder / name).unlink(missing_ok=True)
    return written


def _map_table(result: ScreeningResult) -> pd.DataFrame:
    """Return the best conductivity at every substitution and sintering temperature as a table."""
    import pandas as pd

    from nasicon_ml.plots.recipes import SUBSTITUTION

    x, temperature_c, best = result.aggregate.conductivity_map.points()
    return pd.DataFrame(
        {
            SUBSTITUTION: x,
            Column.SINTERING_TEMPERATURE_C.value: temperature_c,
            Column.PREDICTED_CONDUCTIVITY_S_CM.value: best,
        }
    )
