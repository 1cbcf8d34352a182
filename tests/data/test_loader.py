"""Batches: order, shards, saved positions, errors of workers."""

import json
import platform
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gluonvision.data import DataLoader, Sampler, VOCSegmentationDataset
from gluonvision.data.loading import prefetch
from gluonvision.data.loading.forked_workers import can_fork
from gluonvision.data.loading.sampler import epoch_order


@pytest.fixture
def voc_copy(voc_like, tmp_path):
    """A copy of the generated VOC2012 folder that a test may break."""
    return shutil.copytree(voc_like, tmp_path / "copy") / "VOCdevkit" / "VOC2012"


class Listed:
    """A data set of given samples; knows what was asked for."""

    def __init__(self, samples):
        self.samples, self.asked = samples, []

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        self.asked.append(index)
        return self.samples[index]


def numbers(count):
    return Listed([(np.array([number]),) for number in range(count)])


def seen(batches):
    return [batch[0].ravel().tolist() for batch in batches]


def crops(voc_like):
    return VOCSegmentationDataset(voc_like, split="trainval", base_size=80, crop_size=64)


def equal(one, other):
    return len(one) == len(other) and all(
        np.array_equal(a, b) for x, y in zip(one, other) for a, b in zip(x, y)
    )


class TestLoader:
    @pytest.mark.parametrize("workers", [0, 1, 3])
    def test_batches(self, voc_like, workers):
        dataset = VOCSegmentationDataset(voc_like, split="trainval", base_size=80, crop_size=64)
        loader = DataLoader(dataset, 4, num_workers=workers)
        shapes = [(images.shape, masks.shape) for images, masks in loader]
        assert shapes == [((4, 64, 64, 3), (4, 64, 64)), ((2, 64, 64, 3), (2, 64, 64))]
        images, masks = next(iter(loader))
        assert images.dtype == np.uint8 and masks.dtype == np.int32

    @pytest.mark.parametrize("last, sizes", [("keep", [4, 4, 2]), ("discard", [4, 4])])
    def test_last_batch(self, last, sizes):
        loader = DataLoader(Listed([(np.zeros(1),)] * 10), 4, last_batch=last)
        assert [len(batch[0]) for batch in loader] == sizes and len(loader) == len(sizes)

    def test_names_become_a_list(self, voc_like):
        dataset = VOCSegmentationDataset(voc_like, split="val", mode="test")
        images, names = next(iter(DataLoader(dataset, 2)))
        assert images.shape == (2, 90, 120, 3)
        assert names == ["2012_000004.jpg", "2012_000005.jpg"]

    def test_samples_do_not_depend_on_workers_or_batches(self, voc_like):
        passes = []
        for workers, batch_size in ((0, 6), (2, 1), (4, 2)):
            dataset = VOCSegmentationDataset(voc_like, split="trainval", base_size=80, crop_size=64)
            loader = DataLoader(dataset, batch_size, shuffle=True, seed=5, num_workers=workers)
            loader.set_epoch(3)
            passes.append([np.concatenate(column) for column in zip(*loader)])
        for images, masks in passes[1:]:
            assert np.array_equal(images, passes[0][0]) and np.array_equal(masks, passes[0][1])

    def test_passes_differ_and_an_epoch_can_be_repeated(self, voc_like):
        dataset = VOCSegmentationDataset(voc_like, base_size=80, crop_size=64)
        loader = DataLoader(dataset, 4)
        first, second = (next(iter(loader))[0] for _ in range(2))
        loader.set_epoch(0)
        assert not np.array_equal(first, second)
        assert np.array_equal(next(iter(loader))[0], first)

    @pytest.mark.parametrize("workers", [0, 2])
    def test_an_error_names_the_file_and_has_its_cause(self, voc_copy, workers):
        (voc_copy / "JPEGImages" / "2012_000003.jpg").write_bytes(b"no picture")
        loader = DataLoader(VOCSegmentationDataset(voc_copy), 2, num_workers=workers)
        with pytest.raises(RuntimeError, match=r"sample 3 .*2012_000003\.jpg.*failed") as caught:
            list(loader)
        assert isinstance(caught.value.__cause__, ValueError)
        assert "--skip-broken" in str(caught.value)

    def test_an_error_of_the_users_transform_names_the_file(self, voc_like):
        dataset = VOCSegmentationDataset(voc_like, transform=lambda image: 1 / 0)
        with pytest.raises(RuntimeError, match=r"2012_000000\.jpg.*ZeroDivisionError.*zero$"):
            next(iter(DataLoader(dataset, 1, num_workers=1)))

    @pytest.mark.parametrize("processes", [False, True])
    def test_a_transform_that_returns_nothing(self, voc_like, processes):
        if processes and not can_fork():
            pytest.skip("no worker processes here")
        dataset = VOCSegmentationDataset(voc_like, mode="train", transform=lambda image: None)
        loader = DataLoader(dataset, 2, num_workers=1, processes=processes)
        with pytest.raises(ValueError, match="does a transform return nothing"):
            next(iter(loader))

    def test_images_of_two_sizes(self):
        samples = [(np.zeros((2, 3, 3)), np.zeros((2, 3))), (np.zeros((3, 2, 3)), np.zeros((3, 2)))]
        with pytest.raises(ValueError, match=r"\(2, 3, 3\), \(3, 2, 3\).*batch_size=1"):
            list(DataLoader(Listed(samples), 2))

    def test_reading_ahead_is_bounded_and_ends_with_the_pass(self, monkeypatch):
        submitted = []

        class Counted(prefetch.ThreadPoolExecutor):
            def submit(self, *arguments):
                submitted.append(arguments)
                return super().submit(*arguments)

        monkeypatch.setattr(prefetch, "ThreadPoolExecutor", Counted)
        threads = threading.active_count()
        batches = iter(DataLoader(Listed([(np.zeros(1),)] * 100), 1, num_workers=2))
        for _ in range(3):
            next(batches)
        batches.close()
        assert len(submitted) == 3 + 2 * 2
        assert threading.active_count() == threads

    @pytest.mark.parametrize(
        "wrong, message",
        [
            ({"batch_size": 0}, "batch_size 0"),
            ({"num_workers": -1}, "num_workers -1"),
            ({"last_batch": "rollover"}, "'rollover': expected 'keep' or 'discard'"),
            ({"batch_size": 11, "last_batch": "discard"}, "10 samples do not fill a batch of 11"),
        ],
    )
    def test_wrong_arguments(self, wrong, message):
        with pytest.raises(ValueError, match=message):
            DataLoader(Listed([(np.zeros(1),)] * 10), **{"batch_size": 2, **wrong})

    def test_whole_images_of_any_sizes_are_a_list(self):
        samples = [(np.zeros((2, 3, 3)), np.zeros((2, 3))), (np.ones((3, 2, 3)), np.ones((3, 2)))]
        ((images, masks),) = DataLoader(Listed(samples), 2, stack=False)
        assert [image.shape for image in images] == [(2, 3, 3), (3, 2, 3)]
        assert [mask.shape for mask in masks] == [(2, 3), (3, 2)]

    @pytest.mark.parametrize("workers", [0, 2])
    def test_passes_at_the_same_time_do_not_touch_each_other(self, voc_like, workers):
        dataset = crops(voc_like)
        loaders = [DataLoader(dataset, 2, shuffle=True, seed=7, num_workers=workers)] * 2
        apart = [list(loaders[0]) for _ in range(2)]
        loaders[0].set_epoch(0)
        mixed = list(zip(*loaders))
        for number, alone in enumerate(apart):
            assert equal([batches[number] for batches in mixed], alone)
        assert not equal(*apart)

    @pytest.mark.parametrize("workers", [0, 2])
    def test_a_worker_that_leaves_is_an_error(self, voc_like, workers):
        dataset = VOCSegmentationDataset(voc_like, transform=lambda image: sys.exit(0))
        with pytest.raises(RuntimeError, match=r"2012_000000\.jpg.*SystemExit") as caught:
            list(DataLoader(dataset, 1, num_workers=workers))
        assert isinstance(caught.value.__cause__, SystemExit)


