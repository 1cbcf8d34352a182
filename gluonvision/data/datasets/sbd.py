"""Pascal VOC augmented with the Semantic Boundaries Dataset (Hariharan et al., ICCV 2011).

SBD labels 11,355 images of VOC 2011's trainval: 8,498 train and 2,857 val, a split of its own.
Images of VOC 2012's val are among its train, so do not evaluate a model trained on it there.
"""

from pathlib import Path

from gluonvision.data.datasets.locations import Location, find_files, find_folder, read_names
from gluonvision.data.datasets.published import PublishedDataset, Root
from gluonvision.data.datasets.voc import find_voc, split_files, split_names

LOCATION = Location(
    title="the Semantic Boundaries Dataset",
    folder="voc",
    subfolders=("VOCaug/dataset", "benchmark_RELEASE/dataset", "dataset", "."),
    marker="cls",
    prepare_name="pascal_aug",
)

_Files = tuple[list[Path], list[Path]]


class VOCAugSegmentationDataset(PublishedDataset):
    """SBD's images and ``.mat`` masks, alone or together with VOC 2012's.

    ``root`` is the folder that holds VOCaug and, for the last three splits, VOCdevkit, as
    ``gluonvision prepare pascal_aug`` puts them there. The splits:

    - 'train', 'val': SBD's own split files;
    - 'trainval': both (GluonCV's 'train');
    - 'trainaug': the usual 10,582 training images: VOC 2012's train with VOC's masks, and SBD's
      images that are in neither split file of VOC 2012, with SBD's masks; evaluate on 'voc_val';
    - 'train_noval': SBD's train without VOC 2012's val, 5,623 images;
    - 'voc_val': VOC 2012's val, 1,449 images, with VOC's masks.

    VOC's masks have an ignored border around each object, SBD's do not. The arguments are those of
    ``PublishedDataset``.
    """

    NAME = "pascal_aug"
    NUM_CLASS = 21
    SPLITS = ("train", "val", "trainval", "trainaug", "train_noval", "voc_val")

    def _default_mode(self) -> str:
        return "val" if self.split == "voc_val" else super()._default_mode()

    def _list_files(self, root: Root, may_miss: bool) -> _Files:
        if self.split == "voc_val":
            self.root = find_voc(root)
            return split_files(self.root, "val", may_miss)
        self.root = find_folder(LOCATION, root)
        if self.split == "trainaug":
            return self._trainaug(find_voc(root), may_miss)
        return self._sbd_files(self._split_names(root), may_miss)

    def _split_names(self, root: Root) -> list[str]:
        if self.split == "trainval":
            return self._names("train") + self._names("val")
        if self.split == "train_noval":
            val = set(split_names(find_voc(root), "val"))
            return [name for name in self._names("train") if name not in val]
        return self._names(self.split)

    def _trainaug(self, voc: Path, may_miss: bool) -> _Files:
        names = {*self._names("train"), *self._names("val")}
        in_voc = {*split_names(voc, "train"), *split_names(voc, "val")}
        voc_images, voc_masks = split_files(voc, "train", may_miss)
        images, masks = self._sbd_files(sorted(names - in_voc), may_miss)
        return voc_images + images, voc_masks + masks

    def _sbd_files(self, names: list[str], may_miss: bool) -> _Files:
        images = find_files(self.root / "img", names, ".jpg", may_miss)
        return images, find_files(self.root / "cls", names, ".mat", may_miss)

    def _names(self, split: str) -> list[str]:
        return read_names(self.root / f"{split}.txt")
