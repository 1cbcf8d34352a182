"""The limits on uploads and on the server's load."""

from dataclasses import dataclass

MEGA = 1_000_000
# Pillow decodes these formats without external programs.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")


@dataclass(frozen=True)
class Limits:
    """Limits of a single request and of the server.

    Attributes:
        upload: size of a file in bytes.
        pixels: pixels of an image, checked in its header before decoding.
        side: longest side in pixels for segmentation. A larger image is scaled down, and its mask
            is scaled back up. 0 segments every image at its own size.
        waiting: number of images that are uploaded, waiting or segmented at a time; the next
            request is answered with 503.
        upload_seconds: time for a whole upload.
        formats: the accepted formats, some of ``FORMATS``.

    Raises:
        ValueError: if a limit would refuse every request.
    """

    upload: int = 20 * MEGA
    pixels: int = 64 * MEGA
    side: int = 1024
    waiting: int = 16
    upload_seconds: float = 60
    formats: tuple[str, ...] = FORMATS

    def __post_init__(self) -> None:
        for name in ("upload", "pixels", "waiting", "upload_seconds"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}: expected more than 0")
        if self.side < 0:
            raise ValueError(f"side is {self.side}: expected pixels, or 0 for the image's own size")
        unknown = sorted(set(self.formats) - set(FORMATS))
        if unknown or not self.formats:
            raise ValueError(
                f"formats: got {' '.join(unknown) or 'none'}, expected some of {' '.join(FORMATS)}"
            )
