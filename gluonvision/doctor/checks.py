"""Check the data set as a whole: shifted labels, absent classes, duplicates, unpaired files."""

import filecmp
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from gluonvision.doctor.facts import IMAGE_SUFFIXES, Pair
from gluonvision.doctor.issue_types import ISSUE_TYPES
from gluonvision.doctor.report import SEVERITIES, Example, Finding
from gluonvision.doctor.rules import WRONG, labels_or_wrong
from gluonvision.doctor.sources import Listing, Source
from gluonvision.doctor.tally import NUM_EXAMPLES, UNLABELLED_BIN, Bucket, Tally

_FILE_SUFFIXES = (*IMAGE_SUFFIXES, ".mat")
_MOSTLY = 0.5


def find_problems(source: Source, tally: Tally) -> tuple[Finding, ...]:
    """Return all findings, errors first."""
    findings = [
        *_file_findings(tally),
        *_split_findings(source),
        *_off_by_one(tally),
        *_class_findings(tally),
        *_mostly_unlabelled(tally),
        *_duplicates(source, tally),
        *_unpaired_files(source),
    ]
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))


def _file_findings(tally: Tally) -> Iterator[Finding]:
    for code, issue in ISSUE_TYPES.items():
        if code in tally.buckets:
            bucket = tally.buckets[code]
            severity = _severity(code, bucket.count, tally)
            files = tuple(bucket.examples)
            yield Finding(severity, code, issue.message, issue.fix, files, bucket.count)


def _severity(code: str, count: int, tally: Tally) -> str:
    num_masks = sum(split.masks for split in tally.splits.values())
    # A single binary mask can be right (an image of borders only); a whole set cannot.
    if code == "binary-mask" and (count == num_masks or tally.meta.refuse_binary):
        return "error"
    # A palette of the user's choice is in every mask; a tool changes only a few.
    if code == "other-palette" and count == tally.num_palettes:
        return "note"
    return ISSUE_TYPES[code].severity


def _split_findings(source: Source) -> Iterator[Finding]:
    for split, reason in source.absent:
        yield Finding(
            "warning",
            "absent-split",
            f"the split {split} cannot be listed: {reason}",
            "add the split, or choose the splits with --split",
        )
    for listing in source.listings:
        if not len(listing):
            yield Finding(
                "error",
                "empty-split",
                f"the split {listing.split} has no images",
                "check the image folder or the split file",
            )


def _off_by_one(tally: Tally) -> Iterator[Finding]:
    if tally.meta.masks == "indices":
        yield from _shifted_up(tally) if tally.meta.label_offset == 0 else _shifted_down(tally)


def _shifted_down(tally: Tally) -> Iterator[Finding]:
    meta, values = tally.meta, tally.values.counts
    last = meta.num_class + meta.label_offset - 1
    if meta.ignored_value != 255 and values[255] and not values[last]:
        yield _off_by_one_finding(
            f"255 occurs, although {meta.ignored_value} means unlabelled, and {last}, the last "
            "class, does not occur: the labels seem to be shifted down by one already "
            "(reduce_zero_label)",
            "use the original masks: gluonvision shifts the labels when it reads them",
        )


def _shifted_up(tally: Tally) -> Iterator[Finding]:
    meta, values = tally.meta, tally.values.counts
    last = meta.num_class - 1
    if not values or values[0] or not values[1]:
        return
    if values[meta.num_class] and labels_or_wrong(np.array([meta.num_class]), meta)[0] == WRONG:
        yield _off_by_one_finding(
            f"0 never occurs and {meta.num_class} does: the labels seem to run from 1 to "
            f"{meta.num_class} instead of 0 to {last}",
            f"subtract 1 from every label and write unlabelled pixels as {meta.ignored_value}; in "
            'your own folder, you can map the values with "values" in dataset.json instead',
        )
    elif meta.background == 0:
        yield _off_by_one_finding(
            f"0, {meta.classes[0]}, never occurs: the labels seem to start at 1",
            "look at the samples in the HTML report (--html): if the class names do not fit, "
            "subtract 1 from every label",
        )


def _off_by_one_finding(message: str, fix: str) -> Finding:
    return Finding("warning", "off-by-one", message, fix)


def _class_findings(tally: Tally) -> Iterator[Finding]:
    occurs = {
        split.name: split.occurs[:UNLABELLED_BIN] > 0
        for split in tally.splits.values()
        if split.masks
    }
    if not occurs:
        return
    absent = ~np.any(list(occurs.values()), axis=0)
    if absent.any():
        yield Finding(
            "note",
            "absent-class",
            f"{absent.sum()} of {tally.meta.num_class} classes never occur: "
            + _class_names(absent, tally),
            "nothing to do if this is a part of the data set; otherwise check the class ids",
        )
    for name, present in occurs.items():
        if "train" in occurs and name != "train" and (present & ~occurs["train"]).any():
            yield Finding(
                "warning",
                "untrained-class",
                f"classes occur in {name} but never in train: "
                + _class_names(present & ~occurs["train"], tally),
                "split the images again: a model cannot learn a class without training images",
            )


def _class_names(selected: np.ndarray, tally: Tally, limit: int = 12) -> str:
    names = [tally.meta.classes[label] for label in np.flatnonzero(selected)]
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest


