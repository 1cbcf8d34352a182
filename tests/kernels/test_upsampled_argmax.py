"""The class of each pixel from coarse scores: that of the full-size ones, but for ties."""

import numpy as np
import pytest
import torch
from resizing_reference import resize

from gluonvision import backend
from gluonvision.backend.torch.kernels import upsampled_argmax as module
from gluonvision.backend.torch.kernels.upsampled_argmax import upsampled_argmax
from gluonvision.model_zoo import FCN
from gluonvision.segmentation import predict

SIZES = {  # coarse and full
    "stride 8": ((2, 5, 7, 9), (56, 72)),
    "odd": ((1, 21, 5, 4), (39, 29)),
    "two classes": ((3, 2, 4, 4), (32, 31)),
    "more classes than a byte has": ((1, 300, 3, 4), (20, 25)),
    "one class": ((1, 1, 3, 3), (9, 10)),
    "one row": ((2, 4, 1, 4), (5, 33)),
    "one pixel": ((1, 3, 1, 1), (8, 9)),
    "same size": ((1, 4, 9, 8), (9, 8)),
    "smaller": ((1, 4, 9, 9), (5, 4)),
}


def assert_first_but_for_ties(ours, full):
    """Each class chosen has the largest score, or one that rounding cannot tell from it."""
    chosen = np.take_along_axis(full, ours[:, None].astype(int), 1)
    np.testing.assert_allclose(chosen[:, 0], full.max(1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("chunk", [1, 1 << 18], ids=["cell by cell", "all"])
@pytest.mark.parametrize("align_corners", [True, False], ids=["corners", "centres"])
@pytest.mark.parametrize("sizes", SIZES)
def test_is_the_argmax_of_full_scores(sizes, align_corners, chunk, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK", chunk)
    shape, size = SIZES[sizes]
    scores = np.random.default_rng(1).standard_normal(shape).astype("float32")
    ours = upsampled_argmax(torch.tensor(scores), size, align_corners)
    assert ours.dtype is torch.int32 and ours.shape == (shape[0], *size)
    assert_first_but_for_ties(ours.numpy(), resize(scores, size, align_corners))


def test_cells_of_one_class_need_no_scores(monkeypatch):
    scores = torch.zeros(1, 3, 6, 6)
    scores[:, 2, :, :3] = scores[:, 1, :, 3:] = 1
    computed = []
    across = module._across
    monkeypatch.setattr(module, "_across", lambda *a: computed.append(len(a[-1])) or across(*a))
    ours = upsampled_argmax(scores, (48, 48), False)
    assert set(computed) == {7}  # one column of cells
    assert (ours[..., :24] == 2).all() and (ours[..., 24:] == 1).all()


def test_the_first_of_equals():
    assert (upsampled_argmax(torch.zeros(1, 4, 3, 3), (24, 24), True) == 0).all()


def test_half_precision():
    scores = torch.randn(1, 5, 6, 6, generator=torch.Generator().manual_seed(0)).bfloat16()
    ours = upsampled_argmax(scores, (48, 48), True)
    assert_first_but_for_ties(ours.numpy(), resize(scores.float().numpy(), (48, 48), True))


def test_nan_gives_a_class():
    scores = torch.randn(1, 5, 4, 4)
    scores[0, 2, 1, 1] = float("nan")
    ours = upsampled_argmax(scores, (32, 32), True)
    assert ours.min() >= 0 and ours.max() < 5


class Scores(FCN):
    """Goes a way of its own, after the resize."""

    def hybrid_forward(self, F, x):
        return -super().hybrid_forward(F, x)


@pytest.mark.parametrize("kind", [FCN, Scores])
@pytest.mark.parametrize("options", [{}, {"aux": True}, {"align_corners": False}], ids=str)
def test_predictions_are_the_argmax_of_what_the_net_gives(kind, options):
    if kind is Scores and "aux" in options:
        pytest.skip("a pair has no minus")
    backend.seed(2)
    net = kind(6, "mobilenet_v2", pretrained_base=False, **options)
    image = np.random.default_rng(0).integers(0, 256, (50, 66, 3), dtype=np.uint8)
    full = backend.evaluate(net, backend.preprocess(image[None]))
    full = full[0] if isinstance(full, tuple) else full
    mask = predict(net, image)
    assert mask.dtype == np.int32 and len(np.unique(mask)) > 1
    assert_first_but_for_ties(mask[None], full.numpy())
