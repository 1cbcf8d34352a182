"""Write a model as a file that runs elsewhere: ONNX, torch's exported program, MXNet's symbol.

Also as weights alone (params, safetensors). The file is read back and compared with the model
before it is in its place. docs/deploy.md shows how it is run.
"""

import argparse
from pathlib import Path

from gluonvision.data.meta import get_meta
from gluonvision.deployment.export import WEIGHTS_FORMATS, export, export_formats
from gluonvision.model_zoo import dataset_of, get_model
from gluonvision.runs.artifacts import load_run, run_weights


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--model", metavar="NAME", help="a published model ('models' lists them)")
    what.add_argument("--resume", type=Path, metavar="FILE", help="weights, or folder, of a run")
    parser.add_argument("--weights", metavar="FILE", help="weights for --model (default: its own)")
    parser.add_argument(
        "--to",
        required=True,
        choices=export_formats(),
        help=f"one of {', '.join(export_formats())}",
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="default: by the model's name")
    parser.add_argument(
        "--with-normalization",
        action="store_true",
        help="let the file take uint8 images (N, H, W, 3), RGB, as they come",
    )
    parser.add_argument(
        "--classes", action="store_true", help="let the file give classes, uint8 (N, H, W)"
    )
    parser.add_argument(
        "--float16",
        action="store_true",
        help="params and safetensors: the weights of convolutions in two bytes",
    )
    parser.add_argument("--opset", type=int, help="ONNX's (default: the exporter's own)")


def run(options: argparse.Namespace) -> None:
    """Load, write, check; print what there is."""
    net, meta, name = _load(options)
    path = options.output or Path(name + export_formats()[options.to])
    for source in (options.resume and run_weights(options.resume), options.weights):
        if source is not None and path.resolve() == Path(source).resolve():
            raise ValueError(f"{path} is the file of weights itself; name another by --output")
    done = export(
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
    print(
        f"{options.to}: {done.path}, {done.path.stat().st_size / 1e6:.1f} MB, {_checked(options)}"
    )
    if options.to not in WEIGHTS_FORMATS and not options.classes:
        print(f"largest difference from the model's scores: {done.difference:.1e} of them")


def _load(options):
    if options.resume:
        if options.weights:
            raise ValueError("--weights is for --model; a run's weights are named by --resume")
        net, dataset = load_run(options.resume)
        return net, get_meta(dataset), options.resume.stem
    meta = get_meta(dataset_of(options.model))
    return get_model(options.model, pretrained=options.weights or True), meta, options.model


def _checked(options) -> str:
    if options.to in WEIGHTS_FORMATS:
        return "read back: the same bits"
    return "read back and run at three sizes: the model's classes"
