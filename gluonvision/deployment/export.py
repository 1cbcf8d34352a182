"""A trained net as a file for elsewhere: written, read back and compared before it is there."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import save
from tqdm import tqdm

from gluonvision import backend
from gluonvision._version import __version__
from gluonvision.backend import HybridBlock, nn, parameters_file, weights_file
from gluonvision.backend.export_formats import backend_that_writes
from gluonvision.backend.image_statistics import MEAN, STD
from gluonvision.data.datasets.synthetic import draw_scene
from gluonvision.data.meta import Meta
from gluonvision.utils import atomic

# The files that hold weights alone, and need this package (or plain MXNet) to be run.
WEIGHTS_FORMATS = {"params": ".params", "safetensors": ".safetensors"}
TOLERANCE = 1e-3
# Batch, height and width: of what the graph is traced with, and of what it is checked with.
_TRACED = (2, 65, 98)
_CHECKED = ((1, 97, 130), (2, 64, 64), (1, 181, 75))


class ExportError(RuntimeError):
    """A file that was written does not give what the net gives, and has been removed."""


class Exported(NamedTuple):
    """A file that was written and checked.

    ``difference``: the largest of its scores from the net's, as a part of these (0 where it gives
    classes, or holds weights alone).
    """

    path: Path
    difference: float


class Deployed(HybridBlock):
    """A net with what is before and after it, where asked for.

    ``normalization``: takes uint8 images (N, H, W, 3), RGB, instead of normalized ones
    (N, 3, H, W). ``classes``: gives the class of each pixel, uint8 (N, H, W), instead of scores
    (N, nclass, H, W).
    """

    def __init__(self, net, normalization: bool = False, classes: bool = False):
        super().__init__()
        self.net, self.classes = net, classes
        self.normalize = _normalization() if normalization else None

    def hybrid_forward(self, F, x):
        if self.normalize is not None:
            x = self.normalize(F.transpose(F.cast(x, "float32"), (0, 3, 1, 2)))
        scores = self.net(x)
        if isinstance(scores, tuple | list):  # an auxiliary head's scores come second
            scores = scores[0]
        return F.cast(F.argmax(scores, 1), "uint8") if self.classes else scores


def _normalization():
    """Normalization by fixed statistics is what a batch norm does in evaluation."""
    norm = nn.HybridSequential()
    norm.add(nn.BatchNorm(scale=False, center=False, epsilon=1e-5, in_channels=3))
    statistics = {
        "0.gamma": np.ones(3),
        "0.beta": np.zeros(3),
        "0.running_mean": np.array(MEAN),
        "0.running_var": np.square(STD) - 1e-5,
    }
    backend.set_parameters(norm, {n: a.astype("float32") for n, a in statistics.items()})
    return norm


def export_formats() -> dict[str, str]:
    """The forms that can be written under this backend, and how their files' names end."""
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
    """Write ``net`` to ``path`` in one of ``export_formats()``, check it, put it in place.

    ``net``: in float32, on the CPU; ``meta``: what its classes are, ``name``: how it is called,
    both for the file's metadata. ``normalization``, ``classes``: see ``Deployed``; ``opset``:
    ONNX's, by default the exporter's own; ``float16``: weights of convolutions take two bytes, and
    are widened again by who reads them.

    A graph is open in batch, height and width, and is checked at three sizes: scores within 1e-3
    of the net's, the largest score at the same class. Weights are checked to be the same bits.

    Raises ValueError for what cannot be written, OSError, and ``ExportError`` for a file that
    fails its check; what was at ``path`` before stays as it was then.
    """
    path = Path(path)
    _check(net, format, meta, normalization or classes or opset is not None, classes)
    if float16 and format not in WEIGHTS_FORMATS:
        raise ValueError(f"float16 is for files of weights, {' and '.join(WEIGHTS_FORMATS)}")
    suffix = export_formats()[format]
    if not path.name.endswith(suffix) or path.name == suffix:
        raise ValueError(f"{path}: expected a file name that ends in {suffix} for {format}")
    facts = _facts(meta, name, normalization, classes)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic.staged(path.parent) as folder:
        draft = folder / path.name
        if format in WEIGHTS_FORMATS:
            difference = _write_weights(net, format, draft, facts, float16)
        else:
            deployed = Deployed(net, normalization, classes)
            example = _input(_images(*_TRACED), normalization)
            axes = dict(zip((0, 1, 2) if normalization else (0, 2, 3), _AXES))
            with tqdm(total=1 + len(_CHECKED), desc=f"writing {path.name}", leave=False) as bar:
                backend.write_graph(deployed, format, draft, example, axes, facts, opset)
                run = backend.read_graph(format, draft)
                found = [_compare(net, run, size, normalization, classes, bar) for size in _CHECKED]
            difference = max(found)
    return Exported(path, difference)


_AXES = ("batch", "height", "width")


