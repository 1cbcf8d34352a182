"""The fast decoders against Pillow: the same pixels, or the file is left to it."""

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin
from scipy import ndimage

from gluonvision.data.files.decoding import decode_jpeg, decode_png
from gluonvision.data.files.reading import read_image, read_mask

ORIENTATION = 0x0112


def picture(height=37, width=53, seed=0):
    """A picture with detail of every size."""
    noise = np.random.default_rng(seed).uniform(0, 255, (height, width, 3))
    return (0.5 * noise + 0.5 * ndimage.gaussian_filter(noise, (6, 6, 0))).astype(np.uint8)


def jpeg(pixels=None, **options):
    file = BytesIO()
    Image.fromarray(picture() if pixels is None else pixels).save(file, "JPEG", **options)
    return file.getvalue()


def png(values, palette=True, **options):
    file, drawn = BytesIO(), Image.fromarray(values)
    if palette:
        drawn.putpalette(list(range(256)) * 3)
    drawn.save(file, "PNG", **options)
    return file.getvalue()


def labels(height=30, width=41):
    return np.random.default_rng(0).choice(np.array([0, 5, 20, 255], np.uint8), (height, width))


def by_pillow(content, mode=None):
    with Image.open(BytesIO(content)) as opened:
        return np.array(opened.convert(mode) if mode else opened)


