"""The data sets beside VOC: layouts, splits, labels, masks as users have them, broken files."""

import json
import logging
import os
import shutil
import struct
import zlib

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st
from miniatures import (
    SIZE,
    make_ade20k,
    make_camvid,
    make_cityscapes,
    make_coco,
    make_sbd,
    save_mat,
    scene,
)
from PIL import Image

from gluonvision.data import (
    CamVidSegmentationDataset,
    COCOSegmentationDataset,
    FolderSegmentationDataset,
    VOCAugSegmentationDataset,
    VOCSegmentationDataset,
    dataset_meta,
    get_segmentation_dataset,
)
from gluonvision.data.datasets.synthetic import make_voc_like
from gluonvision.data.files.matfile import read_sbd_mask
from gluonvision.data.files.reading import read_image, read_mask
from gluonvision.data.files.rle import decode, fill
from gluonvision.data.meta import CITYSCAPES_TRAIN_IDS, COCO_NAMES_OF_VOC, Meta, get_meta

# Seen in the pictures: (data set, split, image, (x, y) well inside a thing, class).
REAL_PIXELS = [
    ("coco", "val", "000000439180", (120, 280), "horse"),
    ("coco", "val", "000000439180", (225, 245), "person"),
    ("coco", "val", "000000439180", (100, 205), "background"),
    ("coco", "val", "000000439180", (50, 320), "background"),
    ("coco", "val", "000000142238", (65, 290), "person"),
    ("coco_things", "val", "000000439180", (100, 205), "truck"),
    ("coco_things", "val", "000000439180", (420, 260), "horse"),
    ("coco_things", "val", "000000142238", (368, 124), "sports ball"),
    ("ade20k", "val", "ADE_val_00000001", (100, 100), "sky"),
    ("ade20k", "val", "ADE_val_00000001", (290, 230), "building"),
    ("ade20k", "val", "ADE_val_00000001", (300, 470), "grass"),
    ("ade20k", "val", "ADE_val_00000001", (100, 410), "wall"),
    ("ade20k", "val", "ADE_val_00000001", (560, 380), "plant"),
    ("ade20k", "val", "ADE_val_00000003", (195, 137), "bus"),
    ("ade20k", "val", "ADE_val_00000003", (40, 158), "car"),
    ("ade20k", "val", "ADE_val_00000003", (230, 220), "road"),
    ("ade20k", "val", "ADE_val_00000003", (110, 190), "sidewalk"),
    ("camvid", "train", "0001TP_006690", (138, 120), "sign_symbol"),
    ("camvid", "train", "0001TP_006690", (230, 60), "sky"),
    ("camvid", "train", "0001TP_006690", (235, 240), "car"),
    ("camvid", "train", "0001TP_006690", (40, 310), "pavement"),
    ("camvid", "val", "0016E5_07959", (245, 180), "bicyclist"),
    ("camvid", "val", "0016E5_07959", (400, 100), "tree"),
    ("camvid", "val", "0016E5_07959", (200, 280), "road"),
    ("camvid", "val", "0016E5_07959", (60, 150), "building"),
]
MAKERS = {
    "pascal_voc": lambda root: make_voc_like(root, 6, SIZE),
    "pascal_aug": make_sbd,
    "coco": make_coco,
    "ade20k": make_ade20k,
    "citys": make_cityscapes,
    "camvid": make_camvid,
}
OPTIONS = {"coco": {"min_pixels": 0}}


@pytest.fixture(scope="session")
def miniatures(tmp_path_factory):
    """A generated set in each layout, by name; not to be written to."""
    folders = {name: tmp_path_factory.mktemp(name) for name in MAKERS}
    for name, make in MAKERS.items():
        make(folders[name])
    return folders


@pytest.fixture
def miniature(miniatures, tmp_path):
    """A copy of a generated set that a test may break."""
    return lambda name: shutil.copytree(miniatures[name], tmp_path / name)


def names_of(dataset):
    return [path.stem for path in dataset.images]


class TestAll:
    @pytest.mark.parametrize("name", [*MAKERS, "mscoco"])
    @pytest.mark.parametrize("split", ["train", "val"])
    def test_samples(self, miniatures, name, split):
        name = "coco" if name == "mscoco" else name
        options = OPTIONS.get(name, {})
        dataset = get_segmentation_dataset(name, miniatures[name], split, "val", **options)
        assert dataset.num_class == len(dataset.classes) == get_meta(name).num_class
        assert len(dataset) == len(dataset.images) == len(dataset.masks) > 0
        for image, mask in dataset:
            assert (image.shape, image.dtype) == ((*SIZE, 3), np.uint8)
            assert (mask.shape, mask.dtype) == (SIZE, np.int32)
            assert mask.min() >= -1 and mask.max() < dataset.num_class
        assert get_segmentation_dataset(name, miniatures[name], split, **options).mode == split

    @pytest.mark.parametrize("name", MAKERS)
    def test_training_crops(self, miniatures, name):
        dataset = get_segmentation_dataset(
            name, miniatures[name], base_size=32, crop_size=20, seed=3, **OPTIONS.get(name, {})
        )
        image, mask = dataset[0]
        assert image.shape == (20, 20, 3) and mask.shape == (20, 20) and dataset.seed == 3

    @pytest.mark.parametrize("name", MAKERS)
    def test_missing_data_names_the_script(self, name, tmp_path, monkeypatch):
        monkeypatch.setenv("GLUONVISION_DATA", str(tmp_path))
        script = {"citys": "cityscapes", "coco": "mscoco"}.get(name, name)
        for root in (None, tmp_path / "given"):
            with pytest.raises(FileNotFoundError, match=rf"gluonvision prepare {script}") as error:
                get_segmentation_dataset(name, root)
            assert str(tmp_path if root is None else root) in str(error.value)

    @pytest.mark.parametrize("name", MAKERS)
    def test_unknown_split_and_option(self, miniatures, name):
        with pytest.raises(ValueError, match="split 'minival': expected one of train, val"):
            get_segmentation_dataset(name, miniatures[name], "minival")
        with pytest.raises(TypeError, match="crop"):
            get_segmentation_dataset(name, miniatures[name], crop=3, **OPTIONS.get(name, {}))

    @pytest.mark.parametrize("name", MAKERS)
    def test_found_below_the_environments_folder(self, miniatures, name, tmp_path, monkeypatch):
        folder = {"pascal_voc": "voc", "pascal_aug": "voc", "ade20k": "ade"}.get(name, name)
        (tmp_path / folder).symlink_to(miniatures[name])
        monkeypatch.setenv("GLUONVISION_DATA", str(tmp_path))
        assert len(get_segmentation_dataset(name, **OPTIONS.get(name, {})))

    @pytest.mark.parametrize("dataset, split, name, point, expected", REAL_PIXELS)
    def test_real_pixels(self, shared_data, tmp_path, dataset, split, name, point, expected):
        root, options = shared_data, {}
        if dataset.startswith("coco"):
            root = shutil.copytree(shared_data / "coco", tmp_path / "coco")
            options = {"classes": "things" if dataset == "coco_things" else "voc"}
            dataset = "coco"
        data = get_segmentation_dataset(dataset, root, split, "val", **options)
        mask = data[names_of(data).index(name)][1]
        assert data.classes[mask[point[1], point[0]]] == expected

    def test_real_camvid_as_a_folder(self, shared_data):
        folder = FolderSegmentationDataset(shared_data / "camvid", "val", names=None)
        camvid = CamVidSegmentationDataset(shared_data, "val")
        assert folder.classes == camvid.classes and len(folder) == len(camvid) == 101
        assert len(CamVidSegmentationDataset(shared_data, "trainval")) == 468
        for i in (0, 50, 100):
            assert np.array_equal(folder[i][1], camvid[i][1]) and (folder[i][1] == -1).any()


