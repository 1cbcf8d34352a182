"""Files of weights: what is read, under which names, and what an unfit or hostile one gives."""

import os
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from gluonvision.backend import (
    HybridBlock,
    get_parameters,
    initialize,
    nn,
    parameter_shapes,
    parameters_file,
    weights_file,
)
from gluonvision.model_zoo import FCN, get_model, load_weights

torch = pytest.importorskip("torch", reason="torch writes the .pth files")


class Net(HybridBlock):
    """A convolution and a norm."""

    def __init__(self, nclass=4):
        super().__init__()
        self.conv = nn.Conv2D(nclass, 3, in_channels=3)
        self.norm = nn.BatchNorm(in_channels=nclass)
        initialize(self)


def ours(nclass=4):
    """Weights of `Net` under our names, none of them an initial one."""
    shapes = parameter_shapes(Net(nclass))
    rng = np.random.default_rng(0)
    return {name: rng.random(shape, np.float32) + 2 for name, shape in shapes.items()}


def torch_names(arrays):
    """The same under torch's names, with the count of batches that torch saves."""
    renamed = {
        n.replace("norm.gamma", "norm.weight").replace("norm.beta", "norm.bias"): torch.tensor(a)
        for n, a in arrays.items()
    }
    return {**renamed, "norm.num_batches_tracked": torch.tensor(7)}


def assert_loads(path):
    net = Net()
    load_weights(net, path)
    loaded = get_parameters(net)
    for name, array in ours().items():
        np.testing.assert_array_equal(loaded[name], array, name)


def save_params(path):
    parameters_file.save(path, ours())


def save_pth(path):
    torch.save(torch_names(ours()), path)


def save_old_pth(path):
    torch.save(torch_names(ours()), path, _use_new_zipfile_serialization=False)


def save_safetensors(path):
    save_file({name: tensor.numpy() for name, tensor in torch_names(ours()).items()}, path)


KINDS = {
    "params": save_params,
    "pth": save_pth,
    "old pth": save_old_pth,
    "safetensors": save_safetensors,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["weights", "weights.pth.tar", "weights.params", "weights.bin"])
def test_a_file_is_read_whatever_it_is_called(tmp_path, kind, name):
    KINDS[kind](tmp_path / name)
    assert_loads(tmp_path / name)
    assert_loads(str(tmp_path / name))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda weights: {"model": weights, "epoch": 3, "optimizer": {"lr": 0.1}},
        lambda weights: {"state_dict": weights, "best": 0.5},
        lambda weights: {f"module.{n}": t for n, t in weights.items()},
        lambda weights: {f"_orig_mod.{n}": t for n, t in weights.items()},
        lambda weights: {f"_orig_mod.module.{n}": t for n, t in weights.items()},
        lambda weights: {"model": {f"module.{n}": t for n, t in weights.items()}, "epoch": 3},
    ],
    ids=["checkpoint", "state_dict", "DDP", "compiled", "compiled DDP", "checkpoint of DDP"],
)
def test_weights_are_found_inside_a_training_run(tmp_path, wrap):
    torch.save(wrap(torch_names(ours())), tmp_path / "run.pth")
    assert_loads(tmp_path / "run.pth")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_types_are_converted(tmp_path, dtype):
    weights = torch_names(ours())
    path = tmp_path / "weights.pth"
    torch.save({name: tensor.to(dtype) for name, tensor in weights.items()}, path)
    net = Net()
    load_weights(net, path)
    expected = weights["conv.weight"].to(dtype).float().numpy()
    np.testing.assert_array_equal(get_parameters(net)["conv.weight"], expected)


