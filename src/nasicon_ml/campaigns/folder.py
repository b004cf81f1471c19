"""The folder of a campaign: what is wanted, what was measured and what was proposed, in files one may edit.

```
campaign.yaml  what is wanted: goal, size of a batch, model
space.yaml     the search space
pellets.csv    own measured pellets, in the dataset's columns
batches.csv    what was proposed, batch by batch
```

All of it is checked whenever it is read. Files are written under a temporary name and renamed, and one program at
a time works in a folder, so that nothing is lost when one is killed.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from nasicon_ml.campaigns.acquisition import METHODS, already_made, same_recipe
from nasicon_ml.campaigns.goal import Goal
from nasicon_ml.checks import Severity, check_columns
from nasicon_ml.columns import MODEL_INPUT, PELLET, RECIPE, Column, Kind
from nasicon_ml.composition import check_formulas
from nasicon_ml.data.own_pellets import RESULTS, generated_key, own_pellets
from nasicon_ml.errors import DatasetError, FieldError, NasiconError, UnreadableFileError, nearest
from nasicon_ml.io import read_table, write_table
from nasicon_ml.io.tables import table_as_csv, write_text
from nasicon_ml.screening.objectives import Wish
from nasicon_ml.screening.space import SearchSpace
from nasicon_ml.screening.specification import SpecNode, spec_from_yaml

SETTINGS, SPACE, PELLETS, BATCHES = "campaign.yaml", "space.yaml", "pellets.csv", "batches.csv"
_LOCK = ".lock"
_KEYS = ("goal", "batch", "method", "outside", "model")
_GOAL_KEYS = ("min_density_pct", "min_purity", "desire")
_DAY = "date"
_MOST_BATCHES = 1_000_000
BATCH = "batch"


@dataclass(frozen=True)
class Settings:
    """What a campaign is after, as campaign.yaml states it.

    Attributes
    ----------
    goal
        What is wanted.
    batch
        Pellets of a batch.
    method
        How they are chosen (`nasicon_ml.campaigns.acquisition.METHODS`).
    outside
        Whether recipes outside the known domain may be proposed.
    model
        Bundle folder or MLflow address of the model; None: the one that comes along.
    """

    goal: Goal = field(default_factory=Goal)
    batch: int = 3
    method: str = "expected-improvement"
    outside: bool = False
    model: str | None = None

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise FieldError("method", self.method, ", ".join(METHODS), nearest(self.method, METHODS))

    def to_yaml(self) -> str:
        """Return the content of campaign.yaml."""
        import yaml

        goal = self.goal.to_json()
        goal["desire"] = goal.pop("wishes") or None
        content = {
            "goal": {name: value for name, value in goal.items() if value is not None},
            "batch": self.batch,
            "method": self.method,
            "outside": self.outside,
            "model": self.model,
        }
        head = "# What this campaign is after; may be edited, and is checked whenever it is read.\n"
        return head + yaml.safe_dump(content, sort_keys=False, allow_unicode=True)

    @classmethod
    def from_yaml(cls, path: Path) -> Settings:
        """Read campaign.yaml.

        Raises
        ------
        UnreadableFileError
            If it cannot be read as YAML.
        SpaceError
            If a key or a value is not possible; with file and line.
        """
        parts = spec_from_yaml(path, "a campaign").renamed(SETTINGS).fields(_KEYS)
        settings = cls()
        if "goal" in parts and parts["goal"].value is not None:
            settings = replace(settings, goal=_goal(parts["goal"]))
        if "batch" in parts:
            settings = replace(settings, batch=parts["batch"].integer(1, 50))
        if "method" in parts:
            try:
                settings = replace(settings, method=parts["method"].text(", ".join(METHODS)))
            except FieldError as error:
                raise parts["method"].add_place(error) from None
        if "outside" in parts:
            settings = replace(settings, outside=parts["outside"].boolean())
        if "model" in parts and parts["model"].value is not None:
            settings = replace(settings, model=parts["model"].text("a bundle folder or an MLflow address"))
        return settings


def _goal(node: SpecNode) -> Goal:
    parts = {name: part for name, part in node.fields(_GOAL_KEYS).items() if part.value is not None}
    numbers = {name: parts[name].number(0, 100) for name in ("min_density_pct", "min_purity") if name in parts}
    wishes = {}
    for name, wish in (
        parts["desire"].any_fields("properties, each with [worst, best, weight]").items()
        if "desire" in parts
        else ()
    ):
        ends = [item.number(-1e9, 1e9) for item in wish.items("[worst, best] or [worst, best, weight]")]
        if len(ends) not in {2, 3}:
            raise wish.error("[worst, best] or [worst, best, weight]")
        wishes[name] = Wish(*ends)
    try:
        return Goal(numbers.get("min_density_pct"), numbers.get("min_purity"), wishes)
    except FieldError as error:
        raise node.add_place(error) from None


@dataclass(frozen=True)
class Added:
    """What came of adding pellets.

    Attributes
    ----------
    keys
        Of the pellets that are new.
    known
        Of those that were there already, with the same cells.
    repeated
        New pellet -> pellets of the same recipe that were there before.
    """

    keys: tuple[str, ...]
    known: tuple[str, ...]
    repeated: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Campaign:
    """A campaign as its folder has it.

    Attributes
    ----------
    folder
        Where it is.
    settings
        What is wanted.
    space
        Where to look.
    pellets
        Own pellets as `nasicon_ml.data.own_pellets.own_pellets` reads them; None before the first.
    batches
        What was proposed: `BATCH`, date, columns `nasicon_ml.columns.MODEL_INPUT` and what was said of each.
    """

    folder: Path
    settings: Settings
    space: SearchSpace
    pellets: pd.DataFrame | None
    batches: pd.DataFrame

    @classmethod
    def start(cls, folder: str | Path, space: str | Path, settings: Settings | None = None) -> Campaign:
        """Begin a campaign in a folder that does not exist, is empty or holds this space.yaml alone.

        Raises
        ------
        NasiconError
            If the folder is taken or cannot be made; if the space is not possible.
        """
        folder = Path(folder)
        SearchSpace.from_yaml(space)  # refused before anything is written
        try:
            text = Path(space).read_text(encoding="utf-8-sig")
            if folder.exists() and (not folder.is_dir() or not _holds_nothing_but(folder, text)):
                raise NasiconError(f"{folder}: is there already, and not an empty folder; name another")
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise NasiconError(f"{error.filename}: {error.strerror}") from None
        write_text(text, folder / SPACE)
        write_text((settings or Settings()).to_yaml(), folder / SETTINGS)
        return cls.open(folder)

    @classmethod
    def open(cls, folder: str | Path) -> Campaign:
        """Read a campaign; everything is checked.

        Raises
        ------
        NasiconError
            If the folder is none, or a file of it was edited into what cannot be; with file and line.
        """
        folder = Path(folder)
        if not (folder / SETTINGS).is_file():
            raise NasiconError(
                f"{folder}: there is no campaign (no {SETTINGS}); begin one:"
                " nasicon-ml campaign start FOLDER SPACE.yaml"
            )
        settings = Settings.from_yaml(folder / SETTINGS)
        space = SearchSpace.from_yaml(folder / SPACE)
        pellets = own_pellets(folder / PELLETS) if (folder / PELLETS).exists() else None
        return cls(folder, settings, space, pellets, _batches(folder / BATCHES))

    def add(self, own: str | Path | pd.DataFrame) -> tuple[Campaign, Added]:
        """Add measured pellets; what is there stays.

        Parameters
        ----------
        own
            As for `nasicon_ml.data.own_pellets.own_pellets`.

        Returns
        -------
        Campaign
            With them.
        Added
            What was new.

        Raises
        ------
        DatasetError
            If rows are bad, a key is there already with other values, or pellets.csv was given columns that would
            be lost; nothing is written then.
        """
        new, before = own_pellets(own), self.pellets
        if before is None:
            before = new.iloc[:0]
        known, taken = [], set(before[Column.PELLET_ID])
        keys, before_keys = new[Column.PELLET_ID].tolist(), before[Column.PELLET_ID].tolist()
        new_cells, before_cells = _cells(new), _cells(before)
        for row, key in enumerate(keys):
            is_made_up = key == generated_key(row)
            named = [other for other, at in zip(before_keys, before_cells, strict=True) if at == new_cells[row]]
            if (named and is_made_up) or key in named:
                known.append(named[0] if is_made_up else key)
                keys[row] = None
            elif is_made_up:
                keys[row] = next(
                    name for at in itertools.count(len(taken)) if (name := generated_key(at)) not in taken
                )
                taken.add(keys[row])
            elif key in taken:
                raise DatasetError(
                    f"{Column.PELLET_ID}: {key!r} is in {self.folder / PELLETS} already, with other values; a"
                    " correction is made there, a new pellet needs a key of its own"
                )
        table = new.assign(**{Column.PELLET_ID.value: keys})
        table = table[table[Column.PELLET_ID].notna()].reset_index(drop=True)
        added = Added(tuple(table[Column.PELLET_ID]), tuple(known), _repeated(table, before))
        if not added.keys:
            return self, added
        if self.pellets is not None:
            try:
                own_pellets(self.folder / PELLETS, strict=True)
            except DatasetError as error:
                raise DatasetError(
                    f"{error}\nnothing is added, for what stands there would be lost: move it to the column"
                    f" {Column.NOTES}"
                ) from None
        whole = pd.concat([before, table], ignore_index=True) if len(before) else table
        self._write_pellets(whole)
        return replace(self, pellets=own_pellets(self.folder / PELLETS)), added

    def _write_pellets(self, pellets: pd.DataFrame) -> None:
        always = {Column.PELLET_ID, Column.FORMULA}
        stated = [c for c in PELLET if c in pellets and (c in always or _says_something(pellets[c], c))]
        path = self.folder / PELLETS
        lines = path.read_bytes().decode("utf-8", "replace").splitlines() if path.exists() else []
        remarks = "".join(f"{line}\n" for line in lines if line.startswith("#"))
        write_text(remarks + table_as_csv(pellets[[str(column) for column in stated]]), path)

    def record(self, batch: pd.DataFrame, day: dt.date | None = None) -> tuple[Campaign, int]:
        """Write a batch down; return the campaign with it, and its number.

        Parameters
        ----------
        batch
            Columns `nasicon_ml.columns.MODEL_INPUT`, and what is to be remembered of each recipe.
        day
            When it was proposed; by default today.
        """
        number = 1 if self.batches.empty else int(self.batches[BATCH].max()) + 1
        day = day or dt.datetime.now(tz=dt.UTC).date()
        table = batch.copy()
        table.insert(0, BATCH, number)
        table.insert(1, _DAY, day.isoformat())
        whole = table if self.batches.empty else pd.concat([self.batches, table], ignore_index=True)
        write_table(whole.dropna(axis=1, how="all"), self.folder / BATCHES)
        return replace(self, batches=whole), number

    @cached_property
    def open_batch(self) -> pd.DataFrame:
        """What was proposed last and is not measured yet; no rows where all of it is."""
        if self.batches.empty:
            return self.batches
        last = self.batches[self.batches[BATCH] == self.batches[BATCH].max()].reset_index(drop=True)
        if self.pellets is None:
            return last
        return last[~already_made(last, self.pellets)].reset_index(drop=True)


def _holds_nothing_but(folder: Path, space: str) -> bool:
    """Whether a folder is empty, or was left so when a start was stopped between its two files."""
    return all(path.name == SPACE and path.read_text(encoding="utf-8-sig") == space for path in folder.iterdir())


@contextmanager
def working_in(folder: str | Path) -> Iterator[None]:
    """Keep other programs out of a folder while something is written there.

    Raises
    ------
    NasiconError
        If another one works in it.
    """
    from filelock import FileLock, Timeout

    if not Path(folder).is_dir():  # what is read next says so
        yield
        return
    lock = FileLock(Path(folder) / _LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise NasiconError(f"{folder}: another program works in this folder; try again when it is done") from None
    except OSError as error:
        raise NasiconError(f"{folder}: cannot be written to ({error.strerror or error})") from None
    try:
        yield
    finally:
        lock.release()


def _cells(pellets: pd.DataFrame) -> list[tuple[object, ...]]:
    """Return recipe and results of each pellet, to be compared; None where nothing is stated."""
    table = pellets[[column.value for column in (*RECIPE, *RESULTS)]].astype(object)
    return list(table.where(table.notna(), None).itertuples(index=False, name=None))


def _repeated(new: pd.DataFrame, before: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """Return which new pellets are of a recipe that was made before, and of which pellets."""
    found = {}
    for key, of_recipe in zip(new[Column.PELLET_ID], same_recipe(new, before), strict=True):
        if of_recipe.any():
            found[str(key)] = tuple(before[Column.PELLET_ID][of_recipe])
    return found


def _says_something(cells: pd.Series, column: Column) -> bool:
    """Return whether a column is worth a place in the file: what is the same for every own pellet is not."""
    said = cells.dropna()
    return not said.empty and (column is Column.PHASE_PURE or column.kind is not Kind.FLAG or bool(said.any()))


def _batches(path: Path) -> pd.DataFrame:
    """Read what was proposed.

    Raises
    ------
    UnreadableFileError
        If it is no table of batches any more, with file and line.
    """
    if not path.exists():
        return pd.DataFrame({BATCH: pd.Series(dtype="int64"), _DAY: pd.Series(dtype="object")})
    raw = read_table(path)
    names = [str(column) for column in MODEL_INPUT]
    missing = [name for name in (BATCH, _DAY, str(Column.FORMULA)) if name not in raw.frame]
    if missing:
        raise UnreadableFileError(
            f"{raw.name}: the column {missing[0]!r} is missing; it is written by 'campaign next'"
        )
    recipes, findings = check_columns(raw.frame.reindex(columns=names), MODEL_INPUT)
    recipes[Column.FORMULA], bad_formulas = check_formulas(recipes[Column.FORMULA])
    numbers = pd.to_numeric(raw.frame[BATCH], errors="coerce")
    errors = [finding for finding in (*bad_formulas, *findings) if finding.severity is Severity.ERROR]
    bad = {finding.row: finding.message for finding in errors}
    bad |= {
        row: f"{BATCH}: {raw.frame[BATCH].iloc[row]!r:.40} is not accepted; allowed: a whole number from 1"
        f" to {_MOST_BATCHES:,}"
        for row in np.flatnonzero(~numbers.between(1, _MOST_BATCHES) | (numbers % 1 != 0)).tolist()
    }
    if bad:
        row = min(bad)
        line = f", line {raw.lines[row]}" if raw.lines is not None else f", row {row + 1}"
        raise UnreadableFileError(f"{raw.name}{line}: {bad[row]}")
    others = raw.frame.drop(columns=[name for name in names if name in raw.frame])
    return pd.concat([others.assign(**{BATCH: numbers.astype("int64")}), recipes], axis=1)
