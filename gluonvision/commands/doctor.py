"""Examine a data set before training: broken and missing files, labels that cannot be, duplicates.

Ends with 0 where training can go ahead, 1 where errors were found, 2 where it was called wrongly.
"""

import argparse
import sys

from gluonvision.data.datasets.catalog import DATASETS
from gluonvision.doctor import examine, write_html


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument(
        "--dataset", required=True, help=", ".join(sorted(DATASETS)), metavar="NAME"
    )
    parser.add_argument(
        "--root",
        "--data-folder",
        metavar="FOLDER",
        help="the folder that holds its files (default: as in training)",
    )
    parser.add_argument("--split", nargs="+", metavar="NAME", help="default: train and val")
    parser.add_argument("--html", metavar="FILE", help="also write a page with pictures there")
    parser.add_argument("--workers", type=int, metavar="N", help="threads (default: one a core)")


def run(options: argparse.Namespace) -> int:
    """Examine, print, write the page; the exit code."""
    try:
        report = examine(options.dataset, options.root, options.split, options.workers)
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        print(f"doctor: {error}", file=sys.stderr)
        return 2
    print(report.to_text())
    return _write(report, options.html) or int(report.has_errors)


def _write(report, path: str | None) -> int:
    if not path:
        return 0
    try:
        print(f"\nPage: {write_html(report, path)}")
    except OSError as error:
        print(f"doctor: --html {path} cannot be written: {error}", file=sys.stderr)
        return 2
    return 0
