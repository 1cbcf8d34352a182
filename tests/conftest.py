"""What all tests share: data, skipped markers and a cache of compiled code."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from gluonvision.data.datasets.synthetic import make_voc_like


def pytest_configure(config):
    """Give torch.compile a cache of its own: a shared one may hold another processor's code."""
    if "TORCHINDUCTOR_CACHE_DIR" not in os.environ:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = tempfile.mkdtemp(prefix="inductor")
        config.add_cleanup(
            lambda: shutil.rmtree(os.environ.pop("TORCHINDUCTOR_CACHE_DIR"), ignore_errors=True)
        )


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
    """The folder of real images next to the repository; skips if it is missing."""
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
