"""Helpers below everything else. Names are imported when first used: some need image libraries."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gluonvision.utils.arrays import to_labels, to_numpy
    from gluonvision.plots.masks import (
        class_shares,
        get_color_pallete,
        get_mask,
        overlay,
    )

_HOMES = {
    "to_labels": "gluonvision.utils.arrays",
    "to_numpy": "gluonvision.utils.arrays",
    "class_shares": "gluonvision.plots.masks",
    "get_color_pallete": "gluonvision.plots.masks",
    "get_mask": "gluonvision.plots.masks",
    "overlay": "gluonvision.plots.masks",
}

__all__ = [
    "class_shares",
    "get_color_pallete",
    "get_mask",
    "overlay",
    "to_labels",
    "to_numpy",
]


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
