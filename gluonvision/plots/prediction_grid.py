"""Draw predictions next to their labels, as one image with a row per sample."""

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gluonvision.data.meta import Meta, get_meta
from gluonvision.plots.masks import Colour, class_ids, draw_legend, rgb_array
from gluonvision.utils import atomic, get_mask

MAX_SAMPLES = 8
WRONG_COLOUR, IGNORED_COLOUR = (214, 26, 26), (120, 120, 120)
_HEADINGS = ("image", "label", "prediction", "errors")
_TEXT_COLOUR, _BACKGROUND = (20, 20, 20), (255, 255, 255)
# In pixels. Four panels and their gaps fit the width of a page or a screen.
_PANEL_SIZE, _MIN_COLUMN_WIDTH, _GAP, _MARGIN, _TEXT_SIZE, _SMALL_TEXT_SIZE = (
    320,
    240,
    8,
    16,
    16,
    13,
)
# Weight of white in correct pixels of the error map.
_FADING = 0.65

_Entries = list[tuple[Colour, str]]


class _Row(NamedTuple):
    image: np.ndarray  # uint8 (H, W, 3)
    label: np.ndarray  # int64 (H, W), -1 for ignored
    prediction: np.ndarray  # int64 (H, W), -1 for ignored


def draw_predictions(
    samples: Sequence[tuple[Any, Any, Any]], dataset: str | Meta, path: str | os.PathLike
) -> None:
    """Write a PNG with one row per sample: image, label, prediction and errors.

    Masks have the colours of the data set, and a legend names the classes that occur. In the
    errors panel wrong pixels are red, ignored pixels are grey, and the rest is faded. Panels fit
    into 320 x 320 pixels, so the grid is at most 1336 pixels wide. The file is written atomically.

    Args:
        samples: 1 to 8 tuples (image, label, prediction). The image is uint8 (H, W, 3) or a Pillow
            image; the other two are class ids (H, W), as for ``utils.get_mask``. Sizes may differ
            between samples.
        dataset: name of the data set, or its ``Meta``.
        path: the PNG file.

    Raises:
        ValueError: if the number of samples, or an array of a sample, is invalid.
    """
    meta = get_meta(dataset)
    if not 1 <= len(samples) <= MAX_SAMPLES:
        raise ValueError(f"got {len(samples)} samples: expected 1 to {MAX_SAMPLES}")
    rows = [_checked_row(number, sample, meta) for number, sample in enumerate(samples)]
    grid = _draw_grid(rows, meta)
    with atomic.replacing(path) as file:
        grid.save(file, format="PNG", optimize=True)


def _checked_row(number: int, sample: tuple[Any, Any, Any], meta: Meta) -> _Row:
    try:
        image, label, prediction = sample
        row = _Row(rgb_array(image), class_ids(label, meta), class_ids(prediction, meta))
    except ValueError as error:
        raise ValueError(f"sample {number}: {error}") from error
    if not row.image.shape[:2] == row.label.shape == row.prediction.shape:
        raise ValueError(
            f"sample {number}: the image has size {row.image.shape[:2]}, the label "
            f"{row.label.shape} and the prediction {row.prediction.shape}: expected the same "
            "(height, width)"
        )
    return row


