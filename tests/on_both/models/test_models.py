"""What every segmentation model and every backbone promises; one contract, inherited by each."""

import numpy as np
import pytest

from gluonvision import backend, model_zoo
from gluonvision.backend import F, HybridBlock, array, as_numpy, evaluate, init, nn
from gluonvision.model_zoo import FCN, DeepLabV3, DeepLabV3Plus, PSPNet, SegBaseModel

BACKBONES = sorted(model_zoo.backbones.BACKBONES)
SMALL_BACKBONES = (
    "resnet18",
    "resnet18_v1b",
    "resnet18_v1s",
    "mobilenet_v2",
    "efficientnet_lite0",
)
# Millions of parameters, as the release notes of EfficientNet-Lite give them.
LITE_PARAMETERS = (4.65, 5.42, 6.09, 8.19, 13.0)


def images(height, width, num=1, channels=3):
    return array(
        np.random.default_rng(0).standard_normal((num, channels, height, width), np.float32)
    )


class ModelContract:
    """A sub-class names its ``model``."""

    model: type

    def build(self, backbone="resnet18", **kwargs):
        backend.seed(5)
        return self.model(3, backbone, pretrained_base=False, **kwargs)

    @pytest.mark.parametrize("size", [(33, 33), (64, 96), (71, 50)])
    def test_scores_have_the_size_of_the_image(self, size):
        assert evaluate(self.build(), images(*size)).shape == (1, 3, *size)

    @pytest.mark.parametrize("backbone", SMALL_BACKBONES)
    def test_fits_every_family_of_backbones_at_every_stride(self, backbone):
        for output_stride in (8, 16, 32):
            net = self.build(backbone, output_stride=output_stride)
            assert evaluate(net, images(65, 33)).shape == (1, 3, 65, 33)
            assert net.pretrained.stages[-1].stride == output_stride

    def test_an_auxiliary_head_gives_a_second_output(self):
        scores, aux = evaluate(self.build(aux=True), images(40, 56))
        assert scores.shape == aux.shape == (1, 3, 40, 56)
        assert np.abs(as_numpy(scores) - as_numpy(aux)).max() > 1e-3

    def test_images_may_have_other_than_three_channels(self):
        net = self.build(in_channels=5)
        assert evaluate(net, images(33, 41, channels=5)).shape == (1, 3, 33, 41)

    def test_an_image_is_scored_alike_alone_and_in_a_batch(self):
        net, x = self.build(), images(48, 40, num=3)
        whole = as_numpy(evaluate(net, x))
        alone = as_numpy(evaluate(net, x[1:2]))
        np.testing.assert_allclose(alone, whole[1:2], rtol=1e-4, atol=1e-4 * np.abs(whole).max())

    def test_saved_weights_give_the_same_scores(self, tmp_path):
        net, x = self.build(aux=True), images(33, 49)
        net.save_parameters(str(tmp_path / "net.params"))
        backend.seed(6)
        other = self.model(3, "resnet18", pretrained_base=False, aux=True)
        assert not np.array_equal(as_numpy(evaluate(net, x)[0]), as_numpy(evaluate(other, x)[0]))
        other.load_parameters(str(tmp_path / "net.params"))
        for ours, theirs in zip(evaluate(net, x), evaluate(other, x)):
            np.testing.assert_array_equal(as_numpy(ours), as_numpy(theirs))

    def test_every_weight_learns(self):
        from gluonvision.loss import SoftmaxCrossEntropyLoss

        net = self.build(aux=True)
        label = array(np.random.default_rng(1).integers(-1, 3, (2, 65, 65)).astype(np.int32))
        before = backend.get_parameters(net)
        backend.Trainer(net, SoftmaxCrossEntropyLoss()).step(images(65, 65, num=2), label, 0.1)
        after = backend.get_parameters(net)
        fixed = ("pretrained.bn0.gamma", "pretrained.bn0.beta")
        still = [n for n in before if np.array_equal(before[n], after[n]) and n not in fixed]
        assert not still

    def test_a_number_of_classes_below_one_is_refused(self):
        with pytest.raises(ValueError, match="nclass=0"):
            self.model(0, "resnet18", pretrained_base=False)

    def test_a_wrong_backbone_is_refused_with_the_right_ones(self):
        with pytest.raises(ValueError, match="resnext.*resnet50_v1b"):
            self.model(3, "resnext", pretrained_base=False)


class TestFCN(ModelContract):
    model = FCN


class TestPSPNet(ModelContract):
    model = PSPNet


class TestDeepLabV3(ModelContract):
    model = DeepLabV3


