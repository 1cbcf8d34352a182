"""The layers of the vocabulary over ``torch.nn``, with Gluon's arguments."""

from collections.abc import Iterator
from typing import Any, TypeAlias

import torch
from torch.nn import functional

from gluonvision.backend.torch.block import HybridBlock
from gluonvision.backend.torch.sync_batch_norm import sync_batch_norm
from gluonvision.backend.types import Operators

__all__ = [
    "Activation",
    "BatchNorm",
    "Conv2D",
    "Dense",
    "Dropout",
    "GlobalAvgPool2D",
    "HybridBlock",
    "HybridSequential",
    "MaxPool2D",
    "SyncBatchNorm",
]

# A length, or one for each of height and width.
_Lengths: TypeAlias = int | tuple[int, int]


def _check_size(layer: str, name: str, value: int) -> int:
    if value <= 0:
        raise ValueError(
            f"{layer}: {name}={value}: expected 1 or more. The torch backend does not infer sizes "
            f"from the first input; give {name}"
        )
    return value


class HybridSequential(HybridBlock):
    """Apply blocks one after the other; without blocks it is the identity."""

    def __init__(self, prefix: str | None = None, params: None = None) -> None:
        super().__init__(prefix, params)

    def add(self, *blocks: torch.nn.Module) -> None:
        """Append blocks, under the names '0', '1', ..."""
        for block in blocks:
            self.add_module(str(len(self)), block)

    def forward(self, x: Any) -> Any:
        for block in self:
            x = block(x)
        return x

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def __getitem__(self, key: int | slice) -> Any:
        blocks: list[Any] = list(self._modules.values())  # PyTorch 2.6 cannot compile list(self)
        if not isinstance(key, slice):
            return blocks[key]
        selected = type(self)()
        selected.add(*blocks[key])
        return selected


class Conv2D(torch.nn.Conv2d):
    """Convolve (N, C, H, W); ``in_channels`` is required."""

    def __init__(
        self,
        channels: int,
        kernel_size: _Lengths,
        strides: _Lengths = 1,
        padding: _Lengths = 0,
        dilation: _Lengths = 1,
        groups: int = 1,
        use_bias: bool = True,
        in_channels: int = 0,
    ) -> None:
        super().__init__(
            _check_size("Conv2D", "in_channels", in_channels),
            channels,
            kernel_size,
            strides,
            padding,
            dilation,
            groups,
            bias=use_bias,
        )


class Dense(torch.nn.Linear):
    """Fully connected layer; ``in_units`` is required. ``flatten`` joins all axes but the batch."""

    def __init__(
        self, units: int, use_bias: bool = True, flatten: bool = True, in_units: int = 0
    ) -> None:
        super().__init__(_check_size("Dense", "in_units", in_units), units, use_bias)
        self.flatten = flatten

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.flatten(1) if self.flatten else x)


