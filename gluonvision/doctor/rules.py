"""What can be the matter with one image and its mask, and how to mend it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gluonvision.data.files.reading import LOSSY
from gluonvision.data.meta import Meta
from gluonvision.doctor.facts import Mask, Photo, Sample


@dataclass(frozen=True)
class Kind:
    """A sort of finding: how bad it is, what it is, and how to mend it."""

    severity: str
    message: str
    mend: str


@dataclass(frozen=True, slots=True)
class Fault:
    """One file's own fault."""

    code: str
    file: Path
    detail: str = ""


KINDS = {
    "missing-image": Kind(
        "error",
        "images that the list names are not there",
        "unpack the archive again, or take the names off the list",
    ),
    "missing-mask": Kind(
        "error",
        "masks of listed images are not there",
        "unpack the archive again, or take the images off the list; in a folder of your own a mask "
        "is called as its image, or train.txt names both in a line",
    ),
    "broken-image": Kind(
        "error",
        "images cannot be read to their end",
        "fetch the files again, or take them off the list",
    ),
    "broken-mask": Kind(
        "error",
        "masks cannot be read, or not to their end",
        "fetch or export the files again, or take them off the list",
    ),
    "size-mismatch": Kind(
        "error",
        "mask and image are not of one size",
        "export the mask again at the image's size, or resize it with nearest-neighbour sampling",
    ),
    "turned-mask": Kind(
        "error",
        "the mask was drawn on the image as stored, not as its EXIF orientation turns it",
        "turn the mask as the image is turned, or bake the turn into the image and drop the tag",
    ),
    "wrong-values": Kind(
        "error",
        "masks hold values that the data set does not have",
        "map the values to class numbers, or choose the data set that they belong to; of a folder "
        "of your own classes.txt names every class, and dataset.json says what values and colours "
        "mean (docs/datasets.md)",
    ),
    "colour-mask": Kind(
        "error",
        "masks are not class numbers of 8 or 16 bits, but colours",
        "use the original palette files, saved without .convert('RGB'), or the data set 'folder' "
        'with {"mask_format": "colours", "palette": [[R, G, B], ...]} in its dataset.json',
    ),
    "number-mask": Kind(
        "error",
        "masks are numbers where colours of the palette are expected",
        "use mask_format='indices', or the masks in colour",
    ),
    "lossy-mask": Kind(
        "error",
        "masks are JPEG files, whose compression invents values along every edge",
        "export the masks again from their source as PNG; converting the JPEG keeps the damage",
    ),
    "binary-mask": Kind(
        "warning",
        "masks hold 0 and 255 alone, as black-and-white masks do",
        "as it stands 255 is no class; where it means the same in all masks of a folder, say so in "
        'its dataset.json, {"values": {"255": 1}} for an object or {"ignored_value": 255} for not '
        "labelled; where it does so in these files alone, export them again with class numbers",
    ),
    "unlabelled-image": Kind(
        "warning",
        "masks without one labelled pixel",
        "label the images or take them off the list: they teach nothing",
    ),
    "other-palette": Kind(
        "warning",
        "masks' palettes show the classes in other colours than the data set's",
        "check that an image editor or optimizer has not renumbered the colours: numbers are read, "
        "colours are not; a palette of your own choice is harmless",
    ),
    "exif-turned": Kind(
        "note",
        "images are turned by their EXIF orientation, and the masks fit them upright",
        "nothing to do: the data sets here turn images upright; other tools may not",
    ),
    "exif-unsure": Kind(
        "warning",
        "images are turned or mirrored by their EXIF orientation in a way that keeps their size",
        "look whether the mask fits the image upright; if not, turn the mask in the same way",
    ),
    "grey-image": Kind(
        "note",
        "images are grey",
        "nothing to do: the value becomes red, green and blue",
    ),
    "palette-image": Kind(
        "note",
        "images have a palette (GIF, 8-bit PNG)",
        "nothing to do, unless these are masks in the wrong folder",
    ),
    "alpha-image": Kind(
        "note",
        "images have transparency, which is laid on white",
        "paint them onto a ground of your choice if what lies under transparent parts matters",
    ),
    "cmyk-image": Kind(
        "warning",
        "images are in print colours (CMYK), which come out shifted without their profile",
        "convert them to sRGB with their colour profile",
    ),
    "deep-image": Kind(
        "error",
        "images are grey of more than 8 bits, which is not read",
        "scale them to 0-255 once, all by the range that their sensor has",
    ),
    "grey-end": Kind(
        "warning",
        "JPEG images end in exact mid-grey, which decoders put in for data that are not there",
        "look at them: fetch broken ones again, or take them off the list; a border of that grey "
        "is harmless",
    ),
    "odd-image": Kind(
        "note",
        "images are in a colour space that is converted",
        "look at a few: the conversion to RGB is Pillow's",
    ),
}

_GREY, _DEEP = ("L", "LA", "La", "1"), ("I", "I;16", "I;16B", "I;16L", "F")
_SHOWN_VALUES = 5


def faults(sample: Sample, meta: Meta) -> Iterator[Fault]:
    """Every fault that the pair's own files show."""
    pair, image, mask = sample.pair, sample.image, sample.mask
    yield from _image_faults(pair.image, image)
    if mask is None:
        return
    file = pair.mask or pair.image
    yield from _mask_faults(file, mask, meta)
    if mask.size != (0, 0) and image.size != (0, 0):
        yield from _fit_faults(file, pair.image, image, mask)


