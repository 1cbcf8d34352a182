"""Generated data sets of a few small images, in the layouts of the real ones' archives."""

import json
from pathlib import Path

import numpy as np
import scipy.io
import scipy.sparse
from PIL import Image

from gluonvision.data.datasets.synthetic import make_voc_like
from gluonvision.data.meta import get_meta

SIZE = (24, 32)


def make_sbd(root: Path) -> Path:
    """VOC 2012 in small, and SBD beside it as VOCaug.

    VOC: images 0-3 are train, 4 and 5 val. SBD: train has 0, 1, 4 and the new 10; val has 2, 5 and
    the new 11.
    """
    voc = make_voc_like(root, num_images=6, size=SIZE)
    folder = root / "VOCaug" / "dataset"
    (folder / "img").mkdir(parents=True)
    (folder / "cls").mkdir()
    lists = {"train": (0, 1, 4, 10), "val": (2, 5, 11)}
    for split, numbers in lists.items():
        names = [f"2012_{number:06d}" for number in numbers]
        (folder / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))
        for number, name in zip(numbers, names):
            image, labels = scene(number, 21)
            Image.fromarray(image).save(folder / "img" / f"{name}.jpg")
            save_mat(folder / "cls" / f"{name}.mat", labels)
    return voc


def save_mat(path: Path, labels: np.ndarray, compressed: bool = True) -> None:
    """A mask as SBD stores it, with what else is in its files."""
    boundaries = np.empty((20, 1), object)
    for label in range(20):
        boundaries[label, 0] = scipy.sparse.csc_matrix(labels == label + 1)
    content = {
        "Boundaries": boundaries,
        "Segmentation": labels.astype(np.uint8),
        "CategoriesPresent": np.unique(labels[labels > 0]),
    }
    scipy.io.savemat(path, {"GTcls": content}, do_compression=compressed)


def make_ade20k(root: Path) -> Path:
    """ADEChallengeData2016 and release_test: two images a split."""
    folder = root / "ADEChallengeData2016"
    for split, name in (("training", "train"), ("validation", "val")):
        for number in (1, 2):
            stem = f"{split}/ADE_{name}_{number:08d}"
            image, labels = scene(number, 151)
            _save(image, folder / "images" / f"{stem}.jpg")
            _save(labels.astype(np.uint8), folder / "annotations" / f"{stem}.png")
    for number in (1, 2):
        _save(scene(number, 5)[0], root / f"release_test/testing/ADE_test_{number:08d}.jpg")
    return folder


def make_cityscapes(root: Path) -> Path:
    """leftImg8bit and gtFine: two cities with an image each, and the labels that nobody reads."""
    for split in ("train", "val", "test"):
        for number, city in enumerate(("aachen", "bochum")):
            stem = f"{split}/{city}/{city}_000000_00001{number}"
            image, labels = scene(number, 34)
            _save(image, root / "leftImg8bit" / f"{stem}_leftImg8bit.png")
            for kind in ("labelIds", "instanceIds"):
                _save(labels.astype(np.uint8), root / "gtFine" / f"{stem}_gtFine_{kind}.png")
    return root


def make_camvid(root: Path) -> Path:
    """SegNet's CamVid: two frames a split, "unlabelled" is 11."""
    folder = root / "CamVid"
    for split in ("train", "val", "test"):
        for number in (1, 2):
            image, labels = scene(number, 12)
            _save(image, folder / split / f"0001TP_{number:06d}.png")
            _save(labels.astype(np.uint8), folder / f"{split}annot" / f"0001TP_{number:06d}.png")
    return folder


def make_coco(root: Path) -> Path:
    """COCO 2017: two images a split; all 80 categories, numbered from 1 on.

    The first image has a polygon, a segment in run lengths over part of it, and a crowd over all;
    the second a stop sign, which VOC does not have.
    """
    things = get_meta("coco_things").classes[1:]
    ids = {name: number for number, name in enumerate(things, 1)}
    for split in ("train", "val"):
        images = [
            {"id": 7, "file_name": "000000000007.jpg", "height": SIZE[0], "width": SIZE[1]},
            {"id": 9, "file_name": "000000000009.jpg", "height": SIZE[0], "width": SIZE[1]},
        ]
        for image in images:
            _save(scene(image["id"], 5)[0], root / f"{split}2017" / image["file_name"])
        content = {
            "images": images,
            "annotations": _annotations(ids),
            "categories": [{"id": number, "name": name} for name, number in ids.items()],
        }
        (root / "annotations").mkdir(exist_ok=True)
        path = root / "annotations" / f"instances_{split}2017.json"
        path.write_text(json.dumps(content))
    return root


def _annotations(ids: dict[str, int]) -> list[dict]:
    height, width = SIZE
    everything = {"size": [height, width], "counts": [0, height * width]}
    # Columns 8 to 23.
    middle = {"size": [height, width], "counts": [8 * height, 16 * height, 8 * height]}
    square = [[2, 2, 14, 2, 14, 12, 2, 12]]
    rows = [
        (1, 7, "person", everything, 1),
        (2, 7, "couch", square, 0),
        (3, 7, "cat", middle, 0),
        (4, 9, "stop sign", square, 0),
        (5, 9, "person", [[20, 2, 24, 2, 24, 4, 20, 4]], 0),
    ]
    keys = ("id", "image_id", "category_id", "segmentation", "iscrowd")
    return [dict(zip(keys, (a, b, ids[c], d, e))) for a, b, c, d, e in rows]


def scene(number: int, values: int) -> tuple[np.ndarray, np.ndarray]:
    """An image, uint8 (H, W, 3), and labels 0 to ``values`` - 1, all there, int32 (H, W)."""
    generator = np.random.default_rng(number)
    image = generator.integers(0, 256, (*SIZE, 3), np.uint8)
    labels = np.arange(SIZE[0] * SIZE[1], dtype=np.int32).reshape(SIZE) % values
    return image, np.roll(labels, number)


def _save(array: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
