"""A net with its pre- and post-processing, as it is exported."""

from typing import Any

import numpy as np

from gluonvision import backend
from gluonvision.backend import HybridBlock, nn
from gluonvision.backend.image_statistics import MEAN, STD


class Deployed(HybridBlock):
    """A net with optional pre- and post-processing inside the graph.

    Args:
        net: a segmentation net.
        normalization: take uint8 images (N, H, W, 3), RGB, instead of normalized float32 images
            (N, 3, H, W).
        classes: return class ids, uint8 (N, H, W), instead of logits (N, num_classes, H, W).
    """

    def __init__(self, net: Any, normalization: bool = False, classes: bool = False):
        super().__init__()
        self.net, self.classes = net, classes
        self.normalize = _normalization() if normalization else None

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        if self.normalize is not None:
            x = self.normalize(F.transpose(F.cast(x, "float32"), (0, 3, 1, 2)))
        logits = self.net(x)
        if isinstance(logits, tuple | list):  # the auxiliary head's logits come second
            logits = logits[0]
        return F.cast(F.argmax(logits, 1), "uint8") if self.classes else logits


def _normalization() -> HybridBlock:
    """Normalization as a batch norm with fixed statistics, which every format can express."""
    norm = nn.HybridSequential()
    norm.add(nn.BatchNorm(scale=False, center=False, epsilon=1e-5, in_channels=3))
    statistics = {
        "0.gamma": np.ones(3),
        "0.beta": np.zeros(3),
        "0.running_mean": np.array(MEAN),
        "0.running_var": np.square(STD) - 1e-5,
    }
    backend.set_parameters(norm, {n: a.astype("float32") for n, a in statistics.items()})
    return norm
