"""Losses from coarse scores: the numbers of the plain way, without what that holds."""

import numpy as np
import pytest
import torch
from resizing_reference import resize, resize_gradient
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from gluonvision.backend.torch.kernels import fused_loss
from gluonvision.backend.torch.kernels.fused_loss import fused_log_probability
from gluonvision.loss import FocalLoss, OHEMCrossEntropyLoss, get_loss

WEIGHTS = [0.5, 0, 3, 1, 0.25]
SIZES = {  # coarse and full
    "stride 8": ((2, 5, 3, 4), (24, 32)),
    "odd": ((1, 5, 4, 5), (29, 33)),
    "one row": ((2, 5, 1, 4), (7, 29)),
    "one pixel": ((2, 5, 1, 1), (6, 5)),
    "one way": ((1, 5, 4, 6), (9, 6)),
    "to one row": ((1, 5, 1, 3), (1, 9)),
}
LOSSES = {
    "ce": get_loss("ce"),
    "ce, weighted": get_loss("ce", class_weights=WEIGHTS),
    "focal": FocalLoss(class_weights=WEIGHTS),
    "ohem, hardest": OHEMCrossEntropyLoss(min_kept=40, threshold=1e-6),
    "ohem, weighted": OHEMCrossEntropyLoss(class_weights=WEIGHTS, min_kept=1, threshold=0.2),
    "dice": get_loss("dice"),
    "ce+lovasz": get_loss("ce+lovasz"),
}


@pytest.fixture(params=[True, False], ids=["corners", "centres"])
def align_corners(request):
    return request.param


def batch(sizes="stride 8", seed=0, dtype=torch.float64):
    """Coarse scores, labels of which a third is ignored, and a gradient for each pixel."""
    shape, size = SIZES[sizes]
    random = np.random.default_rng(seed)
    scores = torch.tensor(4 * random.standard_normal(shape)).to(dtype).requires_grad_()
    label = random.integers(0, shape[1], (shape[0], *size))
    label[random.random(label.shape) < 0.3] = -1
    gradient = torch.tensor(random.standard_normal(label.shape), dtype=dtype)
    return scores, torch.tensor(label, dtype=torch.int32), gradient


