"""One model, two backends: equal outputs, gradients, running statistics and training."""

import functools
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import parity_cases
import pytest

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("mxnet") is None, reason="MXNet is not installed"
)


def _cases(kind):
    """The names of a kind of cases; most are slow."""
    names = {slow: [name for name, _ in parity_cases.cases(slow)] for slow in (False, True)}
    quick, slow = ([name for name in names[s] if name.endswith(kind)] for s in (False, True))
    return [*quick, *(pytest.param(name, marks=pytest.mark.slow) for name in slow)]


def _compute(folder, slow):
    """What each backend computed, and it computes side by side with the other."""
    runs = {backend: _start(backend, folder, slow) for backend in ("torch", "mxnet")}
    for backend, run in runs.items():
        assert run.wait(timeout=900) == 0, f"the {backend} run failed"
    return {backend: dict(np.load(folder / f"{backend}.npz")) for backend in runs}


def _start(backend, folder, slow):
    command = [sys.executable, "-W", "ignore", parity_cases.__file__, folder / f"{backend}.npz"]
    # One core for each of the two.
    environment = os.environ | {"GLUONVISION_BACKEND": backend, "OMP_NUM_THREADS": "1"}
    command += ["slow"] if slow else []
    return subprocess.Popen(command, env=environment, cwd=Path(__file__).parents[2])


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """From whether a case is slow to what each backend computed for all of its kind."""
    return functools.cache(lambda slow: _compute(tmp_path_factory.mktemp("parity"), slow))


@pytest.fixture
def results(computed, case):
    """What each backend computed for the case."""
    return computed(case not in parity_cases.QUICK)


def _pairs(results, case, kind):
    keys = [key for key in results["torch"] if key.startswith(f"{case}/{kind}")]
    assert keys and {k for k in results["mxnet"] if k.startswith(f"{case}/{kind}")} == set(keys)
    return {key: (results["torch"][key], results["mxnet"][key]) for key in keys}


def _difference(pair):
    """Relative to the torch result, both taken as one vector."""
    ours, other = (array.astype(np.float64).ravel() for array in pair)
    return np.linalg.norm(ours - other) / max(np.linalg.norm(ours), 1e-30)


def _together(pairs):
    return tuple(np.concatenate([a.ravel() for a in arrays]) for arrays in zip(*pairs.values()))


@pytest.mark.parametrize("case", _cases("float32"))
def test_float32_outputs_statistics_and_gradients_agree(results, case):
    for key, pair in _pairs(results, case, "eval").items():
        assert _difference(pair) < 1e-5, key
    for key, pair in _pairs(results, case, "train").items():
        assert _difference(pair) < 1e-4, key
    assert _difference(_together(_pairs(results, case, "gradient"))) < 1e-3


@pytest.mark.parametrize("case", _cases("float64"))
def test_float64_every_gradient_agrees(results, case):
    for key, pair in _pairs(results, case, "").items():
        scale = max(np.abs(pair[0]).max(), 1e-6)
        assert np.abs(pair[0] - pair[1]).max() < 1e-7 * scale, key


@pytest.mark.parametrize("case", _cases("20 steps"))
def test_twenty_steps_of_training_agree(results, case):
    losses = results["torch"][f"{case}/steps/loss"]
    assert losses[-5:].mean() < losses[:5].mean()
    for key, pair in _pairs(results, case, "steps").items():
        bound = 1e-6 if key.endswith("steps/loss") else 1e-4
        assert _difference(pair) < bound, key
