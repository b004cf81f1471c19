"""The recipe page shows the predictions of `nasicon_ml.workflows.predict`."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from nasicon_ml.cli.formatting import fixed, percent, scientific
from nasicon_ml.columns import MODEL_INPUT, RECIPE, Column
from nasicon_ml.recipe import Recipe
from nasicon_ml.workflows.predict import predict


def metrics(page: AppTest) -> list[str]:
    return [metric.value for metric in page.metric]


def expected(**fields: object) -> list[str]:
    numbers = predict(Recipe.from_dict(fields)).answers.numbers
    return [
        scientific(numbers[Column.PREDICTED_CONDUCTIVITY_S_CM][0]),
        f"{fixed(numbers[Column.PREDICTED_RELATIVE_DENSITY_PCT][0])} %",
        percent(numbers[Column.PREDICTED_PHASE_PURITY][0]),
    ]


def test_form_has_a_field_for_every_model_input(page: AppTest) -> None:
    page.run()
    shown = {widget.key for widget in [*page.text_input, *page.selectbox]}
    assert {column.value for column in MODEL_INPUT} <= shown
    assert page.selectbox(Column.ATMOSPHERE.value).options == list(Column.ATMOSPHERE.choices)
    assert "20 to 1700 °C" in page.text_input(Column.SINTERING_TEMPERATURE_C.value).help


def test_metrics_equal_the_prediction_for_the_form(page: AppTest) -> None:
    page.run()
    page.text_input("formula").set_value("LAGP x=0.5").run()
    page.text_input("sintering_temperature_c").set_value("850")
    page.selectbox("atmosphere").set_value("air").run()
    fields = {"formula": "LAGP x=0.5", "sintering_temperature_c": 850, "atmosphere": "air"}
    assert metrics(page) == expected(**fields)
    assert any("Li₁.₅Al₀.₅Ge₁.₅(PO₄)₃" in head.value for head in page.header)
    assert not page.error


def test_recipe_is_read_from_the_url(page: AppTest) -> None:
    page.query_params["formula"] = "Na3Zr2Si2PO12"
    page.query_params["sintering_temperature_c"] = "1200"
    page.query_params["densification"] = "spark_plasma"
    page.run()
    fields = {"formula": "Na3Zr2Si2PO12", "sintering_temperature_c": 1200, "densification": "spark_plasma"}
    assert metrics(page) == expected(**fields)


@pytest.mark.parametrize("column", [c for c in RECIPE if c.role != "composition"], ids=str)
def test_every_field_is_passed_to_the_model(column: Column, page: AppTest) -> None:
    value = {"precursors": "TiO2; Al2O3", "powder_bed": "true"}.get(column.value) or (
        column.choices[0] if column.choices else f"{max(column.minimum, 20.0):g}"
    )
    page.query_params[column.value] = value
    page.run()
    assert not page.error
    assert metrics(page) == expected(formula="Li1.3Al0.3Ti1.7(PO4)3", **{column.value: column.parse(value)})


@pytest.mark.parametrize(
    ("field", "cell", "message"),
    [
        ("sintering_temperature_c", "9000", "9000 K is 8726"),
        ("sintering_time_h", "1,5", "1"),
        ("formula", "Li1.3Al0.3Xq1.7(PO4)3", "Xq"),
        ("formula", "", "formula"),
        ("formula", "<script>alert(1)</script>", "formula"),
        ("measurement_temperature_c", "hot", "hot"),
    ],
)
def test_invalid_input_shows_an_error_message_and_no_prediction(
    field: str, cell: str, message: str, page: AppTest
) -> None:
    page.query_params[field] = cell
    page.run()
    assert not page.exception
    assert any(message in error.value.replace("\\", "") for error in page.error)
    assert all(len(error.value) < 10_000 and "fault of nasicon" not in error.value for error in page.error)
    assert not page.metric


def test_recipe_outside_the_domain_shows_a_warning(page: AppTest) -> None:
    page.query_params["formula"] = "LAGP x=0.5"
    page.query_params["sintering_temperature_c"] = "1600"
    page.run()
    assert any("Outside the known domain" in warning.value for warning in page.warning)


def test_formula_of_one_megabyte_is_rejected(page: AppTest) -> None:
    page.run()
    page.text_input("formula").set_value("Li" * 500_000).run()
    assert len(page.error) == 1
    assert len(page.error[0].value) < 10_000
    assert not page.metric


def test_curve_can_be_drawn_along_different_fields(page: AppTest) -> None:
    page.run()
    for name in page.selectbox("along").options:
        assert name
    for name in ("atmosphere", "particle size (µm)"):
        page.query_params["along"] = name
        page.run()
        assert not page.error
        assert not page.exception


def test_explanation_chart_uses_the_labels_of_the_form(page: AppTest) -> None:
    page.query_params["sintering_temperature_c"] = "850"
    page.run()
    shown = "".join(str(chart.proto) for chart in page.get("vega_lite_chart"))
    assert "sintering temperature (\\302\\260C) = 850" in shown
    assert "sintering_temperature_c = 850" not in shown
