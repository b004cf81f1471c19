"""Manage the users of the shared tracking server and their roles; run by the administrator.

    python deploy/access.py setup            create experiment, registered model and roles; can be repeated
    python deploy/access.py add NAME ROLE    create a user; reads the password from terminal or standard input
    python deploy/access.py role NAME ROLE   change the role: reader, trainer or maintainer
    python deploy/access.py password NAME    change the password
    python deploy/access.py show NAME        show the role of a user
    python deploy/access.py list             list all users
    python deploy/access.py remove NAME      remove a user

MLFLOW_TRACKING_URI is the server, MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD the administrator's login.
Readers read everything. Trainers also record runs and register versions. Maintainers also promote, roll back and
delete. The script needs only Python.
"""

from __future__ import annotations

import argparse
import base64
import getpass
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

MODEL, EXPERIMENT = "nasicon-recipe", "nasicon-ml"
#: Permission of each role for the model and the experiment; a reader is a user without a role.
ROLES = {"trainer": "EDIT", "maintainer": "MANAGE"}
READER = "reader"
WORKSPACE = "default"  # MLflow's name for a server without workspaces
_TIMEOUT_S = 60


class AccessError(Exception):
    """Error of a request, in one sentence, with MLflow's error code."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Handler that follows no redirects, so that passwords are sent to no other server."""

    def redirect_request(self, *_: Any) -> None:
        return None


class Server:
    """Client of MLflow's HTTP interface, logged in as one user."""

    def __init__(self, uri: str, user: str, password: str) -> None:
        self.uri = uri.rstrip("/")
        self._credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._opener = urllib.request.build_opener(_NoRedirect())

    def ask(self, method: str, path: str, version: str = "2.0", **fields: Any) -> dict[str, Any]:
        """Send a request with fields in the URL (GET) or in the body, and return the JSON response."""
        url, body = f"{self.uri}/api/{version}/mlflow/{path}", None
        if method == "GET":
            url += f"?{urllib.parse.urlencode(fields)}"
        else:
            body = json.dumps(fields).encode()
        request = urllib.request.Request(url, body, method=method)  # noqa: S310  (main accepts http and https only)
        request.add_header("Authorization", f"Basic {self._credentials}")
        request.add_header("Content-Type", "application/json")
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as response:
                return dict(json.loads(response.read() or b"{}"))
        except urllib.error.HTTPError as error:
            with error:
                raise _request_error(error.code, error.read()) from None
        except (OSError, ValueError) as error:
            raise AccessError(f"{self.uri} does not answer as an MLflow server does ({error})") from None


def _request_error(status: int, body: bytes) -> AccessError:
    if status == 401:
        return AccessError("the server does not know this user with this password")
    try:
        content = json.loads(body)
        # The rest is the database's message: statements with their values, such as password hashes.
        return AccessError(str(content["message"]).partition(" Error: ")[0], str(content["error_code"]))
    except (ValueError, KeyError, TypeError):
        text = "only the administrator may do this" if status == 403 else body.decode(errors="replace")[:300]
        return AccessError(f"{text} (status {status})")


