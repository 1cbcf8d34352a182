"""ADE20K scene parsing (Zhou et al., CVPR 2017): 20,210 train, 2,000 val images, 150 classes."""

import os
from collections.abc import Callable

from gluonvision.data.datasets.base import SegmentationDataset
from gluonvision.data.datasets.locations import Place, check_split, files, find, listed

PLACE = Place(
    title="ADE20K",
    folder="ade",
    inner=("ADEChallengeData2016", "."),
    proof="images",
    script="ade20k",
)
_FOLDERS = {"train": "training", "val": "validation"}
SPLITS = (*_FOLDERS, "test")


class ADE20KSegmentationDataset(SegmentationDataset):
    """The SceneParsing benchmark's images and masks; a file's 0 ("other") is ignored, 1 is class 0.

    ``root``: the folder that holds ADEChallengeData2016, or that folder itself; by default
    ``$GLUONVISION_DATA`` (or its folder ``ade``), else ``~/.mxnet/datasets/ade``.
    ``split``: 'train', 'val', or 'test' (release_test beside it), which comes without masks.
    ``mode`` (by default the split), ``transform`` and the ``options`` as in
    ``SegmentationDataset``.

    Raises FileNotFoundError where there is no such data, ValueError for an unknown split or mode.
    """

    NAME = "ade20k"
    NUM_CLASS = 150

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
        if split == "test":
            folder, masks = self.root.parent / "release_test" / "testing", None
        else:
            folder = self.root / "images" / _FOLDERS[split]
        names = listed(folder, ".jpg")
        if split != "test":
            place = self.root / "annotations" / _FOLDERS[split]
            masks = files(place, names, ".png", options.get("skip_broken", False))
        images = files(folder, names, ".jpg")
        super().__init__(images, masks, mode or split, transform, **options)
