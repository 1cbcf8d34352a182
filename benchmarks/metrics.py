"""The confusion matrix of a data set: ours and torchmetrics', on the same labels in one run.

    python benchmarks/metrics.py

Each row is the label and the prediction of one image (int32, 5 % ignored, a fifth of the pixels
wrong), in blobs of 16 pixels, similar to real masks. The peer is MulticlassJaccardIndex, as it is
and with validate_args=False, which skips the check of the values; ours always checks them.
"""

import importlib.util
import sys

import cv2
import measuring
import numpy as np
import peers
import torch

from gluonvision.metrics import SegmentationMetric

CASES = ((1024, 2048, 19), (375, 500, 21), (512, 683, 150))
PEERS = ("torchmetrics", "torchmetrics, unchecked")


def labels(height, width, nclass):
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, nclass, (height // 16 + 1, width // 16 + 1))
    label = coarse.repeat(16, 0).repeat(16, 1)[:height, :width].astype(np.int32)
    predicted = label.copy()
    wrong = rng.random(label.shape) < 0.2
    predicted[wrong] = rng.integers(0, nclass, wrong.sum())
    label[rng.random(label.shape) < 0.05] = -1
    return label, predicted


def routines(label, predicted, nclass):
    """The functions to time, by name; each adds one image to its own matrix."""
    index = peers.import_torchmetrics().classification.MulticlassJaccardIndex
    checked = index(nclass, ignore_index=-1)
    unchecked = index(nclass, ignore_index=-1, validate_args=False)
    tensors = torch.from_numpy(predicted), torch.from_numpy(label)
    plain = SegmentationMetric(nclass)
    checked.update(*tensors)
    plain.update(predicted, label)
    assert (checked.confmat.numpy() == plain.confusion).all()
    return {
        "ours": lambda: plain.update(predicted, label),
        "torchmetrics": lambda: checked.update(*tensors),
        "torchmetrics, unchecked": lambda: unchecked.update(*tensors),
    }


def main():
    options = measuring.parser(__doc__).parse_args()
    if importlib.util.find_spec("torchmetrics") is None:
        sys.exit("torchmetrics is not installed: pip install torchmetrics")
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    rows = []
    for height, width, nclass in CASES:
        functions = routines(*labels(height, width, nclass), nclass)
        times = measuring.take_turns(functions, options.rounds)
        work = f"confusion matrix of {height} x {width}, {nclass} classes"
        for peer in PEERS:
            row = measuring.time_row(work, "time", times["ours"], peer, times[peer], aim=0.2)
            rows.append(row)
    measuring.save("metrics", rows, options)


if __name__ == "__main__":
    main()
