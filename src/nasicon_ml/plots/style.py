"""Common style of all figures: colours, sizes, names of targets, titles, ticks, saving."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.columns import ERROR_UNITS, Column
from nasicon_ml.errors import DatasetError, FieldError, MissingExtraError, NasiconError, nearest
from nasicon_ml.io import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Arguments = ParamSpec("Arguments")

# Okabe and Ito's palette (Color Universal Design, 2008).
BLUE, VERMILION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
INK, GREY, PALE = "#1A1A1A", "#767676", "#D9D9D9"
DENSITY_MAP = "cividis"
DASHED = (0, (4, 3))

DPI = 160
#: z of a 95 % normal interval, for Wilson's interval of a share (10.1080/01621459.1927.10502953).
Z95 = 1.959964

_SETTINGS = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10.0,
    "axes.labelsize": 9.5,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.color": GREY,
    "ytick.labelcolor": INK,
    "grid.color": PALE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "text.color": INK,
    "mathtext.default": "regular",
    "figure.facecolor": "white",
}


@dataclass(frozen=True)
class TargetStyle:
    """Label, unit and scale of a target on an axis."""

    #: Measured column, for label and unit.
    column: Column
    #: Error that is marked by a line or band, in `error_unit`.
    band: float
    #: Whether the data are log10 of the column.
    logarithmic: bool = False

    @property
    def error_unit(self) -> str:
        """Unit of errors and interval widths; empty for a probability."""
        return ERROR_UNITS.get(self.column, "")

    @property
    def name(self) -> str:
        """Capitalized label."""
        return self.column.label[0].upper() + self.column.label[1:]


TARGETS = {
    "conductivity": TargetStyle(Column.CONDUCTIVITY_TOTAL_S_CM, 1.0, logarithmic=True),
    "relative_density": TargetStyle(Column.RELATIVE_DENSITY_PCT, 5.0),
    "phase_purity": TargetStyle(Column.PREDICTED_PHASE_PURITY, 0.5),
}


def load_matplotlib() -> Any:
    """Import matplotlib, or raise MissingExtraError."""
    try:
        import matplotlib as mpl
    except ImportError:
        raise MissingExtraError("matplotlib", "plots", "drawing a figure") from None
    return mpl


def drawing(function: Callable[Arguments, Figure]) -> Callable[Arguments, Figure]:
    """Decorate a function to draw in the common style, independent of the user's matplotlibrc."""

    @functools.wraps(function)
    def wrapper(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Figure:
        mpl = load_matplotlib()
        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(_SETTINGS)
            return function(*args, **kwargs)

    return wrapper


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches, with constrained layout."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def target_style(target: str) -> TargetStyle:
    """Return the style of a target; raise FieldError if there is no such target."""
    if target not in TARGETS:
        raise FieldError("target", target, ", ".join(TARGETS), nearest(target, TARGETS))
    return TARGETS[target]


def first_repeat(out_of_fold: pd.DataFrame, target: str) -> pd.DataFrame:
    """Return the out-of-fold rows of one target from the first repeat, which has each pellet once.

    Raises
    ------
    FieldError
        If there is no such target.
    DatasetError
        If the frame has no row of it.
    """
    target_style(target)
    rows = out_of_fold[(out_of_fold["target"] == target) & out_of_fold["measured"].notna()]
    if rows.empty:
        raise DatasetError(f"there is no out-of-fold prediction of {target} to draw")
    first: pd.DataFrame = rows[rows["repeat"] == rows["repeat"].min()]
    return first.reset_index(drop=True)


def title(axes: Axes, text: str, rows: pd.DataFrame, subset: str = "") -> None:
    """Write the title of a figure of out-of-fold rows, with the subset and the number of pellets and sources."""
    sources = rows[Column.SOURCE].nunique()
    described = f"{subset}, out of fold" if subset else "out of fold"
    headline(axes, text, f"{described}: {len(rows):,} pellets of {sources:,} sources")


def headline(axes: Axes, text: str, subtitle: str) -> None:
    """Write a bold title and a grey subtitle, at the same distance for every height of the figure."""
    axes.set_title(text, pad=20)
    axes.annotate(
        subtitle, (0, 1), (0, 7), xycoords="axes fraction", textcoords="offset points", fontsize=8.5, color=GREY
    )


def label_rows(axes: Axes, labels: Sequence[str]) -> None:
    """Label the rows of a figure from top to bottom."""
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=True, axis="x")


def decade_ticks(axes: Axes, *, x: bool = True, y: bool = True) -> None:
    """Label the ticks of axes in log10 units as powers of ten."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    for axis, is_logarithmic in ((axes.xaxis, x), (axes.yaxis, y)):
        if is_logarithmic:
            axis.set_major_locator(MaxNLocator(nbins=8, integer=True))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"$10^{{{value:.0f}}}$"))


def percent(share: float, _: object = None, *, digits: int = 0) -> str:
    """Format a share as per cent; the second argument, of a tick formatter, is ignored."""
    return f"{100 * share:.{digits}f} %"


def wilson(successes: Floats, total: Floats) -> tuple[Floats, Floats]:
    """Return the 95 % interval of a share by Wilson's formula (10.1080/01621459.1927.10502953)."""
    share = successes / total
    centre = (share + Z95**2 / (2 * total)) / (1 + Z95**2 / total)
    half = Z95 * np.sqrt(share * (1 - share) / total + Z95**2 / (4 * total**2)) / (1 + Z95**2 / total)
    # With a share of 0 or 1, rounding can put a limit on the wrong side of the share.
    return np.minimum(np.clip(centre - half, 0, 1), share), np.maximum(np.clip(centre + half, 0, 1), share)


def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure; the file extension (png, pdf, svg) determines the format.

    An existing file is replaced only if the new one is complete.

    Raises
    ------
    NasiconError
        If the folder cannot be written, or the extension is not a format.
    """
    path = Path(path)
    try:
        content = io.BytesIO()  # matplotlib's own errors, of a full disk, would not be caught
        figure.savefig(content, format=path.suffix.lower().removeprefix(".") or None, dpi=DPI)
        path.parent.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise NasiconError(f"{path}: the figure cannot be written ({reason})") from error
    write_bytes(content.getvalue(), path)
    return path
