"""The base of every segmentation data set: image and mask files in, checked NumPy samples out."""

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
    """Images with a class label for each pixel; a subclass lists the files of one split.

    A subclass sets ``NAME`` (its entry in ``data.meta``) and passes its files to this constructor.
    The mode decides what a sample is:

    - 'train': (image, mask), augmented and cropped to ``crop_size`` x ``crop_size``;
    - 'val' and 'testval': (image, mask), whole and unchanged;
    - 'test': (image, file name).

    An image is uint8 (H, W, 3), RGB, turned upright by its EXIF orientation. A mask is int32
    (H, W), with -1 for ignored pixels.

    A training sample depends only on ``seed``, the epoch and its index: use
    ``dataset[index, epoch]``, or ``dataset[index]`` after ``set_epoch``.

    Args:
        images: image files.
        masks: mask file of each image; None for a split without masks.
        mode: 'train', 'val', 'testval' or 'test'.
        transform: function applied to each image last.
        base_size: the long side is resized to 0.5-2 times this length, in pixels ('train').
        crop_size: side of the crop, in pixels ('train').
        seed: seed of the augmentation.
        skip_broken: read every file once now, and leave out the images that cannot be read or whose
            mask does not fit. They are listed in a warning and in ``skipped``. All files are read
            up front because a length that changed during a run could neither be resumed nor shared
            between machines. Without this option, reading a broken file raises an error.
        photometric: distort the colours of training images; see ``transforms.photometric``.
        cat_max_ratio: below 1, move each training crop until no class fills more than this fraction
            of it; see ``transforms.augment.redraw_crop``.

    Raises:
        ValueError: the mode is unknown or needs masks that the split does not have, a size is out
            of range, or every image is broken.
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
    ) -> None:
        _check_mode(mode, has_masks=masks is not None)
        self.images, self.masks = list(images), list(masks or [])
        if self.masks and len(self.masks) != len(self.images):
            raise ValueError(
                f"got {len(self.images)} images and {len(self.masks)} masks, expected one mask for "
                "each image"
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
        """Class names, colours and label values of the data set."""
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
        """Choose the epoch whose augmentation ``dataset[index]`` draws."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int | tuple[int, int]) -> tuple:
        """Return one sample by its index, or by (index, epoch); the class describes samples."""
        index, epoch = index if isinstance(index, tuple) else (index, self.epoch)
        index = range(len(self))[index]
        if self.mode == "test":
            return self._apply_transform(read_image(self.images[index])), self.images[index].name
        if self.mode == "train":
            image, mask = self._read_checked_pair(index)
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
        return self._apply_transform(image), mask

    def read_pair(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Read one image and its mask, whole and unchanged, in any mode.

        Returns:
            The image, uint8 (H, W, 3), and the mask, int32 (H, W), with -1 for ignored pixels.

        Raises:
            ValueError: a file is broken, has a wrong label, or the sizes differ; the message names
                the file.
            FileNotFoundError: a file is missing.
        """
        image, mask = self._read_checked_pair(index)
        return image, mask.astype(np.int32, copy=False)

    def _read_checked_pair(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        image, mask = read_image(self.images[index]), self._read_mask(index)
        if image.shape[:2] != mask.shape:
            fix = "resize the mask with nearest-neighbour sampling"
            if image.shape[:2] == mask.shape[::-1]:
                fix = "turn the mask as the image's EXIF orientation turns the image"
            raise ValueError(
                f"{self.masks[index]}: the mask is {_width_x_height(mask)} and its image "
                f"{self.images[index]} is {_width_x_height(image)} (width x height); they must be "
                f"equal: {fix}, or export it again"
            )
        return image, mask

    def _read_mask(self, index: int) -> np.ndarray:
        """Return the labels (H, W), -1 for ignored, in any signed integer type."""
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
            self._warn_of_skipped()
            self._keep([i for i, problem in enumerate(problems) if not problem])

    def _problem(self, index: int) -> str:
        """Return why a sample cannot be read, or ''."""
        try:
            if self.mode == "test":
                read_image(self.images[index])
            else:
                self.read_pair(index)
        except (ValueError, OSError) as error:
            return str(error)
        return ""

    def _warn_of_skipped(self) -> None:
        lines = "".join(f"\n  {problem}" for _, problem in self.skipped)
        logger.warning("skipped %d of %d images:%s", len(self.skipped), len(self), lines)

    def _keep(self, indices: list[int]) -> None:
        """Keep only these samples; a subclass with further lists shortens them too."""
        self.images = [self.images[i] for i in indices]
        self.masks = [self.masks[i] for i in indices] if self.masks else []

    def _generator(self, index: int, epoch: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(epoch, index)))

    def _apply_transform(self, image: np.ndarray) -> np.ndarray:
        return image if self.transform is None else self.transform(image)


def default_mode(split: str | None) -> str:
    """Return the mode that a split is for: its own name, or 'train' for 'trainval' and similar."""
    return split if split in MODES else "train"


def _check_mode(mode: str, has_masks: bool) -> None:
    if mode not in MODES:
        raise ValueError(f"mode {mode!r}: expected one of {', '.join(MODES)}")
    if mode != "test" and not has_masks:
        raise ValueError(f"mode {mode!r} needs masks and this split has none; use mode='test'")


def _width_x_height(array: np.ndarray) -> str:
    return f"{array.shape[1]}x{array.shape[0]}"
