"""The kernels for CUDA, on Triton's interpreter; where there is CUDA, on it."""

import importlib.util
import os
import subprocess
import sys
import types
import warnings
from pathlib import Path

import pytest
import torch

from gluonvision.backend.torch import kernels as kernels_package
from gluonvision.backend.torch.kernels import dispatch
from gluonvision.backend.torch.kernels.upsampled_argmax import upsampled_argmax

# In a process of its own: the interpreter is chosen when Triton is first imported.
COMPARE = """
import sys
import torch
from gluonvision.backend.torch.kernels import fused_loss, triton_kernels, upsampled_argmax

device = "cuda" if torch.cuda.is_available() else "cpu"
sizes = [((2, 5, 3, 4), (24, 32)), ((1, 40, 4, 5), (29, 33)), ((2, 5, 1, 4), (7, 29)),
         ((1, 5, 1, 1), (6, 5)), ((1, 5, 4, 6), (9, 6))]
for shape, size in sizes:
    for align_corners in (True, False):
        generator = torch.Generator().manual_seed(0)
        scores = 4 * torch.randn(shape, generator=generator)
        label = torch.randint(-1, shape[1], (shape[0], *size), generator=generator).int()
        gradient = torch.randn(label.shape, generator=generator)
        expected = fused_loss._fused._init_fn(scores, label, align_corners)
        backward = fused_loss._fused_backward._init_fn
        expected += backward(scores, label, expected[1], gradient, align_corners),
        classes = upsampled_argmax.upsampled_argmax(scores, size, align_corners)
        scores, label, gradient = (t.to(device) for t in (scores, label, gradient))
        ours = triton_kernels.log_probability(scores, label, align_corners)
        backward = triton_kernels.log_probability_gradient
        ours += backward(scores, label, ours[1], gradient, align_corners),
        for own, other in zip(ours, expected):
            torch.testing.assert_close(own.cpu(), other, rtol=0, atol=1e-5)
        own = triton_kernels.upsampled_argmax(scores, size, align_corners).cpu()
        assert (own != classes).float().mean() < 0.002
label[:] = 5
log_p, _ = triton_kernels.log_probability(scores, label, True)
assert torch.isnan(log_p).all()
print("the same")
"""


@pytest.fixture(params=["wrong numbers", "an error", "sound"])
def kernels(request, monkeypatch):
    """Triton's module replaced by one with the CPU's classes, those off by one, or an error."""

    def classes(scores, size, align_corners):
        if request.param == "an error":
            raise RuntimeError("Failed to find C compiler")
        right = upsampled_argmax(scores, size, align_corners)
        return right + 1 if request.param == "wrong numbers" else right

    name = "gluonvision.backend.torch.kernels.triton_kernels"
    replaced = types.SimpleNamespace(upsampled_argmax=classes)
    monkeypatch.setitem(sys.modules, name, replaced)
    monkeypatch.setattr(kernels_package, "triton_kernels", replaced, raising=False)
    dispatch._triton_works.cache_clear()
    yield request.param
    dispatch._triton_works.cache_clear()


@pytest.mark.parametrize("is_compiled", [False, True])
def test_kernels_that_do_not_work_are_not_used_and_why_is_told_once(kernels, is_compiled):
    def work(x):
        return x + 1 if dispatch.triton_works(x.device) else x

    if is_compiled:
        torch._dynamo.reset()
        work = torch.compile(work, backend="eager", fullgraph=True)
    with warnings.catch_warnings(record=True) as told, torch.inference_mode():
        warnings.simplefilter("always")
        results = [work(torch.zeros(size)).sum().item() for size in (1, 1)]
    told = [str(w.message) for w in told if "Triton does not work on cpu" in str(w.message)]
    assert results == [kernels == "sound"] * 2
    assert len(told) == (kernels != "sound")
    assert not told or ("C compiler" in told[0]) == (kernels == "an error")


@pytest.mark.skipif(
    torch.__version__.startswith("2.6") and not torch.cuda.is_available(),
    reason="Triton 3.2 interprets int32 indices as int64, and writes past the end of the result",
)
@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
def test_the_kernels_are_the_cpus_numbers():
    environment = dict(os.environ)
    if not torch.cuda.is_available():
        environment["TRITON_INTERPRET"] = "1"
    result = subprocess.run(
        [sys.executable, "-c", COMPARE],
        capture_output=True,
        text=True,
        env=environment,
        cwd=Path(__file__).parents[2],
    )
    assert result.stdout == "the same\n", result.stderr
