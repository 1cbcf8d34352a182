"""Every operator of the vocabulary against NumPy: values, gradients and the edges of its domain."""

import numpy as np
import pytest
from gradients import differentiate, numerical_gradients

from gluonvision.backend import NAME, F, array, as_numpy

RANDOM = np.random.default_rng(7)


def check(function, reference, *inputs, accuracy=1e-12, tolerance=1e-7):
    """Values and gradients of ``function`` are those of the NumPy function ``reference``.

    ``accuracy`` is that of the values, ``tolerance`` that of the gradients.
    """
    expected = np.asarray(reference(*inputs))
    upstream = RANDOM.standard_normal(expected.shape)
    result = differentiate(function, *inputs, upstream=upstream)
    output = np.reshape(result.output, expected.shape)
    np.testing.assert_allclose(output, expected, rtol=accuracy, atol=accuracy)
    wanted = numerical_gradients(reference, *inputs, upstream=upstream)
    for gradient, numerical in zip(result.gradients, wanted, strict=True):
        np.testing.assert_allclose(gradient, numerical, rtol=tolerance, atol=tolerance)


def normal(*shape):
    return RANDOM.standard_normal(shape)


def away_from(kinks, *shape):
    """Random values of which none is near a kink, where a numerical gradient would be wrong."""
    x = 2 * normal(*shape)
    for kink in kinks:
        x = np.where(np.abs(x - kink) < 1e-2, kink + 0.1, x)
    return x


# Elementwise


def test_relu():
    check(F.relu, lambda x: np.maximum(x, 0), away_from([0], 2, 3, 5, 7))


def test_relu_has_no_gradient_at_zero_and_keeps_nan():
    result = differentiate(F.relu, np.array([-0.0, 0.0, np.nan, np.inf]))
    np.testing.assert_array_equal(result.output, [0, 0, np.nan, np.inf])
    np.testing.assert_array_equal(result.gradients[0][:2], [0, 0])


def test_relu_of_integers():
    np.testing.assert_array_equal(as_numpy(F.relu(array(np.array([-1, 0, 5], "int32")))), [0, 0, 5])


@pytest.mark.parametrize("other_shape", [(2, 3, 5), (1, 3, 1), (2, 1, 5), (1, 1, 1)])
def test_broadcast_div(other_shape):
    other = away_from([0], *other_shape)
    check(F.broadcast_div, np.divide, normal(2, 3, 5), other, tolerance=1e-5)


@pytest.mark.parametrize("other_shape", [(5,), (1,), (2, 1, 5)])
def test_broadcast_sub(other_shape):
    check(F.broadcast_sub, np.subtract, normal(2, 3, 5), normal(*other_shape))


@pytest.mark.parametrize("other", [[2.0], [0.0, 1, 2, 3]])
def test_broadcast_equal_and_lesser_equal(other):
    x = RANDOM.integers(0, 4, (3, 4)).astype("float32")
    other = np.array(other, "float32")
    out = as_numpy(F.broadcast_equal(array(x), array(other)))
    np.testing.assert_array_equal(out.astype(bool), x == other)
    out = as_numpy(F.broadcast_lesser_equal(array(x), array(other)))
    np.testing.assert_array_equal(out.astype(bool), x <= other)


def test_exp():
    check(F.exp, np.exp, normal(3, 5))


@pytest.mark.parametrize("axis", [0, 3])
def test_flip(axis):
    check(lambda x: F.flip(x, axis=axis), lambda x: np.flip(x, axis), normal(2, 3, 4, 5))


def test_expm1():
    check(F.expm1, np.expm1, normal(3, 5))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_expm1_near_zero_keeps_its_digits(dtype):
    x = np.array([-1e-20, 1e-12, 0, -1e30, -np.inf, np.nan], dtype)
    out = as_numpy(F.expm1(array(x)))
    assert out.dtype == dtype
    np.testing.assert_allclose(out, np.expm1(x), rtol=1e-6)


@pytest.mark.parametrize(("dtype", "other"), [("float32", "float64"), ("int32", "float32")])
def test_cast(dtype, other):
    x = np.array([-3, 0, 7, 20]).astype(dtype)
    out = as_numpy(F.cast(array(x), dtype=other))
    assert out.dtype == other
    np.testing.assert_array_equal(out, x)


def test_cast_has_a_gradient():
    result = differentiate(lambda x: F.cast(x, dtype="float32"), np.array([1.5, 2]))
    np.testing.assert_array_equal(result.gradients[0], [1, 1])


