"""The backend: the only package that imports torch or mxnet.

On its first import it chooses one of the two and exports that backend's implementation of the
vocabulary (``backend/vocabulary.py``). Use ``F`` outside ``hybrid_forward``; inside, the operators
are its argument ``F``.
"""

import importlib
import importlib.util
import os
from typing import TYPE_CHECKING

from gluonvision.backend.vocabulary import VOCABULARY

if TYPE_CHECKING:
    from gluonvision.backend.torch import *  # noqa: F403

BACKENDS = ("torch", "mxnet")
_INSTALL = {
    "torch": "pip install 'torch>=2.6'",
    "mxnet": "pip install 'gluonvision[mxnet]' (or mxnet-cu112 for CUDA 11.2)",
}


def _choose_backend() -> str:
    """Return ``GLUONVISION_BACKEND``, or the first of torch and mxnet that is installed."""
    name = os.environ.get("GLUONVISION_BACKEND", "").strip().lower()
    if name:
        if name not in BACKENDS:
            raise ValueError(
                f"GLUONVISION_BACKEND={name!r}: expected 'torch' or 'mxnet'. Unset it to use "
                "torch if it is installed, else mxnet"
            )
        return name
    for name in BACKENDS:
        if importlib.util.find_spec(name):
            return name
    raise ImportError(
        f"gluonvision needs PyTorch ({_INSTALL['torch']}) or MXNet ({_INSTALL['mxnet']}), and "
        "neither is installed"
    )


NAME = _choose_backend()

try:
    _implementation = importlib.import_module(f"gluonvision.backend.{NAME}")
except ImportError as error:
    _hint = (
        f"it is not installed: {_INSTALL[NAME]}"
        if importlib.util.find_spec(NAME) is None
        else "it is installed, but its import failed, as shown above"
    )
    raise ImportError(f"the {NAME} backend could not be loaded ({error}); {_hint}") from error

globals().update({name: getattr(_implementation, name) for name in VOCABULARY})

__all__ = ["BACKENDS", "NAME", *VOCABULARY]
