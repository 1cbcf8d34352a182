"""Export a model: to ONNX, a PyTorch exported program, an MXNet symbol, or only the weights.

The file is read back and compared with the model before it is put in place. docs/deploy.md shows
how to run it.
"""

import argparse
from pathlib import Path
from typing import Any

from gluonvision.commands.shared_options import add_model
from gluonvision.data.meta import Meta, get_meta
from gluonvision.deployment.export import WEIGHTS_FORMATS, export, export_formats
from gluonvision.model_zoo import dataset_of, get_model
from gluonvision.runs.artifacts import load_run, run_weights


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add_model(parser)
    parser.add_argument(
        "--to",
        required=True,
        choices=export_formats(),
        help="format of the file",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="file to write (default: the model's name)"
    )
    parser.add_argument(
        "--with-normalization",
        action="store_true",
        help="include normalization: the file takes uint8 images (N, H, W, 3), RGB",
    )
    parser.add_argument(
        "--classes",
        action="store_true",
        help="include the argmax: the file returns class ids, uint8 (N, H, W)",
    )
    parser.add_argument(
        "--float16",
        action="store_true",
        help="for params and safetensors: store convolution weights in 2 bytes instead of 4",
    )
    parser.add_argument(
        "--opset", type=int, metavar="N", help="ONNX opset (default: the exporter's own)"
    )


def run(options: argparse.Namespace) -> None:
    """Load the model, write the file, check it and print a summary."""
    net, meta, name = _load(options)
    path = options.output or Path(name + export_formats()[options.to])
    for source in (options.resume and run_weights(options.resume), options.weights):
        if source is not None and path.resolve() == Path(source).resolve():
            raise ValueError(
                f"{path} would overwrite the weights that are exported; name another file with "
                "--output"
            )
    exported = export(
        net,
        path,
        options.to,
        meta,
        name,
        options.with_normalization,
        options.classes,
        options.opset,
        options.float16,
    )
    megabytes = exported.path.stat().st_size / 1e6
    print(f"{options.to}: {exported.path}, {megabytes:.1f} MB, {_check_summary(options)}")
    if options.to not in WEIGHTS_FORMATS and not options.classes:
        print(f"largest relative difference from the model's logits: {exported.difference:.1e}")


def _load(options: argparse.Namespace) -> tuple[Any, Meta, str]:
    """The net, its classes and its name."""
    if options.resume:
        if options.weights:
            raise ValueError("--weights only works with --model; --resume has its own weights")
        net, dataset = load_run(options.resume)
        return net, get_meta(dataset), Path(options.resume).stem
    meta = get_meta(dataset_of(options.model))
    return get_model(options.model, pretrained=options.weights or True), meta, options.model


def _check_summary(options: argparse.Namespace) -> str:
    if options.to in WEIGHTS_FORMATS:
        return "read back: the weights are identical"
    return "read back and run at three sizes: the classes match the model's"
