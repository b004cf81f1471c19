"""Users of the shared tracking server and what they may do; run by its administrator.

    python deploy/access.py setup            make experiment, registered model and roles; can be repeated
    python deploy/access.py add NAME ROLE    a new user; the password is asked for, or read from standard input
    python deploy/access.py role NAME ROLE   another role: reader, trainer or maintainer
    python deploy/access.py password NAME    a new password
    python deploy/access.py show NAME        which role NAME has
    python deploy/access.py list             all users
    python deploy/access.py remove NAME

MLFLOW_TRACKING_URI names the server, MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD the administrator. A
reader reads everything. A trainer also records runs and registers versions. A maintainer also promotes, rolls back
and deletes. It needs Python alone.
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
#: What a role may do with the model and the experiment; a reader has an account and no role.
ROLES = {"trainer": "EDIT", "maintainer": "MANAGE"}
READER = "reader"
WORKSPACE = "default"  # MLflow's name for a server that is not divided
_PATIENCE_S = 60


class AccessError(Exception):
    """What cannot be done, in one sentence."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Passwords go to the server that was named, and nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        return None


class Server:
    """MLflow's HTTP interface, asked as one user."""

    def __init__(self, uri: str, user: str, password: str) -> None:
        self.uri = uri.rstrip("/")
        self._key = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._opener = urllib.request.build_opener(_NoRedirect())

    def ask(self, method: str, path: str, version: str = "2.0", **fields: Any) -> dict[str, Any]:
        """Send one request; fields go into the address of a GET, and else into the body."""
        address, body = f"{self.uri}/api/{version}/mlflow/{path}", None
        if method == "GET":
            address += f"?{urllib.parse.urlencode(fields)}"
        else:
            body = json.dumps(fields).encode()
        request = urllib.request.Request(address, body, method=method)  # noqa: S310  (main lets http and https in)
        request.add_header("Authorization", f"Basic {self._key}")
        request.add_header("Content-Type", "application/json")
        try:
            with self._opener.open(request, timeout=_PATIENCE_S) as answer:
                found = json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            with error:
                raise _refused(error.code, error.read()) from None
        except (OSError, ValueError) as error:
            raise AccessError(f"{self.uri} does not answer as an MLflow server does ({error})") from None
        return dict(found)


def _refused(status: int, body: bytes) -> AccessError:
    if status == 401:
        return AccessError("the server does not know this user with this password")
    try:
        told = json.loads(body)
        # What follows is of the database: statements with their values, among them hashes of passwords.
        return AccessError(str(told["message"]).partition(" Error: ")[0], str(told["error_code"]))
    except (ValueError, KeyError, TypeError):
        text = "only the administrator may do this" if status == 403 else body.decode(errors="replace")[:300]
        return AccessError(f"{text} (status {status})")


