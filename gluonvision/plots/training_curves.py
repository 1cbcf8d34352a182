"""A training run as one picture: loss, validation scores, learning rate, and the IoU of classes."""

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
Ranking = list[tuple[str, float]]

# Okabe and Ito's, which people with any colour vision tell apart.
_BLUE, _ORANGE = "#0072B2", "#D55E00"
_INK, _SOFT, _FAINT = "#222222", "#6B6B6B", "#E4E4E4"
_SMALL, _NORMAL, _LARGE = 8, 9, 13  # points
_WIDTH, _HEAD, _CURVES, _FOOT, _ROW = 12.0, 0.65, 3.2, 0.55, 0.19  # inches
_DOTS_PER_INCH = 150
_ROWS_A_COLUMN, _MOST_COLUMNS, _MOST_LETTERS = 8, 5, 20
# More points than the picture has columns only darken the line; fewer are marked one by one.
_MOST_POINTS, _FEW_POINTS = 2000, 30
_SMOOTHED_PART = 50


def draw_curves(records: Records, path: str | os.PathLike, title: str) -> None:
    """Write a PNG of a run, 1800 pixels wide, from the records of its log (``read_log``).

    Loss, each step and smoothed over a fiftieth of the run, and learning rate by steps; mean IoU
    and pixel accuracy by epochs, the first being 1; the IoU of each class at the last validation,
    best first, "absent" where it occurs in neither label nor prediction. What a run has not come to
    yet is said in its place. The file appears whole or not at all. Needs no display, and leaves
    pyplot alone.
    """
    steps = [record for record in records if record["kind"] == "step"]
    epochs = [record for record in records if record["kind"] == "epoch"]
    ranking = _ranking(epochs[-1]["class_iou"]) if epochs else []
    figure, (loss, scores, rate), columns = _layout(title, _summary(steps, epochs), len(ranking))
    _draw_loss(loss, steps)
    _draw_scores(scores, epochs)
    _draw_rate(rate, steps)
    for number, axes in enumerate(columns):
        rows = _rows(len(ranking))
        _draw_classes(axes, ranking[number * rows : (number + 1) * rows], rows)
    if columns:
        _name(columns[0], f"IoU of each class after epoch {epochs[-1]['epoch'] + 1}")
    with atomic.replacing(path) as file:
        figure.savefig(file, format="png")


def _layout(title: str, summary: str, num_classes: int) -> tuple[Figure, list[Axes], list[Axes]]:
    """The figure with its head lines, the three axes of curves, and the columns for classes."""
    bars = _rows(num_classes) * _ROW + _FOOT if num_classes else 0
    height = _HEAD + _CURVES + bars
    head = _HEAD / height
    figure = Figure((_WIDTH, height), _DOTS_PER_INCH, facecolor="white")
    figure.set_layout_engine(
        ConstrainedLayoutEngine(rect=(0.004, 0.004, 0.992, 0.992 - head), h_pad=0.08, w_pad=0.08)
    )
    for text, size, colour, inches in ((title, _LARGE, _INK, 0.3), (summary, _NORMAL, _SOFT, 0.55)):
        line = figure.text(0.012, 1 - inches / height, text, fontsize=size, color=colour)
        line.set_parse_math(False)
        line.set_in_layout(False)
    grid = figure.add_gridspec(2 if bars else 1, 1, height_ratios=[_CURVES, bars][: 1 + bool(bars)])
    curves = _add_row(figure, grid[0], 3, width_ratios=[5, 5, 3])
    if not bars:
        return figure, curves, []
    return figure, curves, _add_row(figure, grid[1], _columns(num_classes))


def _add_row(figure: Figure, place: SubplotSpec, count: int, **options) -> list[Axes]:
    cells = place.subgridspec(1, count, **options)
    return [figure.add_subplot(cells[number]) for number in range(count)]


def _columns(num_classes: int) -> int:
    return max(1, min(_MOST_COLUMNS, math.ceil(num_classes / _ROWS_A_COLUMN)))


