"""The growth of time and memory with image size, batch, classes and processes.

    python benchmarks/growth.py    # takes a few minutes

The benchmark measures prediction and the loss (forward and backward) against the image's side, the
batch size and the number of classes; augmentation against the number of images; and a training
step, summed over all processes, against the number of processes. It fits an exponent: the slope of
the logarithm of the measurement against the logarithm of the amount. ``ratio`` divides the exponent
by that of linear growth in pixels, images, classes or processes, and should not exceed 1. Fixed
costs reduce it. Time is CPU time; memory is the peak above the memory in use before. Each
measurement has its own process. Plain torch is measured in the same run where it has an equivalent.
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
# Plain torch, for the figure.
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

    logits = torch.randn(batch, nclass, side // 8, side // 8, requires_grad=True)
    label = torch.randint(-1, nclass, (batch, side, side), dtype=torch.int32)
    function = get_loss("ce")
    return lambda: function(logits, label).backward()


def argmax(side, batch, nclass):
    import torch

    from gluonvision.backend.torch.logits import resized_argmax

    logits = torch.randn(batch, nclass, side // 8, side // 8)
    return lambda: resized_argmax(logits, (side, side), True)


def _full(side, batch, nclass):
    import torch
    from torch.nn import functional

    logits = torch.randn(batch, nclass, side // 8, side // 8, requires_grad=True)
    options = {"mode": "bilinear", "align_corners": True}
    return lambda: functional.interpolate(logits, (side, side), **options)


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
    """Measure this process's part of a step, in milliseconds or mebibytes."""
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
    """Measure all processes together; each takes as much as the first."""
    from gluonvision import backend

    return number * backend.launch(training_step, quantity, number)


def _taken(quantity, run):
    if quantity == "memory":
        return measuring.memory_taken(run) / 2**20
    return min(measuring.take_turns({"run": run}, 3)["run"])


def measure(quantity, kind, amounts):
    """Print the cost of one call, in milliseconds or mebibytes."""
    import torch

    torch.set_num_threads(1)
    number = amounts.pop("processes", None)
    if number:
        print(json.dumps({quantity: processes(quantity, number)}))
        return
    make = globals()[kind]
    make(64, 4, 2)()  # load libraries before measuring
    run = make(**amounts)
    print(json.dumps({quantity: _taken(quantity, run)}))


def exponent(amounts, values):
    """Fit a line through the logarithms by least squares; return its slope."""
    x, y = ([math.log(v) for v in values] for values in (amounts, values))
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    covariance = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y))
    return covariance / sum((a - mean_x) ** 2 for a in x)


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
    """Measure every amount, in milliseconds or mebibytes; 1 is the resolution."""
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
