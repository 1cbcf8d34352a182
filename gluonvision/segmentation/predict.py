"""From an image to a mask."""

import numpy as np

from gluonvision.prediction.inference import Inference, classes


def predict(net, image: np.ndarray, how: Inference | None = None) -> np.ndarray:
    """The class of every pixel: uint8 image (H, W, C) to int32 mask (H, W), on the net's device.

    ``how``: in windows, at several scales, with the mirror image; by default once, as it is.
    """
    return classes(net, image, how)
