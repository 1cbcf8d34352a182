"""Gluon's interface of a block: parameters, files, types, and training under multipliers."""

import numpy as np
import pytest
from gradients import differentiate

from gluonvision.backend import (
    NAME,
    HybridBlock,
    Trainer,
    array,
    as_numpy,
    cpu,
    evaluate,
    get_gradients,
    get_parameters,
    init,
    initialize,
    nn,
    set_parameters,
)
from gluonvision.backend.trainer_options import TrainerOptions

RANDOM = np.random.default_rng(5)


class Net(HybridBlock):
    """Written as Gluon's users write: a scope for names, and F as an argument."""

    def __init__(self, channels=4, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.features = nn.HybridSequential()
            self.features.add(
                nn.Conv2D(channels, 3, padding=1, in_channels=3),
                nn.BatchNorm(in_channels=channels),
                nn.Activation("relu"),
            )
            self.output = nn.HybridSequential()
            self.output.add(nn.Conv2D(2, 1, in_channels=channels))

    def hybrid_forward(self, F, x):
        return F.log_softmax(self.output(self.features(x)), axis=1)


NAMES = [
    "features.0.bias",
    "features.0.weight",
    "features.1.beta",
    "features.1.gamma",
    "features.1.running_mean",
    "features.1.running_var",
    "output.0.bias",
    "output.0.weight",
]


def images(dtype="float32"):
    return RANDOM.standard_normal((2, 3, 6, 5)).astype(dtype)


def new_net(channels=4, **kwargs):
    net = Net(channels, **kwargs)
    initialize(net)
    return net


def same(first, second):
    """Are two sets of named arrays equal bit for bit?"""
    return first.keys() == second.keys() and all(
        np.array_equal(first[name], second[name]) for name in first
    )


def outputs(net, x):
    return as_numpy(evaluate(net, array(x)))


# Initialization


def test_structural_names():
    assert sorted(get_parameters(new_net())) == NAMES


def test_a_prefix_does_not_change_the_names():
    assert sorted(get_parameters(new_net(prefix="mine_"))) == NAMES


def test_initialize_leaves_what_is_initialized():
    net = new_net()
    before = get_parameters(net)
    initialize(net, init.One())
    assert same(get_parameters(net), before)


def test_initialize_draws_only_the_layers_without_values():
    net = Net()
    initialize(net.features)
    before = get_parameters(net.features)
    initialize(net, init.One())
    assert same(get_parameters(net.features), before)
    assert (get_parameters(net)["output.0.weight"] == 1).all()


def test_force_reinit_draws_all_again():
    net = new_net()
    initialize(net, init.One(), force_reinit=True)
    weights = get_parameters(net)
    assert (weights["features.0.weight"] == 1).all()
    assert not weights["features.0.bias"].any()


def test_initialize_keeps_weights_that_were_set():
    net = Net()
    weights = get_parameters(new_net())
    set_parameters(net, weights)
    initialize(net, init.One())
    assert same(get_parameters(net), weights)


def test_a_blocks_own_initialize_takes_an_initializer_and_a_device():
    net = Net()
    net.initialize(init.Constant(0.25), ctx=cpu())
    assert (get_parameters(net)["output.0.weight"] == 0.25).all()
    assert not get_parameters(net)["output.0.bias"].any()


@pytest.mark.filterwarnings("ignore:Parameter.*already initialized")
def test_collect_params_initialize_leaves_what_is_initialized():
    net = new_net()
    before = get_parameters(net)
    net.collect_params().initialize(init.One())
    assert same(get_parameters(net), before)
    net.collect_params().initialize(init.One(), force_reinit=True)
    assert (get_parameters(net)["output.0.weight"] == 1).all()


# Parameters as a dictionary


def test_collect_params_counts_parameters_and_running_statistics():
    assert len(list(new_net().collect_params().keys())) == len(NAMES)


def test_collect_params_selects_by_regular_expression():
    net = new_net()
    assert len(list(net.collect_params(".*weight").keys())) == 2
    assert len(list(net.collect_params(".*running_mean|.*running_var").keys())) == 2


def test_a_parameter_has_name_shape_values_and_gradient():
    net = new_net()
    differentiate(net, images())
    (weight,) = [p for p in net.collect_params(".*weight").values() if p.shape == (4, 3, 3, 3)]
    np.testing.assert_array_equal(as_numpy(weight.data()), get_parameters(net)["features.0.weight"])
    assert as_numpy(weight.grad()).shape == (4, 3, 3, 3)
    assert weight.grad_req == "write"
    assert weight.name.endswith("weight")


def test_set_data_changes_the_model():
    net = new_net()
    for parameter in net.collect_params(".*weight").values():
        parameter.set_data(array(np.ones(parameter.shape, "float32")))
    assert (get_parameters(net)["output.0.weight"] == 1).all()


def test_reset_ctx_keeps_the_values():
    net = new_net()
    before = get_parameters(net)
    net.collect_params().reset_ctx(cpu())
    net.collect_params().reset_ctx([cpu()])
    assert same(get_parameters(net), before)


@pytest.mark.skipif(NAME != "torch", reason="under MXNet one process has many devices")
def test_reset_ctx_to_many_devices_is_an_error():
    with pytest.raises(ValueError, match="one process for each device"):
        new_net().collect_params().reset_ctx([cpu(0), cpu(1)])


def test_zero_grad_clears_every_gradient():
    net = new_net()
    differentiate(net, images())
    assert any(g.any() for g in get_gradients(net).values())
    net.collect_params().zero_grad()
    assert not any(g.any() for g in get_gradients(net).values())


def test_zero_grad_of_a_selection_leaves_the_others():
    net = new_net()
    differentiate(net, images(), upstream=RANDOM.standard_normal((2, 2, 6, 5)))
    net.collect_params(".*bias").zero_grad()
    gradients = get_gradients(net)
    assert gradients["output.0.weight"].any()
    assert not gradients.get("output.0.bias", np.zeros(1)).any()


# Freezing and multipliers


def squared_error(scores, label):
    return ((scores - label) ** 2).mean()


def step(net, times=1, weight_decay=0.0):
    trainer = Trainer(net, squared_error, TrainerOptions(weight_decay=weight_decay))
    x, label = images(), RANDOM.standard_normal((2, 2, 6, 5)).astype("float32")
    for _ in range(times):
        trainer.step(array(x), array(label), 0.5)


def changed(before, after):
    return {name for name in before if not np.array_equal(before[name], after[name])}


def test_a_step_changes_every_parameter():
    net = new_net()
    before = get_parameters(net)
    step(net)
    # A convolution's bias before a batch norm has no gradient but for rounding.
    assert changed(before, get_parameters(net)) >= set(NAMES) - {"features.0.bias"}


def test_parameters_whose_grad_req_is_null_stay():
    net = new_net()
    net.features.collect_params().setattr("grad_req", "null")
    before = get_parameters(net)
    step(net)
    statistics = {"features.1.running_mean", "features.1.running_var"}
    assert changed(before, get_parameters(net)) - statistics == {"output.0.weight", "output.0.bias"}


def test_frozen_parameters_train_again_and_running_statistics_never_get_gradients():
    net = new_net()
    net.collect_params().setattr("grad_req", "null")
    net.collect_params().setattr("grad_req", "write")
    step(net, times=2)
    assert set(get_gradients(net)) == {n for n in NAMES if "running" not in n}


def test_a_gamma_without_scale_is_not_unfrozen():
    net = nn.HybridSequential()
    net.add(nn.BatchNorm(scale=False, center=False, in_channels=3))
    initialize(net)
    net.collect_params().setattr("grad_req", "write")
    differentiate(net, images())
    assert not get_gradients(net)


def test_lr_mult_scales_a_step():
    net, slow = new_net(), new_net()
    start = get_parameters(net)
    set_parameters(slow, start)
    slow.output.collect_params().setattr("lr_mult", 0.25)
    x, label = array(images()), array(RANDOM.standard_normal((2, 2, 6, 5)).astype("float32"))
    for each in (net, slow):
        Trainer(each, squared_error).step(x, label, 0.5)
    full, scaled = get_parameters(net), get_parameters(slow)
    moved = full["output.0.weight"] - start["output.0.weight"]
    np.testing.assert_allclose(
        scaled["output.0.weight"] - start["output.0.weight"], moved / 4, 1e-3
    )
    np.testing.assert_allclose(scaled["features.1.gamma"], full["features.1.gamma"], rtol=1e-6)


def test_lr_mult_zero_freezes():
    net = new_net()
    net.collect_params().setattr("lr_mult", 0)
    before = get_parameters(net)
    step(net, times=2)
    statistics = {"features.1.running_mean", "features.1.running_var"}
    assert changed(before, get_parameters(net)) == statistics


def test_wd_mult_zero_spares_a_parameter_from_decay():
    net, plain = new_net(), new_net()
    set_parameters(plain, get_parameters(net))
    net.collect_params().setattr("wd_mult", 0)
    x, label = array(images()), array(RANDOM.standard_normal((2, 2, 6, 5)).astype("float32"))
    Trainer(net, squared_error, TrainerOptions(weight_decay=0.1)).step(x, label, 0.5)
    Trainer(plain, squared_error, TrainerOptions(weight_decay=0.0)).step(x, label, 0.5)
    assert same(get_parameters(net), get_parameters(plain))


# Files


@pytest.mark.parametrize(
    ("save", "load"),
    [("save_parameters", "load_parameters"), ("save_params", "load_params")],
)
@pytest.mark.filterwarnings("ignore:.*deprecated")
def test_a_saved_model_is_loaded(tmp_path, save, load):
    net, other = new_net(), Net()
    step(net)
    path = str(tmp_path / "net.params")
    getattr(net, save)(path)
    getattr(other, load)(path)
    assert same(get_parameters(other), get_parameters(net))
    x = images()
    np.testing.assert_array_equal(outputs(other, x), outputs(net, x))


def test_a_loaded_model_is_initialized(tmp_path):
    net, other = new_net(), Net()
    net.save_parameters(str(tmp_path / "net.params"))
    other.load_parameters(str(tmp_path / "net.params"), ctx=cpu())
    initialize(other, init.One())
    assert same(get_parameters(other), get_parameters(net))


MISFITS = (ValueError, AssertionError)  # Gluon's own is an AssertionError


def test_allow_missing_loads_what_is_there(tmp_path):
    part, net = new_net(), new_net()
    part.output = nn.HybridSequential()
    part.save_parameters(str(tmp_path / "part.params"))
    before = get_parameters(net)
    with pytest.raises(MISFITS, match="output"):
        net.load_parameters(str(tmp_path / "part.params"))
    net.load_parameters(str(tmp_path / "part.params"), allow_missing=True)
    after = get_parameters(net)
    assert same({n: after[n] for n in get_parameters(part)}, get_parameters(part))
    assert np.array_equal(after["output.0.weight"], before["output.0.weight"])


def test_ignore_extra_leaves_out_what_the_model_has_not(tmp_path):
    net, part = new_net(), new_net()
    part.output = nn.HybridSequential()
    net.save_parameters(str(tmp_path / "net.params"))
    with pytest.raises(MISFITS, match="output"):
        part.load_parameters(str(tmp_path / "net.params"))
    part.load_parameters(str(tmp_path / "net.params"), ignore_extra=True)
    weights = get_parameters(net)
    assert same(get_parameters(part), {n: w for n, w in weights.items() if "output" not in n})


def test_a_file_of_another_shape_is_an_error(tmp_path):
    new_net(channels=5).save_parameters(str(tmp_path / "net.params"))
    with pytest.raises(MISFITS, match="shape"):
        new_net().load_parameters(str(tmp_path / "net.params"))


# set_parameters


def misfit(**changes):
    """The weights of a net with some taken out (None), added or replaced."""
    weights = get_parameters(new_net()) | {n.replace("__", "."): w for n, w in changes.items()}
    return {name: w for name, w in weights.items() if w is not None}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"output__0__bias": None}, r"1 missing: output\.0\.bias"),
        ({"other__bias": np.zeros(2, "float32")}, r"1 extra: other\.bias"),
        (
            {"output__0__bias": np.zeros(3, "float32")},
            r"of another shape: output\.0\.bias \(file \(3,\), model \(2,\)\)",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named_and_change_nothing(changes, message):
    net = new_net()
    before = get_parameters(net)
    with pytest.raises(ValueError, match=message):
        set_parameters(net, misfit(**changes))
    assert same(get_parameters(net), before)


def test_an_error_names_every_kind_of_misfit_and_the_source():
    changes = {"output__0__bias": None, "a": np.zeros(1), "output__0__weight": np.zeros(1)}
    with pytest.raises(ValueError, match=r"my file.*missing.*extra.*of another shape"):
        set_parameters(new_net(), misfit(**changes), source="my file")


def test_a_long_list_of_misfits_is_cut():
    extra = {f"extra{i}": np.zeros(1) for i in range(100)}
    with pytest.raises(ValueError, match=r"100 extra: .* and 95 more") as error:
        set_parameters(new_net(), misfit(**extra))
    assert len(str(error.value)) < 600


def test_another_shape_is_never_ignored():
    with pytest.raises(ValueError, match="of another shape"):
        set_parameters(
            new_net(),
            misfit(output__0__bias=np.zeros(3)),
            allow_missing=True,
            ignore_extra=True,
        )


def test_set_parameters_may_leave_out_and_overshoot_where_allowed():
    net = new_net()
    weights = {"output.0.bias": np.array([1, 2], "float32"), "other": np.zeros(1)}
    set_parameters(net, weights, allow_missing=True, ignore_extra=True)
    np.testing.assert_array_equal(get_parameters(net)["output.0.bias"], [1, 2])


def test_the_arrays_of_a_model_are_copies_both_ways():
    net = new_net()
    taken = get_parameters(net)
    taken["output.0.bias"][:] = 7
    assert not (get_parameters(net)["output.0.bias"] == 7).any()
    set_parameters(net, taken)
    taken["output.0.bias"][:] = 9
    assert (get_parameters(net)["output.0.bias"] == 7).all()


# Types


def test_cast_to_float16_keeps_batch_norm_in_float32():
    net = new_net()
    net.cast("float16")
    types = {name: w.dtype for name, w in get_parameters(net).items()}
    assert types == {n: "float32" if n.startswith("features.1") else "float16" for n in NAMES}


@pytest.mark.skipif(NAME == "mxnet", reason="MXNet has no float16 convolution on the CPU")
def test_a_float16_net_gives_nearly_the_same():
    net, x = new_net(), images("float16")
    full = outputs(net, x.astype("float32"))
    net.cast("float16")
    half = outputs(net, x)
    assert half.dtype == np.float16
    np.testing.assert_allclose(half, full, atol=5e-3)


def test_cast_to_float64_is_of_everything_and_trains():
    net = new_net()
    differentiate(net, images())
    before = get_parameters(net)
    net.cast("float64")
    assert same(get_parameters(net), {n: w.astype("float64") for n, w in before.items()})
    result = differentiate(net, images("float64"))
    assert result.output.dtype == result.gradients[0].dtype == np.float64
    assert {g.dtype.name for g in get_gradients(net).values()} == {"float64"}


def test_cast_takes_a_numpy_type():
    net = new_net()
    net.cast(np.float64)
    assert get_parameters(net)["output.0.weight"].dtype == np.float64


# Arrays


def test_array_copies_and_keeps_the_type():
    for dtype in ("uint8", "int32", "int64", "float16", "float32", "float64"):
        source = np.arange(6).reshape(2, 3).astype(dtype)
        held = array(source)
        source[:] = 0
        np.testing.assert_array_equal(as_numpy(held), np.arange(6).reshape(2, 3))
        assert as_numpy(held).dtype == dtype


def test_array_takes_a_type_and_a_list():
    held = as_numpy(array([[1, 2], [3, 4]], dtype="float64"))
    assert held.dtype == np.float64
    np.testing.assert_array_equal(held, [[1, 2], [3, 4]])


def test_as_numpy_is_a_copy():
    held = array(np.zeros(3, "float32"))
    as_numpy(held)[:] = 1
    assert not as_numpy(held).any()


def test_evaluate_is_in_evaluation_mode():
    net = nn.HybridSequential()
    net.add(nn.Dropout(0.5))
    np.testing.assert_array_equal(outputs(net, np.ones(50)), np.ones(50))


@pytest.mark.skipif(NAME == "mxnet", reason="under MXNet a net has no mode, autograd has")
@pytest.mark.parametrize("training", [True, False])
def test_evaluate_puts_the_mode_back(training):
    net = new_net().train(training)
    outputs(net, images())
    assert all(module.training is training for module in net.modules())
