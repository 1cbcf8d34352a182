"""The base of every segmentation data set: files in, checked NumPy samples out."""

import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from gluonvision.data.files.reading import read_image, read_labels
from gluonvision.data.meta import Meta, get_meta
from gluonvision.data.transforms.augment import check_ratio, random_transform

logger = logging.getLogger(__name__)

MODES = ("train", "val", "testval", "test")


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

    ``skip_broken``: read every file once now, in threads and with a progress bar, and leave out
    those that cannot be read or do not fit; they are listed in a warning and in ``skipped``. All at
    once and not when first met: a length and an order that changed during a run could neither be
    resumed nor shared between machines. Without it, a broken file is an error where it is read.

    Raises ValueError for a mode that does not exist, for one that needs masks without masks, and
    where nothing is left.
    """

    NAME = ""

    def __init__(
        self,
        images: Sequence[Path],
        masks: Sequence[Path] | None,
        mode: str = "train",
        transform: Callable | None = None,
        base_size: int = 520,
        crop_size: int = 480,
        seed: int = 0,
        skip_broken: bool = False,
        *,
        photometric: bool = False,
        cat_max_ratio: float = 1.0,
    ):
        _check_mode(mode, has_masks=masks is not None)
        self.images, self.masks = list(images), list(masks or [])
        if self.masks and len(self.masks) != len(self.images):
            raise ValueError(
                f"{len(self.images)} images and {len(self.masks)} masks: expected pairs"
            )
        if base_size < 2 or crop_size < 1:
            raise ValueError(
                f"base_size={base_size}, crop_size={crop_size}: expected at least 2 and 1 pixels"
            )
        self.mode, self.transform = mode, transform
        self.base_size, self.crop_size = base_size, crop_size
        self.seed, self.epoch = seed, 0
        self.photometric, self.cat_max_ratio = photometric, check_ratio(cat_max_ratio)
        self.skipped: list[tuple[Path, str]] = []
        if skip_broken:
            self._leave_out_broken()

    @property
    def meta(self) -> Meta:
        """The data set's facts, and how its mask files are read."""
        return get_meta(self.NAME)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, by label."""
        return self.meta.classes

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
        if self.mode == "train":
            image, mask = self._pair(index)
            image, mask = random_transform(
                image,
                mask,
                self._generator(index, epoch),
                self.base_size,
                self.crop_size,
                self.photometric,
                self.cat_max_ratio,
            )
        else:
            image, mask = self.read_pair(index)
        return self._finish(image), mask

    def read_pair(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """The whole image and mask as stored and checked, whatever the mode; errors name the file.

        image: uint8 (H, W, 3); mask: int32 (H, W), -1 ignored.
        """
        image, mask = self._pair(index)
        return image, mask.astype(np.int32, copy=False)

    def _pair(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        image, mask = read_image(self.images[index]), self._read_mask(index)
        if image.shape[:2] != mask.shape:
            mend = "resize the mask with nearest-neighbour sampling"
            if image.shape[:2] == mask.shape[::-1]:
                mend = "turn the mask as the image's EXIF orientation turns the image"
            raise ValueError(
                f"{self.masks[index]}: the mask is {_size(mask)} and its image "
                f"{self.images[index]} is {_size(image)} (width x height); they must be equal: "
                f"{mend}, or export it again"
            )
        return image, mask

    def _read_mask(self, index: int) -> np.ndarray:
        """Labels (H, W), -1 ignored, of any signed type."""
        return read_labels(self.masks[index], self.meta)

    def _leave_out_broken(self) -> None:
        with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
            problems = list(
                tqdm(
                    pool.map(self._problem, range(len(self))),
                    total=len(self),
                    desc="reading every file once",
                    unit="image",
                    disable=None,
                )
            )
        broken = [i for i, problem in enumerate(problems) if problem]
        self.skipped = [(self.images[i], problems[i]) for i in broken]
        if len(broken) == len(self):
            raise ValueError(f"every image of the split is broken; the first: {problems[:1]}")
        if broken:
            self._report_skipped()
            self._keep([i for i, problem in enumerate(problems) if not problem])

    def _problem(self, index: int) -> str:
        try:
            if self.mode == "test":
                read_image(self.images[index])
            else:
                self.read_pair(index)
        except (ValueError, OSError) as error:
            return str(error)
        return ""

    def _report_skipped(self) -> None:
        lines = "".join(f"\n  {problem}" for _, problem in self.skipped)
        logger.warning("%d of %d images left out:%s", len(self.skipped), len(self), lines)

    def _keep(self, indices: list[int]) -> None:
        """Leave only these samples; a sub-class with lists of its own shortens them too."""
        self.images = [self.images[i] for i in indices]
        self.masks = [self.masks[i] for i in indices] if self.masks else []

    def _generator(self, index: int, epoch: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(epoch, index)))

    def _finish(self, image: np.ndarray) -> np.ndarray:
        return image if self.transform is None else self.transform(image)


def _check_mode(mode: str, has_masks: bool) -> None:
    if mode not in MODES:
        raise ValueError(f"mode {mode!r}: expected one of {', '.join(MODES)}")
    if mode != "test" and not has_masks:
        raise ValueError(f"mode {mode!r} needs masks and this split has none; use mode='test'")


def _size(array: np.ndarray) -> str:
    return f"{array.shape[1]}x{array.shape[0]}"
