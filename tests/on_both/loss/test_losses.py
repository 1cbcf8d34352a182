"""All losses against NumPy, gradients included: their common properties, and each one's own."""

import loss_references as reference
import numpy as np
import pytest
from gradients import differentiate, numerical_gradients

from gluonvision.backend import NAME, array, as_numpy
from gluonvision.loss import (
    CombinedLoss,
    DiceLoss,
    FocalLoss,
    LovaszSoftmaxLoss,
    OHEMCrossEntropyLoss,
    SoftmaxCrossEntropyLoss,
    get_loss,
)

RANDOM = np.random.default_rng(11)
WEIGHTS = [0.5, 0, 3, 1, 0.25]


class Case:
    """A way to make a loss, and the function that it must equal."""

    def __init__(self, kind, function, **options):
        self.kind, self.function, self.options = kind, function, options

    def loss(self, **others):
        return self.kind(**self.options, **others)

    def reference(self, scores, label):
        return self.function(scores, label, **self.options)


def ce_and_lovasz(scores, label):
    return reference.cross_entropy(scores, label) + reference.lovasz(scores, label)


CASES = {
    "ce": Case(SoftmaxCrossEntropyLoss, reference.cross_entropy),
    "ce-weighted": Case(SoftmaxCrossEntropyLoss, reference.cross_entropy, class_weights=WEIGHTS),
    "focal": Case(FocalLoss, reference.focal),
    "focal-0.5": Case(FocalLoss, reference.focal, gamma=0.5),
    "focal-weighted": Case(FocalLoss, reference.focal, class_weights=WEIGHTS, gamma=1.5),
    "ohem-all": Case(OHEMCrossEntropyLoss, reference.ohem),
    "ohem-threshold": Case(OHEMCrossEntropyLoss, reference.ohem, min_kept=1, threshold=0.2),
    "ohem-hardest": Case(OHEMCrossEntropyLoss, reference.ohem, min_kept=6, threshold=1e-6),
    "ohem-weighted": Case(
        OHEMCrossEntropyLoss, reference.ohem, min_kept=6, threshold=0.01, class_weights=WEIGHTS
    ),
    "dice": Case(DiceLoss, reference.dice),
    "dice-sharp": Case(DiceLoss, reference.dice, smooth=1e-3),
    "lovasz": Case(LovaszSoftmaxLoss, reference.lovasz),
    "ce+lovasz": Case(lambda **options: get_loss("ce+lovasz", **options), ce_and_lovasz),
}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def batch(nclass=5, ignored=0.3, size=(2, 4, 3)):
    """float64 scores (N, nclass, H, W) and int32 labels of which a share is ignored."""
    scores = 3 * RANDOM.standard_normal((size[0], nclass, *size[1:]))
    label = RANDOM.integers(0, nclass, size).astype("int32")
    label[RANDOM.random(size) < ignored] = -1
    label[0, 0] = [nclass - 1, -1, 0]
    return scores, label


def result_of(case, scores, label, **options):
    loss, label = case.loss(**options), array(label)
    *aux_scores, scores = reversed(scores if isinstance(scores, list) else [scores])
    return differentiate(lambda *s: loss(*s, label), scores, *aux_scores)


def value(output):
    return np.reshape(output, ())


def agrees(case, scores, label):
    """Value and gradient are the reference's."""
    result = result_of(case, scores, label)
    np.testing.assert_allclose(value(result.output), case.reference(scores, label), rtol=1e-10)
    (gradient,) = numerical_gradients(lambda s: case.reference(s, label), scores)
    np.testing.assert_allclose(result.gradients[0], gradient, atol=2e-8)
    return result


# What every loss must do


@pytest.mark.parametrize("ignored", [0, 0.3, 0.9])
def test_value_and_gradient(case, ignored):
    result = agrees(case, *batch(ignored=ignored))
    assert np.size(result.output) == 1


def test_classes_that_do_not_occur(case):
    scores, label = batch()
    label[label == 4] = 3
    label[label == 0] = 2
    agrees(case, scores, label)


def test_one_class_occurs(case):
    scores, label = batch()
    label[label != -1] = 2
    agrees(case, scores, label)