def _draw_grid(rows: list[_Row], meta: Meta) -> Image.Image:
    panels = [[fit_to_panel(panel) for panel in _panels(row, meta)] for row in rows]
    column_width = max(_MIN_COLUMN_WIDTH, *(row_panels[0].width for row_panels in panels))
    lefts = [_MARGIN + number * (column_width + _GAP) for number in range(4)]
    width = lefts[3] + column_width + _MARGIN
    strips = [_heading_strip(lefts, width)]
    for row, row_panels in zip(rows, panels):
        legend = draw_legend(_error_entries(row), column_width, _SMALL_TEXT_SIZE)
        panel_height = row_panels[0].height
        strip = Image.new("RGB", (width, panel_height + legend.height), _BACKGROUND)
        for left, panel in zip(lefts, row_panels):
            strip.paste(panel, (left, 0))
        # Align the swatch with the panel: a legend has a margin of half its text height.
        strip.paste(legend, (lefts[3] - _SMALL_TEXT_SIZE // 2, panel_height))
        strips.append(strip)
    strips.append(_indent(draw_legend(_class_entries(rows, meta), width - _MARGIN, _TEXT_SIZE)))
    return _stack(strips)


def _heading_strip(lefts: list[int], width: int) -> Image.Image:
    strip = Image.new("RGB", (width, _MARGIN + round(1.6 * _TEXT_SIZE)), _BACKGROUND)
    draw, font = ImageDraw.Draw(strip), ImageFont.load_default(_TEXT_SIZE)
    for left, text in zip(lefts, _HEADINGS):
        draw.text((left, _MARGIN), text, fill=_TEXT_COLOUR, font=font)
    return strip


def _indent(legend: Image.Image) -> Image.Image:
    indent = _MARGIN - _TEXT_SIZE // 2
    strip = Image.new("RGB", (legend.width + indent, legend.height + indent), _BACKGROUND)
    strip.paste(legend, (indent, 0))
    return strip


def _stack(strips: list[Image.Image]) -> Image.Image:
    width = max(strip.width for strip in strips)
    grid = Image.new("RGB", (width, sum(strip.height for strip in strips)), _BACKGROUND)
    top = 0
    for strip in strips:
        grid.paste(strip, (0, top))
        top += strip.height
    return grid


def _panels(row: _Row, meta: Meta) -> list[Image.Image]:
    masks = [get_mask(mask, meta).convert("RGB") for mask in (row.label, row.prediction)]
    return [Image.fromarray(row.image), *masks, Image.fromarray(error_map(*row))]


def error_map(image: np.ndarray, label: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Mark wrong pixels red and ignored pixels grey on a faded grey image.

    Args:
        image: uint8 (H, W, 3), RGB.
        label: class ids (H, W), -1 for ignored.
        prediction: class ids (H, W).

    Returns:
        uint8 (H, W, 3), RGB.
    """
    grey = image @ np.array([0.299, 0.587, 0.114])
    faded = np.rint(255 * _FADING + (1 - _FADING) * grey).astype(np.uint8)
    result = np.repeat(faded[..., None], 3, axis=2)
    result[_is_wrong(label, prediction)] = WRONG_COLOUR
    result[label < 0] = IGNORED_COLOUR
    return result


def _is_wrong(label: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    return (label >= 0) & (label != prediction)


def _error_entries(row: _Row) -> _Entries:
    """Return the legend of an error map: wrong in % of labelled, ignored in % of all pixels."""
    ignored = float((row.label < 0).mean())
    if ignored == 1:
        return [(IGNORED_COLOUR, "no labelled pixels")]
    wrong = _is_wrong(row.label, row.prediction).sum()
    entries: _Entries = [(WRONG_COLOUR, f"{100 * wrong / (row.label >= 0).sum():.1f} % wrong")]
    if ignored:
        entries.append((IGNORED_COLOUR, f"{100 * ignored:.1f} % ignored"))
    return entries


def fit_to_panel(image: Image.Image) -> Image.Image:
    """Resize an image to fit a panel; a small image is enlarged by a whole factor."""
    scale = min(_PANEL_SIZE / image.width, _PANEL_SIZE / image.height)
    if scale >= 1:
        size = image.width * int(scale), image.height * int(scale)
        return image.resize(size, Image.Resampling.NEAREST)
    size = max(1, round(scale * image.width)), max(1, round(scale * image.height))
    # Area averages make thin errors paler, but never drop them.
    return image.resize(size, Image.Resampling.BOX)


def _class_entries(rows: list[_Row], meta: Meta) -> _Entries:
    """Return the legend of the masks: the classes that occur, by id, then ignored."""
    ids = set().union(*(np.unique(mask).tolist() for row in rows for mask in row[1:]))
    entries = [(meta.palette[class_id], meta.classes[class_id]) for class_id in sorted(ids - {-1})]
    return [*entries, (meta.ignored_colour, "not labelled")] if -1 in ids else entries
