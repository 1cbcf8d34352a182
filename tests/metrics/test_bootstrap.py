"""Confidence intervals: against resampling by hand, and against what they promise."""

import numpy as np
import pytest

from gluonvision.metrics import SegmentationMetric, bootstrap


def scored(seed, number=30, nclass=4):
    """Images of which some are segmented better than others; the last class never occurs."""
    rng = np.random.default_rng(seed)
    metric = SegmentationMetric(nclass, per_image=True)
    for _ in range(number):
        label = rng.integers(-1, nclass - 1, (12, 15))
        wrong = rng.random(label.shape) < rng.uniform(0, 0.6)
        metric.update(np.where(wrong | (label < 0), 0, label), label)
    return metric.compute()


def test_equals_resampling_by_hand():
    scores = scored(1)
    ours = bootstrap(scores.images, resamples=200, seed=7, confidence=0.9)
    rng = np.random.default_rng(7)
    number = len(scores.images)
    means, of_first = [], []
    # Two chunks of 100: the same draws.
    for _ in range(200):
        times = rng.multinomial(number, [1 / number] * number)
        chosen = np.repeat(np.arange(number), times)
        hit, labelled, predicted = sum(scores.images[i] for i in chosen)
        iou = hit[:3] / (labelled + predicted - hit)[:3]
        means.append(iou.mean())
        of_first.append(iou[0])
    assert ours.mean_iou == pytest.approx(np.percentile(means, [5, 95]), rel=1e-12)
    assert ours.class_iou[0] == pytest.approx(np.percentile(of_first, [5, 95]), rel=1e-12)
    assert np.isnan(ours.class_iou[3]).all()


def test_the_seed_decides_and_the_score_lies_inside():
    scores = scored(2)
    one, same, other = (bootstrap(scores.images, seed=s) for s in (1, 1, 2))
    assert one.mean_iou == same.mean_iou != other.mean_iou
    assert one.mean_iou[0] < scores.mean_iou < one.mean_iou[1]
    inside = (one.class_iou[:3, 0] < scores.class_iou[:3]) & (
        scores.class_iou[:3] < one.class_iou[:3, 1]
    )
    assert inside.all()


def test_as_wide_as_the_scores_of_other_data_differ():
    """Over many data sets of one kind the scores differ as one set's interval says."""
    values = [scored(seed).mean_iou for seed in range(100, 180)]
    spread = np.percentile(values, 97.5) - np.percentile(values, 2.5)
    widths = [np.diff(bootstrap(scored(s).images, 300).mean_iou)[0] for s in range(10)]
    assert 0.7 < np.mean(widths) / spread < 1.3


def test_equal_images_leave_nothing_unsure():
    metric = SegmentationMetric(2, per_image=True)
    for _ in range(5):
        metric.update([0, 1, 1, 0], [0, 1, 0, 0])
    interval = bootstrap(metric.compute().images, 50)
    assert interval.mean_iou == pytest.approx([metric.compute().mean_iou] * 2)


def test_a_class_that_most_resamples_lack():
    metric = SegmentationMetric(2, per_image=True)
    for label in (0, 0, 0, 1):
        metric.update([label], [label])
    interval = bootstrap(metric.compute().images, 100)
    assert interval.class_iou.tolist() == [[1, 1], [1, 1]] and interval.mean_iou == (1, 1)


@pytest.mark.parametrize(
    "options", [{"resamples": 0}, {"confidence": 1.0}, {"confidence": 0.0}], ids=str
)
def test_refuses_what_makes_no_interval(options):
    with pytest.raises(ValueError, match="expected at least 2 images, at least 1 resample"):
        bootstrap(scored(1).images, **options)
    with pytest.raises(ValueError, match="1 images"):
        bootstrap(scored(1).images[:1])
    with pytest.raises(ValueError, match="per_image=True"):
        bootstrap(None)
