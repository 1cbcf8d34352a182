"""The published models: one constructor for every (model, backbone, data set) with weights."""

from gluonvision.data.meta import get_meta
from gluonvision.model_zoo.importers import load_pretrained
from gluonvision.model_zoo.registry import register_model

_DATASETS = {"voc": "pascal_voc", "coco": "coco", "ade": "ade20k", "citys": "citys"}
_DOC = """{model} on {backbone}, trained on {dataset} ({nclass} classes), as GluonCV publishes it.

``pretrained=True`` loads those weights from the store in ``root``, a string those of that file;
otherwise ``pretrained_base=True`` loads the backbone's. Other arguments are those of ``{model}``.
"""


def register_published(model, prefix, variants):
    """Register ``prefix_backbone_dataset`` for every 'backbone_dataset' of ``variants``.

    Backbones are ResNet V1s, which the published weights have.
    """
    for variant in variants:
        backbone, dataset = variant.split("_")
        _register(model, f"{prefix}_{variant}", f"{backbone}_v1s", _DATASETS[dataset])


def _register(model, name, default_backbone, dataset):
    meta_classes = len(get_meta(dataset).classes)

    def construct(
        pretrained=False,
        pretrained_base=False,
        nclass=meta_classes,
        backbone=default_backbone,
        root=None,
        ctx=None,
        **kwargs,
    ):
        base = pretrained_base and not pretrained
        net = model(nclass, backbone, pretrained_base=base, root=root, **kwargs)
        if pretrained:
            load_pretrained(net, name, pretrained, root, unused=("auxlayer.",))
        if ctx is not None:
            net.collect_params().reset_ctx(ctx)
        return net

    construct.__name__ = construct.__qualname__ = name
    construct.__doc__ = _DOC.format(
        model=model.__name__, backbone=default_backbone, dataset=dataset, nclass=meta_classes
    )
    register_model(construct)
