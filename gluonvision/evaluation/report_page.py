"""An evaluation as a self-contained HTML page: scores, confusions and the worst images."""

import base64
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from gluonvision.evaluation.report import Report, columns, image_scores, most_confused
from gluonvision.metrics import Intervals
from gluonvision.plots.page import document, image_data_uri, swatch, text
from gluonvision.plots.prediction_grid import error_map, fit_to_panel
from gluonvision.utils import overlay

NUM_WORST, _NUM_CONFUSIONS = 8, 12
_HEADINGS = ("image", "label", "prediction", "errors")
_STYLE = """
.scores { display: flex; flex-wrap: wrap; gap: .6rem; margin: 1.2rem 0; padding: 0;
  list-style: none; }
.scores li { flex: 1 1 8rem; padding: .6rem .8rem; background: var(--card); border-radius: .3rem;
  font-size: .85rem; color: var(--soft); }
.scores b { display: block; color: var(--ink); font-size: 1.35rem; font-weight: 600;
  font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; }
.numbers .count { width: auto; } .numbers th { font-weight: 500; }
.track { position: relative; display: block; min-width: 6rem; height: .8rem; margin-top: .3rem;
  background: var(--card); border-radius: .15rem; }
.track .bar { margin: 0; }
.track i { position: absolute; top: 50%; height: 2px; background: var(--ink); }
.matrix { max-width: 100%; height: auto; border-radius: .3rem; }
.row { display: grid; grid-template-columns: repeat(4, 1fr); gap: .4rem; margin: .3rem 0 0; }
.row img { display: block; width: 100%; border-radius: .2rem; }
.row figure, .worst { margin: 0; } .row figcaption { font-size: .8rem; color: var(--soft); }
.worst { margin-top: 1.2rem; }
@media (max-width: 40rem) { .row { grid-template-columns: repeat(2, 1fr); } }
"""


class Sample(NamedTuple):
    """An image to show on the page.

    Args:
        number: its index in ``Report.files``.
        image: uint8 array (H, W, 3), RGB.
        label: array (H, W), class ids, -1 for ignored pixels.
        predicted: array (H, W), class ids.
    """

    number: int
    image: np.ndarray
    label: np.ndarray
    predicted: np.ndarray


def worst_images(report: Report, number: int = NUM_WORST) -> list[int]:
    """List the images with the lowest mIoU, worst first, as indices into ``report.files``."""
    iou, _ = image_scores(report.scores)
    order = np.argsort(iou, kind="stable")  # NaN comes last
    return [int(i) for i in order[:number] if not math.isnan(iou[i])]


def to_html(report: Report, samples: Sequence[Sample], figure: bytes) -> str:
    """Write the page.

    Args:
        report: the evaluation.
        samples: the images to show.
        figure: the confusion matrix, drawn as PNG.

    Returns:
        The page as HTML.
    """
    body = [
        _head(report),
        _totals(report),
        _classes(report),
        _confusions(report),
        _matrix(figure),
        _worst(report, samples),
    ]
    return document(report.title, body, _STYLE)


def _head(report: Report) -> str:
    entries = [f"{name}: {value}" for name, value in report.facts.items() if isinstance(value, str)]
    lines = "".join(f'<p class="soft">{text(entry)}</p>' for entry in entries)
    return (
        f"<header><h1>{text(report.name)}</h1>"
        f"<p>{text(report.meta.name)} {text(report.split)}, {len(report.files)} images</p>"
        f"{lines}</header>"
    )


def _totals(report: Report) -> str:
    scores, intervals = report.scores, report.intervals
    values = [
        ("mIoU", scores.mean_iou, intervals.mean_iou if intervals else None),
        ("pixel accuracy", scores.pixel_accuracy, None),
        ("mean accuracy", scores.mean_accuracy, None),
        ("frequency-weighted IoU", scores.frequency_weighted_iou, None),
        ("mean Dice", scores.mean_dice, None),
    ]
    if scores.mean_boundary_iou is not None:
        values.append(("boundary IoU", scores.mean_boundary_iou, None))
    items = [
        f"<li><b>{_percent(value)}</b>{name}{_interval(interval)}</li>"
        for name, value, interval in values
    ]
    return f'<ul class="scores">{"".join(items)}</ul>'


def _classes(report: Report) -> str:
    shown = columns(report.scores)
    heads = "".join(f'<th class="count">{column.title}</th>' for column in shown)
    labelled = report.scores.confusion.sum(1)
    shares = labelled / max(int(labelled.sum()), 1)
    present = np.flatnonzero(~np.isnan(report.scores.class_iou))
    rows = [_class_row(report, int(i), float(shares[i])) for i in present]
    return (
        f'<h2>Classes</h2><p class="soft">In percent.{_explain_intervals(report.intervals)}</p>'
        '<div class="wide"><table class="numbers"><tr><th>class</th><th></th>'
        f'{heads}<th class="count">share of pixels</th></tr>{"".join(rows)}</table></div>'
        f"{_absent(report)}"
    )


