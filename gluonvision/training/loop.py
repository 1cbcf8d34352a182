"""The training loop."""

import contextlib
import dataclasses
import itertools
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gluonvision import backend
from gluonvision.evaluation.whole_images import evaluate
from gluonvision.runs.artifacts import BEST, WEIGHTS
from gluonvision.runs.checkpoint import describe_newest, read_checkpoint
from gluonvision.runs.config import TrainConfig
from gluonvision.runs.factory import build_loss, build_model, training_batches
from gluonvision.runs.run_folder import RunFolder
from gluonvision.training.job import TrainingJob, prepare_job
from gluonvision.training.lr_schedule import poly
from gluonvision.training.reporting import Reporter
from gluonvision.training.stopping import STOPPING, Interrupted, StopRequest, stop_requests

# Read losses two steps late to keep the GPU busy.
_DELAY = 2


def train(config: TrainConfig) -> Path:
    """Train a model, on all devices of the configuration.

    Shows the loss while it trains, and validates on whole images. The run's folder receives the
    weights, checkpoints, logs and plots.

    Returns:
        The file of the trained weights.

    Raises:
        ValueError, OSError: configuration, data or disk are at fault.
        FloatingPointError: the loss or a weight is not finite.
        Interrupted: SIGINT or SIGTERM stopped the run, after a checkpoint was saved.
        WorkerError: one of several processes failed.
    """
    num_devices = backend.device_count(config.ngpus, config.no_cuda)
    job = prepare_job(config, num_devices)
    folder, is_first = RunFolder(config), backend.rank() == 0
    with folder.reserved() if is_first else contextlib.nullcontext():
        if is_first:
            folder.prepare(job.start, len(job.training))
        signal_number, step = backend.launch(_train, job, num_devices)
    if signal_number:
        raise Interrupted(signal_number, step, folder.checkpoints)
    return folder.path / WEIGHTS


def _train(job: TrainingJob) -> tuple[int, int]:
    """Train in this process; returns the signal that stopped it, or 0, and the last step."""
    backend.seed(job.config.seed)
    run = TrainingRun(job)
    with stop_requests() as stop, contextlib.closing(run):
        return run.train(stop), run.progress.step


@dataclasses.dataclass
class Progress:
    """The progress of a run.

    Attributes:
        step: number of completed steps.
        validated: the step of the last validation.
        best_iou, best_step: the best mean IoU, and its step; -1 without one.
        loss_sum: sum of the losses since the last validation.
    """

    step: int = 0
    validated: int = 0
    best_iou: float = -1.0
    best_step: int = -1
    loss_sum: float = 0.0


class _PendingLoss(NamedTuple):
    """A step whose loss has not been read from the device yet."""

    step: int
    learning_rate: float
    images_per_second: float  # data loading included
    loss: Any


