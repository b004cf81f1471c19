"""The shared server as started by deploy/serve.sh, with its users."""

import base64
import io
import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import chdir, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from unittest import mock

from nasicon_ml.cli.main import main
from tests.programs import PATIENCE_S, free_port

DEPLOY = Path(__file__).parents[2] / "deploy"
BIN = Path(sys.executable).parent
ADMIN = "admin"
DATABASE = "mlflow"
PROXY = "mlflow.example.org"


def plain_environment():
    """Return the environment without settings of MLflow, PostgreSQL and this package."""
    prefixes = ("MLFLOW_", "NASICON_", "PG")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    return kept | {
        "PATH": f"{BIN}:{os.environ['PATH']}", "MLFLOW_DISABLE_TELEMETRY": "true", "OMP_NUM_THREADS": "1",
    }  # fmt: skip


def with_sorted_lists(response):
    """Return a JSON response with sorted lists, because PostgreSQL returns tags in any order."""
    if isinstance(response, list):
        return sorted((with_sorted_lists(item) for item in response), key=str)
    if isinstance(response, dict):
        return {name: with_sorted_lists(value) for name, value in response.items()}
    return response


class SharedServer:
    """A shared server on a PostgreSQL cluster, with its users; it can be stopped and restarted."""

    def __init__(self, cluster, folder):
        self.cluster, self.folder, self.port = cluster, folder, free_port()
        self.artifacts = folder / "artifacts"
        self.passwords = {ADMIN: f"of admin {secrets.token_urlsafe(12)}"}
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process = None
        self._secret = folder / "admin password"
        self._secret.write_text(self.passwords[ADMIN])

    # ---------------------------------------------------------------- the server itself

    def script_environment(self, database=DATABASE, artifacts=None):
        """Return the environment that deploy/serve.sh, backup.sh and restore.sh read."""
        environment = plain_environment()
        return environment | {
            "MLFLOW_BACKEND_STORE_URI": self.cluster.uri(database),
            "MLFLOW_ARTIFACTS_DESTINATION": str(artifacts or self.artifacts),
            "PGPASSWORD": self.cluster.password,
            "PATH": f"{self.cluster.programs}:{environment['PATH']}",
        }

    def start(self):
        environment = self.script_environment() | {
            "MLFLOW_AUTH_ADMIN_USERNAME": ADMIN,
            "MLFLOW_AUTH_ADMIN_PASSWORD_FILE": str(self._secret),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(16),
            "MLFLOW_PORT": str(self.port),
            "MLFLOW_WORKERS": "1",
            "MLFLOW_SERVER_ALLOWED_HOSTS": f"127.0.0.1:{self.port},{PROXY}",
            "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": f"https://{PROXY}",
            "PYTHONWARNINGS": "ignore",
        }
        log = self.folder / "server.log"
        with log.open("a") as output:
            self._process = subprocess.Popen(
                [DEPLOY / "serve.sh"], cwd=self.folder, env=environment, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
        started = time.monotonic()
        while True:
            with suppress(OSError):
                if self.request("/health", user=None)[0] == 200:
                    return
            assert self._process.poll() is None, log.read_text()
            assert time.monotonic() - started < PATIENCE_S, log.read_text()
            time.sleep(0.2)

    def stop(self):
        """Stop serve.sh as a service manager does, then kill its remaining processes."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(30)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(30)
            self._process = None

    # ---------------------------------------------------------------- its users

    def login(self, user):
        """Return the environment variables of a client with this user's login; without a login if None."""
        variables = {"MLFLOW_TRACKING_URI": self.uri}
        if user is None:
            return variables
        return variables | {"MLFLOW_TRACKING_USERNAME": user, "MLFLOW_TRACKING_PASSWORD": self.passwords[user]}

    def run(self, *command, user, stdin=""):
        """Run a program as a user."""
        return subprocess.run(
            [str(word) for word in command], cwd=self.folder, input=stdin, capture_output=True, text=True,
            check=False, env=plain_environment() | self.login(user) | {"HOME": str(self.folder)},
        )  # fmt: skip

    def nasicon_ml(self, *arguments, user):
        """Run `nasicon-ml` as a user in this process, because starting a program takes seconds."""
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
        environment = plain_environment() | self.login(user) | {"HOME": str(self.folder)}
        with (
            mock.patch.dict(os.environ, environment, clear=True), chdir(self.folder),
            redirect_stdout(out), redirect_stderr(err),
        ):  # fmt: skip
            code = main([str(argument) for argument in arguments])
        outputs = [stream.buffer.getvalue().decode() for stream in (out, err)]
        return subprocess.CompletedProcess(arguments, code, *outputs)

    def access(self, *arguments, stdin="", user=ADMIN):
        return self.run(sys.executable, DEPLOY / "access.py", *arguments, user=user, stdin=stdin)

    def add_user(self, name, role):
        self.passwords[name] = f"of {name} {secrets.token_urlsafe(12)}"
        return self.access("add", name, role, stdin=f"{self.passwords[name]}\n")

    def request(self, path, body=None, *, user, method=None, headers=()):
        """Send a request with JSON or bytes as a user; return the status and the body."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        http_request = urllib.request.Request(self.uri + path, data, dict(headers), method=method)  # noqa: S310
        if not isinstance(body, bytes):
            http_request.add_header("Content-Type", "application/json")
        if user is not None:
            key = base64.b64encode(f"{user}:{self.passwords[user]}".encode()).decode()
            http_request.add_header("Authorization", f"Basic {key}")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(http_request, timeout=PATIENCE_S) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def registered_model(self):
        """Return the registered model as the server describes it."""
        status, body = self.request("/api/2.0/mlflow/registered-models/get?name=nasicon-recipe", user=ADMIN)
        assert status == 200, body
        return with_sorted_lists(json.loads(body)["registered_model"])

    def aliases(self):
        return {alias["alias"]: alias["version"] for alias in self.registered_model().get("aliases", [])}

    def model_version(self, number):
        """Return a model version as the server describes it."""
        path = f"/api/2.0/mlflow/model-versions/get?name=nasicon-recipe&version={number}"
        status, body = self.request(path, user=ADMIN)
        assert status == 200, body
        return with_sorted_lists(json.loads(body)["model_version"])

    def all_passwords(self):
        return [*self.passwords.values(), self.cluster.password]
