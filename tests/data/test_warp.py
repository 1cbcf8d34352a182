"""warp.c against float64, against OpenCV, and against the edges of memory."""

import ctypes
import mmap
import shutil
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gluonvision.data.transforms import warp

compiled = pytest.mark.skipif(
    warp._compiled is None, reason="warp.c is not compiled here, or the processor lacks AVX2"
)

sizes = st.integers(2, 40)
entries = st.floats(-3, 3)
offsets = st.floats(-60, 60)
maps = st.builds(
    lambda *numbers: np.array(numbers).reshape(2, 3),
    *(entries, entries, offsets, entries, entries, offsets),
)


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def labels_of(height, width, kind=np.int8, most=100, seed=0):
    return np.random.default_rng(seed).integers(-1, most, (height, width)).astype(kind)


def reference(image, to_image, mask, to_mask, size, crop):
    """Pixels in float64, labels, and how far each label's position lies from the next label."""
    x, y = np.meshgrid(np.arange(crop), np.arange(crop))
    column, row = to_image @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    column, row = column.clip(0, image.shape[1] - 1), row.clip(0, image.shape[0] - 1)
    left = np.minimum(column.astype(int), image.shape[1] - 2)
    top = np.minimum(row.astype(int), image.shape[0] - 2)
    across, down = (column - left)[:, None], (row - top)[:, None]
    pixels = (1 - down) * ((1 - across) * image[top, left] + across * image[top, left + 1])
    pixels += down * ((1 - across) * image[top + 1, left] + across * image[top + 1, left + 1])
    place = to_mask @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)]) + 0.5
    column, row = np.floor(place).astype(int)
    inside = (column >= 0) & (column < mask.shape[1]) & (row >= 0) & (row < mask.shape[0])
    inside &= (x.ravel() < size[0]) & (y.ravel() < size[1])
    found = mask[row.clip(0, mask.shape[0] - 1), column.clip(0, mask.shape[1] - 1)]
    labels = np.where(inside, found, -1).reshape(crop, crop)
    pixels = (pixels * inside[:, None]).reshape(crop, crop, 3)
    return pixels, labels, np.abs(place - np.rint(place)).min(0).reshape(crop, crop)


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
@pytest.mark.skipif(sys.platform != "linux", reason="where the tests are run by make")
def test_it_is_compiled_where_it_can_be():
    with open("/proc/cpuinfo") as file:
        if "avx2" not in file.read():
            pytest.skip("the processor lacks AVX2")
    assert warp._compiled is not None, "pip install --editable . compiles it"


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        (np.zeros((9, 9), np.uint8), np.zeros((9, 9), np.int8)),
        (np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9), np.int8)),
        (np.zeros((9, 9, 3), np.float32), np.zeros((9, 9), np.int8)),
        (np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9, 1), np.int8)),
    ],
)
def test_other_arrays_are_refused(image, mask):
    identity = np.array([[1.0, 0, 0], [0, 1, 0]])
    with pytest.raises(ValueError, match=r"expected uint8 \(H, W, 3\) and \(H, W\)"):
        warp.cut(image, identity, mask, identity, (9, 9), 9)


