"""Permissions of users on the shared server, which enforces them for every client and reports them clearly."""

import json
import re

import pytest

from tests.server.conftest import ROLES
from tests.server.site import ADMIN, BIN, PROXY

pytestmark = pytest.mark.slow

API = "/api/2.0/mlflow"
FORBIDDEN, UNAUTHORIZED, OK = 403, 401, 200
NO_PERMISSION = "you have no permission for this; ask whoever runs the server"


def assert_rejected(completed, message):
    """Check that a command exited with code 2 and printed a one-line error message only."""
    assert (completed.returncode, completed.stdout) == (2, "")
    assert re.fullmatch(r"error: [^\n]+\n", completed.stderr), completed.stderr
    assert message in completed.stderr


# ------------------------------------------------------------------ commands of nasicon-ml


@pytest.mark.parametrize("command", [("promote", "1", "--force", "--reason", "because"), ("rollback",)])
@pytest.mark.parametrize("user", ["trainer", "reader"])
def test_only_maintainers_can_promote_or_roll_back(server, champion, user, command):
    before = server.registered_model(), server.model_version("1"), server.model_version(champion)
    assert_rejected(server.nasicon_ml("registry", *command, user=user), NO_PERMISSION)
    assert (server.registered_model(), server.model_version("1"), server.model_version(champion)) == before


def test_reader_cannot_train_or_register(server, champion, small_dataset, bundle):
    before = server.registered_model()
    training = server.nasicon_ml("train", "--dataset", small_dataset, "--folds", "2", user="reader")
    assert (training.returncode, training.stdout) == (2, "")
    assert NO_PERMISSION in training.stderr.splitlines()[-1]
    assert_rejected(server.nasicon_ml("registry", "import", bundle, user="reader"), NO_PERMISSION)
    assert server.registered_model() == before


COMMANDS = {
    "list": ("registry", "list"),
    "show": ("registry", "show", "champion"),
    "export": ("registry", "export", "champion", "stolen"),
    "predict": ("predict", "--formula", "LATP x=0.3", "--model", "models:/nasicon-recipe@champion"),
    "promote": ("registry", "promote"),
    "train": ("train", "--folds", "2"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_command_with_unknown_login_exits_with_code_2(server, champion, command, unknown_user):
    completed = server.nasicon_ml(*COMMANDS[command], user=unknown_user)
    lines = completed.stderr.splitlines()
    assert (completed.returncode, completed.stdout) == (2, "")
    assert lines[-1].startswith(
        f"error: {server.uri}: the server does not know the user {unknown_user!r} with this password"
    )
    assert "Traceback" not in completed.stderr
    assert not (server.folder / "stolen").exists()


@pytest.mark.parametrize("command", ["list", "export", "predict", "train"])
def test_command_without_login_exits_with_code_2(server, champion, command):
    completed = server.nasicon_ml(*COMMANDS[command], user=None)
    assert (completed.returncode, completed.stdout) == (2, "")
    assert completed.stderr.splitlines()[-1].startswith(
        f"error: {server.uri}: the server wants a user and a password: set"
    )
    assert not (server.folder / "stolen").exists()


def test_passwords_are_in_no_output_and_not_in_the_server_log(server, champion, unknown_user):
    runs = [server.run(BIN / "nasicon-ml", "registry", "rollback", user=unknown_user)]
    runs += [server.nasicon_ml("registry", "rollback", user=user) for user in ("trainer", unknown_user)]
    runs += [server.access("list", user=user) for user in ("trainer", unknown_user)]
    assert {run.returncode for run in runs} == {2}
    output = "".join(run.stdout + run.stderr for run in runs)
    output += (server.folder / "server.log").read_text()
    assert server.uri in output
    assert [secret for secret in server.all_passwords() if secret in output] == []


# ------------------------------------------------------------------ requests over HTTP


def artifact(model_id, name="artifacts/bundle/manifest.json", api="/api/2.0"):
    return f"{api}/mlflow-artifacts/artifacts/1/models/{model_id}/artifacts/{name}"


READ_ROUTES = {
    "model": f"{API}/registered-models/get?name=nasicon-recipe",
    "champion": f"{API}/registered-models/alias?name=nasicon-recipe&alias=champion",
    "versions": f"{API}/model-versions/search",
    "experiments": f"{API}/experiments/search?max_results=5",
    "artifacts": "/api/2.0/mlflow-artifacts/artifacts?path=1",
    "page": "/",
}


@pytest.mark.parametrize("route", READ_ROUTES)
def test_only_users_with_valid_login_can_read(server, champion, route, unknown_user):
    for user, expected in {**dict.fromkeys(ROLES, OK), unknown_user: UNAUTHORIZED, None: UNAUTHORIZED}.items():
        status, body = server.request(READ_ROUTES[route], user=user)
        assert status == expected, (user, body)
    assert "nasicon" not in body.decode().lower()


def test_only_users_with_valid_login_can_download_artifacts(server, first_version, champion, unknown_user):
    path = artifact(first_version["model_id"])
    assert [server.request(path, user=user)[0] for user in ("reader", unknown_user, None)] == [
        OK,
        UNAUTHORIZED,
        UNAUTHORIZED,
    ]


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"Host": PROXY}, True),
        ({"Host": "elsewhere.example.org"}, False),
        ({"Host": PROXY, "Origin": f"https://{PROXY}"}, True),
        ({"Host": PROXY, "Origin": "https://elsewhere.example.org"}, False),
    ],
)
def test_only_allowed_hosts_and_origins_get_a_response(server, headers, allowed):
    body = {"max_results": 1}
    status, response = server.request(
        "/ajax-api/2.0/mlflow/experiments/search", body, user="reader", headers=headers
    )
    assert (status == OK) is allowed, response
    assert (b"nasicon" in response) is allowed


