"""The model and the own pellets of a session, which no other session sees, and error messages."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import streamlit as st

from nasicon_ml.cli.formatting import describe_model, plural
from nasicon_ml.errors import NasiconError
from nasicon_ml.model import PropertyModel
from nasicon_ml.workflows.predict import default_bundle, loaded_model

if TYPE_CHECKING:
    import pandas as pd

MODEL, OWN, OWN_NAME = "chosen model", "own", "name of own"
_SUBSCRIPTS = str.maketrans("0123456789", "\u2080\u2081\u2082\u2083\u2084\u2085\u2086\u2087\u2088\u2089")
_MAX_CHARACTERS = 3_000


def escaped(text: str) -> str:
    """Return Markdown that shows a text literally, with its line breaks."""
    shown = text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]} ..."
    return re.sub(r"([\\`*_{}\[\]()<>#+\-.!|$~:])", r"\\\1", shown).replace("\n", "  \n")


def subscripted(formula: str) -> str:
    """Return a formula with its amounts as subscripts."""
    return re.sub(r"(?<=[A-Za-z)\]])\d+(\.\d+)?", lambda match: match[0].translate(_SUBSCRIPTS), formula)


@contextmanager
def show_errors() -> Iterator[None]:
    """Show errors on the page, worded as on the command line; tracebacks are printed to the terminal."""
    try:
        yield
    except NasiconError as error:
        st.error(escaped(str(error)))
    except Exception as error:  # noqa: BLE001  (users get a message instead of a traceback)
        traceback.print_exc()
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        st.error(escaped(f"this is a fault of nasicon-ml, not of your input ({reason}); the terminal says more"))


def model() -> PropertyModel:
    """Return the model of this session."""
    chosen = st.session_state.get(MODEL)
    return chosen[1] if chosen is not None else loaded_model(default_bundle())


def own() -> pd.DataFrame | None:
    """Return the own pellets of this session; None without own pellets."""
    return st.session_state.get(OWN)


def show_state() -> None:
    """Show the model and the own pellets below a page."""
    name = st.session_state[MODEL][0] if MODEL in st.session_state else "the one that comes along"
    st.caption(escaped(describe_model(name, model().metadata)))
    pellets = own()
    if pellets is not None:
        text = f"{plural(len(pellets), 'own pellet')} of {st.session_state[OWN_NAME]} move the answers"
        st.caption(escaped(text))
