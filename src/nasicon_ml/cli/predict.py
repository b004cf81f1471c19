"""The command ``nasicon-ml predict``, and helpers that it shares with ``compare`` and ``profile``."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nasicon_ml.cli.answers import Answer, add_explanations, build_answers, nearest_dois, predictions_json
from nasicon_ml.cli.formatting import describe_model, plural
from nasicon_ml.cli.inputs import (
    ANSWER,
    Inputs,
    SectionedCommand,
    WholeNumber,
    answer_options,
    check_destinations,
    composition_options,
    figure_option,
    file_argument,
    file_options,
    given_recipe_options,
    json_option,
    option,
    output_option,
    read_own_pellets,
    recipe_options,
    recipes_from_file,
    recipes_from_options,
    resolve_model,
    warn_about_own_pellets,
)
from nasicon_ml.cli.render import answer_text, answers_table, notify, progress_bar, terminal_width
from nasicon_ml.columns import ROOM_TEMPERATURE_C, Column
from nasicon_ml.errors import FieldError

if TYPE_CHECKING:
    import pandas as pd

    from nasicon_ml.workflows.predict import Prediction

#: Number of recipes predicted between two updates of the progress bar.
_CHUNK_SIZE = 1000
#: Maximum number of recipes that are shown with their nearest measured pellet.
_MAX_WITH_NEAREST = 20
#: Number of lines written to standard output at once.
_LINES_PER_WRITE = 200
#: Maximum number of recipes that are explained: each explanation needs hundreds of predictions.
_MAX_EXPLAINED = 50
#: Maximum number of findings listed on the terminal; JSON output contains all errors.
_MAX_LISTED = 50

_EPILOG = """\b
Examples:
  nasicon-ml predict --formula "Li1.4Al0.4Ti1.6(PO4)3" --sintering-temperature 800 --sintering-time 2
  nasicon-ml predict --system LATP --x 0.4 --sintering-temperature 800 --atmosphere Ar --at 60
  nasicon-ml predict --formula "Li1.3M0.3Ti1.7(PO4)3" --substitute M=Sc,Y --sintering-temperature 850:1000:50
  nasicon-ml predict recipes.csv --own my_pellets.csv --output predictions.csv
  cat recipes.csv | nasicon-ml predict - --json
  nasicon-ml predict --formula "LATP x=0.3" --sintering-temperature 900 --atmosphere Ar --explain --figure why.png