class TestSBD:
    @pytest.mark.parametrize(
        "split, expected",
        [
            ("train", [0, 1, 4, 10]),
            ("val", [2, 5, 11]),
            ("trainval", [0, 1, 4, 10, 2, 5, 11]),
            ("train_noval", [0, 1, 10]),
            ("trainaug", [0, 1, 2, 3, 10, 11]),
            ("voc_val", [4, 5]),
        ],
    )
    def test_splits(self, miniatures, split, expected):
        dataset = VOCAugSegmentationDataset(miniatures["pascal_aug"], split)
        assert names_of(dataset) == [f"2012_{number:06d}" for number in expected]
        assert dataset.mode == ("val" if split in ("val", "voc_val") else "train")

    def test_trainaug_has_vocs_masks_where_there_are_any(self, miniatures):
        root = miniatures["pascal_aug"]
        dataset = VOCAugSegmentationDataset(root, "trainaug", mode="val")
        assert np.array_equal(dataset[0][1], VOCSegmentationDataset(root, mode="val")[0][1])
        assert dataset.masks[-1].suffix == ".mat"
        assert np.array_equal(dataset[-1][1], scene(11, 21)[1])

    @pytest.mark.parametrize("compressed", [False, True])
    @pytest.mark.parametrize("shape", [(1, 1), (7, 5), (3, 100)])
    def test_reads_what_scipy_writes(self, tmp_path, compressed, shape):
        labels = np.random.default_rng(0).integers(0, 21, shape)
        save_mat(tmp_path / "a.mat", labels, compressed)
        mask = read_mask(tmp_path / "a.mat", "pascal_aug")
        assert mask.dtype == np.int32 and np.array_equal(mask, labels)

    def test_255_is_ignored_and_21_is_wrong(self, tmp_path):
        save_mat(tmp_path / "a.mat", np.array([[0, 255, 20]]))
        assert read_mask(tmp_path / "a.mat", "pascal_aug").tolist() == [[0, -1, 20]]
        save_mat(tmp_path / "b.mat", np.array([[0, 21]]))
        with pytest.raises(ValueError, match=r"b\.mat: label 21"):
            read_mask(tmp_path / "b.mat", "pascal_aug")

    @given(st.integers(0, 2**32), st.booleans())
    def test_broken_files_are_errors_or_read_right(self, tmp_path_factory, seed, compressed):
        """Cut and flipped at random: an error that names the file, or a mask of whole numbers."""
        path = tmp_path_factory.mktemp("mat") / "a.mat"
        save_mat(path, np.arange(12).reshape(3, 4), compressed)
        generator = np.random.default_rng(seed)
        content = bytearray(path.read_bytes())
        content[generator.integers(126, len(content))] ^= int(generator.integers(1, 256))
        path.write_bytes(content[: generator.integers(1, len(content) + 1)])
        try:
            assert read_sbd_mask(path).dtype == np.int32
        except ValueError as error:
            assert str(path) in str(error)

    def test_other_mat_files(self, tmp_path):
        for content in ({"other": np.eye(2)}, {"GTcls": np.eye(2)}, {"GTcls": {"Boundaries": 1}}):
            scipy.io.savemat(tmp_path / "a.mat", content)
            with pytest.raises(ValueError, match=r"a\.mat: cannot be read.*GTcls"):
                read_sbd_mask(tmp_path / "a.mat")
        with pytest.raises(FileNotFoundError, match="no.mat"):
            read_sbd_mask(tmp_path / "no.mat")


