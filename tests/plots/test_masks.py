"""Masks as palette pictures and overlays: colours, files, legend, and what is refused."""

import numpy as np
import pytest
from PIL import Image

from gluonvision.data import read_image, read_mask
from gluonvision.data.meta import Meta, get_meta
from gluonvision.utils import class_shares, get_color_pallete, get_mask, overlay

PERSON = (192, 128, 128)


class OnlyArray:
    """What a tensor of another library shows of itself."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return self.values


class OnlyAsNumpy:
    """What an MXNet array shows of itself."""

    def __init__(self, values):
        self.values = values

    def asnumpy(self):
        return self.values


def labels(dtype=np.int64):
    array = np.zeros((6, 8), dtype)
    array[:3, :4] = 15
    return array


class TestGetMask:
    @pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint8, np.float32, np.float64])
    @pytest.mark.parametrize("shape", [(6, 8), (1, 6, 8), (6, 8, 1)])
    def test_any_type_and_shape(self, dtype, shape):
        mask = get_mask(labels(dtype).reshape(shape))
        assert mask.mode == "P" and mask.size == (8, 6)
        assert np.array_equal(np.array(mask), labels())
        assert mask.convert("RGB").getpixel((0, 0)) == PERSON

    @pytest.mark.parametrize("kind", [OnlyArray, OnlyAsNumpy])
    def test_arrays_of_other_libraries(self, kind):
        assert np.array_equal(np.array(get_mask(kind(labels(np.float32)))), labels())

    def test_ignored_is_written_as_255(self):
        mask = get_mask(np.array([[-1, 255, 0]]))
        assert np.array(mask).tolist() == [[255, 255, 0]]
        assert mask.convert("RGB").getpixel((0, 0)) == (224, 224, 192)

    @pytest.mark.parametrize(
        ("ignored", "written"), [(65535, 255), (0, 255), (2, 2), (254, 254), (-1, 255)]
    )
    def test_ignored_is_a_byte_that_is_no_class(self, ignored, written):
        palette, colour = ((0, 0, 0), (1, 1, 1)), (9, 9, 9)
        meta = Meta("own", ("a", "b"), palette, ignored_value=ignored, ignored_colour=colour)
        mask = get_mask(np.array([[-1, 0, 1]]), meta)
        assert np.array(mask).tolist() == [[written, 0, 1]]
        assert np.array(mask.convert("RGB"))[0].tolist() == [[9, 9, 9], [0, 0, 0], [1, 1, 1]]

    def test_input_is_not_changed(self):
        array = np.array([[-1, 3]])
        get_mask(array)
        assert array.tolist() == [[-1, 3]]

    def test_palettes_go_by_name(self):
        road = get_mask(np.zeros((2, 2), int), "citys").convert("RGB")
        assert road.getpixel((0, 0)) == (128, 64, 128)
        # Its files begin at 1.
        wall = get_mask(np.array([[0, -1]]), "ade20k")
        assert np.array(wall).tolist() == [[1, 0]]
        assert wall.convert("RGB").getpixel((0, 0)) == (120, 120, 120)

    @pytest.mark.parametrize("name", ["pascal_voc", "citys", "camvid", "coco", "ade20k"])
    def test_a_written_mask_reads_back(self, name, tmp_path):
        classes = np.arange(-1, get_meta(name).num_class)[None]
        get_mask(classes, name).save(tmp_path / "mask.png")
        assert np.array_equal(read_mask(tmp_path / "mask.png", name), classes)

    def test_equals_the_official_file(self, shared_data):
        for path in sorted((shared_data / "VOCdevkit/VOC2012/SegmentationClass").glob("*.png")):
            official = Image.open(path)
            ours = get_mask(read_mask(path, "pascal_voc"))
            assert np.array_equal(np.array(ours), np.array(official))
            assert np.array_equal(np.array(ours.convert("RGB")), np.array(official.convert("RGB")))

    def test_gluoncvs_spelling(self):
        assert get_color_pallete is get_mask

    @pytest.mark.parametrize(
        "wrong, message",
        [
            (np.zeros((21, 6, 8)), r"\(21, 6, 8\).*argmax"),
            (np.zeros(5), r"\(5,\)"),
            (np.zeros((0, 3), int), r"\(0, 3\)"),
            (np.full((2, 2), 0.5), "fractions"),
            (np.full((2, 2), np.nan), "NaN"),
            (np.full((2, 2), 22), "22 to 22; pascal_voc has classes 0 to 20"),
            (np.full((2, 2), -2), "-2 to -2"),
            (np.array([["a"]]), "expected numbers"),
        ],
    )
    def test_wrong_masks(self, wrong, message):
        with pytest.raises(ValueError, match=message):
            get_mask(wrong)

    def test_unknown_data_set(self):
        with pytest.raises(ValueError, match="'voc'; the known ones are: ade20k"):
            get_mask(labels(), "voc")


class TestShares:
    def test_largest_first_and_of_the_labelled(self):
        array = labels()
        array[5] = -1
        assert class_shares(array) == [("background", 28 / 40), ("person", 12 / 40)]

    def test_nothing_labelled(self):
        assert class_shares(np.full((2, 2), -1)) == []

    def test_real_image(self, shared_data):
        path = shared_data / "VOCdevkit/VOC2012/SegmentationClass/2008_002536.png"
        shares = class_shares(read_mask(path, "pascal_voc"))
        assert [name for name, _ in shares] == ["background", "sheep", "dog"]
        assert shares[1][1] == pytest.approx(13891 / (129916 + 7321 + 13891))


class TestOverlay:
    image = np.full((60, 80, 3), 100, np.uint8)

    @staticmethod
    def mask():
        array = np.zeros((60, 80), int)
        array[:30, :40] = 15
        array[50:] = -1
        return array

    def test_paints_classes_and_leaves_the_rest(self):
        result = np.array(overlay(self.image, self.mask(), alpha=0.25, legend=False))
        assert result.shape == (60, 80, 3)
        assert result[10, 10].tolist() == [round(0.25 * c + 75) for c in PERSON]
        assert (result[32:, 42:] == 100).all() and (result[50:] == 100).all()

    def test_outline_is_white_and_inside_the_class(self):
        result = np.array(overlay(self.image, self.mask(), alpha=0, legend=False))
        assert (result[29, :40] == 255).all() and (result[:30, 39] == 255).all()
        assert (result[30] == 100).all() and (result[28, :38] == 100).all()

    def test_alpha_1_is_the_colour_alone(self):
        result = overlay(self.image, self.mask(), alpha=1, legend=False)
        assert result.getpixel((5, 5)) == PERSON

    def test_pillow_images_too(self):
        picture = Image.fromarray(self.image)
        for alike in (picture, picture.convert("L"), picture.convert("RGBA")):
            assert overlay(alike, self.mask()) == overlay(self.image, self.mask())

    def test_legend_shows_each_class_found(self):
        image, mask = np.full((300, 400, 3), 50, np.uint8), np.zeros((300, 400), int)
        mask[:50], mask[50:60] = 15, 12
        result = np.array(overlay(image, mask, alpha=0))
        legend = result[300:]
        assert legend.shape[0] > 10 and result.shape[1] == 400
        for colour in (PERSON, get_meta("pascal_voc").palette[12], (20, 20, 20)):
            assert (legend == colour).all(axis=-1).any()

    def test_legend_of_many_classes_and_a_narrow_picture_stays_whole(self):
        mask = np.arange(150)[None].repeat(40, axis=0)
        result = overlay(np.zeros((40, 150, 3), np.uint8), mask, "ade20k")
        edge = np.array(result)[40:, -4:]
        assert (edge == 255).all() and result.height > 1500

    def test_legend_can_be_left_out_and_needs_a_class(self):
        nothing = np.full((60, 80), -1)
        assert overlay(self.image, self.mask(), legend=False).size == (80, 60)
        assert overlay(self.image, nothing).size == (80, 60)

    def test_inputs_stay_as_they_are(self):
        image, mask = self.image.copy(), self.mask()
        overlay(image, mask)
        assert np.array_equal(image, self.image) and np.array_equal(mask, self.mask())

    def test_real_image(self, shared_data):
        folder = shared_data / "VOCdevkit/VOC2012"
        image = read_image(folder / "JPEGImages/2007_000129.jpg")
        mask = read_mask(folder / "SegmentationClass/2007_000129.png", "pascal_voc")
        result = overlay(image, mask)
        assert result.width == 334 and result.height > 500
        assert np.array_equal(np.array(result)[:500][mask <= 0], image[mask <= 0])

    @pytest.mark.parametrize(
        "wrong, message",
        [
            ({"mask": np.zeros((3, 4), int)}, "expected the same"),
            ({"image": np.zeros((60, 80, 3), np.float32)}, r"float32 \(60, 80, 3\)"),
            ({"image": np.zeros((3, 60, 80), np.uint8)}, r"\(3, 60, 80\)"),
            ({"alpha": 1.5}, "alpha is 1.5"),
        ],
    )
    def test_wrong_arguments(self, wrong, message):
        with pytest.raises(ValueError, match=message):
            overlay(**{"image": self.image, "mask": self.mask(), **wrong})


def test_the_border_class_of_a_model_with_22_classes_is_ignored():
    mask = np.array([[0, 21, 20]])
    assert np.asarray(get_mask(mask, "pascal_voc")).tolist() == [[0, 255, 20]]
    with pytest.raises(ValueError, match="classes 0 to 20"):
        get_mask(mask + 1, "pascal_voc")