def reference(scores, label, gradient, align_corners):
    """Logarithms and the gradient of the coarse scores, in NumPy."""
    scores, gradient = scores.detach().double().numpy(), gradient.double().numpy()
    size, index = label.shape[1:], np.maximum(label.numpy(), 0)[:, None]
    full = resize(scores, size, align_corners)
    shifted = full - full.max(1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    is_label = np.arange(full.shape[1])[:, None, None] == index
    full_gradient = gradient[:, None] * (is_label - np.exp(log_p))
    picked = np.take_along_axis(log_p, index, 1)[:, 0]
    return picked, resize_gradient(full_gradient, scores, size, align_corners)


@pytest.mark.parametrize("band", [1, 400, 1 << 18], ids=["rows", "images", "all"])
@pytest.mark.parametrize("sizes", SIZES)
def test_value_and_gradient(sizes, align_corners, band, monkeypatch):
    monkeypatch.setattr(fused_loss, "_BAND", band)
    scores, label, gradient = batch(sizes)
    log_p = fused_log_probability(scores, label, align_corners)
    log_p.backward(gradient)
    expected, expected_gradient = reference(scores, label, gradient, align_corners)
    np.testing.assert_allclose(log_p.detach(), expected, atol=1e-12)
    np.testing.assert_allclose(scores.grad, expected_gradient, atol=1e-12)


def test_single_precision(align_corners):
    scores, label, gradient = batch(dtype=torch.float32)
    log_p = fused_log_probability(scores, label, align_corners)
    log_p.backward(gradient)
    expected, expected_gradient = reference(scores, label, gradient, align_corners)
    np.testing.assert_allclose(log_p.detach(), expected, atol=1e-5)
    np.testing.assert_allclose(scores.grad, expected_gradient, atol=1e-5)


def test_half_precision_is_no_worse_than_the_plain_way(align_corners):
    errors = {}
    for way in ("fused", "plain"):
        scores, label, gradient = batch("odd", dtype=torch.bfloat16)
        expected, expected_gradient = reference(scores, label, gradient, align_corners)
        if way == "fused":
            log_p = fused_log_probability(scores, label, align_corners)
        else:
            full = functional.interpolate(
                scores, label.shape[1:], mode="bilinear", align_corners=align_corners
            )
            index = label.clamp(min=0).long()[:, None]
            log_p = full.float().log_softmax(1).gather(1, index)[:, 0]
        log_p.backward(gradient.to(log_p.dtype))
        assert scores.grad.dtype is torch.bfloat16
        errors[way] = (
            np.abs(log_p.detach().double().numpy() - expected).max(),
            np.abs(scores.grad.double().numpy() - expected_gradient).max(),
        )
    assert errors["fused"][0] < 1e-5 < errors["plain"][0]
    assert errors["fused"][1] <= errors["plain"][1]


def test_scores_far_from_zero_keep_their_differences():
    scores, label, _ = batch(dtype=torch.float32)
    steep = (scores.detach() * 1e4).requires_grad_()
    log_p = fused_log_probability(steep, label, True)
    log_p.sum().backward()
    assert torch.isfinite(log_p).all() and torch.isfinite(steep.grad).all()
    assert log_p.min() < -1e4


def test_nan_reaches_the_loss():
    scores, label, _ = batch()
    with torch.no_grad():
        scores[0, 2, 0, 0] = float("nan")
    assert torch.isnan(fused_log_probability(scores, label, True)[0, 0, 0])


def test_a_label_that_there_is_not_is_an_error():
    scores, label, _ = batch()
    label[0, 0, 0] = 5
    with pytest.raises(RuntimeError, match="index 5 is out of bounds"):
        fused_log_probability(scores, label, True)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("sizes", ["stride 8", "odd"])
def test_losses_take_coarse_scores(name, sizes, align_corners, monkeypatch):
    loss = LOSSES[name]
    for part in loss.modules():
        monkeypatch.setattr(part, "align_corners", align_corners, raising=False)
    results = []
    for is_coarse in (True, False):
        (scores, label, _), (aux, *_) = batch(sizes), batch(sizes, seed=1)
        heads = [scores, aux]
        if not is_coarse:
            options = {"mode": "bilinear", "align_corners": align_corners}
            heads = [functional.interpolate(h, label.shape[1:], **options) for h in heads]
        value = loss(*heads, label)
        value.backward()
        results.append((value.detach(), scores.grad, aux.grad))
    for coarse, full in zip(*results):
        torch.testing.assert_close(coarse, full, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["ce", "ohem", "dice"])
def test_finer_scores_are_refused(name):
    with pytest.raises(ValueError, match=r"\(1, 3, 8, 4\) are finer than the label \(1, 4, 4\)"):
        get_loss(name)(torch.zeros(1, 3, 8, 4), torch.zeros(1, 4, 4, dtype=torch.int32))


class LargestTensor(TorchDispatchMode):
    """Remembers the most elements that an operator gave."""

    def __init__(self):
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        tensors = result if isinstance(result, tuple | list) else [result]
        sizes = [t.numel() for t in tensors if isinstance(t, torch.Tensor) and not t._is_view()]
        self.elements = max(self.elements, *sizes, 0)
        return result


def test_nothing_of_the_size_of_the_full_scores_is_held(monkeypatch):
    monkeypatch.setattr(fused_loss, "_BAND", 1 << 12)
    scores, label = torch.randn(4, 60, 8, 8), torch.randint(0, 60, (4, 64, 64))
    forward, backward = fused_loss._fused._init_fn, fused_loss._fused_backward._init_fn
    with LargestTensor() as held:
        log_p, normalizer = forward(scores, label, True)
        backward(scores, label, normalizer, torch.ones_like(log_p), True)
    # One image, as wide as the labels and as high as the scores.
    assert held.elements == 60 * 8 * 64
    with LargestTensor() as held:
        functional.interpolate(scores, (64, 64), mode="bilinear").log_softmax(1)
    assert held.elements == 4 * 60 * 64 * 64


def test_a_graph_of_the_loss_is_whole():
    loss = torch.compile(get_loss("ce"), fullgraph=True, backend="aot_eager")
    scores, label, _ = batch(dtype=torch.float32)
    value = loss(scores, label)
    value.backward()
    compiled, scores.grad = scores.grad, None
    plain = get_loss("ce")(scores, label)
    plain.backward()
    torch.testing.assert_close(value, plain)
    torch.testing.assert_close(compiled, scores.grad)


@pytest.mark.parametrize("name", ["ce", "ohem", "dice", "lovasz", "focal"])
@pytest.mark.parametrize("is_coarse", [True, False])
@pytest.mark.parametrize(
    ("shape", "value", "told"),
    [
        ((2, 8, 8), 255, "label values -1 to 255: expected 0 to 4"),
        ((2, 8, 8), -100, "label values -100 to -1"),
        ((1, 8, 8), -1, r"label \(1, 8, 8\) for logits"),
        ((2, 1, 8, 8), -1, r"label \(2, 1, 8, 8\) for logits"),
    ],
)
def test_labels_that_do_not_fit_are_refused(name, is_coarse, shape, value, told):
    side = 4 if is_coarse else 8
    label = torch.full(shape, -1, dtype=torch.int32)
    label.view(-1)[0] = value
    with pytest.raises(ValueError, match=told):
        get_loss(name)(torch.zeros(2, 5, side, side), label)
