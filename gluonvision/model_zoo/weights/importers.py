"""Load weights that other libraries wrote, with their rename rules as data.

The names here are Gluon's structural names, as in GluonCV for ResNet and as in torchvision for
MobileNetV2. A segmentation model's backbone is ``pretrained``.
"""

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from gluonvision.backend import get_parameters, parameter_shapes, set_parameters, weights_file
from gluonvision.model_zoo.weights import legacy_names, store

# DataParallel, DistributedDataParallel and torch.compile put these before every name.
_CONTAINERS = re.compile(r"^(?:module\.|_orig_mod\.)+")
# Only ResNets with a stem of three convolutions have this, as GluonCV's segmentation models do.
_DEEP_STEM = "pretrained.conv1.0.weight"
# Each rule is (pattern, replacement); a name takes the first rule whose pattern it begins with.
_TORCHVISION_SEGMENTATION = (
    (r"backbone\.", "pretrained."),
    (r"aux_classifier\.", "auxlayer.block."),
)
# timm's names within a block of EfficientNet-Lite, those of the first group separately.
_TIMM_FIRST_GROUP = (
    (r"(blocks\.0\.\d+)\.conv_dw\.", r"\1.depthwise.conv."),
    (r"(blocks\.0\.\d+)\.conv_pw\.", r"\1.project_conv."),
)
_TIMM_GROUPS = (
    (r"(blocks\.[1-6]\.\d+)\.conv_pw\.", r"\1.expand_conv."),
    (r"(blocks\.[1-6]\.\d+)\.conv_dw\.", r"\1.depthwise.conv."),
    (r"(blocks\.[1-6]\.\d+)\.conv_pwl\.", r"\1.project_conv."),
    *((rf"(blocks\.[1-6]\.\d+)\.bn{i + 1}\.", rf"\1.bn{i}.") for i in range(3)),
)
_LITE_ENDS = ((r"_fc\.", "fc."), (r"_conv_stem\.", "stem.0.conv."), (r"_bn0\.", "stem.1."))


def _flat_lite_blocks(repeats: tuple[int, ...]) -> tuple[tuple[str, str], ...]:
    """Rules for blocks that are numbered through all groups, by the groups' numbers of blocks."""
    places = [(group, block) for group, num in enumerate(repeats) for block in range(num)]
    rules = []
    for number, (group, block) in enumerate(places):
        target = f"blocks.{group}.{block}."
        rules.append((rf"_blocks\.{number}\._depthwise_conv\.", f"{target}depthwise.conv."))
        rules.append((rf"_blocks\.{number}\._", target))
    return tuple(rules)


RULES: dict[str, tuple[tuple[str, str], ...]] = {
    "gluonvision": (),
    "gluoncv segmentation": (
        (r"(conv1|bn1|layer\d)\.", r"pretrained.\1."),
        (r"head\.aspp\.concurent\.", "head.aspp.branches."),
    ),
    "mxnet zoo, ResNet V2": (
        (r"features\.0\.", "bn0."),
        (r"features\.1\.", "conv1."),
        (r"features\.2\.", "bn1."),
        *((rf"features\.{i + 4}\.", f"layer{i}.") for i in (1, 2, 3, 4)),
        (r"features\.9\.", "bn2."),
        (r"output\.", "fc."),
    ),
    "torchvision mobilenet_v2": ((r"classifier\.1\.", "classifier."),),
    "torchvision mobilenet_v2 before 0.5": (
        (r"classifier\.1\.", "classifier."),
        (r"(features\.1\.conv)\.([01])\.", r"\1.0.\2."),
        (r"(features\.1\.conv)\.3\.", r"\1.1."),
        (r"(features\.1\.conv)\.4\.", r"\1.2."),
        (r"(features\.(?!1\.)\d+\.conv)\.([01])\.", r"\1.0.\2."),
        (r"(features\.(?!1\.)\d+\.conv)\.3\.", r"\1.1.0."),
        (r"(features\.(?!1\.)\d+\.conv)\.4\.", r"\1.1.1."),
        (r"(features\.(?!1\.)\d+\.conv)\.6\.", r"\1.2."),
        (r"(features\.(?!1\.)\d+\.conv)\.7\.", r"\1.3."),
    ),
    "timm efficientnet_lite": (
        (r"conv_stem\.", "stem.0.conv."),
        (r"bn1\.", "stem.1."),
        *_TIMM_FIRST_GROUP,
        *_TIMM_GROUPS,
        (r"conv_head\.", "conv_head.0."),
        (r"bn2\.", "conv_head.1."),
        (r"classifier\.", "fc."),
    ),
    # Lite1 and Lite2 have equally many blocks.
    **{
        f"efficientnet_lite_pytorch, {names}": (
            *_LITE_ENDS,
            (r"_conv_head\.", "conv_head.0."),
            (r"_bn1\.", "conv_head.1."),
            *_flat_lite_blocks(repeats),
        )
        for names, repeats in (
            ("Lite0", (1, 2, 2, 3, 3, 4, 1)),
            ("Lite1 and Lite2", (1, 3, 3, 4, 4, 5, 1)),
            ("Lite3", (1, 3, 3, 5, 5, 6, 1)),
            ("Lite4", (1, 4, 4, 6, 6, 8, 1)),
        )
    },
    "torchvision fcn": (*_TORCHVISION_SEGMENTATION, (r"classifier\.", "head.block.")),
    "torchvision deeplabv3": (
        *_TORCHVISION_SEGMENTATION,
        (r"classifier\.0\.convs\.4\.", "head.aspp.branches.4.gap."),
        (r"classifier\.0\.convs\.", "head.aspp.branches."),
        (r"classifier\.0\.project\.", "head.aspp.project."),
        (r"classifier\.1\.", "head.block.0."),
        (r"classifier\.2\.", "head.block.1."),
        (r"classifier\.4\.", "head.block.4."),
    ),
}


