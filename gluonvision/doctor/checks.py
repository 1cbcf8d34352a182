"""What only the whole set can show: shifted labels, classes that never occur, duplicates."""

import filecmp
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gluonvision.doctor.report import SEVERITIES, Example, Finding
from gluonvision.doctor.rules import KINDS, WRONG, labels_of
from gluonvision.doctor.sources import Listing, Source
from gluonvision.doctor.tally import NUM_EXAMPLES, Bucket, Tally

_FILE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif", ".webp", ".mat")
_MOSTLY = 0.5


def findings(source: Source, tally: Tally) -> tuple[Finding, ...]:
    """Everything found, errors first."""
    found = [
        *_file_findings(tally),
        *_absent_splits(source),
        *_off_by_one(tally),
        *_classes(tally),
        *_unlabelled(tally),
        *_duplicates(source, tally),
        *_unmatched(source),
    ]
    return tuple(sorted(found, key=lambda finding: SEVERITIES.index(finding.severity)))


def _file_findings(tally: Tally) -> Iterator[Finding]:
    for code, kind in KINDS.items():
        if code in tally.buckets:
            bucket = tally.buckets[code]
            severity = _severity(code, bucket.count, tally)
            files = tuple(bucket.examples)
            yield Finding(severity, code, kind.message, kind.mend, files, bucket.count)


def _severity(code: str, count: int, tally: Tally) -> str:
    masks = sum(split.masks for split in tally.splits.values())
    # One such mask can be right (a picture of nothing but border); a set of them cannot.
    if code == "binary-mask" and (count == masks or tally.meta.refuse_binary):
        return "error"
    # A palette of one's own is used throughout; a few that differ were changed by something.
    if code == "other-palette" and count == tally.palettes:
        return "note"
    return KINDS[code].severity


def _absent_splits(source: Source) -> Iterator[Finding]:
    for split, reason in source.absent:
        yield Finding(
            "warning",
            "absent-split",
            f"the split {split} cannot be listed: {reason}",
            "add it, or name the splits to examine (--split) if there is none",
        )
    for listing in source.listings:
        if not len(listing):
            yield Finding(
                "error",
                "empty-split",
                f"the split {listing.split} has no images",
                "check the folder or the list that names them",
            )


def _off_by_one(tally: Tally) -> Iterator[Finding]:
    if tally.meta.masks == "indices":
        yield from _shifted_up(tally) if tally.meta.label_offset == 0 else _shifted_down(tally)


def _shifted_down(tally: Tally) -> Iterator[Finding]:
    meta, values = tally.meta, tally.values.counts
    last = meta.num_class + meta.label_offset - 1
    if meta.ignored_value != 255 and values[255] and not values[last]:
        yield _shifted(
            f"255 occurs, where {meta.ignored_value} means unlabelled, and {last}, the last class, "
            "does not: the labels seem to be shifted down by one (reduce_zero_label) already",
            "use the original masks: the shift is done while they are read",
        )


def _shifted_up(tally: Tally) -> Iterator[Finding]:
    meta, values = tally.meta, tally.values.counts
    last = meta.num_class - 1
    if not values or values[0] or not values[1]:
        return
    if values[meta.num_class] and labels_of(np.array([meta.num_class]), meta)[0] == WRONG:
        yield _shifted(
            f"0 never occurs and {meta.num_class} does: the labels seem to run from 1 to "
            f"{meta.num_class} where they are 0 to {last}",
            "subtract 1 from every label, and write unlabelled pixels as "
            f"{meta.ignored_value} (for a folder of your own: a value map)",
        )
    elif meta.background == 0:
        yield _shifted(
            f"0, {meta.classes[0]}, never occurs: the labels seem to begin at 1",
            "look at the samples: if the names do not fit, subtract 1 from every label",
        )


def _shifted(message: str, mend: str) -> Finding:
    return Finding("warning", "off-by-one", message, mend)


def _classes(tally: Tally) -> Iterator[Finding]:
    seen = {split.name: split.occurs[:-2] > 0 for split in tally.splits.values() if split.masks}
    if not seen:
        return
    never = ~np.any(list(seen.values()), axis=0)
    if never.any():
        yield Finding(
            "note",
            "absent-class",
            f"{never.sum()} of {tally.meta.num_class} classes never occur: {_named(never, tally)}",
            "nothing to do if the set is a part; else check the label numbers",
        )
    for name, there in seen.items():
        if "train" in seen and name != "train" and (there & ~seen["train"]).any():
            yield Finding(
                "warning",
                "untrained-class",
                f"classes that occur in {name} and never in train: "
                + _named(there & ~seen["train"], tally),
                "split the images anew: what is never seen cannot be learned",
            )


