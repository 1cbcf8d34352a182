"""Open images of any size and read them by blocks of rows, from top to bottom.

PNG and TIFF files are read block by block. Other formats, interlaced PNGs, and images that EXIF
data rotate are decoded whole.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from gluonvision.data.files.reading import ORIENTATION, pillow_to_rgb
from gluonvision.prediction.large_png import png_rows
from gluonvision.prediction.large_rows import ImageRows, rows_of_array
from gluonvision.prediction.large_tiff import TIFF_SUFFIXES, tiff_rows

_SWAPPED = range(5, 9)  # EXIF orientations that exchange height and width


@contextlib.contextmanager
def open_rows(path: str | os.PathLike, trusted: bool = False) -> Iterator[ImageRows]:
    """Open an image file and read it by blocks of rows.

    Args:
        path: the image file.
        trusted: decode formats without block-wise reading at any size. By default, Pillow's limit
            on the number of pixels applies to them.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged or not an image; while its blocks are read, too.
    """
    path = Path(path)
    with contextlib.ExitStack() as stack:
        (height, width), orientation = _read_header(path)
        rows = None
        if orientation == 1 and path.suffix.lower() == ".png":
            rows = png_rows(stack.enter_context(open(path, "rb")), path)
        elif orientation == 1 and path.suffix.lower() in TIFF_SUFFIXES:
            rows = tiff_rows(stack, path)
        yield rows or _decode_whole(path, height, width, trusted)


def image_height_width(path: str | os.PathLike) -> tuple[int, int]:
    """Read the (height, width) of an image, turned upright, from the header of its file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is not an image.
    """
    (height, width), orientation = _read_header(Path(path))
    return (width, height) if orientation in _SWAPPED else (height, width)


@contextlib.contextmanager
def no_pixel_limit() -> Iterator[None]:
    """Switch off Pillow's limit on the number of pixels, its guard against decompression bombs."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _read_header(path: Path) -> tuple[tuple[int, int], int]:
    """The stored (height, width) and the EXIF orientation."""
    try:
        with no_pixel_limit(), Image.open(path) as image:
            return (image.height, image.width), _orientation(image)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file; check the name") from None
    except Exception as error:  # damaged files make Pillow raise errors of many types
        raise _unreadable(path, error) from error


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation; 1 (upright) if the EXIF data are damaged."""
    try:
        if image.format != "PNG":
            return image.getexif().get(ORIENTATION, 1)
        exif = Image.Exif()  # Image.getexif would decode the whole PNG to look for EXIF data
        exif.load(image.info.get("exif", b""))
        return exif.get(ORIENTATION, 1)
    except Exception:
        return 1


def _decode_whole(path: Path, height: int, width: int, trusted: bool) -> ImageRows:
    try:
        limit = no_pixel_limit() if trusted else contextlib.nullcontext()
        with limit, Image.open(path) as image:
            pixels = pillow_to_rgb(image, deep=True)
    except Image.DecompressionBombError as error:
        raise ValueError(
            f"{path}: {width} x {height} pixels, in a format that must be decoded whole; use "
            "--large if you trust the source of the file, or convert it to PNG or TIFF"
        ) from error
    except Exception as error:
        raise _unreadable(path, error) from error
    return rows_of_array(pixels)


def _unreadable(path: Path, error: Exception) -> ValueError:
    return ValueError(f"{path}: cannot be read as an image ({error}); download it or save it again")
