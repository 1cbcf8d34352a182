"""Options that several commands share."""

import argparse


def add_model(
    parser: argparse.ArgumentParser, default: str | None = None, weights: bool = True
) -> None:
    """Add ``--model`` and ``--resume``, of which the user gives one, and ``--weights``.

    Args:
        parser: the command's parser.
        default: default of ``--model``; without it, one of the two options is required.
        weights: also add ``--weights``.
    """
    model = parser.add_mutually_exclusive_group(required=default is None)
    model.add_argument(
        "--model",
        default=default,
        metavar="NAME",
        help="published model to use; 'gluonvision models' lists them",
    )
    model.add_argument(
        "--resume",
        metavar="FILE",
        help="use your own training run: its folder, or a weights file in it",
    )
    if weights:
        parser.add_argument(
            "--weights",
            metavar="FILE",
            help="load these weights into --model (default: its published weights)",
        )


def add_inference(parser: argparse._ActionsContainer) -> None:
    """Add ``--scales``, ``--flip`` and ``--window``."""
    add = parser.add_argument
    add(
        "--scales",
        type=float,
        nargs="+",
        default=[1.0],
        metavar="S",
        help="resize the image by each factor and average, such as 0.75 1 1.25 (default: 1)",
    )
    add("--flip", action="store_true", help="also predict the mirrored image, and average")
    add(
        "--window",
        type=int,
        metavar="PIXELS",
        help="predict in square windows of this side (default: the whole image)",
    )


def add_no_cuda(parser: argparse._ActionsContainer) -> None:
    """Add ``--no-cuda``."""
    parser.add_argument("--no-cuda", action="store_true", help="use the CPU even if there is a GPU")
