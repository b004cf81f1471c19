"""Who may do what on the shared server: enforced by the server, whatever program asks, and told in plain words."""

import json
import re

import pytest

from tests.server.conftest import ROLES
from tests.server.site import ADMIN, BIN, PROXY

pytestmark = pytest.mark.slow

API = "/api/2.0/mlflow"
FORBIDDEN, UNKNOWN, DONE = 403, 401, 200
NO_PERMISSION = "you have no permission for this; ask whoever runs the server"


def refused(done, message):
    """Whether a program of ours ended with exit code 2, one sentence and nothing else."""
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"error: [^\n]+\n", done.stderr), done.stderr
    assert message in done.stderr
    return True


# ------------------------------------------------------------------ people, with our programs


@pytest.mark.parametrize("verb", [("promote", "1", "--force", "--reason", "because"), ("rollback",)])
@pytest.mark.parametrize("user", ["trainer", "reader"])
def test_who_is_no_maintainer_can_neither_promote_nor_roll_back(site, champion, user, verb):
    before = site.model(), site.version("1"), site.version(champion)
    assert refused(site.nasicon("registry", *verb, user=user), NO_PERMISSION)
    assert (site.model(), site.version("1"), site.version(champion)) == before


def test_a_reader_can_neither_train_nor_register(site, champion, small_dataset, bundle):
    before = site.model()
    training = site.nasicon("train", "--dataset", small_dataset, "--folds", "2", user="reader")
    assert (training.returncode, training.stdout) == (2, "")
    assert NO_PERMISSION in training.stderr.splitlines()[-1]
    assert refused(site.nasicon("registry", "import", bundle, user="reader"), NO_PERMISSION)
    assert site.model() == before


COMMANDS = {
    "list": ("registry", "list"),
    "show": ("registry", "show", "champion"),
    "export": ("registry", "export", "champion", "stolen"),
    "predict": ("predict", "--formula", "LATP x=0.3", "--model", "models:/nasicon-recipe@champion"),
    "promote": ("registry", "promote"),
    "train": ("train", "--folds", "2"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_password_reads_nothing(site, champion, command, wrong):
    done = site.nasicon(*COMMANDS[command], user=wrong)
    lines = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "")
    assert lines[-1].startswith(
        f"error: {site.uri}: the server does not know the user {wrong!r} with this password"
    )
    assert "Traceback" not in done.stderr
    assert not (site.folder / "stolen").exists()


@pytest.mark.parametrize("command", ["list", "export", "predict", "train"])
def test_nobody_reads_nothing(site, champion, command):
    done = site.nasicon(*COMMANDS[command], user=None)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith(
        f"error: {site.uri}: the server wants a user and a password: set"
    )
    assert not (site.folder / "stolen").exists()


def test_no_output_and_no_log_holds_a_password(site, champion, wrong):
    tried = [site.run(BIN / "nasicon-ml", "registry", "rollback", user=wrong)]
    tried += [site.nasicon("registry", "rollback", user=user) for user in ("trainer", wrong)]
    tried += [site.access("list", user=user) for user in ("trainer", wrong)]
    assert {done.returncode for done in tried} == {2}
    said = "".join(done.stdout + done.stderr for done in tried)
    said += (site.folder / "server.log").read_text()
    assert site.uri in said
    assert [secret for secret in site.secrets() if secret in said] == []


# ------------------------------------------------------------------ anything else, over HTTP


def artifact(model_id, name="artifacts/bundle/manifest.json", api="/api/2.0"):
    return f"{api}/mlflow-artifacts/artifacts/1/models/{model_id}/artifacts/{name}"


READ = {
    "model": f"{API}/registered-models/get?name=nasicon-recipe",
    "champion": f"{API}/registered-models/alias?name=nasicon-recipe&alias=champion",
    "versions": f"{API}/model-versions/search",
    "experiments": f"{API}/experiments/search?max_results=5",
    "artifacts": "/api/2.0/mlflow-artifacts/artifacts?path=1",
    "page": "/",
}


@pytest.mark.parametrize("what", READ)
def test_only_who_is_known_reads(site, champion, what, wrong):
    for user, status in {**dict.fromkeys(ROLES, DONE), wrong: UNKNOWN, None: UNKNOWN}.items():
        found, body = site.ask(READ[what], user=user)
        assert found == status, (user, body)
    assert "nasicon" not in body.decode().lower()


def test_only_who_is_known_reads_a_file(site, first, champion, wrong):
    path = artifact(first["model_id"])
    assert [site.ask(path, user=user)[0] for user in ("reader", wrong, None)] == [DONE, UNKNOWN, UNKNOWN]


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"Host": PROXY}, True),
        ({"Host": "elsewhere.example.org"}, False),
        ({"Host": PROXY, "Origin": f"https://{PROXY}"}, True),
        ({"Host": PROXY, "Origin": "https://elsewhere.example.org"}, False),
    ],
)
def test_behind_a_proxy_its_name_and_its_pages_alone_are_let_in(site, headers, allowed):
    body = {"max_results": 1}
    status, answer = site.ask("/ajax-api/2.0/mlflow/experiments/search", body, user="reader", headers=headers)
    assert (status == DONE) is allowed, answer
    assert (b"nasicon" in answer) is allowed


