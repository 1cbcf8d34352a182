"""Images and masks from files: every way to be wrong is an error that names file and mend."""

import os
import stat
from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
from PIL import Image, ImageFile, ImageOps

from gluonvision.data.files.decoding import decode_jpeg, decode_png, has_end
from gluonvision.data.files.matfile import read_sbd_mask
from gluonvision.data.meta import Meta, get_meta

IGNORED = -1
ORIENTATION = 0x0112  # EXIF's tag
LOSSY = ("JPEG", "MPO")  # formats whose pixels are not those that were saved
MASK_MODES = ("P", "L", "1", "I", "I;16", "I;16B")
NO_END = "it is truncated, and something else fills its end"
_DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "F")


def read_image(path: str | os.PathLike, deep: bool = False) -> np.ndarray:
    """A picture as uint8 (H, W, 3), RGB, turned upright by its EXIF orientation.

    Other kinds of picture become RGB as ``picture_pixels`` says. Raises FileNotFoundError, or
    ValueError for a file that is empty, truncated, no picture, too large to be read whole, or of
    more than 8 bits a channel in grey, unless ``deep``.
    """
    content = _content(path)
    pixels = decode_jpeg(content)
    if pixels is not None:
        return pixels
    picture = _read(path, upright)
    if content.startswith(b"\xff\xd8") and not has_end(content):
        raise ValueError(_unreadable(path, NO_END))
    try:
        return picture_pixels(picture, deep)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def upright(picture: Image.Image) -> Image.Image:
    """A Pillow image turned upright by its EXIF orientation; as it is where that is damaged."""
    picture.load()
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # what Pillow's decoders raise for damaged EXIF data: anything
        return picture


def orientation(picture: Image.Image) -> int:
    """The EXIF orientation of a Pillow image; 1, upright, also where it is damaged."""
    picture.load()
    try:
        return picture.getexif().get(ORIENTATION, 1)
    except Exception:
        return 1


def picture_pixels(picture: Image.Image, deep: bool = False) -> np.ndarray:
    """A Pillow image as uint8 (H, W, 3), RGB, turned upright by its EXIF orientation.

    Palettes, grey and CMYK are converted as Pillow does, without colour profiles; what is
    transparent is laid on white. ``deep``: of grey with 16 bits take the upper eight.

    Raises ValueError for grey of more than 8 bits, where it is not ``deep``, and in any case for
    floats, 32 bits, and 16 of which the upper four are empty: numbers whose white nobody knows.
    """
    picture = upright(picture)
    if picture.mode in _DEEP_MODES:
        picture = Image.fromarray(_upper_half(np.asarray(picture), picture.mode, deep))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return np.array(picture.convert("RGB"))


def _upper_half(values: np.ndarray, mode: str, deep: bool) -> np.ndarray:
    least, most = values.min(), values.max()
    if not deep or mode == "F" or least < 0 or most > 0xFFFF or 0 < most < 0x1000:
        raise ValueError(
            f"a grey picture of more than 8 bits (Pillow mode {mode}, values {least:g} to "
            f"{most:g}); scale it to 0-255 once, by the range that its sensor has, and save that"
        )
    return np.rint(values / 257).astype(np.uint8)


def read_mask(path: str | os.PathLike, dataset: str | Meta) -> np.ndarray:
    """A mask file of a data set (a name, or facts, of ``data.meta``) as int32 (H, W), -1 ignored.

    Palette files are read as indices, grey ones (8 or 16 bits) as values, SBD's ``.mat`` files as
    their ``GTcls.Segmentation``; where the facts say 'colours', each pixel is looked up in the
    palette. Raises FileNotFoundError, or ValueError for a file that is truncated, of the other
    kind, or holds a label or a colour that the data set does not have.
    """
    return read_labels(path, get_meta(dataset)).astype(np.int32, copy=False)


def read_labels(path: str | os.PathLike, meta: Meta) -> np.ndarray:
    """What ``read_mask`` reads, as int8 or int16 from 8-bit files: less to go through."""
    if meta.masks == "colours":
        pixels = _read(path, lambda picture: _to_rgb(upright(picture)))
        return _classes_of_colours(pixels, path, meta)
    values = _indices(path)
    return _check_labels(_labels(values, meta), values, path, meta)


