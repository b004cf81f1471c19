"""The folder of a campaign, whose files users may edit.

```
campaign.yaml  settings: goal, size of a batch, model
space.yaml     the search space
pellets.csv    own measured pellets, in the columns of the dataset
batches.csv    proposed recipes of all batches
```

All files are checked whenever they are read. Files are written under a temporary name and renamed, and a lock
allows one program at a time, so that nothing is lost when a program is killed.
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

from nasicon_ml.campaigns.acquisition import METHODS, already_made, equal_recipes
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
_MAX_BATCHES = 1_000_000
BATCH = "batch"


@dataclass(frozen=True)
class Settings:
    """Settings of a campaign, the content of campaign.yaml.

    Attributes
    ----------
    goal
        The goal of the campaign.
    batch
        Number of pellets of a batch.
    method
        Selection method, one of `nasicon_ml.campaigns.acquisition.METHODS`.
    outside
        Whether recipes outside the known domain may be proposed.
    model
        Bundle folder or MLflow address of the model; None: the default model.
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
            If a key or a value is not valid; with file and line.
        """
        parts = spec_from_yaml(path, "a campaign").renamed(SETTINGS).fields(_KEYS)
        settings = cls()
        if "goal" in parts and parts["goal"].value is not None:
            settings = replace(settings, goal=_read_goal(parts["goal"]))
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


def _read_goal(node: SpecNode) -> Goal:
    parts = {name: part for name, part in node.fields(_GOAL_KEYS).items() if part.value is not None}
    numbers = {name: parts[name].number(0, 100) for name in ("min_density_pct", "min_purity") if name in parts}
    wishes = {}
    if "desire" in parts:
        allowed = "[worst, best] or [worst, best, weight]"
        for name, wish in parts["desire"].any_fields("properties, each with [worst, best, weight]").items():
            settings = [item.number(-1e9, 1e9) for item in wish.items(allowed)]
            if len(settings) not in {2, 3}:
                raise wish.error(allowed)
            wishes[name] = Wish(*settings)
    try:
        return Goal(numbers.get("min_density_pct"), numbers.get("min_purity"), wishes)
    except FieldError as error:
        raise node.add_place(error) from None


@dataclass(frozen=True)
class Added:
    """Result of adding pellets.

    Attributes
    ----------
    keys
        Keys of the new pellets.
    known
        Keys of pellets that are already in the folder with the same values.
    repeated
        Key of a new pellet -> keys of earlier pellets of the same recipe.
    """

    keys: tuple[str, ...]
    known: tuple[str, ...]
    repeated: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Campaign:
    """A campaign, as read from its folder.

    Attributes
    ----------
    folder
        The folder.
    settings
        Content of campaign.yaml.
    space
        The search space.
    pellets
        Own pellets as returned by `nasicon_ml.data.own_pellets.own_pellets`; None before the first.
    batches
        Proposed recipes: `BATCH`, date, columns `nasicon_ml.columns.MODEL_INPUT`, and predictions.
    """

    folder: Path
    settings: Settings
    space: SearchSpace
    pellets: pd.DataFrame | None
    batches: pd.DataFrame

    @classmethod
    def start(cls, folder: str | Path, space: str | Path, settings: Settings | None = None) -> Campaign:
        """Start a campaign in a folder that does not exist, is empty or contains only this space.yaml.

        Raises
        ------
        NasiconError
            If the folder has other files or cannot be created; if the space is not valid.
        """
        folder = Path(folder)
        SearchSpace.from_yaml(space)  # raises before anything is written if the space is not valid
        try:
            text = Path(space).read_text(encoding="utf-8-sig")
            if folder.exists() and (not folder.is_dir() or not _contains_only(folder, text)):
                raise NasiconError(f"{folder}: is there already, and not an empty folder; name another")
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise NasiconError(f"{error.filename}: {error.strerror}") from None
        write_text(text, folder / SPACE)
        write_text((settings or Settings()).to_yaml(), folder / SETTINGS)
        return cls.open(folder)

    @classmethod
    def open(cls, folder: str | Path) -> Campaign:
        """Read and check a campaign.

        Raises
        ------
        NasiconError
            If the folder is not that of a campaign, or a file is not valid; with file and line.
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
        return cls(folder, settings, space, pellets, _read_batches(folder / BATCHES))

    def add(self, own: str | Path | pd.DataFrame) -> tuple[Campaign, Added]:
        """Add measured pellets to the existing ones.

        Parameters
        ----------
        own
            Argument of `nasicon_ml.data.own_pellets.own_pellets`.

        Returns
        -------
        Campaign
            The campaign with the new pellets.
        Added
            Keys of new and known pellets.

        Raises
        ------
        DatasetError
            If a row is not valid, a key exists with other values, or columns that were added to pellets.csv would
            be lost; nothing is written then.
        """
        new, existing = own_pellets(own), self.pellets
        if existing is None:
            existing = new.iloc[:0]
        keys, existing_keys = new[Column.PELLET_ID].tolist(), existing[Column.PELLET_ID].tolist()
        new_cells, existing_cells = _compared_cells(new), _compared_cells(existing)
        known, used_keys = [], set(existing_keys)
        for row, key in enumerate(keys):
            is_made_up = key == generated_key(row)
            equal = [
                existing_key
                for existing_key, cells in zip(existing_keys, existing_cells, strict=True)
                if cells == new_cells[row]
            ]
            if (equal and is_made_up) or key in equal:
                known.append(equal[0] if is_made_up else key)
                keys[row] = None
            elif is_made_up:
                candidates = map(generated_key, itertools.count(len(used_keys)))
                keys[row] = next(candidate for candidate in candidates if candidate not in used_keys)
                used_keys.add(keys[row])
            elif key in used_keys:
                raise DatasetError(
                    f"{Column.PELLET_ID}: {key!r} is in {self.folder / PELLETS} already, with other values;"
                    " correct it there, or give the new pellet a key of its own"
                )
        table = new.assign(**{Column.PELLET_ID.value: keys})
        table = table[table[Column.PELLET_ID].notna()].reset_index(drop=True)
        added = Added(tuple(table[Column.PELLET_ID]), tuple(known), _find_repeated(table, existing))
        if not added.keys:
            return self, added
        if self.pellets is not None:
            try:
                own_pellets(self.folder / PELLETS, strict=True)
            except DatasetError as error:
                raise DatasetError(
                    f"{error}\nnothing is added, because this text would be lost: move it to the column"
                    f" {Column.NOTES}"
                ) from None
        self._write_pellets(pd.concat([existing, table], ignore_index=True) if len(existing) else table)
        return replace(self, pellets=own_pellets(self.folder / PELLETS)), added

    def _write_pellets(self, pellets: pd.DataFrame) -> None:
        required = {Column.PELLET_ID, Column.FORMULA}
        columns = [c for c in PELLET if c in pellets and (c in required or _has_content(pellets[c], c))]
        path = self.folder / PELLETS
        lines = path.read_bytes().decode("utf-8", "replace").splitlines() if path.exists() else []
        comments = "".join(f"{line}\n" for line in lines if line.startswith("#"))
        write_text(comments + table_as_csv(pellets[[str(column) for column in columns]]), path)

    def record(self, batch: pd.DataFrame, day: dt.date | None = None) -> tuple[Campaign, int]:
        """Append a batch to batches.csv; return the campaign with it, and its number.

        Parameters
        ----------
        batch
            Columns `nasicon_ml.columns.MODEL_INPUT`, and predictions for each recipe.
        day
            Day of the proposal; by default today.
        """
        number = 1 if self.batches.empty else int(self.batches[BATCH].max()) + 1
        day = day or dt.datetime.now(tz=dt.UTC).date()
        table = batch.copy()
        table.insert(0, BATCH, number)
        table.insert(1, _DAY, day.isoformat())
        batches = table if self.batches.empty else pd.concat([self.batches, table], ignore_index=True)
        write_table(batches.dropna(axis=1, how="all"), self.folder / BATCHES)
        return replace(self, batches=batches), number

    @cached_property
    def open_batch(self) -> pd.DataFrame:
        """The recipes of the last batch that are not measured yet."""
        if self.batches.empty:
            return self.batches
        last = self.batches[self.batches[BATCH] == self.batches[BATCH].max()].reset_index(drop=True)
        if self.pellets is None:
            return last
        return last[~already_made(last, self.pellets)].reset_index(drop=True)


