"""Several processes that work together: all of them end well, or all of them end.

New interpreters (multiprocessing's "spawn"), since a fork of a process that has used CUDA or
threads is broken. A worker learns of its parent's death from a pipe that closes, so that none
outlives it, however it ended.
"""

import contextlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing import connection, get_context
from typing import NamedTuple

from tqdm import tqdm

from gluonvision.utils.errors import is_user_error

# How long the others may take to say why they end too, once one has failed: seconds.
_GRACE = 2.0


class WorkerError(RuntimeError):
    """A worker raised, exited or was killed; the message holds its traceback or signal.

    Of an error that a user can mend it is the error's own message.
    """


class _Failure(NamedTuple):
    when: float
    text: str
    is_user_error: bool = False


# What this process, a worker, was sent by its parent: see passed_on.
_received: list[int] = []


def passed_on(number: int) -> int:
    """The signal that a worker's parent had when this one was raised here: SIGINT as SIGTERM.

    In any other process, and for a signal that did not come from the parent, ``number`` itself.
    """
    return _received[-1] if _received and number == signal.SIGTERM else number


class _Worker:
    """One process, the pipe on which its result comes, and the pipe that tells it that we live."""

    def __init__(self, context, work, argument, environment):
        self.result, theirs = context.Pipe(duplex=False)
        lifeline, self.lifeline = context.Pipe(duplex=False)
        main = (work, argument, environment, theirs, lifeline)
        self.process = context.Process(target=_child, args=main)
        self.process.start()
        theirs.close()
        lifeline.close()
        self.outcome = None

    def receive(self):
        """Take what it sent, if it sent something; a killed process sends nothing."""
        with contextlib.suppress(EOFError, OSError):
            if self.outcome is None and self.result.poll():
                self.outcome = self.result.recv()

    def ask_to_end(self, number: int):
        """Let SIGTERM be raised in it, for the signal of that number, if it is still there."""
        with contextlib.suppress(OSError):
            self.lifeline.send(number)

    def failure(self, name: str) -> _Failure | None:
        """Why it failed, if it has."""
        self.receive()
        if self.outcome is not None and self.outcome[0] == "raised":
            _, when, told, is_user_error = self.outcome
            between = ": " if is_user_error else " failed:\n"
            return _Failure(when, f"{name}{between}{told}", is_user_error)
        if self.process.exitcode in (0, None):
            return None
        return _Failure(0.0, f"{name} {manner_of_death(self.process.exitcode)}")


def run(work: Callable, argument, environments: Sequence[dict[str, str]]):
    """``work(argument)`` in one new process for each of ``environments``; the first one's result.

    An environment's variables are added to this process's own. SIGINT and SIGTERM of this process
    reach the workers as SIGTERM, which ``work`` may answer by ending early (``passed_on`` tells
    which it was); a second SIGINT kills them. ``work`` and ``argument`` are pickled.

    Raises WorkerError as soon as one worker fails; the others are killed then. KeyboardInterrupt
    where one ended by a SIGINT that it had no answer to.
    """
    context = get_context("spawn")
    workers: list[_Worker] = []
    try:
        with _forwarded_signals(workers) as seen:
            for environment in environments:
                workers.append(_Worker(context, work, argument, environment))
            _wait(workers, seen)
    finally:
        for worker in workers:
            worker.process.kill()
            worker.process.join()
    return workers[0].outcome[1]


def _wait(workers, seen):
    running = list(workers)
    while running:
        # A result must be taken before its sender can end: a pipe holds little.
        connection.wait([w.process.sentinel for w in running] + [w.result for w in running], 1.0)
        failures = _failures(workers)
        if failures and signal.SIGINT in seen and _ended_by(workers, signal.SIGTERM):
            raise KeyboardInterrupt
        if failures:
            raise WorkerError(_told(workers, failures))
        running = [w for w in running if w.process.exitcode is None]


def _failures(workers) -> list[_Failure]:
    named = [(w, f"process {i} of {len(workers)}") for i, w in enumerate(workers)]
    found = [w.failure(name) for w, name in named]
    return sorted(failure for failure in found if failure)


def _ended_by(workers, number: int) -> bool:
    return any(worker.process.exitcode == -number for worker in workers)


def _told(workers, failures) -> str:
    """The first cause in full; the others fell over it, and are told in a line.

    Where a user can mend the cause, it says all that there is to say.
    """
    if failures[0].is_user_error:
        return failures[0].text
    end = time.monotonic() + _GRACE
    while len(failures) < len(workers) and time.monotonic() < end:
        alive = [w.process.sentinel for w in workers if w.process.exitcode is None]
        if not connection.wait(alive, max(end - time.monotonic(), 0)):
            break
        failures = _failures(workers)
    first, *others = failures
    lines = [failure.text.strip().splitlines() for failure in others]
    return "\n".join([first.text.rstrip(), *(f"then {line[0]} {line[-1]}" for line in lines)])


def manner_of_death(exitcode: int | None) -> str:
    """What happened to a process, by multiprocessing's exit code of it; a sentence's predicate."""
    if exitcode is None:
        return "has ended, nobody knows how"
    if exitcode >= 0:
        return f"exited with code {exitcode} and without a result"
    name = signal.Signals(-exitcode).name
    hint = "; the system does that when memory runs out" if name == "SIGKILL" else ""
    return f"was killed by {name}{hint}"


@contextlib.contextmanager
def _forwarded_signals(workers):
    """Pass SIGINT and SIGTERM on to the workers; gives the list of those that have come."""
    seen: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield seen  # signals are the main thread's
        return

    def forward(number, frame):
        if number == signal.SIGINT and signal.SIGINT in seen:
            raise KeyboardInterrupt
        seen.append(number)
        for worker in workers:
            worker.ask_to_end(number)

    before = {n: signal.signal(n, forward) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _child(work, argument, environment, result, lifeline):
    # A terminal's Ctrl-C reaches every process; the parent decides what it means for us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_listen_to_parent, args=(lifeline,), daemon=True).start()
    os.environ.update(environment)
    # tqdm's own is shared by processes, and is reported as leaked where one leaves at once.
    tqdm.set_lock(threading.RLock())
    try:
        result.send(("returned", work(argument)))
    except BaseException as error:
        when, is_users = time.monotonic(), is_user_error(error)
        message = str(error) if is_users else traceback.format_exc()
        result.send(("raised", when, message, is_users))
        _exit(1)
    _exit(0)


def _exit(code: int):
    # Threads of a framework that wait for a peer would keep the process.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _listen_to_parent(lifeline):
    """Raise here what the parent passes on; end when it has ended."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            _received.append(lifeline.recv())
            os.kill(os.getpid(), signal.SIGTERM)
    os._exit(1)