def _named(chosen: np.ndarray, tally: Tally, most: int = 12) -> str:
    names = [tally.meta.classes[label] for label in np.flatnonzero(chosen)]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _unlabelled(tally: Tally) -> Iterator[Finding]:
    for split in tally.splits.values():
        total, unlabelled = split.pixels.sum(), split.pixels[-2]
        if total and unlabelled > _MOSTLY * total:
            yield Finding(
                "warning",
                "mostly-unlabelled",
                f"{100 * unlabelled / total:.0f} % of the pixels of {split.name} are unlabelled",
                "check which value means unlabelled; every other pixel is skipped in training",
            )


def _duplicates(source: Source, tally: Tally) -> Iterator[Finding]:
    within, across = Bucket(), Bucket()
    for places in tally.duplicates():
        first = source.pair(int(places[0]))
        for place in places[1:]:
            pair = source.pair(int(place))
            bucket = within if pair.split == first.split else across
            # Bytes are compared for the few that are shown, not for a whole set read twice.
            detail = _likeness(pair.image, first) if len(bucket.examples) < NUM_EXAMPLES else ""
            bucket.add(Example(pair.image, detail, pair))
    yield from _repeated(across, "duplicate-across-splits", "occur in another split as well", 1)
    yield from _repeated(within, "duplicate", "occur in their split more than once", 0)


def _likeness(file: Path, other) -> str:
    if file == other.image:
        return f"listed in {other.split} too"
    same = filecmp.cmp(file, other.image, shallow=False)
    return f"{'the same file' if same else 'pixel for pixel'} as {other.split}'s {other.image.name}"


def _repeated(bucket: Bucket, code: str, what: str, across: int) -> Iterator[Finding]:
    mends = (
        "take all but one off the list, unless they are repeated on purpose",
        "take them out of one split: a score on pictures that were trained on says nothing",
    )
    if bucket.count:
        message = f"images {what}, pixel for pixel"
        yield Finding("warning", code, message, mends[across], tuple(bucket.examples), bucket.count)


def _unmatched(source: Source) -> Iterator[Finding]:
    """Files that lie beside the listed ones, without a partner of their name."""
    masks, images = Bucket(), Bucket()
    for image_folder, mask_folder, endings in _folders(source.listings):
        pictures, labels = _stems(image_folder, endings[0]), _stems(mask_folder, endings[1])
        _add_lonely(masks, mask_folder, labels, pictures, _listed(source, "masks"))
        _add_lonely(images, image_folder, pictures, labels, _listed(source, "images"))
    if masks.count:
        yield Finding(
            "warning",
            "mask-without-image",
            "masks lie there without an image of their name",
            "rename the one or the other: an image and its mask share a name; or, in a folder of "
            "your own, name both in a line of train.txt",
            tuple(masks.examples),
            masks.count,
        )
    if images.count:
        yield Finding(
            "note",
            "image-without-mask",
            "images lie there without a mask of their name",
            "nothing to do if they are not for segmentation; else rename or add the masks",
            tuple(images.examples),
            images.count,
        )


def _add_lonely(bucket: Bucket, folder: Path, names: dict, partners: dict, listed: set) -> None:
    for stem in sorted(names.keys() - partners.keys()):
        # That the partner of a listed file is missing has been said.
        if folder / names[stem] not in listed:
            bucket.add(Example(folder / names[stem]))


def _listed(source: Source, what: str) -> set[Path]:
    return {file for listing in source.listings for file in getattr(listing, what) or ()}


def _folders(listings: tuple[Listing, ...]) -> Iterator[tuple[Path, Path, tuple[str, str]]]:
    """Each folder of images with its folder of masks, and how the names in them end."""
    places: dict[tuple[Path, Path], tuple[str, str] | None] = {}
    for listing in listings:
        for image, mask in zip(listing.images, listing.masks or ()):
            if mask.suffix.lower() not in _FILE_SUFFIXES:
                continue
            endings = places.setdefault((image.parent, mask.parent), _endings(image, mask))
            if not _follow(image, mask, endings):
                places[image.parent, mask.parent] = None
    for (images, masks), endings in places.items():
        if endings is not None and images != masks:
            yield images, masks, endings


def _endings(image: Path, mask: Path) -> tuple[str, str]:
    pairs = enumerate(zip(image.stem, mask.stem))
    shorter = min(len(image.stem), len(mask.stem))
    common = next((place for place, (a, b) in pairs if a != b), shorter)
    return image.stem[common:], mask.stem[common:]


def _follow(image: Path, mask: Path, endings: tuple[str, str] | None) -> bool:
    if endings is None or not image.stem.endswith(endings[0]):
        return False
    return mask.stem == image.stem[: len(image.stem) - len(endings[0])] + endings[1]


def _stems(folder: Path, ending: str) -> dict[str, str]:
    """File names in a folder by what is before the ending."""
    if not folder.is_dir():
        return {}
    # What macOS leaves beside a file (._name) is no picture.
    names = [
        name
        for name in os.listdir(folder)
        if name.lower().endswith(_FILE_SUFFIXES) and not name.startswith("._")
    ]
    stems = [(os.path.splitext(name)[0], name) for name in names]
    return {stem[: len(stem) - len(ending)]: name for stem, name in stems if stem.endswith(ending)}
