"""The curves of a run: what they show of any log, legible texts, and how the file is written."""

import os
import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from gluonvision.data.meta import get_meta
from gluonvision.plots.training_curves import draw_curves

BLUE = (0, 114, 178)


def step(number, loss=1.0, rate=0.01, epoch=0):
    return {
        "kind": "step",
        "step": number,
        "epoch": epoch,
        "loss": loss,
        "learning_rate": rate,
        "samples_per_second": None,
    }


def epoch(number, class_iou, mean_iou=0.5, pixel_accuracy=0.9):
    return {
        "kind": "epoch",
        "epoch": number,
        "step": 10 * (number + 1),
        "train_loss": 1.0,
        "mean_iou": mean_iou,
        "pixel_accuracy": pixel_accuracy,
        "mean_accuracy": 0.7,
        "class_iou": class_iou,
    }


def whole_run(dataset, absent=()):
    names = get_meta(dataset).classes
    generator = np.random.default_rng(1)
    steps = [step(i, 3 / (1 + i / 9), 0.01 - i / 1e4, i // 10) for i in range(100)]
    values = dict(zip(names, generator.random(len(names))))
    epochs = [epoch(i, values | dict.fromkeys(absent), i / 20, i / 10) for i in range(10)]
    return steps + epochs


@pytest.fixture
def draw(tmp_path, monkeypatch):
    """Draws records; returns the figure and its pixels."""
    figures = []
    save = Figure.savefig

    def saving(figure, *arguments, **options):
        figures.append(figure)
        return save(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", saving)

    def drawn(records, title="a run"):
        draw_curves(records, tmp_path / "curves.png", title)
        with Image.open(tmp_path / "curves.png") as picture:
            assert picture.format == "PNG"
            return figures[-1], np.array(picture.convert("RGB"))

    return drawn


def shown_labels(axis):
    """Those of ticks within the limits: matplotlib makes a few beyond, and does not draw them."""
    low, high = sorted(axis.get_view_interval())
    places = zip(axis.get_majorticklabels(), axis.get_majorticklocs())
    return [label for label, place in places if low <= place <= high]


def texts(figure):
    """All the text that shows, with the box that it takes."""
    figure.draw_without_rendering()
    found = list(figure.texts)
    for axes in figure.axes:
        found += [*axes.texts, axes.title, axes._left_title, axes.xaxis.label]
        found += shown_labels(axes.xaxis) + shown_labels(axes.yaxis)
        found += axes.get_legend().get_texts() if axes.get_legend() else []
    return [(t.get_text(), t.get_window_extent()) for t in found if t.get_text()]


def said(figure):
    return [text for text, _ in texts(figure)]


CASES = {
    "nothing": [],
    "one step": [step(0)],
    "one step without a loss": [step(0, None)],
    "a rate and a loss of zero": [step(0, 0.0, 0.0), step(1, 0.0, 0.0)],
    "no validation": [step(i) for i in range(50)],
    "validation alone": [epoch(0, {"a": 0.5, "b": None})],
    "nothing to judge": [step(0), epoch(0, {"a": None}, None, None)],
    "one class": [step(0), epoch(0, {"a": 1.0})],
    "names of any length": [step(0), epoch(0, {"n" * 90: 0.0, "m" * 90: 1.0, "a $\\frac$": 0.2})],
    "VOC": whole_run("pascal_voc"),
    "ADE20K": whole_run("ade20k", get_meta("ade20k").classes[::7]),
    "late": [step(i, epoch=9) for i in range(1_000_000, 1_000_200)],
}


@pytest.mark.parametrize("name", CASES)
def test_all_of_it_can_be_read(draw, name):
    figure, pixels = draw(CASES[name], title="runs/pascal_voc/fcn/$\\frac$")
    height, width, _ = pixels.shape
    assert width == 1800 and 500 < height < 1700
    boxes = [(text, box) for text, box in texts(figure) if box.width]
    for text, box in boxes:
        assert box.x0 >= 0 and box.y0 >= 0, text
        # A thousandth for the rounding of glyphs.
        assert box.x1 <= 1.001 * width and box.y1 <= 1.001 * height, text
    for (one, box), (other, place) in combinations(boxes, 2):
        assert not box.padded(-1).overlaps(place.padded(-1)), (one, other)


def test_one_step_is_a_point_that_shows(draw):
    _, pixels = draw([step(0)])
    assert (pixels == BLUE).all(axis=-1).sum() > 20


def test_what_is_not_there_yet_is_said(draw):
    assert said(draw([])[0]).count("no steps yet") == 3
    assert "no validation yet" in said(draw([step(0)])[0])
    assert "no labelled pixels" in said(draw([epoch(0, {"a": None}, None, None)])[0])


def test_lost_steps_are_counted(draw):
    losses = [1.0, None, 0.5, None, 0.4]
    assert "2 steps without a finite loss" in said(draw([step(*s) for s in enumerate(losses)])[0])
    assert "no finite loss" in said(draw([step(0, None)])[0])


def test_loss_is_drawn_raw_and_smoothed(draw):
    losses = np.random.default_rng(0).random(400)
    losses[7] = np.nan
    records = [step(i, None if np.isnan(loss) else loss) for i, loss in enumerate(losses)]
    raw, smoothed = draw(records)[0].axes[0].lines
    assert np.array_equal(raw.get_ydata(), losses, equal_nan=True)
    for i in (0, 3, 9, 200, 399):
        around = losses[max(i - 4, 0) : i + 5]
        assert smoothed.get_ydata()[i] == pytest.approx(np.nanmean(around))


def test_a_long_run_keeps_its_extremes_in_few_points(draw):
    losses = np.random.default_rng(0).random(50_000)
    losses[12_345], losses[23_456] = 3, -1
    raw = draw([step(i, loss) for i, loss in enumerate(losses)])[0].axes[0].lines[0]
    x, y = raw.get_data()
    assert len(x) <= 2002 and (np.diff(x) > 0).all()
    assert (x[y.argmax()], x[y.argmin()]) == (12_345, 23_456)
    assert (x[0], x[-1]) == (0, 49_999)


def test_outliers_are_clipped_so_that_the_curve_stays_readable(draw):
    losses = [500.0, *np.linspace(2, 1, 999)]
    axes = draw([step(i, loss) for i, loss in enumerate(losses)])[0].axes[0]
    smoothed = axes.lines[1].get_ydata()
    assert smoothed.max() <= axes.get_ylim()[1] < 100


def test_scores_stand_at_the_epochs_that_were_validated(draw):
    records = [epoch(i, {"a": 0.5}, mean, 0.9) for i, mean in ((0, 0.1), (4, None), (9, 0.3))]
    accuracy, mean = draw([step(0), *records])[0].axes[1].lines
    assert mean.get_xdata().tolist() == [1, 5, 10]
    assert np.array_equal(mean.get_ydata(), [0.1, np.nan, 0.3], equal_nan=True)
    assert accuracy.get_ydata().tolist() == [0.9] * 3


def test_summary_names_the_last_and_the_best(draw):
    scores = [epoch(i, {"a": 0.5}, mean) for i, mean in enumerate((0.25, 0.75, 0.5))]
    figure, _ = draw([step(2999, epoch=2), *scores])
    assert (
        "3,000 steps, epoch 3   mIoU 0.500   best mIoU 0.750 after epoch 2   pixel accuracy 0.900"
    ) in said(figure)


def test_classes_of_the_last_epoch_from_the_best_to_the_absent(draw):
    last = {"none": None, "low": 0.125, "zero": 0.0, "high": 0.875}
    figure, _ = draw([step(0), epoch(0, dict.fromkeys(last, 0.5)), epoch(1, last)])
    axes = figure.axes[3]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["high", "low", "zero", "none"]
    assert [t.get_text() for t in axes.texts] == ["0.88", "0.12", "0.00", "absent"]
    lengths = [bar.get_width() for bar in axes.containers[1]]
    assert np.array_equal(lengths, [0.875, 0.125, 0, np.nan], equal_nan=True)


@pytest.mark.parametrize("name", ["camvid", "pascal_voc", "citys", "ade20k"])
def test_every_class_is_there_once(draw, name):
    figure, _ = draw(whole_run(name))
    shown = [t.get_text() for axes in figure.axes[3:] for t in axes.get_yticklabels()]
    assert sorted(shown) == sorted(get_meta(name).classes)


def test_a_picture_that_fails_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "curves.png"
    path.write_bytes(b"the old one")

    def failing(figure, file, **_):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(Figure, "savefig", failing)
    with pytest.raises(KeyboardInterrupt):
        draw_curves([step(0)], path, "")
    assert path.read_bytes() == b"the old one" and os.listdir(tmp_path) == ["curves.png"]


def test_neither_display_nor_pyplot_is_needed(tmp_path):
    code = (
        "import sys; from gluonvision.plots.training_curves import draw_curves; "
        f"draw_curves([], {str(tmp_path / 'curves.png')!r}, ''); "
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    environment = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    subprocess.run(
        [sys.executable, "-c", code], env={**environment, "MPLBACKEND": "tkagg"}, check=True
    )
    assert (tmp_path / "curves.png").is_file()
