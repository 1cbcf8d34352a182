"""Draw what the training transform makes of a picture: a grid, and an animated GIF.

    python docs/draw_augmentation.py
    python docs/draw_augmentation.py --images photo.jpg other.jpg --masks photo.png other.png

Writes docs/images/augmentation.png and .gif (``--output``). The masks are of ``--dataset``; without
images, generated scenes are drawn.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from gluonvision.data.augment import random_transform
from gluonvision.data.base import read_image, read_mask
from gluonvision.data.synthetic import draw_scene
from gluonvision.utils import get_mask, overlay

COLUMNS, FRAMES, CELL, GAP = 5, 12, 150, 6
GIF_CELL = 220


def crops(image, mask, index, count):
    """``count`` training samples of one picture, as epochs would have them."""
    for epoch in range(count):
        generator = np.random.default_rng([epoch, index])
        yield random_transform(image, mask, generator, photometric=True, cat_max_ratio=0.75)


def grid(pairs, dataset):
    """A row of pictures and a row of masks for each pair; the first column is the original."""
    rows = []
    for index, (image, mask) in enumerate(pairs):
        column = [(image, mask), *crops(image, mask, index, COLUMNS)]
        rows.append([Image.fromarray(picture) for picture, _ in column])
        rows.append([get_mask(labels, dataset).convert("RGB") for _, labels in column])
    return tiled(rows, CELL)


def frames(pairs, dataset):
    """One picture after the other: each crop, and beside it the crop under its mask's colours."""
    for index, (image, mask) in enumerate(pairs):
        for crop, labels in crops(image, mask, index, FRAMES // len(pairs)):
            coloured = overlay(crop, labels, dataset, legend=False)
            yield tiled([[Image.fromarray(crop), coloured]], GIF_CELL)


def tiled(rows, cell):
    """Pictures in rows and columns, each fitted into a square of ``cell`` pixels."""
    width, height = (GAP + n * (cell + GAP) for n in (len(rows[0]), len(rows)))
    canvas = Image.new("RGB", (width, height), "white")
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            picture.thumbnail((cell, cell), Image.LANCZOS)
            middle = (cell - picture.width) // 2, (cell - picture.height) // 2
            place = [GAP + n * (cell + GAP) + m for n, m in zip((x, y), middle)]
            canvas.paste(picture, tuple(place))
    return canvas


def save(pairs, dataset, output):
    """Write the grid and the animation."""
    output.mkdir(parents=True, exist_ok=True)
    grid(pairs, dataset).save(output / "augmentation.png", optimize=True)
    moving = [frame.quantize(128) for frame in frames(pairs, dataset)]
    moving[0].save(
        output / "augmentation.gif", save_all=True, append_images=moving[1:], duration=700, loop=0
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", nargs="*", default=[], help="pictures")
    parser.add_argument("--masks", nargs="*", default=[], help="their masks, in the same order")
    parser.add_argument("--dataset", default="pascal_voc", help="what the masks' labels mean")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "images")
    options = parser.parse_args()
    if len(options.images) != len(options.masks):
        parser.error(f"{len(options.images)} images and {len(options.masks)} masks: expected pairs")
    named = zip(options.images, options.masks)
    pairs = [(read_image(image), read_mask(mask, options.dataset)) for image, mask in named]
    if not pairs:
        generators = (np.random.default_rng([7, number]) for number in range(2))
        pairs = [draw_scene((375, 500), g, first=2 * n) for n, g in enumerate(generators)]
    save(pairs, options.dataset, options.output)


if __name__ == "__main__":
    main()
