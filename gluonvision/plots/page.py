"""Build self-contained HTML pages: no scripts, no fonts and no other files."""

import base64
import io
from html import escape

import numpy as np
from PIL import Image

_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1c1f23; --soft: #5b636d; --line: #dfe3e8;
  --card: #f6f7f9; --error: #b3261e; --warning: #8a5a00; --note: #2f5fa8; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171a; --ink: #e7eaee; --soft: #a3acb7;
  --line: #333a42; --card: #1d2125; --error: #ff8a80; --warning: #f2c14e; --note: #8ab4f8; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1.5rem 1rem 4rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { margin: 0; font-size: 1.6rem; } h2 { margin: 2.2rem 0 .6rem; font-size: 1.2rem; }
h3 { margin: 0 0 .4rem; font-size: 1rem; } p { margin: .3rem 0; } .soft { color: var(--soft); }
.verdict { display: flex; flex-wrap: wrap; gap: .5rem; margin: 1rem 0; padding: 0;
  list-style: none; }
.verdict li { padding: .1rem .6rem; border: 1px solid; border-radius: 1rem;
  font-size: .85rem; font-weight: 600; }
.error { color: var(--error); } .warning { color: var(--warning); } .note { color: var(--note); }
.fine { color: #2e7d4f; }
table { width: 100%; border-collapse: collapse; font-size: .9rem; }
th, td { padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
.numbers td, .numbers th { font-variant-numeric: tabular-nums; }
.numbers th:first-child { width: 11rem; font-weight: 500; }
.count { text-align: right; white-space: nowrap; width: 6rem; }
.swatch { display: inline-block; width: .8rem; height: .8rem; margin-right: .5rem;
  border: 1px solid var(--soft); border-radius: .15rem; vertical-align: -.05rem; }
.bar { display: block; height: .8rem; margin-top: .3rem; min-width: 1px; border-radius: .15rem;
  background: var(--note); }
.never td { color: var(--soft); }
article { margin: .8rem 0; padding: .8rem 1rem; background: var(--card);
  border-left: .25rem solid; border-radius: .3rem; }
article > * { color: var(--ink); } article h3 { margin: 0; }
article .code { margin: 0; color: inherit; font-size: .85rem; font-weight: 600; }
.pictures { display: flex; flex-wrap: wrap; gap: .8rem; margin: .6rem 0 0; padding: 0;
  list-style: none; }
.pictures li { flex: 0 1 15rem; min-width: 8.5rem; font-size: .8rem; line-height: 1.35; }
.pictures img, .blank { display: block; max-width: 100%; border-radius: .2rem; }
.blank { padding: 1.2rem .5rem; border: 1px dashed var(--soft); color: var(--soft);
  text-align: center; }
@media (max-width: 34rem) { .numbers th:first-child { width: 7.5rem; } .count { width: 4.6rem; }
  .pictures li { flex-basis: calc(50% - .4rem); } }
"""


def document(title: str, parts: list[str], style: str = "") -> str:
    """Build an HTML page in the project's style.

    Args:
        title: plain text of the page's title.
        parts: the body, as HTML; empty parts are skipped.
        style: further CSS, after the project's own.
    """
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>{_STYLE}{style}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in parts if part)
        + "\n</body>\n</html>\n"
    )


def text(content: str) -> str:
    """Escape text for a page; safe for untrusted text."""
    return escape(printable(content))


def printable(content: str) -> str:
    """Escape control characters and invalid Unicode, so that a terminal can print the text."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in content)


def image_data_uri(image: Image.Image | np.ndarray, quality: int = 75) -> str:
    """Encode an image as a JPEG data URI.

    Args:
        image: a Pillow image, or a uint8 array (H, W, 3), RGB.
        quality: JPEG quality, 1 to 95.
    """
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def swatch(colour: tuple[int, ...]) -> str:
    """Return the HTML of a small square in a colour (R, G, B)."""
    return f'<span class="swatch" style="background:rgb{tuple(colour)}"></span>'
