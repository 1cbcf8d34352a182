"""The result of an evaluation as a table, as JSON, and as files in a folder."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
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
    """The scores of a model on a split of a data set.

    Args:
        name: the model.
        split: the split.
        meta: the classes of the data set.
        scores: the scores.
        files: the images, in the order of ``scores.images``.
        facts: further entries to record, such as the weights, as JSON types.
        intervals: confidence intervals, if they were computed.
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
        """The model, the data set and the split."""
        return f"{self.name} on {self.meta.name} {self.split}"


class Column(NamedTuple):
    """One score of all classes.

    Args:
        title: name of the score in tables.
        key: name of the score in JSON.
        mean_key: name of its mean in JSON.
        values: the score of each class, NaN if absent.
        mean: the mean over the classes.
    """

    title: str
    key: str
    mean_key: str
    values: np.ndarray
    mean: float


class Confusion(NamedTuple):
    """One class mistaken for another.

    Args:
        label: class id of the label.
        predicted: class id of the prediction.
        pixels: number of such pixels.
        share: their fraction (0-1) of the pixels with this label.
    """

    label: int
    predicted: int
    pixels: int
    share: float


def columns(scores: SegmentationScores) -> list[Column]:
    """List the scores that are computed per class."""
    listed = [
        Column("IoU", "iou", "mean_iou", scores.class_iou, scores.mean_iou),
        Column(
            "accuracy", "accuracy", "mean_accuracy", scores.class_accuracy, scores.mean_accuracy
        ),
        Column("Dice", "dice", "mean_dice", scores.class_dice, scores.mean_dice),
    ]
    boundary, mean = scores.class_boundary_iou, scores.mean_boundary_iou
    if boundary is not None and mean is not None:
        listed.append(Column("boundary IoU", "boundary_iou", "mean_boundary_iou", boundary, mean))
    return listed


def most_confused(scores: SegmentationScores, number: int) -> list[Confusion]:
    """List the pairs of classes with the most confused pixels, largest first."""
    wrong = scores.confusion.copy()
    np.fill_diagonal(wrong, 0)
    labelled = scores.confusion.sum(1)
    order = np.argsort(-wrong, axis=None, kind="stable")[:number]
    pairs = [divmod(int(index), len(wrong)) for index in order]
    return [
        Confusion(label, predicted, int(count), float(count / labelled[label]))
        for label, predicted in pairs
        if (count := wrong[label, predicted])
    ]


def to_text(report: Report) -> str:
    """Format the scores of each class as a table, and the overall scores."""
    scores, names = report.scores, report.meta.classes
    width = max(map(len, [*names, "class"]))
    shown = columns(scores)
    intervals = report.intervals
    head = f"{'class':<{width}}" + "".join(f"{column.title:>14}" for column in shown)
    lines = [head + (f"{_confidence(intervals):>18}" if intervals else "")]
    for label, name in enumerate(names):
        if math.isnan(scores.class_iou[label]):
            lines.append(f"{name:<{width}}{'absent':>14}")
            continue
        row = "".join(f"{_rounded(column.values[label]):>14}" for column in shown)
        interval = f"{_range(intervals.class_iou[label]):>18}" if intervals else ""
        lines.append(f"{name:<{width}}{row}{interval}")
    return "\n".join([*lines, _summary(report)])


def _summary(report: Report) -> str:
    scores = report.scores
    interval = f" ({_range(report.intervals.mean_iou)})" if report.intervals else ""
    parts = [
        f"mIoU {scores.mean_iou:.4f}{interval}",
        f"pixel accuracy {scores.pixel_accuracy:.4f}",
        f"mean accuracy {scores.mean_accuracy:.4f}",
        f"frequency-weighted IoU {scores.frequency_weighted_iou:.4f}",
        f"Dice {scores.mean_dice:.4f}",
    ]
    if scores.mean_boundary_iou is not None:
        parts.append(f"boundary IoU {scores.mean_boundary_iou:.4f}")
    return f"{report.title}, {len(report.files)} images: {', '.join(parts)}"


