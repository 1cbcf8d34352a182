"""What a trainer does under torch alone: half precision, loss scaling, layouts in memory."""

import functools

import numpy as np
import pytest
import torch

from gluonvision import backend
from gluonvision.backend import HybridBlock, nn
from gluonvision.backend.trainer_options import TrainerOptions
from gluonvision.loss import get_loss
from gluonvision.model_zoo import FCN, DeepLabV3Plus

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((2, 3, 48, 48)).astype("float32")
LABEL = RANDOM.integers(-1, 3, (2, 48, 48)).astype("int32")


def new_trainer(dropout=0.0, dtype="float32", **options):
    backend.seed(5)
    net = FCN(3, "mobilenet_v2", pretrained_base=False)
    net.cast(dtype)
    net.head.block[3].p = dropout  # what it draws goes by the layout in memory
    return backend.Trainer(net, get_loss("ce"), TrainerOptions(**options))


def losses(trainer, steps):
    taken, x = [], X.astype(backend.device_and_dtype(trainer.net)[1])
    for step in steps:
        backend.reseed(1, step)
        taken.append(trainer.step(backend.array(x), backend.array(LABEL), 0.002))
    return taken


@pytest.mark.parametrize("options", [{"channels_last": True}, {"deterministic": True}], ids=str)
def test_an_order_of_computing_leaves_the_losses_as_they_are(options):
    # A step makes a difference some hundred times as large, so that one rounding of float32 (6e-8)
    # reaches 1e-3 in the third loss, and one of float64 (1e-16) some 1e-12.
    plain, ours = (losses(new_trainer(dtype="float64", **o), range(3)) for o in ({}, options))
    assert not torch.are_deterministic_algorithms_enabled()
    np.testing.assert_allclose(ours, plain, rtol=1e-9)
    assert plain[-1] < plain[0]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_losses_of_half_precision_begin_as_those_of_single_precision_and_fall(precision):
    plain, ours = losses(new_trainer(), [0]), losses(new_trainer(precision=precision), range(5))
    # About 100 roundings, each of 2**-9 at most in bf16, of logits near 1.
    assert 0 < abs(ours[0] - plain[0]) < 100**0.5 * 2**-9
    assert ours[-1] < ours[0]  # fp16 may leave out its first updates, to seek the scale


@pytest.mark.parametrize(
    "options", [{"precision": "fp16", "ema_decay": 0.9}, {"precision": "bf16"}]
)
def test_half_precision_goes_on_bit_for_bit(options):
    whole, first, second = (new_trainer(dropout=0.1, **options) for _ in range(3))
    expected = losses(whole, range(4))
    losses(first, range(2))
    backend.set_parameters(second.net, backend.get_parameters(first.net))
    second.load_state(first.state())
    assert losses(second, range(2, 4)) == expected[2:]
    for name, value in backend.get_parameters(whole.net).items():
        np.testing.assert_array_equal(backend.get_parameters(second.net)[name], value, name)


def test_a_step_whose_scaled_gradients_overflow_is_left_out_and_the_scale_is_lowered():
    trainer = new_trainer(precision="fp16")
    losses(trainer, [0])
    trainer._scaler.load_state_dict(trainer._scaler.state_dict() | {"scale": 2.0**120})
    before = backend.get_parameters(trainer.net)
    losses(trainer, [1])
    for name, value in backend.get_parameters(trainer.net).items():
        if "running" not in name:
            np.testing.assert_array_equal(value, before[name], name)
    assert trainer.state()["scaler/scale"][0] < 2.0**120


def test_weights_in_channels_last_are_saved_as_any():
    plain, ours = new_trainer(), new_trainer(channels_last=True)
    weight = ours.net.pretrained.features[0][0].weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    for name, value in backend.get_parameters(ours.net).items():
        assert value.flags.c_contiguous
        np.testing.assert_array_equal(value, backend.get_parameters(plain.net)[name])


class OwnWay(FCN):
    """Does more after the resize than the library knows."""

    def hybrid_forward(self, F, x):
        return 2 * super().hybrid_forward(F, x)


class OwnForward(FCN):
    """The same, in torch's habit."""

    def forward(self, x):
        return 2 * super().forward(x)


class OwnResize(FCN):
    """Resizes in a way of its own."""

    def resize(self, F, scores, like):
        return torch.nn.functional.interpolate(scores, like.shape[2:])


