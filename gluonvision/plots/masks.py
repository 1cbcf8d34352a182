"""Draw masks as images: a palette file, or a photo with its classes painted on and a legend."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gluonvision.data.meta import Meta, get_meta
from gluonvision.utils.arrays import to_labels, to_numpy

Colour = tuple[int, ...]
_TEXT_COLOUR, _BACKGROUND, _SWATCH_BORDER = (20, 20, 20), (255, 255, 255), (110, 110, 110)


def get_mask(predict: Any, dataset: str | Meta = "pascal_voc") -> Image.Image:
    """Convert a class map to a mask file of the data set: a palette image with its colours.

    Ignored pixels get the ignored value of the data set's own files, or 255 if that value is above
    255 or is a class. In ADE20K's files, classes start at 1 and 0 means ignored.

    Args:
        predict: class ids (H, W), (1, H, W) or (H, W, 1): whole numbers of any type, as an array
            of any framework. Ids are in [0, num_class); -1 or 255 means ignored. Not modified.
        dataset: name of the data set, or its ``Meta``.

    Returns:
        A Pillow image in mode P.

    Raises:
        ValueError: if the shape or a value is wrong, or the data set is unknown.
    """
    meta = get_meta(dataset)
    image = Image.fromarray(palette_indices(predict, meta))
    image.putpalette(file_palette(meta).tobytes())
    return image


def palette_indices(mask: Any, meta: Meta) -> np.ndarray:
    """Return the pixel values of the image from ``get_mask``: uint8 (H, W)."""
    ids = class_ids(mask, meta)
    values = np.where(ids < 0, _ignored_value(meta), ids + meta.label_offset)
    return values.astype(np.uint8)


def file_palette(meta: Meta) -> np.ndarray:
    """Return the colour of each value in a mask file: uint8 (256, 3)."""
    palette = np.zeros((256, 3), np.uint8)
    palette[_ignored_value(meta)] = meta.ignored_colour
    palette[meta.label_offset :][: meta.num_class] = meta.palette
    return palette


def _ignored_value(meta: Meta) -> int:
    """Return the byte that marks ignored pixels; it is never a class."""
    value = meta.ignored_value
    is_class = 0 <= value - meta.label_offset < meta.num_class
    return value if 0 <= value <= 255 and not is_class else 255


# GluonCV's spelling, for code that was written for GluonCV.
get_color_pallete = get_mask


def overlay(
    image: Any,
    mask: Any,
    dataset: str | Meta = "pascal_voc",
    alpha: float = 0.5,
    legend: bool = True,
) -> Image.Image:
    """Paint a mask over a photo, outline each class, and add a legend with their area fractions.

    Background and ignored pixels are not painted.

    Args:
        image: uint8 array (H, W, 3), RGB, or a Pillow image.
        mask: class ids as for ``get_mask``, with the height and width of the image.
        dataset: name of the data set, or its ``Meta``.
        alpha: opacity of the colours in [0, 1]; 0 draws the outlines only.
        legend: add the legend below the photo.

    Returns:
        A Pillow image in mode RGB. The legend makes it taller than the photo.

    Raises:
        ValueError: if an argument is invalid, or the image and mask differ in size.
    """
    meta = get_meta(dataset)
    pixels, ids = rgb_array(image), class_ids(mask, meta)
    if pixels.shape[:2] != ids.shape:
        raise ValueError(
            f"the image has size {pixels.shape[:2]} and the mask {ids.shape}: expected the same "
            "(height, width); resize the mask with nearest-neighbour sampling"
        )
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}: expected a value from 0 to 1")
    painted = Image.fromarray(_paint(pixels, ids, meta, alpha))
    return _with_legend(painted, ids, meta) if legend else painted


def class_shares(mask: Any, dataset: str | Meta = "pascal_voc") -> list[tuple[str, float]]:
    """Return each class in a mask with its fraction (0-1) of the labelled pixels, largest first.

    Args:
        mask: class ids as for ``get_mask``.
        dataset: name of the data set, or its ``Meta``.

    Returns:
        Pairs of class name and fraction; an empty list if every pixel is ignored.
    """
    meta = get_meta(dataset)
    fractions = _class_fractions(class_ids(mask, meta), meta)
    return [(meta.classes[class_id], fraction) for class_id, fraction in fractions]


def class_ids(mask: Any, meta: Meta) -> np.ndarray:
    """Return a mask as a new int64 array (H, W), -1 for ignored; input as for ``get_mask``.

    Raises:
        ValueError: if the shape or a value is wrong.
    """
    ids = to_labels(mask)
    if ids.ndim == 3 and 1 in (ids.shape[0], ids.shape[2]):
        ids = ids[0] if ids.shape[0] == 1 else ids[..., 0]
    if ids.ndim != 2 or ids.size == 0:
        raise ValueError(
            f"the mask has shape {ids.shape}: expected one class id per pixel, (H, W), (1, H, W) "
            "or (H, W, 1); turn logits into class ids with argmax over the class axis"
        )
    border = 255 if meta.border_class is None else meta.border_class
    ids = np.where((ids == 255) | (ids == border), -1, ids.astype(np.int64))
    if ids.min() < -1 or ids.max() >= meta.num_class:
        raise ValueError(
            f"the mask has values from {ids.min()} to {ids.max()}; {meta.name} has classes 0 to "
            f"{meta.num_class - 1}, and -1 means ignored: pass the data set that the mask belongs "
            "to"
        )
    return ids


def rgb_array(image: Any) -> np.ndarray:
    """Return an image as a uint8 array (H, W, 3).

    Args:
        image: a Pillow image of any mode, or a uint8 array (H, W, 3) of any framework.

    Raises:
        ValueError: if an array has another type or shape.
    """
    if isinstance(image, Image.Image):
        return np.array(image.convert("RGB"))
    pixels = to_numpy(image)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(
            f"the image is {pixels.dtype} {pixels.shape}: expected uint8 (H, W, 3), RGB, or a "
            "Pillow image; undo the normalization of a normalized image first"
        )
    return pixels


def draw_legend(entries: Sequence[tuple[Colour, str]], width: int, size: int) -> Image.Image:
    """Draw rows of colour swatches with texts on white.

    Args:
        entries: pairs of colour and text.
        width: width in pixels; the legend is wider if a single text needs more.
        size: height of the text in pixels.

    Returns:
        A Pillow image in mode RGB.
    """
    font = ImageFont.load_default(size)
    corners, needed = _row_layout([font.getlength(text) for _, text in entries], width, size)
    legend = Image.new("RGB", (max(width, needed[0]), needed[1]), _BACKGROUND)
    draw = ImageDraw.Draw(legend)
    for (colour, text), (x, y) in zip(entries, corners):
        box = (x, y, x + size, y + size)
        draw.rectangle(box, fill=tuple(colour), outline=_SWATCH_BORDER, width=max(1, size // 14))
        draw.text((x + 1.4 * size, y + size / 2), text, fill=_TEXT_COLOUR, font=font, anchor="lm")
    return legend


def _paint(pixels: np.ndarray, ids: np.ndarray, meta: Meta, alpha: float) -> np.ndarray:
    painted = ids >= 0
    if meta.background is not None:
        painted &= ids != meta.background
    colours = np.asarray(meta.palette, np.uint8)[ids[painted]]
    result = pixels.copy()
    result[painted] = np.rint(alpha * colours + (1 - alpha) * pixels[painted])
    # White, because a class colour can match the object: VOC's person has the colour of skin.
    result[_outline(ids) & painted] = _BACKGROUND
    return result


def _outline(ids: np.ndarray) -> np.ndarray:
    """Find pixels near another class: within about 1/250 of the image."""
    reach = max(1, round(min(ids.shape) / 250))
    edge = np.zeros(ids.shape, bool)
    for axis in (0, 1):
        rows, edge_rows = np.moveaxis(ids, axis, 0), np.moveaxis(edge, axis, 0)
        for step in range(1, min(reach, len(rows) - 1) + 1):
            differs = rows[step:] != rows[:-step]
            edge_rows[step:] |= differs
            edge_rows[:-step] |= differs
    return edge


def _class_fractions(ids: np.ndarray, meta: Meta) -> list[tuple[int, float]]:
    """Return (class id, fraction of the labelled pixels), largest first."""
    counts = np.bincount(ids[ids >= 0], minlength=meta.num_class)
    present = [class_id for class_id in np.argsort(-counts, kind="stable") if counts[class_id]]
    return [(int(class_id), float(counts[class_id] / counts.sum())) for class_id in present]


def _with_legend(image: Image.Image, ids: np.ndarray, meta: Meta) -> Image.Image:
    """Put a legend with one entry per class below the image."""
    fractions = _class_fractions(ids, meta)
    if not fractions:
        return image
    entries = [
        # The background has a white swatch, because the overlay does not paint it.
        (
            _BACKGROUND if class_id == meta.background else meta.palette[class_id],
            f"{meta.classes[class_id]} {_percent(fraction)}",
        )
        for class_id, fraction in fractions
    ]
    legend = draw_legend(entries, image.width, max(12, image.width // 34))
    result = Image.new("RGB", (legend.width, image.height + legend.height), _BACKGROUND)
    result.paste(image)
    result.paste(legend, (0, image.height))
    return result


def _row_layout(
    lengths: list[float], width: int, size: int
) -> tuple[list[tuple[int, int]], tuple[int, int]]:
    """Return the top left corner of each entry, filled row by row, and the (width, height)."""
    margin, x, y, needed = size // 2, size // 2, size // 2, 0
    corners = []
    for length in lengths:
        entry = round(1.4 * size + length)
        if x > margin and x + entry + margin > width:
            x, y = margin, y + round(1.6 * size)
        corners.append((x, y))
        needed = max(needed, x + entry + margin)
        x += entry + size
    return corners, (needed, y + size + margin)


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %" if fraction >= 0.001 else "< 0.1 %"
