import io
import json
import os
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from nasicon_ml.columns import MODEL_INPUT, PREDICTION, Column
from nasicon_ml.recipe import read_batch
from nasicon_ml.tracking.signature import input_example, recipe_columns, requirements, signature
from nasicon_ml.workflows.predict import predict

FORMULAS = ["Li1.3Al0.3Ti1.7(PO4)3", "Li1.5Al0.5Ge1.5(PO4)3", "LTP"]


@pytest.fixture(scope="module")
def model(logged_model):
    import mlflow

    path = sys.path[:]
    try:
        return mlflow.pyfunc.load_model(str(logged_model))
    finally:
        sys.path[:] = path


def assert_same_predictions(predictions, expected):
    assert list(predictions.columns) == [column.value for column in PREDICTION]
    pd.testing.assert_frame_equal(
        predictions.reset_index(drop=True),
        expected[list(predictions.columns)].reset_index(drop=True),
        check_dtype=False,
        rtol=1e-12,
    )


@pytest.mark.slow
def test_table_with_only_formulas_is_predicted_as_by_predict(model, result):
    recipes = pd.DataFrame({Column.FORMULA.value: FORMULAS})
    assert_same_predictions(model.predict(recipes), predict(read_batch(recipes).table, result.model).results)


def test_complete_recipes_are_predicted_as_by_predict(model, result):
    recipes = result.model.pellets[[column.value for column in MODEL_INPUT]].head(40)
    assert_same_predictions(model.predict(recipes), predict(recipes, result.model).results)


@pytest.mark.slow
def test_rows_keep_their_order_and_index(model):
    recipes = pd.DataFrame({Column.FORMULA.value: FORMULAS}, index=[7, 3, 5])
    predictions = model.predict(recipes)
    assert predictions.index.tolist() == [7, 3, 5]
    assert predictions[Column.SYSTEM].tolist() == ["LATP", "LAGP", "LTP"]


def test_missing_cells_are_predicted_like_missing_columns(model):
    formulas = pd.DataFrame({Column.FORMULA.value: FORMULAS[:1]})
    with_missing_cells = formulas.assign(
        **{Column.ATMOSPHERE.value: [None], Column.SINTERING_TEMPERATURE_C.value: [np.nan]}
    )
    assert_same_predictions(model.predict(with_missing_cells), model.predict(formulas))


def test_preparation_columns_accept_json_types(model, result):
    preparation = {
        "lithium_excess_pct": 10,
        "precursors": "Li2CO3;TiO2",
        "green_pressure_mpa": 200,
        "powder_bed": True,
    }
    table = pd.DataFrame([{"formula": "LTP", **preparation}])
    assert_same_predictions(model.predict(table), predict(read_batch(table).table, result.model).results)
    with pytest.raises(Exception, match="powder_bed: 'perhaps' is not accepted; allowed: true or false"):
        model.predict(table.assign(powder_bed="perhaps"))


TEMPERATURES = [900, 1000, 800]
NUMBER, TEXT = Column.SINTERING_TEMPERATURE_C, Column.ATMOSPHERE


@pytest.mark.parametrize(
    "columns",
    [
        {NUMBER: TEMPERATURES},
        {NUMBER: [900.0, 1000.0, 800.0]},
        {NUMBER: np.array(TEMPERATURES, dtype="int32")},
        {NUMBER: np.array(TEMPERATURES, dtype=object)},
        {NUMBER: pd.array(TEMPERATURES, dtype="Int64")},
        {NUMBER: ["900", "1000.0", " 800 "]},
        {NUMBER: TEMPERATURES, TEXT: [None, None, None]},
        {NUMBER: TEMPERATURES, TEXT: [np.nan, np.nan, np.nan]},
        {NUMBER: TEMPERATURES, TEXT: ["", "", ""]},
        {NUMBER: TEMPERATURES, Column.SINTERING_TIME_H: [None, None, None]},
        {NUMBER: TEMPERATURES, Column.SINTERING_TIME_H: pd.array([None, None, None], dtype="Int64")},
    ],
)
def test_cells_of_any_common_type_are_accepted(columns, model, result):
    recipes = pd.DataFrame({Column.FORMULA.value: FORMULAS} | {key.value: cells for key, cells in columns.items()})
    plain = pd.DataFrame({Column.FORMULA.value: FORMULAS, NUMBER.value: [900.0, 1000.0, 800.0]})
    assert_same_predictions(model.predict(recipes), predict(read_batch(plain).table, result.model).results)


