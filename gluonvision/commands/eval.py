"""Score a model on a data set, with a report; with --test, write masks for its test server."""

import argparse
from pathlib import Path

from gluonvision.evaluation.job import evaluation_of_model, evaluation_of_run
from gluonvision.prediction.inference import Inference


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.formatter_class = argparse.HelpFormatter  # the defaults are in the texts
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--resume", metavar="FILE", help="weights, or folder, of a run")
    what.add_argument("--model", metavar="NAME", help="a model with published weights")
    _add_data(parser)
    _add_inference(parser)
    _add_results(parser)


def run(options: argparse.Namespace) -> None:
    """Score or write masks."""
    inference = Inference(
        scales=options.scales,
        flip=options.flip,
        window=options.window,
        stride=options.stride,
        batch_size=options.batch_size,
        base_size=options.base_size,
        gluoncv=options.gluoncv,
    )
    shared = ("dataset", "data_folder", "split", "workers", "no_cuda", "ngpus", "skip_broken")
    fields = {name: getattr(options, name) for name in (*shared, "boundary", "bootstrap", "html")}
    fields |= {"inference": inference, "output_folder": options.output_folder}
    if options.model:
        job = evaluation_of_model(options.model, **fields)
    else:
        job = evaluation_of_run(options.resume, **fields)
    if options.test:
        print(f"masks: {job.masks()}")
    else:
        job.scores()


def _add_data(parser):
    parser.add_argument("--dataset", metavar="NAME", help="data set (default: the model's)")
    parser.add_argument("--data-folder", metavar="DIR", help="where it lies")
    parser.add_argument("--split", default="val", metavar="NAME", help="its split (val)")
    parser.add_argument("--skip-broken", action="store_true", help="leave out broken files")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="readers ahead (2)")
    parser.add_argument("--no-cuda", action="store_true", help="on the CPU")
    parser.add_argument("--ngpus", type=int, metavar="N", help="devices (all)")


def _add_inference(parser):
    group = parser.add_argument_group("inference", "by default whole images, once, as they are")
    group.add_argument(
        "--scales",
        type=float,
        nargs="+",
        default=(1.0,),
        metavar="S",
        help="sizes, as factors: 0.5 0.75 1 1.25 1.5 1.75",
    )
    group.add_argument("--base-size", type=int, metavar="N", help="long side of a scale of 1")
    group.add_argument("--flip", action="store_true", help="the mirror image too")
    group.add_argument("--window", type=int, metavar="N", help="in square windows, pixels")
    group.add_argument(
        "--stride",
        type=float,
        default=2 / 3,
        metavar="S",
        help="their distance, of their side (2/3)",
    )
    group.add_argument(
        "--batch-size", type=int, default=1, metavar="N", help="images or windows at a time (1)"
    )
    group.add_argument("--gluoncv", action="store_true", help="as GluonCV, with its faults")


def _add_results(parser):
    group = parser.add_argument_group("results")
    group.add_argument(
        "--output-folder",
        type=Path,
        metavar="DIR",
        help="where they go (default: eval/SPLIT or masks/SPLIT beside the weights)",
    )
    group.add_argument("--boundary", action="store_true", help="boundary IoU too")
    group.add_argument(
        "--bootstrap",
        type=int,
        default=0,
        metavar="N",
        help="intervals from N resamples, such as 1000 (none)",
    )
    group.add_argument("--html", action="store_true", help="a page with pictures too")
    group.add_argument("--test", action="store_true", help="masks for the test server instead")
