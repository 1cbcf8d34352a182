"""Checks of int8 convolutions that hold on every CPU; run as a script, in a process of its own."""

import itertools
import sys

import numpy as np
import torch

from gluonvision.backend.torch.kernels import prepared_inference as inference

# Kernel size, stride, padding, dilation.
GEOMETRIES = [(3, 1, 1, 1), (3, 2, 1, 1), (3, 1, 4, 4), (1, 1, 0, 1)]
SHIFTS = {"both signs": 0.0, "negative": -3.0, "positive": 2.0}
CHANNELS = (32, 33)  # an odd number too: neighbours in memory are then of two positions


def worst_weights(shape):
    """Weights (O, I, K, K), by name, whose products with large activations have large sums."""
    random = torch.Generator().manual_seed(0)
    ones = torch.ones(shape)
    one_pair = torch.zeros(shape)
    one_pair[:, 6:8] = 1
    signs = torch.randint(0, 2, shape, generator=random) * 2.0 - 1
    return {
        "largest": ones,
        "smallest": -ones,
        "one pair": one_pair,
        "signs": signs,
        "random": torch.randn(shape, generator=random),
    }


def integer_sums(x, weight):
    """The convolution of integers (I, H, W) with (O, I, K, K), in 64 bits, without padding."""
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], (1, 2))
    return np.einsum("ihwkl,oikl->ohw", windows, weight)


def check_sums(size, channels):
    """No sum is clipped: all are those of NumPy, bit for bit."""
    geometry = ([1, 1], [0, 0], [1, 1], 1)
    random = torch.Generator().manual_seed(1)
    extremes = torch.randint(0, 2, (1, channels, 9, 9), generator=random) * 255
    for name, weight in worst_weights((40, channels, size, size)).items():
        steps = inference._weight_steps(weight, inference._clips_sums())
        rounded = (weight / steps.view(-1, 1, 1, 1)).round().to(torch.int8)
        layer = inference._Int8Convolution(rounded, torch.ones(40), None, geometry)
        for x in (torch.full_like(extremes, 255), extremes):
            ours = layer.convolve(x.to(torch.uint8, memory_format=torch.channels_last), 1.0, 0)
            exact = integer_sums(x[0].numpy(), rounded.numpy().astype(np.int64))
            assert np.abs(exact).max() < 2**24  # float32 has all of them
            np.testing.assert_array_equal(ours[0].numpy(), exact, name)


def check_accuracy(geometry, shift):
    """Half a step of each activation and of each weight is lost at most, at random.

    Here a step is up to 0.04 of the activations' and 0.03 of the weights' standard deviation; what
    is lost has a standard deviation of 1 / sqrt(12) steps.
    """
    size, stride, padding, dilation = geometry
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(32, 48, size, stride, padding, dilation)
    x = torch.randn(2, 32, 19, 23) + shift
    with torch.no_grad():
        exact, ours = layer(x), inference._Int8Convolution.of(layer)(x)
        lost = (exact - ours).std() / exact.std()
    assert ours.shape == exact.shape and 0 < lost < (0.04**2 + 0.03**2) ** 0.5 / 12**0.5


def check_all(clips_sums):
    assert inference._clips_sums() == clips_sums
    for size, channels in itertools.product((1, 3), CHANNELS):
        check_sums(size, channels)
    for geometry, shift in itertools.product(GEOMETRIES, SHIFTS.values()):
        check_accuracy(geometry, shift)


if __name__ == "__main__":
    check_all(clips_sums=sys.argv[1] == "clips")
