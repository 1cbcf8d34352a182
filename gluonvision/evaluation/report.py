"""What an evaluation found: as a table, as JSON, as files in a folder."""

import csv
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gluonvision.data.meta import Meta
from gluonvision.metrics import Intervals, SegmentationScores
from gluonvision.utils import atomic

SCORES, CONFUSION, FIGURE, PAGE = "scores.json", "confusion.csv", "confusion.png", "report.html"
IMAGES = "images.csv"


@dataclass(frozen=True, eq=False)
class Report:
    """Scores, and what they are the scores of.

    ``name``: the model's. ``facts``: what else is written down (weights, split ...), as JSON can
    hold it. ``files``: the images, in the order of ``scores.images``. ``intervals``: where they
    were asked for.
    """

    name: str
    split: str
    meta: Meta
    scores: SegmentationScores
    files: tuple[Path, ...]
    facts: Mapping[str, Any]
    intervals: Intervals | None = None

    @property
    def title(self) -> str:
        """What was judged on what."""
        return f"{self.name} on {self.meta.name} {self.split}"


class Column(NamedTuple):
    """A score of classes: its name in words and in JSON, its mean's there, and the values."""

    title: str
    key: str
    mean_key: str
    values: np.ndarray
    mean: float


class Confusion(NamedTuple):
    """Pixels of one class that were taken for another, and their share (0-1) of the class's."""

    label: int
    predicted: int
    pixels: int
    share: float


def columns(scores: SegmentationScores) -> list[Column]:
    """The scores that each class has."""
    found = [
        Column("IoU", "iou", "mean_iou", scores.class_iou, scores.mean_iou),
        Column(
            "accuracy", "accuracy", "mean_accuracy", scores.class_accuracy, scores.mean_accuracy
        ),
        Column("Dice", "dice", "mean_dice", scores.class_dice, scores.mean_dice),
    ]
    boundary, mean = scores.class_boundary_iou, scores.mean_boundary_iou
    if boundary is not None and mean is not None:
        found.append(Column("boundary IoU", "boundary_iou", "mean_boundary_iou", boundary, mean))
    return found


def most_confused(scores: SegmentationScores, number: int) -> list[Confusion]:
    """The pairs of classes that cost the most pixels, most first."""
    wrong = scores.confusion.copy()
    np.fill_diagonal(wrong, 0)
    labelled = scores.confusion.sum(1)
    order = np.argsort(-wrong, axis=None, kind="stable")[:number]
    pairs = [divmod(int(place), len(wrong)) for place in order]
    return [
        Confusion(t, p, int(wrong[t, p]), float(wrong[t, p] / labelled[t]))
        for t, p in pairs
        if wrong[t, p]
    ]


def to_text(report: Report) -> str:
    """A table of the classes, and the scores of all together."""
    scores, names = report.scores, report.meta.classes
    width = max(map(len, [*names, "class"]))
    shown = columns(scores)
    limits = report.intervals
    head = f"{'class':<{width}}" + "".join(f"{column.title:>14}" for column in shown)
    lines = [head + (f"{_confidence(limits):>18}" if limits else "")]
    for label, name in enumerate(names):
        if math.isnan(scores.class_iou[label]):
            lines.append(f"{name:<{width}}{'absent':>14}")
            continue
        row = "".join(f"{_three(column.values[label]):>14}" for column in shown)
        ends = f"{_range(limits.class_iou[label]):>18}" if limits else ""
        lines.append(f"{name:<{width}}{row}{ends}")
    return "\n".join([*lines, _summary(report)])


def _summary(report: Report) -> str:
    scores = report.scores
    limits = f" ({_range(report.intervals.mean_iou)})" if report.intervals else ""
    parts = [
        f"mIoU {scores.mean_iou:.4f}{limits}",
        f"pixel accuracy {scores.pixel_accuracy:.4f}",
        f"mean accuracy {scores.mean_accuracy:.4f}",
        f"frequency-weighted IoU {scores.frequency_weighted_iou:.4f}",
        f"Dice {scores.mean_dice:.4f}",
    ]
    if scores.mean_boundary_iou is not None:
        parts.append(f"boundary IoU {scores.mean_boundary_iou:.4f}")
    return f"{report.title}, {len(report.files)} images: {', '.join(parts)}"


