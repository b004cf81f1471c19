"""The script that Streamlit runs after every change on a page: the list of pages and the current one."""

from __future__ import annotations

import warnings

import streamlit as st

from nasicon_ml.errors import TableNote

# Each page is imported when it is opened, so that the other pages do not delay the first one.


def _recipe() -> None:
    from nasicon_ml.app import recipe

    recipe.show()


def _compare() -> None:
    from nasicon_ml.app import compare

    compare.show()


def _literature() -> None:
    from nasicon_ml.app import literature

    literature.show()


def _pellets() -> None:
    from nasicon_ml.app import pellets

    pellets.show()


def _next_pellets() -> None:
    from nasicon_ml.app import next_pellets

    next_pellets.show()


def _models() -> None:
    from nasicon_ml.app import models

    models.show()


_PAGES = (
    st.Page(_recipe, title="Recipe", url_path="recipe", default=True),
    st.Page(_compare, title="Compare", url_path="compare"),
    st.Page(_literature, title="Literature", url_path="literature"),
    st.Page(_pellets, title="My pellets", url_path="pellets"),
    st.Page(_next_pellets, title="Next pellets", url_path="next"),
    st.Page(_models, title="Models", url_path="models"),
)
warnings.simplefilter("ignore", TableNote)  # the pages show these notes themselves

st.set_page_config("nasicon-ml", layout="wide")
page = st.navigation(list(_PAGES), position="top")
st.title(page.title)  # visible while the rest is imported

from nasicon_ml.app.session import show_errors, show_state  # noqa: E402

with show_errors():
    page.run()
with show_errors():
    show_state()
