"""Names of Gluon's files before 1.3: 'stage1_conv3_weight' instead of a structural name.

They count the layers of a kind within a scope, in the order in which they were built. The blocks
here are built in that order too, which is what makes the names readable.
"""

import re
from collections import defaultdict
from collections.abc import Mapping

import numpy as np

# A scope is a stage ('stage1' in MXNet's zoo, 'layers1' in GluonCV's), a stage's shortcut in
# GluonCV's ('down1'), or the net itself; before it may stand the prefix of the net.
_LEGACY = re.compile(
    r"(?:(stage|layers|down)(\d)_)?(batchnorm|conv|dense)(\d+)"
    r"_(weight|bias|gamma|beta|running_mean|running_var)$"
)
_STAGE = re.compile(r"layer(\d)")
_SHORTCUT = re.compile(r"layer\d\.0\.downsample\.\d")


def structural(
    arrays: Mapping[str, np.ndarray], wanted: Mapping[str, tuple]
) -> Mapping[str, np.ndarray]:
    """The arrays by structural name where their names are legacy ones, else as they are.

    A layer that is not ``wanted`` keeps its legacy name, less the prefix of the net.
    """
    if any("." in name for name in arrays):
        return arrays
    layers = _layers_in_order(wanted)
    return {_structural(name, layers): array for name, array in arrays.items()}


def _structural(name, layers):
    match = _LEGACY.search(name)
    if match is None:
        return name
    scope, stage, kind, number, what = match.groups()
    paths = layers[scope == "down", stage, kind]
    return f"{paths[int(number)]}.{what}" if int(number) < len(paths) else match[0]


def _layers_in_order(wanted):
    """The paths of a model's layers by (in a shortcut?, stage, kind), in the order of building."""
    layers = defaultdict(list)
    seen = set()
    for name, shape in wanted.items():
        path = name.rpartition(".")[0]
        if path not in seen:
            seen.add(path)
            stage = _STAGE.match(path)
            scope = (bool(_SHORTCUT.match(path)), stage and stage[1], _kind(name, shape))
            layers[scope].append(path)
    return layers


def _kind(name, shape):
    if name.rpartition(".")[2] in ("gamma", "beta", "running_mean", "running_var"):
        return "batchnorm"
    return "conv" if len(shape) == 4 else "dense"
