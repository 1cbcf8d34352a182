"""Check one image and its mask against the data set's ``Meta``."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gluonvision.data.files.reading import LOSSY
from gluonvision.data.meta import IGNORED, Meta
from gluonvision.doctor.facts import TRANSPOSING, ImageFacts, MaskFacts, Sample

# Label of values that have no class in the data set and are not ignored.
WRONG = IGNORED - 1
_GREY, _DEEP = ("L", "LA", "La", "1"), ("I", "I;16", "I;16B", "I;16L", "F")
_NUM_SHOWN_VALUES = 5


@dataclass(frozen=True, slots=True)
class Issue:
    """An issue of one file; ``code`` is a key of ``ISSUE_TYPES``."""

    code: str
    file: Path
    detail: str = ""


def find_issues(sample: Sample, meta: Meta) -> Iterator[Issue]:
    """Yield all issues of a pair's files."""
    pair, image, mask = sample.pair, sample.image, sample.mask
    yield from _image_issues(pair.image, image)
    if mask is None:
        return
    file = pair.mask or pair.image
    yield from _mask_issues(file, mask, meta)
    if mask.size != (0, 0) and image.size != (0, 0):
        yield from _size_issues(file, pair.image, image, mask)


def _image_issues(file: Path, image: ImageFacts) -> Iterator[Issue]:
    if image.missing:
        yield Issue("missing-image", file)
    elif image.error:
        yield Issue("broken-image", file, image.error)
    else:
        yield from _colour_issues(file, image)
        if image.filled_rows:
            yield Issue("grey-end", file, f"{image.filled_rows} rows")


def _colour_issues(file: Path, image: ImageFacts) -> Iterator[Issue]:
    detail = f"{image.format} {image.mode}"
    if image.transparent:
        yield Issue("alpha-image", file, detail)
    if image.mode in _GREY:
        yield Issue("grey-image", file, detail)
    elif image.mode in _DEEP:
        yield Issue("deep-image", file, detail)
    elif image.mode == "CMYK":
        yield Issue("cmyk-image", file, detail)
    elif image.mode in ("P", "PA"):
        yield Issue("palette-image", file, detail)
    elif image.mode not in ("RGB", "RGBA", "RGBX", "RGBa"):
        yield Issue("odd-image", file, detail)


def _mask_issues(file: Path, mask: MaskFacts, meta: Meta) -> Iterator[Issue]:
    if mask.missing:
        yield Issue("missing-mask", file)
    elif mask.error:
        yield Issue("broken-mask", file, mask.error)
    else:
        if mask.format in LOSSY:
            yield Issue("lossy-mask", file, f"JPEG, {_content(mask)}")
        if mask.values is None:
            code = "colour-mask" if meta.masks == "indices" else "number-mask"
            yield Issue(code, file, f"{mask.format} {mask.mode}")
        else:
            yield from _value_issues(file, mask, meta)


def _content(mask: MaskFacts) -> str:
    return "in colour" if mask.values is None else f"{len(mask.values)} different values"


def _value_issues(file: Path, mask: MaskFacts, meta: Meta) -> Iterator[Issue]:
    values, counts = mask.values, mask.counts
    assert values is not None and counts is not None
    labels = labels_or_wrong(values, meta)
    if (labels == WRONG).any():
        yield Issue("wrong-values", file, _value_list(mask, labels == WRONG, meta))
    if _is_binary(values, labels, meta):
        yield Issue("binary-mask", file, f"255 in {counts[-1]} of {counts.sum()} pixels")
    if (labels == IGNORED).all():
        yield Issue("unlabelled-image", file)
    if mask.colours is not None and not meta.values:
        yield from _palette_issues(file, values, labels, mask.colours, meta)


def _is_binary(values: np.ndarray, labels: np.ndarray, meta: Meta) -> bool:
    distinct = values.tolist()
    return (distinct == [0, 255] and labels[1] < 0) or (distinct == [255] and meta.refuse_binary)


def _palette_issues(
    file: Path, values: np.ndarray, labels: np.ndarray, colours: np.ndarray, meta: Meta
) -> Iterator[Issue]:
    is_class = labels >= 0
    expected = np.array(meta.palette, np.uint8)[labels[is_class]]
    differs = (colours[is_class] != expected).any(axis=1)
    if differs.any():
        value = values[is_class][differs][0]
        colour = tuple(colours[is_class][differs][0].tolist())
        wanted = tuple(expected[differs][0].tolist())
        yield Issue("other-palette", file, f"value {value} is {colour}, expected {wanted}")


def _size_issues(
    file: Path, image_file: Path, image: ImageFacts, mask: MaskFacts
) -> Iterator[Issue]:
    is_transposed = image.orientation in TRANSPOSING
    tag = f"EXIF orientation {image.orientation}"
    if image.size == mask.size:
        if is_transposed and image.size[0] != image.size[1]:
            yield Issue("exif-turned", image_file, tag)
        elif image.orientation in range(2, 9):
            yield Issue("exif-unsure", image_file, tag)
        return
    sizes = f"mask {size_text(mask.size)}, image {size_text(image.size)}"
    if is_transposed and image.size == mask.size[::-1]:
        yield Issue("turned-mask", file, f"{sizes} after {tag}")
    else:
        yield Issue("size-mismatch", file, sizes)


def labels_or_wrong(values: np.ndarray, meta: Meta) -> np.ndarray:
    """Return the class id of each file value, int64; ``IGNORED`` or ``WRONG`` if it has none."""
    if meta.masks == "colours":
        return _labels_of_colours(values, meta)
    labels = values.astype(np.int64) - meta.label_offset
    labels[(labels < IGNORED) | (labels >= meta.num_class)] = WRONG
    labels[values == meta.ignored_value] = IGNORED
    for value, label in meta.values:
        labels[values == value] = label
    return labels


def _labels_of_colours(values: np.ndarray, meta: Meta) -> np.ndarray:
    labels = np.full(values.shape, WRONG, np.int64)
    # The class has priority over ignored if both have the same colour.
    labels[values == _colour_code(meta.ignored_colour)] = IGNORED
    for label, colour in enumerate(meta.palette):
        labels[values == _colour_code(colour)] = label
    return labels


def _colour_code(colour: tuple[int, ...]) -> int:
    return colour[0] << 16 | colour[1] << 8 | colour[2]


def _value_list(mask: MaskFacts, selected: np.ndarray, meta: Meta) -> str:
    """List the most frequent of the selected values with their numbers of pixels."""
    assert mask.values is not None and mask.counts is not None
    order = np.argsort(-mask.counts[selected], kind="stable")[:_NUM_SHOWN_VALUES]
    template = "#{:06x} ({} px)" if meta.masks == "colours" else "{} ({} px)"
    pairs = zip(mask.values[selected][order].tolist(), mask.counts[selected][order].tolist())
    shown = [template.format(*pair) for pair in pairs]
    rest = int(selected.sum()) - len(shown)
    return ", ".join(shown) + (f" and {rest} other values" if rest else "")


def size_text(size: tuple[int, int]) -> str:
    """Format (width, height) as 'WIDTHxHEIGHT'."""
    return f"{size[0]}x{size[1]}"
