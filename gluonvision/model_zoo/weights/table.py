"""The published weights of each model as data: file, mirrors, checksum, licence and score.

Checksums come from the model stores of GluonCV and MXNet, from the file names of torchvision and
timm (whose last 8 digits begin the SHA256), and from the file pages of the Hugging Face hub. Scores
are as published. Each licence is that of the project that publishes the file. The data sets' terms
of use apply as well; ImageNet's, for example, permit research but no commercial use.
"""

import os
from dataclasses import dataclass
from pathlib import PurePath

# One bucket under two names, since its acceleration can be switched off, and its copy in China.
MXNET_REPOSITORIES = (
    "https://apache-mxnet.s3-accelerate.dualstack.amazonaws.com/",
    "https://apache-mxnet.s3.amazonaws.com/",
    "https://apache-mxnet.s3.cn-north-1.amazonaws.com.cn/",
)


@dataclass(frozen=True)
class Score:
    """A published result in percent; ``metric`` is "top-1" or "mIoU"."""

    value: float
    metric: str
    data: str
    source: str


@dataclass(frozen=True)
class Weights:
    """A published file; ``checksum`` is that of the file itself, not of the zip around it."""

    file: str
    format: str
    checksum: str | None
    mirrors: tuple[str, ...]
    licence: str
    score: Score | None = None

    @property
    def archive(self) -> str | None:
        """The name of the zip that contains the file, or None."""
        in_zip = self.format in ("gluoncv", "mxnet-zoo")
        return str(PurePath(self.file).with_suffix(".zip")) if in_zip else None

    def urls(self) -> tuple[str, ...]:
        """Return the URLs to try; MXNET_GLUON_REPO replaces MXNet's bucket, as in MXNet."""
        repository = os.environ.get("MXNET_GLUON_REPO")
        if self.archive is None or not repository:
            return self.mirrors
        return (f"{repository.rstrip('/')}/gluon/models/{self.archive}",)


def _score(value: float | None, metric: str, data: str, source: str) -> Score | None:
    return None if value is None else Score(value, metric, data, source)


def _params(model: str, sha1: str, format: str, score: Score | None) -> Weights:
    """Describe a zipped file of MXNet or GluonCV, named by the first 8 digits of its SHA1."""
    stem = f"{model}-{sha1[:8]}"
    mirrors = tuple(f"{host}gluon/models/{stem}.zip" for host in MXNET_REPOSITORIES)
    return Weights(f"{stem}.params", format, f"sha1:{sha1}", mirrors, "Apache-2.0", score)


def _own(file: str, sha256: str, licence: str, score: Score) -> Weights:
    """Describe a file that comes with the package."""
    return Weights(file, "gluonvision", f"sha256:{sha256}", (), licence, score)


def _torchvision(file: str, score: Score) -> Weights:
    """Describe a torchvision file, whose name ends with the first 8 digits of its SHA256."""
    digits = file.rsplit("-", 1)[1].removesuffix(".pth")
    url = f"https://download.pytorch.org/models/{file}"
    return Weights(file, "torchvision", f"sha256:{digits}", (url,), "BSD-3-Clause", score)


def _timm(model: str, sha256: str | None, release: str, top1: float) -> tuple[Weights, ...]:
    """Describe timm's port of GluonCV's weights, on the Hugging Face hub and in a GitHub release.

    ``sha256`` is None where the hub's page gave none; then only HTTPS protects the file.
    """
    score = _score(top1, "top-1", "ImageNet-1k val", "timm, documentation of its Gluon ResNets")
    hub = f"https://huggingface.co/timm/{model}/resolve/main/model.safetensors"
    github = (
        "https://github.com/rwightman/pytorch-pretrained-gluonresnet/releases/download/v0.1/"
        f"{release}"
    )
    digits = release.rsplit("-", 1)[1].removesuffix(".pth")
    known = sha256 and f"sha256:{sha256}"
    return (
        Weights(f"{model}.safetensors", "timm", known, (hub,), "Apache-2.0", score),
        Weights(release, "timm", f"sha256:{digits}", (github,), "Apache-2.0", score),
    )