class TestSegments:
    """Against pycocotools, the original."""

    @given(st.integers(0, 2**32), st.sampled_from([0, 1, 2, None]), st.integers(3, 9))
    def test_polygons(self, seed, digits, points):
        coco = pytest.importorskip("pycocotools.mask")
        generator = np.random.default_rng(seed)
        size = tuple(int(n) for n in generator.integers(1, 70, 2))
        polygon = generator.uniform(-0.2, 1.2, (points, 2)) * size[::-1]
        polygon = polygon if digits is None else polygon.round(digits)
        polygon[1] = polygon[generator.integers(points)]
        flat = polygon.ravel().tolist()
        expected = coco.decode(coco.frPyObjects([flat], *size))[..., 0]
        assert np.array_equal(fill(flat, size), expected)

    @given(st.integers(0, 2**32), st.integers(1, 8))
    def test_run_lengths(self, seed, block):
        coco = pytest.importorskip("pycocotools.mask")
        generator = np.random.default_rng(seed)
        coarse = generator.random(generator.integers(1, 12, 2)) < generator.random()
        pixels = np.asfortranarray(np.kron(coarse, np.ones((block, block))), np.uint8)
        size = [int(n) for n in pixels.shape]
        text = coco.encode(pixels)["counts"].decode()
        assert np.array_equal(decode({"size": size, "counts": text}, tuple(size)), pixels)
        flat = pixels.ravel(order="F")
        ends = [0, *np.flatnonzero(np.diff(flat)) + 1, flat.size]
        counts = [0] * int(flat[0]) + [int(n) for n in np.diff(ends)]
        assert np.array_equal(decode({"size": size, "counts": counts}, tuple(size)), pixels)

    def test_several_polygons_are_one_segment(self):
        parts = [[0, 0, 4, 0, 4, 4, 0, 4], [2, 2, 6, 2, 6, 6, 2, 6]]
        both = decode(parts, (8, 8))
        assert np.array_equal(both, fill(parts[0], (8, 8)) | fill(parts[1], (8, 8)))
        assert both.sum() == 16 + 16 - 4

    @pytest.mark.parametrize(
        "segmentation, message",
        [
            (None, "expected polygons or run lengths, got none"),
            ([], "expected polygons or run lengths, got none"),
            ("x", "got str"),
            ([[1, 2, 3, 4]], "4 numbers"),
            ([[1, 2, 3, 4, 5, 6, 7]], "7 numbers"),
            ([[1, 2, 3, 4, 5, "x"]], "other than numbers"),
            ([[1, 2, 3, 4, 5, float("nan")]], "far beyond"),
            ([[1, 2, 3, 4, 5, 1e12]], "far beyond"),
            ({"counts": [8]}, "size None"),
            ({"size": [4, 2], "counts": [8]}, "the image has"),
            ({"size": [2, 4], "counts": [3, 4]}, "add up"),
            ({"size": [2, 4], "counts": [9, -1]}, "add up"),
            ({"size": [2, 4], "counts": [10**30]}, "neither"),
            ({"size": [2, 4], "counts": 8}, "neither"),
            ({"size": [2, 4], "counts": ""}, "broken"),
            ({"size": [2, 4], "counts": "\u4e00"}, "broken|add up"),
            ({"size": [2, 4], "counts": "P"}, "broken"),
            ({"size": [2, 4], "counts": "ooooooooooo0"}, "too large"),
        ],
    )
    def test_wrong_segments(self, segmentation, message):
        with pytest.raises(ValueError, match=message):
            decode(segmentation, (2, 4))


