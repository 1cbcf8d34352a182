"""Read images and masks from files; every error names the file and says how to fix it."""

import os

import numpy as np
from PIL import Image, ImageFile, ImageOps

from gluonvision.data.files.decoding import decode_jpeg, decode_png, has_end
from gluonvision.data.files.labels import labels_of_colours, labels_of_values
from gluonvision.data.files.matfile import read_sbd_mask
from gluonvision.data.files.opening import read_bytes, read_with_pillow, unreadable
from gluonvision.data.meta import Meta, get_meta

ORIENTATION = 0x0112  # EXIF's tag
LOSSY = ("JPEG", "MPO")  # formats that change pixel values
MASK_MODES = ("P", "L", "1", "I", "I;16", "I;16B")
NO_END = "it is truncated, and other bytes fill its end"
_DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "F")


def read_image(path: str | os.PathLike, deep: bool = False) -> np.ndarray:
    """Read an image as uint8 (H, W, 3), RGB, turned upright by its EXIF orientation.

    Args:
        path: image file, of any format that Pillow reads.
        deep: read grey images with 16 bits per pixel too; see ``pillow_to_rgb``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is empty, truncated, not an image, too large to be read whole, or grey
            with more than 8 bits per pixel.
    """
    content = read_bytes(path)
    pixels = decode_jpeg(content)
    if pixels is not None:
        return pixels
    image = read_with_pillow(path, upright)
    if content.startswith(b"\xff\xd8") and not has_end(content):
        raise ValueError(unreadable(path, NO_END))
    try:
        return pillow_to_rgb(image, deep)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def upright(image: Image.Image) -> Image.Image:
    """Turn a Pillow image upright by its EXIF orientation; ignore a damaged one."""
    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # Pillow may raise anything for damaged EXIF data
        return image


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of a Pillow image; 1, upright, if it is missing or damaged."""
    image.load()
    try:
        return image.getexif().get(ORIENTATION, 1)
    except Exception:  # Pillow may raise anything for damaged EXIF data
        return 1


def pillow_to_rgb(image: Image.Image, deep: bool = False) -> np.ndarray:
    """Convert a Pillow image to uint8 (H, W, 3), RGB, turned upright by its EXIF orientation.

    Palettes, grey and CMYK are converted as Pillow does it, without colour profiles. Transparent
    pixels are blended with white.

    Args:
        image: any Pillow image.
        deep: convert grey images with 16 bits per pixel by scaling 0-65535 to 0-255.

    Raises:
        ValueError: the image is grey with more than 8 bits per pixel, unless it is ``deep``; or it
            holds floats, 32 bits, or 16 bits with the upper four unused, whose white is unknown.
    """
    image = upright(image)
    if image.mode in _DEEP_MODES:
        image = Image.fromarray(_scale_to_8_bits(np.asarray(image), image.mode, deep))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.array(image.convert("RGB"))


def _scale_to_8_bits(values: np.ndarray, mode: str, deep: bool) -> np.ndarray:
    low, high = values.min(), values.max()
    if not deep or mode == "F" or low < 0 or high > 0xFFFF or 0 < high < 0x1000:
        raise ValueError(
            f"a grey image of more than 8 bits (Pillow mode {mode}, values {low:g} to {high:g}); "
            "scale it to 0-255 once, by its sensor's range, and save the result"
        )
    return np.rint(values / 257).astype(np.uint8)


def read_mask(path: str | os.PathLike, dataset: str | Meta) -> np.ndarray:
    """Read a mask file as class labels, int32 (H, W), with -1 for ignored pixels.

    Palette files are read as indices, grey files (8 or 16 bits) as values, and SBD's ``.mat`` files
    by their ``GTcls.Segmentation``. If the data set's masks are 'colours', each pixel is looked up
    in its palette.

    Args:
        path: mask file.
        dataset: name of the data set, or its ``Meta``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is truncated, of the wrong kind, or holds a label or a colour that the
            data set does not have.
    """
    return read_labels(path, get_meta(dataset)).astype(np.int32, copy=False)


def read_labels(path: str | os.PathLike, meta: Meta) -> np.ndarray:
    """Read a mask as ``read_mask`` does, but as int8 or int16 where possible, to save time."""
    if meta.masks == "colours":
        pixels = read_with_pillow(path, lambda image: _mask_colours(upright(image)))
        return labels_of_colours(pixels, path, meta)
    return labels_of_values(_read_values(path), path, meta)


def _read_values(path: str | os.PathLike) -> np.ndarray:
    if str(path).endswith(".mat"):
        return read_sbd_mask(path)
    values = decode_png(read_bytes(path))
    return _read_values_with_pillow(path) if values is None else values


def _read_values_with_pillow(path: str | os.PathLike) -> np.ndarray:
    problem, image = read_with_pillow(path, lambda image: (_mask_problem(image), upright(image)))
    if problem:
        raise ValueError(f"{path}: {problem}")
    return np.asarray(image)


def _mask_problem(image: ImageFile.ImageFile) -> str:
    """Return why an image that was just opened holds no class numbers, or ''."""
    if image.format in LOSSY:
        return (
            "a mask cannot be a JPEG, whose compression changes values along every edge; export it "
            "again from its source, as PNG"
        )
    if image.mode not in MASK_MODES:
        content = "fractions" if image.mode == "F" else "colours"
        return (
            f"a mask must hold class numbers (palette or grey), this file holds {content} (Pillow "
            f"mode {image.mode}); use the original palette file, saved without .convert('RGB'), or "
            "the data set 'folder' with mask_format='colours' and a palette (in its dataset.json)"
        )
    return packed(image)


def packed(image: ImageFile.ImageFile) -> str:
    """Return what is wrong with a grey image of 2 or 4 bits, or '' for others.

    Every reader stretches these values to 0-255, so it is unknown whether 17 means 17 or 1. Call
    this before the image is loaded.
    """
    raw_mode = image.tile[0][3] if image.tile else ""
    raw_mode = raw_mode[0] if isinstance(raw_mode, tuple) else raw_mode
    if not str(raw_mode).startswith(("L;2", "L;4")):
        return ""
    return (
        "its grey has less than 8 bits, which readers stretch to 0-255 (with 4 bits, 1 becomes "
        "17); save it with 8 bits per pixel, or with a palette"
    )


def _mask_colours(image: Image.Image) -> np.ndarray:
    """Convert a mask of colours to uint8 (H, W, 3), RGB."""
    if image.mode in ("RGBA", "LA", "PA"):
        alpha = np.asarray(image.getchannel("A"))
        if alpha.min() < 255:
            raise ValueError("parts of it are transparent; save it without an alpha channel")
    elif image.mode in _DEEP_MODES:
        raise ValueError(f"it holds numbers (Pillow mode {image.mode}), colours were expected")
    return np.asarray(image.convert("RGB"))
