"""What a command imports: nothing that takes its time and is not used."""

import subprocess
import sys

import pytest

UNUSED = {"matplotlib", "scipy", "pandas", "tensorboardX", "torchvision", "timm"}


@pytest.mark.parametrize("module", ["gluonvision.commands.demo"])
def test_prediction_imports_no_library_that_it_does_not_use(module):
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    loaded = set(result.stdout.split())
    assert "torch" in loaded and not loaded & UNUSED
    assert "torch._dynamo" not in result.stdout
