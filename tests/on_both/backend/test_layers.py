"""Every layer of the vocabulary against NumPy, with Gluon's meaning of its arguments."""

import numpy as np
import pytest
from gradients import differentiate, numerical_gradients

from gluonvision.backend import (
    NAME,
    F,
    array,
    as_numpy,
    evaluate,
    get_gradients,
    get_parameters,
    nn,
    seed,
    set_parameters,
)

RANDOM = np.random.default_rng(11)


def normal(*shape):
    return RANDOM.standard_normal(shape)


def net_of(*layers, **weights):
    """A float64 net with the given weights; the others are drawn from [0.5, 1.5)."""
    net = nn.HybridSequential()
    net.add(*layers)
    net.initialize()
    drawn = {name: 0.5 + RANDOM.random(w.shape) for name, w in get_parameters(net).items()}
    net.cast("float64")
    set_parameters(net, drawn | {f"0.{name}": w for name, w in weights.items()})
    return net


def check(net, reference, x, names=(), tolerance=1e-6):
    """Values and gradients by x and by the parameters ``names`` are those of ``reference``.

    ``reference`` is called with x and the values of those parameters, in their order.
    """
    inputs = [x, *(get_parameters(net)[f"0.{name}"] for name in names)]
    expected = reference(*inputs)
    upstream = normal(*expected.shape)
    result = differentiate(net, x, upstream=upstream)
    np.testing.assert_allclose(result.output, expected, rtol=1e-10, atol=1e-10)
    wanted = numerical_gradients(reference, *inputs, upstream=upstream)
    by_name = get_gradients(net)
    gradients = [result.gradients[0], *(by_name[f"0.{name}"] for name in names)]
    for gradient, numerical in zip(gradients, wanted, strict=True):
        np.testing.assert_allclose(gradient, numerical, rtol=tolerance, atol=tolerance)


def pair(value):
    return value if isinstance(value, tuple) else (value, value)


def padded(x, padding, value=0.0):
    top, left = pair(padding)
    return np.pad(x, ((0, 0), (0, 0), (top, top), (left, left)), constant_values=value)


def windows(x, kernel, strides, dilation=(1, 1)):
    """(N, C, H', W', kernel height, kernel width): the windows of x."""
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation)]
    out = np.lib.stride_tricks.sliding_window_view(x, reach, axis=(2, 3))
    return out[:, :, :: strides[0], :: strides[1], :: dilation[0], :: dilation[1]]


def np_convolution(x, weight, bias, strides=1, padding=0, dilation=1, groups=1):
    kernel = weight.shape[2:]
    seen = windows(padded(x, padding), kernel, pair(strides), pair(dilation))
    parts = [
        np.einsum("ncijkl,ockl->noij", part, w)
        for part, w in zip(np.split(seen, groups, 1), np.split(weight, groups, 0))
    ]
    return np.concatenate(parts, 1) + bias.reshape(1, -1, 1, 1)


# Convolution and dense


@pytest.mark.parametrize(
    ("channels", "kernel", "options"),
    [
        (4, 3, {}),
        (4, 1, {"strides": 2}),
        (5, (3, 1), {"padding": (1, 0)}),
        (5, (2, 3), {"strides": (1, 2), "padding": (0, 2), "dilation": (2, 1)}),
        (4, 3, {"padding": 2, "dilation": 2}),
        (4, 3, {"strides": 2, "padding": 1, "groups": 2}),
        (2, 3, {"padding": 4, "dilation": 4, "groups": 2}),  # wider than the image
    ],
)
def test_conv2d(channels, kernel, options):
    net = net_of(nn.Conv2D(channels, kernel, in_channels=2, **options))
    check(
        net,
        lambda x, w, b: np_convolution(x, w, b, **options),
        normal(2, 2, 5, 7),
        ["weight", "bias"],
    )


def test_conv2d_without_bias_has_no_bias():
    net = net_of(nn.Conv2D(3, 3, use_bias=False, in_channels=2))
    assert list(get_parameters(net)) == ["0.weight"]
    check(net, lambda x, w: np_convolution(x, w, np.zeros(3)), normal(1, 2, 4, 4), ["weight"])


