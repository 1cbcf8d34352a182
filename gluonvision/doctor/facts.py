"""Read the properties of one image and its mask, without accepting or rejecting anything."""

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile

from gluonvision.data.files.decoding import has_end
from gluonvision.data.files.matfile import read_sbd_mask
from gluonvision.data.files.reading import LOSSY, MASK_MODES, NO_END, orientation, packed
from gluonvision.data.meta import Meta

# EXIF orientations that swap width and height.
TRANSPOSING = (5, 6, 7, 8)
# ``MaskFacts.mode`` of masks that are not image files.
LABELS = "labels"
_MID_GREY = 128
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif", ".webp")


@dataclass(frozen=True, slots=True)
class Pair:
    """The files of an image and its mask.

    Attributes:
        split: the split's name.
        image: the image file.
        mask: the mask file, or None.
        read_labels: reads a mask that has no file of its own (COCO's) as class ids (H, W), -1 for
            unlabelled.
    """

    split: str
    image: Path
    mask: Path | None = None
    read_labels: Callable[[], np.ndarray] | None = field(default=None, repr=False, compare=False)

    @property
    def has_mask(self) -> bool:
        """Whether the image has a mask, in a file or elsewhere."""
        return self.mask is not None or self.read_labels is not None


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """The properties of one image file.

    Attributes:
        size: (width, height) after the EXIF orientation is applied.
        mode: Pillow's mode.
        format: Pillow's format.
        orientation: the EXIF orientation, 1 to 8.
        transparent: whether the image has transparency.
        digest: hash of the pixels; equal for images that are equal pixel for pixel.
        filled_rows: number of mid-grey rows at the end of a JPEG, as decoders insert for missing
            data.
        missing: the file does not exist.
        error: the reason why the file cannot be read, or ''.
    """

    size: tuple[int, int] = (0, 0)
    mode: str = ""
    format: str = ""
    orientation: int = 1
    transparent: bool = False
    digest: bytes = b""
    filled_rows: int = 0
    missing: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class MaskFacts:
    """The properties of one mask file.

    Attributes:
        size: (width, height) after the EXIF orientation is applied.
        mode: Pillow's mode, or ``LABELS`` if the mask is not an image file.
        format: Pillow's format, or the kind of file.
        values: int64 (n,), the distinct values in ascending order: numbers, or 0xRRGGBB for a data
            set with colour masks. None if the file has colours instead of numbers, or the reverse.
        counts: int64 (n,), the number of pixels with each value.
        colours: uint8 (n, 3), the palette's colour of each value; None without a palette.
        missing: the file does not exist.
        error: the reason why the file cannot be read, or ''.
    """

    size: tuple[int, int] = (0, 0)
    mode: str = ""
    format: str = ""
    values: np.ndarray | None = None
    counts: np.ndarray | None = None
    colours: np.ndarray | None = None
    missing: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """The properties of a pair; ``mask`` is None if the pair has no mask."""

    pair: Pair
    image: ImageFacts
    mask: MaskFacts | None


def read_sample(pair: Pair, meta: Meta) -> Sample:
    """Read the properties of both files; an unreadable file is recorded and raises nothing."""
    return Sample(pair, read_image(pair.image), read_mask(pair, meta) if pair.has_mask else None)


def read_image(path: Path) -> ImageFacts:
    """Read the properties of an image; decodes every pixel."""
    try:
        with open_image(path) as image:
            image.load()
            if image.format in LOSSY and not has_end(path.read_bytes()):
                return ImageFacts(error=NO_END)
            return _image_facts(image)
    except FileNotFoundError:
        return ImageFacts(missing=True)
    # Decoders raise all kinds of exceptions for a broken file.
    except Exception as error:
        return ImageFacts(error=_one_line(error))


def read_mask(pair: Pair, meta: Meta) -> MaskFacts:
    """Read the properties of a mask; labels without a file become the values a file would have."""
    try:
        if _is_image_file(pair):
            return _image_mask_facts(pair.mask, meta)
        return _label_mask_facts(pair, meta)
    except FileNotFoundError:
        return MaskFacts(missing=True)
    except Exception as error:
        return MaskFacts(error=_one_line(error))


