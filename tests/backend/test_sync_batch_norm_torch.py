"""Under torch, batch norm over several processes equals one process with the whole batch.

Every number of processes is started once, runs all cases over gloo and leaves its results in
files; the tests compare those to one process. Two things bound the time: the process group's own
timeout, and a deadline after which the processes are killed and the tests fail.
"""

import datetime
import os
import time

import numpy as np
import pytest

torch = pytest.importorskip("torch")
distributed = pytest.importorskip("torch.distributed")

from gluonvision import backend  # noqa: E402
from gluonvision.backend import nn  # noqa: E402

if backend.NAME != "torch":
    pytest.skip("these are processes of torch", allow_module_level=True)

DEADLINE = 60  # seconds for one number of processes
CHANNELS = 4
WHOLE_BATCH = 7
SPLITS = {1: [7], 2: [2, 5], 3: [4, 1, 2]}

# name: (shape after the batch, type, mean, arguments)
CASES = {
    "float64": ((5, 3), "float64", 0.5, {}),
    "float32": ((5, 3), "float32", 0.5, {}),
    "bfloat16": ((5, 3), "bfloat16", 0.5, {}),
    "float32 of a large mean": ((9, 8), "float32", 1e4, {}),
    "float64 of a large mean": ((5, 3), "float64", 1e4, {}),
    "one value each": ((), "float64", 0.5, {}),
    "other arguments": ((5, 3), "float64", 0.5, {"momentum": 0.5, "epsilon": 0.1}),
    "fixed gamma and beta": ((5, 3), "float64", 0.5, {"scale": False, "center": False}),
}
# Of values, gradients and running statistics, relative to the largest.
ACCURACY = {"float64": 1e-10, "float32": 1e-5, "bfloat16": 1e-2}


def inputs(case):
    """The whole batch and the gradient of its output."""
    shape, dtype, mean, _ = CASES[case]
    random = np.random.default_rng(sum(map(ord, case)))
    x = mean + random.standard_normal((WHOLE_BATCH, CHANNELS, *shape))
    upstream = random.standard_normal(x.shape)
    return [torch.tensor(a).to(getattr(torch, dtype)) for a in (x, upstream)]


def norm_of(kind, case):
    _, dtype, _, options = CASES[case]
    norm = kind(in_channels=CHANNELS, **options)
    if dtype == "float64":
        norm.double()
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(0.5, 2, CHANNELS))
        norm.bias.copy_(torch.linspace(-1, 1, CHANNELS))
    return norm


def run_case(kind, case, part=slice(None)):
    """Two forward and backward passes on a part of the batch; what they left, as NumPy arrays."""
    norm = norm_of(kind, case)
    for _ in range(2):  # running statistics move twice
        x, upstream = (whole[part].clone() for whole in inputs(case))
        x.requires_grad_()
        norm.zero_grad()
        out = norm(x)
        out.backward(upstream)
    results = {
        "out": out,
        "x gradient": x.grad,
        "running mean": norm.running_mean,
        "running variance": norm.running_var,
    }
    results |= {f"{name} gradient": p.grad for name, p in norm.named_parameters()}
    return {name: tensor.detach().double().numpy() for name, tensor in results.items()}


# What the processes run


def part_of(rank, world_size):
    ends = np.cumsum([0, *SPLITS[world_size]])
    return slice(ends[rank], ends[rank + 1])


def work(rank, world_size, folder):
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting_point",
        rank=rank,
        world_size=world_size,
        timeout=datetime.timedelta(seconds=DEADLINE // 2),
    )
    part = part_of(rank, world_size)
    for case in CASES:
        np.savez(f"{folder}/{case}.{rank}.npz", **run_case(nn.SyncBatchNorm, case, part))
    if rank == 0:  # alone: communication in evaluation would wait for the others
        evaluated = norm_of(nn.SyncBatchNorm, "float64").eval()(inputs("float64")[0])
        np.savez(f"{folder}/evaluation.npz", out=evaluated.detach().numpy())
    np.savez(f"{folder}/step.{rank}.npz", **step_in_parallel(part, world_size))
    distributed.barrier()
    os._exit(0)  # now and then gloo's threads abort a process that takes its group down


def start(world_size, folder):
    """Run ``work`` in processes of their own; kill them and fail after the deadline."""
    processes = torch.multiprocessing.spawn(
        work, (world_size, folder), nprocs=world_size, join=False
    )
    deadline = time.monotonic() + DEADLINE
    while not processes.join(timeout=max(0.1, deadline - time.monotonic())):
        if time.monotonic() > deadline:
            for process in processes.processes:
                process.kill()
            pytest.fail(f"{world_size} processes were not done after {DEADLINE} s")


