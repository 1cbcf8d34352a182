"""Predict the class scores of every pixel: whole images or windows, several scales, mirrored."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from gluonvision.backend import F, array, as_numpy, device_and_dtype, predicted_classes, preprocess
from gluonvision.backend import evaluate as forward

Window = tuple[slice, slice]  # rows and columns


@dataclass(frozen=True)
class Inference:
    """Inference settings. By default, one forward pass over the whole image at its own size.

    Args:
        scales: factors by which the image is resized. The probabilities of all scales are
            averaged.
        flip: also predict the mirrored image, and average.
        window: side of square windows, in pixels. Windows never leave the image, so the net sees
            no padding; where windows overlap, their probabilities are averaged. By default, the
            whole image is one window.
        stride: distance between windows, as a fraction of ``window``.
        batch_size: number of images of the same size, or of windows, per forward pass.
        base_size: length of the longer side at scale 1, in pixels. By default, the image's own.
        gluoncv: reproduce GluonCV's ``MultiEvalModel`` with its faults (docs/evaluation.md), to
            compare with the scores that GluonCV published.

    Raises:
        ValueError: if a value is out of range.
    """

    scales: Sequence[float] = (1.0,)
    flip: bool = False
    window: int | None = None
    stride: float = 2 / 3
    batch_size: int = 1
    base_size: int | None = None
    gluoncv: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "scales", tuple(self.scales))
        if not self.scales or not all(0 < scale < float("inf") for scale in self.scales):
            raise ValueError(f"scales={self.scales}: expected one or more positive numbers")
        if not 0 < self.stride <= 1:
            raise ValueError(f"stride={self.stride}: expected a fraction of the window, 0 to 1")
        for name in ("window", "batch_size", "base_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}={value}: expected 1 or more")
        if self.gluoncv and self.window is None:
            raise ValueError(
                "gluoncv=True without a window: GluonCV always predicts in windows; add "
                "window=480, its crop_size"
            )

    @property
    def is_plain(self) -> bool:
        """Whether one forward pass gives the result, without averaging."""
        return self == Inference(batch_size=self.batch_size)

    def sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """Compute the (height, width) of an image at each scale."""
        long_side = max(height, width)
        targets = [math.ceil((self.base_size or long_side) * scale) for scale in self.scales]
        return [
            (_scaled(height, target, long_side), _scaled(width, target, long_side))
            for target in targets
        ]


def _scaled(side: int, target: int, long_side: int) -> int:
    return max(1, int(side * target / long_side + 0.5))


def class_scores(net: Any, image: np.ndarray, inference: Inference | None = None) -> np.ndarray:
    """Compute a net's scores for every class and pixel of an image.

    Args:
        net: a segmentation net.
        image: uint8 array (H, W, 3), RGB.
        inference: scales, mirroring and windows.

    Returns:
        float32 array (num_classes, H, W): the net's logits with default settings, the mean of the
        softmax probabilities with any others.

    Raises:
        ValueError: if the image has another shape or type.
    """
    images = checked_image(image)[None]
    scores = as_numpy(_class_scores(net, images, inference or Inference()))
    return scores[0].astype(np.float32, copy=False)


def predict(net: Any, image: np.ndarray, inference: Inference | None = None) -> np.ndarray:
    """Predict the class of every pixel, the one with the highest ``class_scores``.

    Args:
        net: a segmentation net.
        image: uint8 array (H, W, 3), RGB.
        inference: scales, mirroring and windows.

    Returns:
        int32 array (H, W), class ids.

    Raises:
        ValueError: if the image has another shape or type.
    """
    return predict_batch(net, [checked_image(image)], inference)[0]


def predict_batch(
    net: Any, images: Sequence[np.ndarray], inference: Inference | None = None
) -> list[np.ndarray]:
    """Predict several images as ``predict`` does, in batches of consecutive images of one size."""
    inference = inference or Inference()
    batch_size = inference.batch_size if inference.window is None else 1
    masks: list[np.ndarray] = []
    for _, group in groupby(images, np.shape):
        same_size = list(group)
        for first in range(0, len(same_size), batch_size):
            batch = np.stack(same_size[first : first + batch_size])
            masks.extend(_predict_same_size(net, batch, inference))
    return masks


def checked_image(image: Any) -> np.ndarray:
    """Return an image (an array or a Pillow image) as uint8 (H, W, C).

    Raises:
        ValueError: if it is of another type or shape.
    """
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or not image.size:
        raise ValueError(
            f"image: {image.dtype} {image.shape}, expected one image as uint8 (H, W, 3) with "
            "values 0 to 255; convert grey images to RGB with Pillow's convert('RGB')"
        )
    return image


def _predict_same_size(net: Any, images: np.ndarray, inference: Inference) -> np.ndarray:
    """Classes (N, H, W) of images (N, H, W, C)."""
    if inference.is_plain:
        return predicted_classes(net, preprocess(images, *device_and_dtype(net)))
    return as_numpy(F.argmax(_class_scores(net, images, inference), 1)).astype(np.int32)


def _class_scores(net: Any, images: np.ndarray, inference: Inference) -> Any:
    """Scores (N, num_classes, H, W), on the net's device, of images (N, H, W, C)."""
    x = preprocess(images, *device_and_dtype(net))
    if inference.is_plain:
        return _logits(net, x)
    height, width = x.shape[2:]
    total: Any = None
    for size in inference.sizes(height, width):
        scores = _resized(_windowed(net, _resized(x, *size), inference), height, width)
        total = scores if total is None else total + scores
    return total if inference.gluoncv else total / len(inference.scales)


