"""How a net looks at an image."""

import dataclasses

import numpy as np

from gluonvision.backend import as_numpy, image_input, placement
from gluonvision.backend import evaluate as forward
from gluonvision.segmentation.predict import predict


@dataclasses.dataclass(frozen=True)
class Inference:
    """Scales, mirroring and windows; the plain pass over the whole image by default."""

    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    window: int | None = None
    stride: float = 2 / 3
    batch_size: int = 1


def class_scores(net, image: np.ndarray, how: Inference = Inference()) -> np.ndarray:
    """Scores of every class: uint8 image (H, W, 3) to float32 (nclass, H, W)."""
    scores = forward(net, image_input(image[None], *placement(net)))
    scores = scores[0] if isinstance(scores, tuple | list) else scores
    return as_numpy(scores)[0].astype(np.float32)


def classes(net, image: np.ndarray, how: Inference = Inference()) -> np.ndarray:
    """The class of every pixel: uint8 image (H, W, 3) to int32 (H, W)."""
    return predict(net, image)
