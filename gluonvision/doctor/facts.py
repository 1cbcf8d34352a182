"""What one image and its mask are, read raw: nothing is refused here, and nothing is judged."""

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile

from gluonvision.data.files.decoding import has_end
from gluonvision.data.files.matfile import read_sbd_mask
from gluonvision.data.files.reading import LOSSY, MASK_MODES, NO_END, orientation, packed
from gluonvision.data.meta import Meta

# The mode of masks that are no pictures.
LABELS = "labels"
_MIDDLE = 128
_TURNED = (5, 6, 7, 8)  # EXIF orientations that swap width and height
_MASK_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif", ".webp")


@dataclass(frozen=True, slots=True)
class Pair:
    """An image and its mask, by place in the data set.

    ``read_labels`` reads a mask that is in no file of its own (COCO's) as labels, -1 unlabelled.
    """

    split: str
    image: Path
    mask: Path | None = None
    read_labels: Callable[[], np.ndarray] | None = field(default=None, repr=False, compare=False)

    @property
    def has_mask(self) -> bool:
        """Whether there is a mask to read, as a file or otherwise."""
        return self.mask is not None or self.read_labels is not None


@dataclass(frozen=True, slots=True)
class Photo:
    """One image's facts. ``size`` is (width, height), upright; ``digest`` is of the pixels.

    ``filled_rows``: rows at a JPEG's end, as stored, that are what decoders put in for lost data.
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
class Mask:
    """One mask's facts: the ``values`` in it (int64, rising), each in ``counts`` (int64) pixels.

    Values are numbers, or, for a data set whose masks hold colours, 0xRRGGBB; None where the file
    has the wrong one of the two. ``colours``, uint8 (len(values), 3): what a palette shows them in.
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
    """What was read of a pair; ``mask`` is None where the pair has none."""

    pair: Pair
    image: Photo
    mask: Mask | None


def read_sample(pair: Pair, meta: Meta) -> Sample:
    """Both files' facts; a file that cannot be read is a fact, never an exception."""
    return Sample(pair, read_image(pair.image), read_mask(pair, meta) if pair.has_mask else None)


def read_image(path: Path) -> Photo:
    """An image's facts, every pixel decoded."""
    try:
        with open_picture(path) as picture:
            picture.load()
            if picture.format in LOSSY and not has_end(path.read_bytes()):
                return Photo(error=NO_END)
            return _image_facts(picture)
    except FileNotFoundError:
        return Photo(missing=True)
    # A broken file raises whatever its decoder stumbles over.
    except Exception as error:
        return Photo(error=_words(error))


def read_mask(pair: Pair, meta: Meta) -> Mask:
    """A mask's facts: its values as the file has them, or as a file of ``meta`` would."""
    try:
        if _is_picture(pair):
            return _picture_mask(pair.mask, meta)
        return _other_mask(pair, meta)
    except FileNotFoundError:
        return Mask(missing=True)
    except Exception as error:
        return Mask(error=_words(error))


def mask_values(pair: Pair, meta: Meta) -> np.ndarray:
    """A mask's values (H, W), as ``Mask`` has them. Raises whatever reading it raises."""
    if not _is_picture(pair):
        return _file_values(pair, meta)
    with open_picture(pair.mask) as picture:
        values = _pixel_values(picture, meta)
    if values is None:
        raise ValueError(f"mode {picture.mode}")
    return values


def _is_picture(pair: Pair) -> bool:
    return pair.mask is not None and pair.mask.suffix.lower() in _MASK_SUFFIXES


def open_picture(path) -> ImageFile.ImageFile:
    """A picture, opened and not loaded. Raises ValueError for a folder, a pipe or a device."""
    # Opening a pipe would wait for its writer for ever.
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise ValueError("not a regular file")
    return Image.open(path)


def _image_facts(picture: Image.Image) -> Photo:
    turn = orientation(picture)
    # The size goes in as well: 2x8 and 4x4 black pixels are not the same picture.
    digest = hashlib.blake2b(f"{picture.size}{picture.mode}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(picture).data)
    return Photo(
        size=_upright(picture.size, turn),
        mode=picture.mode,
        format=picture.format or "",
        orientation=turn,
        transparent=picture.has_transparency_data,
        digest=digest.digest(),
        filled_rows=_filled_rows(picture) if picture.format in LOSSY else 0,
    )


def _filled_rows(picture: Image.Image) -> int:
    # Without data a block has no amplitudes at all, which is the middle of the range.
    pixels = np.asarray(picture).reshape(picture.height, -1)
    if (pixels[-1] != _MIDDLE).any():
        return 0
    other = np.flatnonzero((pixels != _MIDDLE).any(axis=1))
    return picture.height - (int(other[-1]) + 1 if other.size else 0)


def _picture_mask(path, meta: Meta) -> Mask:
    with open_picture(path) as picture:
        if meta.masks == "indices" and (problem := packed(picture)):
            return Mask(error=problem)
        size = _upright(picture.size, orientation(picture))
        facts = size, picture.mode, picture.format or ""
        found = _value_counts(picture, meta)
        return Mask(*facts) if found is None else Mask(*facts, *found, _colours(picture, *found))


def _other_mask(pair: Pair, meta: Meta) -> Mask:
    values = _file_values(pair, meta)
    found, counts = np.unique(values, return_counts=True)
    kind = pair.mask.suffix.lstrip(".").upper() if pair.mask is not None else "annotation"
    return Mask((values.shape[1], values.shape[0]), LABELS, kind, found, counts)


def _file_values(pair: Pair, meta: Meta) -> np.ndarray:
    if pair.mask is not None and pair.mask.suffix == ".mat":
        return read_sbd_mask(pair.mask).astype(np.int64)
    if pair.read_labels is None:
        raise ValueError("is no picture and no .mat file")
    labels = np.asarray(pair.read_labels(), np.int64)
    return np.where(labels < 0, meta.ignored_value, labels + meta.label_offset)


def _value_counts(picture: Image.Image, meta: Meta) -> tuple[np.ndarray, np.ndarray] | None:
    if picture.mode in ("L", "P") and meta.masks == "indices":
        counts = np.array(picture.histogram())
        return np.flatnonzero(counts), counts[counts > 0]
    values = _pixel_values(picture, meta)
    return None if values is None else np.unique(values, return_counts=True)


def _pixel_values(picture: Image.Image, meta: Meta) -> np.ndarray | None:
    """Values as int64 (H, W), None where the file has no such."""
    numbers = picture.mode in MASK_MODES
    if meta.masks == "indices":
        return np.asarray(picture).astype(np.int64) if numbers else None
    if picture.mode in ("I", "I;16", "I;16B", "F"):
        return None
    red, green, blue = np.moveaxis(np.asarray(picture.convert("RGB")).astype(np.int64), -1, 0)
    return red << 16 | green << 8 | blue


def _colours(picture: Image.Image, values: np.ndarray, _) -> np.ndarray | None:
    if picture.mode != "P" or values[-1] > 255:
        return None
    palette = np.zeros((256, 3), np.uint8)
    stored = np.array(picture.getpalette("RGB"), np.uint8).reshape(-1, 3)
    palette[: len(stored)] = stored
    return palette[values]


def _upright(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    return (size[1], size[0]) if orientation in _TURNED else size


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
