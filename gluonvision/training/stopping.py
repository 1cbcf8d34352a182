"""Stop a run after a step, not in the middle of one."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from gluonvision.utils.workers import passed_on

# The signals that stop a run. If processes receive different ones, the first in this order counts.
STOPPING = (signal.SIGTERM, signal.SIGINT)


class Interrupted(RuntimeError):
    """A signal stopped a run after its checkpoint was saved.

    Attributes:
        signal: number of the signal.
    """

    def __init__(self, number: int, step: int, folder: Path):
        super().__init__(number, step, folder)
        self.signal = number
        self.message = (
            f"stopped by {signal.Signals(number).name} after step {step}; the checkpoint is in "
            f"{folder}. To continue, run the same command with --resume auto"
        )

    def __str__(self) -> str:
        return self.message


class StopRequest:
    """Remembers a SIGINT or SIGTERM: ``number`` is the signal's number, or 0."""

    number = 0

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.number == signal.SIGINT == number:
            raise KeyboardInterrupt  # the second Ctrl-C stops immediately
        self.number = passed_on(number)


@contextlib.contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Remember SIGINT and SIGTERM instead of ending; a second SIGINT is a KeyboardInterrupt."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request  # only the main thread receives signals
        return
    handled = [n for n in STOPPING if signal.getsignal(n) != signal.SIG_IGN]
    previous = {number: signal.signal(number, request._handle) for number in handled}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
