"""What a logged model takes and gives, in MLflow's words, made from the vocabulary."""

from __future__ import annotations

import importlib.metadata
import re
from typing import TYPE_CHECKING, Any

from nasicon_ml.columns import MODEL_INPUT, PREDICTION, Column, Kind
from nasicon_ml.errors import TrackingError

if TYPE_CHECKING:
    import pandas as pd

#: The name of the bundle among the artifacts of a logged model, and of its folder.
BUNDLE = "bundle"
#: The parameters of a prediction: the level of its intervals, and the temperature of the conductivity.
LEVEL, DEFAULT_LEVEL = "level", 0.9
AT_C = Column.MEASUREMENT_TEMPERATURE_C.value

_DISTRIBUTION = "nasicon-ml"
#: MLflow's types of columns; all others hold text.
TYPES = {Kind.NUMBER: "double", Kind.FLAG: "boolean"}


def signature() -> Any:
    """Return the `mlflow.models.ModelSignature`: parameters and prediction, but no columns of the input.

    MLflow drops every column that a declared input does not name, with a line in a log: a misspelled field would
    be answered as if it were not given. It also takes no CSV for columns of any type, and refuses ``900`` where it
    expects ``900.0``. Without declared columns it hands over the table as it is, and
    `nasicon_ml.recipe.read_batch` checks every name and cell. What the columns are stands in `recipe_columns`.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    outputs = [ColSpec(TYPES.get(column.kind, "string"), column.value) for column in PREDICTION]
    params = [ParamSpec(LEVEL, "double", DEFAULT_LEVEL), ParamSpec(AT_C, "double", None)]
    return ModelSignature(outputs=Schema(outputs), params=ParamSchema(params))


def recipe_columns() -> dict[str, str]:
    """Return what each column of the input accepts; logged with the model, in its file ``MLmodel``."""
    return {column.value: column.allowed for column in MODEL_INPUT}


def input_example() -> pd.DataFrame:
    """Return three recipes as people write them, with whole numbers: one stated in full, two in part."""
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
    """List what a logged model needs, each as ``name==version``, as installed here.

    Names and versions only: where they come from is the business of whoever installs them.

    Raises
    ------
    TrackingError
        If this package was not installed, so that its requirements are not on record.
    """
    try:
        declared = importlib.metadata.requires(_DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        raise TrackingError(
            f"{_DISTRIBUTION} is not installed (pip install -e .), so its needs are unknown"
        ) from None
    names = [
        match.group() for line in declared if "extra ==" not in line and (match := re.match(r"[\w.-]+", line))
    ]
    # A local version ("1.0+cpu") exists on this machine only.
    return [f"{name}=={importlib.metadata.version(name).partition('+')[0]}" for name in sorted(["mlflow", *names])]
