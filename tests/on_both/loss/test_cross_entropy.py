"""Softmax cross-entropy with ignored labels against NumPy, gradient included."""

import numpy as np
import pytest
from gradients import differentiate, numerical_gradients

from gluonvision.backend import array, as_numpy
from gluonvision.loss import SoftmaxCrossEntropyLoss

RANDOM = np.random.default_rng(2)


def batch(nclass=5, ignored=0.3, size=(2, 4, 3)):
    """float64 scores (N, nclass, H, W) and int32 labels of which a share is ignored."""
    scores = 3 * RANDOM.standard_normal((size[0], nclass, *size[1:]))
    label = RANDOM.integers(0, nclass, size).astype("int32")
    label[RANDOM.random(size) < ignored] = -1
    return scores, label


def np_cross_entropy(scores, label):
    """The mean over labelled pixels of the score of the label below the logsumexp of all."""
    total, count = 0.0, 0
    for n, i, j in np.argwhere(label != -1):
        pixel = scores[n, :, i, j] - scores[n, :, i, j].max()
        total += np.log(np.exp(pixel).sum()) - pixel[label[n, i, j]]
        count += 1
    return np.array(total / max(count, 1))


def loss_of(label, **options):
    loss, label = SoftmaxCrossEntropyLoss(**options), array(label)
    return lambda *scores: loss(*scores, label)


def value(output):
    return np.reshape(output, ())


@pytest.mark.parametrize("ignored", [0, 0.3, 0.9])
@pytest.mark.parametrize("nclass", [1, 2, 21])
def test_value_and_gradient(nclass, ignored):
    scores, label = batch(nclass, ignored)
    label[0, 0, 0] = nclass - 1
    result = differentiate(loss_of(label), scores)
    np.testing.assert_allclose(value(result.output), np_cross_entropy(scores, label), rtol=1e-10)
    (gradient,) = numerical_gradients(lambda s: np_cross_entropy(s, label), scores)
    np.testing.assert_allclose(result.gradients[0], gradient, atol=1e-8)


def test_ignored_pixels_have_no_gradient():
    scores, label = batch()
    (gradient,) = differentiate(loss_of(label), scores).gradients
    ignored = np.broadcast_to((label == -1)[:, None], gradient.shape)
    assert not gradient[ignored].any()
    assert gradient[~ignored].all()


def test_a_batch_of_ignored_pixels_alone_gives_zero_with_zero_gradient():
    scores, label = batch()
    label[:] = -1
    result = differentiate(loss_of(label), scores)
    assert value(result.output) == 0
    np.testing.assert_array_equal(result.gradients[0], np.zeros_like(scores))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_no_number_at_an_ignored_pixel_does_not_reach_the_loss(bad):
    """Its own gradient is NaN all the same: such scores show that a net is broken."""
    scores, label = batch()
    clean = value(differentiate(loss_of(label), scores).output)
    n, i, j = np.argwhere(label == -1)[0]
    scores[n, :, i, j] = bad
    assert value(differentiate(loss_of(label), scores).output) == clean


def test_a_score_that_is_no_number_at_a_labelled_pixel_makes_the_loss_nan():
    scores, label = batch()
    n, i, j = np.argwhere(label != -1)[0]
    scores[n, 0, i, j] = np.nan
    assert np.isnan(value(differentiate(loss_of(label), scores).output))


@pytest.mark.parametrize("dtype", ["int32", "int64", "int8", "float32"])
def test_labels_of_any_type(dtype):
    scores, label = batch()
    result = differentiate(loss_of(label.astype(dtype)), scores)
    np.testing.assert_allclose(value(result.output), np_cross_entropy(scores, label), rtol=1e-10)


def test_scores_of_float32_and_far_apart():
    scores, label = batch(ignored=0)
    scores = (1e4 * scores).astype("float32")
    result = differentiate(loss_of(label), scores)
    expected = np_cross_entropy(scores.astype("float64"), label)
    np.testing.assert_allclose(value(result.output), expected, rtol=1e-5)
    assert np.isfinite(result.gradients[0]).all()


@pytest.mark.parametrize(("options", "weight"), [({}, 0.4), ({"aux_weight": 0.2}, 0.2)])
def test_auxiliary_scores_count_their_weight(options, weight):
    scores, label = batch()
    aux_scores = RANDOM.standard_normal(scores.shape)
    result = differentiate(loss_of(label, **options), scores, aux_scores)

    def expected(scores, aux_scores):
        return np_cross_entropy(scores, label) + weight * np_cross_entropy(aux_scores, label)

    np.testing.assert_allclose(value(result.output), expected(scores, aux_scores), rtol=1e-10)
    for gradient, numerical in zip(
        result.gradients, numerical_gradients(expected, scores, aux_scores), strict=True
    ):
        np.testing.assert_allclose(gradient, numerical, atol=1e-8)


def test_a_hybridized_loss_gives_the_same():
    scores, label = batch()
    loss = SoftmaxCrossEntropyLoss()
    plain = as_numpy(loss(array(scores), array(label)))
    loss.hybridize()
    np.testing.assert_array_equal(as_numpy(loss(array(scores), array(label))), plain)


def test_the_mean_over_the_batch_is_not_the_mean_of_the_images():
    scores, label = batch(ignored=0)
    label[0, 1:] = -1  # image 0 has three labelled pixels, image 1 twelve
    per_image = [np_cross_entropy(scores[i : i + 1], label[i : i + 1]) for i in range(2)]
    result = value(differentiate(loss_of(label), scores).output)
    np.testing.assert_allclose(result, (3 * per_image[0] + 12 * per_image[1]) / 15, rtol=1e-10)
