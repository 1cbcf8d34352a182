"""Scores of every pixel of an image: whole or in windows, at several scales, with its mirror."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from gluonvision.backend import F, array, as_numpy, device_and_dtype, predicted_classes, preprocess
from gluonvision.backend import evaluate as forward


@dataclass(frozen=True)
class Inference:
    """How a net is asked about an image; by default once, about the whole image at its own size.

    ``scales``: factors of the image's size, or of ``base_size``: the long side, in pixels, that a
    scale of 1 gives. ``flip``: also ask about the mirror image. ``window``: the side of square
    windows, in pixels, that are asked about one by one; no larger than the image, and moved back
    from its edges, so that no padding is ever seen. ``stride``: their distance, as a share of
    ``window``. ``batch_size``: images of one size, or windows, a forward pass.

    ``gluoncv``: repeat GluonCV's ``MultiEvalModel`` with its faults (docs/evaluation.md), for
    scores to compare with those that it published.

    Raises ValueError for values out of range.
    """

    scales: Sequence[float] = (1.0,)
    flip: bool = False
    window: int | None = None
    stride: float = 2 / 3
    batch_size: int = 1
    base_size: int | None = None
    gluoncv: bool = False

    def __post_init__(self):
        object.__setattr__(self, "scales", tuple(self.scales))
        if not self.scales or not all(0 < scale < float("inf") for scale in self.scales):
            raise ValueError(f"scales={self.scales}: expected one or more positive numbers")
        if not 0 < self.stride <= 1:
            raise ValueError(f"stride={self.stride}: expected a share of the window, 0 to 1")
        for name in ("window", "batch_size", "base_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}={value}: expected 1 or more")
        if self.gluoncv and self.window is None:
            raise ValueError("gluoncv: GluonCV always has windows; say window=480, its crop_size")

    @property
    def is_plain(self) -> bool:
        """Whether the net's own scores are the answer."""
        return self == Inference(batch_size=self.batch_size)

    def sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """The (height, width) that each scale makes of an image."""
        long = max(height, width)
        targets = [math.ceil((self.base_size or long) * scale) for scale in self.scales]
        return [(_part(height, t, long), _part(width, t, long)) for t in targets]


def _part(side, target, long):
    return max(1, int(side * target / long + 0.5))


def class_scores(net, image: np.ndarray, inference: Inference | None = None) -> np.ndarray:
    """What a net gives for every pixel and class: uint8 (H, W, C) to float32 (nclass, H, W).

    By default its own scores; with scales, mirror or windows the mean of the probabilities (softmax
    of scores) that each of them gives. Raises ValueError for what is no image.
    """
    images = checked_image(image)[None]
    return as_numpy(_scores_of(net, images, inference or Inference()))[0].astype(
        np.float32, copy=False
    )


def predict(net, image: np.ndarray, inference: Inference | None = None) -> np.ndarray:
    """The class of every pixel, the highest of ``class_scores``: int32 (H, W)."""
    return predict_batch(net, [checked_image(image)], inference)[0]


def predict_batch(
    net, images: Sequence[np.ndarray], inference: Inference | None = None
) -> list[np.ndarray]:
    """``predict`` for several images; neighbours of one size share a forward pass."""
    inference = inference or Inference()
    masks: list[np.ndarray] = []
    for _, group in groupby(images, np.shape):
        same = list(group)
        number = inference.batch_size if inference.window is None else 1
        for first in range(0, len(same), number):
            masks.extend(_predict_same_size(net, np.stack(same[first : first + number]), inference))
    return masks


def checked_image(image) -> np.ndarray:
    """An image, or a Pillow image, as uint8 (H, W, C); ValueError for anything else."""
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or not image.size:
        raise ValueError(
            f"image: {image.dtype} {image.shape}, expected uint8 (H, W, C), one image with pixel "
            "values 0 to 255; a grey one becomes RGB by Pillow's convert('RGB')"
        )
    return image


