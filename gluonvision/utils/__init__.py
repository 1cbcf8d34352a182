"""Helpers that all packages use. Names are imported on first use: some need image libraries."""

from typing import TYPE_CHECKING

from gluonvision.utils.lazy import lazy_names

if TYPE_CHECKING:
    from gluonvision.plots.masks import (
        class_shares,
        get_color_pallete,
        get_mask,
        overlay,
    )
    from gluonvision.utils.arrays import to_labels, to_numpy


__all__ = [
    "class_shares",
    "get_color_pallete",
    "get_mask",
    "overlay",
    "to_labels",
    "to_numpy",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "to_labels": "gluonvision.utils.arrays",
        "to_numpy": "gluonvision.utils.arrays",
        "class_shares": "gluonvision.plots.masks",
        "get_color_pallete": "gluonvision.plots.masks",
        "get_mask": "gluonvision.plots.masks",
        "overlay": "gluonvision.plots.masks",
    },
)