class TestCOCO:
    def test_first_segment_on_top_crowd_at_the_bottom(self, miniatures):
        dataset = COCOSegmentationDataset(miniatures["coco"], mode="val", min_pixels=0)
        mask = dataset[0][1]
        sofa, cat = dataset.classes.index("sofa"), dataset.classes.index("cat")
        assert (mask[5, 5], mask[5, 10], mask[5, 18], mask[5, 28]) == (sofa, sofa, cat, -1)
        assert np.unique(mask).tolist() == [-1, cat, sofa]

    def test_voc_or_things(self, miniatures):
        voc, things = (
            COCOSegmentationDataset(miniatures["coco"], mode="val", classes=c, min_pixels=0)
            for c in ("voc", "things")
        )
        assert (voc.num_class, things.num_class) == (21, 81)
        assert voc.classes[voc[1][1][5, 5]] == "background"
        assert things.classes[things[1][1][5, 5]] == "stop sign"
        assert things.classes[things[1][1][3, 21]] == "person"
        with pytest.raises(ValueError, match="classes 'stuff': expected one of voc, things"):
            COCOSegmentationDataset(miniatures["coco"], classes="stuff")

    def test_every_class_of_voc_is_among_the_things(self):
        things = set(get_meta("coco_things").classes)
        names = [COCO_NAMES_OF_VOC.get(name, name) for name in get_meta("coco").classes]
        assert len(things) == 81 and set(names) <= things and len(set(names)) == 21

    def test_things_are_named_as_in_the_file(self, shared_data):
        content = json.loads((shared_data / "coco/annotations/instances_val2017.json").read_text())
        names = [category["name"] for category in content["categories"][:80]]
        assert get_meta("coco_things").classes == ("background", *names)

    def test_images_with_few_labelled_pixels_are_left_out(self, miniature):
        root = miniature("coco")
        # The person of the second image; the crowd of the first does not count.
        count = int(COCOSegmentationDataset(root, mode="val", min_pixels=0)[1][1].sum() / 15)
        assert count == 4 * 2
        for least, left in ((-1, 2), (0, 2), (count - 1, 2), (count, 1)):
            assert len(COCOSegmentationDataset(root, min_pixels=least)) == left
        with pytest.raises(ValueError, match="more than 1000 labelled pixels"):
            COCOSegmentationDataset(root)

    def test_what_is_kept_is_counted_once(self, miniature, monkeypatch):
        root = miniature("coco")
        first = names_of(COCOSegmentationDataset(root, min_pixels=100))
        path = root / "annotations" / "instances_train2017.voc.100.kept.json"
        assert json.loads(path.read_text())["ids"] == [7]
        assert list(path.parent.glob(f"{path.name}*")) == [path]
        with monkeypatch.context() as patched:
            patched.setattr("gluonvision.data.files.coco_annotations.decode", None)
            assert names_of(COCOSegmentationDataset(root, min_pixels=100)) == first
        # A changed file, and a broken index, are counted again.
        annotations = root / "annotations" / "instances_train2017.json"
        os.utime(annotations, ns=(0, 12345))
        path.write_text(path.read_text().replace("[7]", "[9]"))
        assert names_of(COCOSegmentationDataset(root, min_pixels=100)) == first
        path.write_text("{")
        assert names_of(COCOSegmentationDataset(root, min_pixels=100)) == first

    def test_the_index_need_not_be_written(self, miniature, monkeypatch):
        def refuse(*arguments, **options):
            raise PermissionError

        monkeypatch.setattr("gluonvision.utils.atomic.write_text", refuse)
        assert len(COCOSegmentationDataset(miniature("coco"), min_pixels=0)) == 2

    @pytest.mark.parametrize(
        "content, message",
        [
            ("", "JSONDecodeError"),
            ("[1]", "TypeError"),
            ("[" * 100_000, "RecursionError"),
            ("{}", "categories"),
            ('{"images": [], "annotations": [], "categories": []}', "no category airplane"),
        ],
    )
    def test_no_annotation_file(self, miniature, content, message):
        root = miniature("coco")
        (root / "annotations" / "instances_train2017.json").write_text(content)
        with pytest.raises(ValueError, match=rf"train2017\.json: is not an annotation.*{message}"):
            COCOSegmentationDataset(root)
        (root / "annotations" / "instances_train2017.json").unlink()
        with pytest.raises(
            FileNotFoundError, match=r"train2017\.json: no such file.*prepare mscoco"
        ):
            COCOSegmentationDataset(root)

    @staticmethod
    def _change(root, change):
        """Change the content of the annotation file of val."""
        path = root / "annotations" / "instances_val2017.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    @pytest.mark.parametrize(
        "changed, message",
        [
            ({"image_id": 99}, "annotation 3 belongs to image 99, and no image has this id"),
            ({"image_id": "7"}, "annotation 3 belongs to image '7'"),
            ({"image_id": None, "id": None}, "annotation None belongs to image None"),
        ],
    )
    def test_an_annotation_of_no_image(self, miniature, changed, message):
        root = miniature("coco")
        self._change(root, lambda content: content["annotations"][2].update(changed))
        with pytest.raises(ValueError, match=rf"val2017\.json: .*{message}.*or fix"):
            COCOSegmentationDataset(root, "val", min_pixels=0)

    @pytest.mark.parametrize(
        "key, number, changed, message",
        [
            ("images", 1, {"id": 7}, "two images have the id 7, one is 000000000009.jpg"),
            ("images", 0, {"height": 0}, "image 7 is 32x0"),
            ("categories", 0, {"id": 2}, "two of its categories have the same id"),
            ("categories", 0, {"name": "people"}, "no category person"),
        ],
    )
    def test_ids_and_names_that_do_not_fit(self, miniature, key, number, changed, message):
        root = miniature("coco")
        self._change(root, lambda content: content[key][number].update(changed))
        with pytest.raises(ValueError, match=rf"val2017\.json: .*{message}.*or fix"):
            COCOSegmentationDataset(root, "val", min_pixels=0)

    @pytest.mark.parametrize("key", ["id", "file_name", "height", "width"])
    def test_an_image_that_lacks_something(self, miniature, key):
        root = miniature("coco")
        self._change(root, lambda content: content["images"][1].pop(key))
        with pytest.raises(ValueError, match=rf"val2017\.json: .*image .* has no .*{key}"):
            COCOSegmentationDataset(root, "val", min_pixels=0)

    @pytest.mark.parametrize(
        "changed, message",
        [
            ({"category_id": 999}, "category_id 999, which no category has"),
            ({"category_id": None}, "category_id None"),
            ({"iscrowd": "0"}, "iscrowd '0', expected 0 or 1"),
            ({"segmentation": None}, "got none"),
            ({"segmentation": []}, "got none"),
        ],
    )
    def test_an_annotation_that_is_wrong_breaks_its_image_alone(self, miniature, changed, message):
        root = miniature("coco")
        self._change(root, lambda content: content["annotations"][2].update(changed))
        dataset = COCOSegmentationDataset(root, "val", min_pixels=0)
        with pytest.raises(ValueError, match=rf"val2017\.json: image 7 .*{message}.*or fix"):
            dataset[0]
        assert names_of(COCOSegmentationDataset(root, "val", min_pixels=0, skip_broken=True)) == [
            "000000000009"
        ]

    def test_what_is_missing_from_an_annotation_breaks_its_image_alone(self, miniature):
        root = miniature("coco")
        self._change(root, lambda content: content["annotations"][2].pop("segmentation"))
        with pytest.raises(ValueError, match=r"image 7 .*got none"):
            COCOSegmentationDataset(root, "val", min_pixels=0)[0]

    def test_two_categories_of_one_name_are_one_class(self, miniature):
        root = miniature("coco")
        whole = COCOSegmentationDataset(root, "val", min_pixels=0)[0][1]
        self._change(root, lambda content: content["categories"].append({"id": 500, "name": "cat"}))
        assert np.array_equal(COCOSegmentationDataset(root, "val", min_pixels=0)[0][1], whole)
        self._change(root, lambda content: content["annotations"][2].update(category_id=500))
        assert np.array_equal(COCOSegmentationDataset(root, "val", min_pixels=0)[0][1], whole)

    def test_a_broken_segment_names_the_image(self, miniature):
        root = miniature("coco")
        path = root / "annotations" / "instances_val2017.json"
        content = json.loads(path.read_text())
        content["annotations"][-1]["segmentation"] = [[1, 2]]
        path.write_text(json.dumps(content))
        dataset = COCOSegmentationDataset(root, "val", min_pixels=0)
        assert dataset[0][1].shape == SIZE
        with pytest.raises(ValueError, match=r"val2017\.json: image 9 .*2 numbers"):
            dataset[1]
        left = COCOSegmentationDataset(root, "val", min_pixels=0, skip_broken=True)
        assert names_of(left) == ["000000000007"] and len(left.skipped) == 1
        assert left[0][1].max() > 0


