"""Backbones: constructors by name, and ``get_backbone`` for the segmentation models."""

import functools

from gluonvision.backend import init, initialize
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
from gluonvision.model_zoo.importers import find_pretrained, load_weights
from gluonvision.model_zoo.registry import register_model

# What a file has of a classifier that a backbone may go without, the last two by legacy names.
_CLASSIFIER = ("fc.", "bn2.", "classifier.", "features.18.", "dense0_", "batchnorm2_", "conv_head.")

_DOC = """{title}.

``pretrained=True`` loads ImageNet weights from the store in ``root``, a string those of that file;
otherwise the weights are drawn by He's rule. ``dilated=True`` is short for ``output_stride=8``.
Other arguments are those of ``{builder}``; ``classes=None`` leaves the classifier out.
"""


def _build(builder, name, pretrained=False, root=None, ctx=None, dilated=None, **kwargs):
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


def _constructor(name, title, builder):
    def construct(pretrained=False, root=None, ctx=None, **kwargs):
        return _build(builder, name, pretrained, root, ctx, **kwargs)

    construct.__name__ = construct.__qualname__ = name
    construct.__doc__ = _DOC.format(title=title, builder=getattr(builder, "func", builder).__name__)
    return register_model(construct)


def _resnet(cls, basic, bottleneck, num_layers, **kwargs):
    block = basic if num_layers < 50 else bottleneck
    return functools.partial(cls, block, LAYERS[num_layers], **kwargs)


def _resnet_v2(num_layers):
    return _constructor(
        f"dilated_resnet{num_layers}",
        f"Dilated pre-activation ResNet with {num_layers} layers (output stride 8)",
        _resnet(Dilated_ResNetV2, BasicBlockV2, BottleneckV2, num_layers),
    )


def _resnet_v1(num_layers, suffix, **kwargs):
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

# What ``backbone='resnet50'`` and its like mean to a segmentation model.
BACKBONES = {
    **{f"resnet{n}": globals()[f"dilated_resnet{n}"] for n in LAYERS},
    **{f"resnet{n}_v1b": globals()[f"resnet{n}_v1b"] for n in LAYERS},
    **{f"resnet{n}_v1s": globals()[f"resnet{n}_v1s"] for n in LAYERS},
    "mobilenet_v2": mobilenet_v2,
    **{f"efficientnet_lite{n}": globals()[f"efficientnet_lite{n}"] for n in range(len(LITE))},
}


def get_backbone(name: str, **kwargs) -> Backbone:
    """A backbone by the name that segmentation models use; an unknown one is a ValueError."""
    if name not in BACKBONES:
        raise ValueError(f"backbone={name!r}: expected one of {', '.join(BACKBONES)}")
    return BACKBONES[name](**kwargs)


def get_dilated_resnet(num_layers: int, pretrained: bool | str = False, **kwargs) -> Backbone:
    """A dilated pre-activation ResNet by its number of layers: 18, 34, 50, 101 or 152."""
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
