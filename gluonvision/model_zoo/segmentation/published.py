"""Published models: a constructor for each (model, backbone, data set) that has weights."""

import os
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from gluonvision.backend.types import Device
from gluonvision.data.meta import get_meta
from gluonvision.model_zoo.registry import register_model
from gluonvision.model_zoo.segmentation.segbase import SegBaseModel
from gluonvision.model_zoo.weights.importers import find_pretrained, load_weights

# A subclass of SegBaseModel: its constructor takes nclass first.
_Model: TypeAlias = Callable[..., SegBaseModel]
# The data sets, under the names that GluonCV's model names end with.
_DATASETS = {
    "voc": "pascal_voc",
    "coco": "coco",
    "ade": "ade20k",
    "citys": "citys",
    "camvid": "camvid",
}
_DOC = """{model} on {backbone}, trained by {publisher} on {dataset} ({nclass} classes).

Args:
    pretrained: True loads the published weights, a path loads that file.
    pretrained_base: the same for the backbone's weights; ignored with ``pretrained``.
    nclass: number of classes.
    backbone: name of the backbone.
    root: folder of the weights; see ``weights_folder``.
    ctx: the device; the CPU if None.
    kwargs: other arguments of ``{model}``.
"""


def register_gluoncv(model: _Model, prefix: str, variants: Iterable[str]) -> None:
    """Register ``prefix_resnetN_dataset``, on ResNet V1s, for every 'resnetN_dataset'."""
    for variant in variants:
        backbone, dataset = variant.split("_")
        _register(model, f"{prefix}_{variant}", f"{backbone}_v1s", dataset, "GluonCV")


def register_torchvision(model: _Model, prefix: str, backbones: Iterable[str]) -> None:
    """Register ``prefix_backbone_coco`` for every backbone, with ``align_corners=False``."""
    for backbone in backbones:
        name = f"{prefix}_{backbone}_coco"
        _register(model, name, backbone, "coco", "torchvision", align_corners=False)


def register_own(model: _Model, name: str, backbone: str, dataset: str, **defaults: Any) -> None:
    """Register a model whose weights come with the package; ``defaults`` are its own arguments."""
    _register(model, name, backbone, dataset, "this project", **defaults)


def _register(
    model: _Model,
    name: str,
    default_backbone: str,
    dataset: str,
    publisher: str,
    **defaults: Any,
) -> None:
    dataset = _DATASETS[dataset]
    num_class = get_meta(dataset).num_class

    def construct(
        pretrained: bool | str | os.PathLike = False,
        pretrained_base: bool | str | os.PathLike = False,
        nclass: int = num_class,
        backbone: str = default_backbone,
        root: str | os.PathLike | None = None,
        ctx: Device | None = None,
        **kwargs: Any,
    ) -> SegBaseModel:
        path = find_pretrained(name, pretrained, root)
        base = pretrained_base if path is None else False
        net = model(nclass, backbone, pretrained_base=base, root=root, **(defaults | kwargs))
        if path is not None:
            load_weights(net, path, unused=("auxlayer.",), name=name)
        if ctx is not None:
            net.collect_params().reset_ctx(ctx)
        return net

    construct.__name__ = construct.__qualname__ = name
    construct.__doc__ = _DOC.format(
        model=model.__name__,
        backbone=default_backbone,
        dataset=dataset,
        nclass=num_class,
        publisher=publisher,
    )
    construct.dataset = dataset  # type: ignore[attr-defined]  # read by dataset_of
    register_model(construct)
