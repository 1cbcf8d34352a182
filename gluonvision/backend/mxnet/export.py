"""Export a net to files that run without this package: MXNet's symbol and parameters."""

import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import mxnet as mx
import numpy as np

from gluonvision.backend.export_formats import GRAPH_FORMATS

# The formats that this backend writes, each with its file suffix.
EXPORT_FORMATS = GRAPH_FORMATS["mxnet"]
INPUT = "data"


def write_graph(
    net: Any,
    format: str,
    path: Path,
    example: np.ndarray,
    axes: Mapping[int, str],
    metadata: Mapping[str, str],
    opset: int | None = None,
) -> None:
    """Write ``net``, in evaluation mode, as a symbol and its ``*-0000.params`` next to it.

    Args:
        net: the net.
        format: one of ``EXPORT_FORMATS``.
        path: the symbol's file.
        example: an input of the net.
        axes: ignored, because all axes of a symbol are dynamic.
        metadata: attributes of the symbol.
        opset: must be None.

    Raises:
        ValueError: if ``opset`` is given.
    """
    if opset is not None:
        raise ValueError(f"opset={opset}: MXNet's symbols have no opset; leave it out")
    net.hybridize()
    with mx.autograd.pause(train_mode=False), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the output does not use an auxiliary head
        net(mx.nd.array(example, dtype=example.dtype))
        net.export(_stem(path), epoch=0)
    net.hybridize(False)
    symbol = json.loads(path.read_text())
    symbol["attrs"] |= {name: ["str", text] for name, text in metadata.items()}
    path.write_text(json.dumps(symbol, indent=2))


def read_graph(format: str, path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Read the files of ``write_graph`` as a function from array to array, on the CPU."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = mx.gluon.SymbolBlock.imports(str(path), [INPUT], f"{_stem(path)}-0000.params")
    return lambda array: net(mx.nd.array(array, dtype=array.dtype)).asnumpy()


def _stem(path: Path) -> str:
    return str(path).removesuffix(EXPORT_FORMATS["mxnet"])
