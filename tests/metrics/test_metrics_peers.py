"""Our scores are those of torchmetrics and scikit-learn, on random labels and on real ones."""

import numpy as np
import peers
import pytest

from gluonvision.data import get_segmentation_dataset
from gluonvision.metrics import SegmentationMetric

# Real label maps, and how many of them.
REAL = {
    "pascal_voc": (".", "val", 1),
    "camvid": ("camvid", "val", 1),
    "ade20k": (".", "val", 1),
    "coco": ("coco", "val", 1),
}


def spoiled(label, seed):
    """A prediction that is right for most pixels: shifted, and a tenth of it shuffled."""
    rng = np.random.default_rng(seed)
    predicted = np.roll(np.where(label < 0, 0, label), (5, -3), (0, 1))
    wrong = rng.random(label.shape) < 0.1
    predicted[wrong] = rng.permutation(predicted[wrong])
    return predicted.astype(np.int32)


def random_maps(nclass, seed=0):
    """Of the last class, and of every seventh, there is nothing."""
    rng = np.random.default_rng(seed)
    present = [c for c in range(max(nclass - 1, 1)) if c % 7 != 3] or [0]
    for shape in ((37, 53), (64, 40)):
        label = rng.choice([-1, *present], shape).astype(np.int32)
        yield spoiled(label, seed), label


def real_maps(name, folder):
    root, split, number = REAL[name]
    data = get_segmentation_dataset(name, root=folder / root, split=split, mode="val")
    for i in range(number):
        _, label = data[i]
        yield spoiled(label, i), label


@pytest.fixture(params=[1, 21, 255, 300, *REAL])
def case(request):
    """(nclass, class maps)"""
    if isinstance(request.param, int):
        return request.param, list(random_maps(request.param))
    maps = list(real_maps(request.param, request.getfixturevalue("shared_data")))
    return {"pascal_voc": 21, "coco": 21, "camvid": 11, "ade20k": 150}[request.param], maps


def scores_of(nclass, maps, **options):
    metric = SegmentationMetric(nclass, **options)
    for predicted, label in maps:
        metric.update(predicted, label)
    return metric.compute()


def joined(maps):
    predicted, label = (np.concatenate([m[i].ravel() for m in maps]) for i in (0, 1))
    return predicted[label >= 0], label[label >= 0]


def test_scikit_learn_counts_and_scores_the_same(case):
    sklearn = pytest.importorskip("sklearn.metrics")
    nclass, maps = case
    ours, (predicted, label) = scores_of(nclass, maps), joined(maps)
    confusion = sklearn.confusion_matrix(label, predicted, labels=range(nclass))
    np.testing.assert_array_equal(ours.confusion, confusion)
    found = np.unique([*np.unique(label), *np.unique(predicted)])
    assert np.flatnonzero(~np.isnan(ours.class_iou)).tolist() == found.tolist()
    for name, score in (("class_iou", sklearn.jaccard_score), ("class_dice", sklearn.f1_score)):
        theirs = score(label, predicted, labels=found, average=None, zero_division=0)
        np.testing.assert_allclose(getattr(ours, name)[found], theirs, rtol=1e-12)
    assert ours.mean_iou == pytest.approx(np.mean(ours.class_iou[found]))
    assert ours.pixel_accuracy == pytest.approx(sklearn.accuracy_score(label, predicted))
    labelled = np.unique(label)
    recall = sklearn.recall_score(label, predicted, labels=labelled, average=None)
    assert ours.mean_accuracy == pytest.approx(recall.mean())
    weighted = sklearn.jaccard_score(label, predicted, average="weighted", zero_division=0)
    assert ours.frequency_weighted_iou == pytest.approx(weighted)


@pytest.mark.skipif(not peers.installed("torchmetrics"), reason="torchmetrics is not installed")
def test_torchmetrics_has_the_same_iou(case):
    import torch

    nclass, maps = case
    if nclass == 1:
        pytest.skip("it has two classes or more")
    of_classes = peers.import_torchmetrics().classification.MulticlassJaccardIndex(
        nclass, average="none", ignore_index=-1
    )
    for predicted, label in maps:
        of_classes.update(torch.from_numpy(predicted), torch.from_numpy(label))
    ours = scores_of(nclass, maps)
    # It gives a class that is absent 0.
    theirs = of_classes.compute().numpy()
    np.testing.assert_allclose(np.nan_to_num(ours.class_iou), theirs, atol=1e-6)
    confusion = of_classes.confmat.numpy()
    np.testing.assert_array_equal(ours.confusion, confusion)


def test_each_image_has_its_own_scores(case):
    nclass, maps = case
    together = scores_of(nclass, maps, per_image=True)
    alone = [scores_of(nclass, [pair]).mean_iou for pair in maps]
    np.testing.assert_allclose(together.image_iou, alone, rtol=1e-12)
    hit, labelled, predicted = together.images.sum(0)
    np.testing.assert_array_equal(hit, together.confusion.diagonal())
    np.testing.assert_array_equal(labelled, together.confusion.sum(1))
    np.testing.assert_array_equal(predicted, together.confusion.sum(0))
