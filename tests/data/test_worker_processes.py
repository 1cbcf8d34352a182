"""Batches by worker processes: the same as without, in memory that is given back, and no process
left, however one of them ends.
"""

import faulthandler
import gc
import mmap
import os
import random
import select
import signal
import subprocess
import sys
import threading
from multiprocessing import active_children

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gluonvision.data import DataLoader, VOCSegmentationDataset
from gluonvision.data.loading import loader as loading
from gluonvision.data.loading.forked_workers import can_fork
from gluonvision.data.loading.loader import SampleError
from gluonvision.data.loading.shared_slot import SharedSlot
from gluonvision.utils.locking import locked
from gluonvision.utils.workers import WorkerError

pytestmark = pytest.mark.skipif(not can_fork(), reason="worker processes need Linux")
FOREVER = threading.Event()


class Made:
    """A data set of what a function makes of the index."""

    def __init__(self, make, length=24):
        self.make, self.length = make, length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return self.make(index)


def by_processes(dataset, batch_size=2, workers=2, **options):
    return DataLoader(dataset, batch_size, num_workers=workers, processes=True, **options)


def filled(index):
    return np.full((50, 30), index, np.uint8), np.full((50, 30), -index, np.int32)


def at(wanted, act, otherwise=filled):
    """A data set whose sample of one index is what ``act`` does, in a worker."""
    return Made(lambda index: act() if index == wanted else otherwise(index))


def crops(voc_like, **options):
    return VOCSegmentationDataset(voc_like, split="trainval", base_size=80, crop_size=64, **options)


def assert_same(batches, wanted):
    assert len(batches) == len(wanted)
    for batch, other in zip(batches, wanted):
        assert len(batch) == len(other)
        for column, wanted_column in zip(batch, other):
            assert type(column) is type(wanted_column)
            assert len(column) == len(wanted_column)
            for item, wanted_item in zip(column, wanted_column):
                np.testing.assert_array_equal(item, wanted_item)
                assert getattr(item, "dtype", None) == getattr(wanted_item, "dtype", None)


def mapped():
    """Where this process has memory of slots: pairs of addresses."""
    with open("/proc/self/maps") as lines:
        spans = [line.split()[0] for line in lines if "memfd:gluonvision" in line]
    return [tuple(int(end, 16) for end in span.split("-")) for span in spans]


def is_shared(array):
    return any(first <= array.ctypes.data < last for first, last in mapped())


@pytest.fixture(autouse=True)
def _nothing_is_left():
    files = len(os.listdir("/proc/self/fd"))
    yield
    gc.collect()
    assert active_children() == []
    assert mapped() == []
    assert len(os.listdir("/proc/self/fd")) <= files