def test_there_is_one_class(case):
    if "class_weights" in case.options:
        case = Case(case.kind, case.function, **{**case.options, "class_weights": [2.0]})
    scores, label = batch(nclass=1)
    result = result_of(case, scores, label)
    np.testing.assert_allclose(value(result.output), case.reference(scores, label), atol=1e-12)
    np.testing.assert_array_equal(result.gradients[0], np.zeros_like(scores))


def test_one_pixel_is_labelled(case):
    scores, label = batch()
    label[:] = -1
    label[1, 2, 1] = 3
    agrees(case, scores, label)


def test_a_batch_of_ignored_pixels_alone_gives_zero_with_zero_gradient(case):
    scores, label = batch()
    label[:] = -1
    result = result_of(case, scores, label)
    assert value(result.output) == 0
    np.testing.assert_array_equal(result.gradients[0], np.zeros_like(scores))


def test_ignored_pixels_have_no_gradient(case):
    scores, label = batch()
    (gradient,) = result_of(case, scores, label).gradients
    assert not np.moveaxis(gradient, 1, -1)[label == -1].any()
    assert gradient.any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_no_number_at_an_ignored_pixel_does_not_reach_the_loss(case, bad):
    scores, label = batch()
    clean = result_of(case, scores, label)
    n, i, j = np.argwhere(label == -1)[0]
    scores[n, :, i, j] = bad
    result = result_of(case, scores, label)
    assert value(result.output) == value(clean.output)
    result.gradients[0][n, :, i, j] = 0  # NaN: such scores show that a net is broken
    np.testing.assert_array_equal(result.gradients[0], clean.gradients[0])


def test_a_score_that_is_no_number_at_a_labelled_pixel_makes_the_loss_nan(case):
    scores, label = batch()
    label[1, 0, 0] = 3
    scores[1, 0, 0, 0] = np.nan
    assert np.isnan(value(result_of(case, scores, label).output))


@pytest.mark.parametrize("dtype", ["int64", "int8", "float32"])
def test_labels_of_any_type(case, dtype):
    scores, label = batch()
    expected = case.reference(scores, label)
    result = result_of(case, scores, label.astype(dtype))
    np.testing.assert_allclose(value(result.output), expected, rtol=1e-10)


def test_float32_scores_far_apart(case):
    scores, label = batch(ignored=0.1)
    scores = (1e4 * scores).astype("float32")
    result = result_of(case, scores, label)
    assert result.output.dtype == result.gradients[0].dtype == np.float32
    expected = case.reference(scores.astype("float64"), label)
    np.testing.assert_allclose(value(result.output), expected, rtol=1e-5)
    assert np.isfinite(result.gradients[0]).all()


@pytest.mark.parametrize("scale", [0, 1e30])
def test_float32_scores_without_a_difference_or_at_the_end_of_the_range(case, scale):
    scores, label = batch(ignored=0.1)
    scores = (scale * np.sign(scores)).astype("float32")
    result = result_of(case, scores, label)
    expected = case.reference(scores.astype("float64"), label)
    np.testing.assert_allclose(value(result.output), expected, rtol=1e-5)
    assert np.isfinite(result.gradients[0]).all()


@pytest.mark.parametrize(("options", "weight"), [({}, 0.4), ({"aux_weight": 0.2}, 0.2)])
def test_auxiliary_scores_count_their_weight(case, options, weight):
    scores, label = batch()
    aux_scores = RANDOM.standard_normal(scores.shape)
    loss, given = case.loss(**options), array(label)
    result = differentiate(lambda *s: loss(*s, given), scores, aux_scores)

    def expected(scores, aux_scores):
        return case.reference(scores, label) + weight * case.reference(aux_scores, label)

    np.testing.assert_allclose(value(result.output), expected(scores, aux_scores), rtol=1e-10)
    for gradient, numerical in zip(
        result.gradients, numerical_gradients(expected, scores, aux_scores), strict=True
    ):
        np.testing.assert_allclose(gradient, numerical, atol=2e-8)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_hybridized_loss_gives_the_same(case, dtype):
    scores, label = batch()
    scores, aux_scores, given = scores.astype(dtype), scores[::-1].astype(dtype), array(label)
    loss = case.loss()
    plain = differentiate(lambda *s: loss(*s, given), scores, aux_scores)
    loss.hybridize()
    compiled = differentiate(lambda *s: loss(*s, given), scores, aux_scores)
    accuracy = 1e-6 if dtype == "float32" else 1e-14
    np.testing.assert_allclose(compiled.output, plain.output, rtol=accuracy)
    for gradient, other in zip(compiled.gradients, plain.gradients, strict=True):
        np.testing.assert_allclose(gradient, other, atol=accuracy)


