"""Prepare nets for prediction: in another precision, with norms folded into convolutions.

On a CPU, convolutions take nearly all of the time, and float32 already runs at the CPU's peak.
Without matrix units (AMX), bfloat16 and float16 are slower. Only 8-bit integers are faster: four
times with VNNI. Weights are quantized once, for each channel. Activations are quantized for each
image by their own range, so nothing needs calibration and no result depends on earlier images. The
first layer and the classifier, which lose most accuracy in 8 bits, stay in float32.

An x86 CPU without VNNI adds the products of two neighbouring channels in 16 bits and clips their
sum. There, weights are quantized to larger steps so that no sum is clipped. This costs little
accuracy, but such a CPU gains little speed: a third on a ResNet50.
"""

import copy
import functools
import platform
from collections.abc import Callable
from typing import Any

import torch

from gluonvision.backend.precisions import check_inference_precision
from gluonvision.backend.torch.arrays import HALF_TYPES
from gluonvision.backend.torch.evaluation import evaluate
from gluonvision.backend.torch.layers import BatchNorm

# Narrower layers, such as the first one and the classifier, gain little speed and lose most
# accuracy.
_MIN_CHANNELS = 32
_TRIAL_SIDE = 65
# Integers save time for each product and cost time for each output. From about this many products
# per output on, they are faster.
_MIN_PRODUCTS_PER_OUTPUT = 300
# The layout of packed weights is chosen for a size; it works for all sizes.
_PACKED_FOR = 64
_LARGEST_WEIGHT = 127
# Two products sum to at most 32767 in 16 bits: 128 * 255 fits, 129 * 255 does not.
_LARGEST_PAIR = 128
# This many numbers, with their results, fit into a core's own cache.
_IN_CACHE = 1 << 17


def prepare_inference(net: torch.nn.Module, precision: str = "auto") -> torch.nn.Module:
    """Return a net that predicts like ``net`` in another precision; ``net`` is unchanged.

    Args:
        net: the net.
        precision: 'fp32' is ``net`` itself. 'bf16' and 'fp16' run its weights under autocast.
            'int8' is a copy, for CPUs only. 'auto' is int8 where that is about twice as fast, on
            CPUs with VNNI for nets that spend their time in wide convolutions (ResNets, not
            MobileNets), and fp32 elsewhere.

    Raises:
        ValueError: the precision is unknown, or this device has no int8.
    """
    check_inference_precision(precision)
    if precision == "auto":
        precision = "int8" if _is_fast_in_int8(net) else "fp32"
    if precision == "int8":
        return _in_int8(net)
    return net if precision == "fp32" else _under_autocast(net, HALF_TYPES[precision])


def _is_fast_in_int8(net: torch.nn.Module) -> bool:
    # On CPUs other than x86, int8 is exact too, but its speed has not been measured.
    if not _can_be_int8(net) or platform.machine() not in ("x86_64", "AMD64"):
        return False
    return not _clips_sums() and _products_per_output(net) > _MIN_PRODUCTS_PER_OUTPUT


def _can_be_int8(net: torch.nn.Module) -> bool:
    weight = next(net.parameters())
    is_plain = weight.device.type == "cpu" and weight.dtype == torch.float32
    return is_plain and torch.backends.mkldnn.is_available()


def _products_per_output(net: torch.nn.Module) -> float:
    """Return the products that integers can compute, per output of all convolutions."""
    counts = {"products": 0, "outputs": 0}

    def count(layer: Any, inputs: tuple, output: torch.Tensor) -> None:
        counts["outputs"] += output.numel()
        if _takes_int8(layer):
            counts["products"] += output.numel() * layer.weight[0].numel()

    _run_trial(net, count)
    return counts["products"] / max(counts["outputs"], 1)


def _run_trial(
    net: torch.nn.Module, after_convolution: Callable, before_norm: Callable | None = None
) -> torch.Tensor:
    """Return the logits of a small image in evaluation mode, calling the hooks on the way."""
    hooks = []
    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d):
            hooks.append(module.register_forward_hook(after_convolution))
        elif isinstance(module, BatchNorm) and before_norm:
            hooks.append(module.register_forward_pre_hook(before_norm))
    try:
        return _first(evaluate(net, _trial_image(net)))
    finally:
        for hook in hooks:
            hook.remove()


def _trial_image(net: torch.nn.Module) -> torch.Tensor:
    first = next((m for m in net.modules() if isinstance(m, torch.nn.Conv2d)), None)
    channels = 3 if first is None else first.in_channels
    generator = torch.Generator().manual_seed(0)
    return torch.randn((1, channels, _TRIAL_SIDE, _TRIAL_SIDE), generator=generator)


