"""A generated data set in VOC's layout, for tests and for experiments without a download."""

import os
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from gluonvision.data.meta import IGNORED
from gluonvision.plots.masks import get_mask

# Label -> (shape, hue in degrees): outline and colour both tell the class.
_SHAPES = {2: ("ring", 120), 5: ("bar", 200), 7: ("box", 0), 9: ("triangle", 45), 15: ("disc", 290)}


def make_voc_like(
    root: str | os.PathLike,
    num_images: int = 6,
    size: tuple[int, int] = (375, 500),
    seed: int = 0,
) -> Path:
    """Write a small generated data set to ``root``/VOCdevkit/VOC2012.

    Each image is a JPEG with a textured background and three shapes of five of VOC's classes; its
    palette mask has a border of 255 around each shape. The split files are train (two thirds), val
    (the rest) and trainval. The same arguments write the same files.

    Args:
        root: folder to write VOCdevkit to.
        num_images: number of images, at least 2.
        size: (height, width) of the images, in pixels.
        seed: seed of the drawings.

    Returns:
        The folder VOC2012.

    Raises:
        ValueError: ``num_images`` is below 2.
    """
    if num_images < 2:
        raise ValueError(
            f"num_images {num_images}: expected at least 2, one for train and one for val"
        )
    folder = Path(root) / "VOCdevkit" / "VOC2012"
    for subfolder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (folder / subfolder).mkdir(parents=True, exist_ok=True)
    names = [f"2012_{number:06d}" for number in range(num_images)]
    for number, name in enumerate(names):
        image, labels = draw_scene(size, np.random.default_rng([seed, number]), number)
        Image.fromarray(image).save(folder / "JPEGImages" / f"{name}.jpg", quality=92)
        get_mask(labels, "pascal_voc").save(folder / "SegmentationClass" / f"{name}.png")
    _write_split_files(folder / "ImageSets" / "Segmentation", names)
    return folder


def draw_scene(
    size: tuple[int, int], generator: np.random.Generator, first: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one image with three shapes.

    Args:
        size: (height, width) of the image, in pixels.
        generator: source of the random numbers.
        first: number of the first of the three classes, so that a series of images has all five.

    Returns:
        The image, uint8 (H, W, 3), and its labels, int32 (H, W), with -1 around each shape.
    """
    image = _texture(size, generator, hue=generator.uniform(60, 100), saturation=0.25)
    labels = np.zeros(size, np.int32)
    classes = list(_SHAPES)
    for position in range(3):
        label = classes[(first + position) % len(classes)]
        shape, hue = _SHAPES[label]
        area = _shape(shape, size, generator, position) > 0
        image[area] = _texture(size, generator, hue, saturation=0.75)[area]
        labels[area] = label
    image = cv2.GaussianBlur(image, (3, 3), 0.7)
    labels[_border(labels)] = IGNORED
    return image, labels


def _texture(
    size: tuple[int, int], generator: np.random.Generator, hue: float, saturation: float
) -> np.ndarray:
    """Draw a surface of one hue, uint8 (H, W, 3), with large, medium and fine spots."""
    value = np.full(size, 0.6, np.float32)
    for cell, strength in ((max(size) // 3, 0.2), (24, 0.12), (3, 0.1)):
        coarse = (size[1] // cell + 2, size[0] // cell + 2)
        noise = generator.uniform(-1, 1, coarse[::-1]).astype(np.float32)
        value += strength * cv2.resize(noise, size[::-1], interpolation=cv2.INTER_LINEAR)
    hues = np.full(size, hue, np.float32) + 8 * (value - 0.6)
    surface = np.stack([hues, np.full(size, saturation, np.float32), value.clip(0, 1)], axis=-1)
    return np.rint(255 * cv2.cvtColor(surface, cv2.COLOR_HSV2RGB)).astype(np.uint8)


def _shape(
    shape: str, size: tuple[int, int], generator: np.random.Generator, position: int
) -> np.ndarray:
    """Draw a filled outline, uint8 (H, W), in the left (0), middle (1) or right (2) third."""
    height, width = size
    canvas = np.zeros(size, np.uint8)
    radius = generator.uniform(0.13, 0.2) * min(size)
    x = width * (position + generator.uniform(0.35, 0.65)) / 3
    y = height * generator.uniform(0.3, 0.7)
    if shape in ("disc", "ring"):
        cv2.circle(canvas, (round(x), round(y)), round(radius), 1, -1)
        if shape == "ring":
            cv2.circle(canvas, (round(x), round(y)), round(radius * 0.5), 0, -1)
        return canvas
    corners = {
        "box": [(-1, -1), (1, -1), (1, 1), (-1, 1)],
        "bar": [(-0.4, -1.4), (0.4, -1.4), (0.4, 1.4), (-0.4, 1.4)],
        "triangle": [(0, -1.2), (1.1, 0.9), (-1.1, 0.9)],
    }[shape]
    angle = generator.uniform(-0.4, 0.4)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = np.array(corners) * radius @ rotation.T + (x, y)
    return cv2.fillPoly(canvas, [np.rint(points).astype(np.int32)], 1)


def _border(labels: np.ndarray) -> np.ndarray:
    """Return a mask of the five pixels around each change of label, which VOC leaves unlabelled."""
    grey = labels.astype(np.uint8)
    return cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8)) > 0


def _write_split_files(folder: Path, names: list[str]) -> None:
    train = max(1, len(names) * 2 // 3)
    splits = {"train": names[:train], "val": names[train:], "trainval": names}
    for split, names_of_split in splits.items():
        text = "".join(f"{name}\n" for name in names_of_split)
        (folder / f"{split}.txt").write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    import sys

    print(f"generated: {make_voc_like(sys.argv[1])}")
