"""Segment image files of any size, in memory that depends only on the window."""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from gluonvision.prediction.large_read import open_rows
from gluonvision.prediction.large_rows import ImageRows
from gluonvision.prediction.large_tiff import TIFF_SUFFIXES
from gluonvision.prediction.large_windows import count_windows, mask_blocks
from gluonvision.prediction.large_write import geographic_tags, write_mask
from gluonvision.prediction.predictor import Prediction, Predictor

# Longest side of the reduced image and mask, in pixels.
_OVERVIEW_SIDE = 2048
# Write a few rows at a time: counting and colouring need wider integers than the classes.
_WRITE_ROWS = 64


@dataclasses.dataclass(frozen=True)
class LargePrediction(Prediction):
    """The prediction for a large image: an overview, and the pixel count of each class.

    ``image`` and ``mask`` are reduced to at most 2048 pixels on the longer side. ``shares`` still
    counts all pixels.

    Args:
        counts: number of pixels of each class in the whole mask, int64 (num_class,).
    """

    counts: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int64))

    def shares(self) -> list[tuple[str, float]]:
        """List the classes in the whole image with their fraction (0-1), largest first."""
        total = self.counts.sum()
        order = np.argsort(-self.counts, kind="stable")
        present = [label for label in order if self.counts[label]]
        return [(self.meta.classes[i], float(self.counts[i] / total)) for i in present]


def predict_large(
    predictor: Predictor,
    image: str | os.PathLike,
    mask: str | os.PathLike,
    trusted: bool = False,
    note: str = "",
    progress: bool = True,
) -> LargePrediction:
    """Segment an image file in windows, and write the mask while the image is read.

    Args:
        predictor: segments the windows. Its ``inference`` gives their side (1024 pixels by
            default) and their stride.
        image: the image file. PNG and TIFF are read block by block, other formats decoded whole.
        mask: the file to write, PNG or TIFF. A TIFF copies the location of a GeoTIFF. The file
            only appears once it is complete.
        trusted: allow any size for formats that must be decoded whole.
        note: text to store in the mask file.
        progress: show a progress bar.

    Returns:
        The prediction: image and mask reduced to an overview, and the counts of all pixels.

    Raises:
        FileNotFoundError: if there is no such image.
        ValueError: if the image is damaged or in no known format.
        OSError: if the mask cannot be written.
    """
    with open_rows(image, trusted) as rows:
        overview = _Overview(predictor, rows, Path(image).name if progress else None)
        target = Path(mask)
        is_tiff = target.suffix.lower() in TIFF_SUFFIXES
        geo_tags = geographic_tags(Path(image)) if is_tiff else []
        size = (rows.height, rows.width)
        write_mask(target, overview.mask_rows(), size, predictor.meta, note, geo_tags)
    return overview.prediction()


class _Overview:
    """Passes the rows of a mask on, and keeps every n-th row and column of image and mask."""

    def __init__(self, predictor: Predictor, rows: ImageRows, name: str | None):
        self.predictor, self.rows = predictor, rows
        self.step = -(-max(rows.height, rows.width) // _OVERVIEW_SIDE)
        self.image: list[np.ndarray] = []
        self.mask: list[np.ndarray] = []
        self.counts = np.zeros(predictor.meta.num_class, np.int64)
        total = count_windows(rows.height, rows.width, predictor.inference)
        self.bar = tqdm(total=total, unit="window", desc=name, disable=None if name else True)

    def mask_rows(self) -> Iterator[np.ndarray]:
        top, inference = 0, self.predictor.inference
        with self.bar:
            for image, mask in mask_blocks(self.rows, self._predict_window, inference):
                first = -top % self.step
                self.image.append(image[first :: self.step, :: self.step].copy())
                self.mask.append(mask[first :: self.step, :: self.step].copy())
                top += len(mask)
                yield from map(self._counted, np.array_split(mask, -(-len(mask) // _WRITE_ROWS)))

    def _counted(self, mask: np.ndarray) -> np.ndarray:
        self.counts += np.bincount(mask.ravel(), minlength=len(self.counts))
        return mask

    def _predict_window(self, window: np.ndarray) -> np.ndarray:
        self.bar.update()
        return self.predictor.predict_window(window)

    def prediction(self) -> LargePrediction:
        image, mask = np.concatenate(self.image), np.concatenate(self.mask)
        return LargePrediction(image, mask, self.predictor.meta, None, self.counts)