class Access:
    """The users and roles of a server."""

    def __init__(self, server: Server) -> None:
        self.ask = server.ask

    def set_up(self) -> None:
        """Make what is not there: by the administrator, as whoever makes a model may promote."""
        self._unless_there("registered-models/create", name=MODEL)
        self._unless_there("experiments/create", name=EXPERIMENT)
        found = self.ask("GET", "experiments/get-by-name", experiment_name=EXPERIMENT)["experiment"]
        for name, permission in ROLES.items():
            if name not in self.roles():
                self.ask("POST", "roles/create", "3.0", workspace=WORKSPACE, name=name)
            role = self.roles()[name]
            listed = self.ask("GET", "roles/permissions/list", "3.0", role_id=role)["role_permissions"]
            there = {(one["resource_type"], one["resource_pattern"]) for one in listed}
            for kind, pattern in (("registered_model", MODEL), ("experiment", str(found["experiment_id"]))):
                if (kind, pattern) not in there:
                    grant = {"resource_type": kind, "resource_pattern": pattern, "permission": permission}
                    self.ask("POST", "roles/permissions/add", "3.0", role_id=role, **grant)

    def _unless_there(self, path: str, **fields: str) -> None:
        try:
            self.ask("POST", path, **fields)
        except AccessError as error:
            if error.code != "RESOURCE_ALREADY_EXISTS":
                raise

    def roles(self) -> dict[str, int]:
        """Give the ids of the roles that `set_up` makes, by name."""
        listed = self.ask("GET", "roles/list", "3.0", workspace=WORKSPACE)["roles"]
        return {one["name"]: int(one["id"]) for one in listed if one["name"] in ROLES}

    def add(self, name: str, role: str, password: str) -> None:
        """Make a user; one whose role cannot be given is not left behind."""
        self.ask("POST", "users/create", username=name, password=password)
        try:
            self.assign(name, role)
        except BaseException:
            self.remove(name)
            raise

    def assign(self, name: str, wanted: str) -> None:
        """Give a user this role instead of the one held."""
        ids, held = self.roles(), self._held(name)
        if wanted != READER and wanted not in ids:
            raise AccessError(f"the server has no role {wanted} yet: run 'setup' first")
        for role in held - {wanted}:
            self.ask("DELETE", "roles/unassign", "3.0", username=name, role_id=ids[role])
        if wanted != READER and wanted not in held:
            self.ask("POST", "roles/assign", "3.0", username=name, role_id=ids[wanted])

    def _held(self, name: str) -> set[str]:
        listed = self.ask("GET", "users/roles/list", "3.0", username=name)["roles"]
        return {one["name"] for one in listed} & set(ROLES)

    def role_of(self, name: str) -> str:
        """Name the role of a user."""
        return ", ".join(sorted(self._held(name))) or READER

    def users(self) -> list[str]:
        """Name all users, with what each is."""
        listed = self.ask("GET", "users/list")["users"]
        kinds = {one["username"]: "administrator" for one in listed if one["is_admin"]}
        return [
            f"{name}: {kinds.get(name) or self.role_of(name)}" for name in sorted(u["username"] for u in listed)
        ]

    def change_password(self, name: str, password: str) -> None:
        """Give a user a new password."""
        self.ask("PATCH", "users/update-password", username=name, password=password)

    def remove(self, name: str) -> None:
        """Remove a user; what the user recorded stays."""
        self.ask("DELETE", "users/delete", username=name)


def new_password(name: str) -> str:
    """Ask twice on a terminal; elsewhere read one line, so that no password stands in a command."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass(f"password for {name}: ")
    if getpass.getpass("again: ") != first:
        raise AccessError("the two passwords differ")
    return first


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Users of the shared tracking server and what they may do.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("setup", help="make the experiment, the registered model and the roles")
    verbs.add_parser("list", help="name all users")
    for verb, text in (
        ("add", "make a user"), ("role", "give another role"), ("show", "say which role a user has"),
        ("password", "give a new password"), ("remove", "remove a user"),
    ):  # fmt: skip
        one = verbs.add_parser(verb, help=text)
        one.add_argument("name")
        if verb in {"add", "role"}:
            one.add_argument("role", choices=[READER, *ROLES])
    return parser.parse_args(arguments)


def run(access: Access, given: argparse.Namespace) -> str:
    """Do what was asked, and say what was done."""
    if given.verb == "list":
        return "\n".join(access.users())
    if given.verb == "setup":
        access.set_up()
        return f"{MODEL}, {EXPERIMENT} and the roles {', '.join(ROLES)} are there"
    if given.verb == "remove":
        access.remove(given.name)
        return f"{given.name} is removed"
    if given.verb == "password":
        access.change_password(given.name, new_password(given.name))
        return f"{given.name} has a new password"
    if given.verb == "add":
        access.add(given.name, given.role, new_password(given.name))
    elif given.verb == "role":
        access.assign(given.name, given.role)
    return f"{given.name}: {access.role_of(given.name)}"


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; exit code 2 if it could not be done."""
    given = parsed(arguments)
    uri, user, password = (
        os.environ.get(f"MLFLOW_TRACKING_{name}", "") for name in ("URI", "USERNAME", "PASSWORD")
    )
    try:
        if not uri.startswith(("http://", "https://")) or not user:
            raise AccessError(
                "set MLFLOW_TRACKING_URI (https://...), MLFLOW_TRACKING_USERNAME and -PASSWORD first"
            )
        sys.stdout.write(f"{run(Access(Server(uri, user, password)), given)}\n")
    except AccessError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
