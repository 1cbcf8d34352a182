"""Draw a training run: loss, validation scores, learning rate and the IoU of each class."""

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, MaxNLocator

from gluonvision.utils import atomic

Records = Sequence[Mapping[str, Any]]
_Ranking = list[tuple[str, float]]

# Blue and orange of Okabe and Ito, which colour-blind readers can tell apart.
_BLUE, _ORANGE = "#0072B2", "#D55E00"
_TEXT_COLOUR, _SOFT_COLOUR, _FAINT_COLOUR = "#222222", "#6B6B6B", "#E4E4E4"
_SMALL, _NORMAL, _LARGE = 8, 9, 13  # font sizes in points
# In inches.
_WIDTH, _HEADER, _CURVES, _BAR_MARGIN, _BAR_ROW = 12.0, 0.65, 3.2, 0.55, 0.19
_DOTS_PER_INCH = 150
_ROWS_PER_COLUMN, _MAX_COLUMNS, _MAX_LETTERS = 8, 5, 20
# More points than the figure has pixel columns would only darken the line.
_MAX_POINTS = 2000
# Up to this many points get a marker each.
_MAX_MARKERS = 30
# Smoothing window: 1/50 of the run.
_SMOOTHING_WINDOWS = 50
_NO_STEPS = "no steps yet"


def draw_curves(records: Records, path: str | os.PathLike, title: str) -> None:
    """Write a PNG of a run, 1800 pixels wide, from the records of its log.

    The figure shows the loss (each step, and smoothed over 1/50 of the run) and the learning rate
    by step; mean IoU and pixel accuracy by epoch, starting at 1; and the IoU of each class at the
    last validation, best first. A class is "absent" if it occurs in neither labels nor
    predictions. Missing data is replaced by a short text. The file is written atomically. No
    display is needed, and pyplot is not used.

    Args:
        records: the records of the log, from ``read_log``.
        path: the PNG file.
        title: the heading.
    """
    steps = [record for record in records if record["kind"] == "step"]
    epochs = [record for record in records if record["kind"] == "epoch"]
    ranking = _ranking(epochs[-1]["class_iou"]) if epochs else []
    figure, (loss, scores, rate), columns = _layout(title, _summary(steps, epochs), len(ranking))
    _draw_loss(loss, steps)
    _draw_scores(scores, epochs)
    _draw_rate(rate, steps)
    for number, axes in enumerate(columns):
        rows = _num_rows(len(ranking))
        _draw_classes(axes, ranking[number * rows : (number + 1) * rows], rows)
    if columns:
        _set_title(columns[0], f"IoU of each class after epoch {epochs[-1]['epoch'] + 1}")
    with atomic.replacing(path) as file:
        figure.savefig(file, format="png")


def _layout(title: str, summary: str, num_classes: int) -> tuple[Figure, list[Axes], list[Axes]]:
    """Return the figure, the axes of the three curves, and one axes per column of class bars."""
    bars = _num_rows(num_classes) * _BAR_ROW + _BAR_MARGIN if num_classes else 0
    height = _HEADER + _CURVES + bars
    figure = Figure((_WIDTH, height), _DOTS_PER_INCH, facecolor="white")
    rect = (0.004, 0.004, 0.992, 0.992 - _HEADER / height)
    figure.set_layout_engine(ConstrainedLayoutEngine(rect=rect, h_pad=0.08, w_pad=0.08))
    for text, size, colour, inches in (
        (title, _LARGE, _TEXT_COLOUR, 0.3),
        (summary, _NORMAL, _SOFT_COLOUR, 0.55),
    ):
        line = figure.text(0.012, 1 - inches / height, text, fontsize=size, color=colour)
        line.set_parse_math(False)
        line.set_in_layout(False)
    grid = figure.add_gridspec(2 if bars else 1, 1, height_ratios=[_CURVES, bars][: 1 + bool(bars)])
    curves = _add_row(figure, grid[0], 3, width_ratios=[5, 5, 3])
    if not bars:
        return figure, curves, []
    return figure, curves, _add_row(figure, grid[1], _num_columns(num_classes))


def _add_row(figure: Figure, place: SubplotSpec, count: int, **options: Any) -> list[Axes]:
    cells = place.subgridspec(1, count, **options)
    return [figure.add_subplot(cells[number]) for number in range(count)]


def _num_columns(num_classes: int) -> int:
    return max(1, min(_MAX_COLUMNS, math.ceil(num_classes / _ROWS_PER_COLUMN)))


