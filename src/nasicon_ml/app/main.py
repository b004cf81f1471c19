"""What Streamlit runs for every change on a page: the list of pages, and the one that is shown."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable

import streamlit as st

from nasicon_ml.errors import TableNote


def _shown(module: str) -> Callable[[], None]:
    """Return what shows a page, which is imported when it is looked at: others would delay the first one."""
    return lambda: importlib.import_module(f"nasicon_ml.app.{module}").show()


_PAGES = (
    st.Page(_shown("recipe"), title="Recipe", url_path="recipe", default=True),
    st.Page(_shown("compare"), title="Compare", url_path="compare"),
    st.Page(_shown("literature"), title="Literature", url_path="literature"),
    st.Page(_shown("pellets"), title="My pellets", url_path="pellets"),
    st.Page(_shown("next_pellets"), title="Next pellets", url_path="next"),
    st.Page(_shown("models"), title="Models", url_path="models"),
)
warnings.simplefilter("ignore", TableNote)  # pages say themselves how a table was understood

st.set_page_config("nasicon-ml", layout="wide")
page = st.navigation(list(_PAGES), position="top")
st.title(page.title)  # stands there while the rest is imported

from nasicon_ml.app.session import show_state, told  # noqa: E402

with told():
    page.run()
with told():
    show_state()