class TestBatches:
    @pytest.mark.parametrize("workers", [1, 2, 3])
    def test_are_those_of_the_callers_own_thread_in_every_epoch(self, voc_like, workers):
        def loader(**options):
            return DataLoader(crops(voc_like), 2, shuffle=True, seed=3, **options)

        own, other = loader(), loader(num_workers=workers, processes=True)
        epochs = [list(own) for _ in range(2)]
        assert_same([batch for _ in range(2) for batch in other], epochs[0] + epochs[1])
        assert not np.array_equal(epochs[0][0][0], epochs[1][0][0])

    def test_can_be_written_to_and_are_contiguous(self, voc_like):
        for batch in by_processes(crops(voc_like)):
            for array in batch:
                assert array.flags.writeable and array.flags.c_contiguous and array.flags.aligned
                array[...] = 1

    def test_a_pass_goes_on_where_it_stood(self, voc_like):
        def loader():
            return by_processes(crops(voc_like), shuffle=True, seed=4)

        whole, stopped, restored = loader(), loader(), loader()
        wanted = list(whole)
        batches = iter(stopped)
        next(batches)
        state = stopped.state_dict()
        batches.close()
        assert state["position"] == 1
        restored.load_state_dict(state)
        assert_same(list(restored), wanted[1:])

    def test_whole_images_names_and_objects(self, voc_like):
        whole = VOCSegmentationDataset(voc_like, split="val", mode="val")
        named = VOCSegmentationDataset(voc_like, split="val", mode="test")
        objects = Made(lambda index: (np.array([index, "x"], object), index, np.zeros((0, 3)), "n"))
        for dataset, options in ((whole, {"stack": False}), (named, {}), (objects, {})):
            wanted = list(DataLoader(dataset, 2, **options))
            assert_same(list(by_processes(dataset, **options)), wanted)

    def test_of_any_sizes_arrive(self):
        dataset = Made(lambda index: (np.full(3 ** (index // 2), index), str(index)), 26)
        assert_same(list(by_processes(dataset)), list(DataLoader(dataset, 2)))

    def test_of_arrays_that_are_not_contiguous_or_not_numeric(self):
        def make(index):
            structured = np.array([(index, 1.5)], [("a", "i2"), ("b", "f8")])
            dates, mirrored = (
                np.array(["2020-01-01"], "M8[D]"),
                np.arange(12).reshape(3, 4)[:, ::-1],
            )
            return structured, dates, mirrored, mirrored.T, np.float16(index), np.array(["ab"])

        for stack in (True, False):
            wanted = list(DataLoader(Made(make), 2, stack=stack))
            assert_same(list(by_processes(Made(make), stack=stack)), wanted)

    def test_two_passes_at_the_same_time(self, voc_like):
        loader = by_processes(crops(voc_like), shuffle=True)
        apart = [list(loader) for _ in range(2)]
        loader.set_epoch(0)
        mixed = list(zip(loader, loader))
        for number in range(2):
            assert_same([pair[number] for pair in mixed], apart[number])

    def test_in_another_thread_than_the_main_one(self):
        found = []
        thread = threading.Thread(target=lambda: found.extend(by_processes(Made(filled))))
        thread.start()
        thread.join()
        assert_same(found, list(DataLoader(Made(filled), 2)))

    def test_reading_ahead_is_bounded(self):
        asked = np.frombuffer(mmap.mmap(-1, 100), np.uint8)

        def make(index):
            asked[index] = 1
            return (np.zeros(1),)

        batches = iter(by_processes(Made(make, 100), 1))
        for _ in range(3):
            next(batches)
        while asked.sum() < 3 + 2 * 2:
            os.sched_yield()
        assert not asked[3 + 2 * 2 :].any()
        batches.close()

    def test_what_a_transform_draws_depends_on_the_batch_alone(self):
        dataset = Made(lambda index: (np.random.rand(), random.random()), 12)  # noqa: NPY002
        passes = [list(by_processes(dataset, workers=workers)) for workers in (1, 3)]
        assert_same(*passes)
        assert len(np.unique(np.concatenate([np.ravel(batch) for batch in passes[0]]))) == 24
        loader = by_processes(dataset)
        assert not np.array_equal(next(iter(loader)), next(iter(loader)))

    def test_what_a_transform_draws_by_torch_too(self):
        torch = pytest.importorskip("torch")
        dataset = Made(lambda index: (torch.rand(()).numpy(),), 12)
        passes = [list(by_processes(dataset, workers=workers)) for workers in (1, 3)]
        assert_same(*passes)
        assert len(np.unique(np.concatenate([np.ravel(batch) for batch in passes[0]]))) == 12
        loader = by_processes(dataset)
        assert not np.array_equal(next(iter(loader)), next(iter(loader)))

    def test_a_transform_may_use_torch_after_its_parent_has(self):
        torch = pytest.importorskip("torch")
        threads = torch.get_num_threads()
        torch.set_num_threads(2)
        try:
            value = float(torch.ones(10**6).sin().sum())
            dataset = Made(lambda index: (torch.ones(10**6).sin().sum().numpy(),), 4)
            assert [images.tolist() for (images,) in by_processes(dataset)] == 2 * [
                pytest.approx([value, value], rel=1e-5)
            ]
        finally:
            torch.set_num_threads(threads)

    def test_no_worker_is_needed(self):
        assert_same(list(by_processes(Made(filled), workers=0)), list(DataLoader(Made(filled), 2)))

    def test_another_system_is_told(self, monkeypatch):
        monkeypatch.setattr(loading, "can_fork", lambda: False)
        with pytest.raises(
            ValueError, match="processes=True on linux: worker processes need Linux"
        ):
            by_processes(Made(filled))


class TestMemory:
    def test_is_that_of_the_workers_and_is_given_back(self):
        batches = iter(by_processes(Made(filled, 60)))
        for images, masks in batches:
            assert is_shared(images) and is_shared(masks)
        places = len(mapped())
        assert places <= 2 * 2 + 4
        row = masks[1, 3:5].view(np.uint8)  # keeps all of its place, and no other
        wanted = row.copy()
        del images, masks
        assert len(mapped()) == 1 and np.array_equal(row, wanted)

    def test_who_keeps_all_has_copies_of_the_rest(self):
        kept = list(by_processes(Made(filled, 120)))
        assert_same(kept, list(DataLoader(Made(filled, 120), 2)))
        assert {is_shared(images) for images, _ in kept} == {True, False}

    @settings(max_examples=25, deadline=None)
    @given(st.lists(st.integers(0, 9), min_size=40, max_size=40), st.integers(1, 3))
    def test_what_is_kept_does_not_change(self, times, workers):
        """Each batch is kept, in part or whole, for a number of others."""
        kept = []
        for number, (images, masks) in enumerate(by_processes(Made(filled, 40), 1, workers)):
            kept = [(last, n, array) for last, n, array in kept if last > number]
            kept.append((number + times[number], number, masks[0, ::7] if number % 3 else masks))
            del images, masks
            assert all((array == -n).all() for _, n, array in kept)

    def test_a_tensor_keeps_it(self):
        torch = pytest.importorskip("torch")
        tensors = [torch.from_numpy(images) for images, _ in by_processes(Made(filled, 60))]
        assert all((tensor[0] == 2 * i).all() for i, tensor in enumerate(tensors))

    def test_an_array_outlives_the_pass(self):
        batches = iter(by_processes(Made(filled)))
        images, _ = next(batches)
        batches.close()
        assert (images[1] == 1).all()

    def test_a_slot_that_another_process_has_grown(self):
        slot = SharedSlot()
        first = slot.write(np.arange(10))
        _, told = slot.read(first, copy=False, on_release=lambda slot: None)
        pid = os.fork()
        if pid == 0:
            slot.clear()
            slot.write([np.zeros(10**6), np.arange(10**6)])
            os._exit(0)
        os.waitpid(pid, 0)
        slot.clear()
        again = slot.write([np.zeros(10**6), np.arange(10**6)])
        (zeros, numbers), told = slot.read(again, copy=False, on_release=lambda slot: None)
        assert not told and not zeros.any() and np.array_equal(numbers, np.arange(10**6))
        slot.close()


class Unpicklable(Exception):
    def __reduce__(self):
        raise TypeError("never")


class Changed(Exception):
    """One that pickle takes and cannot give back."""

    def __init__(self, one, two):
        super().__init__(f"{one}{two}")


def fail(error):
    raise error


class Refuses:
    """No array can be made of it."""

    shape, __hash__ = (), object.__hash__

    def __init__(self, error):
        self.error = error

    def __array__(self, *arguments, **options):
        raise self.error


class TestErrors:
    @pytest.mark.parametrize("error", [ZeroDivisionError("by zero"), SystemExit(3), Unpicklable(7)])
    def test_are_those_of_threads_at_the_same_place(self, voc_like, error):
        def transform(image):
            return fail(error) if image.sum() == wanted else image

        dataset = VOCSegmentationDataset(voc_like, split="trainval", mode="val")
        wanted = dataset[3][0].sum()
        dataset.transform = transform
        messages, taken = [], []
        for options in ({"num_workers": 2}, {"num_workers": 2, "processes": True}):
            batches = iter(DataLoader(dataset, 1, **options))
            for _ in range(3):
                next(batches)
            with pytest.raises(SampleError, match=r"2012_000003\.jpg") as caught:
                next(batches)
            messages.append(str(caught.value))
            taken.append(caught.value)
        assert messages[0] == messages[1]
        cause = taken[1].__cause__
        assert isinstance(cause, WorkerError)
        assert type(error).__name__ in str(cause) and "in transform" in str(cause)

    def test_of_shapes_keep_their_kind(self):
        dataset = Made(lambda index: (np.zeros(index),))
        with pytest.raises(ValueError, match=r"different shapes.*\(0,\), \(1,\)"):
            list(by_processes(dataset))

    @pytest.mark.parametrize("error", [Unpicklable("told"), Changed("to", "ld")])
    def test_that_cannot_be_pickled_keep_their_message(self, error):
        with pytest.raises(RuntimeError, match=f"{type(error).__name__}: told") as caught:
            list(by_processes(at(5, lambda: (Refuses(error),), lambda index: (index,))))
        assert isinstance(caught.value.__cause__, WorkerError)

    def test_a_sample_that_cannot_be_pickled(self):
        dataset = Made(lambda index: (np.zeros(3), threading.Lock()))
        with pytest.raises(TypeError, match="cannot go from process to process .*processes=False"):
            list(by_processes(dataset, stack=False))

    @pytest.mark.parametrize("error", [OSError(12, "no memory"), MemoryError("no memory")])
    def test_of_memory_keep_their_kind(self, monkeypatch, error):
        slot = SharedSlot()
        monkeypatch.setattr(SharedSlot, "_write", lambda slot, value, told: fail(error))
        with pytest.raises(type(error), match="no memory"):
            slot.write(1)
        slot.close()

    def test_the_pass_is_over_and_the_next_one_is_not(self):
        loader = by_processes(at(4, lambda: 1 / 0))
        for _ in range(2):
            batches = iter(loader)
            next(batches), next(batches)
            with pytest.raises(SampleError, match="sample 4 failed: ZeroDivisionError"):
                next(batches)
            assert list(batches) == []


def die(number):
    faulthandler.disable()
    os.kill(os.getpid(), number)
    FOREVER.wait()


class TestDeath:
    @pytest.mark.parametrize(
        ("act", "told"),
        [
            (lambda: die(signal.SIGKILL), "was killed by SIGKILL; .*memory.*fewer workers"),
            (lambda: die(signal.SIGSEGV), "was killed by SIGSEGV; run without workers"),
            (lambda: os._exit(7), "exited with code 7 and without a result"),
            (lambda: os._exit(0), "exited with code 0 and without a result"),
        ],
    )
    def test_is_told_at_its_place_with_the_files(self, act, told):
        dataset = at(5, act)
        dataset.images = [f"{index}.jpg" for index in range(24)]
        batches = iter(by_processes(dataset))
        next(batches), next(batches)
        with pytest.raises(WorkerError, match=rf"(?s)\(pid \d+\) {told}.*\n  4\.jpg\n  5\.jpg$"):
            next(batches)

    @pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for another's process")
    def test_is_told_no_sooner(self):
        """The batch before it is read by another, and comes."""
        dying = np.frombuffer(mmap.mmap(-1, 8), np.int64)

        def make(index):
            if index == 1:
                dying[0] = os.getpid()
                die(signal.SIGKILL)
            while not dying[0]:
                os.sched_yield()
            select.select([os.pidfd_open(dying[0])], [], [])
            for _ in range(1000):  # the parent sees it end
                os.sched_yield()
            return (index,)

        batches = iter(by_processes(Made(make, 2), 1))
        assert next(batches)[0] == 0
        with pytest.raises(WorkerError, match=r"SIGKILL.*\n  1$"):
            next(batches)

    @pytest.mark.parametrize("whom", [0, 1])
    def test_of_one_that_is_killed_from_outside(self, whom):
        batches = iter(by_processes(at(9, FOREVER.wait), 1))
        next(batches)
        os.kill(sorted(child.pid for child in active_children())[whom], signal.SIGKILL)
        with pytest.raises(WorkerError, match="SIGKILL"):
            list(batches)

    def test_is_seen_where_the_system_forgets_children(self):
        script = "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\nDataset.__getitem__ = os._exit\n"
        command = [sys.executable, "-c", f"{PARENT}{script}read()"]
        process = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert "ended for an unknown reason; run without workers" in process.stderr

    def test_is_seen_where_a_child_of_the_worker_holds_its_files(self):
        reader, writer = os.pipe()

        def leave_one_behind():
            if os.fork() == 0:
                os.close(writer)
                os.read(reader, 1)  # until the test is over
                os._exit(0)
            os._exit(1)

        with pytest.raises(WorkerError, match="exited with code 1"):
            list(by_processes(at(5, leave_one_behind)))
        os.close(writer)
        os.close(reader)


class TestEnd:
    @pytest.mark.parametrize("act", [lambda: filled(9), FOREVER.wait], ids=["reading", "blocked"])
    def test_of_a_pass_that_is_left(self, act):
        loader = by_processes(at(9, act), 1)
        for _ in loader:
            assert len(active_children()) == 2
            break
        assert active_children() == []
        with pytest.raises(KeyError):
            for _ in loader:
                raise KeyError
        assert active_children() == []

    def test_of_a_pass_that_is_forgotten(self):
        batches = iter(by_processes(at(9, FOREVER.wait), 1))
        next(batches)
        del batches
        gc.collect()
        assert active_children() == []

    def test_a_fork_of_the_parent_does_not_end_its_workers(self):
        batches = iter(by_processes(Made(filled)))
        next(batches)
        pid = os.fork()
        if pid == 0:
            try:
                batches.close()
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        assert len(list(batches)) == 11


# A process that reads; it says who its workers are, and has one that reads for ever.
PARENT = """
import contextlib, os, signal, sys, threading
import numpy as np
from multiprocessing import active_children
from gluonvision.data import DataLoader
from gluonvision.utils.locking import locked

class Dataset:
    def __len__(self):
        return 20
    def __getitem__(self, index):
        if index == 6:
            threading.Event().wait()
        return (np.full(10, index),)

def read():
    loader = DataLoader(Dataset(), 1, num_workers=2, processes=True)
    global batches
    batches = iter(loader)
    for _ in range(3):
        next(batches)
    print(*(child.pid for child in active_children()), flush=True)

"""


@pytest.fixture
def parent():
    """Start such a process with what it does; gives it and what to wait on for its workers."""
    processes, watched = [], []

    def start(rest):
        command = [sys.executable, "-c", PARENT + rest]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        process = subprocess.Popen(command, text=True, start_new_session=True, **pipes)
        processes.append(process)
        watched.extend(os.pidfd_open(int(pid)) for pid in process.stdout.readline().split())
        assert len(watched) == 2
        return process, watched

    yield start
    for process in processes:
        process.kill()
        process.communicate()
    for descriptor in watched:
        os.close(descriptor)


def assert_ended(watched):
    waiting = list(watched)
    while waiting:
        ready, _, _ = select.select(waiting, [], [], 30)
        assert ready, "a worker is still there"
        waiting = [descriptor for descriptor in waiting if descriptor not in ready]


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for processes of others")
class TestParent:
    def test_killed_leaves_neither_worker_nor_lock(self, parent, tmp_path):
        path = tmp_path / "run"
        process, watched = parent(f"with locked({str(path)!r}): read(); threading.Event().wait()")
        with pytest.raises(BlockingIOError), locked(path, wait=False):
            pass
        process.kill()
        process.wait()
        with locked(path, wait=False):
            assert_ended(watched)

    @pytest.mark.parametrize(
        "end",
        [
            "sys.exit(0)",
            "pass",
            "other = threading.Thread(target=read); other.start(); other.join()",
        ],
    )
    def test_that_exits_with_a_pass_under_way_ends(self, parent, end):
        process, watched = parent(f"read()\nsys.stdin.readline()\n{end}")
        _, err = process.communicate("now\n", timeout=60)
        assert (process.returncode, err) == (0, "")
        assert_ended(watched)

    def test_interrupted_with_its_workers_ends_them_and_they_say_nothing(self, parent):
        # Where the tests run in a shell's background it is ignored.
        heard = "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        process, watched = parent(f"{heard}read()\nlist(batches)")
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert_ended(watched)
        assert err.count("Traceback") == 1 and err.strip().endswith("KeyboardInterrupt")

    def test_interrupted_while_it_ends_its_workers_ends_all(self, parent):
        process, watched = parent(
            "from multiprocessing.context import ForkProcess\n"
            "kill, calls = ForkProcess.kill, iter(range(9))\n"
            "def interrupted(process):\n"
            "    if next(calls) == 1: raise KeyboardInterrupt\n"
            "    kill(process)\n"
            "ForkProcess.kill = interrupted\n"
            "read()\nbatches.close()"
        )
        _, err = process.communicate(timeout=60)
        assert_ended(watched)
        assert err.strip().endswith("KeyboardInterrupt")

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_decides_what_a_signal_to_all_means(self, parent, number):
        process, watched = parent(
            "noted = threading.Event()\n"
            "def note(*_): print('noted'); sys.stdout.flush(); noted.set()\n"
            f"signal.signal({int(number)}, note)\n"
            "read()\nnoted.wait()\nprint(next(batches)[0][0, 0])\nbatches.close()"
        )
        os.killpg(process.pid, number)
        assert process.communicate(timeout=60) == ("noted\n3\n", "")
        assert_ended(watched)


# A thread of the parent has stdout locked, nearly always, when it forks.
PRINTING = """
import sys, threading
import numpy as np
from gluonvision.data import DataLoader

class Dataset:
    def __len__(self):
        return 4
    def __getitem__(self, index):
        print("worker", index)
        return (np.full(10, index),)

ended = threading.Event()
def write():
    while not ended.is_set():
        print("x" * 10**5, flush=True)
writing = threading.Thread(target=write)
writing.start()
for _ in range(10):
    assert len(list(DataLoader(Dataset(), 1, num_workers=1, processes=True))) == 4
ended.set()
"""


def test_a_worker_can_print_though_a_thread_of_its_parent_does():
    environment = {name: v for name, v in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-c", PRINTING]
    process = subprocess.run(
        command, capture_output=True, text=True, timeout=60, env=environment, check=True
    )
    assert (process.stdout.count("worker"), process.stderr) == (40, "")


# A thread of the parent has np.random locked, nearly always, when it forks.
DRAWING = """
import threading
import numpy as np
from gluonvision.data import DataLoader

class Dataset:
    def __len__(self):
        return 4
    def __getitem__(self, index):
        return (np.random.rand(2),)

ended = threading.Event()
def draw():
    while not ended.is_set():
        np.random.rand(10**6)
drawing = threading.Thread(target=draw)
drawing.start()
for _ in range(10):
    assert len(list(DataLoader(Dataset(), 1, num_workers=2, processes=True))) == 4
ended.set()
"""


def test_a_worker_can_draw_though_a_thread_of_its_parent_does():
    subprocess.run([sys.executable, "-c", DRAWING], timeout=60, check=True)