def narrowed(first):
    """What MLflow lets a trainer do, who holds EDIT, and the guard does not: method, address, body."""
    name, model_id = {"name": "nasicon-recipe"}, first["model_id"]
    file = artifact(model_id)
    versions, models = f"{API}/model-versions", f"{API}/registered-models"
    tag = {"key": "promoted_over", "value": "1"}
    return {
        "promote": ("POST", f"{models}/alias", name | {"alias": "champion", "version": "1"}),
        "promote as the page does": (
            "POST", "/ajax-api/2.0/mlflow/registered-models/alias", name | {"alias": "champion", "version": "1"},
        ),
        "champion in other letters": ("POST", f"{models}/alias", name | {"alias": "Champion", "version": "1"}),
        **{
            f"alias {alias!r}": ("POST", f"{models}/alias", name | {"alias": alias, "version": "1"})
            for alias in ("1", "01", "latest", "candidate", "champ\u0131on", "\uff43hampion", "Challenger", "")
        },
        "list of champions": ("POST", f"{models}/set-tag", name | {"key": "champions", "value": '["1", "2"]'}),
        "rename": ("POST", f"{models}/rename", name | {"new_name": "mine"}),
        "description": ("PATCH", f"{models}/update", name | {"description": "x"}),
        "tag of the model": ("POST", f"{models}/set-tag", name | tag),
        "tag of a version": ("POST", f"{versions}/set-tag", name | tag | {"version": "1"}),
        "description of a version": ("PATCH", f"{versions}/update", name | {"version": "1", "description": "x"}),
        "stage": ("POST", f"{versions}/transition-stage", name | {"version": "1", "stage": "Production"}),
        "other artifacts": ("POST", f"{API}/experiments/create", {
            "name": "mine", "artifact_location": f"mlflow-artifacts:/1/models/{model_id}"}),
        "status": ("PATCH", f"{API}/logged-models/{model_id}", {"model_id": model_id, "status": 1}),
        "file": ("PUT", file, b"{}"),
        "file as the page does": ("PUT", artifact(model_id, api="/ajax-api/2.0"), b"{}"),
        "file, written oddly": ("PUT", file.replace("/models/", "//.//models//"), b"{}"),
        "file, in signs": ("PUT", file.replace("/models/", "/%6Dodels%2F"), b"{}"),
        "file, in signs of signs": ("PUT", file.replace("/models/", "/%256Dodels/"), b"{}"),
        "another file": ("PUT", artifact(model_id, "artifacts/bundle/more.json"), b"{}"),
        "file in parts": (
            "POST", file.replace("artifacts/artifacts", "artifacts/mpu/create", 1), {"path": "x", "num_parts": 1},
        ),
        "address to write to": (
            "POST", f"{API}/artifacts/presigned-upload-url", {"model_id": model_id, "path": "x"},
        ),
    }  # fmt: skip


STOCK = {
    "delete the alias": ("DELETE", f"{API}/registered-models/alias", {"alias": "champion"}),
    "delete a version": ("DELETE", f"{API}/model-versions/delete", {"version": "1"}),
    "delete the model": ("DELETE", f"{API}/registered-models/delete", {}),
    "delete a tag": ("DELETE", f"{API}/model-versions/delete-tag", {"version": "1", "key": "promoted_over"}),
}


