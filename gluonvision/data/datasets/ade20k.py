"""ADE20K scene parsing (Zhou et al., CVPR 2017): 20,210 train, 2,000 val images, 150 classes."""

from pathlib import Path

from gluonvision.data.datasets.locations import Location, find_files, find_folder, list_names
from gluonvision.data.datasets.published import PublishedDataset, Root

LOCATION = Location(
    title="ADE20K",
    folder="ade",
    subfolders=("ADEChallengeData2016", "."),
    marker="images",
    prepare_name="ade20k",
)
_FOLDERS = {"train": "training", "val": "validation"}


class ADE20KSegmentationDataset(PublishedDataset):
    """Images and masks of the SceneParsing benchmark.

    A mask file's 0 ("other") is ignored, and 1 is class 0. ``root`` is the folder that holds
    ADEChallengeData2016, or that folder itself. The splits are 'train', 'val', and 'test', which
    has no masks and is in the folder release_test next to ADEChallengeData2016. The arguments are
    those of ``PublishedDataset``.
    """

    NAME = "ade20k"
    NUM_CLASS = 150
    SPLITS = (*_FOLDERS, "test")

    def _list_files(self, root: Root, may_miss: bool) -> tuple[list[Path], list[Path] | None]:
        self.root = find_folder(LOCATION, root)
        if self.split == "test":
            folder = self.root.parent / "release_test" / "testing"
            return find_files(folder, list_names(folder, ".jpg"), ".jpg"), None
        folder = self.root / "images" / _FOLDERS[self.split]
        names = list_names(folder, ".jpg")
        masks = find_files(
            self.root / "annotations" / _FOLDERS[self.split], names, ".png", may_miss
        )
        return find_files(folder, names, ".jpg"), masks
