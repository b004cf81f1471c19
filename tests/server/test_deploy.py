"""What deploy/ holds: pinned, bound to this machine, without secrets, of one piece. Nothing is started here."""

import os
import re
import shutil
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import yaml

from tests.contracts.test_lock import pins
from tests.server import postgres
from tests.server.site import BIN, DEPLOY

ROOT = DEPLOY.parent
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
LOCKED = pins((ROOT / "requirements" / "server.lock").read_text(encoding="utf-8"))
SCRIPTS = ("serve", "backup", "restore")


def test_images_are_pinned_and_fit_together():
    (base,) = re.findall(r"^FROM (\S+)$", DOCKERFILE, re.MULTILINE)
    images = {name: service["image"] for name, service in COMPOSE["services"].items()}
    for image in [base, *images.values()]:
        assert re.fullmatch(r"[a-z-]+:\d+\.\d+(\.\d+)?(-[a-z-]+)?", image), image
    assert images["server"] == images["backup"] == images["restore"] == f"nasicon-server:{LOCKED['mlflow']}"
    # An older pg_dump refuses a newer server.
    major = re.search(r"^postgres:(\d+)\.", images["database"])[1]
    assert f"postgresql-client-{major} " in DOCKERFILE
    assert images["database"].rpartition("-")[2] == base.rpartition("-")[2]


def test_what_the_image_copies_is_there_and_nothing_else_is_sent():
    lines = re.findall(r"^COPY (.*)$", DOCKERFILE.replace("\\\n", " "), re.MULTILINE)
    copied = {word for line in lines for word in line.split()[:-1]}
    assert copied
    assert all((ROOT / path).is_file() for path in copied)
    sent = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert sent[1] == "*"
    allowed = {str(path.relative_to(ROOT)) for rule in sent[2:] for path in ROOT.glob(rule.removeprefix("!"))}
    assert copied == allowed
    scripts = {path.name for path in DEPLOY.glob("*.sh")}
    assert {f"deploy/{name}" for name in scripts} <= copied


def test_only_this_machine_reaches_the_server_and_nothing_the_database():
    assert COMPOSE["services"]["server"]["ports"] == ["127.0.0.1:5000:5000"]
    others = [service for name, service in COMPOSE["services"].items() if name != "server"]
    assert all("ports" not in service and service["networks"] == ["inside"] for service in others)
    assert COMPOSE["networks"]["inside"] == {"internal": True}


def test_no_secret_has_a_default():
    assert set(COMPOSE["secrets"]) == {"database_password", "admin_password", "session_key"}
    for service in COMPOSE["services"].values():
        for name, value in service["environment"].items():
            if re.search("PASSWORD|KEY|SECRET", name):
                assert name.endswith("_FILE")
                assert value.removeprefix("/run/secrets/") in service["secrets"] or service.get("profiles"), name
    ignored = subprocess.run(
        ["git", "check-ignore", "deploy/.env", "deploy/secrets/admin_password", "deploy/backups/one"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert len(ignored.stdout.splitlines()) == 3


def test_every_volume_network_and_secret_is_declared_and_used():
    for kind in ("volumes", "networks", "secrets"):
        used = {
            item.partition(":")[0] for service in COMPOSE["services"].values() for item in service.get(kind, ())
        }
        assert {name for name in used if not name.startswith("${")} == set(COMPOSE[kind])


def test_services_say_whether_they_are_well_and_wait_for_the_database():
    for name in ("database", "server"):
        assert {"test", "interval", "timeout", "retries", "start_period"} == set(
            COMPOSE["services"][name]["healthcheck"]
        )
    for name in ("server", "backup", "restore"):
        assert COMPOSE["services"][name]["depends_on"] == {"database": {"condition": "service_healthy"}}


@pytest.mark.parametrize("name", [*SCRIPTS, "settings"])
def test_scripts_are_shell_and_stop_at_an_error(name):
    script = DEPLOY / f"{name}.sh"
    subprocess.run(["sh", "-n", script], check=True)
    if name in SCRIPTS:
        assert os.access(script, os.X_OK)
        assert "\nset -eu\n" in script.read_text(encoding="utf-8")


def started(name, tmp_path, **settings):
    environment = {
        "PATH": os.environ["PATH"], "MLFLOW_BACKEND_STORE_URI": "postgresql://mlflow@127.0.0.1:9/mlflow",
        "MLFLOW_ARTIFACTS_DESTINATION": str(tmp_path), "MLFLOW_AUTH_ADMIN_USERNAME": "admin",
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "S3cret-key", "PGPASSWORD": "S3cret-word",
    }  # fmt: skip
    return subprocess.run(
        [DEPLOY / f"{name}.sh"],
        env=environment | settings,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"MLFLOW_BACKEND_STORE_URI": ""}, "MLFLOW_BACKEND_STORE_URI is not set"),
        ({"MLFLOW_ARTIFACTS_DESTINATION": ""}, "MLFLOW_ARTIFACTS_DESTINATION is not set"),
        ({"MLFLOW_AUTH_ADMIN_USERNAME": ""}, "MLFLOW_AUTH_ADMIN_USERNAME is not set"),
        ({"MLFLOW_FLASK_SERVER_SECRET_KEY": ""}, "MLFLOW_FLASK_SERVER_SECRET_KEY is not set"),
        ({"PGPASSWORD_FILE": "/nowhere"}, "PGPASSWORD_FILE: /nowhere cannot be read"),
        ({"MLFLOW_AUTH_ADMIN_PASSWORD_FILE": "/dev/null"}, "MLFLOW_AUTH_ADMIN_PASSWORD_FILE: /dev/null is empty"),
        ({"MLFLOW_BACKEND_STORE_URI": "postgresql://a:S3cret@127.0.0.1/b"}, "holds a password"),
        ({"MLFLOW_BACKEND_STORE_URI": "sqlite:///mlflow.db"}, "has to be postgresql://"),
    ],
)
def test_the_server_does_not_start_without_what_it_needs(tmp_path, settings, message):
    done = started("serve", tmp_path, **settings)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert "S3cret" not in done.stderr


