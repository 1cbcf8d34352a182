"""A trainer's steps: optimizers, parts of a batch, clipping, averages and states to go on from."""

from pathlib import Path

import numpy as np
import pytest

from gluonvision import loss
from gluonvision.backend import (
    NAME,
    HybridBlock,
    Trainer,
    array,
    as_numpy,
    device_and_dtype,
    get_gradients,
    get_parameters,
    init,
    initialize,
    nn,
    reseed,
    seed,
    set_parameters,
)
from gluonvision.backend.trainer_options import TrainerOptions, ema_decay_at
from gluonvision.runs.checkpoint import read_checkpoint, save_checkpoint

RATES = [0.1, 0.05, 0.02, 0.2, 0.01]
NCLASS = 3
ADAMW = TrainerOptions(optimizer="adamw", weight_decay=0.1)


class Net(HybridBlock):
    """With a norm, whose running statistics move, and dropout, which draws."""

    def __init__(self, norm=True, rate=0.3):
        super().__init__()
        self.features = nn.HybridSequential()
        self.features.add(nn.Conv2D(6, 3, padding=1, in_channels=3))
        if norm:
            self.features.add(nn.BatchNorm(in_channels=6))
        self.features.add(nn.Activation("relu"), nn.Dropout(rate))
        self.output = nn.HybridSequential()
        self.output.add(nn.Conv2D(NCLASS, 1, in_channels=6))

    def hybrid_forward(self, F, x):
        return self.output(self.features(x))


def new_net(norm=True, rate=0.0, dtype="float32"):
    seed(3)
    net = Net(norm, rate)
    initialize(net, init.Xavier())
    net.cast(dtype)
    return net


def new_trainer(net, options=None):
    return Trainer(net, loss.SoftmaxCrossEntropyLoss(), options or TrainerOptions())


def batch(number=0, dtype="float32", size=4):
    """Images and labels; the first images have many ignored pixels, the last none."""
    random = np.random.default_rng(number)
    x = random.standard_normal((size, 3, 6, 5)).astype(dtype)
    label = random.integers(0, NCLASS, (size, 6, 5)).astype("int32")
    label[random.random(label.shape) > np.linspace(0.3, 1, size)[:, None, None]] = -1
    return x, label


def step(trainer, number, rate):
    reseed(1, number)
    return trainer.step(*map(array, batch(number)), rate)


def run(trainer, numbers):
    return [step(trainer, number, RATES[number]) for number in numbers]


def assert_same(ours, expected):
    assert ours.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(ours[name], value, err_msg=name)


def assert_close(ours, expected, tolerance):
    assert ours.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(ours[name], value, rtol=0, atol=tolerance, err_msg=name)


# States to go on from


@pytest.mark.parametrize(
    "options",
    [
        TrainerOptions(),
        TrainerOptions(momentum=0.0),
        TrainerOptions(ema_decay=0.9, clip_norm=0.5),
        ADAMW,
        TrainerOptions(optimizer="adamw", ema_decay=0.9),
    ],
    ids=["sgd", "no momentum", "average and clip", "adamw", "adamw and average"],
)
def test_a_run_goes_on_bit_for_bit_in_a_new_net_from_its_state(options, tmp_path: Path):
    whole = new_trainer(new_net(rate=0.3), options)
    losses = run(whole, range(5))
    first = new_trainer(new_net(rate=0.3), options)
    begun = run(first, range(3))
    path = save_checkpoint(tmp_path, 3, first.state(), {})
    weights = get_parameters(first.net)
    second = new_trainer(new_net(rate=0.3), options)
    run(second, range(1))  # what it has kept of this is to be replaced
    set_parameters(second.net, weights)
    second.load_state(read_checkpoint(path)[0])
    assert begun + run(second, range(3, 5)) == losses
    assert_same(get_parameters(second.net), get_parameters(whole.net))
    assert_same(second.state(), whole.state())
    assert_same(second.averaged_parameters(), whole.averaged_parameters())


def test_a_state_is_named_by_kind_and_weight():
    learned = ["features.0.weight", "features.0.bias", "output.0.weight", "output.0.bias"]
    for options, kinds in (
        (TrainerOptions(), ["momentum_buffer"]),
        (ADAMW, ["exp_avg", "exp_avg_sq", "step"]),
    ):
        trainer = new_trainer(new_net(norm=False), options)
        step(trainer, 0, 0.1)
        names = {f"{kind}/{name}" for kind in kinds for name in learned}
        assert trainer.state().keys() == names | {"updates"}