def test_missing_value_in_integer_column_is_a_missing_field(model, result):
    nullable = pd.DataFrame(
        {Column.FORMULA.value: FORMULAS, NUMBER.value: pd.array([900, None, 800], dtype="Int64")}
    )
    plain = pd.DataFrame({Column.FORMULA.value: FORMULAS, NUMBER.value: [900.0, np.nan, 800.0]})
    assert_same_predictions(model.predict(nullable), predict(read_batch(plain).table, result.model).results)


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_records": [{"formula": "LTP", "sintering_temperature_c": 900, "atmosphere": None}]},
        {"dataframe_split": {"columns": ["formula", "sintering_temperature_c"], "data": [["LTP", 900]]}},
        {"inputs": {"formula": ["LTP"], "sintering_temperature_c": [900]}},
    ],
)
def test_json_as_parsed_by_mlflow_server_is_predicted(body, model, result):
    from mlflow.pyfunc.scoring_server import infer_and_parse_data

    recipes = pd.DataFrame({Column.FORMULA.value: ["LTP"], NUMBER.value: [900]})
    predictions = model.predict(infer_and_parse_data(body, model.metadata.get_input_schema()))
    assert_same_predictions(predictions, predict(read_batch(recipes).table, result.model).results)


def test_csv_as_parsed_by_mlflow_server_is_predicted(model, result):
    from mlflow.pyfunc.scoring_server import parse_csv_input

    predictions = model.predict(parse_csv_input(io.StringIO("formula,atmosphere\nLTP,\nLATP x=0.3,Ar\n")))
    plain = pd.DataFrame({Column.FORMULA.value: ["LTP", "LATP x=0.3"], TEXT.value: [None, "Ar"]})
    assert_same_predictions(predictions, predict(read_batch(plain).table, result.model).results)


@pytest.mark.parametrize(
    ("name", "suggestion"), [("sintering_temp", "sintering_temperature_c"), ("Formula (nominal)", "formula")]
)
def test_misspelled_column_is_refused_with_a_suggestion(name, suggestion, model):
    from mlflow.exceptions import MlflowException

    recipes = pd.DataFrame({Column.FORMULA.value: ["LTP"], name: [900]})
    with pytest.raises(MlflowException, match=rf"{re.escape(name)}.*Did you mean '{suggestion}'") as caught:
        model.predict(recipes)
    assert caught.value.get_http_status_code() == 400


def test_table_without_rows_is_refused(model):
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException, match="holds no recipe"):
        model.predict(pd.DataFrame({Column.FORMULA.value: []}))


@pytest.mark.parametrize("data", ["LTP", 7, ["LTP"], [["LTP"]], {"formula": {"a": 1}}, None])
def test_input_that_is_not_a_table_is_refused(data, model):
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException) as caught:
        model.predict(data)
    assert caught.value.get_http_status_code() == 400


def test_prediction_in_chunks_gives_the_same_results(model, result, monkeypatch):
    recipes = result.model.pellets[[column.value for column in MODEL_INPUT]].head(25).reset_index(drop=True)
    expected = predict(recipes, result.model).results
    implementation = model.unwrap_python_model()
    model_class, chunk_sizes = type(implementation.model), []
    original_predict = model_class.predict

    def counting_predict(self, table, **kwargs):
        chunk_sizes.append(len(table))
        return original_predict(self, table, **kwargs)

    monkeypatch.setitem(type(implementation)._predict_table.__globals__, "_CHUNK_ROWS", 10)
    monkeypatch.setattr(model_class, "predict", counting_predict)
    assert_same_predictions(model.predict(recipes), expected)
    assert chunk_sizes == [10, 10, 5]


