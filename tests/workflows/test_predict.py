from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from nasicon_ml.columns import MODEL_INPUT, PREDICTION, Role, columns_of
from nasicon_ml.errors import BundleError, FieldError, NasiconError
from nasicon_ml.model import PropertyModel
from nasicon_ml.recipe import Recipe
from nasicon_ml.workflows.predict import default_bundle, loaded_model, predict

ARGON = Recipe(
    formula="LATP x=0.4", sintering_temperature_c=800, sintering_time_h=2, heating_rate_c_min=1.0,
    particle_size_um=0.31, atmosphere="Ar",
)  # fmt: skip


def test_one_recipe_a_list_and_a_table_give_the_same_results(trained):
    one = predict(ARGON, trained.model)
    batch = predict([ARGON, Recipe(formula="LTP")], trained.model)
    table = predict(batch.recipes, trained.model)
    pd.testing.assert_frame_equal(batch.frame(), table.frame())
    pd.testing.assert_frame_equal(one.results, batch.results.iloc[[0]])
    assert list(one.frame().columns) == [str(column) for column in (*MODEL_INPUT, *one.results.columns)]
    assert set(one.results.columns) == {str(column) for column in PREDICTION}


def test_predict_accepts_files_tables_dicts_and_formulas(trained, tmp_path):
    expected = predict(Recipe(formula="LATP x=0.4", atmosphere="Ar"), trained.model).results
    fields = {"formula": "LATP x=0.4", "atmosphere": "argon"}
    frame = pd.DataFrame([fields], index=[7])
    for name, write in {"r.csv": frame.to_csv, "r.json": frame.reset_index(drop=True).to_json}.items():
        write(tmp_path / name, **({"index": False} if name == "r.csv" else {"orient": "records"}))
        for path in (tmp_path / name, str(tmp_path / name)):
            pd.testing.assert_frame_equal(predict(path, trained.model).results, expected)
    for recipes in (fields, [fields], (recipe for recipe in [fields]), pd.Series(fields), frame, frame[::-1]):
        pd.testing.assert_frame_equal(predict(recipes, trained.model).results, expected)
    plain = predict(Recipe(formula="LATP x=0.4"), trained.model).results
    for recipes in ("LATP x=0.4", ["Li1.4Al0.4Ti1.6(PO4)3"], pd.Series(["LATP x=0.4"]), {"formula": "LATP x=0.4"}):
        pd.testing.assert_frame_equal(predict(recipes, trained.model).results, plain)
    warm = predict([{"formula": "LATP x=0.4", "measurement_temperature_c": 60}, "LATP x=0.4"], trained.model)
    assert warm.recipes["measurement_temperature_c"].tolist()[0] == 60
    assert warm.results.iloc[0, 0] > warm.results.iloc[1, 0]
    assert len(predict([], trained.model).results) == 0


@pytest.mark.parametrize(
    ("recipes", "message"),
    [
        (["LATP x=0.3", "LATPP"], "recipe 2: formula: 'LATPP' is not accepted"),
        (pd.DataFrame({"formula": ["LTP", "LATPP"]}, index=[5, 7]), "row 7: formula: 'LATPP'"),
        (pd.DataFrame({"formula": ["LTP"], "sintering_temp": [900]}), "Did you mean 'sintering_temperature_c'"),
        ({"formula": "LTP", "sintering_temp": 900}, "Did you mean 'sintering_temperature_c'"),
        ({"atmosphere": "Ar"}, "formula: None is not accepted"),
        ([3], "recipe 1: formula: 3"),
        (3, "recipes: 3 is not accepted; allowed: a formula, a Recipe, a dict of fields"),
        (None, "recipes: None"),
    ],
)
def test_invalid_recipe_raises_error_that_names_it(trained, recipes, message):
    with pytest.raises(FieldError, match=message):
        predict(recipes, trained.model)


