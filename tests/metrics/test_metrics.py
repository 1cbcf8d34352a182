"""The metric against a plain loop over pixels, and against numbers worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gluonvision.metrics import SegmentationMetric


@st.composite
def pictures(draw):
    """(nclass, [(predicted, label), ...])"""
    nclass = draw(st.integers(1, 5))
    maps = []
    for _ in range(draw(st.integers(1, 3))):
        shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=6))
        predicted = draw(hnp.arrays(np.int64, shape, elements=st.integers(0, nclass - 1)))
        label = draw(hnp.arrays(np.int32, shape, elements=st.integers(-1, nclass - 1)))
        maps.append((predicted, label))
    return nclass, maps


def plain(nclass, maps):
    """(mean IoU, pixel accuracy, mean accuracy), one pixel after the other."""
    pixels = [
        (int(p), int(t)) for pair in maps for p, t in zip(*(a.ravel() for a in pair)) if t >= 0
    ]
    ious, accuracies = [], []
    for c in range(nclass):
        both = sum(p == c and t == c for p, t in pixels)
        either = sum(p == c or t == c for p, t in pixels)
        labelled = sum(t == c for _, t in pixels)
        ious += [both / either] if either else []
        accuracies += [both / labelled] if labelled else []
    right = sum(p == t for p, t in pixels)
    return [
        sum(part) / whole if whole else math.nan
        for part, whole in (
            (ious, len(ious)),
            ([right], len(pixels)),
            (accuracies, len(accuracies)),
        )
    ]


def scores_of(nclass, *maps):
    metric = SegmentationMetric(nclass)
    for predicted, label in maps:
        metric.update(predicted, label)
    return metric.compute()


@settings(max_examples=150, deadline=None)
@given(pictures())
def test_equals_a_plain_loop(picture):
    nclass, maps = picture
    scores = scores_of(nclass, *maps)
    got = [scores.mean_iou, scores.pixel_accuracy, scores.mean_accuracy]
    assert np.allclose(got, plain(nclass, maps), equal_nan=True, rtol=1e-12)
    assert scores.confusion.sum() == sum((label >= 0).sum() for _, label in maps)


def test_by_hand():
    scores = scores_of(4, ([[0, 0, 1], [1, 1, 2]], [[0, 1, 1], [1, -1, 0]]))
    # Class 0: 1 of {2 labelled + 2 predicted - 1}; 1: 2 of 3; 2: predicted only; 3: nowhere.
    assert scores.class_iou[:3].tolist() == pytest.approx([1 / 3, 2 / 3, 0])
    assert np.isnan(scores.class_iou[3])
    assert scores.mean_iou == pytest.approx(1 / 3)
    assert scores.pixel_accuracy == pytest.approx(3 / 5)
    assert scores.class_accuracy[:2].tolist() == pytest.approx([1 / 2, 2 / 3])
    assert np.isnan(scores.class_accuracy[2:]).all()
    assert scores.mean_accuracy == pytest.approx(7 / 12)
    assert scores.confusion.tolist() == [[1, 0, 1, 0], [1, 2, 0, 0], [0] * 4, [0] * 4]


def test_over_the_set_and_not_over_images():
    good, bad = ([0] * 10, [0] * 10), ([0, 1], [1, 1])
    assert scores_of(2, good, bad).mean_iou == pytest.approx((10 / 11 + 1 / 2) / 2)


def test_perfect_and_absent():
    scores = scores_of(21, (np.full((4, 4), 3), np.full((4, 4), 3)))
    assert scores.mean_iou == scores.pixel_accuracy == scores.mean_accuracy == 1
    assert np.isnan(scores.class_iou).sum() == 20


def test_nothing_labelled_is_not_zero():
    scores = scores_of(3, ([0, 1], [-1, -1]))
    assert math.isnan(scores.mean_iou) and math.isnan(scores.pixel_accuracy)


def test_reset_forgets():
    metric = SegmentationMetric(2)
    metric.update([0], [1])
    metric.reset()
    assert metric.compute().confusion.sum() == 0


def test_result_does_not_change_later():
    metric = SegmentationMetric(2)
    metric.update([0], [0])
    scores = metric.compute()
    metric.update([1], [0])
    assert scores.confusion.tolist() == [[1, 0], [0, 0]]
    with pytest.raises(ValueError, match="read-only"):
        scores.confusion[0, 0] = 5


def test_class_numbers_as_mxnet_gives_them():
    label = np.array([[0, 1]], np.int32)
    assert scores_of(2, (np.array([[0, 1]], np.float32), label)).mean_iou == 1


def test_many_pixels_do_not_overflow_small_types():
    predicted = np.full(1000, 149, np.uint8)
    assert scores_of(150, (predicted, predicted.astype(np.int16))).confusion[149, 149] == 1000


@pytest.mark.parametrize(
    "predicted, label, message",
    [
        ([[0]], [0], r"\(1, 1\) and label \(1,\)"),
        ([2], [0], "predicted holds 2 to 2; expected 0 to 1"),
        ([-1], [0], "predicted holds -1"),
        ([0], [255], "label holds 255 to 255.*-1"),
        ([0], [-2], "label holds -2"),
        ([0.5], [0], "predicted: expected integer class labels"),
        ([math.nan], [0], "predicted: expected integer class labels"),
    ],
)
def test_wrong_values_add_nothing(predicted, label, message):
    metric = SegmentationMetric(2)
    with pytest.raises(ValueError, match=message):
        metric.update(predicted, label)
    assert metric.confusion.sum() == 0


def test_wrong_number_of_classes():
    with pytest.raises(ValueError, match="nclass 0"):
        SegmentationMetric(0)


def test_counts_of_more_pixels_than_one_block_has():
    rng = np.random.default_rng(0)
    label, predicted = rng.integers(-1, 3, (700, 900)), rng.integers(0, 3, (700, 900), np.uint8)
    expected = [[((label == t) & (predicted == p)).sum() for p in range(3)] for t in range(3)]
    assert scores_of(3, (predicted, label)).confusion.tolist() == expected