def guarded_requests(first_version):
    """Return requests that MLflow's EDIT permission allows a trainer but the guard forbids: method, path, body."""
    name, model_id = {"name": "nasicon-recipe"}, first_version["model_id"]
    file = artifact(model_id)
    versions, models = f"{API}/model-versions", f"{API}/registered-models"
    tag = {"key": "promoted_over", "value": "1"}
    return {
        "promote": ("POST", f"{models}/alias", name | {"alias": "champion", "version": "1"}),
        "promote by the AJAX API": (
            "POST", "/ajax-api/2.0/mlflow/registered-models/alias", name | {"alias": "champion", "version": "1"},
        ),
        "champion in another case": ("POST", f"{models}/alias", name | {"alias": "Champion", "version": "1"}),
        **{
            f"alias {alias!r}": ("POST", f"{models}/alias", name | {"alias": alias, "version": "1"})
            for alias in ("1", "01", "latest", "candidate", "champ\u0131on", "\uff43hampion", "Challenger", "")
        },
        "tag of champions": ("POST", f"{models}/set-tag", name | {"key": "champions", "value": '["1", "2"]'}),
        "rename the model": ("POST", f"{models}/rename", name | {"new_name": "mine"}),
        "description of the model": ("PATCH", f"{models}/update", name | {"description": "x"}),
        "tag of the model": ("POST", f"{models}/set-tag", name | tag),
        "tag of a version": ("POST", f"{versions}/set-tag", name | tag | {"version": "1"}),
        "description of a version": ("PATCH", f"{versions}/update", name | {"version": "1", "description": "x"}),
        "stage": ("POST", f"{versions}/transition-stage", name | {"version": "1", "stage": "Production"}),
        "experiment with the artifact location of the model": ("POST", f"{API}/experiments/create", {
            "name": "mine", "artifact_location": f"mlflow-artifacts:/1/models/{model_id}"}),
        "status": ("PATCH", f"{API}/logged-models/{model_id}", {"model_id": model_id, "status": 1}),
        "file of the model": ("PUT", file, b"{}"),
        "file by the AJAX API": ("PUT", artifact(model_id, api="/ajax-api/2.0"), b"{}"),
        "file, path not normalized": ("PUT", file.replace("/models/", "//.//models//"), b"{}"),
        "file, path percent-encoded": ("PUT", file.replace("/models/", "/%6Dodels%2F"), b"{}"),
        "file, path percent-encoded twice": ("PUT", file.replace("/models/", "/%256Dodels/"), b"{}"),
        "additional file": ("PUT", artifact(model_id, "artifacts/bundle/more.json"), b"{}"),
        "multipart upload": (
            "POST", file.replace("artifacts/artifacts", "artifacts/mpu/create", 1), {"path": "x", "num_parts": 1},
        ),
        "presigned upload URL": (
            "POST", f"{API}/artifacts/presigned-upload-url", {"model_id": model_id, "path": "x"},
        ),
    }  # fmt: skip


