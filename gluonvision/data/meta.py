"""Facts of each data set: class names, colours, how its files write a label. Imports nothing."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Meta:
    """One data set's facts; class ``i`` is ``classes[i]``, painted in ``palette[i]`` (R, G, B).

    ``label_offset``: a mask file's pixel value is the class plus this (ADE20K's files begin at 1).
    ``ignored_value``: the pixel value that its files use for "not labelled".
    ``values``: exceptions to those two, as pairs (value in the file, class), -1 for ignored.
    ``masks``: 'indices' where files hold class numbers (palette or grey), 'colours' where they
    hold the palette's own colours (RGB) and ``ignored_colour``.
    ``refuse_binary``: whether a mask of 0 and 255 alone is an error, as it would read as one class
    and nothing else.
    ``background``: the class that means "nothing of interest"; None where every class is a thing
    or a stuff of its own.
    ``border_class``: the class beyond the last with which some models name "ignored" (the 22nd of
    ``FCN(nclass=22)`` on VOC); shown as ignored.
    """

    name: str
    classes: tuple[str, ...]
    palette: tuple[tuple[int, ...], ...]
    label_offset: int = 0
    ignored_value: int = 255
    ignored_colour: tuple[int, ...] = (0, 0, 0)
    background: int | None = None
    border_class: int | None = None
    values: tuple[tuple[int, int], ...] = ()
    masks: str = "indices"
    refuse_binary: bool = False

    @property
    def num_class(self) -> int:
        """Number of classes, background included and "ignored" not."""
        return len(self.classes)


def get_meta(dataset: str | Meta) -> Meta:
    """The facts of a data set, by its name on the command line ('pascal_voc', 'citys', ...).

    Facts themselves are handed back, for data sets of one's own (``folder``). Raises ValueError,
    listing the names, where there is none of that name.
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
    """VOC's rule: the label's bits, three at a time, fill red, green and blue from the top bit."""
    channels = [0, 0, 0]
    for bit in range(8):
        channels[bit % 3] |= (label >> bit & 1) << (7 - bit // 3)
    return tuple(channels)


# The names are those of the VOC development kit (GluonCV writes airplane, motorcycle, tv).
_VOC_CLASSES = _split(
    """
    background, aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow, diningtable, dog,
    horse, motorbike, person, pottedplant, sheep, sofa, train, tvmonitor
    """
)


def voc_palette(num_class: int) -> tuple[tuple[int, ...], ...]:
    """VOC's colours for any number of classes up to 256."""
    return tuple(_voc_colour(label) for label in range(num_class))


# What COCO calls VOC's classes, where it calls them something else.
COCO_NAMES_OF_VOC = {
    "aeroplane": "airplane",
    "diningtable": "dining table",
    "motorbike": "motorcycle",
    "pottedplant": "potted plant",
    "sofa": "couch",
    "tvmonitor": "tv",
}

# The 80 "things" of COCO 2014 and 2017, by category id.
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


# The first of each class's synonyms in sceneparsing's objectInfo150.txt.
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

# sceneparsing's color150.mat; road and skyscraper share one grey there.
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

# cityscapesScripts helpers/labels.py, by train id (GluonCV has 0082b4 for the sky, a slip).
_CITYSCAPES_PALETTE = _colours(
    """
    804080 f423e8 464646 66669c be9999 999999 faaa1e dcdc00 6b8e23 98fb98
    4682b4 dc143c ff0000 00008e 000046 003c64 005064 0000e6 770b20
    """
)

# The same script: the train id (-1: not evaluated) of each id in a file *_labelIds.png. Its id -1,
# the licence plate, is never drawn.
CITYSCAPES_TRAIN_IDS = (
    *(-1, -1, -1, -1, -1, -1, -1),  # unlabeled, ego vehicle, ..., dynamic, ground
    *(0, 1, -1, -1),  # road, sidewalk, parking, rail track
    *(2, 3, 4, -1, -1, -1),  # building, wall, fence, guard rail, bridge, tunnel
    *(5, -1, 6, 7),  # pole, polegroup, traffic light, traffic sign
    *(8, 9, 10),  # vegetation, terrain, sky
    *(11, 12),  # person, rider
    *(13, 14, 15, -1, -1, 16, 17, 18),  # car, truck, bus, caravan, trailer, train, motorcycle, ...
)

# Names and order of SegNet's 11 classes; colours of CamVid's own label_colors.txt.
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
        # SegNet's files write "unlabelled" as 11, others as 255.
        Meta("camvid", _CAMVID_CLASSES, _CAMVID_PALETTE, values=((11, -1),)),
    )
}
_ALIASES = {"mscoco": "coco"}

# The masks that Cityscapes ships hold ids; "citys" itself is train ids, as predictions are.
CITYSCAPES_LABEL_IDS = replace(_METAS["citys"], values=tuple(enumerate(CITYSCAPES_TRAIN_IDS)))
