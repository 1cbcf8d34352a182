"""Under torch nothing of torch is taken away."""

import copy
import os

import numpy as np
import pytest
import torch
import torch.distributed
import torch.multiprocessing

from gluonvision import backend
from gluonvision.backend import evaluate
from gluonvision.loss import SoftmaxCrossEntropyLoss
from gluonvision.model_zoo import FCN, DeepLabV3, DeepLabV3Plus, PSPNet

FAMILIES = pytest.mark.parametrize("family", [FCN, PSPNet, DeepLabV3, DeepLabV3Plus])
NETS = pytest.mark.parametrize(
    ("family", "backbone"),
    [
        (PSPNet, "resnet18"),
        (DeepLabV3Plus, "mobilenet_v2"),
        pytest.param(FCN, "resnet18", marks=pytest.mark.slow),
        pytest.param(DeepLabV3, "resnet18", marks=pytest.mark.slow),
        pytest.param(FCN, "resnet18_v1s", marks=pytest.mark.slow),
        pytest.param(DeepLabV3Plus, "efficientnet_lite0", marks=pytest.mark.slow),
    ],
)


@pytest.fixture(autouse=True)
def _forget_compiled_code():
    """torch.compile gives up after eight variants of one function; all models share ``forward``."""
    yield
    torch.compiler.reset()


def build(family, backbone="resnet18", **kwargs):
    backend.seed(3)
    return family(4, backbone, pretrained_base=False, **kwargs).eval()


def images(height=65, width=97, num=1):
    return torch.randn(num, 3, height, width, generator=torch.Generator().manual_seed(0))


def assert_close(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4 * theirs.abs().max().item())


@NETS
def test_compiles_as_one_graph_in_evaluation_and_in_training(family, backbone):
    net = build(family, backbone, aux=True)
    compiled = torch.compile(net, fullgraph=True, backend="eager")
    with torch.no_grad():
        for ours, theirs in zip(compiled(images()), net(images())):
            assert_close(ours, theirs)
    net.train()
    sum(scores.sum() for scores in compiled(images(num=2))).backward()
    assert all(w.grad is not None for w in net.parameters() if w.requires_grad)


def test_compiled_code_gives_the_same_scores():
    net = build(FCN)
    with torch.no_grad():
        assert_close(torch.compile(net, fullgraph=True)(images(33, 33)), net(images(33, 33)))


def test_compiled_training_moves_the_running_statistics_alike():
    nets = [build(FCN).train() for _ in range(2)]
    for net, forward in zip(nets, (nets[0], torch.compile(nets[1], backend="aot_eager"))):
        torch.manual_seed(0)
        forward(images(num=2))
        del net
    for name, value in nets[0].named_buffers():
        assert_close(dict(nets[1].named_buffers())[name], value)


@pytest.mark.skipif(
    torch.__version__.startswith("2.6"), reason="max pooling fixes the parity of open sizes there"
)
@NETS
def test_exports_with_sizes_left_open(family, backbone):
    net = build(family, backbone)
    batch, height, width = (torch.export.Dim(n, min=m) for n, m in (("n", 1), ("h", 33), ("w", 33)))
    program = torch.export.export(
        net, (images(80, 96, num=2),), dynamic_shapes=({0: batch, 2: height, 3: width},)
    )
    for size in ((65, 97, 1), (120, 75, 3)):
        x = images(*size)
        with torch.no_grad():
            assert_close(program.module()(x), net(x))


@FAMILIES
def test_a_state_dict_has_torchs_names_and_loads(family):
    net = build(family)
    other = copy.deepcopy(net)
    for weight in other.parameters():
        weight.data.zero_()
    state = net.state_dict()
    assert {"pretrained.bn1.weight", "pretrained.bn1.running_var"} <= state.keys()
    other.load_state_dict(state)
    assert_close(evaluate(other, images()), evaluate(net, images()))


def test_weights_of_torchs_own_batch_norm_load_into_ours():
    theirs = torch.nn.BatchNorm2d(3)
    theirs.running_mean.normal_()
    ours = backend.nn.BatchNorm(in_channels=3)
    ours.load_state_dict(theirs.state_dict())
    ours.load_state_dict(dict(theirs.state_dict()))  # as read from safetensors
    assert torch.equal(ours.running_mean, theirs.running_mean)


def test_layers_are_torchs_own():
    net = build(FCN)
    assert isinstance(net, torch.nn.Module)
    assert isinstance(net.pretrained.conv1, torch.nn.Conv2d)
    assert isinstance(net.pretrained.bn1, torch.nn.modules.batchnorm._BatchNorm)
    assert len(list(net.head.block.children())) == 7


