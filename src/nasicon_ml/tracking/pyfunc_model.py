"""The model as MLflow loads and serves it, as code: MLflow runs this file, nothing is unpickled.

It is logged beside a bundle and a copy of this package, so that the logged model also loads where
``nasicon-ml`` is not installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from nasicon_ml.columns import PREDICTION
from nasicon_ml.errors import NasiconError
from nasicon_ml.estimators.model import PropertyModel
from nasicon_ml.recipe import read_batch
from nasicon_ml.tracking.signature import BUNDLE, DEFAULT_LEVEL, LEVEL
from nasicon_ml.workflows.predict import predict

if TYPE_CHECKING:
    from nasicon_ml.checks import Finding

#: So many bad cells are named in a message; the rest are counted.
_NAMED = 5


class RecipeModel(PythonModel):  # type: ignore[misc]  # MLflow's class has no types here
    """Answers tables of recipes: `nasicon_ml.columns.MODEL_INPUT` in, `nasicon_ml.columns.PREDICTION` out."""

    def load_context(self, context: Any) -> None:
        """Read the bundle that was logged with the model."""
        self.model = PropertyModel.load(context.artifacts[BUNDLE])

    def predict(
        self,
        context: Any,  # noqa: ARG002  (MLflow passes it by position)
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Answer every recipe, or none if one is bad.

        Parameters
        ----------
        model_input
            One row a recipe; only the formula is obligatory, and other columns may be missing.
        params
            ``level``: probability with which the intervals should hold the truth.

        Returns
        -------
        pandas.DataFrame
            Columns `nasicon_ml.columns.PREDICTION`, in the order and with the index of `model_input`.

        Raises
        ------
        MlflowException
            With the code of a bad request, naming row, field, value and what is allowed.
        """
        level = (params or {}).get(LEVEL, DEFAULT_LEVEL)
        try:
            batch = read_batch(model_input)
            if batch.findings:
                raise MlflowException.invalid_parameter_value(_complaint(batch.findings))
            results = predict(batch.table, self.model, level=level).results
        except NasiconError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from None
        return results[[column.value for column in PREDICTION]].set_axis(model_input.index, axis=0)


def _complaint(findings: list[Finding]) -> str:
    named = "; ".join(f"row {finding.row + 1}: {finding.message}" for finding in findings[:_NAMED])
    rest = len(findings) - _NAMED
    return f"{named}; and {rest} more" if rest > 0 else named


set_model(RecipeModel())
