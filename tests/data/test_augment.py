"""The training transform against its parts, one after the other, in float64 and in Pillow."""

from dataclasses import replace
from math import ceil

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from scipy import ndimage

from gluonvision.data import VOCSegmentationDataset
from gluonvision.data.transforms import warp
from gluonvision.data.transforms.augment import Augmentation, apply, draw, random_transform

CASES = [
    Augmentation(mirror=False, height=60, width=80, angle=0.0, top=0, left=0, blur=0.0),
    Augmentation(mirror=True, height=60, width=80, angle=0.0, top=8, left=13, blur=0.0),
    Augmentation(mirror=False, height=120, width=160, angle=0.0, top=31, left=40, blur=0.0),
    Augmentation(mirror=False, height=60, width=80, angle=7.5, top=3, left=5, blur=0.0),
    Augmentation(mirror=True, height=93, width=124, angle=-9.0, top=20, left=61, blur=0.0),
    Augmentation(mirror=True, height=48, width=64, angle=4.0, top=0, left=0, blur=0.0),
]
CROP = 52


@pytest.fixture(params=["compiled", "opencv"], autouse=True, scope="module")
def way(request):
    """Everything here holds of both ways to warp."""
    compiled = warp._compiled
    if request.param == "compiled" and compiled is None:
        pytest.skip("warp.c is not compiled here, or the processor lacks AVX2")
    warp._compiled = compiled if request.param == "compiled" else None
    yield request.param
    warp._compiled = compiled


augmentations = st.builds(
    Augmentation,
    mirror=st.booleans(),
    height=st.integers(1, 150),
    width=st.integers(1, 150),
    angle=st.floats(-10, 10),
    top=st.integers(0, 60),
    left=st.integers(0, 60),
    blur=st.just(0.0),
)