@compiled
class TestCompiled:
    @settings(max_examples=300, deadline=None)
    @given(*[sizes] * 4, maps, maps, st.data())
    def test_equals_float64(self, height, width, mask_height, mask_width, to_image, to_mask, data):
        image, mask = picture(height, width), labels_of(mask_height, mask_width)
        crop = data.draw(st.integers(1, 37))
        size = data.draw(st.integers(1, crop)), data.draw(st.integers(1, crop))
        pixels, labels = warp.cut(image, to_image, mask, to_mask, size, crop)
        wanted, classes, margin = reference(image, to_image, mask, to_mask, size, crop)
        sure = margin > 1e-3
        assert np.array_equal(labels[sure], classes[sure])
        # Half for rounding; the rest for positions of 16 bits in pictures of pure noise.
        assert (np.abs(pixels - wanted)[sure] <= 0.55).all()
        assert pixels.dtype == np.uint8 and labels.dtype == np.int32

    @pytest.mark.parametrize("kind", [np.int8, np.int16, np.int32])
    def test_any_label_of_its_type(self, kind):
        most = 128 if kind is np.int8 else 32768
        mask = labels_of(33, 47, kind, most)
        mask[0, 0], mask[-1, -1] = most - 1, -1
        identity = np.array([[1.0, 0, 0], [0, 1, 0]])
        labels = warp.cut(picture(33, 47), identity, mask, identity, (47, 33), 50)[1]
        assert np.array_equal(labels[:33, :47], mask)
        assert (labels[33:] == -1).all() and (labels[:, 47:] == -1).all()

    def test_rows_that_are_parts_of_longer_ones(self):
        image, mask = picture(20, 30), labels_of(20, 30)
        to_source = np.array([[0.7, 0.1, -1.5], [-0.1, 0.8, 2.0]])
        whole = warp.cut(image, to_source, mask, to_source, (31, 29), 31)
        wide = np.zeros((20, 41, 3), np.uint8), np.zeros((20, 41), np.int8)
        wide[0][:, 3:33], wide[1][:, 5:35] = image, mask
        parts = warp.cut(wide[0][:, 3:33], to_source, wide[1][:, 5:35], to_source, (31, 29), 31)
        assert all(np.array_equal(*pair) for pair in zip(whole, parts))

    @pytest.mark.parametrize("turn", [np.s_[::-1], np.s_[:, ::-1], np.s_[::2, ::3]])
    def test_views_of_any_kind(self, turn):
        image, mask = picture(40, 60)[turn], labels_of(40, 60)[turn]
        to_source = np.array([[0.4, 0.1, 0.5], [-0.1, 0.4, 1.0]])
        views = warp.cut(image, to_source, mask, to_source, (23, 23), 23)
        copies = warp.cut(image.copy(), to_source, mask.copy(), to_source, (23, 23), 23)
        assert all(np.array_equal(*pair) for pair in zip(views, copies))

    @settings(max_examples=100, deadline=None)
    @given(*[sizes] * 2, maps)
    def test_agrees_with_opencv(self, height, width, to_source):
        image, mask = picture(height, width) // 8 * 8, labels_of(height, width)
        ours = warp.cut(image, to_source, mask, to_source, (19, 21), 23)
        theirs = warp._cut_opencv(image, to_source, mask, to_source, (19, 21), 23, None)
        margin = reference(image, to_source, mask, to_source, (19, 21), 23)[2]
        sure = margin > 0.05
        assert np.array_equal(ours[1][sure], theirs[1][sure])
        # Where OpenCV has no routines of Intel's it rounds positions to 1/32 of a pixel.
        assert (np.abs(ours[0].astype(int) - theirs[0])[sure] <= 17).all()

    @pytest.mark.parametrize("stride", [1, 180_000])
    def test_rows_that_overlap_or_lie_far_apart(self, stride):
        """Offsets of 32 bits do not reach the end of the latter."""
        rows = 16_000 if stride > 1 else 40
        with mmap.mmap(-1, rows * stride + 100) as memory:
            image = np.ndarray((rows, 16, 3), np.uint8, memory, 0, (stride, 3, 1))
            mask = np.ndarray((rows, 16), np.int8, memory, 0, (stride, 1))
            image[-1], mask[-2, :5] = 9, 7
            to_source = np.array([[1.0, 0, 0], [0, 1, rows - 16]])
            views = warp.cut(image, to_source, mask, to_source, (16, 16), 16)
            copies = warp.cut(image.copy(), to_source, mask.copy(), to_source, (16, 16), 16)
            assert all(np.array_equal(*pair) for pair in zip(views, copies))
            assert (views[1] == 7).any()
            del image, mask

    def test_a_change_of_colours_leaves_black_what_is_outside(self):
        image, mask = picture(20, 30), labels_of(20, 30, most=3) + np.int8(1)
        to_source = np.array([[0.9, 0.3, -6.0], [-0.3, 0.9, 4.0]])
        pixels, labels = warp.cut(image, to_source, mask, to_source, (28, 25), 30, lambda p: p | 7)
        plain = warp.cut(image, to_source, mask, to_source, (28, 25), 30)[0]
        assert 0 < (labels == -1).sum() < labels.size
        assert (pixels[labels == -1] == 0).all()
        assert np.array_equal(pixels[labels != -1], plain[labels != -1] | 7)

    @pytest.mark.parametrize("number", [1e4, 65536.0, -65536.0, 1e9, 1e30, -1e30])
    def test_maps_that_lead_far_away(self, number):
        to_source = np.array([[1.0, 0, number], [0, 1, number]])
        image, mask = picture(9, 9), labels_of(9, 9)
        pixels, labels = warp.cut(image, to_source, mask, to_source, (9, 9), 9)
        assert not pixels.any() and (labels == -1).all()

    @pytest.mark.parametrize("size", [(1, 5), (5, 1), (1, 1), (16385, 2)])
    def test_pictures_that_are_left_to_opencv(self, size):
        image, mask = picture(*size), labels_of(*size)
        identity = np.array([[1.0, 0, 0], [0, 1, 0]])
        pixels, labels = warp.cut(image, identity, mask, identity, (4, 4), 4)
        inside = (slice(min(size[0], 4)), slice(min(size[1], 4)))
        assert np.array_equal(pixels[inside], image[inside])
        assert np.array_equal(labels[inside], mask[inside])


