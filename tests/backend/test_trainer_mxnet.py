"""Under MXNet, a trainer on several contexts: one thread each, and an end to every wait.

Run as a script, this file is the process that trains: contexts that wait for each other hang
instead of failing, so the tests kill it after a deadline and fail.
"""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest

DEADLINE = 120  # seconds
STEPS = 20
NCLASS = 3

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("mxnet") is None, reason="MXNet is not installed"
)


# What the process runs


def new_net(num_contexts, norm=True, rate=0.0, synchronized=True):
    import mxnet as mx

    from gluonvision import backend
    from gluonvision.backend import nn

    several = {"num_devices": num_contexts} if num_contexts > 1 and synchronized else {}
    norm_layer = nn.SyncBatchNorm if several else nn.BatchNorm
    backend.seed(3)
    net = nn.HybridSequential()
    # A bias before a norm has a gradient of rounding alone, which AdamW makes large.
    net.add(nn.Conv2D(8, 3, padding=1, in_channels=3, use_bias=not norm))
    if norm:
        net.add(norm_layer(in_channels=8, **several))
    net.add(nn.Activation("relu"), nn.Dropout(rate), nn.Conv2D(NCLASS, 1, in_channels=8))
    backend.initialize(net, backend.init.Xavier())
    net.collect_params().reset_ctx([mx.cpu(i) for i in range(num_contexts)])
    return net


class Run:
    """A trainer with what its steps need; every batch is cut into parts of one size."""

    def __init__(self, num_contexts, each=1, norm=True, rate=0.0, synchronized=True, **options):
        from gluonvision import backend, loss
        from gluonvision.backend.trainer_options import TrainerOptions

        self.net = new_net(num_contexts, norm, rate, synchronized)
        self.number = num_contexts * each
        options = TrainerOptions(**options)
        self.trainer = backend.Trainer(self.net, loss.SoftmaxCrossEntropyLoss(), options)

    def steps(self, numbers):
        return [self.step(number) for number in numbers]

    def step(self, number):
        from gluonvision import backend

        random = np.random.default_rng(number)
        x = random.standard_normal((12, 3, 8, 7)).astype("float32")
        label = random.integers(0, NCLASS, (12, 8, 7)).astype("int32")
        devices = self.trainer.devices * self.number
        parts = zip(np.split(x, self.number), np.split(label, self.number), devices)
        on_devices = [(backend.array(a, ctx=d), backend.array(b, ctx=d)) for a, b, d in parts]
        backend.reseed(1, number)
        loss = self.trainer.update(on_devices, [1 / self.number] * self.number, 0.1 / (1 + number))
        return backend.as_numpy(loss).sum()

    def kept(self):
        from gluonvision import backend

        averaged = self.trainer.averaged_parameters()
        average = {f"averaged {name}": value for name, value in averaged.items()}
        return backend.get_parameters(self.net) | self.trainer.state() | average


FULL = {"ema_decay": 0.9, "clip_norm": 0.5, "optimizer": "adamw"}
COMPARED = {
    "synchronized norms": ({}, {}),
    "hybridized": ({"compile": True}, {}),
    "everything": (FULL, FULL),
    "parts": ({"norm": False, "each": 2}, {"norm": False}),
    "parts, clipped": ({"norm": False, "each": 2, **FULL}, {"norm": False, **FULL}),
    "parts, hybridized": ({"norm": False, "each": 2, "compile": True}, {"norm": False}),
    "local": ({"kvstore": "local"}, {}),
}


def compare(results):
    """Two contexts, and one with the whole batch."""
    for name, (two, one) in COMPARED.items():
        for kind, run in (("two", Run(2, **two)), ("one", Run(1, **one))):
            results[f"{kind}/{name}/loss"] = np.array(run.steps(range(STEPS)))
            results |= {f"{kind}/{name}/{key}": value for key, value in run.kept().items()}


def resume(results):
    """Four steps, and two steps and two more in a new net.

    On three contexts without norms: MXNet sums what they share in the order in which it comes.
    """
    for contexts in (2, 3):
        options = {"rate": 0.5, "norm": contexts == 2, "compile": contexts == 2, **FULL}
        whole, first, second = (Run(contexts, **options) for _ in range(3))
        results[f"whole/{contexts}/loss"] = np.array(whole.steps(range(4)))
        begun = first.steps(range(2))
        from_state(second, first)
        results[f"resumed/{contexts}/loss"] = np.array(begun + second.steps(range(2, 4)))
        for kind, run in (("whole", whole), ("resumed", second)):
            results |= {f"{kind}/{contexts}/{key}": value for key, value in run.kept().items()}


def from_state(run, other):
    from gluonvision import backend

    backend.set_parameters(run.net, backend.get_parameters(other.net))
    run.trainer.load_state(other.trainer.state())


def resume_with_own_norms(results):
    """As above, with norms that each context has by itself: their statistics are a mean then."""
    whole, first, second = (Run(2, synchronized=False) for _ in range(3))
    whole.steps(range(4))
    first.steps(range(2))
    from_state(second, first)
    second.steps(range(2, 4))
    for kind, run in (("whole", whole), ("resumed", second)):
        results |= {f"{kind}/own/{key}": value for key, value in run.kept().items()}


