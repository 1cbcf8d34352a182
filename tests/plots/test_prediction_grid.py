"""The grid of predictions: each panel's pixels, the legend, sizes, and what is refused."""

import os

import numpy as np
import pytest
from PIL import Image

from gluonvision.data import read_image, read_mask
from gluonvision.data.meta import get_meta
from gluonvision.plots import prediction_grid
from gluonvision.plots.prediction_grid import IGNORED_COLOUR, WRONG_COLOUR, draw_predictions

COLOUR = (10, 200, 30)
GAP, SCALE = 8, 4
PERSON, DOG = 15, 12
PALETTE = get_meta("pascal_voc").palette


@pytest.fixture
def draw(tmp_path):
    """Draws samples of VOC; the grid's pixels."""

    def drawn(samples, dataset="pascal_voc"):
        draw_predictions(samples, dataset, tmp_path / "grid.png")
        with Image.open(tmp_path / "grid.png") as grid:
            assert (grid.format, grid.mode) == ("PNG", "RGB")
            return np.array(grid)

    return drawn


@pytest.fixture
def legends(monkeypatch):
    """The legends drawn: a sample's each, then that of the classes."""
    drawn, draw_legend = [], prediction_grid.draw_legend

    def drawing(entries, *rest):
        drawn.append(entries)
        return draw_legend(entries, *rest)

    monkeypatch.setattr(prediction_grid, "draw_legend", drawing)
    return drawn


def sample(height=60, width=80):
    """A person, below an ignored strip; the prediction lacks its left half and has a dog."""
    label = np.zeros((height, width), np.int32)
    label[20:40, 20:60] = PERSON
    label[:10] = -1
    prediction = np.zeros((height, width), np.int64)
    prediction[20:40, 40:60] = PERSON
    prediction[5:15, 70:] = DOG
    return np.full((height, width, 3), COLOUR, np.uint8), label, prediction


def panels(grid, samples=1):
    """The four panels of each sample, cut out by where the image's colour is."""
    rows, columns = np.nonzero((grid == COLOUR).all(axis=-1))
    left, width = columns.min(), np.ptp(columns) + 1
    occupied = np.unique(rows)
    tops = [row for row in occupied if row - 1 not in occupied]
    height = len(occupied) // samples
    assert len(tops) == samples
    return [
        [
            grid[top : top + height, left + i * (width + GAP) :][:, :width].astype(int)
            for i in range(4)
        ]
        for top in tops
    ]


def enlarged(mask):
    return mask.repeat(SCALE, axis=0).repeat(SCALE, axis=1)


def is_colour(panel, colour):
    return (panel == colour).all(axis=-1)


class TestPanels:
    def test_errors_are_red_where_they_are_and_nowhere_else(self, draw):
        image, label, prediction = sample()
        ((_, _, _, errors),) = panels(draw([(image, label, prediction)]))
        wrong = enlarged((label >= 0) & (label != prediction))
        assert wrong.any() and np.array_equal(is_colour(errors, WRONG_COLOUR), wrong)

    def test_ignored_is_grey_whatever_was_predicted(self, draw):
        image, label, prediction = sample()
        ((_, _, _, errors),) = panels(draw([(image, label, prediction)]))
        assert np.array_equal(is_colour(errors, IGNORED_COLOUR), enlarged(label < 0))

    def test_what_is_right_is_the_image_grey_and_pale(self, draw):
        image, label, _ = sample()
        image[25:30], image[30:] = 0, 255
        grid = draw([(image, label, label)])
        # Cut by hand: the image is not of one colour.
        errors = grid[42:, 16 + 3 * (320 + GAP) :][: 60 * SCALE, :320].astype(int)
        assert (np.ptp(errors, axis=-1) == 0).all()
        dark, light = errors[27 * SCALE, 100, 0], errors[50 * SCALE, 100, 0]
        assert IGNORED_COLOUR[0] + 30 < dark < light == 255

    def test_masks_have_the_data_sets_colours(self, draw):
        image, label, prediction = sample()
        ((shown, labels, predicted, _),) = panels(draw([(image, label, prediction)]))
        assert is_colour(shown, COLOUR).all()
        colours = np.array([*PALETTE, get_meta("pascal_voc").ignored_colour])
        assert np.array_equal(labels, colours[enlarged(label)])
        assert np.array_equal(predicted, colours[enlarged(prediction)])

    def test_a_row_for_each_sample_in_order(self, draw):
        image, label, prediction = sample()
        first, second = panels(draw([(image, label, label), (image, label, prediction)]), 2)
        assert not is_colour(first[3], WRONG_COLOUR).any()
        assert is_colour(second[3], WRONG_COLOUR).any()

    def test_labels_of_255_are_ignored_and_pillow_images_taken(self, draw):
        image, label, prediction = sample()
        files = np.where(label < 0, 255, label).astype(np.uint8)
        assert np.array_equal(
            draw([(Image.fromarray(image), files, prediction)]), draw([(image, label, prediction)])
        )

    def test_inputs_stay_as_they_are(self, draw):
        arrays, before = sample(), sample()
        draw([arrays])
        assert all(np.array_equal(one, other) for one, other in zip(arrays, before))