def test_zeros_like_and_ones_like_keep_shape_and_type():
    x = array(np.full((2, 3), np.nan, "float64"))
    for function, value in ((F.zeros_like, 0), (F.ones_like, 1)):
        out = as_numpy(function(x))
        assert out.dtype == np.float64
        np.testing.assert_array_equal(out, np.full((2, 3), value))


def test_clip():
    check(
        lambda x: F.clip(x, -0.5, 1.5), lambda x: np.clip(x, -0.5, 1.5), away_from([-0.5, 1.5], 50)
    )


def test_clip_passes_the_gradient_at_its_limits_and_not_beyond():
    result = differentiate(lambda x: F.clip(x, -1, 2), np.array([-1.01, -1, 0, 2, 2.01]))
    np.testing.assert_array_equal(result.output, [-1, -1, 0, 2, 2])
    np.testing.assert_array_equal(result.gradients[0], [0, 1, 1, 1, 0])


def test_clip_with_one_limit():
    result = differentiate(lambda x: F.clip(x, 1, float("inf")), np.array([-3.0, 1.0, 1e30]))
    np.testing.assert_array_equal(result.output, [1, 1, 1e30])
    np.testing.assert_array_equal(result.gradients[0], [0, 1, 1])


def test_where_takes_a_comparison():
    x = away_from([0], 3, 5)
    condition = array(x) > 0
    check(
        lambda a, b: F.where(condition, a, b),
        lambda a, b: np.where(x > 0, a, b),
        normal(3, 5),
        normal(3, 5),
    )


def test_where_keeps_nan_of_the_other_side_out_of_value_and_gradient():
    keep = array(np.array([1.0, 0.0])) > 0
    result = differentiate(lambda a, b: F.where(keep, a, b), np.array([2.0, np.nan]), np.zeros(2))
    np.testing.assert_array_equal(result.output, [2, 0])
    np.testing.assert_array_equal(result.gradients[0], [1, 0])


def test_block_grad_keeps_values_and_stops_gradients():
    x = normal(2, 3)
    result = differentiate(lambda x: F.BlockGrad(x) * x, x)
    np.testing.assert_array_equal(result.output, x * x)
    np.testing.assert_array_equal(result.gradients[0], x)  # not 2 x


# Shape


@pytest.mark.parametrize("dim", [0, 1, 2, -1])
def test_concat(dim):
    inputs = [normal(2, 3, 5), normal(2, 3, 5), normal(2, 3, 5)]
    check(lambda *x: F.concat(*x, dim=dim), lambda *x: np.concatenate(x, dim), *inputs)


def test_concat_joins_channels_by_default_and_takes_unequal_ones():
    inputs = [normal(2, 1, 3, 3), normal(2, 4, 3, 3)]
    check(F.concat, lambda *x: np.concatenate(x, 1), *inputs)


def test_concat_of_one():
    check(F.concat, lambda x: x, normal(2, 3))


@pytest.mark.parametrize(("axis", "shape"), [(None, (3, 5)), (0, (3, 1, 5)), (2, (1, 3, 5))])
def test_squeeze(axis, shape):
    x = normal(1, 3, 1, 5)
    assert F.squeeze(array(x), axis=axis).shape == shape
    check(lambda x: F.squeeze(x, axis=axis), lambda x: np.squeeze(x, axis), x)


@pytest.mark.parametrize("shape", [(-1,), (-1, 1), (6, -1), (3, 10)])
def test_reshape(shape):
    x = normal(2, 3, 5)
    assert F.reshape(array(x), shape=shape).shape == x.reshape(shape).shape
    check(lambda x: F.reshape(x, shape=shape), lambda x: x.reshape(shape), x)


@pytest.mark.parametrize("axes", [(1, 0, 2, 3), (3, 2, 1, 0)])
def test_transpose(axes):
    check(lambda x: F.transpose(x, axes=axes), lambda x: np.transpose(x, axes), normal(2, 3, 4, 5))


@pytest.mark.parametrize(("axis", "begin", "end"), [(0, 0, 1), (1, 1, 3), (1, 0, 4)])
def test_slice_axis(axis, begin, end):
    check(
        lambda x: F.slice_axis(x, axis=axis, begin=begin, end=end),
        lambda x: x.take(range(begin, end), axis),
        normal(3, 4),
    )