def _rows(num_classes: int) -> int:
    """How many classes stand one below the other, at most."""
    return math.ceil(num_classes / _columns(num_classes))


def _summary(steps: Records, epochs: Records) -> str:
    """Where the run stands, in words."""
    if not steps:
        return "no step yet"
    parts = [f"{_counted(steps[-1]['step'] + 1)}, epoch {steps[-1]['epoch'] + 1}"]
    scores = _column(epochs, "mean_iou")
    if np.isfinite(scores).any():
        best = int(np.nanargmax(scores))
        parts.append(f"mIoU {scores[-1]:.3f}")
        parts.append(f"best mIoU {scores[best]:.3f} after epoch {epochs[best]['epoch'] + 1}")
        parts.append(f"pixel accuracy {_column(epochs, 'pixel_accuracy')[-1]:.3f}")
    return "   ".join(parts)


def _counted(steps: int) -> str:
    return f"{steps:,} step" + ("s" if steps != 1 else "")


def _draw_loss(axes: Axes, steps: Records) -> None:
    _prepare(axes, "training loss", "step")
    number, loss = _column(steps, "step"), _column(steps, "loss")
    if not np.isfinite(loss).any():
        return _say(axes, "no finite loss" if len(steps) else "no step yet")
    mean = _smoothed(loss)
    marker = "." if len(steps) <= _FEW_POINTS else None
    axes.plot(*_thinned(number, loss), color=_BLUE, alpha=0.35, linewidth=0.6, label="each step")
    axes.plot(*_thinned(number, mean), color=_BLUE, linewidth=1.6, marker=marker, label="smoothed")
    # A few wild steps, most often the first, must not press the rest to the ground.
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    top = max(np.nanmax(mean), np.nanpercentile(loss[np.isfinite(loss)], 99))
    axes.set_ylim(min(0, np.nanmin(mean)), 1.08 * top if top > 0 else 1)
    _number_steps(axes, number)
    _explain(axes)
    lost = int((~np.isfinite(loss)).sum())
    if lost:
        _note(axes, f"{_counted(lost)} without a finite loss")
    return None


def _draw_scores(axes: Axes, epochs: Records) -> None:
    _prepare(axes, "validation", "epoch")
    if not np.isfinite(_column(epochs, "mean_iou")).any():
        return _say(axes, "nothing to judge by" if epochs else "no validation yet")
    number = _column(epochs, "epoch") + 1
    marked = len(epochs) <= _FEW_POINTS
    for name, label, colour, marker in (
        ("pixel_accuracy", "pixel accuracy", _ORANGE, "s"),
        ("mean_iou", "mIoU", _BLUE, "o"),
    ):
        axes.plot(
            number,
            _column(epochs, name),
            color=colour,
            linewidth=1.6,
            marker=marker if marked else None,
            markersize=3.5,
            # Told apart without colour too.
            linestyle="--" if name == "pixel_accuracy" else "-",
            label=label,
        )
    axes.set_ylim(0, 1)
    _number_steps(axes, number)
    return _explain(axes)


def _draw_rate(axes: Axes, steps: Records) -> None:
    _prepare(axes, "learning rate", "step")
    if not steps:
        return _say(axes, "no step yet")
    number, rate = _column(steps, "step"), _column(steps, "learning_rate")
    marker = "." if len(steps) <= _FEW_POINTS else None
    axes.plot(*_thinned(number, rate), color=_INK, linewidth=1.2, marker=marker)
    axes.set_ylim(0, 1.08 * np.nanmax(rate) or 1)
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    return _number_steps(axes, number, 3)