def test_a_state_before_the_first_step_is_one_too():
    trainer, used = new_trainer(new_net()), new_trainer(new_net())
    fresh = trainer.state()
    run(used, range(2))
    set_parameters(used.net, get_parameters(trainer.net))
    used.load_state(fresh)
    assert run(used, range(2)) == run(trainer, range(2))


def test_a_state_is_a_copy():
    trainer = new_trainer(new_net(), TrainerOptions(ema_decay=0.5))
    run(trainer, range(1))
    state = trainer.state()
    kept = {name: value.copy() for name, value in state.items()}
    run(trainer, range(1, 3))
    assert_same(state, kept)


@pytest.mark.parametrize("lacking", ["updates", "ema/output.0.bias"])
def test_what_a_state_lacks_is_named(lacking):
    trainer = new_trainer(new_net(), TrainerOptions(ema_decay=0.5))
    run(trainer, range(1))
    state = {name: value for name, value in trainer.state().items() if name != lacking}
    with pytest.raises(KeyError, match=lacking):
        trainer.load_state(state)


# Parts of a batch


def update(trainer, sizes, dtype):
    """One update by the batch cut into parts of these sizes; the loss."""
    x, label = batch(dtype=dtype, size=sum(sizes))
    cuts = np.cumsum(sizes)[:-1]
    xs, labels = np.split(x, cuts), np.split(label, cuts)
    counts = [trainer.loss.num_valid(part) for part in labels]
    parts = ((array(a), array(b)) for a, b in zip(xs, labels))
    shares = [count / sum(counts) for count in counts]
    return as_numpy(trainer.update(parts, shares, 0.1)).sum()


@pytest.mark.parametrize("sizes", [(2, 2), (1, 1, 1, 1), (3, 1)])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-13)])
def test_parts_of_unequal_labelled_pixels_equal_the_whole_batch(sizes, dtype, tolerance):
    options = TrainerOptions(clip_norm=0.05)
    whole, parts = (new_trainer(new_net(norm=False, dtype=dtype), options) for _ in range(2))
    for _ in range(3):
        expected = update(whole, (4,), dtype)
        assert abs(update(parts, sizes, dtype) - expected) < tolerance
    assert_close(get_parameters(parts.net), get_parameters(whole.net), tolerance)


def test_a_whole_batch_after_parts_and_parts_after_a_whole_batch():
    cut, whole = (new_trainer(new_net(norm=False, dtype="float64")) for _ in range(2))
    for sizes in ((2, 2), (4,), (4,), (1, 3)):
        update(cut, sizes, "float64")
        update(whole, (4,), "float64")
    assert_close(get_parameters(cut.net), get_parameters(whole.net), 1e-13)


def test_a_part_without_a_labelled_pixel_counts_nothing():
    trainer, expected = (new_trainer(new_net(norm=False)) for _ in range(2))
    x, label = map(array, batch())
    nothing = array(np.full((4, 6, 5), -1, "int32"))
    trainer.update([(x, label), (x, nothing)], [1.0, 0.0], 0.1)
    expected.update([(x, label)], [1.0], 0.1)
    assert_close(get_parameters(trainer.net), get_parameters(expected.net), 1e-7)


# Clipping


def gradient_norm(net):
    return np.sqrt(sum((g.astype("float64") ** 2).sum() for g in get_gradients(net).values()))


def test_gradients_are_clipped_to_the_norm_of_all_together():
    free, clipped = new_trainer(new_net()), new_trainer(new_net(), TrainerOptions(clip_norm=0.01))
    assert step(clipped, 0, 0.1) == step(free, 0, 0.1)
    factor = 0.01 / (gradient_norm(free.net) + 1e-6)
    assert factor < 0.5
    expected = {name: g * factor for name, g in get_gradients(free.net).items()}
    assert_close(get_gradients(clipped.net), expected, 1e-8)


def test_gradients_below_the_norm_are_left_as_they_are():
    free, clipped = new_trainer(new_net()), new_trainer(new_net(), TrainerOptions(clip_norm=1e3))
    assert run(clipped, range(3)) == run(free, range(3))
    assert_same(get_parameters(clipped.net), get_parameters(free.net))