class TestOthers:
    def test_ade20k_test_has_no_masks(self, miniatures):
        dataset = get_segmentation_dataset("ade20k", miniatures["ade20k"], "test")
        assert dataset.mode == "test" and dataset[0][1] == "ADE_test_00000001.jpg"
        with pytest.raises(ValueError, match="needs masks"):
            get_segmentation_dataset("ade20k", miniatures["ade20k"], "test", "val")

    def test_ade20k_labels(self, miniatures):
        mask = get_segmentation_dataset("ade20k", miniatures["ade20k"], "val", "val")[0][1]
        assert np.array_equal(mask, scene(1, 151)[1] - 1)

    def test_cityscapes_train_ids(self, miniatures):
        dataset = get_segmentation_dataset("citys", miniatures["citys"], "val", "val")
        ids = scene(0, 34)[1]
        mask = dataset[0][1]
        # cityscapesScripts: road 7, sidewalk 8, pole 17, sky 23, car 26, bicycle 33; parking 9 out.
        for number, name in ((7, "road"), (8, "sidewalk"), (17, "pole"), (23, "sky"), (26, "car")):
            assert (mask[ids == number] == dataset.classes.index(name)).all()
        assert (mask[ids == 33] == 18).all() and (mask[ids == 9] == -1).all()
        # Train ids go up with the ids.
        used = [*range(7, 9), *range(11, 14), 17, *range(19, 29), *range(31, 34)]
        assert [i for i, train_id in enumerate(CITYSCAPES_TRAIN_IDS) if train_id >= 0] == used
        assert [CITYSCAPES_TRAIN_IDS[i] for i in used] == list(range(19))
        assert len(CITYSCAPES_TRAIN_IDS) == 34

    def test_cityscapes_splits(self, miniatures):
        root = miniatures["citys"]
        assert len(get_segmentation_dataset("citys", root, "trainval")) == 4
        test = get_segmentation_dataset("citys", root, "test")
        assert test.mode == "test" and test[0][1].endswith("_leftImg8bit.png")

    def test_what_lies_beside_cities_is_none(self, miniature):
        root = miniature("citys")
        (root / "leftImg8bit" / "val" / "Thumbs.db").write_bytes(b"x")
        assert len(get_segmentation_dataset("citys", root, "val")) == 2
        for city in ("aachen", "bochum"):
            shutil.rmtree(root / "leftImg8bit" / "val" / city)
        with pytest.raises(FileNotFoundError, match="holds no folder of a city"):
            get_segmentation_dataset("citys", root, "val")

    @pytest.mark.parametrize(
        "name, folder", [("ade20k", "images/validation"), ("citys", "leftImg8bit/val/aachen")]
    )
    def test_an_image_is_not_lost_for_its_endings_letters(self, miniature, name, folder):
        root = miniature(name)
        image = get_segmentation_dataset(name, root, "val").images[0]
        assert image.parent.match(folder)
        image.rename(image.with_suffix(image.suffix.upper()))
        with pytest.raises(ValueError, match=rf"{image.stem}\.(JPG|PNG) differs in case.*rename"):
            get_segmentation_dataset(name, root, "val")

    def test_cityscapes_id_that_does_not_exist(self, miniature):
        root = miniature("citys")
        dataset = get_segmentation_dataset("citys", root, "val", "val")
        Image.fromarray(np.full(SIZE, 34, np.uint8)).save(dataset.masks[1])
        with pytest.raises(ValueError, match=r"labelIds\.png: label 34"):
            dataset[1]

    def test_camvid_unlabelled_is_11_or_255(self, miniature):
        root = miniature("camvid")
        dataset = get_segmentation_dataset("camvid", root, "val", "val")
        labels = scene(1, 12)[1]
        assert np.array_equal(dataset[0][1], np.where(labels == 11, -1, labels))
        Image.fromarray(np.full(SIZE, 255, np.uint8)).save(dataset.masks[0])
        assert (dataset[0][1] == -1).all()
        assert get_segmentation_dataset("camvid", root, "test", "val")[0][1].max() == 10
        assert len(get_segmentation_dataset("camvid", root, "trainval")) == 4


class TestMasks:
    """As users have them: read where the facts say how, refused with the mend otherwise."""

    META = Meta("own", ("sky", "tree", "car"), ((0, 0, 255), (0, 128, 0), (9, 9, 9)))

    @pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
    def test_colours(self, tmp_path, mode):
        labels = np.array([[0, 1, 2], [-1, 2, 0]])
        colours = np.array([*self.META.palette, (0, 0, 0)], np.uint8)[labels]
        picture = Image.fromarray(colours)
        picture = picture.quantize(8) if mode == "P" else picture.convert(mode)
        picture.save(tmp_path / "a.png")
        meta = Meta(**{**vars(self.META), "masks": "colours"})
        assert np.array_equal(read_mask(tmp_path / "a.png", meta), labels)

    def test_unknown_colour(self, tmp_path):
        colours = np.zeros((4, 5, 3), np.uint8)
        colours[2, 3:] = 1, 2, 3
        colours[3, 0] = 7, 7, 7
        Image.fromarray(colours).save(tmp_path / "a.png")
        meta = Meta(**{**vars(self.META), "masks": "colours"})
        message = r"a\.png: colour \(1, 2, 3\) at row 2, column 3 \(2 pixels, and 1 further"
        with pytest.raises(ValueError, match=message):
            read_mask(tmp_path / "a.png", meta)

    def test_colours_that_cannot_be_told(self, tmp_path):
        Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(tmp_path / "a.png")
        meta = Meta("own", ("a", "b"), ((0, 0, 0), (0, 0, 0)), masks="colours")
        with pytest.raises(ValueError, match="share a colour"):
            read_mask(tmp_path / "a.png", meta)
        half = np.full((2, 2, 4), 128, np.uint8)
        Image.fromarray(half).save(tmp_path / "a.png")
        meta = Meta(**{**vars(self.META), "masks": "colours"})
        with pytest.raises(ValueError, match=r"a\.png.*transparent"):
            read_mask(tmp_path / "a.png", meta)
        Image.fromarray(np.zeros((2, 2), np.uint16)).save(tmp_path / "a.png")
        with pytest.raises(ValueError, match=r"a\.png.*colours were expected"):
            read_mask(tmp_path / "a.png", meta)

    def test_16_bits_and_values_beyond_them(self, tmp_path):
        meta = Meta(**{**vars(self.META), "values": ((1000, 1), (40000, 2), (7, -1))})
        Image.fromarray(np.array([[0, 1000, 40000, 7, 255]], np.uint16)).save(tmp_path / "a.png")
        assert read_mask(tmp_path / "a.png", meta).tolist() == [[0, 1, 2, -1, -1]]
        Image.fromarray(np.array([[0, 999]], np.uint16)).save(tmp_path / "a.png")
        with pytest.raises(ValueError, match="label 999 at row 0, column 1"):
            read_mask(tmp_path / "a.png", meta)

    def test_deep_images_are_refused_not_clipped(self, tmp_path):
        Image.fromarray(np.full((4, 4), 40000, np.uint16)).save(tmp_path / "a.png")
        with pytest.raises(ValueError, match=r"a\.png.*more than 8 bits.*scale"):
            read_image(tmp_path / "a.png")


