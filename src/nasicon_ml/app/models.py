"""The page of models: the current model with its model card, and the versions in the registry."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from nasicon_ml.app.session import MODEL, model, show_errors
from nasicon_ml.bundle.card import card_content, card_markdown
from nasicon_ml.cli.inputs import load_model
from nasicon_ml.cli.registry import versions_table

_DEFAULT = "the one that comes along"


def show() -> None:
    """Show the page."""
    wanted = st.toggle("Registered versions (MLflow)", key="registered", bind="query-params")
    with st.container(), show_errors():  # always present, so that the card below is not redrawn
        if wanted:
            _versions()
    st.markdown(card_markdown(card_content(model())).partition("\n")[2])


def _versions() -> None:
    """List the versions and select the model of the session."""
    from nasicon_ml.tracking.registry import list_versions

    versions = list_versions()
    if not versions:
        st.info("No version is registered; make one: nasicon-ml train")
        return
    headers, *rows = versions_table(versions)
    st.dataframe(pd.DataFrame(rows, columns=[*headers[:-1], "problem"]), hide_index=True)
    names = [_DEFAULT, *(version.uri for version in versions if version.usable)]
    chosen = st.selectbox("Who answers", names, key="answers", bind="query-params")
    if chosen == _DEFAULT:
        st.session_state.pop(MODEL, None)
    elif MODEL not in st.session_state or st.session_state[MODEL][0] != chosen:
        st.session_state[MODEL] = (chosen, load_model(chosen, None)[1])
