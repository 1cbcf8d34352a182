"""Export a net to a file, and check the file against the net before it is put in place."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import save
from tqdm import tqdm

from gluonvision import backend
from gluonvision._version import __version__
from gluonvision.backend import parameters_file, weights_file
from gluonvision.backend.export_formats import backend_that_writes
from gluonvision.backend.image_statistics import MEAN, STD
from gluonvision.data.datasets.synthetic import draw_scene
from gluonvision.data.meta import Meta
from gluonvision.deployment.deployed import Deployed
from gluonvision.utils import atomic

# Formats that hold only weights; running them needs this package (or plain MXNet).
WEIGHTS_FORMATS = {"params": ".params", "safetensors": ".safetensors"}
TOLERANCE = 1e-3
# (batch, height, width) of the images that trace the graph, and of those that check it.
_TRACE_SIZE = (2, 65, 98)
_CHECK_SIZES = ((1, 97, 130), (2, 64, 64), (1, 181, 75))
_AXES = ("batch", "height", "width")


class ExportError(RuntimeError):
    """An exported file gave other results than the net, and was removed."""


class Exported(NamedTuple):
    """An exported file that passed its check.

    Args:
        path: the file.
        difference: largest difference between the file's logits and the net's, relative to the
            largest logit; 0 if the file returns classes or holds only weights.
    """

    path: Path
    difference: float


def export_formats() -> dict[str, str]:
    """List the formats of the current backend, with their file suffixes."""
    return {**backend.EXPORT_FORMATS, **WEIGHTS_FORMATS}


def export(
    net: Any,
    path: str | Path,
    format: str,
    meta: Meta,
    name: str = "",
    normalization: bool = False,
    classes: bool = False,
    opset: int | None = None,
    float16: bool = False,
) -> Exported:
    """Export a net to a file, and check the file.

    Graphs accept any batch size, height and width. They are checked at three sizes: the logits
    must differ from the net's by less than 1e-3 of the largest logit, and the classes must agree.
    Weights must be identical when they are read back.

    Args:
        net: a segmentation net in float32 on the CPU.
        path: the file to write, with the suffix of its format.
        format: one of ``export_formats()``.
        meta: the net's classes, for the file's metadata.
        name: the model's name, for the file's metadata.
        normalization: include normalization: the graph takes uint8 images (N, H, W, 3), RGB.
        classes: include the argmax: the graph returns class ids, uint8 (N, H, W).
        opset: the ONNX opset. By default, the exporter's own.
        float16: store convolution weights in two bytes. Readers convert them back to float32.

    Returns:
        The file's path, and its difference from the net.

    Raises:
        ValueError: if the options do not fit the format or the net.
        OSError: if the file cannot be written.
        ExportError: if the file fails its check. An existing file at ``path`` is then kept.
    """
    path = Path(path)
    has_graph_options = normalization or classes or opset is not None
    _check(net, format, meta, has_graph_options, classes)
    if float16 and format not in WEIGHTS_FORMATS:
        raise ValueError(
            f"float16 only works with {' and '.join(WEIGHTS_FORMATS)}, not with {format}"
        )
    suffix = export_formats()[format]
    if not path.name.endswith(suffix) or path.name == suffix:
        raise ValueError(f"{path}: expected a file name that ends in {suffix} for {format}")
    metadata = _metadata(meta, name, normalization, classes)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic.staged(path.parent) as folder:
        draft = folder / path.name
        if format in WEIGHTS_FORMATS:
            _write_weights(net, format, draft, metadata, float16)
            return Exported(path, 0.0)
        largest = _write_graph(net, format, draft, metadata, normalization, classes, opset)
    return Exported(path, largest)


def _write_graph(
    net: Any,
    format: str,
    path: Path,
    metadata: dict[str, str],
    normalization: bool,
    classes: bool,
    opset: int | None,
) -> float:
    """Write and check a graph; return its largest relative difference from the net's logits."""
    deployed = Deployed(net, normalization, classes)
    example = _input(_images(*_TRACE_SIZE), normalization)
    axes = dict(zip((0, 1, 2) if normalization else (0, 2, 3), _AXES))
    total = 1 + len(_CHECK_SIZES)
    with tqdm(total=total, desc=f"writing {path.name}", leave=False) as bar:
        backend.write_graph(deployed, format, path, example, axes, metadata, opset)
        run = backend.read_graph(format, path)
        return max(_compare(net, run, size, normalization, classes, bar) for size in _CHECK_SIZES)


def _check(net: Any, format: str, meta: Meta, has_graph_options: bool, classes: bool) -> None:
    if format not in export_formats():
        other = backend_that_writes(format)
        hint = f"; use GLUONVISION_BACKEND={other} to write {format}" if other else ""
        raise ValueError(f"format {format!r}: expected one of {', '.join(export_formats())}{hint}")
    if format in WEIGHTS_FORMATS and has_graph_options:
        raise ValueError(
            f"{format} holds only weights; normalization, classes and opset only work with "
            f"{', '.join(backend.EXPORT_FORMATS)}"
        )
    device, dtype = backend.device_and_dtype(net)
    if device != backend.cpu() or dtype != "float32":
        raise ValueError(
            f"the net is on {device} in {dtype}, expected cpu and float32; convert it with "
            "net.collect_params().reset_ctx(backend.cpu()) and net.cast('float32')"
        )
    if classes and meta.num_class > 256:
        raise ValueError(
            f"classes: {meta.num_class} class ids do not fit into uint8; export without classes, "
            "to get the logits"
        )


