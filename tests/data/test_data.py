"""Data sets and batches: layouts, labels, broken files, order."""

import os
import shutil
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image
from png_files import png_of

from gluonvision.data import (
    SegmentationDataset,
    VOCSegmentationDataset,
    get_segmentation_dataset,
    read_image,
    read_mask,
)
from gluonvision.data.datasets.synthetic import make_voc_like
from gluonvision.data.datasets.voc import find_voc
from gluonvision.data.meta import get_meta

# Seen in the pictures: (x, y) of a point on each thing, well inside it.
REAL_PIXELS = [
    ("2007_000129", (170, 380), "bicycle"),
    ("2007_000129", (160, 170), "person"),
    ("2007_000129", (70, 430), "background"),
    ("2007_004189", (290, 80), "dog"),
    ("2007_004189", (100, 250), "background"),
    ("2007_006449", (330, 330), "background"),
    ("2008_002536", (310, 120), "sheep"),
    ("2008_002536", (400, 135), "sheep"),
    ("2010_005582", (100, 125), "bottle"),
    ("2010_005582", (170, 180), "person"),
    ("2010_005582", (250, 30), "background"),
]


@pytest.fixture
def voc_copy(voc_like, tmp_path):
    """A copy of the generated VOC2012 folder that a test may break."""
    return shutil.copytree(voc_like, tmp_path / "copy") / "VOCdevkit" / "VOC2012"


class TestMeta:
    @pytest.mark.parametrize(
        "name, classes",
        [
            ("pascal_voc", 21),
            ("pascal_aug", 21),
            ("coco", 21),
            ("mscoco", 21),
            ("ade20k", 150),
            ("citys", 19),
            ("camvid", 11),
        ],
    )
    def test_a_name_and_a_colour_for_each_class(self, name, classes):
        meta = get_meta(name)
        assert meta.num_class == len(set(meta.classes)) == len(meta.palette) == classes
        assert all(len(c) == 3 and min(c) >= 0 and max(c) <= 255 for c in meta.palette)

    def test_known_colours(self):
        voc = get_meta("pascal_voc")
        assert voc.palette[voc.classes.index("person")] == (192, 128, 128)
        assert voc.palette[voc.classes.index("tvmonitor")] == (0, 64, 128)
        assert voc.ignored_colour == (224, 224, 192)
        citys = get_meta("citys")
        assert citys.palette[citys.classes.index("sky")] == (70, 130, 180)

    def test_unknown_name_lists_the_known(self):
        with pytest.raises(ValueError, match=r"'voc12'.*ade20k.*pascal_voc"):
            get_meta("voc12")

    def test_camvid_names_are_those_of_its_file(self, shared_data):
        names = (shared_data / "camvid" / "classes.txt").read_text().split()
        assert get_meta("camvid").classes == tuple(names)

    def test_facts_need_no_library(self):
        code = (
            "import sys, gluonvision.data.meta, gluonvision.utils;"
            "print([m for m in ('numpy', 'PIL', 'cv2', 'torch', 'mxnet') if m in sys.modules])"
        )
        assert _python(code) == "[]"

    def test_data_needs_no_framework(self):
        code = (
            "import sys, gluonvision.data.loading.loader, gluonvision.data.datasets.voc;"
            "import gluonvision.metrics;"
            "import gluonvision.plots.masks, gluonvision.data.datasets.synthetic;"
            "print([m for m in ('torch', 'mxnet') if m in sys.modules])"
        )
        assert _python(code) == "[]"


