"""The command ``nasicon-ml app``: serve the pages for the browser on this machine."""

from __future__ import annotations

import importlib.util
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from nasicon_ml.cli.inputs import SectionedCommand, WholeNumber, option
from nasicon_ml.cli.render import notify
from nasicon_ml.errors import BundleError, MissingExtraError, NasiconError

SERVER, ANSWER = "Server", "Answer"
#: Maximum size of an uploaded file, which corresponds to some hundred thousand pellets.
_UPLOAD_MB = 50
#: Settings against Streamlit's defaults of sending statistics, watching files, showing tracebacks, offering to
#: publish, and collecting garbage after every click, which delays the next one by up to half a second.
_SETTINGS = {
    "browser.gatherUsageStats": "false",
    "client.showErrorDetails": "none",
    "client.toolbarMode": "viewer",
    "runner.postScriptGC": "false",
    "server.fileWatcherType": "none",
    "server.maxUploadSize": str(_UPLOAD_MB),
    "server.showEmailPrompt": "false",
    "theme.light.textColor": "#000000",  # captions, which are paler, need this contrast to be accessible
}

_EPILOG = """\b
Examples:
  nasicon-ml app
  nasicon-ml app --model models/mine --no-browser --port 8600

Ctrl-C ends it. Nothing is fetched from elsewhere, and nothing is sent. Needs nasicon-ml[app]."""


@click.command(cls=SectionedCommand, epilog=_EPILOG)
@option("--model", section=ANSWER, metavar="FOLDER",
        help="Bundle that answers at first.  [default: the model that comes with nasicon-ml]")  # fmt: skip
@option("--tracking-uri", section=ANSWER, metavar="URI",
        help="MLflow's store of the page of models.  [default: MLFLOW_TRACKING_URI, or mlflow.db]")  # fmt: skip
@option("--no-browser", is_flag=True, section=SERVER, help="Open no browser.")
@option("--port", section=SERVER, type=WholeNumber(1, 65535), metavar="NUMBER",
        help="Port to listen on.  [default: 8501, or the next one that is free]")  # fmt: skip
@option("--host", section=SERVER, default="127.0.0.1", show_default=True, metavar="ADDRESS",
        help="Address to listen on. 0.0.0.0 is every one of this machine: whoever reaches it can use the pages,"
        " which read and write campaigns' folders, without a password.")  # fmt: skip
def app(**values: Any) -> None:
    """Show recipes, curves, the literature, your pellets and campaigns in the browser."""
    if importlib.util.find_spec("streamlit") is None or importlib.util.find_spec("altair") is None:
        raise MissingExtraError("streamlit", "app", "the pages in the browser")
    if values["model"] is not None:
        folder = Path(values["model"]).absolute()
        if not (folder / "manifest.json").is_file():
            raise BundleError(f"--model {values['model']}: there is no bundle here (no manifest.json)")
        from nasicon_ml.workflows.predict import BUNDLE_VARIABLE

        os.environ[BUNDLE_VARIABLE] = str(folder)
    if values["tracking_uri"] is not None:
        os.environ["MLFLOW_TRACKING_URI"] = values["tracking_uri"]
    from streamlit.web.cli import main as streamlit

    settings = _SETTINGS | {"server.headless": str(values["no_browser"]).lower(), "server.address": values["host"]}
    if values["port"] is not None:
        settings["server.port"] = str(values["port"])
    script = Path(__file__).parents[1] / "app" / "main.py"
    notify("nasicon-ml app: Ctrl-C ends it")
    threading.Thread(target=_preload, daemon=True).start()
    flags = [f"--{name}={value}" for name, value in settings.items()]
    streamlit(["run", str(script), *flags], prog_name="nasicon-ml app", standalone_mode=False)


def _preload() -> None:
    """Load the modules and the model of the first page while the browser opens; the page reports errors."""
    from nasicon_ml.workflows import explain, profile  # noqa: F401
    from nasicon_ml.workflows.predict import default_bundle, loaded_model

    with suppress(NasiconError):
        loaded_model(default_bundle())
