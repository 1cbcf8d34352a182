"""Pascal VOC augmented with the Semantic Boundaries Dataset (Hariharan et al., ICCV 2011).

SBD labels 11,355 images of VOC 2011's trainval: 8,498 train and 2,857 val, a split of its own. Its
train holds images of VOC 2012's val, so what is trained on it may not be scored there.
"""

import os
from collections.abc import Callable
from pathlib import Path

from gluonvision.data.datasets.base import MODES, SegmentationDataset
from gluonvision.data.datasets.locations import Place, check_split, files, find, read_names
from gluonvision.data.datasets.voc import files_of, find_voc, names_of

PLACE = Place(
    title="the Semantic Boundaries Dataset",
    folder="voc",
    inner=("VOCaug/dataset", "benchmark_RELEASE/dataset", "dataset", "."),
    proof="cls",
    script="pascal_aug",
)
SPLITS = ("train", "val", "trainval", "trainaug", "train_noval", "voc_val")

_Files = tuple[list[Path], list[Path]]


class VOCAugSegmentationDataset(SegmentationDataset):
    """SBD's images and ``.mat`` masks, alone or together with VOC 2012's.

    ``root``: the folder that holds VOCaug (and, for the last three splits, VOCdevkit), as
    ``gluonvision prepare pascal_aug`` lays them out; defaults as for ``VOCSegmentationDataset``.
    ``split``:

    - 'train', 'val': SBD's own lists; 'trainval': both (what GluonCV called 'train');
    - 'trainaug': the field's 10,582: VOC 2012's train with VOC's masks, and the images of SBD that
      are in neither list of VOC 2012, with SBD's; score it on 'voc_val';
    - 'train_noval': SBD's train without VOC 2012's val, 5,623;
    - 'voc_val': VOC 2012's val, 1,449, with VOC's masks.

    SBD's masks have no ignored border, VOC's do. ``mode`` ('val' for 'voc_val'), ``transform``
    and the ``options`` as in ``SegmentationDataset``.

    Raises FileNotFoundError where there is no such data, ValueError for an unknown split or mode.
    """

    NAME = "pascal_aug"
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
        self.split, self._may_miss = split, options.get("skip_broken", False)
        images, masks = self._files(root)
        mode = mode or ("val" if split == "voc_val" else split if split in MODES else "train")
        super().__init__(images, masks, mode, transform, **options)

    def _files(self, root: str | os.PathLike | None) -> _Files:
        if self.split == "voc_val":
            return self._of_voc(root, "val")
        self.root = find(PLACE, root)
        if self.split in ("train", "val"):
            return self._of_sbd(_names(self.root, self.split))
        if self.split == "train_noval":
            val = set(names_of(find_voc(root), "val"))
            return self._of_sbd([n for n in _names(self.root, "train") if n not in val])
        names = _names(self.root, "train") + _names(self.root, "val")
        return self._of_sbd(names) if self.split == "trainval" else self._trainaug(root, names)

    def _trainaug(self, root: str | os.PathLike | None, names: list[str]) -> _Files:
        voc = find_voc(root)
        taken = {*names_of(voc, "train"), *names_of(voc, "val")}
        first, second = self._of_voc(root, "train"), self._of_sbd(sorted({*names} - taken))
        return first[0] + second[0], first[1] + second[1]

    def _of_sbd(self, names: list[str]) -> _Files:
        images = files(self.root / "img", names, ".jpg", self._may_miss)
        return images, files(self.root / "cls", names, ".mat", self._may_miss)

    def _of_voc(self, root: str | os.PathLike | None, split: str) -> _Files:
        return files_of(find_voc(root), split, self._may_miss)


def _names(root: Path, split: str) -> list[str]:
    return read_names(root / f"{split}.txt")
