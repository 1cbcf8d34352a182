"""One seed draws the same weights under both backends, bit for bit."""

import importlib.util
import os
import subprocess
import sys

import pytest

DIGEST = """
import hashlib
from gluonvision.backend import get_parameters, init, initialize, nn, seed
from gluonvision.model_zoo import FCN

def digest(net):
    weights = get_parameters(net)
    content = b"".join(name.encode() + weights[name].tobytes() for name in sorted(weights))
    return hashlib.sha256(content).hexdigest()

seed({seed})
print(digest(FCN(5, "resnet18", pretrained_base=False)))
for initializer in (None, init.Normal(), init.MSRAPrelu(), init.Xavier("gaussian", "in", 2)):
    net = nn.HybridSequential()
    net.add(nn.Conv2D(8, 3, in_channels=4), nn.BatchNorm(in_channels=8), nn.Dense(3, in_units=8))
    initialize(net, initializer)
    print(digest(net))
"""


def digests(backend, seed):
    """What a process of its own draws after ``seed(seed)``."""
    result = subprocess.run(
        [sys.executable, "-c", DIGEST.format(seed=seed)],
        env=os.environ | {"GLUONVISION_BACKEND": backend},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


@pytest.mark.skipif(not importlib.util.find_spec("mxnet"), reason="MXNet is not installed")
def test_both_backends_draw_the_same_weights():
    torch = digests("torch", seed=3)
    assert digests("mxnet", seed=3) == torch
    assert len(set(torch)) == 5


@pytest.mark.slow
def test_another_seed_draws_other_weights():
    assert not set(digests("torch", seed=3)) & set(digests("torch", seed=4))
