"""Read and decode uploads; every failure has a status and a message for the user."""

from dataclasses import dataclass
from io import BytesIO

import anyio
import numpy as np
from PIL import Image
from starlette.requests import ClientDisconnect, Request

from gluonvision.data.files.reading import orientation, pillow_to_rgb
from gluonvision.web.errors import RequestError
from gluonvision.web.limits import MEGA, Limits

_TILE_WIDTH, _TILE_LENGTH = 322, 323  # TIFF tags


@dataclass(frozen=True)
class UploadedImage:
    """A decoded upload.

    Attributes:
        pixels: uint8 (H, W, 3), RGB, upright.
        browsers_show_it: whether every browser shows the file like ``pixels``. Few browsers show
            TIFF, they play all frames of an animation, and they agree on the EXIF orientation of
            JPEG files only.
    """

    pixels: np.ndarray
    browsers_show_it: bool


async def read_body(request: Request, limits: Limits) -> bytes:
    """Read the body of a request, holding at most ``limits.upload`` bytes.

    Raises:
        RequestError: 413 if it is too large, immediately if its length is announced; 408 if it
            takes too long; 400 if it is empty; 499 if the client disconnects.
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
        raise RequestError(499, "The client cancelled the upload.") from None
    if deadline.cancelled_caught:
        raise RequestError(408, f"The upload took longer than {limits.upload_seconds:g} seconds.")
    if not body:
        raise RequestError(400, "The file is empty. Send the image as the body of the request.")
    return bytes(body)


def decode_image(content: bytes, limits: Limits) -> UploadedImage:
    """Decode an uploaded image; only its content decides the format.

    Raises:
        RequestError: 413 if it has too many pixels, before decoding; 415 if it is damaged, grey
            with more than 8 bits, or not an image of an accepted format.
    """
    try:
        with Image.open(BytesIO(content), formats=limits.formats) as image:
            if _num_pixels(image) > limits.pixels:
                raise _too_many_pixels(limits)
            browsers_show_it = _browsers_show(image)
            image.load()
            return UploadedImage(_rgb_pixels(image), browsers_show_it)
    except RequestError:
        raise
    except Image.DecompressionBombError:
        raise _too_many_pixels(limits) from None
    except Image.UnidentifiedImageError:
        formats = ", ".join(limits.formats)
        raise RequestError(
            415, f"The file is not a supported image. Supported formats: {formats}."
        ) from None
    # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error ... for a broken file.
    except Exception as error:
        raise RequestError(
            415, f"The image is damaged or incomplete ({error}). Save it again and retry."
        ) from error


def limit_side(pixels: np.ndarray, side: int) -> np.ndarray:
    """Scale an image uint8 (H, W, 3) so that its longest side is at most ``side``; 0: no limit."""
    height, width, _ = pixels.shape
    scale = side / max(height, width)
    if not side or scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.array(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR, reducing_gap=2))


def _num_pixels(image: Image.Image) -> int:
    """Return the pixels to decode: a tile of a TIFF is decoded whole and may exceed the image."""
    tags = getattr(image, "tag_v2", {})
    return max(image.width * image.height, tags.get(_TILE_WIDTH, 0) * tags.get(_TILE_LENGTH, 0))


def _rgb_pixels(image: Image.Image) -> np.ndarray:
    try:
        return pillow_to_rgb(image)
    except ValueError as error:
        raise RequestError(415, f"The image is not supported: it is {error}.") from error


def _browsers_show(image: Image.Image) -> bool:
    is_turned = image.format != "JPEG" and orientation(image) != 1
    return image.format != "TIFF" and not getattr(image, "is_animated", False) and not is_turned


def _too_large(limits: Limits) -> RequestError:
    return RequestError(
        413,
        f"The file is larger than {limits.upload / MEGA:g} MB. Upload a smaller file, or start the "
        "server with a higher --max-upload.",
    )


def _too_many_pixels(limits: Limits) -> RequestError:
    return RequestError(
        413,
        f"The image has more than {limits.pixels / MEGA:g} megapixels. Scale it down, or start the "
        "server with a higher --max-pixels.",
    )