class TestVOC:
    @pytest.mark.parametrize("inner", ["", "VOCdevkit", "VOCdevkit/VOC2012"])
    def test_root_is_any_of_three_folders(self, voc_like, inner):
        assert len(VOCSegmentationDataset(voc_like / inner, split="trainval")) == 6

    @pytest.mark.parametrize("folder", ["voc", "."])
    def test_root_from_the_environment(self, voc_like, tmp_path, monkeypatch, folder):
        (tmp_path / "voc").symlink_to(voc_like)
        monkeypatch.setenv("GLUONVISION_DATA", str(tmp_path / folder))
        assert find_voc().samefile(voc_like / "VOCdevkit" / "VOC2012")

    def test_missing_data_says_where_and_what_to_do(self, tmp_path, monkeypatch):
        monkeypatch.delenv("GLUONVISION_DATA", raising=False)
        monkeypatch.setenv("HOME", str(tmp_path))
        with pytest.raises(FileNotFoundError, match=r"(?s)mxnet.datasets.voc.*prepare pascal_voc"):
            VOCSegmentationDataset()

    def test_splits(self, voc_like):
        names = {
            split: [path.stem for path in VOCSegmentationDataset(voc_like, split=split).images]
            for split in ("train", "val", "trainval")
        }
        assert names["trainval"] == names["train"] + names["val"]
        assert (len(names["train"]), len(names["val"])) == (4, 2)

    @pytest.mark.parametrize("split, mode", [("train", "train"), ("val", "val")])
    def test_mode_follows_the_split(self, voc_like, split, mode):
        assert VOCSegmentationDataset(voc_like, split=split).mode == mode

    def test_training_sample(self, voc_like):
        dataset = VOCSegmentationDataset(voc_like, base_size=130, crop_size=120)
        image, mask = dataset[0]
        assert (image.shape, image.dtype) == ((120, 120, 3), np.uint8)
        assert (mask.shape, mask.dtype) == ((120, 120), np.int32)

    @pytest.mark.parametrize("mode", ["val", "testval"])
    def test_whole_sample_is_the_file(self, voc_like, mode):
        dataset = VOCSegmentationDataset(voc_like, split="val", mode=mode)
        image, mask = dataset[1]
        assert np.array_equal(image, np.array(Image.open(dataset.images[1])))
        stored = np.array(Image.open(dataset.masks[1])).astype(int)
        assert np.array_equal(mask, np.where(stored == 255, -1, stored))
        assert mask.dtype == np.int32 and set(np.unique(stored)) >= {0, 255}

    def test_test_sample_has_its_name(self, voc_like):
        image, name = VOCSegmentationDataset(voc_like, split="val", mode="test")[0]
        assert image.shape == (90, 120, 3) and name == "2012_000004.jpg"

    def test_test_split_has_no_masks(self, voc_copy):
        lists = voc_copy / "ImageSets" / "Segmentation"
        shutil.copy(lists / "val.txt", lists / "test.txt")
        shutil.rmtree(voc_copy / "SegmentationClass")
        assert VOCSegmentationDataset(voc_copy, split="test")[0][1] == "2012_000004.jpg"
        with pytest.raises(ValueError, match="mode 'val' needs masks"):
            VOCSegmentationDataset(voc_copy, split="test", mode="val")

    def test_transform_gets_the_image(self, voc_like):
        dataset = VOCSegmentationDataset(voc_like, mode="val", transform=lambda image: image / 255)
        assert dataset[0][0].max() <= 1

    def test_iteration_ends_and_negative_indices_count_back(self, voc_like):
        dataset = VOCSegmentationDataset(voc_like, split="val")
        assert len(list(dataset)) == 2
        assert np.array_equal(dataset[-1][1], dataset[1][1])

    def test_sizes_and_lists_that_do_not_fit(self, voc_like):
        for sizes in ({"crop_size": 0}, {"crop_size": -3}, {"base_size": 1}):
            with pytest.raises(ValueError, match="at least 2 and 1 pixels"):
                VOCSegmentationDataset(voc_like, mode="train", **sizes)
        files = VOCSegmentationDataset(voc_like)
        with pytest.raises(ValueError, match="1 images and 2 masks"):
            SegmentationDataset(files.images[:1], files.masks[:2])

    def test_wrong_arguments(self, voc_like):
        with pytest.raises(ValueError, match="split 'training': expected one of train, val"):
            VOCSegmentationDataset(voc_like, split="training")
        with pytest.raises(ValueError, match="mode 'eval': expected one of train, val"):
            VOCSegmentationDataset(voc_like, mode="eval")
        with pytest.raises(ValueError, match="'voc'; the known ones are: .*pascal_aug, pascal_voc"):
            get_segmentation_dataset("voc")

    def test_by_name(self, voc_like):
        dataset = get_segmentation_dataset("pascal_voc", root=voc_like, split="val")
        assert isinstance(dataset, VOCSegmentationDataset)
        assert dataset.num_class == dataset.NUM_CLASS == 21 and dataset.classes[15] == "person"

    @pytest.mark.parametrize("name, point, expected", REAL_PIXELS)
    def test_real_pixels(self, shared_data, name, point, expected):
        dataset = VOCSegmentationDataset(shared_data, split="trainval", mode="val")
        mask = dataset[[path.stem for path in dataset.images].index(name)][1]
        assert dataset.classes[mask[point[1], point[0]]] == expected

    def test_real_split(self, shared_data):
        dataset = VOCSegmentationDataset(shared_data, split="train", mode="val")
        assert [path.stem for path in dataset.images] == [
            "2007_000129",
            "2007_004189",
            "2007_006449",
        ]
        assert (dataset[0][1] == -1).sum() == 17285


