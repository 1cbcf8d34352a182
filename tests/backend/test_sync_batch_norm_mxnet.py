"""Under MXNet, batch norm over several contexts equals one context with the whole batch.

Run as a script, this file is the process that trains on several contexts and leaves its results
in a file. MXNet's operator waits for the other contexts inside one of the engine's threads, so a
wrong set-up hangs instead of failing; the test kills the process after a deadline and fails.

What has to hold, or it hangs:

- one Python thread a context, each with its own ``record`` and ``backward``: MXNet's temporary
  space and random generators belong to the thread, and two contexts that share them wait for each
  other (in one thread, dropout - norm - dropout hangs in the forward pass, convolution - norm -
  convolution in the backward pass);
- ``MXNET_CPU_WORKER_NTHREADS`` of at least the number of norms that can run side by side (5 in
  DeepLab's pyramid): otherwise two contexts can wait in different branches for each other;
- as many contexts in every training step as ``num_devices`` says.

The threads must live on from step to step: a new thread starts MXNet's random generators anew,
and every step, on every context, has the same dropout.
"""

import importlib.util
import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

DEADLINE = 60  # seconds
STEPS = 3
EACH = 2  # images a context; MXNet takes the mean of the contexts' means, so all have as many

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("mxnet") is None, reason="MXNet is not installed"
)


# What the process runs


class Net:
    """Two convolutions, each with a norm, on some contexts, one thread for each."""

    def __init__(self, norm_layer, num_contexts):
        import mxnet as mx

        from gluonvision.backend import nn, set_parameters

        self.mx = mx
        self.contexts = [mx.cpu(i) for i in range(num_contexts)]
        self.threads = [ThreadPoolExecutor(1) for _ in self.contexts]
        self.net = nn.HybridSequential()
        self.net.add(
            nn.Conv2D(4, 3, in_channels=3),
            norm_layer(in_channels=4),
            nn.Activation("relu"),
            nn.Conv2D(5, 1, in_channels=4),
            norm_layer(in_channels=5, momentum=0.5),
        )
        self.net.initialize(ctx=self.contexts)
        set_parameters(self.net, initial_weights(self.net))

    def run(self, x, upstream):
        """A forward and backward pass on every context's share of the batch."""
        shares = zip(
            self.threads,
            self.contexts,
            np.split(x, len(self.contexts)),
            np.split(upstream, len(self.contexts)),
        )
        jobs = [thread.submit(self._run_on, *share) for thread, *share in shares]
        outs, gradients = zip(*(job.result() for job in jobs))
        self.mx.nd.waitall()
        return {"out": np.concatenate(outs), "x gradient": np.concatenate(gradients)}

    def _run_on(self, context, x, upstream):
        x, upstream = (self.mx.nd.array(a, ctx=context) for a in (x, upstream))
        x.attach_grad()
        with self.mx.autograd.record():
            out = self.net(x)
        out.backward(upstream)
        return out.asnumpy(), x.grad.asnumpy()

    def step(self):
        """One step of SGD on the sum of all contexts' gradients."""
        options = {"learning_rate": 0.01}
        self.mx.gluon.Trainer(self.net.collect_params(), "sgd", options).step(1)

    def gradients(self):
        """The sum of all contexts' gradients, by the name of the parameter."""
        return {
            f"{name} gradient": sum(gradient.asnumpy() for gradient in parameter.list_grad())
            for name, parameter in self.net._collect_params_with_prefix().items()
            if parameter.grad_req != "null"
        }

    def parameters(self):
        """The weights and running statistics as they stand on every context."""
        return {
            f"{name} on {context}": parameter.data(context).asnumpy()
            for name, parameter in self.net._collect_params_with_prefix().items()
            for context in self.contexts
        }


def initial_weights(net):
    random = np.random.default_rng(1)
    shapes = {n: p.shape for n, p in sorted(net._collect_params_with_prefix().items())}
    return {name: (0.5 + random.random(shape)).astype("float32") for name, shape in shapes.items()}


def batches(size):
    random = np.random.default_rng(2)
    for _ in range(STEPS):
        x = 0.5 + random.standard_normal((size, 3, 7, 6))
        yield x.astype("float32"), random.standard_normal((size, 5, 5, 4)).astype("float32")


def train(norm_layer, num_contexts, size):
    net, results = Net(norm_layer, num_contexts), {}
    for number, (x, upstream) in enumerate(batches(size)):
        passed = net.run(x, upstream) | net.gradients()
        net.step()
        for name, value in (passed | net.parameters()).items():
            results[f"step {number} {name}"] = value
    return results


def work(num_contexts, path):
    from functools import partial

    from gluonvision.backend import nn

    size = num_contexts * EACH
    synchronized = partial(nn.SyncBatchNorm, num_devices=num_contexts)
    several = train(synchronized, num_contexts, size)
    whole = train(nn.BatchNorm, 1, size)
    np.savez(path, **several, **{f"whole {name}": value for name, value in whole.items()})


def work_by_default(path):
    """Two contexts, and ``num_devices`` left to MXNet."""
    from gluonvision.backend import nn

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        out = Net(nn.SyncBatchNorm, 2).run(*next(batches(2 * EACH)))["out"]
    np.savez(path, out=out, warnings=[str(warning.message) for warning in caught])


# The tests


def start(path, *arguments):
    """Run this file as a script until the deadline; its results."""
    settings = {"GLUONVISION_BACKEND": "mxnet", "MXNET_CPU_WORKER_NTHREADS": "8"}
    command = [sys.executable, __file__, str(path), *map(str, arguments)]
    try:
        process = subprocess.run(
            command, env=os.environ | settings, capture_output=True, text=True, timeout=DEADLINE
        )
    except subprocess.TimeoutExpired:
        pytest.fail(f"contexts waited for each other: not done after {DEADLINE} s")
    assert process.returncode == 0, process.stderr
    return dict(np.load(path))


@pytest.fixture(scope="module", params=[1, 2, 3])
def results(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("contexts") / "results.npz"
    return start(path, request.param)


def pairs(results, kind):
    """(name, value on one of several contexts, value of the whole batch on one)."""
    for name, value in results.items():
        if kind in name and not name.startswith("whole"):
            yield name, value, results["whole " + name.partition(" on ")[0] + on_one(name)]


def on_one(name):
    return " on cpu(0)" if " on " in name else ""


@pytest.mark.parametrize(
    "kind", ["out", "x gradient", "weight", "bias", "gamma", "beta", "running_mean", "running_var"]
)
def test_contexts_equal_one_with_the_whole_batch(results, kind):
    compared = 0
    for name, value, expected in pairs(results, kind):
        scale = max(1, np.abs(expected).max())
        np.testing.assert_allclose(value, expected, rtol=0, atol=2e-5 * scale, err_msg=name)
        compared += 1
    assert compared >= STEPS


def test_the_default_is_one_device_on_cpu_and_says_so_but_does_not_synchronize(tmp_path):
    """A mistake that MXNet lets pass: give ``num_devices`` on the CPU."""
    results = start(tmp_path / "default.npz", "by default")
    assert any("num_devices" in message for message in results["warnings"])
    out = results["out"].reshape(2, -1, *results["out"].shape[1:])
    means = out.mean((1, 3, 4))  # of each context's share: equal only if each was by itself
    np.testing.assert_allclose(means[0], means[1], atol=1e-4)


if __name__ == "__main__":
    if sys.argv[2] == "by default":
        work_by_default(sys.argv[1])
    else:
        work(int(sys.argv[2]), sys.argv[1])
