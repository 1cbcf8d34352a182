"""What is said of a run before processes start, and how it is gone on with."""

import dataclasses
import io
import itertools
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gluonvision import backend
from gluonvision.model_zoo.weights import store
from gluonvision.runs import checkpoint, factory
from gluonvision.runs.run_folder import RunFolder
from gluonvision.runs.start import Start
from gluonvision.segmentation import TrainConfig, train
from gluonvision.training.job import prepare_job
from gluonvision.training.loop import TrainingRun
from gluonvision.utils.download import DownloadError
from gluonvision.utils.progress import progress_bar

OPTIONS = {
    "model": "fcn",
    "backbone": "mobilenet_v2",
    "pretrained_base": False,
    "base_size": 60,
    "crop_size": 48,
    "batch_size": 4,
    "epochs": 1,
    "workers": 0,
    "no_cuda": True,
    "tensorboard": False,
    "val_every": 10,
}


@pytest.fixture
def config(voc_like, tmp_path, monkeypatch):
    """A run of one step, in a new folder."""
    monkeypatch.chdir(tmp_path)
    return TrainConfig(**OPTIONS, data_folder=str(voc_like))


@pytest.mark.parametrize(
    ("options", "num_devices", "told"),
    [
        ({"output_stride": 12}, 1, r"output_stride=12: expected one of \(8, 16, 32\)"),
        ({"start_epoch": 1, "epochs": 3}, 1, "start_epoch=1 .*needs weights"),
        ({"start_epoch": 1, "epochs": 3, "resume": "auto"}, 1, "start_epoch=1 .*needs weights"),
        ({"model": "pspnet", "batch_size": 1}, 1, "pspnet normalizes .*--batch-size"),
        ({"model": "deeplabv3", "batch_size": 2}, 2, "each device one .devices: 2"),
        ({"model": "deeplab", "batch_size": 4, "accumulate": 4}, 1, "accumulate=4"),
        ({"head_channels": 16}, 1, "head_channels=16: model=fcn has a fixed head"),
        ({"backbone_weights": "no.pth"}, 1, r"no\.pth: no such weights file"),
    ],
)
def test_what_would_fail_in_the_processes_is_refused_before(config, options, num_devices, told):
    with pytest.raises((ValueError, OSError), match=told):
        prepare_job(dataclasses.replace(config, **options), num_devices)


@pytest.mark.parametrize(
    ("options", "num_devices"),
    [
        ({"model": "fcn", "batch_size": 1}, 1),
        ({"model": "pspnet", "batch_size": 2, "syncbn": True}, 2),
        ({"model": "pspnet", "batch_size": 1, "freeze_bn": True}, 1),
        ({"model": "deeplabv3plus", "batch_size": 2, "output_stride": 32}, 1),
    ],
)
def test_what_works_is_not_refused(config, options, num_devices):
    prepare_job(dataclasses.replace(config, **options), num_devices)


@pytest.mark.parametrize(("batch_size", "is_told"), [(2, False), (40, True)])
def test_a_batch_that_the_images_do_not_fill_is_told(config, caplog, batch_size, is_told):
    job = prepare_job(dataclasses.replace(config, batch_size=batch_size), 1)
    num_images = len(job.training)
    assert 2 <= num_images < 40
    assert (f"split has {num_images} images" in caplog.text) == is_told


@pytest.mark.parametrize("name", ["", ".", "..", "../other", "a/.."])
def test_a_name_that_is_no_folder_of_its_own_is_refused(config, name):
    with pytest.raises(ValueError, match="checkname=.*the run's own folder"):
        dataclasses.replace(config, checkname=name)


def test_a_batch_of_one_is_what_pooled_norms_fail_at(config):
    """The rule is that of the layers: with it out of the way, the first step fails, or does not."""
    for size, fails in ((1, True), (2, False)):
        net = factory.build_model(dataclasses.replace(config, model="pspnet"), [backend.cpu()])
        images = backend.preprocess(np.zeros((size, 48, 48, 3), np.uint8))
        if fails:
            with pytest.raises(ValueError, match="one value per channel"):
                net.train()(images)
        else:
            net.train()(images)


def test_imagenet_weights_are_looked_for_before_processes_start(config, tmp_path, monkeypatch):
    monkeypatch.setenv("GLUONVISION_HOME", str(tmp_path / "home"))
    config = dataclasses.replace(config, pretrained_base=True)
    missing = DownloadError("no mirror")
    monkeypatch.setattr(store, "find_weights", lambda name, root: (_ for _ in ()).throw(missing))
    with pytest.raises(DownloadError):
        prepare_job(config, 1)
    begun = tmp_path / "begun.params"
    begun.touch()
    prepare_job(dataclasses.replace(config, resume=str(begun)), 1)  # they replace ImageNet's


def test_a_run_goes_on_with_the_number_of_devices_named_or_left_out(config):
    train(config)
    again = dataclasses.replace(config, resume="auto", ngpus=1)
    job = prepare_job(again, 1)
    RunFolder(again).prepare(job.start, len(job.training))
    with pytest.raises(ValueError, match="ngpus: None, now 2"):
        RunFolder(dataclasses.replace(again, ngpus=2)).prepare(job.start, len(job.training))


