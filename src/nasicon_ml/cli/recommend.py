"""The commands ``nasicon-ml recommend`` and ``nasicon-ml campaign``: which pellets to make next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from nasicon_ml.cli.formatting import describe_model, describe_recipe, fixed, percent, plural, scientific
from nasicon_ml.cli.inputs import (
    ANSWER,
    FIGURE_ENDINGS,
    Number,
    SectionedCommand,
    WholeNumber,
    check_destination,
    check_destinations,
    combine_options,
    complete_value,
    figure_option,
    json_option,
    load_model,
    model_options,
    option,
    output_option,
    own_options,
    read_own_pellets,
    warn_about_own_pellets,
)
from nasicon_ml.cli.render import align_columns, notify, print_json, print_text, progress_bar
from nasicon_ml.cli.screen import parse_wishes
from nasicon_ml.columns import CONDUCTIVITY_INTERVAL, MODEL_INPUT, Column

if TYPE_CHECKING:
    import pandas as pd

    from nasicon_ml.campaigns.folder import Campaign
    from nasicon_ml.campaigns.goal import Goal
    from nasicon_ml.model import PropertyModel
    from nasicon_ml.screening.engine import Progress
    from nasicon_ml.workflows.recommend import Recommendation

GOAL = "What is looked for"
SCHEMA = "nasicon-ml/recommend/1"
#: Columns that a campaign records of each proposed recipe.
_RECORDED = (
    *MODEL_INPUT, *CONDUCTIVITY_INTERVAL, Column.PREDICTED_RELATIVE_DENSITY_PCT, Column.PREDICTED_PHASE_PURITY,
    "probability_better", "expected_improvement", "reason",
)  # fmt: skip

#: Conditions, desirability, size and method of the batch.
goal_options = combine_options(
    option("--min-density", section=GOAL, type=Number(0, 100), metavar="PERCENT",
           help="A pellet counts only from this relative density on."),
    option("--min-purity", section=GOAL, type=Number(0, 1, percent_hint=True), metavar="PROBABILITY",
           help="A pellet counts only if it is phase pure, and recipes less likely pure are not proposed."),
    option("--desire", section=GOAL, multiple=True, metavar="PROPERTY=WORST:BEST[:WEIGHT]",
           help="Weighted desirability in place of the conductivity, as of 'screen': conductivity, density,"
           " purity, sintering-temperature; may be repeated."),
    option("--batch", section=GOAL, type=WholeNumber(1, 50), default=3, show_default=True, metavar="NUMBER",
           help="How many pellets."),
    option("--method", section=GOAL, default="expected-improvement", show_default=True, metavar="NAME",
           help="expected-improvement, or thompson (sampling, which explores more)."),
    option("--outside", is_flag=True, section=GOAL, help="Also propose recipes outside the known domain."),
)  # fmt: skip


_figure_option = figure_option("the batch among its candidates")
_folder_argument = click.argument("folder", metavar="FOLDER", shell_complete=complete_value)
_space_argument = click.argument("space", metavar="SPACE.yaml", shell_complete=complete_value)
#: For campaigns, whose model is in their settings.
_tracking_uri_option = option(
    "--tracking-uri", section=ANSWER, metavar="URI", help="MLflow's store, for a model in MLflow."
)


def _read_goal(values: dict[str, Any]) -> Goal:
    from nasicon_ml.campaigns.goal import Goal

    return Goal(values["min_density"], values["min_purity"], parse_wishes(values["desire"]))


_EPILOG = """\b
Examples:
  nasicon-ml recommend space.yaml
  nasicon-ml recommend space.yaml --own my_pellets.csv --batch 3 --figure next.png
  nasicon-ml recommend space.yaml --own my_pellets.xlsx --min-density 90 --min-purity 0.5 --output next.csv

