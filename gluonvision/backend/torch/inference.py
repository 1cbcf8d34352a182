"""Nets made ready for prediction: in another precision, with norms folded into convolutions.

On a CPU convolutions are nearly all of the time, and run at its peak in float32 already; without
matrix units (AMX) bfloat16 and float16 are slower. What is faster is 8-bit integers, four times
with VNNI. Weights are rounded once, channel by channel; activations anew for every image, by their
own range, so that nothing is calibrated and no result depends on images seen before. Layers that
8 bits hurt, the first and the classifier, stay in float32.

An x86 CPU without VNNI adds the products of two neighbouring channels in 16 bits and clips their
sum. There, weights are rounded to larger steps, so that no sum is clipped. This costs little
accuracy, but such a CPU also gains little: a third on a ResNet50.
"""

import copy
import functools
import platform

import torch

from gluonvision.backend.precisions import check_precision
from gluonvision.backend.torch.layers import BatchNorm
from gluonvision.backend.torch.training import evaluate

_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}
# Narrower layers gain little, and lose most: the image itself, and the scores.
_LEAST_CHANNELS = 32
_TRIAL_SIDE = 65
# Integers save time in products and cost some in numbers: from about here on the first prevails.
_LEAST_PRODUCTS = 300
# The layout of packed weights is chosen for a size; it serves every other.
_PACKED_FOR = 64
_LARGEST_WEIGHT = 127
# Two products sum to at most 32767 in 16 bits: 128 * 255 fits, 129 * 255 does not.
_LARGEST_PAIR = 128
# So many numbers, and what becomes of them, stay in a core's own cache.
_IN_CACHE = 1 << 17


def prepare_inference(net: torch.nn.Module, precision: str = "auto") -> torch.nn.Module:
    """A net that predicts as ``net`` does, in another precision; ``net`` itself stays as it is.

    'fp32': ``net`` itself; 'bf16' and 'fp16': its weights, under autocast; 'int8': a copy, for CPUs
    alone. 'auto': int8 where that is about twice as fast, on CPUs with VNNI for nets whose time is
    in wide convolutions (ResNets, not MobileNets); else fp32.

    Raises ValueError for another precision, and for int8 where it cannot be had.
    """
    check_precision(precision)
    if precision == "auto":
        precision = "int8" if _is_fast_in_int8(net) else "fp32"
    if precision == "int8":
        return _in_int8(net)
    return net if precision == "fp32" else _under_autocast(net, _HALF[precision])


def _is_fast_in_int8(net) -> bool:
    # On other CPUs than x86 int8 is exact too, but has not been measured.
    if not _can_be_int8(net) or platform.machine() not in ("x86_64", "AMD64"):
        return False
    return not _clips_sums() and _products_a_number(net) > _LEAST_PRODUCTS


def _can_be_int8(net) -> bool:
    weight = next(net.parameters())
    is_plain = weight.device.type == "cpu" and weight.dtype == torch.float32
    return is_plain and torch.backends.mkldnn.is_available()


def _products_a_number(net) -> float:
    """Of all that convolutions give, how many products that integers could do are in a number."""
    done = {"products": 0, "numbers": 0}

    def count(layer, inputs, output):
        done["numbers"] += output.numel()
        if _takes_int8(layer):
            done["products"] += output.numel() * layer.weight[0].numel()

    _run_trial(net, count)
    return done["products"] / max(done["numbers"], 1)


def _run_trial(net, after_convolution, before_norm=None):
    """The net's scores of a small image, in evaluation mode, with what is to be done on the way."""
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


def _trial_image(net) -> torch.Tensor:
    first = next((m for m in net.modules() if isinstance(m, torch.nn.Conv2d)), None)
    channels = 3 if first is None else first.in_channels
    generator = torch.Generator().manual_seed(0)
    return torch.randn((1, channels, _TRIAL_SIDE, _TRIAL_SIDE), generator=generator)


def _first(scores):
    """Without an auxiliary head's."""
    return scores[0] if isinstance(scores, tuple) else scores


def _under_autocast(net, dtype):
    """The same net, with the same weights, whose forward pass is made in ``dtype`` where safe."""
    prepared = copy.copy(net)
    device = next(net.parameters()).device.type

    def forward(*args, **kwargs):
        with torch.autocast(device, dtype):
            return net.forward(*args, **kwargs)

    prepared.forward = forward
    return prepared


def _in_int8(net) -> torch.nn.Module:
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


def _takes_int8(layer) -> bool:
    return (
        layer.groups == 1
        and layer.padding_mode == "zeros"
        and not isinstance(layer.padding, str)
        and min(layer.in_channels, layer.out_channels) >= _LEAST_CHANNELS
    )


