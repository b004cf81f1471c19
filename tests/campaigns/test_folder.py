"""The folder of a campaign: what is written, what a person may edit, and what is refused."""

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
def begun(tmp_path):
    (tmp_path / "latp.yaml").write_text(LATP, encoding="utf-8")
    return Campaign.start(tmp_path / "campaign", tmp_path / "latp.yaml", Settings(Goal(min_density_pct=85)))


def table(text, tmp_path, name="new.csv"):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path / name


def batch(*temperatures_c):
    return recipe_table([Recipe(formula="LATP x=0.4", sintering_temperature_c=t) for t in temperatures_c])


def test_a_campaign_is_what_its_files_say(begun):
    again = Campaign.open(begun.folder)
    assert again.settings == begun.settings == Settings(Goal(min_density_pct=85))
    assert again.space.size == 9
    assert again.pellets is None
    assert again.batches.empty
    assert {path.name for path in begun.folder.iterdir()} == {SETTINGS, SPACE}


@pytest.mark.parametrize(
    "settings",
    [
        Settings(),
        Settings(Goal(90, 0.5), 5, "thompson", outside=True, model="models/mine"),
        Settings(Goal(wishes={"conductivity": Wish(1e-6, 1e-3, 2.0), "density": Wish(80, 98)})),
    ],
)
def test_settings_survive_their_file(settings, tmp_path):
    (tmp_path / SETTINGS).write_text(settings.to_yaml(), encoding="utf-8")
    assert Settings.from_yaml(tmp_path / SETTINGS) == settings


@pytest.mark.parametrize(
    ("text", "named"),
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
def test_settings_edited_into_nonsense_are_refused_with_the_line(begun, text, named):
    (begun.folder / SETTINGS).write_text(text, encoding="utf-8")
    with pytest.raises(NasiconError, match=f"(?i){named}"):
        Campaign.open(begun.folder)


def test_a_folder_that_is_taken_or_no_campaign_is_refused(begun, tmp_path):
    with pytest.raises(NasiconError, match="is there already"):
        Campaign.start(begun.folder, tmp_path / "latp.yaml")
    with pytest.raises(NasiconError, match="there is no campaign"):
        Campaign.open(tmp_path)
    with pytest.raises(NasiconError, match=r"nowhere\.yaml"):
        Campaign.start(tmp_path / "other", tmp_path / "nowhere.yaml")
    assert not (tmp_path / "other").exists()


def test_pellets_are_added_with_keys_and_kept_when_read_again(begun, tmp_path):
    one, added = begun.add(table(FIRST, tmp_path))
    assert added.keys == ("own-1", "own-2")
    two, added = one.add(table(FIRST.splitlines()[0] + "\nLATP x=0.4,900,5e-4\n", tmp_path))
    assert added.keys == ("own-3",)
    again = Campaign.open(begun.folder)
    pd.testing.assert_frame_equal(again.pellets, two.pellets)
    assert again.pellets["conductivity_total_s_cm"].tolist() == [3e-4, 1e-4, 5e-4]


@pytest.mark.filterwarnings("ignore::nasicon_ml.errors.TableNote")
def test_remarks_in_the_file_of_pellets_stay(begun, tmp_path):
    (begun.folder / PELLETS).write_text(f"# furnace 2\n{FIRST}", encoding="utf-8")
    Campaign.open(begun.folder).add(table(FIRST.replace("900", "950"), tmp_path))
    assert (begun.folder / PELLETS).read_text(encoding="utf-8").startswith("# furnace 2\npellet_id,")


def test_a_start_that_was_stopped_between_its_files_can_be_done_again(begun, tmp_path):
    (begun.folder / SETTINGS).unlink()
    again = Campaign.start(begun.folder, begun.folder / SPACE)
    assert again.space.size == begun.space.size
    (begun.folder / SETTINGS).unlink()
    with pytest.raises(NasiconError, match="not an empty folder"):
        Campaign.start(begun.folder, table(LATP.replace("0.4", "0.5"), tmp_path, "other.yaml"))


def test_a_growing_table_may_be_added_again_and_again(begun, tmp_path):
    one, _ = begun.add(table(FIRST, tmp_path))
    two, added = one.add(table(FIRST + "LATP x=0.4,900,5e-4\n", tmp_path))
    assert added.keys == ("own-3",)
    assert added.known == ("own-1", "own-2")
    assert len(two.pellets) == 3


def test_the_same_recipe_with_another_value_is_another_pellet_of_it(begun, tmp_path):
    one, _ = begun.add(table(FIRST, tmp_path))
    two, added = one.add(table(FIRST.splitlines()[0] + "\nLATP x=0.3,900,7e-4\n", tmp_path))
    assert added.repeated == {"own-3": ("own-1",)}
    assert len(two.pellets) == 3


def test_a_key_with_other_values_is_refused_and_nothing_is_written(begun, tmp_path):
    keyed = "pellet_id," + FIRST.replace("\nLATP", "\nA1,LATP", 1).replace("\nLATP", "\nA2,LATP", 1)
    one, _ = begun.add(table(keyed, tmp_path))
    before = (begun.folder / PELLETS).read_bytes()
    with pytest.raises(NasiconError, match=r"'A1' is in .* already, with other values"):
        one.add(table(keyed.replace("3e-4", "4e-4"), tmp_path))
    assert (begun.folder / PELLETS).read_bytes() == before


@pytest.mark.parametrize("cell", ["0.3 apples", "-1", "1e6"])
def test_bad_pellets_are_refused_with_file_and_line_and_nothing_is_written(begun, tmp_path, cell):
    with pytest.raises(NasiconError, match=r"new\.csv, line 2"):
        begun.add(table(FIRST.replace("3e-4", cell), tmp_path))
    assert not (begun.folder / PELLETS).exists()


def test_pellets_edited_into_nonsense_are_refused_with_file_and_line(begun, tmp_path):
    begun.add(table(FIRST, tmp_path))
    text = (begun.folder / PELLETS).read_text(encoding="utf-8")
    (begun.folder / PELLETS).write_text(text.replace("900", "hot"), encoding="utf-8")
    with pytest.raises(NasiconError, match=r"pellets\.csv, line 2"):
        Campaign.open(begun.folder)


def test_batches_are_written_down_and_open_until_they_are_made(begun, tmp_path):
    one, number = begun.record(batch(800, 900), dt.date(2026, 11, 29))
    assert number == 1
    again = Campaign.open(begun.folder)
    assert again.batches["date"].tolist() == ["2026-11-29"] * 2
    names = [str(column) for column in MODEL_INPUT]
    pd.testing.assert_frame_equal(again.batches[names], one.batches[names], check_dtype=False)
    assert len(again.open_batch) == 2
    made, _ = again.add(table(FIRST.splitlines()[0] + "\nLATP x=0.4,900,5e-4\n", tmp_path))
    assert made.open_batch["sintering_temperature_c"].tolist() == [800.0]
    _, number = made.record(batch(1000))
    assert number == 2
    assert Campaign.open(begun.folder).open_batch["sintering_temperature_c"].tolist() == [1000.0]


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("\n1,", "\none,", r"batches\.csv, line 2: batch: 'one'"),
        ("800", "chilly", r"batches\.csv, line 2: sintering_temperature_c"),
        ("formula", "formel", "column 'formula' is missing"),
    ],
)
def test_batches_edited_into_nonsense_are_refused(begun, old, new, named):
    begun.record(batch(800, 900))
    text = (begun.folder / BATCHES).read_text(encoding="utf-8")
    (begun.folder / BATCHES).write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(NasiconError, match=named):
        Campaign.open(begun.folder)


