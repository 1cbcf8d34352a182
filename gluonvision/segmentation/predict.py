"""From an image to a mask."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from gluonvision.backend import image_input, placement, predicted_classes


def predict(net, image: np.ndarray) -> np.ndarray:
    """The class of every pixel: uint8 image (H, W, C) to int32 mask (H, W), on the net's device."""
    image = np.asarray(image)  # a Pillow image is welcome
    if image.dtype != np.uint8 or image.ndim != 3 or not image.size:
        raise ValueError(
            f"image: {image.dtype} {image.shape}, expected uint8 (H, W, C), one image with pixel "
            "values 0 to 255; a grey one becomes RGB by Pillow's convert('RGB')"
        )
    return _classes(net, image[None])[0]


def predict_batch(net, images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """``predict`` for several images; neighbours of one size share a forward pass."""
    masks: list[np.ndarray] = []
    for _, group in groupby(images, np.shape):
        masks.extend(_classes(net, np.stack(list(group))))
    return masks


def _classes(net, images):
    return predicted_classes(net, image_input(images, *placement(net)))
