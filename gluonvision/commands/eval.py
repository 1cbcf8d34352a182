"""Score a model on a data set and write a report, or write masks for a test server (--test)."""

import argparse
from pathlib import Path

from gluonvision.commands.shared_options import add_inference, add_model, add_no_cuda
from gluonvision.evaluation.job import evaluation_of_model, evaluation_of_run
from gluonvision.prediction.inference import Inference


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.formatter_class = argparse.HelpFormatter  # the help texts state the defaults
    add_model(parser, weights=False)
    _add_data(parser)
    _add_inference(parser)
    _add_results(parser)


def run(options: argparse.Namespace) -> None:
    """Score the model, or write its masks."""
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


def _add_data(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--dataset", metavar="NAME", help="data set (default: the model's own)")
    add("--data-folder", metavar="FOLDER", help="folder of the data set (default: as in training)")
    add("--split", default="val", metavar="NAME", help="split to evaluate (default: val)")
    add("--skip-broken", action="store_true", help="skip files that cannot be read")
    add(
        "--workers",
        type=int,
        default=2,
        metavar="N",
        help="number of data-loading workers per device (default: 2)",
    )
    add_no_cuda(parser)
    add("--ngpus", type=int, metavar="N", help="number of devices (default: all GPUs)")


def _add_inference(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "inference", "By default, each image is predicted whole, once, at its own size."
    )
    add = group.add_argument
    add_inference(group)
    add(
        "--base-size",
        type=int,
        metavar="PIXELS",
        help="longer side of the image at scale 1 (default: the image's own)",
    )
    add(
        "--stride",
        type=float,
        default=2 / 3,
        metavar="S",
        help="distance between windows, as a fraction of --window (default: 2/3)",
    )
    add(
        "--batch-size",
        type=int,
        default=1,
        metavar="N",
        help="images of the same size, or windows, per forward pass (default: 1)",
    )
    add(
        "--gluoncv",
        action="store_true",
        help="reproduce GluonCV's evaluation with its faults (docs/evaluation.md)",
    )


def _add_results(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("results")
    add = group.add_argument
    add(
        "--output-folder",
        type=Path,
        metavar="FOLDER",
        help="folder for the results (default: eval/SPLIT or masks/SPLIT next to the weights)",
    )
    add("--boundary", action="store_true", help="also compute the boundary IoU")
    add(
        "--bootstrap",
        type=int,
        default=0,
        metavar="N",
        help="add confidence intervals from N resamples of the images, such as 1000 (default: "
        "none)",
    )
    add("--html", action="store_true", help="also write an HTML report with images")
    add(
        "--test",
        action="store_true",
        help="write masks for the data set's test server, instead of scores",
    )