def test_recipe_file_is_converted_or_refused_with_name_and_line(trained, tmp_path):
    (tmp_path / "r.csv").write_text("formula\nLTP\nLATPP\n", encoding="utf-8")
    with pytest.raises(FieldError, match=r"r\.csv, line 3: formula: 'LATPP'"):
        predict(tmp_path / "r.csv", trained.model)
    (tmp_path / "k.csv").write_text("Composition,T_sinter (K),Operator\nLTP,1173.15,M\n", encoding="utf-8")
    assert predict(str(tmp_path / "k.csv"), trained.model).recipes["sintering_temperature_c"].tolist() == [900]
    with pytest.raises(NasiconError, match=r"nowhere\.csv: there is no such file"):
        predict("nowhere.csv", trained.model)


def test_nearest_pellets_equal_those_in_the_results(trained):
    answer = predict(ARGON, trained.model)
    near = answer.nearest(0, k=3)
    assert "; ".join(near["pellet_id"]) == answer.results.loc[0, "nearest_pellets"]
    assert near["distance"].is_monotonic_increasing
    # All pellets of milled Li1.4Al0.4Ti1.6(PO4)3 sintered in argon are from this paper.
    assert set(near["source"]) == {"raj2023"}


def test_invalid_temperature_and_level_are_refused(trained):
    with pytest.raises(FieldError, match="measurement_temperature_c: 900"):
        predict(ARGON, trained.model, at_c=900)
    with pytest.raises(FieldError, match=r"level: 1\.5"):
        predict(ARGON, trained.model, level=1.5)


def test_default_model_is_set_by_environment_variable(trained, tmp_path, monkeypatch):
    folder = trained.model.save(tmp_path / "bundle")
    monkeypatch.setenv("NASICON_ML_MODEL", str(folder))
    assert default_bundle() == folder
    pd.testing.assert_frame_equal(predict(ARGON).results, predict(ARGON, folder).results)
    monkeypatch.setenv("NASICON_ML_MODEL", str(tmp_path / "nowhere"))
    with pytest.raises(BundleError, match="there is no default model at"):
        predict(ARGON)


@pytest.mark.parametrize(
    "level",
    [True, "0.9", [0.9], pd.Series([0.5, 0.9]), 10**5000],
    ids=["bool", "str", "list", "series", "huge int"],
)
def test_level_of_invalid_type_or_size_is_refused(trained, level):
    with pytest.raises(FieldError, match="level: "):
        predict(ARGON, trained.model, level=level)


def test_bundle_is_cached_until_one_of_its_files_changes(trained, tmp_path):
    folder = trained.model.save(tmp_path / "bundle")
    with ThreadPoolExecutor(4) as pool:
        models = [answer.model for answer in pool.map(lambda _: predict(ARGON, folder), range(8))]
    assert {id(model) for model in models} == {id(loaded_model(str(folder)))}
    card = folder / "card.md"
    text = card.read_text(encoding="utf-8")
    card.write_text(f"{text}One more line.\n", encoding="utf-8")
    with pytest.raises(BundleError, match=r"card\.md"):
        predict(ARGON, folder)
    trained.model.save(folder)
    reloaded = predict(ARGON, folder).model
    assert reloaded is not models[0]
    assert loaded_model(folder) is reloaded
    with pytest.raises(BundleError):
        loaded_model(tmp_path / "nowhere")


def test_table_without_preparation_columns_is_predicted(trained):
    table = predict(ARGON, trained.model).recipes
    without_preparation = table.drop(columns=[str(column) for column in columns_of(Role.PREPARATION)])
    assert list(without_preparation.columns) == [
        str(column) for column in MODEL_INPUT if column.role is not Role.PREPARATION
    ]
    pd.testing.assert_frame_equal(
        predict(without_preparation, trained.model).results, predict(table, trained.model).results
    )
    pd.testing.assert_frame_equal(trained.model.predict(without_preparation), trained.model.predict(table))


def test_model_trained_without_preparation_ignores_it():
    model = PropertyModel.load(Path(__file__).parents[1] / "bundle" / "format_2")
    with_preparation = replace(
        ARGON, lithium_excess_pct=10, precursors="TiO2", green_pressure_mpa=200, powder_bed=True
    )
    pd.testing.assert_frame_equal(predict(with_preparation, model).results, predict(ARGON, model).results)
