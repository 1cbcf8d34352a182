"""What the server takes from strangers, and how much of it."""

from dataclasses import dataclass

MEGA = 1_000_000
# Every one of these Pillow reads by itself, and none holds anything but a picture.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")


@dataclass(frozen=True)
class Limits:
    """Bounds of one request and of all at once; ValueError for one that lets nothing through.

    ``upload``: bytes of a file. ``pixels``: of a picture, as its header says, before it is decoded.
    ``side``: a picture whose longest side is greater is segmented at that size, in pixels, and its
    mask scaled back; 0 for none. ``waiting``: pictures that are uploaded, wait or are segmented at
    one time; the next is answered 503. ``upload_seconds``: for the whole of an upload.
    ``formats``: Pillow's names.
    """

    upload: int = 20 * MEGA
    pixels: int = 64 * MEGA
    side: int = 1024
    waiting: int = 16
    upload_seconds: float = 60
    formats: tuple[str, ...] = FORMATS

    def __post_init__(self):
        for name in ("upload", "pixels", "waiting", "upload_seconds"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} {getattr(self, name)}: expected more than 0")
        if self.side < 0:
            raise ValueError(f"side {self.side}: expected pixels, or 0 for pictures' own size")
        unknown = sorted(set(self.formats) - set(FORMATS))
        if unknown or not self.formats:
            raise ValueError(
                f"formats {' '.join(unknown) or 'none'}: expected some of {' '.join(FORMATS)}"
            )
