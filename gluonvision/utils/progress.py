"""Progress bars for a terminal, and lines of progress for a log file."""

import sys
from typing import Any, TextIO

from tqdm import tqdm

# Seconds between the lines in a log.
EVERY = 60


class _Lines:
    """A stream that writes each update of a bar as a line of its own."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> None:
        line = text.strip("\r\n ")
        if line:
            self.stream.write(f"{line}\n")

    def flush(self) -> None:
        self.stream.flush()


class _LogBar(tqdm):
    """A bar that writes a line at its first step, because the next one is a minute away."""

    def update(self, n: float | None = 1) -> bool | None:
        is_first = not self.disable and self.n == self.initial
        shown = super().update(n)
        if is_first:
            self.refresh()
        return shown


def progress_bar(**options: Any) -> tqdm:
    """Make a tqdm bar on standard error, with tqdm's ``options``.

    If standard error is not a terminal, the bar writes a line at the first step and every minute.
    """
    if sys.stderr.isatty():
        return tqdm(**options)
    lines: dict[str, Any] = {"file": _Lines(sys.stderr), "ncols": 100}
    return _LogBar(mininterval=EVERY, maxinterval=EVERY, delay=0, **lines, **options)
