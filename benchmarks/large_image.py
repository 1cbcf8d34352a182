"""Segmenting an image too large for memory: peak memory above the process and its net.

    python benchmarks/large_image.py                  # 20,000 x 20,000, TIFF and PNG; ten minutes
    python benchmarks/large_image.py --side 6000

The image repeats a photograph. The net has a single convolution, because the memory of a real net's
windows does not depend on the image. The peer is the memory of the decoded image, which Pillow and
OpenCV need before any prediction. The aim is 1 GB.
"""

import json
import sys
import tempfile
from pathlib import Path

import measuring

PHOTO = Path(__file__).resolve().parents[1] / "scripts" / "segmentation" / "examples" / "car.jpg"


def make(path, side):
    import cv2
    import numpy as np
    import tifffile

    photo = cv2.imread(str(PHOTO))
    down, across = (-(-side // size) for size in photo.shape[:2])
    pixels = np.tile(photo, (down, across, 1))[:side, :side]
    if path.endswith(".png"):
        cv2.imwrite(path, pixels)
    else:
        tifffile.imwrite(path, pixels[..., ::-1], tile=(256, 256), compression="zlib")
    print(json.dumps({"bytes": Path(path).stat().st_size}))


def segment(path):
    """Segment an image; print the peak memory in bytes and the CPU time in seconds."""
    import time

    import torch

    from gluonvision import backend
    from gluonvision.backend import HybridBlock, init, initialize, nn
    from gluonvision.prediction.large_images import predict_large
    from gluonvision.segmentation import Predictor

    class OneConvolution(HybridBlock):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2D(11, 3, padding=1, in_channels=3)
            initialize(self, init.Xavier())

        def hybrid_forward(self, F, x):
            return self.conv(x)

    torch.set_num_threads(1)
    predictor = Predictor(OneConvolution(), "camvid", device=backend.cpu())
    start = time.process_time()
    taken = measuring.memory_taken(
        lambda: predict_large(predictor, path, f"{path}_mask{Path(path).suffix}")
    )
    print(json.dumps({"bytes": taken, "seconds": time.process_time() - start}))


def rows(side):
    whole = 3 * side * side
    for kind in ("tif", "png"):
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / f"image.{kind}")
            size = measuring.in_process(__file__, "--make", path, side)["bytes"]
            measured = measuring.in_process(__file__, "--segment", path)
        yield {
            "work": f"{kind.upper()} of {side} x {side}, {size / 1e6:.0f} MB",
            "quantity": "peak memory",
            "unit": "MB",
            "ours": measured["bytes"] / 1e6,
            "peer": "the image decoded whole",
            "theirs": whole / 1e6,
            "ratio": measured["bytes"] / whole,
            "aim": 1e9 / whole,
            "seconds of one core": measured["seconds"],
        }


def main():
    if sys.argv[1:2] == ["--make"]:
        return make(sys.argv[2], int(sys.argv[3]))
    if sys.argv[1:2] == ["--segment"]:
        return segment(sys.argv[2])
    parser = measuring.parser(__doc__)
    parser.add_argument("--side", type=int, default=20_000, help="side of the image, in pixels")
    options = parser.parse_args()
    return measuring.save("large_image", [*rows(options.side)], options)


if __name__ == "__main__":
    main()
