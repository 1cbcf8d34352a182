"""Prediction on a CPU: FCN on ResNet50, ours beside torchvision's, image by image in one run.

    python benchmarks/predict_cpu.py --threads 2
    python benchmarks/predict_cpu.py --agreement FOLDER --model NAME_OR_WEIGHTS

Both have the same weights and are asked for the mask of the same image, in turn. ``fp32`` is our
net as it is, ``bf16`` under autocast, ``default`` what ``Predictor`` does where it is told nothing.
Times are of the whole process's CPU as well as of the clock, since other programs may be at work.
``--agreement`` also compares the masks of int8, which is the default there, with those of fp32 on a
folder of images, for a trained model.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm, trange

from gluonvision import backend
from gluonvision.data.pairs import images_of
from gluonvision.model_zoo import FCN
from gluonvision.segmentation import Predictor

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from peers import import_torchvision, randomize_torch

EMBEDDED = "deeplabv3plus_mobilenet_v2_camvid"


def torchvisions(net):
    """torchvision's fcn_resnet50, eager, as its users call it; its weights are put into ``net``."""
    import_torchvision()
    from torchvision.models.segmentation import fcn_resnet50

    theirs = fcn_resnet50(weights=None, weights_backbone=None, num_classes=21, aux_loss=False)
    randomize_torch(theirs)
    copy_weights(theirs, net)
    return theirs.eval()


def copy_weights(source, target):
    """The tensors of one net into another whose are in the same order."""
    values = [t for n, t in source.state_dict().items() if not n.endswith("num_batches_tracked")]
    with torch.no_grad():
        for tensor, value in zip(target.state_dict().values(), values, strict=True):
            tensor.copy_(value)


def peer_prediction(net):
    """Image to mask, by torchvision's own recipe."""
    mean, std = (
        [[[v]] for v in values] for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    mean, std = torch.tensor(mean), torch.tensor(std)

    def predict(image):
        with torch.inference_mode():
            x = torch.from_numpy(image).permute(2, 0, 1).float() / 255
            return net(((x - mean) / std)[None])["out"][0].argmax(0).numpy()

    return predict


def compare(candidates, image, rounds):
    """Seconds of each candidate, by clock and by CPU, asked in turn."""
    times = {name: [] for name in candidates}
    for predict in candidates.values():
        predict(image)
    for i in trange(rounds, leave=False):
        order = list(candidates) if i % 2 else list(candidates)[::-1]
        for name in order:
            clock, cpu = time.perf_counter(), time.process_time()
            candidates[name](image)
            times[name].append((time.perf_counter() - clock, time.process_time() - cpu))
    return times


def agreement(folder, model):
    """The share of pixels on which int8 and fp32 agree: number of images, mean and lowest."""
    cpu, files = backend.cpu(), images_of(folder)
    ours, exact = (Predictor.load(model, device=cpu, precision=p) for p in ("int8", "fp32"))
    shares = [(ours(f).mask == exact(f).mask).mean() for f in tqdm(files, leave=False)]
    return len(files), float(np.mean(shares)), float(min(shares))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=480, help="side of the image, in pixels")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--agreement", type=Path, help="folder of images")
    parser.add_argument("--model", default=EMBEDDED, help="a model's name, or a run's weights")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    backend.seed(0)
    net = FCN(21, "resnet50_v1b", pretrained_base=False, align_corners=False)
    peer = peer_prediction(torchvisions(net))
    ours = {
        name: Predictor(net, "pascal_voc", device=backend.cpu(), precision=precision)
        for name, precision in (("default", "auto"), ("fp32", "fp32"), ("bf16", "bf16"))
    }
    image = np.random.default_rng(0).integers(0, 256, (options.size, options.size, 3), np.uint8)
    assert (peer(image) == ours["fp32"](image).mask).mean() > 0.999, "the two nets are not the same"
    times = compare({"torchvision": peer, **ours}, image, options.rounds)
    report(times, options)


def report(times, options):
    """Print, and write, the medians, and the medians of each round's ratios to torchvision."""
    print(f"torch {torch.__version__}, {options.threads} threads, {options.size} x {options.size}")
    figures = {name: summary(pairs, times["torchvision"]) for name, pairs in times.items()}
    for name, (clock, cpu, ratio, cpu_ratio) in figures.items():
        took = f"{1e3 * clock:7.0f} ms by the clock, {1e3 * cpu:7.0f} ms of CPU"
        print(f"{name:12}{took}: {ratio:.2f} and {cpu_ratio:.2f} times as fast as torchvision")
    if options.agreement:
        number, mean, least = figures["agreement"] = agreement(options.agreement, options.model)
        print(f"int8 and fp32 agree on {mean:.2%} of pixels ({number} images; least {least:.2%})")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


def summary(pairs, peers):
    """Seconds by clock and by CPU, and how many times as fast as the peer by both."""
    times = [statistics.median(pair[k] for pair in pairs) for k in (0, 1)]
    ratios = [statistics.median(p[k] / o[k] for p, o in zip(peers, pairs)) for k in (0, 1)]
    return [*times, *ratios]


if __name__ == "__main__":
    main()
