"""One step of training and one forward pass of evaluation, under torch."""

import contextlib
import os
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch.nn.parallel import DistributedDataParallel

from gluonvision.backend.torch.arrays import as_numpy
from gluonvision.backend.torch.kernels.coarse_logits import classes_at
from gluonvision.backend.torch.optimizers import build_optimizer
from gluonvision.backend.torch.parameters import named_slots, unwrapped
from gluonvision.backend.torch.processes import all_reduce_sum, world_size
from gluonvision.backend.trainer_options import TrainerOptions, ema_share

_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


def _wide(logits: torch.Tensor) -> torch.Tensor:
    """Half precision as float32: a sum over an image's pixels passes float16's range."""
    return logits.float() if logits.dtype in _HALF.values() else logits


class Trainer:
    """Trains a net: on this process's device, and together with the other processes' if there are.

    ``loss`` is called as ``loss(logits, label)``, or ``loss(logits, aux_logits, label)`` if the
    net has an auxiliary head, and gives one number. With ``fused_loss`` the logits are those before
    the resize to the images, where net and loss can do so and resize alike.
    """

    def __init__(self, net, loss, options: TrainerOptions | None = None):
        self.net, self.loss = unwrapped(net).train(), loss
        self.options = options = options or TrainerOptions()
        self._weights = [w for w in net.parameters() if w.requires_grad]
        if not self._weights:
            raise ValueError("no parameter of the net is learned: grad_req of all is 'null'")
        self.device = self._weights[0].device
        if options.deterministic:
            # cuBLAS wants it said before it is first used.
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        if options.channels_last:
            net.to(memory_format=torch.channels_last)
        self._shared = _distributed(net)
        self._forward = torch.compile(self._shared) if options.compile else self._shared
        self.optimizer = build_optimizer(self._weights, options)
        self._net_options = {"coarse": True} if self._can_fuse() else {}
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=options.precision == "fp16")
        self._average, self._updates = {}, 0
        if options.ema_decay:
            self._average = {n: t.clone() for n, t in _averaged(self.net).items()}

    def step(self, x, label, learning_rate: float) -> float:
        """Forward, loss, backward and update on one batch; returns the loss before the update."""
        own = self.update([(x, label)], [1 / world_size()], learning_rate)
        return float(all_reduce_sum(float(as_numpy(own))))

    def update(
        self, micro_batches: Iterable[tuple], loss_weights: Sequence[float], learning_rate: float
    ):
        """One update from the gradients of several parts of a batch, each an (x, label).

        The batch's loss is the sum of the parts' losses, each times its share, over all processes.
        Returns this process's sum as an array that need not be ready yet.
        """
        self.optimizer.zero_grad()
        total = torch.zeros((), device=self.device)
        for number, ((x, label), loss_weight) in enumerate(zip(micro_batches, loss_weights), 1):
            with self._gradients_shared(number == len(loss_weights)), self._algorithms():
                loss = self._loss_of(x, label) * loss_weight
                # Gradients are averaged over the processes; the loss is a sum over them.
                self._scaler.scale(loss * world_size()).backward()
            total = total + loss.detach()
        self._apply(learning_rate)
        return total

    def _loss_of(self, x, label):
        # What else a label may be, a loss of one's own knows.
        sizes = [(len(array), *array.shape[-2:]) for array in (x, label)]
        if x.dim() == 4 and label.dim() >= 3 and sizes[0] != sizes[1]:
            raise ValueError(
                f"images {tuple(x.shape)} and labels {tuple(label.shape)}: expected (N, C, H, W) "
                "and (N, H, W) of one size"
            )
        if self.options.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        half = _HALF.get(self.options.precision)
        with torch.autocast(self.device.type, half, enabled=half is not None):
            logits = self._forward(x, **self._net_options)
        logits = logits if isinstance(logits, tuple) else (logits,)
        return self.loss(*map(_wide, logits), label)

    def _can_fuse(self):
        if not self.options.fused_loss or not gives_coarse_logits(self.net):
            return False
        return getattr(self.loss, "align_corners", None) == self.net.align_corners

    def _gradients_shared(self, now: bool):
        wait = isinstance(self._shared, DistributedDataParallel) and not now
        return self._shared.no_sync() if wait else contextlib.nullcontext()

    @contextlib.contextmanager
    def _algorithms(self):
        """The fastest convolutions, found by trying: here alone, where all crops have one size."""
        fixed, cudnn = self.options.deterministic, torch.backends.cudnn
        before = torch.get_deterministic_debug_mode()
        flags = {"enabled": cudnn.enabled, "allow_tf32": cudnn.allow_tf32}
        if fixed:
            torch.use_deterministic_algorithms(True)
        try:
            with cudnn.flags(benchmark=not fixed, deterministic=fixed, **flags):
                yield
        finally:
            torch.set_deterministic_debug_mode(before)

    def _apply(self, learning_rate):
        if self.options.clip_norm:
            self._scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self._weights, self.options.clip_norm)
        self.optimizer.set_learning_rate(learning_rate)
        self._scaler.step(self.optimizer)
        self._scaler.update()
        self._updates += 1
        if self._average:
            self._follow(ema_share(self.options.ema_decay, self._updates))

    @torch.no_grad()
    def _follow(self, decay: float):
        current = list(_averaged(self.net).values())
        torch._foreach_lerp_(list(self._average.values()), current, 1 - decay)

    def averaged_parameters(self) -> dict[str, np.ndarray]:
        """The running average of the weights by structural name; empty without ``ema_decay``."""
        return {name: as_numpy(tensor) for name, tensor in self._average.items()}

    def state(self) -> dict[str, np.ndarray]:
        """What a later step depends on beside the weights, by name."""
        state = {f"ema/{name}": value for name, value in self.averaged_parameters().items()}
        for name, slot in named_slots(self.net):
            for key, value in self.optimizer.state.get(slot.tensor, {}).items():
                state[f"{key}/{name}"] = as_numpy(value)
        scale = self._scaler.state_dict() if self._scaler.is_enabled() else {}
        state |= {f"scaler/{key}": np.array([value]) for key, value in scale.items()}
        return state | {"updates": np.array([self._updates])}

    def load_state(self, state: dict[str, np.ndarray]):
        """Continue where ``state`` was taken; a KeyError names what it lacks."""
        self._updates = int(state["updates"][0])
        for name, tensor in self._average.items():
            tensor.copy_(torch.tensor(state[f"ema/{name}"]))
        self.optimizer.state.clear()
        kinds = {key.partition("/")[0] for key in state} - {"ema", "scaler", "updates"}
        for name, slot in named_slots(self.net):
            arrays = {kind: state.get(f"{kind}/{name}") for kind in kinds}
            found = {kind: torch.tensor(a) for kind, a in arrays.items() if a is not None}
            if found:
                self.optimizer.state[slot.tensor] = _placed(found, slot.tensor)
        if self._scaler.is_enabled():
            keys = self._scaler.state_dict()
            self._scaler.load_state_dict({k: state[f"scaler/{k}"][0].item() for k in keys})


