"""Class names, colours and label values of each data set. Imports only the standard library."""

from dataclasses import dataclass, replace

IGNORED = -1
"""Label of ignored pixels in every array of labels: no class, no loss, no metric."""

IGNORED_VALUE = 255
"""Pixel value of ignored pixels in mask files, unless a data set's ``Meta`` says otherwise."""


@dataclass(frozen=True)
class Meta:
    """Class names, colours and label values of one data set.

    Attributes:
        name: name of the data set on the command line.
        classes: class names; class ``i`` is ``classes[i]``.
        palette: colour (R, G, B) of each class.
        label_offset: pixel value of class 0 in mask files (1 in ADE20K's).
        ignored_value: pixel value of ignored pixels in mask files.
        ignored_colour: colour of ignored pixels in masks of colours.
        background: the class of pixels that belong to no other class; None if there is none.
        border_class: the class after the last, which some models predict for ignored pixels (the
            22nd of ``FCN(nclass=22)`` on VOC); shown as ignored.
        values: exceptions to ``label_offset`` and ``ignored_value``, as pairs (value in the file,
            class); class -1 is ignored.
        masks: 'indices' if mask files hold class numbers (palette or grey), 'colours' if they hold
            the colours of ``palette`` (RGB) and ``ignored_colour``.
        refuse_binary: raise an error for a mask that only holds 0 and 255, because it would be read
            as class 0 and ignored.
    """

    name: str
    classes: tuple[str, ...]
    palette: tuple[tuple[int, ...], ...]
    label_offset: int = 0
    ignored_value: int = IGNORED_VALUE
    ignored_colour: tuple[int, ...] = (0, 0, 0)
    background: int | None = None
    border_class: int | None = None
    values: tuple[tuple[int, int], ...] = ()
    masks: str = "indices"
    refuse_binary: bool = False

    @property
    def num_class(self) -> int:
        """Number of classes, with the background and without "ignored"."""
        return len(self.classes)


def get_meta(dataset: str | Meta) -> Meta:
    """Return a data set's class names, colours and label values.

    Args:
        dataset: name of the data set on the command line ('pascal_voc', 'citys', ...), or a
            ``Meta``, which is returned unchanged.

    Raises:
        ValueError: the name is unknown; the message lists the known ones.
    """
    if isinstance(dataset, Meta):
        return dataset
    try:
        return _METAS[_ALIASES.get(dataset, dataset)]
    except (KeyError, TypeError):
        names = ", ".join(sorted([*_METAS, *_ALIASES]))
        raise ValueError(
            f"no data set is called {dataset!r}; the known ones are: {names}"
        ) from None


def _split(text: str, separator: str = ",") -> tuple[str, ...]:
    return tuple(" ".join(part.split()) for part in text.split(separator))


def _colours(text: str) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(bytes.fromhex(part)) for part in text.split())


