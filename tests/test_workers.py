"""Processes that work together: their results, and every way in which one of them can end."""

import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gluonvision.utils.workers import WorkerError, run

NAMES = [{"NUMBER": str(i)} for i in range(3)]
FOREVER = threading.Event()


def number() -> int:
    return int(os.environ["NUMBER"])


def own_number(argument):
    return number() + argument


def one_raises(argument):
    if number() == 1:
        raise ValueError("mask 17 is broken")
    FOREVER.wait()


def one_is_killed(argument):
    if number() == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    FOREVER.wait()


def one_exits(argument):
    if number() == 0:
        os._exit(7)
    FOREVER.wait()


def all_raise(argument):
    raise ValueError(f"of process {number()}")


def a_large_result(argument):
    return b"x" * 10_000_000


def test_the_first_ones_result_is_returned_and_variables_are_set():
    assert run(own_number, 10, NAMES) == 10
    assert "NUMBER" not in os.environ


def test_a_result_larger_than_a_pipe_arrives():
    assert len(run(a_large_result, None, NAMES[:2])) == 10_000_000


@pytest.mark.parametrize(
    ("work", "told"),
    [
        (one_raises, r"process 1 of 3 failed:\nTraceback(.|\n)*ValueError: mask 17 is broken$"),
        (one_is_killed, "process 2 of 3 was killed by SIGKILL"),
        (one_exits, "process 0 of 3 exited with code 7"),
        (all_raise, "failed:(.|\n)*ValueError: of process"),
    ],
)
def test_a_worker_that_fails_ends_all_and_says_why(work, told):
    with pytest.raises(WorkerError, match=told):
        run(work, None, NAMES)


def tell_and_wait(descriptor_file):
    """A worker that would stay for ever: it says that it is there."""
    with open(descriptor_file, "a") as pipe:
        pipe.write(f"{os.getpid()}\n")
    FOREVER.wait()


PARENT = """
import sys
sys.path.insert(0, {tests!r})
if __name__ == "__main__":
    from test_workers import NAMES, tell_and_wait
    from gluonvision.utils.workers import run
    run(tell_and_wait, sys.argv[1], NAMES[:2])
"""


@pytest.fixture
def parent(tmp_path):
    """A process with two workers that never end, and their process numbers."""
    script, pipe = tmp_path / "parent.py", tmp_path / "pipe"
    script.write_text(PARENT.format(tests=str(Path(__file__).parent)))
    os.mkfifo(pipe)
    process = subprocess.Popen([sys.executable, script, pipe], stderr=subprocess.PIPE, text=True)
    workers = []
    while len(workers) < 2:
        with open(pipe) as lines:
            workers.extend(map(int, lines.read().split()))
    yield process, workers
    process.kill()
    process.wait()


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for processes of others: Linux")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_worker_outlives_its_parent(parent, number):
    process, workers = parent
    watched = [os.pidfd_open(pid) for pid in workers]
    process.send_signal(number)
    ended = []
    while len(ended) < 2:
        ready, _, _ = select.select([w for w in watched if w not in ended], [], [], 30)
        assert ready, "a worker is still there"
        ended += ready
    for descriptor in watched:
        os.close(descriptor)
    process.wait(timeout=30)
