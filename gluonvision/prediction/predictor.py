"""Images in, masks and overlays out: a net together with what its classes are."""

import copy
import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from gluonvision import backend
from gluonvision.data.files.reading import pillow_to_rgb, read_image
from gluonvision.data.meta import Meta, get_meta
from gluonvision.model_zoo import dataset_of, get_model
from gluonvision.prediction.inference import Inference, class_scores, predict
from gluonvision.prediction.large_read import rows_of
from gluonvision.prediction.large_windows import LARGE, mask_parts
from gluonvision.runs.artifacts import load_run, weights_of
from gluonvision.utils import class_shares, get_mask, overlay

PLAIN = Inference()
Picture = str | os.PathLike | Image.Image | np.ndarray


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a net sees in an image.

    ``image``: uint8 (H, W, 3), RGB, upright; ``mask``: int32 (H, W), classes of ``meta``;
    ``scores``: float32 (num_class, H, W), where they were asked for.
    """

    image: np.ndarray
    mask: np.ndarray
    meta: Meta
    scores: np.ndarray | None = None

    def __repr__(self) -> str:
        height, width = self.mask.shape
        found = ", ".join(f"{name} {100 * share:.1f} %" for name, share in self.shares())
        return f"<Prediction, {width}x{height}: {found}>"

    def mask_image(self) -> Image.Image:
        """The mask as the data set's own files have it: Pillow mode P, with its colours."""
        return get_mask(self.mask, self.meta)

    def overlay(self, alpha: float = 0.5, legend: bool = True) -> Image.Image:
        """The image with its classes painted on and, below, named: Pillow mode RGB."""
        return overlay(self.image, self.mask, self.meta, alpha, legend)

    def shares(self) -> list[tuple[str, float]]:
        """The classes found and the part (0-1) of the image that each has, largest first."""
        return class_shares(self.mask, self.meta)


class Predictor:
    """Segments images by a net: ``predictor("example.jpg").overlay().save("overlay.png")``.

    ``dataset`` says what the net's classes are: a name, or the facts themselves. ``inference``:
    scales, mirroring and windows. ``device``: ``backend.cpu()`` or ``backend.gpu(n)``; by
    default the first GPU, or the CPU without one. ``precision``: 'fp32', 'bf16',
    'fp16', 'int8' or 'auto': int8 on CPUs where it makes the net about twice as fast (some
    0.2 % of pixels change), else fp32; see docs/prediction.md.

    Raises ValueError for arguments that do not fit.
    """

    def __init__(
        self,
        net: Any,
        dataset: str | Meta,
        inference: Inference = PLAIN,
        device: Any = None,
        precision: str = "auto",
    ):
        self.meta, self.inference = get_meta(dataset), inference
        self.device = _default_device() if device is None else device
        net.collect_params().reset_ctx(self.device)
        self.net = backend.prepare_inference(net, precision)

    @classmethod
    def load(cls, name_or_file: str | os.PathLike, **options) -> "Predictor":
        """A published model by its name, or a run by its weights' file or its folder.

        ``options``: ``inference``, ``device`` and ``precision``. Raises ValueError for an unknown
        name and for files that do not fit, OSError for those that are not there, ``DownloadError``
        where published weights are neither on this machine nor to be had.
        """
        weights = weights_of(name_or_file)
        if weights is not None:
            return cls(*load_run(weights), **options)
        name = str(name_or_file)
        return cls(get_model(name, pretrained=True), dataset_of(name), **options)

    def with_classes(self, dataset: str | Meta) -> "Predictor":
        """The same predictor under other names and colours of its classes."""
        other = copy.copy(self)
        other.meta = get_meta(dataset)
        return other

    def __call__(
        self, image: Picture | Sequence[Picture], scores: bool = False
    ) -> Prediction | list[Prediction]:
        """The prediction for one image; a list of them for a list.

        An image is a file's path, a Pillow image, or a uint8 array (H, W, 3), or (H, W) grey. From
        16 million pixels on the mask is made of windows, in memory that does not grow with it.
        ``scores``: keep the scores of all classes too (4 bytes a class and pixel).

        Raises FileNotFoundError or ValueError, naming the file, for what is no image.
        """
        if isinstance(image, Sequence) and not isinstance(image, str):
            return [self._predict(pixels_of(each), scores) for each in image]
        return self._predict(pixels_of(image), scores)

    def _predict(self, pixels: np.ndarray, with_scores: bool) -> Prediction:
        if not with_scores:
            return Prediction(pixels, self._mask(pixels), self.meta)
        scores = class_scores(self.net, pixels, self.inference)
        mask = scores.argmax(0).astype(np.int32)
        return Prediction(pixels, mask, self.meta, scores)

    def _mask(self, pixels: np.ndarray) -> np.ndarray:
        height, width = pixels.shape[:2]
        if height * width <= LARGE or self.inference.window is not None:
            return predict(self.net, pixels, self.inference)
        parts = mask_parts(rows_of(pixels), self.classes_of_window, self.inference)
        return np.concatenate([mask for _, mask in parts])

    def classes_of_window(self, window: np.ndarray) -> np.ndarray:
        """The mask of a part of an image that is seen whole: uint8 (H, W, 3) to int32 (H, W)."""
        return predict(self.net, window, dataclasses.replace(self.inference, window=None))


def pixels_of(image: Picture) -> np.ndarray:
    """An image, as ``Predictor`` takes it, as uint8 (H, W, 3)."""
    if isinstance(image, str | os.PathLike):
        return read_image(image, deep=True)
    if isinstance(image, Image.Image):
        return pillow_to_rgb(image, deep=True)
    array = np.asarray(image)
    fits = array.ndim == 2 or (array.ndim == 3 and array.shape[2] <= 4)
    if array.dtype != np.uint8 or not fits or not array.size:
        raise ValueError(
            f"image: {array.dtype} {array.shape}, expected uint8 (H, W, 3), RGB, values 0 to 255, "
            "or (H, W), grey; or a file's path, or a Pillow image"
        )
    return pillow_to_rgb(Image.fromarray(array.squeeze(2) if array.shape[2:] == (1,) else array))


def device_named(name: str | None):
    """A device by its name: 'cpu', 'gpu' (or 'cuda'), 'gpu:1'; None for None.

    Raises ValueError for another name, and for a GPU that is not there.
    """
    if name is None or name == "cpu":
        return None if name is None else backend.cpu()
    kind, _, number = name.partition(":")
    if kind not in ("gpu", "cuda") or not (number or "0").isdecimal():
        raise ValueError(f"device {name!r}: expected cpu, gpu or gpu:N")
    if int(number or 0) >= backend.num_gpus():
        raise ValueError(
            f"device {name!r}: there are {backend.num_gpus()} GPUs that can be used here; "
            "device cpu works everywhere"
        )
    return backend.gpu(int(number or 0))


def _default_device():
    return backend.gpu() if backend.num_gpus() else backend.cpu()