@pytest.mark.parametrize("flatten", [True, False])
def test_dense(flatten):
    x = normal(3, 2, 5) if flatten else normal(3, 2, 10)
    net = net_of(nn.Dense(4, flatten=flatten, in_units=10))

    def reference(x, weight, bias):
        return (x.reshape(3, -1) if flatten else x) @ weight.T + bias

    check(net, reference, x, ["weight", "bias"])


def test_dense_without_bias_has_no_bias():
    net = net_of(nn.Dense(4, use_bias=False, in_units=3))
    assert list(get_parameters(net)) == ["0.weight"]
    check(net, lambda x, weight: x @ weight.T, normal(2, 3), ["weight"])


@pytest.mark.skipif(NAME != "torch", reason="MXNet infers the sizes from the first input")
@pytest.mark.parametrize(
    ("layer", "argument"),
    [
        (lambda: nn.Conv2D(8, 3), "in_channels"),
        (lambda: nn.Dense(8), "in_units"),
        (lambda: nn.BatchNorm(), "in_channels"),
        (lambda: nn.SyncBatchNorm(), "in_channels"),
    ],
)
def test_a_layer_without_its_input_size_says_which_argument_is_missing(layer, argument):
    with pytest.raises(ValueError, match=f"give {argument}"):
        layer()


# Batch norm


def channelwise(vector):
    return vector.reshape(1, -1, 1, 1)


def np_batch_norm(x, gamma, beta, mean=None, variance=None, epsilon=1e-5):
    """By the given statistics, or by those of the batch."""
    mean = x.mean((0, 2, 3)) if mean is None else mean
    variance = x.var((0, 2, 3)) if variance is None else variance
    normalized = (x - channelwise(mean)) / np.sqrt(channelwise(variance) + epsilon)
    return normalized * channelwise(gamma) + channelwise(beta)


@pytest.mark.parametrize("epsilon", [1e-5, 1e-3])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 3, 2, 1), (4, 3, 1, 1)])
def test_batch_norm_in_training_normalizes_by_the_batch(shape, epsilon):
    net = net_of(nn.BatchNorm(epsilon=epsilon, in_channels=3))
    check(
        net,
        lambda x, gamma, beta: np_batch_norm(x, gamma, beta, epsilon=epsilon),
        normal(*shape),
        ["gamma", "beta"],
        tolerance=1e-5,
    )


def test_batch_norm_in_evaluation_normalizes_by_the_running_statistics():
    net = net_of(nn.BatchNorm(in_channels=3))
    x, before = normal(2, 3, 4, 5), get_parameters(net)
    weights = [before[f"0.{name}"] for name in ("gamma", "beta", "running_mean", "running_var")]
    np.testing.assert_allclose(
        as_numpy(evaluate(net, array(x))), np_batch_norm(x, *weights), rtol=1e-10
    )
    for name, value in get_parameters(net).items():
        np.testing.assert_array_equal(value, before[name])


def running_statistics(net):
    weights = get_parameters(net)
    return weights["0.running_mean"], weights["0.running_var"]


@pytest.mark.parametrize("momentum", [0.9, 0.5, 0.0])
def test_momentum_is_the_share_kept_and_the_running_variance_is_biased(momentum):
    net = net_of(nn.BatchNorm(momentum=momentum, in_channels=3))
    mean, variance = running_statistics(net)
    x = 3 + normal(2, 3, 1, 2)  # few values: biased and unbiased differ by a third
    for _ in range(2):
        differentiate(net, x)
        mean = momentum * mean + (1 - momentum) * x.mean((0, 2, 3))
        variance = momentum * variance + (1 - momentum) * x.var((0, 2, 3))
    # MXNet holds the momentum in float32.
    np.testing.assert_allclose(running_statistics(net), [mean, variance], rtol=1e-6)


