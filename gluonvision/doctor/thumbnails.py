"""Thumbnails for the page: the image of a pair with its classes painted on."""

import cv2
import numpy as np

from gluonvision.data.files.reading import upright
from gluonvision.data.meta import Meta
from gluonvision.doctor.facts import Pair, mask_values, open_image
from gluonvision.doctor.rules import WRONG, labels_or_wrong
from gluonvision.plots.page import image_data_uri

WIDTH, HEIGHT = 240, 180
_WRONG_COLOUR, _UNLABELLED_COLOUR, _ALPHA = (255, 0, 255), (255, 255, 255), 0.6


def thumbnail(pair: Pair, meta: Meta) -> str:
    """Return a pair as a JPEG data URI of at most 240x180 pixels; '' if the image is unreadable.

    Classes have the data set's colours, the background is not painted, unlabelled pixels are white
    and wrong values are magenta. An unreadable mask is left out.
    """
    try:
        image = _small_image(pair)
        return image_data_uri(_with_mask(image, pair, meta))
    # Many examples are damaged files, which raise all kinds of exceptions.
    except Exception:
        return ""


def _small_image(pair: Pair) -> np.ndarray:
    with open_image(pair.image) as file:
        file.draft("RGB", (2 * WIDTH, 2 * HEIGHT))
        image = upright(file).convert("RGB")
    image.thumbnail((WIDTH, HEIGHT))
    return np.array(image)


def _with_mask(image: np.ndarray, pair: Pair, meta: Meta) -> np.ndarray:
    try:
        labels = labels_or_wrong(_small_mask(pair, meta, image.shape[1::-1]), meta)
    except Exception:
        return image
    painted = labels != (WRONG - 1 if meta.background is None else meta.background)
    colours = np.array([*meta.palette, _WRONG_COLOUR, _UNLABELLED_COLOUR], np.float32)
    blend = _ALPHA * colours[labels] + (1 - _ALPHA) * image
    return np.where(painted[..., None], blend.round(), image).astype(np.uint8)


def _small_mask(pair: Pair, meta: Meta, size: tuple[int, ...]) -> np.ndarray:
    if not pair.has_mask:
        raise ValueError("no mask")
    values = mask_values(pair, meta)
    return cv2.resize(values.astype(np.int32), size, interpolation=cv2.INTER_NEAREST)
