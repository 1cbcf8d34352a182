"""A live server for the tests of the page, on a free loopback port, with a model made of paper."""

import contextlib
import threading
from io import BytesIO

import numpy as np
from PIL import Image

from gluonvision.data.meta import Meta
from gluonvision.prediction.predictor import Prediction
from gluonvision.web import ModelEntry, Models, create_app
from gluonvision.web.server import listen, make_server

# Of two classes of one colour, as ADE20K has them; and one that is not painted.
META = Meta(
    "paper",
    ("nothing", "red_thing", "green", "blue", "grey"),
    ((0, 0, 0), (200, 30, 20), (20, 160, 60), (30, 60, 200), (30, 60, 200)),
    background=0,
)


class Paper:
    """Sees red, green and blue: the strongest channel's number, 0 where none is above 100.

    White is ignored. Each call waits until ``may_go`` is set; ``most`` is how many there were at
    one time.
    """

    def __init__(self):
        self.may_go, self.entered = threading.Event(), threading.Event()
        self.may_go.set()
        self.seen, self.running, self.most = [], 0, 0

    def __call__(self, image):
        self.running += 1
        self.most = max(self.most, self.running)
        self.seen.append(image)
        self.entered.set()
        assert self.may_go.wait(30)
        self.running -= 1
        return Prediction(image, paper_mask(image), META)


def paper_mask(image):
    """The mask that ``Paper`` gives, int32 (H, W)."""
    mask = np.where(image.max(2) > 100, image.argmax(2) + 1, 0)
    return np.where(image.min(2) > 200, -1, mask).astype(np.int32)


def models(*names, load=None, **options):
    """Models of those names, by default one, each loaded by ``load`` (default: ``Paper``)."""
    entries = [
        ModelEntry(name, name, f"about {name}", META.classes) for name in names or ("paper",)
    ]
    return Models(entries, load or (lambda source: Paper()), **options)


@contextlib.contextmanager
def running(offered, limits=None, hosts=()):
    """The port of a server that runs until the block ends."""
    server = make_server(create_app(offered, limits, hosts))
    with listen("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def three_fields(width=60, height=30):
    """A picture of red, green and blue beside each other, a strip of black above them."""
    pixels = np.zeros((height, width, 3), np.uint8)
    for channel in range(3):
        pixels[height // 3 :, channel * width // 3 : (channel + 1) * width // 3, channel] = 250
    return pixels


def encoded(pixels, form="PNG", **options):
    """The bytes of a picture file."""
    file = BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(file, form, **options)
    return file.getvalue()
