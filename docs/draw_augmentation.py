"""Draw augmented training samples: a grid, and an animated GIF.

    python docs/draw_augmentation.py
    python docs/draw_augmentation.py --images photo.jpg other.jpg --masks photo.png other.png

Writes augmentation.png and augmentation.gif into ``--output``, by default the current folder.
``--dataset`` gives the classes of the masks. Without images, it draws the figures in docs/images:
two photographs from scripts/segmentation/examples, with masks that were traced by hand and with
distorted colours.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from gluonvision.data import dataset_meta, read_image, read_mask
from gluonvision.data.files.rle import fill
from gluonvision.data.meta import get_meta
from gluonvision.data.transforms.augment import random_transform
from gluonvision.utils import get_mask, overlay

COLUMNS, FRAMES, CELL, GAP = 5, 12, 150, 6
GIF_CELL = 220
DOCS = Path(__file__).parent
EXAMPLES = DOCS.parent / "scripts" / "segmentation" / "examples"
# Photograph, class, and the outline of the object: x, y, x, y, ... in pixels.
TRACED = [
    (
        "car.jpg",
        "car",
        """
        0 115 26 112 26 108 32 107 38 108 81 86 113 83 151 82 174 84 189 88 204 99 212 101
        217 106 219 118 226 122 233 130 236 143 235 166 233 183 228 189 223 188 219 184 187
        193 179 208 170 220 159 223 149 219 145 216 128 221 94 226 57 226 0 226
        """,
    ),
    (
        "camera.jpg",
        "person",
        """
        200 64 222 65 237 75 252 87 264 98 271 111 269 126 258 133 258 139 252 144 254 164
        247 174 243 184 241 194 242 206 262 219 267 209 282 204 302 199 307 189 317 181 320
        171 326 169 331 176 330 191 322 201 322 212 312 229 302 232 290 237 287 247 301 254
        305 275 287 290 262 307 247 312 208 295 199 310 174 348 142 383 149 428 152 512 0
        512 0 257 18 237 30 209 50 186 63 161 91 136 128 125 141 111 161 106 164 98 171 83
        186 70
        """,
    ),
]


def traced(name, thing, outline):
    """Make a photograph's mask in VOC's style: one object, with an ignored border around it."""
    image = read_image(EXAMPLES / name)
    inside = fill([int(number) for number in outline.split()], image.shape[:2])
    mask = np.where(inside, get_meta("pascal_voc").classes.index(thing), 0).astype(np.int32)
    border = cv2.morphologyEx(inside.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((5, 5)))
    mask[border > 0] = -1
    return image, mask


def crops(image, mask, index, count, inference):
    """Yield ``count`` training samples of one image, each as in another epoch."""
    for epoch in range(count):
        generator = np.random.default_rng([epoch, index])
        yield random_transform(image, mask, generator, **inference)


def grid(pairs, dataset, inference):
    """Draw a row of images and a row of masks for each pair; the first column is the original."""
    rows = []
    for index, (image, mask) in enumerate(pairs):
        column = [(image, mask), *crops(image, mask, index, COLUMNS, inference)]
        rows.append([Image.fromarray(crop) for crop, _ in column])
        rows.append([get_mask(labels, dataset).convert("RGB") for _, labels in column])
    return tiled(rows, CELL)


def frames(pairs, dataset, inference):
    """Draw the frames of the animation: each crop, next to its overlay."""
    for index, (image, mask) in enumerate(pairs):
        for crop, labels in crops(image, mask, index, FRAMES // len(pairs), inference):
            coloured = overlay(crop, labels, dataset, legend=False)
            yield tiled([[Image.fromarray(crop), coloured]], GIF_CELL)


def tiled(rows, cell):
    """Arrange images in rows and columns, each scaled to fit a square of ``cell`` pixels."""
    width, height = (GAP + n * (cell + GAP) for n in (len(rows[0]), len(rows)))
    canvas = Image.new("RGB", (width, height), "white")
    for y, row in enumerate(rows):
        for x, image in enumerate(row):
            image.thumbnail((cell, cell), Image.LANCZOS)
            middle = (cell - image.width) // 2, (cell - image.height) // 2
            place = [GAP + n * (cell + GAP) + m for n, m in zip((x, y), middle)]
            canvas.paste(image, tuple(place))
    return canvas


def save(pairs, dataset, output, inference):
    """Write the grid and the animation."""
    output.mkdir(parents=True, exist_ok=True)
    grid(pairs, dataset, inference).save(output / "augmentation.png", optimize=True)
    moving = [frame.quantize(128) for frame in frames(pairs, dataset, inference)]
    moving[0].save(
        output / "augmentation.gif", save_all=True, append_images=moving[1:], duration=700, loop=0
    )
    print(f"{output / 'augmentation.png'} and .gif")


def read(image, mask, meta):
    """Read an image and its mask, and check that their sizes agree."""
    image, mask = read_image(image), read_mask(mask, meta)
    if image.shape[:2] != mask.shape:
        raise ValueError(
            f"image of {image.shape[:2]} and mask of {mask.shape}: expected the same size"
        )
    return image, mask


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", nargs="*", default=[], help="images")
    parser.add_argument("--masks", nargs="*", default=[], help="their masks, in the same order")
    parser.add_argument("--dataset", default="pascal_voc", help="classes of the masks")
    parser.add_argument("--root", help="folder of your own data set")
    parser.add_argument("--base-size", type=int, default=520)
    parser.add_argument("--crop-size", type=int, default=480)
    parser.add_argument("--photometric", action="store_true", help="also distort the colours")
    parser.add_argument(
        "--cat-max-ratio", type=float, default=1.0, help="largest fraction of a class"
    )
    parser.add_argument("--output", type=Path, help="folder for the two figures")
    options = parser.parse_args()
    if len(options.images) != len(options.masks):
        parser.error(f"{len(options.images)} images and {len(options.masks)} masks: expected pairs")
    names = ("base_size", "crop_size", "photometric", "cat_max_ratio")
    inference = {name: getattr(options, name) for name in names}
    try:
        meta = dataset_meta(options.dataset, options.root)
        pairs = [read(*named, meta) for named in zip(options.images, options.masks)]
    except (OSError, ValueError) as error:
        parser.error(str(error))
    if pairs:
        save(pairs, meta, options.output or Path(), inference)
    else:
        inference |= {"photometric": True, "cat_max_ratio": 0.75}
        examples = [traced(*photograph) for photograph in TRACED]
        save(examples, get_meta("pascal_voc"), options.output or DOCS / "images", inference)


if __name__ == "__main__":
    main()