class TestSampler:
    def test_order(self):
        orders = [epoch_order(100, True, seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
        assert len({tuple(order) for order in orders}) == 4
        assert all(sorted(order) == list(range(100)) for order in orders)
        assert np.array_equal(orders[1], epoch_order(100, True, 0, 1))
        assert np.array_equal(epoch_order(5, False, 0, 9), range(5))

    @settings(max_examples=100, deadline=None)
    @given(st.integers(0, 60), st.integers(1, 7), st.booleans(), st.integers(0, 9))
    def test_shards_of_evaluation_have_every_sample_once(self, length, world, shuffle, epoch):
        shards = [Sampler(length, shuffle, 3, rank, world, equal=False) for rank in range(world)]
        orders = [shard.order(epoch) for shard in shards]
        assert [len(order) for order in orders] == [len(shard) for shard in shards]
        assert sorted(np.concatenate(orders)) == list(range(length))
        assert max(map(len, shards)) - min(map(len, shards)) <= 1

    @settings(max_examples=100, deadline=None)
    @given(st.integers(0, 60), st.integers(1, 7), st.booleans(), st.integers(0, 9))
    def test_shards_of_training_are_equally_long(self, length, world, shuffle, epoch):
        orders = [Sampler(length, shuffle, 3, rank, world).order(epoch) for rank in range(world)]
        assert {len(order) for order in orders} == {length // world}
        together = np.concatenate(orders).tolist()
        assert len(set(together)) == len(together) == length - length % world

    def test_what_shuffled_shards_leave_out_changes(self):
        def left_out(epoch):
            orders = [Sampler(11, True, 0, rank, 2).order(epoch) for rank in range(2)]
            return set(range(11)) - set(np.concatenate(orders).tolist())

        assert len(set.union(*(left_out(epoch) for epoch in range(20)))) > 5

    @pytest.mark.parametrize("world", [2, 3])
    def test_batches_of_all_processes_are_those_of_one(self, world):
        together = seen(DataLoader(numbers(24), 4 * world, shuffle=True, seed=5))
        shards = (Sampler(24, True, 5, rank, world) for rank in range(world))
        apart = [seen(DataLoader(numbers(24), 4, sampler=shard)) for shard in shards]
        for step, batch in enumerate(together):
            assert sorted(batch) == sorted(n for batches in apart for n in batches[step])

    def test_more_processes_than_images_to_evaluate(self):
        shards = [Sampler(2, rank=rank, world_size=3, equal=False) for rank in range(3)]
        assert [seen(DataLoader(numbers(2), 4, sampler=s)) for s in shards] == [[[0]], [[1]], []]
        with pytest.raises(ValueError, match="0 samples do not fill a batch of 4"):
            DataLoader(numbers(2), 4, sampler=Sampler(2, rank=2, world_size=3))

    @pytest.mark.parametrize(
        "wrong, message",
        [
            ({"rank": 2, "world_size": 2}, "rank 2 of 2 processes: expected 0 to 1"),
            ({"rank": -1}, "rank -1 of 1"),
            ({"world_size": 0}, "rank 0 of 0"),
            ({"seed": -1}, "seed -1"),
        ],
    )
    def test_wrong_arguments(self, wrong, message):
        with pytest.raises(ValueError, match=message):
            Sampler(10, **wrong)

    @pytest.mark.parametrize("options", [{"shuffle": True}, {"seed": 1}])
    def test_the_order_is_given_once(self, options):
        with pytest.raises(ValueError, match="and the loader neither shuffle nor seed"):
            DataLoader(numbers(4), 2, sampler=Sampler(4), **options)
        with pytest.raises(ValueError, match="orders 5 samples, the data set has 4"):
            DataLoader(numbers(4), 2, sampler=Sampler(5))


class TestState:
    @pytest.mark.parametrize("workers", [0, 2])
    @pytest.mark.parametrize("taken", [0, 1, 2])
    def test_a_restored_run_sees_what_is_left(self, voc_like, workers, taken):
        def loader():
            return DataLoader(crops(voc_like), 2, shuffle=True, seed=4, num_workers=workers)

        whole = loader()
        want = [batch for _ in range(3) for batch in whole]
        stopped = loader()
        list(stopped)
        batches = iter(stopped)
        for _ in range(taken):
            next(batches)
        state = json.loads(json.dumps(stopped.state_dict()))
        batches.close()
        restored = loader()
        restored.load_state_dict(state)
        assert equal([batch for _ in range(2) for batch in restored], want[3 + taken :])

    def test_what_came_before_is_not_read(self):
        dataset = numbers(100)
        loader = DataLoader(dataset, 3, shuffle=True)
        batches = iter(loader)
        for _ in range(20):
            next(batches)
        restored = DataLoader(dataset, 3, shuffle=True)
        restored.load_state_dict(loader.state_dict())
        dataset.asked.clear()
        rest = seen(restored)
        assert (
            dataset.asked == [number for batch in rest for number in batch]
            and len(dataset.asked) == 40
        )

    def test_read_ahead_does_not_count(self):
        loader = DataLoader(numbers(50), 2, num_workers=3)
        batches = iter(loader)
        next(batches), next(batches)
        assert loader.state_dict()["position"] == 2
        batches.close()

    def test_after_the_last_batch_comes_the_next_epoch(self):
        loader = DataLoader(numbers(4), 2)
        batches = iter(loader)
        next(batches), next(batches)
        assert (loader.state_dict()["epoch"], loader.state_dict()["position"]) == (1, 0)

    def test_a_new_loader_stands_at_the_beginning(self):
        state = DataLoader(numbers(4), 2).state_dict()
        assert (state["epoch"], state["position"]) == (0, 0)

    def test_naming_the_restored_epoch_keeps_the_position_and_another_does_not(self):
        loader = DataLoader(numbers(6), 2, shuffle=True)
        whole = seen(loader)
        state = loader.state_dict() | {"epoch": 0, "position": 1}
        loader.load_state_dict(state)
        loader.set_epoch(0)
        assert seen(loader) == whole[1:]
        loader.load_state_dict(state)
        loader.set_epoch(1)
        assert len(seen(loader)) == 3
        loader.set_epoch(0)
        assert seen(loader) == whole

    def test_is_restored_before_it_is_saved_again(self):
        loader = DataLoader(numbers(6), 2)
        list(loader)
        state = loader.state_dict() | {"epoch": 5, "position": 1}
        loader.load_state_dict(state)
        assert loader.state_dict() == state

    def test_every_process_has_the_same_state(self):
        states = []
        for rank in range(2):
            sampler = Sampler(13, True, 0, rank, 2)
            loader = DataLoader(numbers(13), 2, sampler=sampler)
            next(iter(loader))
            states.append(loader.state_dict())
        assert states[0] == states[1]

    @pytest.mark.parametrize(
        "length, batch_size, options, message",
        [
            (7, 2, {}, "length: 8, now 7"),
            (8, 4, {}, "batch_size: 2, now 4"),
            (8, 2, {"seed": 1}, "seed: 0, now 1"),
            (8, 2, {"shuffle": True}, "shuffle: False, now True"),
            (8, 2, {"last_batch": "discard"}, "last_batch: 'keep', now 'discard'"),
            (8, 2, {"sampler": Sampler(8, world_size=2)}, "world_size: 1, now 2"),
        ],
    )
    def test_a_position_among_other_batches_is_refused(self, length, batch_size, options, message):
        state = DataLoader(numbers(8), 2).state_dict()
        with pytest.raises(ValueError, match=message):
            DataLoader(numbers(length), batch_size, **options).load_state_dict(state)

    @pytest.mark.parametrize("position", [-1, 5])
    def test_a_position_beyond_the_pass_is_refused(self, position):
        loader = DataLoader(numbers(8), 2)
        with pytest.raises(ValueError, match=f"saved position {position}"):
            loader.load_state_dict(loader.state_dict() | {"position": position})


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_freed_memory_stays_in_the_process():
    code = """
import resource, numpy as np
from gluonvision.data.loading.loader import keep_freed_memory as keep
keep()
for number in range(21):
    images = [np.ones(3 << 20, np.uint8) for _ in range(4)]
    del images
    if number == 0:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # Four images of 768 pages, twenty times over: more than 20,000 without it.
    assert int(run.stdout) < 5_000