class TestDeepLabV3Plus(ModelContract):
    model = DeepLabV3Plus

    def test_its_head_can_be_narrower(self):
        net = self.build(head_channels=24)
        assert evaluate(net, images(33, 49)).shape == (1, 3, 33, 49)
        shapes = backend.parameter_shapes(net)
        assert shapes["head.aspp.project.0.weight"] == (24, 5 * 24, 1, 1)
        assert shapes["head.block.13.weight"] == (3, 24, 1, 1)

    def test_its_decoder_resizes_as_its_scores_are(self):
        x, scores = images(48, 64), []
        for align_corners in (True, False):
            net = self.build(align_corners=align_corners)
            net.align_corners = True
            scores.append(as_numpy(evaluate(net, x)))
            net.head.align_corners = True
            scores.append(as_numpy(evaluate(net, x)))
        corners, still_corners, centres, again_corners = scores
        np.testing.assert_array_equal(corners, still_corners)
        np.testing.assert_array_equal(corners, again_corners)
        assert np.abs(corners - centres).max() > 1e-3


def _slow_if_large(backbone):
    """The families have the same code at every depth."""
    is_large = any(size in backbone for size in ("34", "101", "152", "lite2", "lite3", "lite4"))
    return pytest.param(backbone, marks=[pytest.mark.slow] if is_large else [])


