"""The training transform of image and mask, with all geometry in one affine warp.

It draws from the distribution of GluonCV's ``_sync_transform``, and rotates like the original
script (not in GluonCV): mirror (p 0.5), long side to 0.5-2.0 x base size, rotation by -10 to 10
degrees, padding at the right and below, a random crop, Gaussian blur of the image (p 0.5, radius
0-1). Image pixels from outside are 0 before normalization. There are two differences: mask pixels
from outside the image are -1 (ignored) instead of class 0, and shrinking below 1/1.5 averages whole
blocks first, where Pillow's resize widens its filter.

Two options are off by default: photometric distortion of the image, and a limit to the fraction of
a crop that one class may fill (mmsegmentation's ``cat_max_ratio``).
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
    """One draw of the training transform, for one image size.

    The steps are applied in the order of the attributes.

    Attributes:
        mirror: flip the image horizontally.
        height: height to resize the image to, in pixels.
        width: width to resize the image to, in pixels.
        angle: rotation about the image's centre, in degrees, counter-clockwise; the image's size
            does not change.
        top: first row of the crop.
        left: first column of the crop.
        blur: standard deviation of the crop's blur, in pixels; 0 for none.
        photometric: distortion of the crop's colours, which comes before the blur.
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
    """Draw a random augmentation for an image of ``size`` (height, width).

    Always takes seven numbers from the generator, so that later draws do not depend on this one.
    """
    mirror, long, angle, top, left, blurred, blur = generator.random(7)
    height, width = _scaled(size, _scale_to_range(long, int(base_size * 0.5), int(base_size * 2.0)))
    return Augmentation(
        mirror=bool(mirror < 0.5),
        height=height,
        width=width,
        angle=float(20 * angle - 10),
        top=_scale_to_range(top, 0, max(height - crop_size, 0)),
        left=_scale_to_range(left, 0, max(width - crop_size, 0)),
        blur=float(blur if blurred < 0.5 else 0),
    )


