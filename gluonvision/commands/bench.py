"""Measure what a model costs: parameters, multiply-adds, and time and memory of a forward pass.

If torchvision has the same model, both are measured in turn. The weights are random, since they do
not change the cost.
"""

import argparse
import json
from collections.abc import Sequence

from gluonvision.commands.shared_options import add_no_cuda
from gluonvision.deployment.benchmark import BenchmarkOptions, benchmark


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    default = BenchmarkOptions()
    parser.add_argument(
        "--model",
        default=default.model,
        help="model family (fcn, pspnet, deeplabv3, deeplabv3plus) or name of a published model",
    )
    parser.add_argument(
        "--backbone",
        default=default.backbone,
        help="backbone of a model family, such as mobilenet_v2",
    )
    parser.add_argument(
        "--nclass", type=int, default=default.nclass, help="number of classes of a model family"
    )
    parser.add_argument(
        "--size",
        type=int,
        nargs="+",
        default=[default.size[0]],
        metavar="PIXELS",
        help=f"side of the images, or height and width (default: {default.size[0]})",
    )
    parser.add_argument(
        "--batch", type=int, default=default.batch, help="number of images per forward pass"
    )
    parser.add_argument(
        "--precision", default=default.precision, help="fp32, or bf16 or fp16 by autocast"
    )
    parser.add_argument(
        "--compile",
        action="store_true",
        help="compile the model with torch.compile or MXNet's hybridize",
    )
    parser.add_argument(
        "--channels-last", action="store_true", help="store channels last in memory (NHWC)"
    )
    parser.add_argument(
        "--runs", type=int, default=default.runs, help="number of timed forward passes"
    )
    add_no_cuda(parser)
    parser.add_argument(
        "--no-peer", action="store_true", help="do not compare with torchvision's model"
    )
    parser.add_argument(
        "--json", action="store_true", help="print JSON, with times in milliseconds"
    )


def run(options: argparse.Namespace) -> None:
    """Measure the model and print the result."""
    fields = vars(options)
    as_json, no_peer = fields.pop("json"), fields.pop("no_peer")
    fields["size"] = _height_width(fields["size"])
    result = benchmark(BenchmarkOptions(**fields, peer=not no_peer))
    print(json.dumps(result.to_dict(), indent=2) if as_json else result.to_text())


def _height_width(size: Sequence[int]) -> tuple[int, int]:
    if len(size) > 2:
        raise ValueError(
            f"--size {' '.join(map(str, size))}: expected one number, or height and width"
        )
    return (size[0], size[-1])