def _image_faults(file: Path, image: Photo) -> Iterator[Fault]:
    if image.missing:
        yield Fault("missing-image", file)
    elif image.error:
        yield Fault("broken-image", file, image.error)
    else:
        yield from _colour_faults(file, image)
        if image.filled_rows:
            yield Fault("grey-end", file, f"{image.filled_rows} rows")


def _colour_faults(file: Path, image: Photo) -> Iterator[Fault]:
    detail = f"{image.format} {image.mode}"
    if image.transparent:
        yield Fault("alpha-image", file, detail)
    if image.mode in _GREY:
        yield Fault("grey-image", file, detail)
    elif image.mode in _DEEP:
        yield Fault("deep-image", file, detail)
    elif image.mode == "CMYK":
        yield Fault("cmyk-image", file, detail)
    elif image.mode in ("P", "PA"):
        yield Fault("palette-image", file, detail)
    elif image.mode not in ("RGB", "RGBA", "RGBX", "RGBa"):
        yield Fault("odd-image", file, detail)


def _mask_faults(file: Path, mask: Mask, meta: Meta) -> Iterator[Fault]:
    if mask.missing:
        yield Fault("missing-mask", file)
    elif mask.error:
        yield Fault("broken-mask", file, mask.error)
    else:
        if mask.format in LOSSY:
            yield Fault("lossy-mask", file, f"JPEG, {_kinds_of_values(mask)}")
        if mask.values is None:
            code = "colour-mask" if meta.masks == "indices" else "number-mask"
            yield Fault(code, file, f"{mask.format} {mask.mode}")
        else:
            yield from _value_faults(file, mask, meta)


def _kinds_of_values(mask: Mask) -> str:
    return "in colour" if mask.values is None else f"{len(mask.values)} different values"


def _value_faults(file: Path, mask: Mask, meta: Meta) -> Iterator[Fault]:
    values, counts = mask.values, mask.counts
    assert values is not None and counts is not None
    labels = labels_of(values, meta)
    if (labels == WRONG).any():
        yield Fault("wrong-values", file, value_list(mask, labels == WRONG, meta))
    if _is_binary(values, labels, meta):
        yield Fault("binary-mask", file, f"255 in {counts[-1]} of {counts.sum()} pixels")
    if (labels == IGNORED).all():
        yield Fault("unlabelled-image", file)
    if mask.colours is not None and not meta.values:
        yield from _palette_faults(file, values, labels, mask.colours, meta)


def _is_binary(values: np.ndarray, labels: np.ndarray, meta: Meta) -> bool:
    found = values.tolist()
    return (found == [0, 255] and labels[1] < 0) or (found == [255] and meta.refuse_binary)


def _palette_faults(file, values, labels, colours, meta: Meta) -> Iterator[Fault]:
    known = labels >= 0
    expected = np.array(meta.palette, np.uint8)[labels[known]]
    other = (colours[known] != expected).any(axis=1)
    if other.any():
        value, colour = values[known][other][0], tuple(colours[known][other][0].tolist())
        wanted = tuple(expected[other][0].tolist())
        yield Fault("other-palette", file, f"value {value} is {colour}, expected {wanted}")


def _fit_faults(file: Path, image_file: Path, image: Photo, mask: Mask) -> Iterator[Fault]:
    turned = image.orientation in (5, 6, 7, 8)
    tag = f"EXIF orientation {image.orientation}"
    if image.size == mask.size:
        if turned and image.size[0] != image.size[1]:
            yield Fault("exif-turned", image_file, tag)
        elif image.orientation in range(2, 9):
            yield Fault("exif-unsure", image_file, tag)
        return
    sizes = f"mask {size_text(mask.size)}, image {size_text(image.size)}"
    if turned and image.size == mask.size[::-1]:
        yield Fault("turned-mask", file, f"{sizes} after {tag}")
    else:
        yield Fault("size-mismatch", file, sizes)


IGNORED, WRONG = -1, -2


def labels_of(values: np.ndarray, meta: Meta) -> np.ndarray:
    """The class of each file value, int64: ``IGNORED`` and ``WRONG`` where it has none."""
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
    # A class goes before "ignored" where both have one colour.
    labels[values == _code(meta.ignored_colour)] = IGNORED
    for label, colour in enumerate(meta.palette):
        labels[values == _code(colour)] = label
    return labels


def _code(colour: tuple[int, ...]) -> int:
    return colour[0] << 16 | colour[1] << 8 | colour[2]


def value_list(mask: Mask, chosen: np.ndarray, meta: Meta) -> str:
    """The chosen values with their pixels, the most frequent first, a few of them."""
    assert mask.values is not None and mask.counts is not None
    order = np.argsort(-mask.counts[chosen], kind="stable")[:_SHOWN_VALUES]
    shape = "#{:06x} ({} px)" if meta.masks == "colours" else "{} ({} px)"
    pairs = zip(mask.values[chosen][order].tolist(), mask.counts[chosen][order].tolist())
    shown = [shape.format(*pair) for pair in pairs]
    rest = int(chosen.sum()) - len(shown)
    return ", ".join(shown) + (f" and {rest} other values" if rest else "")


def size_text(size: tuple[int, int]) -> str:
    """Width x height."""
    return f"{size[0]}x{size[1]}"
