"""What GluonCV's MultiEvalModel makes of a net, and what our inference does: a script, for MXNet.

    python tests/support/gluoncv_evaluation.py FOLDER

GluonCV is not imported beside torch. The net is one of ours, whose scores are GluonCV's for its
weights (test_gluoncv_interop.py): it is saved, so that torch can do the same.
"""

import sys
from pathlib import Path

import numpy as np
import peers

NCLASS, WINDOW = 5, 48
# (height, width), and the arguments of both. With "softmax", GluonCV is given logarithms of
# probabilities, of which its exponentials are probabilities; and sizes that windows of 48, 32
# apart, fill, as it pads others.
CASES = {
    "all scales": ((51, 70), {"scales": (0.5, 1.0, 1.75), "flip": True, "base_size": 60}),
    "upright": ((70, 51), {"scales": (1.25,), "flip": False, "base_size": 60}),
    "one window": ((40, 30), {"scales": (1.0,), "flip": True, "base_size": 40}),
    "softmax": ((80, 80), {"scales": (1.0, 1.4), "flip": False, "base_size": 80}),
}


def image(size):
    return np.random.default_rng(4).integers(0, 256, (*size, 3), dtype=np.uint8)


def build():
    from gluonvision.model_zoo import FCN

    return FCN(NCLASS, "mobilenet_v2", pretrained_base=False, output_stride=16)


def ours(net, name):
    from gluonvision.prediction.inference import Inference, class_scores

    size, options = CASES[name]
    inference = Inference(window=WINDOW, batch_size=3, gluoncv=name != "softmax", **options)
    return class_scores(net, image(size), inference)


class Module:
    """A net as GluonCV's evaluator knows its own."""

    def __init__(self, net, base_size, is_log):
        self.net, self.base_size, self.crop_size, self.is_log = net, base_size, WINDOW, is_log

    def collect_params(self):
        return self.net.collect_params()

    def evaluate(self, x):
        from gluonvision.backend import evaluate

        scores = evaluate(self.net, x)
        return scores.log_softmax(axis=1) if self.is_log else scores


def theirs(net, name):
    from gluoncv.model_zoo.segbase import MultiEvalModel

    from gluonvision.backend import cpu, preprocess

    size, options = CASES[name]
    options = dict(options)
    module = Module(net, options.pop("base_size"), name == "softmax")
    model = MultiEvalModel(module, NCLASS, [cpu()], **options)
    return model(preprocess(image(size)[None])[0]).asnumpy()[0]


def main(folder):
    peers.import_gluoncv()
    from gluonvision import backend

    backend.seed(2)
    net = build()
    net.save_parameters(str(folder / "net.params"))
    for name in CASES:
        np.savez(folder / f"{name}.npz", theirs=theirs(net, name), ours=ours(net, name))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
