"""Segment images: ``Predictor`` holds a net and its classes, ``Prediction`` a result."""

import copy
import dataclasses
import os
from collections.abc import Sequence
from typing import Any, overload

import numpy as np
from PIL import Image

from gluonvision import backend
from gluonvision.data.files.reading import pillow_to_rgb, read_image
from gluonvision.data.meta import Meta, get_meta
from gluonvision.model_zoo import dataset_of, get_model
from gluonvision.prediction.inference import Inference, class_scores, predict
from gluonvision.prediction.large_rows import rows_of_array
from gluonvision.prediction.large_windows import is_large, mask_blocks
from gluonvision.runs.artifacts import load_run, weights_of
from gluonvision.utils import class_shares, get_mask, overlay

PLAIN = Inference()
ImageLike = str | os.PathLike | Image.Image | np.ndarray


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The predicted classes of one image, ready to draw or to count.

    Args:
        image: uint8 array (H, W, 3), RGB, turned upright.
        mask: int32 array (H, W), one class id per pixel.
        meta: names and colours of the classes.
        scores: float32 array (num_classes, H, W), only if ``Predictor`` was called with
            ``scores=True``.
    """

    image: np.ndarray
    mask: np.ndarray
    meta: Meta
    scores: np.ndarray | None = None

    def __repr__(self) -> str:
        height, width = self.mask.shape
        classes = ", ".join(f"{name} {100 * share:.1f} %" for name, share in self.shares())
        return f"<Prediction, {width}x{height}: {classes}>"

    def mask_image(self) -> Image.Image:
        """Convert the mask to a Pillow image of mode P, in the palette of the data set."""
        return get_mask(self.mask, self.meta)

    def overlay(self, alpha: float = 0.5, legend: bool = True) -> Image.Image:
        """Paint the classes over the image.

        Args:
            alpha: opacity of the colours, from 0 (outlines only) to 1 (the image is hidden).
            legend: add the names of the classes and their percentages below the image.

        Returns:
            A Pillow image of mode RGB.
        """
        return overlay(self.image, self.mask, self.meta, alpha, legend)

    def shares(self) -> list[tuple[str, float]]:
        """List the classes in the image with the fraction (0-1) they cover, largest first."""
        return class_shares(self.mask, self.meta)


class Predictor:
    """A net and its classes, ready to segment images.

    >>> predictor = Predictor.load("deeplabv3plus_mobilenet_v2_camvid")
    >>> predictor("street.jpg").overlay().save("overlay.png")

    Args:
        net: a segmentation net.
        dataset: the classes of the net: the name of a data set, or its ``Meta``.
        inference: scales, mirroring and windows.
        device: ``backend.cpu()`` or ``backend.gpu(n)``. By default, the first GPU, or the CPU if
            there is none.
        precision: "fp32", "bf16", "fp16", "int8" or "auto". "auto" is "int8" on CPUs where that
            makes the net about twice as fast, which changes about 0.2 % of the pixels, and "fp32"
            elsewhere. See docs/prediction.md.

    Raises:
        ValueError: if the data set or the precision is unknown.
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
    def load(cls, name_or_file: str | os.PathLike, **options: Any) -> "Predictor":
        """Load a published model or a training run.

        Args:
            name_or_file: the name of a published model (``list_models`` lists them), the folder of
                a run, or a weights file in that folder.
            options: ``inference``, ``device`` and ``precision`` of ``Predictor``.

        Raises:
            ValueError: if there is no model of this name, or the files do not fit the model.
            OSError: if a file is missing.
            DownloadError: if published weights are not on this machine and cannot be downloaded.
        """
        weights = weights_of(name_or_file)
        if weights is not None:
            return cls(*load_run(weights), **options)
        name = str(name_or_file)
        return cls(get_model(name, pretrained=True), dataset_of(name), **options)

    def with_classes(self, dataset: str | Meta) -> "Predictor":
        """Copy the predictor, with other names and colours for the same classes."""
        other = copy.copy(self)
        other.meta = get_meta(dataset)
        return other

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a str is a Sequence of str as well
        self, image: ImageLike, scores: bool = False
    ) -> Prediction: ...

    @overload
    def __call__(self, image: Sequence[ImageLike], scores: bool = False) -> list[Prediction]: ...

    def __call__(
        self, image: ImageLike | Sequence[ImageLike], scores: bool = False
    ) -> Prediction | list[Prediction]:
        """Segment an image, or a list of images.

        Images with more than 16 million pixels are segmented in windows, to bound the memory of
        the net. ``predict_large`` does not hold the whole image in memory either.

        Args:
            image: a file's path, a Pillow image, a uint8 array (H, W, 3) in RGB or (H, W) in grey,
                or a list of these.
            scores: keep the scores of all classes, 4 bytes per class and pixel.

        Returns:
            A prediction; a list of predictions for a list of images.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if a file is damaged or not an image, or an array has another shape or type.
        """
        if isinstance(image, Sequence) and not isinstance(image, str):
            return [self._predict(rgb_pixels(each), scores) for each in image]
        return self._predict(rgb_pixels(image), scores)

    def _predict(self, pixels: np.ndarray, with_scores: bool) -> Prediction:
        if not with_scores:
            return Prediction(pixels, self._mask(pixels), self.meta)
        scores = class_scores(self.net, pixels, self.inference)
        mask = scores.argmax(0).astype(np.int32)
        return Prediction(pixels, mask, self.meta, scores)

    def _mask(self, pixels: np.ndarray) -> np.ndarray:
        height, width = pixels.shape[:2]
        if self.inference.window is not None or not is_large(height, width):
            return predict(self.net, pixels, self.inference)
        blocks = mask_blocks(rows_of_array(pixels), self.predict_window, self.inference)
        return np.concatenate([mask for _, mask in blocks])

    def predict_window(self, window: np.ndarray) -> np.ndarray:
        """Segment one window of an image: uint8 (h, w, 3) to int32 (h, w)."""
        return predict(self.net, window, dataclasses.replace(self.inference, window=None))


