"""The model that MLflow loads and serves. MLflow runs this file, and nothing is unpickled.

The file is logged with a bundle and a copy of this package, so that the logged model also loads where
``nasicon-ml`` is not installed.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import BAD_REQUEST
from mlflow.pyfunc import PythonModel
from threadpoolctl import threadpool_limits

from nasicon_ml.columns import PREDICTION, Column
from nasicon_ml.errors import NasiconError
from nasicon_ml.model import PropertyModel
from nasicon_ml.recipe import read_batch
from nasicon_ml.tracking.scoring import REASON_KEY, install_request_check, read_params
from nasicon_ml.tracking.signature import BUNDLE, DEFAULT_LEVEL, LEVEL, TEMPERATURE, input_example

if TYPE_CHECKING:
    from nasicon_ml.checks import Finding

#: Number of invalid cells that a message names; the others are counted.
_MAX_NAMED_CELLS = 5
#: Number of recipes per prediction, which limits the memory for their distances to all pellets.
_CHUNK_ROWS = 500
_log = logging.getLogger(__name__)


class RecipeModel(PythonModel):  # type: ignore[misc]  # MLflow's class has no types here
    """Model that predicts `nasicon_ml.columns.PREDICTION` from `nasicon_ml.columns.MODEL_INPUT`."""

    def load_context(self, context: Any) -> None:
        """Load the bundle that was logged with the model, and predict the input example once.

        A bundle that cannot predict fails here instead of at the first request, and the first request does not
        wait for what is loaded or computed at first use.
        """
        self.model = PropertyModel.load(context.artifacts[BUNDLE])
        # In a server a single thread predicts: each additional thread would keep its own memory without being
        # faster, and chunks of large tables and small tables take turns. The matrices are too small for threads of
        # BLAS to save time.
        self.worker = ThreadPoolExecutor(1) if install_request_check() else None
        if self.worker is not None:
            threadpool_limits(limits=1, user_api="blas")
        self._predict_table(input_example(), DEFAULT_LEVEL, None)

    def predict(
        self,
        context: Any,  # noqa: ARG002  (MLflow passes it by position)
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Predict all recipes of a table.

        Parameters
        ----------
        model_input
            One recipe per row; all columns but the formula are optional.
        params
            ``level``: probability that the intervals contain the true value, 0.9 by default.
            ``measurement_temperature_c``: temperature of the conductivity in °C, in place of that of the table; by
            default that of the table, and 25 °C where the table has none.

        Returns
        -------
        pandas.DataFrame
            Columns `nasicon_ml.columns.PREDICTION`, in the order and with the index of `model_input`.

        Raises
        ------
        MlflowException
            If any recipe or parameter is invalid: a bad request that names row, field, value and allowed values.
        """
        try:
            values = read_params((params or {}).items())
            table = _as_frame(model_input)
            results = self._predict_table(table, values.get(LEVEL, DEFAULT_LEVEL), values.get(TEMPERATURE))
        except NasiconError as error:
            raise _bad_request(str(error)) from None
        except MlflowException:
            raise
        except Exception as error:
            # MLflow would put the stack trace into its response.
            _log.exception("a table of recipes could not be answered")
            raise _bad_request(f"this table could not be answered ({type(error).__name__})") from error
        return results.set_axis(table.index, axis=0)

    def _predict_table(self, table: pd.DataFrame, level: float, at_c: float | None) -> pd.DataFrame:
        batch = read_batch(table)
        if batch.findings:
            raise _bad_request(_findings_message(batch.findings))
        if table.empty:
            raise _bad_request("the table holds no recipe")
        recipes = batch.table
        if at_c is not None:
            recipes[Column.MEASUREMENT_TEMPERATURE_C.value] = at_c
        results = []
        for start in range(0, len(recipes), _CHUNK_ROWS):
            chunk = recipes.iloc[start : start + _CHUNK_ROWS]
            if self.worker is None:
                results.append(self._predict_chunk(chunk, level))
            else:
                results.append(self.worker.submit(self._predict_chunk, chunk, level).result())
        return pd.concat(results)

    def _predict_chunk(self, recipes: pd.DataFrame, level: float) -> pd.DataFrame:
        return self.model.predict(recipes, level=level)[[column.value for column in PREDICTION]]


def _as_frame(model_input: Any) -> pd.DataFrame:
    """Return the input as a data frame; MLflow turns ``inputs`` in JSON into other types."""
    if isinstance(model_input, pd.DataFrame):
        return model_input
    try:
        return pd.DataFrame(model_input)
    except (ValueError, TypeError, AttributeError) as error:
        raise _bad_request(f"the input is not a table of recipes ({error})") from None


def _bad_request(message: str) -> MlflowException:
    return MlflowException(message, BAD_REQUEST, **{REASON_KEY: message})


def _findings_message(findings: list[Finding]) -> str:
    named = "; ".join(f"row {finding.row + 1}: {finding.message}" for finding in findings[:_MAX_NAMED_CELLS])
    rest = len(findings) - _MAX_NAMED_CELLS
    return f"{named}; and {rest} more" if rest > 0 else named


set_model(RecipeModel())
