"""Draw how dilation works, and what it preserves: docs/images/dilation.png and stride.png.

python docs/draw_dilation.py
"""

from pathlib import Path

import cv2
import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from gluonvision.data.datasets.synthetic import draw_scene
from gluonvision.metrics import SegmentationMetric
from gluonvision.utils import get_mask

matplotlib.use("Agg")
IMAGES = Path(__file__).parent / "images"
_SIDE = 17
_SEEN, _TAP, _LINE = "#cfe3f7", "#c8352b", "#b8b8b8"


def draw_kernels(path: Path) -> None:
    """Draw what one output pixel sees through one, two and three 3x3 layers of dilation 1, 2, 4."""
    figure = Figure(figsize=(10.5, 4), layout="constrained")
    for axes, rates in zip(figure.subplots(1, 3), ((1,), (1, 2), (1, 2, 4))):
        _grid(axes, receptive_field(rates), rates[-1])
        wide = np.ptp(np.flatnonzero(receptive_field(rates).any(0))) + 1
        layers = " + ".join(map(str, rates))
        title = f"dilation {layers}: {wide} x {wide} pixels, {9 * len(rates)} weights"
        axes.set_title(title, fontsize=10)
    figure.savefig(path, dpi=110)


def receptive_field(rates) -> np.ndarray:
    """Find the pixels that the middle one depends on after 3x3 layers of these dilations, bool."""
    field = np.zeros((_SIDE, _SIDE), np.uint8)
    field[_SIDE // 2, _SIDE // 2] = 1
    for rate in rates:
        kernel = np.zeros((2 * rate + 1, 2 * rate + 1), np.uint8)
        kernel[::rate, ::rate] = 1
        field = cv2.dilate(field, kernel)
    return field > 0


def _grid(axes, seen, rate):
    middle = _SIDE // 2
    taps = {middle - rate, middle, middle + rate}
    for y, x in np.ndindex(seen.shape):
        face = _SEEN if seen[y, x] else "white"
        axes.add_patch(Rectangle((x, y), 1, 1, facecolor=face, edgecolor=_LINE, linewidth=0.6))
        if y in taps and x in taps:
            axes.plot(x + 0.5, y + 0.5, "o", color=_TAP, markersize=6)
    axes.set(xlim=(-0.1, _SIDE + 0.1), ylim=(_SIDE + 0.1, -0.1), aspect="equal")
    axes.axis("off")


def draw_strides(path: Path) -> None:
    """Draw the best possible mask at strides 32, 16 and 8: a true mask, reduced and enlarged."""
    labels = _without_border(draw_scene((375, 500), np.random.default_rng([7, 4]), first=3)[1])
    figure = Figure(figsize=(10.5, 2.5), layout="constrained")
    first, *others = figure.subplots(1, 4)
    _show(first, labels, "the mask, 500 x 375")
    for axes, stride in zip(others, (32, 16, 8)):
        back = through_stride(labels, stride)
        metric = SegmentationMetric(21)
        metric.update(back, labels)
        size = " x ".join(str(-(-n // stride)) for n in labels.shape[::-1])
        score = metric.compute().mean_iou
        _show(axes, back, f"stride {stride}, {size}: mIoU {100 * score:.0f}")
    figure.savefig(path, dpi=110)


def through_stride(labels: np.ndarray, stride: int) -> np.ndarray:
    """Average perfect scores over cells of ``stride``, resize them as a model does; argmax."""
    size = tuple(-(-n // stride) for n in labels.shape[::-1])
    scores = [
        cv2.resize(
            cv2.resize((labels == label).astype(np.float32), size, interpolation=cv2.INTER_AREA),
            labels.shape[::-1],
            interpolation=cv2.INTER_LINEAR,
        )
        for label in range(21)
    ]
    return np.argmax(scores, 0)


def _without_border(labels):
    grown = cv2.dilate(np.maximum(labels, 0).astype(np.uint8), np.ones((5, 5), np.uint8))
    return np.where(labels < 0, grown, labels)


def _show(axes, labels, title):
    axes.imshow(get_mask(labels, "pascal_voc").convert("RGB"))
    axes.set_title(title, fontsize=10)
    axes.axis("off")


if __name__ == "__main__":
    draw_kernels(IMAGES / "dilation.png")
    draw_strides(IMAGES / "stride.png")