class TestFolder:
    @pytest.fixture
    def own(self, tmp_path):
        """images/ and masks/ with two splits of two pictures, and classes.txt."""
        root = tmp_path / "own"
        for split in ("train", "val"):
            for kind, ending in (("images", "jpg"), ("masks", "png")):
                (root / kind / split).mkdir(parents=True)
                for number in (1, 2):
                    picture = scene(number, 3)[kind == "masks"].astype(np.uint8)
                    Image.fromarray(picture).save(root / kind / split / f"{number}.{ending}")
        (root / "classes.txt").write_text("sky\ntraffic light\n\ncar\n")
        return root

    def test_two_folders(self, own):
        dataset = get_segmentation_dataset("folder", own, "val")
        assert dataset.classes == ("sky", "traffic light", "car") and dataset.mode == "val"
        assert names_of(dataset) == ["1", "2"]
        assert np.array_equal(dataset[0][1], scene(1, 3)[1])
        assert dataset_meta("folder", own) == dataset.meta

    def test_images_in_sub_folders_are_not_left_out_silently(self, own):
        (own / "images" / "train" / "day").mkdir()
        (own / "images" / "train" / ".thumbnails").mkdir()
        one = own / "images" / "train" / "1.jpg"
        shutil.copy(one, own / "images" / "train" / ".thumbnails")
        FolderSegmentationDataset(own, "train")
        shutil.copy(one, own / "images" / "train" / "day")
        with pytest.raises(ValueError, match="1 images are in its subfolder day"):
            FolderSegmentationDataset(own, "train")

    def test_a_jpeg_mask_is_told_as_such_where_broken_ones_are_left_out(self, own):
        mask = min((own / "masks" / "train").glob("*.png"))
        Image.open(mask).convert("L").save(mask.with_suffix(".jpg"))
        mask.unlink()
        dataset = FolderSegmentationDataset(own, "train", skip_broken=True)
        assert [file.stem for file, _ in dataset.skipped] == [mask.stem]
        assert "a mask cannot be a JPEG" in dataset.skipped[0][1]

    def test_without_splits(self, own):
        for kind in ("images", "masks"):
            for path in (own / kind / "val").iterdir():
                shutil.copy(path, own / kind)
        assert len(FolderSegmentationDataset(own, None, "val")) == 2

    @pytest.mark.parametrize("separator", [" ", "\t", ", "])
    def test_list_file(self, own, separator):
        line = separator.join(("images/val/2.jpg", "masks/val/1.png"))
        (own / "odd.txt").write_text(f"# mine\n\n{line}\n")
        dataset = FolderSegmentationDataset(own, "odd", "val")
        assert len(dataset) == 1 and np.array_equal(dataset[0][1], scene(1, 3)[1])

    def test_byte_order_marks_of_windows_editors(self, own):
        (own / "classes.txt").write_text("sky\ntree\ncar\n", encoding="utf-8-sig")
        (own / "dataset.json").write_text('{"ignored_value": 9}', encoding="utf-8-sig")
        (own / "odd.txt").write_text("images/val/2.jpg masks/val/1.png", encoding="utf-8-sig")
        dataset = FolderSegmentationDataset(own, "odd", "val")
        assert dataset.classes[0] == "sky" and dataset.meta.ignored_value == 9
        assert len(dataset[0]) == 2

    def test_names_in_another_encoding(self, own):
        (own / "classes.txt").write_text("Straße\n", encoding="latin-1")
        with pytest.raises(ValueError, match=r"classes\.txt: is not UTF-8"):
            FolderSegmentationDataset(own, "val")

    @pytest.mark.parametrize(
        "line, message",
        [
            ("images/val/3.jpg masks/val/1.png", r"images/val/3\.jpg does not exist \(1 of 4"),
            ("images/val/2.jpg masks/3.png", r"masks/3\.png does not exist.*relative"),
            (r"images\val\2.jpg masks\val\2.png", "with / instead of"),
        ],
    )
    def test_a_listed_file_that_is_not_there_is_found_before_training(self, own, line, message):
        (own / "odd.txt").write_text(f" # mine\nimages/val/1.jpg masks/val/1.png\r\n{line}\r\n")
        with pytest.raises(FileNotFoundError, match=rf"odd\.txt: .*{message}.*--skip-broken"):
            FolderSegmentationDataset(own, "odd", "val")
        assert names_of(FolderSegmentationDataset(own, "odd", "val", skip_broken=True)) == ["1"]

    def test_masks_that_are_jpegs_are_refused(self, own):
        path = own / "masks" / "val" / "1.png"
        Image.open(path).save(path.with_suffix(".jpg"))
        path.unlink()
        with pytest.raises(
            FileNotFoundError, match=r"no mask for 1\.jpg.*1\.jpg cannot be a mask, because JPEG"
        ):
            FolderSegmentationDataset(own, "val")

    @pytest.mark.parametrize("text", ["a b c\n", "a\n", "", "# nothing\n"])
    def test_wrong_list_file(self, own, text):
        (own / "odd.txt").write_text(text)
        with pytest.raises(ValueError, match=r"odd\.txt"):
            FolderSegmentationDataset(own, "odd")

    def test_binary_masks(self, own):
        for path in (own / "masks" / "val").iterdir():
            values = np.array(Image.open(path))
            Image.fromarray(np.where(values > 0, 255, 0).astype(np.uint8)).save(path)
        names = ("other", "car")
        plain = FolderSegmentationDataset(own, "val", names=names)
        with pytest.raises(ValueError, match=r"1\.png: contains only 0 and 255.*values=\{255: 1\}"):
            plain[0]
        read = FolderSegmentationDataset(own, "val", names=names, values={255: 1})
        assert np.array_equal(read[0][1], scene(1, 3)[1] > 0)
        ignored = FolderSegmentationDataset(own, "val", names=names, ignored_value=255)
        assert set(np.unique(ignored[0][1])) == {-1, 0}

    def test_facts_from_a_file(self, own):
        facts = {
            "names": ["a", "b", "c"],
            "palette": [[1, 2, 3], [4, 5, 6], [7, 8, 9]],
            "mask_format": "colours",
        }
        (own / "dataset.json").write_text(json.dumps(facts))
        for path in (own / "masks" / "val").iterdir():
            labels = np.array(Image.open(path))
            Image.fromarray(np.array(facts["palette"], np.uint8)[labels]).save(path)
        dataset = FolderSegmentationDataset(own, "val")
        assert dataset.classes == ("a", "b", "c")
        assert np.array_equal(dataset[1][1], scene(2, 3)[1])
        (own / "dataset.json").write_text('{"values": {"2": -1}}')
        assert FolderSegmentationDataset(own, "train", "val")[0][1].min() == -1

    def test_a_colour_that_means_not_labelled(self, own):
        facts = {"palette": [[0, 0, 0], [1, 1, 1], [2, 2, 2]], "mask_format": "colours"}
        (own / "dataset.json").write_text(json.dumps(facts))
        path = own / "masks" / "val" / "1.png"
        pixels = np.zeros((*SIZE, 3), np.uint8)
        pixels[:2] = (9, 8, 7)
        Image.fromarray(pixels).save(path)
        with pytest.raises(
            ValueError, match=r"colour \(9, 8, 7\).*ignored_colour in dataset\.json"
        ):
            FolderSegmentationDataset(own, "val")[0]
        (own / "dataset.json").write_text(json.dumps({**facts, "ignored_colour": [9, 8, 7]}))
        labels = FolderSegmentationDataset(own, "val")[0][1]
        assert (labels[:2] == -1).all() and not labels[2:].any()

    @pytest.mark.parametrize(
        "wrong, message",
        [
            ({"names": []}, "0 names"),
            ({"names": ["a", "a"]}, "no duplicates"),
            ({"names": "abc"}, "names 'abc': expected a list"),
            ({"names": {"0": "a", "1": "b", "2": "c"}}, "expected a list, in the order"),
            ({"names": ["a", None, "c"]}, "the name None: expected text"),
            ({"names": ["a", " ", "c"]}, "the name ' ': expected text"),
            ({"values": {2: 1.7}}, "1.7: expected a whole number"),
            ({"values": {"1": 0, "01": 2}}, "is given twice"),
            ({"ignored_value": 254.5}, "254.5: expected a whole number"),
            ({"palette": [[0, 0, 0]] * 3, "mask_format": "colours"}, r"share the colour \(0, 0, 0"),
            ({"names": map(str, range(256))}, "256 names: expected 255 at most"),
            ({"palette": [(0, 0, 0)]}, "1 colours for 3 names"),
            ({"palette": [(0, 0, 0), (1, 1, 1), (0, 256, 0)]}, "each 0 to 255"),
            ({"values": {9: 3}}, "a class is -1 to 2"),
            ({"mask_format": "rgb"}, "'rgb': expected indices or colours"),
            ({"ignored_colour": (0, 0)}, r"\(0, 0\): a colour is \(R, G, B\)"),
            ({"ignored_colour": (128, 0, 0)}, "is the colour of class 1; give another"),
        ],
    )
    def test_facts_that_do_not_fit(self, own, wrong, message):
        with pytest.raises(ValueError, match=message):
            FolderSegmentationDataset(own, "val", **wrong)

    @pytest.mark.parametrize(
        "text, message",
        [("{", "not JSON"), ("[]", "an object"), ('{"colors": []}', "unknown key 'colors'")],
    )
    def test_wrong_facts_file(self, own, text, message):
        (own / "dataset.json").write_text(text)
        with pytest.raises(ValueError, match=rf"dataset\.json.*{message}"):
            FolderSegmentationDataset(own, "val")

    def test_missing_parts(self, own):
        with pytest.raises(ValueError, match="--data-folder"):
            FolderSegmentationDataset(None)
        with pytest.raises(FileNotFoundError, match="absent: no such folder"):
            FolderSegmentationDataset(own / "absent")
        with pytest.raises(FileNotFoundError, match="there is one in .*: pass that folder"):
            FolderSegmentationDataset(own / "images", "val")
        with pytest.raises(FileNotFoundError, match=r"images/test.*test\.txt"):
            FolderSegmentationDataset(own, "test")
        (own / "masks" / "val" / "2.png").unlink()
        with pytest.raises(FileNotFoundError, match=r"no mask for 2\.jpg \(1 of 2"):
            FolderSegmentationDataset(own, "val")
        assert len(FolderSegmentationDataset(own, "val", skip_broken=True)) == 1
        shutil.copy(own / "images" / "val" / "1.jpg", own / "images" / "val" / "1.jpeg")
        with pytest.raises(ValueError, match=r"1\.jpe?g and 1\.jpe?g have the same name"):
            FolderSegmentationDataset(own, "val")
        (own / "classes.txt").unlink()
        with pytest.raises(FileNotFoundError, match=r"classes\.txt"):
            FolderSegmentationDataset(own, "train")

    def test_images_alone_can_be_predicted(self, own):
        (own / "masks").rename(own / "labels")
        assert FolderSegmentationDataset(own, "val", "test")[0][1] == "1.jpg"
        with pytest.raises(ValueError, match=r"masks/val: no such folder.*'val' needs masks; put"):
            FolderSegmentationDataset(own, "val")
        with pytest.raises(ValueError, match="mode 'vall': expected one of"):
            FolderSegmentationDataset(own, "val", "vall")

    def test_trains_and_loads(self, own, tmp_path, monkeypatch):
        from gluonvision.runs.artifacts import load_run
        from gluonvision.runs.config import TrainConfig
        from gluonvision.training.loop import train

        monkeypatch.chdir(tmp_path)
        sizes = {"base_size": 32, "crop_size": 32, "batch_size": 2, "epochs": 1, "workers": 0}
        net = {"backbone": "mobilenet_v2", "pretrained_base": False, "no_cuda": True}
        weights = train(TrainConfig(dataset="folder", data_folder=str(own), **sizes, **net))
        _, facts = load_run(weights)
        assert facts.classes == ("sky", "traffic light", "car")


