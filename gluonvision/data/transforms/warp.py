"""Cut the crop of a training sample: image bilinear, labels nearest, each by its own affine map.

``warp.c`` does it in one pass if it is compiled (setup.py compiles it if there is a compiler) and
the processor has AVX2; otherwise OpenCV does it in several steps. With ``warp.c``, and with OpenCV
versions that have Intel's fast routines (4.11 and 4.12, x86), pixels are accurate to half a
grey level; with other versions, positions are accurate to 1/32 of a pixel.
"""

import ctypes
import importlib.util
from collections.abc import Callable

import cv2
import numpy as np

_VERSION = 1  # warp.c's
_MAX_SIDE, _MAX_POSITION = 16384, 32767  # positions have 16 integer bits, with a sign
_MAX_STRIDE = 0x1FFFF  # offsets have 31 bits
_OUTSIDE = -2
_NEAREST = cv2.INTER_NEAREST, cv2.BORDER_CONSTANT
# Replicate the border, then blacken the pixels outside the mask: a constant border would blend into
# the image's edge, and image and mask would end at different pixels.
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
    """Cut the crop of an image and its mask.

    The crop is black, and its label -1, beyond its first ``size`` pixels and where ``to_mask``
    leads out of the mask.

    Args:
        image: uint8 (H, W, 3).
        to_image: map from a pixel index (x, y) of the crop to one of the image, float64 (2, 3).
        mask: int8, int16 or int32 (H, W), labels -1 to 32767.
        to_mask: map from a pixel index (x, y) of the crop to one of the mask, float64 (2, 3).
        size: (width, height) of the part of the crop that the image covers.
        crop_size: side of the crop, in pixels.
        change: function of the colours of that part, uint8 (height, width, 3) in and out.

    Returns:
        The pixels, uint8 (crop_size, crop_size, 3), and labels, int32 (crop_size, crop_size).

    Raises:
        ValueError: an array has another type or shape.
    """
    _check(image, mask)
    image, mask = _by_rows(image), _by_rows(_short(mask))
    fits = _fits(image, to_image, size) and _fits(mask, to_mask, size)
    cut_crop = _cut_compiled if _compiled and fits else _cut_opencv
    return cut_crop(image, to_image, mask, to_mask, size, crop_size, change)


def nearest(mask: np.ndarray, to_mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the labels nearest to ``size`` (width, height) pixels, int8 or int16; -2 outside."""
    mask = _short(mask)
    if mask.dtype == np.int16:
        return _warp(mask, to_mask, size, *_NEAREST, _OUTSIDE)
    # OpenCV has no fast routines for signed bytes.
    return _warp(mask.view(np.uint8), to_mask, size, *_NEAREST, _OUTSIDE % 256).view(np.int8)


def is_compiled() -> bool:
    """Return whether warp.c cuts the crops here; OpenCV's differ by about one grey level."""
    return _compiled is not None


def _check(image: np.ndarray, mask: np.ndarray) -> None:
    if image.dtype != np.uint8 or image.shape[2:] != (3,) or mask.ndim != 2:
        raise ValueError(
            f"got an image of {image.dtype} {image.shape} and a mask {mask.shape}: expected uint8 "
            "(H, W, 3) and (H, W), as read_image and read_mask return them"
        )


def _short(mask: np.ndarray) -> np.ndarray:
    return mask if mask.dtype == np.int8 else mask.astype(np.int16, copy=False)


def _by_rows(array: np.ndarray) -> np.ndarray:
    """Return an array in which each row is contiguous; a copy only if that is needed."""
    row, stride = array[:1], array.strides[0]
    in_rows = row.flags.c_contiguous and row.nbytes <= stride <= _MAX_STRIDE
    return array if in_rows else np.ascontiguousarray(array)


def _fits(source: np.ndarray, to_source: np.ndarray, size: tuple[int, int]) -> bool:
    """Return whether warp.c can represent all positions, and each pixel has a neighbour."""
    (height, width), (across, down) = source.shape[:2], size
    return 2 <= min(height, width) <= max(height, width) <= _MAX_SIDE and all(
        abs(x) * across + abs(y) * down + abs(offset) < _MAX_POSITION
        for x, y, offset in to_source.tolist()
    )


def _cut_compiled(
    image: np.ndarray,
    to_image: np.ndarray,
    mask: np.ndarray,
    to_mask: np.ndarray,
    size: tuple[int, int],
    crop_size: int,
    change: Change | None,
) -> tuple[np.ndarray, np.ndarray]:
    library = _compiled
    assert library is not None  # the caller has checked it
    pixels = np.empty((crop_size, crop_size, 3), np.uint8)
    labels = np.empty((crop_size, crop_size), np.int32)
    (width, height), to_image, to_mask = size, _doubles(to_image), _doubles(to_mask)

    def run(image_address: int | None, labels_address: int | None) -> None:
        library.cut(
            *(image_address, image.strides[0], *image.shape[:2], to_image.ctypes.data),
            *(mask.ctypes.data, mask.strides[0], *mask.shape, mask.itemsize, to_mask.ctypes.data),
            *(height, width, crop_size, pixels.ctypes.data, labels_address),
        )

    run(image.ctypes.data, labels.ctypes.data)
    if change:
        pixels[:height, :width] = change(pixels[:height, :width])
        run(None, None)  # blacken the pixels outside again
    return pixels, labels


def _doubles(matrix: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(matrix, np.float64)


def _cut_opencv(
    image: np.ndarray,
    to_image: np.ndarray,
    mask: np.ndarray,
    to_mask: np.ndarray,
    size: tuple[int, int],
    crop_size: int,
    change: Change | None,
) -> tuple[np.ndarray, np.ndarray]:
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
    source: np.ndarray,
    to_source: np.ndarray,
    size: tuple[int, int],
    sampling: int,
    border: int,
    outside: int = 0,
    dst: np.ndarray | None = None,
) -> np.ndarray:
    # Intel's routines, in OpenCV versions that have them, are accurate to half a grey level and
    # take half the time. "Not exact" means that they differ from OpenCV's own, which round each
    # position to 1/32 of a pixel. The setting applies to this thread only.
    before = cv2.ipp.useIPP_NotExact()
    cv2.ipp.setUseIPP_NotExact(True)
    try:
        return cv2.warpAffine(
            source,
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
    """Load the compiled warp.c; None if it is not compiled or the processor lacks AVX2."""
    spec = importlib.util.find_spec("gluonvision.data.transforms._warp")
    try:
        library = ctypes.CDLL(spec.origin) if spec and spec.origin else None
    except OSError:  # compiled for another system
        return None
    if library is None or library.supported() != _VERSION:
        return None
    address, number, stride = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
    library.cut.argtypes = (
        *(address, stride, number, number, address),
        *(address, stride, number, number, number, address),
        *(number, number, number, address, address),
    )
    library.cut.restype = None
    return library


_compiled = _load()