The columns of a file are named like the fields: formula, sintering_temperature_c, sintering_time_h, ...;
only the formula is obligatory. Exit code: 0 done; 1 some rows are bad, the others are predicted;
2 nothing could be predicted."""


@click.command(cls=SectionedCommand, epilog=_EPILOG)
@file_argument
@composition_options
@recipe_options
@answer_options
@option("--neighbours", "--neighbors", section=ANSWER, type=WholeNumber(0, 100), default=3, show_default=True,
        metavar="NUMBER", help="Nearest measured pellets to show with each answer.")  # fmt: skip
@file_options
@option("--explain", is_flag=True, section=ANSWER,
        help="Say what moved each answer, in the recipe's own words; --figure draws it.")  # fmt: skip
@option("--details", is_flag=True, section=ANSWER, help="Give every recipe of FILE its full answer.")
@json_option
@output_option("the predictions to a file, too")
@figure_option("the predictions", "figure", "--plot")
@click.pass_context
def predict(ctx: click.Context, /, **values: Any) -> None:
    """Predict conductivity, density and phase purity of recipes.

    A recipe is given by options, or many by FILE: a workbook (.xlsx, .ods), CSV, JSON, YAML or Parquet, - for
    standard input. An option may have several values, 800,850,900 or 750:1050:25: every combination is a recipe.
    The answer goes to standard output, everything else to standard error.
    """
    check_recipe_options(ctx, values)
    check_output_files(values)
    inputs = read_inputs(values)
    if not len(inputs):
        report_findings(inputs)
        reason = "none of the recipes can be read" if inputs.bad_rows else "there is no recipe in it"
        notify(f"error: {inputs.name}: {reason}; nothing is predicted")
        ctx.exit(2)
    _check_explain_options(inputs, values)
    is_long = len(inputs) > _CHUNK_SIZE
    if is_long:  # report errors before the long prediction
        report_findings(inputs)
    name, predictions = _predict_in_chunks(inputs, values)
    metadata = predictions[0].model.metadata
    notify(f"{describe_model(name, metadata)} on the dataset {metadata.dataset_sha256[:12]}...")
    _warn_about_temperature(values)
    _write_answers(inputs, predictions, values)
    if not is_long:
        report_findings(inputs)
    ctx.exit(1 if inputs.bad_rows else 0)


def _check_explain_options(inputs: Inputs, values: dict[str, Any]) -> None:
    if values["explain"] and len(inputs) > _MAX_EXPLAINED:
        raise click.UsageError(f"--explain is for at most {_MAX_EXPLAINED} recipes; there are {len(inputs)}")
    if values["explain"] and values["figure"] is not None and len(inputs) > 1:
        raise click.UsageError(f"--figure draws the explanation of one recipe; there are {len(inputs)}")


def check_output_files(values: dict[str, Any]) -> None:
    """Check that the output files can be written and do not overwrite any input."""
    from nasicon_ml.workflows.predict import default_bundle

    sources = {"the file of the recipes": values.get("file"), "the file of your own pellets": values["own"],
               "a file of the model": values["model"] or str(default_bundle())}  # fmt: skip
    check_destinations(values, sources)


def predict_all(inputs: Inputs, values: dict[str, Any]) -> Prediction:
    """Predict all recipes at once; print the name of the model and warnings about its inputs."""
    from nasicon_ml.workflows.predict import predict as predict_recipes

    own = read_own_pellets(values)
    name, model = resolve_model(values["model"], values["tracking_uri"])
    prediction = predict_recipes(inputs.table, model, level=values["level"], at_c=values["at_c"], own=own)
    notify(describe_model(name, prediction.model.metadata))
    _warn_about_temperature(values)
    if own is not None:
        warn_about_own_pellets(values["own"], own, prediction.model.pellets, prediction.model)
    return prediction


def _warn_about_temperature(values: dict[str, Any]) -> None:
    """Print a warning if the temperature of ``--at`` looks like kelvin."""
    if values["at_c"] is not None:
        import pandas as pd

        from nasicon_ml.checks import kelvin_findings

        for finding in kelvin_findings(pd.DataFrame({Column.MEASUREMENT_TEMPERATURE_C.value: [values["at_c"]]})):
            notify(f"warning: --at: {finding.message}")


def check_recipe_options(ctx: click.Context, values: dict[str, Any]) -> None:
    """Raise a usage error if options about recipes contradict each other."""
    if values["file"] is not None and _looks_like_formula(values["file"]):
        notify(f"read as --formula {shlex.quote(values['file'])}")
        values |= {"file": None, Column.FORMULA.value: (*values[Column.FORMULA], values["file"])}
    given = given_recipe_options(values)
    options = {parameter.name: parameter.opts[0] for parameter in ctx.command.params}
    if values["file"] is not None:
        if values[Column.FORMULA] and _looks_like_formula(
            formula := f"{values[Column.FORMULA][-1]} {values['file']}"
        ):
            raise click.UsageError(f'A value with spaces needs quotation marks: --formula "{formula}"', ctx)
        if given:
            raise click.UsageError(
                f"{options[given[0]]} describes one recipe, and FILE ({values['file']}) holds others: give a file"
                " or options, not both. What holds for all recipes of a file belongs into a column of it.",
                ctx,
            )
        return
    if values["sheet"] is not None:
        raise click.UsageError("--sheet names a sheet of FILE, and there is no FILE", ctx)
    if values["file_format"] is not None:
        raise click.UsageError(
            "--format tells the format of FILE, and there is no FILE (- reads standard input)", ctx
        )


def _looks_like_formula(name: str) -> bool:
    """Whether the name of a file is a composition instead: there is no such file, and it resembles a formula."""
    from nasicon_ml.composition import parse, shorthand
    from nasicon_ml.io import FORMATS

    if name == "-" or Path(name).suffix.lower() in FORMATS or Path(name).exists():
        return False
    try:
        parse(name)
    except FieldError:
        word = re.match(r"[A-Za-z]+", name)
        is_similar = word and (shorthand.find_shorthand(word.group()) or re.search(r"O[0-9(]|\(PO", name))
        return bool(is_similar) and "/" not in name
    return True


def read_inputs(values: dict[str, Any]) -> Inputs:
    """Return the recipes of FILE, or of the options."""
    if values["file"] is None:
        return recipes_from_options(values)
    if values["file"] == "-" and sys.stdin.isatty():
        notify("reading recipes from standard input; end with Ctrl-D")
    return recipes_from_file(values["file"], values["file_format"], values["sheet"], strict=values["strict"])


def _predict_in_chunks(inputs: Inputs, values: dict[str, Any]) -> tuple[str, list[Prediction]]:
    """Return the name of the model and the predictions of chunks of recipes, while showing the progress."""
    from nasicon_ml.workflows.predict import predict as predict_recipes

    own = read_own_pellets(values)
    settings = {name: values[name] for name in ("level", "at_c", "neighbours")}
    predictions: list[Prediction] = []
    with progress_bar("predicting") as update_progress:
        update_progress("reading the model", 0.0)
        name, model = resolve_model(values["model"], values["tracking_uri"])
        for chunk in inputs.chunks(_CHUNK_SIZE):
            predictions.append(predict_recipes(chunk.table, model, own=own, **settings))
            model = predictions[-1].model
            update_progress("predicting", chunk.recipe_numbers[-1] / inputs.recipe_numbers[-1])
    if own is not None and predictions:
        warn_about_own_pellets(values["own"], own, predictions[-1].model.pellets, predictions[-1].model)
    return name, predictions


def _write_answers(inputs: Inputs, predictions: list[Prediction], values: dict[str, Any]) -> None:
    """Write the output files, then print the answers and the names of the files."""
    one_table = (values["file"] is not None or bool(inputs.varied)) and not (
        values["details"] or values["explain"]
    )
    output = None if values["output"] is None else Path(values["output"])
    json_file = output is not None and output.suffix.lower() == ".json"
    brief = one_table and len(inputs) <= _MAX_WITH_NEAREST
    full = values["as_json"] or json_file or not one_table
    shown = values["neighbours"] if full else min(int(brief), values["neighbours"])
    chunks = zip(inputs.chunks(_CHUNK_SIZE), predictions, strict=True)
    answers = [answer for chunk in chunks for answer in build_answers(*chunk, shown, full=full)]
    explanations = None
    if values["explain"]:
        from nasicon_ml.workflows.explain import explain_prediction

        explanations = explain_prediction(predictions[0])
        answers = add_explanations(answers, explanations)
    json_text = (
        predictions_json(predictions[0], answers, inputs.findings) if values["as_json"] or json_file else ""
    )
    notes = []
    if output is not None:
        from nasicon_ml.io import write_table, write_text

        if json_file:
            write_text(json_text, output)
        else:
            write_table(_predictions_frame(inputs, predictions), output)
        notes.append(f"{plural(len(inputs), 'prediction')} written to {output}")
    if values["figure"] is not None:
        from nasicon_ml.plots import contributions, recipe_predictions, save

        if explanations is None:
            figure = recipe_predictions(_predictions_frame(inputs, predictions), level=values["level"])
        else:
            figure = contributions(explanations)
        save(figure, values["figure"])
        notes.append(f"figure written to {values['figure']}")
    _print_in_pieces(
        json_text if values["as_json"] else _answers_as_text(answers, values["level"], one_table, brief)
    )
    for note in notes:
        notify(note)


def _predictions_frame(inputs: Inputs, predictions: list[Prediction]) -> pd.DataFrame:
    """Return recipes and predictions with the row number and id of the input first and the nearest DOIs last.

    The temperature is always filled in because a conductivity without one would be ambiguous.
    """
    import pandas as pd

    frame = pd.concat([prediction.frame() for prediction in predictions], ignore_index=True)
    temperature = Column.MEASUREMENT_TEMPERATURE_C.value
    frame[temperature] = frame[temperature].fillna(ROOM_TEMPERATURE_C)
    frame[Column.NEAREST_DOIS.value] = [dois for prediction in predictions for dois in nearest_dois(prediction)]
    if inputs.pellet_ids is not None:
        frame.insert(0, Column.PELLET_ID.value, list(inputs.pellet_ids))
    frame.insert(0, Column.INPUT_ROW.value, list(inputs.recipe_numbers))
    return frame


def _answers_as_text(answers: list[Answer], level: float, one_table: bool, with_nearest: bool) -> str:
    width = terminal_width()
    if one_table:
        return answers_table(answers, level, width, with_nearest=with_nearest)
    return "\n".join(answer_text(answer, level, width or 100) for answer in answers)


def _print_in_pieces(text: str) -> None:
    """Write to standard output in pieces, because one long write to a closed pipe does not raise an error."""
    lines = text.splitlines(keepends=True)
    for start in range(0, len(lines), _LINES_PER_WRITE):
        click.echo("".join(lines[start : start + _LINES_PER_WRITE]), nl=False)


def report_findings(inputs: Inputs) -> None:
    """Print the findings about the input to standard error."""
    from nasicon_ml.checks import describe_other_places, group_by_cause

    for findings, prefix, noun in ((inputs.warnings, "warning: ", "warnings"), (inputs.findings, "", "bad cells")):
        groups = group_by_cause(findings)
        for group in groups[:_MAX_LISTED]:
            notify(f"{prefix}{inputs.location(group[0])}: {group[0].message}{describe_other_places(group)}")
        if len(groups) > _MAX_LISTED:
            notify(f"... and {sum(map(len, groups[_MAX_LISTED:]))} more {noun} (--json lists all bad cells)")
    if inputs.bad_rows and len(inputs):
        predicted = "to be predicted" if len(inputs) > _CHUNK_SIZE else "predicted"
        notify(f"{plural(inputs.bad_rows, 'bad row')} left out, {len(inputs)} {predicted}")