def _averaged(net) -> dict[str, torch.Tensor]:
    """The weights and running statistics that an average can be taken of."""
    tensors = {name: slot.tensor.detach() for name, slot in named_slots(net)}
    return {name: t for name, t in tensors.items() if t.is_floating_point()}


def _placed(found, weight):
    """An optimizer's tensors of one weight, on its device and in its layout in memory."""
    return {
        kind: torch.empty_like(weight).copy_(value) if value.shape == weight.shape else value
        for kind, value in found.items()
    }


def _distributed(net):
    if world_size() == 1 or isinstance(net, DistributedDataParallel):
        return net
    device = next(net.parameters()).device
    devices = [device] if device.type == "cuda" else None
    # Buffers, which are running statistics, are the first process's: synchronized ones are equal.
    return DistributedDataParallel(net, device_ids=devices, gradient_as_bucket_view=True)


def evaluate(net, x, **options):
    """The net's output in evaluation mode, without gradients; every module's mode is put back."""
    with evaluation_mode(net), torch.no_grad():
        return net(x, **options)


@contextlib.contextmanager
def evaluation_mode(net):
    """Every module in evaluation mode, and put back into its own at the end."""
    training = [module for module in net.modules() if module.training]
    net.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def gives_coarse_logits(net) -> bool:
    """Whether ``net(x, coarse=True)`` returns logits before they are resized to the image."""
    return getattr(unwrapped(net), "gives_coarse_logits", False)


def predicted_classes(net, x) -> np.ndarray:
    """The class of each pixel of an input, int32 (N, H, W), by the net's first logits."""
    is_coarse = gives_coarse_logits(net)
    logits = evaluate(net, x, **({"coarse": True} if is_coarse else {}))
    if isinstance(logits, tuple):  # an auxiliary head's logits come second
        logits = logits[0]
    if is_coarse:
        return as_numpy(classes_at(logits, x.shape[2:], unwrapped(net).align_corners))
    return as_numpy(logits.argmax(1).int())