def _windowed(net: Any, x: Any, inference: Inference) -> Any:
    """Probabilities, averaged where windows overlap."""
    if inference.window is None:
        return _probabilities(net, x, inference)
    height, width = x.shape[2:]
    if inference.gluoncv:
        x = _padded(net, x, inference.window)
    padded_height, padded_width = x.shape[2:]
    num_images, (device, _) = len(x), device_and_dtype(net)
    total: Any = None
    counts = np.zeros((1, 1, padded_height, padded_width), np.float32)
    all_windows = _windows(padded_height, padded_width, inference)
    for windows in _batches(all_windows, inference.batch_size):
        crops = [x[:, :, rows, columns] for rows, columns in windows]
        if inference.gluoncv:  # its last windows reach over the edge and are padded
            crops = [_padded(net, crop, inference.window) for crop in crops]
        scores = _probabilities(net, F.concat(*crops, dim=0), inference)
        if total is None:
            shape = (num_images, scores.shape[1], padded_height, padded_width)
            total = array(np.zeros(shape, np.float32), device)
        for i, (rows, columns) in enumerate(windows):
            high, wide = rows.stop - rows.start, columns.stop - columns.start
            own = scores[i * num_images : (i + 1) * num_images, :, :high, :wide]
            total[:, :, rows, columns] += own
            counts[:, :, rows, columns] += 1
    return (total / array(counts, device))[:, :, :height, :width]


def _windows(height: int, width: int, inference: Inference) -> list[Window]:
    rows, columns = (_window_slices(length, inference) for length in (height, width))
    return [(row, column) for row in rows for column in columns]


def _window_slices(length: int, inference: Inference) -> list[slice]:
    """The windows along one side of an image."""
    assert inference.window is not None
    window, step = min(inference.window, length), max(1, int(inference.window * inference.stride))
    starts = [step * i for i in range(math.ceil((length - window) / step) + 1)]
    if not inference.gluoncv:
        starts = [min(start, length - window) for start in starts]
    return [slice(start, min(start + window, length)) for start in starts]


def _batches(windows: list[Window], batch_size: int) -> Iterator[list[Window]]:
    return (windows[i : i + batch_size] for i in range(0, len(windows), batch_size))


def _probabilities(net: Any, x: Any, inference: Inference) -> Any:
    """Softmax probabilities of ``x``, averaged with those of its mirror image if asked for."""
    logits = [_logits(net, x)]
    if inference.flip:
        logits.append(F.flip(_logits(net, F.flip(x, axis=3)), axis=3))
    if inference.gluoncv:
        return F.exp(sum(logits))
    return sum(F.softmax(each, axis=1) for each in logits) / len(logits)


def _logits(net: Any, x: Any) -> Any:
    """The float32 logits of the main head; an auxiliary head's come second."""
    output = forward(net, x)
    logits = output[0] if isinstance(output, tuple | list) else output
    return F.cast(logits, dtype="float32")


def _resized(x: Any, height: int, width: int) -> Any:
    if tuple(x.shape[2:]) == (height, width):
        return x
    return F.contrib.BilinearResize2D(x, height=height, width=width)


def _padded(net: Any, x: Any, min_side: int) -> Any:
    """Pad with black pixels at the bottom and on the right, up to ``min_side`` pixels."""
    for axis in (2, 3):
        if x.shape[axis] < min_side:
            num_images, channels, height, width = x.shape
            size = (min_side - height, width) if axis == 2 else (height, min_side - width)
            black = np.zeros((num_images, *size, channels), np.uint8)
            x = F.concat(x, preprocess(black, *device_and_dtype(net)), dim=axis)
    return x
