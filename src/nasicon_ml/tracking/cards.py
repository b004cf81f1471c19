"""The model card of a version."""

from __future__ import annotations

from typing import Any

from nasicon_ml.tracking.registry import load_version
from nasicon_ml.tracking.store import opened
from nasicon_ml.tracking.versions import find_version


def version_card(version: str = "champion", *, tracking_uri: str | None = None) -> tuple[str, dict[str, Any]]:
    """Give the model card of a version: as Markdown, and as JSON knows it.

    Parameters
    ----------
    version
        Its number, an alias, or ``latest``.
    tracking_uri
        The store; by default that of MLFLOW_TRACKING_URI, or ``mlflow.db`` in the working directory.

    Raises
    ------
    TrackingError
        If there is no such version, or its files cannot be fetched.
    BundleError
        If its files were changed.
    """
    from nasicon_ml.bundle.card import card_content
    from nasicon_ml.bundle.card_markdown import card_markdown

    with opened(tracking_uri, must_exist=True) as store:
        content = card_content(load_version(store, find_version(store, version).version))
    return card_markdown(content), content
