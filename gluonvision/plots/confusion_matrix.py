"""A confusion matrix as a picture: which label is taken for which class, and how often."""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

_DOTS_PER_INCH = 110
_INK, _SOFT, _NOTHING = "#222222", "#6B6B6B", "#EDEDED"
# Inches: a cell with its number in it, and one without; letters and margins. Points: texts.
_NUMBERED, _BARE, _MOST_NUMBERED = 0.42, 0.155, 30
_LETTER, _SMALL_LETTER, _HEAD, _BAR = 0.08, 0.062, 0.75, 0.9
_SMALL, _NORMAL, _LARGE = 7, 9, 13


def draw_confusion(confusion: np.ndarray, names: Sequence[str], title: str) -> bytes:
    """A PNG of the matrix, each row as shares of its label's pixels; classes that occur alone.

    confusion: (nclass, nclass), pixels by label (row) and prediction (column). Up to 30 classes
    have their percentages written in; the picture grows with their number (150: about 3000 pixels
    wide). A row without any label is grey. Needs no display.
    """
    occurs = np.flatnonzero(confusion.sum(0) + confusion.sum(1))
    shares, names = _shares(confusion[np.ix_(occurs, occurs)]), [names[i] for i in occurs]
    figure, axes, bar = _prepared(len(names), max(map(len, names), default=1))
    # Small confusions are what one looks for: the root lifts them.
    norm = PowerNorm(0.5, 0, 1)
    if names:
        axes.imshow(shares, cmap="Blues", norm=norm, aspect="auto")
    _name_classes(axes, names)
    if len(names) <= _MOST_NUMBERED:
        _write_numbers(axes, shares)
    _draw_bar(figure, bar, ScalarMappable(norm, "Blues"))
    absent = len(confusion) - len(occurs)
    note = f"; classes that occur nowhere are left out: {absent}" if absent else ""
    top = 1 - 0.12 / figure.get_figheight()
    figure.text(0.01, top, title, fontsize=_LARGE, color=_INK, va="top", parse_math=False)
    axes.set_title(f"share of each label's pixels{note}", fontsize=_NORMAL, color=_SOFT, loc="left")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _shares(confusion: np.ndarray) -> np.ndarray:
    labelled = confusion.sum(1, keepdims=True)
    return np.where(labelled > 0, confusion / np.maximum(labelled, 1), np.nan)


def _draw_bar(figure: Figure, axes: Axes, colours: ScalarMappable) -> None:
    bar, shares = figure.colorbar(colours, cax=axes), [0, 0.01, 0.1, 0.25, 0.5, 1]
    bar.set_ticks(shares, labels=[f"{100 * share:g} %" for share in shares])
    bar.outline.set_visible(False)
    axes.tick_params(labelsize=_SMALL, colors=_SOFT, length=0)


def _prepared(number: int, letters: int) -> tuple[Figure, Axes, Axes]:
    """The figure, the matrix's axes and the colour bar's, placed by hand.

    Matplotlib's own layout would take seconds over 150 names.
    """
    is_small = number <= _MOST_NUMBERED
    side = max(number * (_NUMBERED if is_small else _BARE), 2.0)
    names = letters * (_LETTER if is_small else _SMALL_LETTER) + 0.1
    left, bottom, right = names + 0.3, names + 0.3, _BAR if is_small else names + _BAR
    width, height = left + side + right, bottom + side + _HEAD
    figure = Figure((width, height), _DOTS_PER_INCH, facecolor="white")

    def place(x, y, wide, high):
        return figure.add_axes((x / width, y / height, wide / width, high / height))

    bar = place(width - _BAR + 0.2, bottom + 0.2 * side, 0.2, 0.6 * side)
    axes = place(left, bottom, side, side)
    axes.set_facecolor(_NOTHING)
    return figure, axes, bar


def _name_classes(axes: Axes, names: list[str]) -> None:
    size = _NORMAL if len(names) <= _MOST_NUMBERED else _SMALL
    places = range(len(names))
    axes.set_xticks(places, labels=names, rotation=90, fontsize=size, color=_INK, parse_math=False)
    axes.set_yticks(places, labels=names, fontsize=size, color=_INK, parse_math=False)
    axes.set_xlabel("prediction", fontsize=_NORMAL, color=_SOFT)
    axes.set_ylabel("label", fontsize=_NORMAL, color=_SOFT)
    axes.tick_params(length=0, labelright=len(names) > _MOST_NUMBERED)
    axes.spines[:].set_visible(False)
    if len(names) > _MOST_NUMBERED:
        return  # lines between so many would cost seconds
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
