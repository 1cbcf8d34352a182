"""Masks as pictures: a palette file, or a photograph with its classes painted on and named."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gluonvision.data.meta import Meta, get_meta
from gluonvision.utils.arrays import to_labels, to_numpy

Colour = tuple[int, ...]
_INK, _PAPER, _RIM = (20, 20, 20), (255, 255, 255), (110, 110, 110)


def get_mask(predict: Any, dataset: str | Meta = "pascal_voc") -> Image.Image:
    """A class map as the data set's own mask file: a Pillow image in mode P with its colours.

    predict: (H, W), (1, H, W) or (H, W, 1), whole numbers of any type and framework, 0 to
    num_class-1, -1 (or 255) for ignored; it is not changed. Pixel values are the classes; ignored
    is what the data set's files have for it, 255 where that is above 255 or a class. ADE20K's files
    begin at 1 and have 0 for ignored. Raises ValueError for another shape,
    other values and an unknown data set.
    """
    meta = get_meta(dataset)
    picture = Image.fromarray(mask_values(predict, meta))
    picture.putpalette(file_palette(meta).tobytes())
    return picture


def mask_values(predict: Any, meta: Meta) -> np.ndarray:
    """The pixels of ``get_mask``'s picture: uint8 (H, W)."""
    labels = class_map(predict, meta)
    values = np.where(labels < 0, _ignored_value(meta), labels + meta.label_offset)
    return values.astype(np.uint8)


def file_palette(meta: Meta) -> np.ndarray:
    """The colours of the values in a mask file: uint8 (256, 3)."""
    palette = np.zeros((256, 3), np.uint8)
    palette[_ignored_value(meta)] = meta.ignored_colour
    palette[meta.label_offset :][: meta.num_class] = meta.palette
    return palette


def _ignored_value(meta: Meta) -> int:
    """What ignored pixels are written as: a byte that is no class."""
    value = meta.ignored_value
    is_class = 0 <= value - meta.label_offset < meta.num_class
    return value if 0 <= value <= 255 and not is_class else 255


# GluonCV's name, in its spelling, for code that comes from there.
get_color_pallete = get_mask


def overlay(
    image: Any,
    mask: Any,
    dataset: str | Meta = "pascal_voc",
    alpha: float = 0.5,
    legend: bool = True,
) -> Image.Image:
    """A photograph with its classes painted over it, outlined, and named below with their share.

    image: uint8 (H, W, 3) or a Pillow image; mask: as for ``get_mask``, of the same size.
    alpha: 0 (outlines alone) to 1 (the colour alone). Background and ignored pixels stay as they
    are. Returns mode RGB, higher than the image by the legend. Raises ValueError for arguments
    that do not fit.
    """
    meta = get_meta(dataset)
    pixels, labels = pixels_of(image), class_map(mask, meta)
    if pixels.shape[:2] != labels.shape:
        raise ValueError(f"image is {pixels.shape[:2]}, mask {labels.shape}: expected one size")
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha {alpha}: expected 0 to 1")
    picture = Image.fromarray(_paint(pixels, labels, meta, alpha))
    return _with_legend(picture, labels, meta) if legend else picture


def class_shares(mask: Any, dataset: str | Meta = "pascal_voc") -> list[tuple[str, float]]:
    """The classes in a mask and the part (0-1) of its labelled pixels that each has, largest first.

    mask: as for ``get_mask``. Empty where every pixel is ignored.
    """
    meta = get_meta(dataset)
    return [(meta.classes[label], share) for label, share in _shares(class_map(mask, meta), meta)]


def class_map(array: Any, meta: Meta) -> np.ndarray:
    """The classes as int64 (H, W), a copy, -1 for ignored; array and errors as for ``get_mask``."""
    labels = to_labels(array)
    if labels.ndim == 3 and 1 in (labels.shape[0], labels.shape[2]):
        labels = labels[0] if labels.shape[0] == 1 else labels[..., 0]
    if labels.ndim != 2 or labels.size == 0:
        raise ValueError(
            f"mask of shape {labels.shape}: expected one class number a pixel, (H, W), (1, H, W) "
            "or (H, W, 1); scores become classes by argmax over the class axis"
        )
    border = 255 if meta.border_class is None else meta.border_class
    labels = np.where((labels == 255) | (labels == border), -1, labels.astype(np.int64))
    if labels.min() < -1 or labels.max() >= meta.num_class:
        raise ValueError(
            f"mask holds {labels.min()} to {labels.max()}; {meta.name} has classes 0 to "
            f"{meta.num_class - 1}, and -1 for ignored: name the data set it was made for"
        )
    return labels


