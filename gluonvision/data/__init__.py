"""Data sets, their facts, augmentation and batches. NumPy arrays throughout; no framework.

Names are imported when first used, so that the facts of ``data.meta`` cost no image library.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gluonvision.data.base import SegmentationDataset
    from gluonvision.data.loader import DataLoader
    from gluonvision.data.meta import get_meta
    from gluonvision.data.voc import VOCSegmentationDataset

_HOMES = {
    "SegmentationDataset": "base",
    "DataLoader": "loader",
    "get_meta": "meta",
    "VOCSegmentationDataset": "voc",
}
_DATASETS = {"pascal_voc": "VOCSegmentationDataset"}

__all__ = [
    "DataLoader",
    "SegmentationDataset",
    "VOCSegmentationDataset",
    "get_meta",
    "get_segmentation_dataset",
]


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def get_segmentation_dataset(name: str, **kwargs) -> "SegmentationDataset":
    """A data set by its name on the command line; the rest goes to its class.

    Raises ValueError, listing the names, where there is none of that name.
    """
    if name not in _DATASETS:
        known = ", ".join(sorted(_DATASETS))
        raise ValueError(f"no data set is called {name!r}; the known ones are: {known}")
    return __getattr__(_DATASETS[name])(**kwargs)
