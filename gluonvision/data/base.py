"""The base of every segmentation data set: files in, checked NumPy samples out."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from gluonvision.data.augment import check_ratio, random_transform
from gluonvision.data.meta import get_meta

IGNORED = -1
MODES = ("train", "val", "testval", "test")
_MASK_MODES = ("P", "L", "1", "I", "I;16")


class SegmentationDataset:
    """Images with a class label for each pixel; a sub-class lists the files of one split.

    A sub-class sets ``NAME`` (its entry in ``data.meta``) and hands over its files. A sample is

    - mode 'train': (image, mask), augmented, ``crop_size`` square;
    - modes 'val' and 'testval': (image, mask), whole and untouched;
    - mode 'test': (image, file name).

    image: uint8, (H, W, 3), RGB, turned upright by its EXIF orientation. mask: int32, (H, W),
    ``-1`` ignored. ``transform``, if given, is applied to the image last.

    A training sample depends on ``seed``, the epoch and its index alone: ``dataset[index, epoch]``,
    or ``dataset[index]`` after ``set_epoch``. ``photometric`` distorts its colours, and
    ``cat_max_ratio`` below 1 moves its crop: see ``augment.random_transform``.

    Raises ValueError for a mode that does not exist, and for one that needs masks without masks.
    """

    NAME = ""

    def __init__(
        self,
        images: list[Path],
        masks: list[Path] | None,
        mode: str = "train",
        transform: Callable | None = None,
        base_size: int = 520,
        crop_size: int = 480,
        seed: int = 0,
        *,
        photometric: bool = False,
        cat_max_ratio: float = 1.0,
    ):
        _check_mode(mode, has_masks=masks is not None)
        self.images, self.masks = images, masks or []
        self.mode, self.transform = mode, transform
        self.base_size, self.crop_size = base_size, crop_size
        self.seed, self.epoch = seed, 0
        self.photometric, self.cat_max_ratio = photometric, check_ratio(cat_max_ratio)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, by label."""
        return get_meta(self.NAME).classes

    @property
    def num_class(self) -> int:
        """Number of classes."""
        return len(self.classes)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose augmentation ``self[index]`` draws."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int | tuple[int, int]) -> tuple:
        """One sample, as the class says, by its index or (index, epoch); errors name the file."""
        index, epoch = index if isinstance(index, tuple) else (index, self.epoch)
        index = range(len(self))[index]
        if self.mode == "test":
            return self._finish(read_image(self.images[index])), self.images[index].name
        image, mask = self._read_pair(index)
        if self.mode == "train":
            image, mask = random_transform(
                image,
                mask,
                self._generator(index, epoch),
                self.base_size,
                self.crop_size,
                self.photometric,
                self.cat_max_ratio,
            )
        return self._finish(image), mask

    def _read_pair(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        image, mask = read_image(self.images[index]), self._read_mask(index)
        if image.shape[:2] != mask.shape:
            raise ValueError(
                f"{self.masks[index]}: the mask is {_size(mask)} and its image "
                f"{self.images[index]} is {_size(image)} (width x height); they must be equal: "
                "resize the mask with nearest-neighbour sampling, or export it again"
            )
        return image, mask

    def _read_mask(self, index: int) -> np.ndarray:
        return read_mask(self.masks[index], self.NAME)

    def _generator(self, index: int, epoch: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(epoch, index)))

    def _finish(self, image: np.ndarray) -> np.ndarray:
        return image if self.transform is None else self.transform(image)


def read_image(path: str | os.PathLike) -> np.ndarray:
    """A picture as uint8 (H, W, 3), RGB, turned upright by its EXIF orientation.

    Raises FileNotFoundError, or ValueError for a file that is truncated or no picture.
    """
    return np.array(_read(path, lambda picture: picture.convert("RGB")))


def read_mask(path: str | os.PathLike, dataset: str) -> np.ndarray:
    """A mask file of a data set (a name of ``data.meta``) as int32 (H, W), ``-1`` ignored.

    Palette files are read as indices, grey ones as values. Raises FileNotFoundError, or ValueError
    for a file that is truncated, in colour, or holds a label that the data set does not have.
    """
    meta = get_meta(dataset)
    picture = _read(path, lambda picture: picture)
    if picture.mode not in _MASK_MODES:
        raise ValueError(
            f"{path}: a mask must hold class numbers (palette or grey), this file holds colours "
            f"(Pillow mode {picture.mode}); use the original palette file, saved without "
            ".convert('RGB'), or turn each colour into its class number once and save that"
        )
    values = np.asarray(picture)
    labels = values.astype(np.int32) - np.int32(meta.label_offset)
    np.copyto(labels, IGNORED, where=values == meta.ignored_value)
    return _check_labels(labels, values, path, meta)


def _read(path: str | os.PathLike, convert: Callable) -> Image.Image:
    try:
        with Image.open(path) as picture:
            picture.load()
            return convert(ImageOps.exif_transpose(picture))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path}: no such file; the data set's list names it: unpack the archive again, or "
            "take the name off the list"
        ) from None
    # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error ... for a broken file.
    except Exception as error:
        raise ValueError(
            f"{path}: cannot be read as a picture ({error}); it is truncated, or something else: "
            "fetch it again, or take it off the data set's list"
        ) from error


def _check_labels(labels: np.ndarray, values: np.ndarray, path, meta) -> np.ndarray:
    if labels.min() >= IGNORED and labels.max() < meta.num_class:
        return labels
    wrong = (labels < IGNORED) | (labels >= meta.num_class)
    row, column = np.argwhere(wrong)[0]
    first, last = meta.label_offset, meta.label_offset + meta.num_class - 1
    raise ValueError(
        f"{path}: label {values[row, column]} at row {row}, column {column} ({wrong.sum()} such "
        f"pixels); {meta.name} has {first} to {last}, and {meta.ignored_value} for ignored: map "
        "the values to class numbers, or choose the data set that they belong to"
    )


def _check_mode(mode: str, has_masks: bool) -> None:
    if mode not in MODES:
        raise ValueError(f"mode {mode!r}: expected one of {', '.join(MODES)}")
    if mode != "test" and not has_masks:
        raise ValueError(f"mode {mode!r} needs masks and this split has none; use mode='test'")


def _size(array: np.ndarray) -> str:
    return f"{array.shape[1]}x{array.shape[0]}"
