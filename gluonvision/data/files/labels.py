"""Pixel values and colours of mask files to class labels."""

import os
from functools import lru_cache

import cv2
import numpy as np

from gluonvision.data.meta import IGNORED, Meta

_INVALID = IGNORED - 1


def labels_of_values(values: np.ndarray, path: str | os.PathLike, meta: Meta) -> np.ndarray:
    """Convert the values of a mask file to labels, -1 for ignored.

    Args:
        values: integers (H, W), as the file holds them.
        path: the file, for the messages of errors.
        meta: the data set.

    Returns:
        Labels (H, W): int8 or int16 for 8-bit files, int32 for others.

    Raises:
        ValueError: a value has no class.
    """
    if values.dtype != np.uint8:
        labels = _classes(values, meta)
    elif _bytes_are_labels(meta):
        labels = values.view(np.int8)
    else:
        labels = cv2.LUT(values, _value_table(meta))
    _check_labels(labels, values, path, meta)
    return labels


@lru_cache(maxsize=32)
def _bytes_are_labels(meta: Meta) -> bool:
    """Return whether 8-bit values are the labels if they are read as signed: 255 is -1, ignored.

    A value without a class must not be a label when it is signed either.
    """
    signed = np.arange(256, dtype=np.uint8).view(np.int8)
    first, second = (
        np.where((labels >= IGNORED) & (labels < meta.num_class), labels, _INVALID)
        for labels in (signed, _value_table(meta))
    )
    return np.array_equal(first, second)


def _classes(values: np.ndarray, meta: Meta) -> np.ndarray:
    """Return the class of each value; a number out of range for a value without a class."""
    labels = values.astype(np.int32) - np.int32(meta.label_offset)
    np.copyto(labels, IGNORED, where=values == meta.ignored_value)
    for value, label in meta.values:
        np.copyto(labels, label, where=values == value)
    return labels


@lru_cache(maxsize=32)
def _value_table(meta: Meta) -> np.ndarray:
    # One look-up per pixel, whatever the number of ``meta.values``.
    return _classes(np.arange(256), meta).astype(np.int16)


def _check_labels(
    labels: np.ndarray, values: np.ndarray, path: str | os.PathLike, meta: Meta
) -> None:
    if meta.refuse_binary:
        _check_not_binary(values, path, meta)
    if labels.min() >= IGNORED and labels.max() < meta.num_class:
        return
    wrong = (labels < IGNORED) | (labels >= meta.num_class)
    row, column = np.argwhere(wrong)[0]
    first, last = meta.label_offset, meta.label_offset + meta.num_class - 1
    raise ValueError(
        f"{path}: label {values[row, column]} at row {row}, column {column} ({wrong.sum()} such "
        f"pixels); {meta.name} has {first} to {last}, and {meta.ignored_value} for ignored: map "
        "the values to class numbers, or choose the data set that this mask belongs to (for a "
        "folder, list its classes in classes.txt)"
    )


def _check_not_binary(values: np.ndarray, path: str | os.PathLike, meta: Meta) -> None:
    is_binary = (values == 0) | (values == 255)
    if is_binary.all() and (values == 255).any():
        raise ValueError(
            f"{path}: contains only 0 and 255, which would be class 0 ({meta.classes[0]}) and "
            "ignored; if 255 is a class, pass values={255: 1}; if it means ignored, pass "
            'ignored_value=255 (in dataset.json: {"values": {"255": 1}} or {"ignored_value": 255})'
        )


def labels_of_colours(pixels: np.ndarray, path: str | os.PathLike, meta: Meta) -> np.ndarray:
    """Convert the colours of a mask file to labels, int32 (H, W), -1 for ignored.

    Args:
        pixels: uint8 (H, W, 3), RGB.
        path: the file, for the messages of errors.
        meta: the data set.

    Raises:
        ValueError: a colour is not in the palette, or two classes share one.
    """
    codes = _codes(pixels)
    known, labels = _colour_table(meta)
    position = np.searchsorted(known, codes).clip(max=len(known) - 1)
    wrong = known[position] != codes
    if wrong.any():
        raise ValueError(_unknown_colour(pixels, wrong, path, meta))
    return labels[position]


def _codes(pixels: np.ndarray) -> np.ndarray:
    """Pack each colour into one integer, 0xRRGGBB."""
    red, green, blue = np.moveaxis(pixels.astype(np.int32), -1, 0)
    return red << 16 | green << 8 | blue


@lru_cache(maxsize=32)
def _colour_table(meta: Meta) -> tuple[np.ndarray, np.ndarray]:
    """Return the sorted codes of the palette and their classes.

    If the colour of a class is also that of ignored pixels, the class wins.
    """
    codes = _codes(np.array([*meta.palette, meta.ignored_colour], np.uint8))
    known, first = np.unique(codes, return_index=True)
    if len(np.unique(codes[:-1])) < meta.num_class:
        raise ValueError(
            f"{meta.name}: two classes share a colour, so masks of colours cannot be read; give "
            "each class its own colour in the palette"
        )
    return known, np.where(first < meta.num_class, first, IGNORED).astype(np.int32)


def _unknown_colour(
    pixels: np.ndarray, wrong: np.ndarray, path: str | os.PathLike, meta: Meta
) -> str:
    row, column = np.argwhere(wrong)[0]
    colour = tuple(int(channel) for channel in pixels[row, column])
    same = int((pixels == pixels[row, column]).all(-1).sum())
    others = len(np.unique(_codes(pixels[wrong]))) - 1
    return (
        f"{path}: colour {colour} at row {row}, column {column} ({same} pixels, and {others} "
        f"further unknown colours) is not in the palette of {meta.name}; add it to the palette, "
        "declare it as ignored (ignored_colour in dataset.json), or export the mask again as PNG "
        "without smoothing (JPEG changes colours)"
    )