def state(site, first):
    """Everything that the champion and its predecessor consist of."""
    folder = next(path for path in site.artifacts.rglob(first["model_id"]) if path.is_dir())
    files = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert files
    status, body = site.ask(f"{API}/logged-models/{first['model_id']}", user=ADMIN)
    assert status == DONE
    return site.model(), site.version("1"), site.version("2"), files, json.loads(body)


@pytest.mark.parametrize("deed", [*narrowed({"model_id": "m-0"}), *STOCK])
def test_a_trainer_cannot_exchange_the_champion_in_any_other_way(site, first, champion, deed):
    method, path, body = narrowed(first).get(deed) or STOCK[deed]
    if deed in STOCK:
        body = body | {"name": "nasicon-recipe"}
    before = state(site, first)
    status, answer = site.ask(path, body, user="trainer", method=method)
    assert status in ({FORBIDDEN, 400} if deed.startswith("file, ") else {FORBIDDEN}), answer
    assert state(site, first) == before


PROMOTIONS = ["gate", "promoted_by", "promoted_over", "promoted_at", "rolled_back_at", "forced_reason", " Gate "]


@pytest.mark.parametrize("key", PROMOTIONS)
def test_a_trainer_registers_no_version_that_says_it_was_promoted(site, first, champion, key):
    before = site.model()
    body = {
        "name": "nasicon-recipe", "source": f"models:/{first['model_id']}", "run_id": first["run_id"],
        "tags": [{"key": "protocol", "value": "x"}, {"key": key, "value": "passed"}],
    }  # fmt: skip
    assert site.ask(f"{API}/model-versions/create", body, user="trainer")[0] == FORBIDDEN
    assert site.model() == before


@pytest.fixture(scope="module")
def of_the_trainer(site, champion):
    """An experiment, a run, a logged model and a file that the trainer made, and a version of that."""
    own = made(site, "experiments/create", {"name": "an experiment of the trainer"})["experiment_id"]
    run = made(site, "runs/create", {"experiment_id": own})["run"]["info"]["run_id"]
    model = made(site, "logged-models", {"experiment_id": own, "name": "m", "source_run_id": run})["model"]["info"]
    folder = f"/api/2.0/mlflow-artifacts/artifacts/{own}/models/{model['model_id']}"
    assert site.ask(f"{folder}/artifacts/notes.txt", b"one", user="trainer", method="PUT")[0] == DONE
    path, body = f"{API}/logged-models/{model['model_id']}", {"model_id": model["model_id"], "status": 2}
    assert site.ask(path, body, user="trainer", method="PATCH")[0] == DONE
    made(site, "runs/update", {"run_id": run, "status": "FINISHED"})
    source = {"source": f"models:/{model['model_id']}", "model_id": model["model_id"], "run_id": run}
    version = {"name": "nasicon-recipe"} | source
    number = made(site, "model-versions/create", version)["model_version"]["version"]
    yield {"experiment": own, "run": run, "model": model["model_id"], "folder": folder, "version": number}
    gone = {"name": "nasicon-recipe", "version": number}
    assert site.ask(f"{API}/model-versions/delete", gone, user="maintainer", method="DELETE")[0] == DONE


def made(site, path, body):
    status, answer = site.ask(f"{API}/{path}", body, user="trainer")
    assert status == DONE, answer
    return json.loads(answer)


RUN, LOG = {"run_id": "{run}"}, {"key": "a", "value": 1, "timestamp": 1}
ITS_EXPERIMENT = {"experiment_id": "{experiment}"}
BREAKING = {
    "the run": ("POST", f"{API}/runs/delete", {"run_id": "{run}"}),
    "the run's status": ("POST", f"{API}/runs/update", {"run_id": "{run}", "status": "FAILED"}),
    "the run's status, by its old name": ("POST", f"{API}/runs/update", {"run_uuid": "{run}", "status": "FAILED"}),
    "the run's tags": ("POST", f"{API}/runs/set-tag", RUN | {"key": "a", "value": "b"}),
    "the run's figures": ("POST", f"{API}/runs/log-metric", RUN | LOG),
    "the experiment": ("POST", f"{API}/experiments/delete", {"experiment_id": "{experiment}"}),
    "the experiment, as the page does": ("POST", "/ajax-api/2.0/mlflow/experiments/delete", ITS_EXPERIMENT),
    "its name": ("POST", f"{API}/experiments/update", {"experiment_id": "{experiment}", "new_name": "x"}),
    "the group's name": ("POST", f"{API}/experiments/update", {"experiment_id": "1", "new_name": "x"}),
    "the logged model": ("DELETE", f"{API}/logged-models/{{model}}", None),
    "the file": ("DELETE", "{folder}/artifacts/notes.txt", None),
    "the folder": ("DELETE", "{folder}", None),
    "the parent folder": ("DELETE", "/api/2.0/mlflow-artifacts/artifacts/{experiment}", None),
    "everything": ("DELETE", "/api/2.0/mlflow-artifacts/artifacts/.", None),
    "the folder, as the page does": ("DELETE", "/ajax-api/2.0/mlflow-artifacts/artifacts/{experiment}", None),
}  # fmt: skip


