"""A state that a trainer saved under one backend is gone on from under the other.

Run as a script it trains under one backend:

python tests/training/test_same_checkpoints.py save FOLDER; ... go_on FOLDER
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

OPTIMIZERS = ("sgd", "adamw")
BACKENDS = ("torch", "mxnet")


def new_trainer(optimizer):
    from gluonvision import backend, loss
    from gluonvision.backend import nn
    from gluonvision.backend.trainer_options import TrainerOptions

    backend.seed(3)
    net = nn.HybridSequential()
    net.add(
        nn.Conv2D(6, 3, padding=1, in_channels=3),
        nn.BatchNorm(in_channels=6),
        nn.Activation("relu"),
        nn.Conv2D(3, 1, in_channels=6),
    )
    backend.initialize(net)
    net.cast("float64")
    options = TrainerOptions(optimizer=optimizer, ema_decay=0.9)
    return backend.Trainer(net, loss.SoftmaxCrossEntropyLoss(), options)


def run(trainer, numbers):
    from gluonvision.backend import array

    losses = []
    for number in numbers:
        random = np.random.default_rng(number)
        x, label = random.standard_normal((4, 3, 6, 5)), random.integers(0, 3, (4, 6, 5))
        losses.append(trainer.step(array(x), array(label.astype("int32")), 0.1 / (1 + number)))
    return losses


def save(path):
    """Three steps, saved, and the losses of two more."""
    from gluonvision import backend
    from gluonvision.runs.checkpoint import save_checkpoint

    for optimizer in OPTIMIZERS:
        trainer = new_trainer(optimizer)
        run(trainer, range(3))
        arrays = {f"net/{n}": a for n, a in backend.get_parameters(trainer.net).items()}
        arrays |= {f"trainer/{n}": a for n, a in trainer.state().items()}
        save_checkpoint(Path(path) / optimizer, 3, arrays, {"losses": run(trainer, range(3, 5))})


def go_on(path):
    """The same two steps as those after saving must give the same."""
    from gluonvision import backend
    from gluonvision.runs.checkpoint import read_checkpoint

    for optimizer in OPTIMIZERS:
        trainer = new_trainer(optimizer)
        (state,) = (Path(path) / optimizer).iterdir()
        arrays, header = read_checkpoint(state)
        backend.set_parameters(trainer.net, below("net/", arrays))
        trainer.load_state(below("trainer/", arrays))
        np.testing.assert_allclose(run(trainer, range(3, 5)), header["losses"], rtol=1e-8)
        assert trainer.state().keys() == below("trainer/", arrays).keys()


def below(prefix, arrays):
    return {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}


def start(backend, *arguments):
    environment = os.environ | {"GLUONVISION_BACKEND": backend}
    command = [sys.executable, __file__, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not importlib.util.find_spec("mxnet"), reason="MXNet is not installed")
@pytest.mark.parametrize("first", BACKENDS)
def test_the_other_backend_goes_on_from_a_state(first, tmp_path):
    for optimizer in OPTIMIZERS:
        (tmp_path / optimizer).mkdir()
    (second,) = (name for name in BACKENDS if name != first)
    start(first, "save", tmp_path)
    start(second, "go_on", tmp_path)


if __name__ == "__main__":
    {"save": save, "go_on": go_on}[sys.argv[1]](sys.argv[2])