def turned(orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


def chunk(kind, content):
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def handmade(header, rows):
    """A PNG of this header, which its pixels need not fit."""
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


class TestJPEG:
    def test_markers_that_begin_with_more_than_one_byte(self):
        content = jpeg()
        filled = content[:2] + b"\xff\xff" + content[2:]
        assert np.array_equal(decode_jpeg(filled), by_pillow(filled))
        assert np.array_equal(decode_jpeg(filled), decode_jpeg(content))

    @pytest.mark.parametrize(
        "options",
        [
            {"quality": 95, "subsampling": "4:4:4"},
            {"quality": 90, "subsampling": "4:2:2"},
            {"quality": 75, "subsampling": "4:2:0"},
            {"quality": 10, "optimize": True},
            {"quality": 80, "keep_rgb": True},
            {"quality": 80, "restart_marker_blocks": 2},
            {"quality": 80, "exif": turned(1), "comment": b"a comment", "dpi": (72, 72)},
            {"quality": 80, "icc_profile": bytes(70_000)},
        ],
    )
    @pytest.mark.parametrize("size", [(37, 53), (1, 1), (64, 48), (8, 200)])
    def test_equals_pillow_to_the_pixel(self, options, size):
        content = jpeg(picture(*size), **options)
        assert np.array_equal(decode_jpeg(content), by_pillow(content))

    def test_real_pictures(self, shared_data):
        files = sorted(shared_data.rglob("*.jpg"))
        decoded = [(decode_jpeg(file.read_bytes()), file) for file in files]
        assert sum(pixels is not None for pixels, _ in decoded) >= 5
        for pixels, file in decoded:
            assert pixels is None or np.array_equal(pixels, by_pillow(file.read_bytes()))

    @pytest.mark.parametrize(
        "content",
        [
            jpeg(picture()[..., 0]),
            jpeg() + b"\0",
            jpeg()[:-1],
            jpeg(progressive=True),
            jpeg(exif=turned(6)),
            jpeg(exif=b"Exif\0\0broken"),
            jpeg(xmp=b'<x tiff:Orientation="6"/>'),
            b"\xff\xd8\xff\xd9",
            b"\xff\xd8\xff\xc0\0\x04\x08\0\xff\xd9",
            b"",
        ],
    )
    def test_the_unusual_is_left_to_pillow(self, content):
        assert decode_jpeg(content) is None

    @pytest.mark.parametrize("mode", ["L", "CMYK"])
    def test_other_channels_are_read_as_before(self, tmp_path, mode):
        Image.fromarray(picture()).convert(mode).save(tmp_path / "a.jpg")
        content = (tmp_path / "a.jpg").read_bytes()
        assert decode_jpeg(content) is None
        assert np.array_equal(read_image(tmp_path / "a.jpg"), by_pillow(content, "RGB"))

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_turned_pictures_are_upright(self, tmp_path, orientation):
        # In halves, so that each of the eight looks different.
        pixels = np.zeros((32, 64, 3), np.uint8)
        pixels[:, 32:, 0], pixels[16:, :, 1] = 255, 255
        (tmp_path / "a.jpg").write_bytes(jpeg(pixels, exif=turned(orientation), quality=95))
        image = read_image(tmp_path / "a.jpg")
        upright = {
            1: pixels,
            2: pixels[:, ::-1],
            3: pixels[::-1, ::-1],
            4: pixels[::-1],
            5: pixels.swapaxes(0, 1),
            6: np.rot90(pixels, -1),
            7: pixels[::-1, ::-1].swapaxes(0, 1),
            8: np.rot90(pixels, 1),
        }[orientation]
        assert np.abs(image.astype(int) - upright).mean() < 3

    def test_whatever_is_cut_off_is_an_error(self, tmp_path):
        content, path = jpeg(), tmp_path / "a.jpg"
        for length in range(len(content) - 2):
            assert decode_jpeg(content[:length]) is None
        for length in range(0, len(content) - 2, 41):
            path.write_bytes(content[:length])
            with pytest.raises(ValueError, match=r"a\.jpg: cannot be read.*truncated"):
                read_image(path)

    def test_cut_at_the_end_of_its_preview(self, tmp_path):
        # The preview in the EXIF data is a JPEG with an end of its own.
        exif = b"Exif\0\0" + turned(1).tobytes() + jpeg()
        content = jpeg(exif=exif)
        (tmp_path / "a.jpg").write_bytes(content[: content.index(b"\xff\xd9") + 2])
        with pytest.raises(ValueError, match=r"a\.jpg: cannot be read"):
            read_image(tmp_path / "a.jpg")

    @settings(max_examples=150, deadline=None)
    @given(st.integers(0, 2**32), st.sampled_from(["lost", "added", "changed"]))
    def test_damage_within_is_what_pillow_makes_of_it(self, seed, kind):
        generator = np.random.default_rng(seed)
        content = bytearray(jpeg())
        at = int(generator.integers(2, len(content) - 2))
        if kind == "lost":
            del content[at : min(at + int(generator.integers(1, 300)), len(content) - 2)]
        elif kind == "added":
            content[at:at] = generator.bytes(20)
        else:
            content[at] ^= int(generator.integers(1, 256))
        pixels = decode_jpeg(bytes(content))
        if pixels is not None:
            assert np.array_equal(pixels, by_pillow(bytes(content), "RGB"))


class TestPNG:
    @pytest.mark.parametrize("size", [(30, 41), (1, 1), (1, 300), (300, 1)])
    @pytest.mark.parametrize("transparency", [None, 0])
    def test_equals_pillow(self, size, transparency):
        options = {} if transparency is None else {"transparency": transparency}
        content = png(labels(*size), bits=8, **options)
        assert np.array_equal(decode_png(content), by_pillow(content))

    def test_grey_without_filters(self):
        values = np.arange(6, dtype=np.uint8).reshape(2, 3)
        rows = b"".join(b"\0" + row.tobytes() for row in values)
        content = handmade(struct.pack(">IIBBBBB", 3, 2, 8, 0, 0, 0, 0), rows)
        assert np.array_equal(decode_png(content), values)
        assert np.array_equal(by_pillow(content), values)

    def test_real_masks(self, shared_data):
        files = sorted((shared_data / "VOCdevkit").rglob("*.png"))
        assert files
        for file in files:
            assert np.array_equal(decode_png(file.read_bytes()), by_pillow(file.read_bytes()))

    @pytest.mark.parametrize(
        "header, rows",
        [
            ((3, 2, 8, 0, 0, 0, 0), bytes(7)),
            ((3, 2, 8, 0, 0, 0, 0), bytes(9)),
            ((3, 1, 8, 0, 0, 0, 0), bytes(9)),
            ((3, 2, 8, 0, 0, 0, 0), b"\1" + bytes(7)),
            ((3, 4, 8, 0, 0, 0, 0), bytes(12) + b"\1" + bytes(3)),
            ((3, 2, 8, 0, 0, 0, 0), b""),
            ((3, 2, 8, 0, 0, 0, 1), bytes(8)),
            ((3, 2, 8, 0, 1, 0, 0), bytes(8)),
            ((3, 2, 4, 0, 0, 0, 0), bytes(6)),
            ((3, 2, 16, 0, 0, 0, 0), bytes(14)),
            ((3, 2, 8, 2, 0, 0, 0), bytes(20)),
            ((0, 2, 8, 0, 0, 0, 0), bytes(2)),
            ((100_000, 100_000, 8, 0, 0, 0, 0), bytes(8)),
        ],
    )
    def test_the_unusual_is_left_to_pillow(self, header, rows):
        assert decode_png(handmade(struct.pack(">IIBBBBB", *header), rows)) is None

    def test_what_may_turn_it_is_left_to_pillow(self, tmp_path):
        about = PngImagePlugin.PngInfo()
        about.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="6"/>')
        for options in ({"exif": turned(6)}, {"pnginfo": about}):
            (tmp_path / "a.png").write_bytes(png(labels(), bits=8, **options))
            assert decode_png((tmp_path / "a.png").read_bytes()) is None
            assert read_mask(tmp_path / "a.png", "pascal_voc").shape == (41, 30)

    def test_whatever_is_cut_off_is_left_to_pillow(self):
        content = png(labels(), bits=8)
        assert all(decode_png(content[:length]) is None for length in range(len(content)))

    @settings(max_examples=150, deadline=None)
    @given(st.integers(0, 2**32))
    def test_damage_is_found(self, seed):
        generator = np.random.default_rng(seed)
        content = bytearray(png(labels(), bits=8))
        content[generator.integers(len(content))] ^= int(generator.integers(1, 256))
        assert decode_png(bytes(content)) is None
