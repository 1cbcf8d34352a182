"""One long-lived thread for each of several devices, with a limit on how long they may wait.

A synchronized norm waits inside MXNet's engine for the values of the other devices. If one of them
fails, the wait never ends. docs/backends.md lists the conditions for such waits to succeed.
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

# In seconds: longer than any step takes, and the time for the engine to finish its work at exit.
STEP_TIMEOUT = 1800
EXIT_TIMEOUT = 2


class DeviceThreads:
    """``number`` threads that live as long as the process.

    MXNet's random generators and temporary memory belong to a thread. A new thread for each step
    would repeat the same dropout, and a single thread for all devices would hang.
    """

    def __init__(self, number: int) -> None:
        self._queues: list[SimpleQueue] = [SimpleQueue() for _ in range(number)]
        for queue in self._queues:
            # A daemon, so that a thread that waits forever does not keep the process alive.
            threading.Thread(target=_work, args=(queue,), daemon=True).start()
        # Runs before MXNet's own exit handler, which waits for the engine without a limit.
        atexit.register(_exit_if_busy)

    def run(self, jobs: Sequence[Callable]) -> list:
        """Call one job in each thread, in parallel, and return their results.

        The first exception of a job is raised here immediately, with its traceback. The process
        should then end, because the other threads may wait for the failed one forever.

        Raises:
            RuntimeError: if the jobs do not end in ``STEP_TIMEOUT`` seconds.
        """
        running: list[futures.Future] = [futures.Future() for _ in jobs]
        for queue, future, job in zip(self._queues, running, jobs):
            queue.put((future, job))
        done, late = futures.wait(running, STEP_TIMEOUT, futures.FIRST_EXCEPTION)
        for future in done:
            future.result()
        if late:
            raise RuntimeError(_timeout_message(len(late), len(jobs)))
        return [future.result() for future in running]


def _work(queue: SimpleQueue) -> None:
    while True:
        future, job = queue.get()
        try:
            future.set_result(job())
        except BaseException as error:
            future.set_exception(error)
        del future, job  # they keep arrays of the step alive


def _exit_if_busy() -> None:
    """End the process immediately if the engine is still busy: some of its work may never end."""
    idle = threading.Event()
    threading.Thread(target=_wait_for_engine, args=(idle,), daemon=True).start()
    if not idle.wait(EXIT_TIMEOUT):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)


def _wait_for_engine(idle: threading.Event) -> None:
    # An error in the engine that nobody has read does not matter any more.
    with contextlib.suppress(mx.MXNetError):
        mx.nd.waitall()
    idle.set()


def _timeout_message(late: int, number: int) -> str:
    threads = os.environ.get("MXNET_CPU_WORKER_NTHREADS", "1 (the default)")
    return (
        f"{late} of {number} devices have not finished a step after {STEP_TIMEOUT} s: they wait "
        "for each other in synchronized norms. MXNET_CPU_WORKER_NTHREADS is "
        f"{threads}, but must be at least the number of norms in parallel branches (5 in "
        "DeepLabV3) when MXNet is imported. Import gluonvision.backend first, which sets it"
    )
