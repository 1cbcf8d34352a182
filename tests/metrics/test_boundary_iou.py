"""Boundary IoU against a search of each pixel's surroundings, and against the authors' steps."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_metrics_peers import real_maps

from gluonvision.metrics import SegmentationMetric


def by_search(label, predicted, nclass, distance):
    """(intersection, union) of each class, pixel by pixel."""
    counts = np.zeros((nclass, 2), np.int64)
    predicted = np.where(label < 0, -1, predicted)
    near = [[_is_near_another(m, y, x, distance) for y, x in np.ndindex(m.shape)] for m in
            (label, predicted)]  # fmt: skip
    for t, p, t_near, p_near in zip(label.flat, predicted.flat, *near):
        for c in {int(t), int(p)} - {-1}:
            in_label, in_predicted = t == c and t_near, p == c and p_near
            counts[c] += [in_label and in_predicted, in_label or in_predicted]
    return counts


def _is_near_another(labels, y, x, distance):
    steps = range(-distance, distance + 1)
    height, width = labels.shape
    for i, j in ((y + dy, x + dx) for dy in steps for dx in steps):
        if not (0 <= i < height and 0 <= j < width) or labels[i, j] != labels[y, x]:
            return True
    return False


def counted(label, predicted, nclass):
    metric = SegmentationMetric(nclass, boundary=True)
    metric.update(predicted, label)
    return metric.compute().boundaries


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 5, 254, 255, 300]))
def test_equals_a_search_of_every_pixel(seed, nclass):
    rng = np.random.default_rng(seed)
    # 2 % of the longest diagonal are 3 pixels.
    height, width = rng.integers(3, 24), rng.integers(100, 140)
    classes = [-1, 0, 1, nclass - 1]
    coarse = rng.choice(classes, (2, height // 6 + 1, width // 12 + 1))
    label, predicted = coarse.repeat(6, 1).repeat(12, 2)[:, :height, :width]
    predicted = np.abs(predicted)
    distance = round(0.02 * math.hypot(height, width))
    assert distance > 1
    np.testing.assert_array_equal(
        counted(label, predicted, nclass), by_search(label, predicted, nclass, distance)
    )


def authors_boundary(mask):
    """``mask_to_boundary`` as the paper's supplement describes it: erode one pixel at a time."""
    distance = max(1, round(0.02 * math.hypot(*mask.shape)))
    framed = np.pad(mask.astype(np.uint8), 1)
    eroded = cv2.erode(framed, np.ones((3, 3), np.uint8), iterations=distance)
    return mask & ~eroded[1:-1, 1:-1].astype(bool)


@pytest.mark.parametrize("name", ["pascal_voc", "camvid", "ade20k"])
def test_equals_the_authors_steps_class_by_class_on_real_labels(name, shared_data):
    nclass = {"pascal_voc": 21, "camvid": 11, "ade20k": 150}[name]
    predicted, label = next(iter(real_maps(name, shared_data)))
    ours = counted(label, predicted, nclass)
    predicted = np.where(label < 0, -1, predicted)
    for c in range(nclass):
        a, b = authors_boundary(label == c), authors_boundary(predicted == c)
        assert ours[c].tolist() == [(a & b).sum(), (a | b).sum()], c


def test_sees_an_outline_that_mask_iou_does_not():
    label = np.zeros((200, 200), np.int32)
    label[20:180, 20:180] = 1
    predicted = np.zeros_like(label)
    predicted[24:176, 24:176] = 1  # 4 pixels too small, and boundaries are 6 wide
    metric = SegmentationMetric(2, boundary=True)
    metric.update(predicted, label)
    scores = metric.compute()
    ring = [160**2 - 148**2, 152**2 - 140**2]
    common = 152**2 - 148**2
    assert scores.class_iou[1] == pytest.approx(152**2 / 160**2)
    assert scores.class_boundary_iou[1] == pytest.approx(common / (sum(ring) - common))
    assert scores.mean_boundary_iou == pytest.approx(scores.class_boundary_iou.mean())


def test_absent_classes_and_what_was_not_counted():
    metric = SegmentationMetric(3, boundary=True)
    metric.update([[0, 1]], [[0, 1]])
    assert np.isnan(metric.compute().class_boundary_iou).tolist() == [False, False, True]
    assert SegmentationMetric(3).compute().mean_boundary_iou is None


def test_wants_one_image_and_adds_nothing_otherwise():
    metric = SegmentationMetric(3, boundary=True)
    with pytest.raises(ValueError, match=r"expected one image, \(H, W\)"):
        metric.update([0, 1], [0, 1])
    assert metric.confusion.sum() == 0
