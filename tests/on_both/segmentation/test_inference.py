"""Windows, scales and mirrors against a plain NumPy loop over one forward pass after the other."""

import math

import numpy as np
import pytest

from gluonvision import backend
from gluonvision.model_zoo import FCN
from gluonvision.prediction.inference import Inference, class_scores, predict, predict_batch

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


@pytest.fixture(scope="module")
def net():
    backend.seed(2)
    return FCN(5, "mobilenet_v2", pretrained_base=False, aux=True, output_stride=32)


def random_image(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def resized(x, height, width):
    """Bilinear, (C, H, W), the corners on the corners."""
    for axis, length in ((1, height), (2, width)):
        old = x.shape[axis]
        at = np.arange(length) * ((old - 1) / max(length - 1, 1))
        low = np.minimum(np.floor(at).astype(int), max(old - 2, 0))
        share = (at - low).reshape([-1 if i == axis else 1 for i in range(3)])
        high = np.minimum(low + 1, old - 1)
        x = (1 - share) * np.take(x, low, axis) + share * np.take(x, high, axis)
    return x


def softmax(scores):
    exp = np.exp(scores - scores.max(0))
    return exp / exp.sum(0)


def asked(net, x):
    """(C, H, W) float64 to the net's scores (nclass, H, W)."""
    out = backend.evaluate(net, backend.array(x[None].astype(np.float32)))
    return backend.as_numpy(out[0])[0].astype(np.float64)


def starts(length, window, step):
    number = max(math.ceil((length - window) / step), 0) + 1
    return [max(min(i * step, length - window), 0) for i in range(number)]


def probabilities(net, x, flip):
    found = [softmax(asked(net, x))]
    if flip:
        found.append(softmax(asked(net, x[:, :, ::-1]))[:, :, ::-1])
    return np.mean(found, axis=0)


def by_loop(net, image, scales, flip, window, stride):
    x = ((image / 255 - MEAN) / STD).transpose(2, 0, 1)
    height, width = image.shape[:2]
    results = []
    for scale in scales:
        long = max(height, width)
        target = math.ceil(long * scale)
        scaled = resized(x, *(int(side * target / long + 0.5) for side in (height, width)))
        if window is None:
            mean = probabilities(net, scaled, flip)
        else:
            total, count = np.zeros((5, *scaled.shape[1:])), np.zeros(scaled.shape[1:])
            for top in starts(scaled.shape[1], window, int(window * stride)):
                for left in starts(scaled.shape[2], window, int(window * stride)):
                    place = np.s_[..., top : top + window, left : left + window]
                    total[place] += probabilities(net, scaled[place], flip)
                    count[place] += 1
            mean = total / count
        results.append(resized(mean, height, width))
    return np.mean(results, axis=0)


@pytest.mark.parametrize(
    "options",
    [
        {"flip": True},
        {"window": 40},
        {"scales": (0.5, 1.75)},
        {"scales": (0.5, 1.25), "flip": True, "window": 48, "stride": 0.7, "batch_size": 3},
    ],
    ids=str,
)
def test_equals_a_plain_loop(net, options):
    image = random_image(51, 70)
    plain = {"scales": (1.0,), "flip": False, "window": None, "stride": 2 / 3}
    expected = by_loop(net, image, **plain | {k: v for k, v in options.items() if k in plain})
    ours = class_scores(net, image, Inference(**options))
    assert ours.dtype == np.float32 and ours.shape == (5, 51, 70)
    # Where a resized pixel lies is rounded to float32 there.
    np.testing.assert_allclose(ours, expected, atol=3e-4)
    np.testing.assert_array_equal(predict(net, image, Inference(**options)), ours.argmax(0))


def test_by_default_the_scores_are_the_nets_own(net):
    image = random_image(33, 40)
    x = ((image / 255 - MEAN) / STD).transpose(2, 0, 1)
    scores = class_scores(net, image)
    np.testing.assert_allclose(scores, asked(net, x), atol=1e-4, rtol=1e-4)
    # The highest, or one that rounding cannot tell from it.
    chosen = np.take_along_axis(scores, predict(net, image)[None], 0)[0]
    np.testing.assert_allclose(chosen, scores.max(0), rtol=0, atol=1e-5)


@pytest.mark.parametrize("window", [None, 24])
def test_a_batch_gives_what_its_images_do(net, window):
    images = [random_image(33, 40, i) for i in range(3)] + [random_image(40, 33, 3)]
    inference = Inference(flip=True, batch_size=2, window=window)
    for image, together in zip(images, predict_batch(net, images, inference), strict=True):
        alone = predict(net, image, inference)
        assert together.dtype == np.int32 and (together == alone).mean() > 0.999


def test_a_window_larger_than_the_image_is_the_image(net):
    image = random_image(33, 40)
    whole = class_scores(net, image, Inference(flip=True))
    in_windows = class_scores(net, image, Inference(flip=True, window=64))
    np.testing.assert_allclose(in_windows, whole, atol=1e-6)


def test_base_size_is_the_long_side_of_scale_one(net):
    image = random_image(30, 60)
    by_base = class_scores(net, image, Inference(scales=(0.5, 1.0), base_size=120))
    by_image = class_scores(net, image, Inference(scales=(1.0, 2.0)))
    np.testing.assert_allclose(by_base, by_image, atol=1e-5)


def test_scores_that_are_large_do_not_overflow():
    """As GluonCV's exponentials do from 88 on."""
    backend.seed(2)
    sure = FCN(5, "mobilenet_v2", pretrained_base=False, output_stride=32)
    last = [n for n in backend.get_parameters(sure) if n.startswith("head")][-1]
    backend.set_parameters(sure, {last: 1e3 * np.arange(1, 6)}, allow_missing=True)
    scores = class_scores(sure, random_image(33, 40), Inference(flip=True))
    np.testing.assert_allclose(scores[4], 1, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scales": ()}, "scales=()"),
        ({"scales": (1, 0)}, "positive"),
        ({"scales": (float("nan"),)}, "positive"),
        ({"window": 0}, "window=0: expected 1 or more"),
        ({"stride": 0}, "stride=0: expected a fraction"),
        ({"stride": 1.5}, "stride=1.5"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"gluoncv": True}, "window=480"),
    ],
    ids=str,
)
def test_values_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError) as error:
        Inference(**options)
    assert message in str(error.value)
