"""The issues that a single image or mask can have: severity, description and fix of each code."""

from dataclasses import dataclass


@dataclass(frozen=True)
class IssueType:
    """The severity of an issue, what is wrong, and how to fix it."""

    severity: str
    message: str
    fix: str


ISSUE_TYPES = {
    "missing-image": IssueType(
        "error",
        "listed images do not exist",
        "unpack the archive again, or remove the images from the split file",
    ),
    "missing-mask": IssueType(
        "error",
        "images have no mask file",
        "unpack the archive again, or remove the images from the split file; in your own folder, "
        "give each mask the name of its image, or put both paths on one line of train.txt",
    ),
    "broken-image": IssueType(
        "error",
        "images are damaged or truncated",
        "download the files again, or remove them from the split file",
    ),
    "broken-mask": IssueType(
        "error",
        "masks are damaged or unreadable",
        "download or export the files again, or remove them from the split file",
    ),
    "size-mismatch": IssueType(
        "error",
        "the mask and the image differ in size",
        "export the mask again at the size of the image, or resize it with nearest-neighbour "
        "sampling",
    ),
    "turned-mask": IssueType(
        "error",
        "the mask fits the image as stored, not as its EXIF orientation turns it",
        "turn the mask in the same way, or save the image upright without the EXIF orientation",
    ),
    "wrong-values": IssueType(
        "error",
        "masks contain values that the data set does not have",
        "map the values to class ids, or choose the data set that the masks belong to; in your own "
        "folder, name every class in classes.txt and define values and colours in dataset.json "
        "(docs/datasets.md)",
    ),
    "colour-mask": IssueType(
        "error",
        "masks contain colours instead of class ids of 8 or 16 bits",
        "use the original palette files, saved without .convert('RGB'), or the data set 'folder' "
        'with {"mask_format": "colours", "palette": [[R, G, B], ...]} in its dataset.json',
    ),
    "number-mask": IssueType(
        "error",
        "masks contain numbers instead of the palette's colours",
        "set mask_format='indices', or use colour masks",
    ),
    "lossy-mask": IssueType(
        "error",
        "masks are JPEG files, and JPEG compression creates wrong values along every edge",
        "export the masks again from their source as PNG; converting the JPEG keeps the damage",
    ),
    "binary-mask": IssueType(
        "warning",
        "masks contain only 0 and 255, as black-and-white masks do, and 255 is not a class",
        "if 255 means the same in every mask of your folder, add to its dataset.json "
        '{"values": {"255": 1}} for an object or {"ignored_value": 255} for unlabelled; if only '
        "these files are black and white, export them again with class ids",
    ),
    "unlabelled-image": IssueType(
        "warning",
        "masks have no labelled pixel",
        "label the images or remove them from the split file: they do not contribute to training",
    ),
    "other-palette": IssueType(
        "warning",
        "the palettes of masks have other colours for the classes than the data set",
        "check that no image editor or optimizer has renumbered the colours: training reads the "
        "numbers and ignores the colours; a palette that you chose yourself is harmless",
    ),
    "exif-turned": IssueType(
        "note",
        "images are turned by their EXIF orientation, and the masks fit the upright images",
        "nothing to do: gluonvision applies the EXIF orientation; other tools may not",
    ),
    "exif-unsure": IssueType(
        "warning",
        "images are turned or mirrored by their EXIF orientation, and the size does not show "
        "whether the masks are too",
        "check that the mask fits the upright image; if not, turn or mirror the mask in the same "
        "way",
    ),
    "grey-image": IssueType(
        "note",
        "images are grey",
        "nothing to do: the grey value is used for red, green and blue",
    ),
    "palette-image": IssueType(
        "note",
        "images have a palette (GIF, 8-bit PNG)",
        "nothing to do, unless these are masks in the wrong folder",
    ),
    "alpha-image": IssueType(
        "note",
        "images have transparent pixels, which are blended with white",
        "nothing to do, unless you need another background: then blend the images with it first",
    ),
    "cmyk-image": IssueType(
        "warning",
        "images have print colours (CMYK), which shift without their colour profile",
        "convert them to sRGB with their colour profile",
    ),
    "deep-image": IssueType(
        "error",
        "images are grey with more than 8 bits, which is not supported",
        "scale all of them to 0-255 by the value range of their sensor, and save them with 8 bits",
    ),
    "grey-end": IssueType(
        "warning",
        "JPEG images end in exact mid-grey, which decoders insert for missing data",
        "look at them: download damaged files again, or remove them from the split file; a border "
        "of mid-grey is harmless",
    ),
    "odd-image": IssueType(
        "note",
        "images have an unusual colour space and are converted to RGB by Pillow",
        "check the colours of a few of them",
    ),
}
