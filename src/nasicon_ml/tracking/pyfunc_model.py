"""The model as MLflow loads and serves it, as code: MLflow runs this file, nothing is unpickled.

It is logged beside a bundle and a copy of this package, so that the logged model also loads where
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
from nasicon_ml.tracking.scoring import REASON, check_requests, read_params
from nasicon_ml.tracking.signature import AT_C, BUNDLE, DEFAULT_LEVEL, LEVEL, input_example

if TYPE_CHECKING:
    from nasicon_ml.checks import Finding

#: So many bad cells are named in a message; the rest are counted.
_NAMED = 5
#: So many recipes are answered at a time: the distances of all to all pellets would fill the memory.
_AT_ONCE = 500
_log = logging.getLogger(__name__)


class RecipeModel(PythonModel):  # type: ignore[misc]  # MLflow's class has no types here
    """Answers tables of recipes: `nasicon_ml.columns.MODEL_INPUT` in, `nasicon_ml.columns.PREDICTION` out."""

    def load_context(self, context: Any) -> None:
        """Read the bundle that was logged with the model, and answer the example once.

        A bundle that cannot answer is seen here, not at the first request; and that request need not wait for what
        is loaded or computed at first use.
        """
        self.model = PropertyModel.load(context.artifacts[BUNDLE])
        # In a server one thread does all the work: every thread that ever worked would keep memory of its own, two
        # are no faster, and parts of large tables and small tables take turns. BLAS's threads would cost processor
        # time and gain none: its matrices here are small.
        self.worker = ThreadPoolExecutor(1) if check_requests() else None
        if self.worker is not None:
            threadpool_limits(limits=1, user_api="blas")
        self._answers(input_example(), DEFAULT_LEVEL, None)

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
            ``level``: probability with which the intervals should hold the truth, 0.9 by default.
            ``measurement_temperature_c``: temperature in °C at which the conductivity is wanted, in place of
            what the table says; by default what the table says, and 25 °C where it says nothing.

        Returns
        -------
        pandas.DataFrame
            Columns `nasicon_ml.columns.PREDICTION`, in the order and with the index of `model_input`.

        Raises
        ------
        MlflowException
            With the code of a bad request, naming row, field, value and what is allowed.
        """
        try:
            given = read_params((params or {}).items())
            table = _table(model_input)
            results = self._answers(table, given.get(LEVEL, DEFAULT_LEVEL), given.get(AT_C))
        except NasiconError as error:
            raise _refused(str(error)) from None
        except MlflowException:
            raise
        except Exception as error:
            # MLflow would put the stack trace into its answer.
            _log.exception("a table of recipes could not be answered")
            raise _refused(f"this table could not be answered ({type(error).__name__})") from error
        return results.set_axis(table.index, axis=0)

    def _answers(self, table: pd.DataFrame, level: float, at_c: float | None) -> pd.DataFrame:
        batch = read_batch(table)
        if batch.findings:
            raise _refused(_complaint(batch.findings))
        if table.empty:
            raise _refused("the table holds no recipe")
        recipes = batch.table
        if at_c is not None:
            recipes[Column.MEASUREMENT_TEMPERATURE_C.value] = at_c
        parts = []
        for start in range(0, len(recipes), _AT_ONCE):
            part = recipes.iloc[start : start + _AT_ONCE]
            if self.worker is None:
                parts.append(self._part(part, level))
            else:
                parts.append(self.worker.submit(self._part, part, level).result())
        return pd.concat(parts)

    def _part(self, recipes: pd.DataFrame, level: float) -> pd.DataFrame:
        return self.model.predict(recipes, level=level)[[column.value for column in PREDICTION]]


def _table(model_input: Any) -> pd.DataFrame:
    """Return the input as a table, also what MLflow makes of ``inputs`` in JSON."""
    if isinstance(model_input, pd.DataFrame):
        return model_input
    try:
        return pd.DataFrame(model_input)
    except (ValueError, TypeError, AttributeError) as error:
        raise _refused(f"the input is not a table of recipes ({error})") from None


def _refused(message: str) -> MlflowException:
    return MlflowException(message, BAD_REQUEST, **{REASON: message})


def _complaint(findings: list[Finding]) -> str:
    named = "; ".join(f"row {finding.row + 1}: {finding.message}" for finding in findings[:_NAMED])
    rest = len(findings) - _NAMED
    return f"{named}; and {rest} more" if rest > 0 else named


set_model(RecipeModel())
