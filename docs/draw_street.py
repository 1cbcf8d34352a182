"""Draw the included model's result for an example image.

    python docs/draw_street.py

Writes docs/images/street.png: the photograph, its palette mask and its overlay. The README of
scripts/segmentation/examples names the source of the photograph.
"""

from pathlib import Path

from PIL import Image

from gluonvision.data import read_image
from gluonvision.model_zoo import get_model
from gluonvision.segmentation import predict
from gluonvision.utils import get_mask, overlay

DOCS = Path(__file__).parent
PHOTOGRAPH = DOCS.parent / "scripts" / "segmentation" / "examples" / "car.jpg"
_GAP = 8


def draw(path: Path) -> None:
    """Segment the photograph, and write the three images next to each other on white."""
    image = read_image(PHOTOGRAPH)
    net = get_model("deeplabv3plus_mobilenet_v2_camvid", pretrained=True)
    mask = predict(net, image)
    panels = Image.fromarray(image), get_mask(mask, "camvid"), overlay(image, mask, "camvid")
    width = sum(panel.width + _GAP for panel in panels) - _GAP
    canvas = Image.new("RGB", (width, max(panel.height for panel in panels)), "white")
    x = 0
    for panel in panels:
        canvas.paste(panel.convert("RGB"), (x, 0))
        x += panel.width + _GAP
    canvas.quantize(256).save(path, optimize=True)


if __name__ == "__main__":
    draw(DOCS / "images" / "street.png")