def _first(logits: torch.Tensor | tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Return the main head's logits."""
    return logits[0] if isinstance(logits, tuple) else logits


def _under_autocast(net: torch.nn.Module, dtype: torch.dtype) -> torch.nn.Module:
    """Return a net with the same weights that runs under autocast to ``dtype``."""
    prepared = copy.copy(net)
    device = next(net.parameters()).device.type

    def forward(*args: Any, **kwargs: Any) -> Any:
        with torch.autocast(device, dtype):
            return net.forward(*args, **kwargs)

    prepared.forward = forward
    return prepared


def _in_int8(net: torch.nn.Module) -> torch.nn.Module:
    if not _can_be_int8(net):
        weight = next(net.parameters())
        raise ValueError(
            "precision='int8' is for float32 nets on a CPU, in a torch with oneDNN; this net is "
            f"{weight.dtype} on {weight.device}, and torch.backends.mkldnn.is_available() is "
            f"{torch.backends.mkldnn.is_available()}. Use fp32, bf16 or fp16"
        )
    with torch.no_grad():
        prepared = _with_norms_folded(net)
        for parent in list(prepared.modules()):
            for name, layer in list(parent.named_children()):
                if isinstance(layer, torch.nn.Conv2d) and _takes_int8(layer):
                    setattr(parent, name, _Int8Convolution.of(layer))
    return prepared


def _takes_int8(layer: torch.nn.Conv2d) -> bool:
    return (
        layer.groups == 1
        and layer.padding_mode == "zeros"
        and not isinstance(layer.padding, str)
        and min(layer.in_channels, layer.out_channels) >= _MIN_CHANNELS
    )


class _Int8Convolution(torch.nn.Module):
    """A float32 convolution that computes with 8-bit integers.

    Args:
        weight: quantized weights, int8 (O, I, H, W).
        steps: quantization step of each output channel, float32 (O,).
        bias: float32 (O,), or None.
        geometry: stride, padding, dilation and groups.
    """

    def __init__(
        self,
        weight: torch.Tensor,
        steps: torch.Tensor,
        bias: torch.Tensor | None,
        geometry: tuple,
    ):
        super().__init__()
        size = [1, weight.shape[1], _PACKED_FOR, _PACKED_FOR]
        self.weight = torch.ops.onednn.qconv_prepack(weight, steps, 1.0, 0, *geometry, size)
        self.steps, self.zeros = steps, torch.zeros(len(steps), dtype=torch.int32)
        self.bias, self.geometry = bias, geometry

    @classmethod
    def of(cls, layer: torch.nn.Conv2d) -> "_Int8Convolution":
        """Convert a float32 layer."""
        weight = layer.weight.detach()
        steps = _weight_steps(weight, _clips_sums())
        quantized = (weight / steps.view(-1, 1, 1, 1)).round_().to(torch.int8)
        bias = None if layer.bias is None else layer.bias.detach()
        geometry = (list(layer.stride), list(layer.padding), list(layer.dilation), 1)
        return cls(quantized, steps, bias, geometry)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > 1:  # quantize each image by its own range
            return torch.cat([self(image) for image in x.split(1)])
        x = x.contiguous(memory_format=torch.channels_last)
        # aminmax copies its input unless it is in the order of memory.
        low, high = (float(edge) for edge in torch.aminmax(x.permute(0, 2, 3, 1)))
        low, high = min(low, 0.0), max(high, 0.0)  # zero must stay exact: it is the padding
        step = max((high - low) / 254, torch.finfo(torch.float32).tiny)
        zero = round(-low / step)
        return self.convolve(_quantized(x, step, zero), step, zero)

    def convolve(self, x: torch.Tensor, step: float, zero: int) -> torch.Tensor:
        """Convolve ``(x - zero) * step`` to float32; ``x`` is uint8, channels last."""
        return torch.ops.onednn.qconv2d_pointwise(
            *(x, step, zero, self.weight, self.steps, self.zeros, self.bias),
            *self.geometry,
            *(1.0, 0, torch.float32, "none", [], ""),
        )


def _weight_steps(weight: torch.Tensor, clips_sums: bool) -> torch.Tensor:
    """Choose the quantization step of each output channel, (O,), for ``weight`` (O, I, H, W).

    Where sums are clipped, two neighbouring weights of the same sign must add up to at most
    ``_LARGEST_PAIR`` steps. Before rounding, which adds up to half a step each, that is one less.
    """
    flat = weight.permute(0, 2, 3, 1).flatten(1)  # (O, H * W * I)
    steps = flat.abs().amax(1) / _LARGEST_WEIGHT
    if clips_sums:
        sides = torch.stack((flat.clamp_min(0), -flat.clamp_max(0)))
        steps = (sides[..., 1:] + sides[..., :-1]).amax((0, 2)) / (_LARGEST_PAIR - 1)
    return steps.clamp_min(torch.finfo(torch.float32).tiny)


@functools.cache
def _clips_sums() -> bool:
    """Whether the CPU clips sums of two products to 16 bits, as x86 without VNNI does.

    Tested with a small convolution: torch knows the CPU, but not which of its instructions
    oneDNN may use (ONEDNN_MAX_CPU_ISA).
    """
    channels, largest = _MIN_CHANNELS, torch.iinfo(torch.uint8).max
    weight = torch.full((channels, channels, 1, 1), _LARGEST_WEIGHT, dtype=torch.int8)
    geometry = ([1, 1], [0, 0], [1, 1], 1)
    x = torch.full((1, channels, 8, 8), largest, dtype=torch.uint8)
    x = x.contiguous(memory_format=torch.channels_last)
    sums = _Int8Convolution(weight, torch.ones(channels), None, geometry).convolve(x, 1.0, 0)
    return bool((sums != channels * largest * _LARGEST_WEIGHT).any())


def _quantized(x: torch.Tensor, step: float, zero: int) -> torch.Tensor:
    """Round ``x / step + zero`` to uint8; input and output are channels last."""
    pixels = x.permute(0, 2, 3, 1)
    quantized = torch.empty(pixels.shape, dtype=torch.uint8)
    half = x.new_tensor(zero + 0.5)  # the conversion to uint8 rounds down
    parts = (flat.view(-1).split(_IN_CACHE) for flat in (pixels, quantized))
    for values, result in zip(*parts):
        result.copy_(torch.add(half, values, alpha=1 / step))
    return quantized.permute(0, 3, 1, 2)


def _with_norms_folded(net: torch.nn.Module) -> torch.nn.Module:
    """Copy the net in evaluation mode and fold norms into the convolutions before them.

    A trial run finds the norm that follows each convolution. If something else uses a
    convolution's output too, the copy's logits differ from the net's, and the copy is left
    without folding.
    """
    prepared = copy.deepcopy(net).eval()
    pairs, expected = _conv_norm_pairs(prepared)
    for layer, norm in pairs:
        _fold(layer, norm)
    _replace_by_identity(prepared, {norm for _, norm in pairs})
    error = (_first(prepared(_trial_image(net))) - expected).abs().max()
    return prepared if error <= 1e-3 * expected.abs().max() else copy.deepcopy(net).eval()


def _fold(layer: torch.nn.Conv2d, norm: BatchNorm) -> None:
    factor = norm.gamma * torch.rsqrt(norm.running_var + norm.eps)
    bias = 0 if layer.bias is None else layer.bias
    layer.bias = torch.nn.Parameter((bias - norm.running_mean) * factor + norm.bias)
    layer.weight = torch.nn.Parameter(layer.weight * factor.view(-1, 1, 1, 1))


def _replace_by_identity(net: torch.nn.Module, norms: set[BatchNorm]) -> None:
    for parent in list(net.modules()):
        for name, layer in list(parent.named_children()):
            if layer in norms:
                setattr(parent, name, torch.nn.Identity())


def _conv_norm_pairs(
    net: torch.nn.Module,
) -> tuple[list[tuple[torch.nn.Conv2d, BatchNorm]], torch.Tensor]:
    """Return the pairs of a convolution and the norm after it, and the logits of the trial run."""
    outputs: dict[int, tuple[torch.nn.Conv2d, torch.Tensor]] = {}
    pairs: list[tuple[torch.nn.Conv2d, BatchNorm]] = []

    def remember(layer: torch.nn.Conv2d, inputs: tuple, output: torch.Tensor) -> None:
        outputs[id(output)] = layer, output  # keep the output alive, or its id could be reused

    def pair(norm: BatchNorm, inputs: tuple) -> None:
        if id(inputs[0]) in outputs:
            pairs.append((outputs[id(inputs[0])][0], norm))

    logits = _run_trial(net, remember, pair)
    layers, norms = ([pair[i] for pair in pairs] for i in (0, 1))
    # A layer that is used twice cannot be folded with two norms, or a norm with two layers.
    once = [p for p in pairs if layers.count(p[0]) == 1 and norms.count(p[1]) == 1]
    return once, logits