def _check(net, format, meta, shapes_graph, classes):
    if format not in export_formats():
        other = backend_that_writes(format)
        way = f"; {format} is written with GLUONVISION_BACKEND={other}" if other else ""
        raise ValueError(f"format {format!r}: expected one of {', '.join(export_formats())}{way}")
    if format in WEIGHTS_FORMATS and shapes_graph:
        raise ValueError(
            f"{format} holds weights alone: normalization, classes and opset are for "
            f"{', '.join(backend.EXPORT_FORMATS)}"
        )
    device, dtype = backend.device_and_dtype(net)
    if device != backend.cpu() or dtype != "float32":
        raise ValueError(
            f"the net is on {device} in {dtype}; expected cpu and float32: "
            "net.collect_params().reset_ctx(backend.cpu()), net.cast('float32')"
        )
    if classes and meta.num_class > 256:
        raise ValueError(f"classes: {meta.num_class} do not fit into uint8; export scores")


def _facts(meta, name, normalization, classes) -> dict[str, str]:
    """What whoever runs the file has to know, as texts; lists and objects are JSON."""
    if normalization:
        taken = {"layout": "NHWC", "dtype": "uint8", "colour": "RGB", "range": [0, 255]}
    else:
        taken = {"layout": "NCHW", "dtype": "float32", "colour": "RGB", "mean": MEAN, "std": STD}
    given = {"classes": "uint8, (N, H, W)", "scores": "float32, (N, class, H, W)"}
    return {
        "gluonvision": __version__,
        "model": name,
        "dataset": meta.name,
        "classes": json.dumps(meta.classes),
        "palette": json.dumps(meta.palette),
        "input": json.dumps(taken),
        "output": given["classes" if classes else "scores"],
    }


def _write_weights(net, format, path, facts, float16) -> float:
    arrays = backend.get_parameters(net)
    if float16:
        arrays = {name: _narrowed(name, array) for name, array in arrays.items()}
    if format == "params":
        parameters_file.save(path, arrays)
    else:
        path.write_bytes(save(arrays, facts))
    read = weights_file.read(path)
    same = arrays.keys() == read.keys() and all(_same(arrays[n], read[n]) for n in arrays)
    if not same:
        raise ExportError(f"{path.name}: what is read back differs from the net's weights")
    return 0.0


def _narrowed(name, array):
    if array.ndim < 4:
        return array
    largest, limit = np.abs(array).max(), np.finfo(np.float16).max
    if not largest <= limit:
        raise ValueError(
            f"float16: {name} has {largest:g} in it, more than {limit:g}; leave it out"
        )
    return array.astype(np.float16)


def _same(one, other):
    return (
        one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    )


def _images(number, height, width) -> np.ndarray:
    scenes = [draw_scene((height, width), np.random.default_rng(i), i)[0] for i in range(number)]
    return np.stack(scenes)


def _input(images, normalization) -> np.ndarray:
    """What the file takes for these images."""
    return images if normalization else backend.as_numpy(backend.preprocess(images))


def _compare(net, run, size, normalization, classes, bar) -> float:
    """The largest difference of scores at one size, as a part; ExportError for one too large."""
    shape = "x".join(map(str, size))
    bar.set_description(f"checking {shape}")
    bar.update()
    images = _images(*size)
    scores = backend.evaluate(net, backend.preprocess(images))
    scores = backend.as_numpy(scores[0] if isinstance(scores, tuple | list) else scores)
    try:
        return difference(scores, run(_input(images, normalization)), classes)
    except ExportError as error:
        raise ExportError(f"at batch x height x width {shape}, {error}") from error


def difference(scores: np.ndarray, result: np.ndarray, classes: bool = False) -> float:
    """How far a file's ``result`` is from the net's ``scores`` (N, class, H, W), as a part of them.

    ExportError where that passes 1e-3, or where a pixel has a class whose score is below the
    largest by more. ``classes``: the result is classes (N, H, W); 0 is returned.
    """
    scale = max(float(np.abs(scores).max()), 1.0)
    expected = (scores.shape[0], *scores.shape[2:]) if classes else scores.shape
    if result.shape != expected:
        raise ExportError(f"the file gives {result.shape}, expected {expected}")
    found = 0.0 if classes else float(np.abs(scores - result).max()) / scale
    chosen = result if classes else result.argmax(1)
    behind = scores.max(1) - np.take_along_axis(scores, chosen[:, None].astype(int), 1)[:, 0]
    # Not <=: what is not a number must not pass. Where two classes are equal but for rounding,
    # either may come out.
    if not (found < TOLERANCE and float(behind.max()) / scale < TOLERANCE):
        raise ExportError(
            f"the file's scores are off by {found:.1e} and its classes by "
            f"{behind.max() / scale:.1e} of the net's scores, expected less than "
            f"{TOLERANCE:.0e}; nothing was kept"
        )
    return found
