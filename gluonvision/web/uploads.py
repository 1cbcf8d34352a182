"""From the bytes of an upload to a picture: every way to be wrong has a status and a sentence."""

from dataclasses import dataclass
from io import BytesIO

import anyio
import numpy as np
from PIL import Image
from starlette.requests import ClientDisconnect, Request

from gluonvision.data.files.reading import orientation, pillow_to_rgb
from gluonvision.web.errors import Refused
from gluonvision.web.limits import MEGA, Limits

_WIDTH, _LENGTH = 322, 323  # the tags of a TIFF's tiles


@dataclass(frozen=True)
class Picture:
    """A decoded upload: ``pixels``, uint8 (H, W, 3), RGB, upright.

    ``browsers_show_it``: whether every browser shows the file as ``pixels`` are: few show TIFF, of
    several frames they show all, and a turn by EXIF they agree on for JPEG alone.
    """

    pixels: np.ndarray
    browsers_show_it: bool


async def read_body(request: Request, limits: Limits) -> bytes:
    """The request's body, of which never more than ``limits.upload`` bytes are held.

    Raises Refused: 413 at the first byte too many, or at once where the length is announced; 408
    for one that does not end in time; 400 for an empty one; 499 where the client goes away.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limits.upload:
        raise _too_large(limits)
    body = bytearray()
    try:
        with anyio.move_on_after(limits.upload_seconds) as deadline:
            async for chunk in request.stream():
                if len(body) + len(chunk) > limits.upload:
                    raise _too_large(limits)
                body += chunk
    except ClientDisconnect:
        raise Refused(499, "The upload was given up.") from None
    if deadline.cancelled_caught:
        raise Refused(408, f"The upload took more than {limits.upload_seconds:g} seconds.")
    if not body:
        raise Refused(400, "The file is empty. Send the picture's bytes as the request's body.")
    return bytes(body)


def decode(content: bytes, limits: Limits) -> Picture:
    """The picture in an upload; its format is found out from the bytes alone.

    Raises Refused: 413 for too many pixels, before they are decoded; 415 for what is no picture of
    the formats allowed, is damaged, or is grey of more than 8 bits.
    """
    try:
        with Image.open(BytesIO(content), formats=limits.formats) as picture:
            if _most_pixels(picture) > limits.pixels:
                raise _too_many_pixels(limits)
            shown = _browsers_show(picture)
            picture.load()
            return Picture(_pixels(picture), shown)
    except Refused:
        raise
    except Image.DecompressionBombError:
        raise _too_many_pixels(limits) from None
    except Image.UnidentifiedImageError:
        raise Refused(
            415, f"This is no picture that can be read. Formats taken: {', '.join(limits.formats)}."
        ) from None
    # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error ... for a broken file.
    except Exception as error:
        raise Refused(
            415, f"The picture is damaged or incomplete ({error}). Save it anew and try again."
        ) from error


def reduced(pixels: np.ndarray, side: int) -> np.ndarray:
    """A picture, uint8 (H, W, 3), with its longest side at most ``side`` pixels; as it is for 0."""
    height, width, _ = pixels.shape
    scale = side / max(height, width)
    if not side or scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.array(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR, reducing_gap=2))


def _most_pixels(picture: Image.Image) -> int:
    """Of the picture, or of a tile: one of a TIFF's may be larger, and is decoded whole."""
    tags = getattr(picture, "tag_v2", {})
    return max(picture.width * picture.height, tags.get(_WIDTH, 0) * tags.get(_LENGTH, 0))


def _pixels(picture: Image.Image) -> np.ndarray:
    try:
        return pillow_to_rgb(picture)
    except ValueError as error:  # a kind of picture that says what to do with it
        raise Refused(415, f"The picture cannot be used: it is {error}.") from error


def _browsers_show(picture: Image.Image) -> bool:
    turned = picture.format != "JPEG" and orientation(picture) != 1
    return picture.format != "TIFF" and not getattr(picture, "is_animated", False) and not turned


def _too_large(limits: Limits) -> Refused:
    return Refused(
        413,
        f"The file is larger than {limits.upload / MEGA:g} MB. Save it smaller, or start the "
        "server with a greater --max-upload.",
    )


def _too_many_pixels(limits: Limits) -> Refused:
    return Refused(
        413,
        f"The picture has more than {limits.pixels / MEGA:g} megapixels. Scale it down, or start "
        "the server with a greater --max-pixels.",
    )
