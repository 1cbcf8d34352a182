"""Pascal VOC 2012 segmentation (Everingham et al.): 1464 train, 1449 val images, 21 classes."""

import os
from collections.abc import Callable
from pathlib import Path

from gluonvision.data.datasets.base import MODES, SegmentationDataset
from gluonvision.data.datasets.locations import Place, check_split, files, find, read_names

PLACE = Place(
    title="Pascal VOC 2012",
    folder="voc",
    inner=("VOCdevkit/VOC2012", "VOC2012", "."),
    proof="ImageSets/Segmentation",
    script="pascal_voc",
)
SPLITS = ("train", "val", "trainval", "test")


class VOCSegmentationDataset(SegmentationDataset):
    """VOC 2012's images and masks, from the layout of its own archive.

    ``root``: the folder that holds VOCdevkit, VOCdevkit itself, or VOC2012; by default
    ``$GLUONVISION_DATA`` (or its folder ``voc``), else ``~/.mxnet/datasets/voc``.
    ``split``: 'train', 'val', 'trainval' (what GluonCV called 'train'), or 'test', which comes
    without masks. ``mode``: by default what the split is for; it, ``transform`` and the
    ``options`` (base_size, crop_size, seed, skip_broken) as in ``SegmentationDataset``.

    Raises FileNotFoundError where there is no such data, ValueError for an unknown split or mode.
    """

    NAME = "pascal_voc"
    NUM_CLASS = 21

    def __init__(
        self,
        root: str | os.PathLike | None = None,
        split: str = "train",
        mode: str | None = None,
        transform: Callable | None = None,
        **options,
    ):
        check_split(split, SPLITS)
        self.root, self.split = find_voc(root), split
        images, masks = files_of(self.root, split, options.get("skip_broken", False))
        mode = mode or (split if split in MODES else "train")
        super().__init__(images, masks or None, mode, transform, **options)


def find_voc(root: str | os.PathLike | None = None) -> Path:
    """The folder VOC2012 in or at ``root``, which defaults as VOCSegmentationDataset says.

    Raises FileNotFoundError that says where it looked and what to run.
    """
    return find(PLACE, root)


def names_of(folder: Path, split: str) -> list[str]:
    """The names of a split's images, from the folder VOC2012."""
    return read_names(folder / "ImageSets" / "Segmentation" / f"{split}.txt")


def files_of(folder: Path, split: str, may_miss: bool = False) -> tuple[list[Path], list[Path]]:
    """The images and masks of a split, from the folder VOC2012; no masks for 'test'."""
    names = names_of(folder, split)
    images = files(folder / "JPEGImages", names, ".jpg", may_miss)
    if split == "test":
        return images, []
    return images, files(folder / "SegmentationClass", names, ".png", may_miss)