def _mostly_unlabelled(tally: Tally) -> Iterator[Finding]:
    for split in tally.splits.values():
        total, unlabelled = split.pixels.sum(), split.pixels[UNLABELLED_BIN]
        if total and unlabelled > _MOSTLY * total:
            yield Finding(
                "warning",
                "mostly-unlabelled",
                f"{100 * unlabelled / total:.0f} % of the pixels of {split.name} are unlabelled",
                "check which value means unlabelled: training ignores these pixels",
            )


def _duplicates(source: Source, tally: Tally) -> Iterator[Finding]:
    within, across = Bucket(), Bucket()
    for positions in tally.duplicates():
        first = source.pair(int(positions[0]))
        for position in positions[1:]:
            pair = source.pair(int(position))
            bucket = within if pair.split == first.split else across
            # Compare the bytes of the few shown files only, not of the whole set.
            detail = _similarity(pair.image, first) if len(bucket.examples) < NUM_EXAMPLES else ""
            bucket.add(Example(pair.image, detail, pair))
    yield from _bucket_finding(
        across,
        "warning",
        "duplicate-across-splits",
        "images occur in another split too, pixel for pixel",
        "remove them from one split: a score on training images says nothing about new images",
    )
    yield from _bucket_finding(
        within,
        "warning",
        "duplicate",
        "images occur more than once in their split, pixel for pixel",
        "remove all but one from the split file, unless you repeat them on purpose",
    )


def _similarity(file: Path, other: Pair) -> str:
    if file == other.image:
        return f"also listed in {other.split}"
    same_file = filecmp.cmp(file, other.image, shallow=False)
    relation = "identical to" if same_file else "same pixels as"
    return f"{relation} {other.image.name} of {other.split}"


def _bucket_finding(
    bucket: Bucket, severity: str, code: str, message: str, fix: str
) -> Iterator[Finding]:
    if bucket.count:
        yield Finding(severity, code, message, fix, tuple(bucket.examples), bucket.count)


def _unpaired_files(source: Source) -> Iterator[Finding]:
    """Find files in the listed folders that have no partner and are not listed."""
    masks, images = Bucket(), Bucket()
    listed = _listed_files(source)
    for image_folder, mask_folder, suffixes in _paired_folders(source.listings):
        image_names = _names_by_stem(image_folder, suffixes[0])
        mask_names = _names_by_stem(mask_folder, suffixes[1])
        _add_unpaired(masks, mask_folder, mask_names, image_names, listed)
        _add_unpaired(images, image_folder, image_names, mask_names, listed)
    yield from _bucket_finding(
        masks,
        "warning",
        "mask-without-image",
        "mask files have no image of the same name",
        "give each mask the name of its image; in your own folder, you can also put both paths on "
        "one line of train.txt",
    )
    yield from _bucket_finding(
        images,
        "note",
        "image-without-mask",
        "image files have no mask of the same name",
        "nothing to do if they are not for segmentation; otherwise rename or add the masks",
    )


def _add_unpaired(
    bucket: Bucket,
    folder: Path,
    names: Mapping[str, str],
    partners: Mapping[str, str],
    listed: set[Path],
) -> None:
    for stem in sorted(names.keys() - partners.keys()):
        # A listed file without a partner has a finding already.
        if folder / names[stem] not in listed:
            bucket.add(Example(folder / names[stem]))


def _listed_files(source: Source) -> set[Path]:
    return {
        file
        for listing in source.listings
        for files in (listing.images, listing.masks or ())
        for file in files
    }


def _paired_folders(
    listings: tuple[Listing, ...],
) -> Iterator[tuple[Path, Path, tuple[str, str]]]:
    """Yield (image folder, mask folder, stem suffixes) where all names follow the suffixes."""
    folders: dict[tuple[Path, Path], tuple[str, str] | None] = {}
    for listing in listings:
        for image, mask in zip(listing.images, listing.masks or ()):
            if mask.suffix.lower() not in _FILE_SUFFIXES:
                continue
            suffixes = folders.setdefault((image.parent, mask.parent), _stem_suffixes(image, mask))
            if not _has_suffixes(image, mask, suffixes):
                folders[image.parent, mask.parent] = None
    for (images, masks), suffixes in folders.items():
        if suffixes is not None and images != masks:
            yield images, masks, suffixes


def _stem_suffixes(image: Path, mask: Path) -> tuple[str, str]:
    """Return the ends of both stems after their common start: '_leftImg8bit', '_labelIds'."""
    pairs = enumerate(zip(image.stem, mask.stem))
    shorter = min(len(image.stem), len(mask.stem))
    common = next((position for position, (a, b) in pairs if a != b), shorter)
    return image.stem[common:], mask.stem[common:]


def _has_suffixes(image: Path, mask: Path, suffixes: tuple[str, str] | None) -> bool:
    if suffixes is None or not image.stem.endswith(suffixes[0]):
        return False
    return mask.stem == image.stem[: len(image.stem) - len(suffixes[0])] + suffixes[1]


def _names_by_stem(folder: Path, suffix: str) -> dict[str, str]:
    """Map the stem without its suffix to the file name, for the image files of a folder."""
    if not folder.is_dir():
        return {}
    # macOS adds "._NAME" files, which are not images.
    names = [
        name
        for name in os.listdir(folder)
        if name.lower().endswith(_FILE_SUFFIXES) and not name.startswith("._")
    ]
    stems = [(os.path.splitext(name)[0], name) for name in names]
    return {stem[: len(stem) - len(suffix)]: name for stem, name in stems if stem.endswith(suffix)}
