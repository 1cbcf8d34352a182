"""Data for the tests: a small generated set everywhere, real images where they lie beside."""

import os
from pathlib import Path

import pytest

from gluonvision.data.datasets.synthetic import make_voc_like


def pytest_runtest_setup(item):
    """Skip the tests that are marked as needing a system or a device that is not here."""
    if os.name == "nt" and item.get_closest_marker("posix"):
        pytest.skip("needs POSIX: signals, pipes, links or limits of a process")
    if item.get_closest_marker("gpu") and not _has_cuda():
        pytest.skip("needs a CUDA device")


def _has_cuda() -> bool:
    torch = pytest.importorskip("torch")
    return torch.cuda.is_available()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images beside the repository; skips where there is none."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"real images are not at {folder}")
    return folder


@pytest.fixture(scope="session")
def voc_like(tmp_path_factory) -> Path:
    """The root of a generated VOC of six images of 90 x 120; not to be written to."""
    root = tmp_path_factory.mktemp("voc_like")
    make_voc_like(root, num_images=6, size=(90, 120))
    return root