def _confidence(intervals: Intervals) -> str:
    return f"IoU {100 * intervals.confidence:.0f} % CI"


def _rounded(value: float) -> str:
    return "absent" if math.isnan(value) else f"{value:.3f}"


def _range(interval: Sequence[float] | np.ndarray) -> str:
    low, high = interval
    return "absent" if math.isnan(low) else f"{low:.3f} to {high:.3f}"


def to_json(report: Report) -> str:
    """Format everything except the confusion matrix as JSON; absent values are null."""
    scores, intervals = report.scores, report.intervals
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
        "intervals": _intervals(intervals) if intervals else None,
        "classes": [
            {
                "name": name,
                **{column.key: _number(column.values[i]) for column in shown},
                **(
                    {"iou_interval": [_number(end) for end in intervals.class_iou[i]]}
                    if intervals
                    else {}
                ),
                "labelled_pixels": int(labelled[i]),
                "predicted_pixels": int(predicted[i]),
            }
            for i, name in enumerate(report.meta.classes)
        ],
    }
    return json.dumps(content, indent=2, default=str) + "\n"


def _intervals(intervals: Intervals) -> dict[str, Any]:
    return {
        "confidence": intervals.confidence,
        "resamples": intervals.resamples,
        "mean_iou": [_number(end) for end in intervals.mean_iou],
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def confusion_csv(report: Report) -> str:
    """Format the confusion matrix as CSV: a row per label, a column per prediction."""
    rows = [["label \\ prediction", *report.meta.classes]]
    rows += [
        [name, *row] for name, row in zip(report.meta.classes, report.scores.confusion.tolist())
    ]
    return _csv(rows)


def images_csv(report: Report) -> str:
    """Format the mIoU and pixel accuracy of each image as CSV; empty for unlabelled images."""
    iou, accuracy = image_scores(report.scores)
    rows = [
        [file, *("" if math.isnan(v) else f"{v:.6f}" for v in pair)]
        for file, *pair in zip(report.files, iou, accuracy)
    ]
    return _csv([["image", "mean_iou", "pixel_accuracy"], *rows])


def image_scores(scores: SegmentationScores) -> tuple[np.ndarray, np.ndarray]:
    """Compute the mIoU and pixel accuracy of each image.

    Returns:
        Two float64 arrays (num_images,), with NaN for unlabelled images.

    Raises:
        ValueError: if the evaluation kept no scores per image.
    """
    if scores.images is None or scores.image_iou is None:
        raise ValueError("scores per image are missing; compute them with per_image=True")
    correct, labelled = scores.images[:, 0].sum(1), scores.images[:, 1].sum(1)
    return scores.image_iou, np.where(labelled > 0, correct / np.maximum(labelled, 1), np.nan)


def write_files(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Write the files of an evaluation, ``SCORES`` last.

    Each file only appears once it is complete. Files of an earlier evaluation that the new one
    does not replace are removed, since they would seem to belong to it. Other files are kept.

    Args:
        folder: the folder, created if needed.
        files: content by file name. Text is written as UTF-8; names of images that are not valid
            UTF-8 keep their bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    previous = {CONFUSION, FIGURE, PAGE, IMAGES} if _has_scores(folder) else set()
    for name in sorted(files, key=lambda name: name == SCORES):
        with atomic.replacing(folder / name) as file:
            content = files[name]
            if isinstance(content, str):
                content = content.encode(errors="surrogateescape")
            file.write(content)
    for name in previous - files.keys():
        (folder / name).unlink(missing_ok=True)


def _has_scores(folder: Path) -> bool:
    path = folder / SCORES
    if not path.is_file():
        return False
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return isinstance(content, dict) and "frequency_weighted_iou" in content


def _csv(rows: list[list]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()
