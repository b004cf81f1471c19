"""``nasicon-ml predict``: recipes in, conductivity, density and phase purity out."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nasicon_ml.cli.answers import Answer, answers, as_json, nearest_origins, with_explanations
from nasicon_ml.cli.formatting import model_line, plural
from nasicon_ml.cli.inputs import (
    ANSWER,
    Inputs,
    SectionedCommand,
    Whole,
    answer_options,
    check_destinations,
    complete,
    composition_options,
    described,
    file_options,
    find_model,
    option,
    own_from_file,
    recipe_options,
    recipes_from_file,
    recipes_from_options,
    say_of_own,
)
from nasicon_ml.cli.render import panel, progress, say, table
from nasicon_ml.columns import ROOM_TEMPERATURE_C, Column
from nasicon_ml.errors import FieldError

if TYPE_CHECKING:
    import pandas as pd

    from nasicon_ml.workflows.predict import Prediction

#: Recipes predicted between two steps of the progress bar.
_CHUNK = 1000
#: Up to so many recipes of a file are shown with their nearest measured pellet.
_WITH_NEAREST = 20
#: Lines written to standard output at a time.
_LINES = 200
#: More recipes than this are not explained: each is asked hundreds of times.
_MOST_EXPLAINED = 50
#: Bad cells listed on the terminal; a JSON answer holds all of them.
_LISTED = 50

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
@click.argument("file", required=False, metavar="[FILE]", shell_complete=complete)
@composition_options
@recipe_options
@answer_options
@option("--neighbours", "--neighbors", section=ANSWER, type=Whole(0, 100), default=3, show_default=True,
        metavar="NUMBER", help="Nearest measured pellets to show with each answer.")  # fmt: skip
@file_options
@option("--explain", is_flag=True, section=ANSWER,
        help="Say what moved each answer, in the recipe's own words; --figure draws it.")  # fmt: skip
@option("--details", is_flag=True, section=ANSWER, help="Give every recipe of FILE its full answer.")
@option("--json", "as_json", is_flag=True, section=ANSWER, help="Write JSON to standard output.")
@option("--output", section=ANSWER, metavar="FILE",
        help="Write the predictions to a file, too: .csv, .json or .parquet.")  # fmt: skip
@option(
    "--plot", "--figure", "plot", section=ANSWER, metavar="FILE", help="Draw the predictions: .png, .pdf or .svg."
)
@click.pass_context
def predict(ctx: click.Context, /, **values: Any) -> None:
    """Predict conductivity, density and phase purity of recipes.

    A recipe is given by options, or many by FILE: a workbook (.xlsx, .ods), CSV, JSON, YAML or Parquet, - for
    standard input. An option may have several values, 800,850,900 or 750:1050:25: every combination is a recipe.
    The answer goes to standard output, everything else to standard error.
    """
    check_usage(ctx, values)
    check_files(values, "plot")
    inputs = read_inputs(values)
    if not len(inputs):
        report(inputs)
        reason = "none of the recipes can be read" if inputs.bad_rows else "there is no recipe in it"
        say(f"error: {inputs.name}: {reason}; nothing is predicted")
        ctx.exit(2)
    _check_explained(inputs, values)
    takes_long = len(inputs) > _CHUNK
    if takes_long:  # who has to mend a row need not wait for the others
        report(inputs)
    name, predictions = _predict(inputs, values)
    metadata = predictions[0].model.metadata
    say(f"{model_line(name, metadata)} on the dataset {metadata.dataset_sha256[:12]}...")
    _say_of_temperature(values)
    _answer(inputs, predictions, values)
    if not takes_long:
        report(inputs)
    ctx.exit(1 if inputs.bad_rows else 0)


def _check_explained(inputs: Inputs, values: dict[str, Any]) -> None:
    if values["explain"] and len(inputs) > _MOST_EXPLAINED:
        raise click.UsageError(f"--explain is for at most {_MOST_EXPLAINED} recipes; there are {len(inputs)}")
    if values["explain"] and values["plot"] is not None and len(inputs) > 1:
        raise click.UsageError(f"--figure draws the explanation of one recipe; there are {len(inputs)}")


def check_files(values: dict[str, Any], figure: str = "figure") -> None:
    """Refuse files that cannot be written, or are among what is read."""
    from nasicon_ml.workflows.predict import default_bundle

    sources = {"the file of the recipes": values.get("file"), "the file of your own pellets": values["own"],
               "a file of the model": values["model"] or str(default_bundle())}  # fmt: skip
    check_destinations(values, sources, figure)


def predict_together(inputs: Inputs, values: dict[str, Any]) -> Prediction:
    """Predict all recipes at once, and say which model did, and what is doubtful about its inputs."""
    from nasicon_ml.workflows.predict import predict as predict_recipes

    own = own_from_file(values)
    name, model = find_model(values["model"], values["tracking_uri"])
    prediction = predict_recipes(inputs.table, model, level=values["level"], at_c=values["at_c"], own=own)
    say(model_line(name, prediction.model.metadata))
    _say_of_temperature(values)
    if own is not None:
        say_of_own(values["own"], own, prediction.model.pellets, prediction.model)
    return prediction


def _say_of_temperature(values: dict[str, Any]) -> None:
    """Warn of a temperature of ``--at`` that looks like kelvin."""
    if values["at_c"] is not None:
        import pandas as pd

        from nasicon_ml.checks import kelvin_findings

        for finding in kelvin_findings(pd.DataFrame({Column.MEASUREMENT_TEMPERATURE_C.value: [values["at_c"]]})):
            say(f"warning: --at: {finding.message}")


def check_usage(ctx: click.Context, values: dict[str, Any]) -> None:
    """Refuse options about recipes that contradict each other."""
    if values["file"] is not None and _is_formula(values["file"]):
        say(f"read as --formula {shlex.quote(values['file'])}")
        values |= {"file": None, Column.FORMULA.value: (*values[Column.FORMULA], values["file"])}
    given = described(values)
    options = {parameter.name: parameter.opts[0] for parameter in ctx.command.params}
    if values["file"] is not None:
        if values[Column.FORMULA] and _is_formula(both := f"{values[Column.FORMULA][-1]} {values['file']}"):
            raise click.UsageError(f'A value with spaces needs quotation marks: --formula "{both}"', ctx)
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


def _is_formula(name: str) -> bool:
    """Whether a composition stands where a file is expected: there is no such file, and it reads like one."""
    from nasicon_ml.composition import parse, shorthand
    from nasicon_ml.io import FORMATS

    if name == "-" or Path(name).suffix.lower() in FORMATS or Path(name).exists():
        return False
    try:
        parse(name)
    except FieldError:
        word = re.match(r"[A-Za-z]+", name)
        like = word and (shorthand.find_shorthand(word.group()) or re.search(r"O[0-9(]|\(PO", name))
        return bool(like) and "/" not in name
    return True


def read_inputs(values: dict[str, Any]) -> Inputs:
    """Return the recipes of FILE, or of the options."""
    if values["file"] is None:
        return recipes_from_options(values)
    if values["file"] == "-" and sys.stdin.isatty():
        say("reading recipes from standard input; end with Ctrl-D")
    return recipes_from_file(values["file"], values["file_format"], values["sheet"], strict=values["strict"])


def _predict(inputs: Inputs, values: dict[str, Any]) -> tuple[str, list[Prediction]]:
    """Predict in steps, so that a long table shows how far it is; return the name of the model, too."""
    from nasicon_ml.workflows.predict import predict as predict_recipes

    own = own_from_file(values)
    asked = {name: values[name] for name in ("level", "at_c", "neighbours")}
    predictions: list[Prediction] = []
    with progress("predicting") as step:
        step("reading the model", 0.0)
        name, model = find_model(values["model"], values["tracking_uri"])
        for part in inputs.parts(_CHUNK):
            predictions.append(predict_recipes(part.table, model, own=own, **asked))
            model = predictions[-1].model
            step("predicting", part.numbers[-1] / inputs.numbers[-1])
    if own is not None and predictions:
        say_of_own(values["own"], own, predictions[-1].model.pellets, predictions[-1].model)
    return name, predictions


def _answer(inputs: Inputs, predictions: list[Prediction], values: dict[str, Any]) -> None:
    """Write the files, then print the answers and which files were written."""
    one_table = (values["file"] is not None or bool(inputs.varied)) and not (
        values["details"] or values["explain"]
    )
    output = None if values["output"] is None else Path(values["output"])
    json_file = output is not None and output.suffix.lower() == ".json"
    brief = one_table and len(inputs) <= _WITH_NEAREST
    full = values["as_json"] or json_file or not one_table
    shown = values["neighbours"] if full else min(int(brief), values["neighbours"])
    parts = zip(inputs.parts(_CHUNK), predictions, strict=True)
    found = [answer for part, prediction in parts for answer in answers(part, prediction, shown, full=full)]
    why = None
    if values["explain"]:
        from nasicon_ml.workflows.explain import explain_prediction

        why = explain_prediction(predictions[0])
        found = with_explanations(found, why)
    json_text = as_json(predictions[0], found, inputs.findings) if values["as_json"] or json_file else ""
    notes = []
    if output is not None:
        from nasicon_ml.io import write_table, write_text

        if json_file:
            write_text(json_text, output)
        else:
            write_table(_frame(inputs, predictions), output)
        notes.append(f"{plural(len(inputs), 'prediction')} written to {output}")
    if values["plot"] is not None:
        from nasicon_ml.plots import contributions, recipe_predictions, save

        if why is None:
            drawn = recipe_predictions(_frame(inputs, predictions), level=values["level"])
        else:
            drawn = contributions(why)
        save(drawn, values["plot"])
        notes.append(f"figure written to {values['plot']}")
    _print(json_text if values["as_json"] else _text(found, values["level"], one_table, brief))
    for note in notes:
        say(note)


def _frame(inputs: Inputs, predictions: list[Prediction]) -> pd.DataFrame:
    """Return recipes and predictions side by side, the row of the input and its id in front, origins last.

    The temperature is always written: a conductivity without one would be ambiguous.
    """
    import pandas as pd

    frame = pd.concat([prediction.frame() for prediction in predictions], ignore_index=True)
    temperature = Column.MEASUREMENT_TEMPERATURE_C.value
    frame[temperature] = frame[temperature].fillna(ROOM_TEMPERATURE_C)
    frame[Column.NEAREST_DOIS.value] = [text for part in predictions for text in nearest_origins(part)]
    if inputs.pellet_ids is not None:
        frame.insert(0, Column.PELLET_ID.value, list(inputs.pellet_ids))
    frame.insert(0, Column.INPUT_ROW.value, list(inputs.numbers))
    return frame


def _text(found: list[Answer], level: float, one_table: bool, with_nearest: bool) -> str:
    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if terminal else 100
    if one_table:
        return table(found, level, width if terminal else None, with_nearest=with_nearest)
    return "\n".join(panel(answer, level, width) for answer in found)


def _print(text: str) -> None:
    """Write to standard output in pieces: one very long write to a closed pipe ends without an error."""
    lines = text.splitlines(keepends=True)
    for start in range(0, len(lines), _LINES):
        click.echo("".join(lines[start : start + _LINES]), nl=False)


def report(inputs: Inputs) -> None:
    """List what is wrong with the input on standard error."""
    from nasicon_ml.checks import by_cause, likewise

    for findings, sign, word in ((inputs.warnings, "warning: ", "warnings"), (inputs.findings, "", "bad cells")):
        causes = by_cause(findings)
        for same in causes[:_LISTED]:
            say(f"{sign}{inputs.place(same[0])}: {same[0].message}{likewise(same)}")
        if len(causes) > _LISTED:
            say(f"... and {sum(map(len, causes[_LISTED:]))} more {word} (--json lists all bad cells)")
    bad = inputs.bad_rows
    if bad and len(inputs):
        predicted = "to be predicted" if len(inputs) > _CHUNK else "predicted"
        say(f"{plural(bad, 'bad row')} left out, {len(inputs)} {predicted}")
