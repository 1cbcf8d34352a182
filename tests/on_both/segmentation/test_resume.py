"""Runs that are killed, stopped, starved of disk or damaged, and go on as if nothing had been."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_lines import parse_arguments

from gluonvision import backend
from gluonvision.evaluation.job import evaluate_config, write_masks
from gluonvision.runs import checkpoint
from gluonvision.runs.artifacts import check_weights, load_run
from gluonvision.runs.factory import build_loss
from gluonvision.runs.run_folder import RunFolder
from gluonvision.runs.run_log import read_log
from gluonvision.segmentation import TrainConfig, build_model, train

TESTS = Path(__file__).parents[2] / "support"
MAIN = TESTS.parents[1] / "scripts" / "segmentation" / "main.py"
RUN = Path("runs/pascal_voc/fcn/default")
OPTIONS = {
    "model": "fcn",
    "backbone": "mobilenet_v2",
    "pretrained_base": False,
    "base_size": 60,
    "crop_size": 48,
    "batch_size": 3,
    "epochs": 2,
    "lr": 0.01,
    "ema": 0.9,
    "workers": 0,
    "no_cuda": True,
    "tensorboard": False,
    "save_every": 1,
}


def slow_under_mxnet(test):
    """Mark a test slow under MXNet: what it checks does not depend on the backend."""
    return pytest.mark.slow(test) if backend.NAME == "mxnet" else test


@pytest.fixture
def options(voc_like, tmp_path, monkeypatch):
    """Options of a run of four steps, which saves its state after each; in a new folder."""
    monkeypatch.chdir(tmp_path)
    return OPTIONS | {"data_folder": str(voc_like), "train_split": "trainval"}


def arguments(options: dict) -> list[str]:
    """The options as a command line."""
    words = []
    for name, value in options.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", str(value)]
    return words


def start(command, *words, **keywords):
    line = [sys.executable, "-W", "ignore", command, *map(str, words)]
    return subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **keywords
    )


def finish(process) -> tuple[int, str]:
    """Its exit code, and all that it said."""
    out, err = process.communicate(timeout=300)
    return process.returncode, out + err


def everything(folder: Path) -> dict:
    """What two runs must agree in: every weight, state and score, bit for bit."""
    names = ["checkpoint.params", "best.params"]
    files = [*(folder / name for name in names), *checkpoint.list_checkpoints(folder / "states")]
    records = [{**r, "samples_per_second": None} for r in read_log(folder / "log.jsonl")]
    return {path.name: path.read_bytes() for path in files} | {"log": records}


@pytest.fixture(scope="module")
def undisturbed(voc_like, tmp_path_factory):
    """What a run that nothing happened to leaves."""
    folder = tmp_path_factory.mktemp("undisturbed")
    options = OPTIONS | {"data_folder": str(voc_like), "train_split": "trainval"}
    code, said = finish(start(MAIN, *arguments(options), cwd=folder))
    assert code == 0, said
    return everything(folder / RUN)


@pytest.mark.posix
@pytest.mark.parametrize(
    "moments", [(14, 23), pytest.param((14, 18, 23, 26, 13, 15), marks=pytest.mark.slow)]
)
def test_a_run_killed_at_many_moments_ends_as_one_that_was_not(moments, options, undisturbed):
    # While a checkpoint is written (14), while weights are written (18), before the weights (23)
    # and their hash (26) are renamed, while training (13), before a checkpoint has its name (15).
    for moment in moments:
        line = ["SIGKILL", moment, *arguments(options), "--resume", "auto"]
        code, said = finish(start(TESTS / "killed_run.py", *line))
        assert code == -signal.SIGKILL, said
    code, said = finish(start(MAIN, *arguments(options), "--resume", "auto"))
    assert code == 0, said
    assert everything(RUN) == undisturbed
    leftovers = [path for path in RUN.rglob(".*") if path.is_file()]
    assert not leftovers, "what kills left behind is removed"


@pytest.mark.posix
@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_a_run_that_is_asked_to_stop_saves_and_says_how_to_go_on(number, options, undisturbed):
    # Before the first update: the next step is the last.
    line = [number.name, 13, *arguments(options | {"save_every": 0})]
    code, said = finish(start(TESTS / "killed_run.py", *line))
    assert code == 128 + number and "--resume auto" in said and "Traceback" not in said
    code, said = finish(start(MAIN, *arguments(options), "--resume", "auto"))
    assert code == 0, said
    assert everything(RUN)["checkpoint.params"] == undisturbed["checkpoint.params"]


@slow_under_mxnet
@pytest.mark.posix
def test_a_full_disk_is_an_error_and_the_state_before_it_stands(options, undisturbed):
    import resource  # Windows has none

    config = TrainConfig(**options)
    train(TrainConfig(**options | {"epochs": 2}))
    before = checkpoint.list_checkpoints(RUN / "states")
    size = before[-1].stat().st_size
    code, said = finish(
        start(
            MAIN,
            *arguments(options | {"checkname": "small"}),
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2)),
        )
    )
    assert code == 1 and "could not be written" in said and "Traceback" not in said
    assert "--resume auto" in said
    assert not list((config.folder.parent / "small").rglob("*.tmp"))


@slow_under_mxnet
def test_a_damaged_state_is_refused_by_name_and_the_one_before_it_offered(options, undisturbed):
    train(TrainConfig(**options))
    earlier, last = checkpoint.list_checkpoints(RUN / "states")[-2:]
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1
    last.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{last.name} is damaged.*--resume .*{earlier.name}"):
        train(TrainConfig(**options, resume="auto"))
    train(TrainConfig(**options, resume=str(earlier)))
    assert everything(RUN)["checkpoint.params"] == undisturbed["checkpoint.params"]
    assert last.with_name(last.name + ".superseded").is_file()


@slow_under_mxnet
def test_damaged_weights_are_refused(options):
    weights = train(TrainConfig(**options))
    check_weights(weights)
    content = bytearray(weights.read_bytes())
    content[-2000] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ValueError, match=r"checkpoint\.params is damaged"):
        train(TrainConfig(**options | {"checkname": "tuned"}, resume=str(weights)))


@slow_under_mxnet
def test_a_run_is_neither_overwritten_nor_gone_on_with_under_other_options(options):
    train(TrainConfig(**options))
    before = everything(RUN)
    with pytest.raises(FileExistsError, match="--resume auto.*--overwrite"):
        train(TrainConfig(**options))
    with pytest.raises(ValueError, match=r"lr: 0\.01, now 0\.02"):
        train(TrainConfig(**options | {"lr": 0.02}, resume="auto"))
    assert everything(RUN) == before
    inside = str(RUN / "checkpoint.params")
    with pytest.raises(ValueError, match="--overwrite would move"):
        train(TrainConfig(**options, overwrite=True, resume=inside))
    with pytest.raises(FileNotFoundError, match=r"nowhere\.params"):
        train(TrainConfig(**options, overwrite=True, resume="nowhere.params"))
    assert everything(RUN) == before
    train(TrainConfig(**options, overwrite=True))
    assert everything(RUN) == before
    assert everything(RUN.with_name("default.replaced")) == before


@slow_under_mxnet
@pytest.mark.posix
def test_a_fine_tuning_killed_before_its_first_state_begins_from_its_weights_again(options):
    weights = train(TrainConfig(**options))
    tuned = options | {"checkname": "tuned", "resume": str(weights)}
    # Killed before the first update.
    code, said = finish(start(TESTS / "killed_run.py", "SIGKILL", 9, *arguments(tuned)))
    assert code == -signal.SIGKILL, said
    train(TrainConfig(**tuned | {"resume": "auto"}))
    train(TrainConfig(**tuned | {"checkname": "whole"}))
    assert everything(RUN.with_name("tuned")) == everything(RUN.with_name("whole"))
    config = TrainConfig.from_json(RUN.with_name("tuned") / "config.json")
    assert config.resume == str(weights)


def test_a_second_process_keeps_out_of_the_folder(options):
    config = TrainConfig(**options)
    with RunFolder(config).reserved(), pytest.raises(BlockingIOError, match="another process"):
        train(config)
    assert not RUN.exists()


@slow_under_mxnet
def test_another_run_goes_on_from_a_state_in_a_folder_of_its_own(options, undisturbed):
    train(TrainConfig(**options | {"keep": 9}))
    before, state = everything(RUN), str(checkpoint.list_checkpoints(RUN / "states")[1])
    train(TrainConfig(**options | {"checkname": "other", "resume": state}))
    other = everything(RUN.with_name("other"))
    assert other["checkpoint.params"] == undisturbed["checkpoint.params"]
    with pytest.raises(FileExistsError, match="already holds a run"):
        train(TrainConfig(**options | {"checkname": "other", "resume": state}))
    assert everything(RUN) == before and everything(RUN.with_name("other")) == other


@slow_under_mxnet
def test_a_state_is_not_judged_in_place_of_weights(options):
    train(TrainConfig(**options))
    state = str(checkpoint.list_checkpoints(RUN / "states")[-1])
    with pytest.raises(ValueError, match="pass its run's weights"):
        evaluate_config(TrainConfig(**options, resume=state))
    scores = evaluate_config(TrainConfig(**options, resume=str(RUN / "best.params")))
    logged = [r["mean_iou"] for r in read_log(RUN / "log.jsonl") if r["kind"] == "epoch"]
    assert scores.mean_iou == max(logged)
    folder = write_masks(TrainConfig(**options, resume=str(RUN / "best.params")))
    assert folder == RUN / "masks" / "val" and len(list(folder.glob("*.png"))) == 2


def test_options_come_from_a_file_and_the_command_line_goes_first(tmp_path):
    path = tmp_path / "options.yaml"
    path.write_text("lr: 1e-4\nno-cuda: true\nhead_lr_mult: 2\n")
    config = parse_arguments(["--config", str(path), "--head-lr-mult", "3", "--start_epoch=1"])
    assert config == TrainConfig(lr=1e-4, no_cuda=True, head_lr_mult=3.0, start_epoch=1)


@pytest.mark.parametrize(
    ("content", "told"),
    [("- lr", "expected lines"), ("learning: 1", "unknown options: learning"), ("lr: {", "YAML")],
)
def test_a_file_of_options_that_is_none_is_refused(content, told, tmp_path, capsys):
    path = tmp_path / "options.yaml"
    path.write_text(content)
    with pytest.raises(SystemExit):
        parse_arguments(["--config", str(path)])
    assert told in capsys.readouterr().err


@slow_under_mxnet
def test_a_finished_run_that_is_resumed_does_nothing(options):
    train(TrainConfig(**options))
    before = everything(RUN)
    train(TrainConfig(**options, resume="auto"))
    assert everything(RUN) == before


@slow_under_mxnet
def test_a_loss_that_is_not_finite_stops_with_step_rate_and_files(options):
    train(TrainConfig(**options | {"epochs": 1}))
    stands = checkpoint.list_checkpoints(RUN / "states")[-1]
    broken = options | {"checkname": "broken", "lr": 1e30, "save_every": 0, "epochs": 4}
    with pytest.raises(FloatingPointError) as error:
        train(TrainConfig(**broken, resume=str(RUN / "checkpoint.params")))
    told = str(error.value)
    assert "step" in told and "learning rate" in told and ".jpg" in told
    assert stands.is_file()


@slow_under_mxnet
def test_states_keep_the_last_and_the_best(options):
    train(TrainConfig(**options | {"epochs": 4, "keep": 1}))
    steps = [checkpoint.step_of(path) for path in checkpoint.list_checkpoints(RUN / "states")]
    best = max(
        (r for r in read_log(RUN / "log.jsonl") if r["kind"] == "epoch"),
        key=lambda r: (r["mean_iou"], -r["step"]),
    )
    assert steps == sorted({best["step"], 8})


@pytest.mark.parametrize("keep", range(1, 8))
def test_as_many_states_stay_as_were_asked_for(keep, tmp_path):
    for step in range(1, 7):
        newest = checkpoint.save_checkpoint(tmp_path, step, {"x": np.full(2, step)}, {})
        checkpoint.remove_old(newest, keep, best_step=-1)
    steps = [checkpoint.step_of(path) for path in checkpoint.list_checkpoints(tmp_path)]
    assert steps == list(range(1, 7))[-keep:]


@slow_under_mxnet
def test_a_run_says_what_it_was_made_with(options):
    train(TrainConfig(**options))
    (entry,) = json.loads((RUN / "environment.json").read_text())
    assert "numpy" in entry["packages"]
    train(TrainConfig(**options, resume="auto"))
    assert len(json.loads((RUN / "environment.json").read_text())) == 2


def test_class_weights_and_sums_of_losses_train(options):
    train(TrainConfig(**options | {"loss": "ce+lovasz", "class_weights": "median", "epochs": 1}))
    assert all(np.isfinite(r["loss"]) for r in read_log(RUN / "log.jsonl") if r["kind"] == "step")


@pytest.mark.parametrize("align_corners", [True, False])
def test_scores_are_resized_alike_in_training_and_by_who_loads_the_run(align_corners, options):
    more = {"model": "deeplabv3plus", "epochs": 1, "align_corners": align_corners}
    config = TrainConfig(**options | more)
    net, _ = load_run(Path(train(config)))
    ways = {net.align_corners, net.head.align_corners, build_loss(config, None).align_corners}
    assert ways == {align_corners}


def test_another_data_sets_classes_begin_a_new_classifier(options):
    weights = train(TrainConfig(**options))
    other = options | {"dataset": "camvid", "resume": str(weights)}
    with pytest.raises(ValueError, match="21 classes"):
        build_model(TrainConfig(**other), backend.devices(no_cuda=True))
    net = build_model(TrainConfig(**other, new_classifier=True), backend.devices(no_cuda=True))
    old, new = backend.parameters_file.load(weights), backend.get_parameters(net)
    different = {n for n, value in new.items() if not np.array_equal(value, old[n])}
    assert different == {"head.block.4.weight", "head.block.4.bias"}


def test_a_number_of_classes_that_the_data_set_does_not_have_is_refused(options):
    with pytest.raises(ValueError, match="nclass=30.*21"):
        train(TrainConfig(**options | {"nclass": 30}))