Exit code: 0 done; 2 nothing could be recommended, and the message says why."""


@click.command(cls=SectionedCommand, epilog=_EPILOG)
@_space_argument
@goal_options
@option("--seed", section=GOAL, type=WholeNumber(0), default=0, show_default=True, metavar="NUMBER",
         help="Of the draws: the same seed gives the same batch.")  # fmt: skip
@own_options
@model_options
@json_option
@output_option("the batch to a file")
@_figure_option
def recommend(**values: Any) -> None:
    """Recommend which pellets to make next.

    SPACE.yaml says which recipes are possible (docs/search-spaces.md). Your own measured pellets (--own) move what
    is expected, and are not proposed again.
    """
    sources = {"the search space": values["space"], "the file of your own pellets": values["own"]}
    check_destinations(values, sources)
    from nasicon_ml.screening.space import SearchSpace
    from nasicon_ml.workflows.recommend import BatchOptions
    from nasicon_ml.workflows.recommend import recommend as recommend_batch

    options = BatchOptions(
        _read_goal(values), values["batch"], values["method"], not values["outside"], values["seed"]
    )
    space = SearchSpace.from_yaml(values["space"])
    model = _load_model(values)
    with _search_progress() as progress:
        batch = recommend_batch(space, read_own_pellets(values), options, model=model, progress=progress)
    _report_notes(batch, values["own"])
    _write_batch(batch, values)


def _load_model(values: dict[str, Any]) -> PropertyModel:
    """Load the model and print its name."""
    name, model = load_model(values["model"], values["tracking_uri"])
    notify(describe_model(name, model.metadata))
    return model


@contextmanager
def _search_progress() -> Iterator[Callable[[Progress], None]]:
    with progress_bar("looking through the space") as update:
        yield lambda state: update(f"{state.done:,} of {state.size:,} recipes", state.done / state.size)


def _report_notes(batch: Recommendation, own_name: str | None) -> None:
    """Print the notes about the batch and warnings about the own pellets."""
    for note in batch.notes:
        notify(f"note: {note}")
    if batch.own is None:
        return
    warn_about_own_pellets(own_name or "own pellets", batch.own, batch.model.pellets, batch.model)
    pellets = zip(batch.own[Column.PELLET_ID], batch.outside, strict=True)
    outside = [f"{pellet_id} ({field})" for pellet_id, field in pellets if field]
    if outside:
        notify(
            f"note: {len(outside)} of {plural(len(batch.own), 'own pellet')} lie outside the space, and still"
            f" teach: {', '.join(outside[:5])}{', ...' if len(outside) > 5 else ''}"
        )


def _write_batch(batch: Recommendation, values: dict[str, Any], title: str = "") -> None:
    """Write the batch to the output files and to standard output, with a title above the heading."""
    written = []
    if values["output"] is not None:
        from nasicon_ml.io import write_table

        write_table(batch.frame(), values["output"])
        written.append(values["output"])
    if values["figure"] is not None:
        from nasicon_ml.plots import batch_map, save

        save(batch_map(*batch.map_points()), values["figure"])
        written.append(values["figure"])
    if values["as_json"]:
        print_json(recommendation_json(batch))
    else:
        print_text("\n".join([f"{title}{_batch_heading(batch)}", "", *_batch_lines(batch)]))
    if written:
        notify(f"written: {', '.join(written)}")


def _batch_heading(batch: Recommendation) -> str:
    goal, best = batch.options.goal, "no own pellet that counts yet"
    if batch.best is not None:
        value = f"desirability {batch.best:.2f}" if goal.wishes else f"{scientific(10**batch.best)} S/cm"
        best = f"best: {batch.best_pellet}, {value}"
    made = f", {plural(batch.made, 'candidate')} left out as already made" if batch.made else ""
    own = "" if batch.own is None else f"{plural(len(batch.own), 'own pellet')} ({best}){made}\n"
    count = len(batch.candidates.recipes)
    return f"{own}looked for: {goal.describe()}\nnext, of {plural(count, 'candidate')}:"


def _batch_lines(batch: Recommendation) -> list[str]:
    """Return the lines about each recipe of the batch: answers, expectation, reason and nearest pellets."""
    lines: list[str] = []
    for number, row in enumerate(batch.frame().to_dict("records"), start=1):
        value, lower, upper = (scientific(row[column]) for column in CONDUCTIVITY_INTERVAL)
        dense = fixed(row[Column.PREDICTED_RELATIVE_DENSITY_PCT], 0)
        pure = percent(row[Column.PREDICTED_PHASE_PURITY])
        outside = "" if row[Column.INSIDE_DOMAIN] else "; OUTSIDE the known domain"
        facts = {
            "expected": f"{value} S/cm ({lower} to {upper}), {dense} % dense, {pure} likely pure{outside}",
            "better": f"{percent(row['probability_better'])} likely better than {batch.best_pellet},"
            f" {fixed(row['expected_improvement'], 2)} {batch.options.goal.unit} to be gained on average",
            "teaches": f"settles {percent(row['learned_share'])} of what is open about the candidates",
            "why": str(row["reason"]),
            "nearest": f"{row[Column.NEAREST_PELLETS]} (nasicon-ml data show ID)",
        }
        if batch.best is None:
            del facts["better"]
        fact_lines = align_columns(list(facts.items()))
        lines += [f"{number}. {describe_recipe(row)}", *(f"   {line}" for line in fact_lines), ""]
    return lines[:-1]


def recommendation_json(batch: Recommendation) -> dict[str, Any]:
    """Return a recommendation as JSON content."""
    from nasicon_ml.io.tables import table_records

    return {
        "schema": SCHEMA,
        "goal": batch.options.goal.to_json(),
        "method": batch.options.method,
        "candidates": len(batch.candidates.recipes),
        Column.OWN_PELLETS.value: 0 if batch.own is None else len(batch.own),
        "best_pellet": batch.best_pellet,
        "best": batch.best,
        "unit": batch.options.goal.unit,
        "already_made": batch.made,
        "warnings": batch.notes,
        "batch": table_records(batch.frame()),
    }


# ------------------------------------------------------------------------------------------ campaign


@click.group()
def campaign() -> None:
    """Go on for months: a folder with what is wanted, what was measured and what was proposed.

    start makes the folder, next proposes a batch, add takes what came out, status says how it goes. The files in
    the folder are plain YAML and CSV: they may be edited, and are checked whenever they are read.
    """


@campaign.command(cls=SectionedCommand)
@_folder_argument
@_space_argument
@goal_options
@model_options
def start(**values: Any) -> None:
    """Begin a campaign in a new FOLDER, over the recipes of SPACE.yaml."""
    from nasicon_ml.campaigns.folder import Campaign, Settings

    settings = Settings(_read_goal(values), values["batch"], values["method"], values["outside"], values["model"])
    if values["model"] is not None:  # a wrong model must fail before anything is written
        _load_model(values)
    started = Campaign.start(values["folder"], values["space"], settings)
    notify(started.space.describe())
    print_text(f"begun: {started.folder}, for {settings.goal.describe()}")
    notify(
        f"next: nasicon-ml campaign add {started.folder} my_pellets.csv (if there are any), then: campaign next"
    )


@campaign.command(cls=SectionedCommand)
@_folder_argument
@click.argument("file")
def add(folder: str, file: str) -> None:
    """Add the measured pellets in FILE: a workbook, CSV, JSON, YAML or Parquet.

    Pellets that are there already, with the same cells, are passed over, so that a growing table can be added
    again and again.
    """
    from nasicon_ml.campaigns.folder import Campaign, working_in
    from nasicon_ml.data.load import load_pellets

    with working_in(folder):
        opened, added = Campaign.open(folder).add(file)
    pellets = opened.pellets
    if pellets is not None and added.keys:
        new_pellets = pellets[pellets[Column.PELLET_ID].isin(added.keys)].reset_index(drop=True)
        warn_about_own_pellets(file, new_pellets, load_pellets())
    for pellet_id, others in added.repeated.items():
        notify(
            f"note: {pellet_id} is of the same recipe as {', '.join(others)}: it counts as another pellet of it"
        )
    skipped = f"; {plural(len(added.known), 'pellet')} skipped: already there" if added.known else ""
    total = 0 if pellets is None else len(pellets)
    print_text(f"{plural(len(added.keys), 'pellet')} added{skipped}; {total} in all")


@campaign.command("next", cls=SectionedCommand)
@_folder_argument
@option("--again", is_flag=True, section=GOAL, help="Propose another batch though the last is not measured yet.")
@json_option
@_figure_option
@_tracking_uri_option
def next_(**values: Any) -> None:
    """Propose the next batch, and write it to batches.csv."""
    from nasicon_ml.campaigns.folder import Campaign, working_in
    from nasicon_ml.workflows.recommend import next_batch

    values["output"] = None
    check_destinations(values, {})
    with working_in(values["folder"]):
        opened = Campaign.open(values["folder"])
        if len(opened.open_batch) and not values["again"]:
            _show_open_batch(opened, values)
            return
        values["model"] = opened.settings.model
        model = _load_model(values)
        with _search_progress() as progress:
            batch = next_batch(opened, model=model, progress=progress)
        number = record_batch(opened, batch)
    _report_notes(batch, None)
    _write_batch(batch, values, f"batch {number}\n")


def record_batch(campaign: Campaign, batch: Recommendation) -> int:
    """Add a batch to the files of a campaign and return its number."""
    _, number = campaign.record(batch.frame()[list(map(str, _RECORDED))])
    return number


def _show_open_batch(campaign: Campaign, values: dict[str, Any]) -> None:
    """Print the recipes of the last batch that are not measured yet."""
    batch = campaign.open_batch
    if values["as_json"]:
        from nasicon_ml.io.tables import table_records

        print_json({"schema": SCHEMA, "goal": campaign.settings.goal.to_json(), "batch": table_records(batch)})
    else:
        lines = [f"batch {int(batch['batch'].iloc[0])} of {batch['date'].iloc[0]}, not measured yet:", ""]
        print_text("\n".join([*lines, *(f"- {describe_recipe(row)}" for row in batch.to_dict("records"))]))
    not_drawn = f", and {values['figure']} is not drawn" if values["figure"] else ""
    notify(
        f"note: nothing new is proposed{not_drawn}; 'campaign add' takes what came out,"
        " --again proposes another batch"
    )


@campaign.command(cls=SectionedCommand)
@_folder_argument
@json_option
@figure_option("how it went")
@_tracking_uri_option
def status(**values: Any) -> None:
    """Say how a campaign went: the best pellet, and how well each was predicted before it was made."""
    from nasicon_ml.campaigns.folder import Campaign
    from nasicon_ml.workflows.recommend import campaign_history

    check_destination(values["figure"], FIGURE_ENDINGS, "--figure", {})
    opened = Campaign.open(values["folder"])
    goal = opened.settings.goal
    if opened.pellets is None:
        if values["as_json"]:
            print_json({"goal": goal.to_json(), "pellets": []})
        else:
            print_text(f"no pellet yet; {plural(len(opened.batches), 'recipe')} proposed")
        if values["figure"] is not None:
            notify(f"note: {values['figure']} is not drawn: there is no pellet yet")
        return
    values["model"] = opened.settings.model
    table = campaign_history(opened.pellets, goal, _load_model(values))
    if values["as_json"]:
        from nasicon_ml.io.tables import table_records

        print_json({"goal": goal.to_json(), "pellets": table_records(table)})
    else:
        print_text("\n".join(_status_lines(opened, table)))
    if values["figure"] is not None:
        from nasicon_ml.plots import campaign_progress, save

        save(campaign_progress(table), values["figure"])
        notify(f"written: {values['figure']}")


def _status_lines(campaign: Campaign, table: pd.DataFrame) -> list[str]:
    goal = campaign.settings.goal
    rows = [("pellet", "S/cm at 25 °C", "predicted before (90 %)", "off by", "best")]
    for row in table.to_dict("records"):
        value, lower, upper = (scientific(10.0 ** row[name]) for name in ("predicted", "lower", "upper"))
        rows.append(
            (
                str(row[Column.PELLET_ID]),
                scientific(10.0 ** row["measured"]),
                f"{value} ({lower} to {upper})",
                fixed(abs(row["measured"] - row["predicted"]), 2),
                fixed(row["best"], 2) if goal.wishes else scientific(10.0 ** row["best"]),
            )
        )
    error, error_without = (
        fixed(float((table["measured"] - table[name]).abs().mean()), 2)
        for name in ("predicted", "predicted_without")
    )
    open_recipes = len(campaign.open_batch)
    return [
        goal.describe(),
        "",
        *align_columns(rows, [False, True, False, True, True]),
        "",
        f"predictions were off by {error} decades on average, {error_without} without own pellets",
        f"{plural(open_recipes, 'recipe')} of the last batch not measured yet"
        if open_recipes
        else "no proposed recipe is open",
    ]
