"""The evaluation's page and figure, from scores alone, and as a browser shows them."""

import base64
import dataclasses
import io
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gluonvision.data.meta import get_meta
from gluonvision.evaluation.report import (
    IMAGES,
    PAGE,
    SCORES,
    Report,
    images_csv,
    most_confused,
    to_json,
    to_text,
    write_files,
)
from gluonvision.evaluation.report_page import Sample, to_html, worst_images
from gluonvision.metrics import SegmentationMetric, bootstrap
from gluonvision.plots.confusion_matrix import draw_confusion

CHROMIUM = shutil.which("chromium")


def made_up(name="camvid", number=5, present=None):
    """A report of images of which each is worse than the one before, and its samples."""
    meta = get_meta(name)
    rng = np.random.default_rng(0)
    present = present or meta.num_class
    metric = SegmentationMetric(meta.num_class, boundary=True, per_image=True)
    samples = []
    for i in range(number):
        label = rng.integers(-1, present, (6, 8)).repeat(10, 0).repeat(10, 1)
        wrong = rng.random(label.shape) < 0.1 * (i + 1)
        predicted = np.where(wrong | (label < 0), (label + 1) % present, label)
        metric.update(predicted, label)
        image = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
        samples.append(Sample(i, image, label, predicted))
    scores = metric.compute()
    files = tuple(Path(f"images/<{i}>.jpg") for i in range(number))
    limits = bootstrap(scores.images, 50)
    report = Report("net & co", "val", meta, scores, files, {"weights": "a<b"}, limits)
    return report, samples


def page_of(report, samples):
    figure = draw_confusion(report.scores.confusion, report.meta.classes, report.title)
    return to_html(report, samples, figure)


def test_the_worst_images_come_first():
    report, _ = made_up()
    assert worst_images(report, 3) == [4, 3, 2]


def test_an_image_without_labels_is_not_the_worst():
    metric = SegmentationMetric(11, per_image=True)
    for label in ([[0, 1]], [[-1, -1]]):
        metric.update([[0, 0]], label)
    report = Report("net", "val", get_meta("camvid"), metric.compute(), (Path("a"), Path("b")), {})
    assert worst_images(report) == [0]


def test_the_pairs_that_cost_the_most_pixels():
    metric = SegmentationMetric(3)
    metric.update([0, 1, 1, 2, 2, 2, 0, 0], [0, 0, 0, 1, 1, 1, 1, 2])
    pairs = most_confused(metric.compute(), 10)
    assert [(p.label, p.predicted, p.pixels) for p in pairs] == [
        (1, 2, 3),
        (0, 1, 2),
        (1, 0, 1),
        (2, 0, 1),
    ]
    assert pairs[0].share == 3 / 4


def test_names_from_outside_are_text_on_the_page():
    page = page_of(*made_up())
    assert "net &amp; co" in page and "a&lt;b" in page and "&lt;4&gt;.jpg" in page


def test_absent_classes_are_named_and_not_zero():
    report, samples = made_up(present=5)
    page = page_of(report, samples)
    absent = ", ".join(report.meta.classes[5:])
    assert f"Absent from labels and predictions: {absent}." in page
    assert len(re.findall(r'class="track"', page)) == 5
    assert to_text(report).count("absent") == 6


def test_names_that_are_not_utf8_are_written_as_they_are(tmp_path):
    report, samples = made_up()
    name = os.fsdecode(b"images/\xff.jpg")
    report = dataclasses.replace(report, files=(Path(name), *report.files[1:]))
    texts = {IMAGES: images_csv(report), PAGE: page_of(report, samples), SCORES: to_json(report)}
    write_files(tmp_path, texts)
    assert b"images/\xff.jpg,0." in (tmp_path / IMAGES).read_bytes()
    assert all((tmp_path / name).is_file() for name in texts)


def test_files_of_no_earlier_evaluation_stay(tmp_path):
    report, _ = made_up()
    (tmp_path / IMAGES).write_text("mine")
    (tmp_path / SCORES).write_text("[]")
    write_files(tmp_path, {SCORES: to_json(report)})
    assert (tmp_path / IMAGES).read_text() == "mine"
    write_files(tmp_path, {SCORES: to_json(report)})
    assert not (tmp_path / IMAGES).exists()


def test_all_pictures_on_the_page_are_whole():
    pictures = re.findall(r'<img[^>]*src="data:image/\w+;base64,([^"]*)"', page_of(*made_up()))
    assert len(pictures) == 1 + 4 * 5
    for picture in pictures:
        Image.open(io.BytesIO(base64.b64decode(picture))).load()


@pytest.mark.parametrize(("number", "least"), [(0, 200), (2, 200), (60, 1200)])
def test_the_figure_grows_with_the_classes_that_occur(number, least):
    confusion = np.diag((np.arange(60) < number).astype(int))[: max(number, 3), : max(number, 3)]
    names = [f"class {i} of $some_length" for i in range(len(confusion))]
    figure = Image.open(io.BytesIO(draw_confusion(confusion, names, "$title")))
    assert least < figure.width < 3600 and abs(figure.width - figure.height) < 300


def test_the_figure_is_of_shares_of_the_label():
    """A class that is always right is as dark as another, however rare."""

    def figure(*pixels):
        return draw_confusion(np.diag(pixels), ["a", "b", "c"], "")

    assert figure(10**9, 3, 8) == figure(5, 10**9, 8) != figure(5, 10**9, 0)


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_browser_shows_the_page(tmp_path):
    report, samples = made_up()
    (tmp_path / "report.html").write_text(page_of(report, samples))
    shot = tmp_path / "shot.png"
    switches = [
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *(f"--user-data-dir={tmp_path / 'profile'}", "--hide-scrollbars"),
        *(f"--screenshot={shot}", "--window-size=1280,2000"),
    ]
    line = [CHROMIUM, *switches, (tmp_path / "report.html").as_uri()]
    subprocess.run(line, check=True, capture_output=True, timeout=120)
    pixels = np.array(Image.open(shot).convert("RGB"))
    assert pixels.shape == (2000, 1280, 3)
    # Swatches of all classes, and red of the wrong pixels, in the order of the page.
    for colour in report.meta.palette:
        assert (pixels == colour).all(2).any(), colour
    # No part reaches beyond the page's width: the margins stay paper.
    for margin in (pixels[:, :100], pixels[:, -100:]):
        assert (margin == pixels[0, 0]).all()
