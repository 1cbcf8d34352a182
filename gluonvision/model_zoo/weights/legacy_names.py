"""Names in Gluon's files before 1.3: 'stage1_conv3_weight' instead of a structural name.

They number the layers of a kind within a scope, in the order in which they were built. The blocks
here are built in the same order, so the numbers identify them.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np

# A scope is a stage ('stage1' in MXNet's zoo, 'layers1' in GluonCV's), a stage's shortcut in
# GluonCV's ('down1'), or the net itself. The prefix of the net may precede it.
_LEGACY = re.compile(
    r"(?:(stage|layers|down)(\d)_)?(batchnorm|conv|dense)(\d+)"
    r"_(weight|bias|gamma|beta|running_mean|running_var)$"
)
_STAGE = re.compile(r"layer(\d)")
_SHORTCUT = re.compile(r"layer\d\.0\.downsample\.\d")
# Whether it is a shortcut's, the stage's number if any, and the kind of layer.
_Scope: TypeAlias = tuple[bool, str | None, str]


def structural(
    arrays: Mapping[str, np.ndarray], wanted: Mapping[str, tuple[int, ...]]
) -> Mapping[str, np.ndarray]:
    """Rename arrays from legacy to structural names; other names stay.

    Args:
        arrays: a file's arrays by name. A layer that the model lacks keeps its legacy name,
            without the prefix of the net.
        wanted: the model's shapes by structural name.
    """
    if any("." in name for name in arrays):
        return arrays
    layers = _layers_in_order(wanted)
    return {_structural(name, layers): array for name, array in arrays.items()}


def _structural(name: str, layers: Mapping[_Scope, list[str]]) -> str:
    match = _LEGACY.search(name)
    if match is None:
        return name
    scope, stage, kind, number, parameter = match.groups()
    paths = layers[scope == "down", stage, kind]
    return f"{paths[int(number)]}.{parameter}" if int(number) < len(paths) else match[0]


def _layers_in_order(wanted: Mapping[str, tuple[int, ...]]) -> Mapping[_Scope, list[str]]:
    """Return the paths of a model's layers in each scope, in the order of building."""
    layers: defaultdict[_Scope, list[str]] = defaultdict(list)
    seen: set[str] = set()
    for name, shape in wanted.items():
        path = name.rpartition(".")[0]
        if path not in seen:
            seen.add(path)
            stage = _STAGE.match(path)
            scope = (bool(_SHORTCUT.match(path)), stage and stage[1], _kind(name, shape))
            layers[scope].append(path)
    return layers


def _kind(name: str, shape: tuple[int, ...]) -> str:
    if name.rpartition(".")[2] in ("gamma", "beta", "running_mean", "running_var"):
        return "batchnorm"
    return "conv" if len(shape) == 4 else "dense"