def _absent(report: Report) -> str:
    names = [
        name for name, iou in zip(report.meta.classes, report.scores.class_iou) if math.isnan(iou)
    ]
    if not names:
        return ""
    listed = text(", ".join(names))
    return f'<p class="soft">Absent from labels and predictions: {listed}.</p>'


def _explain_intervals(intervals: Intervals | None) -> str:
    if intervals is None:
        return ""
    return (
        f" The line on a bar is the {100 * intervals.confidence:.0f} % confidence interval of the "
        f"IoU, from {intervals.resamples} resamples of the images."
    )


def _class_row(report: Report, label: int, share: float) -> str:
    name = f"<td>{swatch(report.meta.palette[label])}{text(report.meta.classes[label])}</td>"
    shown = columns(report.scores)
    interval = report.intervals.class_iou[label] if report.intervals else None
    cells = "".join(f'<td class="count">{_percent(c.values[label])}</td>' for c in shown)
    return (
        f"<tr>{name}<td>{_bar(shown[0].values[label], interval)}</td>{cells}"
        f'<td class="count">{_percent(share, 2)}</td></tr>'
    )


def _bar(value: float, interval: np.ndarray | None) -> str:
    line = ""
    if interval is not None and not np.isnan(interval).any():
        low, high = 100 * interval
        line = f'<i style="left:{low:.2f}%;width:{high - low:.2f}%"></i>'
    bar = f'<span class="bar" style="width:{100 * value:.2f}%"></span>'
    return f'<span class="track">{bar}{line}</span>'


def _confusions(report: Report) -> str:
    pairs = most_confused(report.scores, _NUM_CONFUSIONS)
    if not pairs:
        return ""
    names, palette = report.meta.classes, report.meta.palette
    rows = [
        f"<tr><td>{swatch(palette[pair.label])}{text(names[pair.label])}</td>"
        f"<td>{swatch(palette[pair.predicted])}{text(names[pair.predicted])}</td>"
        f'<td class="count">{_percent(pair.share)}</td>'
        f'<td class="count">{pair.pixels:,}</td></tr>'
        for pair in pairs
    ]
    return (
        '<h2>Most confused</h2><p class="soft">Sorted by pixels. The share is the fraction '
        "of the label's pixels.</p>"
        '<table class="numbers"><tr><th>label</th><th>predicted as</th><th class="count">share</th>'
        f'<th class="count">pixels</th></tr>{"".join(rows)}</table>'
    )


def _matrix(figure: bytes) -> str:
    source = f"data:image/png;base64,{base64.b64encode(figure).decode('ascii')}"
    return (
        f'<h2>Confusion matrix</h2><a href="{source}" download="confusion.png">'
        f'<img class="matrix" src="{source}" alt="confusion matrix"></a>'
    )


def _worst(report: Report, samples: Sequence[Sample]) -> str:
    if not samples:
        return ""
    return (
        '<h2>Worst images</h2><p class="soft">The images with the lowest mIoU. Wrong pixels are '
        "red, ignored pixels grey.</p>" + "".join(_sample(report, sample) for sample in samples)
    )


def _sample(report: Report, sample: Sample) -> str:
    iou, accuracy = image_scores(report.scores)
    name = text(_short(report.files[sample.number]))
    caption = (
        f"{name}: mIoU {_percent(iou[sample.number])}, pixel accuracy "
        f"{_percent(accuracy[sample.number])}"
    )
    panels: tuple[Image.Image | np.ndarray, ...] = (
        sample.image,
        overlay(sample.image, sample.label, report.meta, alpha=0.65, legend=False),
        overlay(sample.image, sample.predicted, report.meta, alpha=0.65, legend=False),
        error_map(sample.image, sample.label, sample.predicted),
    )
    figures = "".join(
        f'<figure><img src="{_data_uri(panel)}" alt=""><figcaption>{heading}</figcaption></figure>'
        for panel, heading in zip(panels, _HEADINGS)
    )
    return f'<section class="worst"><p>{caption}</p><div class="row">{figures}</div></section>'


def _data_uri(image: Image.Image | np.ndarray) -> str:
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    return image_data_uri(fit_to_panel(image), 85)


def _short(path: Path) -> str:
    return "/".join(path.parts[-2:])


def _percent(value: float, digits: int = 1) -> str:
    return "absent" if math.isnan(value) else f"{100 * value:.{digits}f}"


def _interval(interval: tuple[float, float] | None) -> str:
    if interval is None or math.isnan(interval[0]):
        return ""
    return f"<br>{_percent(interval[0])} to {_percent(interval[1])}"
