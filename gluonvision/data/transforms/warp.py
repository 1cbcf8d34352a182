"""The crop of a training sample: image bilinear, labels nearest, each by its own affine map.

``warp.c`` does it in one pass where it was compiled (setup.py does, if there is a compiler) and the
processor has AVX2; else OpenCV does, in steps. A pixel is right to half a grey level by the first,
and by OpenCV where it has Intel's fast routines (4.11 and 4.12, x86), to 1/32 of a pixel elsewhere.
"""

import ctypes
import importlib.util
from collections.abc import Callable

import cv2
import numpy as np

_VERSION = 1  # warp.c's
_LONGEST_SIDE, _FARTHEST = 16384, 32767  # positions have 16 bits, with a sign, before the point
_LONGEST_STRIDE = 0x1FFFF  # offsets have 31
_OUTSIDE = -2
_NEAREST = cv2.INTER_NEAREST, cv2.BORDER_CONSTANT
# Replicated, then cut by the mask's own outline: a constant border would fade into the picture's
# rim, and image and mask would end at different pixels.
_BILINEAR = cv2.INTER_LINEAR, cv2.BORDER_REPLICATE

Change = Callable[[np.ndarray], np.ndarray]


def cut(
    image: np.ndarray,
    to_image: np.ndarray,
    mask: np.ndarray,
    to_mask: np.ndarray,
    size: tuple[int, int],
    crop_size: int,
    change: Change | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The crop of image and mask: pixels uint8 (crop, crop, 3), labels int32 (crop, crop).

    image: uint8 (H, W, 3); mask: int8, int16 or int32 (H, W), labels -1 to 32767. ``to_image`` and
    ``to_mask``: 2x3 float64, from a pixel index (x, y) of the crop to one there. Only the crop's
    first ``size`` (width, height) are of the picture, and ``change``d in their colours. Beyond
    them, and wherever the mask's map leads out of it, the crop is black and its label -1.

    Raises ValueError for arrays of another kind.
    """
    _check(image, mask)
    image, mask = _by_rows(image), _by_rows(_short(mask))
    fits = _fits(image, to_image, size) and _fits(mask, to_mask, size)
    way = _cut_compiled if _compiled and fits else _cut_opencv
    return way(image, to_image, mask, to_mask, size, crop_size, change)


def nearest(mask: np.ndarray, to_mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The labels nearest to each of ``size`` (width, height) pixels, int8 or int16; -2 outside."""
    mask = _short(mask)
    if mask.dtype == np.int16:
        return _warp(mask, to_mask, size, *_NEAREST, _OUTSIDE)
    # Signed bytes are nothing that OpenCV has fast routines for.
    return _warp(mask.view(np.uint8), to_mask, size, *_NEAREST, _OUTSIDE % 256).view(np.int8)


def is_compiled() -> bool:
    """Whether warp.c makes the crops here, or OpenCV, whose pixels differ by a grey level or so."""
    return _compiled is not None


def _check(image: np.ndarray, mask: np.ndarray) -> None:
    if image.dtype != np.uint8 or image.shape[2:] != (3,) or mask.ndim != 2:
        raise ValueError(
            f"an image of {image.dtype} {image.shape} and a mask {mask.shape}: expected uint8 "
            "(H, W, 3) and (H, W), as read_image and read_mask give them"
        )


def _short(mask: np.ndarray) -> np.ndarray:
    return mask if mask.dtype == np.int8 else mask.astype(np.int16, copy=False)


def _by_rows(picture: np.ndarray) -> np.ndarray:
    """The picture with each of its rows, though not the whole of it, in one piece."""
    row, stride = picture[:1], picture.strides[0]
    in_rows = row.flags.c_contiguous and row.nbytes <= stride <= _LONGEST_STRIDE
    return picture if in_rows else np.ascontiguousarray(picture)


def _fits(picture: np.ndarray, to_source: np.ndarray, size: tuple[int, int]) -> bool:
    """Whether warp.c has numbers for all positions, and a neighbour for each pixel."""
    (height, width), (across, down) = picture.shape[:2], size
    return 2 <= min(height, width) <= max(height, width) <= _LONGEST_SIDE and all(
        abs(x) * across + abs(y) * down + abs(offset) < _FARTHEST
        for x, y, offset in to_source.tolist()
    )


def _cut_compiled(image, to_image, mask, to_mask, size, crop_size, change):
    pixels = np.empty((crop_size, crop_size, 3), np.uint8)
    labels = np.empty((crop_size, crop_size), np.int32)
    (width, height), to_image, to_mask = size, _doubles(to_image), _doubles(to_mask)

    def run(image_at, labels_at):
        _compiled.cut(
            *(image_at, image.strides[0], *image.shape[:2], to_image.ctypes.data),
            *(mask.ctypes.data, mask.strides[0], *mask.shape, mask.itemsize, to_mask.ctypes.data),
            *(height, width, crop_size, pixels.ctypes.data, labels_at),
        )

    run(image.ctypes.data, labels.ctypes.data)
    if change:
        pixels[:height, :width] = change(pixels[:height, :width])
        run(None, None)  # what lies outside is black again
    return pixels, labels


def _doubles(matrix: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(matrix, np.float64)


def _cut_opencv(image, to_image, mask, to_mask, size, crop_size, change):
    labels = nearest(mask, to_mask, size)
    pixels = np.empty((crop_size, crop_size, 3), np.uint8)
    part = pixels[: size[1], : size[0]]
    _warp(image, to_image, size, *_BILINEAR, dst=part)
    if change:
        part[:] = change(part)
    _blacken(pixels, labels)
    return pixels, _padded(labels, crop_size)


def _blacken(pixels: np.ndarray, labels: np.ndarray) -> None:
    height, width = labels.shape
    pixels[:, width:] = 0
    pixels[height:, :width] = 0
    outside = (labels == _OUTSIDE).view(np.uint8)
    if cv2.hasNonZero(outside):
        part = pixels[:height, :width]
        cv2.copyTo(np.zeros_like(part), outside, part)


def _padded(labels: np.ndarray, crop_size: int) -> np.ndarray:
    height, width = labels.shape
    square = np.full((crop_size, crop_size), -1, labels.dtype)
    cv2.max(labels, -1, dst=square[:height, :width])
    return square.astype(np.int32)


def _warp(
    picture: np.ndarray,
    to_source: np.ndarray,
    size: tuple[int, int],
    sampling: int,
    border: int,
    outside: int = 0,
    dst: np.ndarray | None = None,
) -> np.ndarray:
    # Intel's routines, where OpenCV has them, are right to half a grey level and take half the
    # time: "not exact" means unlike OpenCV's own, which round each position to 1/32 of a pixel.
    # The setting is this thread's alone.
    before = cv2.ipp.useIPP_NotExact()
    cv2.ipp.setUseIPP_NotExact(True)
    try:
        return cv2.warpAffine(
            picture,
            to_source,
            size,
            dst=dst,
            flags=sampling | cv2.WARP_INVERSE_MAP,
            borderMode=border,
            borderValue=outside,
        )
    finally:
        cv2.ipp.setUseIPP_NotExact(before)


def _load() -> ctypes.CDLL | None:
    """What setup.py made of warp.c; None where it made nothing, or the processor lacks AVX2."""
    found = importlib.util.find_spec("gluonvision.data.transforms._warp")
    try:
        library = ctypes.CDLL(found.origin) if found and found.origin else None
    except OSError:  # of another system
        return None
    if library is None or library.supported() != _VERSION:
        return None
    where, number, stride = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
    library.cut.argtypes = (
        *(where, stride, number, number, where),
        *(where, stride, number, number, number, where),
        *(number, number, number, where, where),
    )
    library.cut.restype = None
    return library


_compiled = _load()
