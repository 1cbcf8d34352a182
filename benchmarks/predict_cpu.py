"""Prediction on a CPU: FCN on ResNet50, ours beside torchvision's, image by image in one run.

    python benchmarks/predict_cpu.py --threads 2
    python benchmarks/predict_cpu.py --agreement FOLDER --model NAME_OR_WEIGHTS

Both have the same weights and are asked for the mask of the same image, in turn. ``fp32`` is our
net as it is, ``bf16`` under autocast, ``default`` what ``Predictor`` does where it is told nothing.
On one thread times are the processor's, on several the clock's.
``--agreement`` also compares the masks of int8, which is the default there, with those of fp32 on a
folder of images, for a trained model.
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


def agreement(folder, model):
    """The share of pixels on which int8 and fp32 agree: number of images, mean and lowest."""
    cpu, files = backend.cpu(), images_of(folder)
    ours, exact = (Predictor.load(model, device=cpu, precision=p) for p in ("int8", "fp32"))
    shares = [(ours(f).mask == exact(f).mask).mean() for f in tqdm(files, leave=False)]
    return len(files), float(np.mean(shares)), float(min(shares))


def main():
    parser = measuring.parser(__doc__)
    parser.add_argument("--size", type=int, default=480, help="side of the image, in pixels")
    parser.add_argument("--agreement", type=Path, help="folder of images")
    parser.add_argument("--model", default=EMBEDDED, help="a model's name, or a run's weights")
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
    assert (peer(image) == ours["fp32"](image).mask).mean() > 0.999, "the two nets are not the same"
    routines = {way: lambda f=f: f(image) for way, f in {PEER: peer, **ours}.items()}
    times = measuring.take_turns(routines, options.rounds, threads=options.threads)
    measuring.save("predict_cpu", [*rows(times, options)], options)
    if options.agreement:
        number, mean, least = agreement(options.agreement, options.model)
        print(f"int8 and fp32 agree on {mean:.2%} of pixels ({number} images; least {least:.2%})")


def rows(times, options):
    """Each of our ways beside torchvision's."""
    for way, own in times.items():
        if way != PEER:
            work = f"FCN-ResNet50, an image of {options.size} x {options.size} to its mask, {way}"
            aim = {"aim": 0.5} if way.startswith("default") else {}
            yield measuring.time_row(work, "time", own, PEER, times[PEER], **aim)


if __name__ == "__main__":
    main()