MLFLOW_FORBIDDEN = {
    "delete the alias": ("DELETE", f"{API}/registered-models/alias", {"alias": "champion"}),
    "delete a version": ("DELETE", f"{API}/model-versions/delete", {"version": "1"}),
    "delete the model": ("DELETE", f"{API}/registered-models/delete", {}),
    "delete a tag": ("DELETE", f"{API}/model-versions/delete-tag", {"version": "1", "key": "promoted_over"}),
}


def state(server, first_version):
    """Return everything that defines the champion and the previous version."""
    folder = next(path for path in server.artifacts.rglob(first_version["model_id"]) if path.is_dir())
    files = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert files
    status, body = server.request(f"{API}/logged-models/{first_version['model_id']}", user=ADMIN)
    assert status == OK
    return server.registered_model(), server.model_version("1"), server.model_version("2"), files, json.loads(body)


@pytest.mark.parametrize("case", [*guarded_requests({"model_id": "m-0"}), *MLFLOW_FORBIDDEN])
def test_trainer_cannot_change_the_champion_over_http(server, first_version, champion, case):
    method, path, body = guarded_requests(first_version).get(case) or MLFLOW_FORBIDDEN[case]
    if case in MLFLOW_FORBIDDEN:
        body = body | {"name": "nasicon-recipe"}
    before = state(server, first_version)
    status, response = server.request(path, body, user="trainer", method=method)
    assert status in ({FORBIDDEN, 400} if case.startswith("file, ") else {FORBIDDEN}), response
    assert state(server, first_version) == before


PROMOTION_TAGS = [
    "gate",
    "promoted_by",
    "promoted_over",
    "promoted_at",
    "rolled_back_at",
    "forced_reason",
    " Gate ",
]


@pytest.mark.parametrize("key", PROMOTION_TAGS)
def test_trainer_cannot_register_a_version_with_promotion_tags(server, first_version, champion, key):
    before = server.registered_model()
    body = {
        "name": "nasicon-recipe", "source": f"models:/{first_version['model_id']}",
        "run_id": first_version["run_id"],
        "tags": [{"key": "protocol", "value": "x"}, {"key": key, "value": "passed"}],
    }  # fmt: skip
    assert server.request(f"{API}/model-versions/create", body, user="trainer")[0] == FORBIDDEN
    assert server.registered_model() == before


@pytest.fixture(scope="module")
def trainer_version(server, champion):
    """An experiment, a run, a logged model with a file, and a version of it, all created by the trainer."""
    experiment_id = post_as_trainer(server, "experiments/create", {"name": "an experiment of the trainer"})[
        "experiment_id"
    ]
    run = post_as_trainer(server, "runs/create", {"experiment_id": experiment_id})["run"]["info"]["run_id"]
    model = post_as_trainer(
        server, "logged-models", {"experiment_id": experiment_id, "name": "m", "source_run_id": run}
    )["model"]["info"]
    folder = f"/api/2.0/mlflow-artifacts/artifacts/{experiment_id}/models/{model['model_id']}"
    assert server.request(f"{folder}/artifacts/notes.txt", b"one", user="trainer", method="PUT")[0] == OK
    finished = {"model_id": model["model_id"], "status": 2}
    path = f"{API}/logged-models/{model['model_id']}"
    assert server.request(path, finished, user="trainer", method="PATCH")[0] == OK
    post_as_trainer(server, "runs/update", {"run_id": run, "status": "FINISHED"})
    source = {"source": f"models:/{model['model_id']}", "model_id": model["model_id"], "run_id": run}
    version = {"name": "nasicon-recipe"} | source
    number = post_as_trainer(server, "model-versions/create", version)["model_version"]["version"]
    yield {
        "experiment": experiment_id,
        "run": run,
        "model": model["model_id"],
        "folder": folder,
        "version": number,
    }
    to_delete = {"name": "nasicon-recipe", "version": number}
    assert server.request(f"{API}/model-versions/delete", to_delete, user="maintainer", method="DELETE")[0] == OK


