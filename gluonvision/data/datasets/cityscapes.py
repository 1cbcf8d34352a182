"""Cityscapes (Cordts et al., CVPR 2016): 2,975 train, 500 val, 1,525 test images, 19 classes."""

from pathlib import Path

from gluonvision.data.datasets.locations import Location, find_files, find_folder, list_names
from gluonvision.data.datasets.pairs import Pair
from gluonvision.data.datasets.published import PublishedDataset, Root
from gluonvision.data.meta import CITYSCAPES_LABEL_IDS, Meta

LOCATION = Location(
    title="Cityscapes",
    folder="citys",
    subfolders=("cityscapes", "."),
    marker="leftImg8bit",
    prepare_name="cityscapes",
)
_IMAGE, _MASK = "_leftImg8bit.png", "_gtFine_labelIds.png"


class CityscapesSegmentationDataset(PublishedDataset):
    """The finely annotated images, with the archive's own masks ``*_gtFine_labelIds.png``.

    Their 34 ids become the 19 train ids; the others are ignored (``meta.CITYSCAPES_TRAIN_IDS``).
    ``root`` is the folder that holds leftImg8bit and gtFine. The splits are 'train', 'val',
    'trainval', and 'test', whose labels are not public. The arguments are those of
    ``PublishedDataset``.
    """

    NAME = "citys"
    NUM_CLASS = 19
    SPLITS = ("train", "val", "trainval", "test")

    @property
    def meta(self) -> Meta:
        """Class names, colours and label values of "citys", for files that hold label ids."""
        return CITYSCAPES_LABEL_IDS

    def _list_files(self, root: Root, may_miss: bool) -> tuple[list[Path], list[Path] | None]:
        self.root = find_folder(LOCATION, root)
        splits = ("train", "val") if self.split == "trainval" else (self.split,)
        pairs = [pair for split in splits for pair in self._pairs(split, may_miss)]
        masks = None if self.split == "test" else [mask for _, mask in pairs]
        return [image for image, _ in pairs], masks

    def _pairs(self, split: str, may_miss: bool) -> list[Pair]:
        folder = self.root / "leftImg8bit" / split
        may_miss = may_miss or split == "test"
        pairs: list[Pair] = []
        for city in _cities(folder):
            names = list_names(folder / city, _IMAGE)
            masks = find_files(self.root / "gtFine" / split / city, names, _MASK, may_miss)
            pairs += zip(find_files(folder / city, names, _IMAGE), masks)
        return pairs


def _cities(folder: Path) -> list[str]:
    # File managers leave files such as Thumbs.db among the folders.
    cities = [name for name in list_names(folder, "") if (folder / name).is_dir()]
    if not cities:
        raise FileNotFoundError(
            f"{folder}: holds no folder of a city; unpack leftImg8bit_trainvaltest.zip again"
        )
    return cities
