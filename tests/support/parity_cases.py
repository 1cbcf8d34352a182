"""What both backends must agree on. Run as a script it computes every case under one backend:

GLUONVISION_BACKEND=mxnet python tests/support/parity_cases.py out.npz [slow]
"""

import itertools
import sys

import numpy as np

FAMILIES = ("FCN", "PSPNet", "DeepLabV3", "DeepLabV3Plus")
BACKBONES = ("resnet18", "resnet50_v1s", "mobilenet_v2")
OTHER_BACKBONES = ("resnet50", "resnet18_v1b")
NCLASS = 5
STEPS = 20
LEARNING_RATE = 0.002  # at 0.01 training is chaotic, and rounding decides where it goes
CHAOTIC_AT_THAT = {("DeepLabV3Plus", "mobilenet_v2"): 0.0005}


def as_float32(value: float) -> float:
    """The value that MXNet's optimizer and norms compute with: their options are float32."""
    return float(np.float32(value))


def build(family: str, backbone: str, dtype: str, beta: float):
    """A model with an auxiliary head, without dropout, with norms that matter.

    ``beta`` is the mean of the norms' betas. At 0 half of the values are cut off by the relus,
    and rounding moves a few of them over the kink; at 3 hardly any is near it.
    """
    from gluonvision import backend, model_zoo

    backend.seed(7)
    net = getattr(model_zoo, family)(NCLASS, backbone, aux=True, pretrained_base=False)
    net.apply(_without_dropout)
    backend.set_parameters(net, _with_random_norms(backend.get_parameters(net), beta))
    net.cast(dtype)
    _use_float32_options(net)
    return net


def _without_dropout(block):
    if type(block).__name__ == "Dropout":
        if hasattr(block, "_rate"):
            block._rate = 0  # MXNet
        else:
            block.p = 0.0


def _with_random_norms(parameters, beta):
    rng = np.random.default_rng(3)
    for name in sorted(n for n in parameters if ".bn0." not in n):
        kind, size = name.rpartition(".")[2], parameters[name].shape
        if kind in ("running_mean", "beta"):
            parameters[name] = rng.normal(beta * (kind == "beta"), 0.1, size).astype(np.float32)
        elif kind in ("running_var", "gamma"):
            parameters[name] = rng.uniform(0.5, 1.0, size).astype(np.float32)
    return parameters


def batch(dtype: str, seed: int = 0):
    """Images (4, 3, 65, 33) and labels, a tenth of them ignored.

    The size makes every factor of a resize a fraction of a power of two: MXNet keeps these factors
    in float32, whatever the type of the data.
    """
    from gluonvision.backend import array

    rng = np.random.default_rng(seed)
    x = rng.standard_normal((4, 3, 65, 33)).astype(dtype)
    label = rng.integers(0, NCLASS, (4, 65, 33)).astype(np.int32)
    label[rng.random(label.shape) < 0.1] = -1
    return array(x), array(label)


def step_case(family: str, backbone: str, dtype: str, beta: float):
    """Outputs in evaluation and training mode; statistics and gradients of one training step."""
    from gluonvision import backend, loss
    from gluonvision.backend import as_numpy
    from gluonvision.backend.trainer_options import TrainerOptions

    net = build(family, backbone, dtype, beta)
    x, label = batch(dtype)
    scores, aux = backend.evaluate(net, x)
    yield "eval/scores", as_numpy(scores)
    yield "eval/aux", as_numpy(aux)
    outputs, cross_entropy = [], loss.SoftmaxCrossEntropyLoss()

    def recording_loss(*scores_and_label):
        outputs.extend(scores_and_label[:-1])
        return cross_entropy(*scores_and_label)

    trainer = backend.Trainer(net, recording_loss, TrainerOptions(0.0, 0.0))
    yield "train/loss", np.float64(trainer.step(x, label, 0.0))
    yield "train/scores", as_numpy(outputs[0])
    yield "train/aux", as_numpy(outputs[1])
    for name, value in backend.get_parameters(net).items():
        if "running" in name:
            yield f"train/{name}", value
    for name, gradient in backend.get_gradients(net).items():
        yield f"gradient/{name}", gradient


def steps_case(family: str, backbone: str):
    """Losses of 20 SGD steps under a poly schedule; weights and statistics after them."""
    from gluonvision import backend, loss
    from gluonvision.backend.trainer_options import TrainerOptions
    from gluonvision.training.lr_schedule import poly

    net = build(family, backbone, "float64", beta=0)
    options = TrainerOptions(as_float32(0.9), as_float32(1e-4))
    trainer = backend.Trainer(net, loss.SoftmaxCrossEntropyLoss(), options)
    base = CHAOTIC_AT_THAT.get((family, backbone), LEARNING_RATE)
    rates = [as_float32(poly(step, STEPS, base)) for step in range(STEPS)]
    losses = [trainer.step(*batch("float64", i), rate) for i, rate in enumerate(rates)]
    yield "steps/loss", np.array(losses)
    for name, value in backend.get_parameters(net).items():
        yield f"steps/{name}", value


def _use_float32_options(net):
    from gluonvision import backend

    if backend.NAME == "torch":
        for module in net.modules():
            if isinstance(module, backend.nn.BatchNorm):
                module.eps, module.momentum = as_float32(module.eps), 1 - as_float32(0.9)


# A head does not depend on its backbone, so most pairs of the two can wait for the slow tests.
QUICK = {
    *(f"FCN/{backbone}/float32" for backbone in (*BACKBONES, "resnet18_v1b")),
    *("PSPNet/resnet18/float32", "DeepLabV3/mobilenet_v2/float32"),
    *("DeepLabV3Plus/mobilenet_v2/float32", "FCN/efficientnet_lite0/float64"),
    *("PSPNet/mobilenet_v2/float64", "DeepLabV3/resnet18/float64"),
    *("FCN/resnet18/float64", "DeepLabV3Plus/mobilenet_v2/float64"),
    *("FCN/resnet18/20 steps", "DeepLabV3Plus/mobilenet_v2/20 steps"),
}


def all_cases():
    """(name, what computes it) of every case; the name is family/backbone/kind."""
    for family, backbone in itertools.product(FAMILIES, BACKBONES):
        yield f"{family}/{backbone}/float32", step_case(family, backbone, "float32", beta=3)
    for backbone in OTHER_BACKBONES:
        yield f"FCN/{backbone}/float32", step_case("FCN", backbone, "float32", beta=3)
    for family, backbone in itertools.product(FAMILIES, ("resnet18", "mobilenet_v2")):
        yield f"{family}/{backbone}/float64", step_case(family, backbone, "float64", beta=0)
        yield f"{family}/{backbone}/20 steps", steps_case(family, backbone)
    # Of its many relus of 6 some are at a kink in float32, whatever the betas.
    yield (
        "FCN/efficientnet_lite0/float64",
        step_case("FCN", "efficientnet_lite0", "float64", beta=0),
    )


def cases(slow: bool):
    """Those of the slow tests, or the others."""
    return [(name, values) for name, values in all_cases() if (name not in QUICK) == slow]


def main(path: str, slow: bool):
    results = {f"{case}/{key}": value for case, values in cases(slow) for key, value in values}
    np.savez(path, **results)


if __name__ == "__main__":
    main(sys.argv[1], "slow" in sys.argv[2:])
