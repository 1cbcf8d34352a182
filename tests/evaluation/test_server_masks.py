"""Masks for test servers are read back by each data set as the classes that they were."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gluonvision.data import CityscapesSegmentationDataset, get_meta
from gluonvision.data.files.reading import read_image, read_mask
from gluonvision.data.meta import CITYSCAPES_LABEL_IDS, Meta
from gluonvision.evaluation.server_masks import (
    check_mask,
    check_names,
    file_values,
    server_mask,
)
from gluonvision.prediction.large_read import image_height_width

METAS = {
    "pascal_voc": get_meta("pascal_voc"),
    "ade20k": get_meta("ade20k"),
    "citys": CITYSCAPES_LABEL_IDS,
    "camvid": get_meta("camvid"),
    "coco": get_meta("coco"),
    "binary": Meta("binary", ("no", "yes"), ((0, 0, 0), (9, 9, 9)), values=((255, 1),)),
}


def every_class(meta):
    return np.arange(meta.num_class * 3, dtype=np.int32).reshape(3, -1) % meta.num_class


@pytest.mark.parametrize("name", METAS)
def test_the_data_set_reads_its_own_masks_back(name, tmp_path):
    meta, path = METAS[name], tmp_path / "mask.png"
    mask = every_class(meta)
    server_mask(mask, meta).save(path)
    np.testing.assert_array_equal(read_mask(path, meta), mask)
    check_mask(path, meta, mask.shape)


def test_values_of_16_bits_are_refused_and_such_ignored_ones_are_not():
    classes, palette = ("no", "yes"), ((0, 0, 0), (9, 9, 9))
    deep = Meta("own", classes, palette, values=((256, 0), (512, 1)))
    with pytest.raises(ValueError, match="write yes as 512.* one byte per pixel"):
        server_mask(np.array([[0, 1]]), deep)
    ignored = Meta("own", classes, palette, ignored_value=65535)
    assert np.array(server_mask(np.array([[0, 1]]), ignored)).tolist() == [[0, 1]]


def test_cityscapes_has_the_34_ids():
    # cityscapesScripts: road 7, sidewalk 8, building 11, wall 12, fence 13, pole 17, ...
    expected = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
    picture = server_mask(np.arange(19)[None], CITYSCAPES_LABEL_IDS)
    assert picture.mode == "L" and np.array(picture)[0].tolist() == expected
    # It is what the data set's masks are, and not the facts of the train ids alone.
    assert CityscapesSegmentationDataset.meta.fget(None) is CITYSCAPES_LABEL_IDS


def test_ade20k_begins_at_one():
    picture = server_mask(np.arange(150)[None], METAS["ade20k"])
    assert picture.mode == "L" and np.array(picture)[0].tolist() == list(range(1, 151))


def test_voc_has_its_own_palette(shared_data):
    official = Image.open(min((shared_data / "VOCdevkit/VOC2012/SegmentationClass").glob("*.png")))
    picture = server_mask(np.arange(21)[None], METAS["pascal_voc"])
    assert picture.mode == "P"
    colours = [np.reshape(p.getpalette()[: 21 * 3], (21, 3)) for p in (picture, official)]
    np.testing.assert_array_equal(*colours)


def test_values_do_not_depend_on_the_order_of_exceptions():
    values = ((3, 1), (4, 1), (9, -1))
    assert file_values(Meta("a", ("x", "y"), ((0,) * 3,) * 2, values=values)).tolist() == [0, 3]


@pytest.mark.parametrize(
    ("mode", "size", "value", "message"),
    [
        ("L", (4, 3), 0, "mode L, 4x3; expected P and the image's 4x3"),
        ("P", (3, 4), 0, "mode P, 3x4"),
        ("P", (4, 3), 21, "holds 21, which is not a class in the files of pascal_voc"),
    ],
)
def test_what_a_server_would_refuse(mode, size, value, message, tmp_path):
    picture = Image.new("L", size, value)
    if mode == "P":
        picture.putpalette([0] * 768)
    picture.save(tmp_path / "mask.png")
    with pytest.raises(ValueError, match=message):
        check_mask(tmp_path / "mask.png", METAS["pascal_voc"], (3, 4))


def test_two_images_of_one_name_are_told(tmp_path):
    with pytest.raises(ValueError, match=r"a/1.jpg and b/1.png would share one mask"):
        check_names([Path("a/1.jpg"), Path("a/2.jpg"), Path("b/1.png")])


@pytest.mark.parametrize(("orientation", "size"), [(None, (3, 4)), (3, (3, 4)), (6, (4, 3))])
def test_the_size_is_that_of_the_image_as_it_is_read(orientation, size, tmp_path):
    picture, exif = Image.new("RGB", (4, 3)), Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    picture.save(tmp_path / "image.jpg", exif=exif)
    assert image_height_width(tmp_path / "image.jpg") == size
    assert read_image(tmp_path / "image.jpg").shape[:2] == size
