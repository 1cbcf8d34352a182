"""A run's log: its lines, what a kill and a resumption leave of them, what TensorBoard reads."""

import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gluonvision.metrics import SegmentationMetric
from gluonvision.runs import run_log
from gluonvision.runs.run_log import LOG_NAME, RunLog, read_log

NAMES = ("road", "sky", "bicycle")
STEPS_AN_EPOCH = 4


def scores():
    """Road half right, sky all wrong, no bicycle."""
    metric = SegmentationMetric(3)
    metric.update(np.array([0, 0, 0, 0]), np.array([0, 0, 1, -1]))
    return metric.compute()


def run(folder, start, stop, tensorboard=False):
    """The part of a run from one step to before another, validated after every four steps."""
    with RunLog(folder, NAMES, start, tensorboard) as log:
        for step in range(start, stop):
            epoch = step // STEPS_AN_EPOCH
            log.step(step, epoch, 1 / (step + 1), 0.01 - step / 1e4, 12.5)
            if (step + 1) % STEPS_AN_EPOCH == 0:
                log.epoch(epoch, step + 1, scores(), train_loss=0.5)
    return folder / LOG_NAME


class TestLines:
    def test_step(self, tmp_path):
        with RunLog(tmp_path / "new" / "run", NAMES, tensorboard=False) as log:
            log.step(np.int64(0), 0, np.float32(0.5), 0.01, None)
            expected = {
                "kind": "step",
                "step": 0,
                "epoch": 0,
                "loss": 0.5,
                "learning_rate": 0.01,
                "samples_per_second": None,
            }
            # Read before it is closed: a line is there as soon as it is written.
            assert read_log(log.path) == [expected]
            assert log.path.read_text() == json.dumps(expected) + "\n"

    def test_epoch(self, tmp_path):
        with RunLog(tmp_path, NAMES, tensorboard=False) as log:
            log.epoch(2, 12, scores(), 0.25)
        assert read_log(log.path) == [
            {
                "kind": "epoch",
                "epoch": 2,
                "step": 12,
                "train_loss": 0.25,
                "mean_iou": pytest.approx(1 / 3),
                "pixel_accuracy": pytest.approx(2 / 3),
                "mean_accuracy": 0.5,
                "class_iou": {"road": pytest.approx(2 / 3), "sky": 0, "bicycle": None},
            }
        ]

    @pytest.mark.parametrize("loss", [float("nan"), float("inf"), np.float32("-inf")])
    def test_a_loss_that_is_no_number_is_null(self, tmp_path, loss):
        with RunLog(tmp_path, NAMES, tensorboard=False) as log:
            log.step(0, 0, loss, 0.01, 3.0)
        assert '"loss": null' in log.path.read_text()

    def test_names_and_scores_must_fit(self, tmp_path):
        with pytest.raises(ValueError, match="expected no duplicates"):
            RunLog(tmp_path, ("a", "b", "a"))
        with RunLog(tmp_path, NAMES[:2], tensorboard=False) as log, pytest.raises(ValueError):
            log.epoch(0, 1, scores(), 0.5)
        assert read_log(log.path) == []

    def test_a_closed_log_takes_no_more(self, tmp_path):
        log = RunLog(tmp_path, NAMES, tensorboard=False)
        log.close()
        log.close()
        with pytest.raises(ValueError):
            log.step(0, 0, 1.0, 0.1, None)


class TestReading:
    def test_the_last_line_may_be_torn_anywhere(self, tmp_path):
        path = run(tmp_path, 0, 3)
        lines = path.read_bytes().splitlines(keepends=True)
        records = read_log(path)
        for length in range(len(lines[-1])):
            path.write_bytes(b"".join(lines[:-1]) + lines[-1][:length])
            assert read_log(path) == records[:2]

    @pytest.mark.parametrize(
        "wrong, message",
        [
            (b'{"kind": "step", "st', "Unterminated string"),
            (b"", "Expecting value"),
            (b"[1]", "an object whose kind is step or epoch"),
            (b'{"kind": "pause", "step": 3}', "an object whose kind is step or epoch"),
            (b'{"kind": "step", "step": 3, "epoch": 0, "loss": 1}', "lacks learning_rate, samples"),
            (b"\xff\xff", "decode"),
        ],
    )
    def test_another_broken_line_is_named(self, tmp_path, wrong, message):
        path = run(tmp_path, 0, 3)
        lines = path.read_bytes().splitlines()
        path.write_bytes(b"\n".join([lines[0], wrong, *lines[2:], b""]))
        with pytest.raises(ValueError, match=f"{LOG_NAME}, line 2: .*{message}"):
            read_log(path)

    def test_a_step_that_is_no_number(self, tmp_path):
        path = run(tmp_path, 0, 1)
        path.write_text(path.read_text().replace('"step": 0', '"step": "0"'))
        with pytest.raises(ValueError, match="line 1: step '0'"):
            read_log(path)