@pytest.mark.parametrize("backbone", map(_slow_if_large, BACKBONES))
def test_a_backbone_publishes_the_stages_that_it_has(backbone):
    net = model_zoo.get_backbone(backbone, classes=None, output_stride=16)
    maps = [as_numpy(m).shape for m in _extract(net, images(65, 97))]
    assert [stage.stride for stage in net.stages] == [4, 8, 16, 16]
    for stage, shape in zip(net.stages, maps):
        assert shape[1:] == (stage.channels, 64 // stage.stride + 1, 96 // stage.stride + 1)


def _extract(net, x):
    class Maps(HybridBlock):
        def __init__(self):
            super().__init__()
            self.net = net

        def hybrid_forward(self, F, x):
            return self.net.extract(x)

    return evaluate(Maps(), x)


@pytest.mark.parametrize("backbone", SMALL_BACKBONES)
def test_dilation_gives_the_plain_network_at_more_places(backbone):
    plain, dilated = (
        model_zoo.get_backbone(backbone, classes=None, output_stride=stride) for stride in (32, 8)
    )
    backend.set_parameters(dilated, backend.get_parameters(plain))
    x = images(129, 97)
    sparse, dense = as_numpy(evaluate(plain, x)), as_numpy(evaluate(dilated, x))
    np.testing.assert_allclose(
        dense[:, :, ::4, ::4], sparse, rtol=1e-3, atol=1e-4 * np.abs(sparse).max()
    )


@pytest.mark.parametrize("backbone", SMALL_BACKBONES)
def test_a_classifier_is_an_option(backbone):
    net = model_zoo.get_backbone(backbone, classes=7)
    assert evaluate(net, images(65, 65, num=2)).shape == (2, 7)
    with pytest.raises(ValueError, match="classes=0"):
        model_zoo.get_backbone(backbone, classes=0)


@pytest.mark.parametrize("number", range(5))
def test_efficientnet_lite_has_the_published_number_of_parameters(number):
    shapes = backend.parameter_shapes(model_zoo.get_model(f"efficientnet_lite{number}"))
    learned = [np.prod(shape) for name, shape in shapes.items() if "running" not in name]
    assert sum(learned) / 1e6 == pytest.approx(LITE_PARAMETERS[number], abs=0.01)


def test_efficientnet_lite_pads_as_at_its_own_resolution():
    """A constant image is constant inside, and differs on the side that is padded."""
    net = model_zoo.get_backbone("efficientnet_lite0", classes=None)
    weights = backend.get_parameters(net)
    weights = {n: np.ones_like(w) if n == "stem.0.conv.weight" else w for n, w in weights.items()}
    backend.set_parameters(net, weights)
    x = array(np.full((1, 3, 8, 6), 0.1, np.float32))
    taps = as_numpy(evaluate(net.stem[0], x))[0, 0] / 0.3
    np.testing.assert_allclose(taps, np.outer([3, 3, 3, 2], [3, 3, 2]), rtol=1e-5)


def test_dilated_resnets_by_number_of_layers():
    net = model_zoo.get_dilated_resnet(18, classes=None)
    assert isinstance(net, model_zoo.Dilated_ResNetV2) and net.stages[-1].stride == 8
    with pytest.raises(ValueError, match="num_layers=20.*152"):
        model_zoo.get_dilated_resnet(20)


def test_an_impossible_output_stride_is_refused():
    with pytest.raises(ValueError, match="output_stride=4.*8, 16, 32"):
        FCN(3, "resnet18", pretrained_base=False, output_stride=4)


def test_imagenet_weights_are_for_three_channels():
    with pytest.raises(ValueError, match="in_channels=4.*pretrained_base=False"):
        FCN(3, "resnet18", in_channels=4)


def test_synchronized_norms_with_arguments():
    net = FCN(
        3, "resnet18", nn.SyncBatchNorm, pretrained_base=False, norm_kwargs={"num_devices": 1}
    )
    assert isinstance(net.pretrained.bn1, nn.SyncBatchNorm)
    assert isinstance(net.head.block[0], nn.SyncBatchNorm)
    assert evaluate(net, images(33, 33)).shape == (1, 3, 33, 33)


class _FCNHead(HybridBlock):
    """The tutorial's head, as its reader types it."""

    def __init__(self, in_channels, channels, norm_layer, **kwargs):
        super(_FCNHead, self).__init__()  # noqa: UP008
        with self.name_scope():
            self.block = nn.HybridSequential(prefix="")
            inter_channels = in_channels // 4
            with self.block.name_scope():
                self.block.add(norm_layer(in_channels=in_channels))
                self.block.add(nn.Activation("relu"))
                self.block.add(
                    nn.Conv2D(
                        in_channels=in_channels, channels=inter_channels, kernel_size=3, padding=1
                    )
                )
                self.block.add(norm_layer(in_channels=inter_channels))
                self.block.add(nn.Activation("relu"))
                self.block.add(nn.Dropout(0.1))
                self.block.add(
                    nn.Conv2D(in_channels=inter_channels, channels=channels, kernel_size=1)
                )

    def hybrid_forward(self, F, x):
        return self.block(x)


class _TutorialFCN(SegBaseModel):
    """The tutorial's model, as its reader types it."""

    def __init__(self, nclass, backbone="resnet50", norm_layer=nn.BatchNorm):
        super(_TutorialFCN, self).__init__(backbone, norm_layer)  # noqa: UP008
        self._prefix = ""
        with self.name_scope():
            self.head = _FCNHead(512, nclass, norm_layer=norm_layer)
        self.head.initialize(init=init.Xavier())

    def forward(self, x):
        _, _, H, W = x.shape
        x = self.pretrained(x)
        x = self.head(x)
        return F.contrib.BilinearResize2D(x, height=H, width=W)


@pytest.fixture
def imagenet_weights(tmp_path, monkeypatch):
    """Weights of ``dilated_resnet18`` (drawn, not trained) where the store would put them."""
    backend.seed(11)
    net = model_zoo.dilated_resnet18()
    path = tmp_path / "drawn.params"
    net.save_parameters(str(path))
    found = model_zoo.weights.store.WeightsFile(path, "gluonvision")
    monkeypatch.setattr(model_zoo.weights.store, "find_weights", lambda name, root=None: found)
    return backend.get_parameters(net)


def test_a_model_written_as_in_the_tutorial_runs(imagenet_weights):
    net = _TutorialFCN(4, "resnet18")
    assert evaluate(net, images(45, 60)).shape == (1, 4, 45, 60)
    loaded = backend.get_parameters(net)
    for name, value in loaded.items():
        if name.startswith("pretrained."):
            np.testing.assert_array_equal(value, imagenet_weights[name.removeprefix("pretrained.")])


def test_the_tutorials_lines_run_as_typed(tmp_path):
    from gluonvision.utils import get_mask

    FCN(22, "resnet18", pretrained_base=False).save_parameters(str(tmp_path / "fcn.params"))
    model = FCN(nclass=22, backbone="resnet18", pretrained_base=False)
    model.load_params(str(tmp_path / "fcn.params"))
    model.collect_params().reset_ctx(backend.cpu())
    output = evaluate(model, images(60, 80))
    predict = as_numpy(F.squeeze(F.argmax(output, 1)))
    get_mask(predict, "pascal_voc").save(str(tmp_path / "output.png"))
    assert predict.shape == (60, 80) and (tmp_path / "output.png").stat().st_size > 0


def test_hybridize_changes_nothing():
    net, x = PSPNet(3, "resnet18", pretrained_base=False, aux=True), images(41, 57)
    before = [as_numpy(y) for y in evaluate(net, x)]
    net.hybridize()
    for ours, theirs in zip(evaluate(net, x), before):
        np.testing.assert_allclose(as_numpy(ours), theirs, rtol=1e-4, atol=1e-3)
    assert evaluate(net, images(33, 65, num=2))[0].shape == (2, 3, 33, 65)


def test_models_have_names():
    names = model_zoo.list_models("fcn_resnet*_voc")
    assert names == ["fcn_resnet101_voc", "fcn_resnet50_voc"]
    assert {"dilated_resnet50", "resnet50_v1s", "mobilenet_v2"} <= set(model_zoo.list_models())
    net = model_zoo.get_model("fcn_resnet50_voc", nclass=2)
    assert evaluate(net, images(33, 33)).shape == (1, 2, 33, 33)
    with pytest.raises(ValueError, match="fcn_resnet50_vocc.*fcn_resnet50_voc"):
        model_zoo.get_model("fcn_resnet50_vocc")


def test_a_model_cannot_be_registered_twice():
    with pytest.raises(ValueError, match="mobilenet_v2"):
        model_zoo.register_model(model_zoo.mobilenet_v2)
