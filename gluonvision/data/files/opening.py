"""Open image and mask files, with errors that name the file and the fix."""

import os
import stat
from collections.abc import Callable
from typing import TypeVar

from PIL import Image, ImageFile

Result = TypeVar("Result")


def read_bytes(path: str | os.PathLike) -> bytes:
    """Return a file's bytes, or b'' if it cannot be read: ``read_with_pillow`` reports why."""
    try:
        _check_regular(path)
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def read_with_pillow(
    path: str | os.PathLike, convert: Callable[[ImageFile.ImageFile], Result]
) -> Result:
    """Open a file with Pillow and return ``convert(image)``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is empty, truncated, not an image, or has too many pixels.
    """
    try:
        _check_regular(path)
        with Image.open(path) as image:
            return convert(image)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path}: no such file; check the name, or unpack the archive again if a data set's "
            "split file lists it"
        ) from None
    except Image.DecompressionBombError as error:
        raise ValueError(
            f"{path}: has too many pixels to be read at once ({error}); if you trust its source, "
            "segment it in windows: demo --large"
        ) from error
    # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error ... for a broken file.
    except Exception as error:
        raise ValueError(unreadable(path, _reason(path, error))) from error


def unreadable(path: str | os.PathLike, reason: str) -> str:
    """Return the message for an image file that cannot be read."""
    return f"{path}: cannot be read as an image ({reason}); download or save it again, or remove it"


def _check_regular(path: str | os.PathLike) -> None:
    # Opening a pipe would wait forever for a writer, and a device may never end.
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError("it is a folder" if os.path.isdir(path) else "it is a pipe or a device")


def _reason(path: str | os.PathLike, error: Exception) -> str:
    """Return why Pillow refused a file."""
    if not os.path.isfile(path) or getattr(error, "errno", None):
        return getattr(error, "strerror", None) or str(error)
    if os.path.getsize(path) == 0:
        return "it is truncated to 0 bytes"
    if isinstance(error, Image.UnidentifiedImageError):
        return "it is truncated, not an image, or of a format that Pillow does not know"
    return f"{error}; it is truncated, or not what its name says"
