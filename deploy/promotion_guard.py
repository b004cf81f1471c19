"""Who may promote: an authorization function for the basic-auth app of MLflow's server.

MLflow lets everybody who may register a version (EDIT on the registered model) also move every alias of the model.
Here training and promoting are two things. What MLflow allows is narrowed, never widened:

- The alias ``champion``, and every later change to a version or to the registered model (tags, name, stage), need
  MANAGE on the model: a rollback follows tags. A version gets its own tags when it is registered.
- A logged model is written once: when it is finished, its files and its status stay as they are. Otherwise the
  champion could be exchanged without promoting anything.
- Where an experiment keeps its artifacts is not for its maker to say: it could be among the files of another.

Administrators may do all of this. ``authorization_function`` in basic_auth.ini names `authenticate`; the folder of
this file has to be on PYTHONPATH. It is written for MLflow 3.17 and uses parts of it that are not public: after an
upgrade run ``tests/server``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from flask import Response, g, request
from mlflow.entities import LoggedModelStatus
from mlflow.exceptions import MlflowException
from mlflow.protos.model_registry_pb2 import SetRegisteredModelAlias
from mlflow.protos.service_pb2 import CreateExperiment, CreatePresignedUploadUrl, FinalizeLoggedModel
from mlflow.server import auth, handlers
from mlflow.utils.uri import validate_path_is_safe
from werkzeug.datastructures import Authorization

CHAMPION = "champion"

_CLOSED = "a finished model stays as it is"
_ONE_MODEL = re.compile(r"/mlflow/logged-models/[^/]+$")
_ARTIFACTS = ("/mlflow-artifacts/artifacts/", "/mlflow-artifacts/mpu/")


def authenticate() -> Authorization | Response:
    """Ask for user and password as MLflow does, and refuse what the guard keeps to few."""
    found = auth.authenticate_request_basic_auth()
    # MLflow asks several times in a request, also from within the checks below.
    if isinstance(found, Response) or "is_guarded" in g:
        return found
    g.is_guarded = True
    refusal = _refusal()
    if refusal and not auth.store.get_user(found.username).is_admin:
        return _forbidden(refusal)
    return found


def _refusal() -> str:
    """Say why this request is refused to whoever is not an administrator; empty where it is not."""
    for ending, check in _CHECKS.items():
        if request.method != "GET" and request.path.endswith(ending):
            return check()
    if request.method == "PATCH" and _ONE_MODEL.search(request.path):
        return _finishing()
    for beginning in _ARTIFACTS:
        _, found, path = request.path.partition(beginning)
        if found and request.method not in {"GET", "HEAD"}:
            return _writing(path)
    return ""


def _alias() -> str:
    message = handlers._get_request_message(SetRegisteredModelAlias())
    return _unless_manager(f"promote (set the alias {CHAMPION})") if _same(message.alias, CHAMPION) else ""


def _model() -> str:
    return _unless_manager("change a registered model or version")


def _experiment() -> str:
    chosen = handlers._get_request_message(CreateExperiment()).artifact_location
    return "only an administrator may say where an experiment keeps artifacts" if chosen else ""


def _finishing() -> str:
    # MLflow checks the model of the address and changes that of the body: both have to be open.
    named = {
        (request.view_args or {}).get("model_id", ""),
        handlers._get_request_message(FinalizeLoggedModel()).model_id,
    }
    return "" if all(map(_is_open, named - {""})) else _CLOSED


def _address() -> str:
    model_id = handlers._get_request_message(CreatePresignedUploadUrl()).model_id
    return "" if not model_id or _is_open(model_id) else _CLOSED


def _writing(path: str) -> str:
    """Refuse to write among the files of a finished model: EXPERIMENT/models/MODEL_ID/..."""
    steps = [step for step in validate_path_is_safe(path).split("/") if step not in {"", "."}]
    if path.startswith(("create/", "complete/", "abort/")):  # a file sent in parts
        steps = steps[1:]
    if "models" not in steps[:2]:
        return ""
    model_id = "".join(steps[steps.index("models") + 1 :][:1])
    return "" if _is_open(model_id) else _CLOSED


def _is_open(model_id: str) -> bool:
    """Whether a logged model is still being written; one that is not there is not."""
    try:
        return handlers._get_tracking_store().get_logged_model(model_id).status == LoggedModelStatus.PENDING
    except MlflowException:
        return False


def _unless_manager(deed: str) -> str:
    return "" if auth.validate_can_manage_registered_model() else f"to {deed} takes MANAGE on the model"


def _same(text: str, name: str) -> bool:
    return text.strip().casefold() == name


def _forbidden(reason: str) -> Response:
    body = json.dumps({"error_code": "PERMISSION_DENIED", "message": f"Permission denied: {reason}"})
    return Response(body, status=403, content_type="application/json")


#: Ends of addresses, under api/2.0 as well as ajax-api/2.0, and what is asked there.
_CHECKS: dict[str, Callable[[], str]] = {
    "/mlflow/registered-models/alias": _alias,
    "/mlflow/registered-models/rename": _model,
    "/mlflow/registered-models/update": _model,
    "/mlflow/registered-models/set-tag": _model,
    "/mlflow/registered-models/delete-tag": _model,
    "/mlflow/model-versions/set-tag": _model,
    "/mlflow/model-versions/update": _model,
    "/mlflow/model-versions/transition-stage": _model,
    "/mlflow/experiments/create": _experiment,
    "/mlflow/artifacts/presigned-upload-url": _address,
}
