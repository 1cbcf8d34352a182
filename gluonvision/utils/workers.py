"""Run several processes that work together: either all of them succeed, or all of them end.

They are new interpreters (multiprocessing's "spawn"), because a fork of a process that has used
CUDA or threads is broken. When the parent ends, in any way, a pipe closes, which ends the
worker too.
"""

import contextlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing import connection, get_context
from multiprocessing.context import SpawnContext
from types import FrameType
from typing import Any, NamedTuple

from tqdm import tqdm

from gluonvision.utils.errors import is_user_error

# Seconds that the other workers have to report their own failures after the first.
_GRACE = 2.0


class WorkerError(RuntimeError):
    """A worker raised, exited or was killed; the message holds its traceback or signal.

    For an error that the user can fix, it is the message of that error.
    """


class _Failure(NamedTuple):
    time: float
    text: str
    is_user_error: bool = False


# Signals that this process, if it is a worker, received from its parent.
_received: list[int] = []


def passed_on(number: int) -> int:
    """Return the signal that a worker's parent received, for the SIGTERM it was passed on as.

    In any other process, and for a signal that did not come from the parent, return ``number``.
    """
    return _received[-1] if _received and number == signal.SIGTERM else number


class _Worker:
    """A process, the pipe for its result, and one through which it notices that the parent died."""

    def __init__(
        self, context: SpawnContext, work: Callable, argument: Any, environment: Mapping[str, str]
    ) -> None:
        self.result, result_end = context.Pipe(duplex=False)
        lifeline_end, self.lifeline = context.Pipe(duplex=False)
        arguments = (work, argument, environment, result_end, lifeline_end)
        self.process = context.Process(target=_run_worker, args=arguments)
        self.process.start()
        result_end.close()
        lifeline_end.close()
        self.outcome: tuple | None = None

    def receive(self) -> None:
        """Receive the outcome if the worker sent one; a killed process sends nothing."""
        with contextlib.suppress(EOFError, OSError):
            if self.outcome is None and self.result.poll():
                self.outcome = self.result.recv()

    def ask_to_end(self, number: int) -> None:
        """Raise SIGTERM in the worker, on behalf of the signal ``number``, if it is running."""
        with contextlib.suppress(OSError):
            self.lifeline.send(number)

    def failure(self, name: str) -> _Failure | None:
        """Return why it failed, or None."""
        self.receive()
        if self.outcome is not None and self.outcome[0] == "raised":
            _, raised_at, message, is_user_error = self.outcome
            separator = ": " if is_user_error else " failed:\n"
            return _Failure(raised_at, f"{name}{separator}{message}", is_user_error)
        if self.process.exitcode in (0, None):
            return None
        return _Failure(0.0, f"{name} {describe_exit(self.process.exitcode)}")


def run(work: Callable, argument: Any, environments: Sequence[Mapping[str, str]]) -> Any:
    """Run ``work(argument)`` in one new process for each environment.

    SIGINT and SIGTERM of this process reach the workers as SIGTERM; ``work`` may end early on it,
    and ``passed_on`` returns which of the two it was. A second SIGINT kills the workers.

    Args:
        work: function to run; it is pickled.
        argument: its argument; it is pickled.
        environments: for each process, environment variables to add to this process's own.

    Returns:
        The result of the first process.

    Raises:
        WorkerError: a worker failed; the others are killed.
        KeyboardInterrupt: a worker was ended by a SIGINT that ``work`` did not handle.
    """
    context = get_context("spawn")
    workers: list[_Worker] = []
    try:
        with _forwarded_signals(workers) as received:
            for environment in environments:
                workers.append(_Worker(context, work, argument, environment))
            _wait(workers, received)
    finally:
        for worker in workers:
            worker.process.kill()
            worker.process.join()
    if workers[0].outcome is None:
        raise WorkerError(
            f"process 0 of {len(workers)} {describe_exit(workers[0].process.exitcode)}"
        )
    return workers[0].outcome[1]


