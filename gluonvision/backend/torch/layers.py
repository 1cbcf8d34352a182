"""The layers of the vocabulary, with Gluon's arguments, over ``torch.nn``."""

import torch
from torch.nn import functional

from gluonvision.backend.torch.block import HybridBlock
from gluonvision.backend.torch.sync_batch_norm import sync_batch_norm

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


def _given(layer: str, name: str, value: int) -> int:
    if value <= 0:
        raise ValueError(
            f"{layer}: {name}={value}. Sizes are not inferred from the first input; give {name}"
        )
    return value


class HybridSequential(HybridBlock):
    """Blocks applied one after the other; empty, it is the identity."""

    def __init__(self, prefix=None, params=None):
        super().__init__(prefix, params)

    def add(self, *blocks):
        """Append blocks; their names are '0', '1', ..."""
        for block in blocks:
            self.add_module(str(len(self)), block)

    def forward(self, x):
        for block in self._modules.values():
            x = block(x)
        return x

    def __len__(self):
        return len(self._modules)

    def __iter__(self):
        return iter(self._modules.values())

    def __getitem__(self, key):
        blocks = list(self._modules.values())[key]
        if not isinstance(key, slice):
            return blocks
        part = type(self)()
        part.add(*blocks)
        return part


class Conv2D(torch.nn.Conv2d):
    """Convolution of (N, C, H, W); ``in_channels`` must be given."""

    def __init__(
        self,
        channels,
        kernel_size,
        strides=1,
        padding=0,
        dilation=1,
        groups=1,
        use_bias=True,
        in_channels=0,
    ):
        super().__init__(
            _given("Conv2D", "in_channels", in_channels),
            channels,
            kernel_size,
            strides,
            padding,
            dilation,
            groups,
            bias=use_bias,
        )


class Dense(torch.nn.Linear):
    """Fully connected layer; ``in_units`` must be given. ``flatten`` joins all but the batch."""

    def __init__(self, units, use_bias=True, flatten=True, in_units=0):
        super().__init__(_given("Dense", "in_units", in_units), units, use_bias)
        self.flatten = flatten

    def forward(self, x):
        return super().forward(x.flatten(1) if self.flatten else x)


class BatchNorm(torch.nn.modules.batchnorm._BatchNorm):
    """Batch normalization over axis 1, with Gluon's meaning of its arguments.

    ``momentum`` is the share of the running statistics that is kept; the running variance is the
    biased one; ``scale=False`` fixes gamma at 1 and ``center=False`` beta at 0 (both stay in
    files, as in Gluon). ``use_global_stats=True`` normalizes by the running statistics always.
    """

    def __init__(
        self,
        axis=1,
        momentum=0.9,
        epsilon=1e-5,
        center=True,
        scale=True,
        use_global_stats=False,
        in_channels=0,
    ):
        if axis != 1:
            raise ValueError(f"BatchNorm: axis={axis}; only axis=1 (channels first) is supported")
        super().__init__(_given("BatchNorm", "in_channels", in_channels), epsilon, 1 - momentum)
        # torch counts the batches for an average that Gluon does not have.
        self.num_batches_tracked = None
        self.use_global_stats = use_global_stats
        self.scale = scale
        if not scale:
            self._keep_as_buffer("weight")
        if not center:
            self._keep_as_buffer("bias")

    def _keep_as_buffer(self, name):
        """A fixed gamma or beta: in files, but never among the parameters that are trained."""
        value = getattr(self, name).data
        delattr(self, name)
        self.register_buffer(name, value)

    @property
    def gamma(self):
        """What normalized values are multiplied by: with ``scale=False`` 1, whatever is loaded."""
        return self.weight if self.scale else torch.ones_like(self.weight)

    def forward(self, x):
        if not self.training or self.use_global_stats:
            return functional.batch_norm(
                x, self.running_mean, self.running_var, self.gamma, self.bias, False, 0.0, self.eps
            )
        return self._normalize_by_batch(x)

    def _normalize_by_batch(self, x):
        count = x.numel() // x.shape[1]
        if count == 1:
            raise ValueError(
                f"BatchNorm in training got one value a channel, shape {tuple(x.shape)}: its "
                "variance is 0. Use a batch of two or more (last_batch='discard' drops a small "
                "last one), larger crops, or evaluation mode"
            )
        # torch keeps the unbiased variance: scaled before and after, the biased one is kept. A
        # copy, since the backward pass holds on to what the operator was given.
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

    def reset_running_stats(self):
        self.running_mean.zero_()
        self.running_var.fill_(1)

    def _load_from_state_dict(self, state_dict, prefix, *args):
        # Weights of torch's own BatchNorm2d load: the count that Gluon lacks is passed over.
        state_dict.pop(prefix + "num_batches_tracked", None)
        torch.nn.Module._load_from_state_dict(self, state_dict, prefix, *args)


class SyncBatchNorm(BatchNorm):
    """Batch normalization over the batches of all processes of the default process group.

    Works on CPU (gloo) and CUDA (NCCL), and without a process group is ``BatchNorm``.
    ``num_devices`` is Gluon's; the size of the process group is what counts here.
    """

    def __init__(self, in_channels=0, num_devices=None, **kwargs):
        super().__init__(in_channels=in_channels, **kwargs)

    def _normalize_by_batch(self, x):
        group = torch.distributed
        if not (group.is_available() and group.is_initialized() and group.get_world_size() > 1):
            return super()._normalize_by_batch(x)
        out, mean, variance = sync_batch_norm(x, self.gamma, self.bias, self.eps)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_(variance.to(self.running_var.dtype), self.momentum)
        return out


class Activation(HybridBlock):
    """The rectifier, by its name: 'relu'."""

    def __init__(self, activation):
        super().__init__()
        if activation != "relu":
            raise ValueError(f"Activation: {activation!r}, expected 'relu'; others are in torch.nn")
        self.activation = activation

    def hybrid_forward(self, F, x):
        return F.relu(x)

    def extra_repr(self):
        return self.activation


class Dropout(torch.nn.Dropout):
    """Sets a share ``rate`` of the values to zero in training and scales the rest."""

    def __init__(self, rate):
        super().__init__(rate)


class MaxPool2D(torch.nn.MaxPool2d):
    """Largest value of each window; ``strides`` defaults to ``pool_size``."""

    def __init__(self, pool_size=2, strides=None, padding=0):
        super().__init__(pool_size, strides, padding)


class GlobalAvgPool2D(HybridBlock):
    """Mean over height and width: (N, C, H, W) to (N, C, 1, 1)."""

    def forward(self, x):
        return x.mean((2, 3), keepdim=True)