def _labels(values: np.ndarray, meta: Meta) -> np.ndarray:
    if values.dtype != np.uint8:
        return _classes(values, meta)
    return values.view(np.int8) if _are_labels(meta) else cv2.LUT(values, _table(meta))


@lru_cache(maxsize=32)
def _are_labels(meta: Meta) -> bool:
    """Whether the bytes of its 8-bit files are the labels, as signed numbers: 255 is -1, ignored.

    What means nothing must be no label as a signed number either.
    """
    signed = np.arange(256, dtype=np.uint8).view(np.int8)
    first, second = (
        np.where((labels >= IGNORED) & (labels < meta.num_class), labels, IGNORED - 1)
        for labels in (signed, _table(meta))
    )
    return np.array_equal(first, second)


def _indices(path: str | os.PathLike) -> np.ndarray:
    if str(path).endswith(".mat"):
        return read_sbd_mask(path)
    values = decode_png(_content(path))
    return _pillow_indices(path) if values is None else values


def _pillow_indices(path: str | os.PathLike) -> np.ndarray:
    problem, picture = _read(path, lambda picture: (_mask_problem(picture), upright(picture)))
    if problem:
        raise ValueError(f"{path}: {problem}")
    return np.asarray(picture)


def _mask_problem(picture: ImageFile.ImageFile) -> str:
    """Why a picture that was just opened holds no class numbers, '' where it does."""
    if picture.format in LOSSY:
        return (
            "a mask cannot be a JPEG, whose compression invents values along every edge; export it "
            "again from its source, as PNG"
        )
    if picture.mode not in MASK_MODES:
        held = "fractions" if picture.mode == "F" else "colours"
        return (
            f"a mask must hold class numbers (palette or grey), this file holds {held} (Pillow "
            f"mode {picture.mode}); use the original palette file, saved without "
            ".convert('RGB'), or the data set 'folder' with mask_format='colours' and a palette "
            "(in its dataset.json)"
        )
    return packed(picture)


def packed(picture: ImageFile.ImageFile) -> str:
    """What is wrong with grey of 2 or 4 bits, '' for others; to be asked before it is loaded.

    Every reader stretches it to 0-255: whether 17 was meant, or 1, the file does not say.
    """
    stored = picture.tile[0][3] if picture.tile else ""
    stored = stored[0] if isinstance(stored, tuple) else stored
    if not str(stored).startswith(("L;2", "L;4")):
        return ""
    return (
        "its grey has less than 8 bits, which readers stretch to 0-255 (with 4 bits 1 becomes 17); "
        "save it with 8 bits a pixel, or with a palette"
    )


def _classes(values: np.ndarray, meta: Meta) -> np.ndarray:
    """The class of each value, or a number out of range where it has none."""
    labels = values.astype(np.int32) - np.int32(meta.label_offset)
    np.copyto(labels, IGNORED, where=values == meta.ignored_value)
    for value, label in meta.values:
        np.copyto(labels, label, where=values == value)
    return labels


@lru_cache(maxsize=32)
def _table(meta: Meta) -> np.ndarray:
    # One look-up a pixel, however many values the facts list.
    return _classes(np.arange(256), meta).astype(np.int16)


def _to_rgb(picture: Image.Image) -> np.ndarray:
    if picture.mode in ("RGBA", "LA", "PA"):
        alpha = np.asarray(picture.getchannel("A"))
        if alpha.min() < 255:
            raise ValueError("parts of it are transparent; save it without an alpha channel")
    elif picture.mode in _DEEP_MODES:
        raise ValueError(f"it holds numbers (Pillow mode {picture.mode}), colours were expected")
    return np.asarray(picture.convert("RGB"))


def _classes_of_colours(pixels: np.ndarray, path: str | os.PathLike, meta: Meta) -> np.ndarray:
    codes = _codes(pixels)
    known, labels = _colour_table(meta)
    place = np.searchsorted(known, codes).clip(max=len(known) - 1)
    wrong = known[place] != codes
    if wrong.any():
        raise ValueError(_unknown_colour(pixels, wrong, path, meta))
    return labels[place]


