"""What GluonCV's MultiEvalModel gives, and what our inference does: run as a script, in MXNet.

``write FOLDER`` builds GluonCV's FCN with random weights, saves it and what it makes of an image
with each of ``CASES``; ``read`` has ours do the same with those weights, by whatever backend.
GluonCV is not imported beside torch, so that each is a process of its own.
"""

import sys
from pathlib import Path

import numpy as np
import peers

NAME, NCLASS = "fcn_resnet50_voc", 21
# (height, width), and the arguments of both. With "softmax", GluonCV is given a net that ends in
# logarithms of probabilities, which makes its exponentials probabilities.
CASES = {
    "all scales": ((51, 70), {"scales": (0.5, 1.0, 1.75), "flip": True, "base_size": 60}),
    "upright": ((70, 51), {"scales": (1.25,), "flip": True, "base_size": 60}),
    "one window": ((40, 30), {"scales": (1.0,), "flip": False, "base_size": 40}),
    "softmax": ((48, 80), {"scales": (1.0, 3.0), "flip": False, "base_size": 80}),
}
WINDOW = 48


def image(size):
    return np.random.default_rng(4).integers(0, 256, (*size, 3), dtype=np.uint8)


def write(folder):
    gluoncv, mx = peers.import_gluoncv(), peers.import_mxnet()
    from gluoncv.model_zoo.segbase import MultiEvalModel

    from gluonvision.backend import image_input

    net = gluoncv.model_zoo.get_model(NAME, pretrained_base=False, crop_size=WINDOW, aux=False)
    x = image_input(image((WINDOW, WINDOW))[None])
    peers.randomize_gluon(net, x)
    # Scores of a few units, as trained nets have: what is compared are exponentials of sums.
    spread = float(net.evaluate(x).asnumpy().std())
    for parameter in list(net.head.collect_params(".*(weight|bias)").values())[-2:]:
        parameter.set_data(parameter.data() / spread)
    net.save_parameters(str(folder / "net.params"))
    scores_of = net.evaluate
    for name, (size, options) in CASES.items():
        options = dict(options)
        net.base_size = options.pop("base_size")
        is_log = name == "softmax"
        net.evaluate = lambda x, is_log=is_log: (
            scores_of(x).log_softmax(axis=1) if is_log else scores_of(x)
        )
        model = MultiEvalModel(net, NCLASS, [mx.cpu()], **options)
        result = model(image_input(image(size)[None])[0])
        np.save(folder / f"{name}.npy", result.asnumpy()[0])


def read(folder):
    from gluonvision import backend
    from gluonvision.model_zoo import get_model
    from gluonvision.segmentation.inference import Inference, class_scores

    net = get_model(NAME, pretrained=str(folder / "net.params"))
    for name, (size, options) in CASES.items():
        how = Inference(window=WINDOW, batch_size=3, gluoncv=name != "softmax", **options)
        np.save(folder / f"{name}.{backend.NAME}.npy", class_scores(net, image(size), how))


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]))
