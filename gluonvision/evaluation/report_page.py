"""An evaluation as one HTML page that needs nothing else: scores, confusions, the worst images."""

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

WORST, _PAIRS = 8, 12
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
    """An image to show: its number in ``Report.files``, and what was made of it."""

    number: int
    image: np.ndarray  # uint8 (H, W, 3)
    label: np.ndarray  # (H, W), -1 ignored
    predicted: np.ndarray


def worst_images(report: Report, number: int = WORST) -> list[int]:
    """The images with the lowest mIoU of their own, worst first, as numbers in ``files``."""
    iou, _ = image_scores(report.scores)
    order = np.argsort(iou, kind="stable")  # NaN comes last
    return [int(i) for i in order[:number] if not math.isnan(iou[i])]


def to_html(report: Report, samples: Sequence[Sample], figure: bytes) -> str:
    """The page's text. ``figure``: the confusion matrix as PNG."""
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
    facts = [f"{name}: {value}" for name, value in report.facts.items() if isinstance(value, str)]
    lines = "".join(f'<p class="soft">{text(fact)}</p>' for fact in facts)
    return (
        f"<header><h1>{text(report.name)}</h1>"
        f"<p>{text(report.meta.name)} {text(report.split)}, {len(report.files)} images</p>"
        f"{lines}</header>"
    )


def _totals(report: Report) -> str:
    scores, limits = report.scores, report.intervals
    values = [
        ("mIoU", scores.mean_iou, limits.mean_iou if limits else None),
        ("pixel accuracy", scores.pixel_accuracy, None),
        ("mean accuracy", scores.mean_accuracy, None),
        ("frequency-weighted IoU", scores.frequency_weighted_iou, None),
        ("mean Dice", scores.mean_dice, None),
    ]
    if scores.mean_boundary_iou is not None:
        values.append(("boundary IoU", scores.mean_boundary_iou, None))
    items = [
        f"<li><b>{_percent(value)}</b>{name}{_ends(ends)}</li>" for name, value, ends in values
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
        f'<h2>Classes</h2><p class="soft">In percent.{_what_intervals_are(report.intervals)}</p>'
        '<div class="wide"><table class="numbers"><tr><th>class</th><th></th>'
        f'{heads}<th class="count">of the pixels</th></tr>{"".join(rows)}</table></div>'
        f"{_absent(report)}"
    )


def _absent(report: Report) -> str:
    names = [
        name for name, iou in zip(report.meta.classes, report.scores.class_iou) if math.isnan(iou)
    ]
    if not names:
        return ""
    listed = text(", ".join(names))
    return f'<p class="soft">Absent, in neither label nor prediction: {listed}.</p>'


def _what_intervals_are(limits: Intervals | None) -> str:
    if limits is None:
        return ""
    return (
        f" A line on a bar is the interval that holds the IoU with {100 * limits.confidence:.0f} % "
        f"confidence, from {limits.resamples} resamples of the images."
    )


def _class_row(report: Report, label: int, share: float) -> str:
    name = f"<td>{swatch(report.meta.palette[label])}{text(report.meta.classes[label])}</td>"
    shown = columns(report.scores)
    ends = report.intervals.class_iou[label] if report.intervals else None
    cells = "".join(f'<td class="count">{_percent(c.values[label])}</td>' for c in shown)
    return (
        f"<tr>{name}<td>{_bar(shown[0].values[label], ends)}</td>{cells}"
        f'<td class="count">{_percent(share, 2)}</td></tr>'
    )


def _bar(value: float, ends: np.ndarray | None) -> str:
    line = ""
    if ends is not None and not np.isnan(ends).any():
        low, high = 100 * ends
        line = f'<i style="left:{low:.2f}%;width:{high - low:.2f}%"></i>'
    bar = f'<span class="bar" style="width:{100 * value:.2f}%"></span>'
    return f'<span class="track">{bar}{line}</span>'


def _confusions(report: Report) -> str:
    pairs = most_confused(report.scores, _PAIRS)
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
        '<h2>Most confused</h2><p class="soft">By pixels; the share is of the label\'s.</p>'
        '<table class="numbers"><tr><th>label</th><th>taken for</th><th class="count">share</th>'
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
        '<h2>Worst images</h2><p class="soft">By the mIoU of each image alone. Wrong pixels are '
        "red, ignored ones grey.</p>" + "".join(_sample(report, sample) for sample in samples)
    )


def _sample(report: Report, sample: Sample) -> str:
    iou, accuracy = image_scores(report.scores)
    name = text(_short(report.files[sample.number]))
    caption = (
        f"{name}: mIoU {_percent(iou[sample.number])}, pixel accuracy "
        f"{_percent(accuracy[sample.number])}"
    )
    pictures = (
        sample.image,
        overlay(sample.image, sample.label, report.meta, alpha=0.65, legend=False),
        overlay(sample.image, sample.predicted, report.meta, alpha=0.65, legend=False),
        error_map(sample.image, sample.label, sample.predicted),
    )
    panels = "".join(
        f'<figure><img src="{_panel(picture)}" alt=""><figcaption>{heading}</figcaption></figure>'
        for picture, heading in zip(pictures, _HEADINGS)
    )
    return f'<section class="worst"><p>{caption}</p><div class="row">{panels}</div></section>'


def _panel(picture) -> str:
    picture = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    return image_data_uri(fit_to_panel(picture), 85)


def _short(path: Path) -> str:
    return "/".join(path.parts[-2:])


def _percent(value: float, digits: int = 1) -> str:
    return "absent" if math.isnan(value) else f"{100 * value:.{digits}f}"


def _ends(ends: tuple[float, float] | None) -> str:
    if ends is None or math.isnan(ends[0]):
        return ""
    return f"<br>{_percent(ends[0])} to {_percent(ends[1])}"