def pixels_of(image: Any) -> np.ndarray:
    """A uint8 (H, W, 3) image, or a Pillow image, as the former; raises ValueError for others."""
    if isinstance(image, Image.Image):
        return np.array(image.convert("RGB"))
    pixels = to_numpy(image)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(
            f"image of {pixels.dtype} {pixels.shape}: expected uint8 (H, W, 3), RGB, or a Pillow "
            "image; a normalized one must be turned back first"
        )
    return pixels


def draw_legend(entries: Sequence[tuple[Colour, str]], width: int, size: int) -> Image.Image:
    """Swatches with their texts on white paper, in rows, ``size`` pixels high.

    As wide as ``width`` asks, or wider where a text alone is. Mode RGB.
    """
    font = ImageFont.load_default(size)
    places, needed = _rows([font.getlength(text) for _, text in entries], width, size)
    paper = Image.new("RGB", (max(width, needed[0]), needed[1]), _PAPER)
    draw = ImageDraw.Draw(paper)
    for (colour, text), (x, y) in zip(entries, places):
        box = (x, y, x + size, y + size)
        draw.rectangle(box, fill=tuple(colour), outline=_RIM, width=max(1, size // 14))
        draw.text((x + 1.4 * size, y + size / 2), text, fill=_INK, font=font, anchor="lm")
    return paper


def _paint(pixels: np.ndarray, labels: np.ndarray, meta: Meta, alpha: float) -> np.ndarray:
    painted = labels >= 0
    if meta.background is not None:
        painted &= labels != meta.background
    colours = np.asarray(meta.palette, np.uint8)[labels[painted]]
    result = pixels.copy()
    result[painted] = np.rint(alpha * colours + (1 - alpha) * pixels[painted])
    # White: a class's own colour can be that of the thing (VOC's person has that of skin).
    result[_outline(labels) & painted] = _PAPER
    return result


def _outline(labels: np.ndarray) -> np.ndarray:
    """Where a class ends: another label close by, about 1/250 of the picture."""
    reach = max(1, round(min(labels.shape) / 250))
    edge = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        ahead, behind = np.moveaxis(labels, axis, 0), np.moveaxis(edge, axis, 0)
        for step in range(1, min(reach, len(ahead) - 1) + 1):
            differs = ahead[step:] != ahead[:-step]
            behind[step:] |= differs
            behind[:-step] |= differs
    return edge


def _shares(labels: np.ndarray, meta: Meta) -> list[tuple[int, float]]:
    counts = np.bincount(labels[labels >= 0], minlength=meta.num_class)
    found = [label for label in np.argsort(-counts, kind="stable") if counts[label]]
    return [(int(label), float(counts[label] / counts.sum())) for label in found]


def _with_legend(picture: Image.Image, labels: np.ndarray, meta: Meta) -> Image.Image:
    """The picture on white paper with a swatch and a line for each class, in rows below it."""
    shares = _shares(labels, meta)
    if not shares:
        return picture
    entries = [
        # Unpainted, as the background is in the picture.
        (
            _PAPER if label == meta.background else meta.palette[label],
            f"{meta.classes[label]} {_percent(share)}",
        )
        for label, share in shares
    ]
    legend = draw_legend(entries, picture.width, max(12, picture.width // 34))
    paper = Image.new("RGB", (legend.width, picture.height + legend.height), _PAPER)
    paper.paste(picture)
    paper.paste(legend, (0, picture.height))
    return paper


def _rows(
    lengths: list[float], width: int, size: int
) -> tuple[list[tuple[int, int]], tuple[int, int]]:
    """Top left corner of each entry, filled row by row, and the (width, height) they need."""
    margin, x, y, needed = size // 2, size // 2, size // 2, 0
    places = []
    for length in lengths:
        entry = round(1.4 * size + length)
        if x > margin and x + entry + margin > width:
            x, y = margin, y + round(1.6 * size)
        places.append((x, y))
        needed = max(needed, x + entry + margin)
        x += entry + size
    return places, (needed, y + size + margin)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.001 else "< 0.1 %"
