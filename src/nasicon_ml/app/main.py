"""What Streamlit runs for every change on a page: the list of pages, and the one that is shown."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable

import streamlit as st

from nasicon_ml.app.session import show_state, told
from nasicon_ml.errors import TableNote


def _shown(name: str) -> Callable[[], None]:
    """Return what shows a page: its module is imported when it is first looked at."""
    return lambda: importlib.import_module(f"nasicon_ml.app.{name}").show()


#: Title and address of each page, by its module.
_PAGES = {
    "recipe": ("Recipe", "recipe"),
    "compare": ("Compare", "compare"),
    "literature": ("Literature", "literature"),
    "pellets": ("My pellets", "pellets"),
    "next_pellets": ("Next pellets", "next"),
    "models": ("Models", "models"),
}
warnings.simplefilter("ignore", TableNote)  # pages say themselves how a table was understood

st.set_page_config("nasicon-ml", layout="wide")
listed = [
    st.Page(_shown(name), title=title, url_path=address, default=name == "recipe")
    for name, (title, address) in _PAGES.items()
]
page = st.navigation(listed, position="top")
with told():
    page.run()
with told():
    show_state()