@compiled
@pytest.mark.skipif(sys.platform != "linux", reason="mprotect of Linux")
class TestMemory:
    """A page that must not be touched lies right before and right behind each array."""

    @pytest.mark.parametrize("at_end", [True, False])
    @pytest.mark.parametrize("kind", [np.int8, np.int16])
    def test_nothing_beyond_is_read(self, at_end, kind):
        generator = np.random.default_rng(0)
        for _ in range(200):
            height, width = generator.integers(2, 40, 2)
            with guarded(height * width * 3, at_end) as (memory, place):
                image = np.frombuffer(memory, np.uint8, height * width * 3, place)
                image = image.reshape(height, width, 3)
                self.cut_anything(generator, image, labels_of(height, width, kind))
                del image
            count = int(height * width * np.dtype(kind).itemsize)
            with guarded(count, at_end) as (memory, place):
                mask = np.frombuffer(memory, kind, height * width, place).reshape(height, width)
                self.cut_anything(generator, picture(height, width), mask)
                del mask

    def cut_anything(self, generator, image, mask):
        to_source = generator.uniform(-2, 2, (2, 3)) * [1, 1, 20]
        warp.cut(image, to_source, mask, to_source, tuple(generator.integers(1, 30, 2)), 30)

    @pytest.mark.parametrize("crop", [1, 2, 8, 9, 10, 16, 17, 23, 24, 25])
    def test_nothing_beyond_is_written(self, crop, monkeypatch):
        image, mask = picture(30, 30), labels_of(30, 30)
        identity = np.array([[1.0, 0, 0], [0, 1, 0]])
        wanted = warp.cut(image, identity, mask, identity, (crop, crop), crop)
        for at_end in (True, False):
            with guarded(crop * crop * 3, at_end) as first, guarded(crop * crop * 4, at_end) as two:
                pixels = np.frombuffer(first[0], np.uint8, crop * crop * 3, first[1])
                labels = np.frombuffer(two[0], np.int32, crop * crop, two[1])
                arrays = [labels.reshape(crop, crop), pixels.reshape(crop, crop, 3)]
                with monkeypatch.context() as patch:
                    patch.setattr(np, "empty", lambda *shape, arrays=arrays: arrays.pop())
                    found = warp.cut(image, identity, mask, identity, (crop, crop), crop)
                assert all(np.array_equal(*pair) for pair in zip(wanted, found))
                del pixels, labels, arrays, found


class guarded:
    """So many bytes at the end, or at the beginning, of memory between two forbidden pages."""

    def __init__(self, count, at_end):
        page = mmap.PAGESIZE
        pages = -(-int(count) // page)
        self.memory = mmap.mmap(-1, (pages + 2) * page)
        self.place = (pages + 1) * page - int(count) if at_end else page
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        self.ends = self.address, self.address + (pages + 1) * page

    def __enter__(self):
        self.protect(mmap.PROT_READ * 0)
        return self.memory, self.place

    def __exit__(self, *error):
        self.protect(mmap.PROT_READ | mmap.PROT_WRITE)
        self.memory.close()

    def protect(self, rights):
        libc = ctypes.CDLL(None, use_errno=True)
        for end in self.ends:
            done = libc.mprotect(ctypes.c_void_p(end), ctypes.c_size_t(mmap.PAGESIZE), rights)
            assert done == 0, ctypes.get_errno()