def mask_values(pair: Pair, meta: Meta) -> np.ndarray:
    """Read the value of each pixel of a mask: int64 (H, W), as in ``MaskFacts.values``.

    Raises any exception of the decoder.
    """
    if not _is_image_file(pair):
        return _label_values(pair, meta)
    with open_image(pair.mask) as image:
        values = _pixel_values(image, meta)
    if values is None:
        raise ValueError(f"mode {image.mode}")
    return values


def _is_image_file(pair: Pair) -> bool:
    return pair.mask is not None and pair.mask.suffix.lower() in IMAGE_SUFFIXES


def open_image(path: str | os.PathLike | None) -> ImageFile.ImageFile:
    """Open an image without decoding it. Raises ValueError for a folder, a pipe or a device."""
    # Opening a pipe would wait for its writer forever.
    if path is None or not stat.S_ISREG(os.stat(path).st_mode):
        raise ValueError("not a regular file")
    return Image.open(path)


def _image_facts(image: Image.Image) -> ImageFacts:
    turn = orientation(image)
    # Hash the size too: 2x8 and 4x4 black pixels are different images.
    digest = hashlib.blake2b(f"{image.size}{image.mode}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(image).data)
    return ImageFacts(
        size=_upright_size(image.size, turn),
        mode=image.mode,
        format=image.format or "",
        orientation=turn,
        transparent=image.has_transparency_data,
        digest=digest.digest(),
        filled_rows=_filled_rows(image) if image.format in LOSSY else 0,
    )


def _filled_rows(image: Image.Image) -> int:
    # A JPEG block without data has no amplitudes, which decodes to the middle of the range.
    pixels = np.asarray(image).reshape(image.height, -1)
    if (pixels[-1] != _MID_GREY).any():
        return 0
    other_rows = np.flatnonzero((pixels != _MID_GREY).any(axis=1))
    return image.height - (int(other_rows[-1]) + 1 if other_rows.size else 0)


def _image_mask_facts(path: Path | None, meta: Meta) -> MaskFacts:
    with open_image(path) as image:
        if meta.masks == "indices" and (problem := packed(image)):
            return MaskFacts(error=problem)
        size = _upright_size(image.size, orientation(image))
        mask = MaskFacts(size, image.mode, image.format or "")
        histogram = _histogram(image, meta)
        if histogram is None:
            return mask
        values, counts = histogram
        return replace(mask, values=values, counts=counts, colours=_colours(image, values))


def _label_mask_facts(pair: Pair, meta: Meta) -> MaskFacts:
    pixels = _label_values(pair, meta)
    values, counts = np.unique(pixels, return_counts=True)
    kind = pair.mask.suffix.lstrip(".").upper() if pair.mask is not None else "annotation"
    return MaskFacts((pixels.shape[1], pixels.shape[0]), LABELS, kind, values, counts)


def _label_values(pair: Pair, meta: Meta) -> np.ndarray:
    if pair.mask is not None and pair.mask.suffix == ".mat":
        return read_sbd_mask(pair.mask).astype(np.int64)
    if pair.read_labels is None:
        raise ValueError("neither an image nor a .mat file")
    labels = np.asarray(pair.read_labels(), np.int64)
    return np.where(labels < 0, meta.ignored_value, labels + meta.label_offset)


def _histogram(image: Image.Image, meta: Meta) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the distinct values and their counts; None as for ``_pixel_values``."""
    if image.mode in ("L", "P") and meta.masks == "indices":
        counts = np.array(image.histogram())
        return np.flatnonzero(counts), counts[counts > 0]
    values = _pixel_values(image, meta)
    return None if values is None else np.unique(values, return_counts=True)


def _pixel_values(image: Image.Image, meta: Meta) -> np.ndarray | None:
    """Return int64 values (H, W); None if the mode does not fit the data set's masks."""
    if meta.masks == "indices":
        return np.asarray(image).astype(np.int64) if image.mode in MASK_MODES else None
    if image.mode in ("I", "I;16", "I;16B", "F"):
        return None
    red, green, blue = np.moveaxis(np.asarray(image.convert("RGB")).astype(np.int64), -1, 0)
    return red << 16 | green << 8 | blue


def _colours(image: Image.Image, values: np.ndarray) -> np.ndarray | None:
    if image.mode != "P" or values[-1] > 255:
        return None
    palette = np.zeros((256, 3), np.uint8)
    stored = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    palette[: len(stored)] = stored
    return palette[values]


def _upright_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    return (size[1], size[0]) if orientation in TRANSPOSING else size


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