_GLUONCV_IMAGENET = "GluonCV, docs/model_zoo/csv_tables/Classifications/ResNet.csv"
_TORCHVISION = "torchvision, weights' metadata"

# depth: SHA1, top-1 (GluonCV lists the same files as ResNet<depth>_v2)
_V2 = {
    18: ("a81db45fd7b7a2d12ab97cd88ef0a5ac48b8f657", 71.00),
    34: ("9d6b80bbc35169de6b6edecffdd6047c56fdd322", 74.40),
    50: ("ecdde35339c1aadbec4f547857078e734a76fb49", 77.11),
    101: ("18e93e4f48947e002547f50eabbcc9c83e516aa6", 78.53),
    152: ("f2695542de38cf7e71ed58f02893d82bb409415e", 79.21),
}
# name: SHA1, top-1 (GluonCV's tables have none of the V1s)
_V1 = {
    "resnet18_v1b": ("2d9d980c990442f826f20781ed039851e78dabe3", 70.94),
    "resnet34_v1b": ("8e16b84814e84f64d897854003f049872991eaa6", 74.65),
    "resnet50_v1b": ("0ecdba34691be172036ddf244ff1b2eade75ffde", 77.67),
    "resnet101_v1b": ("a455932aa95cb7dcfa05fd040b9b5a5660733c39", 79.20),
    "resnet152_v1b": ("a5a61ee1ce5ab7c09720775b223360f3c60e211d", 79.69),
    "resnet50_v1s": ("25a187fa281ddc98afbcd0cc0f0646885b874b80", None),
    "resnet101_v1s": ("bd93a83c05f709a803b1221aeff0b028e6eebb03", None),
    "resnet152_v1s": ("cf74621d988ad06c6c6aa44f5597e5b600a966cc", None),
}
# name: timm's model, SHA256 on the hub, GitHub release, top-1
_V1_TIMM = {
    "resnet18_v1b": (
        "resnet18.gluon_in1k",
        "6991fcc0c58379a8496f6273b2f211e492f6af6494041fded649a482772ad2bf",
        "gluon_resnet18_v1b-0757602b.pth",
        70.84,
    ),
    "resnet34_v1b": ("resnet34.gluon_in1k", None, "gluon_resnet34_v1b-c6d82d59.pth", 74.59),
    "resnet50_v1b": ("resnet50.gluon_in1k", None, "gluon_resnet50_v1b-0ebe02e2.pth", 77.58),
    "resnet101_v1b": ("resnet101.gluon_in1k", None, "gluon_resnet101_v1b-3b017079.pth", 79.30),
    "resnet152_v1b": ("resnet152.gluon_in1k", None, "gluon_resnet152_v1b-c1edb0dd.pth", 79.69),
    "resnet50_v1s": ("resnet50s.gluon_in1k", None, "gluon_resnet50_v1s-1762acc0.pth", 78.70),
    "resnet101_v1s": (
        "resnet101s.gluon_in1k",
        "71b3a168cb34fe67abf5e19d1f80f7f893675d7ef7006b6561f2e536cb07b924",
        "gluon_resnet101_v1s-60fe0cc1.pth",
        80.29,
    ),
    "resnet152_v1s": ("resnet152s.gluon_in1k", None, "gluon_resnet152_v1s-dcc41b81.pth", 81.02),
}
# name: file, top-1. torchvision's own training of the same architecture, so they come last.
_TORCHVISION_BACKBONES = {
    "resnet18_v1b": ("resnet18-f37072fd.pth", 69.758),
    "resnet34_v1b": ("resnet34-b627a593.pth", 73.314),
    "resnet50_v1b": ("resnet50-0676ba61.pth", 76.130),
    "resnet101_v1b": ("resnet101-63fe2227.pth", 77.374),
    "resnet152_v1b": ("resnet152-394f9c45.pth", 78.312),
    "mobilenet_v2": ("mobilenet_v2-b0353104.pth", 71.878),
}
# name: timm's release, top-1. TensorFlow's own weights, as timm ported them.
_EFFICIENTNET_LITE = {
    "efficientnet_lite0": ("tf_efficientnet_lite0-0aa007d2.pth", 75.1),
    "efficientnet_lite1": ("tf_efficientnet_lite1-bde8b488.pth", 76.7),
    "efficientnet_lite2": ("tf_efficientnet_lite2-dcccb7df.pth", 77.6),
    "efficientnet_lite3": ("tf_efficientnet_lite3-b733e338.pth", 79.8),
    "efficientnet_lite4": ("tf_efficientnet_lite4-741542c3.pth", 81.5),
}
# name: SHA1, mIoU
_GLUONCV_SEGMENTATION = {
    "fcn_resnet101_coco": ("766cdf9cc3e5b980b141643f054db5b48863f634", 66.2),
    "fcn_resnet101_voc": ("12c2b9b3be7d4e133e52477150a9b3e616626a82", 83.6),
    "fcn_resnet50_ade": ("3479525af7bdbf345e74e150aaae2e48174c0c5f", 39.5),
    "fcn_resnet101_ade": ("d544440a35586f662ed1a5405ab9aa89cd750558", 41.6),
    "psp_resnet101_coco": ("09f89cad0e107cb2bffdb1b07706ba31798096f2", 70.4),
    "psp_resnet101_voc": ("2c2f4e1c2b11461b52598a4b2038bccbcfc166eb", 85.1),
    "psp_resnet50_ade": ("3f220f537400dfa607c3d041ed3b172db39b0b01", 41.5),
    "psp_resnet101_ade": ("240a4758b506447faf7c55cd7a7837d66f5039a6", 43.3),
    "psp_resnet101_citys": ("d0e8603120ab02118a8973d52a26b8296d1b4078", 79.9),
    "deeplab_resnet101_coco": ("ed817f76086abb4c3404af62ec1b5487c67642b7", 70.4),
    "deeplab_resnet101_voc": ("311ed22c63f3ac28b5f1e1663c458f26600e62da", 86.2),
    "deeplab_resnet152_coco": ("83247aaeeded6988790cd93ac93151514094846f", None),
    "deeplab_resnet152_voc": ("d35bea8817935d1ab310ef1e6dd06bb18c2d5f0d", 86.7),
    "deeplab_resnet50_ade": ("c7789b237adc7253405bee57c84d53b15db45942", 42.5),
    "deeplab_resnet101_ade": ("bf1584dfcec12063eff3075ee643e181c0f6d443", 44.1),
    "deeplab_resnet50_citys": ("cf6a7bb3d55360933de647a8505f7936003902a4", 78.7),
    "deeplab_resnet101_citys": ("eb8477a91efc244c85b364c0736664078aaf0e65", 79.4),
}
# data set in the name: data that the score was measured on, table in GluonCV's documentation
_SEGMENTATION_DATA = {
    "coco": ("COCO val2017, the VOC classes", "SS_MS-COCO"),
    "voc": ("VOC2012 test", "SS_Pascal-VOC"),
    "ade": ("ADE20K val", "SS_ADE20K"),
    "citys": ("Cityscapes val", "SS_Cityscapes"),
}
# torchvision's models have a dilated V1b and were trained on COCO with the VOC classes
_TORCHVISION_SEGMENTATION = {
    "fcn_resnet50_v1b_coco": ("fcn_resnet50_coco-1167a1af.pth", 60.5),
    "fcn_resnet101_v1b_coco": ("fcn_resnet101_coco-7ecb50ca.pth", 63.7),
    "deeplab_resnet50_v1b_coco": ("deeplabv3_resnet50_coco-cd0a2569.pth", 66.4),
    "deeplab_resnet101_v1b_coco": ("deeplabv3_resnet101_coco-586e9e4e.pth", 67.4),
}
# GluonCV has these models, but no weights of them were published
UNPUBLISHED = ("resnet18_v1s", "resnet34_v1s", "fcn_resnet50_voc")