def test_an_upstream_gradient_scales_the_gradient(case):
    scores, label = batch()
    loss, given = case.loss(), array(label)
    once = differentiate(lambda s: loss(s, given), scores)
    thrice = differentiate(lambda s: 3 * loss(s, given), scores)
    np.testing.assert_allclose(thrice.gradients[0], 3 * once.gradients[0], rtol=1e-12)


# Of how much a loss is a mean


MEANS = ["ce", "ce-weighted", "focal", "focal-weighted"]


@pytest.mark.parametrize("name", MEANS)
def test_parts_by_their_count_make_the_whole(name):
    """What the trainer does with micro-batches and devices; the parts are unequally labelled."""
    case = CASES[name]
    scores, label = batch(size=(4, 4, 3))
    label[0, 1:], label[3] = -1, -1
    loss = case.loss()
    parts = [slice(0, 1), slice(1, 3), slice(3, 4)]
    counts = [loss.num_valid(label[part]) for part in parts]
    results = [result_of(case, scores[part], label[part]) for part in parts]
    whole = result_of(case, scores, label)
    shares = np.array(counts) / sum(counts)
    total = sum(share * value(r.output) for share, r in zip(shares, results))
    np.testing.assert_allclose(total, value(whole.output), rtol=1e-12)
    gradient = np.concatenate([share * r.gradients[0] for share, r in zip(shares, results)])
    np.testing.assert_allclose(gradient, whole.gradients[0], atol=1e-15)


@pytest.mark.parametrize("dtype", ["int32", "int64", "int8", "float32"])
def test_the_count(case, dtype):
    _, label = batch()
    weighted = case.kind is SoftmaxCrossEntropyLoss and case.options
    weights = WEIGHTS if weighted else [1] * 5
    expected = sum(weights[c] for c in label[label != -1])
    count = case.loss().num_valid(label.astype(dtype))
    assert type(count) is float
    assert count == expected
    assert case.loss().num_valid(np.full_like(label, -1)) == 0


# Class weights


@pytest.mark.skipif(NAME != "torch", reason="compares with torch's own")
@pytest.mark.parametrize("class_weights", [None, WEIGHTS])
def test_cross_entropy_is_that_of_torch(class_weights):
    import torch

    scores, label = batch()
    weight = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float64)
    given = torch.tensor(label).long()
    result = differentiate(
        lambda s: torch.nn.functional.cross_entropy(s, given, weight, ignore_index=-1), scores
    )
    case = Case(SoftmaxCrossEntropyLoss, None, class_weights=class_weights)
    ours = result_of(case, scores, label)
    np.testing.assert_allclose(ours.output, result.output, rtol=1e-13)
    np.testing.assert_allclose(ours.gradients[0], result.gradients[0], atol=1e-15)


@pytest.mark.parametrize("name", ["ce-weighted", "focal-weighted", "ohem-weighted"])
def test_weights_that_are_all_0_where_there_are_labels_give_0(name):
    scores, label = batch()
    label[label != -1] = 1
    result = result_of(CASES[name], scores, label)
    assert value(result.output) == 0
    assert not result.gradients[0].any()


@pytest.mark.parametrize("kind", [SoftmaxCrossEntropyLoss, FocalLoss, OHEMCrossEntropyLoss])
@pytest.mark.parametrize("hybrid", [False, True])
def test_another_number_of_weights_than_of_classes_is_an_error(kind, hybrid):
    scores, label = batch()
    loss = kind(class_weights=[1.0] * 4)
    if hybrid:
        loss.hybridize()
    with pytest.raises(Exception, match=r"size|shape|expected \[4\], got \[5\]"):
        as_numpy(loss(array(scores), array(label)))


@pytest.mark.parametrize("wrong", [[1, -1], [1, np.nan], [1, np.inf], [[1, 1]], []])
def test_wrong_weights_are_refused(wrong):
    with pytest.raises(ValueError, match="class_weights"):
        SoftmaxCrossEntropyLoss(class_weights=wrong)


def test_weights_as_an_array_are_as_good_as_a_list():
    loss = SoftmaxCrossEntropyLoss(class_weights=np.array([1, 2], "float32"))
    assert loss.class_weights == (1.0, 2.0)