class _Int8Convolution(torch.nn.Module):
    """A convolution of float32 by way of integers: activations of 8 bits, weights of 8 signed."""

    def __init__(self, weight: torch.Tensor, steps: torch.Tensor, bias, geometry: tuple):
        super().__init__()
        size = [1, weight.shape[1], _PACKED_FOR, _PACKED_FOR]
        self.weight = torch.ops.onednn.qconv_prepack(weight, steps, 1.0, 0, *geometry, size)
        self.steps, self.zeros = steps, torch.zeros(len(steps), dtype=torch.int32)
        self.bias, self.geometry = bias, geometry

    @classmethod
    def of(cls, layer: torch.nn.Conv2d) -> "_Int8Convolution":
        weight = layer.weight.detach()
        steps = _weight_steps(weight, _clips_sums())
        rounded = (weight / steps.view(-1, 1, 1, 1)).round_().to(torch.int8)
        bias = None if layer.bias is None else layer.bias.detach()
        geometry = (list(layer.stride), list(layer.padding), list(layer.dilation), 1)
        return cls(rounded, steps, bias, geometry)

    def forward(self, x):
        if len(x) > 1:  # each by its own range
            return torch.cat([self(image) for image in x.split(1)])
        x = x.contiguous(memory_format=torch.channels_last)
        # In memory's own order: in another, torch would copy first.
        low, high = (float(edge) for edge in torch.aminmax(x.permute(0, 2, 3, 1)))
        low, high = min(low, 0.0), max(high, 0.0)  # zero must stay zero: it is what pads
        step = max((high - low) / 254, torch.finfo(torch.float32).tiny)
        zero = round(-low / step)
        return self.convolve(_rounded(x, step, zero), step, zero)

    def convolve(self, x: torch.Tensor, step: float, zero: int) -> torch.Tensor:
        """The convolution, in float32, of ``(x - zero) * step``; ``x`` is uint8, channels last."""
        return torch.ops.onednn.qconv2d_pointwise(
            *(x, step, zero, self.weight, self.steps, self.zeros, self.bias),
            *self.geometry,
            *(1.0, 0, torch.float32, "none", [], ""),
        )


def _weight_steps(weight: torch.Tensor, clips_sums: bool) -> torch.Tensor:
    """The step of each output channel's rounded weights, (O,); ``weight`` is (O, I, H, W).

    Where sums are clipped, two weights that are neighbours in memory and of one sign come to at
    most ``_LARGEST_PAIR`` steps: one less before they are rounded, by half a step each.
    """
    flat = weight.permute(0, 2, 3, 1).flatten(1)  # (O, H * W * I)
    steps = flat.abs().amax(1) / _LARGEST_WEIGHT
    if clips_sums:
        sides = torch.stack((flat.clamp_min(0), -flat.clamp_max(0)))
        steps = (sides[..., 1:] + sides[..., :-1]).amax((0, 2)) / (_LARGEST_PAIR - 1)
    return steps.clamp_min(torch.finfo(torch.float32).tiny)


@functools.cache
def _clips_sums() -> bool:
    """Whether the CPU clips sums of two products to 16 bits: x86 without VNNI.

    A convolution answers, since torch knows the CPU, but not which of its instructions oneDNN may
    use (ONEDNN_MAX_CPU_ISA).
    """
    channels, largest = _LEAST_CHANNELS, torch.iinfo(torch.uint8).max
    weight = torch.full((channels, channels, 1, 1), _LARGEST_WEIGHT, dtype=torch.int8)
    geometry = ([1, 1], [0, 0], [1, 1], 1)
    x = torch.full((1, channels, 8, 8), largest, dtype=torch.uint8)
    x = x.contiguous(memory_format=torch.channels_last)
    sums = _Int8Convolution(weight, torch.ones(channels), None, geometry).convolve(x, 1.0, 0)
    return bool((sums != channels * largest * _LARGEST_WEIGHT).any())


def _rounded(x: torch.Tensor, scale: float, zero: int) -> torch.Tensor:
    """``x / scale + zero`` to the nearest integer, uint8; channels last, as ``x`` is."""
    pixels = x.permute(0, 2, 3, 1)
    rounded = torch.empty(pixels.shape, dtype=torch.uint8)
    half = x.new_tensor(zero + 0.5)  # what follows rounds down
    parts = (flat.view(-1).split(_IN_CACHE) for flat in (pixels, rounded))
    for values, result in zip(*parts):
        result.copy_(torch.add(half, values, alpha=1 / scale))
    return rounded.permute(0, 3, 1, 2)


def _with_norms_folded(net) -> torch.nn.Module:
    """A copy in evaluation mode in which convolutions do what the norms right after them did.

    What follows what is seen in a trial run. Where the copy then does not give what the net gave,
    since something else takes a convolution's output too, it is a plain copy.
    """
    prepared = copy.deepcopy(net).eval()
    pairs, expected = _followers(prepared)
    for layer, norm in pairs:
        _fold(layer, norm)
    _leave_out(prepared, {norm for _, norm in pairs})
    lost = (_first(prepared(_trial_image(net))) - expected).abs().max()
    return prepared if lost <= 1e-3 * expected.abs().max() else copy.deepcopy(net).eval()


def _fold(layer, norm):
    factor = norm.gamma * torch.rsqrt(norm.running_var + norm.eps)
    bias = 0 if layer.bias is None else layer.bias
    layer.bias = torch.nn.Parameter((bias - norm.running_mean) * factor + norm.bias)
    layer.weight = torch.nn.Parameter(layer.weight * factor.view(-1, 1, 1, 1))


def _leave_out(net, norms):
    for parent in list(net.modules()):
        for name, layer in list(parent.named_children()):
            if layer in norms:
                setattr(parent, name, torch.nn.Identity())


def _followers(net):
    """Pairs of a convolution and a norm that takes its output; and the net's scores of a trial."""
    made: dict[int, tuple] = {}
    pairs: list[tuple] = []

    def note(layer, inputs, output):
        made[id(output)] = layer, output  # kept alive: an id is unique for so long alone

    def pair(norm, inputs):
        if id(inputs[0]) in made:
            pairs.append((made[id(inputs[0])][0], norm))

    scores = _run_trial(net, note, pair)
    layers, norms = ([pair[i] for pair in pairs] for i in (0, 1))
    # One that is used twice cannot do two things.
    once = [p for p in pairs if layers.count(p[0]) == 1 and norms.count(p[1]) == 1]
    return once, scores
