"""Draw the README's picture: a generated scene, its palette mask, its overlay.

python docs/draw_demo.py runs/pascal_voc/fcn/demo/checkpoint.params docs/images/demo.png
"""

import sys
import tempfile
from pathlib import Path

from PIL import Image

from gluonvision.data.base import read_image
from gluonvision.data.synthetic import make_voc_like
from gluonvision.segmentation import predict
from gluonvision.segmentation.checkpoint import load_run
from gluonvision.utils import get_mask, overlay

_GAP = 20


def draw(weights: Path, path: Path):
    net, dataset = load_run(weights)
    with tempfile.TemporaryDirectory() as root:
        folder = make_voc_like(Path(root), num_images=2)
        image = read_image(min((folder / "JPEGImages").iterdir()))
    mask = predict(net, image)
    panels = [
        Image.fromarray(image),
        get_mask(mask, dataset).convert("RGB"),
        overlay(image, mask, dataset),
    ]
    _side_by_side(panels).save(path, optimize=True)


def _side_by_side(panels):
    width = sum(panel.width + _GAP for panel in panels) - _GAP
    picture = Image.new("RGB", (width, max(panel.height for panel in panels)), "white")
    x = 0
    for panel in panels:
        picture.paste(panel, (x, 0))
        x += panel.width + _GAP
    return picture


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