def _wait(workers: list[_Worker], received: list[int]) -> None:
    running = list(workers)
    while running:
        # Take a result immediately: its sender cannot end before that, because a pipe holds little.
        connection.wait([w.process.sentinel for w in running] + [w.result for w in running], 1.0)
        running = [w for w in running if w.process.exitcode is None]
        # Look for failures after that, so that no result of a worker that has ended is missed.
        failures = _failures(workers)
        if failures and signal.SIGINT in received and _ended_by(workers, signal.SIGTERM):
            raise KeyboardInterrupt
        if failures:
            raise WorkerError(_message(workers, failures))


def _failures(workers: list[_Worker]) -> list[_Failure]:
    """Return the failures so far, the earliest first."""
    named = [(w, f"process {i} of {len(workers)}") for i, w in enumerate(workers)]
    failures = [w.failure(name) for w, name in named]
    return sorted(failure for failure in failures if failure)


def _ended_by(workers: list[_Worker], number: int) -> bool:
    return any(worker.process.exitcode == -number for worker in workers)


def _message(workers: list[_Worker], failures: list[_Failure]) -> str:
    """Return the first failure in full, and one line for each failure that followed from it.

    If the user can fix the first failure, return only its message.
    """
    if failures[0].is_user_error:
        return failures[0].text
    end = time.monotonic() + _GRACE
    while len(failures) < len(workers) and time.monotonic() < end:
        running = [w.process.sentinel for w in workers if w.process.exitcode is None]
        if not connection.wait(running, max(end - time.monotonic(), 0)):
            break
        failures = _failures(workers)
    first, *others = failures
    lines = [failure.text.strip().splitlines() for failure in others]
    return "\n".join([first.text.rstrip(), *(f"then {line[0]} {line[-1]}" for line in lines)])


def describe_exit(exitcode: int | None) -> str:
    """Describe how a process ended, as a predicate such as 'was killed by SIGTERM'.

    Args:
        exitcode: multiprocessing's exit code of the process; None if the system forgot it.
    """
    if exitcode is None:
        return "ended for an unknown reason"
    if exitcode >= 0:
        return f"exited with code {exitcode} and without a result"
    name = signal.Signals(-exitcode).name
    hint = "; the system does that when memory runs out" if name == "SIGKILL" else ""
    return f"was killed by {name}{hint}"


@contextlib.contextmanager
def _forwarded_signals(workers: list[_Worker]) -> Iterator[list[int]]:
    """Forward SIGINT and SIGTERM to the workers; yield the list of those received."""
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received  # only the main thread can handle signals
        return

    def forward(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and signal.SIGINT in received:
            raise KeyboardInterrupt
        received.append(number)
        for worker in workers:
            worker.ask_to_end(number)

    before = {n: signal.signal(n, forward) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run_worker(
    work: Callable,
    argument: Any,
    environment: Mapping[str, str],
    result: connection.Connection,
    lifeline: connection.Connection,
) -> None:
    # A terminal sends Ctrl-C to every process; the parent decides what it means for the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_listen_to_parent, args=(lifeline,), daemon=True).start()
    os.environ.update(environment)
    # tqdm's own lock is shared by processes, and is reported as leaked after os._exit.
    tqdm.set_lock(threading.RLock())
    try:
        result.send(("returned", work(argument)))
    except BaseException as error:
        raised_at, is_users = time.monotonic(), is_user_error(error)
        message = str(error) if is_users else traceback.format_exc()
        result.send(("raised", raised_at, message, is_users))
        _exit(1)
    _exit(0)


def _exit(code: int) -> None:
    # A framework's threads that wait for another worker would keep the process alive.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _listen_to_parent(lifeline: connection.Connection) -> None:
    """Raise the signals that the parent passes on; end when the parent has ended."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            _received.append(lifeline.recv())
            _raise_sigterm()
    os._exit(1)


def _raise_sigterm() -> None:
    if os.name == "nt":
        # On Windows os.kill ends the process immediately, whatever its handlers.
        signal.raise_signal(signal.SIGTERM)
    else:
        # Unlike raise_signal in this thread, it interrupts a system call of the main thread.
        os.kill(os.getpid(), signal.SIGTERM)
