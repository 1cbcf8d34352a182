"""A graph written by either backend, read back and run: the net's classes, at other sizes too."""

import json

import numpy as np
import pytest

from gluonvision import backend
from gluonvision.data.meta import get_meta
from gluonvision.deployment.export import export, export_formats
from gluonvision.model_zoo import FCN
from gluonvision.segmentation import predict

CAMVID = get_meta("camvid")
FORM = next(format for format in backend.EXPORT_FORMATS if format != "onnx")


@pytest.fixture(scope="module", params=["resnet18_v1b", "efficientnet_lite0"])
def net(request):
    backend.seed(0)
    net = FCN(CAMVID.num_class, request.param, pretrained_base=False, aux=True)
    drawn = np.random.default_rng(0)
    arrays = backend.get_parameters(net)
    for name, value in arrays.items():
        if name.endswith(("running_mean", "running_var")):
            arrays[name] = drawn.uniform(0.5, 1.5, value.shape).astype("float32")
    backend.set_parameters(net, arrays)
    return net


@pytest.fixture(scope="module")
def graph(net, tmp_path_factory):
    """The file of a graph that takes photographs and gives classes."""
    path = tmp_path_factory.mktemp("graph") / f"fcn{export_formats()[FORM]}"
    done = export(net, path, FORM, CAMVID, "fcn", normalization=True, classes=True)
    assert done.path == path and done.difference == 0
    return path


def test_a_graph_gives_the_nets_classes_at_any_size(net, graph):
    run = backend.read_graph(FORM, graph)
    drawn = np.random.default_rng(1)
    for size in ((1, 71, 90), (2, 64, 33)):
        images = drawn.integers(0, 256, (*size, 3), np.uint8)
        masks = run(images)
        assert masks.dtype == np.uint8 and len(np.unique(masks)) > 1
        expected = np.stack([predict(net, image) for image in images])
        assert (masks == expected).mean() > 0.999


def test_a_graph_has_the_facts_beside_it(graph):
    if FORM == "mxnet":
        facts = {k: v[1] for k, v in json.loads(graph.read_text())["attrs"].items()}
        names = {file.name for file in graph.parent.iterdir()}
        assert names == {"fcn-symbol.json", "fcn-0000.params"}
    else:
        torch = pytest.importorskip("torch")
        facts = {"classes": "", "input": ""}
        torch.export.load(graph, extra_files=facts)
        assert [file.name for file in graph.parent.iterdir()] == ["fcn.pt2"]
    assert json.loads(facts["classes"]) == list(CAMVID.classes)
    assert json.loads(facts["input"])["layout"] == "NHWC"


def test_forms_of_the_other_backend_are_refused_with_the_way_to_them(net, tmp_path):
    other = "onnx" if FORM == "mxnet" else "mxnet"
    with pytest.raises(ValueError, match=f"expected one of {FORM}|GLUONVISION_BACKEND="):
        export(net, tmp_path / "a.onnx", other, CAMVID)
    assert not list(tmp_path.iterdir())
