"""``nasicon-ml recommend`` and ``nasicon-ml campaign``: which pellets to make next."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from nasicon_ml.cli.formatting import fixed, model_line, percent, plural, recipe_line, scientific
from nasicon_ml.cli.inputs import (
    ANSWER,
    FIGURE_ENDINGS,
    Number,
    SectionedCommand,
    Whole,
    check_destination,
    check_destinations,
    complete,
    find_model,
    model_options,
    option,
    own_from_file,
    own_options,
    say_of_own,
    together,
)
from nasicon_ml.cli.render import aligned, print_json, print_text, say
from nasicon_ml.cli.screen import read_wishes
from nasicon_ml.columns import MODEL_INPUT, Column

if TYPE_CHECKING:
    import pandas as pd

    from nasicon_ml.campaigns.folder import Campaign
    from nasicon_ml.campaigns.goal import Goal
    from nasicon_ml.model import PropertyModel
    from nasicon_ml.workflows.recommend import Recommendation

SOUGHT = "What is looked for"
SCHEMA = "nasicon-ml/recommend/1"
#: What is written of each member beside its recipe.
_KEPT = (
    Column.PREDICTED_CONDUCTIVITY_S_CM, Column.PREDICTED_CONDUCTIVITY_LOWER_S_CM,
    Column.PREDICTED_CONDUCTIVITY_UPPER_S_CM, Column.PREDICTED_RELATIVE_DENSITY_PCT, Column.PREDICTED_PHASE_PURITY,
)  # fmt: skip


#: Conditions, desirability, size and method of the batch.
goal_options = together(
    option("--min-density", section=SOUGHT, type=Number(0, 100), metavar="PERCENT",
           help="A pellet counts only from this relative density on."),
    option("--min-purity", section=SOUGHT, type=Number(0, 1, percent_hint=True), metavar="PROBABILITY",
           help="A pellet counts only if it is phase pure, and recipes less likely pure are not proposed."),
    option("--desire", section=SOUGHT, multiple=True, metavar="PROPERTY=WORST:BEST[:WEIGHT]",
           help="Weighted desirability in place of the conductivity, as of 'screen': conductivity, density,"
           " purity, sintering-temperature; may be repeated."),
    option("--batch", section=SOUGHT, type=Whole(1, 50), default=3, show_default=True, metavar="NUMBER",
           help="How many pellets."),
    option("--method", section=SOUGHT, default="expected-improvement", show_default=True, metavar="NAME",
           help="expected-improvement, or thompson (sampling, which explores more)."),
    option("--outside", is_flag=True, section=SOUGHT, help="Also propose recipes outside the known domain."),
)  # fmt: skip


_figure = option(
    "--figure", section=ANSWER, metavar="FILE", help="Draw the batch among its candidates: .png, .pdf or .svg."
)
_json = option("--json", "as_json", is_flag=True, section=ANSWER, help="Write JSON to standard output.")
#: For campaigns, whose settings name the model.
_store = option("--tracking-uri", section=ANSWER, metavar="URI", help="MLflow's store, for a model in MLflow.")


def _goal(values: dict[str, Any]) -> Goal:
    from nasicon_ml.campaigns.goal import Goal

    return Goal(values["min_density"], values["min_purity"], read_wishes(values["desire"]))


_EPILOG = """\b
Examples:
  nasicon-ml recommend space.yaml
  nasicon-ml recommend space.yaml --own my_pellets.csv --batch 3 --figure next.png
  nasicon-ml recommend space.yaml --own my_pellets.xlsx --min-density 90 --min-purity 0.5 --output next.csv