class OwnCoarse(HybridBlock):
    """Has a word of the same name for something else."""

    def __init__(self, nclass, backbone, pretrained_base):
        super().__init__()
        self.scores = nn.Conv2D(nclass, 1, in_channels=3)
        backend.initialize(self, backend.init.Xavier())

    def hybrid_forward(self, F, x, coarse=False):
        return self.scores(x)


def fused_trainer(kind=DeepLabV3Plus, loss="ce", fused=True, align_corners=True, **options):
    backend.seed(5)
    net = kind(3, "mobilenet_v2", pretrained_base=False, **options).double()
    loss = get_loss(loss, align_corners=align_corners)
    return backend.Trainer(net, loss, TrainerOptions(fused_loss=fused))


def coarse_calls(trainer):
    """Whether each call of the trainer's net asks for coarse scores; a list that grows."""
    calls = []
    trainer.net.register_forward_pre_hook(
        lambda module, inputs, options: calls.append(options.get("coarse", False)),
        with_kwargs=True,
    )
    return calls


@pytest.mark.parametrize("loss", ["ce", "ohem", "ce+dice"])
def test_losses_of_coarse_scores_are_those_of_full_ones(loss):
    x, label = backend.array(X).double(), backend.array(LABEL)
    trainers = [fused_trainer(loss=loss, fused=fused, aux=True) for fused in (True, False)]
    calls = [coarse_calls(trainer) for trainer in trainers]
    taken = []
    for trainer in trainers:
        backend.reseed(1)
        taken.append([trainer.step(x, label, 0.01) for _ in range(2)])
    np.testing.assert_allclose(*taken, rtol=1e-9)
    assert calls == [[True] * 2, [False] * 2]


@pytest.mark.parametrize(
    "options",
    [
        *({"kind": kind} for kind in (OwnWay, OwnForward, OwnResize, OwnCoarse)),
        {"align_corners": False},
    ],
    ids=["own hybrid_forward", "own forward", "own resize", "own word", "resized otherwise"],
)
def test_a_net_that_cannot_give_coarse_scores_gives_full_ones(options):
    trainer = fused_trainer(**options)
    calls = coarse_calls(trainer)
    backend.reseed(1)
    value = trainer.step(backend.array(X).double(), backend.array(LABEL), 0.01)
    assert calls == [False] and np.isfinite(value)


def test_a_step_leaves_the_settings_of_torch_as_they_are(monkeypatch):
    seen = []
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    trainer = new_trainer(deterministic=True)
    settings = (torch.are_deterministic_algorithms_enabled, lambda: torch.backends.cudnn.allow_tf32)
    trainer.net.register_forward_pre_hook(lambda *_: seen.append([ask() for ask in settings]))
    losses(trainer, range(1))
    assert seen == [[True, False]]
    assert [ask() for ask in settings] == [False, False]


@pytest.mark.parametrize("shape", [(2, 24, 24), (1, 48, 48), (2, 48, 96)])
def test_labels_of_another_size_than_the_images_are_refused(shape):
    for fused in (True, False):
        trainer = new_trainer(fused_loss=fused)
        with pytest.raises(ValueError, match=r"images \(2, 3, 48, 48\) and labels \("):
            trainer.step(backend.array(X), backend.array(np.zeros(shape, "int32")), 0.1)


class Tiny(HybridBlock):
    """All that a net needs to give coarse logits."""

    align_corners = True
    gives_coarse_logits = True

    def __init__(self):
        super().__init__()
        self.output = nn.Conv2D(3, 3, strides=4, padding=1, in_channels=3)

    def hybrid_forward(self, F, x, coarse=False):
        scores = self.output(x)
        return scores if coarse else F.contrib.BilinearResize2D(scores, like=x, mode="like")


def test_a_compiled_net_gives_coarse_scores(monkeypatch):
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    taken = []
    for options in ({"compile": True}, {"fused_loss": False}):
        backend.seed(5)
        net = Tiny()
        backend.initialize(net, backend.init.Xavier())
        trainer = backend.Trainer(net, get_loss("ce"), TrainerOptions(**options))
        taken.append(losses(trainer, range(3)))
        assert bool(trainer._net_options) == ("compile" in options)
    np.testing.assert_allclose(*taken, atol=1e-6)