def _codes(pixels: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis(pixels.astype(np.int32), -1, 0)
    return red << 16 | green << 8 | blue


@lru_cache(maxsize=32)
def _colour_table(meta: Meta) -> tuple[np.ndarray, np.ndarray]:
    """The palette's colours as sorted numbers, and their classes; a class goes before "ignored"."""
    codes = _codes(np.array([*meta.palette, meta.ignored_colour], np.uint8))
    known, first = np.unique(codes, return_index=True)
    if len(np.unique(codes[:-1])) < meta.num_class:
        raise ValueError(
            f"{meta.name}: two classes share a colour, so masks of colours cannot be read; give "
            "each class its own in the palette"
        )
    return known, np.where(first < meta.num_class, first, IGNORED).astype(np.int32)


def _unknown_colour(pixels: np.ndarray, wrong: np.ndarray, path, meta: Meta) -> str:
    row, column = np.argwhere(wrong)[0]
    colour = tuple(int(channel) for channel in pixels[row, column])
    same = int((pixels == pixels[row, column]).all(-1).sum())
    others = len(np.unique(_codes(pixels[wrong]))) - 1
    return (
        f"{path}: colour {colour} at row {row}, column {column} ({same} pixels, and {others} "
        f"further unknown colours) is not in the palette of {meta.name}; add it to the palette, or "
        "say that it means not labelled (ignored_colour in dataset.json), or export the mask "
        "again as PNG without smoothing (JPEG changes colours)"
    )


def _content(path: str | os.PathLike) -> bytes:
    """The file's bytes; none where it cannot be read, which Pillow puts into words."""
    try:
        _check_regular(path)
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def _check_regular(path: str | os.PathLike) -> None:
    # Opening a pipe would wait for its writer for ever, and a device may have no end.
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError("it is a folder" if os.path.isdir(path) else "it is a pipe or a device")


def _read(path: str | os.PathLike, convert: Callable):
    try:
        _check_regular(path)
        with Image.open(path) as picture:
            return convert(picture)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path}: no such file; check the name, or unpack the archive again if it is a data "
            "set's list that names it"
        ) from None
    except Image.DecompressionBombError as error:
        raise ValueError(
            f"{path}: has more pixels than are read at once ({error}); if you know where it comes "
            "from, segment it by parts: demo --large"
        ) from error
    # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error ... for a broken file.
    except Exception as error:
        raise ValueError(_unreadable(path, _what(path, error))) from error


def _unreadable(path: str | os.PathLike, why: str) -> str:
    return f"{path}: cannot be read as a picture ({why}); fetch or save it again, or leave it out"


def _what(path: str | os.PathLike, error: Exception) -> str:
    """What is wrong with a file that Pillow refuses."""
    if not os.path.isfile(path) or getattr(error, "errno", None):
        return getattr(error, "strerror", None) or str(error)
    if os.path.getsize(path) == 0:
        return "it is truncated to nothing, 0 bytes"
    if isinstance(error, Image.UnidentifiedImageError):
        return "it is truncated, no picture, or of a kind that Pillow does not know"
    return f"{error}; it is truncated, or something else"


def _check_labels(labels: np.ndarray, values: np.ndarray, path, meta: Meta) -> np.ndarray:
    if meta.refuse_binary:
        _refuse_binary(values, path, meta)
    if labels.min() >= IGNORED and labels.max() < meta.num_class:
        return labels
    wrong = (labels < IGNORED) | (labels >= meta.num_class)
    row, column = np.argwhere(wrong)[0]
    first, last = meta.label_offset, meta.label_offset + meta.num_class - 1
    raise ValueError(
        f"{path}: label {values[row, column]} at row {row}, column {column} ({wrong.sum()} such "
        f"pixels); {meta.name} has {first} to {last}, and {meta.ignored_value} for ignored: map "
        "the values to class numbers, or choose the data set that they belong to (a folder's "
        "classes are in its classes.txt)"
    )


def _refuse_binary(values: np.ndarray, path, meta: Meta) -> None:
    binary = (values == 0) | (values == 255)
    if binary.all() and (values == 255).any():
        raise ValueError(
            f"{path}: holds 0 and 255 alone, which reads as class 0 ({meta.classes[0]}) and "
            "ignored; if 255 is a class, say so with values={255: 1}; if it does mean ignored, "
            'with ignored_value=255 (in dataset.json {"values": {"255": 1}} or '
            '{"ignored_value": 255})'
        )