def _predict_same_size(net, images, inference):
    """Classes (N, H, W) of images (N, H, W, C) of one size."""
    if inference.is_plain:
        return predicted_classes(net, preprocess(images, *device_and_dtype(net)))
    return as_numpy(F.argmax(_scores_of(net, images, inference), 1)).astype(np.int32)


def _scores_of(net, images, inference):
    """Scores (N, nclass, H, W) on the net's device of images (N, H, W, C) of one size."""
    x = preprocess(images, *device_and_dtype(net))
    if inference.is_plain:
        return _forward(net, x)
    height, width = x.shape[2:]
    total = None
    for size in inference.sizes(height, width):
        scores = _resized(_windowed(net, _resized(x, *size), inference), height, width)
        total = scores if total is None else total + scores
    return total if inference.gluoncv else total / len(inference.scales)


def _windowed(net, x, inference):
    if inference.window is None:
        return _both_ways(net, x, inference)
    height, width = x.shape[2:]
    if inference.gluoncv:
        x = _padded(net, x, inference.window)
    total, counts = None, np.zeros((1, 1, *x.shape[2:]), np.float32)
    for places in _in_batches(_windows(*x.shape[2:], inference), inference):
        # GluonCV's last windows reach over the edge, and are filled up.
        parts = [x[:, :, rows, columns] for rows, columns in places]
        if inference.gluoncv:
            parts = [_padded(net, part, inference.window) for part in parts]
        scores = _both_ways(net, F.concat(*parts, dim=0), inference)
        if total is None:
            shape = (len(x), scores.shape[1], *x.shape[2:])
            total = array(np.zeros(shape, np.float32), device_and_dtype(net)[0])
        for number, (rows, columns) in enumerate(places):
            high, wide = rows.stop - rows.start, columns.stop - columns.start
            part = scores[number * len(x) : (number + 1) * len(x), :, :high, :wide]
            total[:, :, rows, columns] += part
            counts[:, :, rows, columns] += 1
    return (total / array(counts, device_and_dtype(net)[0]))[:, :, :height, :width]


def _windows(height, width, inference):
    """The windows of an image as (rows, columns), slices."""
    rows, columns = (_places(length, inference) for length in (height, width))
    return [(row, column) for row in rows for column in columns]


def _places(length, inference):
    window, step = min(inference.window, length), max(1, int(inference.window * inference.stride))
    starts = [step * i for i in range(math.ceil((length - window) / step) + 1)]
    if not inference.gluoncv:
        starts = [min(start, length - window) for start in starts]
    return [slice(start, min(start + window, length)) for start in starts]


def _in_batches(items, inference):
    return (items[i : i + inference.batch_size] for i in range(0, len(items), inference.batch_size))


def _both_ways(net, x, inference):
    """Probabilities of the image, or the mean of its and its mirror's."""
    scores = [_forward(net, x)]
    if inference.flip:
        scores.append(F.flip(_forward(net, F.flip(x, axis=3)), axis=3))
    if inference.gluoncv:
        return F.exp(sum(scores))
    return sum(F.softmax(score, axis=1) for score in scores) / len(scores)


def _forward(net, x):
    scores = forward(net, x)
    # An auxiliary head's scores come second.
    scores = scores[0] if isinstance(scores, tuple | list) else scores
    return F.cast(scores, dtype="float32")


def _resized(x, height, width):
    if tuple(x.shape[2:]) == (height, width):
        return x
    return F.contrib.BilinearResize2D(x, height=height, width=width)


def _padded(net, x, least):
    """With black pixels below and on the right, where a side is shorter than ``least``."""
    for axis in (2, 3):
        if x.shape[axis] < least:
            number, channels, height, width = x.shape
            size = (least - height, width) if axis == 2 else (height, least - width)
            black = np.zeros((number, *size, channels), np.uint8)
            x = F.concat(x, preprocess(black, *device_and_dtype(net)), dim=axis)
    return x
