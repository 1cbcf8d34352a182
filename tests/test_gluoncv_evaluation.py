"""Inference in windows, at scales and mirrored is GluonCV's, with its faults where asked for."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import peers
import pytest
from gluoncv_evaluation import CASES

SCRIPT = Path(__file__).with_name("gluoncv_evaluation.py")

pytestmark = pytest.mark.skipif(
    not (peers.installed("gluoncv") and peers.installed("mxnet")),
    reason="GluonCV or MXNet is not installed",
)


def run(command, folder, backend):
    environment = os.environ | {"GLUONVISION_BACKEND": backend, "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-W", "ignore", SCRIPT, command, folder]
    subprocess.run(line, env=environment, cwd=SCRIPT.parents[1], check=True, timeout=300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation")
    run("write", folder, "mxnet")
    for backend in ("torch", "mxnet"):
        run("read", folder, backend)
    return folder


@pytest.mark.parametrize("backend", ["torch", "mxnet"])
@pytest.mark.parametrize("name", CASES)
def test_equals_gluoncv(folder, name, backend):
    theirs, ours = (np.load(folder / f"{name}{end}.npy") for end in ("", f".{backend}"))
    if name == "softmax":
        theirs = theirs / len(CASES[name][1]["scales"])  # a sum there, a mean here
        assert ours.sum(0) == pytest.approx(1, abs=1e-5)
    assert theirs.std() > 0.01
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)
