"""The training transform: image and mask together, all geometry in one affine warp.

Distribution of GluonCV's ``_sync_transform`` with the rotation of the routine it came from: mirror
(p 0.5), long side to 0.5-2.0 x base size, rotation by -10..10 degrees, padding right and below,
a random crop, Gaussian blur of the image (p 0.5, radius 0-1). Two differences: mask pixels from
outside the picture are -1 (ignored), there they were class 0; and shrinking below 1/1.5 averages
whole blocks first, where Pillow's resize widened its filter.

Image pixels from outside are 0 before normalization, as there.

Two options go beyond that routine, and are off unless asked for: photometric distortion of the
image, and a crop that no class may fill (mmsegmentation's ``cat_max_ratio``).
"""

import math
from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np

from gluonvision.data.transforms import warp
from gluonvision.data.transforms.photometric import (
    UNCHANGED,
    Photometric,
    distort,
    draw_photometric,
)

_REDRAWS = 10


@dataclass(frozen=True)
class Augmentation:
    """One draw of the training transform, for one size of picture.

    The picture is mirrored, resized to ``height`` x ``width``, turned by ``angle`` (degrees,
    counter-clockwise, about its centre, nothing grows), and cropped at ``top``, ``left``; the
    crop's colours are distorted, and it is blurred with standard deviation ``blur`` (pixels; 0 is
    none).
    """

    mirror: bool
    height: int
    width: int
    angle: float
    top: int
    left: int
    blur: float
    photometric: Photometric = UNCHANGED


def draw(
    generator: np.random.Generator, size: tuple[int, ...], base_size: int, crop_size: int
) -> Augmentation:
    """A random augmentation for a picture of ``size`` (height, width).

    Always takes the same seven numbers, so that a later draw of the same generator never depends
    on what came up here.
    """
    mirror, long, angle, top, left, blurred, blur = generator.random(7)
    height, width = _scaled(size, _integer(long, int(base_size * 0.5), int(base_size * 2.0)))
    return Augmentation(
        mirror=bool(mirror < 0.5),
        height=height,
        width=width,
        angle=float(20 * angle - 10),
        top=_integer(top, 0, max(height - crop_size, 0)),
        left=_integer(left, 0, max(width - crop_size, 0)),
        blur=float(blur if blurred < 0.5 else 0),
    )


