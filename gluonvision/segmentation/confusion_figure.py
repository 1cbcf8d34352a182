"""A confusion matrix as a picture: which label is taken for which class, and how often."""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

_DOTS_PER_INCH = 110
_INK, _SOFT, _NOTHING = "#222222", "#6B6B6B", "#EDEDED"
# A cell with its number in it, and one without: inches. Text sizes: points.
_NUMBERED, _BARE, _MOST_NUMBERED = 0.42, 0.155, 30
_LETTER, _SMALL, _NORMAL, _LARGE = 0.075, 7, 9, 13


def draw_confusion(confusion: np.ndarray, names: Sequence[str], title: str) -> bytes:
    """A PNG of the matrix, each row as shares of its label's pixels; classes that occur alone.

    confusion: (nclass, nclass), pixels by label (row) and prediction (column). Up to 30 classes
    have their percentages written in; the picture grows with their number (150: about 2900 pixels
    wide). A row without any label is grey. Needs no display.
    """
    occurs = np.flatnonzero(confusion.sum(0) + confusion.sum(1))
    shown, names = confusion[np.ix_(occurs, occurs)], [names[i] for i in occurs]
    absent = len(confusion) - len(occurs)
    labelled = shown.sum(1, keepdims=True)
    shares = np.where(labelled > 0, shown / np.maximum(labelled, 1), np.nan)
    figure, axes = _prepared(len(names), max(map(len, names), default=1))
    axes.set_facecolor(_NOTHING)
    # Small confusions are what one looks for: the root lifts them.
    picture = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, 0, 1), aspect="equal")
    _name_classes(axes, names)
    if len(names) <= _MOST_NUMBERED:
        _write_numbers(axes, shares)
    bar = figure.colorbar(picture, ax=axes, fraction=0.03, pad=0.015, shrink=0.6)
    bar.set_ticks(
        [0, 0.01, 0.1, 0.25, 0.5, 1], labels=["0", "1 %", "10 %", "25 %", "50 %", "100 %"]
    )
    bar.ax.tick_params(labelsize=_SMALL, colors=_SOFT)
    note = f"; classes that occur nowhere are left out: {absent}" if absent else ""
    # A picture of 150 classes is looked at from further away.
    size = _LARGE * max(1, figure.get_figwidth() / 12)
    figure.suptitle(title, fontsize=size, color=_INK, x=0.01, ha="left", parse_math=False)
    axes.set_title(f"share of each label's pixels{note}", fontsize=_NORMAL, color=_SOFT, loc="left")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _prepared(number: int, letters: int) -> tuple[Figure, Axes]:
    cell = _NUMBERED if number <= _MOST_NUMBERED else _BARE
    side, margin = max(number * cell, 2.0), letters * _LETTER
    figure = Figure(
        (side + margin + 1.6, side + margin + 1.4), _DOTS_PER_INCH, layout="constrained"
    )
    return figure, figure.add_subplot()


def _name_classes(axes: Axes, names: list[str]) -> None:
    size = _NORMAL if len(names) <= _MOST_NUMBERED else _SMALL
    places = range(len(names))
    axes.set_xticks(places, labels=names, rotation=90, fontsize=size, color=_INK, parse_math=False)
    axes.set_yticks(places, labels=names, fontsize=size, color=_INK, parse_math=False)
    axes.set_xlabel("prediction", fontsize=_NORMAL, color=_SOFT)
    axes.set_ylabel("label", fontsize=_NORMAL, color=_SOFT)
    axes.tick_params(length=0, labelright=len(names) > _MOST_NUMBERED)
    axes.spines[:].set_visible(False)
    # Lines between the cells lead the eye from a name to its cell.
    axes.set_xticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=0.6)
    axes.tick_params(which="minor", length=0)


def _write_numbers(axes: Axes, shares: np.ndarray) -> None:
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.005:
            colour = "white" if share > 0.4 else _INK
            text = f"{100 * share:.0f}"
            axes.text(column, row, text, ha="center", va="center", fontsize=_SMALL, color=colour)