class TestSkipBroken:
    def _break(self, root):
        folder = root / "VOCdevkit" / "VOC2012"
        jpeg = folder / "JPEGImages" / "2012_000000.jpg"
        jpeg.write_bytes(jpeg.read_bytes()[:300])
        (folder / "SegmentationClass" / "2012_000001.png").unlink()
        Image.fromarray(np.zeros((3, 3), np.uint8)).save(
            folder / "SegmentationClass" / "2012_000003.png"
        )
        wrong = np.full(SIZE, 99, np.uint8)
        Image.fromarray(wrong).save(folder / "SegmentationClass" / "2012_000004.png")

    def test_lists_and_leaves_out(self, miniature, caplog):
        root = miniature("pascal_voc")
        self._break(root)
        with caplog.at_level(logging.WARNING):
            dataset = VOCSegmentationDataset(root, "trainval", "val", skip_broken=True)
        assert names_of(dataset) == ["2012_000002", "2012_000005"]
        assert [path.stem[-1] for path, _ in dataset.skipped] == list("0134")
        assert len([dataset[i] for i in range(len(dataset))]) == 2
        assert "skipped 4 of 6 images" in caplog.text and "label 99" in caplog.text
        assert all(name in caplog.text for name in ("000000.jpg", "000001.png", "000003.png"))

    def test_says_nothing_where_all_is_well(self, miniatures, caplog):
        dataset = VOCSegmentationDataset(miniatures["pascal_voc"], skip_broken=True)
        assert len(dataset) == 4 and not dataset.skipped and not caplog.text

    def test_missing_files_of_both_sets(self, miniature):
        root = miniature("pascal_aug")
        (root / "VOCaug/dataset/cls/2012_000010.mat").unlink()
        (root / "VOCdevkit/VOC2012/SegmentationClass/2012_000003.png").unlink()
        with pytest.raises(FileNotFoundError, match=r"2012_0000\d\d.*--skip-broken"):
            VOCAugSegmentationDataset(root, "trainaug")
        dataset = VOCAugSegmentationDataset(root, "trainaug", skip_broken=True)
        assert names_of(dataset) == [f"2012_{number:06d}" for number in (0, 1, 2, 11)]

    def test_nothing_left(self, miniature):
        root = miniature("pascal_voc")
        for path in root.rglob("*.jpg"):
            path.write_bytes(b"")
        with pytest.raises(ValueError, match=r"every image .* broken.*000000\.jpg"):
            VOCSegmentationDataset(root, skip_broken=True)

    def test_option_of_the_command_line(self, miniature):
        from command_lines import parse_arguments

        from gluonvision.runs import factory

        root = miniature("pascal_voc")
        self._break(root)
        command = ["--data-folder", str(root), "--train-split", "trainval", "--skip-broken"]
        dataset = factory.training_data(parse_arguments(command))
        assert names_of(dataset) == ["2012_000002", "2012_000005"]

    def test_only_images_count_for_predicting(self, miniature):
        root = miniature("pascal_voc")
        self._break(root)
        dataset = VOCSegmentationDataset(root, "trainval", "test", skip_broken=True)
        assert [path.stem[-1] for path, _ in dataset.skipped] == ["0"]