def dropped(results):
    """What dropout leaves of ones, on each of two contexts, at two steps."""
    from gluonvision import backend
    from gluonvision.backend import nn

    seen = []

    def loss(scores, _):
        seen.append((scores.context.device_id, scores.asnumpy()))
        return scores.sum()

    net = nn.HybridSequential()
    net.add(nn.Conv2D(1, 1, in_channels=1, use_bias=False), nn.Dropout(0.5))
    backend.initialize(net, backend.init.One())
    net.collect_params().reset_ctx(backend.devices(2, no_cuda=True))
    trainer = backend.Trainer(net, loss)
    ones = [backend.array(np.ones((1, 1, 9, 9), "float32"), ctx=d) for d in trainer.devices]
    for step in (0, 1, 0):
        backend.reseed(1, step)
        trainer.update([(x, None) for x in ones], [0.5, 0.5], 0.0)
    by_step = [dict(seen[i : i + 2]) for i in range(0, len(seen), 2)]
    results["dropped"] = np.array([step[device] for step in by_step for device in (0, 1)])


def fail_in_a_thread():
    """The second context fails before its norm, for which the first waits for ever."""
    run = Run(2)
    forward = run.net[0].hybrid_forward

    def failing(F, x, **weights):
        if x.context.device_id == 1:
            raise KeyError("the second one's mistake")
        return forward(F, x, **weights)

    run.net[0].hybrid_forward = failing
    run.step(0)


def wait_for_ever():
    """Norms that wait for a third device."""
    from gluonvision.backend.mxnet import device_threads

    device_threads.STEP_TIMEOUT = 1
    run = Run(2)
    run.net[1]._kwargs["ndev"] = 3
    run.step(0)


def too_few_parts():
    run = Run(2)
    run.number = 1
    run.step(0)


def work(path):
    results = {}
    for fill in (compare, resume, resume_with_own_norms, dropped):
        fill(results)
    np.savez(path, **results)


# The tests


def start(*arguments):
    """Run this file as a script until the deadline."""
    settings = {"GLUONVISION_BACKEND": "mxnet"}
    command = [sys.executable, __file__, *map(str, arguments)]
    environment = {k: v for k, v in os.environ.items() if k != "MXNET_CPU_WORKER_NTHREADS"}
    try:
        return subprocess.run(
            command, env=environment | settings, capture_output=True, text=True, timeout=DEADLINE
        )
    except subprocess.TimeoutExpired:
        pytest.fail(f"contexts waited for each other: not done after {DEADLINE} s")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    path = tmp_path_factory.mktemp("trainer") / "results.npz"
    done = start("work", path)
    assert done.returncode == 0, done.stderr
    return dict(np.load(path))


def below(results, prefix):
    return {n.removeprefix(prefix): a for n, a in results.items() if n.startswith(prefix)}


@pytest.mark.parametrize("name", COMPARED)
def test_two_contexts_equal_one_with_the_whole_batch(results, name):
    ours, expected = (below(results, f"{kind}/{name}/") for kind in ("two", "one"))
    assert ours.keys() == expected.keys() and len(ours["loss"]) == STEPS
    for key, value in expected.items():
        np.testing.assert_allclose(ours[key], value, rtol=0, atol=1e-4, err_msg=key)


@pytest.mark.parametrize("contexts", [2, 3])
def test_a_run_on_several_contexts_goes_on_bit_for_bit(results, contexts):
    ours, expected = (below(results, f"{kind}/{contexts}/") for kind in ("resumed", "whole"))
    assert ours.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_array_equal(ours[key], value, err_msg=key)


def test_norms_of_each_context_go_on_from_their_mean(results):
    ours, expected = (below(results, f"{kind}/own/") for kind in ("resumed", "whole"))
    for key, value in expected.items():
        tolerance = 1e-7 if "running" in key else 0
        np.testing.assert_allclose(ours[key], value, rtol=tolerance, atol=tolerance, err_msg=key)


def test_dropout_differs_by_context_and_step_and_follows_from_the_seed(results):
    first, second, next_first, next_second, again_first, again_second = results["dropped"]
    np.testing.assert_array_equal(first, again_first)
    np.testing.assert_array_equal(second, again_second)
    for a, b in ((first, second), (first, next_first), (next_first, next_second)):
        assert not np.array_equal(a, b)


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("fail_in_a_thread", 'KeyError: "the second one\'s mistake"'),
        ("wait_for_ever", "2 of 2 devices have not finished a step after 1 s"),
        ("too_few_parts", "ValueError: 1 micro-batches for 2 devices"),
    ],
)
def test_what_fails_ends_the_process_and_is_told(case, message):
    done = start(case)
    assert done.returncode == 1
    assert message in done.stderr
    assert (case == "fail_in_a_thread") == ("in failing" in done.stderr)


if __name__ == "__main__":
    if sys.argv[1] == "work":
        work(sys.argv[2])
    else:
        globals()[sys.argv[1]]()