def _contains_only(folder: Path, space: str) -> bool:
    """Return whether a folder is empty or contains only this space.yaml, because a start was interrupted."""
    return all(path.name == SPACE and path.read_text(encoding="utf-8-sig") == space for path in folder.iterdir())


@contextmanager
def working_in(folder: str | Path) -> Iterator[None]:
    """Lock a folder, so that no other program writes to it.

    Raises
    ------
    NasiconError
        If another program has locked it.
    """
    from filelock import FileLock, Timeout

    if not Path(folder).is_dir():  # reading the campaign raises
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


def _compared_cells(pellets: pd.DataFrame) -> list[tuple[object, ...]]:
    """Return recipe and results of each pellet for comparison; None where not given."""
    table = pellets[[column.value for column in (*RECIPE, *RESULTS)]].astype(object)
    return list(table.where(table.notna(), None).itertuples(index=False, name=None))


def _find_repeated(new: pd.DataFrame, existing: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """Return, for each new pellet of an existing recipe, the keys of the existing pellets of this recipe."""
    return {
        str(key): tuple(existing[Column.PELLET_ID][is_equal])
        for key, is_equal in zip(new[Column.PELLET_ID], equal_recipes(new, existing), strict=True)
        if is_equal.any()
    }


def _has_content(cells: pd.Series, column: Column) -> bool:
    """Return whether a column has to be written; empty columns and flags that are nowhere set do not."""
    given = cells.dropna()
    return not given.empty and (column is Column.PHASE_PURE or column.kind is not Kind.FLAG or bool(given.any()))


def _read_batches(path: Path) -> pd.DataFrame:
    """Read batches.csv.

    Raises
    ------
    UnreadableFileError
        If it is not a valid table of batches; with file and line.
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
        f" to {_MAX_BATCHES:,}"
        for row in np.flatnonzero(~numbers.between(1, _MAX_BATCHES) | (numbers % 1 != 0)).tolist()
    }
    if bad:
        row = min(bad)
        line = f", line {raw.lines[row]}" if raw.lines is not None else f", row {row + 1}"
        raise UnreadableFileError(f"{raw.name}{line}: {bad[row]}")
    others = raw.frame.drop(columns=[name for name in names if name in raw.frame])
    return pd.concat([others.assign(**{BATCH: numbers.astype("int64")}), recipes], axis=1)
