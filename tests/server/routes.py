"""List every route of MLflow's server with users, and who may use it according to the guard; run as a program.

It prints one line per route, without the API version: "everybody" (the permissions of MLflow and the checks of the
guard decide) or "administrators", the methods, and the path.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

DEPLOY = Path(__file__).parents[2] / "deploy"


def routes() -> set[tuple[str, str]]:
    """Return methods and paths of the server as `deploy/serve.sh` starts it."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder, "basic_auth.ini")
        text = (DEPLOY / "basic_auth.ini").read_text(encoding="utf-8")
        settings.write_text(text.replace("DATABASE_URI", f"sqlite:///{folder}/users.db"), encoding="utf-8")
        os.environ |= {
            "MLFLOW_AUTH_CONFIG_PATH": str(settings), "MLFLOW_FLASK_SERVER_SECRET_KEY": "unused key",
            "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_BASIC_AUTH_FAIL_CLOSED": "true",
            "MLFLOW_AUTH_ADMIN_USERNAME": "admin", "MLFLOW_AUTH_ADMIN_PASSWORD": "unused password",
            "_MLFLOW_SGI_NAME": "uvicorn", "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{folder}/mlflow.db",
        }  # fmt: skip
        from mlflow.server import app, auth

        application = auth.create_app(app)
        flask_routes = {(method, rule.rule) for rule in app.url_map.iter_rules() for method in rule.methods or ()}
        return flask_routes | set(fastapi_routes(application.routes))


def fastapi_routes(routes: Iterable[Any]) -> Iterator[tuple[str, str]]:
    """Yield methods and paths that are not served by Flask."""
    for route in routes:
        if hasattr(route, "original_router"):
            yield from fastapi_routes(route.original_router.routes)
        else:
            yield from ((method, route.path) for method in getattr(route, "methods", None) or ())


def lines() -> Iterator[str]:
    """Yield the lines, sorted by path."""
    sys.path.insert(0, str(DEPLOY))
    served = routes()
    import promotion_guard

    methods: dict[tuple[str, str], set[str]] = {}
    for method, address in served:
        if method in {"HEAD", "OPTIONS"}:
            continue
        path = re.sub(r"<path:[^>]*>|\{[^}]*:path\}", "a/b", address)
        path = re.sub(r"<[^>]*>|\{[^}]*\}", "a", path)
        allowed = "administrators" if promotion_guard.rule_of(method, path) is None else "everybody"
        methods.setdefault((re.sub(r"^/(ajax-)?api/[\d.]+", "", address), allowed), set()).add(method)
    for (address, allowed), verbs in sorted(methods.items()):
        yield f"{allowed:<14} {' '.join(sorted(verbs)):<20} {address}"


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable()
    sys.stdout.write("".join(f"{line}\n" for line in lines()))