# Online hard example mining


def test_ties_at_the_last_kept_pixel_are_kept():
    """Of six pixels, two are hardest and three tie after them; min_kept is 3."""
    hardness = np.array([0.0, 2, 5, 2, 2, 5])  # how far the label's score is below the other
    scores = np.stack([np.zeros(6), hardness])[None, :, None]
    label = np.zeros((1, 1, 6), "int32")
    case = Case(OHEMCrossEntropyLoss, reference.ohem, min_kept=3, threshold=1e-6)
    result = result_of(case, scores, label)
    np.testing.assert_allclose(
        value(result.output), np.logaddexp(0, hardness[hardness > 0]).mean(), rtol=1e-12
    )
    kept = result.gradients[0].any(axis=1).ravel()
    np.testing.assert_array_equal(kept, hardness > 0)


def test_as_hrnet_keeps_them_where_nothing_ties():
    """HRNet: sorted, the threshold is that of pixel number min_kept if above; strictly below."""
    scores, label = batch(ignored=0.2, size=(3, 5, 3))
    log_p, _ = reference.log_probabilities(scores, label)
    p = np.sort(np.exp(log_p))
    for min_kept, threshold in ((1, 0.7), (5, 0.1), (20, 1e-4), (len(p) - 1, 1e-4)):
        limit = max(p[min(min_kept, len(p) - 1)], threshold)
        expected = -np.log(p[p < limit]).mean()
        case = Case(OHEMCrossEntropyLoss, None, min_kept=min_kept, threshold=threshold)
        np.testing.assert_allclose(
            value(result_of(case, scores, label).output), expected, rtol=1e-12
        )


def test_pixels_whose_probability_is_0_in_float32_are_told_apart():
    scores = np.array([[0, 0, 0, 0], [200, 300, 250, 0]], "float32").reshape(1, 2, 1, 4)
    case = Case(OHEMCrossEntropyLoss, None, min_kept=1, threshold=1e-140)
    result = result_of(case, scores, np.zeros((1, 1, 4), "int32"))
    assert value(result.output) == 300


@pytest.mark.parametrize(
    "options", [{"threshold": 0}, {"threshold": 1.1}, {"min_kept": 0}, {"min_kept": 2**24 + 1}]
)
def test_ohem_refuses(options):
    with pytest.raises(ValueError, match="threshold"):
        OHEMCrossEntropyLoss(**options)


# Focal


def test_focal_with_gamma_0_is_cross_entropy():
    scores, label = batch()
    focal, plain = (
        result_of(case, scores, label)
        for case in (Case(FocalLoss, None, gamma=0), Case(SoftmaxCrossEntropyLoss, None))
    )
    np.testing.assert_array_equal(focal.output, plain.output)
    np.testing.assert_array_equal(focal.gradients[0], plain.gradients[0])


def test_focal_refuses():
    with pytest.raises(ValueError, match="gamma"):
        FocalLoss(gamma=-1)


# Regions


def test_perfect_and_worst_scores():
    """Dice and Lovász are 0 where all is certain and right, Lovász 1 where all is wrong."""
    label = RANDOM.integers(0, 3, (2, 4, 5)).astype("int32")
    right = 100 * np.moveaxis(np.eye(3)[label], -1, 1)
    wrong = 100 * np.moveaxis(np.eye(3)[(label + 1) % 3], -1, 1)
    for name in ("dice", "lovasz"):
        np.testing.assert_allclose(
            value(result_of(CASES[name], right, label).output), 0, atol=1e-12
        )
    np.testing.assert_allclose(value(result_of(CASES["lovasz"], wrong, label).output), 1)


def test_lovasz_of_certain_scores_is_the_mean_of_1_minus_iou():
    """The extension equals the set function where every error is 0 or 1."""
    label = RANDOM.integers(-1, 4, (2, 6, 5)).astype("int32")
    predicted = RANDOM.integers(0, 4, (2, 6, 5))
    scores = 200 * np.moveaxis(np.eye(4)[predicted], -1, 1)
    p, y = predicted[label != -1], label[label != -1]
    iou = [((p == c) & (y == c)).sum() / ((p == c) | (y == c)).sum() for c in np.unique(y)]
    result = value(result_of(CASES["lovasz"], scores, label).output)
    np.testing.assert_allclose(result, 1 - np.mean(iou), rtol=1e-12)


