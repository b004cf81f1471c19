"""Authorization function for MLflow's basic-auth app that restricts the users of the shared server.

MLflow serves many routes that users of this package do not need, and every user who may register a version (EDIT
on the registered model) may also move every alias of the model. This module only restricts what MLflow permits:

- Users other than administrators may send only the requests of `_RULES`.
- Training does not include promoting. A trainer may set only the alias ``challenger`` of ``nasicon-recipe``. Every
  other alias, and every later change of a version or of the registered model (tags, name, stage), needs MANAGE on
  the model. A version may be registered with tags, except those that a promotion writes.
- The files and runs of registered versions are protected: only users who may promote can delete or rename runs,
  experiments, logged models and files, or change the run of a registered version.
- A logged model is written once: its files and status cannot be changed after it is finalized. Otherwise the
  champion could be replaced without a promotion.
- Only administrators choose the artifact location of an experiment, which could be inside that of another one.

Administrators have no such restrictions. ``authorization_function`` in basic_auth.ini names `authenticate`, and
the folder of this file must be on PYTHONPATH. Requests must be parsed here in the same way as by MLflow, which
needs parts of MLflow that are not public; therefore the module works with one version of MLflow only. Before an
upgrade run ``tests/server``, which also lists every route that MLflow serves.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import mlflow
from flask import Response, g, request
from mlflow.entities import LoggedModelStatus
from mlflow.exceptions import MlflowException
from mlflow.protos.model_registry_pb2 import CreateModelVersion, SetRegisteredModelAlias
from mlflow.protos.service_pb2 import CreateExperiment, CreatePresignedUploadUrl, FinalizeLoggedModel
from mlflow.server import auth, handlers
from mlflow.utils.uri import validate_path_is_safe
from werkzeug.datastructures import Authorization

TESTED = "3.17.2"
if mlflow.__version__ != TESTED:
    raise ImportError(f"promotion_guard is tested with MLflow {TESTED}, and this is {mlflow.__version__}")

MODEL, CHALLENGER = "nasicon-recipe", "challenger"
#: Version tags that a promotion or a rollback writes.
TAGS_OF_PROMOTIONS = {
    "promoted_over", "promoted_at", "promoted_by", "gate", "gate_report", "forced_reason", "rolled_back_at",
    "rolled_back_reason",
}  # fmt: skip

_FINISHED = "a finished model stays as it is"
Rule = tuple[str, str, Callable[[], str] | None]
_API = re.compile(r"/(?:ajax-)?api/\d+\.\d+(?=/)")


def authenticate() -> Authorization | Response:
    """Authenticate the user as MLflow does, and refuse requests that the rules do not permit."""
    authorization = auth.authenticate_request_basic_auth()
    # MLflow authenticates several times per request, also during the checks below.
    if isinstance(authorization, Response) or "is_guarded" in g:
        return authorization
    g.is_guarded = True
    refusal = _refusal()
    if refusal and not auth.store.get_user(authorization.username).is_admin:
        return _forbidden(refusal)
    return authorization


def _refusal() -> str:
    """Return why the request is refused to users other than administrators; empty if it is permitted."""
    rule = rule_of(request.method, request.path)
    if rule is None:
        return f"this server does not offer {request.method} {request.path[:100]}"
    check = rule[2]
    return check() if check else ""


def rule_of(method: str, path: str) -> Rule | None:
    """Return the first rule that matches a request; None if only administrators may send it."""
    prefix = _API.match(path)
    route = path[prefix.end() :] if prefix else path
    matching = (rule for rule in _RULES if method in rule[0].split() and re.fullmatch(rule[1], route))
    return next(matching, None)


def _check_alias() -> str:
    message = handlers._get_request_message(SetRegisteredModelAlias())
    if message.name != MODEL:
        return _unless_manager("set an alias")
    return "" if message.alias == CHALLENGER else _unless_manager(f"set another alias than {CHALLENGER}")


def _check_new_version() -> str:
    message = handlers._get_request_message(CreateModelVersion())
    reserved = sorted({tag.key.strip().casefold() for tag in message.tags} & TAGS_OF_PROMOTIONS)
    return _unless_manager(f"register a version with the tag {reserved[0]}") if reserved else ""


def _check_model_change() -> str:
    return _unless_manager("change a registered model or version")


def _check_deletion() -> str:
    return "" if _may_promote() else "to delete, rename or bring back takes a maintainer"


def _check_run_change() -> str:
    """Refuse to change the run of a registered version."""
    content = request.get_json(force=True, silent=True)
    fields = content if isinstance(content, dict) else {}
    run_ids = {str(fields.get(name) or "") for name in ("run_id", "run_uuid")} - {""}
    registry = handlers._get_model_registry_store()
    for run_id in run_ids:
        if not re.fullmatch(r"[0-9a-f]{32}", run_id):
            return "there is no such run"
        if registry.search_model_versions(f"run_id = '{run_id}'", max_results=1) and not _may_promote():
            return "the run of a registered version stays as it is"
    return "" if run_ids else "no run is named"


def _may_promote() -> bool:
    """Return whether the user has MANAGE on the registered model."""
    user = auth.store.get_user(auth.authenticate_request_basic_auth().username)
    return any(
        grant.resource_type == "registered_model"
        and grant.resource_pattern in {MODEL, "*"}
        and grant.permission == "MANAGE"
        for role in auth.store.list_user_roles(user.id)
        for grant in role.permissions
    )


def _check_new_experiment() -> str:
    location = handlers._get_request_message(CreateExperiment()).artifact_location
    return "only an administrator may say where an experiment keeps artifacts" if location else ""


def _check_finalization() -> str:
    # MLflow checks the model in the URL but changes that in the body: both must be pending.
    model_ids = {
        (request.view_args or {}).get("model_id", ""),
        handlers._get_request_message(FinalizeLoggedModel()).model_id,
    }
    return "" if all(map(_is_pending, model_ids - {""})) else _FINISHED


def _check_upload_url() -> str:
    model_id = handlers._get_request_message(CreatePresignedUploadUrl()).model_id
    return "" if not model_id or _is_pending(model_id) else _FINISHED


def _check_upload() -> str:
    """Refuse to write files of a finished model, whose paths are EXPERIMENT/models/MODEL_ID/..."""
    path = re.split(r"/mlflow-artifacts/(?:artifacts|mpu)/", request.path, maxsplit=1)[1]
    parts = [part for part in validate_path_is_safe(path).split("/") if part not in {"", "."}]
    if path.startswith(("create/", "complete/", "abort/")):  # multipart upload
        parts = parts[1:]
    if "models" not in parts[:2]:
        return ""
    model_id = "".join(parts[parts.index("models") + 1 :][:1])
    return "" if _is_pending(model_id) else _FINISHED


def _is_pending(model_id: str) -> bool:
    """Return whether a logged model exists and is not finalized."""
    try:
        return handlers._get_tracking_store().get_logged_model(model_id).status == LoggedModelStatus.PENDING
    except MlflowException:
        return False


def _unless_manager(action: str) -> str:
    return "" if auth.validate_can_manage_registered_model() else f"to {action} takes MANAGE on the model"


def _forbidden(reason: str) -> Response:
    body = json.dumps({"error_code": "PERMISSION_DENIED", "message": f"Permission denied: {reason}"})
    return Response(body, status=403, content_type="application/json")


#: Methods, pattern of the route without prefix and API version, and a check in addition to MLflow's own, if any.
#: The first matching rule decides; other requests are reserved for administrators.
_RULES: tuple[Rule, ...] = (
    # Reading, for every user; MLflow limits the responses to what the user may see.
    ("GET HEAD", r"/|/(static-files|build)/.*|/health|/version|/get-artifact|/model-versions/get-artifact", None),
    ("GET HEAD", r"/mlflow/(server-info|ui-telemetry|users/current(/permissions)?)", None),
    ("GET HEAD", r"/mlflow/experiments/(get|get-by-name|search)|/mlflow/runs/get", None),
    ("GET HEAD", r"/mlflow/metrics/get-history(-bulk|-bulk-interval)?|/mlflow/artifacts/list", None),
    ("GET HEAD", r"/mlflow/logged-models/[^/]+(/artifacts/(directories|files))?", None),
    ("GET HEAD", r"/mlflow/registered-models/(get|search|alias|get-latest-versions)", None),
    ("GET HEAD", r"/mlflow/model-versions/(get|search|get-download-uri)", None),
    ("GET HEAD", r"/mlflow-artifacts/(artifacts(/.*)?|presigned/.*)", None),
    ("POST", r"/graphql|/?mlflow/experiments/search(-datasets)?|/mlflow/(runs|logged-models)/search", None),
    ("POST", r"/mlflow/registered-models/get-latest-versions|/mlflow/artifacts/presigned-download-url", None),
    ("PATCH", r"/mlflow/users/update-password", None),
    # Writing during a training; MLflow requires EDIT.
    ("POST", r"/mlflow/experiments/create", _check_new_experiment),
    ("POST", r"/mlflow/experiments/set-experiment-tag|/mlflow/runs/create|/mlflow/logged-models", None),
    (
        "POST",
        r"/mlflow/runs/(log-(batch|inputs|metric|model|parameter)|outputs|(set|delete)-tag|update)",
        _check_run_change,
    ),
    ("POST", r"/mlflow/logged-models/[^/]+/params", None),
    ("PATCH", r"/mlflow/logged-models/[^/]+", _check_finalization),
    ("PATCH DELETE", r"/mlflow/logged-models/[^/]+/tags(/[^/]+)?", None),
    ("PUT", r"/mlflow-artifacts/artifacts/.+", _check_upload),
    ("POST", r"/mlflow-artifacts/mpu/(create|complete|abort)/.+", _check_upload),
    ("POST", r"/mlflow/artifacts/presigned-upload-url", _check_upload_url),
    ("POST", r"/mlflow/registered-models/create", None),
    ("POST", r"/mlflow/model-versions/create", _check_new_version),
    ("POST", r"/mlflow/registered-models/alias", _check_alias),
    # Changes reserved for users who may promote.
    (
        "POST",
        r"/mlflow/(registered-models/(rename|set-tag)|model-versions/(set-tag|transition-stage))",
        _check_model_change,
    ),
    ("PATCH", r"/mlflow/(registered-models|model-versions)/update", _check_model_change),
    (
        "DELETE",
        r"/mlflow/(registered-models/(alias|delete|delete-tag)|model-versions/delete(-tag)?)",
        _check_model_change,
    ),
    ("POST", r"/mlflow/runs/(delete|restore)|/mlflow/experiments/(delete|restore|update)", _check_deletion),
    ("POST", r"/mlflow/experiments/delete-experiment-tag", _check_deletion),
    ("DELETE", r"/mlflow/logged-models/[^/]+|/mlflow-artifacts/artifacts/.+", _check_deletion),
)
