"""A net as a file that runs without this package: ONNX, or torch's own exported program."""

import contextlib
import importlib
import logging
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from gluonvision.backend.torch.arrays import as_numpy
from gluonvision.backend.torch.training import evaluation_mode

# What can be written, and how its file's name ends.
EXPORT_FORMATS = {"onnx": ".onnx", "torch-export": ".pt2"}
INPUT, OUTPUT = "image", "output"


def write_graph(
    net: torch.nn.Module,
    format: str,
    path: Path,
    example: np.ndarray,
    axes: Mapping[int, str],
    facts: Mapping[str, str],
    opset: int | None = None,
) -> None:
    """Write ``net``, in evaluation mode, to ``path`` as one of ``EXPORT_FORMATS``.

    ``example``: an input of the net, of batch and sides above 1; ``axes``: which of its axes stay
    open, and what they are called. ``facts`` become the file's metadata. ``opset``: ONNX's, by
    default the exporter's own.

    Raises ValueError where a package is missing or this torch cannot do it.
    """
    if format == "onnx":
        _check_onnx()
    with evaluation_mode(net), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own parts about each other
        program = _program(net, torch.tensor(example), axes)
        if format == "torch-export":
            torch.export.save(program, path, extra_files=dict(facts))
        else:
            _write_onnx(program, path, axes, facts, opset)


def read_graph(format: str, path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """What a file of ``write_graph`` computes: an array to an array, on the CPU.

    An ONNX file is run by onnxruntime. A file of torch-export is unpickled by torch: read none
    from elsewhere.
    """
    if format == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return lambda array: session.run(None, {INPUT: array})[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = torch.export.load(path).module()

    def run(array):
        with torch.no_grad():
            return as_numpy(net(torch.tensor(array)))

    return run


def _check_onnx():
    try:
        for package in ("onnx", "onnxruntime", "onnxscript"):
            importlib.import_module(package)
    except ImportError as error:
        raise ValueError(
            f"ONNX files need packages that are not here ({error}): "
            "pip install 'gluonvision[export]'"
        ) from error


def _program(net, example, axes):
    open_axes = dict.fromkeys(axes, torch.export.Dim.DYNAMIC)
    try:
        return torch.export.export(net, (example,), dynamic_shapes=(open_axes,), strict=False)
    except RuntimeError as error:
        raise ValueError(
            f"torch {torch.__version__} cannot export this net with open sizes "
            f"({str(error).strip().splitlines()[0]}); torch 2.13 was seen to: update it"
        ) from error


@contextlib.contextmanager
def _without_remarks(name):
    """Keep a logger to errors: it tells of each operator of a torchvision that is not there."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _write_onnx(program, path, axes, facts, opset):
    import onnx

    with _without_remarks("torch.onnx"):
        made = torch.onnx.export(
            program,
            (),
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=opset,
            dynamo=True,
            verbose=False,
        )
    model = made.model_proto
    _strip(model.graph)
    _name_axes(model.graph, axes)
    onnx.helper.set_model_props(model, dict(facts))
    onnx.checker.check_model(model, full_check=True)
    written = {entry.version for entry in model.opset_import if entry.domain == ""}
    if opset not in (None, *written):
        raise ValueError(f"opset={opset}: this net needs {min(written)}; leave it out")
    onnx.save(model, path)


def _strip(graph):
    """Drop what the exporter notes of each node: its source, with paths of this machine."""
    del graph.value_info[:]
    for item in (*graph.node, *graph.input, *graph.output, *graph.initializer):
        item.ClearField("metadata_props")
        item.ClearField("doc_string")


def _name_axes(graph, axes):
    given = graph.input[0].type.tensor_type.shape.dim
    names = {given[axis].dim_param: name for axis, name in axes.items()}
    for value in (*graph.input, *graph.output):
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param:
                size.dim_param = names.get(size.dim_param, size.dim_param)