def net():
    """A float64 net with two synchronized norms, equal in every process."""
    torch.manual_seed(0)
    layers = torch.nn.Sequential(
        torch.nn.Conv2d(CHANNELS, 3, 3),
        nn.SyncBatchNorm(in_channels=3),
        torch.nn.ReLU(),
        torch.nn.Conv2d(3, 2, 1),
        nn.SyncBatchNorm(in_channels=2),
    )
    return layers.double()


def step(model, weights, x, share=1.0):
    """One SGD step on the sum of squares times ``share``; the weights and running statistics."""
    (share * (model(x) * weights).square().sum()).backward()
    torch.optim.SGD(model.parameters(), lr=0.01).step()
    return {
        name.removeprefix("module."): value.detach().numpy()
        for name, value in model.state_dict().items()
    }


def step_data():
    random = np.random.default_rng(3)
    x = torch.tensor(random.standard_normal((WHOLE_BATCH, CHANNELS, 6, 5)))
    return torch.tensor(random.standard_normal((WHOLE_BATCH, 2, 4, 3))), x


def step_in_parallel(part, world_size):
    weights, x = (whole[part] for whole in step_data())
    model = torch.nn.parallel.DistributedDataParallel(net())
    return step(model, weights, x, share=world_size)  # DDP averages the gradients


# The tests


@pytest.fixture(scope="module", params=sorted(SPLITS))
def job(request, tmp_path_factory):
    """The number of processes and the folder with what they left."""
    folder = tmp_path_factory.mktemp(f"of_{request.param}")
    start(request.param, str(folder))
    return request.param, folder


def load(folder, name, world_size):
    """The results of all processes, by name: a list with an array for each rank."""
    files = [dict(np.load(folder / f"{name}.{rank}.npz")) for rank in range(world_size)]
    return {key: [file[key] for file in files] for key in files[0]}


def assert_close(value, expected, accuracy, what):
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(value, expected, rtol=0, atol=accuracy * scale, err_msg=what)


@pytest.mark.parametrize("case", CASES)
def test_processes_equal_one_with_the_whole_batch(job, case):
    world_size, folder = job
    parts, whole = load(folder, case, world_size), run_case(nn.BatchNorm, case)
    assert parts.keys() == whole.keys()
    accuracy = ACCURACY[CASES[case][1]]
    if CASES[case][2] > 1e3:
        accuracy *= 100  # what the mean of 1e4 takes from the digits of one process too
    for name in ("out", "x gradient"):
        assert_close(np.concatenate(parts[name]), whole[name], accuracy, name)
    for name in whole.keys() & {"weight gradient", "bias gradient"}:
        assert_close(sum(parts[name]), whole[name], accuracy, name)
    for name in ("running mean", "running variance"):
        for value in parts[name]:
            assert_close(value, whole[name], accuracy, name)


def test_fixed_gamma_and_beta_get_no_gradient(job):
    world_size, folder = job
    assert set(load(folder, "fixed gamma and beta", world_size)) == {
        "out",
        "x gradient",
        "running mean",
        "running variance",
    }


def test_the_variance_of_a_large_mean_does_not_cancel(job):
    world_size, folder = job
    case = "float32 of a large mean"
    x = inputs(case)[0].double().numpy()
    kept = 0.9**2  # the share of the initial variance, 1, after two steps
    expected = kept + (1 - kept) * x.var((0, 2, 3))
    for variance in load(folder, case, world_size)["running variance"]:
        np.testing.assert_allclose(variance, expected, rtol=1e-5)


def test_evaluation_does_not_communicate(job):
    _, folder = job
    expected = norm_of(nn.BatchNorm, "float64").eval()(inputs("float64")[0])
    np.testing.assert_array_equal(
        np.load(folder / "evaluation.npz")["out"], expected.detach().numpy()
    )


def test_a_step_of_ddp_equals_one_process_with_the_whole_batch(job):
    world_size, folder = job
    expected = step(net(), *step_data())
    for name, values in load(folder, "step", world_size).items():
        for value in values:
            np.testing.assert_allclose(value, expected[name], rtol=1e-10, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("case", CASES)
def test_without_processes_it_is_batch_norm(case):
    expected = run_case(nn.BatchNorm, case)
    for name, value in run_case(nn.SyncBatchNorm, case).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


def test_num_devices_is_taken_as_in_gluon():
    norm = nn.SyncBatchNorm(in_channels=CHANNELS, num_devices=4)
    assert norm(torch.randn(2, CHANNELS, 3, 3)).shape == (2, CHANNELS, 3, 3)
