"""Images too large to be seen, or held, whole: read, segmented and written by parts."""

import tracemalloc

import numpy as np
import pytest
import tifffile
from PIL import Image

from gluonvision import backend
from gluonvision.backend import HybridBlock, init, initialize, nn
from gluonvision.data.files.reading import pillow_to_rgb
from gluonvision.data.meta import get_meta
from gluonvision.prediction import large_png, large_read, large_windows
from gluonvision.prediction.large_images import predict_large
from gluonvision.prediction.large_windows import window_spans
from gluonvision.prediction.large_write import write_mask
from gluonvision.segmentation import Inference, Predictor


class OneConvolution(HybridBlock):
    """Three classes from 3 x 3 pixels: a window's middle is what the whole image gives."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2D(3, 3, padding=1, in_channels=3)
        backend.seed(1)
        initialize(self, init.Xavier())
        self.cast("float64")  # rounding, which differs from window to window, decides no class

    def hybrid_forward(self, F, x):
        return self.conv(x)


META = get_meta("camvid")
TIFFS = [
    {"tile": (32, 48)},
    {"rowsperstrip": 40},
    {"tile": (64, 64), "compression": "zlib"},
    {"rowsperstrip": 7, "compression": "zlib", "predictor": True},
]


@pytest.fixture
def pixels():
    """A picture with slopes and edges, so that PNGs use all filters; no side a round number."""
    rng = np.random.default_rng(0)
    slopes = np.cumsum(rng.integers(-2, 3, (203, 217, 3)), 0) + np.arange(217)[:, None]
    return (slopes % 256).astype(np.uint8)


def read(path, trusted=False):
    with large_read.open_rows(path, trusted) as rows:
        blocks = list(rows.blocks)
        assert (rows.height, rows.width) == np.concatenate(blocks).shape[:2]
        return np.concatenate(blocks), len(blocks)


def in_mode(pixels, mode):
    if mode == "RGBA":
        return Image.fromarray(np.dstack([pixels, pixels[..., 0]]))
    if mode == "LA":
        return Image.fromarray(pixels[..., :2].copy(), "LA")
    if mode == "I;16":
        return Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    return Image.fromarray(pixels).convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "I;16"])
def test_a_png_by_parts_is_pillows(pixels, mode, tmp_path, monkeypatch):
    monkeypatch.setattr(large_png, "_BLOCK_BYTES", 3000)
    in_mode(pixels, mode).save(tmp_path / "a.png")
    ours, parts = read(tmp_path / "a.png")
    assert parts > 1
    with Image.open(tmp_path / "a.png") as picture:
        np.testing.assert_array_equal(ours, pillow_to_rgb(picture, deep=True))


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_png_of_few_colours(pixels, bits, tmp_path):
    few = Image.fromarray(pixels).quantize(2**bits)
    few.save(tmp_path / "a.png", bits=bits, transparency=1)
    with Image.open(tmp_path / "a.png") as picture:
        np.testing.assert_array_equal(read(tmp_path / "a.png")[0], pillow_to_rgb(picture))


@pytest.mark.parametrize("options", TIFFS, ids=str)
def test_a_tiff_by_parts_is_what_was_written(pixels, options, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", **options)
    ours, parts = read(tmp_path / "a.tif")
    assert parts > 1
    np.testing.assert_array_equal(ours, pixels)


def test_kinds_of_tiff(pixels, tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels.astype(np.uint16) * 257, photometric="rgb")
    np.testing.assert_array_equal(read(path)[0], pixels)
    tifffile.imwrite(path, pixels[..., 0], photometric="minisblack")
    np.testing.assert_array_equal(read(path)[0], np.repeat(pixels[..., :1], 3, 2))
    bands = np.concatenate([pixels, pixels[..., :1]], 2)  # and infrared
    tifffile.imwrite(path, bands, photometric="rgb", extrasamples=["unspecified"])
    np.testing.assert_array_equal(read(path)[0], pixels)
    # Colours one after the other, which no strip holds together, are decoded whole.
    tifffile.imwrite(path, pixels.transpose(2, 0, 1), photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(read(path)[0], pixels)


@pytest.mark.parametrize("name", ["grey.png", "grey.tif", "rgba.tif"])
def test_twelve_bits_are_not_taken_for_sixteen(pixels, name, tmp_path, monkeypatch):
    monkeypatch.setattr(large_png, "_BLOCK_BYTES", 3000)
    path, mask = tmp_path / name, tmp_path / "mask.png"
    for most, is_dark in ((4095, True), (4096, False), (0, False)):
        write_deep(path, (pixels > 250).astype(np.uint16) * most)
        if is_dark:
            with pytest.raises(
                ValueError, match=rf"{name}: .*upper four bits are empty .*value 4095"
            ):
                predict_large(in_windows(64), path, mask, progress=False)
            assert sorted(tmp_path.iterdir()) == [path]
        else:
            assert read(path)[0].max() == most >> 8


def write_deep(path, values):
    """Pictures of 16 bits, whose alpha, if there is any, has them all."""
    if path.name == "rgba.tif":
        alpha = np.full_like(values[..., :1], 0xFFFF)
        rows = np.concatenate([values, alpha], 2)
        tifffile.imwrite(path, rows, photometric="rgb", extrasamples=["unassalpha"])
    elif path.suffix == ".tif":
        tifffile.imwrite(path, values[..., 0], photometric="minisblack", rowsperstrip=40)
    else:
        Image.fromarray(values[..., 0]).save(path)


def test_what_is_to_be_turned_is(pixels, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("a.png", "a.jpg", "a.tif"):
        Image.fromarray(pixels).save(tmp_path / name, exif=exif)
        assert read(tmp_path / name)[0].shape == (217, 203, 3)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg"])
@pytest.mark.parametrize("share", [0, 0.3, 0.9])
def test_half_a_file_is_an_error_that_names_it(pixels, name, share, tmp_path):
    path, mask = tmp_path / name, tmp_path / "mask.png"
    Image.fromarray(pixels).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ValueError, match=rf"{name}: .*download it"):
        predict_large(in_windows(64), path, mask, progress=False)
    assert sorted(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
def test_damaged_exif_data_turn_nothing(pixels, name, tmp_path):
    Image.fromarray(pixels).save(tmp_path / name, exif=b"Exif\0\0garbagegarbage")
    assert large_read.image_height_width(tmp_path / name) == (203, 217)
    assert read(tmp_path / name)[0].shape == pixels.shape


@pytest.mark.parametrize("strip", [0, 3])
def test_a_damaged_strip_is_an_error_that_names_its_file(pixels, strip, tmp_path):
    pytest.importorskip("imagecodecs", reason="imagecodecs, which LZW needs, is not installed")
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, photometric="rgb", compression="lzw", rowsperstrip=40)
    with tifffile.TiffFile(path) as file:
        at, size = (n[strip] for n in (file.pages[0].dataoffsets, file.pages[0].databytecounts))
    content = bytearray(path.read_bytes())
    content[at : at + size] = b"\xff" * size
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.tif: damaged"):
        read(path)


def test_a_tiff_of_fewer_strips_than_rows_is_an_error(pixels, tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, photometric="rgb", rowsperstrip=40)
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[0].tags["ImageLength"].overwrite(2000)
    with pytest.raises(ValueError, match=r"a\.tif: .*6 strips or tiles, but its size needs 50"):
        read(path)


def test_a_png_by_the_name_of_a_tiff_is_read(pixels, tmp_path):
    Image.fromarray(pixels).save(tmp_path / "a.tif", format="png")
    np.testing.assert_array_equal(read(tmp_path / "a.tif")[0], pixels)
    predict_large(in_windows(64), tmp_path / "a.tif", tmp_path / "m.tif", progress=False)
    assert tifffile.imread(tmp_path / "m.tif").shape == (203, 217)


def test_a_flipped_bit_in_a_png_is_found(pixels, tmp_path):
    Image.fromarray(pixels).save(tmp_path / "a.png")
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[len(content) // 2] ^= 4
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.png: damaged"):
        read(tmp_path / "a.png")


def test_only_who_is_trusted_may_be_of_any_size(pixels, tmp_path, monkeypatch):
    Image.fromarray(pixels).save(tmp_path / "a.jpg")
    Image.fromarray(pixels).save(tmp_path / "a.png")
    monkeypatch.setattr(large_png, "_BLOCK_BYTES", 3000)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20000)
    with pytest.raises(ValueError, match=r"a\.jpg: 217 x 203 pixels.*--large"):
        read(tmp_path / "a.jpg")
    assert read(tmp_path / "a.jpg", trusted=True)[0].shape == pixels.shape
    assert read(tmp_path / "a.png")[0].shape == pixels.shape
    assert Image.MAX_IMAGE_PIXELS == 20000


@pytest.mark.parametrize("side", [32, 100, 1024])
@pytest.mark.parametrize("stride", [0.1, 2 / 3, 1])
@pytest.mark.parametrize("length", [1, 32, 33, 100, 203, 5000])
def test_windows_cover_an_image_once(length, side, stride):
    found = window_spans(length, side, stride)
    assert [first for _, first, _ in found] == [0, *(last for *_, last in found)][:-1]
    assert found[-1][2] == length
    for start, first, last in found:
        assert 0 <= start <= first < last <= start + side
        assert start + side <= max(length, side)


def in_windows(side, stride=2 / 3):
    inference = Inference(window=side, stride=stride)
    return Predictor(OneConvolution(), "camvid", inference, backend.cpu(), "fp32")


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
@pytest.mark.parametrize("mask_name", ["m.png", "m.tif"])
def test_what_windows_give_is_what_the_whole_gives(pixels, name, mask_name, tmp_path):
    Image.fromarray(pixels).save(tmp_path / name)
    whole = Predictor(OneConvolution(), "camvid", device=backend.cpu(), precision="fp32")(pixels)
    told = predict_large(in_windows(64), tmp_path / name, tmp_path / mask_name, progress=False)
    with Image.open(tmp_path / mask_name) as mask:
        assert mask.mode == "P" and mask.getpalette()[:33] == np.ravel(META.palette).tolist()
        np.testing.assert_array_equal(np.asarray(mask), whole.mask)
    assert told.shares() == whole.shares()
    np.testing.assert_array_equal(told.mask, whole.mask)
    np.testing.assert_array_equal(told.image, pixels)


def test_seams_do_not_show_on_a_street(shared_data, tmp_path):
    file = min((shared_data / "camvid" / "images" / "val").glob("*.jpg"))
    name, cpu = "deeplabv3plus_mobilenet_v2_camvid", backend.cpu()
    whole = Predictor.load(name, device=cpu, precision="fp32")(file).mask
    parts = Predictor.load(name, inference=Inference(window=288), device=cpu, precision="fp32")
    predict_large(parts, file, tmp_path / "m.png", progress=False)
    agree = np.asarray(Image.open(tmp_path / "m.png")) == whole
    assert agree.mean() > 0.93
    # Along the seams of columns no less than elsewhere.
    seams = [first for _, first, _ in window_spans(480, 288, 2 / 3)[1:]]
    assert np.mean([agree[:, s - 2 : s + 2].mean() for s in seams]) > agree.mean() - 0.05


def test_a_large_array_is_seen_in_windows(pixels, monkeypatch):
    monkeypatch.setattr(large_windows, "LARGE", 1000)
    net = OneConvolution()
    seen = []
    net.register_forward_pre_hook(lambda net, inputs: seen.append(inputs[0].shape))
    monkeypatch.setattr(large_windows, "WINDOW", 64)
    ours = Predictor(net, "camvid", device=backend.cpu(), precision="fp32")(pixels).mask
    assert len(seen) > 1 and max(max(shape[2:]) for shape in seen) == 64
    seen.clear()
    monkeypatch.setattr(large_windows, "LARGE", 1 << 24)
    whole = Predictor(net, "camvid", device=backend.cpu(), precision="fp32")(pixels).mask
    assert len(seen) == 1
    np.testing.assert_array_equal(ours, whole)


def test_a_mask_lies_where_its_geotiff_lies(pixels, tmp_path):
    place = [(33550, "d", 3, (0.5, 0.5, 0.0), True), (34735, "H", 4, (1, 1, 0, 0), True)]
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", extratags=place)
    predict_large(in_windows(64), tmp_path / "a.tif", tmp_path / "m.tif", note="model x")
    with tifffile.TiffFile(tmp_path / "m.tif") as mask:
        tags = mask.pages[0].tags
        assert tags[33550].value == (0.5, 0.5, 0.0) and tags[34735].value == (1, 1, 0, 0)
        assert tags["ImageDescription"].value == "model x"


def test_a_mask_is_whole_or_not_there(tmp_path):
    def parts():
        yield np.zeros((4, 6), np.int32)
        raise OSError("the disk is full")

    for name in ("m.png", "m.tif"):
        with pytest.raises(OSError, match="full"):
            write_mask(tmp_path / name, parts(), (300, 6), META)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_memory_does_not_grow_with_the_image(ending, tmp_path, monkeypatch):
    monkeypatch.setattr("gluonvision.prediction.large_images._OVERVIEW_SIDE", 64)
    monkeypatch.setattr(large_png, "_BLOCK_BYTES", 1 << 16)
    peaks = []
    for repeats in (4, 40):
        path = tmp_path / f"{repeats}.{ending}"
        write_tall(path, repeats)
        tracemalloc.start()
        predict_large(Bright(), path, tmp_path / f"m.{ending}", progress=False)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] < 7e6  # the larger image alone has 15 MB


def write_tall(path, repeats):
    rows = np.random.default_rng(0).integers(0, 256, (250, 500, 3), dtype=np.uint8)
    image = np.tile(rows, (repeats, 1, 1))
    if path.suffix == ".png":
        Image.fromarray(image).save(path, compress_level=1)
    else:
        tifffile.imwrite(path, image, photometric="rgb", rowsperstrip=50)


class Bright:
    """A predictor without a net: what is bright."""

    meta, inference = META, Inference(window=128)

    def predict_window(self, window):
        return (window[..., 0] > 127).astype(np.int32)