class TestResuming:
    @pytest.mark.parametrize("stopped", [9, 12, 13])
    @pytest.mark.parametrize("checkpoint", [1, 4, 7, 8, 9])
    def test_reads_as_a_run_that_was_not_stopped(self, tmp_path, stopped, checkpoint):
        whole = run(tmp_path / "whole", 0, 14)
        path = run(tmp_path / "resumed", 0, stopped)
        run(tmp_path / "resumed", checkpoint, 14)
        assert path.read_bytes() == whole.read_bytes()

    def test_a_torn_last_line_is_cut_off(self, tmp_path):
        whole = run(tmp_path / "whole", 0, 6)
        path = run(tmp_path / "resumed", 0, 4)
        with open(path, "ab") as file:
            file.write(b'{"kind": "step", "step": 3')
        run(tmp_path / "resumed", 4, 6)
        assert path.read_bytes() == whole.read_bytes()

    def test_a_run_from_the_start_begins_its_log_anew(self, tmp_path):
        path = run(tmp_path, 0, 6)
        path.write_bytes(b"what another program left\n")
        RunLog(tmp_path, NAMES, tensorboard=False).close()
        assert path.read_bytes() == b""

    def test_what_is_no_log_stays_as_it_was(self, tmp_path):
        path = run(tmp_path, 0, 6)
        path.write_bytes(b"broken\n" + path.read_bytes())
        before = path.read_bytes()
        with pytest.raises(ValueError, match="line 1"):
            RunLog(tmp_path, NAMES, start_step=3, tensorboard=False)
        assert path.read_bytes() == before and os.listdir(tmp_path) == [LOG_NAME]

    def test_a_kill_while_cutting_leaves_the_old_log(self, tmp_path, monkeypatch):
        path = run(tmp_path, 0, 6)
        before = path.read_bytes()

        def killed(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            RunLog(tmp_path, NAMES, start_step=3, tensorboard=False)
        assert path.read_bytes() == before

    def test_a_long_log_is_not_held_in_memory(self, tmp_path):
        path = run(tmp_path, 0, 1)
        line = path.read_bytes()
        path.write_bytes(line * 10_000)
        tracemalloc.start()
        RunLog(tmp_path, NAMES, start_step=1, tensorboard=False).close()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert path.stat().st_size == 10_000 * len(line) and peak < 500_000


WRITER = """
import os
import sys
sys.path.insert(0, {tests!r})
import test_run_log
from gluonvision.runs.run_log import RunLog

class Telling(RunLog):
    def step(self, step, *rest):
        super().step(step, *rest)
        os.write(1, b".")

test_run_log.RunLog = Telling
test_run_log.run(test_run_log.Path({folder!r}), 0, 10**9)
"""


class TestKilled:
    def test_a_killed_writer_loses_nothing_that_it_finished(self, tmp_path):
        code = WRITER.format(tests=str(Path(__file__).parent), folder=str(tmp_path / "killed"))
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
            # The child goes on writing while it is killed.
            told = len(process.stdout.read(500))
            process.kill()
        records = read_log(tmp_path / "killed" / LOG_NAME)
        assert told == 500 <= sum(record["kind"] == "step" for record in records)
        whole = run(tmp_path / "whole", 0, 610)
        run(tmp_path / "killed", 402, 610)
        assert (tmp_path / "killed" / LOG_NAME).read_bytes() == whole.read_bytes()


@pytest.fixture
def points():
    """What TensorBoard reads in a folder: each scalar's points, each picture's steps and sizes."""
    pytest.importorskip("tensorboardX")
    module = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

    def read(folder):
        events = module.EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
        events.Reload()
        tags = events.Tags()
        scalars = {
            tag: [(event.step, event.value) for event in events.Scalars(tag)]
            for tag in tags["scalars"]
        }
        images = {
            tag: [(event.step, event.width, event.height) for event in events.Images(tag)]
            for tag in tags["images"]
        }
        return scalars, images

    return read


class TestTensorBoard:
    def test_scalars(self, tmp_path, points):
        run(tmp_path, 0, 5, tensorboard=True)
        scalars, images = points(tmp_path)
        expected = {
            "train/loss": [(step, 1 / (step + 1)) for step in range(5)],
            "train/learning_rate": [(step, 0.01 - step / 1e4) for step in range(5)],
            "val/mean_iou": [(3, 1 / 3)],
            "val/pixel_accuracy": [(3, 2 / 3)],
            # No point for the class that is absent.
            "val/class_iou/road": [(3, 2 / 3)],
            "val/class_iou/sky": [(3, 0.0)],
        }
        assert scalars == {
            tag: [(step, pytest.approx(value)) for step, value in pairs]
            for tag, pairs in expected.items()
        }
        assert images == {}

    def test_picture(self, tmp_path, points):
        Image.new("P", (30, 20)).save(tmp_path / "sheet.png")
        with RunLog(tmp_path / "run", NAMES) as log:
            log.predictions(4, tmp_path / "sheet.png")
        assert points(tmp_path / "run")[1] == {"val/predictions": [(3, 30, 20)]}

    @pytest.mark.parametrize("checkpoint", [0, 3, 4, 8])
    def test_a_resumed_run_shows_each_point_once(self, tmp_path, points, checkpoint):
        run(tmp_path / "whole", 0, 11, tensorboard=True)
        run(tmp_path / "resumed", 0, 10, tensorboard=True)
        for file in (tmp_path / "resumed").glob("events.*"):  # they are named by the second
            file.rename(str(file).replace("tfevents.1", "tfevents.0"))
        run(tmp_path / "resumed", checkpoint, 11, tensorboard=True)
        assert len(list((tmp_path / "resumed").glob("events.*"))) == (2 if checkpoint else 1)
        assert points(tmp_path / "resumed") == points(tmp_path / "whole")

    def test_what_a_kill_tore_does_not_hide_what_follows(self, tmp_path, points):
        run(tmp_path / "whole", 0, 11, tensorboard=True)
        run(tmp_path / "resumed", 0, 10, tensorboard=True)
        (events,) = (tmp_path / "resumed").glob("events.*")
        os.truncate(events, events.stat().st_size - 5)
        run(tmp_path / "resumed", 7, 11, tensorboard=True)
        assert points(tmp_path / "resumed") == points(tmp_path / "whole")

    def test_it_can_be_left_out(self, tmp_path, capsys):
        with RunLog(tmp_path, NAMES, tensorboard=False) as log:
            log.predictions(1, tmp_path / "nothing is read.png")
        assert os.listdir(tmp_path) == [LOG_NAME] and capsys.readouterr().out == ""

    def test_where_it_is_not_installed_a_line_says_how_to_get_it(
        self, tmp_path, monkeypatch, capsys
    ):
        monkeypatch.setattr(run_log.importlib.util, "find_spec", lambda name: None)
        run(tmp_path, 0, 5, tensorboard=True)
        said = capsys.readouterr().out
        assert said.count("\n") == 1 and "pip install 'gluonvision[tensorboard]'" in said
        assert len(read_log(tmp_path / LOG_NAME)) == 6
        assert os.listdir(tmp_path) == [LOG_NAME]

    def test_an_installation_that_is_broken_says_so(self, tmp_path, monkeypatch):
        monkeypatch.delitem(sys.modules, "tensorboardX", raising=False)
        monkeypatch.syspath_prepend(tmp_path)
        (tmp_path / "tensorboardX.py").write_text("import a_missing_part")
        with pytest.raises(ImportError, match="a_missing_part"):
            RunLog(tmp_path, NAMES)


def test_a_link_to_a_log_stays_a_link(tmp_path):
    whole = run(tmp_path / "whole", 0, 8)
    run(tmp_path / "disk", 0, 6)
    (tmp_path / "run").mkdir()
    try:
        (tmp_path / "run" / LOG_NAME).symlink_to(tmp_path / "disk" / LOG_NAME)
    except OSError:
        pytest.skip("this file system has no links")
    path = run(tmp_path / "run", 4, 8)
    assert path.is_symlink() and path.read_bytes() == whole.read_bytes()