def test_two_programs_do_not_work_in_one_folder(begun):
    with working_in(begun.folder), pytest.raises(NasiconError, match="another program works in this folder"):  # noqa: SIM117
        with working_in(begun.folder):
            pass
    with working_in(begun.folder):
        pass


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        (BATCHES, "Li1.4", "Xx1.4", r"batches.csv, line 2: formula: 'Xx1.4"),
        (BATCHES, "1,2026", "99999999999999999999,2026", r"batches.csv, line 2: batch: '9+'"),
        (SETTINGS, "expected-improvement", "thomson", r"campaign.yaml, line \d+: method: .*'thompson'"),
    ],
)
def test_what_a_hand_wrote_wrong_is_said_with_its_place(begun, name, old, new, said):
    begun.record(batch(800), dt.date(2026, 1, 1))
    text = (begun.folder / name).read_text(encoding="utf-8")
    assert old in text
    (begun.folder / name).write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(NasiconError, match=said):
        Campaign.open(begun.folder)


def test_a_condition_left_empty_is_none(begun):
    (begun.folder / SETTINGS).write_text("goal:\n  min_density_pct:\n  desire:\n", encoding="utf-8")
    assert Campaign.open(begun.folder).settings.goal == Goal()


@pytest.mark.filterwarnings("ignore")
def test_a_column_of_a_persons_own_is_not_lost(begun, tmp_path):
    begun.add(table(FIRST, tmp_path))
    file = begun.folder / PELLETS
    head, *rows = file.read_text(encoding="utf-8").splitlines()
    text = "\n".join([head + ",operator", *(row + ",MK" for row in rows), ""])
    file.write_text(text, encoding="utf-8")
    with pytest.raises(NasiconError, match=r"(?s)'operator'.*move it to the column notes"):
        Campaign.open(begun.folder).add(table(FIRST.replace("800", "1000"), tmp_path))
    assert file.read_text(encoding="utf-8") == text
    file.write_text(text.replace("operator", "notes"), encoding="utf-8")
    Campaign.open(begun.folder).add(table(FIRST.replace("800", "1000"), tmp_path))
    assert "MK" in file.read_text(encoding="utf-8")