def _num_rows(num_classes: int) -> int:
    """Number of classes in the longest column."""
    return math.ceil(num_classes / _num_columns(num_classes))


def _summary(steps: Records, epochs: Records) -> str:
    """Describe the progress and scores of the run in one line."""
    if not steps:
        return _NO_STEPS
    parts = [f"{_step_count(steps[-1]['step'] + 1)}, epoch {steps[-1]['epoch'] + 1}"]
    scores = _column(epochs, "mean_iou")
    if np.isfinite(scores).any():
        best = int(np.nanargmax(scores))
        parts.append(f"mIoU {scores[-1]:.3f}")
        parts.append(f"best mIoU {scores[best]:.3f} after epoch {epochs[best]['epoch'] + 1}")
        parts.append(f"pixel accuracy {_column(epochs, 'pixel_accuracy')[-1]:.3f}")
    return "   ".join(parts)


def _step_count(count: int) -> str:
    return f"{count:,} step" + ("s" if count != 1 else "")


def _draw_loss(axes: Axes, steps: Records) -> None:
    _style_axes(axes, "training loss", "step")
    number, loss = _column(steps, "step"), _column(steps, "loss")
    if not np.isfinite(loss).any():
        _write_placeholder(axes, "no finite loss" if len(steps) else _NO_STEPS)
        return
    mean = _moving_mean(loss)
    marker = "." if len(steps) <= _MAX_MARKERS else None
    axes.plot(*_thin_out(number, loss), color=_BLUE, alpha=0.35, linewidth=0.6, label="each step")
    axes.plot(*_thin_out(number, mean), color=_BLUE, linewidth=1.6, marker=marker, label="smoothed")
    # Clip outliers, most often the first steps, so that the curve stays readable.
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    top = max(np.nanmax(mean), np.nanpercentile(loss[np.isfinite(loss)], 99))
    axes.set_ylim(min(0, np.nanmin(mean)), 1.08 * top if top > 0 else 1)
    _set_x_ticks(axes, number)
    _add_legend(axes)
    num_lost = int((~np.isfinite(loss)).sum())
    if num_lost:
        note = f"{_step_count(num_lost)} without a finite loss"
        _write(axes, 0.98, 0.96, note, ha="right", va="top", fontsize=_SMALL, color=_ORANGE)


def _draw_scores(axes: Axes, epochs: Records) -> None:
    _style_axes(axes, "validation", "epoch")
    if not np.isfinite(_column(epochs, "mean_iou")).any():
        message = "no labelled pixels" if epochs else "no validation yet"
        _write_placeholder(axes, message)
        return
    number = _column(epochs, "epoch") + 1
    has_markers = len(epochs) <= _MAX_MARKERS
    for name, label, colour, marker in (
        ("pixel_accuracy", "pixel accuracy", _ORANGE, "s"),
        ("mean_iou", "mIoU", _BLUE, "o"),
    ):
        axes.plot(
            number,
            _column(epochs, name),
            color=colour,
            linewidth=1.6,
            marker=marker if has_markers else None,
            markersize=3.5,
            # Distinguishable without colour too.
            linestyle="--" if name == "pixel_accuracy" else "-",
            label=label,
        )
    axes.set_ylim(0, 1)
    _set_x_ticks(axes, number)
    _add_legend(axes)


def _draw_rate(axes: Axes, steps: Records) -> None:
    _style_axes(axes, "learning rate", "step")
    if not steps:
        _write_placeholder(axes, _NO_STEPS)
        return
    number, rate = _column(steps, "step"), _column(steps, "learning_rate")
    marker = "." if len(steps) <= _MAX_MARKERS else None
    axes.plot(*_thin_out(number, rate), color=_TEXT_COLOUR, linewidth=1.2, marker=marker)
    axes.set_ylim(0, 1.08 * np.nanmax(rate) or 1)
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    _set_x_ticks(axes, number, 3)


