"""Processes that work together: their results, and every way in which one of them can end."""

import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gluonvision.utils.workers import WorkerError, passed_on, run

NAMES = [{"NUMBER": str(i)} for i in range(3)]
FOREVER = threading.Event()


def number() -> int:
    return int(os.environ["NUMBER"])


def own_number(argument):
    return number() + argument


def one_raises(argument):
    if number() == 1:
        raise TypeError("a fault of ours")
    FOREVER.wait()


def a_user_can_mend_it(argument):
    if number() > 0:
        raise ValueError("mask 17 is broken")
    FOREVER.wait()


def tell_which_signal(descriptor_file):
    """A worker that waits to be asked to stop, and returns what its parent was asked by."""
    asked = []
    signal.signal(signal.SIGTERM, lambda number, frame: (asked.append(number), FOREVER.set()))
    with open(descriptor_file, "a") as pipe:
        pipe.write(f"{os.getpid()}\n")
    FOREVER.wait()
    return passed_on(asked[0])


def one_is_killed(argument):
    if number() == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    FOREVER.wait()


def one_exits(argument):
    if number() == 0:
        os._exit(7)
    FOREVER.wait()


def all_raise(argument):
    raise TypeError(f"of process {number()}")


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
        (one_raises, r"process 1 of 3 failed:\nTraceback(.|\n)*TypeError: a fault of ours$"),
        pytest.param(
            one_is_killed, "process 2 of 3 was killed by SIGKILL", marks=pytest.mark.posix
        ),
        (one_exits, "process 0 of 3 exited with code 7"),
        (all_raise, "failed:(.|\n)*TypeError: of process"),
    ],
)
def test_a_worker_that_fails_ends_all_and_says_why(work, told):
    with pytest.raises(WorkerError, match=told):
        run(work, None, NAMES)


def test_of_an_error_that_a_user_can_mend_its_message_is_told_and_nothing_else():
    with pytest.raises(WorkerError, match=r"^process [12] of 3: mask 17 is broken$"):
        run(a_user_can_mend_it, None, NAMES)


def test_a_signal_that_did_not_come_from_a_parent_is_itself():
    assert passed_on(signal.SIGTERM) == signal.SIGTERM


def tell_and_wait(descriptor_file):
    """A worker that would stay for ever: it says that it is there."""
    with open(descriptor_file, "a") as pipe:
        pipe.write(f"{os.getpid()}\n")
    FOREVER.wait()


PARENT = """
import sys
sys.path.insert(0, {tests!r})
if __name__ == "__main__":
    import test_workers
    from gluonvision.utils.workers import run
    print(run(test_workers.{work}, sys.argv[1], test_workers.NAMES[:2]))
"""


@pytest.fixture
def parent(tmp_path, request):
    """A process with two workers that do ``work``, and their process numbers."""
    script, pipe = tmp_path / "parent.py", tmp_path / "pipe"
    work = getattr(request, "param", "tell_and_wait")
    script.write_text(PARENT.format(tests=str(Path(__file__).parent), work=work))
    os.mkfifo(pipe)
    process = subprocess.Popen(
        [sys.executable, script, pipe], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    workers = []
    while len(workers) < 2:
        with open(pipe) as lines:
            workers.extend(map(int, lines.read().split()))
    yield process, workers
    process.kill()
    process.wait()


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for processes of others: Linux")
@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM"])
def test_no_worker_outlives_its_parent(parent, name):
    process, workers = parent
    watched = [os.pidfd_open(pid) for pid in workers]
    process.send_signal(getattr(signal, name))
    ended = []
    while len(ended) < 2:
        ready, _, _ = select.select([w for w in watched if w not in ended], [], [], 30)
        assert ready, "a worker is still there"
        ended += ready
    for descriptor in watched:
        os.close(descriptor)
    process.wait(timeout=30)


@pytest.mark.posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("parent", ["tell_which_signal"], indirect=True)
def test_workers_are_told_which_signal_their_parent_had(parent, number):
    process, _ = parent
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, f"{int(number)}\n"), err


@pytest.mark.posix
def test_workers_that_end_by_an_interrupt_are_no_failure(parent):
    process, _ = parent
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert err.strip().endswith("KeyboardInterrupt") and "WorkerError" not in err
