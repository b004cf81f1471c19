"""The page of a campaign: what to make next, and a form for what came out."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import pandas as pd
import streamlit as st

from nasicon_ml.app.form import FLAGS
from nasicon_ml.app.session import escaped, model, own
from nasicon_ml.app.tables import show_history, worded
from nasicon_ml.campaigns.folder import SETTINGS, Campaign, Settings, working_in
from nasicon_ml.campaigns.goal import Goal
from nasicon_ml.cli.formatting import describe_recipe, plural
from nasicon_ml.cli.inputs import resolve_model
from nasicon_ml.cli.recommend import record_batch
from nasicon_ml.columns import PREDICTION, RECIPE, Column, Kind
from nasicon_ml.data.own_pellets import RESULTS
from nasicon_ml.errors import FieldError
from nasicon_ml.io import table_records
from nasicon_ml.model import PropertyModel
from nasicon_ml.plots import batch_map
from nasicon_ml.workflows.predict import loaded_model
from nasicon_ml.workflows.recommend import campaign_history, next_batch

_FIGURE, _SAID = "figure of the batch", "said of the campaign"


def show() -> None:
    """Show the page."""
    name = st.text_input(
        "Folder of the campaign", key="campaign", bind="query-params", placeholder="such as campaigns/latp",
        help="Plain files on the machine that serves this page, as 'nasicon-ml campaign' keeps them.",
    )  # fmt: skip
    if not name:
        st.info("Name the folder of a campaign, or one that does not exist yet to begin a campaign there.")
        return
    if said := st.session_state.pop(_SAID, ""):
        st.success(escaped(said))
    if not (Path(name) / SETTINGS).is_file():
        _begin(name)
        return
    found = Campaign.open(name)
    st.markdown(escaped(f"Looked for: {found.settings.goal.describe()}"))
    _batch(found)
    _measured(found)


def _begin(name: str) -> None:
    """Offer to begin a campaign."""
    with st.form("begin"):
        st.markdown("There is no campaign in this folder. To begin one:")
        space = st.file_uploader("Search space (YAML)", type=["yaml", "yml"], key="space")
        size = st.number_input("Pellets of a batch", 1, 50, 3)
        density = st.text_input("A pellet counts from this relative density on (%)", placeholder="any")
        purity = st.text_input("A pellet counts only if pure with at least this probability", placeholder="any")
        if not st.form_submit_button("Begin"):
            return
    if space is None:
        raise FieldError("space", "", "a YAML file that says which recipes are possible (docs/search-spaces.md)")
    goal = Goal(_number("density", density), _number("purity", purity))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "space.yaml"
        path.write_bytes(space.getbuffer())
        Campaign.start(name, path, Settings(goal, int(size)))
    st.session_state[_SAID] = f"begun: {name}"
    st.rerun()


def _number(name: str, text: str) -> float | None:
    if not text.strip():
        return None
    try:
        return float(text)
    except ValueError:
        raise FieldError(name, text, "a number") from None


def _batch(found: Campaign) -> None:
    """Show what is proposed and not measured yet, or propose more."""
    waiting = found.open_batch
    if waiting.empty and st.button("Propose the next batch", type="primary"):
        with st.spinner("Looking through the space"), working_in(found.folder):
            batch = next_batch(Campaign.open(found.folder), model=_answering(found))
            number = record_batch(found, batch)
        drawn = io.BytesIO()
        batch_map(*batch.map_points()).savefig(drawn, format="png")
        st.session_state[_FIGURE] = (str(found.folder), drawn.getvalue())
        st.session_state[_SAID] = f"batch {number} is proposed, and written to batches.csv"
        st.rerun()
    if waiting.empty:
        st.markdown("No proposed recipe is open.")
        return
    st.header("Proposed, not measured yet")
    names = [f"{row + 1}. {describe_recipe(cells)}" for row, cells in enumerate(table_records(waiting))]
    st.markdown("  \n".join(map(escaped, names)))
    table, configured = worded(waiting.dropna(axis=1, how="all"), "batch", Column.FORMULA, *PREDICTION)
    st.dataframe(table, hide_index=True, column_config=configured, placeholder="")
    folder, figure = st.session_state.get(_FIGURE, ("", b""))
    if folder == str(found.folder):
        st.image(figure, caption="The batch among its candidates", alt="Map of the candidates and the batch")
    with st.form("came out", clear_on_submit=True):
        st.markdown("**What came out**")
        row = st.selectbox("Recipe", range(len(waiting)), format_func=names.__getitem__, key="recipe made")
        cells = {column.value: _result(column) for column in (Column.PELLET_ID, *RESULTS)}
        if not st.form_submit_button("Add the pellet"):
            return
    recipe = table_records(waiting[[c.value for c in RECIPE if c in waiting]])[row]
    _add(found, pd.DataFrame([{**recipe, **{name: cell or None for name, cell in cells.items()}}]))


def _result(column: Column) -> str | None:
    """Show a field of what came out."""
    label = column.axis_label[0].upper() + column.axis_label[1:]
    return st.selectbox(label, FLAGS, None) if column.kind is Kind.FLAG else st.text_input(label)


def _add(found: Campaign, pellets: pd.DataFrame) -> None:
    with working_in(found.folder):
        _, added = Campaign.open(found.folder).add(pellets)
    again = f"; {plural(len(added.known), 'pellet')} there already" if added.known else ""
    st.session_state[_SAID] = f"{plural(len(added.keys), 'pellet')} added{again}"
    st.rerun()


def _measured(found: Campaign) -> None:
    """Show how it went."""
    mine = own()
    if mine is not None and st.button(f"Add {plural(len(mine), 'pellet')} of the page My pellets"):
        _add(found, mine)
    if found.pellets is None:
        st.markdown("No pellet yet.")
        return
    st.header(f"{plural(len(found.pellets), 'pellet')} made")
    show_history(campaign_history(found.pellets, found.settings.goal, _answering(found)))


def _answering(found: Campaign) -> PropertyModel:
    """Return the model of a campaign; where it names none, the one that answers on all pages."""
    if found.settings.model is None:
        return model()
    _, chosen = resolve_model(found.settings.model, None)
    return chosen if isinstance(chosen, PropertyModel) else loaded_model(chosen)