class BatchNorm(torch.nn.modules.batchnorm._BatchNorm):
    """Batch normalization with Gluon's arguments; the running variance is the biased one.

    Args:
        axis: the channels; only 1 is supported.
        momentum: fraction of the running statistics kept at each step.
        epsilon: added to the variance.
        center: learn beta; if False, beta is fixed at 0 but stays in files, as in Gluon.
        scale: learn gamma; if False, gamma is fixed at 1 but stays in files, as in Gluon.
        use_global_stats: normalize by the running statistics in training too.
        in_channels: number of channels, required.
    """

    # Never None here, unlike in torch's own layer.
    momentum: float
    running_mean: torch.Tensor
    running_var: torch.Tensor

    def __init__(
        self,
        axis: int = 1,
        momentum: float = 0.9,
        epsilon: float = 1e-5,
        center: bool = True,
        scale: bool = True,
        use_global_stats: bool = False,
        in_channels: int = 0,
    ) -> None:
        if axis != 1:
            raise ValueError(f"BatchNorm: axis={axis}; only axis=1 (channels first) is supported")
        super().__init__(
            _check_size("BatchNorm", "in_channels", in_channels), epsilon, 1 - momentum
        )
        # torch counts batches for a kind of average that Gluon lacks.
        self.num_batches_tracked = None
        self.use_global_stats = use_global_stats
        self.scale = scale
        if not scale:
            self._keep_as_buffer("weight")
        if not center:
            self._keep_as_buffer("bias")

    def _keep_as_buffer(self, name: str) -> None:
        """Turn gamma or beta into a buffer, which is saved but never trained."""
        value = getattr(self, name).data
        delattr(self, name)
        self.register_buffer(name, value)

    @property
    def gamma(self) -> torch.Tensor:
        """The factor of normalized values; with ``scale=False`` it is 1, whatever a file holds."""
        return self.weight if self.scale else torch.ones_like(self.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.use_global_stats:
            return functional.batch_norm(
                x, self.running_mean, self.running_var, self.gamma, self.bias, False, 0.0, self.eps
            )
        return self._normalize_by_batch(x)

    def _normalize_by_batch(self, x: torch.Tensor) -> torch.Tensor:
        count = x.numel() // x.shape[1]
        if count == 1:
            raise ValueError(
                f"BatchNorm in training got one value per channel, shape {tuple(x.shape)}: its "
                "variance is 0. Use a batch of two or more (last_batch='discard' drops a smaller "
                "last batch), larger crops, or evaluation mode"
            )
        # torch updates the running variance with the unbiased variance. Scaling the running
        # variance before and after makes this an update with the biased one. The operator gets a
        # copy because the backward pass keeps its arguments.
        correction = (count - 1) / count
        running_var = self.running_var / correction
        out = functional.batch_norm(
            x,
            self.running_mean,
            running_var,
            self.gamma,
            self.bias,
            True,
            self.momentum,
            self.eps,
        )
        self.running_var.copy_(running_var * correction)
        return out

    # torch calls this, for example in torch.optim.swa_utils.update_bn.
    def reset_running_stats(self) -> None:
        """Set the running mean to 0 and the running variance to 1."""
        self.running_mean.zero_()
        self.running_var.fill_(1)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        # Skip the count of batches, which Gluon lacks, so that weights of BatchNorm2d load.
        state_dict.pop(prefix + "num_batches_tracked", None)
        torch.nn.Module._load_from_state_dict(self, state_dict, prefix, *args)


class SyncBatchNorm(BatchNorm):
    """Batch normalization over the batches of all processes of the default process group.

    It works on the CPU (gloo) and on CUDA (NCCL). Without a process group it is ``BatchNorm``.
    ``num_devices`` is Gluon's argument and is ignored: the process group has the number.
    """

    def __init__(self, in_channels: int = 0, num_devices: int | None = None, **kwargs: Any) -> None:
        super().__init__(in_channels=in_channels, **kwargs)

    def _normalize_by_batch(self, x: torch.Tensor) -> torch.Tensor:
        group = torch.distributed
        if not (group.is_available() and group.is_initialized() and group.get_world_size() > 1):
            return super()._normalize_by_batch(x)
        out, mean, variance = sync_batch_norm(x, self.gamma, self.bias, self.eps)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_(variance.to(self.running_var.dtype), self.momentum)
        return out


class Activation(HybridBlock):
    """An activation by its name; only 'relu' is supported."""

    def __init__(self, activation: str) -> None:
        super().__init__()
        if activation != "relu":
            raise ValueError(
                f"Activation: {activation!r}, expected 'relu'; use torch.nn for others"
            )
        self.activation = activation

    def hybrid_forward(self, F: Operators, x: torch.Tensor) -> torch.Tensor:
        return F.relu(x)

    def extra_repr(self) -> str:
        return self.activation


class Dropout(torch.nn.Dropout):
    """In training, set a fraction ``rate`` of the values to zero and scale the others up."""

    def __init__(self, rate: float) -> None:
        super().__init__(rate)


class MaxPool2D(torch.nn.MaxPool2d):
    """Take the largest value of each window; ``strides`` defaults to ``pool_size``."""

    def __init__(
        self, pool_size: _Lengths = 2, strides: _Lengths | None = None, padding: _Lengths = 0
    ) -> None:
        super().__init__(pool_size, strides, padding)


class GlobalAvgPool2D(HybridBlock):
    """Average over height and width: (N, C, H, W) to (N, C, 1, 1)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3), keepdim=True)