def test_lovasz_weights_are_those_of_algorithm_1():
    """Differences of 1 - IoU as each pixel in turn, the worst first, becomes wrong."""
    scores, label = batch(nclass=3, ignored=0.2, size=(1, 3, 3))
    probabilities, labels = reference.labelled_pixels(scores, label)
    terms = []
    for c in np.unique(labels):
        error = np.abs((labels == c) - probabilities[:, c])
        order = np.argsort(-error)
        wrong, total, before = np.zeros(len(error), bool), 0.0, 0.0
        for pixel in order:
            wrong[pixel] = True
            loss = reference.jaccard_loss(wrong, labels == c)
            total, before = total + error[pixel] * (loss - before), loss
        terms.append(total)
    result = value(result_of(CASES["lovasz"], scores, label).output)
    np.testing.assert_allclose(result, np.mean(terms), rtol=1e-12)


def test_dice_refuses():
    with pytest.raises(ValueError, match="smooth"):
        DiceLoss(smooth=0)


# Many pixels, float32


@pytest.mark.parametrize("name", ["ce-weighted", "focal", "ohem-hardest", "dice", "lovasz"])
def test_float32_over_a_million_pixels(name):
    """Against the same in float64: sums and counts keep their digits."""
    size = (4, 512, 512)
    scores = RANDOM.standard_normal((size[0], 2, *size[1:])).astype("float32")
    label = (RANDOM.random(size) < 0.001).astype("int32")
    options = dict(CASES[name].options)
    if "class_weights" in options:
        options["class_weights"] = [0.01, 3]
    if "min_kept" in options:
        options["min_kept"] = 10000
    case = Case(CASES[name].kind, None, **options)
    single, double = (result_of(case, scores.astype(t), label) for t in ("float32", "float64"))
    np.testing.assert_allclose(value(single.output), value(double.output), rtol=2e-6)
    difference = np.abs(single.gradients[0] - double.gradients[0]).sum()
    assert difference < 1e-4 * np.abs(double.gradients[0]).sum()


# By name


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ce", SoftmaxCrossEntropyLoss),
        ("ohem", OHEMCrossEntropyLoss),
        ("dice", DiceLoss),
        ("lovasz", LovaszSoftmaxLoss),
        ("focal", FocalLoss),
    ],
)
def test_get_loss(name, kind):
    loss = get_loss(name, aux_weight=0.3)
    assert type(loss) is kind
    assert loss.aux_weight == 0.3


def test_get_loss_gives_weights_to_those_that_take_them():
    scores, label = batch()
    loss = get_loss("dice+ce+focal", class_weights=WEIGHTS)
    assert isinstance(loss, CombinedLoss)
    expected = (
        reference.dice(scores, label)
        + reference.cross_entropy(scores, label, WEIGHTS)
        + reference.focal(scores, label, WEIGHTS)
    )
    result = as_numpy(loss(array(scores), array(label)))
    np.testing.assert_allclose(value(result), expected, rtol=1e-12)


def test_a_sum_resizes_as_its_losses_are_told():
    total = get_loss("ce+dice")
    assert total.align_corners is True
    total.align_corners = False
    assert [part.align_corners for part in total.losses] == [False, False]
    total.losses[0].align_corners = True
    assert total.align_corners is None


def test_a_sum_counts_as_its_first_loss():
    _, label = batch()
    weighted, plain = (SoftmaxCrossEntropyLoss(class_weights=w) for w in (WEIGHTS, None))
    assert get_loss("ce+dice", class_weights=WEIGHTS).num_valid(label) == weighted.num_valid(label)
    assert get_loss("dice+ce", class_weights=WEIGHTS).num_valid(label) == plain.num_valid(label)


@pytest.mark.parametrize("name", ["", "ce+", "jaccard", "ce,dice", "ce+jaccard"])
def test_an_unknown_name_is_refused_with_the_names(name):
    with pytest.raises(ValueError, match="ce, ohem, dice, lovasz, focal"):
        get_loss(name)


def test_weights_that_no_loss_takes_are_refused():
    with pytest.raises(ValueError, match=r"takes no class weights.*ce\+dice"):
        get_loss("dice", class_weights=[1, 2])


def test_a_sum_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        CombinedLoss()
