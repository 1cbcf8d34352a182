"""Prediction on a CPU: FCN on ResNet50, ours and torchvision's, image by image in one run.

    python benchmarks/predict_cpu.py --threads 2
    python benchmarks/predict_cpu.py --agreement FOLDER --model NAME_OR_WEIGHTS

Both nets have the same weights and predict the mask of the same image, in turn. ``fp32`` is our net
as it is, ``bf16`` uses autocast, and ``default`` is ``Predictor`` with default settings. Times are
CPU times on one thread, and wall times on several. ``--agreement`` also compares the masks of int8
(the default on such CPUs) with those of fp32, for a trained model on a folder of images.
"""

from pathlib import Path

import measuring
import numpy as np
import torch
from peers import import_torchvision, randomize_torch
from tqdm import tqdm

from gluonvision import backend
from gluonvision.data.datasets.pairs import images_of
from gluonvision.model_zoo import FCN
from gluonvision.segmentation import Predictor

EMBEDDED = "deeplabv3plus_mobilenet_v2_camvid"
PEER = "torchvision, eager, same weights"


def torchvisions(net):
    """Make torchvision's fcn_resnet50, eager, and copy its weights into ``net``."""
    import_torchvision()
    from torchvision.models.segmentation import fcn_resnet50

    theirs = fcn_resnet50(weights=None, weights_backbone=None, num_classes=21, aux_loss=False)
    randomize_torch(theirs)
    copy_weights(theirs, net)
    return theirs.eval()


def copy_weights(source, target):
    """Copy the tensors of one net to another with the same order of tensors."""
    values = [t for n, t in source.state_dict().items() if not n.endswith("num_batches_tracked")]
    with torch.no_grad():
        for tensor, value in zip(target.state_dict().values(), values, strict=True):
            tensor.copy_(value)


def peer_prediction(net):
    """Make a function from image to mask, as torchvision's documentation shows."""
    mean, std = (
        [[[v]] for v in values] for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    mean, std = torch.tensor(mean), torch.tensor(std)

    def predict(image):
        with torch.inference_mode():
            x = torch.from_numpy(image).permute(2, 0, 1).float() / 255
            return net(((x - mean) / std)[None])["out"][0].argmax(0).numpy()

    return predict


def agreement(folder, model):
    """Compare int8 with fp32: number of images, mean and lowest fraction of equal pixels."""
    cpu, files = backend.cpu(), images_of(folder)
    ours, exact = (Predictor.load(model, device=cpu, precision=p) for p in ("int8", "fp32"))
    shares = [(ours(f).mask == exact(f).mask).mean() for f in tqdm(files, leave=False)]
    return len(files), float(np.mean(shares)), float(min(shares))


def main():
    parser = measuring.parser(__doc__)
    parser.add_argument("--size", type=int, default=480, help="side of the image, in pixels")
    parser.add_argument(
        "--agreement", type=Path, help="folder of images to compare int8 with fp32 on"
    )
    parser.add_argument(
        "--model", default=EMBEDDED, help="name of a model, or weights of a run, for --agreement"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    backend.seed(0)
    net = FCN(21, "resnet50_v1b", pretrained_base=False, align_corners=False)
    peer = peer_prediction(torchvisions(net))
    ours = {
        way: Predictor(net, "pascal_voc", device=backend.cpu(), precision=precision)
        for way, precision in (("default (int8)", "auto"), ("fp32", "fp32"), ("bf16", "bf16"))
    }
    image = np.random.default_rng(0).integers(0, 256, (options.size, options.size, 3), np.uint8)
    assert (peer(image) == ours["fp32"](image).mask).mean() > 0.999, (
        "the two nets give different results"
    )
    routines = {way: lambda f=f: f(image) for way, f in {PEER: peer, **ours}.items()}
    times = measuring.take_turns(routines, options.rounds, threads=options.threads)
    measuring.save("predict_cpu", [*rows(times, options)], options)
    if options.agreement:
        number, mean, least = agreement(options.agreement, options.model)
        print(f"int8 and fp32 agree on {mean:.2%} of pixels ({number} images; lowest {least:.2%})")


def rows(times, options):
    """Compare each of our settings with torchvision."""
    for way, own in times.items():
        if way != PEER:
            work = f"FCN-ResNet50, an image of {options.size} x {options.size} to its mask, {way}"
            aim = {"aim": 0.5} if way.startswith("default") else {}
            yield measuring.time_row(work, "time", own, PEER, times[PEER], **aim)


if __name__ == "__main__":
    main()
