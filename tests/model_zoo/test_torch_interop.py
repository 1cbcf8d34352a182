"""Weights of torchvision and timm: nets built, run and saved there, loaded here."""

import shutil

import foreign_cases
import peers
import pytest

CASES = [n for n in foreign_cases.CASES if n.startswith(("tv_", "timm_", "mobilenet_", "lite"))]


def _missing(case):
    """Why the case cannot run here, or None."""
    file = foreign_cases.FILES[foreign_cases.CASES[case].file]
    if not (peers.installed("torchvision") and peers.installed(file.library)):
        return f"{file.library} is not installed"
    if "_real" in case and file.trained is None:
        return "the package that has the trained weights is not installed"
    return None


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """The folder of what the libraries gave, and what each backend gave for their files."""
    folder = tmp_path_factory.mktemp("torch")
    cases = [case for case in CASES if _missing(case) is None]
    yield foreign_cases.write_and_read("torch", cases, folder)
    shutil.rmtree(folder)  # a gigabyte


@pytest.mark.parametrize("backend", ["torch", "mxnet"])
@pytest.mark.parametrize("case", CASES)
def test_loads_with_equal_outputs(outputs, case, backend):
    if reason := _missing(case):
        pytest.skip(reason)
    if not peers.installed(backend):
        pytest.skip(f"{backend} is not installed")
    # Its head is the same, and its auxiliary one is not asked for.
    num_outputs = 1 if case == "tv_fcn name" else None
    foreign_cases.assert_equal_outputs(outputs, case, backend, num_outputs)
