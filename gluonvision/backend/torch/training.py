"""Training steps under torch."""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import torch
from torch.nn.parallel import DistributedDataParallel

from gluonvision.backend.torch.arrays import HALF_TYPES, as_numpy
from gluonvision.backend.torch.logits import gives_coarse_logits
from gluonvision.backend.torch.optimizers import build_optimizer
from gluonvision.backend.torch.parameters import named_slots, unwrapped
from gluonvision.backend.torch.processes import all_reduce_sum, world_size
from gluonvision.backend.trainer_options import TrainerOptions, ema_decay_at

# Input and label.
_Batch: TypeAlias = tuple[torch.Tensor, torch.Tensor]


def _widened(logits: torch.Tensor) -> torch.Tensor:
    """Convert half precision to float32: a sum over an image's pixels can overflow float16."""
    return logits.float() if logits.dtype in HALF_TYPES.values() else logits


class Trainer:
    """Trains a net on this process's device, together with the other processes of its group.

    Args:
        net: the net.
        loss: returns one number for ``loss(logits, label)``, or for
            ``loss(logits, aux_logits, label)`` if the net has an auxiliary head. With
            ``options.fused_loss`` it gets the logits before their resize to the images, if the
            net can give them and the loss resizes them in the same way.
        options: see ``TrainerOptions``.

    Raises:
        ValueError: if the net has no trainable parameter.
    """

    def __init__(
        self,
        net: torch.nn.Module,
        loss: Callable[..., torch.Tensor],
        options: TrainerOptions | None = None,
    ) -> None:
        self.net, self.loss = unwrapped(net).train(), loss
        self.options = options = options or TrainerOptions()
        self._weights = [w for w in net.parameters() if w.requires_grad]
        if not self._weights:
            raise ValueError("the net has no trainable parameter: grad_req of all is 'null'")
        self.device = self._weights[0].device
        if options.deterministic:
            # cuBLAS reads this when it is first used.
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        if options.channels_last:
            # The keyword is missing in torch's stubs.
            net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._replica = _distributed(net)
        self._forward = torch.compile(self._replica) if options.compile else self._replica
        self.optimizer = build_optimizer(self._weights, options)
        self._net_options = {"coarse": True} if self._can_fuse() else {}
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=options.precision == "fp16")
        self._average: dict[str, torch.Tensor] = {}
        self._updates = 0
        if options.ema_decay:
            self._average = {n: t.clone() for n, t in _averaged(self.net).items()}

    def step(self, x: torch.Tensor, label: torch.Tensor, learning_rate: float) -> float:
        """Update the weights from one batch.

        Args:
            x: input (N, C, H, W) of this process.
            label: (N, H, W) integers.
            learning_rate: of this step.

        Returns:
            The loss before the update, as the mean over all processes.
        """
        local_loss = self.update([(x, label)], [1 / world_size()], learning_rate)
        return float(all_reduce_sum(float(as_numpy(local_loss))))

    def update(
        self, micro_batches: Iterable[_Batch], loss_weights: Sequence[float], learning_rate: float
    ) -> torch.Tensor:
        """Update the weights once from the gradients of several micro-batches.

        The loss of the batch is the weighted sum of the micro-batches' losses, over all processes.

        Args:
            micro_batches: pairs of input and label.
            loss_weights: the weight of each micro-batch's loss.
            learning_rate: of this update.

        Returns:
            This process's part of the sum, as a tensor that may not be computed yet.
        """
        self.optimizer.zero_grad()
        total = torch.zeros((), device=self.device)
        for number, ((x, label), loss_weight) in enumerate(zip(micro_batches, loss_weights), 1):
            with self._reduce_gradients(number == len(loss_weights)), self._algorithms():
                loss = self._loss_of(x, label) * loss_weight
                # DDP averages gradients over the processes, but the loss is a sum over them.
                self._scaler.scale(loss * world_size()).backward()
            total = total + loss.detach()
        self._apply(learning_rate)
        return total

    def _loss_of(self, x: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        # A label of another rank is left to the user's own loss.
        sizes = [(len(array), *array.shape[-2:]) for array in (x, label)]
        if x.dim() == 4 and label.dim() >= 3 and sizes[0] != sizes[1]:
            raise ValueError(
                f"images {tuple(x.shape)} and labels {tuple(label.shape)}: expected (N, C, H, W) "
                "and (N, H, W) of one size"
            )
        if self.options.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        half = HALF_TYPES.get(self.options.precision)
        with torch.autocast(self.device.type, half, enabled=half is not None):
            logits = self._forward(x, **self._net_options)
        logits = logits if isinstance(logits, tuple) else (logits,)
        return self.loss(*map(_widened, logits), label)

    def _can_fuse(self) -> bool:
        if not self.options.fused_loss or not gives_coarse_logits(self.net):
            return False
        return getattr(self.loss, "align_corners", None) == self.net.align_corners

    def _reduce_gradients(self, is_last: bool) -> contextlib.AbstractContextManager:
        """Average the gradients over the processes after the last micro-batch only."""
        if isinstance(self._replica, DistributedDataParallel) and not is_last:
            return self._replica.no_sync()
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def _algorithms(self) -> Iterator[None]:
        """Let cuDNN search for the fastest convolutions, unless the run is deterministic.

        The search pays off only in training, where all crops have one size.
        """
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

    def _apply(self, learning_rate: float) -> None:
        if self.options.clip_norm:
            self._scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self._weights, self.options.clip_norm)
        self.optimizer.set_learning_rate(learning_rate)
        self._scaler.step(self.optimizer)
        self._scaler.update()
        self._updates += 1
        if self._average:
            self._update_average(ema_decay_at(self._updates, self.options.ema_decay))

    @torch.no_grad()
    def _update_average(self, decay: float) -> None:
        current = list(_averaged(self.net).values())
        torch._foreach_lerp_(list(self._average.values()), current, 1 - decay)

    def averaged_parameters(self) -> dict[str, np.ndarray]:
        """Return the running average of the weights by structural name, if ``ema_decay`` is set."""
        return {name: as_numpy(tensor) for name, tensor in self._average.items()}

    def state(self) -> dict[str, np.ndarray]:
        """Return everything except the weights that later steps depend on, by name."""
        state = {f"ema/{name}": value for name, value in self.averaged_parameters().items()}
        for name, slot in named_slots(self.net):
            for key, value in self.optimizer.state.get(slot.tensor, {}).items():
                state[f"{key}/{name}"] = as_numpy(value)
        scale = self._scaler.state_dict() if self._scaler.is_enabled() else {}
        state |= {f"scaler/{key}": np.array([value]) for key, value in scale.items()}
        return state | {"updates": np.array([self._updates])}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Restore a result of ``state``.

        Raises:
            KeyError: if a value is missing; it has the value's name.
        """
        self._updates = int(state["updates"][0])
        for name, tensor in self._average.items():
            tensor.copy_(torch.tensor(state[f"ema/{name}"]))
        self.optimizer.state.clear()
        kinds = {key.partition("/")[0] for key in state} - {"ema", "scaler", "updates"}
        for name, slot in named_slots(self.net):
            arrays = {kind: state.get(f"{kind}/{name}") for kind in kinds}
            values = {kind: torch.tensor(a) for kind, a in arrays.items() if a is not None}
            if values:
                self.optimizer.state[slot.tensor] = _moved_to_weight(values, slot.tensor)
        if self._scaler.is_enabled():
            keys = self._scaler.state_dict()
            self._scaler.load_state_dict({k: state[f"scaler/{k}"][0].item() for k in keys})


def _averaged(net: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return the floating-point weights and running statistics, which can be averaged."""
    tensors = {name: slot.tensor.detach() for name, slot in named_slots(net)}
    return {name: t for name, t in tensors.items() if t.is_floating_point()}


def _moved_to_weight(
    values: Mapping[str, torch.Tensor], weight: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Give an optimizer's tensors of one weight its device and memory layout."""
    return {
        kind: torch.empty_like(weight).copy_(value) if value.shape == weight.shape else value
        for kind, value in values.items()
    }


def _distributed(net: torch.nn.Module) -> torch.nn.Module:
    if world_size() == 1 or isinstance(net, DistributedDataParallel):
        return net
    device = next(net.parameters()).device
    devices = [device] if device.type == "cuda" else None
    # DDP takes the running statistics of the first process; synchronized ones are equal anyway.
    return DistributedDataParallel(net, device_ids=devices, gradient_as_bucket_view=True)
