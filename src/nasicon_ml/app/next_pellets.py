"""The page of a campaign: the next pellets to make, and a form for their results."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import pandas as pd
import streamlit as st

from nasicon_ml.app.form import FLAGS
from nasicon_ml.app.session import escaped, model, own
from nasicon_ml.app.tables import show_history, with_column_labels
from nasicon_ml.campaigns.folder import SETTINGS, Campaign, Settings, working_in
from nasicon_ml.campaigns.goal import Goal
from nasicon_ml.cli.formatting import describe_recipe, plural
from nasicon_ml.cli.inputs import load_model
from nasicon_ml.cli.recommend import record_batch
from nasicon_ml.columns import PREDICTION, RECIPE, Column, Kind
from nasicon_ml.data.own_pellets import RESULTS
from nasicon_ml.errors import FieldError
from nasicon_ml.io import table_records
from nasicon_ml.model import PropertyModel
from nasicon_ml.plots import batch_map
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
        _start_campaign(name)
        return
    campaign = Campaign.open(name)
    st.markdown(escaped(f"Looked for: {campaign.settings.goal.describe()}"))
    _show_batch(campaign)
    _show_measured(campaign)


def _start_campaign(name: str) -> None:
    """Show the form that begins a campaign."""
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
    goal = Goal(_parse_number("density", density), _parse_number("purity", purity))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "space.yaml"
        path.write_bytes(space.getbuffer())
        Campaign.start(name, path, Settings(goal, int(size)))
    st.session_state[_SAID] = f"begun: {name}"
    st.rerun()


def _parse_number(name: str, text: str) -> float | None:
    if not text.strip():
        return None
    try:
        return float(text)
    except ValueError:
        raise FieldError(name, text, "a number") from None


def _show_batch(campaign: Campaign) -> None:
    """Show the proposed recipes that are not measured yet, or propose a new batch."""
    waiting = campaign.open_batch
    if waiting.empty and st.button("Propose the next batch", type="primary"):
        with st.spinner("Looking through the space"), working_in(campaign.folder):
            batch = next_batch(Campaign.open(campaign.folder), model=_campaign_model(campaign))
            number = record_batch(campaign, batch)
        drawn = io.BytesIO()
        batch_map(*batch.map_points()).savefig(drawn, format="png")
        st.session_state[_FIGURE] = (str(campaign.folder), drawn.getvalue())
        st.session_state[_SAID] = f"batch {number} is proposed, and written to batches.csv"
        st.rerun()
    if waiting.empty:
        st.markdown("No proposed recipe is open.")
        return
    st.header("Proposed, not measured yet")
    names = [f"{row + 1}. {describe_recipe(cells)}" for row, cells in enumerate(table_records(waiting))]
    st.markdown("  \n".join(map(escaped, names)))
    table, config = with_column_labels(waiting.dropna(axis=1, how="all"), "batch", Column.FORMULA, *PREDICTION)
    st.dataframe(table, hide_index=True, column_config=config, placeholder="")
    folder, figure = st.session_state.get(_FIGURE, ("", b""))
    if folder == str(campaign.folder):
        st.image(figure, caption="The batch among its candidates", alt="Map of the candidates and the batch")
    with st.form("came out", clear_on_submit=True):
        st.markdown("**What came out**")
        row = st.selectbox("Recipe", range(len(waiting)), format_func=names.__getitem__, key="recipe made")
        cells = {column.value: _result_input(column) for column in (Column.PELLET_ID, *RESULTS)}
        if not st.form_submit_button("Add the pellet"):
            return
    recipe = table_records(waiting[[c.value for c in RECIPE if c in waiting]])[row]
    _add_pellets(campaign, pd.DataFrame([{**recipe, **{name: cell or None for name, cell in cells.items()}}]))


def _result_input(column: Column) -> str | None:
    """Show the field of one result."""
    label = column.axis_label[0].upper() + column.axis_label[1:]
    return st.selectbox(label, FLAGS, None) if column.kind is Kind.FLAG else st.text_input(label)


def _add_pellets(campaign: Campaign, pellets: pd.DataFrame) -> None:
    with working_in(campaign.folder):
        _, added = Campaign.open(campaign.folder).add(pellets)
    again = f"; {plural(len(added.known), 'pellet')} there already" if added.known else ""
    st.session_state[_SAID] = f"{plural(len(added.keys), 'pellet')} added{again}"
    st.rerun()


def _show_measured(campaign: Campaign) -> None:
    """Show the measured pellets and their earlier predictions."""
    mine = own()
    if mine is not None and st.button(f"Add {plural(len(mine), 'pellet')} of the page My pellets"):
        _add_pellets(campaign, mine)
    if campaign.pellets is None:
        st.markdown("No pellet yet.")
        return
    st.header(f"{plural(len(campaign.pellets), 'pellet')} made")
    show_history(campaign_history(campaign.pellets, campaign.settings.goal, _campaign_model(campaign)))


def _campaign_model(campaign: Campaign) -> PropertyModel:
    """Return the model in the settings of a campaign, by default the model of the session."""
    return model() if campaign.settings.model is None else load_model(campaign.settings.model, None)[1]
