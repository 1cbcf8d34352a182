"""Inference in windows, at scales and mirrored is GluonCV's, with its faults where asked for."""

import os
import subprocess
import sys
from pathlib import Path

import gluoncv_evaluation
import numpy as np
import peers
import pytest
from gluoncv_evaluation import CASES

from gluonvision.model_zoo import load_weights

SCRIPT = Path(__file__).parents[1] / "support" / "gluoncv_evaluation.py"

pytestmark = pytest.mark.skipif(
    not (peers.installed("gluoncv") and peers.installed("mxnet")),
    reason="GluonCV or MXNet is not installed",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation")
    environment = os.environ | {"GLUONVISION_BACKEND": "mxnet", "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-W", "ignore", SCRIPT, folder]
    subprocess.run(line, env=environment, cwd=SCRIPT.parents[2], check=True, timeout=300)
    return folder


@pytest.fixture(scope="module")
def net(folder):
    net = gluoncv_evaluation.build()
    load_weights(net, str(folder / "net.params"))
    return net


@pytest.mark.parametrize("name", CASES)
def test_equals_gluoncv_on_both_backends(folder, net, name):
    found = np.load(folder / f"{name}.npz")
    theirs = found["theirs"]
    assert theirs.std() > 0.01 and np.isfinite(theirs).all()
    if name == "softmax":
        theirs = theirs / len(CASES[name][1]["scales"])  # a sum there, a mean here
        assert theirs.sum(0) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(found["ours"], theirs, rtol=1e-4)
    np.testing.assert_allclose(gluoncv_evaluation.ours(net, name), theirs, rtol=1e-4)
