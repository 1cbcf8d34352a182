"""The data sets by name, as the command line knows them."""

import importlib
import os
from typing import Any

from gluonvision.data.datasets.base import SegmentationDataset
from gluonvision.data.meta import Meta, get_meta

_CLASSES = {
    "pascal_voc": ("voc", "VOCSegmentationDataset"),
    "pascal_aug": ("sbd", "VOCAugSegmentationDataset"),
    "coco": ("coco", "COCOSegmentationDataset"),
    "mscoco": ("coco", "COCOSegmentationDataset"),
    "ade20k": ("ade20k", "ADE20KSegmentationDataset"),
    "citys": ("cityscapes", "CityscapesSegmentationDataset"),
    "camvid": ("camvid", "CamVidSegmentationDataset"),
    "folder": ("folder", "FolderSegmentationDataset"),
}
DATASETS = tuple(_CLASSES)


def get_segmentation_dataset(
    name: str,
    root: str | os.PathLike | None = None,
    split: str = "train",
    mode: str | None = None,
    **options: Any,
) -> SegmentationDataset:
    """Open a data set by its name on the command line.

    Args:
        name: one of ``DATASETS``: pascal_voc, pascal_aug, coco (or mscoco), ade20k, citys, camvid
            or folder.
        root: folder of the data set; the default depends on the data set, as for ``split`` and
            ``mode``.
        split: the split to open.
        mode: 'train', 'val', 'testval' or 'test'; see ``SegmentationDataset``.
        options: further arguments of the data set's class.

    Raises:
        ValueError: the name is unknown; the message lists the known ones.
    """
    return find_dataset_class(name)(root=root, split=split, mode=mode, **options)


def dataset_meta(name: str, root: str | os.PathLike | None = None) -> Meta:
    """Return a data set's class names and colours; those of a 'folder' are read from ``root``."""
    if name == "folder":
        from gluonvision.data.datasets.folder import read_meta

        return read_meta(root)
    return get_meta(name)


def find_dataset_class(name: str) -> Any:
    """Return the class of a data set; an unknown name is a ValueError that lists the known ones."""
    if name not in _CLASSES:
        known = ", ".join(sorted(_CLASSES))
        raise ValueError(f"no data set is called {name!r}; the known ones are: {known}")
    module, class_name = _CLASSES[name]
    return getattr(importlib.import_module(f"gluonvision.data.datasets.{module}"), class_name)