@pytest.mark.parametrize("widths", [(0, 2, 1, 0), (1, 1, 3, 3), (0, 0, 0, 0)])
def test_pad(widths):
    check(
        lambda x: F.pad(x, mode="constant", pad_width=(0, 0, 0, 0, *widths), constant_value=2),
        lambda x: np.pad(x, ((0, 0), (0, 0), widths[:2], widths[2:]), constant_values=2),
        normal(2, 3, 4, 5),
    )


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_arange_like(axis, dtype):
    out = as_numpy(F.contrib.arange_like(array(normal(3, 150).astype(dtype)), axis=axis))
    assert out.dtype == dtype
    np.testing.assert_array_equal(out, np.arange((3, 150)[axis]))


# Order


@pytest.mark.parametrize("dtype", ["int64", "int32", "float32"])
def test_argsort(dtype):
    x = normal(100)
    for is_ascend, sign in ((True, 1), (False, -1)):
        out = as_numpy(F.argsort(array(x), axis=0, is_ascend=is_ascend, dtype=dtype))
        assert out.dtype == dtype
        np.testing.assert_array_equal(out, np.argsort(sign * x))


def test_argsort_of_equal_values_and_infinities_is_a_permutation():
    x = RANDOM.choice(np.array([-np.inf, -1, 0, 1, np.inf], "float32"), 1000)
    order = as_numpy(F.argsort(array(x), axis=0, is_ascend=False, dtype="int64"))
    np.testing.assert_array_equal(np.sort(order), np.arange(1000))
    np.testing.assert_array_equal(x[order], np.sort(x)[::-1])


def test_argsort_and_take_tell_apart_more_than_2_to_the_24_places():
    """Indices as float32, MXNet's default, are exact up to there only."""
    size = 2**24 + 4
    x = array(np.arange(size, dtype="float32") % 7)
    order = F.argsort(x, axis=0, dtype="int64")
    seen = np.zeros(size, bool)
    seen[as_numpy(order)] = True
    assert seen.all()
    assert (np.diff(as_numpy(F.take(x, order))) >= 0).all()


@pytest.mark.parametrize("axis", [0, 1])
def test_cumsum(axis):
    check(lambda x: F.cumsum(x, axis=axis), lambda x: np.cumsum(x, axis), normal(4, 5))


def test_a_float32_cumsum_of_ones_is_exact_up_to_2_to_the_24():
    sums = as_numpy(F.cumsum(array(np.ones(2**24, "float32")), axis=0))
    assert (sums == np.arange(1, 2**24 + 1, dtype="float32")).all()


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "float32"])
@pytest.mark.parametrize("shape", [(1,), (7,), (2, 3)])
def test_take(dtype, shape):
    x = normal(5)
    index = RANDOM.integers(0, 5, shape)  # some of them twice: their gradients add up
    given = array(index.astype(dtype))
    check(lambda x: F.take(x, given), lambda x: x[index], x)


def test_take_of_rows():
    index = np.array([[2, 0], [1, 1]])
    given = array(index)
    check(lambda x: F.take(x, given), lambda x: x[index], normal(3, 4))


def test_take_at_one_place_that_is_computed():
    """Such a place, a sum of everything, is () under torch and (1,) under MXNet."""
    place = F.sum(array(np.ones((2, 2), "float32"))) - 1
    assert as_numpy(F.take(array(np.arange(5.0)), place)).item() == 3


def test_index_copy():
    index = np.array([3, 0, 4])
    given = array(index)

    def reference(old, new):
        out = old.copy()
        out[index] = new
        return out

    def function(old, new):
        return F.contrib.index_copy(old, given, new)

    check(function, reference, normal(5), normal(3))
    check(function, reference, normal(5, 2), normal(3, 2))


def test_foreach():
    def body(slices, states):
        x, y = slices
        return F.concat(F.sum(x * x, axis=0, keepdims=True), y, dim=0), states

    def reference(x, y):
        return np.concatenate([(x * x).sum(1, keepdims=True), y], 1)

    check(
        lambda x, y: F.contrib.foreach(body, [x, y], [])[0], reference, normal(3, 4), normal(3, 1)
    )


# Reductions


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 0, 1, -1, (2, 3), (0, 2, 3)])
def test_sum(axis, keepdims):
    x = normal(2, 3, 5, 7)
    if axis is not None or keepdims:  # all of it: MXNet gives shape (1,) and torch ()
        shape = np.sum(x, axis=axis, keepdims=keepdims).shape
        assert F.sum(array(x), axis=axis, keepdims=keepdims).shape == shape
    check(
        lambda x: F.sum(x, axis=axis, keepdims=keepdims),
        lambda x: np.sum(x, axis=axis, keepdims=keepdims),
        x,
    )


