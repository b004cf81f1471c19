"""Signature, input example and requirements of a logged model, derived from the column vocabulary."""

from __future__ import annotations

import importlib.metadata
import re
from typing import TYPE_CHECKING, Any

from nasicon_ml.columns import MODEL_INPUT, PREDICTION, Column, Kind
from nasicon_ml.errors import TrackingError

if TYPE_CHECKING:
    import pandas as pd

#: Name and folder of the bundle among the artifacts of a logged model.
BUNDLE = "bundle"
#: Parameters of a prediction: probability of its intervals, and temperature of the conductivity.
LEVEL, DEFAULT_LEVEL = "level", 0.9
TEMPERATURE = Column.MEASUREMENT_TEMPERATURE_C.value

_PACKAGE_NAME = "nasicon-ml"
#: MLflow's column types; the type of every other kind is "string".
MLFLOW_TYPES = {Kind.NUMBER: "double", Kind.FLAG: "boolean"}


def signature() -> Any:
    """Return the `mlflow.models.ModelSignature`, which declares parameters and outputs but no input columns.

    With declared inputs MLflow drops every undeclared column, so that a misspelled field would be ignored; it also
    accepts no CSV for columns of any type, and refuses ``900`` where it expects ``900.0``. Without them it passes
    the table on unchanged, and `nasicon_ml.recipe.read_batch` checks every name and cell. `recipe_columns`
    documents the input columns.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    outputs = [ColSpec(MLFLOW_TYPES.get(column.kind, "string"), column.value) for column in PREDICTION]
    params = [ParamSpec(LEVEL, "double", DEFAULT_LEVEL), ParamSpec(TEMPERATURE, "double", None)]
    return ModelSignature(outputs=Schema(outputs), params=ParamSchema(params))


def recipe_columns() -> dict[str, str]:
    """Return the allowed values of each input column, which are logged in the file ``MLmodel``."""
    return {column.value: column.allowed for column in MODEL_INPUT}


def input_example() -> pd.DataFrame:
    """Return three recipes with integers as users write them: one complete and two partial."""
    import pandas as pd

    rows: list[dict[Column, object]] = [
        {
            Column.FORMULA: "Li1.4Al0.4Ti1.6(PO4)3",
            Column.SYNTHESIS_ROUTE: "solid_state",
            Column.PARTICLE_SIZE_UM: 0.31,
            Column.SINTERING_TEMPERATURE_C: 800,
            Column.SINTERING_TIME_H: 2,
            Column.HEATING_RATE_C_MIN: 1,
            Column.ATMOSPHERE: "Ar",
            Column.DENSIFICATION: "conventional",
            Column.MEASUREMENT_TEMPERATURE_C: 25,
        },
        {Column.FORMULA: "Li1.5Al0.5Ge1.5(PO4)3", Column.SINTERING_TEMPERATURE_C: 850},
        {Column.FORMULA: "LiTi2(PO4)3", Column.SINTERING_TEMPERATURE_C: 1100},
    ]
    return pd.DataFrame([{column.value: value for column, value in row.items()} for row in rows])


def requirements() -> list[str]:
    """Return the requirements of a logged model as ``name==version``, with the versions installed here.

    Raises
    ------
    TrackingError
        If this package is not installed, so that its requirements are unknown.
    """
    try:
        declared = importlib.metadata.requires(_PACKAGE_NAME) or []
    except importlib.metadata.PackageNotFoundError:
        raise TrackingError(
            f"{_PACKAGE_NAME} is not installed (pip install -e .), so its needs are unknown"
        ) from None
    names = [
        match.group() for line in declared if "extra ==" not in line and (match := re.match(r"[\w.-]+", line))
    ]
    # A local version ("1.0+cpu") is not on the package index.
    return [f"{name}=={importlib.metadata.version(name).partition('+')[0]}" for name in sorted(["mlflow", *names])]