def test_the_norm_of_a_large_array_does_not_drown_in_rounding():
    net = nn.HybridSequential()
    net.add(nn.Dense(1000, in_units=3000, use_bias=False))
    initialize(net, init.Constant(1e-3))
    trainer = Trainer(net, lambda y, _: (y * y).sum(), TrainerOptions(clip_norm=1.0))
    x = np.random.default_rng(0).uniform(0.5, 1, (2, 3000)).astype("float32")
    trainer.step(array(x), array(np.zeros(1)), 0.0)
    np.testing.assert_allclose(gradient_norm(net), 1, rtol=1e-4)


# AdamW


def adamw_step(weight, gradient, moments, number, rate, decay):
    """Loshchilov & Hutter 2019, algorithm 2, the decay times the learning rate as in torch."""
    moments[0] = 0.9 * moments[0] + 0.1 * gradient
    moments[1] = 0.999 * moments[1] + 0.001 * gradient**2
    mean, square = moments[0] / (1 - 0.9**number), moments[1] / (1 - 0.999**number)
    return weight - rate * (mean / (np.sqrt(square) + 1e-8) + decay * weight)


def multiplied_net(dtype):
    net = new_net(dtype=dtype)
    net.output.collect_params().setattr("lr_mult", 3.0)
    net.collect_params(".*(gamma|beta|bias)$").setattr("wd_mult", 0.0)
    return net


def adamw_difference(net, dtype, rate, num_steps=20):
    """The largest difference of any weight from the reference, after so many steps."""
    trainer = new_trainer(net, ADAMW)
    expected = get_parameters(net)
    moments = {name: [0.0, 0.0] for name in expected}
    for number in range(1, num_steps + 1):
        trainer.step(*map(array, batch(number, dtype)), rate / number)
        for name, gradient in get_gradients(net).items():
            own_rate = rate / number * (3 if name.startswith("output") else 1)
            decay = 0.1 if name.endswith("weight") else 0.0
            expected[name] = adamw_step(
                expected[name].astype("float64"),
                gradient.astype("float64"),
                *(moments[name], number, own_rate, decay),
            )
    ours, learned = get_parameters(net), get_gradients(net)
    return max(np.abs(ours[name] - expected[name]).max() for name in learned)


def test_adamw_equals_its_definition_under_multipliers():
    assert adamw_difference(multiplied_net("float64"), "float64", 0.1) < 1e-12
    assert adamw_difference(multiplied_net("float32"), "float32", 0.1) < 2e-6
    assert adamw_difference(multiplied_net("float32"), "float32", 0.01) < 1e-6


# Running average


def test_the_average_follows_weights_and_statistics():
    trainer = new_trainer(new_net(), TrainerOptions(ema_decay=0.3))
    expected = {n: w.astype("float64") for n, w in get_parameters(trainer.net).items()}
    assert_close(trainer.averaged_parameters(), expected, 0)
    for number, rate in enumerate(RATES, 1):
        step(trainer, number, rate)
        share = ema_decay_at(number, 0.3)
        for name, weight in get_parameters(trainer.net).items():
            expected[name] = share * expected[name] + (1 - share) * weight
    assert_close(trainer.averaged_parameters(), expected, 1e-6)


def test_there_is_no_average_unless_asked_for():
    assert new_trainer(new_net()).averaged_parameters() == {}


# Compiled


@pytest.mark.skipif(NAME == "torch", reason="its compiler takes too long for a test")
def test_a_compiled_step_is_the_same():
    options = TrainerOptions(compile=True)
    plain, compiled = new_trainer(new_net()), new_trainer(new_net(), options)
    np.testing.assert_allclose(run(compiled, range(3)), run(plain, range(3)), rtol=1e-5)


@pytest.mark.skipif(NAME != "mxnet", reason="torch has them")
@pytest.mark.parametrize(
    "options",
    [{"precision": "bf16"}, {"channels_last": True}, {"kvstore": "dist_sync"}],
    ids=str,
)
def test_an_option_that_mxnet_has_not_is_refused(options):
    with pytest.raises(ValueError, match="expected|channels first|fp32 only"):
        new_trainer(new_net(), TrainerOptions(**options))


def test_a_net_of_which_nothing_is_learned_predicts_and_is_not_trained():
    net = new_net(dtype="float64")
    net.collect_params().setattr("grad_req", "null")
    assert device_and_dtype(net)[1] == "float64"
    with pytest.raises(ValueError, match="no trainable parameter"):
        new_trainer(net)
