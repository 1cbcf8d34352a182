"""Data for the tests: a small generated set everywhere, real images where they lie beside."""

from pathlib import Path

import pytest

from gluonvision.data.datasets.synthetic import make_voc_like


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
