"""Backbones: a constructor for each name, and ``get_backbone`` for the segmentation models."""

import functools
import os
from collections.abc import Callable
from typing import Any

from gluonvision.backend import init, initialize
from gluonvision.backend.types import Device
from gluonvision.model_zoo.backbones.base import Backbone, Stage
from gluonvision.model_zoo.backbones.dilated_resnet import (
    BasicBlockV2,
    BottleneckV2,
    Dilated_ResNetV2,
)
from gluonvision.model_zoo.backbones.efficientnet_lite import LITE, EfficientNetLite
from gluonvision.model_zoo.backbones.mobilenet import MobileNetV2
from gluonvision.model_zoo.backbones.residual import LAYERS
from gluonvision.model_zoo.backbones.resnet import BasicBlock, Bottleneck, ResNetV1
from gluonvision.model_zoo.registry import register_model
from gluonvision.model_zoo.weights.importers import find_pretrained, load_weights

# Parameters of a classifier, which a backbone may lack, under the names of all files.
_CLASSIFIER = ("fc.", "bn2.", "classifier.", "features.18.", "dense0_", "batchnorm2_", "conv_head.")

_DOC = """{title}.

Args:
    pretrained: True loads the published ImageNet weights, a path loads that file, and False draws
        the weights by He's rule.
    root: folder of the weights; see ``weights_folder``.
    ctx: the device; the CPU if None.
    dilated: True is short for ``output_stride=8``, False for 32.
    kwargs: arguments of ``{builder}``; ``classes=None`` omits the classifier.
"""


def _build(
    builder: Callable[..., Backbone],
    name: str,
    pretrained: bool | str | os.PathLike,
    root: str | os.PathLike | None,
    ctx: Device | None,
    dilated: bool | None,
    **kwargs: Any,
) -> Backbone:
    path = find_pretrained(name, pretrained, root)
    if dilated is not None:
        kwargs.setdefault("output_stride", 8 if dilated else 32)
    net = builder(**kwargs)
    if path is not None:
        load_weights(net, path, unused=_CLASSIFIER, name=name)
    else:
        initialize(net, init.MSRAPrelu("in", 0))
    if ctx is not None:
        net.collect_params().reset_ctx(ctx)
    return net


def _constructor(
    name: str, title: str, builder: Callable[..., Backbone]
) -> Callable[..., Backbone]:
    def construct(
        pretrained: bool | str | os.PathLike = False,
        root: str | os.PathLike | None = None,
        ctx: Device | None = None,
        dilated: bool | None = None,
        **kwargs: Any,
    ) -> Backbone:
        return _build(builder, name, pretrained, root, ctx, dilated, **kwargs)

    construct.__name__ = construct.__qualname__ = name
    construct.__doc__ = _DOC.format(title=title, builder=getattr(builder, "func", builder).__name__)
    return register_model(construct)


def _resnet(
    cls: Callable[..., Backbone], basic: type, bottleneck: type, num_layers: int, **kwargs: Any
) -> Callable[..., Backbone]:
    block = basic if num_layers < 50 else bottleneck
    return functools.partial(cls, block, LAYERS[num_layers], **kwargs)


def _resnet_v2(num_layers: int) -> Callable[..., Backbone]:
    return _constructor(
        f"dilated_resnet{num_layers}",
        f"Dilated pre-activation ResNet with {num_layers} layers (output stride 8)",
        _resnet(Dilated_ResNetV2, BasicBlockV2, BottleneckV2, num_layers),
    )


def _resnet_v1(num_layers: int, suffix: str, **kwargs: Any) -> Callable[..., Backbone]:
    return _constructor(
        f"resnet{num_layers}_{suffix}",
        f"ResNet V{suffix[1:]} with {num_layers} layers",
        _resnet(ResNetV1, BasicBlock, Bottleneck, num_layers, **kwargs),
    )


dilated_resnet18, dilated_resnet34, dilated_resnet50, dilated_resnet101, dilated_resnet152 = (
    _resnet_v2(n) for n in LAYERS
)
resnet18_v1b, resnet34_v1b, resnet50_v1b, resnet101_v1b, resnet152_v1b = (
    _resnet_v1(n, "v1b") for n in LAYERS
)
resnet18_v1s, resnet34_v1s, resnet50_v1s, resnet101_v1s, resnet152_v1s = (
    _resnet_v1(n, "v1s", deep_stem=True) for n in LAYERS
)
mobilenet_v2 = _constructor("mobilenet_v2", "MobileNetV2", MobileNetV2)
(
    efficientnet_lite0,
    efficientnet_lite1,
    efficientnet_lite2,
    efficientnet_lite3,
    efficientnet_lite4,
) = (
    _constructor(
        f"efficientnet_lite{n}",
        f"EfficientNet-Lite{n}",
        functools.partial(EfficientNetLite, scaling),
    )
    for n, scaling in enumerate(LITE)
)

# The constructors behind a segmentation model's argument ``backbone='resnet50'`` and similar.
BACKBONES = {
    **{f"resnet{n}": globals()[f"dilated_resnet{n}"] for n in LAYERS},
    **{f"resnet{n}_v1b": globals()[f"resnet{n}_v1b"] for n in LAYERS},
    **{f"resnet{n}_v1s": globals()[f"resnet{n}_v1s"] for n in LAYERS},
    "mobilenet_v2": mobilenet_v2,
    **{f"efficientnet_lite{n}": globals()[f"efficientnet_lite{n}"] for n in range(len(LITE))},
}


def get_backbone(name: str, **kwargs: Any) -> Backbone:
    """Build a backbone by its name in ``BACKBONES``; the other arguments are its constructor's.

    Raises:
        ValueError: if the name is unknown.
    """
    if name not in BACKBONES:
        raise ValueError(f"backbone={name!r}: expected one of {', '.join(BACKBONES)}")
    return BACKBONES[name](**kwargs)


def get_dilated_resnet(
    num_layers: int, pretrained: bool | str | os.PathLike = False, **kwargs: Any
) -> Backbone:
    """Build a dilated pre-activation ResNet with 18, 34, 50, 101 or 152 layers.

    Raises:
        ValueError: for another number of layers.
    """
    if num_layers not in LAYERS:
        raise ValueError(f"num_layers={num_layers}: expected one of {tuple(LAYERS)}")
    return BACKBONES[f"resnet{num_layers}"](pretrained=pretrained, **kwargs)


__all__ = [
    "BACKBONES",
    "Backbone",
    "BasicBlock",
    "BasicBlockV2",
    "Bottleneck",
    "BottleneckV2",
    "Dilated_ResNetV2",
    "EfficientNetLite",
    "MobileNetV2",
    "ResNetV1",
    "Stage",
    "dilated_resnet18",
    "dilated_resnet34",
    "dilated_resnet50",
    "dilated_resnet101",
    "dilated_resnet152",
    "efficientnet_lite0",
    "efficientnet_lite1",
    "efficientnet_lite2",
    "efficientnet_lite3",
    "efficientnet_lite4",
    "get_backbone",
    "get_dilated_resnet",
    "mobilenet_v2",
    "resnet18_v1b",
    "resnet18_v1s",
    "resnet34_v1b",
    "resnet34_v1s",
    "resnet50_v1b",
    "resnet50_v1s",
    "resnet101_v1b",
    "resnet101_v1s",
    "resnet152_v1b",
    "resnet152_v1s",
]