def post_as_trainer(server, path, body):
    status, response = server.request(f"{API}/{path}", body, user="trainer")
    assert status == OK, response
    return json.loads(response)


RUN, LOG = {"run_id": "{run}"}, {"key": "a", "value": 1, "timestamp": 1}
EXPERIMENT = {"experiment_id": "{experiment}"}
BREAKING_REQUESTS = {
    "delete the run": ("POST", f"{API}/runs/delete", {"run_id": "{run}"}),
    "status of the run": ("POST", f"{API}/runs/update", {"run_id": "{run}", "status": "FAILED"}),
    "status of the run by run_uuid": ("POST", f"{API}/runs/update", {"run_uuid": "{run}", "status": "FAILED"}),
    "tag of the run": ("POST", f"{API}/runs/set-tag", RUN | {"key": "a", "value": "b"}),
    "metric of the run": ("POST", f"{API}/runs/log-metric", RUN | LOG),
    "delete the experiment": ("POST", f"{API}/experiments/delete", {"experiment_id": "{experiment}"}),
    "delete the experiment by the AJAX API": ("POST", "/ajax-api/2.0/mlflow/experiments/delete", EXPERIMENT),
    "rename the experiment": ("POST", f"{API}/experiments/update", EXPERIMENT | {"new_name": "x"}),
    "rename the shared experiment": ("POST", f"{API}/experiments/update", {"experiment_id": "1", "new_name": "x"}),
    "delete the logged model": ("DELETE", f"{API}/logged-models/{{model}}", None),
    "delete the file": ("DELETE", "{folder}/artifacts/notes.txt", None),
    "delete the folder": ("DELETE", "{folder}", None),
    "delete the parent folder": ("DELETE", "/api/2.0/mlflow-artifacts/artifacts/{experiment}", None),
    "delete all artifacts": ("DELETE", "/api/2.0/mlflow-artifacts/artifacts/.", None),
    "delete the folder by the AJAX API": ("DELETE", "/ajax-api/2.0/mlflow-artifacts/artifacts/{experiment}", None),
}  # fmt: skip


@pytest.mark.parametrize("case", BREAKING_REQUESTS)
def test_trainer_cannot_change_run_experiment_or_files_of_a_version(server, trainer_version, case):
    method, path, body = BREAKING_REQUESTS[case]
    sent = None if body is None else {key: value.format(**trainer_version) if isinstance(value, str) else value
                                      for key, value in body.items()}  # fmt: skip
    status, response = server.request(path.format(**trainer_version), sent, user="trainer", method=method)
    assert status in {FORBIDDEN, 400}, response
    run = json.loads(server.request(f"{API}/runs/get?run_id={trainer_version['run']}", user=ADMIN)[1])["run"]
    assert (run["info"]["status"], run["info"]["lifecycle_stage"]) == ("FINISHED", "active")
    assert server.request(f"{trainer_version['folder']}/artifacts/notes.txt", user="reader") == (OK, b"one")
    experiment = json.loads(
        server.request(f"{API}/experiments/get?experiment_id={trainer_version['experiment']}", user=ADMIN)[1]
    )
    assert experiment["experiment"]["name"] == "an experiment of the trainer"


