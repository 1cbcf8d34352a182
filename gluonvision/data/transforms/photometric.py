"""Photometric distortion of a training image: brightness, contrast, saturation, hue.

Steps, order and ranges are those of SSD's training code (Liu et al., ECCV 2016) and of
mmsegmentation's ``PhotoMetricDistortion``: each step happens with p 0.5, and contrast comes before
or after saturation and hue (p 0.5). One difference: values are rounded, not truncated.
"""

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Photometric:
    """One draw of the distortion; the defaults change nothing.

    Attributes:
        brightness: added to every value (-32 to 32 of 255).
        contrast: factor of every value (0.5 to 1.5).
        saturation: factor of the saturation (0.5 to 1.5).
        hue: rotation of the hue, in degrees (-36 to 36).
        contrast_last: apply the contrast after saturation and hue, not before them.
    """

    brightness: float = 0.0
    contrast: float = 1.0
    saturation: float = 1.0
    hue: float = 0.0
    contrast_last: bool = False


UNCHANGED = Photometric()


def draw_photometric(generator: np.random.Generator) -> Photometric:
    """Draw a random distortion; always takes nine numbers from the generator."""
    happens, amounts = generator.random(4) < 0.5, 2 * generator.random(4) - 1
    contrast_last = generator.random() < 0.5
    brightness, contrast, saturation, hue = np.where(happens, amounts, 0).tolist()
    return Photometric(
        brightness=32 * brightness,
        contrast=1 + contrast / 2,
        saturation=1 + saturation / 2,
        hue=36 * hue,
        contrast_last=bool(contrast_last),
    )


def distort(photometric: Photometric, image: np.ndarray) -> np.ndarray:
    """Distort a copy of the image: uint8 (H, W, 3), RGB, in and out."""
    p = photometric
    first, last = (1.0, p.contrast) if p.contrast_last else (p.contrast, 1.0)
    image = _brighten(image, p.brightness, first)
    image = _shift_colours(image, p.saturation, p.hue)
    return _brighten(image, 0.0, last)


def _brighten(image: np.ndarray, added: float, factor: float) -> np.ndarray:
    if added == 0 and factor == 1:
        return image
    # A table of 256 values does both steps in one pass over the image.
    return cv2.LUT(image, _rounded(np.clip(np.arange(256) + added, 0, 255) * factor))


def _shift_colours(image: np.ndarray, saturation: float, hue: float) -> np.ndarray:
    if saturation == 1 and hue == 0:
        return image
    values = np.arange(256)
    # OpenCV stores hues of 0 to 360 degrees as 0 to 179.
    hues = np.rint(values + hue / 2) % 180
    table = np.stack([_rounded(hues), _rounded(values * saturation), _rounded(values)], axis=-1)
    hsv = cv2.LUT(cv2.cvtColor(image, cv2.COLOR_RGB2HSV), table[None])
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def _rounded(values: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)
