"""Files of deploy/: images are pinned, ports bound to localhost, secrets separate. No container is started."""

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


def test_images_are_pinned_to_compatible_versions():
    (base,) = re.findall(r"^FROM (\S+)$", DOCKERFILE, re.MULTILINE)
    images = {name: service["image"] for name, service in COMPOSE["services"].items()}
    for image in [base, *images.values()]:
        assert re.fullmatch(r"[a-z-]+:\d+\.\d+(\.\d+)?(-[a-z-]+)?", image), image
    assert images["server"] == images["backup"] == images["restore"] == f"nasicon-server:{LOCKED['mlflow']}"
    # An older pg_dump refuses a newer server.
    major = re.search(r"^postgres:(\d+)\.", images["database"])[1]
    assert f"postgresql-client-{major} " in DOCKERFILE
    assert images["database"].rpartition("-")[2] == base.rpartition("-")[2]


def test_build_context_has_exactly_the_copied_files():
    lines = re.findall(r"^COPY (.*)$", DOCKERFILE.replace("\\\n", " "), re.MULTILINE)
    copied = {word for line in lines for word in line.split()[:-1]}
    assert copied
    assert all((ROOT / path).is_file() for path in copied)
    ignore_rules = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert ignore_rules[1] == "*"
    allowed = {
        str(path.relative_to(ROOT)) for rule in ignore_rules[2:] for path in ROOT.glob(rule.removeprefix("!"))
    }
    assert copied == allowed
    scripts = {path.name for path in DEPLOY.glob("*.sh")}
    assert {f"deploy/{name}" for name in scripts} <= copied


def test_server_is_published_on_localhost_and_database_not_at_all():
    assert COMPOSE["services"]["server"]["ports"] == ["127.0.0.1:5000:5000"]
    others = [service for name, service in COMPOSE["services"].items() if name != "server"]
    assert all("ports" not in service and service["networks"] == ["inside"] for service in others)
    assert COMPOSE["networks"]["inside"] == {"internal": True}


def test_secrets_are_files_without_default_that_git_ignores():
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


def test_services_have_health_checks_and_wait_for_the_database():
    for name in ("database", "server"):
        assert {"test", "interval", "timeout", "retries", "start_period"} == set(
            COMPOSE["services"][name]["healthcheck"]
        )
    for name in ("server", "backup", "restore"):
        assert COMPOSE["services"][name]["depends_on"] == {"database": {"condition": "service_healthy"}}


@pytest.mark.parametrize("name", [*SCRIPTS, "settings"])
def test_scripts_are_valid_shell_and_exit_on_error(name):
    script = DEPLOY / f"{name}.sh"
    subprocess.run(["sh", "-n", script], check=True)
    if name in SCRIPTS:
        assert os.access(script, os.X_OK)
        assert "\nset -eu\n" in script.read_text(encoding="utf-8")


def run_script(name, tmp_path, **settings):
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
def test_invalid_settings_exit_with_code_2_and_a_message(tmp_path, settings, message):
    completed = run_script("serve", tmp_path, **settings)
    assert (completed.returncode, completed.stdout) == (2, "")
    assert completed.stderr.startswith("error: ")
    assert message in completed.stderr
    assert "S3cret" not in completed.stderr


def test_scripts_without_arguments_print_their_usage(tmp_path):
    for name in ("backup", "restore"):
        completed = run_script(name, tmp_path)
        assert (completed.returncode, completed.stdout) == (2, "")
        assert f"{name}.sh FOLDER" in completed.stderr


def test_access_does_not_follow_redirects():
    """Otherwise it would send the password to another server."""
    requested_ports = []

    class RedirectHandler(BaseHTTPRequestHandler):
        def do_GET(self):
            requested_ports.append(self.server.server_port)
            self.send_response(302)
            self.send_header("Location", f"http://127.0.0.1:{redirected.server_port}/")
            self.end_headers()

        def log_message(self, *_):
            pass

    with (
        ThreadingHTTPServer(("127.0.0.1", 0), RedirectHandler) as redirecting,
        ThreadingHTTPServer(("127.0.0.1", 0), RedirectHandler) as redirected,
    ):
        for server in (redirecting, redirected):
            Thread(target=server.serve_forever, daemon=True).start()
        login = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": "S3cret-word", "NO_PROXY": "*"}
        completed = subprocess.run(
            [sys.executable, DEPLOY / "access.py", "list"],
            capture_output=True, text=True, check=False,
            env=login | {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{redirecting.server_port}"},
        )  # fmt: skip
        for server in (redirecting, redirected):
            server.shutdown()
    assert (completed.returncode, completed.stdout, requested_ports) == (2, "", [redirecting.server_port])
    assert re.fullmatch(r"error: [^\n]*\(status 302\)\n", completed.stderr), completed.stderr


def test_missing_postgresql_skips_tests_unless_required(tmp_path, monkeypatch):
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


def test_failed_start_of_a_cluster_leaves_no_files(monkeypatch, tmp_path):
    monkeypatch.setattr(postgres, "TEMPORARY_FOLDER", str(tmp_path))
    monkeypatch.setattr(postgres, "programs", lambda: tmp_path / "nowhere")
    with pytest.raises(OSError, match="nowhere"), postgres.running_cluster():
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_unit_of_the_scoring_server_is_valid(tmp_path):
    unit = (DEPLOY / "nasicon-serving.service").read_text(encoding="utf-8")
    copy = tmp_path / "nasicon-serving.service"
    copy.write_text(
        unit.replace("/opt/nasicon/.venv/bin", str(BIN)).replace("User=nasicon", "User=root"), encoding="utf-8"
    )
    completed = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
    assert (completed.returncode, [line for line in completed.stderr.splitlines() if copy.name in line]) == (0, [])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_analyze_reports_an_unknown_setting(tmp_path):
    copy = tmp_path / "wrong.service"
    copy.write_text("[Service]\nExecStart=/no/such/program\nRestrt=always\n", encoding="utf-8")
    completed = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
    assert "Restrt" in completed.stderr