@pytest.mark.parametrize("what", BREAKING)
def test_a_trainer_cannot_break_a_version_through_an_experiment_of_their_own(site, of_the_trainer, what):
    method, path, body = BREAKING[what]
    sent = None if body is None else {key: value.format(**of_the_trainer) if isinstance(value, str) else value
                                      for key, value in body.items()}  # fmt: skip
    status, answer = site.ask(path.format(**of_the_trainer), sent, user="trainer", method=method)
    assert status in {FORBIDDEN, 400}, answer
    info = json.loads(site.ask(f"{API}/runs/get?run_id={of_the_trainer['run']}", user=ADMIN)[1])["run"]
    assert (info["info"]["status"], info["info"]["lifecycle_stage"]) == ("FINISHED", "active")
    assert site.ask(f"{of_the_trainer['folder']}/artifacts/notes.txt", user="reader") == (DONE, b"one")
    kept = json.loads(
        site.ask(f"{API}/experiments/get?experiment_id={of_the_trainer['experiment']}", user=ADMIN)[1]
    )
    assert kept["experiment"]["name"] == "an experiment of the trainer"


def test_a_version_whose_run_was_deleted_is_unusable_and_the_others_are_listed(site, of_the_trainer):
    run = {"run_id": of_the_trainer["run"]}
    assert site.ask(f"{API}/runs/delete", run, user=ADMIN)[0] == DONE
    try:
        done = site.nasicon("registry", "list", "--json", user="maintainer")
        usable = {one["version"]: one["usable"] for one in json.loads(done.stdout)}
        assert usable.pop(of_the_trainer["version"]) is False
        assert usable
        assert all(usable.values())
    finally:
        assert site.ask(f"{API}/runs/restore", run, user=ADMIN)[0] == DONE


def test_a_version_from_an_experiment_of_ones_own_is_not_promoted(site, champion, bundle):
    done = site.nasicon("registry", "import", bundle, "--experiment", "on the side", "--json", user="trainer")
    assert done.returncode == 0, done.stderr
    version = {"name": "nasicon-recipe", "version": json.loads(done.stdout)["version"]}
    try:
        promoting = site.nasicon(
            "registry", "promote", version["version"], "--force", "--reason", "a test", user="maintainer"
        )
        assert refused(promoting, "comes from the experiment 'on the side', and on a server only versions of")
        assert site.aliases()["champion"] == champion
    finally:
        assert site.ask(f"{API}/model-versions/delete", version, user="maintainer", method="DELETE")[0] == DONE


