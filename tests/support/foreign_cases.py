"""Nets that other libraries build, save and run, and how we load their files. As a script:

    GLUONVISION_BACKEND=mxnet python tests/support/foreign_cases.py write FOLDER FILE ...
    GLUONVISION_BACKEND=torch python tests/support/foreign_cases.py read FOLDER CASE ...

``write`` saves the nets and what they give for ``image(size)``, ``read`` what ours give then.
Each library runs in a process of its own backend: GluonCV refuses to be imported beside torch.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np
import peers

# Every segmentation model of GluonCV 0.10 on a ResNet.
GLUONCV_SEGMENTATION = (
    "fcn_resnet50_voc",
    "fcn_resnet101_coco",
    "fcn_resnet101_voc",
    "fcn_resnet50_ade",
    "fcn_resnet101_ade",
    "psp_resnet101_coco",
    "psp_resnet101_voc",
    "psp_resnet50_ade",
    "psp_resnet101_ade",
    "psp_resnet101_citys",
    "deeplab_resnet101_coco",
    "deeplab_resnet101_voc",
    "deeplab_resnet152_coco",
    "deeplab_resnet152_voc",
    "deeplab_resnet50_ade",
    "deeplab_resnet101_ade",
    "deeplab_resnet50_citys",
    "deeplab_resnet101_citys",
)


class File(NamedTuple):
    """A net that ``library`` builds and saves; all ``variants`` (options) have its weights."""

    library: str
    build: Callable
    kinds: tuple[str, ...]
    variants: dict[str, dict] = {"plain": {}}
    size: tuple[int, int] = (65, 97)
    trained: Path | None = None


class Case(NamedTuple):
    """A file and ``load(path)``, which must give a net of ours equal to the variant."""

    file: str
    kind: str
    load: Callable
    variant: str = "plain"


def _gluoncv(name, **options):
    def build(**variant):
        return peers.import_gluoncv().model_zoo.get_model(name, **options, **variant)

    return build


def _mxnet_v2(num_layers):
    def build():
        from mxnet.gluon.model_zoo import vision

        return vision.get_resnet(2, num_layers)

    return build


def _torchvision(name, module="models", **options):
    def build():
        models = peers.import_torchvision().models
        space = models.segmentation if module == "segmentation" else models
        weights = {"weights": None, "weights_backbone": None} if space is not models else {}
        return getattr(space, name)(**weights, **options)

    return build


def _mobilenet_features():
    """Two parts, of which the second is a classifier's."""
    import torch

    return torch.nn.ModuleDict({"features": _torchvision("mobilenet_v2")().features})


def _timm(name):
    return lambda: peers.import_timm().create_model(name, pretrained=False)


def _efficientnet_lite(number):
    def build():
        from efficientnet_lite_pytorch import EfficientNet

        return EfficientNet.from_name(f"efficientnet-lite{number}")

    return build


