"""What the initializers draw, seen through a model's weights."""

import numpy as np
import pytest

from gluonvision.backend import HybridBlock, get_parameters, init, initialize, nn, seed

# A weight of 64 x 32 x 3 x 3: fan in 288, fan out 576, average 432.
SHAPE = (64, 32, 3, 3)
FANS = {"in": 288, "out": 576, "avg": 432}


def drawn(initializer, value=1):
    """The float64 copy of what ``initializer`` draws for one convolution."""
    seed(value)
    net = nn.HybridSequential()
    net.add(nn.Conv2D(64, 3, in_channels=32))
    initialize(net, initializer)
    weights = get_parameters(net)
    assert weights["0.weight"].shape == SHAPE
    assert weights["0.weight"].dtype == np.float32
    assert not weights["0.bias"].any()
    return weights["0.weight"].astype("float64").ravel()


def assert_moments(sample, deviation, kurtosis):
    """Mean, standard deviation and kurtosis of 18432 values, within five standard errors."""
    assert abs(sample.mean()) < 5 * deviation / np.sqrt(sample.size)
    assert abs(sample.std() / deviation - 1) < 0.025
    assert abs(((sample / sample.std()) ** 4).mean() - kurtosis) < 0.2


def assert_uniform(sample, scale):
    assert_moments(sample, scale / np.sqrt(3), kurtosis=1.8)
    assert np.abs(sample).max() <= scale * (1 + 1e-6)
    assert np.abs(sample).max() > 0.999 * scale


def assert_normal(sample, sigma):
    assert_moments(sample, sigma, kurtosis=3)


@pytest.mark.parametrize("factor_type", ["in", "out", "avg"])
@pytest.mark.parametrize("magnitude", [3, 2.34])
def test_uniform_xavier_reaches_the_root_of_magnitude_over_fan(factor_type, magnitude):
    sample = drawn(init.Xavier("uniform", factor_type, magnitude))
    assert_uniform(sample, np.sqrt(magnitude / FANS[factor_type]))


@pytest.mark.parametrize("factor_type", ["in", "out", "avg"])
def test_gaussian_xavier_has_variance_magnitude_over_fan(factor_type):
    sample = drawn(init.Xavier("gaussian", factor_type, 2))
    assert_normal(sample, np.sqrt(2 / FANS[factor_type]))


def test_xavier_is_uniform_average_and_three_by_default():
    assert_uniform(drawn(init.Xavier()), np.sqrt(3 / 432))


@pytest.mark.parametrize("factor_type", ["in", "out", "avg"])
@pytest.mark.parametrize("slope", [0, 0.25])
def test_msra_prelu_has_variance_two_over_the_slopes_share_of_fan(factor_type, slope):
    sample = drawn(init.MSRAPrelu(factor_type, slope))
    assert_normal(sample, np.sqrt(2 / ((1 + slope**2) * FANS[factor_type])))


def test_uniform_and_normal():
    assert_uniform(drawn(init.Uniform(0.5)), 0.5)
    assert_uniform(drawn(init.Uniform()), 0.07)
    assert_normal(drawn(init.Normal(0.5)), 0.5)
    assert_normal(drawn(init.Normal()), 0.01)


def test_the_default_is_uniform():
    assert_uniform(drawn(None), 0.07)


@pytest.mark.parametrize(
    ("initializer", "value"), [(init.Zero(), 0), (init.One(), 1), (init.Constant(0.5), 0.5)]
)
def test_constants(initializer, value):
    assert (drawn(initializer) == value).all()


def test_batch_norm_and_bias_have_fixed_values():
    net = nn.HybridSequential()
    net.add(nn.BatchNorm(in_channels=3), nn.Dropout(0.5), nn.Dense(2, in_units=3))
    initialize(net, init.Constant(7))
    expected = {"0.beta": 0, "0.gamma": 1, "0.running_mean": 0, "0.running_var": 1, "2.bias": 0}
    for name, value in expected.items():
        assert (get_parameters(net)[name] == value).all(), name
    assert (get_parameters(net)["2.weight"] == 7).all()


def test_xavier_of_a_dense_layer_counts_its_units():
    seed(1)
    net = nn.HybridSequential()
    net.add(nn.Dense(200, in_units=100))
    initialize(net, init.Xavier())
    assert_uniform(get_parameters(net)["0.weight"].ravel().astype("float64"), np.sqrt(3 / 150))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rnd_type": "normal"}, "rnd_type='normal': expected 'uniform' or 'gaussian'"),
        ({"factor_type": "both"}, "factor_type='both': expected 'avg', 'in' or 'out'"),
    ],
)
def test_a_wrong_argument_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        init.Xavier(**arguments)


# Seeds


class Pair(HybridBlock):
    """Two layers of equal shape, assigned in either order."""

    def __init__(self, order=("first", "second")):
        super().__init__()
        for name in order:
            setattr(self, name, nn.Dense(4, in_units=4))

    def hybrid_forward(self, F, x):
        return self.second(self.first(x))


def weights_of(net):
    initialize(net, init.Xavier())
    return get_parameters(net)


def equal(first, second):
    return all(np.array_equal(first[name], second[name]) for name in first)


def test_the_same_seed_gives_the_same_weights():
    seed(3)
    first = [weights_of(Pair()), weights_of(Pair())]
    seed(3)
    second = [weights_of(Pair()), weights_of(Pair())]
    assert equal(first[0], second[0])
    assert equal(first[1], second[1])


def test_another_seed_gives_other_weights():
    seed(3)
    first = weights_of(Pair())
    seed(4)
    assert not np.array_equal(weights_of(Pair())["first.weight"], first["first.weight"])


def test_two_calls_differ():
    seed(3)
    first, second = weights_of(Pair()), weights_of(Pair())
    assert not np.array_equal(first["first.weight"], second["first.weight"])


def test_two_layers_differ():
    weights = weights_of(Pair())
    assert not np.array_equal(weights["first.weight"], weights["second.weight"])


def test_the_order_of_the_layers_does_not_matter():
    seed(3)
    first = weights_of(Pair())
    seed(3)
    assert equal(weights_of(Pair(order=("second", "first"))), first)


def test_a_layer_drawn_already_does_not_move_the_others():
    seed(3)
    expected = weights_of(Pair())
    seed(3)
    net = Pair()
    initialize(net, init.Xavier())
    seed(3)
    other = Pair(order=("second",))
    other.first = net.first
    assert equal(weights_of(other), expected)
