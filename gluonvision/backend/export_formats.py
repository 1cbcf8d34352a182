"""The formats of exported graphs: the backend that writes each, and its file suffix."""

GRAPH_FORMATS = {
    "torch": {"onnx": ".onnx", "torch-export": ".pt2"},
    "mxnet": {"mxnet": "-symbol.json"},
}


def backend_that_writes(format: str) -> str | None:
    """Return the name of the backend that writes graphs in ``format``, or None if none does."""
    return next((name for name, formats in GRAPH_FORMATS.items() if format in formats), None)
