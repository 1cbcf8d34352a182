"""Bars of progress that are made for a terminal, and what becomes of them in a log file."""

import sys

from tqdm import tqdm

# Seconds between the lines of a log.
EVERY = 60


class _Lines:
    """A stream that takes a bar's redrawings, and writes each as a line of its own."""

    def __init__(self, stream):
        self.stream = stream

    def write(self, text: str):
        line = text.strip("\r\n ")
        if line:
            self.stream.write(f"{line}\n")

    def flush(self):
        self.stream.flush()


class _LogBar(tqdm):
    """A bar that tells of its first step at once: the next line is a minute away."""

    def update(self, n=1):
        is_first = not self.disable and self.n == self.initial
        super().update(n)
        if is_first:
            self.refresh()


def progress_bar(**options) -> tqdm:
    """A tqdm bar on standard error; where that is no terminal, a line at first and each minute.

    ``options`` are tqdm's.
    """
    if sys.stderr.isatty():
        return tqdm(**options)
    lines = {"file": _Lines(sys.stderr), "ncols": 100}
    return _LogBar(mininterval=EVERY, maxinterval=EVERY, delay=0, **lines, **options)