def test_only_the_version_with_a_deleted_run_is_listed_as_unusable(server, trainer_version):
    run = {"run_id": trainer_version["run"]}
    assert server.request(f"{API}/runs/delete", run, user=ADMIN)[0] == OK
    try:
        completed = server.nasicon_ml("registry", "list", "--json", user="maintainer")
        usable = {version["version"]: version["usable"] for version in json.loads(completed.stdout)}
        assert usable.pop(trainer_version["version"]) is False
        assert usable
        assert all(usable.values())
    finally:
        assert server.request(f"{API}/runs/restore", run, user=ADMIN)[0] == OK


def test_version_from_another_experiment_cannot_be_promoted(server, champion, bundle):
    completed = server.nasicon_ml(
        "registry", "import", bundle, "--experiment", "on the side", "--json", user="trainer"
    )
    assert completed.returncode == 0, completed.stderr
    version = {"name": "nasicon-recipe", "version": json.loads(completed.stdout)["version"]}
    try:
        promotion = server.nasicon_ml(
            "registry", "promote", version["version"], "--force", "--reason", "a test", user="maintainer"
        )
        assert_rejected(promotion, "comes from the experiment 'on the side', and on a server only versions of")
        assert server.aliases()["champion"] == champion
    finally:
        assert server.request(f"{API}/model-versions/delete", version, user="maintainer", method="DELETE")[0] == OK


ADMINISTRATOR_ROUTES = [
    ("GET", "/ajax-api/3.0/mlflow/assistant/config"), ("POST", "/ajax-api/3.0/mlflow/assistant/message"),
    ("POST", "/ajax-api/3.0/mlflow/assistant/skills/install"), ("PUT", "/ajax-api/3.0/mlflow/assistant/config"),
    ("POST", "/ajax-api/3.0/mlflow/demo/generate"), ("POST", "/api/3.0/mlflow/gateway/secrets/create"),
    ("GET", "/ajax-api/3.0/mlflow/gateway/endpoints/list"), ("POST", "/gateway/anything/invocations"),
    ("GET", "/ajax-api/2.0/mlflow/gateway-proxy"), ("POST", "/api/2.0/mlflow/webhooks"),
    ("GET", "/api/3.0/mlflow/webhooks"), ("POST", "/v1/traces"), ("POST", "/ajax-api/3.0/jobs/"),
    ("POST", "/api/3.0/mlflow/scorers/register"), ("GET", "/api/2.0/mlflow/users/list"),
    ("POST", "/ajax-api/2.0/mlflow/upload-artifact"), ("GET", "/signup"), ("PUT", "/"),
    ("GET", "/what/the/next/release/brings"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), ADMINISTRATOR_ROUTES)
