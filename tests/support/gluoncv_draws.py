"""What GluonCV's training transform draws, as JSON: its own code, on a picture that takes notes.

python tests/support/gluoncv_draws.py WIDTH HEIGHT COUNT SEED
"""

import json
import random
import sys
from types import SimpleNamespace

import peers


class Note:
    """Stands for a picture: keeps its size, and writes down what is done to it."""

    def __init__(self, size, facts):
        self.size, self.facts = size, facts

    def transpose(self, method):
        self.facts["mirror"] = True
        return self

    def resize(self, size, sampling):
        self.facts["size"] = size
        return Note(size, self.facts)

    def expand(self, border, fill):
        assert border[:2] == (0, 0)
        return Note((self.size[0] + border[2], self.size[1] + border[3]), self.facts)

    def crop(self, box):
        self.facts["left"], self.facts["top"] = box[:2]
        return self

    def filter(self, kernel):
        self.facts["blur"] = kernel.radius
        return self


def draw(segbase, size, base_size=520, crop_size=480) -> dict:
    """One run of ``SegmentationDataset._sync_transform``."""
    facts = {"mirror": False, "blur": 0.0}
    dataset = SimpleNamespace(
        base_size=base_size,
        crop_size=crop_size,
        _img_transform=lambda picture: picture,
        _mask_transform=lambda picture: picture,
    )
    segbase.SegmentationDataset._sync_transform(dataset, Note(size, facts), Note(size, {}))
    return facts


if __name__ == "__main__":
    peers.import_gluoncv()
    from gluoncv.data import segbase

    segbase.ImageOps = SimpleNamespace(
        expand=lambda picture, border, fill: picture.expand(border, fill)
    )
    width, height, count, seed = map(int, sys.argv[1:])
    random.seed(seed)
    print(json.dumps([draw(segbase, (width, height)) for _ in range(count)]))