NOT_OFFERED = [
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


@pytest.mark.parametrize(("method", "path"), NOT_OFFERED)
@pytest.mark.parametrize("user", ["reader", "trainer", "maintainer"])
def test_what_a_group_has_no_use_for_is_for_administrators(site, user, method, path):
    local = {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1"}
    body = None if method == "GET" else {}
    status, answer = site.ask(path, body, user=user, method=method, headers=local)
    assert status in {FORBIDDEN, 404, 405}, answer


def test_finishing_another_model_than_the_address_says_is_refused(site, first, champion):
    status, body = site.ask(
        f"{API}/logged-models", {"experiment_id": "1", "name": "draft"}, user="trainer", method="POST"
    )
    assert status == DONE, body
    draft = json.loads(body)["model"]["info"]["model_id"]
    before = state(site, first)
    path = f"{API}/logged-models/{draft}"
    assert (
        site.ask(path, {"model_id": first["model_id"], "status": 1}, user="trainer", method="PATCH")[0]
        == FORBIDDEN
    )
    assert state(site, first) == before
    # The draft itself is its maker's to fill and to finish, once.
    file = f"/api/2.0/mlflow-artifacts/artifacts/1/models/{draft}/artifacts/notes.txt"
    assert site.ask(file, b"one", user="trainer", method="PUT")[0] == DONE
    assert site.ask(path, {"model_id": draft, "status": 2}, user="trainer", method="PATCH")[0] == DONE
    assert site.ask(file, b"two", user="trainer", method="PUT")[0] == FORBIDDEN
    assert site.ask(file, user="reader") == (DONE, b"one")


def test_what_a_trainer_may_do_the_guard_leaves_alone(site, champion):
    alias = {"name": "nasicon-recipe", "alias": "challenger", "version": "1"}
    assert site.ask(f"{API}/registered-models/alias", alias, user="trainer")[0] == DONE
    assert site.ask(f"{API}/registered-models/alias", alias, user="trainer", method="DELETE")[0] == FORBIDDEN
    assert site.ask(f"{API}/registered-models/alias", alias, user="maintainer", method="DELETE")[0] == DONE
    assert site.ask(f"{API}/experiments/create", {"name": "the trainer's own"}, user="trainer")[0] == DONE
    own = {"name": "own-model"}
    assert site.ask(f"{API}/registered-models/create", own, user="trainer")[0] == DONE
    assert (
        site.ask(f"{API}/registered-models/set-tag", own | {"key": "a", "value": "b"}, user="trainer")[0] == DONE
    )
    assert site.ask(f"{API}/registered-models/delete", own, user="trainer", method="DELETE")[0] == DONE


def test_a_maintainer_may(site, champion):
    tag = {"name": "nasicon-recipe", "version": champion, "key": "checked", "value": "yes"}
    assert site.ask(f"{API}/model-versions/set-tag", tag, user="maintainer")[0] == DONE
    alias = {"name": "nasicon-recipe", "alias": "champion", "version": champion}
    assert site.ask(f"{API}/registered-models/alias", alias, user="maintainer")[0] == DONE
    gone = {"name": "nasicon-recipe", "version": champion, "key": "checked"}
    assert site.ask(f"{API}/model-versions/delete-tag", gone, user="maintainer", method="DELETE")[0] == DONE


# ------------------------------------------------------------------ deploy/access.py


def test_roles_are_given_changed_and_taken(site, champion):
    alias = {"name": "nasicon-recipe", "alias": "challenger", "version": "1"}

    def may_edit():
        return site.ask(f"{API}/registered-models/alias", alias, user="guest")[0] == DONE

    assert site.add("guest", "trainer").stdout == "guest: trainer\n"
    assert may_edit()
    assert site.access("role", "guest", "reader").stdout == "guest: reader\n"
    assert not may_edit()
    assert site.access("role", "guest", "maintainer").stdout == "guest: maintainer\n"
    assert may_edit()
    assert "guest: maintainer\nmaintainer: maintainer" in site.access("list").stdout
    new = "another password"
    assert site.access("password", "guest", stdin=f"{new}\n").stdout == "guest has a new password\n"
    site.passwords["guest"] = new
    assert may_edit()
    assert site.ask(f"{API}/registered-models/alias", alias, user="guest", method="DELETE")[0] == DONE
    assert site.access("remove", "guest").stdout == "guest is removed\n"
    assert site.ask(READ["model"], user="guest")[0] == UNKNOWN
    assert site.access("setup").returncode == 0


@pytest.mark.parametrize("user", ["trainer", "maintainer"])
def test_only_the_administrator_makes_users(site, user):
    done = site.access("add", "friend", "maintainer", stdin="a password of theirs\n", user=user)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"error: [^\n]+\n", done.stderr)
    assert "friend" not in site.access("list").stdout


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (("add", "reader", "trainer"), "a password of mine\n", "already exists"),
        (("add", "short", "reader"), "x\n", "assword"),
        (("role", "nobody", "trainer"), "", "nobody"),
    ],
)
def test_what_cannot_be_done_is_said(site, arguments, stdin, message):
    done = site.access(*arguments, stdin=stdin)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"error: [^\n]+\n", done.stderr)
    assert message in done.stderr
    assert site.access("show", "reader").stdout == "reader: reader\n"
