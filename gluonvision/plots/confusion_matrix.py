"""Draw a confusion matrix: how often each label is predicted as each class."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

_DOTS_PER_INCH = 110
_TEXT_COLOUR, _SOFT_COLOUR, _EMPTY_COLOUR = "#222222", "#6B6B6B", "#EDEDED"
# Above this many classes, cells are small and have no numbers.
_MAX_NUMBERED = 30
# In inches: the side of a cell with a number and of one without, letters and margins.
_NUMBERED_CELL, _SMALL_CELL = 0.42, 0.155
_LETTER, _SMALL_LETTER, _HEADER, _COLOUR_BAR = 0.08, 0.062, 0.75, 0.9
# Font sizes in points.
_SMALL, _NORMAL, _LARGE = 7, 9, 13


def draw_confusion(confusion: np.ndarray, names: Sequence[str], title: str) -> bytes:
    """Draw a confusion matrix as a PNG, each row as fractions of the label's pixels.

    Classes that occur in neither labels nor predictions are left out. Cells of up to 30 classes
    show their percentages. The figure grows with the number of classes: with 150, it is about
    3000 pixels wide. Rows without labelled pixels are grey. No display is needed.

    Args:
        confusion: pixel counts (num_classes, num_classes), by label (row) and prediction (column).
        names: the class names.
        title: the heading.

    Returns:
        The content of the PNG file.
    """
    occurs = np.flatnonzero(confusion.sum(0) + confusion.sum(1))
    fractions = _row_fractions(confusion[np.ix_(occurs, occurs)])
    names = [names[i] for i in occurs]
    figure, axes, colour_bar = _layout(len(names), max(map(len, names), default=1))
    # A square-root scale, so that rare confusions are visible.
    norm = PowerNorm(0.5, 0, 1)
    if names:
        axes.imshow(fractions, cmap="Blues", norm=norm, aspect="auto")
    _label_classes(axes, names)
    if len(names) <= _MAX_NUMBERED:
        _write_percentages(axes, fractions)
    _draw_colour_bar(figure, colour_bar, ScalarMappable(norm, "Blues"))
    absent = len(confusion) - len(occurs)
    note = f"; classes that never occur are left out: {absent}" if absent else ""
    subtitle = f"fraction of each label's pixels{note}"
    top = 1 - 0.12 / figure.get_figheight()
    figure.text(0.01, top, title, fontsize=_LARGE, color=_TEXT_COLOUR, va="top", parse_math=False)
    axes.set_title(subtitle, fontsize=_NORMAL, color=_SOFT_COLOUR, loc="left")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _row_fractions(confusion: np.ndarray) -> np.ndarray:
    labelled = confusion.sum(1, keepdims=True)
    return np.where(labelled > 0, confusion / np.maximum(labelled, 1), np.nan)


def _draw_colour_bar(figure: Figure, axes: Axes, colours: ScalarMappable) -> None:
    bar, ticks = figure.colorbar(colours, cax=axes), [0, 0.01, 0.1, 0.25, 0.5, 1]
    bar.set_ticks(ticks, labels=[f"{100 * tick:g} %" for tick in ticks])
    bar.outline.set_visible(False)
    axes.tick_params(labelsize=_SMALL, colors=_SOFT_COLOUR, length=0)


def _layout(num_classes: int, num_letters: int) -> tuple[Figure, Axes, Axes]:
    """Place the axes of the matrix and of the colour bar by hand.

    Matplotlib's layout engine takes seconds for 150 class names.
    """
    has_numbers = num_classes <= _MAX_NUMBERED
    side = max(num_classes * (_NUMBERED_CELL if has_numbers else _SMALL_CELL), 2.0)
    names = num_letters * (_LETTER if has_numbers else _SMALL_LETTER) + 0.1
    left, bottom = names + 0.3, names + 0.3
    right = _COLOUR_BAR if has_numbers else names + _COLOUR_BAR
    width, height = left + side + right, bottom + side + _HEADER
    figure = Figure((width, height), _DOTS_PER_INCH, facecolor="white")

    def add_axes(x: float, y: float, axes_width: float, axes_height: float) -> Axes:
        return figure.add_axes((x / width, y / height, axes_width / width, axes_height / height))

    colour_bar = add_axes(width - _COLOUR_BAR + 0.2, bottom + 0.2 * side, 0.2, 0.6 * side)
    axes = add_axes(left, bottom, side, side)
    axes.set_facecolor(_EMPTY_COLOUR)
    return figure, axes, colour_bar


def _label_classes(axes: Axes, names: list[str]) -> None:
    size = _NORMAL if len(names) <= _MAX_NUMBERED else _SMALL
    places = range(len(names))
    style: dict[str, Any] = {
        "labels": names,
        "fontsize": size,
        "color": _TEXT_COLOUR,
        "parse_math": False,
    }
    axes.set_xticks(places, rotation=90, **style)
    axes.set_yticks(places, **style)
    axes.set_xlabel("prediction", fontsize=_NORMAL, color=_SOFT_COLOUR)
    axes.set_ylabel("label", fontsize=_NORMAL, color=_SOFT_COLOUR)
    axes.tick_params(length=0, labelright=len(names) > _MAX_NUMBERED)
    axes.spines[:].set_visible(False)
    if len(names) > _MAX_NUMBERED:
        return  # grid lines for so many classes take seconds
    axes.set_xticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=0.6)
    axes.tick_params(which="minor", length=0)


def _write_percentages(axes: Axes, fractions: np.ndarray) -> None:
    for (row, column), fraction in np.ndenumerate(fractions):
        if fraction >= 0.005:
            colour = "white" if fraction > 0.4 else _TEXT_COLOUR
            text = f"{100 * fraction:.0f}"
            axes.text(column, row, text, ha="center", va="center", fontsize=_SMALL, color=colour)
