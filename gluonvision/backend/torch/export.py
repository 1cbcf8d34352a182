"""Export a net to a file that runs without this package: ONNX, or torch's exported program."""

import contextlib
import importlib
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gluonvision.backend.export_formats import GRAPH_FORMATS
from gluonvision.backend.torch.arrays import as_numpy
from gluonvision.backend.torch.evaluation import evaluation_mode

# The formats that this backend writes, each with its file suffix.
EXPORT_FORMATS = GRAPH_FORMATS["torch"]
INPUT, OUTPUT = "image", "output"


def write_graph(
    net: torch.nn.Module,
    format: str,
    path: Path,
    example: np.ndarray,
    axes: Mapping[int, str],
    metadata: Mapping[str, str],
    opset: int | None = None,
) -> None:
    """Write ``net``, in evaluation mode, to a file.

    Args:
        net: the net.
        format: one of ``EXPORT_FORMATS``.
        path: the file.
        example: an input of the net, with a batch and sides above 1.
        axes: the input's axes that stay dynamic, each with its name.
        metadata: the file's metadata.
        opset: ONNX's opset; the exporter's default if None.

    Raises:
        ValueError: if a package is missing, or this torch cannot export the net.
    """
    if format == "onnx":
        _check_onnx()
    with evaluation_mode(net), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's modules warn about each other
        program = _program(net, torch.tensor(example), axes)
        if format == "torch-export":
            torch.export.save(program, path, extra_files=dict(metadata))
        else:
            _write_onnx(program, path, axes, metadata, opset)


def read_graph(format: str, path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Read a file of ``write_graph`` as a function from array to array, on the CPU.

    onnxruntime runs an ONNX file. torch unpickles a torch-export file, which can run code: read
    only your own.
    """
    if format == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return lambda array: session.run(None, {INPUT: array})[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = torch.export.load(path).module()

    def run(array: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return as_numpy(net(torch.tensor(array)))

    return run


def _check_onnx() -> None:
    try:
        for package in ("onnx", "onnxruntime", "onnxscript"):
            importlib.import_module(package)
    except ImportError as error:
        raise ValueError(
            f"ONNX export needs packages that are not installed ({error}): "
            "pip install 'gluonvision[export]'"
        ) from error


def _program(
    net: torch.nn.Module, example: torch.Tensor, axes: Mapping[int, str]
) -> torch.export.ExportedProgram:
    dynamic_axes = dict.fromkeys(axes, torch.export.Dim.DYNAMIC)
    try:
        return torch.export.export(net, (example,), dynamic_shapes=(dynamic_axes,), strict=False)
    except RuntimeError as error:
        raise ValueError(
            f"torch {torch.__version__} cannot export this net with dynamic sizes "
            f"({str(error).strip().splitlines()[0]}). Update torch: 2.13 is known to work"
        ) from error


@contextlib.contextmanager
def _errors_only(name: str) -> Iterator[None]:
    """Limit a logger to errors: the exporter warns of each missing torchvision operator."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _write_onnx(
    program: torch.export.ExportedProgram,
    path: Path,
    axes: Mapping[int, str],
    metadata: Mapping[str, str],
    opset: int | None,
) -> None:
    import onnx

    with _errors_only("torch.onnx"):
        exported: Any = torch.onnx.export(
            program,
            (),
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=opset,
            dynamo=True,
            verbose=False,
        )
    model = exported.model_proto
    _strip_metadata(model.graph)
    _name_axes(model.graph, axes)
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model, full_check=True)
    opsets = {entry.version for entry in model.opset_import if entry.domain == ""}
    if opset not in (None, *opsets):
        raise ValueError(f"opset={opset}: this net needs {min(opsets)}; leave opset out")
    onnx.save(model, path)


def _strip_metadata(graph: Any) -> None:
    """Drop the exporter's notes on each node: they hold source code and paths of this machine."""
    del graph.value_info[:]
    for item in (*graph.node, *graph.input, *graph.output, *graph.initializer):
        item.ClearField("metadata_props")
        item.ClearField("doc_string")


def _name_axes(graph: Any, axes: Mapping[int, str]) -> None:
    dimensions = graph.input[0].type.tensor_type.shape.dim
    names = {dimensions[axis].dim_param: name for axis, name in axes.items()}
    for value in (*graph.input, *graph.output):
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param:
                size.dim_param = names.get(size.dim_param, size.dim_param)
