"""Pascal VOC 2012 segmentation (Everingham et al.): 1464 train, 1449 val images, 21 classes."""

import os
from collections.abc import Callable
from pathlib import Path

from gluonvision.data.base import MODES, SegmentationDataset

SPLITS = ("train", "val", "trainval", "test")


class VOCSegmentationDataset(SegmentationDataset):
    """VOC 2012's images and masks, from the layout of its own archive.

    ``root``: the folder that holds VOCdevkit, VOCdevkit itself, or VOC2012; by default
    ``$GLUONVISION_DATA`` (or its folder ``voc``), else ``~/.mxnet/datasets/voc``.
    ``split``: 'train', 'val', 'trainval' (what GluonCV called 'train'), or 'test', which comes
    without masks. ``mode``: by default what the split is for; see ``SegmentationDataset``.

    Raises FileNotFoundError where there is no such data, ValueError for an unknown split or mode.
    """

    NAME = "pascal_voc"
    NUM_CLASS = 21

    def __init__(
        self,
        root: str | os.PathLike | None = None,
        split: str = "train",
        mode: str | None = None,
        transform: Callable | None = None,
        base_size: int = 520,
        crop_size: int = 480,
        seed: int = 0,
        **options,
    ):
        if split not in SPLITS:
            raise ValueError(f"split {split!r}: expected one of {', '.join(SPLITS)}")
        self.root, self.split = find_voc(root), split
        names = _read_names(self.root / "ImageSets" / "Segmentation" / f"{split}.txt")
        images = _files(self.root / "JPEGImages", names, ".jpg")
        masks = None
        if split != "test":
            masks = _files(self.root / "SegmentationClass", names, ".png")
        mode = mode or (split if split in MODES else "train")
        super().__init__(images, masks, mode, transform, base_size, crop_size, seed, **options)


def find_voc(root: str | os.PathLike | None = None) -> Path:
    """The folder VOC2012 in or at ``root``, which defaults as VOCSegmentationDataset says.

    Raises FileNotFoundError that says where it looked and how to lay the data out.
    """
    roots = _default_roots() if root is None else [Path(root).expanduser()]
    places = [r / inner for r in roots for inner in ("VOCdevkit/VOC2012", "VOC2012", ".")]
    for place in places:
        if (place / "ImageSets" / "Segmentation").is_dir():
            return place
    raise FileNotFoundError(
        "Pascal VOC 2012 not found; looked for ImageSets/Segmentation in\n  "
        + "\n  ".join(str(place) for place in places)
        + "\nFetch VOCtrainval_11-May-2012.tar (host.robots.ox.ac.uk/pascal/VOC/voc2012), run\n"
        f"  mkdir -p {roots[0]} && tar -xf VOCtrainval_11-May-2012.tar -C {roots[0]}\n"
        "or pass root=, or set GLUONVISION_DATA, to the folder that holds VOCdevkit"
    )


def _default_roots() -> list[Path]:
    folder = os.environ.get("GLUONVISION_DATA")
    if folder:
        return [Path(folder).expanduser(), Path(folder).expanduser() / "voc"]
    return [Path.home() / ".mxnet" / "datasets" / "voc"]


def _read_names(path: Path) -> list[str]:
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such list of images; "
            "VOC's train, val and trainval come in VOCtrainval_11-May-2012.tar, test in VOC2012test"
        )
    names = path.read_text().split()
    if not names:
        raise ValueError(f"{path}: the list is empty; unpack the archive again")
    return names


def _files(folder: Path, names: list[str], suffix: str) -> list[Path]:
    """The file of each name; one listing, as asking for thousands of files one by one is slow."""
    present = set(os.listdir(folder)) if folder.is_dir() else set()
    missing = [name for name in names if name + suffix not in present]
    if missing:
        raise FileNotFoundError(
            f"{folder / (missing[0] + suffix)}: no such file ({len(missing)} of {len(names)} are "
            "missing there); the archive was unpacked in part: unpack it again"
        )
    return [folder / (name + suffix) for name in names]
