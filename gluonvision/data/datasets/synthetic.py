"""A generated data set in VOC's layout, for tests and for trying things out without a download."""

import os
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from gluonvision.plots.masks import get_mask

# Label -> (shape, hue in degrees): a class shows in its outline and in its colour.
_LOOKS = {2: ("ring", 120), 5: ("bar", 200), 7: ("box", 0), 9: ("triangle", 45), 15: ("disc", 290)}


def make_voc_like(
    root: str | os.PathLike,
    num_images: int = 6,
    size: tuple[int, int] = (375, 500),
    seed: int = 0,
) -> Path:
    """Write a small generated data set to ``root``/VOCdevkit/VOC2012 and return that folder.

    ``num_images`` (2 at least) JPEG images of ``size`` (height, width) with textured ground and
    three shapes of five of VOC's classes; palette masks with a border of 255 around each shape;
    the lists train (two thirds), val (the rest) and trainval. Equal arguments write equal files.
    """
    if num_images < 2:
        raise ValueError(
            f"num_images {num_images}: expected at least 2, one for train, one for val"
        )
    folder = Path(root) / "VOCdevkit" / "VOC2012"
    for inner in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (folder / inner).mkdir(parents=True, exist_ok=True)
    names = [f"2012_{number:06d}" for number in range(num_images)]
    for number, name in enumerate(names):
        image, labels = draw_scene(size, np.random.default_rng([seed, number]), number)
        Image.fromarray(image).save(folder / "JPEGImages" / f"{name}.jpg", quality=92)
        get_mask(labels, "pascal_voc").save(folder / "SegmentationClass" / f"{name}.png")
    _write_lists(folder / "ImageSets" / "Segmentation", names)
    return folder


def draw_scene(
    size: tuple[int, int], generator: np.random.Generator, first: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """One generated image, uint8 (H, W, 3), and its labels, int32 (H, W), -1 around each shape.

    Has three of the classes, those from the ``first``-th on, so that a series has them all.
    """
    image = _texture(size, generator, hue=generator.uniform(60, 100), saturation=0.25)
    labels = np.zeros(size, np.int32)
    known = list(_LOOKS)
    for place in range(3):
        label = known[(first + place) % len(known)]
        shape, hue = _LOOKS[label]
        area = _shape(shape, size, generator, place) > 0
        image[area] = _texture(size, generator, hue, saturation=0.75)[area]
        labels[area] = label
    image = cv2.GaussianBlur(image, (3, 3), 0.7)
    labels[_border(labels)] = -1
    return image, labels


def _texture(
    size: tuple[int, int], generator: np.random.Generator, hue: float, saturation: float
) -> np.ndarray:
    """A surface of one hue, uint8 (H, W, 3): light, coarse and fine mottle."""
    value = np.full(size, 0.6, np.float32)
    for cell, strength in ((max(size) // 3, 0.2), (24, 0.12), (3, 0.1)):
        coarse = (size[1] // cell + 2, size[0] // cell + 2)
        noise = generator.uniform(-1, 1, coarse[::-1]).astype(np.float32)
        value += strength * cv2.resize(noise, size[::-1], interpolation=cv2.INTER_LINEAR)
    hues = np.full(size, hue, np.float32) + 8 * (value - 0.6)
    surface = np.stack([hues, np.full(size, saturation, np.float32), value.clip(0, 1)], axis=-1)
    return np.rint(255 * cv2.cvtColor(surface, cv2.COLOR_HSV2RGB)).astype(np.uint8)


def _shape(
    shape: str, size: tuple[int, int], generator: np.random.Generator, place: int
) -> np.ndarray:
    """A filled outline, uint8 (H, W), in the ``place``-th third of the width."""
    height, width = size
    canvas = np.zeros(size, np.uint8)
    reach = generator.uniform(0.13, 0.2) * min(size)
    x = width * (place + generator.uniform(0.35, 0.65)) / 3
    y = height * generator.uniform(0.3, 0.7)
    if shape in ("disc", "ring"):
        cv2.circle(canvas, (round(x), round(y)), round(reach), 1, -1)
        if shape == "ring":
            cv2.circle(canvas, (round(x), round(y)), round(reach * 0.5), 0, -1)
        return canvas
    corners = {
        "box": [(-1, -1), (1, -1), (1, 1), (-1, 1)],
        "bar": [(-0.4, -1.4), (0.4, -1.4), (0.4, 1.4), (-0.4, 1.4)],
        "triangle": [(0, -1.2), (1.1, 0.9), (-1.1, 0.9)],
    }[shape]
    turn = generator.uniform(-0.4, 0.4)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = np.array(corners) * reach @ rotation.T + (x, y)
    return cv2.fillPoly(canvas, [np.rint(points).astype(np.int32)], 1)


def _border(labels: np.ndarray) -> np.ndarray:
    """The five pixels around each change of label, which VOC's annotators left open."""
    grey = labels.astype(np.uint8)
    return cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8)) > 0


def _write_lists(folder: Path, names: list[str]) -> None:
    train = max(1, len(names) * 2 // 3)
    for split, part in (("train", names[:train]), ("val", names[train:]), ("trainval", names)):
        (folder / f"{split}.txt").write_text("".join(f"{name}\n" for name in part))


if __name__ == "__main__":
    import sys

    print(f"generated: {make_voc_like(sys.argv[1])}")