class Access:
    """Users and roles of a server."""

    def __init__(self, server: Server) -> None:
        self.ask = server.ask

    def set_up(self) -> None:
        """Create missing model, experiment and roles as the administrator, since a model's creator may promote."""
        self._create_unless_exists("registered-models/create", name=MODEL)
        self._create_unless_exists("experiments/create", name=EXPERIMENT)
        experiment = self.ask("GET", "experiments/get-by-name", experiment_name=EXPERIMENT)["experiment"]
        for name, permission in ROLES.items():
            if name not in self.roles():
                self.ask("POST", "roles/create", "3.0", workspace=WORKSPACE, name=name)
            role = self.roles()[name]
            listed = self.ask("GET", "roles/permissions/list", "3.0", role_id=role)["role_permissions"]
            granted = {(grant["resource_type"], grant["resource_pattern"]) for grant in listed}
            for kind, pattern in (("registered_model", MODEL), ("experiment", str(experiment["experiment_id"]))):
                if (kind, pattern) not in granted:
                    grant = {"resource_type": kind, "resource_pattern": pattern, "permission": permission}
                    self.ask("POST", "roles/permissions/add", "3.0", role_id=role, **grant)

    def _create_unless_exists(self, path: str, **fields: str) -> None:
        try:
            self.ask("POST", path, **fields)
        except AccessError as error:
            if error.code != "RESOURCE_ALREADY_EXISTS":
                raise

    def roles(self) -> dict[str, int]:
        """Return the ids by name of the roles that `set_up` creates."""
        listed = self.ask("GET", "roles/list", "3.0", workspace=WORKSPACE)["roles"]
        return {role["name"]: int(role["id"]) for role in listed if role["name"] in ROLES}

    def add(self, name: str, role: str, password: str) -> None:
        """Create a user with a role; if the role cannot be assigned, no user is left behind."""
        self.ask("POST", "users/create", username=name, password=password)
        try:
            self.assign(name, role)
        except BaseException:
            self.remove(name)
            raise

    def assign(self, name: str, new_role: str) -> None:
        """Replace the role of a user."""
        ids, assigned = self.roles(), self._assigned_roles(name)
        if new_role != READER and new_role not in ids:
            raise AccessError(f"the server has no role {new_role} yet: run 'setup' first")
        for role in assigned - {new_role}:
            self.ask("DELETE", "roles/unassign", "3.0", username=name, role_id=ids[role])
        if new_role != READER and new_role not in assigned:
            self.ask("POST", "roles/assign", "3.0", username=name, role_id=ids[new_role])

    def _assigned_roles(self, name: str) -> set[str]:
        listed = self.ask("GET", "users/roles/list", "3.0", username=name)["roles"]
        return {role["name"] for role in listed} & set(ROLES)

    def role_of(self, name: str) -> str:
        """Return the role of a user."""
        return ", ".join(sorted(self._assigned_roles(name))) or READER

    def users(self) -> list[str]:
        """Return a line with name and role for each user."""
        listed = sorted(self.ask("GET", "users/list")["users"], key=lambda user: str(user["username"]))
        return [
            f"{user['username']}: {'administrator' if user['is_admin'] else self.role_of(user['username'])}"
            for user in listed
        ]

    def change_password(self, name: str, password: str) -> None:
        """Change the password of a user."""
        self.ask("PATCH", "users/update-password", username=name, password=password)

    def remove(self, name: str) -> None:
        """Remove a user, but not the user's runs and versions."""
        self.ask("DELETE", "users/delete", username=name)


def new_password(name: str) -> str:
    """Return a password entered twice on a terminal, or a line of standard input if that is no terminal."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass(f"password for {name}: ")
    if getpass.getpass("again: ") != first:
        raise AccessError("the two passwords differ")
    return first


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description="Users of the shared tracking server and what they may do.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("setup", help="make the experiment, the registered model and the roles")
    verbs.add_parser("list", help="name all users")
    for verb, text in (
        ("add", "make a user"), ("role", "give another role"), ("show", "say which role a user has"),
        ("password", "give a new password"), ("remove", "remove a user"),
    ):  # fmt: skip
        subparser = verbs.add_parser(verb, help=text)
        subparser.add_argument("name")
        if verb in {"add", "role"}:
            subparser.add_argument("role", choices=[READER, *ROLES])
    return parser.parse_args(arguments)


def run(access: Access, options: argparse.Namespace) -> str:
    """Run a verb and return the text to print."""
    if options.verb == "list":
        return "\n".join(access.users())
    if options.verb == "setup":
        access.set_up()
        return f"{MODEL}, {EXPERIMENT} and the roles {', '.join(ROLES)} are there"
    if options.verb == "remove":
        access.remove(options.name)
        return f"{options.name} is removed"
    if options.verb == "password":
        access.change_password(options.name, new_password(options.name))
        return f"{options.name} has a new password"
    if options.verb == "add":
        access.add(options.name, options.role, new_password(options.name))
    elif options.verb == "role":
        access.assign(options.name, options.role)
    return f"{options.name}: {access.role_of(options.name)}"


def main(arguments: list[str] | None = None) -> int:
    """Run one verb, and return exit code 2 if it fails."""
    options = parse_arguments(arguments)
    uri, user, password = (
        os.environ.get(f"MLFLOW_TRACKING_{name}", "") for name in ("URI", "USERNAME", "PASSWORD")
    )
    try:
        if not uri.startswith(("http://", "https://")) or not user:
            raise AccessError(
                "set MLFLOW_TRACKING_URI (https://...), MLFLOW_TRACKING_USERNAME and -PASSWORD first"
            )
        sys.stdout.write(f"{run(Access(Server(uri, user, password)), options)}\n")
    except AccessError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