_BOMB = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
CORPUS = {
    "empty": b"",
    "text": b"not a picture",
    "page": b"<!DOCTYPE html><html></html>",
    "zeros": bytes(5000),
    "png signature": b"\x89PNG\r\n\x1a\n",
    # 100,000 x 100,000 pixels, by its header.
    "png bomb": b"\x89PNG\r\n\x1a\n\0\0\0\r" + _BOMB + zlib.crc32(_BOMB).to_bytes(4, "big"),
    "jpeg signature": b"\xff\xd8\xff\xe0\0\x10JFIF",
    "gif of no size": b"GIF89a\0\0\0\0\0\0\0;",
    "tiff that points nowhere": b"II*\0\xff\xff\xff\x7f",
    "bmp": b"BM" + bytes(60),
}


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
class TestCorpus:
    """No broken file hangs, crashes or passes silently."""

    @pytest.mark.parametrize("kind", CORPUS)
    @pytest.mark.parametrize("suffix", ["png", "jpg", "mat"])
    def test_files_that_are_something_else(self, tmp_path, kind, suffix):
        path = tmp_path / f"a.{suffix}"
        path.write_bytes(CORPUS[kind])
        for read in (read_image, lambda path: read_mask(path, "pascal_voc")):
            with pytest.raises(ValueError, match=rf"a\.{suffix}: cannot be read.*download"):
                read(path)

    def test_a_folder_for_a_file(self, tmp_path):
        (tmp_path / "a.png").mkdir()
        with pytest.raises(ValueError, match=r"a\.png: cannot be read"):
            read_image(tmp_path / "a.png")

    @pytest.mark.parametrize("name", [name for name in MAKERS if name != "coco"])
    def test_a_truncated_mask_is_an_error_or_lacks_nothing(self, miniature, name):
        dataset = get_segmentation_dataset(name, miniature(name), "val", "val")
        path, whole = dataset.masks[0], dataset[0][1]
        content, failed = path.read_bytes(), 0
        for length in range(0, len(content), 7):
            path.write_bytes(content[:length])
            try:
                assert np.array_equal(dataset[0][1], whole)
            except ValueError as error:
                assert path.name in str(error)
                failed += 1
        # The last bytes of a PNG hold no pixels.
        assert failed >= (len(content) - 24) // 7