def _draw_classes(axes: Axes, ranking: _Ranking, rows: int) -> None:
    """Draw bars from the top; leave space below if there are fewer than ``rows``."""
    places = range(len(ranking))
    values = [value for _, value in ranking]
    style: dict[str, Any] = {"va": "center", "fontsize": _SMALL}
    axes.barh(places, np.where(np.isnan(values), np.nan, 1), height=0.68, color=_FAINT_COLOUR)
    axes.barh(places, values, height=0.68, color=_BLUE)
    for row, value in enumerate(values):
        if math.isnan(value):
            axes.text(0.01, row, "absent", color=_SOFT_COLOUR, style="italic", **style)
        else:
            axes.text(1.02, row, f"{value:.2f}", color=_TEXT_COLOUR, **style)
    axes.set(xlim=(0, 1.2), ylim=(rows - 0.4, -0.6), xticks=[])
    axes.set_yticks(places, [_shorten(name) for name, _ in ranking])
    axes.tick_params(length=0, labelsize=_SMALL, labelcolor=_TEXT_COLOUR)
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    axes.spines[:].set_visible(False)


def _ranking(class_iou: Mapping[str, float | None]) -> _Ranking:
    """Sort classes from best to worst; absent ones are NaN and come last."""
    known = [(name, math.nan if value is None else value) for name, value in class_iou.items()]
    return sorted(known, key=lambda item: math.inf if math.isnan(item[1]) else -item[1])


def _shorten(name: str) -> str:
    return name if len(name) <= _MAX_LETTERS else name[: _MAX_LETTERS - 1] + "…"


def _column(records: Records, name: str) -> np.ndarray:
    return np.array([np.nan if r[name] is None else r[name] for r in records], np.float64)


def _moving_mean(values: np.ndarray) -> np.ndarray:
    """Return the mean of the finite values around each value; NaN if there are none."""
    reach = len(values) // _SMOOTHING_WINDOWS // 2
    known = np.isfinite(values)
    sums, counts = (
        np.concatenate([[0], np.cumsum(part)]) for part in (np.where(known, values, 0), known)
    )
    index = np.arange(len(values))
    first, last = np.maximum(index - reach, 0), np.minimum(index + reach + 1, len(values))
    count = counts[last] - counts[first]
    return np.where(count > 0, (sums[last] - sums[first]) / np.maximum(count, 1), np.nan)


def _thin_out(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Reduce a long line to the minimum and maximum of each section."""
    if len(x) <= _MAX_POINTS:
        return x, y
    chosen: set[int] = {0, len(x) - 1}
    for part in np.array_split(np.arange(len(x)), _MAX_POINTS // 2):
        if np.isfinite(y[part]).any():
            chosen |= {int(part[np.nanargmin(y[part])]), int(part[np.nanargmax(y[part])])}
        else:
            chosen.add(int(part[0]))
    index = sorted(chosen)
    return x[index], y[index]


def _style_axes(axes: Axes, title: str, x_label: str) -> None:
    _set_title(axes, title)
    axes.set_xlabel(x_label, fontsize=_NORMAL, color=_SOFT_COLOUR)
    axes.tick_params(labelsize=_SMALL, labelcolor=_TEXT_COLOUR, color=_SOFT_COLOUR)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_SOFT_COLOUR)
    axes.grid(axis="y", color=_FAINT_COLOUR, linewidth=0.6)
    axes.set_axisbelow(True)


def _set_title(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=_NORMAL + 1, fontweight="bold", color=_TEXT_COLOUR)


def _set_x_ticks(axes: Axes, numbers: np.ndarray, bins: int = 6) -> None:
    """Set whole numbers as ticks; a single point is in the middle."""
    low, high = numbers.min(), numbers.max()
    margin = 0.02 * (high - low) or 1
    axes.set_xlim(low - margin, high + margin)
    if low == high:
        axes.set_xticks([low])
    else:
        axes.xaxis.set_major_locator(MaxNLocator(bins, integer=True, steps=[1, 2, 5, 10]))
    in_thousands = high >= 10_000
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda x, _: f"{x / 1000:g}k" if in_thousands and x else f"{x:g}")
    )


def _add_legend(axes: Axes) -> None:
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=2,
        borderaxespad=0.2,
        frameon=False,
        fontsize=_SMALL,
        labelcolor=_TEXT_COLOUR,
    )


def _write_placeholder(axes: Axes, text: str) -> None:
    """Write a text where there is no data to draw."""
    axes.set(xticks=[], yticks=[])
    style: dict[str, Any] = {"fontsize": _NORMAL, "color": _SOFT_COLOUR, "style": "italic"}
    _write(axes, 0.5, 0.5, text, ha="center", va="center", **style)


def _write(axes: Axes, x: float, y: float, text: str, **style: Any) -> None:
    """Write a text at a position from 0 to 1 within the axes."""
    axes.text(x, y, text, transform=axes.transAxes, **style)
