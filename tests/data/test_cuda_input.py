"""Copies to a CUDA device: pinned, asynchronous, and of what the source held at the call."""

import numpy as np
import pytest

from gluonvision import backend

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32, np.float64, bool])
@pytest.mark.parametrize("shape", [(), (0, 3), (5, 7)])
def test_array(dtype, shape):
    source = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    got = backend.array(source, backend.gpu())
    assert got.device.type == "cuda" and got.dtype == backend.array(source).dtype
    assert np.array_equal(backend.as_numpy(got), source)


def test_the_source_may_change_after_the_call():
    source = np.zeros((64, 480, 480, 3), np.uint8)
    copies = []
    for value in range(8):
        source[:] = value
        copies.append(backend.array(source, backend.gpu()))
    assert [copy.unique().tolist() for copy in copies] == [[value] for value in range(8)]


@pytest.mark.parametrize("channels", [3, 4])
def test_an_image_is_normalized_as_on_the_cpu(channels):
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 7, channels)).astype(np.uint8)
    got, want = (backend.preprocess(images[:, :, ::-1], d) for d in (backend.gpu(), backend.cpu()))
    np.testing.assert_allclose(backend.as_numpy(got), backend.as_numpy(want), atol=1e-6)