class TestLegends:
    def test_classes_that_occur_in_their_order(self, draw, legends):
        draw([sample()])
        voc = get_meta("pascal_voc")
        assert legends[-1] == [
            (PALETTE[0], "background"),
            (PALETTE[DOG], "dog"),
            (PALETTE[PERSON], "person"),
            (voc.ignored_colour, "not labelled"),
        ]

    def test_the_legend_is_on_the_grid(self, draw):
        grid = draw([sample()])
        below = grid[-30:]
        assert is_colour(below, PALETTE[DOG]).sum() > 100
        assert not is_colour(below, PALETTE[1]).any()

    def test_shares(self, draw, legends):
        image, label, prediction = sample()
        draw([(image, label, prediction), (image, label, label)])
        # 400 of the person and 50 of the dog are wrong, of 4000 labelled; 800 of 4800 are not.
        assert legends[0] == [(WRONG_COLOUR, "11.2 % wrong"), (IGNORED_COLOUR, "16.7 % ignored")]
        assert legends[1] == [(WRONG_COLOUR, "0.0 % wrong"), (IGNORED_COLOUR, "16.7 % ignored")]

    def test_nothing_ignored(self, draw, legends):
        image, label, _ = sample()
        draw([(image, np.abs(label), np.abs(label))])
        assert legends[0] == [(WRONG_COLOUR, "0.0 % wrong")]
        assert "not labelled" not in [text for _, text in legends[1]]

    def test_nothing_labelled(self, draw, legends):
        image, label, prediction = sample()
        grid = draw([(image, np.full_like(label, -1), prediction)])
        assert legends[0] == [(IGNORED_COLOUR, "no labelled pixels")]
        assert not is_colour(grid, WRONG_COLOUR).any()

    def test_150_classes_stay_on_the_grid(self, draw):
        labels = np.arange(150).reshape(10, 15).repeat(20, axis=0).repeat(20, axis=1)
        grid = draw([(np.zeros((200, 300, 3), np.uint8), labels, labels)], "ade20k")
        assert grid.shape[1] == 1256 and (grid[:, -6:] == 255).all() and len(grid) < 1000


class TestSizes:
    @pytest.mark.parametrize(
        "size", [(1, 1), (1, 700), (700, 1), (37, 53), (321, 320), (375, 500), (1024, 2048)]
    )
    def test_bounded_for_any_image(self, draw, size):
        nothing = np.zeros(size, np.int32)
        height, width, _ = draw([(np.zeros((*size, 3), np.uint8), nothing, nothing)]).shape
        assert 4 * 240 < width <= 1336 and height <= 450

    def test_of_different_sizes(self, draw):
        samples = [
            (np.full((*size, 3), COLOUR, np.uint8), np.zeros(size, int), np.ones(size, int))
            for size in [(500, 334), (375, 500), (10, 10)] * 2 + [(1, 1)] * 2
        ]
        grid = draw(samples)
        assert grid.shape[1] == 1336 and len(grid) < 8 * 350 + 100
        # The panels of the widest do not touch: a gap of paper runs between the columns.
        assert (grid[45:-30, 16 + 320 : 16 + 320 + GAP] == 255).all()

    def test_thin_errors_outlast_the_shrinking(self, draw):
        label = np.zeros((1024, 2048), np.int32)
        prediction = label.copy()
        prediction[:, 1000] = DOG
        grid = draw([(np.zeros((1024, 2048, 3), np.uint8), label, prediction)]).astype(int)
        errors = grid[42 : 42 + 160, 16 + 3 * (320 + GAP) :][:, :320]
        reddish = errors[..., 0] - errors[..., 1] > 5
        assert reddish.all(axis=0).sum() == 1 and reddish[:, 156].all()


class TestRefused:
    @pytest.mark.parametrize("count", [0, 9])
    def test_numbers_of_samples(self, tmp_path, count):
        with pytest.raises(ValueError, match=f"got {count} samples: expected 1 to 8"):
            draw_predictions([sample()] * count, "pascal_voc", tmp_path / "grid.png")

    @pytest.mark.parametrize(
        "place, wrong, message",
        [
            (0, np.zeros((60, 80, 3), np.float32), "float32"),
            (1, np.zeros((60, 81), int), r"\(60, 80\), the label \(60, 81\).*expected the same"),
            (2, np.zeros((6, 60, 80)), "argmax"),
            (2, np.full((60, 80), 40), "40 to 40; pascal_voc has classes 0 to 20"),
        ],
    )
    def test_samples_that_do_not_fit_are_named(self, tmp_path, place, wrong, message):
        broken = list(sample())
        broken[place] = wrong
        with pytest.raises(ValueError, match=f"sample 1: .*{message}"):
            draw_predictions([sample(), broken], "pascal_voc", tmp_path / "grid.png")
        assert os.listdir(tmp_path) == []

    def test_a_grid_that_fails_leaves_the_old_one(self, tmp_path, monkeypatch):
        path = tmp_path / "grid.png"
        path.write_bytes(b"the old one")

        def failing(picture, file, **_):
            file.write(b"half")
            raise KeyboardInterrupt

        monkeypatch.setattr(Image.Image, "save", failing)
        with pytest.raises(KeyboardInterrupt):
            draw_predictions([sample()], "pascal_voc", path)
        assert path.read_bytes() == b"the old one" and os.listdir(tmp_path) == ["grid.png"]


def test_real_images(draw, shared_data):
    folder = shared_data / "VOCdevkit/VOC2012"
    samples = []
    for name in ("2007_000129", "2008_002536"):
        image = read_image(folder / "JPEGImages" / f"{name}.jpg")
        label = read_mask(folder / "SegmentationClass" / f"{name}.png", "pascal_voc")
        samples.append((image, label, np.maximum(np.roll(label, 9, axis=1), 0)))
    grid = draw(samples)
    assert grid.shape[1] <= 1336 and is_colour(grid, WRONG_COLOUR).sum() > 2000
