"""The data doctor: reads a whole data set before training does, and says what is wrong with it."""

import os
import warnings
from collections.abc import Sequence
from functools import partial

from tqdm import tqdm

from gluonvision.data.datasets.base import SegmentationDataset
from gluonvision.data.loading.prefetch import prefetch_map
from gluonvision.doctor.checks import findings
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
    """Read every image and mask of a data set once, and report what is wrong with them.

    ``dataset``: a name on the command line, or a data set; ``root``: where its files are;
    ``splits``: by default those of train and val that are there. ``workers``: threads, by default
    one a core (Pillow's decoders release the interpreter's lock); 0 reads in the caller's thread.
    ``progress``: a bar on stderr, by default where that is a terminal.

    Files are judged by the data set's facts, not by its class: what the class refuses is reported.
    Raises ValueError and FileNotFoundError for a data set, root or split that does not exist.
    """
    workers = (os.cpu_count() or 1) if workers is None else workers
    if workers < 0:
        raise ValueError(f"workers {workers}: expected 0 or more")
    source = open_source(dataset, root, splits)
    tally = Tally(source.meta, [listing.split for listing in source.listings], len(source))
    quiet = None if progress is None else not progress
    bar = tqdm(total=len(source), unit="image", disable=quiet, leave=False)
    with bar, warnings.catch_warnings():
        # Of odd metadata and large pictures; what matters of that is in the report.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        for sample in prefetch_map(partial(read_sample, meta=source.meta), source.pairs(), workers):
            tally.add(sample)
            bar.update()
    return _report(source, tally)


def _report(source: Source, tally: Tally) -> Report:
    return Report(
        dataset=source.name,
        root=source.root,
        findings=findings(source, tally),
        statistics=tally.statistics(),
        meta=source.meta,
        samples=tuple(tally.samples),
    )