def apply(
    augmentation: Augmentation, image: np.ndarray, mask: np.ndarray, crop_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """The augmented crop: image uint8 (crop, crop, 3) bilinear, mask int32 (crop, crop) nearest.

    image: uint8 (H, W, 3); mask: int8, int16 or int32 (H, W), labels -1 to 32767. Neither is
    changed.
    """
    a = augmentation
    # Only the resized picture's own part of the crop is computed: the rest is padding.
    size = min(a.width, crop_size), min(a.height, crop_size)
    change = None if a.photometric == UNCHANGED else partial(distort, a.photometric)
    small = _shrink(image, a)
    to_image, to_mask = matrix(a, small.shape[:2]), matrix(a, mask.shape)
    crop, labels = warp.cut(small, to_image, mask, to_mask, size, crop_size, change)
    return _blur(crop, size, a.blur), labels


def random_transform(
    image: np.ndarray,
    mask: np.ndarray,
    generator: np.random.Generator,
    base_size: int = 520,
    crop_size: int = 480,
    photometric: bool = False,
    cat_max_ratio: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """The training transform of one sample: drawn, and applied; shapes and types as ``apply``'s.

    ``photometric``: distort the image's colours. ``cat_max_ratio`` below 1: see ``redraw_crop``.
    """
    a = draw(generator, image.shape[:2], base_size, crop_size)
    if photometric:
        a = replace(a, photometric=draw_photometric(generator))
    if cat_max_ratio < 1:
        a = redraw_crop(generator, a, mask, crop_size, cat_max_ratio)
    return apply(a, image, mask, crop_size)


def redraw_crop(
    generator: np.random.Generator,
    augmentation: Augmentation,
    mask: np.ndarray,
    crop_size: int,
    cat_max_ratio: float,
) -> Augmentation:
    """The augmentation with its crop moved until every class has less than ``cat_max_ratio`` of it.

    The share is that of the pixels with a label. At most ten times: a picture of one class has no
    such crop, and keeps the last one. Always takes the same twenty numbers of the generator.
    After mmsegmentation's ``RandomCrop(cat_max_ratio)``.
    """
    a = augmentation
    for top, left in generator.random((_REDRAWS, 2)).tolist():
        if largest_share(a, mask, crop_size) < cat_max_ratio:
            break
        a = replace(
            a,
            top=_integer(top, 0, max(a.height - crop_size, 0)),
            left=_integer(left, 0, max(a.width - crop_size, 0)),
        )
    return a


def check_ratio(cat_max_ratio: float) -> float:
    """The ratio, where it is one: in (0, 1]; else ValueError."""
    if not 0 < cat_max_ratio <= 1:
        raise ValueError(
            f"cat_max_ratio {cat_max_ratio}: expected a share above 0 (mmsegmentation's recipes "
            "have 0.75), or 1 for any crop"
        )
    return cat_max_ratio


def largest_share(augmentation: Augmentation, mask: np.ndarray, crop_size: int) -> float:
    """The share, 0 to 1, that the crop's commonest class has of its labelled pixels.

    Of a crop of 240 pixels and more only a grid is looked at, about 120 x 120. 1 without a label.
    """
    a, step = augmentation, max(crop_size // 120, 1)
    width, height = (
        max(-(-(min(side, crop_size) - step // 2) // step), 1) for side in (a.width, a.height)
    )
    grid = np.array([[step, 0, step // 2], [0, step, step // 2], [0, 0, 1]])
    to_source = matrix(a, mask.shape) @ grid
    labels = warp.nearest(mask, to_source, (width, height))
    counts = np.bincount(labels[labels >= 0])
    return float(counts.max() / counts.sum()) if counts.size else 1.0


def matrix(augmentation: Augmentation, size: tuple[int, ...]) -> np.ndarray:
    """The 2x3 map from a pixel index (x, y) of the crop to one of a picture of ``size``, float64.

    Worked out where pixel ``i`` covers [i, i+1), so that sizes scale and mirrors fall into place;
    the halves at both ends turn that into OpenCV's indices, which are pixel centres.
    """
    a, (height, width) = augmentation, size
    sine, cosine = math.sin(math.radians(a.angle)), math.cos(math.radians(a.angle))
    # From the resized picture's centre, turned, in the source's pixels, from its corner.
    x, y = a.left + 0.5 - a.width / 2, a.top + 0.5 - a.height / 2
    across, down = width / a.width * (-1 if a.mirror else 1), height / a.height
    return np.array(
        [
            [across * cosine, -across * sine, across * (cosine * x - sine * y) + width / 2 - 0.5],
            [down * sine, down * cosine, down * (sine * x + cosine * y) + height / 2 - 0.5],
        ]
    )


def _shrink(image: np.ndarray, augmentation: Augmentation) -> np.ndarray:
    """The image averaged over blocks where it will be shrunk much.

    Bilinear sampling reads 2x2 pixels: at half size or less it would skip pixels, and fine texture
    would turn into noise that no picture seen at full size has.
    """
    height, width = image.shape[:2]
    factor = round(width / augmentation.width)
    if factor < 2:
        return image
    size = max(width // factor, 1), max(height // factor, 1)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _blur(crop: np.ndarray, size: tuple[int, int], deviation: float) -> np.ndarray:
    """The crop, its first ``size`` (width, height) blurred in place; beyond it is black."""
    # OpenCV's weights are whole 256ths: a pixel that has less than half of one has none.
    reach = int(deviation * math.sqrt(2 * math.log(512)))
    if reach:
        # What the blur takes in beyond a border is a reflection, here one of black.
        part = crop[: size[1] + 2 * reach, : size[0] + 2 * reach]
        cv2.GaussianBlur(part, (2 * reach + 1, 2 * reach + 1), deviation, dst=part)
    return crop


def _scaled(size: tuple[int, ...], long: int) -> tuple[int, int]:
    height, width = size
    short = max(int(min(size) * long / max(size) + 0.5), 1)
    return (long, short) if height > width else (short, long)


def _integer(uniform: float, first: int, last: int) -> int:
    return first + int(uniform * (last - first + 1))
