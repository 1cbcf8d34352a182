"""A net as files that run without this package: MXNet's symbol and parameters."""

import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import mxnet as mx
import numpy as np

# What can be written, and how its file's name ends; the parameters lie beside the symbol.
EXPORT_FORMATS = {"mxnet": "-symbol.json"}
INPUT = "data"


def write_graph(
    net,
    format: str,
    path: Path,
    example: np.ndarray,
    axes: Mapping[int, str],
    facts: Mapping[str, str],
    opset: int | None = None,
) -> None:
    """Write ``net``, in evaluation mode, to ``path`` and, beside it, its ``*-0000.params``.

    ``example``: an input of the net; a symbol has no sizes, so that ``axes`` are open without
    being said. ``facts`` become attributes of the symbol. ``opset`` is of other forms.
    """
    if opset is not None:
        raise ValueError(f"opset={opset}: MXNet's symbols have none; leave it out")
    net.hybridize()
    with mx.autograd.pause(train_mode=False), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that an auxiliary head has no part in the output
        net(mx.nd.array(example, dtype=example.dtype))
        net.export(_stem(path), epoch=0)
    net.hybridize(False)
    symbol = json.loads(path.read_text())
    symbol["attrs"] |= {name: ["str", text] for name, text in facts.items()}
    path.write_text(json.dumps(symbol, indent=2))


def read_graph(format: str, path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """What the files of ``write_graph`` compute: an array to an array, on the CPU."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = mx.gluon.SymbolBlock.imports(str(path), [INPUT], f"{_stem(path)}-0000.params")
    return lambda array: net(mx.nd.array(array, dtype=array.dtype)).asnumpy()


def _stem(path: Path) -> str:
    return str(path).removesuffix(EXPORT_FORMATS["mxnet"])