def _confidence(limits: Intervals) -> str:
    return f"IoU, {100 * limits.confidence:.0f} %"


def _three(value: float) -> str:
    return "absent" if math.isnan(value) else f"{value:.3f}"


def _range(ends) -> str:
    low, high = ends
    return "absent" if math.isnan(low) else f"{low:.3f} to {high:.3f}"


def to_json(report: Report) -> str:
    """Everything but the confusion matrix; null for what is absent."""
    scores, limits = report.scores, report.intervals
    labelled, predicted = scores.confusion.sum(1), scores.confusion.sum(0)
    shown = columns(scores)
    means = {column.mean_key: _number(column.mean) for column in shown}
    content = {
        "name": report.name,
        "dataset": report.meta.name,
        "split": report.split,
        "images": len(report.files),
        **report.facts,
        **means,
        "pixel_accuracy": _number(scores.pixel_accuracy),
        "frequency_weighted_iou": _number(scores.frequency_weighted_iou),
        "intervals": _intervals(limits) if limits else None,
        "classes": [
            {
                "name": name,
                **{column.key: _number(column.values[i]) for column in shown},
                **(
                    {"iou_interval": [_number(end) for end in limits.class_iou[i]]}
                    if limits
                    else {}
                ),
                "labelled_pixels": int(labelled[i]),
                "predicted_pixels": int(predicted[i]),
            }
            for i, name in enumerate(report.meta.classes)
        ],
    }
    return json.dumps(content, indent=2, default=str) + "\n"


def _intervals(limits: Intervals) -> dict[str, Any]:
    return {
        "confidence": limits.confidence,
        "resamples": limits.resamples,
        "mean_iou": [_number(end) for end in limits.mean_iou],
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def confusion_csv(report: Report) -> str:
    """Pixels by label (row) and prediction (column), with the classes' names."""
    rows = [["label \\ prediction", *report.meta.classes]]
    rows += [
        [name, *row] for name, row in zip(report.meta.classes, report.scores.confusion.tolist())
    ]
    return _csv(rows)


def images_csv(report: Report) -> str:
    """Each image's own mIoU and pixel accuracy; empty cells where nothing is labelled."""
    iou, accuracy = image_scores(report.scores)
    rows = [
        [file, *("" if math.isnan(v) else f"{v:.6f}" for v in pair)]
        for file, *pair in zip(report.files, iou, accuracy)
    ]
    return _csv([["image", "mean_iou", "pixel_accuracy"], *rows])


def image_scores(scores: SegmentationScores) -> tuple[np.ndarray, np.ndarray]:
    """mIoU and pixel accuracy of each image: (number,) float64, NaN where nothing is labelled."""
    if scores.images is None or scores.image_iou is None:
        raise ValueError("scores of images were not kept: evaluate(..., per_image=True)")
    hit, labelled = scores.images[:, 0].sum(1), scores.images[:, 1].sum(1)
    return scores.image_iou, np.where(labelled > 0, hit / np.maximum(labelled, 1), np.nan)


def write_files(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Write what an evaluation leaves, each file whole or not at all; ``SCORES`` comes last.

    Files of an earlier evaluation that this one has none of are removed: they would be taken for
    its own. Where there was no earlier one they are the user's, and stay. Text is UTF-8, but for
    names of files, which are what the disk has.
    """
    folder.mkdir(parents=True, exist_ok=True)
    earlier = {CONFUSION, FIGURE, PAGE, IMAGES} if _has_scores(folder) else set()
    for name in sorted(files, key=lambda name: name == SCORES):
        with atomic.replacing(folder / name) as file:
            content = files[name]
            if isinstance(content, str):
                content = content.encode(errors="surrogateescape")
            file.write(content)
    for name in earlier - files.keys():
        (folder / name).unlink(missing_ok=True)


def _has_scores(folder: Path) -> bool:
    path = folder / SCORES
    return path.is_file() and '"frequency_weighted_iou"' in path.read_text(errors="replace")


def _csv(rows: list[list]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()