def _dilated(depth: int) -> tuple[Weights, ...]:
    sha1, top1 = _V2[depth]
    score = _score(top1, "top-1", "ImageNet-1k val", _GLUONCV_IMAGENET)
    return (_params(f"resnet{depth}_v2", sha1, "mxnet-zoo", score),)


def _v1(name: str) -> tuple[Weights, ...]:
    sha1, top1 = _V1[name]
    score = _score(top1, "top-1", "ImageNet-1k val", _GLUONCV_IMAGENET)
    other = _torchvision_backbone(name) if name in _TORCHVISION_BACKBONES else ()
    return (_params(name, sha1, "gluoncv", score), *_timm(*_V1_TIMM[name]), *other)


def _torchvision_backbone(name: str) -> tuple[Weights, ...]:
    file, top1 = _TORCHVISION_BACKBONES[name]
    return (_torchvision(file, Score(top1, "top-1", "ImageNet-1k val", _TORCHVISION)),)


def _efficientnet_lite(name: str) -> tuple[Weights, ...]:
    release, top1 = _EFFICIENTNET_LITE[name]
    score = _score(top1, "top-1", "ImageNet-1k val", "EfficientNet-Lite, release notes")
    hub = f"https://huggingface.co/timm/tf_{name}.in1k/resolve/main/model.safetensors"
    github = "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/"
    digits = release.rsplit("-", 1)[1].removesuffix(".pth")
    return (
        Weights(release, "timm", f"sha256:{digits}", (github + release,), "Apache-2.0", score),
        Weights(f"tf_{name}.in1k.safetensors", "timm", None, (hub,), "Apache-2.0", score),
    )