class RunsCommand:
    """A pickle of it runs a command that leaves a file."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


class RunsSystem(RunsCommand):
    """The same by the shell."""

    def __reduce__(self):
        return os.system, (f"touch {self.trace}",)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("hostile", [RunsCommand, RunsSystem])
@pytest.mark.parametrize(
    "save", [torch.save, lambda what, path: path.write_bytes(pickle.dumps(what))]
)
def test_code_in_a_file_is_refused_and_not_run(tmp_path, hostile, save):
    trace = tmp_path / "trace"
    path = tmp_path / "weights.pth"
    save({**torch_names(ours()), "more": hostile(trace)}, path)
    net = Net()
    before = get_parameters(net)
    with pytest.raises(ValueError, match=re.escape(str(path))) as refused:
        load_weights(net, path)
    assert not trace.exists()
    assert "weights_only" not in str(refused.value), "torch's advice would run the code"
    for name, array in get_parameters(net).items():
        np.testing.assert_array_equal(array, before[name])


def test_a_whole_pickled_module_is_refused_with_what_to_save_instead(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "net.pth")
    with pytest.raises(ValueError, match=r"needs torch\.nn\S*Linear.*net\.state_dict\(\)"):
        load_weights(Net(), tmp_path / "net.pth")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (torch.zeros(3), "holds Tensor, expected a state_dict"),
        ([torch.zeros(3)], "holds list, expected a state_dict"),
        ({}, "holds dict, expected a state_dict"),
        ({"a": torch.zeros(3), "epoch": 3}, r"\['epoch'\] are not names with tensors"),
        ({1: torch.zeros(3)}, r"\[1\] are not names with tensors"),
        ({"a": torch.zeros(3).to_sparse()}, "more than plain tensors"),
    ],
    ids=["tensor", "list", "empty", "more", "numbers", "sparse"],
)
def test_a_torch_file_of_something_else(tmp_path, content, message):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=f"other.pth.*{message}"):
        load_weights(Net(), tmp_path / "other.pth")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0, 0.02, 0.5, 0.99])
def test_a_truncated_file_is_an_error_that_names_it(tmp_path, kind, share):
    path = tmp_path / "cut"
    KINDS[kind](path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=re.escape(str(path))):
        load_weights(Net(), path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>Not found</html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"no weights at all, but long enough", "cannot be read"),
    ],
)
def test_a_file_of_another_kind(tmp_path, content, message):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as refused:
        load_weights(Net(), path)
    assert str(path) in str(refused.value)


def test_a_missing_file():
    with pytest.raises(FileNotFoundError, match=r"nowhere\.params"):
        get_model("mobilenet_v2", pretrained="nowhere.params")


def test_bfloat16_safetensors_come_as_the_float32_of_equal_value(tmp_path):
    from safetensors.torch import save_file

    values = torch.randn(5).to(torch.bfloat16)
    save_file({"w": values}, tmp_path / "b.safetensors")
    array = weights_file.read(tmp_path / "b.safetensors")["w"]
    np.testing.assert_array_equal(array, values.float().numpy())


def test_an_unfit_file_tells_missing_extra_and_shapes_and_changes_nothing(tmp_path):
    arrays = {**ours(), "stray.weight": np.zeros(2, np.float32)}
    arrays["conv.weight"] = arrays["conv.weight"][:, :1]
    del arrays["norm.beta"]
    path = tmp_path / "unfit.params"
    parameters_file.save(path, arrays)
    net = Net()
    before = get_parameters(net)
    with pytest.raises(ValueError) as unfit:
        load_weights(net, path, name="my_net")
    for part in (
        f"the weights of my_net in {path} do not fit the model",
        "1 missing: norm.beta",
        "1 extra: stray.weight",
        "1 of another shape: conv.weight (file (4, 1, 3, 3), model (4, 3, 3, 3))",
        "in_channels",
    ):
        assert part in str(unfit.value)
    for name, array in get_parameters(net).items():
        np.testing.assert_array_equal(array, before[name])


def test_missing_and_extra_names_may_be_allowed(tmp_path):
    arrays = {**ours(), "stray.weight": np.zeros(2, np.float32)}
    del arrays["norm.beta"]
    parameters_file.save(tmp_path / "unfit.params", arrays)
    net = Net()
    load_weights(net, tmp_path / "unfit.params", allow_missing=True, ignore_extra=True)
    loaded = get_parameters(net)
    np.testing.assert_array_equal(loaded["conv.weight"], arrays["conv.weight"])
    np.testing.assert_array_equal(loaded["norm.beta"], 0)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """An FCN of 21 classes with auxiliary head, and its file."""
    path = tmp_path_factory.mktemp("fcn") / "fcn.params"
    FCN(21, "resnet18_v1b", aux=True, pretrained_base=False).save_parameters(str(path))
    return path


def test_another_number_of_classes(saved):
    net = FCN(5, "resnet18_v1b", aux=True, pretrained_base=False)
    with pytest.raises(ValueError, match=r"model has 5: .*nclass=21") as unfit:
        load_weights(net, saved)
    assert "head.block.4.weight (file (21, 128, 1, 1), model (5, 128, 1, 1))" in str(unfit.value)


def test_a_new_classifier_is_all_that_may_be_missing(saved, tmp_path):
    net = FCN(5, "resnet18_v1b", aux=True, pretrained_base=False)
    load_weights(net, saved, new_classifier=True)
    path = tmp_path / "part.params"
    arrays = parameters_file.load(saved)
    parameters_file.save(path, {n: a for n, a in arrays.items() if n.startswith("head.")})
    with pytest.raises(ValueError, match=r"missing: auxlayer"):
        load_weights(net, path, new_classifier=True)


def test_another_backbone(saved):
    net = FCN(21, "resnet18", aux=True, pretrained_base=False)
    with pytest.raises(ValueError, match=r"missing: .*extra: .*backbone"):
        load_weights(net, saved)


def test_a_backbone_that_gluoncv_calls_otherwise_is_named(tmp_path):
    FCN(3, "resnet50_v1s", pretrained_base=False).save_parameters(str(tmp_path / "a.params"))
    with pytest.raises(ValueError, match="such as resnet50_v1s, which GluonCV calls resnet50"):
        load_weights(FCN(3, "resnet50", pretrained_base=False), tmp_path / "a.params")


def test_an_auxiliary_head_too_many(saved):
    net = FCN(21, "resnet18_v1b", pretrained_base=False)
    with pytest.raises(ValueError, match=r"extra: auxlayer\.block\.0\.weight.*aux"):
        load_weights(net, saved)
    load_weights(net, saved, unused=("auxlayer.",))


def test_the_classifier_of_a_file_is_left_out_without_classes(tmp_path):
    whole = get_model("mobilenet_v2", classes=10)
    path = str(tmp_path / "mobilenet.params")
    whole.save_parameters(path)
    features = get_parameters(get_model("mobilenet_v2", pretrained=path, classes=None))
    expected = get_parameters(whole)
    left_out = expected.keys() - features.keys()
    assert {name.split(".")[0] for name in left_out} == {"features", "classifier"}
    assert all(name.startswith(("features.18.", "classifier.")) for name in left_out)
    for name, array in features.items():
        np.testing.assert_array_equal(array, expected[name])
    with pytest.raises(ValueError, match=r"mobilenet_v2 in .*for 10 classes .*classes=10"):
        get_model("mobilenet_v2", pretrained=path)


def test_a_file_without_the_classifier_that_the_model_has(tmp_path):
    path = str(tmp_path / "mobilenet.params")
    get_model("mobilenet_v2", classes=None).save_parameters(path)
    with pytest.raises(ValueError, match=r"missing: classifier\.bias, classifier\.weight") as unfit:
        get_model("mobilenet_v2", pretrained=path)
    assert "classes=None" in str(unfit.value)
