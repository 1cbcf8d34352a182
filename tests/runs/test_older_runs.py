"""A run written before the modules were moved and renamed (commit 5b8c349) is still read.

Its weights are a short pattern, its learning rate is too small to change them, and its norms are
frozen, so that a run of 8 MB of weights fits in a few kilobytes.
"""

import dataclasses
import tarfile
from pathlib import Path

import numpy as np
import pytest

from gluonvision import backend
from gluonvision.runs.artifacts import CONFIG, load_run
from gluonvision.runs.checkpoint import list_checkpoints, read_checkpoint
from gluonvision.runs.config import TrainConfig
from gluonvision.runs.run_log import read_log
from gluonvision.segmentation import train

RUN = Path("runs/pascal_voc/fcn/default")


@pytest.fixture
def run(tmp_path, monkeypatch) -> Path:
    """The run's folder, in a new working folder."""
    monkeypatch.chdir(tmp_path)
    with tarfile.open(Path(__file__).parent / "files" / "run_before_0.2.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    RUN.parent.mkdir(parents=True)
    return Path("run").rename(RUN)


def test_its_weights_are_loaded(run):
    net, dataset = load_run(run)
    assert dataset == "pascal_voc" and net.nclass == 21
    arrays, header = read_checkpoint(list_checkpoints(run / "states")[0])
    assert header["progress"]["step"] == 3
    for name, value in backend.get_parameters(net).items():
        np.testing.assert_array_equal(value, arrays[f"net/{name}"])


def test_its_training_is_resumed(run, voc_like):
    config = TrainConfig.from_json(run / CONFIG)
    before = read_log(run / "log.jsonl")
    train(dataclasses.replace(config, resume="auto", data_folder=str(voc_like)))
    after = read_log(run / "log.jsonl")
    assert [r["step"] for r in after] == [r["step"] for r in before]
    # Crops differ by a grey level where OpenCV makes them, so logits and loss differ slightly.
    losses = [[r["loss"] for r in log if r["kind"] == "step"] for log in (before, after)]
    np.testing.assert_allclose(*losses, rtol=2e-4)
    assert list_checkpoints(run / "states")[-1].name.startswith("00000006-")
