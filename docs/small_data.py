"""Prepare the folder of the documentation's code: scripts, a photograph, small data sets."""

import json
import shutil
import sys
from pathlib import Path
from unittest import mock

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.append(str(REPOSITORY / "tests" / "support"))  # it generates data sets in all layouts

import miniatures  # noqa: E402

# COCO skips images with 1,000 labelled pixels or fewer; its segments are made for a width of 32.
_SIZE = (72, 32)


def furnish(folder: Path) -> dict[str, str]:
    """Fill a folder, and return the environment variables that point to it."""
    for name in ("scripts", "recipes", "docs"):
        (folder / name).symlink_to(REPOSITORY / name)
    for name in ("street.jpg", "example.jpg"):
        shutil.copy(REPOSITORY / "scripts" / "segmentation" / "examples" / "car.jpg", folder / name)
    data = folder / "data"
    with mock.patch.object(miniatures, "SIZE", _SIZE):
        for name, make in _DATA_SETS.items():
            (data / name).mkdir(parents=True)
            make(data / name)
    return {"GLUONVISION_DATA": str(data), "GLUONVISION_HOME": str(folder / "home")}


def _make_coco(root: Path) -> None:
    """Make COCO with VOC's classes in both images, since PSPNet needs a batch of two to train."""
    for path in (miniatures.make_coco(root) / "annotations").iterdir():
        content = json.loads(path.read_text())
        cat = next(a for a in content["annotations"] if a["id"] == 3)
        content["annotations"].append(cat | {"id": 6, "image_id": 9})
        path.write_text(json.dumps(content))


_DATA_SETS = {
    "voc": miniatures.make_sbd,
    "coco": _make_coco,
    "ade": miniatures.make_ade20k,
    "citys": miniatures.make_cityscapes,
    "camvid": miniatures.make_camvid,
}
