"""What one visitor has chosen, the model and own pellets, and how errors are told; nothing is shared."""

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
_MOST = 3_000


def escaped(text: str) -> str:
    """Return a text as Markdown that shows it as it is, line by line."""
    shown = text if len(text) <= _MOST else f"{text[:_MOST]} ..."
    return re.sub(r"([\\`*_{}\[\]()<>#+\-.!|$~:])", r"\\\1", shown).replace("\n", "  \n")


def subscripted(formula: str) -> str:
    """Return a formula with its amounts as subscripts."""
    return re.sub(r"(?<=[A-Za-z)\]])\d+(\.\d+)?", lambda match: match[0].translate(_SUBSCRIPTS), formula)


@contextmanager
def told() -> Iterator[None]:
    """Say on the page what cannot be done, in the words of the command line; a traceback goes to the terminal."""
    try:
        yield
    except NasiconError as error:
        st.error(escaped(str(error)))
    except Exception as error:  # noqa: BLE001  (the last line of defence: a person gets a sentence)
        traceback.print_exc()
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        st.error(escaped(f"this is a fault of nasicon-ml, not of your input ({reason}); the terminal says more"))


def model() -> PropertyModel:
    """Return the model that answers this visitor."""
    chosen = st.session_state.get(MODEL)
    return chosen[1] if chosen is not None else loaded_model(default_bundle())


def own() -> pd.DataFrame | None:
    """Return the pellets of this visitor; None where there are none."""
    return st.session_state.get(OWN)


def show_state() -> None:
    """Say below a page who answers, and which pellets move the answers."""
    name = st.session_state[MODEL][0] if MODEL in st.session_state else "the one that comes along"
    st.caption(escaped(describe_model(name, model().metadata)))
    pellets = own()
    if pellets is not None:
        words = f"{plural(len(pellets), 'own pellet')} of {st.session_state[OWN_NAME]} move the answers"
        st.caption(escaped(words))