Exit code: 0 done; 2 nothing could be recommended, and the message says why."""


@click.command(cls=SectionedCommand, epilog=_EPILOG)
@click.argument("space", metavar="SPACE.yaml", shell_complete=complete)
@goal_options
@option("--seed", section=SOUGHT, type=Whole(0), default=0, show_default=True, metavar="NUMBER",
         help="Of the draws: the same seed gives the same batch.")  # fmt: skip
@own_options
@model_options
@_json
@option("--output", section=ANSWER, metavar="FILE", help="Write the batch to a file: .csv, .json or .parquet.")
@_figure
def recommend(**values: Any) -> None:
    """Recommend which pellets to make next.

    SPACE.yaml says which recipes are possible (docs/search-spaces.md). Your own measured pellets (--own) move what
    is expected, and are not proposed again.
    """
    check_destinations(
        values, {"the search space": values["space"], "the file of your own pellets": values["own"]}
    )
    from nasicon_ml.screening.space import SearchSpace
    from nasicon_ml.workflows.recommend import BatchOptions
    from nasicon_ml.workflows.recommend import recommend as recommended

    options = BatchOptions(_goal(values), values["batch"], values["method"], not values["outside"], values["seed"])
    space = SearchSpace.from_yaml(values["space"])
    model = _model(values)
    with _progress() as progress:
        found = recommended(space, own_from_file(values), options, model=model, progress=progress)
    _tell(found, values["own"])
    _show(found, values)


def _model(values: dict[str, Any]) -> PropertyModel:
    """Return the model, and say which it is."""
    from nasicon_ml.model import PropertyModel
    from nasicon_ml.workflows.predict import loaded_model

    name, model = find_model(values["model"], values["tracking_uri"])
    if not isinstance(model, PropertyModel):
        model = loaded_model(model)
    say(model_line(name, model.metadata))
    return model


@contextmanager
def _progress() -> Any:
    from nasicon_ml.cli.render import progress

    with progress("looking through the space") as step:
        yield lambda at: step(f"{at.done:,} of {at.size:,} recipes", at.done / at.size)


def _tell(found: Recommendation, name: str | None) -> None:
    """Say what is to be known of the batch, and of own pellets; which of them lie outside the space."""
    for note in found.notes:
        say(f"note: {note}")
    if found.own is None:
        return
    say_of_own(name or "own pellets", found.own, found.model.pellets, found.model)
    outside = [
        f"{key} ({field})" for key, field in zip(found.own[Column.PELLET_ID], found.outside, strict=True) if field
    ]
    if outside:
        say(
            f"note: {len(outside)} of {plural(len(found.own), 'own pellet')} lie outside the space, and still"
            f" teach: {', '.join(outside[:5])}{', ...' if len(outside) > 5 else ''}"
        )


def _show(found: Recommendation, values: dict[str, Any], heading: str = "") -> None:
    """Write the batch to files and to standard output."""
    written = []
    if values["output"] is not None:
        from nasicon_ml.io import write_table

        write_table(found.frame(), values["output"])
        written.append(values["output"])
    if values["figure"] is not None:
        from nasicon_ml.plots import batch_map, save

        save(batch_map(*found.map_points()), values["figure"])
        written.append(values["figure"])
    if values["as_json"]:
        print_json(as_json(found))
    else:
        print_text("\n".join([heading or _heading(found), "", *_members(found)]))
    if written:
        say(f"written: {', '.join(written)}")


def _heading(found: Recommendation) -> str:
    options, count = found.options, len(found.candidates.recipes)
    made = f", {plural(found.made, 'candidate')} left out as already made" if found.made else ""
    best = "no own pellet that counts yet" if found.best is None else f"best: {found.best_pellet}, {_value(found)}"
    own = "" if found.own is None else f"{plural(len(found.own), 'own pellet')} ({best}){made}\n"
    return f"{own}looked for: {options.goal.describe()}\nnext, of {plural(count, 'candidate')}:"


def _value(found: Recommendation) -> str:
    if found.best is None:
        return ""
    return f"desirability {found.best:.2f}" if found.options.goal.wishes else f"{scientific(10**found.best)} S/cm"


def _members(found: Recommendation) -> list[str]:
    """Return each member: recipe, answers, what is expected of it, why, and what is nearest to it."""
    lines: list[str] = []
    for number, row in enumerate(found.frame().to_dict("records"), start=1):
        value, lower, upper = (scientific(row[str(column)]) for column in _KEPT[:3])
        dense = fixed(row[Column.PREDICTED_RELATIVE_DENSITY_PCT], 0)
        pure = percent(row[Column.PREDICTED_PHASE_PURITY])
        inside = "" if row[Column.INSIDE_DOMAIN] else "; OUTSIDE the known domain"
        facts = {
            "expected": f"{value} S/cm ({lower} to {upper}), {dense} % dense, {pure} likely pure{inside}",
            "better": f"{percent(row['probability_better'])} likely better than {found.best_pellet},"
            f" {fixed(row['expected_improvement'], 2)} {found.options.goal.unit} to be gained on average",
            "teaches": f"settles {percent(row['learned_share'])} of what is open about the candidates",
            "why": str(row["reason"]),
            "nearest": f"{row[Column.NEAREST_PELLETS]} (nasicon-ml data show ID)",
        }
        if found.best is None:
            del facts["better"]
        lines += [f"{number}. {recipe_line(row)}", *(f"   {line}" for line in aligned(list(facts.items()))), ""]
    return lines[:-1]


def as_json(found: Recommendation) -> dict[str, Any]:
    """Return a recommendation as JSON has it."""
    from nasicon_ml.io.tables import table_records

    return {
        "schema": SCHEMA,
        "goal": found.options.goal.to_json(),
        "method": found.options.method,
        "candidates": len(found.candidates.recipes),
        Column.OWN_PELLETS.value: 0 if found.own is None else len(found.own),
        "best_pellet": found.best_pellet,
        "best": found.best,
        "unit": found.options.goal.unit,
        "already_made": found.made,
        "warnings": found.notes,
        "batch": table_records(found.frame()),
    }


# ------------------------------------------------------------------------------------------ campaign


@click.group()
def campaign() -> None:
    """Go on for months: a folder with what is wanted, what was measured and what was proposed.

    start makes the folder, next proposes a batch, add takes what came out, status says how it goes. The files in
    the folder are plain YAML and CSV: they may be edited, and are checked whenever they are read.
    """


@campaign.command(cls=SectionedCommand)
@click.argument("folder", metavar="FOLDER", shell_complete=complete)
@click.argument("space", metavar="SPACE.yaml", shell_complete=complete)
@goal_options
@model_options
def start(**values: Any) -> None:
    """Begin a campaign in a new FOLDER, over the recipes of SPACE.yaml."""
    from nasicon_ml.campaigns.folder import Campaign, Settings

    settings = Settings(_goal(values), values["batch"], values["method"], values["outside"], values["model"])
    if values["model"] is not None:  # refused before anything is written
        _model(values)
    found = Campaign.start(values["folder"], values["space"], settings)
    say(found.space.describe())
    print_text(f"begun: {found.folder}, for {settings.goal.describe()}")
    say(f"next: nasicon-ml campaign add {found.folder} my_pellets.csv (if there are any), then: campaign next")


@campaign.command(cls=SectionedCommand)
@click.argument("folder", metavar="FOLDER", shell_complete=complete)
@click.argument("file")
def add(folder: str, file: str) -> None:
    """Add the measured pellets in FILE: a workbook, CSV, JSON, YAML or Parquet.

    Pellets that are there already, with the same cells, are passed over, so that a growing table can be added
    again and again.
    """
    from nasicon_ml.campaigns.folder import Campaign, working_in
    from nasicon_ml.data.load import load_pellets

    with working_in(folder):
        found, added = Campaign.open(folder).add(file)
    if found.pellets is not None and added.keys:
        say_of_own(
            file,
            found.pellets[found.pellets[Column.PELLET_ID].isin(added.keys)].reset_index(drop=True),
            load_pellets(),
        )
    for key, others in added.repeated.items():
        say(f"note: {key} is of the same recipe as {', '.join(others)}: it counts as another pellet of it")
    again = f"; {plural(len(added.known), 'pellet')} passed over: there already" if added.known else ""
    total = 0 if found.pellets is None else len(found.pellets)
    print_text(f"{plural(len(added.keys), 'pellet')} added{again}; {total} in all")


@campaign.command("next", cls=SectionedCommand)
@click.argument("folder", metavar="FOLDER", shell_complete=complete)
@option("--again", is_flag=True, section=SOUGHT, help="Propose another batch though the last is not measured yet.")
@_json
@_figure
@_store
def next_(**values: Any) -> None:
    """Propose the next batch, and write it to batches.csv."""
    from nasicon_ml.campaigns.folder import Campaign, working_in
    from nasicon_ml.workflows.recommend import next_batch

    values["output"] = None
    check_destinations(values, {})
    with working_in(values["folder"]):
        found = Campaign.open(values["folder"])
        if len(found.open_batch) and not values["again"]:
            _show_open(found, values)
            return
        values["model"] = found.settings.model
        model = _model(values)
        with _progress() as progress:
            batch = next_batch(found, model=model, progress=progress)
        _, number = recorded(found, batch)
    _tell(batch, None)
    _show(batch, values, f"batch {number}\n{_heading(batch)}")


def recorded(found: Campaign, batch: Recommendation) -> tuple[Campaign, int]:
    """Write a batch down; return the campaign with it, and its number."""
    kept = [str(column) for column in (*MODEL_INPUT, *_KEPT)]
    return found.record(batch.frame()[[*kept, "probability_better", "expected_improvement", "reason"]])


def _show_open(found: Campaign, values: dict[str, Any]) -> None:
    """Show what was proposed last and is not measured yet."""
    batch = found.open_batch
    number = int(batch["batch"].iloc[0])
    if values["as_json"]:
        from nasicon_ml.io.tables import table_records

        print_json({"schema": SCHEMA, "goal": found.settings.goal.to_json(), "batch": table_records(batch)})
    else:
        lines = [f"batch {number} of {batch['date'].iloc[0]}, not measured yet:", ""]
        print_text("\n".join([*lines, *(f"- {recipe_line(row)}" for row in batch.to_dict("records"))]))
    drawn = f", and {values['figure']} is not drawn" if values["figure"] else ""
    say(
        f"note: nothing new is proposed{drawn}; 'campaign add' takes what came out, --again proposes another batch"
    )


@campaign.command(cls=SectionedCommand)
@click.argument("folder", metavar="FOLDER", shell_complete=complete)
@_json
@option("--figure", section=ANSWER, metavar="FILE", help="Draw how it went: .png, .pdf or .svg.")
@_store
def status(**values: Any) -> None:
    """Say how a campaign went: the best pellet, and how well each was predicted before it was made."""
    from nasicon_ml.campaigns.folder import Campaign
    from nasicon_ml.workflows.recommend import campaign_history

    check_destination(values["figure"], FIGURE_ENDINGS, "--figure", {})
    found = Campaign.open(values["folder"])
    if found.pellets is None:
        if values["as_json"]:
            print_json({"goal": found.settings.goal.to_json(), "pellets": []})
        else:
            print_text(f"no pellet yet; {plural(len(found.batches), 'recipe')} proposed")
        if values["figure"] is not None:
            say(f"note: {values['figure']} is not drawn: there is no pellet yet")
        return
    values["model"] = found.settings.model
    table = campaign_history(found.pellets, found.settings.goal, _model(values))
    if values["as_json"]:
        from nasicon_ml.io.tables import table_records

        print_json({"goal": found.settings.goal.to_json(), "pellets": table_records(table)})
    else:
        print_text("\n".join(_status(found, table)))
    if values["figure"] is not None:
        from nasicon_ml.plots import campaign_progress, save

        save(campaign_progress(table), values["figure"])
        say(f"written: {values['figure']}")


def _status(found: Campaign, table: pd.DataFrame) -> list[str]:
    goal = found.settings.goal
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
    off, off_without = (
        fixed(float((table["measured"] - table[name]).abs().mean()), 2)
        for name in ("predicted", "predicted_without")
    )
    open_ = len(found.open_batch)
    return [
        goal.describe(),
        "",
        *aligned(rows, [False, True, False, True, True]),
        "",
        f"predictions were off by {off} decades on average, {off_without} without own pellets",
        f"{plural(open_, 'recipe')} of the last batch not measured yet" if open_ else "no proposed recipe is open",
    ]