def test_scripts_say_how_they_are_called(tmp_path):
    for name in ("backup", "restore"):
        done = started(name, tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"{name}.sh FOLDER" in done.stderr


def test_a_password_goes_to_the_named_server_alone():
    """A redirection to elsewhere is not followed."""
    asked = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.server.server_port)
            self.send_response(302)
            self.send_header("Location", f"http://127.0.0.1:{there.server_port}/")
            self.end_headers()

        def log_message(self, *_):
            pass

    with (
        ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as here,
        ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as there,
    ):
        for server in (here, there):
            Thread(target=server.serve_forever, daemon=True).start()
        login = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": "S3cret-word", "NO_PROXY": "*"}
        done = subprocess.run(
            [sys.executable, DEPLOY / "access.py", "list"],
            capture_output=True, text=True, check=False,
            env=login | {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{here.server_port}"},
        )  # fmt: skip
        for server in (here, there):
            server.shutdown()
    assert (done.returncode, done.stdout, asked) == (2, "", [here.server_port])
    assert re.fullmatch(r"error: [^\n]*\(status 302\)\n", done.stderr), done.stderr


def test_without_postgresql_the_tests_are_skipped_unless_they_are_required(tmp_path, monkeypatch):
    monkeypatch.setattr(postgres, "DEBIAN", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(postgres.REQUIRED, raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install postgresql"):
        postgres.programs()
    monkeypatch.setenv(postgres.REQUIRED, "1")
    with pytest.raises(pytest.fail.Exception, match="apt-get install postgresql"):
        postgres.programs()


def test_ci_requires_postgresql():
    assert f"export {postgres.REQUIRED}=1\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_no_cluster_is_left_behind_by_one_that_does_not_start(monkeypatch, tmp_path):
    monkeypatch.setattr(postgres, "FOLDERS", str(tmp_path))
    monkeypatch.setattr(postgres, "programs", lambda: tmp_path / "nowhere")
    with pytest.raises(OSError, match="nowhere"), postgres.running_cluster():
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd's own check of units")
def test_the_unit_for_the_server_of_predictions_is_one(tmp_path):
    unit = (DEPLOY / "nasicon-serving.service").read_text(encoding="utf-8")
    copy = tmp_path / "nasicon-serving.service"
    copy.write_text(
        unit.replace("/opt/nasicon/.venv/bin", str(BIN)).replace("User=nasicon", "User=root"), encoding="utf-8"
    )
    checked = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
    assert (checked.returncode, [line for line in checked.stderr.splitlines() if copy.name in line]) == (0, [])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd's own check of units")
def test_the_check_of_units_can_fail(tmp_path):
    copy = tmp_path / "wrong.service"
    copy.write_text("[Service]\nExecStart=/no/such/program\nRestrt=always\n", encoding="utf-8")
    checked = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
    assert "Restrt" in checked.stderr