def _metadata(meta: Meta, name: str, normalization: bool, classes: bool) -> dict[str, str]:
    """The metadata that a user of the file needs; lists and objects are JSON."""
    inputs: dict[str, Any]
    if normalization:
        inputs = {"layout": "NHWC", "dtype": "uint8", "colour": "RGB", "range": [0, 255]}
    else:
        inputs = {"layout": "NCHW", "dtype": "float32", "colour": "RGB", "mean": MEAN, "std": STD}
    outputs = {"classes": "uint8, (N, H, W)", "scores": "float32, (N, class, H, W)"}
    return {
        "gluonvision": __version__,
        "model": name,
        "dataset": meta.name,
        "classes": json.dumps(meta.classes),
        "palette": json.dumps(meta.palette),
        "input": json.dumps(inputs),
        "output": outputs["classes" if classes else "scores"],
    }


def _write_weights(
    net: Any, format: str, path: Path, metadata: dict[str, str], float16: bool
) -> None:
    arrays = backend.get_parameters(net)
    if float16:
        arrays = {name: _to_float16(name, array) for name, array in arrays.items()}
    if format == "params":
        parameters_file.save(path, arrays)
    else:
        path.write_bytes(save(arrays, metadata))
    read = weights_file.read(path)
    if arrays.keys() != read.keys() or not all(_identical(arrays[n], read[n]) for n in arrays):
        raise ExportError(f"{path.name}: the file's weights differ from the net's; it was removed")


def _to_float16(name: str, array: np.ndarray) -> np.ndarray:
    """Convert the weights of a convolution; leave others as they are."""
    if array.ndim < 4:
        return array
    largest, limit = np.abs(array).max(), np.finfo(np.float16).max
    if not largest <= limit:  # true for NaN as well
        raise ValueError(
            f"float16: {name} has values up to {largest:g}, more than {limit:g}; export without "
            "float16"
        )
    return array.astype(np.float16)


def _identical(one: np.ndarray, other: np.ndarray) -> bool:
    return (
        one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    )


def _images(num_images: int, height: int, width: int) -> np.ndarray:
    scenes = [
        draw_scene((height, width), np.random.default_rng(i), i)[0] for i in range(num_images)
    ]
    return np.stack(scenes)


def _input(images: np.ndarray, normalization: bool) -> np.ndarray:
    """Convert images to the graph's input."""
    return images if normalization else backend.as_numpy(backend.preprocess(images))


def _compare(
    net: Any,
    run: Callable[[np.ndarray], np.ndarray],
    size: tuple[int, int, int],
    normalization: bool,
    classes: bool,
    bar: tqdm,
) -> float:
    """Run graph and net on images of one size; return the difference of their results."""
    shape = "x".join(map(str, size))
    bar.set_description(f"checking {shape}")
    bar.update()
    images = _images(*size)
    output = backend.evaluate(net, backend.preprocess(images))
    logits = backend.as_numpy(output[0] if isinstance(output, tuple | list) else output)
    try:
        return difference(logits, run(_input(images, normalization)), classes)
    except ExportError as error:
        raise ExportError(f"at batch x height x width {shape}, {error}") from error


def difference(logits: np.ndarray, result: np.ndarray, classes: bool = False) -> float:
    """Compare a file's result with the net's logits.

    Args:
        logits: the net's logits (N, num_classes, H, W).
        result: the file's logits, or its class ids (N, H, W).
        classes: ``result`` has class ids.

    Returns:
        The largest difference of the logits, relative to the largest logit; 0 for class ids.

    Raises:
        ExportError: if the difference is 1e-3 or more, or if the logit of a chosen class is behind
            the pixel's largest logit by as much.
    """
    scale = max(float(np.abs(logits).max()), 1.0)
    expected = (logits.shape[0], *logits.shape[2:]) if classes else logits.shape
    if result.shape != expected:
        raise ExportError(f"the file returns shape {result.shape}, expected {expected}")
    largest = 0.0 if classes else float(np.abs(logits - result).max()) / scale
    chosen = result if classes else result.argmax(1)
    chosen_logits = np.take_along_axis(logits, chosen[:, None].astype(int), 1)[:, 0]
    behind = float((logits.max(1) - chosen_logits).max()) / scale
    # Compare logits, not classes: either class is right where two logits are equal up to rounding.
    # "not <" instead of ">=", so that NaN fails.
    if not (largest < TOLERANCE and behind < TOLERANCE):
        raise ExportError(
            f"the file's logits differ by {largest:.1e} and its classes by {behind:.1e} of the "
            f"net's largest logit, expected less than {TOLERANCE:.0e}; the file was removed"
        )
    return largest
