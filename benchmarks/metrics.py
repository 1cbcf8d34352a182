"""The confusion matrix of a data set: ours beside torchmetrics', on the same labels in one run.

    python benchmarks/metrics.py

Each row is one image's label and prediction (int32, 5 % ignored, a fifth of the pixels wrong) in
blobs of 16 pixels, as masks have them. All run on one thread and take turns, forth and back; the
time is the median, the ratio the median of the ratios turn by turn. torchmetrics is
MulticlassJaccardIndex, as it comes and with validate_args=False, which leaves out the check of the
values; ours always checks. Boundary IoU has no peer here; its time stands beside.
"""

import argparse
import importlib.util
import statistics
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import trange

from gluonvision.metrics import SegmentationMetric

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
import peers

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
    """What is timed, by name; each adds one image to a matrix of its own."""
    index = peers.import_torchmetrics().classification.MulticlassJaccardIndex
    checked = index(nclass, ignore_index=-1)
    unchecked = index(nclass, ignore_index=-1, validate_args=False)
    tensors = torch.from_numpy(predicted), torch.from_numpy(label)
    plain, boundary = SegmentationMetric(nclass), SegmentationMetric(nclass, boundary=True)
    checked.update(*tensors)
    plain.update(predicted, label)
    assert (checked.confmat.numpy() == plain.confusion).all()
    return {
        "ours": lambda: plain.update(predicted, label),
        "torchmetrics": lambda: checked.update(*tensors),
        "torchmetrics, unchecked": lambda: unchecked.update(*tensors),
        "ours with boundary IoU": lambda: boundary.update(predicted, label),
    }


def timed(functions, rounds):
    """Seconds of every turn, by name."""
    times = {name: [] for name in functions}
    for number in trange(rounds, leave=False):
        for name in list(functions)[:: 1 if number % 2 else -1]:
            start = time.perf_counter()
            functions[name]()
            times[name].append(time.perf_counter() - start)
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    if importlib.util.find_spec("torchmetrics") is None:
        sys.exit("torchmetrics is not installed: pip install torchmetrics")
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    for height, width, nclass in CASES:
        times = timed(routines(*labels(height, width, nclass), nclass), rounds)
        print(f"{height} x {width}, {nclass} classes")
        for name, own in times.items():
            ratios = [theirs / ours for theirs, ours in zip(own, times["ours"])]
            print(
                f"  {name:<24}{1000 * statistics.median(own):8.2f} ms"
                f"{statistics.median(ratios):8.1f} x"
            )


if __name__ == "__main__":
    main()