@pytest.mark.parametrize("user", ["reader", "trainer", "maintainer"])
def test_administrator_routes_are_refused_to_all_roles(server, user, method, path):
    forged_headers = {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1"}
    body = None if method == "GET" else {}
    status, response = server.request(path, body, user=user, method=method, headers=forged_headers)
    assert status in {FORBIDDEN, 404, 405}, response


def test_model_id_in_the_body_must_match_the_path(server, first_version, champion):
    status, body = server.request(
        f"{API}/logged-models", {"experiment_id": "1", "name": "draft"}, user="trainer", method="POST"
    )
    assert status == OK, body
    draft = json.loads(body)["model"]["info"]["model_id"]
    before = state(server, first_version)
    path = f"{API}/logged-models/{draft}"
    assert (
        server.request(
            path,
            {"model_id": first_version["model_id"], "status": 1},
            user="trainer",
            method="PATCH",
        )[0]
        == FORBIDDEN
    )
    assert state(server, first_version) == before
    # The trainer can add files to the draft and finish it once.
    file = f"/api/2.0/mlflow-artifacts/artifacts/1/models/{draft}/artifacts/notes.txt"
    assert server.request(file, b"one", user="trainer", method="PUT")[0] == OK
    assert server.request(path, {"model_id": draft, "status": 2}, user="trainer", method="PATCH")[0] == OK
    assert server.request(file, b"two", user="trainer", method="PUT")[0] == FORBIDDEN
    assert server.request(file, user="reader") == (OK, b"one")


def test_trainer_can_set_challenger_and_create_experiments_and_models(server, champion):
    alias = {"name": "nasicon-recipe", "alias": "challenger", "version": "1"}
    assert server.request(f"{API}/registered-models/alias", alias, user="trainer")[0] == OK
    assert server.request(f"{API}/registered-models/alias", alias, user="trainer", method="DELETE")[0] == FORBIDDEN
    assert server.request(f"{API}/registered-models/alias", alias, user="maintainer", method="DELETE")[0] == OK
    assert server.request(f"{API}/experiments/create", {"name": "the trainer's own"}, user="trainer")[0] == OK
    model = {"name": "own-model"}
    assert server.request(f"{API}/registered-models/create", model, user="trainer")[0] == OK
    assert (
        server.request(f"{API}/registered-models/set-tag", model | {"key": "a", "value": "b"}, user="trainer")[0]
        == OK
    )
    assert server.request(f"{API}/registered-models/delete", model, user="trainer", method="DELETE")[0] == OK


def test_maintainer_can_change_tags_and_the_champion_alias(server, champion):
    tag = {"name": "nasicon-recipe", "version": champion, "key": "checked", "value": "yes"}
    assert server.request(f"{API}/model-versions/set-tag", tag, user="maintainer")[0] == OK
    alias = {"name": "nasicon-recipe", "alias": "champion", "version": champion}
    assert server.request(f"{API}/registered-models/alias", alias, user="maintainer")[0] == OK
    deleted_tag = {"name": "nasicon-recipe", "version": champion, "key": "checked"}
    assert (
        server.request(f"{API}/model-versions/delete-tag", deleted_tag, user="maintainer", method="DELETE")[0]
        == OK
    )


# ------------------------------------------------------------------ deploy/access.py


def test_access_adds_users_changes_roles_and_passwords_and_removes_users(server, champion):
    alias = {"name": "nasicon-recipe", "alias": "challenger", "version": "1"}

    def may_edit():
        return server.request(f"{API}/registered-models/alias", alias, user="guest")[0] == OK

    assert server.add_user("guest", "trainer").stdout == "guest: trainer\n"
    assert may_edit()
    assert server.access("role", "guest", "reader").stdout == "guest: reader\n"
    assert not may_edit()
    assert server.access("role", "guest", "maintainer").stdout == "guest: maintainer\n"
    assert may_edit()
    assert "guest: maintainer\nmaintainer: maintainer" in server.access("list").stdout
    new = "another password"
    assert server.access("password", "guest", stdin=f"{new}\n").stdout == "guest has a new password\n"
    server.passwords["guest"] = new
    assert may_edit()
    assert server.request(f"{API}/registered-models/alias", alias, user="guest", method="DELETE")[0] == OK
    assert server.access("remove", "guest").stdout == "guest is removed\n"
    assert server.request(READ_ROUTES["model"], user="guest")[0] == UNAUTHORIZED
    assert server.access("setup").returncode == 0


@pytest.mark.parametrize("user", ["trainer", "maintainer"])
def test_only_the_administrator_can_add_users(server, user):
    completed = server.access("add", "friend", "maintainer", stdin="a password of theirs\n", user=user)
    assert (completed.returncode, completed.stdout) == (2, "")
    assert re.fullmatch(r"error: [^\n]+\n", completed.stderr)
    assert "friend" not in server.access("list").stdout


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (("add", "reader", "trainer"), "a password of mine\n", "already exists"),
        (("add", "short", "reader"), "x\n", "assword"),
        (("role", "nobody", "trainer"), "", "nobody"),
    ],
)
def test_invalid_access_command_exits_with_code_2_and_changes_nothing(server, arguments, stdin, message):
    completed = server.access(*arguments, stdin=stdin)
    assert (completed.returncode, completed.stdout) == (2, "")
    assert re.fullmatch(r"error: [^\n]+\n", completed.stderr)
    assert message in completed.stderr
    assert server.access("show", "reader").stdout == "reader: reader\n"
