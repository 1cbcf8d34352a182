"""Encode a prediction as JSON for the page, or as a PNG for a program."""

import base64
import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image
from starlette.responses import JSONResponse, Response

from gluonvision.data.meta import Meta
from gluonvision.plots.masks import class_ids
from gluonvision.web.uploads import UploadedImage

# The byte of ignored pixels in ``labels`` of the JSON.
_IGNORED_BYTE = 255
_PREVIEW_SIDE = 2048


@dataclass(frozen=True)
class Result:
    """An image and its prediction.

    Attributes:
        image: the uploaded image.
        prediction: the prediction for the image, which may have been scaled down.
        model: the name of the model.
        seconds: the time of the prediction.
    """

    image: UploadedImage
    prediction: Any
    model: str
    seconds: float

    def mask_png(self) -> Response:
        """Answer with the palette mask in the size of the image."""
        return _png(self._mask())

    def overlay_png(self) -> Response:
        """Answer with the overlay and its legend, in the size that was segmented."""
        return _png(self.prediction.overlay())

    def json(self) -> Response:
        """Answer with all data for the page; docs/web.md lists the keys."""
        labels = class_ids(self.prediction.mask, self.prediction.meta)
        height, width = labels.shape
        return JSONResponse(
            {
                "model": self.model,
                "seconds": round(self.seconds, 3),
                "width": self._size[0],
                "height": self._size[1],
                "classes": _classes(labels, self.prediction.meta),
                "labels": {"width": width, "height": height, "zlib": _compressed(labels)},
                "mask": _data_url(self._mask(), "PNG"),
                "preview": None if self.image.browsers_show_it else self._preview(),
            }
        )

    @property
    def _size(self) -> tuple[int, int]:
        height, width, _ = self.image.pixels.shape
        return width, height

    def _mask(self) -> Image.Image:
        return self.prediction.mask_image().resize(self._size, Image.Resampling.NEAREST)

    def _preview(self) -> str:
        preview = Image.fromarray(self.image.pixels)
        preview.thumbnail((_PREVIEW_SIDE, _PREVIEW_SIDE))
        return _data_url(preview, "JPEG", quality=90)


def _classes(labels: np.ndarray, meta: Meta) -> list[dict]:
    """Describe the classes in the mask, largest first, for the JSON."""
    counts = np.bincount(labels[labels >= 0], minlength=meta.num_class)
    return [
        {
            "label": int(label),
            "name": meta.classes[label],
            "colour": list(meta.palette[label]),
            "share": round(float(counts[label] / counts.sum()), 6),
            "background": bool(label == meta.background),
        }
        for label in np.argsort(-counts, kind="stable")
        if counts[label]
    ]


def _compressed(labels: np.ndarray) -> str:
    values = np.where(labels < 0, _IGNORED_BYTE, labels).astype(np.uint8)
    return base64.b64encode(zlib.compress(values.tobytes())).decode()


def _png(image: Image.Image) -> Response:
    return Response(_encoded(image, "PNG"), media_type="image/png")


def _data_url(image: Image.Image, image_format: str, **options: Any) -> str:
    content = base64.b64encode(_encoded(image, image_format, **options)).decode()
    return f"data:image/{image_format.lower()};base64,{content}"


def _encoded(image: Image.Image, image_format: str, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()
