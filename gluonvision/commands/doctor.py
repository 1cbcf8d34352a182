"""Check a data set before training: broken and missing files, impossible labels, duplicates.

The exit code is 0 if the data set is ready for training, 1 if there are errors, and 2 if the
options are wrong.
"""

import argparse
import sys

from gluonvision.data.datasets.catalog import DATASETS
from gluonvision.doctor import Report, examine, write_html


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "--dataset",
        required=True,
        metavar="NAME",
        help=f"data set to check: {', '.join(sorted(DATASETS))}",
    )
    parser.add_argument(
        "--root",
        "--data-folder",
        metavar="FOLDER",
        help="folder with the data set's files (default: as for training)",
    )
    parser.add_argument(
        "--split", nargs="+", metavar="NAME", help="splits to check (default: train val)"
    )
    parser.add_argument("--html", metavar="FILE", help="also write an HTML report with images")
    parser.add_argument(
        "--workers", type=int, metavar="N", help="number of threads (default: one per CPU core)"
    )


def run(options: argparse.Namespace) -> int:
    """Check the data set, print and write the report; return the exit code."""
    try:
        report = examine(options.dataset, options.root, options.split, options.workers)
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        print(f"doctor: {error}", file=sys.stderr)
        return 2
    print(report.to_text())
    return _write(report, options.html) or int(report.has_errors)


def _write(report: Report, path: str | None) -> int:
    if not path:
        return 0
    try:
        print(f"\nPage: {write_html(report, path)}")
    except OSError as error:
        print(f"doctor: --html {path} cannot be written: {error}", file=sys.stderr)
        return 2
    return 0