def _gluoncv_segmentation(name: str) -> tuple[Weights, ...]:
    sha1, miou = _GLUONCV_SEGMENTATION[name]
    data, table = _SEGMENTATION_DATA[name.rsplit("_", 1)[1]]
    source = f"GluonCV, docs/model_zoo/csv_tables/Segmentations/{table}.csv"
    return (_params(name, sha1, "gluoncv", _score(miou, "mIoU", data, source)),)


def _torchvision_segmentation(name: str) -> tuple[Weights, ...]:
    file, miou = _TORCHVISION_SEGMENTATION[name]
    data = _SEGMENTATION_DATA["coco"][0]
    return (_torchvision(file, Score(miou, "mIoU", data, _TORCHVISION)),)


# model: its files, best first
BACKBONES: dict[str, tuple[Weights, ...]] = {
    **{f"dilated_resnet{depth}": _dilated(depth) for depth in _V2},
    **{name: _v1(name) for name in _V1},
    "mobilenet_v2": _torchvision_backbone("mobilenet_v2"),
    **{name: _efficientnet_lite(name) for name in _EFFICIENTNET_LITE},
}
SEGMENTATION: dict[str, tuple[Weights, ...]] = {
    **{name: _gluoncv_segmentation(name) for name in _GLUONCV_SEGMENTATION},
    **{name: _torchvision_segmentation(name) for name in _TORCHVISION_SEGMENTATION},
    "deeplabv3plus_mobilenet_v2_camvid": (
        _own(
            "deeplabv3plus_mobilenet_v2_camvid.params",
            "42582e1a1a36370f64a5c4c6c42a82cdf423ba68e9e4c9f27d6627ed548b770a",
            "Apache-2.0; the data, CamVid, is for research only",
            Score(74.6, "mIoU", "CamVid val, 480x360", "its card, next to the file"),
        ),
    ),
}
# the backbone's short name and its name in MXNet: its name here
ALIASES: dict[str, str] = {
    f"resnet{depth}{suffix}": f"dilated_resnet{depth}" for depth in _V2 for suffix in ("", "_v2")
}
