"""PNG files assembled from single chunks."""

import struct
import zlib


def png_of(*chunks: tuple[bytes, bytes]) -> bytes:
    """Return a PNG file of these chunks (type, data) and an end chunk."""
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, data in (*chunks, (b"IEND", b"")):
        checked = kind + data
        parts += [struct.pack(">I", len(data)), checked, struct.pack(">I", zlib.crc32(checked))]
    return b"".join(parts)