def test_a_float32_sum_of_many_ones_is_exact():
    """The count of labelled pixels of a batch; a plain running float32 sum stops at 2^24."""
    ones = array(np.ones((5, 2048, 2048), "float32"))
    assert as_numpy(F.sum(ones)).item() == 5 * 2048 * 2048


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("keepdims", [False, True])
def test_argmax(axis, keepdims):
    x = normal(3, 4, 5)
    out = as_numpy(F.argmax(array(x), axis=axis, keepdims=keepdims))
    np.testing.assert_array_equal(out, np.argmax(x, axis, keepdims=keepdims))


def test_argmax_of_equal_values_is_the_first():
    x = np.zeros((2, 7, 33, 33), "float32")
    x[:, 3:] = 1
    np.testing.assert_array_equal(as_numpy(F.argmax(array(x), axis=1)), np.full((2, 33, 33), 3))


def test_argmax_of_infinities():
    x = np.array([[-np.inf, -np.inf, -1e38], [-np.inf, np.inf, 0]], "float32")
    np.testing.assert_array_equal(as_numpy(F.argmax(array(x), axis=1)), [2, 1])


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_softmax(axis):
    x = normal(3, 5, 4)
    check(lambda x: F.softmax(x, axis=axis), lambda x: np.exp(np_log_softmax(x, axis)), x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_softmax_of_extreme_scores_is_finite_with_finite_gradients(dtype):
    x = np.array([[1e4, -1e4, 0], [1e30, 1e30, -1e30], [-1e30, -1e30, -1e30]], dtype)
    result = differentiate(lambda x: F.softmax(x, axis=1), x, upstream=np.eye(3)[[1, 0, 2]])
    expected = np.exp(np_log_softmax(x.astype("float64"), 1))
    np.testing.assert_allclose(result.output, expected, atol=1e-6)
    assert np.isfinite(result.gradients[0]).all()


def np_log_softmax(x, axis):
    x = x - x.max(axis, keepdims=True)
    return x - np.log(np.exp(x).sum(axis, keepdims=True))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_log_softmax(axis):
    x = normal(3, 5, 4)
    check(lambda x: F.log_softmax(x, axis=axis), lambda x: np_log_softmax(x, axis), x)


def test_log_softmax_is_over_the_last_axis_by_default():
    x = normal(3, 5)
    np.testing.assert_allclose(as_numpy(F.log_softmax(array(x))), np_log_softmax(x, 1), atol=1e-14)


def test_log_softmax_over_one_class():
    result = differentiate(lambda x: F.log_softmax(x, axis=1), normal(2, 1, 3))
    np.testing.assert_array_equal(result.output, np.zeros((2, 1, 3)))
    np.testing.assert_array_equal(result.gradients[0], np.zeros((2, 1, 3)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_log_softmax_of_extreme_scores_is_finite_with_finite_gradients(dtype):
    x = np.array([[1e4, -1e4, 0], [1e30, 1e30, -1e30], [-1e30, -1e30, -1e30]], dtype)
    result = differentiate(lambda x: F.log_softmax(x, axis=1), x, upstream=np.eye(3)[[1, 0, 2]])
    expected = np_log_softmax(x.astype("float64"), 1)
    np.testing.assert_allclose(result.output, expected, rtol=5e-6, atol=5e-6)
    gradient = np.eye(3)[[1, 0, 2]] - np.exp(expected)
    np.testing.assert_allclose(result.gradients[0], gradient, atol=5e-6)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("dtype", ["int32", "float32"])
def test_pick(axis, keepdims, dtype):
    x = normal(3, 4, 5)
    index = RANDOM.integers(0, x.shape[axis], np.delete(x.shape, axis))

    def reference(x):
        picked = np.take_along_axis(x, np.expand_dims(index, axis), axis)
        return picked if keepdims else picked.squeeze(axis)

    given = array(index.astype(dtype))
    assert F.pick(array(x), given, axis=axis, keepdims=keepdims).shape == reference(x).shape
    check(lambda x: F.pick(x, given, axis=axis, keepdims=keepdims), reference, x)


# Resizing


def np_resize(x, height, width, align_corners=True):
    """Bilinear resize of (N, C, H, W) by its definition: a weight for every pair of pixels."""
    rows = resize_matrix(height, x.shape[2], align_corners)
    columns = resize_matrix(width, x.shape[3], align_corners)
    return np.einsum("ih,nchw,jw->ncij", rows, x, columns)


def resize_matrix(size, old_size, align_corners):
    if align_corners:
        positions = np.arange(size) * ((old_size - 1) / (size - 1) if size > 1 else 0)
    else:
        positions = np.maximum((np.arange(size) + 0.5) * old_size / size - 0.5, 0)
    positions = np.minimum(positions, old_size - 1)
    return np.maximum(0, 1 - np.abs(positions[:, None] - np.arange(old_size)))


# MXNet computes the weights in float32, whatever the type of the data.
RESIZE_ACCURACY = {"torch": 1e-12, "mxnet": 5e-6}[NAME]


def skip_known_difference(new, align_corners):
    if NAME == "mxnet" and not align_corners and 1 in new:
        pytest.skip("MXNet takes the first pixel where one remains, torch the middle")


SIZES = [
    pytest.param((5, 7), (9, 4), id="taller-narrower"),
    pytest.param((1, 1), (4, 3), id="from-one-pixel"),
    pytest.param((5, 7), (1, 1), id="to-one-pixel"),
    pytest.param((5, 7), (5, 7), id="same"),
    pytest.param((5, 1), (3, 6), id="from-one-column"),
    pytest.param((6, 4), (12, 8), id="twice"),
    pytest.param((9, 9), (2, 2), id="much-smaller"),
]


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize(("old", "new"), SIZES)
@pytest.mark.parametrize("batch", [1, 2])
def test_resize_to_height_and_width(old, new, align_corners, batch):
    skip_known_difference(new, align_corners)
    check(
        lambda x: F.contrib.BilinearResize2D(
            x, height=new[0], width=new[1], align_corners=align_corners
        ),
        lambda x: np_resize(x, *new, align_corners),
        normal(batch, 3, *old),
        accuracy=RESIZE_ACCURACY,
        tolerance=max(RESIZE_ACCURACY, 1e-7),
    )


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize(("old", "new"), SIZES)
def test_resize_to_the_size_of_another(old, new, align_corners):
    skip_known_difference(new, align_corners)
    like = F.BlockGrad(array(normal(2, 5, *new)))  # other channels than x
    check(
        lambda x: F.contrib.BilinearResize2D(
            x, like=like, mode="like", align_corners=align_corners
        ),
        lambda x: np_resize(x, *new, align_corners),
        normal(2, 3, *old),
        accuracy=RESIZE_ACCURACY,
        tolerance=max(RESIZE_ACCURACY, 1e-7),
    )


def test_resize_aligns_corners_by_default():
    x = normal(1, 2, 3, 4)
    out = as_numpy(F.contrib.BilinearResize2D(array(x), height=8, width=9))
    np.testing.assert_allclose(out, np_resize(x, 8, 9, align_corners=True), atol=1e-5)


def test_resize_gives_no_gradient_to_a_blocked_like():
    def function(x, like):
        return F.contrib.BilinearResize2D(x, like=F.BlockGrad(like), mode="like")

    result = differentiate(function, normal(2, 3, 4, 4), normal(2, 3, 4, 4))
    np.testing.assert_array_equal(result.gradients[0], np.ones((2, 3, 4, 4)))
    np.testing.assert_array_equal(result.gradients[1], np.zeros((2, 3, 4, 4)))


# Pooling


def np_adaptive_pooling(x, size):
    """The mean of each region, by loops over the regions."""
    height, width = x.shape[2:]
    out = np.empty((*x.shape[:2], size, size))
    for i, j in np.ndindex(size, size):
        rows = slice(i * height // size, -(-(i + 1) * height // size))
        columns = slice(j * width // size, -(-(j + 1) * width // size))
        out[:, :, i, j] = x[:, :, rows, columns].mean((2, 3))
    return out


@pytest.mark.parametrize("size", [1, 2, 3, 6])
@pytest.mark.parametrize("old", [(1, 1), (5, 7), (6, 6), (2, 13), (12, 18)])
def test_adaptive_average_pooling(size, old):
    check(
        lambda x: F.contrib.AdaptiveAvgPooling2D(x, output_size=size),
        lambda x: np_adaptive_pooling(x, size),
        normal(2, 3, *old),
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_results_keep_the_type_of_the_input(dtype):
    x = array(normal(2, 3, 4, 5).astype(dtype))
    for out in (
        F.contrib.AdaptiveAvgPooling2D(x, output_size=3),
        F.contrib.BilinearResize2D(x, height=3, width=9),
        F.log_softmax(x, axis=1),
        F.sum(x, axis=(2, 3)),
    ):
        assert as_numpy(out).dtype == dtype
