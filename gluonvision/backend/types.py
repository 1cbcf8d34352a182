"""Names for types that differ between the two backends.

A model is written once and runs on both, so these stand for ``Any``: they tell the reader what a
function takes, but a type checker does not compare them.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

# A torch.Tensor; under MXNet an NDArray, or a Symbol while a hybridized net is traced.
Array: TypeAlias = Any

# What an Array can be made from: a NumPy array, nested lists of numbers, or an Array.
ArrayLike: TypeAlias = Any

# A torch.device or an mxnet.Context.
Device: TypeAlias = Any

# The operators that ``hybrid_forward`` takes as ``F``: backend/torch/functional.py, or MXNet's
# mx.nd or mx.sym.
Operators: TypeAlias = Any

# Builds a normalization layer, as in ``norm_layer(in_channels=64)``: nn.BatchNorm,
# nn.SyncBatchNorm, or either with arguments bound by functools.partial.
NormLayer: TypeAlias = Callable[..., Any]