def rename(
    arrays: Mapping[str, np.ndarray], rules: Iterable[tuple[str, str]]
) -> dict[str, np.ndarray]:
    """Rename arrays by a set of ``RULES``."""
    return {_renamed(name, rules): array for name, array in arrays.items()}


def _renamed(name: str, rules: Iterable[tuple[str, str]]) -> str:
    for pattern, replacement in rules:
        new, count = re.subn(rf"^{pattern}", replacement, name)
        if count:
            return new
    return name


def _without_containers(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Remove the prefixes of containers that wrapped the net when it was saved."""
    return {_CONTAINERS.sub("", name, count=1): array for name, array in arrays.items()}


def _gluon_norms(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Rename the parameters of torch's batch norms to Gluon's names."""
    norms = {n.removesuffix("running_mean") for n in arrays if n.endswith("running_mean")}
    renamed = {}
    for name, array in arrays.items():
        prefix, dot, kind = name.rpartition(".")
        if kind == "num_batches_tracked":
            continue
        if prefix + dot in norms:
            kind = {"weight": "gamma", "bias": "beta"}.get(kind, kind)
        renamed[prefix + dot + kind] = array
    return renamed


def convert(
    arrays: Mapping[str, np.ndarray], wanted: Mapping[str, tuple[int, ...]]
) -> dict[str, np.ndarray]:
    """Rename arrays by the rules that match the most of a model's names.

    Args:
        arrays: a file's arrays by name.
        wanted: the model's shapes by name.
    """
    arrays = legacy_names.structural(_gluon_norms(_without_containers(arrays)), wanted)
    candidates = [rename(arrays, rules) for rules in RULES.values()]
    return max(candidates, key=lambda renamed: len(renamed.keys() & wanted.keys()))


def load_weights(
    net: Any,
    path: str | os.PathLike,
    *,
    allow_missing: bool = False,
    ignore_extra: bool = False,
    unused: tuple[str, ...] = (),
    name: str | None = None,
    new_classifier: bool = False,
) -> None:
    """Load a weights file of this library or another one into a model.

    Args:
        net: the model.
        path: the file; its content decides its format.
        allow_missing: accept a file that lacks some of the model's names.
        ignore_extra: accept a file with names that the model lacks.
        unused: prefixes of names that the file may have without the model having them.
        name: the model's name, for the error message.
        new_classifier: keep the model's own values for layers that differ from the file only in
            their number of outputs.

    Raises:
        ValueError: if the file does not fit. The message lists the names that are missing, extra
            or of another shape, and the model is unchanged.
    """
    wanted = parameter_shapes(net)
    arrays = convert(weights_file.read(path), wanted)
    arrays = {n: a for n, a in arrays.items() if n in wanted or not n.startswith(unused)}
    if new_classifier:
        own = get_parameters(net)
        arrays = {
            n: own[n] if _has_other_outputs(a, wanted.get(n)) else a for n, a in arrays.items()
        }
    source = f"the weights of {name} in {path}" if name else f"the weights in {path}"
    if _DEEP_STEM in arrays.keys() - wanted.keys():
        source += " (of a backbone such as resnet50_v1s, which GluonCV calls resnet50)"
    set_parameters(net, arrays, allow_missing, ignore_extra, source)


def _has_other_outputs(array: np.ndarray, wanted: tuple[int, ...] | None) -> bool:
    shape = array.shape
    return wanted is not None and shape[:1] != wanted[:1] and shape[1:] == wanted[1:]


def find_pretrained(
    name: str, pretrained: bool | str | os.PathLike, root: str | os.PathLike | None = None
) -> str | os.PathLike | None:
    """Return the weights file that a constructor's argument ``pretrained`` asks for.

    Call it before building the model, so that a name without weights fails immediately.

    Args:
        name: the model's name.
        pretrained: True for its published weights, a path for that file, or False for none.
        root: folder of the weights; see ``weights_folder``.
    """
    if not pretrained:
        return None
    if isinstance(pretrained, str | os.PathLike):
        return pretrained
    return store.find_weights(name, root).path