def test_a_run_that_is_to_last_longer_is_told_how(config):
    weights_file = train(config)
    longer = dataclasses.replace(config, resume="auto", epochs=3)
    with pytest.raises(ValueError, match="epochs: 1, now 3") as refused:
        train(longer)
    way = str(refused.value)
    assert f"--resume {weights_file} --checkname NEW" in way
    resumed = dataclasses.replace(longer, resume=str(weights_file), checkname="NEW")
    assert train(resumed) == Path("runs/pascal_voc/fcn/NEW/checkpoint.params")


@pytest.fixture
def own(config):
    """A run of four steps on a folder of one's own."""
    for split, kind in itertools.product(("train", "val"), ("images", "masks")):
        Path("data", kind, split).mkdir(parents=True)
        for name in "abcd":
            pixels = np.eye(64, dtype=np.uint8)
            Image.fromarray(pixels).save(f"data/{kind}/{split}/{name}.png")
    Path("data/classes.txt").write_text("ground\nline\n")
    more = {"dataset": "folder", "data_folder": "data", "batch_size": 2, "epochs": 2}
    config = dataclasses.replace(config, **more, save_every=1)
    train(config)
    return config


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("ground\nline\nsky\n", "classes ground, line, now ground, line, sky"),
        ("line\nground\n", "classes ground, line, now line, ground"),
        (None, "4 training images, now 5"),
    ],
)
def test_a_run_on_other_data_is_refused_and_left_as_it_was(own, file, told):
    before = contents(own.folder)
    if file is None:
        for kind in ("images", "masks"):
            shutil.copy(f"data/{kind}/train/a.png", f"data/{kind}/train/e.png")
    else:
        Path("data/classes.txt").write_text(file)
    for resume in ("auto", str(checkpoint.list_checkpoints(own.folder / "states")[0])):
        with pytest.raises(ValueError, match=f"was started with .*{told}; .*another --checkname"):
            train(dataclasses.replace(own, resume=resume))
    assert contents(own.folder) == before


def test_a_state_that_is_not_there_is_told_with_those_that_are(own):
    there = checkpoint.list_checkpoints(own.folder / "states")[-1].name
    absent = str(own.folder / "states/00000009-0123456789abcdef.safetensors")
    with pytest.raises(
        FileNotFoundError, match=f"00000009.*no such checkpoint; .* holds: .*{there}"
    ):
        train(dataclasses.replace(own, resume=absent))


def progress(config):
    """The progress that a run starts with."""
    return TrainingRun(prepare_job(config, 1)).progress


def test_best_weights_of_after_a_state_are_set_aside_with_the_states(own):
    best, last = own.folder / "best.params", checkpoint.list_checkpoints(own.folder / "states")[-1]
    before = best.read_bytes()  # of step 4, the only one that was validated
    train(dataclasses.replace(own, resume="auto"))
    assert not best.with_name("best.params.superseded").exists()
    other = dataclasses.replace(own, resume=str(last), checkname="other")
    assert progress(other).best_step == -1
    assert progress(dataclasses.replace(own, resume="auto")).best_step == 4
    earlier = checkpoint.list_checkpoints(own.folder / "states")[-2]
    RunFolder(own).prepare(Start(checkpoint=earlier), 4)
    assert not best.exists()
    assert best.with_name("best.params.superseded").read_bytes() == before


def test_what_a_kill_left_does_not_stand_in_the_way(config):
    begun = [config.folder / ".abc.tmp/half.onnx", config.folder / "states/.def.tmp"]
    others = config.folder / "eval/.ghi.tmp"
    for path in (*begun, others):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    RunFolder(config).prepare(Start(), 4)
    assert not begun[0].parent.exists() and not begun[1].exists() and others.exists()


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("stream", "lines"), [(io.StringIO(), 3), (Terminal(), 0)])
def test_in_a_log_a_bar_is_lines_and_few_of_them(stream, lines, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream)
    with progress_bar(total=1000, desc="training") as bar:
        for _ in range(1000):
            bar.update()
    said = stream.getvalue()
    assert said.count("\n") == (lines or 1) and ("\r" in said) == (not lines)
    assert "1000/1000" in said
    with progress_bar(total=2, disable=True) as bar:
        bar.update()
    assert stream.getvalue() == said


def test_the_width_of_the_head_is_an_option_of_deeplabv3plus_alone():
    config = TrainConfig(model="deeplabv3plus", backbone="mobilenet_v2", head_channels=16)
    net = factory.build_model(dataclasses.replace(config, pretrained_base=False), [backend.cpu()])
    assert backend.parameter_shapes(net)["head.aspp.project.0.weight"][0] == 16
    with pytest.raises(ValueError, match="head_channels=16: model=fcn.*deeplabv3plus"):
        factory.build_model(TrainConfig(model="fcn", head_channels=16), [backend.cpu()])
    with pytest.raises(ValueError, match="head_channels=0: expected 1 or more"):
        TrainConfig(model="deeplabv3plus", head_channels=0)
