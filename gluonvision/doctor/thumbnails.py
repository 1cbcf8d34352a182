"""Small pictures for the page: a pair's image with its classes painted on."""

import cv2
import numpy as np

from gluonvision.data.files.reading import upright
from gluonvision.data.meta import Meta
from gluonvision.doctor.facts import Pair, mask_values, open_picture
from gluonvision.doctor.rules import WRONG, labels_of
from gluonvision.plots.page import picture_uri

WIDTH, HEIGHT = 240, 180
_WRONG_COLOUR, _UNLABELLED_COLOUR, _ALPHA = (255, 0, 255), (255, 255, 255), 0.6


def thumbnail(pair: Pair, meta: Meta) -> str:
    """A pair as a data URI (JPEG, 240x180 at most), '' where its image cannot be shown.

    Classes in the data set's colours, background as it is, unlabelled pixels white, values of no
    class magenta. A mask that cannot be painted is left out.
    """
    try:
        image = _small_image(pair)
        return picture_uri(_with_mask(image, pair, meta))
    # Much of what is shown here is broken: that is why it is shown.
    except Exception:
        return ""


def _small_image(pair: Pair) -> np.ndarray:
    with open_picture(pair.image) as picture:
        picture.draft("RGB", (2 * WIDTH, 2 * HEIGHT))
        image = upright(picture).convert("RGB")
    image.thumbnail((WIDTH, HEIGHT))
    return np.array(image)


def _with_mask(image: np.ndarray, pair: Pair, meta: Meta) -> np.ndarray:
    try:
        labels = labels_of(_small_mask(pair, meta, image.shape[1::-1]), meta)
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