def test_unexpected_error_is_logged_but_not_shown_to_the_client(model, monkeypatch, caplog):
    from mlflow.exceptions import MlflowException

    def failing_predict(*args, **kwargs):
        raise ZeroDivisionError("deep inside")

    monkeypatch.setattr(type(model.unwrap_python_model().model), "predict", failing_predict)
    with pytest.raises(MlflowException, match="could not be answered") as caught:
        model.predict(pd.DataFrame({Column.FORMULA.value: ["LTP"]}))
    assert "deep inside" not in caught.value.serialize_as_json()
    assert "deep inside" in caplog.text  # the log has the details


def test_higher_level_gives_wider_intervals(model, result):
    recipes = pd.DataFrame({Column.FORMULA.value: FORMULAS})
    narrow = model.predict(recipes, params={"level": 0.5})
    assert_same_predictions(narrow, predict(read_batch(recipes).table, result.model, level=0.5).results)
    wide = model.predict(recipes)
    assert (
        narrow[Column.PREDICTED_CONDUCTIVITY_UPPER_S_CM] < wide[Column.PREDICTED_CONDUCTIVITY_UPPER_S_CM]
    ).all()


def test_measurement_temperature_column_is_used(model):
    recipes = pd.DataFrame(
        {Column.FORMULA.value: FORMULAS[:1] * 2, Column.MEASUREMENT_TEMPERATURE_C.value: [25.0, 100.0]}
    )
    cold, hot = model.predict(recipes)[Column.PREDICTED_CONDUCTIVITY_S_CM]
    assert hot > 2 * cold


def test_measurement_temperature_parameter_overrides_the_column(model, result):
    recipes = pd.DataFrame(
        {Column.FORMULA.value: FORMULAS[:1] * 2, Column.MEASUREMENT_TEMPERATURE_C.value: [25.0, 100.0]}
    )
    table = read_batch(recipes).table
    predictions = model.predict(recipes, params={"measurement_temperature_c": 60})
    assert_same_predictions(predictions, predict(table, result.model, at_c=60.0).results)
    assert_same_predictions(
        model.predict(recipes, params={"measurement_temperature_c": None}), predict(table, result.model).results
    )


@pytest.mark.parametrize("value", [700, -300.0, float("nan"), float("inf"), 298.15e3])
def test_invalid_measurement_temperature_is_a_bad_request(value, model):
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException, match="measurement_temperature_c") as caught:
        model.predict(pd.DataFrame({Column.FORMULA.value: ["LTP"]}), params={"measurement_temperature_c": value})
    assert caught.value.get_http_status_code() == 400


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({Column.FORMULA: ["LTP", "Li1.3Xx"]}, r"row 2: formula: 'Li1\.3Xx' is not accepted"),
        ({Column.FORMULA: ["LTP"], Column.ATMOSPHERE: ["Argonne"]}, r"row 1: atmosphere: .*Did you mean"),
        ({Column.FORMULA: ["LTP"], Column.SINTERING_TIME_H: [-1.0]}, r"row 1: sintering_time_h: -1\.0 is not"),
        (
            {Column.FORMULA: ["LTP"], Column.SINTERING_TEMPERATURE_C: ["hot"]},
            r"row 1: sintering_temp.*'hot'",
        ),
        ({Column.FORMULA: ["LTP"], Column.ATMOSPHERE: [5]}, r"row 1: atmosphere: 5"),
        ({Column.FORMULA: ["Li1.3Xx"] * 9}, r"; and 4 more"),
    ],
)
def test_invalid_row_is_a_bad_request_with_row_field_and_value(columns, message, model):
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException, match=message) as caught:
        model.predict(pd.DataFrame({column.value: cells for column, cells in columns.items()}))
    assert caught.value.get_http_status_code() == 400


def test_invalid_level_is_a_bad_request(model):
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException, match="level") as caught:
        model.predict(pd.DataFrame({Column.FORMULA.value: ["LTP"]}), params={"level": 1.5})
    assert caught.value.get_http_status_code() == 400


