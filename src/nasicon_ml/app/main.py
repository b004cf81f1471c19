"""What Streamlit runs for every change on a page: the list of pages, and the one that is shown."""

from __future__ import annotations

import warnings

import streamlit as st

from nasicon_ml.app import compare, literature, models, next_pellets, pellets, recipe
from nasicon_ml.app.session import show_state, told
from nasicon_ml.errors import TableNote

_PAGES = (
    st.Page(recipe.show, title="Recipe", url_path="recipe", default=True),
    st.Page(compare.show, title="Compare", url_path="compare"),
    st.Page(literature.show, title="Literature", url_path="literature"),
    st.Page(pellets.show, title="My pellets", url_path="pellets"),
    st.Page(next_pellets.show, title="Next pellets", url_path="next"),
    st.Page(models.show, title="Models", url_path="models"),
)
warnings.simplefilter("ignore", TableNote)  # pages say themselves how a table was understood

st.set_page_config("nasicon-ml", layout="wide")
page = st.navigation(list(_PAGES), position="top")
with told():
    page.run()
with told():
    show_state()
