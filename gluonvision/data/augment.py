"""The training transform: image and mask together, all geometry in one affine warp.

Distribution of GluonCV's ``_sync_transform`` with the rotation of the routine it came from: mirror
(p 0.5), long side to 0.5-2.0 x base size, rotation by -10..10 degrees, padding right and below,
a random crop, Gaussian blur of the image (p 0.5, radius 0-1). Two differences: mask pixels from
outside the picture are -1 (ignored), there they were class 0; and shrinking below 1/1.5 averages
whole blocks first, where Pillow's resize widened its filter.

Image pixels from outside are 0 before normalization, as there.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

_OUTSIDE = -2


@dataclass(frozen=True)
class Augmentation:
    """One draw of the training transform, for one size of picture.

    The picture is mirrored, resized to ``height`` x ``width``, turned by ``angle`` (degrees,
    counter-clockwise, about its centre, nothing grows), and cropped at ``top``, ``left``; the crop
    is then blurred with standard deviation ``blur`` (pixels; 0 is none).
    """

    mirror: bool
    height: int
    width: int
    angle: float
    top: int
    left: int
    blur: float


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

    image: uint8 (H, W, 3); mask: int32 (H, W), labels -1 to 32767. Neither is changed.
    """
    a = augmentation
    crop = np.zeros((crop_size, crop_size, 3), np.uint8)
    labels = np.full((crop_size, crop_size), -1, np.int32)
    # Only the resized picture's own part of the crop is computed: the rest is padding.
    size = min(a.width, crop_size), min(a.height, crop_size)
    warped = _warp(mask.astype(np.int16), a, size, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT)
    inside = warped != _OUTSIDE
    # Replicated, then cut by the mask's own outline: a constant border would fade into the
    # picture's rim, and image and mask would end at different pixels.
    pixels = _warp(_shrink(image, a), a, size, cv2.INTER_LINEAR, cv2.BORDER_REPLICATE)
    region = slice(size[1]), slice(size[0])
    cv2.copyTo(pixels, inside.view(np.uint8), crop[region])
    np.copyto(labels[region], warped, where=inside)
    return _blur(crop, a.blur), labels


def random_transform(
    image: np.ndarray,
    mask: np.ndarray,
    generator: np.random.Generator,
    base_size: int = 520,
    crop_size: int = 480,
) -> tuple[np.ndarray, np.ndarray]:
    """``draw`` and ``apply``: the training transform of one sample, shapes and types as there."""
    augmentation = draw(generator, image.shape[:2], base_size, crop_size)
    return apply(augmentation, image, mask, crop_size)


def matrix(augmentation: Augmentation, size: tuple[int, ...]) -> np.ndarray:
    """The 2x3 map from a pixel index (x, y) of the crop to one of a picture of ``size``, float64.

    Worked out where pixel ``i`` covers [i, i+1), so that sizes scale and mirrors fall into place;
    the halves at both ends turn that into OpenCV's indices, which are pixel centres.
    """
    a, (height, width) = augmentation, size
    sine, cosine = math.sin(math.radians(a.angle)), math.cos(math.radians(a.angle))
    to_centre = _shift(a.left + 0.5 - a.width / 2, a.top + 0.5 - a.height / 2)
    turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    scale = np.diag([width / a.width * (-1 if a.mirror else 1), height / a.height, 1])
    return (_shift(width / 2 - 0.5, height / 2 - 0.5) @ scale @ turn @ to_centre)[:2]


def _warp(
    array: np.ndarray, augmentation: Augmentation, size: tuple[int, int], sampling: int, border: int
) -> np.ndarray:
    return cv2.warpAffine(
        array,
        matrix(augmentation, array.shape[:2]),
        size,
        flags=sampling | cv2.WARP_INVERSE_MAP,
        borderMode=border,
        borderValue=_OUTSIDE,
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


def _blur(image: np.ndarray, deviation: float) -> np.ndarray:
    # OpenCV takes a deviation of 0 as "choose one".
    if deviation == 0:
        return image
    size = 2 * math.ceil(3 * deviation) + 1
    return cv2.GaussianBlur(image, (size, size), deviation)


def _scaled(size: tuple[int, ...], long: int) -> tuple[int, int]:
    height, width = size
    short = max(int(min(size) * long / max(size) + 0.5), 1)
    return (long, short) if height > width else (short, long)


def _integer(uniform: float, first: int, last: int) -> int:
    return first + int(uniform * (last - first + 1))


def _shift(x: float, y: float) -> np.ndarray:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]])
