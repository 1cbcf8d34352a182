"""The data doctor: read a whole data set before training and report its problems."""

import os
import warnings
from collections.abc import Sequence
from functools import partial

from tqdm import tqdm

from gluonvision.data.datasets.base import SegmentationDataset
from gluonvision.data.loading.prefetch import prefetch_map
from gluonvision.doctor.checks import find_problems
from gluonvision.doctor.facts import read_sample
from gluonvision.doctor.page import write_html
from gluonvision.doctor.report import Example, Finding, Report, Statistics
from gluonvision.doctor.sources import Source, open_source
from gluonvision.doctor.tally import Tally

__all__ = ["Example", "Finding", "Report", "Statistics", "examine", "write_html"]


def examine(
    dataset: str | SegmentationDataset,
    root: str | os.PathLike | None = None,
    splits: Sequence[str] | None = None,
    workers: int | None = None,
    progress: bool | None = None,
) -> Report:
    """Read every image and mask of a data set once and report all problems.

    Files are compared with the data set's ``Meta``, not loaded by its class, so a
    file that the class would reject is reported instead of raising an error.

    Args:
        dataset: name of a data set as on the command line, or a data set object.
        root: folder of the data set; by default the one that training uses.
        splits: splits to examine; by default train and val, if they exist.
        workers: number of threads, by default one per core; 0 reads in the calling thread. Threads
            suffice because Pillow's decoders release the interpreter's lock.
        progress: show a progress bar on stderr; by default only if stderr is a terminal.

    Raises:
        ValueError: if the data set or split is unknown, or ``workers`` is negative.
        FileNotFoundError: if the root or a split does not exist.
    """
    workers = (os.cpu_count() or 1) if workers is None else workers
    if workers < 0:
        raise ValueError(f"workers is {workers}: expected 0 or more")
    source = open_source(dataset, root, splits)
    tally = Tally(source.meta, [listing.split for listing in source.listings], len(source))
    hide_bar = None if progress is None else not progress
    bar = tqdm(total=len(source), unit="image", disable=hide_bar, leave=False)
    with bar, warnings.catch_warnings():
        # Pillow warns of odd metadata and large images; the report has all that matters.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        for sample in prefetch_map(partial(read_sample, meta=source.meta), source.pairs(), workers):
            tally.add(sample)
            bar.update()
    return _report(source, tally)


def _report(source: Source, tally: Tally) -> Report:
    return Report(
        dataset=source.name,
        root=source.root,
        findings=find_problems(source, tally),
        statistics=tally.statistics(),
        meta=source.meta,
        samples=tuple(tally.samples),
    )