def test_use_global_stats_normalizes_by_the_running_statistics_in_training_and_keeps_them():
    net = net_of(nn.BatchNorm(use_global_stats=True, in_channels=3))
    mean, variance = running_statistics(net)
    check(
        net,
        lambda x, gamma, beta: np_batch_norm(x, gamma, beta, mean, variance),
        normal(2, 3, 4, 5),
        ["gamma", "beta"],
    )
    np.testing.assert_array_equal(running_statistics(net), [mean, variance])


@pytest.mark.parametrize("train", [True, False])
def test_without_scale_gamma_is_one_whatever_was_loaded(train):
    net = net_of(nn.BatchNorm(scale=False, in_channels=3), gamma=np.full(3, 7.0))
    x, upstream = normal(2, 3, 4, 5), normal(2, 3, 4, 5)
    result = differentiate(net, x, upstream=upstream, train=train)
    statistics = (None, None) if train else running_statistics(net)
    beta = get_parameters(net)["0.beta"]
    expected = np_batch_norm(x, np.ones(3), beta, *statistics)
    np.testing.assert_allclose(result.output, expected, rtol=1e-10)
    assert not get_gradients(net).get("0.gamma", np.zeros(1)).any()
    np.testing.assert_allclose(get_gradients(net)["0.beta"], upstream.sum((0, 2, 3)))


def test_without_center_beta_has_no_gradient():
    net = net_of(nn.BatchNorm(center=False, in_channels=3))
    result = differentiate(net, normal(2, 3, 4, 5))
    assert np.isfinite(result.output).all()
    assert "0.beta" not in get_gradients(net)
    assert "0.gamma" in get_gradients(net)


def test_files_hold_gamma_and_beta_that_are_not_trained():
    net = net_of(nn.BatchNorm(scale=False, center=False, in_channels=3))
    names = ["0.beta", "0.gamma", "0.running_mean", "0.running_var"]
    assert sorted(get_parameters(net)) == names


def test_batch_norm_of_a_constant_channel_is_beta_with_finite_gradients():
    net = net_of(nn.BatchNorm(in_channels=2))
    result = differentiate(net, np.full((2, 2, 3, 3), 7.0), upstream=normal(2, 2, 3, 3))
    beta = channelwise(get_parameters(net)["0.beta"])
    np.testing.assert_allclose(result.output, beta * np.ones((2, 2, 3, 3)), rtol=1e-9)
    assert np.isfinite(result.gradients[0]).all()


def test_float32_batch_norm_of_a_large_mean_does_not_cancel():
    net = nn.HybridSequential()
    net.add(nn.BatchNorm(in_channels=2))
    net.initialize()
    x = (1e4 + normal(4, 2, 16, 16)).astype("float32")
    result = differentiate(net, x)
    expected = np_batch_norm(x.astype("float64"), np.ones(2), np.zeros(2))
    # At 1e4 float32 has steps of 1e-3; E[x^2] - E[x]^2 would leave nothing of the variance.
    np.testing.assert_allclose(result.output, expected, atol=1e-2)


@pytest.mark.skipif(NAME != "torch", reason="MXNet gives beta and learns a variance of 0")
def test_batch_norm_in_training_refuses_one_value_a_channel():
    net = net_of(nn.BatchNorm(in_channels=3))
    with pytest.raises(ValueError, match="one value per channel"):
        differentiate(net, normal(1, 3, 1, 1))


@pytest.mark.skipif(NAME != "torch", reason="MXNet takes any axis; models use 1")
def test_batch_norm_over_another_axis_is_an_error():
    with pytest.raises(ValueError, match="axis=3"):
        nn.BatchNorm(axis=3, in_channels=3)


# Pooling, activations, dropout


@pytest.mark.parametrize(
    ("size", "strides", "padding"), [(2, None, 0), (3, 2, 1), (3, 1, 1), ((3, 2), (2, 1), (1, 0))]
)
def test_max_pool(size, strides, padding):
    net = net_of(nn.MaxPool2D(size, strides, padding))

    def reference(x):
        steps = pair(size if strides is None else strides)
        return windows(padded(x, padding, -np.inf), pair(size), steps).max((4, 5))

    check(net, reference, normal(2, 3, 6, 7))


