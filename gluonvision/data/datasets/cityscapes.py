"""Cityscapes (Cordts et al., CVPR 2016): 2,975 train, 500 val, 1,525 test images, 19 classes."""

import os
from collections.abc import Callable
from pathlib import Path

from gluonvision.data.datasets.base import MODES, SegmentationDataset
from gluonvision.data.datasets.locations import Place, check_split, files, find, listed
from gluonvision.data.meta import CITYSCAPES_LABEL_IDS, Meta

PLACE = Place(
    title="Cityscapes",
    folder="citys",
    inner=("cityscapes", "."),
    proof="leftImg8bit",
    script="cityscapes",
)
SPLITS = ("train", "val", "trainval", "test")
_IMAGE, _MASK = "_leftImg8bit.png", "_gtFine_labelIds.png"


class CityscapesSegmentationDataset(SegmentationDataset):
    """The finely annotated images; masks are the ``*_gtFine_labelIds.png`` of the archive itself.

    Their 34 ids become the 19 train ids, the rest is ignored (``meta.CITYSCAPES_TRAIN_IDS``).
    ``root``: the folder that holds leftImg8bit and gtFine; by default ``$GLUONVISION_DATA`` (or
    its folder ``citys``), else ``~/.mxnet/datasets/citys``.
    ``split``: 'train', 'val', 'trainval', or 'test', whose labels are not public. ``mode``: by
    default what the split is for; it, ``transform`` and the ``options`` as in
    ``SegmentationDataset``.

    Raises FileNotFoundError where there is no such data, ValueError for an unknown split or mode.
    """

    NAME = "citys"
    NUM_CLASS = 19

    def __init__(
        self,
        root: str | os.PathLike | None = None,
        split: str = "train",
        mode: str | None = None,
        transform: Callable | None = None,
        **options,
    ):
        check_split(split, SPLITS)
        self.root, self.split = find(PLACE, root), split
        parts = ("train", "val") if split == "trainval" else (split,)
        pairs = [pair for part in parts for pair in self._pairs(part, options)]
        images = [image for image, _ in pairs]
        masks = None if split == "test" else [mask for _, mask in pairs]
        mode = mode or (split if split in MODES else "train")
        super().__init__(images, masks, mode, transform, **options)

    @property
    def meta(self) -> Meta:
        """The facts of "citys", with the ids that its files hold."""
        return CITYSCAPES_LABEL_IDS

    def _pairs(self, part: str, options: dict) -> list[tuple[Path, Path]]:
        folder = self.root / "leftImg8bit" / part
        pairs: list[tuple[Path, Path]] = []
        for city in _cities(folder):
            names = listed(folder / city, _IMAGE)
            may_miss = part == "test" or options.get("skip_broken", False)
            masks = files(self.root / "gtFine" / part / city, names, _MASK, may_miss)
            pairs += zip(files(folder / city, names, _IMAGE), masks)
        return pairs


def _cities(folder: Path) -> list[str]:
    # What file managers leave among them (Thumbs.db) is no city.
    cities = [name for name in listed(folder, "") if (folder / name).is_dir()]
    if not cities:
        raise FileNotFoundError(
            f"{folder}: holds no folder of a city; unpack leftImg8bit_trainvaltest.zip again"
        )
    return cities