class TrainingRun:
    """One process's part of a training run. The first process writes the files."""

    def __init__(self, job: TrainingJob):
        self.config = config = job.config
        self.job, self.folder = job, RunFolder(config)
        self.devices = backend.devices(config.ngpus, config.no_cuda)
        self.batches = training_batches(config, job.training)
        self.net = build_model(config, self.devices, job.start)
        self.dtype = backend.device_and_dtype(self.net)[1]
        self.loss = build_loss(config, job.training)
        self.trainer = backend.Trainer(self.net, self.loss, config.trainer_options())
        self.num_steps = config.epochs * len(self.batches)
        self.progress = self._restore()
        self.reporter = Reporter(job, self.progress.step, self.num_steps, len(self.batches))
        self.reporter.start(self.devices)
        self._pending: deque[_PendingLoss] = deque()
        self._time = time.monotonic()

    def train(self, stop: StopRequest) -> int:
        """Train to the end, or until a signal asks to stop; returns its number, or 0."""
        while True:
            if self._validation_is_due():
                self._validate()
            if self.progress.step == self.num_steps:
                return 0
            self.batches.set_epoch(self.progress.step // len(self.batches))
            for images, labels in self.batches:
                signal_number = self._step(images, labels, stop)
                if signal_number or self._checkpoint_is_due():
                    self._save()
                if signal_number:
                    return signal_number

    def close(self) -> None:
        """Close the progress bar and the log."""
        self.reporter.close()

    def _step(self, images: np.ndarray, labels: np.ndarray, stop: StopRequest) -> int:
        """Update the weights with one batch; returns a signal that any process received, or 0."""
        step, config = self.progress.step, self.config
        micro_batches = self._split(images, labels)
        num_valid = [self.loss.num_valid(label) for _, label in micro_batches]
        received = [float(stop.number == number) for number in STOPPING]
        total, *received = backend.all_reduce_sum([sum(num_valid), *received])
        # Dropout depends on seed, step and process only, so a checkpoint needs no random state.
        backend.reseed(config.seed, step, backend.rank())
        learning_rate = self._learning_rate(step)
        loss_weights = [number / total if total else 0.0 for number in num_valid]
        loss = self.trainer.update(self._on_devices(micro_batches), loss_weights, learning_rate)
        speed = len(images) * backend.world_size() / self._lap_time()
        self._pending.append(_PendingLoss(step, learning_rate, speed, loss))
        self.progress.step += 1
        self._read_losses(delay=_DELAY)
        return next((number for number, count in zip(STOPPING, received) if count), 0)

    def _split(self, images: np.ndarray, labels: np.ndarray) -> list[tuple]:
        """Split a batch into micro-batches: ``accumulate`` of them for each device."""
        number = len(self.devices) * self.config.accumulate
        pairs = zip(np.array_split(images, number), np.array_split(labels, number))
        return [(image, label) for image, label in pairs if len(image)]

    def _on_devices(self, micro_batches: list[tuple]) -> Iterator[tuple]:
        for (images, labels), device in zip(micro_batches, itertools.cycle(self.devices)):
            yield backend.preprocess(images, device, self.dtype), backend.array(labels, device)

    def _learning_rate(self, step: int) -> float:
        return poly(step, self.num_steps, self.config.lr, warmup=self.config.warmup)

    def _lap_time(self) -> float:
        """Return the seconds since the last call, and restart the clock."""
        before, self._time = self._time, time.monotonic()
        return self._time - before

    def _read_losses(self, delay: int = 0) -> None:
        """Read and record all losses except the last ``delay``."""
        while len(self._pending) > delay:
            step, learning_rate, speed, loss = self._pending.popleft()
            value = float(backend.all_reduce_sum(float(backend.as_numpy(loss).sum())))
            if not np.isfinite(value):
                raise self._not_finite(step, f"the loss of step {step} is {value}")
            self.progress.loss_sum += value
            self.reporter.step(step, value, learning_rate, speed)

    def _not_finite(self, step: int, problem: str) -> FloatingPointError:
        files = "\n  ".join(map(str, self.batches.files(*divmod(step, len(self.batches)))))
        return FloatingPointError(
            f"{problem}, at learning rate {self._learning_rate(step):.3g}. Training stops; "
            f"{describe_newest(self.folder.checkpoints)}. Try a smaller --lr, --warmup or "
            f"--clip-norm, or check the files of the batch:\n  {files}"
        )

    def _at_epoch_end(self) -> bool:
        return self.progress.step % len(self.batches) == 0

    def _checkpoint_is_due(self) -> bool:
        every = self.config.save_every
        return self._at_epoch_end() or (every > 0 and self.progress.step % every == 0)

    def _validation_is_due(self) -> bool:
        step = self.progress.step
        epoch_is_due = step // len(self.batches) % self.config.val_every == 0
        is_due = step == self.num_steps or epoch_is_due
        return self._at_epoch_end() and is_due and self.progress.validated < step

    def _save(self) -> None:
        """Save a checkpoint and the weights, if all losses and weights are finite."""
        self._read_losses()
        if backend.rank() > 0:
            return
        weights = backend.get_parameters(self.net)
        broken = [name for name, value in weights.items() if not np.isfinite(value).all()]
        if broken:
            step = self.progress.step - 1
            raise self._not_finite(step, f"{len(broken)} weights are not finite after step {step}")
        arrays = {f"net/{name}": value for name, value in weights.items()}
        arrays |= {f"trainer/{name}": value for name, value in self.trainer.state().items()}
        progress = self.progress
        header = {
            "progress": dataclasses.asdict(progress),
            "batches": self.batches.state_dict(),
        }
        self.folder.save_checkpoint(progress.step, arrays, header, progress.best_step)
        self.folder.save_weights(self.trainer.averaged_parameters() or weights)
        self._time = time.monotonic()

    def _restore(self) -> Progress:
        """Restore the checkpoint that the run starts from, if any; returns its progress."""
        path = self.job.start.checkpoint
        if path is None:
            step = self.config.start_epoch * len(self.batches)
            return Progress(step=step, validated=step)
        arrays, header = read_checkpoint(path)
        backend.set_parameters(self.net, _with_prefix("net/", arrays), source=str(path))
        self.trainer.load_state(_with_prefix("trainer/", arrays))
        self.batches.load_state_dict(header["batches"])
        progress = Progress(**header["progress"])
        if not (self.folder.path / BEST).is_file():
            # The best weights belong to another run, or were set aside with later checkpoints.
            progress.best_iou, progress.best_step = -1.0, -1
        return progress

    def _validate(self) -> None:
        progress, config = self.progress, self.config
        with self._averaged_weights():
            scores = evaluate(self.net, self.job.validation, config.test_batch_size, config.workers)
            if scores.mean_iou > progress.best_iou:
                progress.best_iou, progress.best_step = scores.mean_iou, progress.step
                if backend.rank() == 0:
                    self.folder.save_weights(backend.get_parameters(self.net), BEST)
            loss = progress.loss_sum / (progress.step - progress.validated)
            self.reporter.validation(self.net, progress.step, scores, loss)
        progress.validated, progress.loss_sum = progress.step, 0.0
        self._save()

    @contextlib.contextmanager
    def _averaged_weights(self) -> Iterator[None]:
        """Use the moving average of the weights, if there is one, while the block runs."""
        average = self.trainer.averaged_parameters()
        current = backend.get_parameters(self.net) if average else {}
        backend.set_parameters(self.net, average, allow_missing=True)
        try:
            yield
        finally:
            backend.set_parameters(self.net, current, allow_missing=True)


def _with_prefix(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