def _voc_colour(label: int) -> tuple[int, ...]:
    """VOC's rule: each three bits of the label fill red, green and blue from the top bit down."""
    channels = [0, 0, 0]
    for bit in range(8):
        channels[bit % 3] |= (label >> bit & 1) << (7 - bit // 3)
    return tuple(channels)


# Names of the VOC development kit (GluonCV has airplane, motorcycle, tv instead).
_VOC_CLASSES = _split(
    """
    background, aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow, diningtable, dog,
    horse, motorbike, person, pottedplant, sheep, sofa, train, tvmonitor
    """
)


def voc_palette(num_class: int) -> tuple[tuple[int, ...], ...]:
    """Return VOC's colours (R, G, B) for ``num_class`` classes, 256 at most."""
    return tuple(_voc_colour(label) for label in range(num_class))


# COCO's names of VOC's classes, where they differ.
COCO_NAMES_OF_VOC = {
    "aeroplane": "airplane",
    "diningtable": "dining table",
    "motorbike": "motorcycle",
    "pottedplant": "potted plant",
    "sofa": "couch",
    "tvmonitor": "tv",
}

# The 80 "things" of COCO 2014 and 2017, ordered by category id.
_COCO_THINGS = _split(
    """
    person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light,
    fire hydrant, stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant,
    bear, zebra, giraffe, backpack, umbrella, handbag, tie, suitcase, frisbee, skis, snowboard,
    sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket, bottle,
    wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot,
    hot dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv, laptop,
    mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, book, clock,
    vase, scissors, teddy bear, hair drier, toothbrush
    """
)


def _voc(name: str, classes: tuple[str, ...] = _VOC_CLASSES) -> Meta:
    return Meta(
        name,
        classes,
        voc_palette(len(classes)),
        ignored_colour=_voc_colour(255),
        background=0,
        border_class=len(classes),
    )


# The first synonym of each class in sceneparsing's objectInfo150.txt.
_ADE20K_CLASSES = _split(
    """
    wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet, sidewalk,
    person, earth, door, table, mountain, plant, curtain, chair, car, water, painting, sofa,
    shelf, house, sea, mirror, rug, field, armchair, seat, fence, desk, rock, wardrobe, lamp,
    bathtub, railing, cushion, base, box, column, signboard, chest of drawers, counter, sand,
    sink, skyscraper, fireplace, refrigerator, grandstand, path, stairs, runway, case, pool table,
    pillow, screen door, stairway, river, bridge, bookcase, blind, coffee table, toilet, flower,
    book, hill, bench, countertop, stove, palm, kitchen island, computer, swivel chair, boat, bar,
    arcade machine, hovel, bus, towel, light, truck, tower, chandelier, awning, streetlight,
    booth, television receiver, airplane, dirt track, apparel, pole, land, bannister, escalator,
    ottoman, bottle, buffet, poster, stage, van, ship, fountain, conveyer belt, canopy, washer,
    plaything, swimming pool, stool, barrel, basket, waterfall, tent, bag, minibike, cradle, oven,
    ball, food, step, tank, trade name, microwave, pot, animal, bicycle, lake, dishwasher, screen,
    blanket, sculpture, hood, sconce, vase, traffic light, tray, ashcan, fan, pier, crt screen,
    plate, monitor, bulletin board, shower, radiator, glass, clock, flag
    """
)

# Colours of sceneparsing's color150.mat, where road and skyscraper share one grey.
_ADE20K_PALETTE = _colours(
    """
    787878 b47878 06e6e6 503232 04c803 787850 8c8c8c cc05ff e6e6e6 04fa07 e005ff ebff07 96053d
    787846 08ff33 ff0652 8fff8c ccff04 ff3307 cc4603 0066c8 3de6fa ff0633 0b66ff ff0747 ff09e0
    0907e6 dcdcdc ff095c 7009ff 08ffd6 07ffe0 ffb806 0aff47 ff290a 07ffff e0ff08 6608ff ff3d06
    ffc207 ff7a08 00ff14 ff0829 ff0599 0633ff eb0cff a09614 00a3ff 8c8c8c fa0a0f 14ff00 1fff00
    ff1f00 ffe000 99ff00 0000ff ff4700 00ebff 00adff 1f00ff 0bc8c8 ff5200 00fff5 003dff 00ff70
    00ff85 ff0000 ffa300 ff6600 c2ff00 008fff 33ff00 0052ff 00ff29 00ffad 0a00ff adff00 00ff99
    ff5c00 ff00ff ff00f5 ff0066 ffad00 ff0014 ffb8b8 001fff 00ff3d 0047ff ff00cc 00ffc2 00ff52
    000aff 0070ff 3300ff 00c2ff 007aff 00ffa3 ff9900 00ff0a ff7000 8fff00 5200ff a3ff00 ffeb00
    08b8aa 8500ff 00ff5c b800ff ff001f 00b8ff 00d6ff ff0070 5cff00 00e0ff 70e0ff 46b8a0 a300ff
    9900ff 47ff00 ff00a3 ffcc00 ff008f 00ffeb 85ff00 ff00eb f500ff ff007a fff500 0abed4 d6ff00
    00ccff 1400ff ffff00 0099ff 0029ff 00ffcc 2900ff 29ff00 ad00ff 00f5ff 4700ff 7a00ff 00ffb8
    005cff b8ff00 0085ff ffd600 19c2c2 66ff00 5c00ff
    """
)

_CITYSCAPES_CLASSES = _split(
    """
    road, sidewalk, building, wall, fence, pole, traffic light, traffic sign, vegetation, terrain,
    sky, person, rider, car, truck, bus, train, motorcycle, bicycle
    """
)

# Colours of cityscapesScripts' helpers/labels.py, by train id (GluonCV's 0082b4 for the sky is a
# mistake).
_CITYSCAPES_PALETTE = _colours(
    """
    804080 f423e8 464646 66669c be9999 999999 faaa1e dcdc00 6b8e23 98fb98
    4682b4 dc143c ff0000 00008e 000046 003c64 005064 0000e6 770b20
    """
)

# From the same script: the train id (-1: not evaluated) of each id in a file *_labelIds.png. Masks
# never hold its id -1, the licence plate.
CITYSCAPES_TRAIN_IDS = (
    *(-1, -1, -1, -1, -1, -1, -1),  # unlabeled, ego vehicle, ..., dynamic, ground
    *(0, 1, -1, -1),  # road, sidewalk, parking, rail track
    *(2, 3, 4, -1, -1, -1),  # building, wall, fence, guard rail, bridge, tunnel
    *(5, -1, 6, 7),  # pole, polegroup, traffic light, traffic sign
    *(8, 9, 10),  # vegetation, terrain, sky
    *(11, 12),  # person, rider
    *(13, 14, 15, -1, -1, 16, 17, 18),  # car, truck, bus, caravan, trailer, train, motorcycle, ...
)

# Names and order of SegNet's 11 classes; colours of CamVid's label_colors.txt.
_CAMVID_CLASSES = _split(
    """
    sky, building, pole, road, pavement, tree, sign_symbol, fence, car, pedestrian, bicyclist
    """
)
_CAMVID_PALETTE = _colours(
    "808080 800000 c0c080 804080 0000c0 808000 c08080 404080 400080 404000 0080c0"
)

_METAS = {
    meta.name: meta
    for meta in (
        _voc("pascal_voc"),
        _voc("pascal_aug"),
        _voc("coco"),
        Meta("ade20k", _ADE20K_CLASSES, _ADE20K_PALETTE, label_offset=1, ignored_value=0),
        _voc("coco_things", ("background", *_COCO_THINGS)),
        Meta("citys", _CITYSCAPES_CLASSES, _CITYSCAPES_PALETTE),
        # "Unlabelled" is 11 in SegNet's files and 255 in others.
        Meta("camvid", _CAMVID_CLASSES, _CAMVID_PALETTE, values=((11, IGNORED),)),
    )
}
_ALIASES = {"mscoco": "coco"}

# Masks in Cityscapes' archive hold label ids; "citys" itself has train ids, as predictions do.
CITYSCAPES_LABEL_IDS = replace(_METAS["citys"], values=tuple(enumerate(CITYSCAPES_TRAIN_IDS)))
