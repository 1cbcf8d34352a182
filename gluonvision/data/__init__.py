"""Data sets, augmentation and batches: NumPy arrays throughout, no framework.

Names are imported when they are first used, so importing ``data.meta`` loads no image library.
"""

from typing import TYPE_CHECKING

from gluonvision.utils.lazy import lazy_names

if TYPE_CHECKING:
    from gluonvision.data.datasets.ade20k import ADE20KSegmentationDataset
    from gluonvision.data.datasets.base import SegmentationDataset
    from gluonvision.data.datasets.camvid import CamVidSegmentationDataset
    from gluonvision.data.datasets.catalog import dataset_meta, get_segmentation_dataset
    from gluonvision.data.datasets.cityscapes import CityscapesSegmentationDataset
    from gluonvision.data.datasets.coco import COCOSegmentationDataset
    from gluonvision.data.datasets.folder import FolderSegmentationDataset
    from gluonvision.data.datasets.sbd import VOCAugSegmentationDataset
    from gluonvision.data.datasets.voc import VOCSegmentationDataset
    from gluonvision.data.files.reading import read_image, read_mask
    from gluonvision.data.loading.loader import DataLoader
    from gluonvision.data.loading.sampler import Sampler
    from gluonvision.data.meta import Meta, get_meta

__all__ = [
    "ADE20KSegmentationDataset",
    "COCOSegmentationDataset",
    "CamVidSegmentationDataset",
    "CityscapesSegmentationDataset",
    "DataLoader",
    "FolderSegmentationDataset",
    "Meta",
    "Sampler",
    "SegmentationDataset",
    "VOCAugSegmentationDataset",
    "VOCSegmentationDataset",
    "dataset_meta",
    "get_meta",
    "get_segmentation_dataset",
    "read_image",
    "read_mask",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "ADE20KSegmentationDataset": "gluonvision.data.datasets.ade20k",
        "COCOSegmentationDataset": "gluonvision.data.datasets.coco",
        "CamVidSegmentationDataset": "gluonvision.data.datasets.camvid",
        "CityscapesSegmentationDataset": "gluonvision.data.datasets.cityscapes",
        "DataLoader": "gluonvision.data.loading.loader",
        "FolderSegmentationDataset": "gluonvision.data.datasets.folder",
        "Meta": "gluonvision.data.meta",
        "Sampler": "gluonvision.data.loading.sampler",
        "SegmentationDataset": "gluonvision.data.datasets.base",
        "VOCAugSegmentationDataset": "gluonvision.data.datasets.sbd",
        "VOCSegmentationDataset": "gluonvision.data.datasets.voc",
        "dataset_meta": "gluonvision.data.datasets.catalog",
        "get_meta": "gluonvision.data.meta",
        "get_segmentation_dataset": "gluonvision.data.datasets.catalog",
        "read_image": "gluonvision.data.files.reading",
        "read_mask": "gluonvision.data.files.reading",
    },
)
