"""Measure a model: parameters, multiply-adds, and time and memory of a forward pass.

Beside torchvision's model of the same kind, in turn, where there is one. Weights are drawn: what
they are does not matter for what a model costs.
"""

import argparse
import json

from gluonvision.deployment.benchmark import BenchmarkOptions, benchmark


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    default = BenchmarkOptions()
    parser.add_argument(
        "--model",
        default=default.model,
        help="fcn, pspnet, deeplabv3, deeplabv3plus, or a published model's name",
    )
    parser.add_argument("--backbone", default=default.backbone, help="such as mobilenet_v2")
    parser.add_argument("--nclass", type=int, default=default.nclass, help="number of classes")
    parser.add_argument(
        "--size",
        type=int,
        nargs="+",
        default=[default.size[0]],
        metavar="PIXELS",
        help=f"side, or height and width, of the images ({default.size[0]})",
    )
    parser.add_argument("--batch", type=int, default=default.batch, help="images a forward pass")
    parser.add_argument("--precision", default=default.precision, help="fp32, bf16 or fp16")
    parser.add_argument("--compile", action="store_true", help="torch.compile, MXNet's hybridize")
    parser.add_argument("--channels-last", action="store_true", help="channels last in memory")
    parser.add_argument("--runs", type=int, default=default.runs, help="passes timed")
    parser.add_argument("--no-cuda", action="store_true", help="measure the CPU")
    parser.add_argument("--no-peer", action="store_true", help="leave torchvision's model out")
    parser.add_argument("--json", action="store_true", help="print JSON, times in milliseconds")


def run(options: argparse.Namespace) -> None:
    """Measure and print."""
    fields = vars(options)
    as_json, no_peer = fields.pop("json"), fields.pop("no_peer")
    fields["size"] = _height_and_width(fields["size"])
    found = benchmark(BenchmarkOptions(**fields, peer=not no_peer))
    print(json.dumps(found.to_dict(), indent=2) if as_json else found.to_text())


def _height_and_width(size):
    if len(size) > 2:
        raise ValueError(f"--size {' '.join(map(str, size))}: expected a side, or height and width")
    return (size[0], size[-1])
