"""Training in several processes: equal to one, resumed exactly, and ended when one of them ends."""

import dataclasses
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from gluonvision import backend
from gluonvision.backend import parameters_file
from gluonvision.runs.run_folder import RunFolder
from gluonvision.runs.run_log import read_log
from gluonvision.segmentation import TrainConfig
from gluonvision.training import loop
from gluonvision.training.job import prepare_job
from gluonvision.training.stopping import StopRequest

MAIN = Path(__file__).parents[2] / "scripts" / "segmentation" / "main.py"
RUN = Path("runs/pascal_voc/fcn")
OPTIONS = {
    "model": "fcn",
    "backbone": "mobilenet_v2",
    "pretrained_base": False,
    "base_size": 60,
    "crop_size": 48,
    "batch_size": 4,
    "epochs": 20,
    "lr": 0.001,
    "train_split": "trainval",
    "val_every": 20,
    "workers": 0,
    "no_cuda": True,
    "tensorboard": False,
    "syncbn": True,
}


@pytest.fixture
def config(voc_like, tmp_path, monkeypatch):
    """Twenty steps, one an epoch, in a new folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return TrainConfig(**OPTIONS, data_folder=str(voc_like))


def train_in_float64_without_dropout(job):
    """In float32 rounding grows from step to step, and dropout differs between processes."""
    backend.seed(job.config.seed)
    with pytest.MonkeyPatch.context() as patch:
        build_model = loop.build_model
        patch.setattr(loop, "build_model", lambda *args: _prepared(build_model(*args)))
        run = loop.TrainingRun(job)
    run.train(StopRequest())
    run.close()


def _prepared(net):
    for module in net.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    net.cast("float64")
    return net


def records(config, num_processes):
    job = prepare_job(config, num_processes)
    RunFolder(config).prepare(job.start, len(job.training))
    backend.launch(train_in_float64_without_dropout, job, num_processes)
    return read_log(config.folder / "log.jsonl")


def column(log, kind, name):
    return [record[name] for record in log if record["kind"] == kind]


@pytest.mark.parametrize(
    "options",
    [
        {"epochs": 8},
        pytest.param({}, marks=pytest.mark.slow),
        pytest.param(
            {"loss": "focal", "aux": True, "optimizer": "adamw", "epochs": 6},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_two_processes_train_as_one_with_the_whole_batch(config, options):
    config = dataclasses.replace(config, **options)
    one, two = (
        records(dataclasses.replace(config, checkname=str(n)), num_processes=n) for n in (1, 2)
    )
    losses = column(one, "step", "loss")
    assert len(losses) == config.epochs and losses[-1] < 0.9 * losses[0]
    np.testing.assert_allclose(column(two, "step", "loss"), losses, atol=1e-8)
    for name in ("mean_iou", "pixel_accuracy"):
        assert column(two, "epoch", name) == column(one, "epoch", name)


def test_two_parts_one_after_the_other_train_as_one_where_no_norm_sees_them(config):
    """With frozen norms the mean over the labelled pixels of both parts is that of the batch."""
    config = dataclasses.replace(config, syncbn=False, freeze_bn=True, epochs=5)
    one, two = (
        records(dataclasses.replace(config, accumulate=n, checkname=str(n)), 1) for n in (1, 2)
    )
    np.testing.assert_allclose(column(two, "step", "loss"), column(one, "step", "loss"), rtol=1e-9)


def command(*words, checkname, launcher=(), epochs=4):
    options = [f"--{n.replace('_', '-')}={v}" for n, v in OPTIONS.items() if type(v) is not bool]
    flags = ["--no-pretrained-base", "--no-cuda", "--no-tensorboard", "--syncbn"]
    line = [sys.executable, "-W", "ignore", *launcher, MAIN, *options, *flags, *words]
    return [str(word) for word in line] + ["--checkname", checkname, "--epochs", str(epochs)]


def begin(line):
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process):
    out, err = process.communicate(timeout=300)
    return process.returncode, out + err


def weights(checkname):
    return (RUN / checkname / "checkpoint.params").read_bytes()


def workers_of(pid):
    """The processes that a process started, but for multiprocessing's resource tracker."""
    children = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    lines = {child: Path(f"/proc/{child}/cmdline").read_bytes() for child in children}
    return [child for child, line in lines.items() if b"spawn_main" in line]


def wait_for_first_step(process):
    seen = ""
    while "epoch=1" not in seen:
        piece = process.stderr.read(1)
        assert piece, f"it ended before its first step: {seen}"
        seen += piece


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds the workers in /proc")
def test_a_killed_worker_ends_the_run_and_resuming_it_gives_what_an_undisturbed_run_does(config):
    data = ["--data-folder", config.data_folder, "--ngpus", "2", "--save-every", "1"]
    process = begin(command(*data, checkname="killed", epochs=12))
    wait_for_first_step(process)
    _, second = workers = workers_of(process.pid)
    watched = [os.pidfd_open(worker) for worker in workers]
    os.kill(second, signal.SIGKILL)
    code, said = finish(process)
    assert code == 1 and "process 1 of 2 was killed by SIGKILL" in said
    for worker, descriptor in zip(workers, watched):
        assert not Path(f"/proc/{worker}").exists()
        os.close(descriptor)
    for name in ("killed", "whole"):
        line = command(*data, "--resume", "auto", checkname=name, epochs=12)
        code, said = finish(begin(line))
        assert code == 0, said
    assert weights("killed") == weights("whole")


@pytest.mark.slow
def test_torchrun_gives_what_plain_python_does(config):
    data = ["--data-folder", config.data_folder]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={port}"]
    code, said = finish(begin(command(*data, checkname="torchrun", launcher=launcher)))
    assert code == 0, said
    code, said = finish(begin(command(*data, "--ngpus", "2", checkname="plain")))
    assert code == 0, said
    assert weights("torchrun") == weights("plain")


@pytest.mark.posix
@pytest.mark.slow
def test_asked_to_stop_all_processes_stop_after_the_same_step(config):
    data = ["--data-folder", config.data_folder, "--ngpus", "2"]
    process = begin(command(*data, checkname="stopped", epochs=12))
    wait_for_first_step(process)
    process.send_signal(signal.SIGINT)
    code, said = finish(process)
    assert code == 128 + signal.SIGINT and "Traceback" not in said
    assert "stopped by SIGINT after step" in said and "--resume auto" in said
    for name in ("stopped", "whole"):
        line = command(*data, "--resume", "auto", checkname=name, epochs=12)
        code, said = finish(begin(line))
        assert code == 0, said
    assert weights("stopped") == weights("whole")


def test_what_is_wrong_is_said_before_processes_start(config, capfd):
    code, said = finish(begin(command("--data-folder", "nowhere", "--ngpus", "2", checkname="no")))
    assert code == 1 and "Pascal VOC 2012 not found" in said and "Traceback" not in said
    options = ["--data-folder", config.data_folder, "--ngpus", "3"]
    code, said = finish(begin(command(*options, checkname="odd")))
    assert code == 1 and "batch_size=4 cannot be split over 3 devices" in said
    assert "Traceback" not in said


def test_weights_of_many_processes_are_read_as_any(config):
    data = ["--data-folder", config.data_folder, "--ngpus", "2"]
    code, said = finish(begin(command(*data, checkname="two")))
    assert code == 0, said
    arrays = parameters_file.load(RUN / "two" / "checkpoint.params")
    assert all(np.isfinite(array).all() for array in arrays.values())
