"""Weights of GluonCV and of MXNet's own zoo: nets built, run and saved there, loaded here."""

import json
import shutil

import foreign_cases
import numpy as np
import peers
import pytest
from foreign_cases import GLUONCV_SEGMENTATION

from gluonvision.backend import get_parameters
from gluonvision.model_zoo import get_model, list_models
from gluonvision.model_zoo.weights.importers import convert

pytestmark = pytest.mark.skipif(
    not (peers.installed("gluoncv") and peers.installed("mxnet")),
    reason="GluonCV or MXNet is not installed",
)

BACKENDS = ("torch", "mxnet")
CASES = [n for n in foreign_cases.CASES if n.startswith(("cv_", "mx_"))]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """The folder of what GluonCV and MXNet gave, and what each backend gave for their files."""
    folder = tmp_path_factory.mktemp("gluon")
    yield foreign_cases.write_and_read("mxnet", CASES, folder)
    shutil.rmtree(folder)  # a gigabyte


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", CASES)
def test_loads_with_equal_outputs(outputs, case, backend):
    has_aux_that_is_unused = case in ("cv_fcn", "cv_psp", "cv_deeplab")
    num_outputs = 1 if has_aux_that_is_unused else None
    foreign_cases.assert_equal_outputs(outputs, case, backend, num_outputs)


def test_the_two_outputs_of_a_model_with_aux_differ(outputs):
    scores = np.load(outputs / "cv_fcn.plain.npz")
    assert foreign_cases.relative_difference(scores["arr_0"], scores["arr_1"]) > 0.1


@pytest.mark.parametrize(
    ("file", "name"), [("mx_18_v2", "dilated_resnet18"), ("cv_50_v1s", "resnet50_v1s")]
)
def test_a_backbone_passes_over_the_classifier_under_its_legacy_names(outputs, file, name):
    legacy, structural = (
        get_parameters(get_model(name, pretrained=outputs / f"{file}.{kind}", classes=None))
        for kind in ("legacy", "params")
    )
    assert legacy.keys() == structural.keys()
    for parameter, value in legacy.items():
        np.testing.assert_array_equal(value, structural[parameter])


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    foreign_cases.finish(foreign_cases.start("mxnet", "shapes", folder, GLUONCV_SEGMENTATION))
    return {
        name: json.loads((folder / f"{name}.json").read_text()) for name in GLUONCV_SEGMENTATION
    }


@pytest.mark.parametrize("name", GLUONCV_SEGMENTATION)
def test_names_and_shapes_fit_for_every_model_of_gluoncv(shapes, name):
    assert name in list_models()
    theirs, ours = shapes[name]
    # What docs/from_gluoncv.md does on the way back.
    back = {parameter.removeprefix("pretrained.") for parameter in ours}
    assert {p.replace("aspp.branches.", "aspp.concurent.") for p in back} == theirs.keys()
    theirs = convert(theirs, ours)
    assert theirs.keys() == ours.keys()
    for parameter, shape in theirs.items():
        known = [(a, b) for a, b in zip(shape, ours[parameter], strict=True) if a]
        assert known and all(a == b for a, b in known), parameter


@pytest.fixture(scope="module")
def back(tmp_path_factory):
    """The folder of a model of ours from each backend, and of what GluonCV gives with them."""
    folder = tmp_path_factory.mktemp("back")
    foreign_cases.finish(
        *(foreign_cases.start(b, "save", folder, ["resnet18_v1b"]) for b in BACKENDS)
    )
    foreign_cases.finish(foreign_cases.start("mxnet", "back", folder, ["resnet18_v1b"]))
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("backend", BACKENDS)
def test_gluoncv_loads_what_we_save(back, backend):
    ours = np.load(back / f"resnet18_v1b.{backend}.npz")["arr_0"]
    theirs = np.load(back / f"resnet18_v1b.{backend}.back.npz")["arr_0"]
    assert foreign_cases.relative_difference(ours, theirs) < 1e-4
