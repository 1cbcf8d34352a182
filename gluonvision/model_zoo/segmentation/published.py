"""The published models: one constructor for every (model, backbone, data set) with weights."""

from gluonvision.data.meta import get_meta
from gluonvision.model_zoo.registry import register_model
from gluonvision.model_zoo.weights.importers import find_pretrained, load_weights

_DATASETS = {
    "voc": "pascal_voc",
    "coco": "coco",
    "ade": "ade20k",
    "citys": "citys",
    "camvid": "camvid",
}
_DOC = """{model} on {backbone}, trained by {publisher} on {dataset} ({nclass} classes).

``pretrained=True`` loads those weights from the store in ``root``, a string those of that file;
otherwise ``pretrained_base=True`` loads the backbone's. Other arguments are those of ``{model}``.
"""


def register_gluoncv(model, prefix, variants):
    """Register ``prefix_resnetN_dataset``, on ResNet V1s, for every 'resnetN_dataset'."""
    for variant in variants:
        backbone, dataset = variant.split("_")
        _register(model, f"{prefix}_{variant}", f"{backbone}_v1s", dataset, "GluonCV")


def register_torchvision(model, prefix, backbones):
    """Register ``prefix_backbone_coco`` for every backbone; its logits are resized unaligned."""
    for backbone in backbones:
        name = f"{prefix}_{backbone}_coco"
        _register(model, name, backbone, "coco", "torchvision", align_corners=False)


def register_own(model, name, backbone, dataset, **defaults):
    """Register a model whose weights come with the package, with its constructor's defaults."""
    _register(model, name, backbone, dataset, "this project", **defaults)


def _register(model, name, default_backbone, dataset, publisher, **defaults):
    dataset = _DATASETS[dataset]
    num_class = get_meta(dataset).num_class

    def construct(
        pretrained=False,
        pretrained_base=False,
        nclass=num_class,
        backbone=default_backbone,
        root=None,
        ctx=None,
        **kwargs,
    ):
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
    construct.dataset = dataset  # type: ignore[attr-defined]
    register_model(construct)
