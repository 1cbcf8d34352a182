"""Semantic segmentation in Gluon's vocabulary, on PyTorch and on Apache MXNet.

``import gluonvision`` loads no framework: sub-packages are imported when first used, and
``gluonvision.backend`` is what picks one (``GLUONVISION_BACKEND=torch|mxnet``).
"""

import importlib

from gluonvision._version import __version__

_SUBPACKAGES = ("backend", "data", "loss", "metrics", "model_zoo", "nn", "segmentation", "utils")

__all__ = ["__version__", *_SUBPACKAGES]


def __getattr__(name):
    if name in _SUBPACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_SUBPACKAGES])
