"""What a model makes of a few images, beside what it should: one picture to judge it by."""

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gluonvision.data.meta import Meta, get_meta
from gluonvision.plots.masks import Colour, class_map, draw_legend, pixels_of
from gluonvision.utils import atomic, get_mask

MOST_SAMPLES = 8
WRONG, IGNORED = (214, 26, 26), (120, 120, 120)
_HEADINGS = ("image", "label", "prediction", "errors")
_INK, _PAPER = (20, 20, 20), (255, 255, 255)
# Pixels. Four panels and their gaps are as wide as a page or a screen.
_PANEL, _LEAST_PANEL, _GAP, _MARGIN, _TEXT, _SMALL_TEXT = 320, 240, 8, 16, 16, 13
# How far what is right fades towards white in the last panel.
_FADED = 0.65

Entries = list[tuple[Colour, str]]


class _Row(NamedTuple):
    image: np.ndarray  # uint8 (H, W, 3)
    label: np.ndarray  # int64 (H, W), -1 ignored
    prediction: np.ndarray  # the same


def draw_predictions(
    samples: Sequence[tuple[Any, Any, Any]], dataset: str | Meta, path: str | os.PathLike
) -> None:
    """Write a PNG with a row for each sample: image, label, prediction, and where they differ.

    samples: 1 to 8 of (image, label, prediction): uint8 (H, W, 3), and twice (H, W), classes, -1
    ignored, as for ``utils.get_mask``; sizes may differ between samples. dataset: its name or
    facts. Masks have the data set's colours, with the classes that occur named below; errors are
    red on the faded image, and pixels that count nowhere are grey. Panels fit into 320 x 320, so
    that the sheet is at most 1336 wide. The file appears whole or not at all. Raises ValueError for
    samples that do not fit.
    """
    meta = get_meta(dataset)
    if not 1 <= len(samples) <= MOST_SAMPLES:
        raise ValueError(f"{len(samples)} samples: expected 1 to {MOST_SAMPLES}")
    rows = [_checked(number, sample, meta) for number, sample in enumerate(samples)]
    sheet = _sheet(rows, meta)
    with atomic.replacing(path) as file:
        sheet.save(file, format="PNG", optimize=True)


def _checked(number: int, sample: tuple[Any, Any, Any], meta: Meta) -> _Row:
    try:
        image, label, prediction = sample
        row = _Row(pixels_of(image), class_map(label, meta), class_map(prediction, meta))
    except ValueError as error:
        raise ValueError(f"sample {number}: {error}") from error
    if not row.image.shape[:2] == row.label.shape == row.prediction.shape:
        raise ValueError(
            f"sample {number}: image {row.image.shape[:2]}, label {row.label.shape}, prediction "
            f"{row.prediction.shape}: expected one size"
        )
    return row


def _sheet(rows: list[_Row], meta: Meta) -> Image.Image:
    panels = [[fitted(panel) for panel in _panels(row, meta)] for row in rows]
    column = max(_LEAST_PANEL, *(row[0].width for row in panels))
    lefts = [_MARGIN + number * (column + _GAP) for number in range(4)]
    width = lefts[3] + column + _MARGIN
    strips = [_heading(lefts, width)]
    for row, pictures in zip(rows, panels):
        verdict = draw_legend(_verdict(row), column, _SMALL_TEXT)
        strip = Image.new("RGB", (width, pictures[0].height + verdict.height), _PAPER)
        for left, picture in zip(lefts, pictures):
            strip.paste(picture, (left, 0))
        # A legend has a margin of its own, half as wide as its text is high.
        strip.paste(verdict, (lefts[3] - _SMALL_TEXT // 2, picture.height))
        strips.append(strip)
    strips.append(_indented(draw_legend(_entries(rows, meta), width - _MARGIN, _TEXT)))
    return _stacked(strips)


def _heading(lefts: list[int], width: int) -> Image.Image:
    strip = Image.new("RGB", (width, _MARGIN + round(1.6 * _TEXT)), _PAPER)
    draw, font = ImageDraw.Draw(strip), ImageFont.load_default(_TEXT)
    for left, text in zip(lefts, _HEADINGS):
        draw.text((left, _MARGIN), text, fill=_INK, font=font)
    return strip


def _indented(legend: Image.Image) -> Image.Image:
    indent = _MARGIN - _TEXT // 2
    strip = Image.new("RGB", (legend.width + indent, legend.height + indent), _PAPER)
    strip.paste(legend, (indent, 0))
    return strip


def _stacked(strips: list[Image.Image]) -> Image.Image:
    width = max(strip.width for strip in strips)
    sheet = Image.new("RGB", (width, sum(strip.height for strip in strips)), _PAPER)
    top = 0
    for strip in strips:
        sheet.paste(strip, (0, top))
        top += strip.height
    return sheet


def _panels(row: _Row, meta: Meta) -> list[Image.Image]:
    masks = [get_mask(mask, meta).convert("RGB") for mask in (row.label, row.prediction)]
    return [Image.fromarray(row.image), *masks, Image.fromarray(error_map(*row))]


def error_map(image: np.ndarray, label: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """The image in pale grey, wrong pixels red, ignored ones grey: uint8 (H, W, 3).

    image: uint8 (H, W, 3); label, prediction: (H, W), -1 ignored.
    """
    grey = image @ np.array([0.299, 0.587, 0.114])
    pale = np.rint(255 * _FADED + (1 - _FADED) * grey).astype(np.uint8)
    result = np.repeat(pale[..., None], 3, axis=2)
    result[_wrong(label, prediction)] = WRONG
    result[label < 0] = IGNORED
    return result


def _wrong(label: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    return (label >= 0) & (label != prediction)


def _verdict(row: _Row) -> Entries:
    """What red and grey mean, and how much there is of each; wrong is of what is labelled."""
    ignored = float((row.label < 0).mean())
    if ignored == 1:
        return [(IGNORED, "nothing is labelled")]
    wrong = _wrong(row.label, row.prediction).sum()
    entries: Entries = [(WRONG, f"{100 * wrong / (row.label >= 0).sum():.1f} % wrong")]
    return [*entries, (IGNORED, f"{100 * ignored:.1f} % ignored")] if ignored else entries


def fitted(picture: Image.Image) -> Image.Image:
    """As large as a panel at most; what is small is enlarged a whole number of times."""
    scale = min(_PANEL / picture.width, _PANEL / picture.height)
    if scale >= 1:
        size = picture.width * int(scale), picture.height * int(scale)
        return picture.resize(size, Image.Resampling.NEAREST)
    size = max(1, round(scale * picture.width)), max(1, round(scale * picture.height))
    # Means over areas: thin errors pale, but none is lost between the pixels that are kept.
    return picture.resize(size, Image.Resampling.BOX)


def _entries(rows: list[_Row], meta: Meta) -> Entries:
    """The colours in the masks: classes in their order, then what is none."""
    found = set().union(*(np.unique(mask).tolist() for row in rows for mask in row[1:]))
    entries = [(meta.palette[label], meta.classes[label]) for label in sorted(found - {-1})]
    return [*entries, (meta.ignored_colour, "not labelled")] if -1 in found else entries