def test_max_pool_drops_the_incomplete_window():
    assert net_of(nn.MaxPool2D())(array(normal(1, 1, 5, 5))).shape == (1, 1, 2, 2)


def test_max_pool_padding_is_never_the_largest():
    net = net_of(nn.MaxPool2D(3, 2, 1))
    x = -1 - np.abs(normal(1, 2, 5, 5))
    assert as_numpy(net(array(x))).max() <= -1


@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (1, 4, 1, 1)])
def test_global_average_pool(shape):
    check(net_of(nn.GlobalAvgPool2D()), lambda x: x.mean((2, 3), keepdims=True), normal(*shape))


def test_activation():
    check(net_of(nn.Activation("relu")), lambda x: np.maximum(x, 0), normal(2, 3, 4, 5))


@pytest.mark.skipif(NAME != "torch", reason="MXNet has more activations and checks at the call")
def test_an_unknown_activation_is_an_error():
    with pytest.raises(ValueError, match="'tanh', expected 'relu'"):
        nn.Activation("tanh")


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_dropout_in_training_drops_its_rate_and_keeps_the_mean(rate):
    seed(3)
    net = net_of(nn.Dropout(rate))
    result = differentiate(net, np.ones((100, 1000)))
    dropped = result.output == 0
    assert abs(dropped.mean() - rate) < 0.006  # four standard deviations
    np.testing.assert_allclose(result.output[~dropped], 1 / (1 - rate), rtol=1e-6)
    np.testing.assert_array_equal(result.gradients[0], result.output)


def test_dropout_draws_anew_at_every_call():
    seed(3)
    net = net_of(nn.Dropout(0.5))
    first, second = (differentiate(net, np.ones(1000)).output for _ in range(2))
    assert (first != second).any()


def test_dropout_in_evaluation_is_the_identity():
    x = normal(2, 3, 4, 5)
    np.testing.assert_array_equal(as_numpy(evaluate(net_of(nn.Dropout(0.5)), array(x))), x)


# Sequential


def test_an_empty_sequential_is_the_identity():
    net = nn.HybridSequential()
    x = normal(2, 3)
    assert len(net) == 0
    np.testing.assert_array_equal(as_numpy(net(array(x))), x)


def test_a_sequential_applies_its_blocks_in_order():
    net = nn.HybridSequential()
    net.add(nn.GlobalAvgPool2D())
    net.add(nn.Activation("relu"), nn.Dropout(0.0))
    x = normal(2, 3, 4, 5)
    expected = np.maximum(x.mean((2, 3), keepdims=True), 0)  # the mean of relus would be another
    np.testing.assert_allclose(as_numpy(net(array(x))), expected, rtol=1e-12)


def test_a_sequential_is_indexed_sliced_and_counted():
    blocks = [nn.Activation("relu"), nn.GlobalAvgPool2D(), nn.Dropout(0.5)]
    net = nn.HybridSequential()
    net.add(*blocks)
    assert len(net) == 3
    assert [net[0], net[1], net[-1]] == blocks
    assert list(net) == blocks
    assert isinstance(net[1:], nn.HybridSequential)
    assert list(net[1:]) == blocks[1:]


def test_parameters_are_named_by_their_place():
    inner = nn.HybridSequential()
    inner.add(nn.GlobalAvgPool2D(), nn.Dense(2, in_units=3))
    outer = nn.HybridSequential()
    outer.add(inner, nn.BatchNorm(in_channels=2))
    outer.initialize()
    names = ["0.1.bias", "0.1.weight", "1.beta", "1.gamma", "1.running_mean", "1.running_var"]
    assert sorted(get_parameters(outer)) == names


def test_a_hybridized_net_gives_the_same():
    net = net_of(nn.Conv2D(2, 3, in_channels=2), nn.BatchNorm(in_channels=2), nn.MaxPool2D())
    x = array(normal(1, 2, 7, 8))
    plain = as_numpy(evaluate(net, x))
    net.hybridize()
    np.testing.assert_allclose(as_numpy(evaluate(net, x)), plain, rtol=1e-12)
    assert as_numpy(F.relu(x)).min() == 0