_DILATION = {"plain": {}, "dilated": {"dilated": True}}
_GLUON = ("params", "legacy")
_TORCH = ("pth", "safetensors")
# Of these sizes each stage has the parity that it had in the training of Lite0, Lite1 ...
_LITE_SIZES = ((64, 96), (48, 80), (36, 68), (56, 88), (44, 76))
# Wide enough for the largest rate of DeepLab to see two pixels of the feature map.
_WIDE = (33, 297)
FILES = {
    "cv_fcn": File("gluoncv", _gluoncv("fcn_resnet50_voc", pretrained_base=False), ("params",)),
    "cv_fcn_no_aux": File(
        "gluoncv", _gluoncv("fcn_resnet50_voc", pretrained_base=False, aux=False), ("params",)
    ),
    "cv_psp": File("gluoncv", _gluoncv("psp_resnet50_ade", pretrained_base=False), ("params",)),
    "cv_deeplab": File(
        "gluoncv",
        _gluoncv("deeplab_resnet50_citys", pretrained_base=False),
        ("params",),
        size=_WIDE,
    ),
    "cv_18_v1b": File("gluoncv", _gluoncv("resnet18_v1b"), _GLUON, _DILATION),
    "cv_50_v1b": File("gluoncv", _gluoncv("resnet50_v1b"), ("params",), _DILATION),
    "cv_50_v1s": File("gluoncv", _gluoncv("resnet50_v1s"), _GLUON, _DILATION),
    "mx_18_v2": File("mxnet", _mxnet_v2(18), _GLUON),
    "mx_50_v2": File("mxnet", _mxnet_v2(50), _GLUON),
    "tv_18": File("torchvision", _torchvision("resnet18"), _TORCH),
    "tv_50": File("torchvision", _torchvision("resnet50"), ("pth",)),
    "tv_mobilenet": File("torchvision", _torchvision("mobilenet_v2"), _TORCH),
    "tv_mobilenet_features": File("torchvision", _mobilenet_features, ("old", "pth")),
    "tv_fcn": File(
        "torchvision", _torchvision("fcn_resnet50", "segmentation", aux_loss=True), _TORCH
    ),
    "tv_deeplab": File(
        "torchvision",
        _torchvision("deeplabv3_resnet50", "segmentation", aux_loss=True),
        ("pth",),
        size=_WIDE,
    ),
    "timm_50_v1b": File("timm", _timm("resnet50.gluon_in1k"), ("safetensors",)),
    "timm_50_v1s": File("timm", _timm("resnet50s.gluon_in1k"), ("safetensors",)),
    "mobilenet_real": File(
        "torchvision", _mobilenet_features, ("old",), trained=peers.find_mobilenet()
    ),
    **{
        f"timm_lite{n}": File("timm", _timm(f"tf_efficientnet_lite{n}"), ("pth",), size=size)
        for n, size in enumerate(_LITE_SIZES)
    },
    **{
        f"lite{n}": File(
            "efficientnet_lite_pytorch", _efficientnet_lite(n), ("pth",), size=_LITE_SIZES[n]
        )
        for n in (0, 2, 3, 4)  # Lite1 has the blocks of Lite2
    },
    "lite0_real": File(
        "efficientnet_lite_pytorch",
        _efficientnet_lite(0),
        ("pth",),
        size=_LITE_SIZES[0],
        trained=peers.find_efficientnet_lite0(),
    ),
}


def _model(name, **options):
    def load(path):
        from gluonvision.model_zoo import get_model

        return get_model(name, pretrained=path, **options)

    return load


def _user_class(name):
    """A model that a user builds in torchvision's way, and loads into."""

    def load(path):
        from gluonvision import model_zoo

        cls = getattr(model_zoo, name)
        net = cls(21, "resnet50_v1b", aux=True, align_corners=False, pretrained_base=False)
        model_zoo.load_weights(net, path)
        return net

    return load


def _backbone_of_a_model(path):
    """The backbone of a segmentation model for which the file is ImageNet's weights."""
    from gluonvision.model_zoo import FCN

    return FCN(21, "mobilenet_v2", pretrained_base=path, output_stride=32).pretrained


CASES = {
    "cv_fcn": Case("cv_fcn", "params", _model("fcn_resnet50_voc")),
    "cv_fcn aux": Case("cv_fcn", "params", _model("fcn_resnet50_voc", aux=True)),
    "cv_fcn_no_aux": Case("cv_fcn_no_aux", "params", _model("fcn_resnet50_voc")),
    "cv_psp aux": Case("cv_psp", "params", _model("psp_resnet50_ade", aux=True)),
    "cv_psp": Case("cv_psp", "params", _model("psp_resnet50_ade")),
    "cv_deeplab": Case("cv_deeplab", "params", _model("deeplab_resnet50_citys")),
    "cv_deeplab aux": Case("cv_deeplab", "params", _model("deeplab_resnet50_citys", aux=True)),
    **{
        f"{file} {kind} {variant}": Case(
            file, kind, _model(f"resnet{file[3:]}", dilated=variant == "dilated"), variant
        )
        for file in ("cv_18_v1b", "cv_50_v1b", "cv_50_v1s")
        for kind in FILES[file].kinds
        for variant in FILES[file].variants
    },
    **{
        f"mx_{n}_v2 {kind}": Case(
            f"mx_{n}_v2", kind, _model(f"dilated_resnet{n}", output_stride=32)
        )
        for n in (18, 50)
        for kind in _GLUON
    },
    "tv_18 pth": Case("tv_18", "pth", _model("resnet18_v1b")),
    "tv_18 safetensors": Case("tv_18", "safetensors", _model("resnet18_v1b")),
    "tv_50": Case("tv_50", "pth", _model("resnet50_v1b")),
    "tv_mobilenet pth": Case("tv_mobilenet", "pth", _model("mobilenet_v2")),
    "tv_mobilenet safetensors": Case("tv_mobilenet", "safetensors", _model("mobilenet_v2")),
    "tv_mobilenet old": Case("tv_mobilenet_features", "old", _model("mobilenet_v2", classes=None)),
    "tv_mobilenet base": Case("tv_mobilenet_features", "pth", _backbone_of_a_model),
    "tv_fcn pth": Case("tv_fcn", "pth", _user_class("FCN")),
    "tv_fcn safetensors": Case("tv_fcn", "safetensors", _user_class("FCN")),
    "tv_fcn name": Case("tv_fcn", "pth", _model("fcn_resnet50_v1b_coco")),
    "tv_deeplab": Case("tv_deeplab", "pth", _user_class("DeepLabV3")),
    "tv_deeplab name": Case("tv_deeplab", "pth", _model("deeplab_resnet50_v1b_coco", aux=True)),
    "timm_50_v1b": Case("timm_50_v1b", "safetensors", _model("resnet50_v1b")),
    "timm_50_v1s": Case("timm_50_v1s", "safetensors", _model("resnet50_v1s")),
    "mobilenet_real": Case("mobilenet_real", "old", _model("mobilenet_v2", classes=None)),
    **{
        f"{file}{n}": Case(f"{file}{n}", "pth", _model(f"efficientnet_lite{n}"))
        for file in ("timm_lite", "lite")
        for n in range(5)
        if f"{file}{n}" in FILES
    },
    "lite0_real": Case("lite0_real", "pth", _model("efficientnet_lite0")),
    "mobilenet_real base": Case("mobilenet_real", "old", _backbone_of_a_model),
}


