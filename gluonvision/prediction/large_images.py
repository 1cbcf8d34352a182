"""Image files of any size to mask files, in memory that depends on the window."""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from gluonvision.prediction.large_read import Rows, opened
from gluonvision.prediction.large_windows import count_windows, mask_parts
from gluonvision.prediction.large_write import TIFF, geographic_tags, write_mask
from gluonvision.prediction.predictor import Prediction, Predictor

# The longer side of what is kept to look at.
_SHOWN = 2048
# Rows of a mask that are written at once: what is counted and coloured is wider than its classes.
_STRIP = 64


@dataclasses.dataclass(frozen=True)
class LargePrediction(Prediction):
    """What is kept of a large image: image and mask, reduced, to look at; shares, of all pixels."""

    counts: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int64))

    def shares(self) -> list[tuple[str, float]]:
        """The classes found and the part (0-1) of the whole image that each has, largest first."""
        found = [i for i in np.argsort(-self.counts, kind="stable") if self.counts[i]]
        return [(self.meta.classes[i], float(self.counts[i] / self.counts.sum())) for i in found]


def predict_large(
    predictor: Predictor,
    image: str | os.PathLike,
    mask: str | os.PathLike,
    trusted: bool = False,
    note: str = "",
    progress: bool = True,
) -> LargePrediction:
    """Segment an image file in windows, reading it and writing its mask by parts.

    ``mask``: a PNG, or a TIFF of tiles, which lies where a GeoTIFF lies; it appears when it is
    whole, with a ``note`` in it. ``predictor.inference`` has the side (1024 by default) and the
    stride of the windows. ``trusted``: whether an image of a format that is decoded whole may
    have any size.

    Raises FileNotFoundError or ValueError, naming the file, for
    what is no whole image, and OSError where the mask cannot be written.
    """
    with opened(image, trusted) as rows:
        overview = _Overview(predictor, rows, Path(image).name if progress else None)
        target, size = Path(mask), (rows.height, rows.width)
        place = geographic_tags(Path(image)) if target.suffix.lower() in TIFF else []
        write_mask(target, overview.parts(), size, predictor.meta, note, place)
    return overview.prediction()


class _Overview:
    """Passes a mask's rows on, and keeps every n-th of them, and of the image's, to look at."""

    def __init__(self, predictor: Predictor, rows: Rows, name: str | None):
        self.predictor, self.rows = predictor, rows
        self.step = -(-max(rows.height, rows.width) // _SHOWN)
        self.image: list[np.ndarray] = []
        self.mask: list[np.ndarray] = []
        self.counts = np.zeros(predictor.meta.num_class, np.int64)
        total = count_windows(rows.height, rows.width, predictor.inference)
        self.bar = tqdm(total=total, unit="window", desc=name, disable=None if name else True)

    def parts(self) -> Iterator[np.ndarray]:
        top = 0
        with self.bar:
            for image, mask in mask_parts(self.rows, self._classes, self.predictor.inference):
                first = -top % self.step
                self.image.append(image[first :: self.step, :: self.step].copy())
                self.mask.append(mask[first :: self.step, :: self.step].copy())
                top += len(mask)
                yield from map(self._counted, np.array_split(mask, -(-len(mask) // _STRIP)))

    def _counted(self, mask: np.ndarray) -> np.ndarray:
        self.counts += np.bincount(mask.ravel(), minlength=len(self.counts))
        return mask

    def _classes(self, window: np.ndarray) -> np.ndarray:
        self.bar.update()
        return self.predictor.classes_of_window(window)

    def prediction(self) -> LargePrediction:
        """What was kept."""
        image, mask = np.concatenate(self.image), np.concatenate(self.mask)
        return LargePrediction(image, mask, self.predictor.meta, None, self.counts)
