"""What each user of the shared server may do: an authorization function for MLflow's basic-auth app.

MLflow offers much that a group of this package has no use for, and more with every release; and it lets everybody
who may register a version (EDIT on the registered model) also move every alias of the model. What MLflow allows is
narrowed here, never widened:

- Who is no administrator may send the requests of `_RULES` and no others.
- Training and promoting are two things. A trainer sets one alias of ``nasicon-recipe``, ``challenger``. Every
  other alias, and every later change to a version or to the registered model (tags, name, stage), needs MANAGE on
  the model. A version gets its own tags when it is registered, none of those that a promotion writes.
- What a registered version needs stays: only who may promote deletes or renames runs, experiments, logged models
  and files, or changes a run that a version names.
- A logged model is written once: when it is finished, its files and its status stay as they are. Otherwise the
  champion could be exchanged without promoting anything.
- Where an experiment keeps its artifacts is not for its maker to say: it could be among the files of another.

Administrators may do all of this. ``authorization_function`` in basic_auth.ini names `authenticate`; the folder of
this file has to be on PYTHONPATH. It uses parts of MLflow that are not public, because a request has to be read
here as MLflow reads it; so it starts with one version of MLflow only. Before an upgrade run ``tests/server``,
which also lists every address that MLflow serves.
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
#: Tags of a version that a promotion or a rollback writes.
TAGS_OF_PROMOTIONS = {
    "promoted_over", "promoted_at", "promoted_by", "gate", "gate_report", "forced_reason", "rolled_back_at",
    "rolled_back_reason",
}  # fmt: skip

_CLOSED = "a finished model stays as it is"
Rule = tuple[str, str, Callable[[], str] | None]
_API = re.compile(r"/(?:ajax-)?api/\d+\.\d+(?=/)")


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
    rule = rule_of(request.method, request.path)
    if rule is None:
        return f"this server does not offer {request.method} {request.path[:100]}"
    check = rule[2]
    return check() if check else ""


def rule_of(method: str, path: str) -> Rule | None:
    """Find the rule for a request; None where it is for administrators alone."""
    matched = _API.match(path)
    address = path[matched.end() :] if matched else path
    fitting = (rule for rule in _RULES if method in rule[0].split() and re.fullmatch(rule[1], address))
    return next(fitting, None)


def _alias() -> str:
    message = handlers._get_request_message(SetRegisteredModelAlias())
    if message.name != MODEL:
        return _unless_manager("set an alias")
    return "" if message.alias == CHALLENGER else _unless_manager(f"set another alias than {CHALLENGER}")


def _new_version() -> str:
    message = handlers._get_request_message(CreateModelVersion())
    taken = sorted({tag.key.strip().casefold() for tag in message.tags} & TAGS_OF_PROMOTIONS)
    return _unless_manager(f"register a version with the tag {taken[0]}") if taken else ""


def _model() -> str:
    return _unless_manager("change a registered model or version")


def _keeper() -> str:
    return "" if _may_promote() else "to delete, rename or bring back takes a maintainer"


def _run() -> str:
    """Refuse to change a run that a registered version names."""
    sent = request.get_json(force=True, silent=True)
    named = {str(sent.get(name) or "") for name in ("run_id", "run_uuid")} if isinstance(sent, dict) else {""}
    registry = handlers._get_model_registry_store()
    for run_id in named - {""}:
        if not re.fullmatch(r"[0-9a-f]{32}", run_id):
            return "there is no such run"
        if registry.search_model_versions(f"run_id = '{run_id}'", max_results=1) and not _may_promote():
            return "the run of a registered version stays as it is"
    return "" if named - {""} else "no run is named"


def _may_promote() -> bool:
    """Whether the user has MANAGE on the registered model."""
    user = auth.store.get_user(auth.authenticate_request_basic_auth().username)
    return any(
        held.resource_type == "registered_model"
        and held.resource_pattern in {MODEL, "*"}
        and held.permission == "MANAGE"
        for role in auth.store.list_user_roles(user.id)
        for held in role.permissions
    )


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


def _writing() -> str:
    """Refuse to write among the files of a finished model: EXPERIMENT/models/MODEL_ID/..."""
    path = re.split(r"/mlflow-artifacts/(?:artifacts|mpu)/", request.path, maxsplit=1)[1]
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


def _forbidden(reason: str) -> Response:
    body = json.dumps({"error_code": "PERMISSION_DENIED", "message": f"Permission denied: {reason}"})
    return Response(body, status=403, content_type="application/json")


#: Methods, address without the version of the interface, and what is asked where MLflow's own check is not enough.
#: The first rule that fits decides; what none fits is for administrators.
_RULES: tuple[Rule, ...] = (
    # What every user reads. MLflow shows each of them what the user may see.
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
    # What a training writes: MLflow asks for EDIT.
    ("POST", r"/mlflow/experiments/create", _experiment),
    ("POST", r"/mlflow/experiments/set-experiment-tag|/mlflow/runs/create|/mlflow/logged-models", None),
    ("POST", r"/mlflow/runs/(log-(batch|inputs|metric|model|parameter)|outputs|(set|delete)-tag|update)", _run),
    ("POST", r"/mlflow/logged-models/[^/]+/params", None),
    ("PATCH", r"/mlflow/logged-models/[^/]+", _finishing),
    ("PATCH DELETE", r"/mlflow/logged-models/[^/]+/tags(/[^/]+)?", None),
    ("PUT", r"/mlflow-artifacts/artifacts/.+", _writing),
    ("POST", r"/mlflow-artifacts/mpu/(create|complete|abort)/.+", _writing),
    ("POST", r"/mlflow/artifacts/presigned-upload-url", _address),
    ("POST", r"/mlflow/registered-models/create", None),
    ("POST", r"/mlflow/model-versions/create", _new_version),
    ("POST", r"/mlflow/registered-models/alias", _alias),
    # What is for those who may promote.
    ("POST", r"/mlflow/(registered-models/(rename|set-tag)|model-versions/(set-tag|transition-stage))", _model),
    ("PATCH", r"/mlflow/(registered-models|model-versions)/update", _model),
    ("DELETE", r"/mlflow/(registered-models/(alias|delete|delete-tag)|model-versions/delete(-tag)?)", _model),
    ("POST", r"/mlflow/runs/(delete|restore)|/mlflow/experiments/(delete|restore|update)", _keeper),
    ("POST", r"/mlflow/experiments/delete-experiment-tag", _keeper),
    ("DELETE", r"/mlflow/logged-models/[^/]+|/mlflow-artifacts/artifacts/.+", _keeper),
)