def image(size: tuple[int, int]) -> np.ndarray:
    """The input of all nets: (1, 3, height, width)."""
    return np.random.default_rng(5).standard_normal((1, 3, *size)).astype(np.float32)


def write(folder: Path, name: str):
    """Save the file in all its kinds, and the outputs of its variants."""
    file = FILES[name]
    write_one = _write_gluon if file.library in ("gluoncv", "mxnet") else _write_torch
    for variant, outputs in write_one(file, folder / name):
        np.savez(folder / f"{name}.{variant}.npz", *outputs)


def _write_gluon(file, path):
    mx = peers.import_mxnet()
    x = mx.nd.array(image(file.size))
    for i, (variant, options) in enumerate(file.variants.items()):
        net = file.build(**options)
        if i == 0:
            peers.randomize_gluon(net, x)
            _save_gluon(net, path, file.kinds)
        else:
            net.load_parameters(f"{path}.params")
        yield variant, _gluon_outputs(net, x)


def _save_gluon(net, path, kinds):
    net.save_parameters(f"{path}.params")
    if "legacy" in kinds:  # what save_params wrote before Gluon 1.3
        net.collect_params().save(f"{path}.legacy", strip_prefix=net.prefix)


def _gluon_outputs(net, x):
    if hasattr(net, "predict"):
        net.predict(x)  # sets the size that GluonCV's next forward pass resizes to
    scores = net(x)
    return [y.asnumpy() for y in (scores if isinstance(scores, tuple) else (scores,))]


def _write_torch(file, path):
    import torch

    net = file.build().eval()
    if file.trained is None:
        peers.randomize_torch(net)
    else:
        in_order = torch.load(file.trained, weights_only=True).values()
        net.load_state_dict(dict(zip(net.state_dict(), in_order, strict=True)))
    for kind in file.kinds:
        _save_torch(net, f"{path}.{kind}", kind, file.trained)
    with torch.no_grad():
        yield "plain", _torch_outputs(net, torch.from_numpy(image(file.size)))


def _torch_outputs(net, x):
    import torch

    if isinstance(net, torch.nn.ModuleDict):
        return [net["features"][:18](x).numpy()]  # the last belongs to the classifier
    scores = net(x)
    return [y.numpy() for y in (scores.values() if isinstance(scores, dict) else (scores,))]


def _save_torch(net, path, kind, trained):
    import torch

    if trained is not None:
        shutil.copy(trained, path)
    elif kind == "safetensors":
        from safetensors.torch import save_file

        save_file(net.state_dict(), path)
    else:
        state = net.state_dict()
        torch.save(_old_mobilenet_names(state) if kind == "old" else state, path)


def _old_mobilenet_names(state):
    """Before 0.5 the layers of a block of torchvision's MobileNetV2 lay in one sequence."""
    index = {"0.0": 0, "0.1": 1, "1.0": 3, "1.1": 4, "2": 6, "3": 7}
    of_the_first = {"0.0": 0, "0.1": 1, "1": 3, "2": 4}

    def old(match):
        indices = of_the_first if match[1] == "1" else index
        return f"features.{match[1]}.conv.{indices[match[2]]}.{match[3]}"

    pattern = r"features\.(\d+)\.conv\.([\d.]+)\.(\w+)$"
    return {re.sub(pattern, old, name): tensor for name, tensor in state.items()}


