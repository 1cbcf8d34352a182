"""Names of Gluon's files before 1.3: 'stage1_conv3_weight' instead of a structural name.

They count the layers of a kind within a scope in the order in which they were built. The blocks
of ``Dilated_ResNetV2`` are built in that order too, which is what makes the names readable.
"""

import re
from collections import defaultdict
from collections.abc import Mapping

import numpy as np

_LEGACY = re.compile(r"(?:.*?_)?(?:stage(\d)_)?(batchnorm|conv|dense)(\d+)_(\w+)$")


def structural(
    arrays: Mapping[str, np.ndarray], wanted: Mapping[str, tuple]
) -> Mapping[str, np.ndarray]:
    """The arrays by structural name where their names are legacy ones, else as they are."""
    if not arrays or any("." in name for name in arrays):
        return arrays
    layers = _layers_in_order(wanted)
    renamed = {}
    for name, array in arrays.items():
        match = _LEGACY.match(name)
        found = match and layers.get((match[1] or "", match[2]), {}).get(int(match[3]))
        renamed[f"{found}.{match[4]}" if found else name] = array
    return renamed


def _layers_in_order(wanted):
    """(stage, kind) to {count: path} of a model's layers, in the order they were built."""
    layers = defaultdict(dict)
    seen = set()
    for name, shape in wanted.items():
        path = name.rpartition(".")[0]
        if path in seen:
            continue
        seen.add(path)
        stage = re.match(r"layer(\d)", path)
        kind = _kind(name, shape)
        counted = layers[stage[1] if stage else "", kind]
        counted[len(counted)] = path
    return layers


def _kind(name, shape):
    if name.rpartition(".")[2] in ("gamma", "beta", "running_mean", "running_var"):
        return "batchnorm"
    return "conv" if len(shape) == 4 else "dense"
