"""What is answered: a prediction as JSON for the page, or as a PNG for a program."""

import base64
import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image
from starlette.responses import JSONResponse, Response

from gluonvision.data.meta import Meta
from gluonvision.plots.masks import class_map
from gluonvision.web.uploads import Picture

IGNORED = 255  # in ``labels`` of the JSON
_PREVIEW_SIDE = 2048


@dataclass(frozen=True)
class Result:
    """A picture and what a model sees in it.

    ``prediction``: of the picture as it was segmented, perhaps reduced. ``seconds``: for that.
    """

    picture: Picture
    prediction: Any
    model: str
    seconds: float

    def mask_png(self) -> Response:
        """The palette mask, in the size of the picture."""
        return _png(self._mask())

    def overlay_png(self) -> Response:
        """The picture with its classes painted on and named, in the size it was segmented in."""
        return _png(self.prediction.overlay())

    def json(self) -> Response:
        """Everything that the page shows; docs/web.md lists the keys."""
        labels = class_map(self.prediction.mask, self.prediction.meta)
        height, width = labels.shape
        return JSONResponse(
            {
                "model": self.model,
                "seconds": round(self.seconds, 3),
                "width": self._size[0],
                "height": self._size[1],
                "classes": _classes(labels, self.prediction.meta),
                "labels": {"width": width, "height": height, "zlib": _packed(labels)},
                "mask": _data_url(self._mask(), "PNG"),
                "preview": None if self.picture.browsers_show_it else self._preview(),
            }
        )

    @property
    def _size(self) -> tuple[int, int]:
        height, width, _ = self.picture.pixels.shape
        return width, height

    def _mask(self) -> Image.Image:
        return self.prediction.mask_image().resize(self._size, Image.Resampling.NEAREST)

    def _preview(self) -> str:
        preview = Image.fromarray(self.picture.pixels)
        preview.thumbnail((_PREVIEW_SIDE, _PREVIEW_SIDE))
        return _data_url(preview, "JPEG", quality=90)


def _classes(labels: np.ndarray, meta: Meta) -> list[dict]:
    """The classes found, largest first: label, name, colour, share, and whether it is painted."""
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


def _packed(labels: np.ndarray) -> str:
    values = np.where(labels < 0, IGNORED, labels).astype(np.uint8)
    return base64.b64encode(zlib.compress(values.tobytes())).decode()


def _png(image: Image.Image) -> Response:
    return Response(_encoded(image, "PNG"), media_type="image/png")


def _data_url(image: Image.Image, form: str, **options) -> str:
    content = base64.b64encode(_encoded(image, form, **options)).decode()
    return f"data:image/{form.lower()};base64,{content}"


def _encoded(image: Image.Image, form: str, **options) -> bytes:
    file = BytesIO()
    image.save(file, form, **options)
    return file.getvalue()