def _draw_classes(axes: Axes, ranking: Ranking, rows: int) -> None:
    """Bars from the top; fewer than ``rows`` leave room below."""
    places = range(len(ranking))
    values = [value for _, value in ranking]
    axes.barh(places, np.where(np.isnan(values), np.nan, 1), height=0.68, color=_FAINT)
    axes.barh(places, values, height=0.68, color=_BLUE)
    for row, value in enumerate(values):
        if math.isnan(value):
            axes.text(
                0.01, row, "absent", va="center", fontsize=_SMALL, color=_SOFT, style="italic"
            )
        else:
            axes.text(1.02, row, f"{value:.2f}", va="center", fontsize=_SMALL, color=_INK)
    axes.set(xlim=(0, 1.2), ylim=(rows - 0.4, -0.6), xticks=[])
    axes.set_yticks(places, [_short(name) for name, _ in ranking])
    axes.tick_params(length=0, labelsize=_SMALL, labelcolor=_INK)
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    axes.spines[:].set_visible(False)


def _ranking(class_iou: Mapping[str, float | None]) -> Ranking:
    """Classes from the best to the worst, then those that are absent, as NaN."""
    known = [(name, math.nan if value is None else value) for name, value in class_iou.items()]
    return sorted(known, key=lambda item: math.inf if math.isnan(item[1]) else -item[1])


def _short(name: str) -> str:
    return name if len(name) <= _MOST_LETTERS else name[: _MOST_LETTERS - 1] + "…"


def _column(records: Records, name: str) -> np.ndarray:
    return np.array([np.nan if r[name] is None else r[name] for r in records], np.float64)


def _smoothed(values: np.ndarray) -> np.ndarray:
    """The mean of what is finite around each value, within the array; NaN where nothing is."""
    reach = len(values) // _SMOOTHED_PART // 2
    known = np.isfinite(values)
    sums, counts = (
        np.concatenate([[0], np.cumsum(part)]) for part in (np.where(known, values, 0), known)
    )
    index = np.arange(len(values))
    first, last = np.maximum(index - reach, 0), np.minimum(index + reach + 1, len(values))
    count = counts[last] - counts[first]
    return np.where(count > 0, (sums[last] - sums[first]) / np.maximum(count, 1), np.nan)


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The points at which a long line is drawn: of each stretch the least and the greatest."""
    if len(x) <= _MOST_POINTS:
        return x, y
    chosen: set[int] = {0, len(x) - 1}
    for part in np.array_split(np.arange(len(x)), _MOST_POINTS // 2):
        if np.isfinite(y[part]).any():
            chosen |= {int(part[np.nanargmin(y[part])]), int(part[np.nanargmax(y[part])])}
        else:
            chosen.add(int(part[0]))
    index = sorted(chosen)
    return x[index], y[index]


def _prepare(axes: Axes, name: str, x_name: str) -> None:
    _name(axes, name)
    axes.set_xlabel(x_name, fontsize=_NORMAL, color=_SOFT)
    axes.tick_params(labelsize=_SMALL, labelcolor=_INK, color=_SOFT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_SOFT)
    axes.grid(axis="y", color=_FAINT, linewidth=0.6)
    axes.set_axisbelow(True)


def _name(axes: Axes, name: str) -> None:
    axes.set_title(name, loc="left", fontsize=_NORMAL + 1, fontweight="bold", color=_INK)


def _number_steps(axes: Axes, numbers: np.ndarray, bins: int = 6) -> None:
    """Whole numbers along the x axis; one point alone stands in the middle."""
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


def _explain(axes: Axes) -> None:
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=2,
        borderaxespad=0.2,
        frameon=False,
        fontsize=_SMALL,
        labelcolor=_INK,
    )


def _note(axes: Axes, text: str) -> None:
    axes.text(
        *(0.98, 0.96, text),
        transform=axes.transAxes,
        ha="right",
        va="top",
        fontsize=_SMALL,
        color=_ORANGE,
    )


def _say(axes: Axes, text: str) -> None:
    """What stands where there is nothing to draw."""
    axes.set(xticks=[], yticks=[])
    axes.text(
        *(0.5, 0.5, text),
        transform=axes.transAxes,
        ha="center",
        va="center",
        fontsize=_NORMAL,
        color=_SOFT,
        style="italic",
    )
