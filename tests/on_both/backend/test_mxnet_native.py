"""Under MXNet nothing of MXNet is taken away."""

import json

import numpy as np
import pytest

from gluonvision import backend, model_zoo
from gluonvision.backend import evaluate, parameters_file

if backend.NAME != "mxnet":
    pytest.skip("MXNet's own ways", allow_module_level=True)

import mxnet as mx
from mxnet import autograd, gluon, init
from mxnet.gluon import nn
from mxnet.gluon.nn import HybridBlock

from gluonvision.model_zoo import SegBaseModel


def images(height=65, width=97, num=1):
    return mx.nd.random.normal(shape=(num, 3, height, width))


class _FCNHead(HybridBlock):
    """A head with MXNet's own imports."""

    def __init__(self, in_channels, channels, norm_layer, **kwargs):
        super(_FCNHead, self).__init__()  # noqa: UP008
        with self.name_scope():
            self.block = nn.HybridSequential(prefix="")
            with self.block.name_scope():
                self.block.add(norm_layer(in_channels=in_channels))
                self.block.add(nn.Activation("relu"))
                self.block.add(
                    nn.Conv2D(in_channels=in_channels, channels=16, kernel_size=3, padding=1)
                )
                self.block.add(norm_layer(in_channels=16))
                self.block.add(nn.Activation("relu"))
                self.block.add(nn.Dropout(0.1))
                self.block.add(nn.Conv2D(in_channels=16, channels=channels, kernel_size=1))

    def hybrid_forward(self, F, x):
        return self.block(x)


class _FCN(SegBaseModel):
    """A model with MXNet's own imports."""

    def __init__(self, nclass, backbone="resnet50", norm_layer=nn.BatchNorm, **kwargs):
        super(_FCN, self).__init__(backbone, norm_layer, **kwargs)  # noqa: UP008
        self._prefix = ""
        with self.name_scope():
            self.head = _FCNHead(512, nclass, norm_layer=norm_layer)
        self.head.initialize(init=init.Xavier())

    def forward(self, x):
        _, _, H, W = x.shape
        x = self.pretrained(x)
        x = self.head(x)
        return mx.nd.contrib.BilinearResize2D(x, height=H, width=W)


def test_a_model_with_mxnets_imports_runs_and_trains():
    model = _FCN(22, "resnet18", pretrained_base=False)
    model.collect_params().reset_ctx([mx.cpu(0)])
    trainer = gluon.Trainer(model.collect_params(), "sgd", {"learning_rate": 0.1})
    loss = gluon.loss.SoftmaxCrossEntropyLoss(axis=1)
    label = mx.nd.zeros((2, 33, 33))
    losses = []
    for _ in range(3):
        with autograd.record():
            value = loss(model(mx.nd.ones((2, 3, 33, 33))), label).mean()
        value.backward()
        trainer.step(1)
        losses.append(value.asscalar())
    assert losses[2] < losses[0]


def test_the_tutorials_lines_run_as_typed(tmp_path):
    F = mx.nd
    _FCN(22, "resnet18", pretrained_base=False).save_parameters(str(tmp_path / "fcn.params"))
    model = _FCN(22, "resnet18", pretrained_base=False)
    with pytest.warns(UserWarning, match="deprecated"):
        model.load_params(str(tmp_path / "fcn.params"), ctx=mx.cpu())
    ctx = mx.cpu(0)
    model.collect_params().reset_ctx(ctx)
    output = model(images().as_in_context(ctx))
    predict = F.squeeze(F.argmax(output, 1)).asnumpy()
    from gluonvision.utils import get_mask

    get_mask(predict, "pascal_voc").save(str(tmp_path / "output.png"))
    assert predict.shape == (65, 97)


@pytest.mark.parametrize("family", ["FCN", "PSPNet", "DeepLabV3", "DeepLabV3Plus"])
def test_a_hybridized_model_exports_to_a_symbol_of_any_size(family, tmp_path):
    net = getattr(model_zoo, family)(3, "resnet18", pretrained_base=False)
    net.hybridize()
    expected = evaluate(net, images())
    net.export(str(tmp_path / "net"))
    alone = gluon.SymbolBlock.imports(
        str(tmp_path / "net-symbol.json"), ["data"], str(tmp_path / "net-0000.params")
    )
    assert alone(images()).shape == expected.shape
    for x in (images(), images(71, 50, num=2)):
        np.testing.assert_allclose(
            alone(x).asnumpy(), evaluate(net, x).asnumpy(), rtol=1e-4, atol=1e-3
        )


def test_mxnet_alone_reads_what_is_saved(tmp_path):
    net = model_zoo.PSPNet(3, "mobilenet_v2", pretrained_base=False)
    path = str(tmp_path / "net.params")
    parameters_file.save(path, backend.get_parameters(net))
    arrays = mx.nd.load(path)
    ours = backend.get_parameters(net)
    assert arrays.keys() == ours.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array.asnumpy(), ours[name])
    net.load_parameters(path)


def test_a_parameter_keeps_the_initializer_it_was_given():
    net = nn.HybridSequential()
    net.add(nn.Conv2D(4, 1, in_channels=3, bias_initializer=init.Constant(-4.6)), nn.PReLU())
    backend.initialize(net)
    assert set(net[0].bias.data().asnumpy()) == {np.float32(-4.6)}
    assert net[1].alpha.data().asscalar() == 0.25


def test_weights_load_into_layers_that_infer_their_sizes(tmp_path):
    net, other = nn.HybridSequential(), nn.HybridSequential()
    net.add(nn.Conv2D(4, 1, in_channels=3))
    other.add(nn.Conv2D(4, 1))
    backend.initialize(net)
    backend.set_parameters(other, backend.get_parameters(net))
    x = images(8, 9)
    np.testing.assert_array_equal(other(x).asnumpy(), net(x).asnumpy())


@pytest.mark.parametrize(
    ("num_devices", "operator"), [(1, "BatchNorm"), (2, "_contrib_SyncBatchNorm")]
)
def test_a_norm_that_has_nothing_to_synchronize_with_is_a_plain_one(num_devices, operator):
    """MXNet's operator for one device corrupts memory where two contexts run it side by side."""
    layer = backend.nn.SyncBatchNorm(in_channels=3, num_devices=num_devices)
    graph = json.loads(layer(mx.sym.var("data")).tojson())
    assert [node["op"] for node in graph["nodes"] if node["op"] != "null"] == [operator]