def test_bfloat16_and_channels_last():
    net, x = build(DeepLabV3), images()
    expected = evaluate(net, x)
    assert_close(evaluate(net.to(memory_format=torch.channels_last), x), expected)
    scores = evaluate(net.to(torch.bfloat16), x.to(torch.bfloat16))
    assert scores.dtype is torch.bfloat16
    assert (scores - expected).abs().max() < 0.1 * expected.abs().max()


def test_a_copy_is_independent_and_keeps_that_it_is_initialized():
    net = build(FCN)
    other = copy.deepcopy(net)
    other.initialize()  # draws nothing anew
    assert_close(evaluate(other, images()), evaluate(net, images()))
    other.head.block[2].weight.data.zero_()
    assert net.head.block[2].weight.abs().sum() > 0


def _ddp_step(rank, size, folder, family):
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=size
    )
    net = _step_of(
        family, images(65, 65, num=4)[rank::size], rank, torch.nn.parallel.DistributedDataParallel
    )
    if rank == 0:
        torch.save(net.state_dict(), f"{folder}/stepped.pt")
    torch.distributed.barrier()
    os._exit(0)  # now and then gloo's threads abort a process that takes its group down


def _step_of(family, x, rank, wrap):
    net = build(family, norm_layer=backend.nn.SyncBatchNorm).double()
    for module in net.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    label = torch.arange(4)[:, None, None].expand(4, 65, 65)[rank :: 4 // len(x)]
    trainer = backend.Trainer(wrap(net), SoftmaxCrossEntropyLoss())
    trainer.step(x.double(), label, 0.1)
    return net


@pytest.mark.parametrize(
    "family",
    [PSPNet, *(pytest.param(f, marks=pytest.mark.slow) for f in (FCN, DeepLabV3, DeepLabV3Plus))],
)
def test_two_processes_step_as_one_with_the_whole_batch(family, tmp_path):
    torch.multiprocessing.spawn(_ddp_step, (2, str(tmp_path), family), nprocs=2)
    stepped = torch.load(tmp_path / "stepped.pt", weights_only=True)
    whole = _step_of(family, images(65, 65, num=4), 0, lambda net: net).state_dict()
    assert stepped.keys() == whole.keys()
    for name, value in whole.items():
        np.testing.assert_allclose(stepped[name], value, rtol=1e-8, atol=1e-10, err_msg=name)


def test_other_norms_and_modules_keep_their_own_weights():
    class WithBuffer(torch.nn.GroupNorm):
        def __init__(self, in_channels):
            super().__init__(8, in_channels)
            self.register_buffer("order", torch.arange(3))

    net = FCN(3, "resnet18_v1b", WithBuffer, pretrained_base=False)
    assert torch.equal(net.pretrained.bn1.weight, torch.ones(64))
    assert torch.equal(net.pretrained.bn1.order, torch.arange(3))
    assert evaluate(net, images(33, 33)).shape == (1, 3, 33, 33)


def test_a_frozen_part_stays_in_evaluation_mode():
    net = build(FCN).train()
    net.pretrained.eval()
    running = net.pretrained.bn1.running_mean.clone()
    evaluate(net, images())
    assert net.training and not any(m.training for m in net.pretrained.modules())
    trainer = backend.Trainer(net, SoftmaxCrossEntropyLoss())
    net.pretrained.eval()
    trainer.step(images(num=2), torch.zeros(2, 65, 97, dtype=torch.int32), 0.1)
    assert torch.equal(net.pretrained.bn1.running_mean, running)


def test_a_view_of_the_parameters_follows_the_model_to_another_type():
    net = build(FCN)
    parameters = net.collect_params()
    net.double()
    parameters["pretrained.bn1.running_mean"].set_data(np.full(64, 7.0))
    with pytest.raises(ValueError, match=r"shape \(1,\): expected \(64,\)"):
        parameters["pretrained.bn1.running_mean"].set_data(np.ones(1))
    assert net.pretrained.bn1.running_mean.unique().tolist() == [7.0]


def test_wrapped_models_have_the_names_of_what_is_inside():
    net = build(FCN)
    assert backend.get_parameters(torch.compile(net)).keys() == backend.get_parameters(net).keys()


def test_half_precision_scores_of_a_large_image_give_a_finite_loss():
    class Half(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(()))

        def forward(self, x):
            return (x * self.scale).half()

    x, label = torch.zeros(1, 21, 480, 480), torch.zeros(1, 480, 480, dtype=torch.int32)
    loss = backend.Trainer(Half(), SoftmaxCrossEntropyLoss()).step(x, label, 0.1)
    assert abs(loss - np.log(21)) < 1e-3