def test_table_without_formula_column_is_refused(model):
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException, match="formula"):
        model.predict(pd.DataFrame({Column.SINTERING_TEMPERATURE_C.value: [900.0]}))


def test_signature_declares_outputs_and_parameters_but_no_inputs(model):
    logged = model.metadata.signature
    assert logged == signature()
    assert logged.inputs is None  # MLflow would drop every column that is not declared
    assert [spec.name for spec in logged.outputs] == [column.value for column in PREDICTION]
    assert [(spec.name, spec.default) for spec in logged.params] == [
        ("level", 0.9),
        ("measurement_temperature_c", None),
    ]


def test_metadata_of_logged_model_lists_recipe_columns(model):
    logged = model.metadata.metadata["recipe_columns"]
    assert logged == recipe_columns() == {column.value: column.allowed for column in MODEL_INPUT}


def test_input_example_is_logged_and_predicted(model, logged_model, result):
    example = pd.read_json(logged_model / "input_example.json", orient="split")
    assert example.columns.tolist() == input_example().columns.tolist()
    assert input_example()[Column.SINTERING_TEMPERATURE_C].dtype.kind == "i"  # as users write it
    assert_same_predictions(
        model.predict(input_example()), predict(read_batch(input_example()).table, result.model).results
    )
    serving = json.loads((logged_model / "serving_input_example.json").read_text())
    assert len(serving["dataframe_split"]["data"]) == 3


def test_logged_model_contains_no_pickles(logged_model):
    files = [path for path in logged_model.rglob("*") if path.is_file()]
    files = [path for path in files if path.parent.name != "__pycache__"]  # created by loading the model
    suffixes = {path.suffix for path in files}
    assert suffixes <= {".py", ".json", ".npz", ".csv", ".md", ".txt", ".yaml", "", ".typed", ".pyi"}
    assert [path.name for path in files if not path.suffix] == ["MLmodel"]
    assert not [path for path in files if path.read_bytes()[:1] == b"\x80"]


def test_requirements_contain_only_names_and_versions(logged_model):
    written = (logged_model / "requirements.txt").read_text().split()
    assert written == requirements()
    assert {"mlflow", "xgboost", "pymatgen", "matminer"} <= {line.split("==")[0] for line in written}
    assert all(line.replace("==", "").replace(".", "").replace("-", "").isalnum() for line in written)
    for name in ("requirements.txt", "conda.yaml", "python_env.yaml"):
        assert "://" not in (logged_model / name).read_text()


LOAD_WITHOUT_PACKAGE = """
import importlib.util, json, sys
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
sys.path = [entry for entry in sys.path if not importlib.util.find_spec("nasicon_ml") or entry not in {ours}]
importlib.invalidate_caches()
assert importlib.util.find_spec("nasicon_ml") is None
import mlflow, pandas
model = mlflow.pyfunc.load_model({folder!r})
found = model.predict(pandas.DataFrame({{"formula": ["Li1.3Al0.3Ti1.7(PO4)3"]}}))
import nasicon_ml
print(json.dumps([nasicon_ml.__file__, float(found.iloc[0, 0])]))
"""


@pytest.mark.slow
def test_logged_model_loads_without_pickle_and_without_the_package(logged_model, result):
    import nasicon_ml

    ours = str(os.path.dirname(os.path.dirname(nasicon_ml.__file__)))  # noqa: PTH120
    code = LOAD_WITHOUT_PACKAGE.format(ours={ours, ""}, folder=str(logged_model))
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    env |= {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    outcome = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, cwd=logged_model.parent, check=False
    )
    assert outcome.returncode == 0, outcome.stderr
    package_file, conductivity = json.loads(outcome.stdout.splitlines()[-1])
    assert package_file.startswith(str(logged_model / "code"))
    recipes = read_batch(pd.DataFrame({Column.FORMULA.value: FORMULAS[:1]})).table
    expected = predict(recipes, result.model).results
    assert conductivity == pytest.approx(expected[Column.PREDICTED_CONDUCTIVITY_S_CM].item(), rel=1e-12)
