"""The page of models: who answers, what it is worth, and the versions in the registry."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from nasicon_ml.app.session import MODEL, model, told
from nasicon_ml.bundle.card import card_content, card_markdown
from nasicon_ml.cli.inputs import resolve_model
from nasicon_ml.cli.registry import versions_table
from nasicon_ml.model import PropertyModel

_OURS = "the one that comes along"


def show() -> None:
    """Show the page."""
    wanted = st.toggle("Registered versions (MLflow)", key="registered", bind="query-params")
    with st.container(), told():  # there without versions, too: what comes after it need not be drawn anew
        if wanted:
            _versions()
    st.markdown(card_markdown(card_content(model())).partition("\n")[2])


def _versions() -> None:
    """List the versions, and let one of them answer."""
    from nasicon_ml.tracking.registry import list_versions

    versions = list_versions()
    if not versions:
        st.info("No version is registered; make one: nasicon-ml train")
        return
    heads, *rows = versions_table(versions)
    st.dataframe(pd.DataFrame(rows, columns=[*heads[:-1], "problem"]), hide_index=True)
    names = [_OURS, *(one.uri for one in versions if one.usable)]
    chosen = st.selectbox("Who answers", names, key="answers", bind="query-params")
    if chosen == _OURS:
        st.session_state.pop(MODEL, None)
    elif MODEL not in st.session_state or st.session_state[MODEL][0] != chosen:
        _, found = resolve_model(chosen, None)
        if isinstance(found, PropertyModel):
            st.session_state[MODEL] = (chosen, found)
