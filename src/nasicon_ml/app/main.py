"""What Streamlit runs for every change on a page: the list of pages, and the one that is shown."""

from __future__ import annotations

import streamlit as st

from nasicon_ml.app import recipe
from nasicon_ml.app.session import show_state, told

_PAGES = (st.Page(recipe.show, title="Recipe", url_path="recipe", default=True),)

st.set_page_config("nasicon-ml", layout="wide")
page = st.navigation(list(_PAGES), position="top")
with told():
    page.run()
with told():
    show_state()
