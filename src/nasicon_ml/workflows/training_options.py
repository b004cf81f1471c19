"""How to train."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from nasicon_ml.errors import FieldError


@dataclass(frozen=True)
class TrainingOptions:
    """How to train.

    Attributes
    ----------
    folds, repeats
        Grouped folds, and how often the sources are dealt anew.
    seed
        Of folds, subsampling and tuning.
    trials
        Optuna trials for each target in each fold; 0 keeps the fixed settings.
    include_suspect
        Whether pellets marked suspect teach and are scored.
    exclude_sources
        Sources to leave out altogether, to predict them afterwards.
    threads
        Folds fitted side by side; they change no number.
    """

    folds: int = 10
    repeats: int = 1
    seed: int = 0
    trials: int = 0
    include_suspect: bool = False
    exclude_sources: tuple[str, ...] = ()
    threads: int = 2

    def __post_init__(self) -> None:
        """Refuse numbers that cannot work."""
        for name, smallest in (("folds", 2), ("repeats", 1), ("seed", 0), ("trials", 0), ("threads", 1)):
            if getattr(self, name) < smallest:
                raise FieldError(name, getattr(self, name), f"a whole number from {smallest}")

    def recorded(self) -> dict[str, Any]:
        """Give the options that make a model, as JSON knows them; threads change no number."""
        recorded = asdict(self) | {"exclude_sources": list(self.exclude_sources)}
        del recorded["threads"]
        return recorded
