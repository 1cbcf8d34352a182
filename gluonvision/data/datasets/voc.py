"""Pascal VOC 2012 segmentation (Everingham et al.): 1464 train, 1449 val images, 21 classes."""

from pathlib import Path

from gluonvision.data.datasets.locations import Location, find_files, find_folder, read_names
from gluonvision.data.datasets.published import PublishedDataset, Root

LOCATION = Location(
    title="Pascal VOC 2012",
    folder="voc",
    subfolders=("VOCdevkit/VOC2012", "VOC2012", "."),
    marker="ImageSets/Segmentation",
    prepare_name="pascal_voc",
)


class VOCSegmentationDataset(PublishedDataset):
    """VOC 2012's images and masks, in the layout of its own archive.

    ``root`` is the folder that holds VOCdevkit, VOCdevkit itself, or VOC2012. The splits are
    'train', 'val', 'trainval' (GluonCV's 'train'), and 'test', which has no masks. The arguments
    are those of ``PublishedDataset``.
    """

    NAME = "pascal_voc"
    NUM_CLASS = 21
    SPLITS = ("train", "val", "trainval", "test")

    def _list_files(self, root: Root, may_miss: bool) -> tuple[list[Path], list[Path] | None]:
        self.root = find_voc(root)
        images, masks = split_files(self.root, self.split, may_miss)
        return images, masks or None


def find_voc(root: Root = None) -> Path:
    """Return the folder VOC2012 in or at ``root``, which defaults as in ``PublishedDataset``.

    Raises:
        FileNotFoundError: it is not there; the message lists the searched places and the command
            to run.
    """
    return find_folder(LOCATION, root)


def split_names(folder: Path, split: str) -> list[str]:
    """Return the names of a split's images, from the folder VOC2012."""
    return read_names(folder / "ImageSets" / "Segmentation" / f"{split}.txt")


def split_files(folder: Path, split: str, may_miss: bool = False) -> tuple[list[Path], list[Path]]:
    """Return the images and masks of a split, from the folder VOC2012; no masks for 'test'."""
    names = split_names(folder, split)
    images = find_files(folder / "JPEGImages", names, ".jpg", may_miss)
    if split == "test":
        return images, []
    return images, find_files(folder / "SegmentationClass", names, ".png", may_miss)
