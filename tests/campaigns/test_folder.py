"""The folder of a campaign: files written, edits by users, and errors."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest

from nasicon_ml.campaigns.folder import BATCHES, PELLETS, SETTINGS, SPACE, Campaign, Settings, working_in
from nasicon_ml.campaigns.goal import Goal
from nasicon_ml.columns import MODEL_INPUT
from nasicon_ml.errors import NasiconError
from nasicon_ml.recipe import Recipe, recipe_table
from nasicon_ml.screening.objectives import Wish

LATP = """\
name: LATP
compositions:
  - system: LATP
    x: [0.2, 0.3, 0.4]
processing:
  sintering_temperature_c: [800, 900, 1000]
"""
FIRST = "formula,sintering_temperature_c,conductivity_total_s_cm\nLATP x=0.3,900,3e-4\nLATP x=0.3,800,1e-4\n"


@pytest.fixture
def campaign(tmp_path):
    (tmp_path / "latp.yaml").write_text(LATP, encoding="utf-8")
    return Campaign.start(tmp_path / "campaign", tmp_path / "latp.yaml", Settings(Goal(min_density_pct=85)))


def write_file(text, tmp_path, name="new.csv"):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path / name


def batch(*temperatures_c):
    return recipe_table([Recipe(formula="LATP x=0.4", sintering_temperature_c=t) for t in temperatures_c])


def test_opened_campaign_equals_started_campaign(campaign):
    reopened = Campaign.open(campaign.folder)
    assert reopened.settings == campaign.settings == Settings(Goal(min_density_pct=85))
    assert reopened.space.size == 9
    assert reopened.pellets is None
    assert reopened.batches.empty
    assert {path.name for path in campaign.folder.iterdir()} == {SETTINGS, SPACE}


@pytest.mark.parametrize(
    "settings",
    [
        Settings(),
        Settings(Goal(90, 0.5), 5, "thompson", outside=True, model="models/mine"),
        Settings(Goal(wishes={"conductivity": Wish(1e-6, 1e-3, 2.0), "density": Wish(80, 98)})),
    ],
)
def test_settings_round_trip_through_yaml(settings, tmp_path):
    (tmp_path / SETTINGS).write_text(settings.to_yaml(), encoding="utf-8")
    assert Settings.from_yaml(tmp_path / SETTINGS) == settings


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("goal: {min_density_pct: 130}", r"campaign\.yaml, line 1: min_density_pct: 130"),
        ("batch: 3\ngoal:\n  min_purity: 50", r"line 2: min_purity: 50"),
        ("batch: three", r"line 1: batch: 'three'"),
        ("batch: 3\nmethd: thompson", r"line 2: methd.*did you mean 'method'"),
        ("outside: maybe", "true or false"),
        ("goal: {desire: {density: [80]}}", r"density: .*\[worst, best\]"),
        ("goal: {desire: {colour: [0, 1]}}", "colour"),
        ("- 3", "mapping"),
        ("", "empty"),
    ],
)
def test_edited_settings_with_invalid_value_raise_error_with_line(campaign, text, pattern):
    (campaign.folder / SETTINGS).write_text(text, encoding="utf-8")
    with pytest.raises(NasiconError, match=f"(?i){pattern}"):
        Campaign.open(campaign.folder)


def test_used_folder_missing_campaign_and_missing_space_raise(campaign, tmp_path):
    with pytest.raises(NasiconError, match="is there already"):
        Campaign.start(campaign.folder, tmp_path / "latp.yaml")
    with pytest.raises(NasiconError, match="there is no campaign"):
        Campaign.open(tmp_path)
    with pytest.raises(NasiconError, match=r"nowhere\.yaml"):
        Campaign.start(tmp_path / "other", tmp_path / "nowhere.yaml")
    assert not (tmp_path / "other").exists()


def test_added_pellets_get_keys_and_are_read_back_unchanged(campaign, tmp_path):
    first, added = campaign.add(write_file(FIRST, tmp_path))
    assert added.keys == ("own-1", "own-2")
    second, added = first.add(write_file(FIRST.splitlines()[0] + "\nLATP x=0.4,900,5e-4\n", tmp_path))
    assert added.keys == ("own-3",)
    reopened = Campaign.open(campaign.folder)
    pd.testing.assert_frame_equal(reopened.pellets, second.pellets)
    assert reopened.pellets["conductivity_total_s_cm"].tolist() == [3e-4, 1e-4, 5e-4]


@pytest.mark.filterwarnings("ignore::nasicon_ml.errors.TableNote")
def test_comments_in_pellets_file_are_kept(campaign, tmp_path):
    (campaign.folder / PELLETS).write_text(f"# furnace 2\n{FIRST}", encoding="utf-8")
    Campaign.open(campaign.folder).add(write_file(FIRST.replace("900", "950"), tmp_path))
    assert (campaign.folder / PELLETS).read_text(encoding="utf-8").startswith("# furnace 2\npellet_id,")


def test_interrupted_start_can_be_repeated_with_the_same_space(campaign, tmp_path):
    (campaign.folder / SETTINGS).unlink()
    restarted = Campaign.start(campaign.folder, campaign.folder / SPACE)
    assert restarted.space.size == campaign.space.size
    (campaign.folder / SETTINGS).unlink()
    with pytest.raises(NasiconError, match="not an empty folder"):
        Campaign.start(campaign.folder, write_file(LATP.replace("0.4", "0.5"), tmp_path, "other.yaml"))


def test_adding_a_table_again_adds_only_its_new_pellets(campaign, tmp_path):
    first, _ = campaign.add(write_file(FIRST, tmp_path))
    second, added = first.add(write_file(FIRST + "LATP x=0.4,900,5e-4\n", tmp_path))
    assert added.keys == ("own-3",)
    assert added.known == ("own-1", "own-2")
    assert len(second.pellets) == 3


def test_same_recipe_with_other_result_is_added_as_repeated_pellet(campaign, tmp_path):
    first, _ = campaign.add(write_file(FIRST, tmp_path))
    second, added = first.add(write_file(FIRST.splitlines()[0] + "\nLATP x=0.3,900,7e-4\n", tmp_path))
    assert added.repeated == {"own-3": ("own-1",)}
    assert len(second.pellets) == 3


def test_existing_key_with_other_values_raises_and_writes_nothing(campaign, tmp_path):
    with_ids = "pellet_id," + FIRST.replace("\nLATP", "\nA1,LATP", 1).replace("\nLATP", "\nA2,LATP", 1)
    first, _ = campaign.add(write_file(with_ids, tmp_path))
    before = (campaign.folder / PELLETS).read_bytes()
    with pytest.raises(NasiconError, match=r"'A1' is in .* already, with other values"):
        first.add(write_file(with_ids.replace("3e-4", "4e-4"), tmp_path))
    assert (campaign.folder / PELLETS).read_bytes() == before


@pytest.mark.parametrize("cell", ["0.3 apples", "-1", "1e6"])
def test_invalid_pellets_raise_error_with_line_and_write_nothing(campaign, tmp_path, cell):
    with pytest.raises(NasiconError, match=r"new\.csv, line 2"):
        campaign.add(write_file(FIRST.replace("3e-4", cell), tmp_path))
    assert not (campaign.folder / PELLETS).exists()


def test_edited_pellets_with_invalid_value_raise_error_with_line(campaign, tmp_path):
    campaign.add(write_file(FIRST, tmp_path))
    text = (campaign.folder / PELLETS).read_text(encoding="utf-8")
    (campaign.folder / PELLETS).write_text(text.replace("900", "hot"), encoding="utf-8")
    with pytest.raises(NasiconError, match=r"pellets\.csv, line 2"):
        Campaign.open(campaign.folder)


def test_recorded_batch_is_open_until_its_pellets_are_added(campaign, tmp_path):
    recorded, number = campaign.record(batch(800, 900), dt.date(2026, 11, 29))
    assert number == 1
    reopened = Campaign.open(campaign.folder)
    assert reopened.batches["date"].tolist() == ["2026-11-29"] * 2
    names = [str(column) for column in MODEL_INPUT]
    pd.testing.assert_frame_equal(reopened.batches[names], recorded.batches[names], check_dtype=False)
    assert len(reopened.open_batch) == 2
    measured, _ = reopened.add(write_file(FIRST.splitlines()[0] + "\nLATP x=0.4,900,5e-4\n", tmp_path))
    assert measured.open_batch["sintering_temperature_c"].tolist() == [800.0]
    _, number = measured.record(batch(1000))
    assert number == 2
    assert Campaign.open(campaign.folder).open_batch["sintering_temperature_c"].tolist() == [1000.0]


@pytest.mark.parametrize(
    ("old", "new", "pattern"),
    [
        ("\n1,", "\none,", r"batches\.csv, line 2: batch: 'one'"),
        ("800", "chilly", r"batches\.csv, line 2: sintering_temperature_c"),
        ("formula", "formel", "column 'formula' is missing"),
    ],
)
def test_edited_batches_with_invalid_value_raise_error_with_line(campaign, old, new, pattern):
    campaign.record(batch(800, 900))
    text = (campaign.folder / BATCHES).read_text(encoding="utf-8")
    (campaign.folder / BATCHES).write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(NasiconError, match=pattern):
        Campaign.open(campaign.folder)


def test_working_in_locks_the_folder(campaign):
    with working_in(campaign.folder), pytest.raises(NasiconError, match="another program works in this folder"):  # noqa: SIM117
        with working_in(campaign.folder):
            pass
    with working_in(campaign.folder):
        pass


@pytest.mark.parametrize(
    ("name", "old", "new", "pattern"),
    [
        (BATCHES, "Li1.4", "Xx1.4", r"batches.csv, line 2: formula: 'Xx1.4"),
        (BATCHES, "1,2026", "99999999999999999999,2026", r"batches.csv, line 2: batch: '9+'"),
        (SETTINGS, "expected-improvement", "thomson", r"campaign.yaml, line \d+: method: .*'thompson'"),
    ],
)
def test_edited_file_with_invalid_value_names_file_line_and_field(campaign, name, old, new, pattern):
    campaign.record(batch(800), dt.date(2026, 1, 1))
    text = (campaign.folder / name).read_text(encoding="utf-8")
    assert old in text
    (campaign.folder / name).write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(NasiconError, match=pattern):
        Campaign.open(campaign.folder)


def test_empty_condition_in_settings_is_none(campaign):
    (campaign.folder / SETTINGS).write_text("goal:\n  min_density_pct:\n  desire:\n", encoding="utf-8")
    assert Campaign.open(campaign.folder).settings.goal == Goal()


@pytest.mark.filterwarnings("ignore")
def test_unknown_column_in_pellets_file_raises_instead_of_being_dropped(campaign, tmp_path):
    campaign.add(write_file(FIRST, tmp_path))
    pellets_file = campaign.folder / PELLETS
    header, *rows = pellets_file.read_text(encoding="utf-8").splitlines()
    text = "\n".join([header + ",operator", *(row + ",MK" for row in rows), ""])
    pellets_file.write_text(text, encoding="utf-8")
    with pytest.raises(NasiconError, match=r"(?s)'operator'.*move it to the column notes"):
        Campaign.open(campaign.folder).add(write_file(FIRST.replace("800", "1000"), tmp_path))
    assert pellets_file.read_text(encoding="utf-8") == text
    pellets_file.write_text(text.replace("operator", "notes"), encoding="utf-8")
    Campaign.open(campaign.folder).add(write_file(FIRST.replace("800", "1000"), tmp_path))
    assert "MK" in pellets_file.read_text(encoding="utf-8")
