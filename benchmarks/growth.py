"""How time and memory grow with what one has more of, and by which power; a few minutes.

    python benchmarks/growth.py

Prediction and the loss's forward and backward pass against the image's side, the batch and the
number of classes; augmentation against the images; a step of training, of all processes together,
against their number, each with a batch of its own. The exponent is the slope of the logarithm of
what is measured against that of the amount; ``ratio`` is it to that of growth with the pixels,
images, classes or processes themselves, which none may pass. Fixed costs make it smaller. Time is
the processor's; memory the peak beside what was there, each in a process of its own. With torch's
plain way, where there is one, in the same run.
"""

import json
import math
import sys

import measuring

SERIES = {
    "prediction, side": ("predict", "side", [96, 192, 384, 576], 2),
    "prediction, batch": ("predict", "batch", [1, 2, 4, 8], 1),
    "loss, side": ("loss", "side", [128, 256, 512, 1024], 2),
    "loss, batch": ("loss", "batch", [1, 2, 4, 8], 1),
    "loss, classes": ("loss", "nclass", [20, 40, 80, 160], 1),
    "argmax, classes": ("argmax", "nclass", [20, 40, 80, 160], 1),
    "augmented images": ("data", "batch", [8, 16, 32, 64], 1),
    "training, processes": ("processes", "processes", [1, 2, 3, 4], 1),
}
# What everybody else does, for the figure.
PEERS = {"loss": "plain_loss", "argmax": "plain_argmax"}
DEFAULTS = {"side": 192, "batch": 1, "nclass": 20}


def predict(side, batch, nclass):
    import numpy as np

    from gluonvision.backend import predicted_classes, preprocess
    from gluonvision.model_zoo import FCN

    net = FCN(nclass, "mobilenet_v2", pretrained_base=False)
    images = np.random.default_rng(0).integers(0, 256, (batch, side, side, 3), dtype=np.uint8)
    return lambda: predicted_classes(net, preprocess(images))


def loss(side, batch, nclass):
    import torch

    from gluonvision.loss import get_loss

    scores = torch.randn(batch, nclass, side // 8, side // 8, requires_grad=True)
    label = torch.randint(-1, nclass, (batch, side, side), dtype=torch.int32)
    function = get_loss("ce")
    return lambda: function(scores, label).backward()


def argmax(side, batch, nclass):
    import torch

    from gluonvision.backend.torch.logits import resized_argmax

    scores = torch.randn(batch, nclass, side // 8, side // 8)
    return lambda: resized_argmax(scores, (side, side), True)


def _full(side, batch, nclass):
    import torch
    from torch.nn import functional

    scores = torch.randn(batch, nclass, side // 8, side // 8, requires_grad=True)
    options = {"mode": "bilinear", "align_corners": True}
    return lambda: functional.interpolate(scores, (side, side), **options)


def plain_loss(side, batch, nclass):
    import torch
    from torch.nn import functional

    full = _full(side, batch, nclass)
    label = torch.randint(-1, nclass, (batch, side, side))
    return lambda: functional.cross_entropy(full(), label, ignore_index=-1).backward()


def plain_argmax(side, batch, nclass):
    full = _full(side, batch, nclass)
    return lambda: full().argmax(1)


def data(side, batch, nclass):
    import tempfile
    from pathlib import Path

    from gluonvision.data import VOCSegmentationDataset
    from gluonvision.data.datasets.synthetic import make_voc_like

    folder = tempfile.mkdtemp()
    make_voc_like(Path(folder), num_images=batch, size=(side, side))
    dataset = VOCSegmentationDataset(folder, split="trainval", mode="train", crop_size=side)

    def run():
        for index in range(len(dataset)):
            dataset[index]

    return run


def training_step(quantity):
    """Milliseconds or bytes of this process's part of a step."""
    import torch

    from gluonvision import backend
    from gluonvision.backend.trainer_options import TrainerOptions
    from gluonvision.loss import get_loss
    from gluonvision.model_zoo import FCN

    torch.set_num_threads(1)
    backend.seed(0)
    net = FCN(21, "mobilenet_v2", pretrained_base=False)
    trainer = backend.Trainer(net, get_loss("ce"), TrainerOptions())
    x, label = torch.randn(4, 3, 128, 128), torch.randint(-1, 21, (4, 128, 128), dtype=torch.int32)
    return _taken(quantity, lambda: trainer.update([(x, label)], [1.0], 0.01))


def processes(quantity, number):
    """What all processes take together: each takes what the first one does."""
    from gluonvision import backend

    return number * backend.launch(training_step, quantity, number)


def _taken(quantity, run):
    if quantity == "memory":
        return measuring.memory_taken(run) / 2**20
    return min(measuring.take_turns({"run": run}, 3)["run"])


def measure(quantity, kind, amounts):
    """Print milliseconds or mebibytes of one call."""
    import torch

    torch.set_num_threads(1)
    number = amounts.pop("processes", None)
    if number:
        print(json.dumps({quantity: processes(quantity, number)}))
        return
    make = globals()[kind]
    make(64, 4, 2)()  # what is loaded once
    run = make(**amounts)
    print(json.dumps({quantity: _taken(quantity, run)}))


def exponent(amounts, values):
    """The slope of a straight line through logarithms, by least squares."""
    x, y = ([math.log(v) for v in values] for values in (amounts, values))
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    above = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y))
    return above / sum((a - mean_x) ** 2 for a in x)


def rows():
    from tqdm import tqdm

    for name, (kind, what, amounts, linear) in tqdm(SERIES.items(), unit="series"):
        for quantity in ("time", "memory"):
            values = _values(quantity, kind, what, amounts)
            plain = _values(quantity, PEERS[kind], what, amounts) if kind in PEERS else []
            power = exponent(amounts, values)
            yield {
                "work": name,
                "quantity": f"exponent of {quantity}",
                "unit": "",
                "ours": power,
                "peer": "linear in pixels, images, classes or processes",
                "theirs": linear,
                "ratio": power / linear,
                "aim": 1.1,
                "amounts": amounts,
                "values": values,
                "plain values": plain,
            }


def _values(quantity, kind, what, amounts):
    """Milliseconds or mebibytes; below one there is nothing to tell apart."""
    values = []
    for amount in amounts:
        arguments = ("--one", quantity, kind, json.dumps({**DEFAULTS, what: amount}))
        one = measuring.in_process(__file__, *arguments, gives_back=quantity == "memory")
        values.append(max(one[quantity], 1))
    return values


def main():
    if sys.argv[1:2] == ["--one"]:
        return measure(*sys.argv[2:4], json.loads(sys.argv[4]))
    options = measuring.parser(__doc__).parse_args()
    return measuring.save("growth", [*rows()], options)


if __name__ == "__main__":
    main()