def scene(height=60, width=80, seed=0, sigma=3.0):
    """A smooth random picture, and random blobs of labels -1 to 5."""
    generator = np.random.default_rng(seed)
    image = ndimage.gaussian_filter(generator.uniform(0, 1, (height, width, 3)), (sigma, sigma, 0))
    image = 255 * (image - image.min()) / (np.ptp(image) + 1e-9)
    blobs = ndimage.gaussian_filter(generator.uniform(0, 1, (height, width)), 4)
    ranks = blobs.ravel().argsort().argsort().reshape(height, width)
    return np.rint(image).astype(np.uint8), (ranks * 7 // blobs.size - 1).astype(np.int32)


def source_points(a, size, crop):
    """Where each crop pixel's centre lies in the source, (x, y) in float64, part by part."""
    x, y = np.meshgrid(np.arange(crop) + 0.5, np.arange(crop) + 0.5)
    x, y = x + a.left, y + a.top
    inside = (x < a.width) & (y < a.height)
    middle = complex(a.width / 2, a.height / 2)
    # y points down: counter-clockwise on the screen undone is a positive turn of the plane.
    turned = (x + 1j * y - middle) * np.exp(1j * np.radians(a.angle)) + middle
    x, y = turned.real * size[1] / a.width, turned.imag * size[0] / a.height
    inside &= (x >= 0) & (x < size[1]) & (y >= 0) & (y < size[0])
    return (size[1] - x if a.mirror else x), y, inside


def reference(a, image, mask, crop):
    x, y, inside = source_points(a, mask.shape, crop)
    coordinates = np.stack([y - 0.5, x - 0.5])
    planes = np.moveaxis(image.astype(np.float64), -1, 0)
    sampled = [ndimage.map_coordinates(p, coordinates, order=1, mode="nearest") for p in planes]
    rows = np.clip(np.floor(y), 0, mask.shape[0] - 1).astype(int)
    columns = np.clip(np.floor(x), 0, mask.shape[1] - 1).astype(int)
    return np.stack(sampled, -1) * inside[..., None], np.where(inside, mask[rows, columns], -1)


def far_from_ties(a, size, crop):
    """Pixels whose nearest source pixel is not decided by OpenCV's 1/1024 of a pixel."""
    x, y, _ = source_points(a, size, crop)
    return (np.abs(x - np.rint(x)) > 0.004) & (np.abs(y - np.rint(y)) > 0.004)


def flat(labels, size):
    """Pixels amid size x size others of the same label, all within the crop."""
    highest = ndimage.maximum_filter(labels, size, mode="constant", cval=-9)
    return highest == ndimage.minimum_filter(labels, size, mode="constant", cval=-9)


def with_pillow(a, image, mask, crop):
    """The routine itself, as its users know it."""
    pair = [Image.fromarray(image), Image.fromarray((mask % 256).astype(np.uint8))]
    for n, (sampling, fill) in enumerate(((Image.BILINEAR, 0), (Image.NEAREST, 255))):
        picture = ImageOps.mirror(pair[n]) if a.mirror else pair[n]
        picture = picture.resize((a.width, a.height), sampling)
        picture = picture.rotate(a.angle, sampling, fillcolor=fill if n else (0, 0, 0))
        pad = (0, 0, max(crop - a.width, 0), max(crop - a.height, 0))
        picture = ImageOps.expand(picture, pad, fill=fill)
        pair[n] = picture.crop((a.left, a.top, a.left + crop, a.top + crop))
    labels = np.array(pair[1]).astype(np.int32)
    return np.array(pair[0]).astype(float), np.where(labels == 255, -1, labels)


class TestGeometry:
    @pytest.mark.parametrize("case", CASES)
    def test_equals_the_composition_in_float64(self, case):
        image, mask = scene()
        got_image, got_mask = apply(case, image, mask, CROP)
        want_image, want_mask = reference(case, image, mask, CROP)
        sure = far_from_ties(case, mask.shape, CROP)
        assert sure.mean() > 0.9 or case.angle == 0
        assert np.array_equal(got_mask[sure], want_mask[sure])
        # Rounding, and OpenCV's interpolation weights in steps of 1/32.
        assert np.abs(got_image - want_image)[sure].max() <= 2

    @pytest.mark.parametrize("case", CASES)
    def test_equals_pillows_steps(self, case):
        image, mask = scene()
        got_image, got_mask = apply(case, image, mask, CROP)
        want_image, want_mask = with_pillow(case, image, mask, CROP)
        # Pillow rounds twice, at the resize and at the rotation: an edge may lie a pixel off.
        assert np.array_equal(got_mask[flat(want_mask, 3)], want_mask[flat(want_mask, 3)])
        both = (got_mask >= 0) & (want_mask >= 0)
        assert np.abs(got_image - want_image)[both].mean() < 1.0

    @pytest.mark.parametrize("scale", [0.3, 0.4, 0.52])
    def test_shrinking_much_stays_near_pillows_antialiased_resize(self, scale):
        image, mask = scene(240, 320, sigma=1.0)
        case = Augmentation(False, round(240 * scale), round(320 * scale), 0.0, 0, 0, 0.0)
        got = apply(case, image, mask, 200)[0][: case.height, : case.width]
        want = Image.fromarray(image).resize((case.width, case.height), Image.BILINEAR)
        assert np.abs(got.astype(float) - np.array(want)).mean() < 4

    def test_identity_changes_nothing(self):
        image, mask = scene(52, 52, sigma=0.3)
        got_image, got_mask = apply(Augmentation(False, 52, 52, 0.0, 0, 0, 0.0), image, mask, 52)
        assert np.array_equal(got_image, image) and np.array_equal(got_mask, mask)

    def test_mirror_alone_is_exact(self):
        image, mask = scene(52, 52, sigma=0.3)
        got_image, got_mask = apply(Augmentation(True, 52, 52, 0.0, 0, 0, 0.0), image, mask, 52)
        assert np.array_equal(got_image, image[:, ::-1])
        assert np.array_equal(got_mask, mask[:, ::-1])

    def test_enlarging_does_not_fade_at_the_rim(self):
        image, mask = np.full((30, 40, 3), 200, np.uint8), np.zeros((30, 40), np.int32)
        got_image, got_mask = apply(Augmentation(True, 60, 80, 6.0, 0, 0, 0.0), image, mask, 80)
        assert set(np.unique(got_image)) == {0, 200}
        assert np.array_equal(got_image[..., 0] == 200, got_mask == 0)

    def test_padding_lies_right_and_below(self):
        image, mask = scene()
        got_image, got_mask = apply(Augmentation(False, 30, 40, 0.0, 0, 0, 0.0), image, mask, 52)
        assert got_image[30:].max() == 0 and got_image[:, 40:].max() == 0
        assert (got_mask[30:] == -1).all() and (got_mask[:, 40:] == -1).all()
        assert (got_mask[:30, :40] >= 0).any()

    def test_blur_touches_the_image_alone(self):
        image, mask = scene(sigma=0.5)
        sharp = Augmentation(False, 60, 80, 3.0, 0, 0, 0.0)
        blurred = Augmentation(False, 60, 80, 3.0, 0, 0, 0.9)
        (sharp_image, labels), (soft_image, soft_labels) = (
            apply(a, image, mask, CROP) for a in (sharp, blurred)
        )
        assert np.array_equal(labels, soft_labels)
        want = ndimage.gaussian_filter(sharp_image.astype(float), (0.9, 0.9, 0), mode="mirror")
        assert np.abs(soft_image - want).max() <= 2

    @pytest.mark.parametrize("size", [(60, 80), (30, 40), (50, 52), (120, 20)])
    @pytest.mark.parametrize("deviation", [0.01, 0.2, 0.28, 0.29, 0.56, 0.57, 0.84, 0.85, 0.999])
    def test_blur_leaves_out_nothing_that_shows(self, size, deviation):
        image, mask = scene(*size, sigma=0.0)
        sharp = Augmentation(False, *size, 5.0, 0, 0, 0.0)
        blurred = apply(replace(sharp, blur=deviation), image, mask, CROP)[0]
        whole = 2 * ceil(3 * deviation) + 1
        want = cv2.GaussianBlur(apply(sharp, image, mask, CROP)[0], (whole, whole), deviation)
        assert np.array_equal(blurred, want)

    @pytest.mark.parametrize("case", CASES)
    def test_bilinear_is_right_to_half_a_grey_level(self, case, way):
        if way == "opencv" and not cv2.ipp.useIPP():
            pytest.skip("OpenCV without Intel's routines")
        image, mask = scene(sigma=0.0)
        got, labels = apply(case, image, mask, CROP)
        want = reference(case, image, mask, CROP)[0]
        assert np.abs(got - want)[labels >= 0].max() <= 0.52

    def test_opencvs_settings_stay_as_they_are(self):
        image, mask = scene()
        for setting in (True, False):
            cv2.ipp.setUseIPP_NotExact(setting)
            apply(CASES[4], image, mask, CROP)
            assert cv2.ipp.useIPP_NotExact() == setting or not cv2.ipp.useIPP()

    @pytest.mark.parametrize("kind", [np.int8, np.int16, np.int32])
    def test_type_of_the_mask(self, kind):
        image, mask = scene()
        got = apply(CASES[4], image, mask.astype(kind), CROP)[1]
        assert got.dtype == np.int32
        # OpenCV 5 rounds positions, though not those of bytes, to 1/1024 of a pixel.
        assert (got != apply(CASES[4], image, mask, CROP)[1]).mean() < 0.005

    def test_inputs_stay_as_they_are(self):
        image, mask = scene()
        before = image.copy(), mask.copy()
        apply(CASES[4], image, mask, CROP)
        assert np.array_equal(image, before[0]) and np.array_equal(mask, before[1])


class TestProperties:
    @settings(max_examples=80, deadline=None)
    @given(augmentations, st.integers(1, 90), st.integers(1, 90), st.integers(0, 99))
    def test_no_label_appears_that_was_not_there(self, augmentation, height, width, seed):
        mask = np.random.default_rng(seed).choice([0, 7, 149, -1], (height, width))
        image = np.full((height, width, 3), 9, np.uint8)
        got_image, got_mask = apply(augmentation, image, mask.astype(np.int32), 48)
        assert got_image.shape == (48, 48, 3) and got_image.dtype == np.uint8
        assert got_mask.shape == (48, 48) and got_mask.dtype == np.int32
        assert set(np.unique(got_mask)) <= {-1, *np.unique(mask)}
        assert set(np.unique(got_image)) <= {0, 9}

    @settings(max_examples=80, deadline=None)
    @given(st.integers(2, 6), st.integers(2, 6), st.integers(0, 999))
    def test_a_mask_painted_from_the_image_survives(self, rows, columns, seed):
        generator = np.random.default_rng(seed)
        cells = generator.integers(0, 7, (rows, columns)).astype(np.int32)
        mask = cells.repeat(20, axis=0).repeat(20, axis=1)
        colours = generator.integers(40, 256, (7, 3)).astype(np.uint8)
        a = replace(draw(generator, mask.shape, 20 * max(rows, columns), 64), blur=0.0)
        image, labels = apply(a, colours[mask], mask, 64)
        # A source pixel, or a block of two where it shrinks, colours what is within its reach.
        inner = flat(labels, 2 * ceil(max(a.width / mask.shape[1], 1.5)) + 3) & (labels >= 0)
        assert np.array_equal(image[inner], colours[labels[inner]])
        assert image[labels == -1].max(initial=0) == 0

    @settings(max_examples=60, deadline=None)
    @given(st.integers(1, 700), st.integers(1, 700), st.integers(0, 2**32), st.integers(16, 600))
    def test_draws_fit_the_picture(self, height, width, seed, crop):
        a = draw(np.random.default_rng(seed), (height, width), 520, crop)
        assert 260 <= max(a.height, a.width) <= 1040 and min(a.height, a.width) >= 1
        assert 0 <= a.top <= max(a.height - crop, 0) and 0 <= a.left <= max(a.width - crop, 0)
        assert -10 <= a.angle <= 10 and 0 <= a.blur < 1

    def test_distribution(self):
        generator = np.random.default_rng(0)
        draws = [draw(generator, (375, 500), 520, 480) for _ in range(4000)]
        long = np.array([a.width for a in draws])
        assert np.mean([a.mirror for a in draws]) == pytest.approx(0.5, abs=0.03)
        assert np.mean([a.blur > 0 for a in draws]) == pytest.approx(0.5, abs=0.03)
        assert (long.min(), long.max()) == (260, 1040)
        assert long.mean() == pytest.approx(650, abs=12)
        assert np.std([a.angle for a in draws]) == pytest.approx(20 / 12**0.5, rel=0.04)
        assert all(a.height == int(375 * a.width / 500 + 0.5) for a in draws)
        room = [(a.left, a.width - 480) for a in draws if a.width > 900]
        assert all(0 <= left <= last for left, last in room)
        assert np.mean([left / last for left, last in room]) == pytest.approx(0.5, abs=0.05)


class TestSamples:
    def test_a_sample_depends_on_seed_epoch_and_index_alone(self, voc_like):
        def sample(seed, epoch, index, before=()):
            dataset = VOCSegmentationDataset(voc_like, seed=seed, base_size=80, crop_size=64)
            dataset.set_epoch(epoch)
            for other in before:
                dataset[other]
            return dataset[index]

        want = sample(1, 2, 3)
        for same in (sample(1, 2, 3), sample(1, 2, 3, before=(0, 3, 1))):
            assert np.array_equal(same[0], want[0]) and np.array_equal(same[1], want[1])
        for other in (sample(0, 2, 3), sample(1, 0, 3), sample(2, 1, 3), sample(1, 2, 2)):
            assert not np.array_equal(other[0], want[0])

    def test_real_images(self, shared_data):
        dataset = VOCSegmentationDataset(shared_data, split="trainval", mode="train")
        for index in range(len(dataset)):
            image, mask = dataset[index]
            assert image.shape == (480, 480, 3) and image.std() > 20
            assert (mask > 0).any() and mask.min() >= -1 and mask.max() < 21

    def test_any_size_of_crop(self):
        image, mask = scene()
        got = random_transform(image, mask, np.random.default_rng(0), base_size=50, crop_size=33)
        assert got[0].shape == (33, 33, 3) and got[1].shape == (33, 33)