class TestFiles:
    def test_a_picture_is_turned_upright(self, tmp_path):
        pixels = np.zeros((8, 16, 3), np.uint8)
        pixels[:, :8] = 255
        exif = Image.Exif()
        exif[0x0112] = 6  # to be shown turned clockwise
        Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
        image = read_image(tmp_path / "turned.png")
        assert image.shape == (16, 8, 3)
        assert image[:8].min() == 255 and image[8:].max() == 0

    @pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
    def test_a_picture_with_damaged_exif_data_is_left_as_it_lies(self, tmp_path, ending):
        path = tmp_path / f"damaged.{ending}"
        Image.new("RGB", (16, 8)).save(path, exif=b"Exif\0\0garbagegarbage")
        assert read_image(path).shape == (8, 16, 3)

    def test_grey_picture_becomes_rgb(self, tmp_path):
        Image.fromarray(np.full((4, 5), 7, np.uint8)).save(tmp_path / "grey.png")
        assert np.array_equal(read_image(tmp_path / "grey.png"), np.full((4, 5, 3), 7))

    @pytest.mark.parametrize("mode", ["L", "P", "I", "I;16", "1"])
    def test_masks_of_indices(self, tmp_path, mode):
        values = np.array([[0, 1], [1, 0]], np.uint8)
        picture = Image.fromarray(values)
        if mode == "P":
            picture.putpalette([0] * 768)
        elif mode == "I;16":
            picture = Image.fromarray(values.astype(np.uint16))
        elif mode == "1":
            picture = Image.fromarray(values.astype(bool))
        elif mode == "I":
            picture = Image.fromarray(values.astype(np.int32))
        picture.save(tmp_path / "mask.tif")
        mask = read_mask(tmp_path / "mask.tif", "pascal_voc")
        assert mask.dtype == np.int32 and np.array_equal(mask, values)

    def test_offset_of_a_data_set(self, tmp_path):
        Image.fromarray(np.array([[0, 1, 150]], np.uint8)).save(tmp_path / "ade.png")
        assert read_mask(tmp_path / "ade.png", "ade20k").tolist() == [[-1, 0, 149]]

    @pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
    def test_mask_of_colours_is_refused(self, voc_copy, mode):
        path = voc_copy / "SegmentationClass" / "2012_000000.png"
        Image.open(path).convert(mode).save(path)
        with pytest.raises(ValueError, match=rf"2012_000000\.png.*Pillow mode {mode}.*palette"):
            VOCSegmentationDataset(voc_copy)[0]

    def test_label_out_of_range(self, voc_copy):
        path = voc_copy / "SegmentationClass" / "2012_000000.png"
        values = np.array(Image.open(path))
        values[3, 5] = 21
        Image.fromarray(values).save(path)
        with pytest.raises(ValueError, match=r"2012_000000\.png: label 21 at row 3, column 5"):
            VOCSegmentationDataset(voc_copy)[0]

    @pytest.mark.parametrize("name", ["mask.png", "mask.jpg"])
    def test_a_jpeg_is_no_mask_whatever_its_name(self, tmp_path, name):
        """Its invented values may well be classes: nothing else would show it."""
        values = np.kron(np.array([[20, 90], [150, 5]], np.uint8), np.ones((20, 20), np.uint8))
        Image.fromarray(values).save(tmp_path / name, "JPEG")
        with pytest.raises(ValueError, match=rf"{name}: a mask cannot be a JPEG.*PNG"):
            read_mask(tmp_path / name, "ade20k")

    @pytest.mark.parametrize("bits", [2, 4])
    @pytest.mark.parametrize("colour_type", [0, 3])
    def test_grey_of_few_bits_is_refused_and_a_palette_of_them_read(
        self, tmp_path, bits, colour_type
    ):
        """A grey 1 would be read as 17, or 85, which is a class of some data set."""
        rows = b"\0" + bytes([0x1B if bits == 2 else 0x01])
        header = struct.pack(">IIBBBBB", 8 // bits, 1, bits, colour_type, 0, 0, 0)
        content = png_of((b"IHDR", header), (b"PLTE", bytes(12)), (b"IDAT", zlib.compress(rows)))
        (tmp_path / "a.png").write_bytes(content)
        if colour_type == 3:
            expected = [[0, 1, 2, 3]] if bits == 2 else [[0, 1]]
            assert read_mask(tmp_path / "a.png", "pascal_voc").tolist() == expected
        else:
            with pytest.raises(ValueError, match=r"a\.png: .*less than 8 bits.*save it with 8"):
                read_mask(tmp_path / "a.png", "pascal_voc")

    def test_16_bits_of_either_byte_order(self, tmp_path):
        values = np.array([[0, 1], [20, 255]])
        for kind in ("<u2", ">u2"):
            Image.fromarray(values.astype(kind)).save(tmp_path / "a.tif")
            mask = read_mask(tmp_path / "a.tif", "pascal_voc")
            assert mask.dtype == np.int32 and mask.tolist() == [[0, 1], [20, -1]]

    def test_fractions_are_no_labels(self, tmp_path):
        Image.fromarray(np.zeros((2, 2), np.float32)).save(tmp_path / "a.tif")
        with pytest.raises(ValueError, match=r"a\.tif: .*holds fractions \(Pillow mode F\)"):
            read_mask(tmp_path / "a.tif", "pascal_voc")

    def test_a_mask_on_its_side_is_to_be_turned(self, voc_copy):
        path = voc_copy / "SegmentationClass" / "2012_000000.png"
        Image.open(path).transpose(Image.Transpose.ROTATE_90).save(path)
        with pytest.raises(ValueError, match=r"000\.png.*90x120.*120x90.*turn the mask.*EXIF"):
            VOCSegmentationDataset(voc_copy)[0]

    def test_mask_of_another_size(self, voc_copy):
        path = voc_copy / "SegmentationClass" / "2012_000000.png"
        Image.open(path).resize((60, 90)).save(path)
        with pytest.raises(ValueError, match=r"000\.png.*60x90.*000\.jpg.*120x90.*resize"):
            VOCSegmentationDataset(voc_copy)[0]

    @pytest.mark.parametrize(
        "folder, suffix", [("JPEGImages", "jpg"), ("SegmentationClass", "png")]
    )
    @pytest.mark.parametrize("share", [0, 0.5, 0.97])
    def test_truncated_file(self, voc_copy, folder, suffix, share):
        path = voc_copy / folder / f"2012_000001.{suffix}"
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(ValueError, match=rf"2012_000001\.{suffix}: cannot be read.*download"):
            VOCSegmentationDataset(voc_copy, mode="val")[1]

    @pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
    def test_a_download_with_zeros_for_its_end(self, voc_copy, share):
        """As it is left by programs that reserve the whole file first."""
        path = voc_copy / "JPEGImages" / "2012_000001.jpg"
        # Where a picture takes more bytes than zeros do, a decoder has enough of them.
        noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
        Image.fromarray(noise).save(path, quality=95)
        content = path.read_bytes()
        length = int(len(content) * share)
        path.write_bytes(content[:length] + bytes(len(content) - length))
        with pytest.raises(
            ValueError, match=r"2012_000001\.jpg: cannot be read.*truncated.*download"
        ):
            read_image(path)

    @pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 10}])
    def test_what_lies_behind_a_jpegs_end_does_no_harm(self, voc_copy, options):
        path = voc_copy / "JPEGImages" / "2012_000001.jpg"
        Image.open(path).save(path, **options)
        whole = read_image(path)
        path.write_bytes(path.read_bytes() + bytes(100) + b"\xff\xda")
        assert np.array_equal(read_image(path), whole)

    @pytest.mark.posix
    @pytest.mark.parametrize("kind", ["pipe", "device", "loop", "folder"])
    def test_what_is_no_file_neither_hangs_nor_grows(self, tmp_path, kind):
        path = tmp_path / "a.png"
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        else:
            path.symlink_to({"device": "/dev/zero", "loop": path}[kind])
        for read in (read_image, lambda path: read_mask(path, "pascal_voc")):
            with pytest.raises(ValueError, match=r"a\.png: cannot be read as an image \("):
                read(path)

    @pytest.mark.parametrize(
        "folder, suffix", [("JPEGImages", "jpg"), ("SegmentationClass", "png")]
    )
    def test_missing_file_is_found_before_training(self, voc_copy, folder, suffix):
        (voc_copy / folder / f"2012_000001.{suffix}").unlink()
        with pytest.raises(FileNotFoundError, match=rf"000001\.{suffix}.*1 of 4.*unpack"):
            VOCSegmentationDataset(voc_copy)

    def test_file_that_goes_missing(self, voc_copy):
        dataset = VOCSegmentationDataset(voc_copy)
        dataset.images[0].unlink()
        with pytest.raises(FileNotFoundError, match=r"000000\.jpg: no such file"):
            dataset[0]

    def test_empty_and_missing_lists(self, voc_copy):
        path = voc_copy / "ImageSets" / "Segmentation" / "val.txt"
        path.write_text("\n")
        with pytest.raises(ValueError, match=r"val\.txt: the list is empty"):
            VOCSegmentationDataset(voc_copy, split="val")
        path.unlink()
        with pytest.raises(FileNotFoundError, match=r"val\.txt"):
            VOCSegmentationDataset(voc_copy, split="val")


class TestSynthetic:
    def test_equal_arguments_write_equal_files(self, tmp_path):
        first, second = (make_voc_like(tmp_path / n, 2, (40, 60), seed=3) for n in "ab")
        files = sorted(path.relative_to(first) for path in first.rglob("*.*g"))
        assert len(files) == 4
        assert all((first / f).read_bytes() == (second / f).read_bytes() for f in files)

    def test_every_class_and_the_border_occur(self, voc_like):
        dataset = VOCSegmentationDataset(voc_like, split="trainval", mode="val")
        found = set(np.unique(np.concatenate([mask.ravel() for _, mask in dataset])))
        assert found == {-1, 0, 2, 5, 7, 9, 15}

    def test_one_image_makes_no_two_splits(self, tmp_path):
        with pytest.raises(ValueError, match="expected at least 2"):
            make_voc_like(tmp_path, num_images=1)


def _python(code: str) -> str:
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return run.stdout.strip()
