"""One long-lived thread for each of several devices, and a bound on how long they may wait.

A synchronized norm waits, inside MXNet's engine, for the other devices' values. What such a wait
needs is told in ``docs/backends.md``; where something fails, it never ends.
"""

import atexit
import contextlib
import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent import futures
from queue import SimpleQueue

import mxnet as mx

# Seconds: longer than any step takes; and what the engine has left to do its work at the exit.
STUCK_AFTER = 1800
LEFT_AT_EXIT = 2


class DeviceThreads:
    """``number`` threads that live as long as the process.

    MXNet's random generators and temporary memory belong to the thread: a new thread for a device
    at every step would repeat its dropout, one thread for all devices would hang.
    """

    def __init__(self, number: int):
        self._queues: list[SimpleQueue] = [SimpleQueue() for _ in range(number)]
        for queue in self._queues:
            # One that waits for ever must not keep the process from ending.
            threading.Thread(target=_work, args=(queue,), daemon=True).start()
        atexit.register(_leave)  # before MXNet's own, which waits for its engine for ever

    def run(self, jobs: Sequence[Callable]) -> list:
        """Call one job in each thread, side by side; returns what they return.

        The first exception of a job is raised here, with its traceback, at once: the other
        threads may wait for the failed one for ever, and the process is then to end. Raises
        RuntimeError if the jobs do not end in ``STUCK_AFTER`` seconds.
        """
        running: list[futures.Future] = [futures.Future() for _ in jobs]
        for queue, future, job in zip(self._queues, running, jobs):
            queue.put((future, job))
        done, late = futures.wait(running, STUCK_AFTER, futures.FIRST_EXCEPTION)
        for future in done:
            future.result()
        if late:
            raise RuntimeError(_describe(len(late), len(jobs)))
        return [future.result() for future in running]


def _work(queue: SimpleQueue):
    while True:
        future, job = queue.get()
        try:
            future.set_result(job())
        except BaseException as error:
            future.set_exception(error)
        del future, job  # they hold arrays of the step


def _leave():
    """End the process at once if the engine is not idle: some of its work may never end."""
    idle = threading.Event()
    threading.Thread(target=_wait_for_engine, args=(idle,), daemon=True).start()
    if not idle.wait(LEFT_AT_EXIT):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)


def _wait_for_engine(idle: threading.Event):
    # What failed in the engine and nobody has read is of no interest any more.
    with contextlib.suppress(mx.MXNetError):
        mx.nd.waitall()
    idle.set()


def _describe(late: int, number: int) -> str:
    threads = os.environ.get("MXNET_CPU_WORKER_NTHREADS", "1 (the default)")
    return (
        f"{late} of {number} devices have not ended a step after {STUCK_AFTER} s: they wait for "
        "each other in synchronized norms. MXNET_CPU_WORKER_NTHREADS, here "
        f"{threads}, must be at least the number of norms side by side (5 in DeepLabV3) before "
        "MXNet is imported: import gluonvision.backend first, which sets it"
    )