def read(folder: Path, name: str):
    """Load the case's file by the backend of this process, and save the outputs or the error."""
    from gluonvision import backend

    case = CASES[name]
    target = folder / f"{name}.{backend.NAME}.npz"
    try:
        net = case.load(str(folder / f"{case.file}.{case.kind}"))
        np.savez(target, *_our_outputs(net, FILES[case.file].size))
    except Exception:
        np.savez(target, error=traceback.format_exc())


def _our_outputs(net, size):
    from gluonvision import backend

    scores = backend.evaluate(net, backend.array(image(size)))
    return [backend.as_numpy(y) for y in (scores if isinstance(scores, tuple) else (scores,))]


def save(folder: Path, name: str):
    """Save a model of ours, with random weights, and its outputs."""
    from gluonvision import backend
    from gluonvision.model_zoo import get_model

    net = get_model(name)
    shapes = backend.parameter_shapes(net)
    backend.set_parameters(net, {n: peers.random_value(n, shapes[n]) for n in shapes})
    net.save_parameters(str(folder / f"{name}.{backend.NAME}"))
    np.savez(folder / f"{name}.{backend.NAME}.npz", *_our_outputs(net, (65, 97)))


def back(folder: Path, name: str):
    """Load into GluonCV's model what ``save`` wrote, and save what it gives."""
    mx = peers.import_mxnet()
    for backend in ("torch", "mxnet"):
        net = _gluoncv(name)()
        net.load_parameters(str(folder / f"{name}.{backend}"))
        outputs = _gluon_outputs(net, mx.nd.array(image((65, 97))))
        np.savez(folder / f"{name}.{backend}.back.npz", *outputs)


def shapes(folder: Path, name: str):
    """The names and shapes of GluonCV's model (0: not known yet), and ours; without weights."""
    from gluonvision import backend
    from gluonvision.model_zoo import get_model

    theirs = _gluoncv(name, pretrained_base=False)()._collect_params_with_prefix()
    with (
        mock.patch("gluonvision.model_zoo.backbones.initialize"),
        mock.patch("gluonvision.model_zoo.segmentation.segbase.initialize"),
    ):
        ours = get_model(name, aux=True)
    both = {n: p.shape for n, p in theirs.items()}, backend.parameter_shapes(ours)
    (folder / f"{name}.json").write_text(json.dumps(both))


def start(backend: str, command: str, folder: Path, names) -> subprocess.Popen:
    """Begin a command of this script in a process of that backend."""
    arguments = [sys.executable, "-W", "ignore", __file__, command, str(folder), *names]
    # One core for each of the two that run side by side.
    environment = os.environ | {"GLUONVISION_BACKEND": backend, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(arguments, env=environment, cwd=Path(__file__).parents[2])


def finish(*processes: subprocess.Popen):
    """Wait for all processes, each of which must have succeeded."""
    codes = [process.wait(timeout=600) for process in processes]
    assert not any(codes), f"a process ended with an error, see above: {codes}"


def write_and_read(backend: str, names, folder: Path) -> Path:
    """Have the cases' files written by their libraries, under ``backend``, and read by both."""
    finish(start(backend, "write", folder, sorted({CASES[name].file for name in names})))
    backends = [b for b in ("torch", "mxnet") if peers.installed(b)]
    finish(*(start(b, "read", folder, names) for b in backends))
    return folder


def assert_equal_outputs(folder: Path, name: str, backend: str, num_outputs: int | None = None):
    """Ours are the library's, up to rounding; ``num_outputs``: only its first ones."""
    case = CASES[name]
    ours = np.load(folder / f"{name}.{backend}.npz")
    theirs = np.load(folder / f"{case.file}.{case.variant}.npz")
    assert "error" not in ours, str(ours["error"])
    assert len(ours.files) == (num_outputs or len(theirs.files))
    for key in ours.files:
        assert relative_difference(ours[key], theirs[key]) < 1e-4, key


def relative_difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Of two arrays of one shape, each taken as a vector."""
    assert ours.shape == theirs.shape
    return np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)


if __name__ == "__main__":
    command, folder, *names = sys.argv[1:]
    for name in names:
        globals()[command](Path(folder), name)
