"""A run that is asked to stop does so after a step, and not within one."""

import contextlib
import signal
import threading
from collections.abc import Iterator

from gluonvision.utils.workers import passed_on

# What asks a run to stop; of two that come to different processes the first counts.
STOPPING = (signal.SIGTERM, signal.SIGINT)


class Interrupted(RuntimeError):
    """A run was asked to stop, and has saved its state; ``signal`` is what asked."""

    def __init__(self, number: int, step: int, folder):
        super().__init__(number, step, folder)
        self.signal = number
        self.message = (
            f"stopped by {signal.Signals(number).name} after step {step}; its state is in "
            f"{folder}: the same command with --resume auto goes on from there"
        )

    def __str__(self):
        return self.message


class StopRequest:
    """Whether SIGINT or SIGTERM has come: ``number`` is that of the signal, or 0."""

    number = 0

    def _note(self, number, frame):
        if self.number == signal.SIGINT == number:
            raise KeyboardInterrupt  # whoever asks twice does not want to wait
        self.number = passed_on(number)


@contextlib.contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Note SIGINT and SIGTERM instead of dying by them; a second SIGINT is a KeyboardInterrupt."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request  # signals are the main thread's
        return
    wanted = [n for n in STOPPING if signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.signal(number, request._note) for number in wanted}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
