"""List every address that MLflow's server with users serves, and for whom the guard keeps it: run as a program.

It prints one line for each address without the version of the interface: "everybody" (MLflow and the checks of the
guard decide) or "administrators", the methods, and the address.
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
    """Return methods and addresses of the server as `deploy/serve.sh` starts it."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder, "basic_auth.ini")
        text = (DEPLOY / "basic_auth.ini").read_text(encoding="utf-8")
        settings.write_text(text.replace("DATABASE_URI", f"sqlite:///{folder}/users.db"), encoding="utf-8")
        os.environ |= {
            "MLFLOW_AUTH_CONFIG_PATH": str(settings), "MLFLOW_FLASK_SERVER_SECRET_KEY": "of nobody",
            "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_BASIC_AUTH_FAIL_CLOSED": "true",
            "MLFLOW_AUTH_ADMIN_USERNAME": "admin", "MLFLOW_AUTH_ADMIN_PASSWORD": "of nobody, for nothing",
            "_MLFLOW_SGI_NAME": "uvicorn", "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{folder}/mlflow.db",
        }  # fmt: skip
        from mlflow.server import app, auth

        application = auth.create_app(app)
        found = {(method, rule.rule) for rule in app.url_map.iter_rules() for method in rule.methods or ()}
        return found | set(native(application.routes))


def native(found: Iterable[Any]) -> Iterator[tuple[str, str]]:
    """Yield methods and addresses of what is served beside Flask."""
    for route in found:
        if hasattr(route, "original_router"):
            yield from native(route.original_router.routes)
        else:
            yield from ((method, route.path) for method in getattr(route, "methods", None) or ())


def lines() -> Iterator[str]:
    """Yield the lines, sorted by address."""
    sys.path.insert(0, str(DEPLOY))
    served = routes()
    import promotion_guard

    methods: dict[tuple[str, str], set[str]] = {}
    for method, address in served:
        if method in {"HEAD", "OPTIONS"}:
            continue
        one = re.sub(r"<path:[^>]*>|\{[^}]*:path\}", "a/b", address)
        one = re.sub(r"<[^>]*>|\{[^}]*\}", "a", one)
        who = "administrators" if promotion_guard.rule_of(method, one) is None else "everybody"
        methods.setdefault((re.sub(r"^/(ajax-)?api/[\d.]+", "", address), who), set()).add(method)
    for (address, who), found in sorted(methods.items()):
        yield f"{who:<14} {' '.join(sorted(found)):<20} {address}"


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable()
    sys.stdout.write("".join(f"{line}\n" for line in lines()))