def apply(
    augmentation: Augmentation, image: np.ndarray, mask: np.ndarray, crop_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Apply an augmentation: bilinear sampling for the image, nearest neighbour for the mask.

    Args:
        augmentation: a draw for this image's size.
        image: uint8 (H, W, 3), RGB; not changed.
        mask: int8, int16 or int32 (H, W), labels -1 to 32767; not changed.
        crop_size: side of the crop, in pixels.

    Returns:
        The crop's image, uint8 (crop_size, crop_size, 3), and mask, int32 (crop_size, crop_size).
    """
    a = augmentation
    # Compute only the part of the crop that the resized image covers: the rest is padding.
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
    """Draw and apply the training transform to one sample.

    Args:
        image: uint8 (H, W, 3), RGB; not changed.
        mask: int8, int16 or int32 (H, W), labels -1 to 32767; not changed.
        generator: source of the random numbers.
        base_size: the long side is resized to 0.5-2 times this length, in pixels.
        crop_size: side of the crop, in pixels.
        photometric: distort the image's colours; see ``photometric.distort``.
        cat_max_ratio: below 1, limit the fraction of the crop that one class fills; see
            ``redraw_crop``.

    Returns:
        The crop's image, uint8 (crop_size, crop_size, 3), and mask, int32 (crop_size, crop_size).
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
    """Move the crop until no class fills ``cat_max_ratio`` of its labelled pixels.

    Gives up after ten moves, because an image of one class has no such crop. Always takes twenty
    numbers from the generator. Follows mmsegmentation's ``RandomCrop(cat_max_ratio)``.
    """
    a = augmentation
    for top, left in generator.random((_REDRAWS, 2)).tolist():
        if largest_fraction(a, mask, crop_size) < cat_max_ratio:
            break
        a = replace(
            a,
            top=_scale_to_range(top, 0, max(a.height - crop_size, 0)),
            left=_scale_to_range(left, 0, max(a.width - crop_size, 0)),
        )
    return a


def check_ratio(cat_max_ratio: float) -> float:
    """Return the ratio if it is in (0, 1]; else raise ValueError."""
    if not 0 < cat_max_ratio <= 1:
        raise ValueError(
            f"cat_max_ratio {cat_max_ratio}: expected a fraction above 0 (mmsegmentation's "
            "recipes use 0.75), or 1 for any crop"
        )
    return cat_max_ratio


def largest_fraction(augmentation: Augmentation, mask: np.ndarray, crop_size: int) -> float:
    """Return the fraction (0-1) of the crop's labelled pixels that its most common class fills.

    Samples crops of 240 pixels and more on a grid of about 120 x 120. Returns 1 for a crop without
    labels.
    """
    a, step = augmentation, max(crop_size // 120, 1)
    width, height = (
        max(math.ceil((min(side, crop_size) - step // 2) / step), 1) for side in (a.width, a.height)
    )
    grid = np.array([[step, 0, step // 2], [0, step, step // 2], [0, 0, 1]])
    to_source = matrix(a, mask.shape) @ grid
    labels = warp.nearest(mask, to_source, (width, height))
    counts = np.bincount(labels[labels >= 0])
    return float(counts.max() / counts.sum()) if counts.size else 1.0


def matrix(augmentation: Augmentation, size: tuple[int, ...]) -> np.ndarray:
    """Return the map from pixel indices (x, y) of the crop to those of an image of ``size``.

    The map is computed in coordinates where pixel ``i`` covers [i, i+1), in which scaling and
    mirroring are exact. Adding a half first and subtracting it last converts OpenCV's indices,
    which are pixel centres.

    Args:
        augmentation: a draw for this image.
        size: (height, width) of the image or its mask.

    Returns:
        The affine map, float64 (2, 3).
    """
    a, (height, width) = augmentation, size
    sine, cosine = math.sin(math.radians(a.angle)), math.cos(math.radians(a.angle))
    # x, y: position from the resized image's centre; then rotated, and scaled to the source.
    x, y = a.left + 0.5 - a.width / 2, a.top + 0.5 - a.height / 2
    across, down = width / a.width * (-1 if a.mirror else 1), height / a.height
    return np.array(
        [
            [across * cosine, -across * sine, across * (cosine * x - sine * y) + width / 2 - 0.5],
            [down * sine, down * cosine, down * (sine * x + cosine * y) + height / 2 - 0.5],
        ]
    )


def _shrink(image: np.ndarray, augmentation: Augmentation) -> np.ndarray:
    """Average the image over blocks if it will be shrunk to less than 1/1.5.

    Bilinear sampling reads 2x2 pixels. At half the size or less it would skip pixels, and fine
    texture would turn into noise.
    """
    height, width = image.shape[:2]
    factor = round(width / augmentation.width)
    if factor < 2:
        return image
    size = max(width // factor, 1), max(height // factor, 1)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _blur(crop: np.ndarray, size: tuple[int, int], deviation: float) -> np.ndarray:
    """Blur the first ``size`` (width, height) pixels of the crop in place; the rest is black."""
    # OpenCV rounds the weights to multiples of 1/256; those below half of that are 0.
    radius = int(deviation * math.sqrt(2 * math.log(512)))
    if radius:
        # OpenCV reflects pixels at the border; with this margin it reflects black ones.
        part = crop[: size[1] + 2 * radius, : size[0] + 2 * radius]
        cv2.GaussianBlur(part, (2 * radius + 1, 2 * radius + 1), deviation, dst=part)
    return crop


def _scaled(size: tuple[int, ...], long: int) -> tuple[int, int]:
    height, width = size
    short = max(int(min(size) * long / max(size) + 0.5), 1)
    return (long, short) if height > width else (short, long)


def _scale_to_range(uniform: float, first: int, last: int) -> int:
    """Convert a number in [0, 1) to an integer from ``first`` to ``last``."""
    return first + int(uniform * (last - first + 1))