def rgb_pixels(image: ImageLike) -> np.ndarray:
    """Convert an image, as ``Predictor`` takes it, to uint8 (H, W, 3)."""
    if isinstance(image, str | os.PathLike):
        return read_image(image, deep=True)
    if isinstance(image, Image.Image):
        return pillow_to_rgb(image, deep=True)
    array = np.asarray(image)
    has_shape = array.ndim == 2 or (array.ndim == 3 and array.shape[2] <= 4)
    if array.dtype != np.uint8 or not has_shape or not array.size:
        raise ValueError(
            f"image: {array.dtype} {array.shape}, expected uint8 (H, W, 3) in RGB, or (H, W) in "
            "grey, with values 0 to 255; a file's path or a Pillow image works too"
        )
    return pillow_to_rgb(Image.fromarray(array.squeeze(2) if array.shape[2:] == (1,) else array))


def device_named(name: str | None) -> Any:
    """Look up a device by name: "cpu", "gpu" (or "cuda"), or "gpu:1"; None for None.

    Raises:
        ValueError: if the name is unknown, or there is no such GPU.
    """
    if name is None or name == "cpu":
        return None if name is None else backend.cpu()
    kind, _, number = name.partition(":")
    if kind not in ("gpu", "cuda") or not (number or "0").isdecimal():
        raise ValueError(f"device {name!r}: expected cpu, gpu or gpu:N")
    if int(number or 0) >= backend.num_gpus():
        raise ValueError(
            f"device {name!r}: {backend.num_gpus()} GPUs are available; choose one of them "
            "(numbers start at 0), or cpu"
        )
    return backend.gpu(int(number or 0))


def _default_device() -> Any:
    return backend.gpu() if backend.num_gpus() else backend.cpu()
