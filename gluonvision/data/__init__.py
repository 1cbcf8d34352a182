"""Data sets, their facts, augmentation and batches. NumPy arrays throughout; no framework.

Names are imported when first used, so that the facts of ``data.meta`` cost no image library.
"""

import importlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gluonvision.data.datasets.ade20k import ADE20KSegmentationDataset
    from gluonvision.data.datasets.base import SegmentationDataset
    from gluonvision.data.datasets.camvid import CamVidSegmentationDataset
    from gluonvision.data.datasets.cityscapes import CityscapesSegmentationDataset
    from gluonvision.data.datasets.coco import COCOSegmentationDataset
    from gluonvision.data.datasets.folder import FolderSegmentationDataset
    from gluonvision.data.loading.loader import DataLoader
    from gluonvision.data.meta import Meta, get_meta
    from gluonvision.data.loading.sampler import Sampler
    from gluonvision.data.datasets.sbd import VOCAugSegmentationDataset
    from gluonvision.data.datasets.voc import VOCSegmentationDataset

_HOMES = {
    "ADE20KSegmentationDataset": "datasets.ade20k",
    "COCOSegmentationDataset": "datasets.coco",
    "CamVidSegmentationDataset": "datasets.camvid",
    "CityscapesSegmentationDataset": "datasets.cityscapes",
    "DataLoader": "loading.loader",
    "FolderSegmentationDataset": "datasets.folder",
    "Sampler": "loading.sampler",
    "SegmentationDataset": "datasets.base",
    "VOCAugSegmentationDataset": "datasets.sbd",
    "VOCSegmentationDataset": "datasets.voc",
    "get_meta": "meta",
}
_DATASETS = {
    "pascal_voc": "VOCSegmentationDataset",
    "pascal_aug": "VOCAugSegmentationDataset",
    "coco": "COCOSegmentationDataset",
    "mscoco": "COCOSegmentationDataset",
    "ade20k": "ADE20KSegmentationDataset",
    "citys": "CityscapesSegmentationDataset",
    "camvid": "CamVidSegmentationDataset",
    "folder": "FolderSegmentationDataset",
}

__all__ = [
    "ADE20KSegmentationDataset",
    "COCOSegmentationDataset",
    "CamVidSegmentationDataset",
    "CityscapesSegmentationDataset",
    "DataLoader",
    "FolderSegmentationDataset",
    "Sampler",
    "SegmentationDataset",
    "VOCAugSegmentationDataset",
    "VOCSegmentationDataset",
    "dataset_meta",
    "get_meta",
    "get_segmentation_dataset",
]


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def get_segmentation_dataset(
    name: str,
    root: str | os.PathLike | None = None,
    split: str = "train",
    mode: str | None = None,
    **options,
) -> "SegmentationDataset":
    """A data set by its name on the command line; the ``options`` are those of its class.

    ``name``: pascal_voc, pascal_aug, coco (or mscoco), ade20k, citys, camvid, folder. ``root``,
    ``split`` and ``mode`` default as its class says.

    Raises ValueError, listing the names, where there is none of that name.
    """
    if name not in _DATASETS:
        known = ", ".join(sorted(_DATASETS))
        raise ValueError(f"no data set is called {name!r}; the known ones are: {known}")
    return __getattr__(_DATASETS[name])(root=root, split=split, mode=mode, **options)


def dataset_meta(name: str, root: str | os.PathLike | None = None) -> "Meta":
    """The facts of a data set: those of its name, or, for 'folder', those that lie in ``root``."""
    if name == "folder":
        return importlib.import_module(f"{__name__}.datasets.folder").read_meta(root)
    return __getattr__("get_meta")(name)
